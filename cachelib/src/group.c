/*
 * group.c - group names, their hashes, and what they imply.
 */
#include "group.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <quash/table.h>

size_t group_length(const char *name)
{
    if (name == NULL)
        return 0;
    size_t length = strnlen(name, QUASH_GROUP_MAX + 1);
    return length <= QUASH_GROUP_MAX ? length : 0;
}

uint64_t group_hash(const char *name, size_t length, uint64_t seed)
{
    return XXH64(name, length, seed);
}

bool group_kind_hash(const char *name, size_t length, uint64_t seed, uint64_t *hash)
{
    const char *colon = memchr(name, ':', length);
    if (colon == NULL)
        return false;
    /* One byte more than a group may have: the longest name can end in its colon. */
    char kind[QUASH_GROUP_MAX + 1];
    size_t kind_length = (size_t)(colon - name) + 1;
    memcpy(kind, name, kind_length);
    kind[kind_length++] = '*';
    *hash = group_hash(kind, kind_length, seed);
    return true;
}

uint64_t group_all_hash(uint64_t seed)
{
    return group_hash("*", 1, seed);
}
