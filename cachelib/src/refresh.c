/*
 * refresh.c - eager refresh: an entry that is still good is loaded anew before it expires, by one caller, so that those
 * who use it never wait. Once an entry: the mark that claims it stays, also if the load fails.
 */
#include "load.h"

/* Whether so much of its ttl is over. */
static bool refresh_due(const quash_cache *cache, const struct entry *entry, const struct view *view)
{
    const struct entry_lifetime *lifetime = entry_lifetime(entry);
    uint64_t expires_ms = lifetime != NULL ? atomic_load_explicit(&lifetime->expires_ms, memory_order_relaxed)
                                           : atomic_load_explicit(&entry->deadline_ms, memory_order_relaxed);
    if (expires_ms == EXPIRES_NEVER)
        return false;
    uint64_t began_ms = cache->began_ms + entry_age_ms(entry);
    uint64_t ttl_ms = expires_ms - began_ms;
    return view->now_ms > began_ms && view->now_ms - began_ms >= percent_of(ttl_ms, cache->eager_percent);
}

bool refresh_claim(const quash_cache *cache, struct entry *entry, const struct view *view)
{
    if (cache->eager_percent == 0 || view->map == NULL ||
        atomic_load_explicit(&entry->marks, memory_order_relaxed) & (ENTRY_REFRESHED | ENTRY_STOOD_IN) ||
        !refresh_due(cache, entry, view))
        return false;
    /* Relaxed: that one caller wins is all that is asked of it. */
    return !(atomic_fetch_or_explicit(&entry->marks, ENTRY_REFRESHED, memory_order_relaxed) & ENTRY_REFRESHED);
}

struct flight *refresh_start(quash_cache *cache, const struct key *key)
{
    struct shard *shard = cache_shard(cache, key->hash);
    pthread_mutex_lock(&shard->lock);
    struct flight *flight = flight_find(shard, key) == NULL ? flight_start(shard, key) : NULL;
    pthread_mutex_unlock(&shard->lock);
    if (flight != NULL)
        stats_count(cache, reader_current, COUNT_LOADS_REFRESHED);
    return flight;
}
