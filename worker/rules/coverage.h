/*
 * coverage.h - what a set of test cases exercised of the rules: which rules matched, which conditions held and which
 * kept an event away, which templates named a group and which fell back on their wider group.
 */
#ifndef QUASHD_COVERAGE_H
#define QUASHD_COVERAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "rules.h"
#include "template.h"

/* How many cases saw it. */
struct covered_condition {
    size_t held;
    size_t rejected; /* it was the first that did not hold */
};

struct covered_template {
    size_t named;   /* gave at least one group, none of them because it widened */
    size_t widened; /* gave its wider group, or `*` */
};

struct covered_rule {
    size_t matched;
    struct covered_condition *conditions; /* as many as condition_count says */
    struct covered_template *templates;
};

struct coverage {
    const struct rules *rules; /* borrowed */
    struct covered_rule *rule; /* as many as there are; those that are disabled are not counted below */
};

/* False when memory ran out; then there is nothing to end. */
bool coverage_init(struct coverage *coverage, const struct rules *rules);
void coverage_fini(struct coverage *coverage);

/* For a judge_observer whose context is the coverage. */
void coverage_matched(void *coverage, size_t rule);
void coverage_tested(void *coverage, size_t rule, size_t condition, bool holds);
void coverage_expanded(void *coverage, size_t rule, size_t template_index, const struct expansion *expansion);

/* Whether a value that the template needs can be absent so that it widens: it has a required place, and the rule's
 * on_missing says so. */
bool coverage_can_widen(const struct rules *rules, size_t rule, size_t template_index);

struct coverage_sum {
    size_t rules, rules_matched;
    size_t conditions, conditions_held, conditions_rejected;
    size_t templates, templates_named;
    size_t templates_that_can_widen, templates_widened; /* only those that can */
};
struct coverage_sum coverage_sum(const struct coverage *coverage);

#endif
