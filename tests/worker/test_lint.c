/*
 * test_lint.c - every kind of warning, with what it says and where; and rules that look alike and deserve none.
 */
#include "rules_support.h"

static struct problems warnings;

/* Reads {"version": 1, MORE, "rules": [RULES]}, which must be fine. */
static void lint_file(const char *more, const char *rules)
{
    static char text[1 << 16];
    int length = snprintf(text, sizeof text, "{\"version\": 1, %s\"rules\": [%s]}", more, rules);
    assert_true(length > 0 && (size_t)length < sizeof text);
    test_problems.count = 0;
    warnings.count = 0;
    struct rules *parsed = rules_parse(text, (size_t)length, NULL, &test_problems, &warnings);
    if (parsed == NULL)
        problems_print(&test_problems, "rules", stderr);
    assert_non_null(parsed);
    rules_free(parsed);
}

/* One rule with this `when` and this list of templates. */
static void lint_rule(const char *when, const char *cancel)
{
    char rule[4096];
    snprintf(rule, sizeof rule, "{\"name\": \"a\", \"when\": %s, \"cancel\": [%s]}", when, cancel);
    lint_file("", rule);
}

static void lint_when(const char *when)
{
    lint_rule(when, "\"tenant:{/tenant}\"");
}

static void lint_cancel(const char *cancel)
{
    lint_rule("{\"routing_key\": \"order.*\"}", cancel);
}

/* There is exactly one warning, at this pointer, with this in it. */
static void assert_warning(const char *pointer, const char *part)
{
    if (warnings.count == 1 && strcmp(warnings.item[0].pointer, pointer) == 0 &&
        strstr(warnings.item[0].sentence, part) != NULL && warnings.item[0].line > 0)
        return;
    problems_print(&warnings, "warnings", stderr);
    fail_msg("wanted one warning at \"%s\" that says \"%s\"", pointer, part);
}

static void assert_quiet(void)
{
    problems_print(&warnings, "unwanted", stderr);
    assert_int_equal(warnings.count, 0);
}

/* ---- Rules that can never match */

static void a_value_that_a_property_never_has_is_told(void **state)
{
    (void)state;
    lint_when("{\"properties\": {\"delivery_mode\": 3}}");
    assert_warning("/rules/0/when/properties/delivery_mode",
                   "the property delivery_mode holds an integer from 1 to 2, never 3, so the rule can never match");
    lint_when("{\"properties\": {\"delivery_mode\": 0}}");
    assert_warning("/rules/0/when/properties/delivery_mode", "never 0, so the rule can never match");
    lint_when("{\"properties\": {\"priority\": \"5\"}}");
    assert_warning("/rules/0/when/properties/priority", "an integer from 0 to 255, never \"5\"");
    lint_when("{\"properties\": {\"priority\": [256, \"*\"]}}");
    assert_warning("/rules/0/when/properties/priority", "never 256, so the rule can never match");
    lint_when("{\"properties\": {\"timestamp\": -1}}");
    assert_warning("/rules/0/when/properties/timestamp", "holds an integer, 0 or more, never -1");
    lint_when("{\"properties\": {\"expiration\": 60000}}");
    assert_warning("/rules/0/when/properties/expiration", "holds a string of at most 255 bytes, never 60000");
    lint_when("{\"properties\": {\"type\": {\"equals\": true}}}");
    assert_warning("/rules/0/when/properties/type", "never true, so the rule can never match");
    lint_when("{\"properties\": {\"type\": null}}");
    assert_warning("/rules/0/when/properties/type", "never null, so the rule can never match");
}

static void a_string_is_too_long_for_a_property_past_255_bytes(void **state)
{
    (void)state;
    char when[400], value[257];
    memset(value, 'x', 256);
    value[256] = '\0';
    snprintf(when, sizeof when, "{\"properties\": {\"type\": \"%s\"}}", value);
    lint_when(when);
    assert_warning("/rules/0/when/properties/type", "a string of at most 255 bytes, never \"xxx");
    value[255] = '\0';
    snprintf(when, sizeof when, "{\"properties\": {\"type\": \"%s\"}}", value);
    lint_when(when);
    assert_quiet();
}

