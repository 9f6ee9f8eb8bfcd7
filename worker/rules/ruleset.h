/*
 * ruleset.h - what is inside a struct rules; for rules.c, which makes it, and verdict.c, which follows it.
 */
#ifndef QUASHD_RULESET_H
#define QUASHD_RULESET_H

#include <jansson.h>

#include "condition.h"
#include "rules.h"
#include "template.h"

struct rule {
    const char *name; /* borrowed from the document */
    struct condition *condition;
    struct group_template **templates;
    size_t template_count;
    bool skip_missing; /* on_missing: skip */
    bool needs_body;
};

struct rules {
    json_t *document; /* keeps the strings alive */
    char *default_exchange;
    struct rule *rule;
    size_t count;
    struct binding *bindings;
    size_t binding_count;
    uint64_t hash;
};

#endif
