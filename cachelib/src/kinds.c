/*
 * kinds.c - numbers for kinds: an open-addressed table from hash to number beside the list from number to hash.
 */
#include "kinds.h"

#include <assert.h>
#include <string.h>

#include <quash/table.h>

#include "layout.h"

static_assert(KINDS_MAX < UINT16_MAX, "numbers fit their places");
static_assert(KINDS_MAX < KINDS_SLOTS, "a search meets a free slot");
static_assert((QUASH_TABLE_BUCKETS_MAX - 1) >> WORD_KIND_SHIFT == 0, "a bucket is chosen by bits below the kind's");
static_assert((WORD_KIND_MASK >> SLOT_STAMP_BITS) == 0, "the tag is above the kind's bits");

bool kinds_init(struct kinds *kinds)
{
    memset(kinds, 0, sizeof *kinds);
    return pthread_mutex_init(&kinds->lock, NULL) == 0;
}

void kinds_fini(struct kinds *kinds)
{
    pthread_mutex_destroy(&kinds->lock);
}

/* The number at which the search for `hash` ends: its own, or 0. *at is the slot. */
static uint16_t search(const struct kinds *kinds, uint64_t hash, uint32_t *at)
{
    for (*at = (uint32_t)(hash >> 32) % KINDS_SLOTS;; *at = (*at + 1) % KINDS_SLOTS) {
        /* Acquire pairs with the release in kinds_number: the hash behind the number comes with it. */
        uint16_t number = atomic_load_explicit(&kinds->slot[*at], memory_order_acquire);
        if (number == 0 || kinds_hash(kinds, number) == hash)
            return number;
    }
}

uint16_t kinds_number(struct kinds *kinds, uint64_t hash)
{
    uint32_t at;
    uint16_t number = search(kinds, hash, &at);
    /* Relaxed: a full list stays full. */
    if (number != 0 || atomic_load_explicit(&kinds->count, memory_order_relaxed) == KINDS_MAX)
        return number;

    pthread_mutex_lock(&kinds->lock);
    number = search(kinds, hash, &at);
    uint32_t count = atomic_load_explicit(&kinds->count, memory_order_relaxed);
    if (number == 0 && count < KINDS_MAX) {
        kinds->hash[count] = hash;
        number = (uint16_t)(count + 1);
        atomic_store_explicit(&kinds->count, count + 1, memory_order_relaxed);
        atomic_store_explicit(&kinds->slot[at], number, memory_order_release);
    }
    pthread_mutex_unlock(&kinds->lock);
    return number;
}
