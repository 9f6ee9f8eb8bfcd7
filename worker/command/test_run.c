/*
 * test_run.c - running one test case.
 *
 * A case that passes is judged once, as quashd does it. One that fails is judged again with somebody watching: the
 * sentences of an explanation cost more than the judging.
 */
#include "test_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "explain_json.h"
#include "explain_text.h"
#include "explanation.h"
#include "quote.h"
#include "verdict.h"

#define DIFFERENCES_MAX 20 /* lines of one sort */
#define RULES_SHOWN_MAX 10
#define LINE_SIZE       768

struct watch {
    const struct rules *rules;
    struct coverage *coverage;
    json_t *matched; /* names, in file order */
    bool failed;     /* out of memory */
};

static void on_matched(void *context, size_t rule)
{
    struct watch *watch = context;
    if (json_array_append_new(watch->matched, explain_json_text(rules_name(watch->rules, rule))) != 0)
        watch->failed = true;
    if (watch->coverage != NULL)
        coverage_matched(watch->coverage, rule);
}

static void on_tested(void *context, size_t rule, size_t condition, bool holds)
{
    const struct watch *watch = context;
    coverage_tested(watch->coverage, rule, condition, holds);
}

static void on_expanded(void *context, size_t rule, size_t template_index, const struct expansion *expansion)
{
    const struct watch *watch = context;
    coverage_expanded(watch->coverage, rule, template_index, expansion);
}

/* What the rules make of the event, as `quash explain --json` tells it; NULL when memory ran out. */
static json_t *judge(const struct rules *rules, struct event *event, struct coverage *coverage)
{
    struct watch watch = {rules, coverage, json_array(), false};
    struct groups *groups = groups_new();
    const struct judge_observer observer = {.matched = on_matched,
                                            .tested = coverage != NULL ? on_tested : NULL,
                                            .expanded = coverage != NULL ? on_expanded : NULL,
                                            .context = &watch};
    struct verdict verdict;
    json_t *found = NULL;
    if (watch.matched != NULL && groups != NULL && rules_judge_observed(rules, event, groups, &verdict, &observer) &&
        !watch.failed) {
        groups_sort(groups);
        found = json_pack("{s:o, s:O, s:s, s:o}", "groups", explain_json_groups(groups), "rules", watch.matched,
                          "verdict", verdict_word(verdict.kind), "reason",
                          explain_json_text(verdict.reason[0] != '\0' ? verdict.reason : NULL));
    }
    groups_free(groups);
    json_decref(watch.matched);
    return found;
}

/* The strings of `list` that `other` lacks, each once; NULL when memory ran out. */
static json_t *only_in(const json_t *list, const json_t *other)
{
    json_t *known = json_object(), *result = json_array();
    bool fine = known != NULL && result != NULL;
    for (size_t i = 0; fine && i < json_array_size(other); i++)
        fine = json_object_set(known, json_string_value(json_array_get(other, i)), json_array_get(other, i)) == 0;
    for (size_t i = 0; fine && i < json_array_size(list); i++) {
        json_t *item = json_array_get(list, i);
        if (json_object_get(known, json_string_value(item)) != NULL)
            continue;
        fine = json_array_append(result, item) == 0 && json_object_set(known, json_string_value(item), item) == 0;
    }
    json_decref(known);
    if (fine)
        return result;
    json_decref(result);
    return NULL;
}

/* What a case expects and did not get, and what it got and did not expect. */
struct difference {
    json_t *missing_groups, *unexpected_groups;
    json_t *missing_rules, *unexpected_rules;
    bool verdict;
};

static bool compare(struct difference *difference, const struct test_case *test, const json_t *found)
{
    const json_t *groups = json_object_get(found, "groups"), *rules = json_object_get(found, "rules");
    const json_t *expected_groups = test->groups != NULL ? test->groups : groups;
    const json_t *expected_rules = test->rules != NULL ? test->rules : rules;
    *difference = (struct difference){
        .missing_groups = only_in(expected_groups, groups),
        .unexpected_groups = only_in(groups, expected_groups),
        .missing_rules = only_in(expected_rules, rules),
        .unexpected_rules = only_in(rules, expected_rules),
        .verdict =
            test->verdict != NULL && strcmp(test->verdict, json_string_value(json_object_get(found, "verdict"))) != 0,
    };
    return difference->missing_groups != NULL && difference->unexpected_groups != NULL &&
           difference->missing_rules != NULL && difference->unexpected_rules != NULL;
}

static bool is_none(const struct difference *difference)
{
    return json_array_size(difference->missing_groups) + json_array_size(difference->unexpected_groups) +
                   json_array_size(difference->missing_rules) + json_array_size(difference->unexpected_rules) ==
               0 &&
           !difference->verdict;
}

static void difference_fini(struct difference *difference)
{
    json_decref(difference->missing_groups);
    json_decref(difference->unexpected_groups);
    json_decref(difference->missing_rules);
    json_decref(difference->unexpected_rules);
}

static bool find_rule(const struct rules *rules, const char *name, size_t *index)
{
    for (*index = 0; *index < rules_count(rules); ++*index) {
        if (strcmp(rules_name(rules, *index), name) == 0)
            return true;
    }
    return false;
}

static void print_more(const json_t *list, const char *mark, const char *noun, FILE *out)
{
    if (json_array_size(list) > DIFFERENCES_MAX)
        fprintf(out, "%s and %zu more %s\n", mark, json_array_size(list) - DIFFERENCES_MAX, noun);
}

