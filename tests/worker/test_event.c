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
        "{\"password\": secret}",
        "{\"secret\": }",
        "[\"secret\" 1]",
        "{\"secret\": 1, \"secret\": 2}",
        "{\"a\": 99999999999999999999}",
        "\"\\usecret\"",
        "secret",
        "[\"secret\xff\"]",
        "[\"secret\\q\"]",
        "[\"secret\n\"]",
        "[1] secret",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        assert_unreadable(bodies[i], "line ");
        assert_null(strstr(problem_text, "secret"));
        assert_null(strstr(problem_text, "usec"));
        assert_null(strstr(problem_text, "9999"));
    }
}

static void numbers_past_64_bits_are_told(void **state)
{
    (void)state;
    assert_true(text_readable("[9223372036854775807, -9223372036854775808]"));
    assert_unreadable("{\"id\": 9223372036854775808}", "too large for 64 bits");
    assert_unreadable("{\"id\": -9223372036854775809}", "too large for 64 bits");
    assert_unreadable("{\"id\": 18446744073709551615}", "too large for 64 bits");
    assert_unreadable("{\"id\": 1e999}", "too large for 64 bits");
    assert_non_null(strstr(problem_text, "line 1"));
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
        cmocka_unit_test(numbers_past_64_bits_are_told),
        cmocka_unit_test(a_nul_may_stand_in_a_string_but_nowhere_else),
        cmocka_unit_test(a_key_that_is_there_twice_is_told),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(size_has_a_limit),
        cmocka_unit_test(a_body_that_was_not_kept_whole_is_never_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
