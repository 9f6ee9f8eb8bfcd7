/*
 * table_cancel.c - the writer's algorithm, and the end of a table.
 *
 * cancel(group), in this order:
 *
 *   1. stamp = ++sequence. Whoever takes a stamp from now on reads data that the caller wrote before it cancelled.
 *   2. A slot with the group's tag and a lower stamp is raised by CAS, never lowered: of two writers that race on one
 *      group the later stamp stays. One that holds a later stamp already says more than this cancel would.
 *   3. With no such slot, the one with the lowest stamp is taken: first `floor` is raised to that stamp, then the slot
 *      is replaced by CAS. In the other order a reader could find neither the old tag nor the floor that stands for it.
 *   4. A lost CAS means another writer was here: start over at 2, with the same stamp.
 *   5. ++changes, and wake. Readers that trust the count look at their groups again. In a batch this comes once, after
 *      the last slot, by the number of groups.
 *
 * A writer that is killed after 1 to 4 has left nothing that hides an older cancel: a stamp that was not used, a floor
 * that is higher than it need be, or a cancel that took place but was not announced; whoever ordered it never heard
 * that it was done and orders it again.
 *
 * Lock-free: a CAS is lost only to a writer that has moved on.
 */
#include <stddef.h>

#include "group.h"
#include "table_handle.h"

/* What step 2 found, and what step 3 would take. */
struct scan {
    int match; /* the slot with the tag, of several the one with the latest stamp; -1: none */
    uint64_t match_word;
    unsigned lowest;
    uint64_t lowest_word;
};

static struct scan scan_bucket(const struct bucket *bucket, uint64_t tag)
{
    struct scan scan = {.match = -1};
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        /* Acquire pairs with the CAS of whoever wrote it: if this cancel ends because another's stamp is later, what
         * that one did counts as done before this one's `++changes`. */
        uint64_t word = atomic_load_explicit(&bucket->slot[i], memory_order_acquire);
        uint64_t stamp = word & SLOT_STAMP_MAX;
        /* An empty slot matches tag 0 as if cancelled at stamp 0, which is never: that is a good place for it. */
        if (word >> SLOT_STAMP_BITS == tag && (scan.match < 0 || stamp > (scan.match_word & SLOT_STAMP_MAX))) {
            scan.match = (int)i;
            scan.match_word = word;
        }
        if (i == 0 || stamp < (scan.lowest_word & SLOT_STAMP_MAX)) {
            scan.lowest = i;
            scan.lowest_word = word;
        }
    }
    return scan;
}

static bool replace_slot(struct bucket *bucket, unsigned slot, uint64_t expected, uint64_t word)
{
    /* Release pairs with the acquire loads of slots: the raised floor comes with it. A read-modify-write, so that all
     * earlier releases of this slot stay visible through it. */
    return atomic_compare_exchange_strong_explicit(&bucket->slot[slot], &expected, word, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

static void raise_floor(struct bucket *bucket, uint64_t stamp)
{
    /* Relaxed throughout: the slot's CAS, which follows, publishes it. Also when another writer has raised it already:
     * what was read here cannot be newer than what a reader sees who has seen that CAS. */
    uint64_t floor = atomic_load_explicit(&bucket->floor, memory_order_relaxed);
    while (floor < stamp && !atomic_compare_exchange_weak_explicit(&bucket->floor, &floor, stamp, memory_order_relaxed,
                                                                   memory_order_relaxed))
        ;
}

static void cancel_hash(const struct table_map *map, uint64_t hash, uint64_t stamp)
{
    struct bucket *bucket = &map->buckets[hash & map->bucket_mask];
    const uint64_t tag = hash >> SLOT_STAMP_BITS;
    const uint64_t word = tag << SLOT_STAMP_BITS | stamp;
    for (;;) {
        struct scan scan = scan_bucket(bucket, tag);
        if (scan.match >= 0) {
            if ((scan.match_word & SLOT_STAMP_MAX) >= stamp)
                return;
            if (replace_slot(bucket, (unsigned)scan.match, scan.match_word, word))
                return;
        } else {
            raise_floor(bucket, scan.lowest_word & SLOT_STAMP_MAX);
            if (replace_slot(bucket, scan.lowest, scan.lowest_word, word))
                return;
        }
    }
}

static void announce(const struct table_map *map, uint64_t count)
{
    /* Release pairs with table_map_changes: whoever sees the new count sees the slots behind it (or `retired`). */
    atomic_fetch_add_explicit(&map->header->changes, count, memory_order_acq_rel);
    table_map_wake(map);
}

void table_map_retire(const struct table_map *map)
{
    /* Release pairs with table_map_retired. */
    atomic_store_explicit(&map->header->retired, 1, memory_order_release);
    announce(map, 1);
}

/* Takes `count` stamps in a row, *first and up. False when a slot could not hold them all: no stamp ever wraps. */
static bool take_stamps(const struct table_map *map, uint64_t count, uint64_t *first)
{
    /* Looked at beforehand, so that the sequence stays near its end however often this is tried there. */
    uint64_t sequence = atomic_load_explicit(&map->header->sequence, memory_order_relaxed);
    if (count > SLOT_STAMP_MAX || sequence > SLOT_STAMP_MAX - count)
        return false;
    /* Release pairs with table_map_sequence: whoever takes this stamp or a later one reads, after that, data that is
     * no older than this call. Acquire keeps the slots' changes behind it. */
    sequence = atomic_fetch_add_explicit(&map->header->sequence, count, memory_order_acq_rel);
    if (sequence > SLOT_STAMP_MAX - count)
        return false;
    *first = sequence + 1;
    return true;
}

static quash_status map_cancel(const struct table_map *map, const char *const *groups, size_t count)
{
    uint64_t stamp;
    if (!take_stamps(map, count, &stamp)) {
        /* A cancel that cannot be recorded may not leave its group looking unchanged. */
        if (!table_map_retired(map))
            table_map_retire(map);
        return QUASH_EXHAUSTED;
    }
    for (size_t i = 0; i < count; i++)
        cancel_hash(map, group_hash(groups[i], group_length(groups[i]), map->seed), stamp + i);
    announce(map, count);
    return QUASH_OK;
}

quash_status quash_table_cancel_batch(quash_table *table, const char *const *groups, size_t count)
{
    if (table == NULL || (groups == NULL && count > 0))
        return QUASH_INVALID;
    for (size_t i = 0; i < count; i++)
        if (group_length(groups[i]) == 0)
            return QUASH_INVALID;
    if (table->role == TABLE_FOLLOWER && !table->access.writable)
        return QUASH_READ_ONLY;

    const struct table_map *map = table_current(table);
    if (map == NULL && table_moved_on(table, NULL))
        map = table_current(table);
    if (map == NULL)
        return QUASH_DETACHED;
    if (count == 0)
        return QUASH_OK;

    /*
     * A cancel in a table that others have left already would be lost on them. A successor gets its name only after
     * its predecessor was retired, so: if this table is neither retired nor replaced now, then whoever stamps in a
     * successor does so later than now, and reads data no older than this cancel. Otherwise the successor has to know.
     */
    for (;;) {
        quash_status status = map_cancel(map, groups, count);
        if (!table_moved_on(table, map))
            return status;
        map = table_current(table);
        if (map == NULL)
            return status;
    }
}

quash_status quash_table_cancel(quash_table *table, const char *group)
{
    return quash_table_cancel_batch(table, &group, 1);
}
