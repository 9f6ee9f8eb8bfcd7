/*
 * departure.c - what happens to an entry that has left the index: it is counted, its owner is told why, and it is
 * handed to the reclaimer. The links of an entry belong to whoever took it out of the index, from then until it is
 * retired.
 */
#include "cache.h"

quash_eviction departure_reason(enum entry_state state)
{
    switch (state) {
    case ENTRY_EXPIRED:
        return QUASH_EVICTION_EXPIRED;
    case ENTRY_CANCELLED:
    case ENTRY_COLLATERAL:
    case ENTRY_DETACHED:
        return QUASH_EVICTION_CANCELLED;
    case ENTRY_LIVE:
    case ENTRY_ABSENT:
        break;
    }
    return QUASH_EVICTION_CAPACITY;
}

void departures_add(struct departures *departures, struct entry *entry, quash_eviction reason)
{
    entry->newer = departures->first[reason];
    departures->first[reason] = entry;
}

bool depart(quash_cache *cache, struct shard *shard, struct entry *entry, quash_eviction reason,
            struct departures *departures)
{
    if (!index_remove(&shard->index, entry))
        return false;
    pthread_mutex_lock(&cache->policy_lock);
    policy_remove(&cache->policy, entry);
    pthread_mutex_unlock(&cache->policy_lock);
    departures_add(departures, entry, reason);
    return true;
}

static void tell(const quash_cache *cache, struct entry *entry, quash_eviction reason)
{
    /* Nobody else can retire it meanwhile, so the hold is good. */
    quash_entry *held = reader_hold_counted(entry);
    cache->evicted(entry_key(entry), entry->key_size, held, reason, cache->evicted_context);
    quash_entry_release(held);
}

void departures_finish(quash_cache *cache, struct departures *departures)
{
    for (unsigned reason = 0; reason < QUASH_EVICTIONS; reason++) {
        while (departures->first[reason] != NULL) {
            struct entry *entry = departures->first[reason];
            departures->first[reason] = entry->newer;
            stats_count(cache, reader_current, COUNT_EVICTED + reason);
            if (cache->evicted != NULL)
                tell(cache, entry, (quash_eviction)reason);
            /* Bytes can wait until some more have come together; an object may be worth more than its stated cost. */
            reclaim_retire_entry(entry, entry->flags & ENTRY_IS_OBJECT);
        }
    }
}
