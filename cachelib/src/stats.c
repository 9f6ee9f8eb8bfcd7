/*
 * stats.c - the cache's figures: each is the sum of what the threads counted, each in its own stripe.
 */
#include "cache.h"

#include <string.h>

void stats_count_shared(quash_cache *cache, unsigned counter, uint64_t add)
{
    atomic_fetch_add_explicit(&cache->stripes[STRIPES].count[counter], add, memory_order_relaxed);
}

static uint64_t sum(const quash_cache *cache, unsigned counter)
{
    uint64_t total = 0;
    for (unsigned i = 0; i <= STRIPES; i++)
        total += atomic_load_explicit(&cache->stripes[i].count[counter], memory_order_relaxed);
    return total;
}

quash_status quash_cache_get_stats(quash_cache *cache, quash_cache_stats *stats)
{
    if (cache == NULL || stats == NULL || stats->struct_size < sizeof stats->struct_size)
        return QUASH_INVALID;
    quash_cache_stats all = {.struct_size = stats->struct_size};
    all.hits = sum(cache, COUNT_HITS);
    all.hits_absent = sum(cache, COUNT_HITS_ABSENT);
    all.hits_stale = sum(cache, COUNT_HITS_STALE);
    all.misses_absent = sum(cache, stats_miss(ENTRY_ABSENT));
    all.misses_expired = sum(cache, stats_miss(ENTRY_EXPIRED));
    all.misses_cancelled = sum(cache, stats_miss(ENTRY_CANCELLED));
    all.misses_collateral = sum(cache, stats_miss(ENTRY_COLLATERAL));
    all.misses_detached = sum(cache, stats_miss(ENTRY_DETACHED));
    all.loads = sum(cache, COUNT_LOADS);
    all.loads_failed = sum(cache, COUNT_LOADS_FAILED);
    all.loads_voided = sum(cache, COUNT_LOADS_VOIDED);
    all.loads_refreshed = sum(cache, COUNT_LOADS_REFRESHED);
    all.waits = sum(cache, COUNT_WAITS);
    all.waits_timed_out = sum(cache, COUNT_WAITS_TIMED_OUT);
    all.refused = sum(cache, COUNT_REFUSED);
    for (unsigned i = 0; i < QUASH_EVICTIONS; i++)
        all.evicted[i] = sum(cache, COUNT_EVICTED + i);
    for (unsigned i = 0; i < QUASH_LOAD_TIMES; i++)
        all.loads_by_time[i] = sum(cache, COUNT_LOAD_TIMES + i);

    /* Readers take none of this lock. */
    pthread_mutex_lock(&cache->policy_lock);
    all.entries = policy_entries(&cache->policy);
    all.bytes = cache->policy.bytes;
    all.max_bytes = cache->policy.max_bytes;
    pthread_mutex_unlock(&cache->policy_lock);
    for (unsigned i = 0; i < ARENAS; i++)
        all.dead_bytes += slab_arena_dead_bytes(cache->arenas[i]);
    /* A caller of another version gets the fields that it knows, and that there are. */
    memcpy(stats, &all, stats->struct_size < sizeof all ? stats->struct_size : sizeof all);
    return QUASH_OK;
}
