/*
 * test_condition.c - `when` holds when all it says holds: stage by stage, with what `defaults` add.
 */
#include "rules_support.h"

#include "condition.h"
#include "json_text.h"

static char sentence[MISMATCH_SIZE];

static json_t *must_json(const char *text)
{
    json_t *json = json_text_parse(text, strlen(text), true, NULL);
    if (json == NULL)
        fail_msg("not JSON: %s", text);
    return json;
}

static struct condition *read_with(const char *when, const struct condition *defaults)
{
    test_problems.count = 0;
    json_t *json = must_json(when);
    struct json_place place = json_place_key(NULL, "when");
    struct condition *condition = condition_read(json, defaults, &place, &test_problems);
    assert_int_equal(condition == NULL, test_problems.count > 0);
    json_decref(json); /* the condition keeps what it needs */
    return condition;
}

static struct condition *must_read(const char *when)
{
    struct condition *condition = read_with(when, NULL);
    if (condition == NULL) {
        problems_print(&test_problems, when, stderr);
        fail_msg("refused: %s", when);
    }
    return condition;
}

/* An event that has been read; JSON may be NULL. */
struct seen {
    const char *exchange, *routing_key, *headers, *properties, *body;
};

/* Tests every stage; leaves in `sentence` why the first test that fails does. */
static bool condition_holds(const struct condition *condition, const struct seen *seen)
{
    json_t *headers = must_json(seen->headers != NULL ? seen->headers : "{}");
    json_t *properties = must_json(seen->properties != NULL ? seen->properties : "{}");
    json_t *body = must_json(seen->body != NULL ? seen->body : "null");
    struct view view = {.exchange = seen->exchange != NULL ? seen->exchange : "",
                        .routing_key = seen->routing_key != NULL ? seen->routing_key : "",
                        .headers = headers,
                        .properties = properties,
                        .body = body};
    size_t failed = condition_count(condition);
    for (enum condition_stage stage = CONDITION_ROUTING; stage <= CONDITION_BODY; stage++) {
        size_t here = condition_first_failure(condition, stage, &view);
        if (here == condition_count(condition))
            continue;
        assert_true(condition_stage_of(condition, here) == stage);
        assert_false(condition_test(condition, here, &view));
        failed = here < failed ? here : failed;
    }
    bool holds = failed == condition_count(condition);
    sentence[0] = '\0';
    if (!holds)
        assert_ptr_equal(condition_explain(condition, failed, &view, sentence), sentence);
    for (size_t i = 0; i < failed; i++)
        assert_true(condition_test(condition, i, &view));
    json_decref(headers);
    json_decref(properties);
    json_decref(body);
    return holds;
}

static bool holds(const char *when, struct seen seen)
{
    struct condition *condition = must_read(when);
    bool answer = condition_holds(condition, &seen);
    condition_free(condition);
    return answer;
}

static bool body_holds(const char *tests, const char *body)
{
    char when[1024];
    snprintf(when, sizeof when, "{\"body\": %s}", tests);
    return holds(when, (struct seen){.body = body});
}

static void no_condition_holds_for_every_event(void **state)
{
    (void)state;
    assert_true(holds("{}", (struct seen){0}));
    assert_true(holds("{}", (struct seen){.exchange = "domain", .routing_key = "a.b"}));
    struct condition *condition = condition_read(NULL, NULL, NULL, &test_problems);
    assert_int_equal(condition_count(condition), 0);
    assert_false(condition_has_stage(condition, CONDITION_ROUTING));
    assert_false(condition_has_stage(condition, CONDITION_BODY));
    assert_null(condition_exchange(condition));
    assert_null(condition_routing_key(condition));
    assert_true(condition_holds(condition, &(struct seen){0}));
    condition_free(condition);
    condition_free(NULL);
}

