/*
 * world.c - a round from its plan to the cache's end: what the cache calls back, the executor, and the threads.
 *
 * The calls back are also where calls are made to meet: the cache's clock, its callbacks and its loaders run in the
 * middle of its own functions, so they let other threads run, or call the cache themselves.
 */
#include "world.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "other.h"

instant tick(struct world *world)
{
    /* The thread sanitizer is not to see in this counter what orders the cache's accesses. To the processor it is a
     * full barrier all the same. */
#if defined(__SANITIZE_THREAD__)
    return atomic_fetch_add_explicit(&world->common->last, 1, memory_order_relaxed) + 1;
#else
    return atomic_fetch_add(&world->common->last, 1) + 1;
#endif
}

uint64_t clock_now(struct world *world)
{
    return atomic_load_explicit(&world->common->now_ms, memory_order_relaxed);
}

void world_wrong(struct world *world, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    pthread_mutex_lock(&world->wrong_mutex);
    if (world->wrong[0] == '\0')
        vsnprintf(world->wrong, sizeof world->wrong, format, arguments);
    pthread_mutex_unlock(&world->wrong_mutex);
    va_end(arguments);
}

/* ---- What the cache calls ---- */

static uint64_t cache_clock(void *context)
{
    struct world *world = context;
    uint64_t now_ms = clock_now(world);
    if (self != NULL)
        actor_dawdle(self);
    return now_ms;
}

static void evicted(const void *key, size_t key_size, quash_entry *entry, quash_eviction reason, void *context)
{
    struct world *world = context;
    uint32_t bytes = KEYS_MAX;
    if (key_size == sizeof bytes)
        memcpy(&bytes, key, sizeof bytes);
    if (quash_entry_object(entry) == NULL && quash_entry_size(entry) == 0) {
        atomic_fetch_add(&world->told_absent, 1);
        return;
    }
    uint32_t number = payload_number(world, entry);
    if (number == 0)
        return;
    struct value *value = value_at(world, number);
    if (value->key != bytes)
        world_wrong(world, "value %u of key %u is told to have left as one of key %u", number, value->key, bytes);
    if (atomic_fetch_add(&value->told, 1) != 0) {
        world_wrong(world, "value %u is told to have left twice", number);
        return;
    }
    const struct op *op = self == NULL ? NULL : self->history.current;
    value->told_after = op == NULL ? 0 : op->began;
    value->told_in = (uint8_t)(op == NULL ? OPERATIONS : op->kind);
    value->told_key = op == NULL ? 0 : op->key;
    value->told_made = op == NULL ? 0 : op->made;
    value->told_reason = (uint8_t)reason;
    value->told_at = tick(world);
    value->told_late_ms = clock_now(world);
    if (self != NULL && self->number != MAIN && op != NULL && op->outer == NULL)
        actor_intrude(self);
}

/* ---- The executor ---- */

static bool execute(void (*task)(void *argument), void *argument, void *context)
{
    struct task_queue *queue = &((struct world *)context)->tasks;
    pthread_mutex_lock(&queue->mutex);
    /* Now and then it has no room; and its history has an end. */
    bool taken = queue->count < sizeof queue->task / sizeof *queue->task && queue->submitted < OPERATIONS_MAX / 2 &&
                 (self == NULL || random_below(&self->random, 8) != 0);
    if (taken) {
        size_t at = (queue->first + queue->count++) % (sizeof queue->task / sizeof *queue->task);
        queue->task[at].run = task;
        queue->task[at].argument = argument;
        queue->submitted++;
        pthread_cond_signal(&queue->changed);
    }
    pthread_mutex_unlock(&queue->mutex);
    return taken;
}

static void task_ended(struct world *world, const struct op *op)
{
    struct value *value = value_at(world, op->made);
    value->end_late = op->ended;
    value->kept_late_ms = op->late_ms;
}

