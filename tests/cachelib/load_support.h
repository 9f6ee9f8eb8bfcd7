/*
 * load_support.h - what the tests of loading share: a database of one row whose readers can be held, callers
 * on threads of their own, and executors of every temper.
 */
#ifndef QUASH_TESTS_LOAD_SUPPORT_H
#define QUASH_TESTS_LOAD_SUPPORT_H

#include "cache_support.h"

/* ---- A database of one row, which is loaded as the key "key" ---- */

struct source {
    quash_cache *cache;
    const char *group; /* what the value depends on; NULL: nothing */
    _Atomic int version;
    _Atomic int loads;
    _Atomic int status;   /* what loads return, an enum quash_status */
    struct gate *read;    /* opened by the first load once it has read; may be NULL */
    struct gate *proceed; /* what the first load then waits for; may be NULL */
};

/* The loader; its context is a struct source. */
quash_status source_load(quash_fill *fill, void *source);

/* The version in the cache, by quash_cache_get; -1: none. */
int cached_version(quash_cache *cache);

/* One who looks the row up: what is asked, and what came of it. */
struct caller {
    struct source *source;
    uint32_t timeout_ms; /* 0: patient */
    uint32_t soft_ms;    /* 0: the cache's */
    size_t context_size;
    quash_status status;
    int version; /* -1 without a value */
    bool stale;
};

/* Asks; returns its status. */
quash_status ask(struct caller *caller);
/* The same for thread_start, with a struct caller. */
void *ask_thread(void *caller);
/* One patient lookup on this thread: the version that it got, or -1. */
int ask_now(struct source *source);

/* A cache whose clock is moved by hand. */
quash_cache_options options_with_clock(struct manual_clock *clock);

/* ---- Executors: each is the function, and its context ---- */

/* Runs at once, on the thread that submits. Counts in an _Atomic int. */
bool execute_inline(void (*task)(void *argument), void *argument, void *count);
/* Never runs anything. Counts in an _Atomic int. */
bool execute_refused(void (*task)(void *argument), void *argument, void *count);

/* Keeps the tasks until the test runs them. */
#define LATER_MAX 16u

struct later {
    pthread_mutex_t mutex;
    unsigned count;
    struct {
        void (*task)(void *argument);
        void *argument;
    } tasks[LATER_MAX];
};

#define LATER_INIT                                                                                                     \
    {                                                                                                                  \
        .mutex = PTHREAD_MUTEX_INITIALIZER                                                                             \
    }

bool execute_later(void (*task)(void *argument), void *argument, void *later);
/* How many there are. */
unsigned later_count(struct later *later);
/* Waits until there are so many. */
void later_await(struct later *later, unsigned tasks);
/* Runs all that there are, on this thread, in order. */
void later_run(struct later *later);

/* A pool of threads. */
struct pool;
struct pool *pool_new(unsigned threads);
bool execute_on_pool(void (*task)(void *argument), void *argument, void *pool);
/* Waits until all that it was given is done, and ends it. */
void pool_free(struct pool *pool);

#endif
