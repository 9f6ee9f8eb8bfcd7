/*
 * shard.c - entries in and out of a shard: its index, its list in order of use, and the cache's byte count, which
 * always change together. Everything here runs under the shard's lock.
 */
#include "cache.h"

/* ---- The list in order of use ---- */

static void list_publish_oldest(struct shard *shard)
{
    uint64_t used = shard->oldest == NULL ? UINT64_MAX : shard->oldest->used;
    atomic_store_explicit(&shard->oldest_used, used, memory_order_relaxed);
}

static void list_push_newest(quash_cache *cache, struct shard *shard, quash_entry *entry)
{
    entry->used = atomic_fetch_add_explicit(&cache->uses, 1, memory_order_relaxed);
    entry->newer = NULL;
    entry->older = shard->newest;
    if (shard->newest != NULL)
        shard->newest->newer = entry;
    else
        shard->oldest = entry;
    shard->newest = entry;
    list_publish_oldest(shard);
}

static void list_remove(struct shard *shard, quash_entry *entry)
{
    if (entry->newer != NULL)
        entry->newer->older = entry->older;
    else
        shard->newest = entry->older;
    if (entry->older != NULL)
        entry->older->newer = entry->newer;
    else
        shard->oldest = entry->newer;
    entry->newer = entry->older = NULL;
    list_publish_oldest(shard);
}

/* ---- In and out ---- */

void shard_link(quash_cache *cache, struct shard *shard, quash_entry *entry)
{
    quash_entry_acquire(entry);
    index_add(&shard->index, entry);
    list_push_newest(cache, shard, entry);
    atomic_fetch_add_explicit(&cache->bytes, entry->charge, memory_order_relaxed);
}

void shard_unlink(quash_cache *cache, struct shard *shard, quash_entry *entry, struct entry_list *dead)
{
    index_remove(&shard->index, entry);
    list_remove(shard, entry);
    atomic_fetch_sub_explicit(&cache->bytes, entry->charge, memory_order_relaxed);
    entry_list_add(dead, entry);
}

quash_entry *shard_drop(quash_cache *cache, struct shard *shard, const struct key *key, struct entry_list *dead)
{
    quash_entry *entry = index_find(&shard->index, key->hash, key->bytes, key->size);
    if (entry != NULL)
        shard_unlink(cache, shard, entry, dead);
    return entry;
}

static uint64_t *miss_counter(struct shard_counters *counters, enum entry_state state)
{
    switch (state) {
    case ENTRY_LIVE:
        return &counters->hits;
    case ENTRY_EXPIRED:
        return &counters->misses_expired;
    case ENTRY_CANCELLED:
        return &counters->misses_cancelled;
    case ENTRY_COLLATERAL:
        return &counters->misses_collateral;
    case ENTRY_DETACHED:
        break;
    }
    return &counters->misses_detached;
}

quash_entry *shard_lookup(quash_cache *cache, struct shard *shard, const struct key *key, const struct view *view,
                          enum lookup_count count, struct entry_list *dead)
{
    quash_entry *entry = index_find(&shard->index, key->hash, key->bytes, key->size);
    uint64_t *counter = &shard->counters.misses_absent;
    if (entry != NULL) {
        enum entry_state state = entry_state(entry, view->map, view->now_ms, cache->detached_ttl_ms);
        counter = miss_counter(&shard->counters, state);
        if (state == ENTRY_LIVE) {
            list_remove(shard, entry);
            list_push_newest(cache, shard, entry);
            quash_entry_acquire(entry);
        } else {
            shard_unlink(cache, shard, entry, dead);
            entry = NULL;
        }
    }
    if (count == LOOKUP_COUNTED)
        ++*counter;
    return entry;
}
