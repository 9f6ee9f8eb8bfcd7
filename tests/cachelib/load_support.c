/* See load_support.h. */
#include "load_support.h"

#include <stdlib.h>

/* ---- The database ---- */

quash_status source_load(quash_fill *fill, void *context)
{
    struct source *source = context;
    int version = atomic_load(&source->version);
    if (atomic_fetch_add(&source->loads, 1) == 0) {
        if (source->read != NULL)
            gate_open(source->read);
        if (source->proceed != NULL)
            gate_pass(source->proceed);
    }
    if (source->group != NULL)
        quash_fill_add_group(fill, source->group);
    quash_status status = quash_fill_set_bytes(fill, &version, sizeof version);
    return status == QUASH_OK ? (quash_status)atomic_load(&source->status) : status;
}

static int entry_version(const quash_entry *entry)
{
    int version;
    if (quash_entry_size(entry) != sizeof version)
        support_fail("a value is not a version");
    memcpy(&version, quash_entry_bytes(entry), sizeof version);
    return version;
}

int cached_version(quash_cache *cache)
{
    quash_entry *entry = quash_cache_get(cache, "key", 3);
    int version = entry == NULL ? -1 : entry_version(entry);
    quash_entry_release(entry);
    return version;
}

quash_status ask(struct caller *caller)
{
    quash_entry *entry = NULL;
    quash_get_options options = QUASH_GET_OPTIONS_INIT;
    options.load_timeout_ms = caller->timeout_ms == 0 ? SUPPORT_PATIENCE_MS : caller->timeout_ms;
    options.soft_timeout_ms = caller->soft_ms;
    options.context_size = caller->context_size;
    options.stale = &caller->stale;
    caller->status =
        quash_cache_get_or_load(caller->source->cache, "key", 3, source_load, caller->source, &options, &entry);
    caller->version = entry == NULL ? -1 : entry_version(entry);
    quash_entry_release(entry);
    return caller->status;
}

void *ask_thread(void *caller)
{
    ask(caller);
    return NULL;
}

int ask_now(struct source *source)
{
    struct caller caller = {.source = source};
    ask(&caller);
    return caller.version;
}

quash_cache_options options_with_clock(struct manual_clock *clock)
{
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.clock_ms = manual_clock_ms;
    options.clock_context = clock;
    return options;
}

/* ---- Executors ---- */

bool execute_inline(void (*task)(void *argument), void *argument, void *count)
{
    atomic_fetch_add((_Atomic int *)count, 1);
    task(argument);
    return true;
}

bool execute_refused(void (*task)(void *argument), void *argument, void *count)
{
    (void)task;
    (void)argument;
    atomic_fetch_add((_Atomic int *)count, 1);
    return false;
}

bool execute_later(void (*task)(void *argument), void *argument, void *context)
{
    struct later *later = context;
    pthread_mutex_lock(&later->mutex);
    if (later->count == LATER_MAX)
        support_fail("more tasks than the test expects");
    later->tasks[later->count].task = task;
    later->tasks[later->count++].argument = argument;
    pthread_mutex_unlock(&later->mutex);
    return true;
}

unsigned later_count(struct later *later)
{
    pthread_mutex_lock(&later->mutex);
    unsigned count = later->count;
    pthread_mutex_unlock(&later->mutex);
    return count;
}

struct later_wanted {
    struct later *later;
    unsigned tasks;
};

static bool later_has(void *context)
{
    struct later_wanted *wanted = context;
    return later_count(wanted->later) >= wanted->tasks;
}

void later_await(struct later *later, unsigned tasks)
{
    struct later_wanted wanted = {later, tasks};
    await(later_has, &wanted, "the executor was given fewer tasks than expected");
}

void later_run(struct later *later)
{
    pthread_mutex_lock(&later->mutex);
    struct later taken = *later;
    later->count = 0;
    pthread_mutex_unlock(&later->mutex);
    for (unsigned i = 0; i < taken.count; i++)
        taken.tasks[i].task(taken.tasks[i].argument);
}

/* ---- The pool ---- */

struct pool_task {
    struct pool_task *next;
    void (*task)(void *argument);
    void *argument;
};

struct pool {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct pool_task *first;
    struct pool_task **last;
    bool ending;
    unsigned threads;
    pthread_t thread[];
};

static void *pool_run(void *context)
{
    struct pool *pool = context;
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        while (pool->first == NULL && !pool->ending)
            pthread_cond_wait(&pool->changed, &pool->mutex);
        struct pool_task *task = pool->first;
        if (task == NULL)
            break;
        pool->first = task->next;
        if (pool->first == NULL)
            pool->last = &pool->first;
        pthread_mutex_unlock(&pool->mutex);
        task->task(task->argument);
        free(task);
        pthread_mutex_lock(&pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

struct pool *pool_new(unsigned threads)
{
    struct pool *pool = calloc(1, sizeof *pool + threads * sizeof *pool->thread);
    if (pool == NULL || pthread_mutex_init(&pool->mutex, NULL) != 0 || pthread_cond_init(&pool->changed, NULL) != 0)
        support_fail("no pool");
    pool->last = &pool->first;
    for (; pool->threads < threads; pool->threads++)
        pool->thread[pool->threads] = thread_start(pool_run, pool);
    return pool;
}

bool execute_on_pool(void (*task)(void *argument), void *argument, void *context)
{
    struct pool *pool = context;
    struct pool_task *made = malloc(sizeof *made);
    if (made == NULL)
        return false;
    *made = (struct pool_task){NULL, task, argument};
    pthread_mutex_lock(&pool->mutex);
    *pool->last = made;
    pool->last = &made->next;
    pthread_cond_signal(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
    return true;
}

void pool_free(struct pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    pool->ending = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->threads; i++)
        thread_join(pool->thread[i]);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}
