/*
 * canceller.h - a thread that cancels groups at a steady pace, groups that nothing in the cache depends on.
 *
 * It goes through `names` different ones in turn ("order:0", "order:1", ...), `burst` at a time, each by a call of its
 * own. Where bursts are more than 60 microseconds apart it sleeps in between, else it watches the clock.
 */
#ifndef QUASH_BENCH_CANCELLER_H
#define QUASH_BENCH_CANCELLER_H

#include <stdbool.h>
#include <stdint.h>

#include <quash/table.h>

struct canceller_plan {
    quash_table *table; /* writable; outlives the canceller */
    double per_s;
    uint64_t burst;
    uint64_t names;
    unsigned processor; /* to be kept on; only if `pinned` */
    bool pinned;
};

struct canceller;

/* Starts the thread, idle. NULL without memory or thread. */
struct canceller *canceller_start(const struct canceller_plan *plan);
/* Ends it. NULL is fine. */
void canceller_stop(struct canceller *canceller);

/* Whether it cancels. Returns at once. */
void canceller_set(struct canceller *canceller, bool on);

/* How many it has done a second while it was on. NAN before. After canceller_set(false). */
double canceller_rate(struct canceller *canceller);

#endif
