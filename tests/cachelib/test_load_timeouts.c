/* The time-outs of those who wait for a load: soft, with an expired value to fall back on, and hard. */
#include "load_support.h"

/* A cache with an expired version 1 of the key, and a load of version 2 that stands still. */
struct slow {
    struct manual_clock clock;
    struct gate read;
    struct gate proceed;
    struct source source;
    struct caller loader;
    pthread_t loading;
};

static void slow_begin(struct slow *slow, quash_cache_options *options, const char *group)
{
    *slow = (struct slow){.clock = {1000}, .read = GATE_INIT, .proceed = GATE_INIT};
    options->clock_ms = manual_clock_ms;
    options->clock_context = &slow->clock;
    options->ttl_ms = 100;
    slow->source = (struct source){.cache = new_cache_with(options), .version = 1};
    slow->source.group = group;
    assert_int_equal(ask_now(&slow->source), 1);
    slow->source.group = NULL;
    manual_clock_advance(&slow->clock, 100);
    slow->source.version = 2;
    slow->source.loads = 0;
    slow->source.read = &slow->read;
    slow->source.proceed = &slow->proceed;
    slow->loader.source = &slow->source;
    slow->loading = thread_start(ask_thread, &slow->loader);
    gate_pass(&slow->read);
}

/* Lets the load go on, and checks that its value reached its caller and the cache. */
static void slow_proceed(struct slow *slow)
{
    gate_open(&slow->proceed);
    thread_join(slow->loading);
    assert_int_equal(slow->loader.version, 2);
    assert_false(slow->loader.stale);
    assert_int_equal(slow->source.loads, 1);
    assert_int_equal(cached_version(slow->source.cache), 2);
}

static void slow_end(struct slow *slow)
{
    slow_proceed(slow);
    quash_cache_free(slow->source.cache);
}

static quash_cache_options fail_safe_options(void)
{
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.fail_safe_ms = 1000;
    return options;
}

static void past_the_soft_one_a_waiter_takes_the_expired_value_and_the_load_goes_on(void **state)
{
    (void)state;
    struct slow slow;
    quash_cache_options options = fail_safe_options();
    options.soft_timeout_ms = 5;
    slow_begin(&slow, &options, NULL);
    struct caller waiter = {.source = &slow.source};
    assert_int_equal(ask(&waiter), QUASH_OK);
    assert_int_equal(waiter.version, 1);
    assert_true(waiter.stale);
    quash_cache_stats stats = stats_of(slow.source.cache);
    assert_int_equal(stats.hits_stale, 1);
    assert_int_equal(stats.waits, 1);
    assert_int_equal(stats.waits_timed_out, 0);
    assert_int_equal(stats.misses_expired, 2);
    slow_end(&slow);
}

static void past_the_soft_one_without_an_expired_value_the_wait_goes_on(void **state)
{
    (void)state;
    struct slow slow;
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT; /* no fail-safe: nothing is kept past its expiry */
    options.soft_timeout_ms = 1;
    slow_begin(&slow, &options, NULL);
    struct caller hasty = {.source = &slow.source, .timeout_ms = 20};
    assert_int_equal(ask(&hasty), QUASH_TIMED_OUT);
    struct caller patient = {.source = &slow.source};
    pthread_t waiting = thread_start(ask_thread, &patient);
    await_waits(slow.source.cache, 2);
    slow_proceed(&slow);
    thread_join(waiting);
    assert_int_equal(patient.version, 2);
    assert_false(patient.stale);
    quash_cache_free(slow.source.cache);
}

static void past_the_hard_one_it_is_timed_out_also_with_an_expired_value(void **state)
{
    (void)state;
    struct slow slow;
    quash_cache_options options = fail_safe_options();
    options.load_timeout_ms = 5;
    slow_begin(&slow, &options, NULL);
    quash_entry *entry = NULL;
    char text[] = "never loaded";
    assert_int_equal(quash_cache_get_or_load(slow.source.cache, "key", 3, load_text, text, NULL, &entry),
                     QUASH_TIMED_OUT);
    assert_null(entry);
    assert_int_equal(stats_of(slow.source.cache).waits_timed_out, 1);
    assert_int_equal(stats_of(slow.source.cache).hits_stale, 0);
    slow_end(&slow);
}

