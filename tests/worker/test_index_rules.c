/*
 * test_index_rules.c - the index against asking every rule: thousands of random rule sets and events, of which it must
 * leave out no rule that matches, and say exactly what has to be read of the event.
 */
#include "random_rules.h"

#include "index.h"
#include "ruleset.h"
#include "verdict.h"

/* ---- Asking every rule */

static bool holds(const struct rule *rule, enum condition_stage stage, const struct view *view)
{
    return condition_first_failure(rule->condition, stage, view) == condition_count(rule->condition);
}

static unsigned needs_of(const struct rule *rule)
{
    unsigned needs = rule->template_needs;
    needs |= condition_has_stage(rule->condition, CONDITION_ATTRIBUTES) ? SOURCE_ATTRIBUTES : 0;
    needs |= condition_has_stage(rule->condition, CONDITION_BODY) ? SOURCE_BODY : 0;
    return needs;
}

static uint64_t seed;

static void assert_same_needs(unsigned got, unsigned wanted)
{
    if (got != wanted)
        fail_msg("seed %llu: the index says that %u must be read, the rules %u", (unsigned long long)seed, got, wanted);
}

/* `left[i]`: rule i is still in. The index must give these, or, with `narrowed`, those of them that match at least. */
static size_t assert_rules(struct candidates *candidates, const struct rules *rules, const struct view *view,
                           const bool *left, bool narrowed)
{
    size_t count;
    const uint32_t *found = candidates_by_body(candidates, view, &count);
    size_t next = 0;
    for (size_t i = 0; i < rules->count; i++) {
        bool given = next < count && found[next] == i;
        next += given;
        bool must = left[i] && (!narrowed || holds(&rules->rule[i], CONDITION_BODY, view));
        if ((must && !given) || (given && !left[i]))
            fail_msg("seed %llu: rule %zu %s", (unsigned long long)seed, i, given ? "is given" : "is left out");
    }
    assert_int_equal(next, count); /* ascending, each once */
    return count;
}

static void compare(struct rule_index *index, const struct rules *rules, struct sample *sample)
{
    bool left[512];
    struct view *view = &sample->view;
    struct candidates *candidates = candidates_take(index);
    assert_non_null(candidates);
    unsigned wanted = 0;
    for (size_t i = 0; i < rules->count; i++) {
        left[i] = !rules->rule[i].disabled && holds(&rules->rule[i], CONDITION_ROUTING, view);
        wanted |= left[i] ? needs_of(&rules->rule[i]) : 0;
    }
    assert_same_needs(candidates_by_routing(candidates, view), wanted);
    assert_same_needs(candidates_by_attributes(candidates, view), wanted); /* unread: nothing is left out */
    assert_rules(candidates, rules, view, left, false);

    if (below(8) == 0) { /* another event comes between: nothing may stay behind */
        candidates_give_back(index, candidates);
        candidates = candidates_take(index);
        candidates_by_routing(candidates, view);
    }
    view->headers = sample->headers;
    view->properties = sample->properties;
    wanted = 0;
    for (size_t i = 0; i < rules->count; i++) {
        left[i] = left[i] && holds(&rules->rule[i], CONDITION_ATTRIBUTES, view);
        wanted |= left[i] ? needs_of(&rules->rule[i]) : 0;
    }
    assert_same_needs(candidates_by_attributes(candidates, view), wanted);
    assert_rules(candidates, rules, view, left, false);
    view->body = sample->body;
    assert_rules(candidates, rules, view, left, true);
    candidates_give_back(index, candidates);
}

static void no_rule_that_matches_is_left_out(void **state)
{
    (void)state;
    for (seed = 1; seed <= 1500; seed++) {
        random_state = seed;
        struct rules *rules = random_rules(1 + below(seed % 10 == 0 ? 300 : 30), NULL);
        struct rule_index *index = rule_index_new(rules);
        assert_non_null(index);
        for (int i = 0; i < 20; i++) {
            struct sample sample = {.body = NULL};
            make_sample(&sample);
            compare(index, rules, &sample);
            free_sample(&sample);
        }
        rule_index_free(index);
        rules_free(rules);
    }
}

