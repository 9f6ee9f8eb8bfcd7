/*
 * test_problem.c - problems are printed with their place, counted past the limit, and words are guessed with care.
 */
#include "rules_support.h"

#include "quote.h"

static char printed[16384];

static const char *print(const struct problems *problems)
{
    memset(printed, 0, sizeof printed);
    FILE *out = fmemopen(printed, sizeof printed - 1, "w");
    assert_non_null(out);
    problems_print(problems, "rules.json", out);
    fclose(out);
    return printed;
}

static void a_problem_says_file_place_and_sentence(void **state)
{
    (void)state;
    test_problems.count = 0;
    problems_add(&test_problems, 3, 17, NULL, "not JSON: %s", "this");
    problems_add(&test_problems, 0, 0, "/rules/0/when/routing_kee", "unknown key");
    problems_add(&test_problems, 4, 2, "/rules/1", "two places");
    problems_add(&test_problems, 0, 0, NULL, "is empty");
    assert_string_equal(print(&test_problems), "rules.json:3:17: not JSON: this\n"
                                               "rules.json: at /rules/0/when/routing_kee: unknown key\n"
                                               "rules.json:4:2: at /rules/1: two places\n"
                                               "rules.json: is empty\n");
}

static void problems_past_the_limit_are_counted(void **state)
{
    (void)state;
    test_problems.count = 0;
    for (size_t i = 0; i < PROBLEMS_MAX; i++)
        problems_add(&test_problems, 0, 0, NULL, "number %zu", i);
    assert_null(strstr(print(&test_problems), "more problems"));
    problems_add(&test_problems, 0, 0, NULL, "one too many");
    assert_non_null(strstr(print(&test_problems), "rules.json: and 1 more problem\n"));
    problems_add(&test_problems, 0, 0, NULL, "two too many");
    assert_int_equal(test_problems.count, PROBLEMS_MAX + 2);
    assert_non_null(strstr(print(&test_problems), "rules.json: and 2 more problems\n"));
    assert_null(strstr(printed, "too many"));
}

static void a_sentence_that_is_cut_stays_utf8(void **state)
{
    (void)state;
    char text[PROBLEM_SENTENCE_SIZE * 2];
    for (size_t i = 0; i < sizeof text - 2; i += 2)
        memcpy(text + i, "\xc3\xa4", 3);
    for (int shift = 0; shift < 2; shift++) {
        test_problems.count = 0;
        problems_add(&test_problems, 0, 0, NULL, "%s%s", shift ? "x" : "", text);
        json_t *json = json_string(test_problems.item[0].sentence);
        assert_non_null(json); /* jansson takes only valid UTF-8 */
        json_decref(json);
    }
}

static void control_characters_of_a_pointer_are_not_printed_raw(void **state)
{
    (void)state;
    test_problems.count = 0;
    problems_add(&test_problems, 0, 0, "/a\x1b[31m\n", "unknown");
    assert_string_equal(print(&test_problems), "rules.json: at /a\\u001b[31m\\u000a: unknown\n");
}

static void the_word_that_was_meant_is_found(void **state)
{
    (void)state;
    static const char *const known[] = {"exchange", "routing_key", "body", NULL};
    static const char *const tries[][2] = {
        {"routing_kee", "routing_key"},
        {"routingKey", "routing_key"},
        {"routing-key", "routing_key"},
        {"routing", "routing_key"},
        {"exchnage", "exchange"},
        {"exchanges", "exchange"},
        {"Body", "body"},
        {"bdoy", "body"},
        {"EXCHANGE", "exchange"},
    };
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        const char *nearest = nearest_word(tries[i][0], known);
        assert_non_null(nearest);
        assert_string_equal(nearest, tries[i][1]);
    }
}

static void a_word_that_is_like_none_gets_no_guess(void **state)
{
    (void)state;
    static const char *const known[] = {"exchange", "routing_key", "body", NULL};
    static const char *const none[] = {NULL};
    char longer[200];
    memset(longer, 'b', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_null(nearest_word("headers", known));
    assert_null(nearest_word("properties", known));
    assert_null(nearest_word("", known));
    assert_null(nearest_word("_", known));
    assert_null(nearest_word(longer, known));
    assert_null(nearest_word("body", none));
}

static void quoted_text_is_harmless_and_fits(void **state)
{
    (void)state;
    char out[64];
    assert_string_equal(quote_text(out, sizeof out, "a\"b\\c", 5), "\"a\\\"b\\\\c\"");
    assert_string_equal(quote_text(out, sizeof out, "\x00\x07", 2), "\"\\u0000\\u0007\"");
    assert_string_equal(quote_text(out, sizeof out, "\xff\xc3", 2), "\"\\xff\\xc3\"");
    assert_string_equal(quote_text(out, sizeof out, "\xe2\x80\xae", 3), "\"\\u202e\"");
    assert_string_equal(quote_bare(out, sizeof out, "plain", 5), "plain");
    assert_string_equal(quote_text(out, 10, "1234567", 7), "\"1234567\"");
    assert_string_equal(quote_text(out, 10, "12345678", 8), "\"1234...\"");
    assert_string_equal(quote_bare(out, 8, "1234567", 7), "1234567");
    assert_string_equal(quote_bare(out, 8, "12345678", 8), "1234...");
    for (size_t size = 8; size <= sizeof out; size++) {
        memset(out, 'Z', sizeof out);
        quote_text(out, size, "\x01\xc3\xa4\xff\"\\\x02\x03\xe2\x82\xac\x04\x05\x06", 15);
        assert_true(strlen(out) < size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_problem_says_file_place_and_sentence),
        cmocka_unit_test(problems_past_the_limit_are_counted),
        cmocka_unit_test(a_sentence_that_is_cut_stays_utf8),
        cmocka_unit_test(control_characters_of_a_pointer_are_not_printed_raw),
        cmocka_unit_test(the_word_that_was_meant_is_found),
        cmocka_unit_test(a_word_that_is_like_none_gets_no_guess),
        cmocka_unit_test(quoted_text_is_harmless_and_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
