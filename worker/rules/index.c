/*
 * index.c - an event's way through the index. index_make.c makes it, index_layers.h says what it is.
 */
#include "index.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "index_layers.h"

struct candidates {
    const struct rule_index *index;
    struct topic_walk walk;
    struct number_set routes, gates, rules;
    uint32_t *lists; /* what all of them are in */
    uint64_t *marks;
};

static size_t mark_words(size_t count)
{
    return (count + 63) / 64;
}

static void candidates_free(struct candidates *candidates)
{
    if (candidates == NULL)
        return;
    free(candidates->lists);
    free(candidates->marks);
    free(candidates);
}

static void place_set(struct number_set *set, uint32_t **list, uint64_t **marks, size_t count)
{
    *set = (struct number_set){*list, *marks, 0};
    *list += count;
    *marks += mark_words(count);
}

static struct candidates *candidates_new(const struct rule_index *index)
{
    size_t nodes = index->trie.count, routes = index->route_count, gates = index->gate_count;
    struct candidates *candidates = calloc(1, sizeof *candidates);
    if (candidates == NULL)
        return NULL;
    candidates->index = index;
    candidates->lists = calloc(3 * nodes + routes + gates + index->rule_count, sizeof *candidates->lists);
    candidates->marks = calloc(mark_words(index->trie.mark_count) + mark_words(routes) + mark_words(gates) +
                                   mark_words(index->rule_count),
                               sizeof *candidates->marks);
    if (candidates->lists == NULL || candidates->marks == NULL) {
        candidates_free(candidates);
        return NULL;
    }
    uint32_t *list = candidates->lists + 3 * nodes;
    uint64_t *marks = candidates->marks + mark_words(index->trie.mark_count);
    candidates->walk = (struct topic_walk){candidates->lists, candidates->lists + nodes, candidates->lists + 2 * nodes,
                                           candidates->marks};
    place_set(&candidates->routes, &list, &marks, routes);
    place_set(&candidates->gates, &list, &marks, gates);
    place_set(&candidates->rules, &list, &marks, index->rule_count);
    return candidates;
}

/* The spare passes from thread to thread: what one wrote into it before the release, the next sees after the acquire.
 */
struct candidates *candidates_take(struct rule_index *index)
{
    struct candidates *candidates = atomic_exchange_explicit(&index->spare, NULL, memory_order_acquire);
    return candidates != NULL ? candidates : candidates_new(index);
}

void candidates_give_back(struct rule_index *index, struct candidates *candidates)
{
    candidates_free(atomic_exchange_explicit(&index->spare, candidates, memory_order_acq_rel));
}

void rule_index_free(struct rule_index *index)
{
    if (index == NULL)
        return;
    candidates_free(atomic_load_explicit(&index->spare, memory_order_acquire));
    word_map_fini(&index->exchanges);
    topic_trie_fini(&index->trie);
    free(index->ends_at);
    free(index->ends);
    free(index->routes);
    sieves_fini(&index->gate_sieves);
    free(index->gates);
    sieves_fini(&index->rule_sieves);
    free(index->rules);
    free(index);
}

static bool holds(const struct rule_index *index, uint32_t rule, enum condition_stage stage, const struct view *view)
{
    const struct condition *condition = index->rule[rule].condition;
    return condition_first_failure(condition, stage, view) == condition_count(condition);
}

/* Adds the routes whose patterns below the root match the routing key. */
static unsigned find_routes(struct candidates *candidates, uint32_t root, const struct view *view)
{
    const struct rule_index *index = candidates->index;
    size_t count = topic_trie_walk(&index->trie, root, view->routing_key, &candidates->walk);
    unsigned needs = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t node = candidates->walk.now[i];
        for (uint32_t j = index->ends_at[node]; j < index->ends_at[node + 1]; j++) {
            const struct route *route = &index->routes[index->ends[j]];
            if (route->tested && !holds(index, route->rule, CONDITION_ROUTING, view))
                continue;
            number_set_add(&candidates->routes, index->ends[j]);
            needs |= route->needs;
        }
    }
    return needs;
}

unsigned candidates_by_routing(struct candidates *candidates, const struct view *view)
{
    const struct rule_index *index = candidates->index;
    number_set_clear(&candidates->routes);
    unsigned needs = find_routes(candidates, index->every_exchange, view);
    uint32_t root = word_map_get(&index->exchanges, 0, view->exchange, strlen(view->exchange));
    if (root != WORD_MAP_NONE)
        needs |= find_routes(candidates, root, view);
    return needs;
}

unsigned candidates_by_attributes(struct candidates *candidates, const struct view *view)
{
    const struct rule_index *index = candidates->index;
    bool known = view->headers != NULL && view->properties != NULL;
    struct number_set *gates = &candidates->gates;
    number_set_clear(gates);
    for (size_t i = 0; i < candidates->routes.count; i++) {
        const struct route *route = &index->routes[candidates->routes.item[i]];
        if (known && route->gate_count > 1) {
            sieve_find(&index->gate_sieves, route->sieve, view, gates);
            continue;
        }
        for (uint32_t j = 0; j < route->gate_count; j++)
            number_set_add(gates, route->first_gate + j);
    }
    unsigned needs = 0;
    size_t left = 0;
    for (size_t i = 0; i < gates->count; i++) {
        uint32_t number = gates->item[i];
        const struct gate *gate = &index->gates[number];
        if (known && gate->tested && !holds(index, gate->rule, CONDITION_ATTRIBUTES, view)) {
            gates->marks[number / 64] &= ~(UINT64_C(1) << (number % 64));
            continue;
        }
        gates->item[left++] = number;
        needs |= gate->needs;
    }
    gates->count = left;
    return needs;
}

/* Puts the numbers in ascending order. Most often there are few, and they are. */
static void sort_numbers(struct number_set *set, size_t bound)
{
    size_t ascending = 1;
    while (ascending < set->count && set->item[ascending - 1] < set->item[ascending])
        ascending++;
    if (ascending >= set->count)
        return;
    size_t count = 0;
    for (size_t word = 0; word < mark_words(bound); word++)
        for (uint64_t left = set->marks[word]; left != 0; left &= left - 1)
            set->item[count++] = (uint32_t)(word * 64 + (size_t)__builtin_ctzll(left));
}

const uint32_t *candidates_by_body(struct candidates *candidates, const struct view *view, size_t *count)
{
    const struct rule_index *index = candidates->index;
    struct number_set *rules = &candidates->rules;
    number_set_clear(rules);
    for (size_t i = 0; i < candidates->gates.count; i++) {
        const struct gate *gate = &index->gates[candidates->gates.item[i]];
        if (view->body != NULL && gate->rule_count > 1) {
            sieve_find(&index->rule_sieves, gate->sieve, view, rules);
            continue;
        }
        for (uint32_t j = 0; j < gate->rule_count; j++)
            number_set_add(rules, index->rules[gate->first_rule + j]);
    }
    sort_numbers(rules, index->rule_count);
    *count = rules->count;
    return rules->item;
}
