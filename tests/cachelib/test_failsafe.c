/* Fail-safe: what an expired value may still be used for, until when, and what never. */
#include "load_support.h"

enum { TTL_MS = 100, FAIL_SAFE_MS = 1000, FAILURE = QUASH_STATUS_USER + 9 };

struct failsafe {
    struct manual_clock clock;
    struct source source;
    struct caller caller;
};

static quash_cache_options failsafe_options(void)
{
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.ttl_ms = TTL_MS;
    options.fail_safe_ms = FAIL_SAFE_MS;
    return options;
}

/* Version 1 is in the cache, and depends on "tenant:42"; from then on loads fail. */
static void failsafe_begin(struct failsafe *failsafe, quash_cache_options *options)
{
    *failsafe = (struct failsafe){.clock = {5000}};
    options->clock_ms = manual_clock_ms;
    options->clock_context = &failsafe->clock;
    failsafe->source = (struct source){.cache = new_cache_with(options), .group = "tenant:42", .version = 1};
    assert_int_equal(ask_now(&failsafe->source), 1);
    failsafe->source.loads = 0;
    failsafe->source.version = 2;
    failsafe->source.status = FAILURE;
    failsafe->caller.source = &failsafe->source;
}

static void failsafe_end(struct failsafe *failsafe)
{
    quash_cache_free(failsafe->source.cache);
}

static void assert_stands_in(struct failsafe *failsafe)
{
    assert_int_equal(ask(&failsafe->caller), QUASH_OK);
    assert_int_equal(failsafe->caller.version, 1);
    assert_true(failsafe->caller.stale);
}

static void assert_fails(struct failsafe *failsafe)
{
    assert_int_equal(ask(&failsafe->caller), FAILURE);
    assert_int_equal(failsafe->caller.version, -1);
}

static void cancel(struct failsafe *failsafe)
{
    assert_int_equal(quash_table_cancel(quash_cache_table(failsafe->source.cache), "tenant:42"), QUASH_OK);
}

static bool met(const void *key, size_t key_size, quash_entry *entry, void *context)
{
    (void)key;
    (void)key_size;
    (void)entry;
    *(bool *)context = true;
    return true;
}

/* What does not load sees nothing. */
static void assert_unseen(struct failsafe *failsafe)
{
    quash_cache *cache = failsafe->source.cache;
    bool seen = false;
    assert_int_equal(cached_version(cache), -1);
    assert_false(quash_cache_contains(cache, "key", 3));
    assert_int_equal(quash_cache_each(cache, met, &seen), QUASH_OK);
    assert_false(seen);
}

/* ---- What stands in, and until when ---- */

static void an_expired_value_stands_in_for_a_failed_load_and_says_so(void **state)
{
    (void)state;
    struct failsafe failsafe;
    quash_cache_options options = failsafe_options();
    failsafe_begin(&failsafe, &options);
    assert_int_equal(ask(&failsafe.caller), QUASH_OK);
    assert_false(failsafe.caller.stale); /* not expired yet */
    manual_clock_advance(&failsafe.clock, TTL_MS);
    assert_stands_in(&failsafe);
    assert_stands_in(&failsafe);
    assert_int_equal(failsafe.source.loads, 2);
    quash_cache_stats stats = stats_of(failsafe.source.cache);
    assert_int_equal(stats.hits, 1);
    assert_int_equal(stats.hits_stale, 2);
    assert_int_equal(stats.misses_expired, 2);
    assert_int_equal(stats.loads_failed, 2);

    failsafe.source.status = QUASH_OK;
    assert_int_equal(ask(&failsafe.caller), QUASH_OK);
    assert_int_equal(failsafe.caller.version, 2);
    assert_false(failsafe.caller.stale);
    failsafe_end(&failsafe);
}

