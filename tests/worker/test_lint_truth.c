/*
 * test_lint_truth.c - a warning is true whenever it is given: thousands of random rule sets are linted, and what the
 * warnings say is compared with what the rules do with random events.
 */
#include "random_rules.h"

#include "ruleset.h"
#include "template.h"

#define SAMPLES 60

static uint64_t seed;
static size_t nevers, shadows, absents, presents, tautologies, elsewhere;

/* The number behind `before` in a text; SIZE_MAX if there is none. */
static size_t number_behind(const char *in, const char *before)
{
    const char *at = strstr(in, before);
    return at != NULL ? strtoul(at + strlen(before), NULL, 10) : SIZE_MAX;
}

static bool matches(const struct rules *rules, size_t rule, const struct view *view)
{
    const struct condition *condition = rules->rule[rule].condition;
    for (size_t i = 0; i < condition_count(condition); i++)
        if (!condition_test(condition, i, view))
            return false;
    return true;
}

static void fail_at(const struct problem *warning, const char *why)
{
    fail_msg("seed %llu: \"%s: %s\", but %s", (unsigned long long)seed, warning->pointer, warning->sentence, why);
}

/* Of a place's alternatives the one that the warning is about, by its text in the sentence. */
static const struct source *named_source(const struct group_template *compiled, const char *sentence)
{
    for (size_t i = 0; i < template_place_count(compiled); i++) {
        size_t count;
        bool optional;
        const struct source *const *sources = template_place(compiled, i, &count, &optional);
        for (size_t j = 0; j < count; j++) {
            char wanted[128];
            snprintf(wanted, sizeof wanted, "%s is ", source_text(sources[j]));
            if (strstr(sentence, wanted) != NULL)
                return sources[j];
        }
    }
    return NULL;
}

static bool see_nothing(void *context, const struct value *value)
{
    (void)context;
    return value_is_nothing(value);
}

static void check_presence(const struct rules *rules, size_t rule, const struct problem *warning,
                           const struct view *view, bool there)
{
    size_t number = number_behind(warning->pointer, "/cancel/");
    const struct source *source = named_source(rules->rule[rule].templates[number], warning->sentence);
    assert_non_null(source);
    bool nothing = source_each(source, view, see_nothing, NULL);
    if (matches(rules, rule, view) && nothing == there)
        fail_at(warning, "a matching event says otherwise");
}

static void check_shadow(const struct rules *rules, size_t narrow, const struct problem *warning,
                         const struct view *view)
{
    size_t wide = number_behind(warning->sentence, "(/rules/");
    assert_true(wide < rules->count && !rules->rule[wide].disabled);
    if (matches(rules, narrow, view) && !matches(rules, wide, view))
        fail_at(warning, "an event matches only the narrower rule");
    if (strstr(warning->sentence, "the same events") != NULL &&
        matches(rules, narrow, view) != matches(rules, wide, view))
        fail_at(warning, "an event matches only the wider rule");
    for (size_t i = 0; i < rules->rule[narrow].template_count; i++) {
        bool found = false;
        for (size_t j = 0; j < rules->rule[wide].template_count; j++)
            found = found || strcmp(template_text(rules->rule[narrow].templates[i]),
                                    template_text(rules->rule[wide].templates[j])) == 0;
        if (!found)
            fail_at(warning, "it cancels something else");
    }
}

static bool holds_at(const struct rules *rules, size_t rule, const char *pointer, const struct view *view)
{
    const struct condition *condition = rules->rule[rule].condition;
    for (size_t i = 0; i < condition_count(condition); i++)
        if (strcmp(condition_pointer(condition, i), strstr(pointer, "/when")) == 0)
            return condition_test(condition, i, view);
    fail_msg("seed %llu: no condition at %s", (unsigned long long)seed, pointer);
    return false;
}

static void check(const struct rules *rules, const struct problem *warning, const struct view *view)
{
    size_t rule = number_behind(warning->pointer, "/rules/");
    const char *sentence = warning->sentence;
    if (rule == SIZE_MAX) {
        elsewhere++;
        return;
    }
    if (strstr(sentence, "the rule can never match") != NULL) {
        nevers++;
        if (matches(rules, rule, view))
            fail_at(warning, "an event matches");
    } else if (strstr(sentence, "the same; take it out") != NULL) {
        shadows++;
        check_shadow(rules, rule, warning, view);
    } else if (strstr(sentence, "is never there") != NULL) {
        absents++;
        check_presence(rules, rule, warning, view, false);
    } else if (strstr(sentence, "is always there") != NULL) {
        presents++;
        check_presence(rules, rule, warning, view, true);
    } else if (strstr(sentence, "everything meets this") != NULL) {
        tautologies++;
        if (!holds_at(rules, rule, warning->pointer, view))
            fail_at(warning, "an event does not meet it");
    }
}

static void what_a_warning_says_is_what_the_rules_do(void **state)
{
    (void)state;
    static struct problems warnings;
    for (seed = 1; seed <= 4000; seed++) {
        random_state = seed * 104729;
        warnings.count = 0;
        struct rules *rules = random_rules(1 + below(12), &warnings);
        for (int i = 0; i < SAMPLES; i++) {
            struct sample sample = {.body = NULL};
            make_sample(&sample);
            sample.view.headers = sample.headers;
            sample.view.properties = sample.properties;
            sample.view.body = sample.body;
            for (size_t j = 0; j < warnings.count && j < PROBLEMS_MAX; j++)
                check(rules, &warnings.item[j], &sample.view);
            free_sample(&sample);
        }
        rules_free(rules);
    }
    print_message(
        "compared with events: %zu never, %zu shadowed, %zu absent, %zu present, %zu always; %zu of defaults\n", nevers,
        shadows, absents, presents, tautologies, elsewhere);
    assert_true(nevers > 1000 && shadows > 1000 && absents > 1000 && presents > 1000 && tautologies > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_warning_says_is_what_the_rules_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
