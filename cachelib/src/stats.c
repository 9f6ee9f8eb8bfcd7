/*
 * stats.c - the cache's figures: each is the sum of what the shards counted under their locks.
 */
#include "cache.h"

quash_status quash_cache_get_stats(quash_cache *cache, quash_cache_stats *stats)
{
    if (cache == NULL || stats == NULL || stats->struct_size < sizeof *stats)
        return QUASH_INVALID;
    quash_cache_stats sum = {.struct_size = stats->struct_size};
    for (unsigned i = 0; i < SHARD_COUNT; i++) {
        struct shard *shard = &cache->shards[i];
        pthread_mutex_lock(&shard->lock);
        const struct shard_counters counters = shard->counters;
        sum.entries += shard->index.entries;
        pthread_mutex_unlock(&shard->lock);
        sum.hits += counters.hits;
        sum.misses_absent += counters.misses_absent;
        sum.misses_expired += counters.misses_expired;
        sum.misses_cancelled += counters.misses_cancelled;
        sum.misses_collateral += counters.misses_collateral;
        sum.misses_detached += counters.misses_detached;
        sum.loads += counters.loads;
        sum.loads_failed += counters.loads_failed;
        sum.loads_voided += counters.loads_voided;
        sum.waits += counters.waits;
        sum.waits_timed_out += counters.waits_timed_out;
        sum.evictions += counters.evictions;
    }
    sum.bytes = atomic_load_explicit(&cache->bytes, memory_order_relaxed);
    *stats = sum;
    return QUASH_OK;
}
