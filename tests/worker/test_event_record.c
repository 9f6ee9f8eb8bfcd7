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

/* ---- Headers and properties */

static void assert_json(const json_t *json, const char *wanted)
{
    char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    assert_non_null(text);
    assert_string_equal(text, wanted);
    free(text);
}

static void headers_and_properties_reach_the_rules(void **state)
{
    (void)state;
    parse("{\"headers\": {\"a\": [1, {\"b\": null}], \"\": 1.5}, \"properties\": {\"type\": \"x\", \"priority\": 0},"
          " \"body\": 1}");
    assert_json(event_headers(&record.event, NULL), "{\"\":1.5,\"a\":[1,{\"b\":null}]}");
    assert_json(event_properties(&record.event, NULL), "{\"priority\":0,\"type\":\"x\"}");
    event_record_fini(&record);
    parse("{\"body\": 1}");
    assert_json(event_headers(&record.event, NULL), "{}");
    assert_json(event_properties(&record.event, NULL), "{}");
    event_record_fini(&record);
}

static void a_record_may_be_moved_before_it_is_looked_into(void **state)
{
    (void)state;
    parse("{\"headers\": {\"a\": 1}, \"body\": 1}");
    struct event_record moved = record;
    memset(&record, 0xee, sizeof record);
    assert_json(event_headers(&moved.event, NULL), "{\"a\":1}");
    event_record_fini(&moved);
}

static void bytes_that_are_text_are_a_string_as_they_are_from_the_broker(void **state)
{
    (void)state;
    parse("{\"headers\": {\"text\": {\"base64\": \"Zm9v\"}, \"none\": {\"base64\": \"\"}, \"bytes\": {\"base64\": "
          "\"/w==\"}, \"list\": [{\"base64\": \"Zm9v\"}], \"table\": {\"in\": {\"base64\": \"w6k=\"}},"
          " \"not base64\": {\"base64\": \"Zm9\"}, \"number\": {\"base64\": 1}, \"two\": {\"base64\": \"Zm9v\", \"a\": "
          "1}}, \"body\": 1}");
    assert_json(event_headers(&record.event, NULL),
                "{\"bytes\":{\"base64\":\"/w==\"},\"list\":[\"foo\"],\"none\":\"\",\"not base64\":{\"base64\":\"Zm9\"},"
                "\"number\":{\"base64\":1},\"table\":{\"in\":\"\xc3\xa9\"},\"text\":\"foo\",\"two\":{\"a\":1,"
                "\"base64\":\"Zm9v\"}}");
    event_record_fini(&record);
}

static void headers_may_be_64_levels_deep_and_no_more(void **state)
{
    (void)state;
    static const char *const opening[] = {"[", "{\"a\":"}, *const closing[] = {"]", "}"};
    for (size_t kind = 0; kind < 2; kind++) {
        for (int depth = EVENT_HEADER_DEPTH_MAX - 1; depth <= EVENT_HEADER_DEPTH_MAX + 1; depth++) {
            char text[1024] = "{\"body\": 1, \"headers\": {\"h\": ";
            for (int i = 0; i < depth; i++)
                strcat(text, opening[kind]);
            strcat(text, kind == 0 ? "" : "1");
            for (int i = 0; i < depth; i++)
                strcat(text, closing[kind]);
            strcat(text, "}}");
            if (depth <= EVENT_HEADER_DEPTH_MAX) {
                parse(text);
                assert_non_null(event_headers(&record.event, NULL));
                event_record_fini(&record);
            } else {
                refuse(text);
                assert_non_null(strstr(test_problems.item[0].sentence, "more than 64 levels"));
            }
        }
    }
}