static void a_soft_one_that_is_not_before_the_hard_one_does_not_count(void **state)
{
    (void)state;
    struct slow slow;
    quash_cache_options options = fail_safe_options();
    slow_begin(&slow, &options, NULL);
    for (uint32_t soft_ms = 9; soft_ms <= 11; soft_ms++) {
        struct caller waiter = {.source = &slow.source, .timeout_ms = 10, .soft_ms = soft_ms};
        assert_int_equal(ask(&waiter), soft_ms < 10 ? QUASH_OK : QUASH_TIMED_OUT);
        assert_int_equal(waiter.version, soft_ms < 10 ? 1 : -1);
    }
    slow_end(&slow);
}

static void a_calls_own_time_outs_beat_the_caches(void **state)
{
    (void)state;
    struct slow slow;
    quash_cache_options options = fail_safe_options();
    options.soft_timeout_ms = 1;
    slow_begin(&slow, &options, NULL);
    /* No soft one for this call, and a short hard one. */
    struct caller waiter = {.source = &slow.source, .timeout_ms = 10, .soft_ms = QUASH_TIMEOUT_NONE};
    assert_int_equal(ask(&waiter), QUASH_TIMED_OUT);
    slow_end(&slow);

    options = fail_safe_options();
    options.load_timeout_ms = 20;
    slow_begin(&slow, &options, NULL);
    /* A soft one for this call only, and a hard one that is longer than the cache's. */
    waiter = (struct caller){.source = &slow.source, .soft_ms = 30};
    assert_int_equal(ask(&waiter), QUASH_OK);
    assert_int_equal(waiter.version, 1);
    slow_end(&slow);
}

/* Long enough for the test's thread to do something meanwhile. */
enum { SOFT_MS = 400, LONGER_MS = 500 };

static void an_expired_value_that_is_cancelled_during_the_wait_is_not_taken_and_the_wait_goes_on(void **state)
{
    (void)state;
    struct slow slow;
    quash_cache_options options = fail_safe_options();
    slow_begin(&slow, &options, "old:1"); /* only the expired value depends on it */
    struct caller patient = {.source = &slow.source, .soft_ms = SOFT_MS};
    struct caller hasty = {.source = &slow.source, .timeout_ms = LONGER_MS, .soft_ms = SOFT_MS};
    pthread_t waiting = thread_start(ask_thread, &patient);
    await_waits(slow.source.cache, 1);
    assert_int_equal(quash_table_cancel(quash_cache_table(slow.source.cache), "old:1"), QUASH_OK);
    /* It began later and gives up: the other is past its soft time-out by then. */
    assert_int_equal(ask(&hasty), QUASH_TIMED_OUT);
    slow_proceed(&slow);
    thread_join(waiting);
    assert_int_equal(patient.version, 2);
    assert_false(patient.stale);
    assert_int_equal(stats_of(slow.source.cache).hits_stale, 0);
    quash_cache_free(slow.source.cache);
}

static void an_expired_value_that_is_removed_during_the_wait_is_not_taken(void **state)
{
    (void)state;
    for (int by_clear = 0; by_clear < 2; by_clear++) {
        struct slow slow;
        quash_cache_options options = fail_safe_options();
        slow_begin(&slow, &options, NULL);
        struct caller waiter = {.source = &slow.source, .soft_ms = SOFT_MS};
        pthread_t waiting = thread_start(ask_thread, &waiter);
        await_waits(slow.source.cache, 1);
        if (by_clear)
            quash_cache_clear(slow.source.cache);
        else
            quash_cache_remove(slow.source.cache, "key", 3);
        /* The load was voided, so the waiter has loaded itself. */
        thread_join(waiting);
        assert_int_equal(waiter.version, 2);
        assert_false(waiter.stale);
        gate_open(&slow.proceed);
        thread_join(slow.loading);
        assert_int_equal(slow.source.loads, 2);
        quash_cache_free(slow.source.cache);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(past_the_soft_one_a_waiter_takes_the_expired_value_and_the_load_goes_on),
        cmocka_unit_test(past_the_soft_one_without_an_expired_value_the_wait_goes_on),
        cmocka_unit_test(past_the_hard_one_it_is_timed_out_also_with_an_expired_value),
        cmocka_unit_test(a_soft_one_that_is_not_before_the_hard_one_does_not_count),
        cmocka_unit_test(a_calls_own_time_outs_beat_the_caches),
        cmocka_unit_test(an_expired_value_that_is_cancelled_during_the_wait_is_not_taken_and_the_wait_goes_on),
        cmocka_unit_test(an_expired_value_that_is_removed_during_the_wait_is_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