static void *run_executor(void *context)
{
    self = context;
    struct world *world = self->world;
    struct task_queue *queue = &world->tasks;
    pthread_mutex_lock(&queue->mutex);
    for (;;) {
        while (queue->count == 0 && !queue->stop)
            pthread_cond_wait(&queue->changed, &queue->mutex);
        if (queue->count == 0)
            break;
        void (*run)(void *) = queue->task[queue->first].run;
        void *argument = queue->task[queue->first].argument;
        queue->first = (queue->first + 1) % (sizeof queue->task / sizeof *queue->task);
        queue->count--;
        pthread_mutex_unlock(&queue->mutex);
        struct op *op = op_begin(self, DO_TASK, 0);
        run(argument);
        op_end(self, op);
        task_ended(world, op);
        pthread_mutex_lock(&queue->mutex);
    }
    pthread_mutex_unlock(&queue->mutex);
    actor_release_all(self);
    return NULL;
}

/* ---- Threads ---- */

static void *run_worker(void *context)
{
    self = context;
    pthread_barrier_wait(&self->world->start);
    actor_run(self);
    actor_finish(self);
    return NULL;
}

static void actor_reset(struct actor *actor, uint64_t seed)
{
    actor->random = seed + actor->number * UINT64_C(0xd1342543de82ef95);
    actor->history.count = 0;
    actor->history.current = NULL;
    actor->values = 0;
    actor->open_count = 0;
    actor->held_count = 0;
    actor->wait_count = 0;
    actor->notifier = NULL;
    if (actor->number < WORKERS_MAX && quash_notifier_new(&actor->notifier) != QUASH_OK)
        support_fail("no notifier");
}

/* ---- The round's parts ---- */

static void serve_table(struct world *world)
{
    quash_table_serve_options serving = QUASH_TABLE_SERVE_OPTIONS_INIT;
    quash_error error;
    bool fresh;
    serving.buckets = world->plan.buckets;
    remove(world->place.path);
    if (quash_table_serve(world->place.path, &serving, &world->server, &fresh, &error) != QUASH_OK)
        support_fail(error.message);
}

static void table_make(struct world *world)
{
    if (world->plan.theme != THEME_SHARED) {
        if (quash_table_new_private(world->plan.buckets, &world->table) != QUASH_OK)
            support_fail("no table");
        return;
    }
    quash_table_options options = QUASH_TABLE_OPTIONS_INIT;
    quash_error error;
    options.writable = true;
    serve_table(world);
    if (quash_table_open(world->place.path, &options, &world->table, &error) != QUASH_OK)
        support_fail(error.message);
}

static void table_unmake(struct world *world)
{
    quash_table_close(world->table);
    quash_table_close(world->server);
    world->server = NULL;
}

/* By accident, once in some hundred thousand tables, two of the names cannot be told apart. */
static void table_make_good(struct world *world)
{
    for (table_make(world); !world->plan.forgetful && !names_are_apart(world->table); table_make(world))
        table_unmake(world);
}

static void cache_make(struct world *world)
{
    quash_cache_options options = world->plan.cache;
    options.table = world->table;
    options.clock_ms = cache_clock;
    options.clock_context = world;
    options.evicted = evicted;
    options.evicted_context = world;
    if (world->plan.executor) {
        options.execute = execute;
        options.execute_context = world;
        options.load_on_executor = world->plan.load_on_executor;
    }
    world->cache = new_cache_with(&options);
}

static void threads_run(struct world *world)
{
    pthread_t threads[WORKERS_MAX], executor;
    const struct plan *plan = &world->plan;
    bool other = plan->theme == THEME_SHARED;
    if (pthread_barrier_init(&world->start, NULL, plan->workers) != 0)
        support_fail("no barrier");
    executor = thread_start(run_executor, &world->actors[EXECUTOR]);
    if (other)
        other_start(world->common, world->place.path, plan->seed);
    for (unsigned i = 0; i < plan->workers; i++)
        threads[i] = thread_start(run_worker, &world->actors[i]);
    for (unsigned i = 0; i < plan->workers; i++)
        thread_join(threads[i]);
    if (other)
        other_stop(world->common);
    pthread_mutex_lock(&world->tasks.mutex);
    world->tasks.stop = true;
    pthread_cond_signal(&world->tasks.changed);
    pthread_mutex_unlock(&world->tasks.mutex);
    thread_join(executor);
    pthread_barrier_destroy(&world->start);
}

