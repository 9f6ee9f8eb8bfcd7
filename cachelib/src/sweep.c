/*
 * sweep.c - finding entries that are dead without anybody asking for them: their memory comes back without being read.
 *
 * A *pass* goes through the indexes of all shards, slot by slot, as far as it is let at a time. It notes the table's
 * count of changes when it begins, so when it has been all around, nothing is left that was cancelled until then; and
 * collects the earliest time at which an entry that it has seen, or that was added meanwhile, will expire. Another pass
 * is due when the count has moved on, or that time has come: a cache in which nothing happens costs nothing.
 */
#include "cache.h"

/* Slots that are looked at under one taking of a shard's lock. */
#define SWEEP_SLOTS 256u

/* Slots that an insertion into a full cache looks at before it evicts what is live. */
#define SWEEP_SOME 32u

/* How far ahead entries are fetched into the processor's cache. */
#define SWEEP_AHEAD 8u

static uint64_t view_changes(const struct view *view)
{
    return view->map == NULL ? 0 : table_map_changes(view->map);
}

static uint32_t view_serial(const struct view *view)
{
    return view->map == NULL ? TABLE_SERIAL_DETACHED : view->map->serial;
}

/* All relaxed: hints, but for those who have the lock. */
static bool sweep_due(const struct sweep *sweep, const struct view *view)
{
    return atomic_load_explicit(&sweep->clean_changes, memory_order_relaxed) != view_changes(view) ||
           atomic_load_explicit(&sweep->clean_serial, memory_order_relaxed) != view_serial(view) ||
           view->now_ms >= atomic_load_explicit(&sweep->due_ms, memory_order_relaxed);
}

void sweep_note(quash_cache *cache, const struct entry *entry)
{
    uint64_t goes_ms = cache->fail_safe_ms == 0 ? atomic_load_explicit(&entry->deadline_ms, memory_order_relaxed)
                                                : entry_stale_until_ms(entry, cache->fail_safe_ms);
    uint64_t due_ms = atomic_load_explicit(&cache->sweep.due_ms, memory_order_relaxed);
    while (goes_ms < due_ms && !atomic_compare_exchange_weak_explicit(&cache->sweep.due_ms, &due_ms, goes_ms,
                                                                      memory_order_relaxed, memory_order_relaxed))
        ;
}

static void pass_begin(struct sweep *sweep, const struct view *view)
{
    sweep->under_way = true;
    sweep->begun++;
    sweep->shard = 0;
    sweep->slot = 0;
    /* Before any entry is judged. */
    sweep->changes = view_changes(view);
    sweep->serial = view_serial(view);
    /* What was added before this is met by the pass, what is added later notes itself. */
    atomic_store_explicit(&sweep->due_ms, EXPIRES_NEVER, memory_order_relaxed);
}

static void pass_end(struct sweep *sweep)
{
    sweep->under_way = false;
    atomic_store_explicit(&sweep->clean_changes, sweep->changes, memory_order_relaxed);
    atomic_store_explicit(&sweep->clean_serial, sweep->serial, memory_order_relaxed);
}

static void look_at(quash_cache *cache, struct shard *shard, struct entry *entry, const struct view *view,
                    struct departures *departures)
{
    enum entry_state state = entry_judge(entry, view);
    if (state == ENTRY_LIVE || cache_retains(cache, entry, state, view->now_ms)) {
        sweep_note(cache, entry);
        return;
    }
    cache->sweep.found = true;
    depart(cache, shard, entry, departure_reason(state), departures);
}

/* Looks at some slots of the shard that is next; their number, at least 1. The sweep's lock is held. */
static size_t sweep_shard(quash_cache *cache, const struct view *view, size_t max_slots, struct departures *departures)
{
    struct sweep *sweep = &cache->sweep;
    struct shard *shard = &cache->shards[sweep->shard];
    struct index_table *old_table = NULL;
    struct view then = *view;
    size_t looked = 0;
    pthread_mutex_lock(&shard->lock);
    /* Fetched again: an entry of a table that was attached meanwhile is not to be taken for one of a replaced table. */
    then.map = cache_map(cache, view);
    if (sweep->slot != 0 && sweep->rebuilds != shard->index.rebuilds)
        sweep->slot = 0;
    sweep->rebuilds = shard->index.rebuilds;
    size_t slots = index_slots(&shard->index);
    for (; looked < max_slots && sweep->slot < slots; looked++, sweep->slot++) {
        if (sweep->slot + SWEEP_AHEAD < slots)
            __builtin_prefetch(index_at(&shard->index, sweep->slot + SWEEP_AHEAD));
        struct entry *entry = index_at(&shard->index, sweep->slot);
        if (entry != NULL)
            look_at(cache, shard, entry, &then, departures);
    }
    bool done = sweep->slot >= slots;
    if (done)
        index_shrink(&shard->index, &old_table);
    pthread_mutex_unlock(&shard->lock);
    if (old_table != NULL)
        reclaim_retire_block(&old_table->retired);
    if (done) {
        sweep->slot = 0;
        if (++sweep->shard == SHARD_COUNT)
            pass_end(sweep);
    }
    /* An empty shard costs something too. */
    return looked == 0 ? 1 : looked;
}

/* Goes on for `max_slots` slots, or to the end of a pass. */
static void sweep_go(quash_cache *cache, const struct view *view, size_t max_slots, struct departures *departures)
{
    struct sweep *sweep = &cache->sweep;
    if (!sweep->under_way && sweep_due(sweep, view))
        pass_begin(sweep, view);
    while (sweep->under_way && max_slots > 0) {
        size_t looked = sweep_shard(cache, view, max_slots < SWEEP_SLOTS ? max_slots : SWEEP_SLOTS, departures);
        max_slots -= looked;
    }
}

void sweep_some(quash_cache *cache, const struct view *view, struct departures *departures)
{
    if (!sweep_due(&cache->sweep, view) || pthread_mutex_trylock(&cache->sweep.lock) != 0)
        return;
    sweep_go(cache, view, SWEEP_SOME, departures);
    pthread_mutex_unlock(&cache->sweep.lock);
}

void sweep_all(quash_cache *cache, const struct view *view, struct departures *departures)
{
    pthread_mutex_lock(&cache->sweep.lock);
    sweep_go(cache, view, SIZE_MAX, departures);
    /* If that was the end of a pass that had begun earlier, it may have gone past some. */
    sweep_go(cache, view, SIZE_MAX, departures);
    pthread_mutex_unlock(&cache->sweep.lock);
}

bool sweep_slice(quash_cache *cache, size_t max_slots)
{
    struct view view = cache_view(cache);
    struct departures departures = {{NULL}};
    struct sweep *sweep = &cache->sweep;
    pthread_mutex_lock(&sweep->lock);
    /* A pass that is under way may have gone past what has died since it began. */
    if (sweep->round_end == 0)
        sweep->round_end = sweep->begun + 1;
    sweep_go(cache, &view, max_slots, &departures);
    /* Not "until nothing is due": while entries die all the time, that never comes. */
    bool more = sweep->under_way ? sweep->begun <= sweep->round_end
                                 : sweep->begun < sweep->round_end && sweep_due(sweep, &view);
    if (!more)
        sweep->round_end = 0;
    bool free_now = !sweep->under_way && sweep->found;
    if (free_now)
        sweep->found = false;
    pthread_mutex_unlock(&sweep->lock);
    departures_finish(cache, &departures);
    if (free_now)
        reclaim_now();
    return more;
}

bool quash_cache_maintain(quash_cache *cache, size_t max_entries)
{
    return cache != NULL && sweep_slice(cache, max_entries);
}
