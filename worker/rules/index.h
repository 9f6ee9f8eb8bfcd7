/*
 * index.h - which rules an event is for, without asking all of them.
 *
 * What it answers is exact for exchange, routing key, headers and properties: of the rules that it leaves, these
 * conditions hold and need not be tested again. Of conditions on the body it only uses some, so the rules that it
 * leaves in the end are a superset of those that match: theirs are still to be tested.
 *
 * Made in three stages, each of which looks at no more rules than it must:
 *  - exchanges are hashed, routing keys walk down a trie of topic patterns (topic_trie.h) to sets of rules with the
 *    same exchanges and routing keys;
 *  - among these, those with the same conditions on headers and properties are asked once, together; where many sets
 *    compare one header or property with exact values, the value is looked up (sieve.h);
 *  - among these, in the same way, rules that compare one place of the body with exact values.
 *
 * Memory: 140 to 280 bytes a rule where each names one routing key or one value (measured with 100 to 10,000 rules). A
 * rule with lists takes 80 to 125 bytes more for each exact value and each word of a pattern that no other rule has at
 * the same place, of at most 1,024 pairs of exchange and pattern and 64 values; what goes beyond is not looked up.
 */
#ifndef QUASHD_INDEX_H
#define QUASHD_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "source.h"

struct rules;
struct rule_index;

/* Of rules that have been read, which it borrows, without those that are disabled. NULL when memory ran out. */
struct rule_index *rule_index_new(const struct rules *rules);
void rule_index_free(struct rule_index *index);

/* One event's way through the index: taken for the event and given back after it. The index keeps one to be taken
 * again, so that a thread that judges alone allocates nothing; any number of threads may take one each. NULL when
 * memory ran out. */
struct candidates;
struct candidates *candidates_take(struct rule_index *index);
void candidates_give_back(struct rule_index *index, struct candidates *candidates);

/* The three stages, to be gone through in this order; each leaves less of what the one before has left. Returned is
 * what the rules that are left look at, in conditions and templates: SOURCE_ATTRIBUTES and SOURCE_BODY, or 0. */
unsigned candidates_by_routing(struct candidates *candidates, const struct view *view);
/* Nothing is left out while headers or properties are NULL in `view`. */
unsigned candidates_by_attributes(struct candidates *candidates, const struct view *view);
/* The rules' numbers, ascending; borrowed until the next call. Nothing is left out while the body is NULL. */
const uint32_t *candidates_by_body(struct candidates *candidates, const struct view *view, size_t *count);

#endif
