/*
 * test_watch.c - what a watch calls back for, why, in which order, and how often. Cancellations come from another
 * process; the watched handle maps the table read-only.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "table.h"
#include "watch_support.h"

static void the_callback_comes_once_however_often_the_group_is_cancelled(void **state)
{
    (void)state;
    struct told told = TOLD_INIT;
    quash_watch *watch = watch_group(stage.table, "tenant:42", &told);
    settle(stage.table, stage.worker);
    assert_int_equal(told.times, 0);
    uint64_t start_ns = clock_monotonic_ns();
    canceller_cancel(&stage.canceller, "tenant:42");
    await_told(&told);
    printf("called back within %llu us of the order to another process to cancel\n",
           (unsigned long long)(clock_monotonic_ns() - start_ns) / 1000);
    assert_int_equal(told.change, QUASH_CHANGED);
    for (int i = 0; i < 3; i++)
        canceller_cancel(&stage.canceller, "tenant:42");
    settle(stage.table, stage.worker);
    assert_int_equal(told.times, 1);
    quash_watch_free(watch);
}

static void a_token_that_has_changed_already_is_told_of_at_once(void **state)
{
    (void)state;
    enum { TOKENS = 50 };
    uint64_t start_ns = clock_monotonic_ns();
    for (int i = 0; i < TOKENS; i++) {
        struct told told = TOLD_INIT;
        struct told kept_told = TOLD_INIT;
        quash_watch *kept =
            watch_group(stage.table, "kept", &kept_told); /* so that the thread is there, asleep or not yet */
        quash_token *token = token_of(stage.table, "tenant:42");
        canceller_cancel(&stage.canceller, "tenant:42");
        if (i % 2 == 0)
            settle(stage.table, stage.worker);
        quash_watch *watch = watch_token(token, &told);
        await_told(&told);
        assert_int_equal(told.change, QUASH_CHANGED);
        assert_int_equal(told.times, 1);
        assert_int_equal(kept_told.times, 0);
        quash_watch_free(watch);
        quash_watch_free(kept);
        quash_token_free(token);
    }
    /* Were the thread's sleep not interrupted, each would take up to a second. */
    assert_true(clock_monotonic_ns() - start_ns < UINT64_C(10000000000));
}

static void other_groups_are_not_told_of(void **state)
{
    (void)state;
    static const char *const others[] = {"tenant:4", "tenant:421", "tenant", "user:*", "tenant:", "Tenant:42"};
    struct told told = TOLD_INIT;
    quash_watch *watch = watch_group(stage.table, "tenant:42", &told);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        canceller_cancel(&stage.canceller, others[i]);
    settle(stage.table, stage.worker);
    assert_int_equal(told.times, 0);
    quash_watch_free(watch);
}

static void a_flush_of_the_kind_or_of_all_is_told_of(void **state)
{
    (void)state;
    static const char *const flushes[] = {"tenant:*", "*"};
    for (int i = 0; i < 2; i++) {
        struct told group_told = TOLD_INIT;
        struct told token_told = TOLD_INIT;
        quash_token *token = token_of(stage.table, "tenant:42");
        quash_watch *group = watch_group(stage.table, "tenant:42", &group_told);
        quash_watch *with_token = watch_token(token, &token_told);
        canceller_cancel(&stage.canceller, flushes[i]);
        await_told(&group_told);
        await_told(&token_told);
        quash_watch_free(group);
        quash_watch_free(with_token);
        quash_token_free(token);
    }
}

static void a_token_without_groups_is_told_of_a_flush_of_all(void **state)
{
    (void)state;
    struct told told = TOLD_INIT;
    quash_token *token = token_of(stage.table, NULL);
    quash_watch *watch = watch_token(token, &told);
    canceller_cancel(&stage.canceller, "tenant:42");
    settle(stage.table, stage.worker);
    assert_int_equal(told.times, 0);
    canceller_cancel(&stage.canceller, "*");
    await_told(&told);
    quash_watch_free(watch);
    quash_token_free(token);
}

static void each_of_a_tokens_groups_is_told_of(void **state)
{
    (void)state;
    for (unsigned cancelled = 0; cancelled < QUASH_TOKEN_GROUPS_MAX; cancelled++) {
        struct told told = TOLD_INIT;
        char group[32];
        quash_token *token = token_of(stage.table, NULL);
        for (unsigned i = 0; i < QUASH_TOKEN_GROUPS_MAX; i++) {
            snprintf(group, sizeof group, "kind%u:1", i);
            assert_int_equal(quash_token_add(token, group), QUASH_OK);
        }
        quash_watch *watch = watch_token(token, &told);
        snprintf(group, sizeof group, "kind%u:1", cancelled);
        canceller_cancel(&stage.canceller, group);
        await_told(&told);
        quash_watch_free(watch);
        quash_token_free(token);
    }
}

static void what_becomes_of_the_token_does_not_matter_to_its_watch(void **state)
{
    (void)state;
    struct told restarted_told = TOLD_INIT;
    struct told freed_told = TOLD_INIT;
    quash_token *restarted = token_of(stage.table, "tenant:1");
    quash_token *freed = token_of(stage.table, "tenant:2");
    quash_watch *watches[] = {watch_token(restarted, &restarted_told), watch_token(freed, &freed_told)};
    quash_token_restart(restarted);
    quash_token_free(freed);
    canceller_cancel(&stage.canceller, "tenant:1");
    await_told(&restarted_told);
    settle(stage.table, stage.worker);
    assert_int_equal(freed_told.times, 0);
    canceller_cancel(&stage.canceller, "tenant:2");
    await_told(&freed_told);
    quash_watch_free(watches[0]);
    quash_watch_free(watches[1]);
    quash_token_free(restarted);
}