static void values_that_a_property_has_are_not_told(void **state)
{
    (void)state;
    lint_when("{\"properties\": {\"delivery_mode\": [1, 2], \"priority\": [0, 255], \"timestamp\": {\"not\": 0},"
              " \"type\": \"a*\", \"app_id\": {\"exists\": true}, \"reply_to\": {\"exists\": false}}}");
    assert_quiet();
}

static void one_value_of_a_list_that_is_never_there_is_told(void **state)
{
    (void)state;
    lint_when("{\"properties\": {\"delivery_mode\": [2, 3]}}");
    assert_warning("/rules/0/when/properties/delivery_mode", "never 3, which can be taken out of the list");
}

static void a_not_that_excludes_everything_is_told(void **state)
{
    (void)state;
    lint_when("{\"exchange\": {\"not\": \"*\"}}");
    assert_warning("/rules/0/when/exchange", "no exchange meets this, so the rule can never match");
    lint_when("{\"exchange\": \"x\", \"routing_key\": {\"not\": [\"a\", \"#\"]}}");
    assert_warning("/rules/0/when/routing_key", "no routing key meets this");
    lint_when("{\"body\": {\"/a\": {\"not\": [{\"exists\": true}, {\"exists\": false}]}}}");
    assert_warning("/rules/0/when/body/~1a", "nothing meets this, so the rule can never match");
    lint_when("{\"headers\": {\"h\": {\"not\": {\"not\": {\"not\": [{\"exists\": false}, {\"exists\": true}]}}}}}");
    assert_warning("/rules/0/when/headers/h", "nothing meets this");
    lint_when("{\"properties\": {\"type\": {\"not\": [\"*\", {\"exists\": false}]}}}");
    assert_warning("/rules/0/when/properties/type", "nothing meets this");
}

static void a_not_that_leaves_something_is_not_told(void **state)
{
    (void)state;
    lint_when("{\"body\": {\"/a\": {\"not\": \"*\"}, \"/b\": {\"not\": {\"exists\": true}},"
              " \"/c\": {\"not\": [{\"exists\": true}, \"x\"]}, \"/d\": {\"not\": [{\"exists\": false}, \"*\"]},"
              " \"/e\": [{\"exists\": true}, {\"not\": null}]}}");
    assert_quiet();
    lint_when("{\"exchange\": {\"not\": [\"a\", \"b*\"]}, \"routing_key\": {\"not\": [\"a.#\", \"*\"]}}");
    assert_quiet();
    lint_when("{\"properties\": {\"type\": {\"not\": \"*\"}, \"priority\": {\"not\": 5}}}");
    assert_quiet();
}

static void a_condition_that_everything_meets_is_told(void **state)
{
    (void)state;
    lint_when("{\"body\": {\"/a\": [{\"exists\": true}, {\"exists\": false}]}}");
    assert_warning("/rules/0/when/body/~1a", "everything meets this, a value that is absent too");
    lint_when("{\"properties\": {\"priority\": {\"not\": \"0\"}}}");
    assert_warning("/rules/0/when/properties/priority",
                   "the property priority holds an integer from 0 to 255, so everything meets this");
}

static void conditions_that_exclude_each_other_are_told(void **state)
{
    (void)state;
    lint_when("{\"headers\": {\"h\": \"a\", \"/h\": \"b\"}}");
    assert_warning("/rules/0/when/headers/~1h", "header.h and header/h are the same place, and no value meets both");
    lint_when("{\"headers\": {\"h\": {\"exists\": false}, \"/h\": \"b*\"}}");
    assert_warning("/rules/0/when/headers/~1h", "no value meets both conditions, so the rule can never match");
    lint_when("{\"headers\": {\"h\": [\"a\", \"b\"], \"/h\": \"b*\"}}");
    assert_quiet();
    lint_when("{\"headers\": {\"a/b\": \"a\", \"/a~1b\": \"b\"}}");
    assert_warning("/rules/0/when/headers/~1a~01b", "are the same place");
}

