/*
 * cache.h - the inside of a cache.
 *
 *     key ─► hash ─┬─ shard ─► index     key ─► entry, read without a lock
 *                  │      └──► flights   loads under way
 *                  ├─ policy   all entries in the order in which they may have to go, and the byte count
 *                  └─ stripes  what each thread counted
 *
 * A hit: lookup.c. A miss: load.c, flight.c, fill.c. In and out: insert.c, put.c, remove.c, departure.c, sweep.c.
 *
 * Locks, in the order in which they may be taken:
 *  1. sweep.lock: where the sweep stands.
 *  2. shard.lock: changes of the shard's index, and its flights. Never two shards at once.
 *  3. policy_lock: the policy.
 *  4. those inside a notifier, the kinds, the slabs and the reclaimer, which call nobody.
 * Under none of them does the library call loaders, destructors, callbacks or the caller's clock: what leaves under a
 * lock is put among the departures, and dealt with after the unlock.
 *
 * An entry is added to the policy and linked into its index in one critical section of its shard. It leaves the index
 * first, by whoever finds it there, who then takes it from the policy; or the policy first, as a victim, and then the
 * index, unless somebody was faster. Who took it out of the index tells its departure: so that is told exactly once.
 */
#ifndef QUASH_SRC_CACHE_H
#define QUASH_SRC_CACHE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <quash/cache.h>

#include "clock.h"
#include "entry.h"
#include "flight.h"
#include "index.h"
#include "judge.h"
#include "kinds.h"
#include "policy.h"

#define SHARD_COUNT (1u << INDEX_SHARD_BITS)

/* Lists of flights in a shard, so that a few thousand open fills stay cheap; a power of two. */
#define FLIGHT_LISTS 8u

struct shard {
    _Alignas(64) struct index index; /* what hits read: not in the line that writers lock */
    _Alignas(64) pthread_mutex_t lock;
    struct flight *flights[FLIGHT_LISTS];
};

/* ---- Counting: stats.c */

enum counter {
    COUNT_HITS,
    COUNT_HITS_ABSENT,
    COUNT_HITS_STALE,
    COUNT_MISSES, /* one for each enum entry_state but ENTRY_LIVE, in that order */
    COUNT_LOADS = COUNT_MISSES + 5,
    COUNT_LOADS_FAILED,
    COUNT_LOADS_VOIDED,
    COUNT_LOADS_REFRESHED,
    COUNT_WAITS,
    COUNT_WAITS_TIMED_OUT,
    COUNT_REFUSED,
    COUNT_EVICTED,
    COUNT_LOAD_TIMES = COUNT_EVICTED + QUASH_EVICTIONS,
    COUNTERS = COUNT_LOAD_TIMES + QUASH_LOAD_TIMES
};

/* Threads with a number below this count each in a stripe of its own, without a locked instruction; all others share
 * the last one. */
#define STRIPES 32u

struct stripe {
    _Alignas(128) _Atomic uint64_t count[COUNTERS];
};

/* Where the sweep stands (sweep.c). */
struct sweep {
    pthread_mutex_t lock;
    bool under_way;     /* this and what follows: under the lock */
    uint64_t begun;     /* passes */
    uint64_t round_end; /* the pass at whose end sweep_slice says that it is done; 0: it has */
    unsigned shard;     /* next to be looked at */
    size_t slot;
    uint64_t rebuilds; /* of that shard's index when it was begun with */
    uint64_t changes;  /* the count and the mapping that the pass under way began with */
    uint32_t serial;
    bool found;                     /* it has found something dead */
    _Atomic uint64_t clean_changes; /* those of the last whole pass: nothing that was cancelled until then is left */
    _Atomic uint32_t clean_serial;
    _Atomic uint64_t due_ms; /* no entry has to go by its time before this */
};

/* Arenas for the entries' memory: each thread takes from the one that its number chooses, so that threads which add
 * entries at the same time seldom meet there. */
#define ARENAS 4u

struct quash_cache {
    /* What a hit reads; never changes. */
    quash_table *table;
    uint64_t seed;                             /* random, so that nobody can choose keys that share a bucket */
    uint64_t (*clock_ms)(void *clock_context); /* NULL: the kernel's coarse clock */
    void *clock_context;
    uint64_t began_ms;      /* when the cache was made */
    struct stripe *stripes; /* STRIPES + 1 */
    uint64_t detached_ttl_ms;
    uint64_t fail_safe_ms;
    uint32_t eager_percent;

    quash_table *own_table; /* the same as `table` if the cache made it, else NULL */
    uint64_t ttl_ms;
    uint64_t sliding_ms;
    uint64_t absent_ttl_ms;
    uint64_t fail_safe_throttle_ms;
    uint32_t ttl_jitter_percent;
    uint32_t load_timeout_ms;
    uint32_t soft_timeout_ms;
    bool fail_safe_cancelled;
    bool load_on_executor;
    quash_execute_fn *execute;
    void *execute_context;
    quash_evicted_fn *evicted;
    void *evicted_context;
    struct slab_arena *arenas[ARENAS];
    struct maintenance *maintenance; /* NULL without a thread of its own */
    _Atomic uint64_t jitter;         /* counts what was drawn */

    _Alignas(64) struct sweep sweep;

    _Alignas(64) _Atomic size_t max_bytes; /* the policy's, to be read without its lock; relaxed */
    _Atomic size_t room_hint;              /* what is left of it, as of a moment ago; relaxed */
    pthread_mutex_t policy_lock;
    struct policy policy;
    struct kinds kinds;
    struct shard shards[SHARD_COUNT];
};

