/*
 * lint_shadow.c - rules that another makes superfluous.
 *
 * One rule covers another if it matches whenever that one does: each of its conditions is met by whatever meets the
 * other's on the same place. To ask each rule about each would take a minute for ten thousand; so the index is asked
 * which rules match one event that the narrower rule matches, and these are compared, up to COMPARISONS_MAX in all.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "condition.h"
#include "index.h"
#include "lint_parts.h"
#include "quote.h"
#include "template.h"
#include "word_map.h"

#define COMPARISONS_MAX 1000000

/* What each rule cancels: the numbers of its templates, which are the same for templates that say the same. */
struct cancelled {
    uint32_t (*templates)[RULE_TEMPLATES_MAX];
    const struct rules *rules;
};

static bool number_templates(struct cancelled *cancelled)
{
    const struct rules *rules = cancelled->rules;
    struct word_map texts = {.slots = NULL};
    bool fine = true;
    for (size_t i = 0; i < rules->count && fine; i++) {
        for (size_t j = 0; j < rules->rule[i].template_count && fine; j++) {
            char text[TEMPLATE_TEXT_SIZE];
            lint_canonical(rules->rule[i].templates[j], text, sizeof text);
            uint32_t number = word_map_put(&texts, 0, text, strlen(text), (uint32_t)texts.count);
            cancelled->templates[i][j] = number;
            fine = number != WORD_MAP_NONE;
        }
    }
    word_map_fini(&texts);
    return fine;
}

static bool contains(const uint32_t *list, size_t count, uint32_t number)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == number)
            return true;
    return false;
}

/* Whether `wide` cancels at least what `narrow` does, as often, and does the same where a value is absent. */
static bool cancels_as_much(const struct cancelled *cancelled, size_t wide, size_t narrow)
{
    const struct rule *a = &cancelled->rules->rule[wide], *b = &cancelled->rules->rule[narrow];
    if (a->missing != b->missing || a->template_count < b->template_count || a->repeat_count < b->repeat_count)
        return false;
    for (size_t i = 0; i < b->template_count; i++)
        if (!contains(cancelled->templates[wide], a->template_count, cancelled->templates[narrow][i]))
            return false;
    for (size_t i = 0; i < b->repeat_count; i++)
        if (!contains(a->repeat_after_ms, a->repeat_count, b->repeat_after_ms[i]))
            return false;
    return true;
}

static bool said_as_narrowly(const struct condition *wide, size_t index, const struct condition *narrow)
{
    const struct source *place = condition_source(wide, index);
    for (size_t i = 0; i < condition_count(narrow); i++)
        if (condition_stage_of(narrow, i) == condition_stage_of(wide, index) && condition_source(narrow, i) != NULL &&
            source_same(condition_source(narrow, i), place) &&
            matcher_covers(condition_matcher(wide, index), condition_matcher(narrow, i)))
            return true;
    return false;
}

static bool covers(const struct condition *wide, const struct condition *narrow)
{
    const struct matcher *exchange = condition_exchange(wide), *routing_key = condition_routing_key(wide);
    if (exchange != NULL &&
        (condition_exchange(narrow) == NULL || !matcher_covers(exchange, condition_exchange(narrow))))
        return false;
    if (routing_key != NULL &&
        (condition_routing_key(narrow) == NULL || !matcher_covers(routing_key, condition_routing_key(narrow))))
        return false;
    for (size_t i = 0; i < condition_count(wide); i++)
        if (condition_source(wide, i) != NULL && !said_as_narrowly(wide, i, narrow))
            return false;
    return true;
}

static void tell(const struct rules *rules, size_t shadowed, size_t by, bool same, struct problems *warnings)
{
    char name[QUOTE_SIZE];
    quote_text(name, sizeof name, rules->rule[by].name, strlen(rules->rule[by].name));
    if (same)
        lint_warn(warnings, shadowed, "",
                  "the rule matches the same events as %s (/rules/%zu), which cancels at least "
                  "the same; take it out, or say in \"when\" what makes it another",
                  name, by);
    else
        lint_warn(warnings, shadowed, "",
                  "whenever this rule matches, so does %s (/rules/%zu), which cancels at least "
                  "the same; take it out, or narrow the other",
                  name, by);
}

/* Compares the rule with each that the index finds for an event of it. */
static void lint_shadow(const struct cancelled *cancelled, size_t rule, const bool *never, struct witness *witness,
                        size_t *comparisons, struct problems *warnings)
{
    const struct rules *rules = cancelled->rules;
    struct candidates *candidates = candidates_take(rules->index);
    if (candidates == NULL)
        return;
    size_t count;
    candidates_by_routing(candidates, &witness->view);
    candidates_by_attributes(candidates, &witness->view);
    const uint32_t *found = candidates_by_body(candidates, &witness->view, &count);
    for (size_t i = 0; i < count && *comparisons < COMPARISONS_MAX; i++) {
        size_t other = found[i];
        ++*comparisons;
        if (other == rule || never[other] || !cancels_as_much(cancelled, other, rule))
            continue;
        const struct condition *wide = rules->rule[other].condition, *narrow = rules->rule[rule].condition;
        if (!covers(wide, narrow))
            continue;
        bool same = covers(narrow, wide);
        if (same && other > rule && cancels_as_much(cancelled, rule, other))
            continue; /* of two that say the same the second is told of */
        tell(rules, rule, other, same, warnings);
        break;
    }
    candidates_give_back(rules->index, candidates);
}

void lint_shadows(const struct rules *rules, const bool *never, struct problems *warnings)
{
    struct cancelled cancelled = {calloc(rules->count + 1, sizeof *cancelled.templates), rules};
    size_t comparisons = 0;
    if (cancelled.templates != NULL && number_templates(&cancelled)) {
        for (size_t i = 0; i < rules->count && comparisons < COMPARISONS_MAX; i++) {
            struct witness witness;
            if (rules->rule[i].disabled || never[i])
                continue;
            if (witness_make(&witness, rules->rule[i].condition))
                lint_shadow(&cancelled, i, never, &witness, &comparisons, warnings);
            witness_fini(&witness);
        }
    }
    free(cancelled.templates);
}
