/*
 * test_event_record.c - a record gives the event that the broker would have delivered, or says what is wrong with it.
 */
#include "rules_support.h"

#include "event_record.h"

static struct event_record record;

static void parse_bytes(const char *text, size_t size)
{
    test_problems.count = 0;
    if (!event_record_parse(&record, text, size, &test_problems)) {
        problems_print(&test_problems, "record", stderr);
        fail_msg("refused: %.200s", text);
    }
}

static void parse(const char *text)
{
    parse_bytes(text, strlen(text));
}

static void refuse(const char *text)
{
    test_problems.count = 0;
    assert_false(event_record_parse(&record, text, strlen(text), &test_problems));
    assert_true(test_problems.count > 0);
}

static void assert_body(const char *wanted, size_t size)
{
    assert_int_equal(record.event.body_size, size);
    assert_int_equal(record.event.body_sent, size);
    assert_memory_equal(record.event.body, wanted, size);
}

static void every_part_is_read(void **state)
{
    (void)state;
    parse("{\"exchange\": \"domain\", \"routing_key\": \"order.paid\", \"headers\": {\"a\": [1]},"
          " \"properties\": {\"type\": \"x\"}, \"body\": {\"id\": 17}}");
    assert_string_equal(record.event.exchange, "domain");
    assert_string_equal(record.event.routing_key, "order.paid");
    assert_body("{\"id\": 17}", 10);
    event_record_fini(&record);
}

static void what_is_left_out_is_empty(void **state)
{
    (void)state;
    parse("{\"body_text\": \"\"}");
    assert_string_equal(record.event.exchange, "");
    assert_string_equal(record.event.routing_key, "");
    assert_int_equal(record.event.body_size, 0);
    event_record_fini(&record);
}

static void the_body_is_byte_for_byte_what_stands_there(void **state)
{
    (void)state;
    parse("{\"body\" :\n [1.0, 1e2,\"\\u0041\" ]\n, \"exchange\": \"x\"}");
    assert_body("[1.0, 1e2,\"\\u0041\" ]", 20);
    event_record_fini(&record);
    parse("{\"\\u0062ody\": \"}]\\\"\"}");
    assert_body("\"}]\\\"\"", 6);
    event_record_fini(&record);
    parse("{\"headers\": {\"body\": 1}, \"body\": null}");
    assert_body("null", 4);
    event_record_fini(&record);
}

static void a_body_past_a_limit_reaches_the_rules_as_it_is(void **state)
{
    (void)state;
    static const char *const bodies[] = {"{\"id\": 18446744073709551616}", "{\"a\": 1, \"a\": 2}", "{\"a\\u0000\": 1}",
                                         "{\"a\": \"\\u0000\"}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        char text[256];
        snprintf(text, sizeof text, "{\"exchange\": \"x\", \"body\": %s, \"routing_key\": \"k\"}", bodies[i]);
        parse(text);
        assert_body(bodies[i], strlen(bodies[i]));
        assert_string_equal(record.event.routing_key, "k");
        event_record_fini(&record);
    }
    static char deep[2 * 10000 + 64];
    int used = snprintf(deep, sizeof deep, "{\"body\": ");
    memset(deep + used, '[', 10000);
    memset(deep + used + 10000, ']', 10000);
    snprintf(deep + used + 20000, 16, "}");
    parse(deep);
    assert_int_equal(record.event.body_sent, 20000);
    assert_null(event_json(&record.event, NULL));
    event_record_fini(&record);
}

static void a_limit_passed_outside_of_the_body_is_refused(void **state)
{
    (void)state;
    refuse("{\"headers\": {\"n\": 18446744073709551616}, \"body\": 1}");
    assert_problem("", "too large for 64 bits");
    refuse("{\"body\": 1, \"body\": 2}");
    assert_problem("", "twice");
    refuse("{\"body\": {\"n\": 18446744073709551616}, \"exchange\": \"a\", \"exchange\": \"b\"}");
    assert_problem("", "twice");
}

static void a_large_body_is_cut_but_its_size_is_told(void **state)
{
    (void)state;
    size_t size = (size_t)20 << 20;
    char *text = malloc(size + 64);
    int used = snprintf(text, 64, "{\"body\": \"");
    memset(text + used, 'x', size);
    memcpy(text + (size_t)used + size, "\"}", 2);
    parse_bytes(text, (size_t)used + size + 2);
    assert_int_equal(record.event.body_size, EVENT_BODY_BYTES_MAX);
    assert_int_equal(record.event.body_sent, size + 2);
    assert_null(event_json(&record.event, NULL));
    event_record_fini(&record);
    free(text);
}

