/*
 * lookup.h - finding a key's entry without a lock.
 */
#ifndef QUASH_SRC_LOOKUP_H
#define QUASH_SRC_LOOKUP_H

#include "cache.h"

struct lookup {
    enum entry_state state;
    quash_entry *held;   /* acquired; NULL unless the entry is live, or is dead but may stand in for a failed load */
    struct entry *entry; /* the same */
};

struct lookup lookup(quash_cache *cache, struct reader *reader, const struct key *key, const struct view *view);

/* A look under the shard's lock, which is locked when this returns; *view is set to what was current. What is dead and
 * may not stand in is taken out, and told, before the lock is taken for the last time: who is told may well load the
 * key anew, and must not find a flight that the caller is about to start. Nothing is acquired: `entry` is the live one,
 * or one that may stand in; else NULL, and `state` says what was there. */
struct lookup lookup_locked(quash_cache *cache, struct shard *shard, const struct key *key, struct view *view);

static inline bool entry_is_absent(const struct entry *entry)
{
    return entry->flags & ENTRY_IS_ABSENT;
}

/* What a lookup counts as that is answered with a live entry. */
static inline unsigned stats_hit(const struct entry *entry)
{
    return entry_is_absent(entry) ? COUNT_HITS_ABSENT : COUNT_HITS;
}

/* It is live only because a load has failed a moment ago. */
static inline bool entry_stood_in(const struct entry *entry)
{
    return atomic_load_explicit(&entry->marks, memory_order_relaxed) & ENTRY_STOOD_IN;
}

#endif
