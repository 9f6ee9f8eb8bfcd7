/*
 * coverage.c - counting what the judge does.
 */
#include "coverage.h"

#include <stdlib.h>

#include "ruleset.h"

void coverage_matched(void *coverage, size_t rule)
{
    const struct coverage *counted = coverage;
    counted->rule[rule].matched++;
}

void coverage_tested(void *coverage, size_t rule, size_t condition, bool holds)
{
    const struct coverage *counted = coverage;
    struct covered_condition *covered = &counted->rule[rule].conditions[condition];
    if (holds)
        covered->held++;
    else
        covered->rejected++;
}

void coverage_expanded(void *coverage, size_t rule, size_t template_index, const struct expansion *expansion)
{
    const struct coverage *counted = coverage;
    struct covered_template *covered = &counted->rule[rule].templates[template_index];
    if (expansion->outcome == EXPANSION_GROUPS)
        covered->named++;
    else if (expansion->outcome == EXPANSION_WIDENED)
        covered->widened++;
}

bool coverage_init(struct coverage *coverage, const struct rules *rules)
{
    *coverage = (struct coverage){rules, calloc(rules_count(rules), sizeof *coverage->rule)};
    for (size_t i = 0; coverage->rule != NULL && i < rules_count(rules); i++) {
        struct covered_rule *covered = &coverage->rule[i];
        /* One more than there are: no conditions at all must not look like no memory. */
        covered->conditions = calloc(condition_count(rules->rule[i].condition) + 1, sizeof *covered->conditions);
        covered->templates = calloc(rules->rule[i].template_count, sizeof *covered->templates);
        if (covered->conditions == NULL || covered->templates == NULL) {
            coverage_fini(coverage);
            return false;
        }
    }
    return coverage->rule != NULL;
}

void coverage_fini(struct coverage *coverage)
{
    for (size_t i = 0; coverage->rule != NULL && i < rules_count(coverage->rules); i++) {
        free(coverage->rule[i].conditions);
        free(coverage->rule[i].templates);
    }
    free(coverage->rule);
    *coverage = (struct coverage){NULL, NULL};
}

bool coverage_can_widen(const struct rules *rules, size_t rule, size_t template_index)
{
    if ((rules->rule[rule].missing & MISSING_WIDEN) == 0)
        return false;
    const struct group_template *compiled = rules->rule[rule].templates[template_index];
    for (size_t i = 0; i < template_place_count(compiled); i++) {
        size_t count;
        bool optional;
        (void)template_place(compiled, i, &count, &optional);
        if (!optional)
            return true;
    }
    return false;
}

struct coverage_sum coverage_sum(const struct coverage *coverage)
{
    struct coverage_sum sum = {.rules = 0};
    for (size_t i = 0; i < rules_count(coverage->rules); i++) {
        const struct covered_rule *covered = &coverage->rule[i];
        if (rules_disabled(coverage->rules, i))
            continue;
        sum.rules++;
        sum.rules_matched += covered->matched > 0 ? 1 : 0;
        size_t conditions = condition_count(coverage->rules->rule[i].condition);
        sum.conditions += conditions;
        for (size_t j = 0; j < conditions; j++) {
            sum.conditions_held += covered->conditions[j].held > 0 ? 1 : 0;
            sum.conditions_rejected += covered->conditions[j].rejected > 0 ? 1 : 0;
        }
        sum.templates += coverage->rules->rule[i].template_count;
        for (size_t j = 0; j < coverage->rules->rule[i].template_count; j++) {
            bool can_widen = coverage_can_widen(coverage->rules, i, j);
            sum.templates_named += covered->templates[j].named > 0 ? 1 : 0;
            sum.templates_that_can_widen += can_widen ? 1 : 0;
            sum.templates_widened += can_widen && covered->templates[j].widened > 0 ? 1 : 0;
        }
    }
    return sum;
}