static void a_group_is_watched_from_now_on(void **state)
{
    (void)state;
    struct told told = TOLD_INIT;
    canceller_cancel(&stage.canceller, "tenant:42");
    quash_watch *watch = watch_group(stage.table, "tenant:42", &told);
    settle(stage.table, stage.worker);
    assert_int_equal(told.times, 0);
    quash_watch_free(watch);
}

static void a_token_that_missed_a_group_is_told_of_at_once(void **state)
{
    (void)state;
    struct told told = TOLD_INIT;
    quash_token *token = token_of(stage.table, NULL);
    assert_int_equal(quash_token_add(token, ""), QUASH_INVALID);
    quash_watch *watch = watch_token(token, &told);
    await_told(&told);
    assert_int_equal(told.change, QUASH_CHANGED);
    quash_watch_free(watch);
    quash_token_free(token);
}

static void what_the_table_has_forgotten_is_told_of_as_collateral(void **state)
{
    (void)state;
    struct told told = TOLD_INIT;
    quash_table *small = NULL;
    assert_int_equal(quash_table_new_private(1, &small), QUASH_OK);
    quash_watch *watch = watch_group(small, "tenant:42", &told);
    for (int i = 0; i < 8; i++) { /* one more than fit */
        char group[32];
        snprintf(group, sizeof group, "user:%d", i);
        assert_int_equal(quash_table_cancel(small, group), QUASH_OK);
    }
    await_told(&told);
    assert_int_equal(told.change, QUASH_COLLATERAL);
    quash_watch_free(watch);
    quash_table_close(small);
}

static void those_due_at_once_are_called_in_the_order_they_were_made(void **state)
{
    (void)state;
    enum { WATCHES = 100 };
    struct told *told = calloc(WATCHES, sizeof *told);
    assert_non_null(told);
    quash_watch *watches[WATCHES];
    const char *groups[WATCHES];
    char names[WATCHES][32];
    for (int i = 0; i < WATCHES; i++) {
        snprintf(names[i], sizeof names[i], "tenant:%d", i);
        groups[WATCHES - 1 - i] = names[i];
        watches[i] = watch_group(stage.table, names[i], &told[i]);
    }
    /* Some in between go, so that the order is not that of an untouched list. */
    for (int i = 0; i < WATCHES; i += 7) {
        quash_watch_free(watches[i]);
        watches[i] = NULL;
    }
    assert_int_equal(quash_table_cancel_batch(stage.worker, groups, WATCHES), QUASH_OK);
    unsigned last = 0;
    bool first = true;
    settle(stage.table, stage.worker);
    for (int i = 0; i < WATCHES; i++) {
        assert_int_equal(told[i].times, watches[i] != NULL);
        if (watches[i] == NULL)
            continue;
        assert_true(first || told[i].turn > last);
        first = false;
        last = told[i].turn;
        quash_watch_free(watches[i]);
    }
    free(told);
}

/* ---- Arguments */

static void arguments_out_of_range_are_refused(void **state)
{
    (void)state;
    struct told told = TOLD_INIT;
    quash_watch *watch = NULL;
    quash_token *token = token_of(stage.table, "tenant:1");
    assert_int_equal(quash_watch_token(NULL, tell, &told, &watch), QUASH_INVALID);
    assert_int_equal(quash_watch_token(token, NULL, &told, &watch), QUASH_INVALID);
    assert_int_equal(quash_watch_token(token, tell, &told, NULL), QUASH_INVALID);
    assert_int_equal(quash_watch_group(NULL, "tenant:1", tell, &told, &watch), QUASH_INVALID);
    assert_int_equal(quash_watch_group(stage.table, NULL, tell, &told, &watch), QUASH_INVALID);
    assert_int_equal(quash_watch_group(stage.table, "", tell, &told, &watch), QUASH_INVALID);
    assert_int_equal(quash_watch_group(stage.table, "tenant:1", NULL, &told, &watch), QUASH_INVALID);
    assert_int_equal(quash_watch_group(stage.table, "tenant:1", tell, &told, NULL), QUASH_INVALID);
    char group[QUASH_GROUP_MAX + 2];
    memset(group, 'g', sizeof group);
    group[QUASH_GROUP_MAX + 1] = '\0';
    assert_int_equal(quash_watch_group(stage.table, group, tell, &told, &watch), QUASH_INVALID);
    assert_null(watch);
    assert_int_equal(watching_threads(), 0);
    group[QUASH_GROUP_MAX] = '\0';
    watch = watch_group(stage.table, group, &told);
    canceller_cancel(&stage.canceller, group);
    await_told(&told);
    quash_watch_free(watch);
    quash_watch_free(NULL);
    quash_token_free(token);
}

#define T(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_callback_comes_once_however_often_the_group_is_cancelled),
        T(a_token_that_has_changed_already_is_told_of_at_once),
        T(other_groups_are_not_told_of),
        T(a_flush_of_the_kind_or_of_all_is_told_of),
        T(a_token_without_groups_is_told_of_a_flush_of_all),
        T(each_of_a_tokens_groups_is_told_of),
        T(what_becomes_of_the_token_does_not_matter_to_its_watch),
        T(a_group_is_watched_from_now_on),
        T(a_token_that_missed_a_group_is_told_of_at_once),
        T(what_the_table_has_forgotten_is_told_of_as_collateral),
        T(those_due_at_once_are_called_in_the_order_they_were_made),
        T(arguments_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
