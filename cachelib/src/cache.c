/*
 * cache.c - a cache from its making to its end, and what callers do to it by hand: get, put, remove, clear.
 * Loading is in load.c and fill.c, statistics in stats.c; cache.h draws the whole and gives the lock order.
 */
#define _GNU_SOURCE /* getrandom */
#include "cache.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <xxhash.h>

#include "clock.h"

#define TTL_MS_DEFAULT          (UINT64_C(5) * 60 * 1000)
#define LOAD_TIMEOUT_MS_DEFAULT 10000u

/* ---- Making and ending ---- */

static uint64_t monotonic_ms(void *context)
{
    (void)context;
    return clock_monotonic_ns() / 1000000;
}

static uint64_t random_seed(const void *address)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = monotonic_ms(NULL) ^ (uint64_t)(uintptr_t)address;
    return seed;
}

static bool shard_init(struct shard *shard)
{
    memset(shard, 0, sizeof *shard);
    atomic_init(&shard->oldest_used, UINT64_MAX);
    index_init(&shard->index);
    return pthread_mutex_init(&shard->lock, NULL) == 0;
}

static void shard_fini(struct shard *shard)
{
    index_fini(&shard->index);
    pthread_mutex_destroy(&shard->lock);
}

quash_status quash_cache_new(const quash_cache_options *options, quash_cache **cache)
{
    const quash_cache_options defaults = QUASH_CACHE_OPTIONS_INIT;
    if (options == NULL)
        options = &defaults;
    if (options->struct_size < sizeof *options || cache == NULL)
        return QUASH_INVALID;

    quash_status status = QUASH_NO_MEMORY;
    quash_cache *made = malloc(sizeof *made);
    if (made == NULL)
        return status;
    made->own_table = NULL;
    made->table = options->table;
    if (made->table == NULL) {
        status = quash_table_new_private(QUASH_TABLE_BUCKETS_DEFAULT, &made->own_table);
        if (status != QUASH_OK)
            goto free_cache;
        made->table = made->own_table;
    }
    made->max_bytes = options->max_bytes;
    made->ttl_ms = options->ttl_ms == QUASH_TTL_DEFAULT ? TTL_MS_DEFAULT : options->ttl_ms;
    made->load_timeout_ms =
        options->load_timeout_ms == QUASH_TIMEOUT_DEFAULT ? LOAD_TIMEOUT_MS_DEFAULT : options->load_timeout_ms;
    made->detached_ttl_ms = options->detached_ttl_ms;
    made->clock_ms = options->clock_ms == NULL ? monotonic_ms : options->clock_ms;
    made->clock_context = options->clock_context;
    made->seed = random_seed(made);
    atomic_init(&made->uses, 0);
    atomic_init(&made->bytes, 0);

    status = QUASH_NO_MEMORY;
    if (pthread_mutex_init(&made->insert_lock, NULL) != 0)
        goto close_table;
    unsigned shards = 0;
    while (shards < SHARD_COUNT && shard_init(&made->shards[shards]))
        shards++;
    if (shards < SHARD_COUNT)
        goto fini_shards;
    *cache = made;
    return QUASH_OK;

fini_shards:
    while (shards-- > 0)
        shard_fini(&made->shards[shards]);
    pthread_mutex_destroy(&made->insert_lock);
close_table:
    quash_table_close(made->own_table);
free_cache:
    free(made);
    return status;
}

void quash_cache_free(quash_cache *cache)
{
    if (cache == NULL)
        return;
    quash_cache_clear(cache);
    for (unsigned i = 0; i < SHARD_COUNT; i++)
        shard_fini(&cache->shards[i]);
    pthread_mutex_destroy(&cache->insert_lock);
    quash_table_close(cache->own_table);
    free(cache);
}

quash_table *quash_cache_table(const quash_cache *cache)
{
    return cache->table;
}

/* ---- What the other files ask of a cache ---- */

bool cache_key(const quash_cache *cache, const void *bytes, size_t size, struct key *key)
{
    if (bytes == NULL && size != 0)
        return false;
    key->bytes = bytes == NULL ? "" : bytes;
    key->size = size;
    key->hash = XXH64(key->bytes, size, cache->seed);
    return true;
}

struct shard *cache_shard(quash_cache *cache, uint64_t hash)
{
    return &cache->shards[hash >> (64 - SHARD_BITS)];
}

uint64_t cache_now_ms(const quash_cache *cache)
{
    return cache->clock_ms(cache->clock_context);
}

struct view cache_view(const quash_cache *cache)
{
    return (struct view){token_map(cache->table), cache_now_ms(cache)};
}

uint64_t cache_ttl_ms(const quash_cache *cache, uint64_t ttl_ms)
{
    return ttl_ms == QUASH_TTL_DEFAULT ? cache->ttl_ms : ttl_ms;
}

/* ---- By hand ---- */

quash_entry *quash_cache_get(quash_cache *cache, const void *key, size_t key_size)
{
    struct key wanted;
    if (cache == NULL || !cache_key(cache, key, key_size, &wanted))
        return NULL;
    struct view view = cache_view(cache);
    struct entry_list dead = {NULL};
    struct shard *shard = cache_shard(cache, wanted.hash);
    pthread_mutex_lock(&shard->lock);
    quash_entry *entry = shard_lookup(cache, shard, &wanted, &view, LOOKUP_COUNTED, &dead);
    pthread_mutex_unlock(&shard->lock);
    entry_list_release(&dead);
    return entry;
}

