/*
 * sleeper.h - how one thread sleeps until a table changes, and how others interrupt it without fail.
 *
 * A futex wake reaches only who sleeps already: one that comes between a thread's last look around and its sleep is
 * lost, and the word, shared with other processes and often mapped read-only, cannot be changed to say more. So whoever
 * interrupts wakes again until the sleeper says, under the mutex, that it is awake.
 *
 * The mutex is the owner's too: it guards what the owner keeps beside the sleeper, and the condition, on which
 * everything about the sleeper is announced, may be used for the owner's own announcements. Sleeps end early for them;
 * whoever sleeps here must look around after each sleep anyway.
 */
#ifndef QUASH_SRC_SLEEPER_H
#define QUASH_SRC_SLEEPER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "table.h"

#define SLEEPER_FOREVER UINT64_MAX

struct sleeper {
    pthread_mutex_t mutex; /* taken and released by the owner; guards what follows */
    pthread_cond_t moved;
    const struct table_map *asleep_on; /* not NULL: on this table's futex, or on the way into or out of it */
    uint64_t sleeps;                   /* on a futex, so that one is told from the next */
    bool interrupted;                  /* and has not slept since */
};

/* False without memory. */
bool sleeper_init(struct sleeper *sleeper);

void sleeper_fini(struct sleeper *sleeper);

/*
 * Sleeps, with the mutex held by the caller and released meanwhile. At most `time_ns`; while `map` is not NULL also at
 * most until its count of changes is not `seen`, and no longer than table_map_wait does. Returns at once if it was
 * interrupted since the last sleep, and may return for no reason. One thread only.
 */
void sleeper_sleep(struct sleeper *sleeper, const struct table_map *map, uint64_t seen, uint64_t time_ns);

/* Ends a sleep that is going on, and waits until it has ended; if none is, the next one ends at once. The mutex is
 * held, and may be released meanwhile. */
void sleeper_interrupt(struct sleeper *sleeper);

#endif
