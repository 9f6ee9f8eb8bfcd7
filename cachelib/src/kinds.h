/*
 * kinds.h - the kinds that a cache's entries imply, numbered, so that an entry stores a group and its kind in one word.
 *
 * A kind is the hash of its `kind:*`; a replaced table has another seed, hence other hashes for the same kinds. The
 * list only grows, up to KINDS_MAX; an entry whose kind finds no place stores the hash as a word of its own.
 *
 * Numbers are given out under the list's lock; looking one up takes none: whoever has a number got it, through the
 * entry, from the one who was given it.
 */
#ifndef QUASH_SRC_KINDS_H
#define QUASH_SRC_KINDS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define KINDS_MAX   1024u
#define KINDS_SLOTS 2048u /* of the table from hash to number; a power of two */

struct kinds {
    pthread_mutex_t lock;
    _Atomic uint32_t count;
    uint64_t hash[KINDS_MAX]; /* of the number less 1 */
    _Atomic uint16_t slot[KINDS_SLOTS];
};

bool kinds_init(struct kinds *kinds);
void kinds_fini(struct kinds *kinds);

/* The number of a kind, 1 to KINDS_MAX; 0 when the list is full. */
uint16_t kinds_number(struct kinds *kinds, uint64_t hash);

static inline uint64_t kinds_hash(const struct kinds *kinds, uint16_t number)
{
    return kinds->hash[number - 1];
}

/* ---- Words (entry.h) */

#define WORD_KIND_SHIFT 24
#define WORD_KIND_MASK  (UINT64_C(0xffffff) << WORD_KIND_SHIFT)

static inline uint64_t word_make(uint64_t group_hash, uint16_t kind)
{
    return (group_hash & ~WORD_KIND_MASK) | (uint64_t)kind << WORD_KIND_SHIFT;
}

static inline uint16_t word_kind(uint64_t word)
{
    return (uint16_t)(word >> WORD_KIND_SHIFT);
}

#endif
