/*
 * table_probe.h - asking a table about one group by name, as a token would, and what else its tests share.
 */
#ifndef QUASH_TESTS_TABLE_PROBE_H
#define QUASH_TESTS_TABLE_PROBE_H

#include <stdint.h>

#include <quash/table.h>

#include "group.h"
#include "table.h"

static inline enum table_verdict probe_map(const struct table_map *map, const char *group, uint64_t stamp)
{
    uint64_t hash = group_hash(group, group_length(group), map->seed);
    return table_map_check(map, &hash, 1, stamp);
}

static inline enum table_verdict probe(quash_table *table, const char *group, uint64_t stamp)
{
    return probe_map(table_current(table), group, stamp);
}

static inline uint64_t sequence(quash_table *table)
{
    return quash_table_stamp(table).sequence;
}

/* Long tests do a part of their rounds where every access costs many times as much. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define ROUNDS(n) ((n) / 20)
#else
#define ROUNDS(n) (n)
#endif

#endif
