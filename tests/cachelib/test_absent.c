/* The answer QUASH_ABSENT: kept for its own time, cancelled like a value, and never handed out as one. */
#include "load_support.h"

enum { ABSENT_MS = 30 };

struct absent {
    struct manual_clock clock;
    struct source source;
    struct caller caller;
};

static void absent_begin(struct absent *absent, uint64_t absent_ttl_ms)
{
    *absent = (struct absent){.clock = {400}};
    quash_cache_options options = options_with_clock(&absent->clock);
    options.absent_ttl_ms = absent_ttl_ms;
    options.ttl_ms = 1000;
    absent->source = (struct source){.cache = new_cache_with(&options), .group = "tenant:42", .version = 1};
    absent->source.status = QUASH_ABSENT;
    absent->caller.source = &absent->source;
}

static void absent_end(struct absent *absent)
{
    quash_cache_free(absent->source.cache);
}

static bool met(const void *key, size_t key_size, quash_entry *entry, void *context)
{
    (void)key;
    (void)key_size;
    (void)entry;
    *(bool *)context = true;
    return true;
}

static void it_is_kept_for_absent_ttl_ms(void **state)
{
    (void)state;
    struct absent absent;
    absent_begin(&absent, ABSENT_MS);
    assert_int_equal(ask(&absent.caller), QUASH_ABSENT);
    manual_clock_advance(&absent.clock, ABSENT_MS - 1);
    assert_int_equal(ask(&absent.caller), QUASH_ABSENT);
    assert_int_equal(absent.source.loads, 1);
    assert_int_equal(stats_of(absent.source.cache).hits_absent, 1);
    manual_clock_advance(&absent.clock, 1);
    absent.source.status = QUASH_OK;
    assert_int_equal(ask(&absent.caller), QUASH_OK);
    assert_int_equal(absent.source.loads, 2);
    assert_int_equal(cached_version(absent.source.cache), 1);
    assert_int_equal(stats_of(absent.source.cache).entries, 1);
    assert_int_equal(stats_of(absent.source.cache).loads, 2);
    assert_int_equal(stats_of(absent.source.cache).loads_failed, 0);
    absent_end(&absent);
}

static void with_an_absent_ttl_of_0_it_is_not_kept(void **state)
{
    (void)state;
    struct absent absent;
    absent_begin(&absent, 0);
    assert_int_equal(ask(&absent.caller), QUASH_ABSENT);
    assert_int_equal(ask(&absent.caller), QUASH_ABSENT);
    assert_int_equal(absent.source.loads, 2);
    quash_cache_stats stats = stats_of(absent.source.cache);
    assert_int_equal(stats.entries, 0);
    assert_int_equal(stats.refused, 0);
    assert_int_equal(stats.hits_absent, 0);
    absent_end(&absent);
}

static void it_is_never_handed_out_as_a_value(void **state)
{
    (void)state;
    struct absent absent;
    bool seen = false;
    quash_entry *entry;
    quash_fill *fill;
    absent_begin(&absent, ABSENT_MS);
    quash_cache *cache = absent.source.cache;
    assert_int_equal(ask(&absent.caller), QUASH_ABSENT);
    assert_int_equal(cached_version(cache), -1);
    assert_int_equal(stats_of(cache).hits_absent, 1);
    assert_int_equal(stats_of(cache).hits, 0);
    assert_int_equal(stats_of(cache).misses_absent, 1); /* the first lookup, which loaded */
    assert_false(quash_cache_contains(cache, "key", 3));
    assert_int_equal(quash_cache_each(cache, met, &seen), QUASH_OK);
    assert_false(seen);
    assert_int_equal(quash_cache_get_or_begin(cache, "key", 3, NULL, NULL, &entry, &fill), QUASH_ABSENT);
    assert_null(entry);
    assert_null(fill);
    assert_false(quash_cache_remove(cache, "key", 3)); /* there was no value */
    assert_int_equal(stats_of(cache).entries, 0);
    absent_end(&absent);
}

