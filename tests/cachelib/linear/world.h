/*
 * world.h - one round: a cache of some make, the threads that use it, and what happened.
 *
 * A round's *plan* is drawn from its seed: how many threads and keys, how much room, which features, how often what is
 * called. So a seed repeats the plan and each thread's choices; how the threads meet is the scheduler's.
 */
#ifndef QUASH_TESTS_LINEAR_WORLD_H
#define QUASH_TESTS_LINEAR_WORLD_H

#include <pthread.h>

#include "cache_support.h"
#include "history.h"
#include "names.h"

#define KEYS_MAX       12u
#define WORKERS_MAX    4u
#define ACTORS_MAX     (WORKERS_MAX + 3) /* the executor, the test's own thread, the other process */
#define OPERATIONS_MAX 6000u             /* of one thread, in one round */
#define OPERATIONS_END 400u              /* room for those that bring a round to its end */
#define HANDED_OVER    4u
#define OPEN_FILLS     4u
#define HELD           24u /* more than a thread has holds of its own */
#define BYTES_ROOMY    ((size_t)64 << 20)

enum theme {
    THEME_ROOMY,   /* nothing is ever evicted for want of room */
    THEME_TIGHT,   /* only a part fits, and the bound moves */
    THEME_LENIENT, /* eager refresh, fail-safe, negative entries, jitter, an executor */
    THEME_SHARED,  /* a table in a file: another process cancels, and the table is replaced */
    THEMES
};

struct plan {
    enum theme theme;
    uint64_t seed;
    unsigned workers;
    unsigned operations;
    unsigned keys;
    uint64_t buckets; /* of the table; so few that it forgets, or enough that it cannot */
    bool forgetful;
    bool never_remove; /* some values may not be evicted */
    uint32_t sliding_percent;
    uint64_t step_ms; /* at most, that the clock moves on at once */
    bool executor;    /* loads run on a thread of their own: those of eager refresh, or all */
    bool load_on_executor;
    quash_cache_options cache;
    unsigned weight[OPERATIONS];
    unsigned weights;
};

/* Memory that the other process shares. */
struct common {
    _Atomic instant last;
    _Atomic uint64_t now_ms;
    /* The other process's part; see other.h. */
    _Atomic bool stop;
    uint64_t seed;
    _Atomic unsigned ops_count;
    struct op ops[OPERATIONS_MAX];
};

struct wait {
    uint32_t op; /* the get_or_begin */
    uint32_t notices;
    bool forgotten;
};

struct actor {
    struct world *world;
    unsigned number;
    uint64_t random;
    struct history history;
    unsigned values; /* made so far; numbers go up from number * VALUES_EACH + 1 */
    struct {
        quash_fill *fill;
        uint32_t value;
    } open[OPEN_FILLS];
    unsigned open_count;
    struct {
        quash_entry *entry;
        uint32_t value;
    } held[HELD];
    unsigned held_count;
    quash_notifier *notifier;
    struct wait waits[OPERATIONS_MAX];
    unsigned wait_count;
};

#define VALUES_EACH  (OPERATIONS_MAX + OPERATIONS_END)
#define HISTORY_EACH (2 * OPERATIONS_MAX + OPERATIONS_END) /* each wait may bring a notice */

struct task_queue {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct {
        void (*run)(void *);
        void *argument;
    } task[64];
    unsigned first, count;
    unsigned submitted; /* in all */
    bool stop;
};

struct world {
    struct plan plan;
    struct common *common;
    struct table_place place;
    quash_table *server; /* NULL: a private table */
    quash_table *table;
    quash_cache *cache;
    pthread_barrier_t start;
    struct actor actors[ACTORS_MAX];
    struct value *values; /* ACTORS_MAX * VALUES_EACH of them */
    struct task_queue tasks;
    _Atomic(quash_entry *) handed_over[HANDED_OVER];
    _Atomic uint64_t objects_made;
    _Atomic uint64_t objects_destroyed;
    _Atomic uint32_t told_absent;
    quash_cache_stats before_clear;
    quash_cache_stats at_end;
    uint64_t seen[OPERATIONS]; /* operations of all rounds, for the report */
    /* What a thread has found wrong at once; the first of them. */
    pthread_mutex_t wrong_mutex;
    char wrong[256];
};

extern _Thread_local struct actor *self; /* NULL on threads of the library */

#define EXECUTOR WORKERS_MAX
#define MAIN     (WORKERS_MAX + 1)
#define OTHER    (WORKERS_MAX + 2)

/* ---- plan.c */

void plan_draw(struct plan *plan, enum theme theme, uint64_t seed);
uint64_t random_next(uint64_t *state);
static inline uint64_t random_below(uint64_t *state, uint64_t bound)
{
    return (random_next(state) >> 16) % bound;
}

/* ---- world.c */

struct world *world_new(struct common *common);
void world_free(struct world *world);
/* Runs a round from its plan to the cache's end. */
void world_run(struct world *world, const struct plan *plan);

instant tick(struct world *world);
uint64_t clock_now(struct world *world);
/* Notes what is wrong beyond any model; from any thread. */
void world_wrong(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline struct value *value_at(const struct world *world, uint32_t number)
{
    return &world->values[number - 1];
}

/* ---- payload.c: what a value's bytes or object are */

/* Makes the bytes, or the object, of the value; the object's destructor is payload_destroy. */
#define PAYLOAD_BYTES_MAX 400u
void payload_write(unsigned char bytes[PAYLOAD_BYTES_MAX], uint32_t number, const struct value *value);
void *payload_object(struct world *world, uint32_t number, const struct value *value);
void payload_destroy(void *object, void *world);
/* The value's number; 0 if the entry is not what it was made to be, which is noted. An absent answer has none. */
uint32_t payload_number(struct world *world, const quash_entry *entry);

/* ---- actor.c, actor_fills.c, actor_tables.c: what the threads do */

struct op *op_begin(struct actor *actor, enum operation kind, unsigned key);
void op_end(struct actor *actor, struct op *op);
uint32_t value_new(struct actor *actor, enum making making, unsigned key);

void actor_run(struct actor *actor);
void actor_finish(struct actor *actor);
void actor_release_all(struct actor *actor);
/* One call from within a loader or a callback. */
void actor_intrude(struct actor *actor);
/* Lets others run, now and then. */
void actor_dawdle(struct actor *actor);
/* Keeps an answer for a while, and lets go of an older one, perhaps another thread's. */
void actor_keep(struct actor *actor, quash_entry *entry, uint32_t number);

void act_load(struct actor *actor, unsigned key);
void act_begin(struct actor *actor, unsigned key);
void act_fill(struct actor *actor, unsigned key);
void act_end_fill(struct actor *actor, bool commit);
void act_put(struct actor *actor, unsigned key);
void act_notices(struct actor *actor);
void act_cancel(struct actor *actor);
void act_replace(struct actor *actor);
void act_maintain_all(struct actor *actor);
void act_clear(struct actor *actor);

#endif
