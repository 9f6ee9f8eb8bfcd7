/* What the statistics say: each lookup once and for its reason, evictions, what is dead and not freed yet. */
#include <stdio.h>
#include <unistd.h>

#include "cache_support.h"

static uint64_t misses(const quash_cache_stats *stats)
{
    return stats->misses_absent + stats->misses_expired + stats->misses_cancelled + stats->misses_collateral +
           stats->misses_detached;
}

static void every_lookup_is_counted_once(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    char text[] = "value";
    quash_entry *entry;
    assert_false(hits(cache, "key"));
    assert_int_equal(quash_cache_get_or_load(cache, "key", 3, load_text, text, NULL, &entry), QUASH_OK);
    quash_entry_release(entry);
    assert_int_equal(quash_cache_get_or_load(cache, "key", 3, load_text, text, NULL, &entry), QUASH_OK);
    quash_entry_release(entry);
    assert_true(hits(cache, "key"));
    quash_table_cancel(quash_cache_table(cache), "*");
    assert_false(hits(cache, "key"));
    assert_false(contains(cache, "key")); /* counts as nothing */
    quash_cache_stats stats = stats_of(cache);
    assert_int_equal(stats.hits, 2);
    assert_int_equal(stats.misses_absent, 2);
    assert_int_equal(stats.misses_cancelled, 1);
    assert_int_equal(misses(&stats), 3);
    assert_int_equal(stats.loads, 1);
    assert_int_equal(stats.loads_failed + stats.loads_voided + stats.waits + stats.waits_timed_out, 0);
    quash_cache_free(cache);
}

static void a_miss_is_counted_by_its_reason(void **state)
{
    (void)state;
    struct table_place place;
    table_place_make(&place);
    struct manual_clock clock = {5000};
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.table = follow(&place);
    options.detached_ttl_ms = 1000000;
    options.ttl_ms = 100;
    options.clock_ms = manual_clock_ms;
    options.clock_context = &clock;
    quash_cache *cache = new_cache_with(&options);

    put_text(cache, "detached", "v", NULL);
    quash_table *server = serve(&place);
    assert_int_equal(quash_table_refresh(options.table, NULL, NULL), QUASH_OK);
    assert_false(hits(cache, "detached"));
    assert_int_equal(stats_of(cache).misses_detached, 1);

    assert_false(hits(cache, "absent"));
    assert_int_equal(stats_of(cache).misses_absent, 1);

    put_text(cache, "expired", "v", "tenant:42");
    manual_clock_advance(&clock, 100);
    assert_false(hits(cache, "expired"));
    assert_int_equal(stats_of(cache).misses_expired, 1);

    put_text(cache, "cancelled", "v", "tenant:42");
    assert_int_equal(quash_table_cancel(server, "tenant:42"), QUASH_OK);
    assert_false(hits(cache, "cancelled"));
    assert_int_equal(stats_of(cache).misses_cancelled, 1);

    /* One that is both has been cancelled: that is what must never be served. */
    put_text(cache, "both", "v", "tenant:42");
    assert_int_equal(quash_table_cancel(server, "tenant:42"), QUASH_OK);
    manual_clock_advance(&clock, 100);
    assert_false(hits(cache, "both"));
    assert_int_equal(stats_of(cache).misses_cancelled, 2);

    put_text(cache, "of another table", "v", NULL);
    assert_int_equal(unlink(place.path), 0);
    assert_int_equal(quash_table_refresh(server, NULL, NULL), QUASH_OK);
    assert_int_equal(quash_table_refresh(options.table, NULL, NULL), QUASH_OK);
    assert_false(hits(cache, "of another table"));
    assert_int_equal(stats_of(cache).misses_cancelled, 3);

    quash_cache_stats stats = stats_of(cache);
    assert_int_equal(misses(&stats), 6);
    assert_int_equal(stats.hits, 0);
    quash_cache_free(cache);
    quash_table_close(options.table);
    quash_table_close(server);
    table_place_remove(&place);
}

static void what_a_table_has_forgotten_counts_as_collateral(void **state)
{
    (void)state;
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    assert_int_equal(quash_table_new_private(1, &options.table), QUASH_OK);
    quash_cache *cache = new_cache_with(&options);
    put_text(cache, "key", "value", "tenant:42");
    char group[32];
    for (int i = 0; i < 20; i++) {
        snprintf(group, sizeof group, "other:%d", i);
        quash_table_cancel(options.table, group);
    }
    assert_false(hits(cache, "key"));
    assert_int_equal(stats_of(cache).misses_collateral, 1);
    assert_int_equal(stats_of(cache).misses_cancelled, 0);
    assert_int_equal(stats_of(cache).evicted[QUASH_EVICTION_CANCELLED], 1);
    quash_cache_free(cache);
    quash_table_close(options.table);
}

static void dead_bytes_are_those_of_what_has_left_and_is_held(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    put_text(cache, "key", "value", NULL);
    quash_cache_stats stats = stats_of(cache);
    assert_int_equal(stats.dead_bytes, 0);
    assert_true(stats.bytes > 0);
    quash_entry *entry = quash_cache_get(cache, "key", 3);
    quash_entry *again = quash_entry_acquire(entry);
    assert_int_equal(stats_of(cache).dead_bytes, 0);
    quash_cache_remove(cache, "key", 3);
    stats = stats_of(cache);
    assert_int_equal(stats.bytes, 0);
    assert_true(stats.dead_bytes > 64);
    quash_cache_clear(cache);
    assert_int_equal(stats_of(cache).dead_bytes, stats.dead_bytes);
    quash_entry_release(entry);
    assert_int_equal(stats_of(cache).dead_bytes, stats.dead_bytes);
    quash_entry_release(again);
    assert_int_equal(stats_of(cache).dead_bytes, 0);
    quash_cache_free(cache);
}

static void what_nobody_holds_is_freed_when_enough_has_come_together(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    uint64_t most = 0;
    for (int i = 0; i < 10000; i++) {
        put_number(cache, i, 200);
        quash_cache_remove(cache, &i, sizeof i);
        uint64_t dead = stats_of(cache).dead_bytes;
        most = dead > most ? dead : most;
    }
    assert_true(most <= (size_t)256 << 10);
    quash_cache_free(cache);
}

enum { COUNTERS = 40, LOOKUPS = 5000 };

static void *look_up(void *context)
{
    for (int i = 0; i < LOOKUPS; i++)
        hits(context, i % 2 == 0 ? "there" : "not there");
    return NULL;
}

static void counts_of_many_threads_add_up(void **state)
{
    (void)state;
    /* More than have a place of their own to count in, one after the other as well. */
    quash_cache *cache = new_cache();
    put_text(cache, "there", "v", NULL);
    pthread_t threads[COUNTERS];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNTERS; i++)
            threads[i] = thread_start(look_up, cache);
        for (int i = 0; i < COUNTERS; i++)
            thread_join(threads[i]);
    }
    assert_int_equal(stats_of(cache).hits, COUNTERS * LOOKUPS);
    assert_int_equal(stats_of(cache).misses_absent, COUNTERS * LOOKUPS);
    quash_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_lookup_is_counted_once),
        cmocka_unit_test(a_miss_is_counted_by_its_reason),
        cmocka_unit_test(what_a_table_has_forgotten_counts_as_collateral),
        cmocka_unit_test(dead_bytes_are_those_of_what_has_left_and_is_held),
        cmocka_unit_test(what_nobody_holds_is_freed_when_enough_has_come_together),
        cmocka_unit_test(counts_of_many_threads_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