static void what_does_not_load_never_sees_it(void **state)
{
    (void)state;
    struct failsafe failsafe;
    quash_cache_options options = failsafe_options();
    options.fail_safe_throttle_ms = 50;
    failsafe_begin(&failsafe, &options);
    manual_clock_advance(&failsafe.clock, TTL_MS);
    assert_unseen(&failsafe);
    assert_int_equal(stats_of(failsafe.source.cache).misses_expired, 1);
    assert_stands_in(&failsafe);
    assert_unseen(&failsafe); /* nor while it is served without a new try */
    assert_int_equal(stats_of(failsafe.source.cache).hits, 0);
    assert_false(quash_cache_remove(failsafe.source.cache, "key", 3));
    assert_fails(&failsafe);
    failsafe_end(&failsafe);
}

static void it_stands_in_for_fail_safe_ms_and_no_longer(void **state)
{
    (void)state;
    struct failsafe failsafe;
    quash_cache_options options = failsafe_options();
    failsafe_begin(&failsafe, &options);
    manual_clock_advance(&failsafe.clock, TTL_MS + FAIL_SAFE_MS - 1);
    assert_stands_in(&failsafe);
    manual_clock_advance(&failsafe.clock, 1);
    assert_fails(&failsafe);
    assert_int_equal(stats_of(failsafe.source.cache).entries, 0);
    assert_int_equal(stats_of(failsafe.source.cache).evicted[QUASH_EVICTION_EXPIRED], 1);
    failsafe_end(&failsafe);
}

static void without_fail_safe_ms_nothing_stands_in(void **state)
{
    (void)state;
    struct failsafe failsafe;
    quash_cache_options options = failsafe_options();
    options.fail_safe_ms = 0;
    options.fail_safe_throttle_ms = 50;
    failsafe_begin(&failsafe, &options);
    manual_clock_advance(&failsafe.clock, TTL_MS);
    assert_fails(&failsafe);
    failsafe_end(&failsafe);
}

static void fail_safe_for_ever_does_not_overflow(void **state)
{
    (void)state;
    struct failsafe failsafe;
    quash_cache_options options = failsafe_options();
    options.ttl_ms = 1;
    options.fail_safe_ms = UINT64_MAX;
    failsafe_begin(&failsafe, &options);
    manual_clock_advance(&failsafe.clock, UINT64_MAX / 2);
    assert_stands_in(&failsafe);
    failsafe_end(&failsafe);
}

static void it_stands_in_for_all_who_waited_for_the_failed_load(void **state)
{
    (void)state;
    enum { WAITERS = 4 };
    struct gate read = GATE_INIT, proceed = GATE_INIT;
    struct failsafe failsafe;
    quash_cache_options options = failsafe_options();
    failsafe_begin(&failsafe, &options);
    manual_clock_advance(&failsafe.clock, TTL_MS);
    failsafe.source.read = &read;
    failsafe.source.proceed = &proceed;
    struct caller callers[WAITERS + 1];
    pthread_t threads[WAITERS + 1];
    for (int i = 0; i <= WAITERS; i++) {
        callers[i] = (struct caller){.source = &failsafe.source};
        threads[i] = thread_start(ask_thread, &callers[i]);
    }
    await_waits(failsafe.source.cache, WAITERS);
    gate_open(&proceed);
    for (int i = 0; i <= WAITERS; i++) {
        thread_join(threads[i]);
        assert_int_equal(callers[i].status, QUASH_OK);
        assert_int_equal(callers[i].version, 1);
        assert_true(callers[i].stale);
    }
    assert_int_equal(failsafe.source.loads, 1);
    assert_int_equal(stats_of(failsafe.source.cache).hits_stale, WAITERS + 1);
    failsafe_end(&failsafe);
}

