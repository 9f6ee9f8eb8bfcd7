/*
 * test_status.c - every status has its sentence, and its number for good.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <quash/status.h>

#include "error.h"

static void every_status_has_a_sentence_of_its_own(void **state)
{
    (void)state;
    const quash_status all[] = {
#define LISTED(name, value, sentence) QUASH_##name,
        QUASH_STATUS_MAP(LISTED)
#undef LISTED
    };
    const size_t count = sizeof all / sizeof all[0];
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(all[i], i);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(quash_status_string(all[i]), quash_status_string(all[j]));
    }
}

static void a_status_that_is_not_known_has_a_sentence_too(void **state)
{
    (void)state;
    assert_non_null(strstr(quash_status_string((quash_status)999), "not know"));
    assert_non_null(strstr(quash_status_string(QUASH_STATUS_USER), "loader"));
    assert_non_null(strstr(quash_status_string((quash_status)(QUASH_STATUS_USER + 1)), "loader"));
}

static void an_error_that_is_too_long_is_cut_between_characters(void **state)
{
    (void)state;
    quash_error error;
    char text[2 * QUASH_ERROR_MESSAGE_SIZE] = "";
    for (size_t shift = 0; shift < 3; shift++) {
        memset(text, 'x', shift);
        text[shift] = '\0';
        while (strlen(text) + 4 < sizeof text)
            strcat(text, "\xe2\x82\xac"); /* three bytes each */
        assert_int_equal(error_set(&error, QUASH_INVALID, "%s", text), QUASH_INVALID);
        size_t length = strlen(error.message);
        assert_in_range(length, QUASH_ERROR_MESSAGE_SIZE - 8, QUASH_ERROR_MESSAGE_SIZE - 1);
        assert_int_equal((length - shift) % 3, 0);
    }
}

static void a_missing_error_is_fine(void **state)
{
    (void)state;
    assert_int_equal(error_set(NULL, QUASH_BUSY, "%d", 1), QUASH_BUSY);
    assert_int_equal(error_set_system(NULL, QUASH_SYSTEM, 2, "%d", 1), QUASH_SYSTEM);
}

static void a_system_error_adds_the_systems_words(void **state)
{
    (void)state;
    quash_error error;
    assert_int_equal(error_set_system(&error, QUASH_SYSTEM, 2, "cannot open %s", "/nowhere"), QUASH_SYSTEM);
    assert_string_equal(error.message, "cannot open /nowhere: No such file or directory");
}

/* A wide character that the locale does not have makes the formatting fail, and set errno. */
static void a_status_may_be_told_from_errno(void **state)
{
    (void)state;
    quash_error error;
    errno = EACCES;
    quash_status status =
        error_set(&error, errno == EACCES ? QUASH_NOT_PERMITTED : QUASH_SYSTEM, "cannot open %ls", L"\x20ac");
    assert_int_equal(status, QUASH_NOT_PERMITTED);
    status = error_set_system(&error, errno == EACCES ? QUASH_NOT_PERMITTED : QUASH_SYSTEM, errno, "cannot open %ls",
                              L"\x20ac");
    assert_int_equal(status, QUASH_NOT_PERMITTED);
    assert_int_equal(errno, EACCES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_sentence_of_its_own),
        cmocka_unit_test(a_status_that_is_not_known_has_a_sentence_too),
        cmocka_unit_test(an_error_that_is_too_long_is_cut_between_characters),
        cmocka_unit_test(a_missing_error_is_fine),
        cmocka_unit_test(a_system_error_adds_the_systems_words),
        cmocka_unit_test(a_status_may_be_told_from_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
