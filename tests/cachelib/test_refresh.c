/* Eager refresh: past a part of its ttl one caller loads a value anew while all others hit. */
#include "load_support.h"

enum { TTL_MS = 100, DUE_MS = 50, FAILURE = QUASH_STATUS_USER + 5 };

struct refresh {
    struct manual_clock clock;
    struct source source;
};

/* Version 1 is in the cache and depends on "tenant:42"; version 2 is what loads find from now on. */
static void refresh_begin(struct refresh *refresh, quash_execute_fn *execute, void *execute_context)
{
    *refresh = (struct refresh){.clock = {7000}};
    quash_cache_options options = options_with_clock(&refresh->clock);
    options.ttl_ms = TTL_MS;
    options.eager_percent = 100 * DUE_MS / TTL_MS;
    options.execute = execute;
    options.execute_context = execute_context;
    refresh->source = (struct source){.cache = new_cache_with(&options), .group = "tenant:42", .version = 1};
    assert_int_equal(ask_now(&refresh->source), 1);
    refresh->source.loads = 0;
    refresh->source.version = 2;
}

static void refresh_end(struct refresh *refresh)
{
    quash_cache_free(refresh->source.cache);
}

/* ---- By the caller itself ---- */

static void the_caller_that_finds_it_due_loads_it_and_gets_the_new_value(void **state)
{
    (void)state;
    struct refresh refresh;
    refresh_begin(&refresh, NULL, NULL);
    manual_clock_advance(&refresh.clock, DUE_MS - 1);
    assert_int_equal(ask_now(&refresh.source), 1);
    assert_int_equal(refresh.source.loads, 0);
    manual_clock_advance(&refresh.clock, 1);
    assert_int_equal(cached_version(refresh.source.cache), 1); /* a plain get has no loader */
    assert_int_equal(ask_now(&refresh.source), 2);
    assert_int_equal(ask_now(&refresh.source), 2);
    assert_int_equal(refresh.source.loads, 1);
    quash_cache_stats stats = stats_of(refresh.source.cache);
    assert_int_equal(stats.loads_refreshed, 1);
    assert_int_equal(stats.loads, 2);
    assert_int_equal(stats.hits, 4);
    assert_int_equal(stats.waits, 0);
    assert_int_equal(stats.evicted[QUASH_EVICTION_REPLACED], 1);
    refresh_end(&refresh);
}

static void the_new_value_lives_from_the_refresh_on_and_is_refreshed_in_turn(void **state)
{
    (void)state;
    struct refresh refresh;
    refresh_begin(&refresh, NULL, NULL);
    manual_clock_advance(&refresh.clock, 60);
    assert_int_equal(ask_now(&refresh.source), 2);
    manual_clock_advance(&refresh.clock, DUE_MS - 1);
    assert_int_equal(cached_version(refresh.source.cache), 2); /* 109 ms after the first was loaded */
    assert_int_equal(ask_now(&refresh.source), 2);
    assert_int_equal(refresh.source.loads, 1);
    refresh.source.version = 3;
    manual_clock_advance(&refresh.clock, 1);
    assert_int_equal(ask_now(&refresh.source), 3);
    assert_int_equal(stats_of(refresh.source.cache).loads_refreshed, 2);
    refresh_end(&refresh);
}

static void others_hit_while_one_refreshes(void **state)
{
    (void)state;
    struct gate read = GATE_INIT, proceed = GATE_INIT;
    struct refresh refresh;
    refresh_begin(&refresh, NULL, NULL);
    refresh.source.read = &read;
    refresh.source.proceed = &proceed;
    manual_clock_advance(&refresh.clock, DUE_MS);
    struct caller one = {.source = &refresh.source};
    pthread_t refreshing = thread_start(ask_thread, &one);
    gate_pass(&read);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask_now(&refresh.source), 1);
        assert_int_equal(cached_version(refresh.source.cache), 1);
    }
    assert_int_equal(stats_of(refresh.source.cache).waits, 0);
    gate_open(&proceed);
    thread_join(refreshing);
    assert_int_equal(one.version, 2);
    assert_int_equal(refresh.source.loads, 1);
    assert_int_equal(cached_version(refresh.source.cache), 2);
    refresh_end(&refresh);
}

