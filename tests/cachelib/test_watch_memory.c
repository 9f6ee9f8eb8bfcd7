/*
 * test_watch_memory.c - watches without memory, and without threads: a status, no leak, and those that exist go on.
 */
#include <stdio.h>

#include "failing.h"
#include "watch_support.h"

/* Makes a table and a watch of each sort, and frees them. The first status that was not QUASH_OK. */
static quash_status make_and_free(void)
{
    struct told told = TOLD_INIT;
    quash_table *table = NULL;
    quash_token *token = NULL;
    quash_watch *group = NULL;
    quash_watch *with_token = NULL;
    quash_status status = quash_table_new_private(16, &table);
    if (status != QUASH_OK)
        return status;
    status = quash_watch_group(table, "tenant:1", tell, &told, &group);
    if (status == QUASH_OK)
        status = quash_token_new(table, &token);
    if (status == QUASH_OK)
        status = quash_watch_token(token, tell, &told, &with_token);
    quash_watch_free(with_token);
    quash_watch_free(group);
    quash_token_free(token);
    quash_table_close(table);
    assert_int_equal(told.times, 0);
    return status;
}

static void making_a_watch_without_memory_fails_cleanly(void **state)
{
    (void)state;
    long nth = 1;
    for (;; nth++) {
        long before = failing_live();
        failing_set(nth);
        quash_status status = make_and_free();
        bool failed = failing_happened();
        failing_set(0);
        assert_int_equal(failing_live(), before);
        assert_int_equal(status, failed ? QUASH_NO_MEMORY : QUASH_OK);
        if (!failed)
            break;
    }
    printf("%ld allocations failed in turn\n", nth - 1);
    assert_int_equal(nth - 1, 6); /* handle, mapping, watch, watcher, token, watch */
    await_watching_threads(0);
}

static void a_failure_leaves_other_watches_and_the_output_as_they_were(void **state)
{
    (void)state;
    struct told told = TOLD_INIT;
    struct told failed_told = TOLD_INIT;
    quash_table *table = NULL;
    assert_int_equal(quash_table_new_private(16, &table), QUASH_OK);
    quash_watch *watch = watch_group(table, "tenant:1", &told);
    quash_watch *failed = NULL;
    failing_set(1);
    assert_int_equal(quash_watch_group(table, "tenant:1", tell, &failed_told, &failed), QUASH_NO_MEMORY);
    failing_set(0);
    assert_null(failed);
    assert_int_equal(quash_table_cancel(table, "tenant:1"), QUASH_OK);
    await_told(&told);
    assert_int_equal(failed_told.times, 0);
    quash_watch_free(watch);
    quash_table_close(table);
}

static void a_thread_that_cannot_be_started_is_a_status_and_the_next_may_be(void **state)
{
    (void)state;
    struct told told = TOLD_INIT;
    quash_table *table = NULL;
    quash_watch *watch = NULL;
    assert_int_equal(quash_table_new_private(16, &table), QUASH_OK);
    long before = failing_live();
    failing_threads(true);
    assert_int_equal(quash_watch_group(table, "tenant:1", tell, &told, &watch), QUASH_SYSTEM);
    assert_null(watch);
    assert_int_equal(failing_live(), before + 1); /* what the handle keeps for its watches */
    failing_threads(false);
    watch = watch_group(table, "tenant:1", &told);
    assert_int_equal(quash_table_cancel(table, "tenant:1"), QUASH_OK);
    await_told(&told);
    quash_watch_free(watch);
    assert_int_equal(failing_live(), before + 1);
    quash_table_close(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(making_a_watch_without_memory_fails_cleanly),
        cmocka_unit_test(a_failure_leaves_other_watches_and_the_output_as_they_were),
        cmocka_unit_test(a_thread_that_cannot_be_started_is_a_status_and_the_next_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
