/*
 * topic_trie.h - many topic patterns, matched with a routing key at once.
 *
 * Patterns that begin with the same words share them. Each exchange has a root of its own. What a pattern means is what
 * topic_match says.
 */
#ifndef QUASHD_TOPIC_TRIE_H
#define QUASHD_TOPIC_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "word_map.h"

#define TRIE_NONE UINT32_MAX

struct trie_node {
    uint32_t one;  /* the child for `*`; TRIE_NONE: there is none */
    uint32_t many; /* the child for `#`, which counts as reached as soon as this node is */
    uint32_t mark; /* of a node for `#`: its number among these; TRIE_NONE: it is none */
    bool words;    /* whether it has children for literal words, which are in the map with the node as their scope */
};

/* Grows while patterns are added; after that any number of threads may walk. Starts as zero. */
struct topic_trie {
    struct trie_node *nodes;
    size_t count, room;
    size_t mark_count;
    struct word_map words;
};

void topic_trie_fini(struct topic_trie *trie);

/* A new root; TRIE_NONE when memory ran out. */
uint32_t topic_trie_root(struct topic_trie *trie);

/* The node where the pattern ends, the same for patterns that are the same; TRIE_NONE when memory ran out. */
uint32_t topic_trie_add(struct topic_trie *trie, uint32_t root, const char *pattern);

/* What a walk keeps: room for trie->count nodes in each list, and a bit for each of trie->mark_count, all zero between
 * walks. */
struct topic_walk {
    uint32_t *now, *next, *many;
    uint64_t *marks;
};

/* Puts into walk->now the ends of all patterns below `root` that the routing key matches, each once, and returns how
 * many. Takes at most (words of the key) * (nodes) steps. */
size_t topic_trie_walk(const struct topic_trie *trie, uint32_t root, const char *routing_key, struct topic_walk *walk);

#endif
