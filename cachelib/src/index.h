/*
 * index.h - the entries of one shard by key: buckets of one cache line, read without a lock.
 *
 *     table ─► [ bucket | bucket | ... ]     bucket: 8 slots of 64 bits
 *     slot:    16-bit tag of the key's hash, 48-bit address of the entry; 0: empty; 1: a tombstone
 *
 * An entry is in the first bucket with room, from its home bucket on, around the end; and in there in the first slot
 * with room. So a bucket whose last slot is empty has never been full, no entry has ever gone past it, and a search
 * ends there. What is taken out of any other bucket leaves a tombstone, so its last slot is never empty again. Nothing
 * is ever moved: when slots run short, or tombstones are many, a new table is filled and published, and the old one is
 * retired.
 *
 * Writers hold the shard's lock. Readers are between reader_enter and reader_leave (reclaim.h). A reader that still has
 * the old table finds what was in it when it was replaced: as if its search had come first.
 *
 * Of the key's 64-bit hash, the low 32 bits are kept in the entry: the top 6 of these choose the shard (cache.h), the
 * other 26 the home bucket. Bits 32 to 47 are the tag.
 */
#ifndef QUASH_SRC_INDEX_H
#define QUASH_SRC_INDEX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "entry.h"
#include "tags.h"

#define INDEX_SHARD_BITS   6u
#define INDEX_BUCKET_SLOTS 8u

#define INDEX_EMPTY     UINT64_C(0)
#define INDEX_TOMBSTONE UINT64_C(1)

#define INDEX_ADDRESS_BITS 48
#define INDEX_ADDRESS_MASK ((UINT64_C(1) << INDEX_ADDRESS_BITS) - 1)

struct index_bucket {
    _Atomic uint64_t slot[INDEX_BUCKET_SLOTS];
};

static_assert(INDEX_BUCKET_SLOTS == TAGS_WORDS && INDEX_ADDRESS_BITS == TAGS_SHIFT,
              "a bucket is what tags_match takes");

struct index_table {
    struct retired retired;       /* first: how the reclaimer sees it */
    uint32_t bucket_count;        /* at least 1; any number */
    struct index_bucket *buckets; /* aligned to a cache line, in the same block of memory */
};

struct index {
    /* For searches: where the table's buckets are and how many, in one word, so that a search need not read the table
     * itself first (see index_span). 0 while nothing has ever been added. */
    _Atomic uint64_t span;
    _Atomic(struct index_table *) table; /* the same; for all others */
    size_t entries;                      /* this and what follows: under the shard's lock */
    size_t tombstones;
    uint64_t rebuilds; /* slots mean something else after each */
};

void index_init(struct index *index);
/* No entries may be left, nor readers. */
void index_fini(struct index *index);

static inline uint32_t index_home(uint32_t hash, uint32_t bucket_count)
{
    return (uint32_t)(((uint64_t)(hash << INDEX_SHARD_BITS) * bucket_count) >> 32);
}

/* The address of the buckets is in the middle 42 bits; their number is the top 16 bits shifted left by the lowest 6. So
 * above 65,535 buckets not every number can be had. */
#define INDEX_SPAN_ADDRESS (INDEX_ADDRESS_MASK & ~UINT64_C(63))

static inline const struct index_bucket *index_span_buckets(uint64_t span)
{
    return (const struct index_bucket *)(uintptr_t)(span & INDEX_SPAN_ADDRESS);
}

static inline uint32_t index_span_count(uint64_t span)
{
    return (uint32_t)(span >> INDEX_ADDRESS_BITS) << (span & 31);
}

static inline uint64_t index_tag(uint64_t hash)
{
    return hash >> 32 & 0xffff;
}

static inline struct entry *index_slot_entry(uint64_t word)
{
    return (struct entry *)(uintptr_t)(word & INDEX_ADDRESS_MASK);
}

/* The entry of a key, or NULL. For readers, and for writers under the lock. */
static inline __attribute__((always_inline)) struct entry *index_find(const struct index *index, const struct key *key)
{
    /* Acquire pairs with the release that published the table: its slots come with it. */
    const uint64_t span = atomic_load_explicit(&index->span, memory_order_acquire);
    const struct index_bucket *buckets = index_span_buckets(span);
    const uint32_t bucket_count = index_span_count(span);
    uint32_t at = index_home((uint32_t)key->hash, bucket_count);
    for (uint32_t i = 0; i < bucket_count; i++) {
        const struct index_bucket *bucket = &buckets[at];
        unsigned matches = tags_match(bucket->slot, index_tag(key->hash));
        for (; matches != 0; matches &= matches - 1) {
            /* Acquire pairs with the release that put the entry there: its contents come with it. */
            uint64_t word = atomic_load_explicit(&bucket->slot[__builtin_ctz(matches)], memory_order_acquire);
            struct entry *entry = index_slot_entry(word);
            if (word <= INDEX_TOMBSTONE)
                continue;
            /* A match is nearly always right, and then these are read next (entry.h). */
            __builtin_prefetch((const char *)entry + 64);
            __builtin_prefetch((const char *)entry + 128);
            if (entry_has_key(entry, key))
                return entry;
        }
        /* Relaxed: if the entry was added before this search began, so was what filled this bucket before it. */
        if (atomic_load_explicit(&bucket->slot[INDEX_BUCKET_SLOTS - 1], memory_order_relaxed) == INDEX_EMPTY)
            return NULL;
        at = at + 1 == bucket_count ? 0 : at + 1;
    }
    return NULL;
}

/* Makes sure that one more entry can be added; the only place that needs memory. False without. The lock is held;
 * *old (may be set to NULL) is the table that was replaced, to be given to reclaim_retire_block after the unlock. */
bool index_reserve(struct index *index, struct index_table **old);

/* Gives back memory when the entries have become few for the table; for maintenance. The lock is held; *old as above.
 * Without memory, or where there is nothing to gain, nothing happens. */
void index_shrink(struct index *index, struct index_table **old);

/* Adds an entry, after index_reserve; none of its key may be there. `hash` is the key's. */
void index_add(struct index *index, struct entry *entry, uint64_t hash);

/* Puts `entry` in the place of `old`, of the same key, with one store. `old` must be there. */
void index_replace(struct index *index, struct entry *old, struct entry *entry, uint64_t hash);

/* Takes this entry out. False: it is not there (any more). */
bool index_remove(struct index *index, const struct entry *entry);

/* The number of slots, and the entry in one of them or NULL: for walks under the lock. */
size_t index_slots(const struct index *index);
struct entry *index_at(const struct index *index, size_t slot);

#endif