static void sliding_expiry_begins_the_time_and_standing_in_does_not_prolong_it(void **state)
{
    (void)state;
    struct failsafe failsafe;
    quash_cache_options options = failsafe_options();
    options.ttl_ms = 10000;
    options.sliding_ms = 50;
    options.fail_safe_throttle_ms = 20;
    failsafe_begin(&failsafe, &options);
    manual_clock_advance(&failsafe.clock, 49);
    assert_int_equal(cached_version(failsafe.source.cache), 1); /* good for 50 more */
    manual_clock_advance(&failsafe.clock, 50);
    for (int i = 0; i < FAIL_SAFE_MS; i += 10) {
        assert_stands_in(&failsafe);
        manual_clock_advance(&failsafe.clock, 10);
    }
    assert_fails(&failsafe);
    failsafe_end(&failsafe);
}

/* ---- What never stands in ---- */

static void a_cancelled_value_never_stands_in(void **state)
{
    (void)state;
    struct failsafe failsafe;
    quash_cache_options options = failsafe_options();
    failsafe_begin(&failsafe, &options);
    cancel(&failsafe);
    assert_fails(&failsafe);
    failsafe_end(&failsafe);

    failsafe_begin(&failsafe, &options);
    manual_clock_advance(&failsafe.clock, TTL_MS);
    cancel(&failsafe); /* when it had expired already */
    assert_fails(&failsafe);
    failsafe_end(&failsafe);
}

enum gone { BY_CANCEL, BY_REMOVE, BY_CLEAR, BY_PUT };

struct meanwhile {
    struct source *source;
    enum gone how;
};

static quash_status fail_after(quash_fill *fill, void *context)
{
    struct meanwhile *meanwhile = context;
    quash_cache *cache = meanwhile->source->cache;
    (void)fill;
    if (meanwhile->how == BY_CANCEL)
        quash_table_cancel(quash_cache_table(cache), "tenant:42");
    if (meanwhile->how == BY_REMOVE)
        quash_cache_remove(cache, "key", 3);
    if (meanwhile->how == BY_CLEAR)
        quash_cache_clear(cache);
    if (meanwhile->how == BY_PUT && put_text(cache, "key", "newer", NULL) != QUASH_OK)
        return QUASH_INVALID;
    return (quash_status)FAILURE;
}

static quash_status ask_with_trouble(struct failsafe *failsafe, enum gone how)
{
    struct meanwhile meanwhile = {&failsafe->source, how};
    quash_entry *entry = NULL;
    quash_status status =
        quash_cache_get_or_load(failsafe->source.cache, "key", 3, fail_after, &meanwhile, NULL, &entry);
    quash_entry_release(entry);
    return status;
}

static void nor_does_one_that_is_cancelled_removed_or_replaced_during_the_load(void **state)
{
    (void)state;
    for (int throttled = 0; throttled < 2; throttled++) {
        for (enum gone how = BY_CANCEL; how <= BY_PUT; how++) {
            struct failsafe failsafe;
            quash_cache_options options = failsafe_options();
            options.fail_safe_throttle_ms = throttled ? 50 : 0;
            failsafe_begin(&failsafe, &options);
            manual_clock_advance(&failsafe.clock, TTL_MS);
            assert_int_equal(ask_with_trouble(&failsafe, how), FAILURE);
            assert_int_equal(stats_of(failsafe.source.cache).hits_stale, 0);
            assert_int_equal(hits_text(failsafe.source.cache, "key", "newer"), how == BY_PUT);
            failsafe_end(&failsafe);
        }
    }
}

static void one_that_stands_in_ends_with_its_cancellation(void **state)
{
    (void)state;
    struct failsafe failsafe;
    quash_cache_options options = failsafe_options();
    options.fail_safe_throttle_ms = 500;
    failsafe_begin(&failsafe, &options);
    manual_clock_advance(&failsafe.clock, TTL_MS);
    assert_stands_in(&failsafe);
    assert_stands_in(&failsafe);
    assert_int_equal(failsafe.source.loads, 1);
    cancel(&failsafe);
    assert_fails(&failsafe);
    failsafe_end(&failsafe);
}