/* ---- Verdicts */

struct attributes {
    json_t *headers, *properties; /* NULL: they cannot be decoded */
};

static bool decode(const void *source, json_t **headers, json_t **properties, char problem[EVENT_PROBLEM_SIZE])
{
    const struct attributes *attributes = source;
    if (attributes->headers == NULL) {
        snprintf(problem, EVENT_PROBLEM_SIZE, "the headers are broken");
        return false;
    }
    *headers = json_incref(attributes->headers);
    *properties = json_incref(attributes->properties);
    return true;
}

static void never_rejected(void *context, size_t rule, const char *sentence)
{
    (void)context;
    (void)rule;
    (void)sentence;
}

struct judged {
    struct groups *groups;
    struct verdict verdict;
    bool parsed, decoded; /* or tried */
};

static void judge(struct judged *judged, const struct rules *rules, const struct sample *sample,
                  const struct attributes *attributes, const char *body, bool observed)
{
    static const struct judge_observer observer = {.rejected = never_rejected};
    struct event event = make_event(sample->view.exchange, sample->view.routing_key, body);
    event.decode = decode;
    event.decode_from = attributes;
    groups_clear(judged->groups);
    assert_true(observed ? rules_judge_observed(rules, &event, judged->groups, &judged->verdict, &observer)
                         : rules_judge(rules, &event, judged->groups, &judged->verdict, NULL, NULL));
    groups_sort(judged->groups);
    judged->parsed = event.tried;
    judged->decoded = event.decoded;
    event_fini(&event);
}

static void assert_same_judgement(const struct judged *a, const struct judged *b)
{
    bool same = groups_count(a->groups) == groups_count(b->groups) && a->parsed == b->parsed &&
                a->decoded == b->decoded && a->verdict.kind == b->verdict.kind &&
                a->verdict.cause == b->verdict.cause && a->verdict.rule == b->verdict.rule &&
                a->verdict.widened == b->verdict.widened && a->verdict.by_default == b->verdict.by_default &&
                strcmp(a->verdict.reason, b->verdict.reason) == 0;
    for (size_t i = 0; i < groups_count(a->groups) && same; i++)
        same = strcmp(groups_names(a->groups)[i], groups_names(b->groups)[i]) == 0;
    if (!same)
        fail_msg("seed %llu: with the index %zu groups, %s, \"%s\"; asking every rule %zu groups, %s, \"%s\"",
                 (unsigned long long)seed, groups_count(a->groups), verdict_word(a->verdict.kind), a->verdict.reason,
                 groups_count(b->groups), verdict_word(b->verdict.kind), b->verdict.reason);
}

static void events_are_judged_as_if_every_rule_were_asked(void **state)
{
    (void)state;
    struct judged indexed = {.groups = groups_new()}, asked = {.groups = groups_new()};
    for (seed = 1; seed <= 1000; seed++) {
        random_state = seed * 7919;
        struct rules *rules = random_rules(1 + below(30), NULL);
        for (int i = 0; i < 20; i++) {
            struct sample sample = {.body = NULL};
            make_sample(&sample);
            bool broken_headers = below(6) == 0;
            struct attributes attributes = {broken_headers ? NULL : sample.headers, sample.properties};
            char *body = below(4) == 0 ? strdup("<xml>") : json_dumps(sample.body, 0);
            judge(&indexed, rules, &sample, &attributes, body, false);
            judge(&asked, rules, &sample, &attributes, body, true);
            assert_same_judgement(&indexed, &asked);
            free(body);
            free_sample(&sample);
        }
        rules_free(rules);
    }
    groups_free(indexed.groups);
    groups_free(asked.groups);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_rule_that_matches_is_left_out),
        cmocka_unit_test(events_are_judged_as_if_every_rule_were_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
