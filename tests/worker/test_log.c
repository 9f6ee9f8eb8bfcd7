/*
 * test_log.c - lines for operators: what they look like, what they cannot be made to look like, how many there are.
 *
 * Standard error is a datagram socket here: each write(2) arrives as a message of its own.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "log.h"

static int logged; /* what was written to standard error comes out here */
static int saved_stderr;

static int redirect(void **state)
{
    (void)state;
    int pair[2];
    saved_stderr = dup(STDERR_FILENO);
    if (saved_stderr < 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) != 0)
        return -1;
    dup2(pair[1], STDERR_FILENO);
    close(pair[1]);
    logged = pair[0];
    log_set_level(LOG_INFO);
    return 0;
}

static int restore(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(logged);
    return 0;
}

#define HEAD_SIZE (sizeof "2026-11-23T18:00:00.123Z info  " - 1)

/* The next write, NUL-terminated; "" if there was none. */
static const char *next_write(void)
{
    static char line[2 * LOG_LINE_MAX];
    ssize_t size = recv(logged, line, sizeof line - 1, MSG_DONTWAIT);
    line[size > 0 ? size : 0] = '\0';
    return line;
}

/* The next write without its time and level. */
static const char *next_rest(void)
{
    const char *line = next_write();
    assert_true(strlen(line) > HEAD_SIZE);
    return line + HEAD_SIZE;
}

static void line_has_time_level_sentence_and_fields(void **state)
{
    (void)state;
    log_line(LOG_WARN, "went away", "queue", "quash.web-1", "tries", "3", NULL);
    const char *line = next_write();
    assert_string_equal(line + HEAD_SIZE, "went away queue=quash.web-1 tries=3\n");
    static const char shape[] = "0000-00-00T00:00:00.000Z warn  ";
    for (size_t i = 0; i < HEAD_SIZE; i++) {
        if (shape[i] == '0')
            assert_true(line[i] >= '0' && line[i] <= '9');
        else
            assert_int_equal(line[i], shape[i]);
    }
}

static void line_is_one_write(void **state)
{
    (void)state;
    log_line(LOG_INFO, "one", "a", "1", "b", "2", NULL);
    log_line(LOG_INFO, "two", NULL);
    assert_string_equal(next_rest(), "one a=1 b=2\n");
    assert_string_equal(next_rest(), "two\n");
    assert_string_equal(next_write(), "");
}

static void null_value_leaves_its_field_out(void **state)
{
    (void)state;
    log_line(LOG_INFO, "s", "a", "1", "b", (const char *)NULL, "c", "3", NULL);
    assert_string_equal(next_rest(), "s a=1 c=3\n");
}

static void errno_survives_a_line(void **state)
{
    (void)state;
    int saved = dup(STDERR_FILENO);
    close(STDERR_FILENO); /* so that the write fails */
    errno = ENOENT;
    log_line(LOG_INFO, "s", NULL);
    int seen = errno;
    dup2(saved, STDERR_FILENO);
    close(saved);
    assert_int_equal(seen, ENOENT);
}

static void level_holds_back_what_lies_above_it(void **state)
{
    (void)state;
    static const enum log_level level[] = {LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG};
    for (size_t limit = 0; limit < 4; limit++) {
        log_set_level(level[limit]);
        for (size_t i = 0; i < 4; i++) {
            log_line(level[i], "s", NULL);
            assert_int_equal(*next_write() != '\0', i <= limit);
        }
    }
}

static void level_words_are_the_four(void **state)
{
    (void)state;
    enum log_level level = LOG_DEBUG;
    assert_true(log_level_parse("error", &level) && level == LOG_ERROR);
    assert_true(log_level_parse("warn", &level) && level == LOG_WARN);
    assert_true(log_level_parse("info", &level) && level == LOG_INFO);
    assert_true(log_level_parse("debug", &level) && level == LOG_DEBUG);
    static const char *const none[] = {"", "INFO", "warning", "inf", "info ", "0"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_false(log_level_parse(none[i], &level));
    assert_int_equal(level, LOG_DEBUG);
}

static void value_cannot_break_out_of_its_field(void **state)
{
    (void)state;
    static const struct {
        const char *value, *written;
    } cases[] = {
        {"plain", "plain"},
        {"", "\"\""},
        {"two words", "\"two words\""},
        {"a=b", "\"a=b\""},
        {"say \"hi\"", "\"say \\\"hi\\\"\""},
        {"back\\slash", "\"back\\\\slash\""},
        {"line\nlevel=error", "\"line\\u000alevel=error\""},
        {"\r", "\"\\u000d\""},
        {"\033[31mred", "\"\\u001b[31mred\""},
        {"\x7f", "\"\\u007f\""},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"\xff", "\"\\xff\""},                   /* never UTF-8 */
        {"\xc3", "\"\\xc3\""},                   /* cut in the middle */
        {"\xc0\xaf", "\"\\xc0\\xaf\""},          /* a slash in too many bytes */
        {"\xed\xa0\x80", "\"\\xed\\xa0\\x80\""}, /* a surrogate */
        {"\xc2\x9b", "\"\\u009b\""},             /* a control that terminals obey */
        {"\xe2\x80\xae"
         "txt",
         "\"\\u202etxt\""}, /* turns the direction of writing */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char expected[128];
        snprintf(expected, sizeof expected, "s v=%s next=1\n", cases[i].written);
        log_line(LOG_INFO, "s", "v", cases[i].value, "next", "1", NULL);
        assert_string_equal(next_rest(), expected);
    }
}