static void exchange_and_routing_key_must_both_hold(void **state)
{
    (void)state;
    static const char when[] = "{\"exchange\": [\"a\", \"b\"], \"routing_key\": [\"x.*\", \"y\"]}";
    assert_true(holds(when, (struct seen){.exchange = "b", .routing_key = "y"}));
    assert_true(holds(when, (struct seen){.exchange = "a", .routing_key = "x.1"}));
    assert_false(holds(when, (struct seen){.exchange = "c", .routing_key = "y"}));
    assert_string_equal(sentence, "the exchange is \"c\", not \"a\" or \"b\"");
    assert_false(holds(when, (struct seen){.exchange = "a", .routing_key = "z"}));
    assert_string_equal(sentence, "the routing key is \"z\", which does not match \"x.*\" or \"y\"");
    assert_false(holds("{\"exchange\": \"A\"}", (struct seen){.exchange = "a"}));
}

static void exchanges_may_be_globs_and_both_may_be_negated(void **state)
{
    (void)state;
    assert_true(holds("{\"exchange\": \"cdc.*\"}", (struct seen){.exchange = "cdc.shop"}));
    assert_false(holds("{\"exchange\": \"cdc.*\"}", (struct seen){.exchange = "domain"}));
    assert_string_equal(sentence, "the exchange is \"domain\", which does not match \"cdc.*\"");
    assert_true(holds("{\"exchange\": {\"not\": \"audit\"}}", (struct seen){.exchange = ""}));
    assert_false(holds("{\"exchange\": {\"not\": [\"audit\", \"log*\"]}}", (struct seen){.exchange = "logs"}));
    assert_string_equal(sentence, "the exchange is \"logs\", but must not match \"audit\" or \"log*\"");
    assert_true(holds("{\"routing_key\": {\"not\": \"test.#\"}}", (struct seen){.routing_key = "order.paid"}));
    assert_false(holds("{\"routing_key\": {\"not\": \"test.#\"}}", (struct seen){.routing_key = "test"}));
    assert_string_equal(sentence, "the routing key is \"test\", but must not match \"test.#\"");
}

static void headers_are_named_as_they_are_or_by_pointer(void **state)
{
    (void)state;
    static const char headers[] = "{\"NServiceBus.EnclosedMessageTypes\": \"Shop.OrderPaid, Shop\", \"env\": \"prod\","
                                  " \"cloudEvents:type\": \"com.acme.order.paid\", \"retry\": 3,"
                                  " \"x-death\": [{\"queue\": \"q1\", \"count\": 2}, {\"queue\": \"q2\"}]}";
    assert_true(holds("{\"headers\": {\"NServiceBus.EnclosedMessageTypes\": \"Shop.OrderPaid*\","
                      " \"cloudEvents:type\": \"com.acme.order.*\", \"retry\": 3, \"gone\": {\"exists\": false}}}",
                      (struct seen){.headers = headers}));
    assert_false(holds("{\"headers\": {\"env\": \"prod\", \"retry\": \"3\"}}", (struct seen){.headers = headers}));
    assert_string_equal(sentence, "header.retry is 3, not \"3\"");
    assert_true(holds("{\"headers\": {\"/x-death/0/queue\": \"q1\"}}", (struct seen){.headers = headers}));
    assert_true(holds("{\"headers\": {\"/x-death/*/queue\": \"q2\"}}", (struct seen){.headers = headers}));
    assert_false(holds("{\"headers\": {\"/x-death/*/queue\": \"q3\"}}", (struct seen){.headers = headers}));
    assert_string_equal(sentence, "header/x-death/*/queue is \"q1\", \"q2\", not \"q3\"");
    assert_false(holds("{\"headers\": {\"x-tenant\": \"a\"}}", (struct seen){.headers = headers}));
    assert_string_equal(sentence, "header.x-tenant is absent, not \"a\"");
}

