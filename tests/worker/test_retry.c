/*
 * test_retry.c - how long to wait before the next attempt, and how often to complain.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "retry.h"

static void waits_double_up_to_their_limit_and_vary(void **state)
{
    (void)state;
    struct retry retry;
    retry_init(&retry, 7);
    uint32_t bound = RETRY_DELAY_FIRST_MS;
    unsigned distinct = 0;
    uint32_t last = 0;
    for (unsigned i = 0; i < 50; i++) {
        uint32_t wait = retry_failed(&retry, 1000 * i);
        assert_in_range(wait, bound / 2, bound);
        distinct += wait != last;
        last = wait;
        bound = bound * 2 > RETRY_DELAY_MAX_MS ? RETRY_DELAY_MAX_MS : bound * 2;
    }
    assert_true(distinct > 25);
    assert_int_equal(retry.attempts, 50);
}

static void two_workers_do_not_wait_alike(void **state)
{
    (void)state;
    struct retry one;
    struct retry other;
    retry_init(&one, 1);
    retry_init(&other, 2);
    unsigned alike = 0;
    for (unsigned i = 0; i < 50; i++)
        alike += retry_failed(&one, i) == retry_failed(&other, i);
    assert_true(alike < 5);
}

static void a_success_that_lasts_starts_over(void **state)
{
    (void)state;
    struct retry retry;
    retry_init(&retry, 0);
    for (unsigned i = 0; i < 9; i++)
        (void)retry_failed(&retry, i);
    assert_int_equal(retry_succeeded(&retry, 100), 10);
    (void)retry_failed(&retry, 100 + RETRY_STABLE_MS);
    assert_int_equal(retry.attempts, 0); /* a loss, not an attempt */
    assert_int_equal(retry.delay_ms, RETRY_DELAY_FIRST_MS);
}

static void a_success_that_does_not_last_is_no_reason_to_hurry(void **state)
{
    (void)state;
    struct retry retry;
    retry_init(&retry, 3);
    for (unsigned i = 0; i < 20; i++)
        (void)retry_failed(&retry, i);
    (void)retry_succeeded(&retry, 100);
    uint32_t wait = retry_failed(&retry, 100 + RETRY_STABLE_MS - 1);
    assert_in_range(wait, RETRY_DELAY_MAX_MS / 2, RETRY_DELAY_MAX_MS);
    assert_int_equal(retry_succeeded(&retry, 20000), 1);
}

static void the_same_reason_is_told_at_growing_intervals(void **state)
{
    (void)state;
    struct retry_complaint complaint = {0};
    uint64_t told_at[64];
    size_t told = 0;
    for (uint64_t now_ms = 0; now_ms < 3600000; now_ms += 100) {
        if (retry_should_tell(&complaint, now_ms, "refused") && told < 64)
            told_at[told++] = now_ms;
    }
    assert_int_equal(told_at[0], 0);
    assert_int_equal(told_at[1], RETRY_TELL_FIRST_MS);
    assert_int_equal(told_at[2], RETRY_TELL_FIRST_MS * 3);
    for (size_t i = 2; i < told; i++)
        assert_true(told_at[i] - told_at[i - 1] >= told_at[i - 1] - told_at[i - 2]);
    assert_int_equal(told_at[told - 1] - told_at[told - 2], RETRY_TELL_MAX_MS);
}

static void another_reason_is_told_at_once(void **state)
{
    (void)state;
    struct retry_complaint complaint = {0};
    assert_true(retry_should_tell(&complaint, 0, "refused"));
    assert_false(retry_should_tell(&complaint, 1, "refused"));
    assert_true(retry_should_tell(&complaint, 2, "no such host"));
    assert_false(retry_should_tell(&complaint, 3, "no such host"));
    assert_true(retry_should_tell(&complaint, 4, "refused"));
}

static void a_reason_longer_than_is_kept_is_still_told_once(void **state)
{
    (void)state;
    char reason[2 * RETRY_REASON_SIZE];
    struct retry_complaint complaint = {0};
    memset(reason, 'x', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    assert_true(retry_should_tell(&complaint, 0, reason));
    assert_false(retry_should_tell(&complaint, 1, reason));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_double_up_to_their_limit_and_vary),
        cmocka_unit_test(two_workers_do_not_wait_alike),
        cmocka_unit_test(a_success_that_lasts_starts_over),
        cmocka_unit_test(a_success_that_does_not_last_is_no_reason_to_hurry),
        cmocka_unit_test(the_same_reason_is_told_at_growing_intervals),
        cmocka_unit_test(another_reason_is_told_at_once),
        cmocka_unit_test(a_reason_longer_than_is_kept_is_still_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
