/*
 * token.c - change tokens.
 *
 * Invariant: `validated` equals the table's count of changes only if no group that the token names, or may yet name,
 * had a completed cancellation after the stamp when that count was read. Two rules keep it: the count is read before
 * the stamp (token_init) or before the groups (token_check), never after; and adding a group goes back to the
 * count of the stamp.
 *
 * Ownership: a quash_token belongs to whoever made it and borrows its table.
 */
#include <quash/token.h>

#include <stdlib.h>

#include "group.h"
#include "table.h"
#include "token.h"

struct quash_token {
    quash_table *table; /* borrowed */
    struct token token;
};

const struct table_map *token_map(quash_table *table)
{
    const struct table_map *map = table_current(table);
    return map == NULL || table_map_retired(map) ? NULL : map;
}

static void token_start(struct token *token, const struct table_map *map, quash_stamp stamp, uint64_t validated)
{
    token->incarnation = stamp.incarnation;
    token->stamp = stamp.sequence;
    token->serial = stamp.incarnation == 0 || map == NULL ? TABLE_SERIAL_DETACHED : map->serial;
    atomic_store_explicit(&token->validated, validated, memory_order_relaxed);
    token->stamped = validated;
    token->ended = false;
    token->seed = map == NULL ? 0 : map->seed;
    token->all = map == NULL ? 0 : map->all_hash;
    token->groups = 0;
}

void token_init(struct token *token, const struct table_map *map)
{
    quash_stamp stamp = {0, 0};
    uint64_t changes = NEVER_VALIDATED;
    if (map != NULL) {
        changes = table_map_changes(map);
        /* After the count, which moves when a table ends: a table that ends from here on fails the first check, one
         * that ended before must not be stamped with, since its count stands still. */
        if (table_map_retired(map))
            map = NULL;
    }
    if (map != NULL)
        stamp = (quash_stamp){map->incarnation, table_map_sequence(map)};
    token_start(token, map, stamp, changes);
}

void token_init_at(struct token *token, const struct table_map *map, quash_stamp stamp)
{
    token_start(token, map, stamp, NEVER_VALIDATED);
    token->ended = map == NULL || map->incarnation != stamp.incarnation || stamp.sequence > table_map_sequence(map);
}

quash_status token_add(struct token *token, const char *group)
{
    size_t length = group_length(group);
    if (length == 0)
        return QUASH_INVALID;
    uint64_t hash = group_hash(group, length, token->seed);
    for (uint32_t i = 0; i < token->groups; i++)
        if (token->group[i] == hash)
            return QUASH_OK;
    if (token->groups == QUASH_TOKEN_GROUPS_MAX)
        return QUASH_TOO_MANY;

    uint32_t at = token->groups++;
    token->group[at] = hash;
    token->has_kind[at] = group_kind_hash(group, length, token->seed, &token->kind[at]);
    /* A later count says nothing about a group that was not among those checked. */
    atomic_store_explicit(&token->validated, token->stamped, memory_order_relaxed);
    return QUASH_OK;
}

/* All the hashes that the token stands for. Their number. */
static size_t token_hashes(const struct token *token, uint64_t hashes[1 + 2 * QUASH_TOKEN_GROUPS_MAX])
{
    size_t count = 0;
    hashes[count++] = token->all;
    for (uint32_t i = 0; i < token->groups; i++) {
        hashes[count++] = token->group[i];
        if (token->has_kind[i])
            hashes[count++] = token->kind[i];
    }
    return count;
}

quash_change token_check(struct token *token, const struct table_map *map)
{
    if (token->incarnation == 0)
        return QUASH_UNKNOWN;
    if (token->ended || map == NULL || map->incarnation != token->incarnation)
        return QUASH_CHANGED;

    uint64_t changes = table_map_changes(map);
    if (changes == atomic_load_explicit(&token->validated, memory_order_relaxed))
        return QUASH_UNCHANGED;
    uint64_t hashes[1 + 2 * QUASH_TOKEN_GROUPS_MAX];
    size_t count = token_hashes(token, hashes);
    switch (table_map_check(map, hashes, count, token->stamp)) {
    case TABLE_UNCHANGED:
        atomic_store_explicit(&token->validated, changes, memory_order_relaxed);
        return QUASH_UNCHANGED;
    case TABLE_COLLATERAL:
        return QUASH_COLLATERAL;
    case TABLE_CHANGED:
    case TABLE_RETIRED:
        break;
    }
    return QUASH_CHANGED;
}

void token_copy(struct token *to, const struct token *from)
{
    to->incarnation = from->incarnation;
    to->stamp = from->stamp;
    to->serial = from->serial;
    atomic_store_explicit(&to->validated, atomic_load_explicit(&from->validated, memory_order_relaxed),
                          memory_order_relaxed);
    to->stamped = from->stamped;
    to->seed = from->seed;
    to->all = from->all;
    to->groups = from->groups;
    to->ended = from->ended;
    for (uint32_t i = 0; i < from->groups; i++) {
        to->group[i] = from->group[i];
        to->has_kind[i] = from->has_kind[i];
        if (from->has_kind[i])
            to->kind[i] = from->kind[i];
    }
}

quash_table *token_table(const quash_token *token)
{
    return token->table;
}

const struct token *token_inside(const quash_token *token)
{
    return &token->token;
}

/* ---- The public face ---- */

static quash_status token_alloc(quash_table *table, quash_token **token)
{
    if (table == NULL || token == NULL)
        return QUASH_INVALID;
    quash_token *made = malloc(sizeof *made);
    if (made == NULL)
        return QUASH_NO_MEMORY;
    made->table = table;
    *token = made;
    return QUASH_OK;
}

quash_status quash_token_new(quash_table *table, quash_token **token)
{
    quash_status status = token_alloc(table, token);
    if (status == QUASH_OK)
        token_init(&(*token)->token, token_map(table));
    return status;
}

quash_status quash_token_new_at(quash_table *table, quash_stamp stamp, quash_token **token)
{
    quash_status status = token_alloc(table, token);
    if (status == QUASH_OK)
        token_init_at(&(*token)->token, token_map(table), stamp);
    return status;
}

quash_status quash_token_add(quash_token *token, const char *group)
{
    if (token == NULL)
        return QUASH_INVALID;
    quash_status status = token_add(&token->token, group);
    if (status != QUASH_OK)
        token->token.ended = true;
    return status;
}

void quash_token_restart(quash_token *token)
{
    token_init(&token->token, token_map(token->table));
}

quash_stamp quash_token_stamp(const quash_token *token)
{
    return (quash_stamp){token->token.incarnation, token->token.stamp};
}

bool quash_token_changed(const quash_token *token)
{
    return quash_token_check(token) != QUASH_UNCHANGED;
}

quash_change quash_token_check(const quash_token *token)
{
    /* Logically const: `validated` only remembers the answer. Every quash_token is malloc'ed, so none is really const.
     */
    struct quash_token *inside = (struct quash_token *)(uintptr_t)token;
    return token_check(&inside->token, token_map(token->table));
}

void quash_token_free(quash_token *token)
{
    free(token);
}