static void a_value_below_what_must_be_a_scalar_or_absent_is_told(void **state)
{
    (void)state;
    lint_when("{\"body\": {\"/a\": \"x\", \"/a/b\": {\"exists\": true}}}");
    assert_warning("/rules/0/when/body/~1a~1b", "so there is nothing at /a/b and the rule can never match");
    lint_when("{\"body\": {\"/a/b\": 1, \"/a\": {\"exists\": false}}}");
    assert_warning("/rules/0/when/body/~1a~1b", "the condition on /a holds only where");
    lint_when("{\"body\": {\"/a\": [\"x\", null, 7], \"/a/*/b\": \"y\"}}");
    assert_warning("/rules/0/when/body/~1a~1*~1b", "nothing at /a/*/b");
    lint_when("{\"body\": {\"\": 5, \"/a\": 1}}");
    assert_warning("/rules/0/when/body/~1a", "the condition on the body holds only where");
    lint_when("{\"headers\": {\"h\": \"x\", \"/h/i\": \"y\"}}");
    assert_warning("/rules/0/when/headers/~1h~1i", "nothing at header/h/i");
    /* The same may well hold: */
    lint_when("{\"body\": {\"/a\": {\"exists\": true}, \"/a/b\": 1}}");
    assert_quiet();
    lint_when("{\"body\": {\"/a\": {\"not\": \"x\"}, \"/a/b\": 1}}");
    assert_quiet();
    lint_when("{\"body\": {\"/a\": \"x\", \"/a/b\": {\"not\": 1}}}");
    assert_quiet();
    lint_when("{\"body\": {\"/a\": \"x\", \"/ab\": 1, \"/ab/c\": {\"exists\": false}}}");
    assert_quiet();
    lint_when("{\"body\": {\"/a/*\": \"x\", \"/a/*/b\": 1}}"); /* two elements */
    assert_quiet();
}

static void elements_of_a_list_may_meet_what_no_single_value_does(void **state)
{
    (void)state;
    lint_when("{\"headers\": {\"/h/*\": \"a\", \"/h/0\": \"b\"}}");
    assert_quiet();
}

static void what_defaults_say_is_told_there(void **state)
{
    (void)state;
    lint_file("\"defaults\": {\"when\": {\"properties\": {\"delivery_mode\": 3}}}, ",
              "{\"name\": \"a\", \"when\": {\"routing_key\": \"a\"}, \"cancel\": [\"x\"]}");
    assert_warning("/defaults/when/properties/delivery_mode", "so the rule can never match");
}

/* ---- Templates */

static void a_word_that_the_patterns_do_not_have_is_told(void **state)
{
    (void)state;
    lint_rule("{\"routing_key\": [\"a.*.c\", \"a\"]}", "\"r:{routing_key.4}\"");
    assert_warning("/rules/0/cancel/0", "routing_key.4 is never there (a routing key that this rule is for has at most "
                                        "3 words), so the template can never name its group");
    lint_rule("{\"routing_key\": \"a\"}", "\"r:{routing_key.2?}\"");
    assert_warning("/rules/0/cancel/0", "has at most 1 word)");
    lint_rule("{\"routing_key\": \"a.*.c\"}", "\"r:{routing_key.3}\"");
    assert_quiet();
    lint_rule("{\"routing_key\": [\"a.*.c\", \"a.#\"]}", "\"r:{routing_key.4}\"");
    assert_quiet();
    lint_rule("{\"routing_key\": {\"not\": \"a\"}}", "\"r:{routing_key.4}\"");
    assert_quiet();
    lint_rule("{\"exchange\": \"x\"}", "\"r:{routing_key.127}\"");
    assert_quiet();
}

static void an_alternative_that_is_never_there_is_told(void **state)
{
    (void)state;
    lint_rule("{\"routing_key\": \"a.*\"}", "\"r:{routing_key.3 ?? /region}\"");
    assert_warning("/rules/0/cancel/0", "the alternative routing_key.3 is never there");
}