static void properties_are_tested_by_name(void **state)
{
    (void)state;
    static const char properties[] = "{\"type\": \"order.paid\", \"delivery_mode\": 2}";
    assert_true(holds("{\"properties\": {\"type\": \"order.*\", \"delivery_mode\": 2, \"app_id\": {\"not\": \"x\"}}}",
                      (struct seen){.properties = properties}));
    assert_false(
        holds("{\"properties\": {\"content_type\": \"application/json\"}}", (struct seen){.properties = properties}));
    assert_string_equal(sentence, "property.content_type is absent, not \"application/json\"");
}

static void an_absent_value_equals_nothing(void **state)
{
    (void)state;
    assert_false(body_holds("{\"/v\": null}", "{}"));
    assert_string_equal(sentence, "/v is absent, not null");
    assert_false(body_holds("{\"/v\": null}", "[]"));
    assert_false(body_holds("{\"/v/w\": null}", "{\"v\": null}"));
    assert_false(body_holds("{\"/v\": {\"exists\": true}}", "{\"v\": null}"));
    assert_string_equal(sentence, "/v is null, but must be there");
    assert_false(body_holds("{\"/v\": {\"exists\": false}}", "{\"v\": 0}"));
    assert_string_equal(sentence, "/v is 0, but must be absent");
}

static void every_pointer_of_a_body_must_hold(void **state)
{
    (void)state;
    static const char tests[] = "{\"/op\": [\"c\", \"u\", \"d\", \"r\"], \"/source/table\": \"orders\"}";
    assert_true(body_holds(tests, "{\"op\": \"u\", \"source\": {\"table\": \"orders\"}}"));
    assert_false(body_holds(tests, "{\"op\": \"u\", \"source\": {\"table\": \"lines\"}}"));
    assert_string_equal(sentence, "/source/table is \"lines\", not \"orders\"");
    assert_false(body_holds(tests, "{\"op\": {}, \"source\": {\"table\": \"orders\"}}"));
    assert_string_equal(sentence, "/op is an object, not \"c\", \"u\", \"d\" or 1 more");
}

static void a_star_holds_if_any_element_does(void **state)
{
    (void)state;
    static const char tests[] = "{\"/lines/*/sku\": \"b\"}";
    assert_true(body_holds(tests, "{\"lines\": [{\"sku\": \"a\"}, {\"sku\": \"b\"}]}"));
    assert_true(body_holds(tests, "{\"lines\": {\"x\": {\"sku\": \"b\"}}}"));
    assert_false(body_holds(tests, "{\"lines\": [{\"sku\": \"a\"}, {}, {\"sku\": 1}, {\"sku\": 2}, {\"sku\": 3}]}"));
    assert_string_equal(sentence, "/lines/*/sku is \"a\", absent, 1 and 2 more, not \"b\"");
    assert_false(body_holds(tests, "{\"lines\": []}"));
    assert_string_equal(sentence, "/lines/*/sku is absent, not \"b\"");
    assert_false(body_holds(tests, "{\"lines\": \"b\"}"));
    /* An empty list gives one absent value, an element without the rest another. */
    assert_true(body_holds("{\"/lines/*/sku\": {\"exists\": false}}", "{\"lines\": []}"));
    assert_true(body_holds("{\"/lines/*/sku\": {\"exists\": false}}", "{\"lines\": [{\"sku\": 1}, {}]}"));
    assert_false(body_holds("{\"/lines/*/sku\": {\"exists\": false}}", "{\"lines\": [{\"sku\": 1}]}"));
    assert_true(
        body_holds("{\"/lines/*/sku\": {\"not\": \"a\"}}", "{\"lines\": [{\"sku\": \"a\"}, {\"sku\": \"b\"}]}"));
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
    assert_string_equal(sentence, "the body is \"no\", not \"flush\"");
}

