/*
 * cache.h - the inside of a cache: shards, each an index, a list in order of use and the flights of its keys.
 *
 *     key ─► hash ─┬─ top bits ─► shard ─┬─ index    key ─► entry
 *                  └─ low bits ─► bucket ├─ list     newest ◄─► ... ◄─► oldest
 *                                        └─ flights  loads under way
 *
 * Locks, in the order in which they may be taken:
 *  1. quash_cache.insert_lock: taken by whoever adds an entry, over the insertion and the evictions that it makes
 *     necessary. So max_bytes is never exceeded by more than the one entry that is being added.
 *  2. shard.lock: everything in the shard. Never two shards at once.
 * Under neither does the library call loaders, destructors or the caller's clock: what dies under a lock is put on an
 * entry_list and released after the unlock.
 *
 * `bytes` changes under the lock of the shard that an entry enters or leaves, so it is the exact sum at any time that
 * no such lock is held.
 */
#ifndef QUASH_SRC_CACHE_H
#define QUASH_SRC_CACHE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <quash/cache.h>

#include "entry.h"
#include "flight.h"
#include "index.h"

#define SHARD_BITS  4
#define SHARD_COUNT (1u << SHARD_BITS)

/* Lists of flights in a shard, so that a few thousand open fills stay cheap; a power of two. */
#define FLIGHT_LISTS 16u

/* As in quash_cache_stats; protected by the shard's lock. */
struct shard_counters {
    uint64_t hits;
    uint64_t misses_absent;
    uint64_t misses_expired;
    uint64_t misses_cancelled;
    uint64_t misses_collateral;
    uint64_t misses_detached;
    uint64_t loads;
    uint64_t loads_failed;
    uint64_t loads_voided;
    uint64_t waits;
    uint64_t waits_timed_out;
    uint64_t evictions;
};

struct shard {
    pthread_mutex_t lock;
    struct index index;
    quash_entry *newest;
    quash_entry *oldest;
    /* `used` of the oldest entry, UINT64_MAX when there is none: written under the lock, read without it to choose
     * where to evict. Relaxed: it is a hint, looked at again under the lock. */
    _Atomic uint64_t oldest_used;
    struct flight *flights[FLIGHT_LISTS];
    struct shard_counters counters;
};

struct quash_cache {
    quash_table *table;
    quash_table *own_table; /* the same if the cache made it, else NULL */
    size_t max_bytes;
    uint64_t ttl_ms;
    uint32_t load_timeout_ms;
    uint64_t detached_ttl_ms;
    uint64_t (*clock_ms)(void *clock_context);
    void *clock_context;
    uint64_t seed;         /* random, so that nobody can choose keys that share a bucket */
    _Atomic uint64_t uses; /* relaxed: only has to count */
    _Atomic size_t bytes;  /* relaxed: a number that nothing else hangs on */
    pthread_mutex_t insert_lock;
    struct shard shards[SHARD_COUNT];
};

/* ---- cache.c ---- */

/* A key as the functions inside pass it around; the bytes are borrowed. */
struct key {
    const void *bytes;
    size_t size;
    uint64_t hash;
};

/* False: not a valid key (no bytes, but a size). */
bool cache_key(const quash_cache *cache, const void *bytes, size_t size, struct key *key);
struct shard *cache_shard(quash_cache *cache, uint64_t hash);
/* Now, by the cache's clock; no lock may be held, since the clock may be the caller's. */
uint64_t cache_now_ms(const quash_cache *cache);
/* How a lookup sees the world: what was current at some moment after it began. */
struct view {
    const struct table_map *map; /* NULL: detached */
    uint64_t now_ms;
};

/* No lock may be held. */
struct view cache_view(const quash_cache *cache);

/* The ttl of an entry for which `ttl_ms` was asked. */
uint64_t cache_ttl_ms(const quash_cache *cache, uint64_t ttl_ms);

/* ---- shard.c; all need the shard's lock ---- */

/* Whether a lookup is counted: one that waited looks again, and must not count twice. */
enum lookup_count { LOOKUP_COUNTED, LOOKUP_AGAIN };

/* The live entry of a key, acquired and made the most recently used; or NULL. A dead one leaves, onto `dead`. */
quash_entry *shard_lookup(quash_cache *cache, struct shard *shard, const struct key *key, const struct view *view,
                          enum lookup_count count, struct entry_list *dead);

/* Takes out the entry of a key, if there is one, onto `dead`, and returns it. */
quash_entry *shard_drop(quash_cache *cache, struct shard *shard, const struct key *key, struct entry_list *dead);

/* Adds an entry, of whose key there must be none, as the most recently used one; the shard becomes a holder. */
void shard_link(quash_cache *cache, struct shard *shard, quash_entry *entry);

/* Takes out an entry; the shard's hold passes to `dead`. */
void shard_unlink(quash_cache *cache, struct shard *shard, quash_entry *entry, struct entry_list *dead);

/* ---- eviction.c ---- */

/* Evicts, the least recently used first, until the cache is within max_bytes; never `keep`, while there is another.
 * The caller holds insert_lock, and no shard's. */
void cache_evict(quash_cache *cache, const quash_entry *keep, struct entry_list *dead);

#endif