static void print_groups(const json_t *list, const char *mark, const char *words, FILE *out)
{
    for (size_t i = 0; i < json_array_size(list) && i < DIFFERENCES_MAX; i++) {
        char shown[LINE_SIZE];
        const json_t *name = json_array_get(list, i);
        fprintf(out, "%s %s group %s\n", mark, words,
                quote_bare(shown, sizeof shown, json_string_value(name), json_string_length(name)));
    }
    print_more(list, mark, "groups", out);
}

/* A rule that is expected to match though there is none of that name is a slip of the pen. */
static void print_nearest(const struct rules *rules, const char *name, FILE *out)
{
    const char **known = calloc(rules_count(rules) + 1, sizeof *known);
    const char *nearest = NULL;
    for (size_t i = 0; known != NULL && i < rules_count(rules); i++)
        known[i] = rules_name(rules, i);
    if (known != NULL)
        nearest = nearest_word(name, known);
    char shown[LINE_SIZE];
    if (nearest != NULL)
        fprintf(out, "; there is no such rule; did you mean %s?",
                quote_text(shown, sizeof shown, nearest, strlen(nearest)));
    else
        fputs("; there is no such rule", out);
    free(known);
}

static void print_rules(const struct rules *rules, const json_t *list, const char *mark, const char *words, FILE *out)
{
    for (size_t i = 0; i < json_array_size(list) && i < DIFFERENCES_MAX; i++) {
        char shown[LINE_SIZE];
        const char *name = json_string_value(json_array_get(list, i));
        size_t index;
        fprintf(out, "%s %s rule %s", mark, words, quote_text(shown, sizeof shown, name, strlen(name)));
        if (!find_rule(rules, name, &index))
            print_nearest(rules, name, out);
        fputc('\n', out);
    }
    print_more(list, mark, "rules", out);
}

static void print_differences(const struct rules *rules, const struct test_case *test, const json_t *found,
                              const struct difference *difference, FILE *out)
{
    print_groups(difference->missing_groups, "-", "expected", out);
    print_groups(difference->unexpected_groups, "+", "unexpected", out);
    print_rules(rules, difference->missing_rules, "-", "expected", out);
    print_rules(rules, difference->unexpected_rules, "+", "unexpected", out);
    if (difference->verdict)
        fprintf(out, "- expected verdict %s\n+ unexpected verdict %s\n", test->verdict,
                json_string_value(json_object_get(found, "verdict")));
}

static bool is_listed(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (strcmp(json_string_value(json_array_get(list, i)), name) == 0)
            return true;
    }
    return false;
}

/* The rules that have to do with a difference: those that match, those that were expected to, and, where more was
 * expected than came, those that the exchange and the routing key would have allowed. */
static void print_concerned(const struct explanation *explanation, const struct difference *difference, FILE *out)
{
    bool more_expected = json_array_size(difference->missing_groups) > 0 || difference->verdict;
    size_t shown = 0, left_out = 0;
    for (size_t i = 0; i < rules_count(explanation->rules); i++) {
        const struct explained_rule *rule = &explanation->rule[i];
        if (!rule->matched && !(more_expected && rule->routed) &&
            !is_listed(difference->missing_rules, rules_name(explanation->rules, i)))
            continue;
        if (shown < RULES_SHOWN_MAX) {
            explain_text_rule(explanation, i, "", false, out);
            shown++;
        } else {
            left_out++;
        }
    }
    if (left_out > 0)
        fprintf(out, "and %zu more rules; quash explain tells them all\n", left_out);
}

/* Both texts of a failed case. */
static bool describe(struct case_result *result, const struct rules *rules, struct test_case *test,
                     const struct difference *difference)
{
    size_t size;
    FILE *out = open_memstream(&result->differences, &size);
    if (out == NULL)
        return false;
    print_differences(rules, test, result->found, difference, out);
    if (fclose(out) != 0)
        return false;

    struct explanation explanation;
    if (!explanation_make(&explanation, rules, &test->record.event))
        return false;
    out = open_memstream(&result->explanation, &size);
    bool fine = out != NULL;
    if (fine) {
        /* What was missing stands beside the template below. */
        if (explanation.verdict.reason[0] != '\0' && explanation.verdict.cause != CAUSE_MISSING)
            fprintf(out, "reason: %s\n", explanation.verdict.reason);
        print_concerned(&explanation, difference, out);
        fine = fclose(out) == 0;
    }
    explanation_fini(&explanation);
    return fine;
}

bool case_run(struct case_result *result, const struct rules *rules, struct test_case *test, struct coverage *coverage)
{
    *result = (struct case_result){.passed = false};
    uint64_t start = clock_monotonic_ns();
    result->found = judge(rules, &test->record.event, coverage);
    result->took_ns = clock_monotonic_ns() - start;
    if (result->found == NULL)
        return false;
    struct difference difference;
    bool fine = compare(&difference, test, result->found);
    result->passed = fine && is_none(&difference);
    if (fine && !result->passed)
        fine = describe(result, rules, test, &difference);
    difference_fini(&difference);
    if (!fine)
        case_result_fini(result);
    return fine;
}

void case_result_fini(struct case_result *result)
{
    json_decref(result->found);
    free(result->differences);
    free(result->explanation);
    *result = (struct case_result){.passed = false};
}