static void sentence_cannot_break_out_of_its_line(void **state)
{
    (void)state;
    log_line(LOG_INFO, "path /tmp/a\nb is no table", NULL);
    assert_string_equal(next_rest(), "path /tmp/a\\u000ab is no table\n");
}

static void value_is_cut_past_its_limit(void **state)
{
    (void)state;
    static char value[LOG_VALUE_MAX + 2];
    for (size_t length = LOG_VALUE_MAX - 1; length <= LOG_VALUE_MAX + 1; length++) {
        memset(value, 'x', length);
        value[length] = '\0';
        log_line(LOG_INFO, "s", "v", value, "next", "1", NULL);
        const char *line = next_rest();
        bool is_cut = strstr(line, "...") != NULL;
        assert_int_equal(is_cut, length > LOG_VALUE_MAX);
        assert_int_equal(strspn(line + strcspn(line, "x"), "x."), length < LOG_VALUE_MAX ? length : LOG_VALUE_MAX);
        assert_non_null(strstr(line, " next=1\n"));
    }
}

/* Three values of `length` each, and a short field behind them. */
static const char *crowded_line(size_t length)
{
    static char value[LOG_VALUE_MAX + 1];
    memset(value, 'x', LOG_VALUE_MAX);
    value[length] = '\0';
    log_line(LOG_INFO, "s", "a", value, "b", value, "c", value, "d", value, "last", "1", NULL);
    return next_write();
}

static void line_never_exceeds_its_limit(void **state)
{
    (void)state;
    bool cut_seen = false, whole_seen = false;
    size_t longest = 0;
    for (size_t length = LOG_VALUE_MAX - 40; length <= LOG_VALUE_MAX; length++) {
        const char *line = crowded_line(length);
        size_t size = strlen(line);
        assert_true(size <= LOG_LINE_MAX);
        assert_int_equal(line[size - 1], '\n');
        bool is_whole = strstr(line, " last=1\n") != NULL;
        bool is_cut = strcmp(line + size - 5, " ...\n") == 0;
        assert_int_equal(is_whole, !is_cut);
        whole_seen = whole_seen || is_whole;
        cut_seen = cut_seen || is_cut;
        longest = size > longest ? size : longest;
    }
    assert_true(whole_seen && cut_seen);
    assert_true(longest > LOG_LINE_MAX - 16);
}

static void number_is_decimal_to_the_last(void **state)
{
    (void)state;
    char buffer[LOG_NUMBER_SIZE];
    assert_string_equal(log_number(buffer, 0), "0");
    assert_string_equal(log_number(buffer, UINT64_MAX), "18446744073709551615");
}

static void sampler_lets_a_burst_through_each_interval(void **state)
{
    (void)state;
    struct log_sampler sampler = {0};
    uint64_t suppressed = 99;
    for (int i = 0; i < 3; i++) {
        assert_true(log_sample_at(&sampler, 3, 1000, 5000, &suppressed));
        assert_int_equal(suppressed, 0);
    }
    assert_false(log_sample_at(&sampler, 3, 1000, 5000, &suppressed));
    assert_false(log_sample_at(&sampler, 3, 1000, 5999, &suppressed));
    assert_true(log_sample_at(&sampler, 3, 1000, 6000, &suppressed));
    assert_int_equal(suppressed, 2);
    assert_true(log_sample_at(&sampler, 3, 1000, 6001, &suppressed));
    assert_int_equal(suppressed, 0);
}

static void sampler_counts_on_across_quiet_times(void **state)
{
    (void)state;
    struct log_sampler sampler = {0};
    uint64_t suppressed;
    assert_true(log_sample_at(&sampler, 1, 10, 100, &suppressed));
    for (int i = 0; i < 1000; i++)
        assert_false(log_sample_at(&sampler, 1, 10, 105, &suppressed));
    assert_true(log_sample_at(&sampler, 1, 10, 1000000, &suppressed));
    assert_int_equal(suppressed, 1000);
}

static void sampler_goes_by_the_monotonic_clock(void **state)
{
    (void)state;
    struct log_sampler sampler = {0};
    uint64_t suppressed;
    assert_true(log_sample(&sampler, 1, UINT32_MAX, &suppressed));
    assert_false(log_sample(&sampler, 1, UINT32_MAX, &suppressed));
    assert_true(log_sample(&sampler, 1, 0, &suppressed));
    assert_int_equal(suppressed, 1);
}

#define WITH_STDERR(test) cmocka_unit_test_setup_teardown(test, redirect, restore)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STDERR(line_has_time_level_sentence_and_fields),
        WITH_STDERR(line_is_one_write),
        WITH_STDERR(null_value_leaves_its_field_out),
        WITH_STDERR(errno_survives_a_line),
        WITH_STDERR(level_holds_back_what_lies_above_it),
        cmocka_unit_test(level_words_are_the_four),
        WITH_STDERR(value_cannot_break_out_of_its_field),
        WITH_STDERR(sentence_cannot_break_out_of_its_line),
        WITH_STDERR(value_is_cut_past_its_limit),
        WITH_STDERR(line_never_exceeds_its_limit),
        cmocka_unit_test(number_is_decimal_to_the_last),
        cmocka_unit_test(sampler_lets_a_burst_through_each_interval),
        cmocka_unit_test(sampler_counts_on_across_quiet_times),
        cmocka_unit_test(sampler_goes_by_the_monotonic_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