/* All threads have ended: takes what is left to be taken, then ends the cache, and at last lets go of its values. */
static void world_end(struct world *world)
{
    struct actor *actor = &world->actors[MAIN];
    self = actor;
    for (unsigned i = 0; i < world->plan.workers; i++) {
        act_notices(&world->actors[i]);
        quash_notifier_free(world->actors[i].notifier);
    }
    for (unsigned i = world->plan.workers; i < WORKERS_MAX; i++)
        quash_notifier_free(world->actors[i].notifier);
    act_maintain_all(actor);
    world->before_clear = stats_of(world->cache);
    act_clear(actor);
    world->at_end = stats_of(world->cache);
    quash_cache_free(world->cache);
    for (unsigned i = 0; i < WORKERS_MAX; i++)
        actor_release_all(&world->actors[i]);
    for (unsigned i = 0; i < HANDED_OVER; i++)
        quash_entry_release(atomic_exchange(&world->handed_over[i], NULL));
    self = NULL;
    table_unmake(world);
}

void world_run(struct world *world, const struct plan *plan)
{
    struct task_queue *queue = &world->tasks;
    world->plan = *plan;
    atomic_store(&world->common->last, 0);
    atomic_store(&world->common->now_ms, 1000000);
    world->common->ops_count = 0;
    atomic_store(&world->objects_made, 0);
    atomic_store(&world->objects_destroyed, 0);
    atomic_store(&world->told_absent, 0);
    queue->first = queue->count = queue->submitted = 0;
    queue->stop = false;
    for (unsigned i = 0; i < ACTORS_MAX; i++)
        actor_reset(&world->actors[i], plan->seed);
    table_make_good(world);
    cache_make(world);
    threads_run(world);
    world_end(world);
    for (unsigned i = 0; i < ACTORS_MAX; i++) {
        for (unsigned at = 0; at < world->actors[i].history.count; at++)
            world->seen[world->actors[i].history.ops[at].kind]++;
    }
    world->seen[DO_CANCEL] += world->common->ops_count;
}

struct world *world_new(struct common *common)
{
    struct world *world = calloc(1, sizeof *world);
    if (world == NULL || pthread_mutex_init(&world->wrong_mutex, NULL) != 0 ||
        pthread_mutex_init(&world->tasks.mutex, NULL) != 0 || pthread_cond_init(&world->tasks.changed, NULL) != 0)
        support_fail("no world");
    world->common = common;
    world->values = calloc(ACTORS_MAX * VALUES_EACH, sizeof *world->values);
    if (world->values == NULL)
        support_fail("no memory");
    for (unsigned i = 0; i < ACTORS_MAX; i++) {
        struct actor *actor = &world->actors[i];
        actor->world = world;
        actor->number = i;
        actor->history.room = HISTORY_EACH;
        actor->history.ops = calloc(HISTORY_EACH, sizeof *actor->history.ops);
        if (actor->history.ops == NULL)
            support_fail("no memory");
    }
    table_place_make(&world->place);
    return world;
}

void world_free(struct world *world)
{
    table_place_remove(&world->place);
    for (unsigned i = 0; i < ACTORS_MAX; i++)
        free(world->actors[i].history.ops);
    free(world->values);
    pthread_cond_destroy(&world->tasks.changed);
    pthread_mutex_destroy(&world->tasks.mutex);
    pthread_mutex_destroy(&world->wrong_mutex);
    free(world);
}
