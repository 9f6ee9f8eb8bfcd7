/*
 * word_map.h - from a word (any bytes) within a scope to a number: the hash table under the trie of topic patterns and
 * under the sieves. It only grows, while an index is made; afterwards any number of threads may ask.
 */
#ifndef QUASHD_WORD_MAP_H
#define QUASHD_WORD_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORD_MAP_NONE UINT32_MAX

struct word_entry {
    uint64_t hash;
    uint32_t scope, begin, length; /* of the word, in `bytes` */
    uint32_t number;               /* WORD_MAP_NONE: the slot is free */
};

struct word_map {
    struct word_entry *slots; /* open-addressed, linear probing, at most half full */
    size_t slot_count;        /* 0, or a power of two */
    size_t count;
    char *bytes; /* copies of the words */
    size_t bytes_used, bytes_room;
};

/* Starts as zero. */
void word_map_fini(struct word_map *map);

/* The number of the word; WORD_MAP_NONE if it has none. */
uint32_t word_map_get(const struct word_map *map, uint32_t scope, const void *word, size_t length);

/* The number of the word, which becomes `number` if it has none yet. WORD_MAP_NONE when memory ran out. */
uint32_t word_map_put(struct word_map *map, uint32_t scope, const void *word, size_t length, uint32_t number);

#endif
