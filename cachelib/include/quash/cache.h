/*
 * quash/cache.h - a cache whose entries disappear the moment what they were made from changes.
 *
 *     static quash_status load_profile(quash_fill *fill, void *context)
 *     {
 *         struct profile profile;                                  // the stamp was taken before this line
 *         if (!db_read(context, &profile))
 *             return QUASH_LOAD_FAILED;
 *         quash_fill_add_group(fill, profile.tenant_group);        // known only now, and still in time
 *         return quash_fill_set_bytes(fill, &profile, sizeof profile);
 *     }
 *
 *     quash_entry *entry;
 *     if (quash_cache_get_or_load(cache, key, key_size, load_profile, db, NULL, &entry) == QUASH_OK) {
 *         use(quash_entry_bytes(entry), quash_entry_size(entry));
 *         quash_entry_release(entry);
 *     }
 *
 * What is promised:
 *  - A hit is never an entry of which a group was cancelled after its stamp, by this process or any other that shares
 *    the table, if the cancelling call returned before the lookup began.
 *  - The stamp is taken before the loader runs; a cancellation during the load cannot be lost. The value then goes to
 *    the caller that loaded it (its read overlapped the change) and to nobody else, and is not kept.
 *  - One load a key at a time (leases in Facebook's memcache, NSDI '13; "single flight" in Go): all others that miss
 *    the key wait for it, each no longer than its own time-out.
 *  - remove, clear and put also void the loads of those keys that are under way: their values are not kept, those who
 *    wait for them try again at once, and the next to miss the key starts another.
 *
 * Keys are any bytes, also none. Values are bytes that are copied in, or a pointer to the caller's object with a
 * destructor; both are immutable once in the cache. An acquired entry stays valid until it is released, whatever
 * happens to the cache, its own free included.
 *
 * Threads: every function may be called from any thread, except quash_cache_free, which must be the last on its cache,
 * and the quash_fill functions, of which one fill sees only one at a time (any thread).
 * The library calls loaders and destructors with none of its locks held.
 */
#ifndef QUASH_CACHE_H
#define QUASH_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quash/export.h>
#include <quash/status.h>
#include <quash/table.h>
#include <quash/token.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quash_cache quash_cache;
typedef struct quash_entry quash_entry;
typedef struct quash_fill quash_fill;

/* ---- The cache ----------------------------------------------------------------------------------------------------
 */

#define QUASH_TTL_DEFAULT     ((uint64_t)0) /* what the cache says; in the cache's own options: 5 minutes */
#define QUASH_TTL_FOREVER     UINT64_MAX    /* until cancelled, removed or evicted */
#define QUASH_TIMEOUT_DEFAULT ((uint32_t)0) /* what the cache says; in the cache's own options: 10 seconds */

/* Start from QUASH_CACHE_OPTIONS_INIT. */
typedef struct quash_cache_options {
    size_t struct_size;       /* sizeof(quash_cache_options), so that later versions can add fields */
    quash_table *table;       /* borrowed, must outlive the cache; NULL: a private one, see quash_cache_table */
    size_t max_bytes;         /* keys, values, groups and bookkeeping together; 64 MiB */
    uint64_t ttl_ms;          /* for entries that do not say; QUASH_TTL_DEFAULT */
    uint32_t load_timeout_ms; /* how long a lookup waits for loads of others, in all; QUASH_TIMEOUT_DEFAULT */
    /* How long after its load began an entry may be served while no table is attached, so that nobody could say whether
     * it was cancelled. 0, the default: not at all; lookups miss and load until a table appears. */
    uint64_t detached_ttl_ms;
    /* Monotonic milliseconds, for tests that move time by hand. NULL: the kernel's monotonic clock. */
    uint64_t (*clock_ms)(void *clock_context);
    void *clock_context;
} quash_cache_options;

#define QUASH_CACHE_OPTIONS_INIT                                                                                       \
    {                                                                                                                  \
        sizeof(quash_cache_options), NULL, (size_t)64 << 20, QUASH_TTL_DEFAULT, QUASH_TIMEOUT_DEFAULT, 0, NULL, NULL   \
    }

/* Makes an empty cache, the caller's until quash_cache_free. `options` may be NULL. With max_bytes 0 it keeps nothing.
 * QUASH_INVALID, QUASH_NO_MEMORY. */
QUASH_API quash_status quash_cache_new(const quash_cache_options *options, quash_cache **cache);

/* Frees the cache; no call on it may be under way, no fill be open. Acquired entries stay valid. NULL is fine. */
QUASH_API void quash_cache_free(quash_cache *cache);

/* The table that the cache checks; borrowed from the cache, or from whoever gave it. Never NULL. */
QUASH_API quash_table *quash_cache_table(const quash_cache *cache);

