/*
 * token.h - the inside of a change token, shared by quash_token (token.c) and the cache's fills; an entry keeps the
 * same in fewer bytes (entry.h, judge.h).
 *
 * The stamp belongs to one incarnation of a table, and so do the hashes, since each table has a seed of its own: once
 * the handle has moved to another incarnation, the token has changed for good. The seed is kept with the token, so
 * that groups can be added whatever has become of the table meanwhile.
 *
 * Callers fetch the mapping themselves (token_map) and pass it in: one fetched after a lookup began is what the
 * lookup's promise needs, and fetching it may look at the file system, which is better not done under a lock that
 * hits take.
 */
#ifndef QUASH_SRC_TOKEN_H
#define QUASH_SRC_TOKEN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <quash/token.h>

#include "table.h"

struct token {
    uint64_t incarnation; /* 0: the stamp was taken while detached */
    uint64_t stamp;
    uint32_t serial; /* of the mapping that it belongs to, among those of the table's handle */
    /* The count of changes at which the token was last found good: while that stands, a check costs one load. The only
     * field that changes while a token is shared. Relaxed is enough: whatever any checker stores is true, and it is
     * compared, never used to reach other memory. */
    _Atomic uint64_t validated;
    uint64_t stamped; /* the count just before the stamp was taken: at that, it is good whatever groups are added */
    uint64_t seed;
    uint64_t all; /* hash of `*` */
    uint32_t groups;
    bool ended; /* changed whatever the table says: the stamp is of a table that was not, or no longer, attached when
                 * the token was made, or a group could not be named */
    bool has_kind[QUASH_TOKEN_GROUPS_MAX];
    uint64_t group[QUASH_TOKEN_GROUPS_MAX];
    uint64_t kind[QUASH_TOKEN_GROUPS_MAX]; /* hash of the `kind:*` that group implies, if has_kind */
};

/* No table reaches this count: a table has fewer stamps than that to hand out. */
#define NEVER_VALIDATED UINT64_MAX

/* The mapping to stamp with and to check against: the current one; NULL while detached, and also while the current one
 * has ended and its successor is not there yet. */
const struct table_map *token_map(quash_table *table);

/* Takes the stamp; no groups but `*`. */
void token_init(struct token *token, const struct table_map *map);

/* The same with a stamp that was handed out earlier. One that `map` cannot have handed out counts as changed. */
void token_init_at(struct token *token, const struct table_map *map, quash_stamp stamp);

/* As quash_token_add. */
quash_status token_add(struct token *token, const char *group);

/* As quash_token_check. */
quash_change token_check(struct token *token, const struct table_map *map);

/* Copies a token that other threads may be checking. */
void token_copy(struct token *to, const struct token *from);

/* The table of a public token, and its inside. */
quash_table *token_table(const quash_token *token);
const struct token *token_inside(const quash_token *token);

#endif
