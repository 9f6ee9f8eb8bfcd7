/*
 * explain_json.c - an explanation, for programs.
 *
 * Values are packed with "o", which takes a NULL for a failure, so that one check at the end of each object suffices.
 */
#include "explain_json.h"

#include <stdlib.h>
#include <string.h>

#include "quote.h"
#include "verdict.h"

json_t *explain_json_text(const char *text)
{
    if (text == NULL)
        return json_null();
    json_t *string = json_string(text);
    if (string != NULL)
        return string;
    size_t size = 6 * strlen(text) + 8; /* at worst \u and four digits for each byte */
    char *escaped = malloc(size);
    if (escaped != NULL)
        string = json_string(quote_bare(escaped, size, text, strlen(text)));
    free(escaped);
    return string;
}

static json_t *text_or_null(const char *text)
{
    return explain_json_text(text[0] != '\0' ? text : NULL);
}

json_t *explain_json_groups(const struct groups *groups)
{
    json_t *list = json_array();
    for (size_t i = 0; i < groups_count(groups); i++) {
        if (json_array_append_new(list, explain_json_text(groups_names(groups)[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *list_matched(const struct explanation *explanation)
{
    json_t *list = json_array();
    for (size_t i = 0; i < rules_count(explanation->rules); i++) {
        if (explanation->rule[i].matched &&
            json_array_append_new(list, explain_json_text(rules_name(explanation->rules, i))) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static const char *outcome_word(enum expansion_outcome outcome)
{
    switch (outcome) {
    case EXPANSION_GROUPS:
        return "groups";
    case EXPANSION_NOTHING:
        return "nothing";
    case EXPANSION_WIDENED:
        break;
    }
    return "widened";
}

static json_t *list_templates(const struct explanation *explanation, size_t rule)
{
    const struct explained_rule *explained = &explanation->rule[rule];
    json_t *list = json_array();
    for (size_t i = 0; i < explained->template_count; i++) {
        const struct explained_template *one = &explained->templates[i];
        if (one->names == NULL)
            continue;
        json_t *item = json_pack("{s:o, s:s, s:O, s:b, s:o}", "template",
                                 explain_json_text(rules_template_text(explanation->rules, rule, i)), "outcome",
                                 outcome_word(one->expansion.outcome), "groups", one->names, "dead_letter",
                                 (int)one->expansion.dead_letter, "why", text_or_null(one->expansion.why));
        if (json_array_append_new(list, item) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *list_rules(const struct explanation *explanation)
{
    json_t *list = json_array();
    for (size_t i = 0; i < rules_count(explanation->rules); i++) {
        const struct explained_rule *explained = &explanation->rule[i];
        json_t *item = json_pack("{s:o, s:b, s:o, s:o}", "name", explain_json_text(rules_name(explanation->rules, i)),
                                 "matched", (int)explained->matched, "reason", explain_json_text(explained->reason),
                                 "templates", list_templates(explanation, i));
        if (json_array_append_new(list, item) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *list_repeats(const struct explanation *explanation)
{
    json_t *list = json_array();
    for (size_t i = 0; i < explanation->repeat_count; i++) {
        const struct explained_repeat *repeat = &explanation->repeats[i];
        json_t *item = json_pack("{s:I, s:o}", "after_ms", (json_int_t)repeat->after_ms, "groups",
                                 explain_json_groups(repeat->groups));
        if (json_array_append_new(list, item) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *make_details(const struct explanation *explanation)
{
    const struct verdict *verdict = &explanation->verdict;
    const char *blamed = verdict->rule != VERDICT_NO_RULE ? rules_name(explanation->rules, verdict->rule) : NULL;
    return json_pack("{s:o, s:o, s:b, s:b, s:b, s:o, s:o}", "cause", text_or_null(verdict_cause_word(verdict->cause)),
                     "rule", explain_json_text(blamed), "widened", (int)verdict->widened, "dead_letter",
                     (int)(verdict->kind == VERDICT_DEAD_LETTER), "dead_letter_by_default", (int)verdict->by_default,
                     "repeats", list_repeats(explanation), "rules", list_rules(explanation));
}

json_t *explain_json(const struct explanation *explanation)
{
    const struct verdict *verdict = &explanation->verdict;
    return json_pack("{s:o, s:o, s:s, s:o, s:o}", "groups", explain_json_groups(explanation->groups), "rules",
                     list_matched(explanation), "verdict", verdict_word(verdict->kind), "reason",
                     text_or_null(verdict->reason), "details", make_details(explanation));
}
