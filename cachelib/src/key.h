/*
 * key.h - keys: any bytes, hashed with the cache's seed.
 */
#ifndef QUASH_SRC_KEY_H
#define QUASH_SRC_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define XXH_INLINE_ALL /* a call costs as much as hashing a short key */
#include <xxhash.h>

#include <quash/cache.h>

/* The bytes are borrowed, and not NULL. */
struct key {
    const void *bytes;
    size_t size;
    uint64_t hash;
};

/* False: not a valid key (no bytes, but a size; or too long). */
static inline bool key_make(struct key *key, const void *bytes, size_t size, uint64_t seed)
{
    if ((bytes == NULL && size != 0) || size > QUASH_KEY_MAX)
        return false;
    key->bytes = bytes == NULL ? "" : bytes;
    key->size = size;
    key->hash = XXH3_64bits_withSeed(key->bytes, size, seed);
    return true;
}

/* Whether so many bytes are the same. Most keys are short, and for these a call takes longer than the work. */
static inline bool key_bytes_equal(const void *a, const void *b, size_t size)
{
    if (size < sizeof(uint64_t) || size > 2 * sizeof(uint64_t))
        return memcmp(a, b, size) == 0;
    /* The first eight and the last eight, which may overlap. */
    uint64_t words[4];
    memcpy(&words[0], a, sizeof words[0]);
    memcpy(&words[1], b, sizeof words[1]);
    memcpy(&words[2], (const char *)a + size - sizeof words[2], sizeof words[2]);
    memcpy(&words[3], (const char *)b + size - sizeof words[3], sizeof words[3]);
    return words[0] == words[1] && words[2] == words[3];
}

static inline bool key_equal(const struct key *a, const struct key *b)
{
    return a->hash == b->hash && a->size == b->size && key_bytes_equal(a->bytes, b->bytes, a->size);
}

#endif
