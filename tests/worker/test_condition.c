/*
 * test_condition.c - conditions hold when they say so: ANDed, lists ORed, values equal in type and digits.
 */
#include "rules_support.h"

#include "condition.h"
#include "json_text.h"

static struct mismatch mismatch;

static struct condition *read_condition(const char *when)
{
    test_problems.count = 0;
    json_t *json = json_text_parse(when, strlen(when), false, NULL);
    assert_non_null(json);
    struct json_place place = json_place_key(NULL, "when");
    struct condition *condition = condition_read(json, &place, &test_problems);
    json_decref(json); /* the condition keeps what it needs */
    return condition;
}

static bool routing_holds(const char *when, const char *exchange, const char *routing_key)
{
    struct condition *condition = read_condition(when);
    assert_non_null(condition);
    struct event event = make_event(exchange, routing_key, "");
    mismatch.sentence[0] = '\0';
    bool holds = condition_routing(condition, &event, &mismatch);
    assert_int_equal(holds, mismatch.sentence[0] == '\0');
    condition_free(condition);
    return holds;
}

static bool body_holds(const char *tests, const char *body)
{
    char when[1024];
    snprintf(when, sizeof when, "{\"body\": %s}", tests);
    struct condition *condition = read_condition(when);
    assert_non_null(condition);
    assert_true(condition_needs_body(condition));
    json_t *json = json_text_parse(body, strlen(body), true, NULL);
    assert_non_null(json);
    mismatch.sentence[0] = '\0';
    bool holds = condition_body(condition, json, &mismatch);
    assert_int_equal(holds, mismatch.sentence[0] == '\0');
    json_decref(json);
    condition_free(condition);
    return holds;
}

static void no_condition_holds_for_every_event(void **state)
{
    (void)state;
    assert_true(routing_holds("{}", "", ""));
    assert_true(routing_holds("{}", "domain", "a.b"));
    struct condition *condition = condition_read(NULL, NULL, &test_problems);
    assert_false(condition_needs_body(condition));
    assert_true(condition_body(condition, NULL, NULL));
    condition_free(condition);
    condition_free(NULL);
}

static void exchange_and_routing_key_must_both_hold(void **state)
{
    (void)state;
    static const char when[] = "{\"exchange\": [\"a\", \"b\"], \"routing_key\": [\"x.*\", \"y\"]}";
    assert_true(routing_holds(when, "b", "y"));
    assert_true(routing_holds(when, "a", "x.1"));
    assert_false(routing_holds(when, "c", "y"));
    assert_string_equal(mismatch.sentence, "the exchange is \"c\", not \"a\" or \"b\"");
    assert_false(routing_holds(when, "a", "z"));
    assert_string_equal(mismatch.sentence, "the routing key is \"z\", which does not match \"x.*\" or \"y\"");
    assert_false(routing_holds("{\"exchange\": \"A\"}", "a", ""));
}

