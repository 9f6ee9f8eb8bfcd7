/*
 * token.h - the inside of a change token, shared by quash_token (token.c), the cache's fills and its entries.
 *
 *     struct token_head                    what a check needs, and all that an entry keeps besides the hashes
 *     hashes: [ `*` | the groups' own and their kinds', each once, in the order they were added ]
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

/* `*`, and for each group its own hash and its kind's. */
#define TOKEN_HASHES_MAX (1 + 2 * QUASH_TOKEN_GROUPS_MAX)

struct token_head {
    uint64_t incarnation; /* 0: the stamp was taken while detached */
    uint64_t stamp;
    /* The count of changes at which the token was last found good: while that stands, a check costs one load. The only
     * field that changes while a token is shared. Relaxed is enough: whatever any checker stores is true, and it is
     * compared, never used to reach other memory. */
    _Atomic uint64_t validated;
    uint32_t hash_count;
    bool ended; /* changed whatever the table says: the stamp is of a table that was not, or no longer, attached when
                 * the token was made, or a group could not be named */
};

struct token {
    struct token_head head;
    uint64_t seed;
    uint32_t groups; /* named with token_add, without repeats */
    uint64_t hash[TOKEN_HASHES_MAX];
};

/* The mapping to stamp with and to check against: the current one; NULL while detached, and also while the current one
 * has ended and its successor is not there yet. */
const struct table_map *token_map(quash_table *table);

/* Takes the stamp; no groups but `*`. */
void token_init(struct token *token, const struct table_map *map);

/* The same with a stamp that was handed out earlier. One that `map` cannot have handed out counts as changed. */
void token_init_at(struct token *token, const struct table_map *map, quash_stamp stamp);

/* As quash_token_add. */
quash_status token_add(struct token *token, const char *group);

/* As quash_token_check. `hashes` are the `head->hash_count` ones that go with the head. */
quash_change token_check(struct token_head *head, const uint64_t *hashes, const struct table_map *map);

/* Copies a head that other threads may be checking. */
void token_head_copy(struct token_head *to, const struct token_head *from);

/* The table of a public token, and its inside. */
quash_table *token_table(const quash_token *token);
const struct token *token_inside(const quash_token *token);

#endif