static void a_failed_refresh_leaves_the_old_value_to_expire(void **state)
{
    (void)state;
    struct refresh refresh;
    refresh_begin(&refresh, NULL, NULL);
    refresh.source.status = FAILURE;
    manual_clock_advance(&refresh.clock, DUE_MS);
    struct caller caller = {.source = &refresh.source};
    assert_int_equal(ask(&caller), QUASH_OK);
    assert_int_equal(caller.version, 1);
    assert_false(caller.stale);
    assert_int_equal(ask_now(&refresh.source), 1);
    assert_int_equal(refresh.source.loads, 1); /* once an entry */
    manual_clock_advance(&refresh.clock, TTL_MS - DUE_MS - 1);
    assert_int_equal(ask_now(&refresh.source), 1);
    manual_clock_advance(&refresh.clock, 1);
    assert_int_equal(ask(&caller), FAILURE);
    assert_int_equal(refresh.source.loads, 2);
    refresh_end(&refresh);
}

static quash_status cancel_and_load(quash_fill *fill, void *context)
{
    struct source *source = context;
    quash_table_cancel(quash_cache_table(source->cache), "tenant:42");
    return source_load(fill, context);
}

static void a_refresh_that_is_cancelled_meanwhile_keeps_nothing(void **state)
{
    (void)state;
    struct refresh refresh;
    refresh_begin(&refresh, NULL, NULL);
    manual_clock_advance(&refresh.clock, DUE_MS);
    quash_entry *entry;
    assert_int_equal(
        quash_cache_get_or_load(refresh.source.cache, "key", 3, cancel_and_load, &refresh.source, NULL, &entry),
        QUASH_OK);
    int version = 2;
    assert_memory_equal(quash_entry_bytes(entry), &version, sizeof version); /* its own read, which overlapped */
    quash_entry_release(entry);
    assert_int_equal(cached_version(refresh.source.cache), -1);
    assert_int_equal(stats_of(refresh.source.cache).loads_voided, 1);
    refresh_end(&refresh);
}

static void a_refresh_that_finds_nothing_drops_the_value(void **state)
{
    (void)state;
    struct refresh refresh;
    refresh_begin(&refresh, NULL, NULL);
    refresh.source.status = QUASH_ABSENT;
    manual_clock_advance(&refresh.clock, DUE_MS);
    struct caller caller = {.source = &refresh.source};
    assert_int_equal(ask(&caller), QUASH_ABSENT);
    assert_int_equal(cached_version(refresh.source.cache), -1);
    refresh_end(&refresh);
}

static void while_somebody_loads_the_key_anyway_there_is_no_refresh(void **state)
{
    (void)state;
    struct refresh refresh;
    refresh_begin(&refresh, NULL, NULL);
    quash_fill *fill;
    assert_int_equal(quash_fill_begin(refresh.source.cache, "key", 3, &fill), QUASH_OK);
    manual_clock_advance(&refresh.clock, DUE_MS);
    assert_int_equal(ask_now(&refresh.source), 1);
    assert_int_equal(refresh.source.loads, 0);
    assert_int_equal(stats_of(refresh.source.cache).loads_refreshed, 0);
    quash_fill_abandon(fill, QUASH_OK);
    refresh_end(&refresh);
}

