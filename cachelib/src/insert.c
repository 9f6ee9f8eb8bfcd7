/*
 * insert.c - new entries: room first, then the place, so that what the cache holds is never more than max_bytes.
 *
 * While there is room an insertion is one critical section: the shard's lock, and in it the policy's. Otherwise
 * insert_make_room comes before: it reserves the entry's bytes in the policy and takes out as many victims as that
 * needs. The key's old entry makes way first: it leaves the policy there already, so that no third entry is evicted for
 * a replacement, and stays in the index until it is replaced by one store; so a key that is loaded anew is never missed
 * in between.
 */
#include "insert.h"

#include <sched.h>

/* ---- Room ---- */

/* For those who want to know without the lock, whether it is worth trying. The policy's lock is held. */
static void hint_room(quash_cache *cache)
{
    const struct policy *policy = &cache->policy;
    size_t left = policy->bytes < policy->max_bytes ? policy->max_bytes - policy->bytes : 0;
    if (atomic_load_explicit(&cache->room_hint, memory_order_relaxed) != left)
        atomic_store_explicit(&cache->room_hint, left, memory_order_relaxed);
}

static void evict(quash_cache *cache, const struct policy_victims *victims, const struct view *view,
                  struct departures *departures)
{
    for (size_t i = 0; i < victims->count; i++) {
        struct entry *victim = victims->entry[i];
        struct shard *shard = cache_shard(cache, victim->hash);
        pthread_mutex_lock(&shard->lock);
        if (index_remove(&shard->index, victim)) {
            enum entry_state state = entry_judge(victim, view);
            bool retained = cache_retains(cache, victim, state, view->now_ms);
            departures_add(departures, victim, retained ? QUASH_EVICTION_CAPACITY : departure_reason(state));
        }
        pthread_mutex_unlock(&shard->lock);
    }
}

/* Ends a critical section of the policy in which victims were taken, and takes them out. `again`: what others are about
 * to do has to be waited for. */
static void unlock_and_evict(quash_cache *cache, const struct policy_victims *victims, bool again,
                             const struct view *view, struct departures *departures)
{
    hint_room(cache);
    pthread_mutex_unlock(&cache->policy_lock);
    evict(cache, victims, view, departures);
    if (again)
        sched_yield();
}

/* What others have reserved cannot be evicted until they have put their entries in its place, which they are about to:
 * nobody who has a reservation waits for one, or calls anything of the user's. So there may be room in a moment, if
 * what may never be removed leaves any. The policy's lock is held. */
static bool room_is_coming(const struct policy *policy, size_t charge)
{
    return policy->reserved != 0 && charge <= policy->max_bytes && policy->never.bytes <= policy->max_bytes - charge;
}

/* Reserves room for an insertion, evicting what must go. */
static enum policy_room reserve(quash_cache *cache, struct reader *reader, const struct key *key,
                                struct insertion *insertion, const struct view *view, struct departures *departures)
{
    reader_enter(reader);
    struct entry *old = index_find(&cache_shard(cache, key->hash)->index, key);
    struct policy_victims victims;
    enum policy_room room;
    bool again;
    do {
        pthread_mutex_lock(&cache->policy_lock);
        if (old != NULL && old->queue != POLICY_NONE) {
            insertion->uses = atomic_load_explicit(&old->uses, memory_order_relaxed);
            insertion->queue = policy_remove(&cache->policy, old);
        }
        old = NULL;
        room = policy_reserve(&cache->policy, insertion->charge, &victims);
        again = room == POLICY_NO_ROOM && room_is_coming(&cache->policy, insertion->charge);
        unlock_and_evict(cache, &victims, again, view, departures);
    } while (room == POLICY_MORE || again);
    reader_leave(reader);
    return room;
}

void insert_make_room(quash_cache *cache, const struct key *key, struct insertion *insertion, const struct view *view,
                      struct departures *departures)
{
    insert_end(insertion);
    struct reader *reader = reader_self();
    if (reader == NULL) {
        insertion->room = QUASH_NO_MEMORY;
        return;
    }
    sweep_some(cache, view, departures);
    enum policy_room room = reserve(cache, reader, key, insertion, view, departures);
    if (room == POLICY_NO_ROOM) {
        sweep_all(cache, view, departures);
        room = reserve(cache, reader, key, insertion, view, departures);
    }
    insertion->reserved = room == POLICY_ROOM;
    if (room == POLICY_NO_ROOM)
        insertion->room = QUASH_NO_ROOM;
}

struct insertion insert_start(const quash_cache *cache, struct entry *entry)
{
    struct insertion insertion = {.entry = entry, .charge = entry_charge(entry), .queue = POLICY_NONE};
    if (insertion.charge > atomic_load_explicit(&cache->max_bytes, memory_order_relaxed))
        insertion.room = QUASH_TOO_LARGE;
    return insertion;
}

