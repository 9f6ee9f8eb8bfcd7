/* Every allocation around a load fails in turn: what comes out is a status, nobody is left waiting, nothing is lost,
 * and the cache works on. */
#include <stdlib.h>

#include "failing.h"
#include "load_support.h"

/* More than any of these calls makes. */
#define ALLOCATIONS_MAX 64

/* A step under test: returns its status. */
typedef quash_status attempt_fn(quash_cache *cache);

/* Runs it with the first, the second ... allocation failing, until none does, each time in a cache of its own. */
static void fail_in_turn(quash_execute_fn *execute, void *execute_context, attempt_fn *attempt)
{
    quash_cache_stats stats;
    long failures = 0;
    for (long nth = 1;; nth++) {
        assert_true(nth < ALLOCATIONS_MAX);
        quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
        options.execute = execute;
        options.execute_context = execute_context;
        options.load_on_executor = execute != NULL;
        /* What a cache that does nothing adds to the count: its aligned memory is counted only as it is freed. */
        long before = failing_live();
        quash_cache_free(new_cache_with(&options));
        long live = failing_live();
        quash_cache *cache = new_cache_with(&options);
        failing_set(nth);
        quash_status status = attempt(cache);
        bool happened = failing_happened();
        failing_set(0);
        assert_true(status == QUASH_OK || (happened && status == QUASH_NO_MEMORY));
        failures += status == QUASH_NO_MEMORY;
        /* Nobody's load is left open, and the next one works. */
        char text[] = "next";
        quash_entry *entry;
        assert_int_equal(quash_cache_get_or_load(cache, "key", 3, load_text, text, NULL, &entry), QUASH_OK);
        quash_entry_release(entry);
        stats = stats_of(cache);
        quash_cache_free(cache);
        assert_int_equal(failing_live() - live, live - before);
        if (!happened)
            break;
    }
    assert_int_equal(stats.loads, 1);
    assert_true(failures > 0);
}

static quash_status attempt_load(quash_cache *cache)
{
    char text[] = "value";
    quash_get_options options = QUASH_GET_OPTIONS_INIT;
    options.context_size = sizeof text;
    quash_entry *entry = NULL;
    quash_status status = quash_cache_get_or_load(cache, "key", 3, load_text, text, &options, &entry);
    quash_entry_release(entry);
    return status;
}

static quash_status attempt_begin(quash_cache *cache)
{
    quash_entry *entry;
    quash_fill *fill;
    quash_status status = quash_cache_get_or_begin(cache, "key", 3, NULL, NULL, &entry, &fill);
    if (status != QUASH_MISS)
        return status;
    status = quash_fill_set_bytes(fill, "value", 5);
    if (status != QUASH_OK) {
        quash_fill_abandon(fill, status);
        return status;
    }
    return quash_fill_commit(fill, NULL, NULL);
}

/* One loads, another waits for it: with a notice, unless it was told that there is no memory. */
static quash_status attempt_wait(quash_cache *cache)
{
    quash_entry *entry;
    quash_fill *fill, *none;
    quash_notifier *notifier;
    quash_status status = quash_notifier_new(&notifier);
    if (status != QUASH_OK)
        return status;
    status = quash_cache_get_or_begin(cache, "key", 3, notifier, NULL, &entry, &fill);
    if (status != QUASH_MISS) {
        quash_notifier_free(notifier);
        return status;
    }
    status = quash_cache_get_or_begin(cache, "key", 3, notifier, NULL, &entry, &none);
    bool waits = status == QUASH_BUSY;
    quash_fill_abandon(fill, QUASH_LOAD_FAILED);
    quash_notice notice;
    if (quash_notifier_next(notifier, &notice) != waits)
        status = QUASH_INVALID;
    quash_notifier_free(notifier);
    return waits && status == QUASH_BUSY ? attempt_begin(cache) : status;
}

static void a_load_without_memory_says_so(void **state)
{
    (void)state;
    fail_in_turn(NULL, NULL, attempt_load);
}

static void a_load_on_an_executor_does_without_its_task(void **state)
{
    (void)state;
    _Atomic int count = 0;
    fail_in_turn(execute_inline, &count, attempt_load);
}

static void a_refused_load_without_memory_says_so(void **state)
{
    (void)state;
    _Atomic int count = 0;
    fail_in_turn(execute_refused, &count, attempt_load);
}

static void an_event_loops_load_without_memory_says_so(void **state)
{
    (void)state;
    fail_in_turn(NULL, NULL, attempt_begin);
}

static void a_wait_without_memory_says_so_and_has_no_notice(void **state)
{
    (void)state;
    fail_in_turn(NULL, NULL, attempt_wait);
}

static void a_refresh_without_memory_leaves_the_hit(void **state)
{
    (void)state;
    for (long nth = 1;; nth++) {
        assert_true(nth < ALLOCATIONS_MAX);
        struct later later = LATER_INIT;
        struct manual_clock clock = {1};
        quash_cache_options options = options_with_clock(&clock);
        options.ttl_ms = 100;
        options.eager_percent = 50;
        options.execute = execute_later;
        options.execute_context = &later;
        quash_cache *cache = new_cache_with(&options);
        assert_int_equal(put_text(cache, "key", "old", NULL), QUASH_OK);
        manual_clock_advance(&clock, 50);
        char text[] = "new";
        quash_entry *entry;
        failing_set(nth);
        quash_status status = quash_cache_get_or_load(cache, "key", 3, load_text, text, NULL, &entry);
        later_run(&later);
        bool happened = failing_happened();
        failing_set(0);
        assert_int_equal(status, QUASH_OK);
        quash_entry_release(entry);
        assert_true(hits(cache, "key"));
        /* The key is not left loading. */
        quash_fill *fill;
        assert_int_equal(quash_fill_begin(cache, "key", 3, &fill), QUASH_OK);
        quash_fill_abandon(fill, QUASH_OK);
        quash_cache_free(cache);
        if (!happened)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_load_without_memory_says_so),
        cmocka_unit_test(a_load_on_an_executor_does_without_its_task),
        cmocka_unit_test(a_refused_load_without_memory_says_so),
        cmocka_unit_test(an_event_loops_load_without_memory_says_so),
        cmocka_unit_test(a_wait_without_memory_says_so_and_has_no_notice),
        cmocka_unit_test(a_refresh_without_memory_leaves_the_hit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
