/*
 * index_make.c - making an index: which rules are of one route and of one gate, where routes hang in the trie, and the
 * sieves.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "condition.h"
#include "index_layers.h"
#include "list.h"

#define ROUTE_ENDS_MAX 1024 /* exchanges times patterns; a route with more hangs at one end, and is tested there */

/* ---- Which rules belong together */

/* Conditions as text: two that are the same text are the same conditions. */
struct text {
    char *bytes;
    size_t length, room;
};

static int add_text(const char *bytes, size_t length, void *context)
{
    struct text *text = context;
    while (text->room - text->length < length) {
        size_t room = text->room == 0 ? 256 : text->room * 2;
        char *grown = realloc(text->bytes, room);
        if (grown == NULL)
            return -1;
        text->bytes = grown;
        text->room = room;
    }
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    return 0;
}

/* `source` NULL: exchange or routing key. A matcher that is not said is another than any that is. */
static bool add_matcher(struct text *text, const struct source *source, const struct matcher *matcher)
{
    if (source != NULL && add_text(source_text(source), strlen(source_text(source)) + 1, text) != 0)
        return false;
    if (matcher != NULL &&
        json_dump_callback(matcher_json(matcher), add_text, text, JSON_ENCODE_ANY | JSON_COMPACT) != 0)
        return false;
    return add_text("\n", 1, text) == 0;
}

static bool route_text(struct text *text, const struct condition *condition)
{
    text->length = 0;
    return add_matcher(text, NULL, condition_exchange(condition)) &&
           add_matcher(text, NULL, condition_routing_key(condition));
}

static bool gate_text(struct text *text, const struct condition *condition)
{
    text->length = 0;
    for (size_t i = 0; i < condition_count(condition); i++)
        if (condition_stage_of(condition, i) == CONDITION_ATTRIBUTES &&
            !add_matcher(text, condition_source(condition, i), condition_matcher(condition, i)))
            return false;
    return true;
}

struct member {
    uint32_t route, gate, rule;
};

struct members {
    struct member *member;
    size_t count;
};

static bool find_members(const struct rules *rules, struct members *members)
{
    struct word_map routes = {.slots = NULL}, gates = {.slots = NULL};
    struct text text = {.bytes = NULL};
    members->count = 0;
    members->member = calloc(rules->count + 1, sizeof *members->member);
    bool fine = members->member != NULL;
    for (size_t i = 0; i < rules->count && fine; i++) {
        if (rules->rule[i].disabled)
            continue;
        struct member *member = &members->member[members->count++];
        const struct condition *condition = rules->rule[i].condition;
        member->rule = (uint32_t)i;
        member->route = WORD_MAP_NONE;
        member->gate = WORD_MAP_NONE;
        if (route_text(&text, condition))
            member->route = word_map_put(&routes, 0, text.bytes, text.length, (uint32_t)routes.count);
        if (member->route != WORD_MAP_NONE && gate_text(&text, condition))
            member->gate = word_map_put(&gates, member->route, text.bytes, text.length, (uint32_t)gates.count);
        fine = member->gate != WORD_MAP_NONE;
    }
    free(text.bytes);
    word_map_fini(&routes);
    word_map_fini(&gates);
    return fine;
}

static int compare_members(const void *a, const void *b)
{
    const struct member *left = a, *right = b;
    if (left->route != right->route)
        return left->route < right->route ? -1 : 1;
    if (left->gate != right->gate)
        return left->gate < right->gate ? -1 : 1;
    return (left->rule > right->rule) - (left->rule < right->rule);
}

static unsigned needs_of(const struct rule *rule)
{
    unsigned needs = rule->template_needs;
    if (condition_has_stage(rule->condition, CONDITION_ATTRIBUTES))
        needs |= SOURCE_ATTRIBUTES;
    if (condition_has_stage(rule->condition, CONDITION_BODY))
        needs |= SOURCE_BODY;
    return needs;
}

/* Lays routes, gates and rules out, without their sieves. */
static bool lay_out(struct rule_index *index, const struct members *members)
{
    index->routes = calloc(members->count + 1, sizeof *index->routes);
    index->gates = calloc(members->count + 1, sizeof *index->gates);
    index->rules = calloc(members->count + 1, sizeof *index->rules);
    if (index->routes == NULL || index->gates == NULL || index->rules == NULL)
        return false;
    for (size_t i = 0; i < members->count; i++) {
        const struct member *member = &members->member[i];
        const struct member *before = i > 0 ? &members->member[i - 1] : NULL;
        const struct rule *rule = &index->rule[member->rule];
        if (before == NULL || before->route != member->route)
            index->routes[index->route_count++] =
                (struct route){.rule = member->rule, .first_gate = (uint32_t)index->gate_count};
        if (before == NULL || before->gate != member->gate) {
            bool tested = condition_has_stage(rule->condition, CONDITION_ATTRIBUTES);
            index->gates[index->gate_count++] =
                (struct gate){.rule = member->rule, .tested = tested, .first_rule = (uint32_t)i};
            index->routes[index->route_count - 1].gate_count++;
        }
        index->gates[index->gate_count - 1].rule_count++;
        index->gates[index->gate_count - 1].needs |= needs_of(rule);
        index->routes[index->route_count - 1].needs |= needs_of(rule);
        index->rules[i] = member->rule;
    }
    return true;
}

/* ---- Sieves */

