/*
 * group.h - group names: what is a valid one, its hash, and what it implies.
 */
#ifndef QUASH_SRC_GROUP_H
#define QUASH_SRC_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length of `name` if it is a valid group (1 to QUASH_GROUP_MAX bytes), else 0. NULL is not valid. */
size_t group_length(const char *name);

/* XXH64 of the name. Its low bits choose the bucket, its top 16 are the tag. */
uint64_t group_hash(const char *name, size_t length, uint64_t seed);

/* The hash of the `kind:*` that `kind:id` implies. Returns false for a bare kind, which implies none; for `kind:*`
 * itself the hash is its own. */
bool group_kind_hash(const char *name, size_t length, uint64_t seed, uint64_t *hash);

/* The hash of `*`, which everything implies. */
uint64_t group_all_hash(uint64_t seed);

#endif