static void what_never_expires_is_never_refreshed(void **state)
{
    (void)state;
    struct manual_clock clock = {1};
    quash_cache_options options = options_with_clock(&clock);
    options.eager_percent = 1;
    options.ttl_ms = QUASH_TTL_FOREVER;
    options.sliding_ms = 1000;
    struct source source = {.cache = new_cache_with(&options)};
    assert_int_equal(ask_now(&source), 0);
    manual_clock_advance(&clock, 999);
    assert_int_equal(ask_now(&source), 0);
    assert_int_equal(source.loads, 1);
    quash_cache_free(source.cache);
}

/* ---- Through an executor ---- */

static void through_an_executor_all_callers_hit(void **state)
{
    (void)state;
    struct later later = LATER_INIT;
    struct refresh refresh;
    refresh_begin(&refresh, execute_later, &later);
    manual_clock_advance(&refresh.clock, DUE_MS);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask_now(&refresh.source), 1);
    assert_int_equal(later_count(&later), 1);
    assert_int_equal(refresh.source.loads, 0);
    later_run(&later);
    assert_int_equal(refresh.source.loads, 1);
    assert_int_equal(ask_now(&refresh.source), 2);
    assert_int_equal(later_count(&later), 0);
    refresh_end(&refresh);
}

static void a_failed_refresh_on_an_executor_leaves_the_old_value(void **state)
{
    (void)state;
    struct later later = LATER_INIT;
    struct refresh refresh;
    refresh_begin(&refresh, execute_later, &later);
    refresh.source.status = FAILURE;
    manual_clock_advance(&refresh.clock, DUE_MS);
    assert_int_equal(ask_now(&refresh.source), 1);
    later_run(&later);
    assert_int_equal(ask_now(&refresh.source), 1);
    assert_int_equal(later_count(&later), 0);
    refresh_end(&refresh);
}

static void who_misses_while_a_refresh_is_queued_waits_for_it(void **state)
{
    (void)state;
    struct later later = LATER_INIT;
    struct refresh refresh;
    refresh_begin(&refresh, execute_later, &later);
    manual_clock_advance(&refresh.clock, DUE_MS);
    assert_int_equal(ask_now(&refresh.source), 1);
    manual_clock_advance(&refresh.clock, TTL_MS);
    struct caller hasty = {.source = &refresh.source, .timeout_ms = 5};
    assert_int_equal(ask(&hasty), QUASH_TIMED_OUT);
    struct caller patient = {.source = &refresh.source};
    pthread_t waiting = thread_start(ask_thread, &patient);
    await_waits(refresh.source.cache, 2);
    later_run(&later);
    thread_join(waiting);
    assert_int_equal(patient.version, 2);
    assert_int_equal(refresh.source.loads, 1);
    /* Its ttl began with the load, not with the queue. */
    manual_clock_advance(&refresh.clock, DUE_MS - 1);
    assert_int_equal(cached_version(refresh.source.cache), 2);
    refresh_end(&refresh);
}

static void a_cancellation_while_a_refresh_is_queued_does_not_void_it(void **state)
{
    (void)state;
    struct later later = LATER_INIT;
    struct refresh refresh;
    refresh_begin(&refresh, execute_later, &later);
    manual_clock_advance(&refresh.clock, DUE_MS);
    assert_int_equal(ask_now(&refresh.source), 1);
    quash_table_cancel(quash_cache_table(refresh.source.cache), "tenant:42");
    assert_int_equal(cached_version(refresh.source.cache), -1);
    later_run(&later);
    assert_int_equal(cached_version(refresh.source.cache), 2);
    refresh_end(&refresh);
}

static void a_removal_while_a_refresh_is_queued_voids_it(void **state)
{
    (void)state;
    struct later later = LATER_INIT;
    struct refresh refresh;
    refresh_begin(&refresh, execute_later, &later);
    manual_clock_advance(&refresh.clock, DUE_MS);
    assert_int_equal(ask_now(&refresh.source), 1);
    assert_true(quash_cache_remove(refresh.source.cache, "key", 3));
    later_run(&later);
    assert_int_equal(cached_version(refresh.source.cache), -1);
    assert_int_equal(stats_of(refresh.source.cache).loads_voided, 1);
    refresh_end(&refresh);
}