static void what_stands_behind_a_value_that_is_always_there_is_told(void **state)
{
    (void)state;
    lint_rule("{\"routing_key\": \"a.*\"}", "\"r:{routing_key.2 ?? /region}\"");
    assert_warning("/rules/0/cancel/0", "routing_key.2 is always there in an event that this rule is for");
    lint_rule("{\"body\": {\"/id\": {\"exists\": true}}}", "\"r:{/id ?? /region}\"");
    assert_warning("/rules/0/cancel/0", "/id is always there");
    lint_rule("{\"body\": {\"/id\": [\"a\", null]}}", "\"r:{/id ?? /region}\"");
    assert_quiet();
    lint_rule("{\"body\": {\"/id\": {\"not\": \"a\"}, \"/ids/*\": 7}}", "\"r:{/id ?? /ids/* ?? /region}\"");
    assert_quiet();
}

static void a_value_that_the_rules_own_condition_excludes_is_told(void **state)
{
    (void)state;
    lint_rule("{\"body\": {\"/after\": null}}", "\"r:{/after/id}\"");
    assert_warning("/rules/0/cancel/0", "/after/id is never there (the rule's own condition on /after says so)");
    lint_rule("{\"body\": {\"/id\": {\"exists\": false}}}", "\"r:{/id}\"");
    assert_warning("/rules/0/cancel/0", "/id is never there");
    lint_rule("{\"headers\": {\"x-tenant\": {\"not\": {\"exists\": true}}}}", "\"r:{header/x-tenant}\"");
    assert_warning("/rules/0/cancel/0", "header/x-tenant is never there");
    lint_rule("{\"body\": {\"/op\": \"d\", \"/after\": {\"not\": null}, \"/ids/*\": {\"exists\": false}}}",
              "\"r:{/op}\", \"a:{/after/id}\", \"i:{/ids/*}\"");
    assert_quiet();
}

static void white_space_in_a_name_is_told(void **state)
{
    (void)state;
    lint_cancel("\"tenant: {/id}\"");
    assert_warning("/rules/0/cancel/0", "the group's name has, beside its colon, white space");
    lint_cancel("\"tenant :{/id}\"");
    assert_warning("/rules/0/cancel/0", "beside its colon");
    lint_cancel("\" tenant:{/id}\"");
    assert_warning("/rules/0/cancel/0", "begins with white space");
    lint_cancel("\"tenant:{/id} \"");
    assert_warning("/rules/0/cancel/0", "ends with white space");
    lint_cancel("\"my tenant:{ /id | trim }-{/b c}\"");
    assert_quiet();
}

static void literal_braces_that_were_meant_as_a_place_are_told(void **state)
{
    (void)state;
    lint_cancel("\"tenant:{{/id}}\"");
    assert_warning("/rules/0/cancel/0", "{{ and }} are literal braces");
    lint_cancel("\"tenant:{{header.x}}\"");
    assert_warning("/rules/0/cancel/0", "{{ and }} are literal braces");
    lint_cancel("\"tenant:${/id}\"");
    assert_warning("/rules/0/cancel/0", "the $ in front of the place is part of the group's name");
    lint_cancel("\"note:{{literal}}\", \"price:{/id}$\", \"o:{{{/id}}}\"");
    assert_quiet();
}

static void a_star_that_is_no_wildcard_is_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        static const char *const cancels[] = {"\"tenant:4*\"",     "\"ten*\"",  "\"tenant:*{/id}\"",
                                              "\"tenant:{/id}*\"", "\"a:b:*\"", "\"*:{/id}\""};
        lint_cancel(cancels[i]);
        assert_warning("/rules/0/cancel/0", "the * is a character like any other here");
    }
    lint_cancel("\"tenant:*\", \"{/kind}:*\"");
    assert_quiet();
    lint_cancel("\"*\"");
    assert_quiet();
}

static void a_template_that_adds_nothing_is_told(void **state)
{
    (void)state;
    lint_cancel("\"a:{/id}\", \"b:{/id}\", \"a:{/id}\"");
    assert_warning("/rules/0/cancel/2", "the template says the same as /rules/0/cancel/0; take it out");
    lint_cancel("\"a:{/id ?? /b | lower}\", \"a:{ /id?\?/b|lower }\"");
    assert_warning("/rules/0/cancel/1", "says the same");
    lint_cancel("\"a:{/id}\", \"a:*\"");
    assert_warning("/rules/0/cancel/0", "is cancelled anyhow, with \"a:*\" of the same rule");
    lint_cancel("\"*\", \"catalog\"");
    assert_warning("/rules/0/cancel/1", "is cancelled anyhow, with \"*\"");
    lint_cancel("\"a:{/id}\", \"a:{/id?}\", \"a:{/id | lower}\", \"a:{/i d}\", \"ab:*\", \"a\"");
    assert_quiet();
}

