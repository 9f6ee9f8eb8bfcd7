/*
 * eviction.c - keeping the cache within max_bytes: the least recently used entry of all goes first.
 *
 * Each shard publishes when its oldest entry was last used; the shard with the smallest figure is locked, alone, and
 * its oldest entry leaves. The figures may be a moment old, so between two threads "least recently used" is meant
 * that roughly; with one thread it is exact.
 */
#include "cache.h"

/* The shard whose oldest entry was used longest ago, of those not in `passed`; NULL when all others are empty. */
static struct shard *oldest_shard(quash_cache *cache, const bool passed[SHARD_COUNT])
{
    struct shard *found = NULL;
    uint64_t found_used = UINT64_MAX;
    for (unsigned i = 0; i < SHARD_COUNT; i++) {
        uint64_t used = atomic_load_explicit(&cache->shards[i].oldest_used, memory_order_relaxed);
        if (!passed[i] && used < found_used) {
            found = &cache->shards[i];
            found_used = used;
        }
    }
    return found;
}

static bool evict_one(quash_cache *cache, const quash_entry *keep, struct entry_list *dead)
{
    bool passed[SHARD_COUNT] = {false};
    struct shard *shard;
    while ((shard = oldest_shard(cache, passed)) != NULL) {
        pthread_mutex_lock(&shard->lock);
        quash_entry *victim = shard->oldest;
        if (victim != NULL && victim == keep)
            victim = victim->newer;
        if (victim != NULL) {
            shard_unlink(cache, shard, victim, dead);
            shard->counters.evictions++;
        }
        pthread_mutex_unlock(&shard->lock);
        if (victim != NULL)
            return true;
        passed[shard - cache->shards] = true;
    }
    return false;
}

void cache_evict(quash_cache *cache, const quash_entry *keep, struct entry_list *dead)
{
    while (atomic_load_explicit(&cache->bytes, memory_order_relaxed) > cache->max_bytes && evict_one(cache, keep, dead))
        ;
}
