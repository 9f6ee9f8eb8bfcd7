/*
 * explanation.h - all that there is to say about one event under some rules: of each rule whether it matched and why
 * not, of each template what it gave, and what came of it in the end. Made by watching the judge that quashd calls.
 */
#ifndef QUASHD_EXPLANATION_H
#define QUASHD_EXPLANATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "event.h"
#include "groups.h"
#include "rules.h"
#include "template.h"

struct explained_template {
    json_t *names; /* what it gave, an array of strings, each once, in order; NULL where it was not asked */
    struct expansion expansion;
};

struct explained_rule {
    bool matched;
    bool routed;  /* exchange and routing key hold, and the rule is not disabled */
    char *reason; /* why it does not match; NULL where it does */
    struct explained_template *templates;
    size_t template_count; /* those of the rule; 0: none was asked */
};

struct explained_repeat {
    uint32_t after_ms;
    struct groups *groups; /* sorted */
};

struct explanation {
    const struct rules *rules;   /* borrowed */
    struct explained_rule *rule; /* as many as there are, in file order */
    struct groups *groups;       /* sorted */
    struct verdict verdict;
    struct explained_repeat *repeats; /* ascending */
    size_t repeat_count;
};

/* False when memory ran out; then there is nothing to end. */
bool explanation_make(struct explanation *explanation, const struct rules *rules, struct event *event);
void explanation_fini(struct explanation *explanation);

#endif
