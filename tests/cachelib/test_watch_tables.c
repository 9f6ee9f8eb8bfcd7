/*
 * test_watch_tables.c - watches and the table's coming and going, and the thread that calls back.
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "clock.h"
#include "table.h"
#include "watch_support.h"

/* ---- Tables that come and go */

static void a_table_that_is_replaced_is_told_of(void **state)
{
    (void)state;
    struct told group_told = TOLD_INIT;
    struct told token_told = TOLD_INIT;
    struct told next_told = TOLD_INIT;
    quash_token *token = token_of(stage.table, "tenant:42");
    quash_watch *group = watch_group(stage.table, "tenant:42", &group_told);
    quash_watch *with_token = watch_token(token, &token_told);
    unlink(stage.place.path);
    assert_int_equal(quash_table_refresh(stage.worker, NULL, NULL), QUASH_OK);
    await_told(&group_told);
    await_told(&token_told);
    assert_int_equal(group_told.change, QUASH_CHANGED);
    assert_int_equal(token_told.change, QUASH_CHANGED);
    /* And the successor is watched as its predecessor was. */
    assert_int_equal(quash_table_refresh(stage.table, NULL, NULL), QUASH_OK);
    quash_watch *next = watch_group(stage.table, "tenant:42", &next_told);
    settle(stage.table, stage.worker);
    assert_int_equal(next_told.times, 0);
    canceller_cancel(&stage.canceller, "tenant:42");
    await_told(&next_told);
    assert_int_equal(next_told.times, 1);
    assert_int_equal(group_told.times, 1);
    quash_watch_free(next);
    quash_watch_free(group);
    quash_watch_free(with_token);
    quash_token_free(token);
}

static void a_table_that_is_replaced_without_a_word_is_told_of(void **state)
{
    (void)state;
    struct told told = TOLD_INIT;
    quash_watch *watch = watch_group(stage.table, "tenant:42", &told);
    settle(stage.table, stage.worker);
    quash_table_close(stage.worker); /* leaves it unretired, as a worker does that is killed */
    unlink(stage.place.path);
    stage.worker = serve(&stage.place);
    await_told(&told);
    assert_int_equal(told.change, QUASH_CHANGED);
    quash_watch_free(watch);
}

static void a_watch_made_after_a_silent_replacement_is_woken_for_its_own_table(void **state)
{
    (void)state;
    struct told old_told = TOLD_INIT;
    quash_watch *old = watch_group(stage.table, "tenant:1", &old_told);
    settle(stage.table, stage.worker);
    quash_table_close(stage.worker);
    unlink(stage.place.path);
    stage.worker = serve(&stage.place);
    /* The handle moves on while the thread sleeps on the old stage.table, for up to a second. */
    assert_int_equal(quash_table_refresh(stage.table, NULL, NULL), QUASH_OK);
    uint64_t start_ns = clock_monotonic_ns();
    settle(stage.table, stage.worker);
    uint64_t time_ns = clock_monotonic_ns() - start_ns;
    assert_int_equal(old_told.times, 1);
    printf("told after %llu us\n", (unsigned long long)time_ns / 1000);
    assert_true(time_ns < UINT64_C(500000000));
    quash_watch_free(old);
}

static void a_table_that_ends_without_a_successor_is_told_of(void **state)
{
    (void)state;
    struct told told = TOLD_INIT;
    quash_watch *watch = watch_group(stage.table, "tenant:42", &told);
    atomic_store(&table_current(stage.worker)->header->sequence, SLOT_STAMP_MAX);
    assert_int_equal(quash_table_cancel(stage.worker, "user:1"), QUASH_EXHAUSTED);
    await_told(&told);
    assert_int_equal(told.change, QUASH_CHANGED);
    quash_watch_free(watch);
}

