/*
 * table.h - what the rest of the library needs of a table, beyond the public header: the mapping that a handle has at
 * the moment, and the check of hashes against it.
 *
 * A `struct table_map` is immutable and lives until its handle is closed, also after it was replaced, so a reader may
 * go on with one it fetched without holding anything.
 */
#ifndef QUASH_SRC_TABLE_H
#define QUASH_SRC_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <quash/table.h>

#include "layout.h"

struct table_map {
    struct table_header *header; /* mapped read-only unless `writable`: then nobody may store through this */
    struct bucket *buckets;
    uint64_t bucket_mask;
    uint64_t seed;
    uint64_t incarnation;
    size_t bytes;
    dev_t device; /* with `inode`, which file this is; both 0 for a private table */
    ino_t inode;
    bool same_boot; /* made since the kernel started: else its clock readings mean nothing */
    bool writable;
    struct table_map *older; /* the one this replaced; the handle unmaps them all when it is closed */
};

/*
 * The current mapping, or NULL while detached. Costs three loads and a reading of the coarse clock. One caller in every
 * 250 ms (20 ms while there is no table or a retired one) also looks at the path, so that a successor is attached, and
 * a table that was replaced without being retired (its worker was killed, its file removed) is noticed.
 */
const struct table_map *table_current(quash_table *table);

/* `changes`, to be read before the groups are checked; pairs with the release when map_cancel and table_map_retire
 * advance it. */
static inline uint64_t table_map_changes(const struct table_map *map)
{
    return atomic_load_explicit(&map->header->changes, memory_order_acquire);
}

/* A stamp that a fill may use: pairs with map_cancel's fetch-add. Whoever sees a cancellation's stamp here reads, from
 * now on, what had been written before that cancellation began. */
static inline uint64_t table_map_sequence(const struct table_map *map)
{
    return atomic_load_explicit(&map->header->sequence, memory_order_acquire);
}

enum table_verdict {
    TABLE_UNCHANGED,
    TABLE_CHANGED,    /* a slot with the group's tag is later than the stamp */
    TABLE_COLLATERAL, /* only the floor is later: the group may have been pushed out */
    TABLE_RETIRED     /* the whole table has ended */
};

/* Whether any of the groups behind `hashes` was cancelled after `stamp`, or the table retired. */
enum table_verdict table_map_check(const struct table_map *map, const uint64_t *hashes, size_t count, uint64_t stamp);

#endif