static void an_executor_that_runs_at_once_refreshes_before_the_call_returns(void **state)
{
    (void)state;
    _Atomic int count = 0;
    struct refresh refresh;
    refresh_begin(&refresh, execute_inline, &count);
    manual_clock_advance(&refresh.clock, DUE_MS);
    assert_int_equal(ask_now(&refresh.source), 1);
    assert_int_equal(count, 1);
    assert_int_equal(ask_now(&refresh.source), 2);
    assert_int_equal(count, 1);
    refresh_end(&refresh);
}

static void where_an_executor_refuses_the_caller_refreshes(void **state)
{
    (void)state;
    _Atomic int count = 0;
    struct refresh refresh;
    refresh_begin(&refresh, execute_refused, &count);
    manual_clock_advance(&refresh.clock, DUE_MS);
    assert_int_equal(ask_now(&refresh.source), 2);
    assert_int_equal(count, 1);
    assert_int_equal(refresh.source.loads, 1);
    refresh_end(&refresh);
}

static void a_refresh_gets_a_copy_of_the_context(void **state)
{
    (void)state;
    struct later later = LATER_INIT;
    struct manual_clock clock = {10};
    quash_cache_options options = options_with_clock(&clock);
    options.ttl_ms = TTL_MS;
    options.eager_percent = 50;
    options.execute = execute_later;
    options.execute_context = &later;
    quash_cache *cache = new_cache_with(&options);
    assert_int_equal(put_text(cache, "key", "old", NULL), QUASH_OK);
    manual_clock_advance(&clock, DUE_MS);
    char text[] = "new";
    quash_get_options get_options = QUASH_GET_OPTIONS_INIT;
    get_options.context_size = sizeof text;
    quash_entry *entry;
    assert_int_equal(quash_cache_get_or_load(cache, "key", 3, load_text, text, &get_options, &entry), QUASH_OK);
    assert_true(entry_is_text(entry, "old"));
    quash_entry_release(entry);
    memset(text, 'x', sizeof text);
    later_run(&later);
    assert_true(hits_text(cache, "key", "new"));
    quash_cache_free(cache);
}

/* ---- Many threads, and event loops ---- */

static void of_many_callers_exactly_one_refreshes(void **state)
{
    (void)state;
    enum { CALLERS = 8, ROUNDS = 40 };
    struct pool *pool = pool_new(2);
    struct refresh refresh;
    refresh_begin(&refresh, execute_on_pool, pool);
    uint64_t refreshed = 0;
    for (int round = 0; round < ROUNDS; round++) {
        manual_clock_advance(&refresh.clock, DUE_MS);
        struct caller callers[CALLERS];
        pthread_t threads[CALLERS];
        for (int i = 0; i < CALLERS; i++) {
            callers[i] = (struct caller){.source = &refresh.source};
            threads[i] = thread_start(ask_thread, &callers[i]);
        }
        for (int i = 0; i < CALLERS; i++) {
            thread_join(threads[i]);
            assert_int_equal(callers[i].status, QUASH_OK);
        }
        /* A new entry begins at the clock's present time, so none is due twice in a round. */
        refreshed++;
        assert_int_equal(stats_of(refresh.source.cache).loads_refreshed, refreshed);
        while (atomic_load(&refresh.source.loads) != (int)refreshed)
            sched_yield();
        while (stats_of(refresh.source.cache).evicted[QUASH_EVICTION_REPLACED] != refreshed)
            sched_yield();
    }
    assert_int_equal(stats_of(refresh.source.cache).waits, 0);
    pool_free(pool);
    refresh_end(&refresh);
}