static void what_is_watched_while_detached_is_told_of_when_a_table_appears(void **state)
{
    (void)state;
    struct table_place elsewhere;
    table_place_make(&elsewhere);
    quash_table *detached = follow(&elsewhere);
    struct told group_told = TOLD_INIT;
    struct told token_told = TOLD_INIT;
    quash_watch *group = watch_group(detached, "tenant:42", &group_told);
    quash_token *token = token_of(detached, "tenant:42");
    quash_watch *with_token = watch_token(token, &token_told);
    /* Of a token it is told at once: it has changed as it stands. That walk found nothing to tell of the group. */
    await_told(&token_told);
    assert_int_equal(token_told.change, QUASH_UNKNOWN);
    assert_int_equal(group_told.times, 0);

    quash_table *other_worker = serve(&elsewhere);
    await_told(&group_told);
    assert_int_equal(group_told.change, QUASH_UNKNOWN);
    settle(detached, other_worker);
    assert_int_equal(group_told.times, 1);
    quash_watch_free(group);
    quash_watch_free(with_token);
    quash_token_free(token);
    quash_table_close(detached);
    quash_table_close(other_worker);
    table_place_remove(&elsewhere);
}

static void a_detached_watch_may_be_freed_before_a_table_appears(void **state)
{
    (void)state;
    struct table_place elsewhere;
    table_place_make(&elsewhere);
    quash_table *detached = follow(&elsewhere);
    struct told told = TOLD_INIT;
    quash_watch_free(watch_group(detached, "tenant:42", &told));
    await_watching_threads(0);
    quash_table *other_worker = serve(&elsewhere);
    assert_int_equal(quash_table_refresh(detached, NULL, NULL), QUASH_OK);
    settle(detached, other_worker);
    assert_int_equal(told.times, 0);
    quash_table_close(detached);
    quash_table_close(other_worker);
    table_place_remove(&elsewhere);
}

/* ---- The thread */

static void a_handles_thread_is_there_from_its_first_watch_to_its_last(void **state)
{
    (void)state;
    struct told told = TOLD_INIT;
    assert_int_equal(watching_threads(), 0);
    for (int round = 0; round < 3; round++) {
        quash_watch *first = watch_group(stage.table, "tenant:1", &told);
        quash_watch *second = watch_group(stage.table, "tenant:2", &told);
        await_watching_threads(1);
        quash_watch *other_handle = watch_group(stage.worker, "tenant:1", &told);
        await_watching_threads(2);
        quash_watch_free(first);
        settle(stage.table, stage.worker);
        assert_int_equal(watching_threads(), 2);
        quash_watch_free(second);
        await_watching_threads(1);
        quash_watch_free(other_handle);
        await_watching_threads(0);
    }
    assert_int_equal(told.times, 0);
}

static sigset_t at_start; /* the program's own */

struct mask {
    struct told told;
    sigset_t blocked;
};

static void note_mask(quash_change change, void *context)
{
    struct mask *mask = context;
    pthread_sigmask(SIG_BLOCK, NULL, &mask->blocked);
    tell(change, &mask->told);
}

static void the_thread_takes_no_signal_of_the_service(void **state)
{
    (void)state;
    struct mask mask = {TOLD_INIT, {{0}}};
    sigset_t after;
    quash_watch *watch = NULL;
    assert_int_equal(quash_watch_group(stage.table, "tenant:1", note_mask, &mask, &watch), QUASH_OK);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    canceller_cancel(&stage.canceller, "tenant:1");
    await_told(&mask.told);
    static const int services[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD, SIGALRM, SIGPIPE};
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
        assert_int_equal(sigismember(&mask.blocked, services[i]), 1);
        assert_int_equal(sigismember(&after, services[i]), sigismember(&at_start, services[i]));
    }
    /* A callback's own fault still reaches a handler that the service has for it. */
    assert_int_equal(sigismember(&mask.blocked, SIGSEGV), 0);
    assert_int_equal(sigismember(&mask.blocked, SIGABRT), 0);
    quash_watch_free(watch);
}

#define T(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_table_that_is_replaced_is_told_of),
        T(a_table_that_is_replaced_without_a_word_is_told_of),
        T(a_watch_made_after_a_silent_replacement_is_woken_for_its_own_table),
        T(a_table_that_ends_without_a_successor_is_told_of),
        T(what_is_watched_while_detached_is_told_of_when_a_table_appears),
        T(a_detached_watch_may_be_freed_before_a_table_appears),
        T(a_handles_thread_is_there_from_its_first_watch_to_its_last),
        T(the_thread_takes_no_signal_of_the_service),
    };
    pthread_sigmask(SIG_BLOCK, NULL, &at_start);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
