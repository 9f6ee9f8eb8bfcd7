/*
 * test_event.c - bodies that emitters send, and those that nobody should have sent: each refused with what and where.
 */
#include "rules_support.h"

#include "json_text.h"

static char problem_text[512];

/* Whether the body is JSON; if not, problem_text says why. */
static bool readable(const void *body, size_t size)
{
    struct event event = {.exchange = "", .routing_key = "", .body = body, .body_size = size, .body_sent = size};
    const char *problem = NULL;
    const json_t *json = event_json(&event, &problem);
    assert_int_equal(json == NULL, problem != NULL);
    assert_ptr_equal(event_json(&event, NULL), json);
    snprintf(problem_text, sizeof problem_text, "%s", problem != NULL ? problem : "");
    event_fini(&event);
    return json != NULL;
}

static bool text_readable(const char *body)
{
    return readable(body, strlen(body));
}

static void assert_unreadable(const char *body, const char *part)
{
    assert_false(text_readable(body));
    if (strstr(problem_text, part) == NULL)
        fail_msg("%s: %s", body, problem_text);
}

static void any_json_value_is_a_body(void **state)
{
    (void)state;
    static const char *const good[] = {"{}", "[]", "17", "\"x\"", "true", "null", " {\"a\": 1.5} \r\n", "-0", "1e308"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(text_readable(good[i]));
}

static void an_empty_body_is_told(void **state)
{
    (void)state;
    assert_unreadable("", "the body is empty");
    assert_unreadable(" \n ", "the body cannot be read");
}

static void what_is_not_json_is_told_with_line_and_column(void **state)
{
    (void)state;
    assert_unreadable("{\"a\":\n  tru}", "line 2, column 5");
    assert_unreadable("default", "line 1");
    assert_unreadable("{} {}", "end of file expected");
    assert_unreadable("{\"a\": 1", "line 1");
    assert_unreadable("{'a': 1}", "line 1");
    assert_unreadable("<xml/>", "line 1");
    assert_unreadable("NaN", "line 1");
    assert_unreadable("01", "line 1");
    assert_unreadable("\"tab\there\"", "control character");
}

static void a_byte_order_mark_is_told(void **state)
{
    (void)state;
    assert_unreadable("\xef\xbb\xbf{}", "byte order mark");
}

static void invalid_utf8_is_told_and_not_echoed(void **state)
{
    (void)state;
    assert_unreadable("{\"a\": \"\xff\"}", "not UTF-8");
    assert_unreadable("\xc0\xaf", "not UTF-8");
    assert_unreadable("\"\xed\xa0\x80\"", "not UTF-8");
    json_t *echo = json_string(problem_text);
    assert_non_null(echo); /* the sentence itself is valid UTF-8 */
    json_decref(echo);
    assert_false(readable("\x80\x02}q\x00.", 6)); /* a pickle */
    assert_unreadable("{\"a\x1b[31m\": x}", "0x1b");
}

static void what_is_wrong_is_told_without_quoting_the_body(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"password\": secret}", "{\"secret\": }", "[\"secret\" 1]", "{\"secret\": 1, \"secret\": 2}",
        "{\"a\": 1e99999}",       "\"\\usecret\"",  "secret",         "[\"secret\xff\"]",
        "[\"secret\\q\"]",        "[\"secret\n\"]", "[1] secret",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        assert_unreadable(bodies[i], "line ");
        assert_null(strstr(problem_text, "secret"));
        assert_null(strstr(problem_text, "usec"));
        assert_null(strstr(problem_text, "9999"));
    }
}

/* Compares with what the event's body should read as. */
static void assert_reads(const char *body, const char *wanted)
{
    struct event event = make_event("", "", body);
    const char *problem = NULL;
    const json_t *json = event_json(&event, &problem);
    if (json == NULL)
        fail_msg("%s: %s", body, problem);
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_non_null(text);
    assert_string_equal(text, wanted);
    free(text);
    event_fini(&event);
}

