/*
 * topic_trie.c - the words of the key move a set of nodes down the trie, all at the same time.
 *
 * A node is reached by its only parent, so it cannot come into the set twice at one word; but for the nodes of `#`:
 * these, once reached, stay until the end, because `#` takes any word. They are in a list of their own, with a mark, so
 * that the set never has more elements than the trie has nodes, however many `#` the patterns have.
 */
#include "topic_trie.h"

#include <stdlib.h>
#include <string.h>

#include "list.h"

void topic_trie_fini(struct topic_trie *trie)
{
    free(trie->nodes);
    word_map_fini(&trie->words);
    *trie = (struct topic_trie){.nodes = NULL};
}

uint32_t topic_trie_root(struct topic_trie *trie)
{
    if (trie->count >= TRIE_NONE)
        return TRIE_NONE;
    struct trie_node *nodes = list_grow(trie->nodes, &trie->room, trie->count, sizeof *nodes);
    if (nodes == NULL)
        return TRIE_NONE;
    trie->nodes = nodes;
    nodes[trie->count] = (struct trie_node){TRIE_NONE, TRIE_NONE, TRIE_NONE, false};
    return (uint32_t)trie->count++;
}

static uint32_t child_one(struct topic_trie *trie, uint32_t node)
{
    if (trie->nodes[node].one == TRIE_NONE) {
        uint32_t made = topic_trie_root(trie);
        trie->nodes[node].one = made;
    }
    return trie->nodes[node].one;
}

static uint32_t child_many(struct topic_trie *trie, uint32_t node)
{
    if (trie->nodes[node].mark != TRIE_NONE)
        return node; /* `#.#` says no more than `#` */
    if (trie->nodes[node].many == TRIE_NONE) {
        uint32_t made = topic_trie_root(trie);
        if (made != TRIE_NONE)
            trie->nodes[made].mark = (uint32_t)trie->mark_count++;
        trie->nodes[node].many = made;
    }
    return trie->nodes[node].many;
}

static uint32_t child_word(struct topic_trie *trie, uint32_t node, const char *word, size_t length)
{
    uint32_t child = word_map_get(&trie->words, node, word, length);
    if (child != WORD_MAP_NONE)
        return child;
    child = topic_trie_root(trie);
    if (child == TRIE_NONE || word_map_put(&trie->words, node, word, length, child) == WORD_MAP_NONE)
        return TRIE_NONE;
    trie->nodes[node].words = true;
    return child;
}

uint32_t topic_trie_add(struct topic_trie *trie, uint32_t root, const char *pattern)
{
    uint32_t node = root;
    /* An empty pattern has no words, not one empty word. */
    for (const char *word = pattern[0] != '\0' ? pattern : NULL; word != NULL && node != TRIE_NONE;) {
        size_t length = strcspn(word, ".");
        if (length == 1 && word[0] == '*')
            node = child_one(trie, node);
        else if (length == 1 && word[0] == '#')
            node = child_many(trie, node);
        else
            node = child_word(trie, node, word, length);
        word = word[length] == '.' ? word + length + 1 : NULL;
    }
    return node;
}

struct front {
    const struct topic_trie *trie;
    struct topic_walk *walk;
    size_t now_count, next_count, many_count;
};

static void reach(struct front *front, uint32_t node)
{
    struct topic_walk *walk = front->walk;
    walk->next[front->next_count++] = node;
    uint32_t many = front->trie->nodes[node].many;
    if (many == TRIE_NONE)
        return;
    uint32_t mark = front->trie->nodes[many].mark;
    uint64_t bit = UINT64_C(1) << (mark % 64);
    if ((walk->marks[mark / 64] & bit) != 0)
        return;
    walk->marks[mark / 64] |= bit;
    walk->many[front->many_count++] = many;
}

static void advance(struct front *front, uint32_t node, const char *word, size_t length)
{
    const struct trie_node *at = &front->trie->nodes[node];
    if (at->one != TRIE_NONE)
        reach(front, at->one);
    if (!at->words)
        return;
    uint32_t child = word_map_get(&front->trie->words, node, word, length);
    if (child != WORD_MAP_NONE)
        reach(front, child);
}

static void step(struct front *front)
{
    struct topic_walk *walk = front->walk;
    uint32_t *spare = walk->now;
    walk->now = walk->next;
    walk->next = spare;
    front->now_count = front->next_count;
    front->next_count = 0;
}

size_t topic_trie_walk(const struct topic_trie *trie, uint32_t root, const char *routing_key, struct topic_walk *walk)
{
    struct front front = {trie, walk, 0, 0, 0};
    reach(&front, root);
    step(&front);
    for (const char *word = routing_key[0] != '\0' ? routing_key : NULL; word != NULL;) {
        size_t length = strcspn(word, ".");
        size_t many_count = front.many_count; /* those that this word reaches begin with the next */
        for (size_t i = 0; i < front.now_count; i++)
            advance(&front, walk->now[i], word, length);
        for (size_t i = 0; i < many_count; i++)
            advance(&front, walk->many[i], word, length);
        step(&front);
        word = word[length] == '.' ? word + length + 1 : NULL;
    }
    for (size_t i = 0; i < front.many_count; i++) {
        uint32_t mark = trie->nodes[walk->many[i]].mark;
        walk->marks[mark / 64] &= ~(UINT64_C(1) << (mark % 64));
        walk->now[front.now_count++] = walk->many[i];
    }
    return front.now_count;
}
