/*
 * insert.h - adding an entry to a cache: room, then the place.
 */
#ifndef QUASH_SRC_INSERT_H
#define QUASH_SRC_INSERT_H

#include "cache.h"

struct insertion {
    struct entry *entry;
    size_t charge;
    quash_status room;       /* QUASH_OK, QUASH_TOO_LARGE, QUASH_NO_ROOM, QUASH_NO_MEMORY */
    bool reserved;           /* `charge` is reserved in the policy */
    enum policy_queue queue; /* of the key's old entry that has made way in the policy, and its uses */
    unsigned uses;
    struct index_table *old_table; /* to be retired by insert_end */
};

/* 1. */
struct insertion insert_start(const quash_cache *cache, struct entry *entry);

/* Whether it is better to make room at once than to find out in step 2. */
bool insert_wants_room(const quash_cache *cache, const struct insertion *insertion);

/* Without a lock: evicts what is needed, and reserves the room. */
void insert_make_room(quash_cache *cache, const struct key *key, struct insertion *insertion, const struct view *view,
                      struct departures *departures);

enum insert_result {
    INSERT_KEPT,
    INSERT_DROPPED, /* not kept: as told, or insertion->room says why */
    INSERT_AGAIN    /* there is no room: insert_make_room after the unlock, then this step once more */
};

/* 2. Under the shard's lock: links the entry, in the place of the key's old one. If `keep` is false, or there can be no
 * room, gives back what was reserved, and drops the old entry if `drop_old`, or if it has already made way. */
enum insert_result insert_settle(quash_cache *cache, struct shard *shard, const struct key *key,
                                 struct insertion *insertion, bool keep, bool drop_old, struct departures *departures);

/* 3. After the unlock. */
void insert_end(struct insertion *insertion);

/* Evicts until the cache is within its bound. POLICY_NO_ROOM: what is left may not be evicted. */
enum policy_room insert_trim(quash_cache *cache, struct reader *reader, const struct view *view,
                             struct departures *departures);

/* Another bound from now on; what is over it stays until insert_trim. */
void insert_bound(quash_cache *cache, size_t max_bytes);

#endif