bool insert_wants_room(const quash_cache *cache, const struct insertion *insertion)
{
    return insertion->room == QUASH_OK &&
           insertion->charge > atomic_load_explicit(&cache->room_hint, memory_order_relaxed);
}

void insert_bound(quash_cache *cache, size_t max_bytes)
{
    pthread_mutex_lock(&cache->policy_lock);
    policy_resize(&cache->policy, max_bytes);
    atomic_store_explicit(&cache->max_bytes, max_bytes, memory_order_relaxed);
    hint_room(cache);
    pthread_mutex_unlock(&cache->policy_lock);
}

enum policy_room insert_trim(quash_cache *cache, struct reader *reader, const struct view *view,
                             struct departures *departures)
{
    struct policy_victims victims;
    enum policy_room room;
    bool again;
    reader_enter(reader);
    do {
        pthread_mutex_lock(&cache->policy_lock);
        room = policy_trim(&cache->policy, &victims);
        again = room == POLICY_NO_ROOM && cache->policy.reserved != 0;
        unlock_and_evict(cache, &victims, again, view, departures);
    } while (room == POLICY_MORE || again);
    reader_leave(reader);
    return room;
}

/* ---- The place ---- */

/* Adds an entry that has no place to take. */
static void join_anew(struct policy *policy, struct insertion *insertion)
{
    if (!insertion->reserved) {
        struct policy_victims none;
        policy_reserve(policy, insertion->charge, &none);
    }
    if (insertion->queue == POLICY_NONE)
        policy_add(policy, insertion->entry);
    else
        policy_add_instead(policy, insertion->entry, insertion->queue, insertion->uses);
}

/* The part of an insertion that is the policy's. False: there is no room, and nothing was done. */
static bool join_policy(quash_cache *cache, struct insertion *insertion, struct entry *old)
{
    struct policy *policy = &cache->policy;
    pthread_mutex_lock(&cache->policy_lock);
    bool queued = old != NULL && old->queue != POLICY_NONE;
    size_t freed = queued ? entry_charge(old) : 0;
    bool room = insertion->reserved || (insertion->charge <= policy->max_bytes &&
                                        policy->bytes - freed <= policy->max_bytes - insertion->charge);
    if (room && queued && !insertion->reserved && entry_priority(old) == entry_priority(insertion->entry)) {
        policy_replace(policy, old, insertion->entry);
    } else if (room) {
        if (queued) {
            insertion->uses = atomic_load_explicit(&old->uses, memory_order_relaxed);
            insertion->queue = policy_remove(policy, old);
        }
        join_anew(policy, insertion);
    }
    hint_room(cache);
    pthread_mutex_unlock(&cache->policy_lock);
    return room;
}

/* Whether an entry has left the policy already: then it may not stay in the index either. */
static bool made_way(quash_cache *cache, const struct entry *entry)
{
    pthread_mutex_lock(&cache->policy_lock);
    bool made = entry->queue == POLICY_NONE;
    pthread_mutex_unlock(&cache->policy_lock);
    return made;
}

/* Ends an insertion that comes to nothing. */
static enum insert_result drop(quash_cache *cache, struct shard *shard, struct insertion *insertion, struct entry *old,
                               bool drop_old, struct departures *departures)
{
    if (insertion->reserved) {
        pthread_mutex_lock(&cache->policy_lock);
        policy_unreserve(&cache->policy, insertion->charge);
        hint_room(cache);
        pthread_mutex_unlock(&cache->policy_lock);
        insertion->reserved = false;
    }
    if (old != NULL && (drop_old || made_way(cache, old)))
        depart(cache, shard, old, QUASH_EVICTION_REPLACED, departures);
    return INSERT_DROPPED;
}

enum insert_result insert_settle(quash_cache *cache, struct shard *shard, const struct key *key,
                                 struct insertion *insertion, bool keep, bool drop_old, struct departures *departures)
{
    struct entry *entry = insertion->entry;
    struct entry *old = index_find(&shard->index, key);
    if (!keep || insertion->room != QUASH_OK)
        return drop(cache, shard, insertion, old, drop_old, departures);
    /* Replacing needs no new slot. */
    struct index_table *old_table = NULL;
    bool slot = old != NULL || index_reserve(&shard->index, &old_table);
    if (old_table != NULL)
        insertion->old_table = old_table;
    if (!slot) {
        insertion->room = QUASH_NO_MEMORY;
        return drop(cache, shard, insertion, old, drop_old, departures);
    }
    if (!join_policy(cache, insertion, old))
        return INSERT_AGAIN;
    if (old == NULL) {
        index_add(&shard->index, entry, key->hash);
    } else {
        index_replace(&shard->index, old, entry, key->hash);
        departures_add(departures, old, QUASH_EVICTION_REPLACED);
    }
    sweep_note(cache, entry);
    return INSERT_KEPT;
}

void insert_end(struct insertion *insertion)
{
    if (insertion->old_table != NULL)
        reclaim_retire_block(&insertion->old_table->retired);
    insertion->old_table = NULL;
}
