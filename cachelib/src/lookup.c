/*
 * lookup.c - a hit: no lock, no allocation, no system call, and once the cache is warm no store but to the thread's own
 * lines. A miss takes out what it found dead.
 */
#include "lookup.h"

static inline __attribute__((always_inline)) struct lookup find(quash_cache *cache, struct reader *reader,
                                                                const struct key *key, const struct view *view)
{
    struct lookup found = {ENTRY_ABSENT, NULL, NULL};
    reader_enter(reader);
    struct entry *entry = index_find(&cache_shard(cache, key->hash)->index, key);
    if (entry != NULL) {
        found.state = entry_judge(entry, view);
        if (found.state == ENTRY_LIVE)
            entry_touch(entry, view->now_ms);
        if (found.state == ENTRY_LIVE || cache_retains(cache, entry, found.state, view->now_ms)) {
            found.entry = entry;
            found.held = reader_hold(reader, entry);
        }
    }
    reader_leave(reader);
    return found;
}

struct lookup lookup(quash_cache *cache, struct reader *reader, const struct key *key, const struct view *view)
{
    return find(cache, reader, key, view);
}

/* Takes out an entry in this state if it is dead and may not stand in. The shard's lock is held. Returns whether. */
static bool drop(quash_cache *cache, struct shard *shard, struct entry *entry, enum entry_state state, uint64_t now_ms,
                 struct departures *departures)
{
    return state != ENTRY_LIVE && !cache_retains(cache, entry, state, now_ms) &&
           depart(cache, shard, entry, departure_reason(state), departures);
}

/* The same for the entry of a key. No lock may be held. */
static void drop_dead(quash_cache *cache, const struct key *key)
{
    struct view view = cache_view(cache);
    struct departures departures = {{NULL}};
    struct shard *shard = cache_shard(cache, key->hash);
    pthread_mutex_lock(&shard->lock);
    /* Fetched again: an entry of a table that was attached meanwhile is not to be taken for one of a replaced table. */
    view.map = cache_map(cache, &view);
    struct entry *entry = index_find(&shard->index, key);
    if (entry != NULL)
        drop(cache, shard, entry, entry_judge(entry, &view), view.now_ms, &departures);
    pthread_mutex_unlock(&shard->lock);
    departures_finish(cache, &departures);
}

struct lookup lookup_locked(quash_cache *cache, struct shard *shard, const struct key *key, struct view *view)
{
    enum entry_state was = ENTRY_ABSENT;
    for (;;) {
        struct departures departures = {{NULL}};
        *view = cache_view(cache);
        pthread_mutex_lock(&shard->lock);
        view->map = cache_map(cache, view); /* as above */
        struct entry *entry = index_find(&shard->index, key);
        if (entry == NULL)
            return (struct lookup){was, NULL, NULL};
        was = entry_judge(entry, view);
        if (!drop(cache, shard, entry, was, view->now_ms, &departures))
            return (struct lookup){was, NULL, entry};
        pthread_mutex_unlock(&shard->lock);
        departures_finish(cache, &departures);
    }
}

/* A get that found nothing to hand out. */
static __attribute__((noinline)) void missed(quash_cache *cache, struct reader *reader, const struct key *key,
                                             const struct lookup *found)
{
    if (found->state != ENTRY_LIVE)
        stats_count(cache, reader, stats_miss(found->state));
    else
        stats_count(cache, reader, entry_is_absent(found->entry) ? COUNT_HITS_ABSENT : stats_miss(ENTRY_EXPIRED));
    quash_entry_release(found->held);
    if (found->state != ENTRY_ABSENT && found->held == NULL)
        drop_dead(cache, key);
}

static bool answers(const struct lookup *found)
{
    return found->state == ENTRY_LIVE && !entry_is_absent(found->entry) && !entry_stood_in(found->entry);
}

quash_entry *quash_cache_get(quash_cache *cache, const void *key, size_t key_size)
{
    struct key wanted;
    struct reader *reader = reader_self();
    if (cache == NULL || reader == NULL || !cache_key(cache, key, key_size, &wanted))
        return NULL;
    struct view view = cache_view_quick(cache);
    struct lookup found = find(cache, reader, &wanted, &view);
    if (!answers(&found)) {
        missed(cache, reader, &wanted, &found);
        return NULL;
    }
    stats_count(cache, reader, COUNT_HITS);
    return found.held;
}

bool quash_cache_contains(quash_cache *cache, const void *key, size_t key_size)
{
    struct key wanted;
    struct reader *reader = reader_self();
    if (cache == NULL || reader == NULL || !cache_key(cache, key, key_size, &wanted))
        return false;
    struct view view = cache_view_quick(cache);
    struct lookup found = {ENTRY_ABSENT, NULL, NULL};
    reader_enter(reader);
    found.entry = index_find(&cache_shard(cache, wanted.hash)->index, &wanted);
    bool contained = false;
    if (found.entry != NULL) {
        found.state = entry_judge(found.entry, &view);
        contained = answers(&found);
    }
    reader_leave(reader);
    return contained;
}