static void integers_keep_their_digits_up_to_64_bits_and_are_strings_of_them_beyond(void **state)
{
    (void)state;
    assert_reads("[9223372036854775806,9223372036854775807,9223372036854775808]",
                 "[9223372036854775806,9223372036854775807,\"9223372036854775808\"]");
    assert_reads("[-9223372036854775807,-9223372036854775808,-9223372036854775809]",
                 "[-9223372036854775807,-9223372036854775808,\"-9223372036854775809\"]");
    assert_reads("18446744073709551616", "\"18446744073709551616\"");
    assert_reads("[1000000000000000000,10000000000000000000]", "[1000000000000000000,\"10000000000000000000\"]");
    assert_reads("{\"id\" :\n99999999999999999999\t,\"n\":{\"id\":-99999999999999999999}}",
                 "{\"id\":\"99999999999999999999\",\"n\":{\"id\":\"-99999999999999999999\"}}");
    /* No other integer of the body is touched, and neither is what looks like one in a string. */
    assert_reads("[99999999999999999999,-0,0,17,\"99999999999999999999\",\"\\\"99999999999999999999\",\"\\\\\"]",
                 "[\"99999999999999999999\",0,0,17,\"99999999999999999999\",\"\\\"99999999999999999999\",\"\\\\\"]");
    assert_reads("[99999999999999999999,99999999999999999999e1,99999999999999999999E-1,1e0,99999999999999999999.0]",
                 "[\"99999999999999999999\",1e21,1e19,1.0,1e20]");
    assert_reads("[99999999999999999999,1.25,true,null,1e2]", "[\"99999999999999999999\",1.25,true,null,100.0]");
}

static void an_integer_may_be_as_long_as_the_body(void **state)
{
    (void)state;
    char *body = malloc(EVENT_BODY_BYTES_MAX + 1);
    assert_non_null(body);
    memset(body, '7', EVENT_BODY_BYTES_MAX);
    body[EVENT_BODY_BYTES_MAX] = '\0';
    struct event event = make_event("", "", body);
    assert_int_equal(json_string_length(event_json(&event, NULL)), EVENT_BODY_BYTES_MAX);
    event_fini(&event);
    free(body);
}

static void a_body_may_be_full_of_the_shortest_integers_that_are_too_long(void **state)
{
    (void)state;
    static const char piece[] = "9999999999999999999,";
    size_t count = EVENT_BODY_BYTES_MAX / (sizeof piece - 1);
    size_t size = count * (sizeof piece - 1) + 1;
    char *body = malloc(size); /* exactly, so that the sanitizer sees a step too far */
    assert_non_null(body);
    body[0] = '[';
    for (size_t i = 0; i < count; i++)
        memcpy(body + 1 + i * (sizeof piece - 1), piece, sizeof piece - 1);
    body[size - 1] = ']';
    struct event event = {.exchange = "", .routing_key = "", .body = body, .body_size = size, .body_sent = size};
    const json_t *list = event_json(&event, NULL);
    assert_int_equal(json_array_size(list), count);
    assert_string_equal(json_string_value(json_array_get(list, count - 1)), "9999999999999999999");
    event_fini(&event);
    free(body);
}

static void reals_that_no_double_holds_are_told(void **state)
{
    (void)state;
    assert_unreadable("{\"id\": 1e999}", "too large for 64 bits");
    assert_non_null(strstr(problem_text, "line 1"));
    assert_unreadable("[99999999999999999999, 1e999]", "too large for 64 bits");
    assert_unreadable("[-1e999]", "too large for 64 bits");
}

