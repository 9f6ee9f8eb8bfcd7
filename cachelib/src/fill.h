/*
 * fill.h - a fill: one load of one key, from the moment its stamp is taken to its end.
 *
 * A *shared* fill has a flight, which others wait for and which remove, clear and put may void; its value is kept. A
 * *private* one has none: its value is for the caller alone. Ownership: the fill holds its flight, its token and its
 * value until it ends; whoever started it sees to it that it ends exactly once.
 */
#ifndef QUASH_SRC_FILL_H
#define QUASH_SRC_FILL_H

#include "cache.h"

struct quash_fill {
    quash_cache *cache;
    struct flight *flight; /* NULL: private */
    struct key key;        /* its bytes are the flight's; of a private fill the caller's */
    struct token token;
    uint64_t began_ms;
    uint64_t ttl_ms; /* as asked for: may be QUASH_TTL_DEFAULT */
    struct value value;
    bool unguarded; /* a group could not be named: the value would miss its cancellations */
};

/* Starts a fill in memory of the caller's: takes the time and the stamp. `flight` passes to the fill. No lock held. */
void fill_start(struct quash_fill *fill, quash_cache *cache, struct flight *flight, const struct key *key);

/* As quash_fill_commit and quash_fill_abandon, but the memory stays the caller's. */
quash_status fill_commit(struct quash_fill *fill, quash_entry **entry, bool *kept);
void fill_abandon(struct quash_fill *fill, quash_status status);

#endif
