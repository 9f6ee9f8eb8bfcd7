/*
 * fill.c - fills: begin, what a loader says about its value, commit and abandon.
 *
 * The decision whether a value is kept and shared is taken in fill_settle, under the shard's lock, in the same
 * critical section in which the flight ends. Nobody can start to wait for the flight between the check of the token
 * and its end; so a waiter is never given a value of which a group was cancelled before its lookup began.
 */
#include "fill.h"

#include <stdlib.h>

void fill_start(struct quash_fill *fill, quash_cache *cache, struct flight *flight, const struct key *key)
{
    fill->cache = cache;
    fill->flight = flight;
    fill->key = *key;
    if (flight != NULL)
        fill->key.bytes = flight->key;
    fill->ttl_ms = QUASH_TTL_DEFAULT;
    fill->value = (struct value){.data = NULL};
    fill->unguarded = false;
    struct view view = cache_view(cache);
    fill->began_ms = view.now_ms;
    token_init(&fill->token, view.map);
}

/* Ends the fill without a value. */
static void fill_fail(struct quash_fill *fill, quash_status status)
{
    struct shard *shard = cache_shard(fill->cache, fill->key.hash);
    pthread_mutex_lock(&shard->lock);
    shard->counters.loads_failed++;
    if (fill->flight != NULL) {
        flight_finish(shard, fill->flight, status, NULL);
        flight_release(fill->flight);
    }
    pthread_mutex_unlock(&shard->lock);
}

void fill_abandon(struct quash_fill *fill, quash_status status)
{
    fill_fail(fill, status == QUASH_OK ? QUASH_LOAD_FAILED : status);
    value_destroy(&fill->value);
}

/* Ends a shared fill with its entry, under the locks of insertion and of the shard. Returns whether it was kept. */
static bool fill_settle(struct quash_fill *fill, struct shard *shard, quash_entry *entry, uint64_t now_ms,
                        struct entry_list *dead)
{
    quash_cache *cache = fill->cache;
    struct flight *flight = fill->flight;
    /* Fetched here, not before the lock, for the sake of those who have begun to wait until now. */
    const struct table_map *map = token_map(cache->table);
    enum entry_state state = entry_state(entry, map, now_ms, cache->detached_ttl_ms);
    bool voided = flight->state == FLIGHT_VOIDED || state == ENTRY_CANCELLED || state == ENTRY_COLLATERAL;
    bool shared = !voided && !fill->unguarded && state != ENTRY_DETACHED;
    bool kept = shared && state == ENTRY_LIVE && entry->charge <= cache->max_bytes;

    shard->counters.loads++;
    if (voided)
        shard->counters.loads_voided++;
    if (shared) {
        /* What is there is older than what this fill has read, so it goes even if this value cannot stay. */
        shard_drop(cache, shard, &fill->key, dead);
        if (kept)
            shard_link(cache, shard, entry);
        flight_finish(shard, flight, QUASH_OK, entry);
    } else {
        flight_void(shard, flight);
    }
    flight_release(
        flight); /* NULL: if the flight holds an entry, it is for one who waits, and that is the last holder */
    return kept;
}