/* ---- Rules that another makes superfluous */

#define RULE(name, when, rest) "{\"name\": \"" name "\", \"when\": " when ", " rest "}"
#define T                      "\"cancel\": [\"t:{/id}\"]"

static void a_rule_that_another_covers_is_told(void **state)
{
    (void)state;
    lint_file("", RULE("wide", "{\"routing_key\": \"order.#\"}", T) "," RULE("narrow",
                                                                             "{\"routing_key\": \"order.paid\"}", T));
    assert_warning("/rules/1",
                   "whenever this rule matches, so does \"wide\" (/rules/0), which cancels at least the same");
    lint_file("",
              RULE("narrow",
                   "{\"exchange\": \"x\", \"headers\": {\"h\": \"a\"}, \"body\": {\"/t\": \"o.x\", \"/l/*\": 1}}",
                   T) "," RULE("wide", "{\"exchange\": [\"x\", \"y\"], \"body\": {\"/t\": \"o.*\", \"/l/*\": [1, 2]}}",
                               "\"cancel\": [\"all\", \"t:{ /id }\"]"));
    assert_warning("/rules/0", "so does \"wide\" (/rules/1)");
}

static void of_two_rules_that_say_the_same_the_second_is_told(void **state)
{
    (void)state;
    lint_file("", RULE("a", "{\"body\": {\"/t\": [\"x\", \"y\"]}}",
                       T) "," RULE("b", "{\"body\": {\"/t\": [\"y\", \"x\"]}}", T));
    assert_warning("/rules/1", "the rule matches the same events as \"a\" (/rules/0)");
    lint_file("", RULE("less", "{\"routing_key\": \"a\"}", T) "," RULE("more", "{\"routing_key\": \"a\"}",
                                                                       "\"cancel\": [\"t:{/id}\", \"u\"]"));
    assert_warning("/rules/0", "the rule matches the same events as \"more\" (/rules/1)");
}

static void rules_that_differ_in_anything_that_matters_are_not_told(void **state)
{
    (void)state;
    static const char *const others[] = {
        RULE("b", "{\"routing_key\": \"*.paid\"}", T),
        RULE("b", "{\"routing_key\": \"order.paid\"}", "\"cancel\": [\"t:{/id}\", \"u\"]"),
        RULE("b", "{\"routing_key\": \"order.paid\"}", "\"cancel\": [\"t:{/id?}\"]"),
        RULE("b", "{\"routing_key\": \"order.paid\"}", "\"on_missing\": \"skip\", " T),
        RULE("b", "{\"routing_key\": \"order.paid\"}", "\"repeat_after_ms\": 500, " T),
        RULE("b", "{\"routing_key\": \"order.paid\"}", "\"disabled\": true, " T),
        RULE("b", "{\"exchange\": \"x\"}", T),
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char rules[1024];
        snprintf(rules, sizeof rules, "%s, %s", RULE("a", "{\"routing_key\": \"order.#\"}", T), others[i]);
        lint_file("", rules);
        assert_quiet();
    }
    lint_file("", RULE("a", "{\"routing_key\": \"order.#\"}",
                       "\"disabled\": true, " T) "," RULE("b", "{\"routing_key\": \"order.paid\"}", T));
    assert_quiet();
    lint_file("",
              RULE("a", "{\"body\": {\"/t\": \"x\"}}", T) "," RULE("b", "{\"body\": {\"/t\": {\"not\": \"x\"}}}", T));
    assert_quiet();
}

static void more_repeats_cover_fewer(void **state)
{
    (void)state;
    lint_file("", RULE("a", "{\"routing_key\": \"a.#\"}", "\"repeat_after_ms\": [500, 900], " T) "," RULE(
                      "b", "{\"routing_key\": \"a.b\"}", "\"repeat_after_ms\": 900, " T));
    assert_warning("/rules/1", "so does \"a\"");
}