static void a_cancelled_value_stands_in_where_the_cache_was_told_so(void **state)
{
    (void)state;
    struct failsafe failsafe;
    quash_cache_options options = failsafe_options();
    options.fail_safe_cancelled = true;
    failsafe_begin(&failsafe, &options);
    cancel(&failsafe);
    assert_unseen(&failsafe);
    assert_stands_in(&failsafe);
    assert_stands_in(&failsafe);
    /* Until as long after its expiry as if it had lived. */
    manual_clock_advance(&failsafe.clock, TTL_MS + FAIL_SAFE_MS - 1);
    assert_stands_in(&failsafe);
    manual_clock_advance(&failsafe.clock, 1);
    assert_fails(&failsafe);
    failsafe_end(&failsafe);

    failsafe_begin(&failsafe, &options);
    manual_clock_advance(&failsafe.clock, TTL_MS);
    assert_int_equal(ask_with_trouble(&failsafe, BY_CANCEL), QUASH_OK);
    assert_int_equal(ask_with_trouble(&failsafe, BY_REMOVE), FAILURE);
    failsafe_end(&failsafe);
}

/* ---- The throttle ---- */

static void after_it_stood_in_nobody_tries_again_for_the_throttle_time(void **state)
{
    (void)state;
    struct failsafe failsafe;
    quash_cache_options options = failsafe_options();
    options.fail_safe_throttle_ms = 50;
    failsafe_begin(&failsafe, &options);
    manual_clock_advance(&failsafe.clock, TTL_MS);
    for (int tries = 1; tries <= 3; tries++) {
        assert_stands_in(&failsafe);
        assert_int_equal(failsafe.source.loads, tries);
        manual_clock_advance(&failsafe.clock, 49);
        assert_stands_in(&failsafe);
        assert_int_equal(failsafe.source.loads, tries);
        manual_clock_advance(&failsafe.clock, 1);
    }
    quash_cache_stats stats = stats_of(failsafe.source.cache);
    assert_int_equal(stats.hits_stale, 6);
    assert_int_equal(stats.misses_expired, 6);
    assert_int_equal(stats.hits, 0);
    /* The next try succeeds: the throttle is of the past. */
    failsafe.source.status = QUASH_OK;
    assert_int_equal(ask_now(&failsafe.source), 2);
    assert_int_equal(cached_version(failsafe.source.cache), 2);
    failsafe_end(&failsafe);
}

static void an_event_loop_may_try_at_once(void **state)
{
    (void)state;
    struct failsafe failsafe;
    quash_cache_options options = failsafe_options();
    options.fail_safe_throttle_ms = 50;
    failsafe_begin(&failsafe, &options);
    manual_clock_advance(&failsafe.clock, TTL_MS);
    assert_stands_in(&failsafe);
    quash_entry *entry;
    quash_fill *fill;
    assert_int_equal(quash_cache_get_or_begin(failsafe.source.cache, "key", 3, NULL, NULL, &entry, &fill), QUASH_MISS);
    assert_null(entry);
    assert_int_equal(quash_fill_set_bytes(fill, "fresh", 5), QUASH_OK);
    assert_int_equal(quash_fill_commit(fill, NULL, NULL), QUASH_OK);
    assert_true(hits_text(failsafe.source.cache, "key", "fresh"));
    failsafe_end(&failsafe);
}

static void the_throttle_never_exceeds_the_bound(void **state)
{
    (void)state;
    const uint64_t throttles[] = {FAIL_SAFE_MS - 1, FAIL_SAFE_MS, FAIL_SAFE_MS + 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof throttles / sizeof *throttles; i++) {
        struct failsafe failsafe;
        quash_cache_options options = failsafe_options();
        options.fail_safe_throttle_ms = throttles[i];
        failsafe_begin(&failsafe, &options);
        manual_clock_advance(&failsafe.clock, TTL_MS);
        assert_stands_in(&failsafe);
        manual_clock_advance(&failsafe.clock, FAIL_SAFE_MS - 1);
        assert_stands_in(&failsafe);
        manual_clock_advance(&failsafe.clock, 1);
        assert_fails(&failsafe);
        failsafe_end(&failsafe);
    }
}

