/*
 * cache.c - a cache from its making to its end, and what the other files ask of it. cache.h draws the whole and gives
 * the lock order.
 */
#define _GNU_SOURCE /* getrandom */
#include "insert.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lock.h"

#define TTL_MS_DEFAULT          (UINT64_C(5) * 60 * 1000)
#define LOAD_TIMEOUT_MS_DEFAULT 10000u

/* ---- Options ---- */

bool options_read(void *to, size_t to_size, const void *from)
{
    size_t from_size;
    memcpy(&from_size, from, sizeof from_size);
    if (from_size < sizeof from_size)
        return false;
    for (size_t i = to_size; i < from_size; i++) {
        if (((const unsigned char *)from)[i] != 0)
            return false;
    }
    memcpy(to, from, from_size < to_size ? from_size : to_size);
    return true;
}

bool entry_options_read(quash_entry_options *to, const quash_entry_options *from)
{
    *to = (quash_entry_options)QUASH_ENTRY_OPTIONS_INIT;
    return from == NULL ||
           (options_read(to, sizeof *to, from) && (unsigned)to->priority <= QUASH_PRIORITY_NEVER_REMOVE);
}

static bool cache_options_read(quash_cache_options *to, const quash_cache_options *from)
{
    *to = (quash_cache_options)QUASH_CACHE_OPTIONS_INIT;
    if (from != NULL && !options_read(to, sizeof *to, from))
        return false;
    return to->ttl_jitter_percent <= 100 && to->eager_percent < 100 && (!to->load_on_executor || to->execute != NULL);
}

static void cache_configure(quash_cache *cache, const quash_cache_options *options)
{
    cache->ttl_ms = options->ttl_ms == QUASH_TTL_DEFAULT ? TTL_MS_DEFAULT : options->ttl_ms;
    cache->sliding_ms = options->sliding_ms == QUASH_SLIDING_DEFAULT ? QUASH_SLIDING_NONE : options->sliding_ms;
    cache->load_timeout_ms =
        options->load_timeout_ms == QUASH_TIMEOUT_DEFAULT ? LOAD_TIMEOUT_MS_DEFAULT : options->load_timeout_ms;
    cache->soft_timeout_ms =
        options->soft_timeout_ms == QUASH_TIMEOUT_DEFAULT ? QUASH_TIMEOUT_NONE : options->soft_timeout_ms;
    cache->detached_ttl_ms = options->detached_ttl_ms;
    cache->clock_ms = options->clock_ms;
    cache->clock_context = options->clock_context;
    cache->ttl_jitter_percent = options->ttl_jitter_percent;
    cache->eager_percent = options->eager_percent;
    cache->absent_ttl_ms = options->absent_ttl_ms;
    cache->fail_safe_ms = options->fail_safe_ms;
    cache->fail_safe_throttle_ms = options->fail_safe_throttle_ms;
    cache->fail_safe_cancelled = options->fail_safe_cancelled;
    cache->execute = options->execute;
    cache->execute_context = options->execute_context;
    cache->load_on_executor = options->load_on_executor;
    cache->evicted = options->evicted;
    cache->evicted_context = options->evicted_context;
}

/* ---- Making and ending ---- */

static uint64_t now_ms(const quash_cache *cache)
{
    return cache->clock_ms == NULL ? clock_coarse_ms() : cache->clock_ms(cache->clock_context);
}

static uint64_t random_seed(const void *address)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = clock_monotonic_ns() ^ (uint64_t)(uintptr_t)address;
    return seed;
}

static unsigned shards_init(quash_cache *cache)
{
    unsigned made = 0;
    for (; made < SHARD_COUNT; made++) {
        struct shard *shard = &cache->shards[made];
        memset(shard->flights, 0, sizeof shard->flights);
        index_init(&shard->index);
        if (!lock_init(&shard->lock))
            break;
    }
    return made;
}

/* On failure those that were made are for arenas_release. */
static bool arenas_init(quash_cache *cache)
{
    for (unsigned i = 0; i < ARENAS; i++) {
        cache->arenas[i] = slab_arena_new();
        if (cache->arenas[i] == NULL)
            return false;
    }
    return true;
}

static void arenas_release(quash_cache *cache)
{
    for (unsigned i = 0; i < ARENAS; i++)
        slab_arena_release(cache->arenas[i]);
}

static void shards_fini(quash_cache *cache, unsigned made)
{
    while (made-- > 0) {
        index_fini(&cache->shards[made].index);
        pthread_mutex_destroy(&cache->shards[made].lock);
    }
}

