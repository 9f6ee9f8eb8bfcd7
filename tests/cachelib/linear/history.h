/*
 * history.h - what was called, by whom, when it began and ended, and what it answered; and of each value that was ever
 * made, from when to when it was made, what it depends on, and how it left.
 *
 * All events have a place in one order: a counter that everybody adds to, before a call and after its return. If a call
 * ended at an instant before another began, then it had returned before the other was called. The clock that the cache
 * is given is moved by hand; each call notes it before and after, so it saw some time in between.
 *
 * Ownership: an operation is written by the thread whose log it is in. So is a value, by the thread that made it; what
 * is told of its leaving is written by the thread that is told.
 */
#ifndef QUASH_TESTS_LINEAR_HISTORY_H
#define QUASH_TESTS_LINEAR_HISTORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <quash/cache.h>

#include "spans.h"

/* X(NAME, "what a reader of the history sees") */
#define OPERATION_MAP(X)                                                                                               \
    X(GET, "get")                                                                                                      \
    X(LOAD, "get_or_load")                                                                                             \
    X(BEGIN, "get_or_begin")                                                                                           \
    X(NOTICE, "notice")                                                                                                \
    X(FILL, "fill_begin")                                                                                              \
    X(COMMIT, "fill_commit")                                                                                           \
    X(ABANDON, "fill_abandon")                                                                                         \
    X(TASK, "executor's load")                                                                                         \
    X(PUT, "put")                                                                                                      \
    X(CONTAINS, "contains")                                                                                            \
    X(EACH, "each")                                                                                                    \
    X(REMOVE, "remove")                                                                                                \
    X(CLEAR, "clear")                                                                                                  \
    X(CANCEL, "cancel")                                                                                                \
    X(REPLACE, "table replaced")                                                                                       \
    X(RETIRE, "table retired")                                                                                         \
    X(ADVANCE, "clock advanced")                                                                                       \
    X(MAINTAIN, "maintain")                                                                                            \
    X(RESIZE, "resize")                                                                                                \
    X(STATS, "stats")

enum operation {
#define OPERATION_ENUM(name, text) DO_##name,
    OPERATION_MAP(OPERATION_ENUM)
#undef OPERATION_ENUM
        OPERATIONS
};

extern const char *const operation_names[OPERATIONS];

struct op {
    instant began;
    instant ended;
    instant asked;     /* of a notice: when the lookup was called that it is for */
    uint64_t early_ms; /* the clock before it began */
    uint64_t late_ms;  /* and after it ended */
    struct op *outer;  /* the call in the middle of which this one was made, by a loader or a callback */
    uint32_t answer;   /* the number of the value that it answered with; 0: none */
    uint32_t made;     /* the number of the value that it loaded, or put, or began or ended to load */
    uint32_t names;    /* what was cancelled */
    int status;        /* quash_status, or what a call that answers yes or no has said */
    uint8_t kind;      /* enum operation */
    uint8_t key;
    uint8_t thread;
    uint8_t loads; /* how often it called its loader */
    bool stale;    /* it answered with a value that stood in; a table that was replaced without being retired */
};

enum making { MADE_BY_LOAD, MADE_BY_FILL, MADE_BY_PUT };

enum outcome { OUTCOME_OPEN, OUTCOME_VALUE, OUTCOME_ABSENT, OUTCOME_FAILED, OUTCOME_REFUSED };

struct value {
    uint8_t key;
    uint8_t thread;
    uint8_t making;  /* enum making */
    uint8_t outcome; /* enum outcome */
    bool is_object;
    bool unguarded; /* it named too many groups */
    bool kept;      /* the fill that it is from said so */
    uint8_t priority;
    uint8_t groups;   /* how many */
    uint32_t depends; /* on these names */
    uint32_t size;
    uint64_t ttl_ms;
    uint64_t sliding_ms; /* QUASH_SLIDING_NONE */
    /* Its stamp was taken, and its flight started, between these. */
    instant stamp_early;
    instant stamp_late;
    uint64_t began_early_ms; /* its ttl counts from a time between these */
    uint64_t began_late_ms;
    /* It was decided whether it is kept, and it was linked, between these. */
    instant end_early;
    instant end_late;
    uint64_t kept_early_ms; /* its first sliding time counts from between these */
    uint64_t kept_late_ms;
    /* That it left the cache. */
    _Atomic uint32_t told; /* how often */
    instant told_at;
    instant told_after;    /* when the call that made it leave began; 0: not known */
    uint64_t told_late_ms; /* the clock then */
    uint8_t told_reason;   /* quash_eviction */
    uint8_t told_in;       /* enum operation; OPERATIONS: not known */
    uint8_t told_key;      /* of that call */
    uint32_t told_made;    /* the value that it was making; 0: none */
};

/* One thread's part. */
struct history {
    struct op *ops;
    unsigned count;
    unsigned room;
    struct op *current; /* innermost */
};

#endif