static void it_ends_with_the_cancellation_of_a_group_that_the_loader_named(void **state)
{
    (void)state;
    struct absent absent;
    absent_begin(&absent, ABSENT_MS);
    assert_int_equal(ask(&absent.caller), QUASH_ABSENT);
    quash_table_cancel(quash_cache_table(absent.source.cache), "tenant:43");
    assert_int_equal(ask(&absent.caller), QUASH_ABSENT);
    assert_int_equal(absent.source.loads, 1);
    quash_table_cancel(quash_cache_table(absent.source.cache), "tenant:42");
    absent.source.status = QUASH_OK;
    assert_int_equal(ask(&absent.caller), QUASH_OK);
    assert_int_equal(stats_of(absent.source.cache).misses_cancelled, 1);
    absent_end(&absent);
}

static quash_status cancel_and_find_nothing(quash_fill *fill, void *context)
{
    quash_fill_add_group(fill, "tenant:42");
    quash_table_cancel(context, "tenant:42");
    return QUASH_ABSENT;
}

static void one_that_is_cancelled_during_its_load_is_not_kept(void **state)
{
    (void)state;
    struct absent absent;
    absent_begin(&absent, ABSENT_MS);
    quash_cache *cache = absent.source.cache;
    quash_entry *entry;
    assert_int_equal(
        quash_cache_get_or_load(cache, "key", 3, cancel_and_find_nothing, quash_cache_table(cache), NULL, &entry),
        QUASH_ABSENT);
    assert_int_equal(stats_of(cache).entries, 0);
    assert_int_equal(stats_of(cache).loads_voided, 1);
    absent_end(&absent);
}

static void it_reaches_all_who_wait(void **state)
{
    (void)state;
    enum { WAITERS = 4 };
    for (uint64_t ttl_ms = 0; ttl_ms <= ABSENT_MS; ttl_ms += ABSENT_MS) {
        struct gate read = GATE_INIT, proceed = GATE_INIT;
        struct absent absent;
        absent_begin(&absent, ttl_ms);
        absent.source.read = &read;
        absent.source.proceed = &proceed;
        struct caller callers[WAITERS + 1];
        pthread_t threads[WAITERS + 1];
        for (int i = 0; i <= WAITERS; i++) {
            callers[i] = (struct caller){.source = &absent.source};
            threads[i] = thread_start(ask_thread, &callers[i]);
        }
        await_waits(absent.source.cache, WAITERS);
        gate_open(&proceed);
        for (int i = 0; i <= WAITERS; i++) {
            thread_join(threads[i]);
            assert_int_equal(callers[i].status, QUASH_ABSENT);
            assert_int_equal(callers[i].version, -1);
        }
        assert_int_equal(absent.source.loads, 1);
        absent_end(&absent);
    }
}

static quash_status find_nothing_for_500_ms(quash_fill *fill, void *context)
{
    (void)context;
    quash_entry_options options = QUASH_ENTRY_OPTIONS_INIT;
    options.ttl_ms = 500;
    quash_fill_set_options(fill, &options);
    return QUASH_ABSENT;
}

static void a_loader_may_say_how_long_it_is_kept(void **state)
{
    (void)state;
    for (uint64_t ttl_ms = 0; ttl_ms <= ABSENT_MS; ttl_ms += ABSENT_MS) {
        struct absent absent;
        absent_begin(&absent, ttl_ms);
        quash_cache *cache = absent.source.cache;
        quash_entry *entry;
        assert_int_equal(quash_cache_get_or_load(cache, "key", 3, find_nothing_for_500_ms, NULL, NULL, &entry),
                         QUASH_ABSENT);
        manual_clock_advance(&absent.clock, 499);
        assert_int_equal(ask(&absent.caller), QUASH_ABSENT);
        assert_int_equal(absent.source.loads, 0);
        manual_clock_advance(&absent.clock, 1);
        assert_int_equal(ask(&absent.caller), QUASH_ABSENT);
        assert_int_equal(absent.source.loads, 1);
        absent_end(&absent);
    }
}

static void it_replaces_a_value_also_where_it_is_not_kept(void **state)
{
    (void)state;
    for (uint64_t ttl_ms = 0; ttl_ms <= ABSENT_MS; ttl_ms += ABSENT_MS) {
        struct absent absent;
        absent_begin(&absent, ttl_ms);
        quash_cache *cache = absent.source.cache;
        assert_int_equal(put_text(cache, "key", "deleted since", NULL), QUASH_OK);
        quash_fill *fill;
        bool kept = ttl_ms == 0;
        assert_int_equal(quash_fill_begin(cache, "key", 3, &fill), QUASH_OK);
        assert_int_equal(quash_fill_set_absent(fill), QUASH_OK);
        assert_int_equal(quash_fill_commit(fill, NULL, &kept), QUASH_ABSENT);
        assert_int_equal(kept, ttl_ms != 0);
        assert_false(hits(cache, "key"));
        assert_int_equal(stats_of(cache).evicted[QUASH_EVICTION_REPLACED], 1);
        absent_end(&absent);
    }
}

