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
 *    the table, if the cancelling call returned before the lookup began. (Unless the cache was told to fall back on
 *    cancelled values when a load fails: fail_safe_cancelled.)
 *  - The stamp is taken before the loader runs; a cancellation during the load cannot be lost. The value then goes to
 *    the caller that loaded it (its read overlapped the change) and to nobody else, and is not kept.
 *  - One load a key at a time (leases in Facebook's memcache, NSDI '13; "single flight" in Go): all others that miss
 *    the key wait for it, each no longer than its own time-out.
 *  - remove, clear and put also void the loads of those keys that are under way: their values are not kept, those who
 *    wait for them try again at once, and the next to miss the key starts another.
 *  - A hit takes no lock, allocates nothing, makes no system call and, once the cache is warm, writes no memory that
 *    another thread reads. (But for a thread's first, and one in 250 ms, which looks whether the table was replaced.)
 *
 * Keys are any bytes, also none, up to QUASH_KEY_MAX. Values are bytes that are copied in, or a pointer to the caller's
 * object with a destructor; both are immutable once in the cache. An acquired entry stays valid until it is released,
 * whatever happens to the cache, its own free included.
 *
 * Threads: every function may be called from any thread, except quash_cache_free, which must be the last on its cache,
 * and the quash_fill functions, of which one fill sees only one at a time (any thread).
 * The library calls loaders, destructors, callbacks and the caller's clock with none of its locks held.
 *
 * Times are milliseconds of the kernel's monotonic clock as of its last tick (1 to 10 ms ago).
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
typedef struct quash_notifier quash_notifier;

#define QUASH_KEY_MAX   ((size_t)UINT16_MAX)     /* bytes in a key */
#define QUASH_VALUE_MAX ((size_t)UINT32_MAX - 1) /* bytes in a value; longer ones are QUASH_TOO_LARGE */

/* ---- The cache ----------------------------------------------------------------------------------------------------
 */

#define QUASH_TTL_DEFAULT     ((uint64_t)0) /* what the cache says; in the cache's own options: 5 minutes */
#define QUASH_TTL_FOREVER     UINT64_MAX    /* until cancelled, removed or evicted */
#define QUASH_SLIDING_DEFAULT ((uint64_t)0) /* what the cache says; in the cache's own options: none */
#define QUASH_SLIDING_NONE    UINT64_MAX
#define QUASH_TIMEOUT_DEFAULT ((uint32_t)0) /* what the cache says; in the cache's own options: see there */
#define QUASH_TIMEOUT_NONE    UINT32_MAX    /* for soft_timeout_ms: wait until load_timeout_ms */

/* Why an entry left the cache. */
typedef enum quash_eviction {
    QUASH_EVICTION_REMOVED = 0,   /* quash_cache_remove, quash_cache_clear, quash_cache_free */
    QUASH_EVICTION_REPLACED = 1,  /* by a newer value of its key */
    QUASH_EVICTION_EXPIRED = 2,   /* past its ttl and what fail_safe_ms allows on top */
    QUASH_EVICTION_CANCELLED = 3, /* one of its groups was or may have been cancelled, or its table was replaced */
    QUASH_EVICTION_CAPACITY = 4   /* to make room */
} quash_eviction;

#define QUASH_EVICTIONS 5

/* Called exactly once for each entry that leaves the cache, by the call that made it leave and on that call's thread
 * (quash_cache_maintain's own for the maintenance thread), after the library's locks are released and before that call
 * returns. `key` and `entry` are valid for the call; quash_entry_acquire keeps the entry longer. It may use the cache.
 * The answer QUASH_ABSENT leaves as others do: an entry of no bytes, and without an object.
 */
typedef void quash_evicted_fn(const void *key, size_t key_size, quash_entry *entry, quash_eviction reason,
                              void *context);

/*
 * Runs `task(argument)` once, at some time, on any thread: a thread pool's submit. False: refused, and never run. Every
 * task that it took must have returned before quash_cache_free. Called with no lock held.
 */
typedef bool quash_execute_fn(void (*task)(void *argument), void *argument, void *context);

/* Start from QUASH_CACHE_OPTIONS_INIT. */
typedef struct quash_cache_options {
    size_t struct_size;       /* sizeof(quash_cache_options), so that later versions can add fields */
    quash_table *table;       /* borrowed, must outlive the cache; NULL: a private one, see quash_cache_table */
    size_t max_bytes;         /* keys, values, groups and bookkeeping together; 64 MiB */
    uint64_t ttl_ms;          /* for entries that do not say; QUASH_TTL_DEFAULT */
    uint32_t load_timeout_ms; /* how long a lookup waits for loads of others, in all; QUASH_TIMEOUT_DEFAULT: 10 s */
    /* How long after its load began an entry may be served while no table is attached, so that nobody could say whether
     * it was cancelled. 0, the default: not at all; lookups miss and load until a table appears. */
    uint64_t detached_ttl_ms;
    /* Monotonic milliseconds, for tests that move time by hand. NULL: the kernel's. It never goes back. */
    uint64_t (*clock_ms)(void *clock_context);
    void *clock_context;

    uint64_t sliding_ms; /* an entry not used for so long expires; never later than its ttl. QUASH_SLIDING_DEFAULT */
    /* Each entry's ttl is shortened by a random part of it, up to so many percent, so that what was loaded together, on
     * one host or a fleet, does not expire together. 0 to 100; 0. */
    uint32_t ttl_jitter_percent;
    /* Eager refresh: past so many percent of its ttl a hit makes one caller load the entry anew, through `execute` if
     * there is one, else itself, while all others go on hitting. Once an entry: if that load fails, it is left to
     * expire. 0: never; up to 99; 0. */
    uint32_t eager_percent;
    uint64_t absent_ttl_ms; /* how long the answer QUASH_ABSENT is kept; 0, the default: not at all */

    /* Fail-safe: how long past its expiry an entry is still kept for quash_cache_get_or_load, to stand in if the load
     * fails, or takes longer than soft_timeout_ms. One that is removed or replaced meanwhile does not. No other call
     * sees it. 0, the default: not at all. */
    uint64_t fail_safe_ms;
    /* After a failed load for which an expired entry stood in, it is served without trying again for so long; 0. */
    uint64_t fail_safe_throttle_ms;
    bool fail_safe_cancelled; /* cancelled entries may stand in as well: stale on purpose; false */
    /* How long a lookup waits for another's load before an expired entry stands in, if there is one.
     * QUASH_TIMEOUT_DEFAULT: QUASH_TIMEOUT_NONE. */
    uint32_t soft_timeout_ms;

    quash_execute_fn *execute; /* NULL: loads run on the threads that call */
    void *execute_context;
    /* Every load of quash_cache_get_or_load runs through `execute`, and its caller waits as the others do, so that the
     * time-outs hold for it too. If `execute` refuses, the caller loads. Loaders that ask for other keys wait there for
     * threads of the same executor: leave it some. False. */
    bool load_on_executor;

    quash_evicted_fn *evicted; /* NULL: nobody is told */
    void *evicted_context;
    /* A thread of the cache's own calls quash_cache_maintain when something was cancelled, and when something expires.
     * False. */
    bool maintenance_thread;
} quash_cache_options;

#define QUASH_CACHE_OPTIONS_INIT                                                                                       \
    {                                                                                                                  \
        sizeof(quash_cache_options), NULL, (size_t)64 << 20, QUASH_TTL_DEFAULT, QUASH_TIMEOUT_DEFAULT, 0, NULL, NULL,  \
            QUASH_SLIDING_DEFAULT, 0, 0, 0, 0, 0, false, QUASH_TIMEOUT_DEFAULT, NULL, NULL, false, NULL, NULL, false   \
    }

/* Makes an empty cache, the caller's until quash_cache_free. `options` may be NULL. With max_bytes 0 it keeps nothing.
 * QUASH_INVALID, QUASH_NO_MEMORY, QUASH_SYSTEM (no thread could be started). */
QUASH_API quash_status quash_cache_new(const quash_cache_options *options, quash_cache **cache);

/* Frees the cache; no call on it may be under way, no fill be open. Acquired entries stay valid. What callbacks and
 * destructors put meanwhile is refused. NULL is fine. */
QUASH_API void quash_cache_free(quash_cache *cache);

/* The table that the cache checks; borrowed from the cache, or from whoever gave it. Never NULL. */
QUASH_API quash_table *quash_cache_table(const quash_cache *cache);

/* ---- Entries ------------------------------------------------------------------------------------------------------
 */

/* What goes first when there is no room: all low ones before any normal one, those before any high one; within one
 * priority by S3-FIFO (Yang et al., SOSP '23). */
typedef enum quash_priority {
    QUASH_PRIORITY_NORMAL = 0,
    QUASH_PRIORITY_LOW = 1,
    QUASH_PRIORITY_HIGH = 2,
    QUASH_PRIORITY_NEVER_REMOVE = 3 /* leaves by expiry, cancellation, replacement and removal only */
} quash_priority;

/* How an entry is to be kept. Start from QUASH_ENTRY_OPTIONS_INIT. */
typedef struct quash_entry_options {
    size_t struct_size;  /* sizeof(quash_entry_options) */
    uint64_t ttl_ms;     /* counted from when its load began; QUASH_TTL_DEFAULT */
    uint64_t sliding_ms; /* counted from its last use; QUASH_SLIDING_DEFAULT */
    quash_priority priority;
} quash_entry_options;

#define QUASH_ENTRY_OPTIONS_INIT                                                                                       \
    {                                                                                                                  \
        sizeof(quash_entry_options), QUASH_TTL_DEFAULT, QUASH_SLIDING_DEFAULT, QUASH_PRIORITY_NORMAL                   \
    }

/* Called once for each object handed to the cache, when the cache has let go of its entry and so has the last who
 * acquired it; on the thread of one of the library's calls, at the latest the one that made that so unless a lookup on
 * another thread was just looking at it. */
typedef void quash_destroy_fn(void *object, void *context);

/* The value's bytes, aligned for any type, valid while the entry is acquired; NULL for an object. */
QUASH_API const void *quash_entry_bytes(const quash_entry *entry);
/* How many bytes; for an object, its stated cost. */
QUASH_API size_t quash_entry_size(const quash_entry *entry);
/* The object, valid while the entry is acquired; NULL for bytes. */
QUASH_API void *quash_entry_object(const quash_entry *entry);
/* One more holder; returns `entry`. Every acquire needs its own release. */
QUASH_API quash_entry *quash_entry_acquire(quash_entry *entry);
/* Lets go, on any thread. NULL is fine. */
QUASH_API void quash_entry_release(quash_entry *entry);

/* ---- Lookups ------------------------------------------------------------------------------------------------------
 */

/* The entry of this key, acquired; or NULL: absent, known to be absent, expired, cancelled, or no table is attached
 * that could say (see detached_ttl_ms). */
QUASH_API quash_entry *quash_cache_get(quash_cache *cache, const void *key, size_t key_size);

/* Whether quash_cache_get would find an entry. Counts as no use, and in no statistics. */
QUASH_API bool quash_cache_contains(quash_cache *cache, const void *key, size_t key_size);

/* Start from QUASH_GET_OPTIONS_INIT. */
typedef struct quash_get_options {
    size_t struct_size;       /* sizeof(quash_get_options) */
    uint32_t load_timeout_ms; /* QUASH_TIMEOUT_DEFAULT: what the cache says */
    uint32_t soft_timeout_ms; /* QUASH_TIMEOUT_DEFAULT: what the cache says */
    /* A load that runs through the cache's `execute` may outlive this call, and gets a copy of so many bytes of the
     * loader's context (then not NULL). 0: it gets the pointer itself, which must stay valid until the load has run. */
    size_t context_size;
    bool *stale; /* may be NULL; with QUASH_OK: whether the entry stood in past its expiry (fail_safe_ms) */
} quash_get_options;

#define QUASH_GET_OPTIONS_INIT                                                                                         \
    {                                                                                                                  \
        sizeof(quash_get_options), QUASH_TIMEOUT_DEFAULT, QUASH_TIMEOUT_DEFAULT, 0, NULL                               \
    }

/*
 * Produces a value: sets bytes or an object on `fill` (borrowed for the call, and ended by the return, not by
 * quash_fill_commit), names the groups it depends on, may say how the entry is to be kept, and returns QUASH_OK.
 * QUASH_ABSENT: there is no such value; kept for absent_ttl_ms, or for the ttl that the loader has set, unless one of
 * the groups named is cancelled before. Any other status is a failure: it reaches the caller and all who wait, and
 * nothing is kept. Returning QUASH_OK without a value counts as QUASH_LOAD_FAILED.
 */
typedef quash_status quash_load_fn(quash_fill *fill, void *context);

/*
 * The entry of this key, acquired into *entry; on a miss, calls `load` on this thread, or waits for the thread that is
 * already loading the key. One whose awaited load was voided (cancelled, removed) tries again; after the second time it
 * loads for itself alone, so that each caller loads at most once and waits for at most two loads.
 * While no table is attached and detached_ttl_ms is 0, nothing could be shared, so nobody waits: each loads for itself.
 * `options` may be NULL.
 * QUASH_ABSENT: a loader has answered that, and *entry is not written.
 * QUASH_TIMED_OUT: another's load took longer than the time-out (it goes on, and its value is kept).
 * QUASH_DEADLOCK: this thread is loading this very key. QUASH_NO_MEMORY, QUASH_INVALID, or what the loader returned.
 * QUASH_TOO_LARGE never: a value too large to keep is returned, and not kept.
 */
QUASH_API quash_status quash_cache_get_or_load(quash_cache *cache, const void *key, size_t key_size,
                                               quash_load_fn *load, void *context, const quash_get_options *options,
                                               quash_entry **entry);

/* Called for each live entry; `key` and `entry` are valid for the call. False ends the walk. It may use the cache. */
typedef bool quash_each_fn(const void *key, size_t key_size, quash_entry *entry, void *context);

/* Calls `each` for every entry that is live, once; entries that come or go meanwhile may be met or not. Counts as no
 * use. O(entries). QUASH_NO_MEMORY (some may have been met), QUASH_INVALID. */
QUASH_API quash_status quash_cache_each(quash_cache *cache, quash_each_fn *each, void *context);

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
 * absent: there is no such value (what a loader says by returning QUASH_ABSENT).
 * QUASH_NO_MEMORY, QUASH_INVALID, QUASH_TOO_LARGE. */
QUASH_API quash_status quash_fill_set_bytes(quash_fill *fill, const void *bytes, size_t size);
QUASH_API quash_status quash_fill_set_object(quash_fill *fill, void *object, quash_destroy_fn *destroy, void *context,
                                             size_t cost);
QUASH_API quash_status quash_fill_set_absent(quash_fill *fill);

/* Where the fill's stamp stands, to be handed to another process that does the loading. */
QUASH_API quash_stamp quash_fill_stamp(const quash_fill *fill);

/*
 * Ends the fill with its value: kept, and handed to all who wait, unless it was voided while it was loading.
 * *entry (may be NULL) is the value, acquired for the caller, also when it was not kept; *kept (may be NULL) says
 * whether it was. A value too large for the cache, or older than its ttl already, is handed out but not kept; one whose
 * groups could not all be named goes to the caller only. The fill is gone in any case.
 * QUASH_ABSENT: quash_fill_set_absent was called; *kept is written, *entry is not. QUASH_LOAD_FAILED: no value was set.
 * QUASH_NO_MEMORY. The waiters get the same status. QUASH_INVALID: NULL.
 */
QUASH_API quash_status quash_fill_commit(quash_fill *fill, quash_entry **entry, bool *kept);

/* Ends the fill without a value; those who wait get `status` (QUASH_OK is taken as QUASH_LOAD_FAILED). NULL is fine. */
QUASH_API void quash_fill_abandon(quash_fill *fill, quash_status status);

/* ---- Lookups that never block, for event loops ----------------------------------------------------------------------
 *
 *     switch (quash_cache_get_or_begin(cache, key, key_size, notifier, request, &entry, &fill)) {
 *     case QUASH_OK:     answer(request, entry); break;
 *     case QUASH_ABSENT: answer_not_found(request); break;
 *     case QUASH_MISS:   start_query(request, fill); break;   // later: quash_fill_commit, on any thread
 *     case QUASH_BUSY:   break;                               // later: the notifier, with this request
 *     default:           answer_error(request); break;
 *     }
 */

/* What became of a load that was waited for. */
typedef struct quash_notice {
    void *tag; /* as given to quash_cache_get_or_begin */
    /* QUASH_OK: `entry` is the value. QUASH_VOIDED: it was cancelled, removed or replaced meanwhile; look again. Else
     * the load's status, QUASH_ABSENT among them. */
    quash_status status;
    quash_entry *entry; /* acquired for the taker; NULL unless the status is QUASH_OK */
} quash_notice;

/* Makes a notifier, one for each event loop. *notifier is the caller's. QUASH_NO_MEMORY, QUASH_SYSTEM (no eventfd). */
QUASH_API quash_status quash_notifier_new(quash_notifier **notifier);

/* Frees it, with all that is waited for or not taken yet. No lookup with it may be under way. NULL is fine. */
QUASH_API void quash_notifier_free(quash_notifier *notifier);

/* The file descriptor (an eventfd, non-blocking, close-on-exec) that is readable while there may be notices to take.
 * Borrowed: watch it, do not read it. */
QUASH_API int quash_notifier_fd(const quash_notifier *notifier);

/* Takes the next notice. False: there is none, and the fd is not readable any more; so take until false. */
QUASH_API bool quash_notifier_next(quash_notifier *notifier, quash_notice *notice);

/* Waits no more for what was asked with this tag (say, because a timer of the event loop fired), all of them if there
 * are several. After it returns, no notice has this tag. O(waits of this notifier). */
QUASH_API void quash_notifier_forget(quash_notifier *notifier, const void *tag);

/*
 * As quash_cache_get_or_load, but the load is the caller's, and nothing blocks.
 * QUASH_OK: a hit; *entry, acquired. QUASH_ABSENT: known to be absent. QUASH_MISS: *fill is the caller's, as from
 * quash_fill_begin. QUASH_BUSY: somebody else loads the key; `notifier` will have a notice with `tag`, exactly one.
 * `notifier` may be NULL: then QUASH_BUSY says no more than that.
 * Eager refresh: QUASH_OK, and *fill is not NULL: the caller answers with the entry, and is to load it anew as well.
 * Else *fill is NULL; and so is *entry unless it is a hit. QUASH_NO_MEMORY, QUASH_INVALID.
 */
QUASH_API quash_status quash_cache_get_or_begin(quash_cache *cache, const void *key, size_t key_size,
                                                quash_notifier *notifier, void *tag, quash_entry **entry,
                                                quash_fill **fill);

/* ---- Changes made by hand ------------------------------------------------------------------------------------------
 */

/*
 * Keeps a value that the caller has read itself. `token`, taken from quash_cache_table's table *before* the value was
 * read, is copied. Replaces the entry of that key and voids a load of it that is under way. `options` may be NULL; a
 * ttl counts from this call.
 * A value of which a group has been cancelled since the stamp, or could not be named, is not kept, and that is
 * QUASH_OK. QUASH_TOO_LARGE: larger than max_bytes or QUASH_VALUE_MAX (nothing is evicted for it; the old entry is gone
 * all the same). QUASH_NO_ROOM: what may be evicted does not make room for it. QUASH_NO_MEMORY: both as before.
 * QUASH_INVALID: nothing was done; also for a token of another table.
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

/* Another max_bytes, from now on; evicts what is too much. QUASH_INVALID, QUASH_NO_MEMORY. QUASH_NO_ROOM: entries that
 * may never be evicted take more than that; they stay, and the new bound holds. */
QUASH_API quash_status quash_cache_resize(quash_cache *cache, size_t max_bytes);

/* ---- Maintenance ----------------------------------------------------------------------------------------------------
 */

/*
 * Gives back the memory of entries that are cancelled or expired, without anybody reading them: looks at `max_entries`
 * places of the cache at most, going on where the last call stopped. Returns true while there is more to look at; false
 * once nothing is left that was dead at the first call since it last returned false. That takes at most twice as many
 * calls as going around the cache, however fast others die meanwhile; and one, which does next to nothing, if nothing
 * was cancelled and nothing can have expired. An event loop calls it in its idle time, say with 1,000, until it returns
 * false, and once a second after that; others let the cache have its own thread for it (maintenance_thread).
 */
QUASH_API bool quash_cache_maintain(quash_cache *cache, size_t max_entries);

/* ---- Statistics -----------------------------------------------------------------------------------------------------
 */

/* Loads are counted by how long they took: bucket i counts those of less than 2^(2i + 6) microseconds (64 us, 256 us,
 * 1 ms, 4 ms, 16 ms, 66 ms, 262 ms, 1 s, 4 s, 17 s) that are in no earlier bucket; the last one counts the rest. */
#define QUASH_LOAD_TIMES 11

/* Counts since the cache was made, except where it says now. Start from QUASH_CACHE_STATS_INIT. */
typedef struct quash_cache_stats {
    size_t struct_size;         /* sizeof(quash_cache_stats) */
    uint64_t hits;              /* lookups answered from the cache with a live entry */
    uint64_t hits_absent;       /* lookups answered from the cache with QUASH_ABSENT */
    uint64_t hits_stale;        /* lookups for which an expired or cancelled entry stood in; counted as misses too */
    uint64_t misses_absent;     /* no such key */
    uint64_t misses_expired;    /* past its ttl */
    uint64_t misses_cancelled;  /* one of its groups was cancelled, or the table was replaced */
    uint64_t misses_collateral; /* the table no longer remembered enough to rule it out */
    uint64_t misses_detached;   /* no table was attached, or none was when it was loaded */
    uint64_t loads;             /* fills that were committed with a value, or with QUASH_ABSENT */
    uint64_t loads_failed;      /* fills that ended without one */
    uint64_t loads_voided; /* fills whose value was not kept because it was cancelled, removed or replaced meanwhile */
    uint64_t loads_refreshed;                 /* fills that were begun by eager refresh */
    uint64_t loads_by_time[QUASH_LOAD_TIMES]; /* all fills that ended, by their time from begin to end */
    uint64_t waits;                           /* lookups that waited for another's load, or theirs on an executor */
    uint64_t waits_timed_out;                 /* those that gave up */
    uint64_t evicted[QUASH_EVICTIONS];        /* entries that left, by quash_eviction */
    uint64_t refused;    /* values that were not kept because they were too large, or because there was no room */
    uint64_t entries;    /* now, dead ones that have not been reclaimed yet included */
    uint64_t bytes;      /* now, as counted against max_bytes; more only while, or if, a resize could not evict it */
    uint64_t max_bytes;  /* now */
    uint64_t dead_bytes; /* now: of entries that have left the cache but are acquired, or wait to be freed */
} quash_cache_stats;

#define QUASH_CACHE_STATS_INIT                                                                                         \
    {                                                                                                                  \
        sizeof(quash_cache_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, {0}, 0, 0, {0}, 0, 0, 0, 0, 0                   \
    }

/* Each count is exact; they are read one after the other, not at one instant. Stops nobody. QUASH_INVALID. */
QUASH_API quash_status quash_cache_get_stats(quash_cache *cache, quash_cache_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