/* ---- cache.c ---- */

static inline bool cache_key(const quash_cache *cache, const void *bytes, size_t size, struct key *key)
{
    return key_make(key, bytes, size, cache->seed);
}

static inline struct shard *cache_shard(quash_cache *cache, uint64_t hash)
{
    return &cache->shards[(uint32_t)hash >> (32 - INDEX_SHARD_BITS)];
}

/* The arena from which this thread takes. */
static inline struct slab_arena *cache_arena(const quash_cache *cache)
{
    const struct reader *reader = reader_self();
    return cache->arenas[reader == NULL ? 0 : reader->number % ARENAS];
}

/* How the caller's lookup is to see the world. No lock may be held, and no epoch entered: the clock may be the
 * caller's, and the table's path may be looked at. */
struct view cache_view(const quash_cache *cache);

/* The mapping to judge by under a lock, for those who have a view already: as of now, not of when the view was made. */
static inline const struct table_map *cache_map(const quash_cache *cache, const struct view *view)
{
    const struct table_map *map = table_peek(cache->table, view->coarse_ms);
    return map != NULL && table_map_retired(map) ? token_map(cache->table) : map;
}

/* As cache_view, for a hit, which notices by itself if the table it is given has been retired. */
static inline struct view cache_view_quick(const quash_cache *cache)
{
    uint64_t coarse_ms = clock_coarse_ms();
    uint64_t now_ms = cache->clock_ms == NULL ? coarse_ms : cache->clock_ms(cache->clock_context);
    return (struct view){table_peek(cache->table, coarse_ms),
                         now_ms,
                         now_ms - cache->began_ms,
                         coarse_ms,
                         cache->detached_ttl_ms,
                         &cache->kinds};
}

/* Fills in what `options` leave to the cache, for an entry whose load began at began_ms, and that is added at at_ms. */
struct lifetime cache_lifetime(quash_cache *cache, const quash_entry_options *options, uint64_t began_ms,
                               uint64_t at_ms);

/* Up to 100 percent of any number, rounded down, without overflow. */
static inline uint64_t percent_of(uint64_t number, uint32_t percent)
{
    return number / 100 * percent + number % 100 * percent / 100;
}

/* Whether an entry in this state stays for lookups whose load fails. */
static inline bool cache_retains(const quash_cache *cache, const struct entry *entry, enum entry_state state,
                                 uint64_t now_ms)
{
    return cache->fail_safe_ms != 0 &&
           (state == ENTRY_EXPIRED ||
            (cache->fail_safe_cancelled && (state == ENTRY_CANCELLED || state == ENTRY_COLLATERAL))) &&
           now_ms < entry_stale_until_ms(entry, cache->fail_safe_ms);
}

/* Copies caller's options over `to`, which holds the defaults. They may be of another version of the library, with
 * fewer fields, or with more that say nothing (zeros). False: neither. */
bool options_read(void *to, size_t to_size, const void *from);
/* The same for an entry's; NULL is the defaults. */
bool entry_options_read(quash_entry_options *to, const quash_entry_options *from);

/* ---- stats.c ---- */

/* `reader` may be NULL. */
void stats_count_shared(quash_cache *cache, unsigned counter, uint64_t add);

static inline void stats_count(quash_cache *cache, const struct reader *reader, unsigned counter)
{
    if (reader == NULL || reader->number >= STRIPES) {
        stats_count_shared(cache, counter, 1);
        return;
    }
    /* Only this thread writes here; those who read want a number, nothing hangs on it. */
    _Atomic uint64_t *count = &cache->stripes[reader->number].count[counter];
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1, memory_order_relaxed);
}

static inline unsigned stats_miss(enum entry_state state)
{
    return COUNT_MISSES + (unsigned)state - 1;
}

/* ---- departure.c: entries that have left the index ---- */

struct departures {
    struct entry *first[QUASH_EVICTIONS];
};

/* Takes an entry out of its index and the policy. False: it was not in the index any more. The shard's lock is held. */
bool depart(quash_cache *cache, struct shard *shard, struct entry *entry, quash_eviction reason,
            struct departures *departures);

/* For an entry that the caller has just taken out of the index by replacing it, and out of the policy. */
void departures_add(struct departures *departures, struct entry *entry, quash_eviction reason);

/* Tells and retires them all. No lock may be held. */
void departures_finish(quash_cache *cache, struct departures *departures);

/* The reason why an entry in this state goes, if for no other. */
quash_eviction departure_reason(enum entry_state state);

/* ---- sweep.c: finding what is dead without anybody asking for it ---- */

/* Tells the sweep about a new entry; under its shard's lock. */
void sweep_note(quash_cache *cache, const struct entry *entry);
/* Looks at a few entries, if any may be dead, before live ones are evicted. No lock may be held. */
void sweep_some(quash_cache *cache, const struct view *view, struct departures *departures);

/* Looks at all, if any may be dead, before a new one is refused: dead ones that may never be evicted are room too. No
 * lock may be held. */
void sweep_all(quash_cache *cache, const struct view *view, struct departures *departures);

/* Goes on for `max_slots` slots, or to the end of a pass. True: call again; false: what was dead at the first call
 * after the last false has gone. No lock may be held. */
bool sweep_slice(quash_cache *cache, size_t max_slots);

/* ---- maintenance.c: the thread that sweeps ---- */

quash_status maintenance_start(quash_cache *cache);
/* Without one, nothing. */
void maintenance_stop(quash_cache *cache);

#endif