static void tests_are_in_the_order_of_their_stages(void **state)
{
    (void)state;
    struct condition *condition =
        must_read("{\"body\": {\"/b\": 1, \"/a~1c\": 2}, \"properties\": {\"type\": \"t\"}, \"headers\": {\"h\": 1},"
                  " \"routing_key\": \"k\", \"exchange\": \"x\"}");
    static const struct {
        enum condition_stage stage;
        const char *pointer, *source;
    } wanted[] = {
        {CONDITION_ROUTING, "/when/exchange", NULL},
        {CONDITION_ROUTING, "/when/routing_key", NULL},
        {CONDITION_ATTRIBUTES, "/when/headers/h", "header.h"},
        {CONDITION_ATTRIBUTES, "/when/properties/type", "property.type"},
        {CONDITION_BODY, "/when/body/~1b", "/b"},
        {CONDITION_BODY, "/when/body/~1a~01c", "/a~1c"},
    };
    assert_int_equal(condition_count(condition), sizeof wanted / sizeof *wanted);
    for (size_t i = 0; i < condition_count(condition); i++) {
        assert_true(condition_stage_of(condition, i) == wanted[i].stage);
        assert_string_equal(condition_pointer(condition, i), wanted[i].pointer);
        const struct source *source = condition_source(condition, i);
        assert_int_equal(source == NULL, wanted[i].source == NULL);
        if (source != NULL)
            assert_string_equal(source_text(source), wanted[i].source);
        assert_non_null(condition_matcher(condition, i));
    }
    assert_ptr_equal(condition_exchange(condition), condition_matcher(condition, 0));
    assert_ptr_equal(condition_routing_key(condition), condition_matcher(condition, 1));
    assert_true(condition_has_stage(condition, CONDITION_ATTRIBUTES));
    condition_free(condition);

    condition = must_read("{\"properties\": {\"type\": \"t\"}}");
    assert_false(condition_has_stage(condition, CONDITION_ROUTING));
    assert_true(condition_has_stage(condition, CONDITION_ATTRIBUTES));
    assert_false(condition_has_stage(condition, CONDITION_BODY));
    condition_free(condition);
}

