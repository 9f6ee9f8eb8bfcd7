/*
 * explanation.c - watching the judge, and keeping what it says.
 */
#include "explanation.h"

#include <stdlib.h>
#include <string.h>

#include "ruleset.h"
#include "verdict.h"

struct watch {
    struct explanation *explanation;
    struct groups *names; /* that the template at hand gave so far */
    bool failed;          /* out of memory */
};

static void on_rejected(void *context, size_t rule, const char *sentence)
{
    struct watch *watch = context;
    struct explained_rule *explained = &watch->explanation->rule[rule];
    free(explained->reason);
    explained->reason = strdup(sentence);
    watch->failed = watch->failed || explained->reason == NULL;
}

static void on_matched(void *context, size_t rule)
{
    const struct watch *watch = context;
    watch->explanation->rule[rule].matched = true;
}

/* The tests of exchange and routing key come first, so one of a later stage says that those hold. */
static void on_tested(void *context, size_t rule, size_t condition, bool holds)
{
    const struct watch *watch = context;
    const struct rules *rules = watch->explanation->rules;
    if (!holds && condition_stage_of(rules->rule[rule].condition, condition) == CONDITION_ROUTING)
        watch->explanation->rule[rule].routed = false;
}

static void on_named(void *context, size_t rule, size_t template_index, const char *name, size_t length)
{
    (void)rule;
    (void)template_index;
    struct watch *watch = context;
    if (!groups_add(watch->names, name, length))
        watch->failed = true;
}

static void on_expanded(void *context, size_t rule, size_t template_index, const struct expansion *expansion)
{
    struct watch *watch = context;
    struct explained_rule *explained = &watch->explanation->rule[rule];
    json_t *names = json_array();
    if (explained->templates == NULL) {
        size_t count = watch->explanation->rules->rule[rule].template_count;
        explained->templates = calloc(count, sizeof *explained->templates);
        explained->template_count = explained->templates != NULL ? count : 0;
    }
    if (names == NULL || explained->templates == NULL) {
        json_decref(names);
        watch->failed = true;
        return;
    }
    for (size_t i = 0; i < groups_count(watch->names); i++) {
        if (json_array_append_new(names, json_string(groups_names(watch->names)[i])) != 0)
            watch->failed = true;
    }
    groups_clear(watch->names);
    json_decref(explained->templates[template_index].names);
    explained->templates[template_index] = (struct explained_template){names, *expansion};
}

static bool on_repeat(void *context, uint32_t after_ms, const char *group, size_t length)
{
    struct explanation *explanation = ((struct watch *)context)->explanation;
    size_t at = 0;
    while (at < explanation->repeat_count && explanation->repeats[at].after_ms < after_ms)
        at++;
    if (at == explanation->repeat_count || explanation->repeats[at].after_ms != after_ms) {
        struct explained_repeat *larger =
            realloc(explanation->repeats, (explanation->repeat_count + 1) * sizeof *explanation->repeats);
        if (larger == NULL)
            return false;
        explanation->repeats = larger;
        struct groups *groups = groups_new();
        if (groups == NULL)
            return false;
        memmove(&larger[at + 1], &larger[at], (explanation->repeat_count - at) * sizeof *larger);
        larger[at] = (struct explained_repeat){after_ms, groups};
        explanation->repeat_count++;
    }
    return groups_add(explanation->repeats[at].groups, group, length);
}

bool explanation_make(struct explanation *explanation, const struct rules *rules, struct event *event)
{
    size_t count = rules_count(rules);
    *explanation =
        (struct explanation){.rules = rules, .rule = calloc(count, sizeof *explanation->rule), .groups = groups_new()};
    struct watch watch = {explanation, groups_new(), false};
    const struct judge_observer observer = {.rejected = on_rejected,
                                            .matched = on_matched,
                                            .tested = on_tested,
                                            .named = on_named,
                                            .expanded = on_expanded,
                                            .repeat = on_repeat,
                                            .context = &watch};
    if (explanation->rule == NULL || explanation->groups == NULL || watch.names == NULL)
        goto fail;
    for (size_t i = 0; i < count; i++)
        explanation->rule[i].routed = !rules_disabled(rules, i);
    if (!rules_judge_observed(rules, event, explanation->groups, &explanation->verdict, &observer) || watch.failed)
        goto fail;

    groups_sort(explanation->groups);
    for (size_t i = 0; i < explanation->repeat_count; i++)
        groups_sort(explanation->repeats[i].groups);
    groups_free(watch.names);
    return true;
fail:
    groups_free(watch.names);
    explanation_fini(explanation);
    return false;
}

void explanation_fini(struct explanation *explanation)
{
    for (size_t i = 0; explanation->rule != NULL && i < rules_count(explanation->rules); i++) {
        struct explained_rule *explained = &explanation->rule[i];
        free(explained->reason);
        for (size_t j = 0; j < explained->template_count; j++)
            json_decref(explained->templates[j].names);
        free(explained->templates);
    }
    free(explanation->rule);
    groups_free(explanation->groups);
    for (size_t i = 0; i < explanation->repeat_count; i++)
        groups_free(explanation->repeats[i].groups);
    free(explanation->repeats);
    *explanation = (struct explanation){.rules = NULL};
}
