/*
 * ruleset.h - what is inside a struct rules; for rules.c, which makes it, and for those that follow it: verdict.c,
 * index.c, lint.c, changes.c, cases.c.
 */
#ifndef QUASHD_RULESET_H
#define QUASHD_RULESET_H

#include <jansson.h>

#include "condition.h"
#include "rules.h"
#include "template.h"

struct rule {
    const char *name;   /* borrowed from the document */
    const json_t *json; /* the rule as it stands in the document; borrowed */
    bool disabled;      /* matches nothing */
    struct condition *condition;
    struct group_template **templates;
    size_t template_count;
    unsigned missing;                           /* MISSING_... */
    uint32_t repeat_after_ms[RULE_REPEATS_MAX]; /* ascending */
    size_t repeat_count;
    unsigned template_needs; /* SOURCE_...: of all templates together */
};

#define MALFORMED_WIDEN       1u
#define MALFORMED_DEAD_LETTER 2u

struct rules {
    json_t *document; /* keeps the strings alive */
    char *default_exchange;
    struct condition *default_condition; /* what `defaults` says of `when`; NULL: nothing */
    struct rule *rule;
    size_t count;
    struct rule_index *index;
    unsigned on_malformed;     /* MALFORMED_... */
    bool malformed_by_default; /* the file does not say it */
    bool unmatched_dead_letter;
    char *asks_for_dead_letters; /* NULL: the file does not */
    struct binding *bindings;
    size_t binding_count;
    uint64_t hash;
};

#endif