/* Puts an entry that the caller holds; its key's entry and flight end whatever comes of it. */
static quash_status put_entry(quash_cache *cache, const struct key *key, quash_entry *entry, uint64_t now_ms)
{
    struct shard *shard = cache_shard(cache, key->hash);
    bool fits = entry->charge <= cache->max_bytes;
    bool kept = false;
    struct entry_list dead = {NULL};
    pthread_mutex_lock(&cache->insert_lock);
    pthread_mutex_lock(&shard->lock);
    flight_void(shard, flight_find(shard, key));
    shard_drop(cache, shard, key, &dead);
    const struct table_map *map = token_map(cache->table);
    if (fits && entry_state(entry, map, now_ms, cache->detached_ttl_ms) == ENTRY_LIVE) {
        shard_link(cache, shard, entry);
        kept = true;
    }
    pthread_mutex_unlock(&shard->lock);
    if (kept)
        cache_evict(cache, entry, &dead);
    pthread_mutex_unlock(&cache->insert_lock);
    entry_list_release(&dead);
    return fits ? QUASH_OK : QUASH_TOO_LARGE;
}

/* Puts *value, which stays the caller's on failure. */
static quash_status put_value(quash_cache *cache, const struct key *key, const quash_token *token, struct value *value,
                              uint64_t ttl_ms)
{
    uint64_t now_ms = cache_now_ms(cache);
    quash_entry *entry =
        entry_new(key->hash, key->bytes, key->size, token_inside(token), value, now_ms, cache_ttl_ms(cache, ttl_ms));
    if (entry == NULL) {
        /* The caller knows a newer value than the one that is there. */
        quash_cache_remove(cache, key->bytes, key->size);
        return QUASH_NO_MEMORY;
    }
    quash_status status = put_entry(cache, key, entry, now_ms);
    if (status == QUASH_OK)
        quash_entry_release(entry);
    else
        entry_undo(entry, value);
    return status;
}

/* Checks what both puts are given. */
static bool put_valid(const quash_cache *cache, const void *bytes, size_t size, const quash_token *token,
                      const quash_entry_options *options, struct key *key, uint64_t *ttl_ms)
{
    if (cache == NULL || token == NULL || token_table(token) != cache->table)
        return false;
    if (options != NULL && options->struct_size < sizeof *options)
        return false;
    *ttl_ms = options == NULL ? QUASH_TTL_DEFAULT : options->ttl_ms;
    return cache_key(cache, bytes, size, key);
}

quash_status quash_cache_put(quash_cache *cache, const void *key, size_t key_size, const quash_token *token,
                             const void *bytes, size_t size, const quash_entry_options *options)
{
    struct key wanted;
    uint64_t ttl_ms;
    if (!put_valid(cache, key, key_size, token, options, &wanted, &ttl_ms))
        return QUASH_INVALID;
    struct value value = {.data = NULL};
    quash_status status = value_set_bytes(&value, bytes, size);
    if (status == QUASH_NO_MEMORY)
        quash_cache_remove(cache, key, key_size);
    if (status == QUASH_OK) {
        status = put_value(cache, &wanted, token, &value, ttl_ms);
        value_destroy(&value);
    }
    return status;
}

quash_status quash_cache_put_object(quash_cache *cache, const void *key, size_t key_size, const quash_token *token,
                                    void *object, quash_destroy_fn *destroy, void *context, size_t cost,
                                    const quash_entry_options *options)
{
    struct key wanted;
    uint64_t ttl_ms;
    struct value value;
    if (!put_valid(cache, key, key_size, token, options, &wanted, &ttl_ms))
        return QUASH_INVALID;
    if (value_set_object(&value, object, destroy, context, cost) != QUASH_OK)
        return QUASH_INVALID;
    return put_value(cache, &wanted, token, &value, ttl_ms);
}

bool quash_cache_remove(quash_cache *cache, const void *key, size_t key_size)
{
    struct key wanted;
    if (cache == NULL || !cache_key(cache, key, key_size, &wanted))
        return false;
    struct view view = cache_view(cache);
    struct entry_list dead = {NULL};
    struct shard *shard = cache_shard(cache, wanted.hash);
    pthread_mutex_lock(&shard->lock);
    flight_void(shard, flight_find(shard, &wanted));
    quash_entry *entry = shard_drop(cache, shard, &wanted, &dead);
    bool live = entry != NULL && entry_state(entry, view.map, view.now_ms, cache->detached_ttl_ms) == ENTRY_LIVE;
    pthread_mutex_unlock(&shard->lock);
    entry_list_release(&dead);
    return live;
}

void quash_cache_clear(quash_cache *cache)
{
    if (cache == NULL)
        return;
    for (unsigned i = 0; i < SHARD_COUNT; i++) {
        struct shard *shard = &cache->shards[i];
        struct entry_list dead = {NULL};
        pthread_mutex_lock(&shard->lock);
        flight_void_all(shard);
        while (shard->oldest != NULL)
            shard_unlink(cache, shard, shard->oldest, &dead);
        pthread_mutex_unlock(&shard->lock);
        entry_list_release(&dead);
    }
}