static void what_is_no_json_does_not_become_any_by_its_wide_integers(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{99999999999999999999: 1}",
        "{\"a\": 1, 99999999999999999999\n : 2}",
        "[099999999999999999999]",
        "[-099999999999999999999]",
        "[+99999999999999999999]",
        "[.99999999999999999999]",
        "[99999999999999999999.]",
        "[99999999999999999999e]",
        "[99999999999999999999-]",
        "[--99999999999999999999]",
        "[99999999999999999999 99999999999999999999]",
        "[99999999999999999999true]",
        "[x99999999999999999999]",
        "[99999999999999999999\"a\"]",
        "[\"a\"99999999999999999999]",
        "[99999999999999999999",
        "[99999999999999999999, \"",
        "[99999999999999999999, \"\\",
        "{\"a\": 99999999999999999999, \"a\": 1}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        char behind[128];
        assert_unreadable(bodies[i], "the body cannot be read at line ");
        snprintf(behind, sizeof behind, "[99999999999999999999, %s]", bodies[i]);
        assert_unreadable(behind, "the body cannot be read at line ");
    }
}

static void what_is_wrong_behind_a_wide_integer_is_told_where_it_stands(void **state)
{
    (void)state;
    assert_unreadable("[1, 17, x]", "at line 1, column 9:");
    assert_unreadable("[99999999999999999999, 17, x]", "at line 1, column 28:");
    assert_unreadable("[99999999999999999999,\n -99999999999999999999, 99999999999999999999, x]",
                      "at line 2, column 47:");
    assert_unreadable("[\"\xc3\xa9\xc3\xa9\", 99999999999999999999, x]", "at line 1, column 30:");
    /* One that is the last of its kind still has its own place. */
    assert_unreadable("[99999999999999999999, 1e999]", "at line 1, column 28:");
}

/* ---- Headers and properties */

static int decodings;

static bool decode_two(const void *source, json_t **headers, json_t **properties, char problem[EVENT_PROBLEM_SIZE])
{
    decodings++;
    if (source == NULL) {
        snprintf(problem, EVENT_PROBLEM_SIZE, "nothing to decode");
        return false;
    }
    *headers = json_pack("{s:s}", "name", source);
    *properties = json_pack("{s:i}", "priority", 3);
    return true;
}

static void headers_and_properties_are_decoded_once_and_only_when_asked_for(void **state)
{
    (void)state;
    struct event event = make_event("", "", "{}");
    event.decode = decode_two;
    event.decode_from = "tenant";
    decodings = 0;
    assert_non_null(event_json(&event, NULL));
    assert_int_equal(decodings, 0);
    const json_t *headers = event_headers(&event, NULL);
    assert_string_equal(json_string_value(json_object_get(headers, "name")), "tenant");
    assert_int_equal(json_integer_value(json_object_get(event_properties(&event, NULL), "priority")), 3);
    assert_ptr_equal(event_headers(&event, NULL), headers);
    assert_int_equal(decodings, 1);
    event_fini(&event);
}

static void headers_that_cannot_be_decoded_are_told_each_time(void **state)
{
    (void)state;
    struct event event = make_event("", "", "{}");
    event.decode = decode_two;
    decodings = 0;
    for (int i = 0; i < 2; i++) {
        const char *problem = NULL;
        assert_null(event_headers(&event, &problem));
        assert_string_equal(problem, "nothing to decode");
        problem = NULL;
        assert_null(event_properties(&event, &problem));
        assert_string_equal(problem, "nothing to decode");
        assert_null(event_properties(&event, NULL));
    }
    assert_int_equal(decodings, 1);
    assert_non_null(event_json(&event, NULL));
    event_fini(&event);
}

static void an_event_without_headers_has_empty_ones(void **state)
{
    (void)state;
    struct event event = make_event("", "", "{}");
    const char *problem = NULL;
    assert_true(json_is_object(event_headers(&event, &problem)));
    assert_true(json_is_object(event_properties(&event, &problem)));
    assert_int_equal(json_object_size(event_headers(&event, NULL)) + json_object_size(event_properties(&event, NULL)),
                     0);
    assert_null(problem);
    event_fini(&event);
    event_fini(&event);
}

