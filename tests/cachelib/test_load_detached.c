/* Loads while no table is attached: nobody could say what was cancelled, so nothing is shared or kept, unless
 * detached_ttl_ms allows for it. */
#include "load_support.h"

/* A cache of a table that is not there yet. */
struct detached {
    struct table_place place;
    quash_table *table;
    struct source source;
    struct manual_clock clock;
};

static void detached_begin(struct detached *detached, uint64_t detached_ttl_ms)
{
    *detached = (struct detached){.clock = {1000}};
    table_place_make(&detached->place);
    detached->table = follow(&detached->place);
    quash_cache_options options = options_with_clock(&detached->clock);
    options.table = detached->table;
    options.detached_ttl_ms = detached_ttl_ms;
    options.ttl_ms = QUASH_TTL_FOREVER;
    detached->source.cache = new_cache_with(&options);
    detached->source.version = 1;
}

static void detached_end(struct detached *detached)
{
    quash_cache_free(detached->source.cache);
    quash_table_close(detached->table);
    table_place_remove(&detached->place);
}

static void nobody_waits_for_what_could_not_be_shared(void **state)
{
    (void)state;
    struct gate read = GATE_INIT, proceed = GATE_INIT;
    struct detached detached;
    detached_begin(&detached, 0);
    detached.source.read = &read;
    detached.source.proceed = &proceed;
    struct caller held = {.source = &detached.source};
    pthread_t loading = thread_start(ask_thread, &held);
    gate_pass(&read);
    assert_int_equal(ask_now(&detached.source), 1);
    gate_open(&proceed);
    thread_join(loading);
    assert_int_equal(held.version, 1);
    assert_int_equal(detached.source.loads, 2);
    assert_int_equal(stats_of(detached.source.cache).waits, 0);
    assert_int_equal(stats_of(detached.source.cache).entries, 0);
    detached_end(&detached);
}

static void within_detached_ttl_ms_one_load_serves_all(void **state)
{
    (void)state;
    enum { CALLERS = 4 };
    struct gate read = GATE_INIT, proceed = GATE_INIT;
    struct detached detached;
    detached_begin(&detached, 50);
    detached.source.read = &read;
    detached.source.proceed = &proceed;
    struct caller callers[CALLERS];
    pthread_t threads[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.source = &detached.source};
        threads[i] = thread_start(ask_thread, &callers[i]);
    }
    await_waits(detached.source.cache, CALLERS - 1);
    gate_open(&proceed);
    for (int i = 0; i < CALLERS; i++) {
        thread_join(threads[i]);
        assert_int_equal(callers[i].version, 1);
    }
    assert_int_equal(detached.source.loads, 1);
    assert_int_equal(cached_version(detached.source.cache), 1);
    detached_end(&detached);
}

static void what_was_loaded_while_detached_lives_for_detached_ttl_ms_from_the_beginning_of_its_load(void **state)
{
    (void)state;
    struct detached detached;
    detached_begin(&detached, 50);
    quash_fill *fill;
    assert_int_equal(quash_fill_begin(detached.source.cache, "key", 3, &fill), QUASH_OK);
    manual_clock_advance(&detached.clock, 20);
    int version = 1;
    bool kept = false;
    assert_int_equal(quash_fill_set_bytes(fill, &version, sizeof version), QUASH_OK);
    assert_int_equal(quash_fill_commit(fill, NULL, &kept), QUASH_OK);
    assert_true(kept);
    manual_clock_advance(&detached.clock, 29);
    assert_int_equal(cached_version(detached.source.cache), 1);
    manual_clock_advance(&detached.clock, 1);
    assert_int_equal(cached_version(detached.source.cache), -1);
    assert_int_equal(stats_of(detached.source.cache).misses_detached, 1);
    detached_end(&detached);
}

static void a_table_that_appears_during_a_load_voids_what_was_read_before(void **state)
{
    (void)state;
    struct detached detached;
    detached_begin(&detached, 10000);
    quash_cache *cache = detached.source.cache;
    quash_fill *fill;
    assert_int_equal(quash_fill_begin(cache, "key", 3, &fill), QUASH_OK);
    struct caller waiter = {.source = &detached.source};
    pthread_t waiting = thread_start(ask_thread, &waiter);
    await_waits(cache, 1);
    quash_table *server = serve(&detached.place);
    assert_int_equal(quash_table_refresh(detached.table, NULL, NULL), QUASH_OK);
    bool kept = true;
    int old = 0;
    assert_int_equal(quash_fill_set_bytes(fill, &old, sizeof old), QUASH_OK);
    assert_int_equal(quash_fill_commit(fill, NULL, &kept), QUASH_OK);
    assert_false(kept);
    thread_join(waiting);
    assert_int_equal(waiter.version, 1);
    assert_int_equal(detached.source.loads, 1);
    assert_int_equal(cached_version(cache), 1);
    quash_table_close(server);
    detached_end(&detached);
}

static void what_was_loaded_while_detached_is_gone_when_a_table_appears(void **state)
{
    (void)state;
    struct detached detached;
    detached_begin(&detached, 10000);
    assert_int_equal(ask_now(&detached.source), 1);
    assert_int_equal(cached_version(detached.source.cache), 1);
    quash_table *server = serve(&detached.place);
    assert_int_equal(quash_table_refresh(detached.table, NULL, NULL), QUASH_OK);
    assert_int_equal(cached_version(detached.source.cache), -1);
    assert_int_equal(ask_now(&detached.source), 1);
    assert_int_equal(detached.source.loads, 2);
    quash_table_close(server);
    detached_end(&detached);
}

static void an_executor_runs_the_loads_that_nobody_shares_as_well(void **state)
{
    (void)state;
    struct later later = LATER_INIT;
    struct table_place place;
    table_place_make(&place);
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.table = follow(&place);
    options.execute = execute_later;
    options.execute_context = &later;
    options.load_on_executor = true;
    struct source source = {.cache = new_cache_with(&options), .version = 4};
    struct caller hasty = {.source = &source, .timeout_ms = 5};
    assert_int_equal(ask(&hasty), QUASH_TIMED_OUT);
    struct caller patient = {.source = &source};
    pthread_t waiting = thread_start(ask_thread, &patient);
    later_await(&later, 2);
    later_run(&later);
    thread_join(waiting);
    assert_int_equal(patient.version, 4);
    assert_int_equal(source.loads, 2);
    assert_int_equal(stats_of(source.cache).loads, 2);
    assert_int_equal(stats_of(source.cache).loads_voided, 0);
    assert_int_equal(stats_of(source.cache).entries, 0);
    quash_cache_free(source.cache);
    quash_table_close(options.table);
    table_place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_waits_for_what_could_not_be_shared),
        cmocka_unit_test(within_detached_ttl_ms_one_load_serves_all),
        cmocka_unit_test(what_was_loaded_while_detached_lives_for_detached_ttl_ms_from_the_beginning_of_its_load),
        cmocka_unit_test(a_table_that_appears_during_a_load_voids_what_was_read_before),
        cmocka_unit_test(what_was_loaded_while_detached_is_gone_when_a_table_appears),
        cmocka_unit_test(an_executor_runs_the_loads_that_nobody_shares_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