/* ---- The memory of what may stand in ---- */

static void maintenance_keeps_it_until_its_bound_and_drops_it_then(void **state)
{
    (void)state;
    for (int throttled = 0; throttled < 2; throttled++) {
        struct failsafe failsafe;
        quash_cache_options options = failsafe_options();
        options.fail_safe_throttle_ms = throttled ? 200 : 0;
        failsafe_begin(&failsafe, &options);
        manual_clock_advance(&failsafe.clock, TTL_MS);
        assert_stands_in(&failsafe);
        manual_clock_advance(&failsafe.clock, FAIL_SAFE_MS - 1);
        while (quash_cache_maintain(failsafe.source.cache, 1000))
            ;
        assert_int_equal(stats_of(failsafe.source.cache).entries, 1);
        manual_clock_advance(&failsafe.clock, 1);
        while (quash_cache_maintain(failsafe.source.cache, 1000))
            ;
        assert_int_equal(stats_of(failsafe.source.cache).entries, 0);
        assert_int_equal(stats_of(failsafe.source.cache).evicted[QUASH_EVICTION_EXPIRED], 1);
        failsafe_end(&failsafe);
    }
}

static void maintenance_drops_a_cancelled_one_at_once(void **state)
{
    (void)state;
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        struct failsafe failsafe;
        quash_cache_options options = failsafe_options();
        options.fail_safe_cancelled = cancelled;
        failsafe_begin(&failsafe, &options);
        cancel(&failsafe);
        while (quash_cache_maintain(failsafe.source.cache, 1000))
            ;
        assert_int_equal(stats_of(failsafe.source.cache).entries, cancelled);
        failsafe_end(&failsafe);
    }
}

static void capacity_evicts_it(void **state)
{
    (void)state;
    struct failsafe failsafe;
    quash_cache_options options = failsafe_options();
    options.max_bytes = 4096;
    failsafe_begin(&failsafe, &options);
    manual_clock_advance(&failsafe.clock, TTL_MS);
    for (int i = 0; i < 200; i++)
        assert_int_equal(put_number(failsafe.source.cache, i, 64), QUASH_OK);
    assert_fails(&failsafe);
    quash_cache_stats stats = stats_of(failsafe.source.cache);
    assert_int_equal(stats.evicted[QUASH_EVICTION_EXPIRED], 0); /* its time had not come */
    assert_true(stats.evicted[QUASH_EVICTION_CAPACITY] > 0);
    failsafe_end(&failsafe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_expired_value_stands_in_for_a_failed_load_and_says_so),
        cmocka_unit_test(what_does_not_load_never_sees_it),
        cmocka_unit_test(it_stands_in_for_fail_safe_ms_and_no_longer),
        cmocka_unit_test(without_fail_safe_ms_nothing_stands_in),
        cmocka_unit_test(fail_safe_for_ever_does_not_overflow),
        cmocka_unit_test(it_stands_in_for_all_who_waited_for_the_failed_load),
        cmocka_unit_test(sliding_expiry_begins_the_time_and_standing_in_does_not_prolong_it),
        cmocka_unit_test(a_cancelled_value_never_stands_in),
        cmocka_unit_test(nor_does_one_that_is_cancelled_removed_or_replaced_during_the_load),
        cmocka_unit_test(one_that_stands_in_ends_with_its_cancellation),
        cmocka_unit_test(a_cancelled_value_stands_in_where_the_cache_was_told_so),
        cmocka_unit_test(after_it_stood_in_nobody_tries_again_for_the_throttle_time),
        cmocka_unit_test(an_event_loop_may_try_at_once),
        cmocka_unit_test(the_throttle_never_exceeds_the_bound),
        cmocka_unit_test(maintenance_keeps_it_until_its_bound_and_drops_it_then),
        cmocka_unit_test(maintenance_drops_a_cancelled_one_at_once),
        cmocka_unit_test(capacity_evicts_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