static void text_and_base64_are_the_body_itself(void **state)
{
    (void)state;
    parse("{\"body_text\": \"{\\\"id\\\": 1}\"}");
    assert_body("{\"id\": 1}", 9);
    event_record_fini(&record);
    parse("{\"body_text\": \"a\\u0000b\"}");
    assert_body("a\0b", 3);
    event_record_fini(&record);
    static const struct {
        const char *encoded, *decoded;
        size_t size;
    } cases[] = {{"", "", 0},        {"Zg==", "f", 1},        {"Zm8=", "fo", 2},
                 {"Zm9v", "foo", 3}, {"Zm9vYg==", "foob", 4}, {"/+8A", "\xff\xef\x00", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        snprintf(text, sizeof text, "{\"body_base64\": \"%s\"}", cases[i].encoded);
        parse(text);
        assert_body(cases[i].decoded, cases[i].size);
        event_record_fini(&record);
    }
    static const char *const bad[] = {"Zg=", "Z===", "Zg==Zg==", "Zm9v\\n", "=m9v", "Zm-_", "Zm9v====", "Zm 9"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[64];
        snprintf(text, sizeof text, "{\"body_base64\": \"%s\"}", bad[i]);
        refuse(text);
        assert_problem("/body_base64", "not base64");
    }
}

static void exactly_one_body_is_wanted(void **state)
{
    (void)state;
    refuse("{\"exchange\": \"x\"}");
    assert_problem("", "found 0 of");
    refuse("{\"body\": 1, \"body_text\": \"1\"}");
    assert_problem("", "found 2 of");
    refuse("{\"body\": 1, \"body_text\": \"1\", \"body_base64\": \"\"}");
    assert_problem("", "found 3 of");
}

static void mistakes_are_told_with_their_place(void **state)
{
    (void)state;
    refuse("");
    assert_problem("", "is empty");
    refuse("[1,\n  2");
    assert_problem("", "not JSON");
    assert_int_equal(test_problems.item[0].line, 2);
    refuse("{\"body\": {\"a\": tru}}");
    assert_problem("", "not JSON");
    refuse("[]");
    assert_problem("", "found an array");
    refuse("{\"exchange\": 1, \"routing_key\": null, \"headers\": [], \"properties\": \"\", \"body_text\": 3, \"bdy\": "
           "1}");
    assert_problem("/exchange", "found the number 1");
    assert_problem("/routing_key", "found null");
    assert_problem("/headers", "found an array");
    assert_problem("/properties", "found the string");
    assert_problem("/body_text", "found the number 3");
    assert_problem("/bdy", "did you mean \"body\"?");
    refuse("{\"exchange\": \"a\\u0000\", \"body\": 1}");
    assert_problem("/exchange", "\\u0000");
    refuse("{\"body_base64\": 1}");
    assert_problem("/body_base64", "found the number 1");
}

static void a_routing_key_may_have_255_bytes_and_no_more(void **state)
{
    (void)state;
    for (size_t length = 254; length <= 256; length++) {
        char text[320];
        int used = snprintf(text, sizeof text, "{\"routing_key\": \"");
        memset(text + used, 'k', length);
        snprintf(text + used + length, sizeof text - (size_t)used - length, "\", \"body\": 1}");
        test_problems.count = 0;
        assert_int_equal(event_record_parse(&record, text, strlen(text), &test_problems), length <= 255);
        event_record_fini(&record);
    }
    assert_problem("/routing_key", "256 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_is_read),
        cmocka_unit_test(what_is_left_out_is_empty),
        cmocka_unit_test(the_body_is_byte_for_byte_what_stands_there),
        cmocka_unit_test(a_body_past_a_limit_reaches_the_rules_as_it_is),
        cmocka_unit_test(a_limit_passed_outside_of_the_body_is_refused),
        cmocka_unit_test(a_large_body_is_cut_but_its_size_is_told),
        cmocka_unit_test(text_and_base64_are_the_body_itself),
        cmocka_unit_test(exactly_one_body_is_wanted),
        cmocka_unit_test(mistakes_are_told_with_their_place),
        cmocka_unit_test(a_routing_key_may_have_255_bytes_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