/* Everything but the maintenance thread. */
static quash_status cache_init(quash_cache *cache, const quash_cache_options *options)
{
    quash_status status = QUASH_OK;
    cache->table = options->table;
    if (cache->table == NULL) {
        status = quash_table_new_private(QUASH_TABLE_BUCKETS_DEFAULT, &cache->own_table);
        if (status != QUASH_OK)
            return status;
        cache->table = cache->own_table;
    }
    cache_configure(cache, options);
    cache->seed = random_seed(cache);
    cache->began_ms = now_ms(cache);
    atomic_init(&cache->sweep.due_ms, EXPIRES_NEVER);
    atomic_init(&cache->max_bytes, options->max_bytes);
    atomic_init(&cache->room_hint, options->max_bytes);
    policy_init(&cache->policy, options->max_bytes);

    status = QUASH_NO_MEMORY;
    cache->stripes = aligned_alloc(_Alignof(struct stripe), (STRIPES + 1) * sizeof(struct stripe));
    if (cache->stripes == NULL)
        goto close_table;
    memset(cache->stripes, 0, (STRIPES + 1) * sizeof(struct stripe));
    if (!arenas_init(cache))
        goto release_arenas;
    if (!kinds_init(&cache->kinds))
        goto release_arenas;
    if (!lock_init(&cache->sweep.lock))
        goto fini_kinds;
    if (!lock_init(&cache->policy_lock))
        goto destroy_sweep_lock;
    unsigned shards = shards_init(cache);
    if (shards == SHARD_COUNT)
        return QUASH_OK;

    shards_fini(cache, shards);
    pthread_mutex_destroy(&cache->policy_lock);
destroy_sweep_lock:
    pthread_mutex_destroy(&cache->sweep.lock);
fini_kinds:
    kinds_fini(&cache->kinds);
release_arenas:
    arenas_release(cache);
    free(cache->stripes);
close_table:
    policy_fini(&cache->policy);
    quash_table_close(cache->own_table);
    return status;
}

static void cache_fini(quash_cache *cache)
{
    shards_fini(cache, SHARD_COUNT);
    pthread_mutex_destroy(&cache->policy_lock);
    pthread_mutex_destroy(&cache->sweep.lock);
    kinds_fini(&cache->kinds);
    arenas_release(cache);
    free(cache->stripes);
    policy_fini(&cache->policy);
    quash_table_close(cache->own_table);
}

quash_status quash_cache_new(const quash_cache_options *options, quash_cache **cache)
{
    quash_cache_options read;
    if (cache == NULL || !cache_options_read(&read, options))
        return QUASH_INVALID;
    /* The process's first reader registers it with the kernel, which takes that some 10 ms once there are several
     * threads: better here than in the first lookup. */
    reader_self();
    quash_cache *made = aligned_alloc(_Alignof(struct quash_cache), sizeof *made);
    if (made == NULL)
        return QUASH_NO_MEMORY;
    memset(made, 0, sizeof *made);
    quash_status status = cache_init(made, &read);
    if (status != QUASH_OK)
        goto free_cache;
    if (read.maintenance_thread) {
        status = maintenance_start(made);
        if (status != QUASH_OK)
            goto fini_cache;
    }
    *cache = made;
    return QUASH_OK;

fini_cache:
    cache_fini(made);
free_cache:
    free(made);
    return status;
}

void quash_cache_free(quash_cache *cache)
{
    if (cache == NULL)
        return;
    maintenance_stop(cache);
    /* So that nothing stays that a callback or destructor puts while the rest is leaving. */
    insert_bound(cache, 0);
    quash_cache_clear(cache);
    cache_fini(cache);
    free(cache);
}

quash_table *quash_cache_table(const quash_cache *cache)
{
    return cache->table;
}

/* ---- What the other files ask of a cache ---- */

struct view cache_view(const quash_cache *cache)
{
    struct view view = cache_view_quick(cache);
    view.map = cache_map(cache, &view);
    return view;
}

/* A number below `bound`, another one each time; spread well enough for what it is for. (SplitMix64, Steele et al.) */
static uint64_t draw(quash_cache *cache, uint64_t bound)
{
    const uint64_t step = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = cache->seed + step + atomic_fetch_add_explicit(&cache->jitter, step, memory_order_relaxed);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % bound;
}

struct lifetime cache_lifetime(quash_cache *cache, const quash_entry_options *options, uint64_t began_ms,
                               uint64_t at_ms)
{
    uint64_t ttl_ms = options->ttl_ms == QUASH_TTL_DEFAULT ? cache->ttl_ms : options->ttl_ms;
    if (cache->ttl_jitter_percent != 0 && ttl_ms != QUASH_TTL_FOREVER)
        ttl_ms -= draw(cache, percent_of(ttl_ms, cache->ttl_jitter_percent) + 1);
    return (struct lifetime){
        .age_ms = began_ms - cache->began_ms,
        .expires_ms = ttl_ms > EXPIRES_NEVER - began_ms ? EXPIRES_NEVER : began_ms + ttl_ms,
        .sliding_ms = options->sliding_ms == QUASH_SLIDING_DEFAULT ? cache->sliding_ms : options->sliding_ms,
        .now_ms = at_ms,
        .priority = options->priority,
        .keep = cache->fail_safe_ms != 0,
    };
}
