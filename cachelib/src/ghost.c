/*
 * ghost.c - see ghost.h.
 */
#include "ghost.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_LINE 64u

static_assert(sizeof(struct ghost_bucket) == CACHE_LINE, "looking for a key reads one cache line");
static_assert((GHOST_GENERATIONS & (GHOST_GENERATIONS - 1)) == 0, "their numbers may wrap around");

/* How many generations make a window, when no key comes back. */
#define WINDOW_GENERATIONS 32u

/* Between these a table is made for the window. More keys than that would often be taken for one another. */
#define WINDOW_MIN 64u
#define WINDOW_MAX (UINT32_C(1) << 30)

/* ---- The table ---- */

static void forget_all(struct ghost *ghost)
{
    ghost->remembered = 0;
    ghost->newest_notes = 0;
    ghost->newest = 1;
    ghost->oldest = 1;
    ghost->living[1] = 0;
}

void ghost_init(struct ghost *ghost)
{
    *ghost = (struct ghost){0};
    forget_all(ghost);
}

void ghost_fini(struct ghost *ghost)
{
    free(ghost->memory);
    ghost_init(ghost);
}

static size_t table_window(size_t window)
{
    if (window < WINDOW_MIN)
        return WINDOW_MIN;
    return window < WINDOW_MAX ? window : WINDOW_MAX;
}

/* Puts a new table in the place of the old one. Without memory the old one stays. */
static void make_table(struct ghost *ghost, size_t window)
{
    size_t window_max = window + window / 8;
    size_t bucket_count = (window_max + window_max / 2) / GHOST_BUCKET_SLOTS;
    /* Not aligned_alloc: calloc need not touch the memory of a large table, which is made under a lock. */
    void *memory = calloc(bucket_count + 1, sizeof(struct ghost_bucket));
    if (memory == NULL)
        return;
    free(ghost->memory);
    forget_all(ghost);
    ghost->memory = memory;
    ghost->buckets = (struct ghost_bucket *)(((uintptr_t)memory + CACHE_LINE - 1) & ~(uintptr_t)(CACHE_LINE - 1));
    ghost->bucket_count = bucket_count;
    ghost->window_max = window_max;
}

static struct ghost_bucket *bucket_of(const struct ghost *ghost, uint32_t hash)
{
    return &ghost->buckets[(uint64_t)hash * ghost->bucket_count >> 32];
}

/* ---- Slots and generations ---- */

static uint32_t *living(struct ghost *ghost, uint32_t generation)
{
    return &ghost->living[generation % GHOST_GENERATIONS];
}

static bool slot_remembered(const struct ghost *ghost, const struct ghost_slot *slot)
{
    return slot->generation >= ghost->oldest;
}

static void slot_forget(struct ghost *ghost, struct ghost_slot *slot)
{
    if (!slot_remembered(ghost, slot))
        return;
    --*living(ghost, slot->generation);
    ghost->remembered--;
    slot->generation = 0;
}

static void forget_oldest(struct ghost *ghost)
{
    ghost->remembered -= *living(ghost, ghost->oldest);
    ghost->oldest++;
}

static void begin_generation(struct ghost *ghost)
{
    if (ghost->newest == UINT32_MAX) {
        memset(ghost->buckets, 0, ghost->bucket_count * sizeof(struct ghost_bucket));
        forget_all(ghost);
        return;
    }
    if (ghost->newest - ghost->oldest == GHOST_GENERATIONS - 1)
        forget_oldest(ghost);
    ghost->newest++;
    ghost->newest_notes = 0;
    *living(ghost, ghost->newest) = 0;
}

/* ---- Notes ---- */

/* Where to note a fingerprint: where it is, or where nothing is remembered, or where the oldest is. */
static struct ghost_slot *find_place(struct ghost_bucket *bucket, uint32_t hash)
{
    struct ghost_slot *place = &bucket->slot[0];
    for (unsigned i = 0; i < GHOST_BUCKET_SLOTS; i++) {
        struct ghost_slot *slot = &bucket->slot[i];
        if (slot->fingerprint == hash)
            return slot;
        if (slot->generation < place->generation)
            place = slot;
    }
    return place;
}

void ghost_note(struct ghost *ghost, uint32_t hash, size_t window)
{
    size_t wanted = table_window(window);
    if (wanted > ghost->window_max || wanted < ghost->window_max / 4)
        make_table(ghost, wanted);
    if (ghost->buckets == NULL)
        return;
    if (ghost->newest_notes >= window / WINDOW_GENERATIONS)
        begin_generation(ghost);
    struct ghost_slot *slot = find_place(bucket_of(ghost, hash), hash);
    slot_forget(ghost, slot);
    *slot = (struct ghost_slot){.fingerprint = hash, .generation = ghost->newest};
    ++*living(ghost, ghost->newest);
    ghost->remembered++;
    ghost->newest_notes++;
    while (ghost->remembered > window && ghost->oldest < ghost->newest)
        forget_oldest(ghost);
}

bool ghost_take(struct ghost *ghost, uint32_t hash)
{
    if (ghost->buckets == NULL)
        return false;
    struct ghost_bucket *bucket = bucket_of(ghost, hash);
    for (unsigned i = 0; i < GHOST_BUCKET_SLOTS; i++) {
        struct ghost_slot *slot = &bucket->slot[i];
        if (slot->fingerprint == hash && slot_remembered(ghost, slot)) {
            slot_forget(ghost, slot);
            return true;
        }
    }
    return false;
}