static void defaults_fill_in_whole_keys(void **state)
{
    (void)state;
    struct condition *defaults = must_read("{\"exchange\": \"x\", \"headers\": {\"env\": \"prod\", \"v\": 1},"
                                           " \"body\": {\"/op\": \"u\"}}");
    struct condition *condition = read_with("{\"headers\": {\"h\": 1}, \"routing_key\": \"k\"}", defaults);
    assert_non_null(condition);
    static const char *const pointers[] = {"/defaults/when/exchange", "/when/routing_key", "/when/headers/h",
                                           "/defaults/when/body/~1op"};
    assert_int_equal(condition_count(condition), 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(condition_pointer(condition, i), pointers[i]);
    assert_true(condition_holds(
        condition,
        &(struct seen){.exchange = "x", .routing_key = "k", .headers = "{\"h\": 1}", .body = "{\"op\": \"u\"}"}));
    assert_false(condition_holds(condition, &(struct seen){.exchange = "y", .routing_key = "k"}));
    assert_string_equal(sentence, "the exchange is \"y\", not \"x\"");
    condition_free(condition);

    condition = condition_read(NULL, defaults, NULL, &test_problems);
    assert_int_equal(condition_count(condition), 4);
    condition_free(condition);
    condition =
        read_with("{\"exchange\": \"y\", \"headers\": {\"h\": 1}, \"body\": {\"/op\": {\"not\": \"d\"}}}", defaults);
    assert_int_equal(condition_count(condition), 3);
    condition_free(condition);
    condition_free(defaults);
}

static void each_part_has_1_to_32_sources(void **state)
{
    (void)state;
    static const char *const parts[] = {"headers", "body"};
    static char when[8192];
    for (size_t part = 0; part < 2; part++) {
        for (int count = CONDITION_SOURCES_MAX - 1; count <= CONDITION_SOURCES_MAX + 1; count++) {
            int used = snprintf(when, sizeof when, "{\"%s\": {", parts[part]);
            for (int i = 0; i < count; i++)
                used += snprintf(when + used, sizeof when - (size_t)used, "%s\"/%d\": 1", i ? "," : "", i);
            snprintf(when + used, sizeof when - (size_t)used, "}}");
            struct condition *condition = read_with(when, NULL);
            assert_int_equal(condition != NULL, count <= CONDITION_SOURCES_MAX);
            condition_free(condition);
        }
        assert_non_null(strstr(test_problems.item[0].sentence, "found 33 conditions; at most 32"));
    }
    static const char *const empty[] = {"{\"headers\": {}}", "{\"properties\": {}}", "{\"body\": {}}"};
    for (size_t i = 0; i < 3; i++) {
        assert_null(read_with(empty[i], NULL));
        assert_non_null(strstr(test_problems.item[0].sentence, "found no condition; leave"));
    }
    for (size_t length = 511; length <= 513; length++) {
        int used = snprintf(when, sizeof when, "{\"body\": {\"/");
        memset(when + used, 'p', length - 1);
        snprintf(when + used + length - 1, 16, "\": 1}}");
        struct condition *condition = read_with(when, NULL);
        assert_int_equal(condition != NULL, length <= 512);
        condition_free(condition);
    }
}

static void every_mistake_is_told_with_its_place(void **state)
{
    (void)state;
    assert_null(read_with("{\"exchange\": [\"a\", 1, \"\"], \"routing_key\": {}, \"heders\": {},"
                          " \"headers\": {\"\": 1, \"/a~\": 1}, \"properties\": {\"typ\": 1, \"nothing\": 2},"
                          " \"body\": {\"id\": 1, \"/a\": [], \"/b\": 1.5, \"/c\": [[1]], \"/d\": {\"nto\": 1}}}",
                          NULL));
    assert_problem("/when/exchange/1", "found the number 1");
    assert_problem("/when/exchange/2", "default exchange");
    assert_problem("/when/routing_key", "found an empty object");
    assert_problem("/when/heders", "did you mean \"headers\"?");
    assert_problem("/when/headers/", "");
    assert_problem("/when/headers/~1a~0", "");
    assert_problem("/when/properties/typ", "did you mean \"type\"?");
    assert_problem("/when/properties/nothing", "");
    assert_problem("/when/body/id", "must start with");
    assert_problem("/when/body/~1a", "empty list");
    assert_problem("/when/body/~1b", "found the number 1.5");
    assert_problem("/when/body/~1c/0", "list in a list");
    assert_problem("/when/body/~1d/nto", "did you mean \"not\"?");
    assert_int_equal(test_problems.count, 13);

    assert_null(read_with("{\"headers\": [], \"properties\": \"type\", \"body\": 1}", NULL));
    assert_problem("/when/headers", "found an array; expected an object of headers");
    assert_problem("/when/properties", "found the string \"type\"; expected an object of properties");
    assert_problem("/when/body", "found the number 1; expected an object of JSON Pointers");
    assert_null(read_with("7", NULL));
    assert_problem("/when", "\"properties\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_condition_holds_for_every_event),
        cmocka_unit_test(exchange_and_routing_key_must_both_hold),
        cmocka_unit_test(exchanges_may_be_globs_and_both_may_be_negated),
        cmocka_unit_test(headers_are_named_as_they_are_or_by_pointer),
        cmocka_unit_test(properties_are_tested_by_name),
        cmocka_unit_test(an_absent_value_equals_nothing),
        cmocka_unit_test(every_pointer_of_a_body_must_hold),
        cmocka_unit_test(a_star_holds_if_any_element_does),
        cmocka_unit_test(pointers_reach_into_arrays_and_escaped_keys),
        cmocka_unit_test(tests_are_in_the_order_of_their_stages),
        cmocka_unit_test(defaults_fill_in_whole_keys),
        cmocka_unit_test(each_part_has_1_to_32_sources),
        cmocka_unit_test(every_mistake_is_told_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
