/*
 * watch_support.h - what the tests of watches share: callbacks that note that they came, proof that one did not, and
 * another process that cancels what it is told to.
 */
#ifndef QUASH_TESTS_WATCH_SUPPORT_H
#define QUASH_TESTS_WATCH_SUPPORT_H

#include <sys/types.h>

#include <quash/watch.h>

#include "cache_support.h"

/* What a callback with this as its context leaves behind. Begin with TOLD_INIT. */
struct told {
    _Atomic int times;
    _Atomic int change;
    _Atomic unsigned turn; /* of all calls of `tell` in this program: which one */
};

#define TOLD_INIT                                                                                                      \
    {                                                                                                                  \
        0, QUASH_UNCHANGED, 0                                                                                          \
    }

/* The callback. */
void tell(quash_change change, void *told);

/* Waits until it was called. */
void await_told(struct told *told);

/*
 * Waits until every earlier watch of `table` that is due by now has been called: watches one more group, lets `writer`
 * cancel it, and waits for that. What was not told then is not due.
 */
void settle(quash_table *table, quash_table *writer);

quash_watch *watch_group(quash_table *table, const char *group, struct told *told);
quash_watch *watch_token(const quash_token *token, struct told *told);

/* Watches a group of the stage's table. Into *watch, where a callback finds it that comes before this returns. */
void watch_with(const char *group, quash_changed_fn *changed, void *context, quash_watch **watch);

/* Stamped now. `group` may be NULL. */
quash_token *token_of(quash_table *table, const char *group);

/* Where there is nothing to await: lets another thread get as far as it can. */
void nap_ms(long time_ms);

/* How many watching threads this process has. */
int watching_threads(void);
void await_watching_threads(int count);

/* ---- Another process, with a writable handle of its own */

struct canceller {
    pid_t pid;
    int names; /* to it */
    int done;  /* from it */
};

/* Start it before there are other threads. */
void canceller_start(struct canceller *canceller, const struct table_place *place);

/* Returns once it has cancelled. */
void canceller_cancel(const struct canceller *canceller, const char *group);

/* Lets it cancel groups that nobody watches, as fast as it can, until it is stopped. */
void canceller_storm(const struct canceller *canceller);

void canceller_stop(struct canceller *canceller);

/* ---- What each test begins with: a served table, another process that may cancel in it, and the handle to watch */

struct stage {
    struct table_place place;
    quash_table *worker;
    struct canceller canceller;
    quash_table *table; /* read-only */
};

extern struct stage stage;

int stage_setup(void **state);
int stage_teardown(void **state);

#endif