/* ---- Entries ------------------------------------------------------------------------------------------------------
 */

/* How an entry is to be kept. Start from QUASH_ENTRY_OPTIONS_INIT. */
typedef struct quash_entry_options {
    size_t struct_size; /* sizeof(quash_entry_options) */
    uint64_t ttl_ms;    /* counted from when its load began; QUASH_TTL_DEFAULT */
} quash_entry_options;

#define QUASH_ENTRY_OPTIONS_INIT                                                                                       \
    {                                                                                                                  \
        sizeof(quash_entry_options), QUASH_TTL_DEFAULT                                                                 \
    }

/* Called once for each object handed to the cache, when the last one who held its entry has let go; on the thread
 * that did. */
typedef void quash_destroy_fn(void *object, void *context);

/* The value's bytes, aligned for any type, valid while the entry is acquired; NULL for an object. */
QUASH_API const void *quash_entry_bytes(const quash_entry *entry);
/* How many bytes; for an object, its stated cost. */
QUASH_API size_t quash_entry_size(const quash_entry *entry);
/* The object, valid while the entry is acquired; NULL for bytes. */
QUASH_API void *quash_entry_object(const quash_entry *entry);
/* One more holder; returns `entry`. Every acquire needs its own release. */
QUASH_API quash_entry *quash_entry_acquire(quash_entry *entry);
/* Lets go. NULL is fine. */
QUASH_API void quash_entry_release(quash_entry *entry);

/* ---- Lookups ------------------------------------------------------------------------------------------------------
 */

/* The entry of this key, acquired; or NULL: absent, expired, cancelled, or no table is attached that could say (see
 * detached_ttl_ms). */
QUASH_API quash_entry *quash_cache_get(quash_cache *cache, const void *key, size_t key_size);

/* Start from QUASH_GET_OPTIONS_INIT. */
typedef struct quash_get_options {
    size_t struct_size;       /* sizeof(quash_get_options) */
    uint32_t load_timeout_ms; /* QUASH_TIMEOUT_DEFAULT: what the cache says */
} quash_get_options;

#define QUASH_GET_OPTIONS_INIT                                                                                         \
    {                                                                                                                  \
        sizeof(quash_get_options), QUASH_TIMEOUT_DEFAULT                                                               \
    }

/*
 * Produces a value: sets bytes or an object on `fill` (borrowed for the call, and ended by the return, not by
 * quash_fill_commit), names the groups it depends on, and returns QUASH_OK. Any other status is a failure: it reaches
 * the caller and all who wait, and nothing is kept. Returning QUASH_OK without a value counts as QUASH_LOAD_FAILED.
 */
typedef quash_status quash_load_fn(quash_fill *fill, void *context);

/*
 * The entry of this key, acquired into *entry; on a miss, calls `load` on this thread, or waits for the thread that is
 * already loading the key. One whose awaited load was voided (cancelled, removed) tries again; after the second time it
 * loads for itself alone, so that each caller loads at most once and waits for at most two loads.
 * While no table is attached and detached_ttl_ms is 0, nothing could be shared, so nobody waits: each loads for itself.
 * `options` may be NULL.
 * QUASH_TIMED_OUT: another's load took longer than the time-out (it goes on, and its value is kept).
 * QUASH_DEADLOCK: this thread is loading this very key. QUASH_NO_MEMORY, QUASH_INVALID, or what the loader returned.
 * QUASH_TOO_LARGE never: a value too large to keep is returned, and not kept.
 */
QUASH_API quash_status quash_cache_get_or_load(quash_cache *cache, const void *key, size_t key_size,
                                               quash_load_fn *load, void *context, const quash_get_options *options,
                                               quash_entry **entry);

/* ---- Fills: what get_or_load is made of, for event loops and other languages ----------------------------------------
 */

/*
 * Becomes the one who loads this key: takes the stamp, and makes others that miss the key wait. *fill must be ended
 * with quash_fill_commit or quash_fill_abandon, by any thread, in this call or a later turn of the event loop.
 * No thread is its loader: quash_cache_get_or_load of the key waits for it on every thread, also on the one that began
 * it.
 * QUASH_BUSY: somebody else loads it. QUASH_NO_MEMORY, QUASH_INVALID.
 */
QUASH_API quash_status quash_fill_begin(quash_cache *cache, const void *key, size_t key_size, quash_fill **fill);

/* Names a group that the value depends on (copied). QUASH_INVALID, QUASH_TOO_MANY. A fill on which this failed is not
 * kept whatever follows: it would miss cancellations. */
QUASH_API quash_status quash_fill_add_group(quash_fill *fill, const char *group);

/* How the entry is to be kept. QUASH_INVALID. */
QUASH_API quash_status quash_fill_set_options(quash_fill *fill, const quash_entry_options *options);