static void a_headers_name_may_have_255_bytes_and_no_more(void **state)
{
    (void)state;
    static const char *const before[] = {"", "{\"list\": [1, "}, *const after[] = {"", "]}"};
    for (size_t i = 0; i < 2; i++) {
        for (size_t length = 254; length <= 256; length++) {
            char name[257], text[512];
            memset(name, 'n', length);
            name[length] = '\0';
            snprintf(text, sizeof text, "{\"body\": 1, \"headers\": {\"h\": %s{\"%s\": 1}%s}}", before[i], name,
                     after[i]);
            test_problems.count = 0;
            assert_int_equal(event_record_parse(&record, text, strlen(text), &test_problems), length <= 255);
            event_record_fini(&record);
        }
        assert_non_null(strstr(test_problems.item[0].sentence, "the header's name has 256 bytes"));
    }
}

static long allocations_left; /* of jansson's */

static void *allocate(size_t size)
{
    if (allocations_left == 0)
        return NULL;
    allocations_left--;
    return malloc(size);
}

static void without_memory_headers_are_told_and_never_fewer(void **state)
{
    (void)state;
    json_malloc_t before;
    json_free_t release;
    json_get_alloc_funcs(&before, &release);
    const json_t *headers = NULL;
    for (long left = 0; headers == NULL; left++) {
        assert_true(left < 1000);
        parse("{\"headers\": {\"text\": {\"base64\": \"Zm9v\"}, \"table\": {\"b\": [1, [], {}]}}, \"body\": 1}");
        allocations_left = left;
        json_set_alloc_funcs(allocate, free);
        const char *problem = NULL;
        headers = event_headers(&record.event, &problem);
        json_set_alloc_funcs(before, release);
        if (headers == NULL)
            assert_string_equal(problem, "out of memory");
        else
            assert_json(headers, "{\"table\":{\"b\":[1,[],{}]},\"text\":\"foo\"}");
        assert_int_equal(event_properties(&record.event, NULL) != NULL, headers != NULL);
        event_record_fini(&record);
    }
}

static void properties_are_those_of_amqp(void **state)
{
    (void)state;
    parse("{\"properties\": {\"content_type\": \"a/b\", \"content_encoding\": \"utf-8\", \"delivery_mode\": 2,"
          " \"priority\": 255, \"correlation_id\": \"c\", \"reply_to\": \"r\", \"expiration\": \"60000\","
          " \"message_id\": \"m\", \"timestamp\": 9223372036854775807, \"type\": \"\", \"user_id\": \"u\","
          " \"app_id\": \"a\", \"cluster_id\": \"\\u0000\"}, \"body\": 1}");
    assert_int_equal(json_object_size(event_properties(&record.event, NULL)), 13);
    event_record_fini(&record);
    refuse("{\"properties\": {\"contentType\": \"x\", \"typ\": 1, \"zzz\": 1, \"message_id\": 7, \"app_id\": null,"
           " \"delivery_mode\": 3, \"priority\": \"1\", \"timestamp\": -1, \"expiration\": 60000}, \"body\": 1}");
    assert_problem("/properties/contentType", "did you mean \"content_type\"?");
    assert_problem("/properties/typ", "did you mean \"type\"?");
    assert_problem("/properties/zzz", "unknown key \"zzz\"");
    assert_problem("/properties/message_id", "found the number 7; expected a string");
    assert_problem("/properties/app_id", "found null; expected a string");
    assert_problem("/properties/delivery_mode", "found the number 3; expected an integer from 1 to 2");
    assert_problem("/properties/priority", "found the string \"1\"; expected an integer from 0 to 255");
    assert_problem("/properties/timestamp", "from 0 to 9223372036854775807");
    assert_problem("/properties/expiration", "expected a string");
    assert_int_equal(test_problems.count, 9);
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
        cmocka_unit_test(headers_and_properties_reach_the_rules),
        cmocka_unit_test(a_record_may_be_moved_before_it_is_looked_into),
        cmocka_unit_test(bytes_that_are_text_are_a_string_as_they_are_from_the_broker),
        cmocka_unit_test(headers_may_be_64_levels_deep_and_no_more),
        cmocka_unit_test(a_headers_name_may_have_255_bytes_and_no_more),
        cmocka_unit_test(properties_are_those_of_amqp),
        cmocka_unit_test(without_memory_headers_are_told_and_never_fewer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
