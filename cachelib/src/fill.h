/*
 * fill.h - a fill: one load of one key, from the moment its stamp is taken to its end.
 *
 * A *shared* fill has a flight, which others wait for and which remove, clear and put may void; its value is kept. A
 * *private* one has none, or one that is alone: its value is for the caller only. Ownership: the fill holds its flight,
 * its token and its value until it ends; whoever started it sees to it that it ends exactly once.
 */
#ifndef QUASH_SRC_FILL_H
#define QUASH_SRC_FILL_H

#include "cache.h"

struct quash_fill {
    quash_cache *cache;
    struct flight *flight; /* NULL: private */
    struct key key;        /* its bytes are the flight's; without one the caller's, or `own_key` */
    void *own_key;         /* malloc'ed, or NULL */
    struct token token;
    uint64_t began_ms; /* by the cache's clock */
    uint64_t began_ns; /* by the kernel's, for the statistics */
    quash_entry_options options;
    struct value value;
    bool unguarded;  /* a group could not be named: the value would miss its cancellations */
    bool not_wanted; /* the answer QUASH_ABSENT where those are not kept */
};

/* Starts a fill in memory of the caller's: takes the time and the stamp. `flight` passes to the fill. No lock held. */
void fill_start(struct quash_fill *fill, quash_cache *cache, struct flight *flight, const struct key *key);

/* As quash_fill_commit and quash_fill_abandon, but the memory stays the caller's. */
quash_status fill_commit(struct quash_fill *fill, quash_entry **entry, bool *kept);
void fill_abandon(struct quash_fill *fill, quash_status status);

/* Ends a fill as its loader's status says. On QUASH_OK *entry (may be NULL) is the value. */
quash_status fill_end(struct quash_fill *fill, quash_status status, quash_entry **entry);

/* Where loads_by_time counts a load that took so long. */
static inline unsigned fill_time_bucket(uint64_t time_us)
{
    unsigned bucket = 0;
    while (bucket < QUASH_LOAD_TIMES - 1 && time_us >> (2 * bucket + 6) != 0)
        bucket++;
    return bucket;
}

#endif