static void a_cache_may_be_freed_once_its_executor_has_drained(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct pool *pool = pool_new(1);
        struct refresh refresh;
        refresh_begin(&refresh, execute_on_pool, pool);
        manual_clock_advance(&refresh.clock, DUE_MS);
        assert_int_equal(ask_now(&refresh.source), 1);
        pool_free(pool);
        assert_int_equal(refresh.source.loads, 1);
        refresh_end(&refresh);
    }
}

static void an_event_loop_is_given_the_value_and_the_refresh(void **state)
{
    (void)state;
    struct refresh refresh;
    refresh_begin(&refresh, NULL, NULL);
    quash_cache *cache = refresh.source.cache;
    quash_entry *entry;
    quash_fill *fill, *none;
    assert_int_equal(quash_cache_get_or_begin(cache, "key", 3, NULL, NULL, &entry, &none), QUASH_OK);
    assert_null(none);
    quash_entry_release(entry);
    manual_clock_advance(&refresh.clock, DUE_MS);
    assert_int_equal(quash_cache_get_or_begin(cache, "key", 3, NULL, NULL, &entry, &fill), QUASH_OK);
    assert_non_null(entry);
    assert_non_null(fill);
    quash_entry_release(entry);
    assert_int_equal(quash_cache_get_or_begin(cache, "key", 3, NULL, NULL, &entry, &none), QUASH_OK);
    assert_null(none);
    quash_entry_release(entry);
    int version = 2;
    assert_int_equal(quash_fill_set_bytes(fill, &version, sizeof version), QUASH_OK);
    assert_int_equal(quash_fill_commit(fill, NULL, NULL), QUASH_OK);
    assert_int_equal(cached_version(cache), 2);

    manual_clock_advance(&refresh.clock, DUE_MS);
    assert_int_equal(quash_cache_get_or_begin(cache, "key", 3, NULL, NULL, &entry, &fill), QUASH_OK);
    assert_non_null(fill);
    quash_entry_release(entry);
    quash_fill_abandon(fill, (quash_status)FAILURE);
    assert_int_equal(cached_version(cache), 2);
    assert_int_equal(quash_cache_get_or_begin(cache, "key", 3, NULL, NULL, &entry, &none), QUASH_OK);
    assert_null(none);
    quash_entry_release(entry);
    assert_int_equal(stats_of(cache).loads_refreshed, 2);
    refresh_end(&refresh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_caller_that_finds_it_due_loads_it_and_gets_the_new_value),
        cmocka_unit_test(the_new_value_lives_from_the_refresh_on_and_is_refreshed_in_turn),
        cmocka_unit_test(others_hit_while_one_refreshes),
        cmocka_unit_test(a_failed_refresh_leaves_the_old_value_to_expire),
        cmocka_unit_test(a_refresh_that_is_cancelled_meanwhile_keeps_nothing),
        cmocka_unit_test(a_refresh_that_finds_nothing_drops_the_value),
        cmocka_unit_test(while_somebody_loads_the_key_anyway_there_is_no_refresh),
        cmocka_unit_test(what_never_expires_is_never_refreshed),
        cmocka_unit_test(through_an_executor_all_callers_hit),
        cmocka_unit_test(a_failed_refresh_on_an_executor_leaves_the_old_value),
        cmocka_unit_test(who_misses_while_a_refresh_is_queued_waits_for_it),
        cmocka_unit_test(a_cancellation_while_a_refresh_is_queued_does_not_void_it),
        cmocka_unit_test(a_removal_while_a_refresh_is_queued_voids_it),
        cmocka_unit_test(an_executor_that_runs_at_once_refreshes_before_the_call_returns),
        cmocka_unit_test(where_an_executor_refuses_the_caller_refreshes),
        cmocka_unit_test(a_refresh_gets_a_copy_of_the_context),
        cmocka_unit_test(of_many_callers_exactly_one_refreshes),
        cmocka_unit_test(a_cache_may_be_freed_once_its_executor_has_drained),
        cmocka_unit_test(an_event_loop_is_given_the_value_and_the_refresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
