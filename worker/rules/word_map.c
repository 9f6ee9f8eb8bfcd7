/*
 * word_map.c - an open-addressed table of words. The hash has no secret: the words in it come from the rules' author,
 * and whatever an event asks for, a search ends at the first free slot of a table that is half empty.
 */
#include "word_map.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#define SLOTS_FIRST 16u
#define BYTES_FIRST 256u

void word_map_fini(struct word_map *map)
{
    free(map->slots);
    free(map->bytes);
    *map = (struct word_map){.slots = NULL};
}

static uint64_t hash_of(uint32_t scope, const void *word, size_t length)
{
    return XXH3_64bits_withSeed(word, length, scope);
}

/* The slot of the word, or the free one where it belongs. */
static size_t find_slot(const struct word_map *map, uint64_t hash, uint32_t scope, const void *word, size_t length)
{
    size_t mask = map->slot_count - 1;
    size_t slot = (size_t)hash & mask;
    for (;; slot = (slot + 1) & mask) {
        const struct word_entry *entry = &map->slots[slot];
        if (entry->number == WORD_MAP_NONE)
            return slot;
        if (entry->hash == hash && entry->scope == scope && entry->length == length &&
            (length == 0 || memcmp(map->bytes + entry->begin, word, length) == 0))
            return slot;
    }
}

uint32_t word_map_get(const struct word_map *map, uint32_t scope, const void *word, size_t length)
{
    if (map->slot_count == 0)
        return WORD_MAP_NONE;
    return map->slots[find_slot(map, hash_of(scope, word, length), scope, word, length)].number;
}

static bool grow_slots(struct word_map *map)
{
    size_t count = map->slot_count == 0 ? SLOTS_FIRST : map->slot_count * 2;
    struct word_entry *slots = calloc(count, sizeof *slots);
    if (slots == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        slots[i].number = WORD_MAP_NONE;
    for (size_t i = 0; i < map->slot_count; i++) {
        if (map->slots[i].number == WORD_MAP_NONE)
            continue;
        size_t slot = (size_t)map->slots[i].hash & (count - 1);
        while (slots[slot].number != WORD_MAP_NONE)
            slot = (slot + 1) & (count - 1);
        slots[slot] = map->slots[i];
    }
    free(map->slots);
    map->slots = slots;
    map->slot_count = count;
    return true;
}

static bool add_bytes(struct word_map *map, const void *word, size_t length)
{
    if (length > UINT32_MAX - map->bytes_used)
        return false;
    if (map->bytes_room - map->bytes_used < length) {
        size_t room = map->bytes_room == 0 ? BYTES_FIRST : map->bytes_room * 2;
        while (room - map->bytes_used < length)
            room *= 2;
        char *bytes = realloc(map->bytes, room);
        if (bytes == NULL)
            return false;
        map->bytes = bytes;
        map->bytes_room = room;
    }
    if (length > 0)
        memcpy(map->bytes + map->bytes_used, word, length);
    map->bytes_used += length;
    return true;
}

uint32_t word_map_put(struct word_map *map, uint32_t scope, const void *word, size_t length, uint32_t number)
{
    if ((map->count + 1) * 2 > map->slot_count && !grow_slots(map))
        return WORD_MAP_NONE;
    uint64_t hash = hash_of(scope, word, length);
    struct word_entry *entry = &map->slots[find_slot(map, hash, scope, word, length)];
    if (entry->number != WORD_MAP_NONE)
        return entry->number;
    size_t begin = map->bytes_used;
    if (!add_bytes(map, word, length))
        return WORD_MAP_NONE;
    *entry = (struct word_entry){hash, scope, (uint32_t)begin, (uint32_t)length, number};
    map->count++;
    return number;
}
