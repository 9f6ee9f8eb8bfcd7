/*
 * table_check.c - the reader's algorithm: was any of these groups cancelled after that stamp?
 *
 * Two facts make it right, and both are the writer's doing (table_cancel.c):
 *  - a stamp leaves a slot only upwards (a later cancel of the same tag) or after `floor` was raised to it at least;
 *  - every change of a slot is a read-modify-write that releases, so whoever reads any later value of the slot has
 *    seen what came before, that raise of the floor included.
 * So a reader that looks at all slots first and at the floor last meets each completed cancel in one place or the
 * other: in the slot, or, if it was pushed out before the slot was read, in the floor. Looking at the floor first would
 * miss one that is pushed out in between.
 *
 * A slot with the right tag and an early stamp settles nothing: a writer that was slow may have put it there after a
 * later cancel of the same group had been pushed out, so the other slots and the floor are looked at all the same.
 * tests/model/table.pml shows what goes wrong otherwise.
 */
#include "table_handle.h"
#include "tags.h"

static_assert(sizeof(struct bucket) == TAGS_WORDS * sizeof(uint64_t), "the slots and the floor are one line");
static_assert(SLOT_STAMP_BITS == TAGS_SHIFT, "tags are where tags_match looks for them");

static enum table_verdict check_hash(const struct table_map *map, uint64_t hash, uint64_t stamp)
{
    const struct bucket *bucket = &map->buckets[hash & map->bucket_mask];
    /* The floor's own top bits are in the last place, and no slot. */
    unsigned matches =
        tags_match((const _Atomic uint64_t *)bucket, hash >> SLOT_STAMP_BITS) & ((1u << BUCKET_SLOTS) - 1);
    for (; matches != 0; matches &= matches - 1) {
        /* Whatever the slot holds by now, a later stamp under this tag is a later cancel. */
        uint64_t slot = atomic_load_explicit(&bucket->slot[__builtin_ctz(matches)], memory_order_acquire);
        if (slot >> SLOT_STAMP_BITS == hash >> SLOT_STAMP_BITS && (slot & SLOT_STAMP_MAX) > stamp)
            return TABLE_CHANGED;
    }
    /* After all slots, by the acquire of their loads; nothing is reached through this value. */
    return atomic_load_explicit(&bucket->floor, memory_order_relaxed) > stamp ? TABLE_COLLATERAL : TABLE_UNCHANGED;
}

enum table_verdict table_map_check(const struct table_map *map, const uint64_t *hashes, size_t count, uint64_t stamp)
{
    enum table_verdict verdict = TABLE_UNCHANGED;
    for (size_t i = 0; i < count; i++) {
        enum table_verdict one = check_hash(map, hashes[i], stamp);
        if (one == TABLE_CHANGED)
            return TABLE_CHANGED;
        if (one != TABLE_UNCHANGED)
            verdict = one;
    }
    /* `changes` moves when a table is retired, so whoever trusts an unmoved count need not look here. */
    return table_map_retired(map) ? TABLE_RETIRED : verdict;
}
