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
    uint64_t all_hash; /* of `*` with this table's seed */
    uint32_t serial;   /* which of its handle's mappings this is: TABLE_SERIAL_FIRST, and up */
    size_t bytes;
    dev_t device; /* with `inode`, which file this is; both 0 for a private table */
    ino_t inode;
    bool same_boot; /* made since the kernel started: else its clock readings mean nothing */
    bool writable;
    struct table_map *older; /* the one this replaced; the handle unmaps them all when it is closed */
};

/* Serials below TABLE_SERIAL_FIRST belong to no mapping. */
#define TABLE_SERIAL_DETACHED 0u /* of a stamp that was taken while no table was attached */
#define TABLE_SERIAL_ENDED    1u /* of a stamp that no mapping of the handle can answer for */
#define TABLE_SERIAL_FIRST    2u

/*
 * The current mapping, or NULL while detached. Costs three loads and a reading of the coarse clock. One caller in every
 * 250 ms (20 ms while there is no table or a retired one) also looks at the path, so that a successor is attached, and
 * a table that was replaced without being retired (its worker was killed, its file removed) is noticed.
 */
const struct table_map *table_current(quash_table *table);

/* What a handle begins with, for table_peek. */
struct table_front {
    _Atomic(struct table_map *) current; /* NULL while detached */
    _Atomic uint64_t looked_ms;          /* when a check last looked at the path */
    uint64_t look_every_ms;              /* while a table is attached; UINT64_MAX unless it follows a path */
};

/* The same for a caller that has read the coarse clock, and that notices by itself when the mapping has been retired:
 * three loads and a comparison. */
static inline const struct table_map *table_peek(quash_table *table, uint64_t coarse_ms)
{
    const struct table_front *front = (const struct table_front *)table;
    /* Acquire pairs with table_publish. */
    const struct table_map *map = atomic_load_explicit(&front->current, memory_order_acquire);
    if (map != NULL && coarse_ms - atomic_load_explicit(&front->looked_ms, memory_order_relaxed) < front->look_every_ms)
        return map;
    return table_current(table);
}

/* `changes`, to be read before the groups are checked; pairs with the release when map_cancel and table_map_retire
 * advance it. */
static inline uint64_t table_map_changes(const struct table_map *map)
{
    return atomic_load_explicit(&map->header->changes, memory_order_acquire);
}

/* Whether the table has ended for good. */
static inline bool table_map_retired(const struct table_map *map)
{
    /* Pairs with the store in table_map_retire. Acquire, so that a look at the path afterwards finds what was put there
     * before, if anything was. */
    return atomic_load_explicit(&map->header->retired, memory_order_acquire) != 0;
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

/* Sleeps while `changes` is `seen`: until a cancellation, the table's end, a table_map_wake by anybody, a signal, or
 * for no reason; at most `time_ns`, and never more than a second, after which the caller is to look at the path
 * (table_current), since a table that was replaced without being retired wakes nobody. Needs no write access. */
void table_map_wait(const struct table_map *map, uint64_t seen, uint64_t time_ns);

/* Wakes all who sleep in table_map_wait, in every process; they find that nothing has changed. Needs no write access.
 * Whoever is about to sleep but does not yet is missed: sleeper.h is for those who must not be. */
void table_map_wake(const struct table_map *map);

/* Whether any of the groups behind `hashes` was cancelled after `stamp`, or the table retired. */
enum table_verdict table_map_check(const struct table_map *map, const uint64_t *hashes, size_t count, uint64_t stamp);

#endif
