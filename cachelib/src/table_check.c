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

static enum table_verdict check_hash(const struct table_map *map, uint64_t hash, uint64_t stamp)
{
    const struct bucket *bucket = &map->buckets[hash & map->bucket_mask];
    const uint64_t tag = hash >> SLOT_STAMP_BITS;
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        /* Acquire pairs with the CAS of replace_slot: the floor that was raised before it is seen below. */
        uint64_t slot = atomic_load_explicit(&bucket->slot[i], memory_order_acquire);
        if (slot >> SLOT_STAMP_BITS == tag && (slot & SLOT_STAMP_MAX) > stamp)
            return TABLE_CHANGED;
    }
    /* Ordered after the slots by their acquire; nothing is reached through this value. */
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
