/*
 * remove.c - taking out one entry, or all; walking over them; another bound.
 */
#include <stdlib.h>

#include "insert.h"
#include "lookup.h"

bool quash_cache_remove(quash_cache *cache, const void *key, size_t key_size)
{
    struct key wanted;
    if (cache == NULL || !cache_key(cache, key, key_size, &wanted))
        return false;
    struct view view = cache_view(cache);
    struct departures departures = {{NULL}};
    struct flight_ends ends = {NULL};
    struct shard *shard = cache_shard(cache, wanted.hash);
    bool live = false;
    pthread_mutex_lock(&shard->lock);
    view.map = cache_map(cache, &view); /* as of now, for entries of a table that was attached meanwhile */
    flight_void(shard, flight_find(shard, &wanted), &ends);
    struct entry *entry = index_find(&shard->index, &wanted);
    if (entry != NULL) {
        live = entry_judge(entry, &view) == ENTRY_LIVE && !entry_is_absent(entry) && !entry_stood_in(entry);
        depart(cache, shard, entry, QUASH_EVICTION_REMOVED, &departures);
    }
    pthread_mutex_unlock(&shard->lock);
    flight_ends_finish(&ends);
    departures_finish(cache, &departures);
    return live;
}

void quash_cache_clear(quash_cache *cache)
{
    if (cache == NULL)
        return;
    for (unsigned i = 0; i < SHARD_COUNT; i++) {
        struct shard *shard = &cache->shards[i];
        struct departures departures = {{NULL}};
        struct flight_ends ends = {NULL};
        pthread_mutex_lock(&shard->lock);
        flight_void_all(shard, &ends);
        for (size_t slot = 0; slot < index_slots(&shard->index); slot++) {
            struct entry *entry = index_at(&shard->index, slot);
            if (entry != NULL)
                depart(cache, shard, entry, QUASH_EVICTION_REMOVED, &departures);
        }
        pthread_mutex_unlock(&shard->lock);
        flight_ends_finish(&ends);
        departures_finish(cache, &departures);
    }
    reclaim_now();
}

quash_status quash_cache_resize(quash_cache *cache, size_t max_bytes)
{
    if (cache == NULL)
        return QUASH_INVALID;
    struct reader *reader = reader_self();
    if (reader == NULL)
        return QUASH_NO_MEMORY;
    struct view view = cache_view(cache);
    struct departures departures = {{NULL}};
    insert_bound(cache, max_bytes);
    enum policy_room room = insert_trim(cache, reader, &view, &departures);
    departures_finish(cache, &departures);
    reclaim_now();
    return room == POLICY_NO_ROOM ? QUASH_NO_ROOM : QUASH_OK;
}

/* ---- Walking ---- */

static bool met_by_walks(struct entry *entry, const struct view *view)
{
    return !entry_is_absent(entry) && !entry_stood_in(entry) && entry_judge(entry, view) == ENTRY_LIVE;
}

/* Acquires all live entries of a shard, into an array that the caller frees. False without memory. */
static bool acquire_all(struct shard *shard, const struct view *view, quash_entry ***held, size_t *count)
{
    *held = NULL;
    *count = 0;
    pthread_mutex_lock(&shard->lock);
    size_t entries = shard->index.entries;
    quash_entry **array = entries == 0 ? NULL : malloc(entries * sizeof(quash_entry *));
    if (array != NULL) {
        for (size_t slot = 0; slot < index_slots(&shard->index); slot++) {
            struct entry *entry = index_at(&shard->index, slot);
            if (entry != NULL && met_by_walks(entry, view))
                array[(*count)++] = reader_hold_counted(entry);
        }
    }
    pthread_mutex_unlock(&shard->lock);
    *held = array;
    return array != NULL || entries == 0;
}

quash_status quash_cache_each(quash_cache *cache, quash_each_fn *each, void *context)
{
    if (cache == NULL || each == NULL)
        return QUASH_INVALID;
    bool more = true;
    for (unsigned i = 0; i < SHARD_COUNT && more; i++) {
        struct view view = cache_view(cache);
        quash_entry **held;
        size_t count;
        if (!acquire_all(&cache->shards[i], &view, &held, &count))
            return QUASH_NO_MEMORY;
        for (size_t at = 0; at < count; at++) {
            struct entry *entry = held_entry(held[at]);
            /* What was called before may have changed what this one depends on. */
            view = cache_view(cache);
            if (more && met_by_walks(entry, &view))
                more = each(entry_key(entry), entry->key_size, held[at], context);
            quash_entry_release(held[at]);
        }
        free(held);
    }
    return QUASH_OK;
}
