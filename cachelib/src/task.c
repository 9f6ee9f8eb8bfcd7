/*
 * task.c - loads on the cache's executor. A task owns the flight, and a copy of the loader's context if it was asked
 * for; it runs once, on whatever thread the executor chooses. The fill begins there and not before: what is cancelled
 * while the task is queued does not void it, and its time in the queue is no part of the entry's.
 */
#include <stdlib.h>
#include <string.h>

#include "load.h"

struct task {
    quash_cache *cache;
    struct flight *flight;
    quash_load_fn *load;
    void *context;
    max_align_t copy[];
};

static void task_run(void *argument)
{
    struct task *task = argument;
    struct quash_fill fill;
    fill_start(&fill, task->cache, task->flight, &task->flight->key);
    load_run(&fill, task->load, task->context, NULL);
    free(task);
}

bool task_submit(quash_cache *cache, struct flight *flight, quash_load_fn *load, void *context, size_t context_size)
{
    if (context_size > SIZE_MAX - sizeof(struct task))
        return false;
    struct task *task = malloc(sizeof *task + context_size);
    if (task == NULL)
        return false;
    *task = (struct task){.cache = cache, .flight = flight, .load = load, .context = context};
    if (context_size != 0) {
        memcpy(task->copy, context, context_size);
        task->context = task->copy;
    }
    if (cache->execute(task_run, task, cache->execute_context))
        return true;
    free(task);
    return false;
}