static void other_repeats_are_not_covered(void **state)
{
    (void)state;
    lint_file("", RULE("a", "{\"routing_key\": \"a.#\"}", "\"repeat_after_ms\": 500, " T) "," RULE(
                      "b", "{\"routing_key\": \"a.b\"}", "\"repeat_after_ms\": 900, " T));
    assert_quiet();
}

static void conditions_of_every_kind_are_compared(void **state)
{
    (void)state;
    static const char *const whens[][2] = {
        {"{\"body\": {\"/a\": {\"exists\": true}}}",
         "{\"body\": {\"/a\": {\"exists\": true}, \"/t\": {\"not\": \"x\"}}}"},
        {"{\"headers\": {\"h\": {\"exists\": true}}}", "{\"headers\": {\"/h\": [\"x\", {\"equals\": \"*\"}]}}"},
        {"{\"properties\": {\"type\": \"a*\"}}",
         "{\"properties\": {\"type\": \"ab?c\", \"priority\": {\"exists\": false}}}"},
        {"{\"exchange\": \"x*\"}", "{\"exchange\": [\"x1\", \"x?2\"], \"headers\": {\"/l/0/m~1n\": true}}"},
        {"{\"routing_key\": \"#.c.#\"}",
         "{\"routing_key\": \"a.*.c\", \"body\": {\"/l/*/id\": 7, \"/l/0\": {\"exists\": true}}}"},
        {"{\"routing_key\": {\"not\": \"a.b\"}}", "{\"routing_key\": \"a.c\"}"},
        {"{\"body\": {\"\": {\"exists\": true}}}", "{\"body\": {\"\": \"x\"}}"},
    };
    for (size_t i = 0; i < sizeof whens / sizeof whens[0]; i++) {
        char rules[1024];
        snprintf(rules, sizeof rules,
                 "{\"name\": \"wide\", \"when\": %s, \"cancel\": [\"t\"]},"
                 "{\"name\": \"narrow\", \"when\": %s, \"cancel\": [\"t\"]}",
                 whens[i][0], whens[i][1]);
        lint_file("", rules);
        assert_warning("/rules/1", "whenever this rule matches, so does \"wide\"");
    }
}

static void a_rule_that_can_never_match_is_told_of_once(void **state)
{
    (void)state;
    lint_file("", RULE("a", "{\"properties\": {\"priority\": -1}}", T) "," RULE("b", "{\"routing_key\": \"a\"}", T));
    assert_warning("/rules/0/when/properties/priority", "can never match");
}

static void many_rules_are_compared_in_bounded_time(void **state)
{
    (void)state;
    size_t size = 4u << 20, used = 0;
    char *text = malloc(size);
    assert_non_null(text);
    used += (size_t)snprintf(text, size, "{\"version\": 1, \"rules\": [");
    for (int i = 0; i < RULES_MAX; i++) /* all of them match one event; only the last is covered by the first */
        used += (size_t)snprintf(
            text + used, size - used,
            "%s{\"name\": \"%d\", \"when\": {\"body\": {\"/t\": \"*%d*\"}}, \"cancel\": [\"t:{/id}\"]}",
            i > 0 ? "," : "", i, i);
    snprintf(text + used, size - used, "]}");
    warnings.count = 0;
    struct rules *rules = rules_parse(text, strlen(text), NULL, &test_problems, &warnings);
    assert_non_null(rules);
    assert_true(warnings.count > 0); /* "*10*" is covered by "*1*" */
    rules_free(rules);
    free(text);
}

/* ---- Patterns that bind everything */