static void a_nul_may_stand_in_a_string_but_nowhere_else(void **state)
{
    (void)state;
    assert_true(text_readable("{\"note\": \"a\\u0000b\"}"));
    assert_unreadable("{\"a\\u0000\": 1}", "\\u0000 is not allowed");
    assert_false(readable("{\"a\": \"\0\"}", 10));
    assert_false(readable("{}\0", 3));
}

static void a_key_that_is_there_twice_is_told(void **state)
{
    (void)state;
    assert_unreadable("{\"tenant\": 1, \"tenant\": 2}", "line 1, column 22: an object has this key twice");
}

static void depth_has_a_limit(void **state)
{
    (void)state;
    static char body[2 * 10000 + 1];
    static const size_t depths[] = {JSON_TEXT_DEPTH_MAX - 1, JSON_TEXT_DEPTH_MAX, JSON_TEXT_DEPTH_MAX + 1, 10000};
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        memset(body, '[', depths[i]);
        memset(body + depths[i], ']', depths[i]);
        assert_int_equal(readable(body, 2 * depths[i]), depths[i] <= JSON_TEXT_DEPTH_MAX);
    }
    assert_non_null(strstr(problem_text, "more than 2048 levels"));
    memset(body, '[', 10000);
    assert_false(readable(body, 10000));
}

static void size_has_a_limit(void **state)
{
    (void)state;
    size_t room = EVENT_BODY_BYTES_MAX + 1;
    char *body = malloc(room);
    memset(body, ' ', room);
    memcpy(body, "{}", 2);
    assert_true(readable(body, EVENT_BODY_BYTES_MAX - 1));
    assert_true(readable(body, EVENT_BODY_BYTES_MAX));
    assert_false(readable(body, EVENT_BODY_BYTES_MAX + 1));
    assert_string_equal(problem_text, "the body has 1048577 bytes, more than the 1048576 that are read");
    free(body);
}

static void a_body_that_was_not_kept_whole_is_never_parsed(void **state)
{
    (void)state;
    struct event event = {.exchange = "", .routing_key = "", .body = "{}", .body_size = 2, .body_sent = 20 << 20};
    const char *problem = NULL;
    assert_null(event_json(&event, &problem));
    assert_string_equal(problem, "the body has 20971520 bytes, more than the 1048576 that are read");
    event_fini(&event);
    event = (struct event){.exchange = "", .routing_key = "", .body = "{}", .body_size = 2, .body_sent = 3};
    assert_null(event_json(&event, NULL));
    event_fini(&event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_json_value_is_a_body),
        cmocka_unit_test(an_empty_body_is_told),
        cmocka_unit_test(what_is_not_json_is_told_with_line_and_column),
        cmocka_unit_test(a_byte_order_mark_is_told),
        cmocka_unit_test(invalid_utf8_is_told_and_not_echoed),
        cmocka_unit_test(what_is_wrong_is_told_without_quoting_the_body),
        cmocka_unit_test(integers_keep_their_digits_up_to_64_bits_and_are_strings_of_them_beyond),
        cmocka_unit_test(an_integer_may_be_as_long_as_the_body),
        cmocka_unit_test(a_body_may_be_full_of_the_shortest_integers_that_are_too_long),
        cmocka_unit_test(reals_that_no_double_holds_are_told),
        cmocka_unit_test(what_is_no_json_does_not_become_any_by_its_wide_integers),
        cmocka_unit_test(what_is_wrong_behind_a_wide_integer_is_told_where_it_stands),
        cmocka_unit_test(headers_and_properties_are_decoded_once_and_only_when_asked_for),
        cmocka_unit_test(headers_that_cannot_be_decoded_are_told_each_time),
        cmocka_unit_test(an_event_without_headers_has_empty_ones),
        cmocka_unit_test(a_nul_may_stand_in_a_string_but_nowhere_else),
        cmocka_unit_test(a_key_that_is_there_twice_is_told),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(size_has_a_limit),
        cmocka_unit_test(a_body_that_was_not_kept_whole_is_never_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