static void a_put_replaces_it(void **state)
{
    (void)state;
    struct absent absent;
    absent_begin(&absent, ABSENT_MS);
    assert_int_equal(ask(&absent.caller), QUASH_ABSENT);
    assert_int_equal(put_text(absent.source.cache, "key", "made since", NULL), QUASH_OK);
    assert_true(hits_text(absent.source.cache, "key", "made since"));
    absent_end(&absent);
}

static void what_a_fill_said_last_counts(void **state)
{
    (void)state;
    struct absent absent;
    absent_begin(&absent, ABSENT_MS);
    quash_cache *cache = absent.source.cache;
    struct counted object = {0};
    quash_entry *entry = NULL;
    quash_fill *fill;
    assert_int_equal(quash_fill_begin(cache, "key", 3, &fill), QUASH_OK);
    assert_int_equal(quash_fill_set_object(fill, &object, counted_destroy, NULL, 1), QUASH_OK);
    assert_int_equal(quash_fill_set_absent(fill), QUASH_OK);
    assert_int_equal(object.destroyed, 1);
    assert_int_equal(quash_fill_commit(fill, &entry, NULL), QUASH_ABSENT);
    assert_null(entry);

    assert_int_equal(quash_fill_begin(cache, "key", 3, &fill), QUASH_OK);
    assert_int_equal(quash_fill_set_absent(fill), QUASH_OK);
    assert_int_equal(quash_fill_set_bytes(fill, "value", 5), QUASH_OK);
    assert_int_equal(quash_fill_commit(fill, &entry, NULL), QUASH_OK);
    assert_true(entry_is_text(entry, "value"));
    quash_entry_release(entry);
    assert_true(hits_text(cache, "key", "value"));
    assert_int_equal(quash_fill_set_absent(NULL), QUASH_INVALID);
    absent_end(&absent);
}

static void an_expired_one_stands_in_for_a_failed_load(void **state)
{
    (void)state;
    struct manual_clock clock = {400};
    quash_cache_options options = options_with_clock(&clock);
    options.absent_ttl_ms = ABSENT_MS;
    options.fail_safe_ms = 100;
    options.fail_safe_throttle_ms = 10;
    struct source source = {.cache = new_cache_with(&options), .status = QUASH_ABSENT};
    struct caller caller = {.source = &source};
    assert_int_equal(ask(&caller), QUASH_ABSENT);
    source.status = QUASH_LOAD_FAILED;
    manual_clock_advance(&clock, ABSENT_MS);
    assert_int_equal(ask(&caller), QUASH_ABSENT);
    assert_int_equal(ask(&caller), QUASH_ABSENT); /* throttled */
    assert_int_equal(source.loads, 2);
    assert_int_equal(stats_of(source.cache).hits_stale, 2);
    manual_clock_advance(&clock, 100);
    assert_int_equal(ask(&caller), QUASH_LOAD_FAILED);
    quash_cache_free(source.cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_kept_for_absent_ttl_ms),
        cmocka_unit_test(with_an_absent_ttl_of_0_it_is_not_kept),
        cmocka_unit_test(it_is_never_handed_out_as_a_value),
        cmocka_unit_test(it_ends_with_the_cancellation_of_a_group_that_the_loader_named),
        cmocka_unit_test(one_that_is_cancelled_during_its_load_is_not_kept),
        cmocka_unit_test(it_reaches_all_who_wait),
        cmocka_unit_test(a_loader_may_say_how_long_it_is_kept),
        cmocka_unit_test(it_replaces_a_value_also_where_it_is_not_kept),
        cmocka_unit_test(a_put_replaces_it),
        cmocka_unit_test(what_a_fill_said_last_counts),
        cmocka_unit_test(an_expired_one_stands_in_for_a_failed_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
