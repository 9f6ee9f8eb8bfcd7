/*
 * policy.h - which entry goes when there is no room: S3-FIFO (Yang, Zhang, Qiu, Yue, Vinayak: "FIFO queues are all you
 * need for cache eviction", SOSP '23), by bytes, once for each priority.
 *
 *     new keys ─► fresh ─► small ─ used twice ─► main ─ not used since it was last passed ─► out
 *                 1/100    1/10      └─ else ─► out, and the ghost remembers its key for a while: if it is back before
 *                                               then, it goes to main at once
 *
 * `fresh` and `small` together hold a tenth. `fresh` is not in the paper: uses that come while an entry is among the
 * newest hundredth count as one, since a burst of them is one piece of work, and does not say that the key will be
 * wanted again ("correlated references" in 2Q, VLDB '94). docs/cache.md has the miss ratios with it and without.
 *
 * A hit only raises the entry's `uses` (entry.h); nothing is moved and no lock is taken. All low entries go before any
 * normal one, those before any high one; the never-removed are in no queue that is evicted from. The shares are those
 * of the bytes that the entries of a priority have now.
 *
 * The policy counts `bytes`: the entries in its queues, and what was reserved for entries that are on their way in. It
 * never exceeds max_bytes except after policy_resize. All of it is under the cache's policy lock.
 *
 * An entry that the policy gives up to be evicted is in no queue any more, but still in the index: the caller takes it
 * out there, under the shard's lock, and may find that somebody else was faster. It must have entered an epoch
 * (reclaim.h) before it asks for victims, and must leave it after it has seen the last of them. The links of an entry
 * that is in no queue are not touched.
 */
#ifndef QUASH_SRC_POLICY_H
#define QUASH_SRC_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "entry.h"
#include "ghost.h"

enum policy_queue {
    POLICY_NONE = 0, /* in no queue, and not counted */
    POLICY_FRESH,
    POLICY_SMALL,
    POLICY_MAIN,
    POLICY_NEVER
};

struct policy_list {
    struct entry *newest;
    struct entry *oldest;
    size_t entries;
    size_t bytes;
};

struct policy_class {
    struct policy_list fresh;
    struct policy_list small;
    struct policy_list main;
};

#define POLICY_CLASSES 3u /* low, normal, high: evicted in this order */

struct policy {
    size_t max_bytes;
    size_t bytes;    /* in the queues, and reserved */
    size_t reserved; /* of these, on their way in: cannot be evicted */
    struct policy_class classes[POLICY_CLASSES];
    struct policy_list never;
    struct ghost ghost;
};

void policy_init(struct policy *policy, size_t max_bytes);
/* The queues must be empty. */
void policy_fini(struct policy *policy);

/* How many victims one call gives up at most; so the caller can keep them in an array. */
#define POLICY_VICTIMS 16u

struct policy_victims {
    struct entry *entry[POLICY_VICTIMS];
    size_t count;
};

enum policy_room {
    POLICY_ROOM,    /* `charge` bytes are reserved */
    POLICY_MORE,    /* the array is full: evict these and ask again */
    POLICY_NO_ROOM, /* it cannot be had by evicting; nothing was reserved or evicted */
};

/* How many used entries one call passes over before it takes the oldest, used or not: so the lock is not held for long
 * when everything has been used, as it is when a cache has just been warmed up. */
#define POLICY_PASSES 512u

/* Makes room for an entry of `charge` bytes. `victims` is set, also with POLICY_ROOM and POLICY_NO_ROOM. */
enum policy_room policy_reserve(struct policy *policy, size_t charge, struct policy_victims *victims);

/* Gives back what was reserved. */
void policy_unreserve(struct policy *policy, size_t charge);

/* Adds an entry for which room was reserved, and which is in no queue. policy_add: none of its key was there before, so
 * the ghost is asked. policy_add_instead: it replaces one that was in `queue`, and joins that queue of its own priority
 * at the newest end, with the uses that the other had. */
void policy_add(struct policy *policy, struct entry *entry);
void policy_add_instead(struct policy *policy, struct entry *entry, enum policy_queue queue, unsigned uses);

/* Puts an entry in the place of another of the same priority that is in a queue, with the uses that one had: as a hit
 * would, so an entry that is stored anew is not a newcomer. The caller has seen that there is room for the difference.
 */
void policy_replace(struct policy *policy, struct entry *old, struct entry *entry);

/* Takes an entry out of its queue. POLICY_NONE: it was in none; else the queue it was in. */
enum policy_queue policy_remove(struct policy *policy, struct entry *entry);

/* Another bound; then policy_trim gives up what is too much. POLICY_ROOM: all that was; POLICY_MORE: evict these and
 * ask again; POLICY_NO_ROOM: these are the last, and what is left may not be evicted. */
void policy_resize(struct policy *policy, size_t max_bytes);
enum policy_room policy_trim(struct policy *policy, struct policy_victims *victims);

/* The number of entries in all queues. */
size_t policy_entries(const struct policy *policy);

#endif
