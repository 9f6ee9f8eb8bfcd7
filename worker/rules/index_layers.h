/*
 * index_layers.h - what is inside a struct rule_index: routes, each with its gates, each with its rules.
 *
 * A route is the rules whose conditions on exchange and routing key are written alike; a gate is the rules of a route
 * whose conditions on headers and properties are. What holds for one of them holds for all, so each is tested once an
 * event, on its first rule; that is how the answers stay exact.
 *
 * A route with exact exchanges hangs in the trie below the root of each, at the end of each of its patterns; any other
 * below the root that every event visits, where its exchange is tested.
 */
#ifndef QUASHD_INDEX_LAYERS_H
#define QUASHD_INDEX_LAYERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index.h"
#include "ruleset.h"
#include "sieve.h"
#include "topic_trie.h"
#include "word_map.h"

struct route {
    uint32_t rule;  /* the first of it */
    bool tested;    /* the trie alone does not decide */
    unsigned needs; /* SOURCE_... of all its rules */
    uint32_t first_gate, gate_count;
    uint32_t sieve; /* of gates */
};

struct gate {
    uint32_t rule;
    bool tested;
    unsigned needs;
    uint32_t first_rule, rule_count; /* in `rules` */
    uint32_t sieve;                  /* of rules */
};

struct rule_index {
    const struct rule *rule; /* borrowed */
    size_t rule_count;

    struct word_map exchanges; /* to roots of the trie */
    uint32_t every_exchange;   /* a root */
    struct topic_trie trie;
    uint32_t *ends_at; /* for each node, and one more, where in `ends` its routes begin */
    uint32_t *ends;
    struct route *routes;
    size_t route_count;
    struct sieves gate_sieves;
    struct gate *gates;
    size_t gate_count;
    struct sieves rule_sieves;
    uint32_t *rules; /* by gate */

    _Atomic(struct candidates *) spare;
};

#endif