quash_status fill_commit(struct quash_fill *fill, quash_entry **entry, bool *kept)
{
    quash_cache *cache = fill->cache;
    if (fill->value.data == NULL) {
        fill_fail(fill, QUASH_LOAD_FAILED);
        return QUASH_LOAD_FAILED;
    }
    uint64_t ttl_ms = cache_ttl_ms(cache, fill->ttl_ms);
    quash_entry *made =
        entry_new(fill->key.hash, fill->key.bytes, fill->key.size, &fill->token, &fill->value, fill->began_ms, ttl_ms);
    if (made == NULL) {
        fill_abandon(fill, QUASH_NO_MEMORY);
        return QUASH_NO_MEMORY;
    }

    struct shard *shard = cache_shard(cache, fill->key.hash);
    bool was_kept = false;
    if (fill->flight == NULL) {
        pthread_mutex_lock(&shard->lock);
        shard->counters.loads++;
        pthread_mutex_unlock(&shard->lock);
    } else {
        uint64_t now_ms = cache_now_ms(cache);
        struct entry_list dead = {NULL};
        pthread_mutex_lock(&cache->insert_lock);
        pthread_mutex_lock(&shard->lock);
        was_kept = fill_settle(fill, shard, made, now_ms, &dead);
        pthread_mutex_unlock(&shard->lock);
        if (was_kept)
            cache_evict(cache, made, &dead);
        pthread_mutex_unlock(&cache->insert_lock);
        entry_list_release(&dead);
    }

    if (kept != NULL)
        *kept = was_kept;
    if (entry != NULL)
        *entry = made;
    else
        quash_entry_release(made);
    return QUASH_OK;
}

/* ---- The public face ---- */

quash_status quash_fill_begin(quash_cache *cache, const void *key, size_t key_size, quash_fill **fill)
{
    struct key wanted;
    if (cache == NULL || fill == NULL || !cache_key(cache, key, key_size, &wanted))
        return QUASH_INVALID;
    quash_fill *made = malloc(sizeof *made);
    if (made == NULL)
        return QUASH_NO_MEMORY;

    quash_status status = QUASH_OK;
    struct flight *flight = NULL;
    struct shard *shard = cache_shard(cache, wanted.hash);
    pthread_mutex_lock(&shard->lock);
    if (flight_find(shard, &wanted) != NULL)
        status = QUASH_BUSY;
    else if ((flight = flight_start(shard, &wanted)) == NULL)
        status = QUASH_NO_MEMORY;
    pthread_mutex_unlock(&shard->lock);
    if (status != QUASH_OK) {
        free(made);
        return status;
    }
    fill_start(made, cache, flight, &wanted);
    *fill = made;
    return QUASH_OK;
}

quash_status quash_fill_add_group(quash_fill *fill, const char *group)
{
    if (fill == NULL)
        return QUASH_INVALID;
    quash_status status = token_add(&fill->token, group);
    if (status != QUASH_OK)
        fill->unguarded = true;
    return status;
}

quash_status quash_fill_set_options(quash_fill *fill, const quash_entry_options *options)
{
    if (fill == NULL || options == NULL || options->struct_size < sizeof *options)
        return QUASH_INVALID;
    fill->ttl_ms = options->ttl_ms;
    return QUASH_OK;
}

/* Puts `value` in the place of the fill's value. */
static quash_status fill_replace_value(quash_fill *fill, quash_status status, const struct value *value)
{
    if (status != QUASH_OK)
        return status;
    value_destroy(&fill->value);
    fill->value = *value;
    return QUASH_OK;
}

quash_status quash_fill_set_bytes(quash_fill *fill, const void *bytes, size_t size)
{
    struct value value;
    if (fill == NULL)
        return QUASH_INVALID;
    return fill_replace_value(fill, value_set_bytes(&value, bytes, size), &value);
}

quash_status quash_fill_set_object(quash_fill *fill, void *object, quash_destroy_fn *destroy, void *context,
                                   size_t cost)
{
    struct value value;
    if (fill == NULL)
        return QUASH_INVALID;
    return fill_replace_value(fill, value_set_object(&value, object, destroy, context, cost), &value);
}

quash_stamp quash_fill_stamp(const quash_fill *fill)
{
    return (quash_stamp){fill->token.head.incarnation, fill->token.head.stamp};
}

quash_status quash_fill_commit(quash_fill *fill, quash_entry **entry, bool *kept)
{
    if (fill == NULL)
        return QUASH_INVALID;
    quash_status status = fill_commit(fill, entry, kept);
    free(fill);
    return status;
}

void quash_fill_abandon(quash_fill *fill, quash_status status)
{
    if (fill == NULL)
        return;
    fill_abandon(fill, status);
    free(fill);
}
