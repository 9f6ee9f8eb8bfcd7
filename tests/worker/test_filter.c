/*
 * test_filter.c - filters change a value the same way everywhere, whatever its length and the locale.
 */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "filter.h"

/* Applies filters named by their first letters: "tl" is trim, then lower. */
static size_t apply(const char *letters, const char *text, size_t length, char *out, size_t size)
{
    enum filter filters[8];
    size_t count = strlen(letters);
    for (size_t i = 0; i < count; i++)
        filters[i] = letters[i] == 'l' ? FILTER_LOWER : letters[i] == 'u' ? FILTER_UPPER : FILTER_TRIM;
    return filter_apply(filters, count, text, length, out, size);
}

static void assert_becomes(const char *letters, const char *text, const char *wanted)
{
    char out[64];
    size_t length = apply(letters, text, strlen(text), out, sizeof out);
    assert_true(length <= sizeof out);
    if (length != strlen(wanted) || memcmp(out, wanted, length) != 0)
        fail_msg("%s of \"%s\": \"%.*s\" and not \"%s\"", letters, text, (int)length, out, wanted);
}

static void filters_have_names(void **state)
{
    (void)state;
    enum filter filter;
    assert_true(filter_find("lower", 5, &filter));
    assert_int_equal(filter, FILTER_LOWER);
    assert_true(filter_find("upper|", 5, &filter));
    assert_int_equal(filter, FILTER_UPPER);
    assert_true(filter_find("trim", 4, &filter));
    assert_int_equal(filter, FILTER_TRIM);
    assert_false(filter_find("lowe", 4, &filter));
    assert_false(filter_find("lowerr", 6, &filter));
    assert_false(filter_find("Lower", 5, &filter));
    assert_false(filter_find("", 0, &filter));
    assert_string_equal(filter_names[FILTER_TRIM], "trim");
    assert_null(filter_names[FILTER_TRIM + 1]);
}

static void case_is_mapped_by_character(void **state)
{
    (void)state;
    assert_becomes("l", "EU-West_1", "eu-west_1");
    assert_becomes("u", "eu-West_1", "EU-WEST_1");
    assert_becomes("l", "ÄÖÜ ÉÇ ΑΣ ЖЯ", "äöü éç ασ жя");
    assert_becomes("u", "äöü éç ασς жя", "ÄÖÜ ÉÇ ΑΣΣ ЖЯ");
    assert_becomes("u", "straße", "STRAßE"); /* the simple mapping has no capital of it */
    assert_becomes("l", "STRAẞE", "straße");
    assert_becomes("l", "𐐀", "𐐨"); /* beyond the first 65536 */
    assert_becomes("u", "日本 42", "日本 42");
    assert_becomes("l", "", "");
}

static void a_character_may_change_its_length(void **state)
{
    (void)state;
    assert_becomes("l", "\xe2\x84\xaa", "k");        /* the Kelvin sign */
    assert_becomes("u", "\xc5\xbf", "S");            /* the long s */
    assert_becomes("l", "\xc8\xba", "\xe2\xb1\xa5"); /* two bytes become three */
    char long_text[3 * 600], out[600];
    for (size_t i = 0; i < 600; i++)
        memcpy(long_text + 3 * i, "\xe2\x84\xaa", 3);
    assert_int_equal(apply("l", long_text, sizeof long_text, out, sizeof out), 600);
}

static void case_does_not_depend_on_the_locale(void **state)
{
    (void)state;
    static const char *const locales[] = {"tr_TR.UTF-8", "tr_TR", "lt_LT.UTF-8", "C.UTF-8", "C"};
    for (size_t i = 0; i < sizeof locales / sizeof *locales; i++) {
        (void)setlocale(LC_ALL, locales[i]); /* those that are installed */
        assert_becomes("l", "TITEL", "titel");
        assert_becomes("u", "titel", "TITEL");
    }
}

static void white_space_is_trimmed_off_both_ends(void **state)
{
    (void)state;
    assert_becomes("t", " \t\r\n\v\feu west\f\v\n\r\t ", "eu west");
    assert_becomes("t", "eu", "eu");
    assert_becomes("t", " \n ", "");
    assert_becomes("t", "", "");
    assert_becomes("t", "\xc2\xa0x\xc2\xa0", "\xc2\xa0x\xc2\xa0"); /* only ASCII's */
    assert_becomes("t", "\x01x\x1f", "\x01x\x1f");
}

static void filters_work_one_after_the_other(void **state)
{
    (void)state;
    assert_becomes("lu", "aB", "AB");
    assert_becomes("ul", "aB", "ab");
    assert_becomes("lu", "\xe2\x84\xaa", "K"); /* Kelvin, k, K */
    assert_becomes("ul", "\xe2\x84\xaa", "k");
    assert_becomes("ul", "\xc5\xbf", "s"); /* long s, S, s */
    assert_becomes("lu", "\xc5\xbf", "S");
    assert_becomes("tl", " AB ", "ab");
    assert_becomes("lt", " AB ", "ab");
    assert_becomes("tltutlut", " AB ", "AB");
    assert_becomes("", " AB ", " AB ");
}

static void bytes_that_are_not_utf8_stay(void **state)
{
    (void)state;
    assert_becomes("l",
                   "A\xff"
                   "B",
                   "a\xff"
                   "b");
    assert_becomes("u", "a\xc3", "A\xc3");
    assert_becomes("u", "\x80z\xe2\x84", "\x80Z\xe2\x84");
    assert_becomes("l", "\xed\xa0\x80Q", "\xed\xa0\x80q"); /* half of a surrogate pair */
}

static void what_does_not_fit_is_told(void **state)
{
    (void)state;
    static const char *const letters[] = {"", "t", "l", "u", "tl"};
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++) {
        char text[16] = "aBcDeFg", out[16];
        for (size_t size = 6; size <= 8; size++) {
            memset(out, '#', sizeof out);
            assert_int_equal(apply(letters[i], text, 7, out, size), size >= 7 ? 7 : size + 1);
            assert_int_equal(out[size], '#');
        }
    }
    char out[16];
    memset(out, '#', sizeof out);
    assert_int_equal(apply("l", "ab\xc8\xba", 4, out, 4), 5); /* no half character */
    assert_int_equal(out[4], '#');
    char spaces[2000];
    memset(spaces, ' ', sizeof spaces);
    spaces[1000] = 'X';
    assert_int_equal(apply("lt", spaces, sizeof spaces, out, 1), 1); /* trimmed before anything is counted */
    assert_int_equal(out[0], 'x');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_have_names),
        cmocka_unit_test(case_is_mapped_by_character),
        cmocka_unit_test(a_character_may_change_its_length),
        cmocka_unit_test(case_does_not_depend_on_the_locale),
        cmocka_unit_test(white_space_is_trimmed_off_both_ends),
        cmocka_unit_test(filters_work_one_after_the_other),
        cmocka_unit_test(bytes_that_are_not_utf8_stay),
        cmocka_unit_test(what_does_not_fit_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