static void a_pattern_for_everything_is_told_once_an_exchange(void **state)
{
    (void)state;
    lint_when("{\"routing_key\": \"#\"}");
    assert_warning(
        "/rules/0/when/routing_key",
        "the pattern \"#\" matches every routing key, so every event of the exchange that quashd is started");
    lint_when("{\"exchange\": \"cdc\", \"routing_key\": [\"a\", \"#.#\"]}");
    assert_warning("/rules/0/when/routing_key", "so every event of exchange \"cdc\" is delivered");
    lint_file("",
              RULE("a", "{\"exchange\": \"x\", \"routing_key\": \"#\"}", T) "," RULE(
                  "b", "{\"exchange\": \"x\", \"routing_key\": \"#\", \"body\": {\"/a\": 1}}", "\"cancel\": [\"u\"]"));
    assert_warning("/rules/0/when/routing_key", "exchange \"x\"");
    lint_file("", RULE("a", "{\"exchange\": \"x\", \"routing_key\": \"#\"}", T) "," RULE(
                      "b", "{\"exchange\": [\"x\", \"y\"], \"routing_key\": \"#\"}", "\"cancel\": [\"u\"]"));
    assert_int_equal(warnings.count, 2);
    lint_file("\"defaults\": {\"when\": {\"routing_key\": \"#\"}}, ", "{\"name\": \"a\", \"cancel\": [\"x\"]}");
    assert_warning("/defaults/when/routing_key", "matches every routing key");
}

static void a_rule_without_any_condition_is_told(void **state)
{
    (void)state;
    lint_file("", "{\"name\": \"a\", \"cancel\": [\"x\"]}");
    assert_warning("/rules/0", "the rule has no condition");
    lint_when("{}");
    assert_warning("/rules/0", "the rule has no condition");
}

static void an_exchange_or_a_look_into_the_event_is_enough(void **state)
{
    (void)state;
    lint_when("{\"exchange\": \"cdc\"}");
    assert_quiet();
    lint_when("{\"body\": {\"/type\": \"com.acme.order.*\"}}");
    assert_quiet();
    lint_when("{\"routing_key\": [\"order.#\", \"#.order\", \"*.#\"]}");
    assert_quiet();
}

static void disabled_rules_are_left_alone(void **state)
{
    (void)state;
    lint_file("", "{\"name\": \"a\", \"disabled\": true, \"cancel\": [\"t: {/id}\"]}");
    assert_quiet();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_that_a_property_never_has_is_told),
        cmocka_unit_test(a_string_is_too_long_for_a_property_past_255_bytes),
        cmocka_unit_test(values_that_a_property_has_are_not_told),
        cmocka_unit_test(one_value_of_a_list_that_is_never_there_is_told),
        cmocka_unit_test(a_not_that_excludes_everything_is_told),
        cmocka_unit_test(a_not_that_leaves_something_is_not_told),
        cmocka_unit_test(a_condition_that_everything_meets_is_told),
        cmocka_unit_test(conditions_that_exclude_each_other_are_told),
        cmocka_unit_test(a_value_below_what_must_be_a_scalar_or_absent_is_told),
        cmocka_unit_test(elements_of_a_list_may_meet_what_no_single_value_does),
        cmocka_unit_test(what_defaults_say_is_told_there),
        cmocka_unit_test(a_word_that_the_patterns_do_not_have_is_told),
        cmocka_unit_test(an_alternative_that_is_never_there_is_told),
        cmocka_unit_test(what_stands_behind_a_value_that_is_always_there_is_told),
        cmocka_unit_test(a_value_that_the_rules_own_condition_excludes_is_told),
        cmocka_unit_test(white_space_in_a_name_is_told),
        cmocka_unit_test(literal_braces_that_were_meant_as_a_place_are_told),
        cmocka_unit_test(a_star_that_is_no_wildcard_is_told),
        cmocka_unit_test(a_template_that_adds_nothing_is_told),
        cmocka_unit_test(a_rule_that_another_covers_is_told),
        cmocka_unit_test(of_two_rules_that_say_the_same_the_second_is_told),
        cmocka_unit_test(rules_that_differ_in_anything_that_matters_are_not_told),
        cmocka_unit_test(more_repeats_cover_fewer),
        cmocka_unit_test(other_repeats_are_not_covered),
        cmocka_unit_test(conditions_of_every_kind_are_compared),
        cmocka_unit_test(a_rule_that_can_never_match_is_told_of_once),
        cmocka_unit_test(many_rules_are_compared_in_bounded_time),
        cmocka_unit_test(a_pattern_for_everything_is_told_once_an_exchange),
        cmocka_unit_test(a_rule_without_any_condition_is_told),
        cmocka_unit_test(an_exchange_or_a_look_into_the_event_is_enough),
        cmocka_unit_test(disabled_rules_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