/* Sets the value; a value set earlier is dropped. Bytes are copied. An object is the cache's from a successful call on
 * (not NULL; `destroy` may be; on failure it stays the caller's); `cost` is what it counts against max_bytes.
 * QUASH_NO_MEMORY, QUASH_INVALID. */
QUASH_API quash_status quash_fill_set_bytes(quash_fill *fill, const void *bytes, size_t size);
QUASH_API quash_status quash_fill_set_object(quash_fill *fill, void *object, quash_destroy_fn *destroy, void *context,
                                             size_t cost);

/* Where the fill's stamp stands, to be handed to another process that does the loading. */
QUASH_API quash_stamp quash_fill_stamp(const quash_fill *fill);

/*
 * Ends the fill with its value: kept, and handed to all who wait, unless it was voided while it was loading.
 * *entry (may be NULL) is the value, acquired for the caller, also when it was not kept; *kept (may be NULL) says
 * whether it was. A value too large for the cache, or older than its ttl already, is handed out but not kept; one whose
 * groups could not all be named goes to the caller only. The fill is gone in any case.
 * QUASH_LOAD_FAILED: no value was set. QUASH_NO_MEMORY. The waiters get the same status. QUASH_INVALID: NULL.
 */
QUASH_API quash_status quash_fill_commit(quash_fill *fill, quash_entry **entry, bool *kept);

/* Ends the fill without a value; those who wait get `status` (QUASH_OK is taken as QUASH_LOAD_FAILED). NULL is fine. */
QUASH_API void quash_fill_abandon(quash_fill *fill, quash_status status);

/* ---- Changes made by hand ------------------------------------------------------------------------------------------
 */

/*
 * Keeps a value that the caller has read itself. `token`, taken from quash_cache_table's table *before* the value was
 * read, is copied. Replaces the entry of that key and voids a load of it that is under way. `options` may be NULL; a
 * ttl counts from this call.
 * A value of which a group has been cancelled since the stamp, or could not be named, is not kept, and that is
 * QUASH_OK. QUASH_TOO_LARGE: larger than max_bytes (nothing is evicted for it; the old entry is gone all the same).
 * QUASH_NO_MEMORY: the same. QUASH_INVALID: nothing was done; also for a token of another table.
 * put_object: on success the object is the cache's; on failure still the caller's.
 */
QUASH_API quash_status quash_cache_put(quash_cache *cache, const void *key, size_t key_size, const quash_token *token,
                                       const void *bytes, size_t size, const quash_entry_options *options);
QUASH_API quash_status quash_cache_put_object(quash_cache *cache, const void *key, size_t key_size,
                                              const quash_token *token, void *object, quash_destroy_fn *destroy,
                                              void *context, size_t cost, const quash_entry_options *options);

/* Drops the entry of this key, and voids a load of it that is under way. Returns whether there was a live entry. */
QUASH_API bool quash_cache_remove(quash_cache *cache, const void *key, size_t key_size);

/* Drops every entry, and voids every load that is under way. */
QUASH_API void quash_cache_clear(quash_cache *cache);

/* ---- Statistics -----------------------------------------------------------------------------------------------------
 */

/* Counts since the cache was made, except where it says now. Start from QUASH_CACHE_STATS_INIT. */
typedef struct quash_cache_stats {
    size_t struct_size;         /* sizeof(quash_cache_stats) */
    uint64_t hits;              /* lookups answered from the cache */
    uint64_t misses_absent;     /* no such key */
    uint64_t misses_expired;    /* past its ttl */
    uint64_t misses_cancelled;  /* one of its groups was cancelled, or the table was replaced */
    uint64_t misses_collateral; /* the table no longer remembered enough to rule it out */
    uint64_t misses_detached;   /* no table was attached, or none was when it was loaded */
    uint64_t loads;             /* fills that were committed with a value */
    uint64_t loads_failed;      /* fills that ended without one */
    uint64_t loads_voided; /* fills whose value was not kept because it was cancelled, removed or replaced meanwhile */
    uint64_t waits;        /* lookups that waited for another's load */
    uint64_t waits_timed_out; /* those that gave up */
    uint64_t evictions;       /* entries dropped to stay within max_bytes */
    uint64_t entries;         /* now, dead ones that have not been reclaimed yet included */
    uint64_t bytes;           /* now, as counted against max_bytes */
} quash_cache_stats;

#define QUASH_CACHE_STATS_INIT                                                                                         \
    {                                                                                                                  \
        sizeof(quash_cache_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                                            \
    }

/* Each count is exact; they are read one after the other, not at one instant. QUASH_INVALID. */
QUASH_API quash_status quash_cache_get_stats(quash_cache *cache, quash_cache_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
