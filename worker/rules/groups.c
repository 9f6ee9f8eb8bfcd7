/*
 * groups.c - a set of group names.
 *
 * Names are copied into an arena of chunks that never move; `names` lists them in order; `slots` is an open-addressed
 * table (linear probing, at most half full) of positions in that list, plus one. Names are put into the table in list
 * order, also when it grows, so that taking the last ones out again just empties their slots.
 */
#include "groups.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <xxhash.h>

#define CHUNK_BYTES 65536u
#define SLOTS_FIRST 64u

struct chunk {
    struct chunk *next;
    size_t size, used;
    char bytes[];
};

struct groups {
    struct chunk *first, *current;
    const char **names;
    size_t *lengths;
    size_t count, room;
    uint32_t *slots;
    size_t slot_count; /* a power of two */
    uint64_t seed;     /* so that nobody can prepare names that all fall into one slot */
};

struct groups *groups_new(void)
{
    struct groups *groups = calloc(1, sizeof *groups);
    if (groups == NULL)
        return NULL;
    groups->slots = calloc(SLOTS_FIRST, sizeof *groups->slots);
    if (groups->slots == NULL) {
        free(groups);
        return NULL;
    }
    groups->slot_count = SLOTS_FIRST;
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    groups->seed = (uint64_t)(uintptr_t)groups ^ (uint64_t)now.tv_nsec << 32;
    return groups;
}

void groups_free(struct groups *groups)
{
    if (groups == NULL)
        return;
    for (struct chunk *chunk = groups->first; chunk != NULL;) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    free(groups->names);
    free(groups->lengths);
    free(groups->slots);
    free(groups);
}

/* The slot that holds the name, or the free one where it belongs. */
static size_t find_slot(const struct groups *groups, const char *name, size_t length)
{
    size_t mask = groups->slot_count - 1;
    size_t slot = (size_t)XXH64(name, length, groups->seed) & mask;
    for (; groups->slots[slot] != 0; slot = (slot + 1) & mask) {
        size_t index = groups->slots[slot] - 1;
        if (groups->lengths[index] == length && memcmp(groups->names[index], name, length) == 0)
            break;
    }
    return slot;
}

static void fill_slots(struct groups *groups)
{
    memset(groups->slots, 0, groups->slot_count * sizeof *groups->slots);
    for (size_t i = 0; i < groups->count; i++)
        groups->slots[find_slot(groups, groups->names[i], groups->lengths[i])] = (uint32_t)i + 1;
}

static bool grow_slots(struct groups *groups)
{
    uint32_t *slots = calloc(groups->slot_count * 2, sizeof *slots);
    if (slots == NULL)
        return false;
    free(groups->slots);
    groups->slots = slots;
    groups->slot_count *= 2;
    fill_slots(groups);
    return true;
}

static bool grow_list(struct groups *groups)
{
    size_t room = groups->room == 0 ? SLOTS_FIRST : groups->room * 2;
    const char **names = realloc(groups->names, room * sizeof *names);
    if (names == NULL)
        return false;
    groups->names = names;
    size_t *lengths = realloc(groups->lengths, room * sizeof *lengths);
    if (lengths == NULL)
        return false;
    groups->lengths = lengths;
    groups->room = room;
    return true;
}

static char *arena_take(struct groups *groups, size_t bytes)
{
    struct chunk *chunk = groups->current;
    while (chunk != NULL && chunk->size - chunk->used < bytes && chunk->next != NULL)
        chunk = chunk->next;
    if (chunk == NULL || chunk->size - chunk->used < bytes) {
        size_t size = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        struct chunk *made = malloc(sizeof *made + size);
        if (made == NULL)
            return NULL;
        *made = (struct chunk){.next = NULL, .size = size, .used = 0};
        if (chunk == NULL)
            groups->first = made;
        else
            chunk->next = made;
        chunk = made;
    }
    groups->current = chunk;
    char *place = chunk->bytes + chunk->used;
    chunk->used += bytes;
    return place;
}

bool groups_add(struct groups *groups, const char *name, size_t length)
{
    size_t slot = find_slot(groups, name, length);
    if (groups->slots[slot] != 0)
        return true;
    if (groups->count >= UINT32_MAX - 1)
        return false;
    if (groups->count == groups->room && !grow_list(groups))
        return false;
    if ((groups->count + 1) * 2 > groups->slot_count) {
        if (!grow_slots(groups))
            return false;
        slot = find_slot(groups, name, length);
    }
    char *copy = arena_take(groups, length + 1);
    if (copy == NULL)
        return false;
    memcpy(copy, name, length);
    copy[length] = '\0';
    groups->names[groups->count] = copy;
    groups->lengths[groups->count] = length;
    groups->slots[slot] = (uint32_t)++groups->count;
    return true;
}

const char *const *groups_names(const struct groups *groups)
{
    return groups->names;
}

size_t groups_count(const struct groups *groups)
{
    return groups->count;
}

void groups_truncate(struct groups *groups, size_t count)
{
    while (groups->count > count) {
        size_t last = groups->count - 1;
        groups->slots[find_slot(groups, groups->names[last], groups->lengths[last])] = 0;
        groups->count = last;
    }
}

static int compare_names(const void *a, const void *b)
{
    const char *const *left = a;
    const char *const *right = b;
    return strcmp(*left, *right);
}

void groups_sort(struct groups *groups)
{
    if (groups->count < 2)
        return;
    qsort(groups->names, groups->count, sizeof *groups->names, compare_names);
    for (size_t i = 0; i < groups->count; i++)
        groups->lengths[i] = strlen(groups->names[i]);
    fill_slots(groups);
}

void groups_clear(struct groups *groups)
{
    /* A table that one large batch has made is not wiped whole for each small one. */
    if (groups->count < groups->slot_count / 16)
        groups_truncate(groups, 0);
    else
        memset(groups->slots, 0, groups->slot_count * sizeof *groups->slots);
    groups->count = 0;
    for (struct chunk *chunk = groups->first; chunk != NULL; chunk = chunk->next)
        chunk->used = 0;
    groups->current = groups->first;
}