static void equality_is_strict_about_types_and_digits(void **state)
{
    (void)state;
    static const struct {
        const char *accepted, *value;
        bool holds;
    } cases[] = {
        {"42", "42", true},
        {"42", "\"42\"", false},
        {"\"42\"", "42", false},
        {"42", "42.0", false},
        {"1", "true", false},
        {"true", "true", true},
        {"true", "false", false},
        {"false", "null", false},
        {"null", "null", true},
        {"0", "null", false},
        {"\"\"", "\"\"", true},
        {"\"\"", "null", false},
        {"\"a\"", "\"A\"", false},
        {"\"a\"", "\"a\\u0000\"", false},
        {"9007199254740993", "9007199254740993", true},
        {"9007199254740993", "9007199254740992", false},
        {"-9223372036854775808", "-9223372036854775808", true},
        {"[1, \"x\", null]", "\"x\"", true},
        {"[1, \"x\", null]", "null", true},
        {"[1, \"x\", null]", "2", false},
        {"1", "[1]", false},
        {"\"a\"", "{}", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char tests[128], body[128];
        snprintf(tests, sizeof tests, "{\"/v\": %s}", cases[i].accepted);
        snprintf(body, sizeof body, "{\"v\": %s}", cases[i].value);
        if (body_holds(tests, body) != cases[i].holds)
            fail_msg("%s with %s: wanted %d", tests, body, cases[i].holds);
    }
}

static void an_absent_value_equals_nothing(void **state)
{
    (void)state;
    assert_false(body_holds("{\"/v\": null}", "{}"));
    assert_string_equal(mismatch.sentence, "/v is absent, not null");
    assert_false(body_holds("{\"/v\": null}", "[]"));
    assert_false(body_holds("{\"/v/w\": null}", "{\"v\": null}"));
}

static void every_pointer_of_a_body_must_hold(void **state)
{
    (void)state;
    static const char tests[] = "{\"/op\": [\"c\", \"u\", \"d\", \"r\"], \"/source/table\": \"orders\"}";
    assert_true(body_holds(tests, "{\"op\": \"u\", \"source\": {\"table\": \"orders\"}}"));
    assert_false(body_holds(tests, "{\"op\": \"u\", \"source\": {\"table\": \"lines\"}}"));
    assert_string_equal(mismatch.sentence, "/source/table is \"lines\", not \"orders\"");
    assert_false(body_holds(tests, "{\"op\": {}, \"source\": {\"table\": \"orders\"}}"));
    assert_string_equal(mismatch.sentence, "/op is an object, not \"c\", \"u\", \"d\" or 1 more");
}

static void pointers_reach_into_arrays_and_escaped_keys(void **state)
{
    (void)state;
    assert_true(body_holds("{\"/a/1/b~1c\": 1}", "{\"a\": [0, {\"b/c\": 1}]}"));
    assert_true(body_holds("{\"/m~0n\": 1}", "{\"m~n\": 1}"));
    assert_true(body_holds("{\"/~01\": 1}", "{\"~1\": 1}"));
    assert_true(body_holds("{\"/\": 1}", "{\"\": 1}"));
    assert_true(body_holds("{\"\": \"flush\"}", "\"flush\""));
    assert_true(body_holds("{\"/0\": 1}", "{\"0\": 1}"));
    assert_true(body_holds("{\"/0\": 1}", "[1]"));
    static const char *const none[] = {"{\"/00\": 1}", "{\"/-\": 1}", "{\"/1\": 1}", "{\"/ 0\": 1}",
                                       "{\"/99999999999999999999\": 1}"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(body_holds(none[i], "[1]"));
    assert_false(body_holds("{\"\": \"flush\"}", "\"no\""));
    assert_string_equal(mismatch.sentence, "the body is \"no\", not \"flush\"");
}

static void lists_and_conditions_have_limits(void **state)
{
    (void)state;
    static char when[8192];
    for (int count = CONDITION_VALUES_MAX - 1; count <= CONDITION_VALUES_MAX + 1; count++) {
        int used = snprintf(when, sizeof when, "{\"routing_key\": [");
        for (int i = 0; i < count; i++)
            used += snprintf(when + used, sizeof when - (size_t)used, "%s\"k%d\"", i ? "," : "", i);
        snprintf(when + used, sizeof when - (size_t)used, "]}");
        struct condition *condition = read_condition(when);
        assert_int_equal(condition != NULL, count <= CONDITION_VALUES_MAX);
        condition_free(condition);
    }
    assert_problem("/when/routing_key", "at most 256");
    for (int count = CONDITION_POINTERS_MAX - 1; count <= CONDITION_POINTERS_MAX + 1; count++) {
        int used = snprintf(when, sizeof when, "{\"body\": {");
        for (int i = 0; i < count; i++)
            used += snprintf(when + used, sizeof when - (size_t)used, "%s\"/%d\": 1", i ? "," : "", i);
        snprintf(when + used, sizeof when - (size_t)used, "}}");
        struct condition *condition = read_condition(when);
        assert_int_equal(condition != NULL, count <= CONDITION_POINTERS_MAX);
        condition_free(condition);
    }
    assert_problem("/when/body", "at most 32");
    for (size_t length = 511; length <= 513; length++) {
        int used = snprintf(when, sizeof when, "{\"body\": {\"/");
        memset(when + used, 'p', length - 1);
        snprintf(when + used + length - 1, 16, "\": 1}}");
        struct condition *condition = read_condition(when);
        assert_int_equal(condition != NULL, length <= 512);
        condition_free(condition);
    }
}

static void every_mistake_is_told_with_its_place(void **state)
{
    (void)state;
    assert_null(read_condition("{\"exchange\": [\"a\", 1, \"b*\", \"\"], \"routing_key\": {}, \"headers\": {},"
                               " \"body\": {\"id\": 1, \"/a\": [], \"/b\": 1.5, \"/c\": [[1]], \"/d\": {\"not\": 1},"
                               " \"/e\": \"x?\", \"/*\": 1}}"));
    assert_problem("/when/exchange/1", "found the number 1");
    assert_problem("/when/exchange/2", "wildcards");
    assert_problem("/when/exchange/3", "default exchange");
    assert_problem("/when/routing_key", "found an object");
    assert_problem("/when/headers", "unknown key \"headers\"");
    assert_problem("/when/body/id", "must start with");
    assert_problem("/when/body/~1a", "empty list");
    assert_problem("/when/body/~1b", "found the number 1.5");
    assert_problem("/when/body/~1c/0", "list in a list");
    assert_problem("/when/body/~1d", "found an object");
    assert_problem("/when/body/~1e", "wildcards");
    assert_problem("/when/body/~1*", "segment \"*\"");
    assert_int_equal(test_problems.count, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_condition_holds_for_every_event),
        cmocka_unit_test(exchange_and_routing_key_must_both_hold),
        cmocka_unit_test(equality_is_strict_about_types_and_digits),
        cmocka_unit_test(an_absent_value_equals_nothing),
        cmocka_unit_test(every_pointer_of_a_body_must_hold),
        cmocka_unit_test(pointers_reach_into_arrays_and_escaped_keys),
        cmocka_unit_test(lists_and_conditions_have_limits),
        cmocka_unit_test(every_mistake_is_told_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