static bool make_sieves(struct rule_index *index)
{
    struct sieve_item *items = calloc(index->rule_count + 1, sizeof *items);
    bool fine = items != NULL;
    for (size_t i = 0; i < index->route_count && fine; i++) {
        struct route *route = &index->routes[i];
        for (uint32_t j = 0; j < route->gate_count; j++) {
            uint32_t gate = route->first_gate + j;
            items[j] = (struct sieve_item){gate, index->rule[index->gates[gate].rule].condition};
        }
        route->sieve = sieve_make(&index->gate_sieves, items, route->gate_count, CONDITION_ATTRIBUTES);
        fine = route->sieve != SIEVE_NONE;
    }
    for (size_t i = 0; i < index->gate_count && fine; i++) {
        struct gate *gate = &index->gates[i];
        for (uint32_t j = 0; j < gate->rule_count; j++) {
            uint32_t rule = index->rules[gate->first_rule + j];
            items[j] = (struct sieve_item){rule, index->rule[rule].condition};
        }
        gate->sieve = sieve_make(&index->rule_sieves, items, gate->rule_count, CONDITION_BODY);
        fine = gate->sieve != SIEVE_NONE;
    }
    free(items);
    return fine;
}

/* ---- Where routes hang */

struct end {
    uint32_t node, route;
};

struct ends {
    struct end *end;
    size_t count, room;
};

static bool hang(struct rule_index *index, struct ends *ends, uint32_t root, const char *pattern, uint32_t route)
{
    struct end *grown = list_grow(ends->end, &ends->room, ends->count, sizeof *grown);
    if (grown == NULL)
        return false;
    ends->end = grown;
    uint32_t node = topic_trie_add(&index->trie, root, pattern);
    grown[ends->count++] = (struct end){node, route};
    return node != TRIE_NONE;
}

static uint32_t root_of(struct rule_index *index, const char *exchange)
{
    uint32_t root = word_map_get(&index->exchanges, 0, exchange, strlen(exchange));
    if (root != WORD_MAP_NONE)
        return root;
    root = topic_trie_root(&index->trie);
    return root == TRIE_NONE ? WORD_MAP_NONE : word_map_put(&index->exchanges, 0, exchange, strlen(exchange), root);
}

static bool hang_route(struct rule_index *index, struct ends *ends, uint32_t number)
{
    static const char *const every_key[] = {"#"};
    struct route *route = &index->routes[number];
    const struct condition *condition = index->rule[route->rule].condition;
    const struct matcher *exchange = condition_exchange(condition), *key = condition_routing_key(condition);
    size_t exchange_count = 0, key_count = 0;
    const char *const *exchanges = exchange != NULL ? matcher_strings(exchange, &exchange_count) : NULL;
    const char *const *keys = key != NULL ? matcher_strings(key, &key_count) : NULL;
    route->tested = (exchange != NULL && exchanges == NULL) || (key != NULL && keys == NULL);
    if (keys == NULL) {
        keys = every_key;
        key_count = 1;
    }
    if (exchanges != NULL && exchange_count * key_count > ROUTE_ENDS_MAX) {
        route->tested = true;
        exchanges = NULL;
    }
    if (exchanges == NULL && key_count > ROUTE_ENDS_MAX) {
        route->tested = true;
        keys = every_key;
        key_count = 1;
    }
    if (exchanges == NULL)
        exchange_count = 1;
    for (size_t i = 0; i < exchange_count; i++) {
        uint32_t root = exchanges != NULL ? root_of(index, exchanges[i]) : index->every_exchange;
        if (root == WORD_MAP_NONE)
            return false;
        for (size_t j = 0; j < key_count; j++)
            if (!hang(index, ends, root, keys[j], number))
                return false;
    }
    return true;
}

static int compare_ends(const void *a, const void *b)
{
    const struct end *left = a, *right = b;
    if (left->node != right->node)
        return left->node < right->node ? -1 : 1;
    return (left->route > right->route) - (left->route < right->route);
}

static bool hang_routes(struct rule_index *index)
{
    struct ends ends = {.end = NULL};
    index->every_exchange = topic_trie_root(&index->trie);
    bool fine = index->every_exchange != TRIE_NONE;
    for (size_t i = 0; i < index->route_count && fine; i++)
        fine = hang_route(index, &ends, (uint32_t)i);
    if (fine) {
        index->ends_at = calloc(index->trie.count + 1, sizeof *index->ends_at);
        index->ends = calloc(ends.count + 1, sizeof *index->ends);
        fine = index->ends_at != NULL && index->ends != NULL;
    }
    if (fine && ends.count > 0)
        qsort(ends.end, ends.count, sizeof *ends.end, compare_ends);
    for (size_t i = 0; i < ends.count && fine; i++) {
        index->ends[i] = ends.end[i].route;
        index->ends_at[ends.end[i].node + 1]++;
    }
    for (size_t i = 0; i < index->trie.count && fine; i++)
        index->ends_at[i + 1] += index->ends_at[i];
    free(ends.end);
    return fine;
}

struct rule_index *rule_index_new(const struct rules *rules)
{
    struct rule_index *index = calloc(1, sizeof *index);
    if (index == NULL)
        return NULL;
    atomic_init(&index->spare, NULL);
    index->rule = rules->rule;
    index->rule_count = rules->count;
    struct members members;
    bool fine = find_members(rules, &members);
    if (fine && members.count > 0)
        qsort(members.member, members.count, sizeof *members.member, compare_members);
    fine = fine && lay_out(index, &members) && make_sieves(index) && hang_routes(index);
    free(members.member);
    if (fine)
        return index;
    rule_index_free(index);
    return NULL;
}
