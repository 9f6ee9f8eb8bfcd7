/* What a load is to those around it: when its stamp is taken, how it is counted, and who may load what meanwhile. */
#include <stdlib.h>
#include <time.h>

#include "fill.h"
#include "load_support.h"

/* ---- The stamp comes first ---- */

enum { BEFORE_READING, BEFORE_NAMING, BEFORE_SETTING, AFTER_SETTING, MOMENTS };

struct moment {
    quash_table *table;
    int when;
};

static void cancel_at(const struct moment *moment, int now)
{
    if (moment->when == now && quash_table_cancel(moment->table, "tenant:42") != QUASH_OK)
        support_fail("no cancel");
}

static quash_status load_at_moment(quash_fill *fill, void *context)
{
    const struct moment *moment = context;
    cancel_at(moment, BEFORE_READING);
    cancel_at(moment, BEFORE_NAMING);
    quash_fill_add_group(fill, "tenant:42");
    cancel_at(moment, BEFORE_SETTING);
    quash_status status = quash_fill_set_bytes(fill, "value", 5);
    cancel_at(moment, AFTER_SETTING);
    return status;
}

static void a_cancellation_at_any_moment_of_the_load_is_not_lost(void **state)
{
    (void)state;
    for (int when = BEFORE_READING; when <= MOMENTS; when++) {
        quash_cache *cache = new_cache();
        struct moment moment = {quash_cache_table(cache), when};
        quash_entry *entry;
        assert_int_equal(quash_cache_get_or_load(cache, "key", 3, load_at_moment, &moment, NULL, &entry), QUASH_OK);
        quash_entry_release(entry);
        assert_int_equal(hits(cache, "key"), when == MOMENTS);
        assert_int_equal(stats_of(cache).loads_voided, when != MOMENTS);
        quash_cache_free(cache);
    }
}

enum { WRITES = 3000, READERS = 3 };

struct changing {
    struct source source;
    _Atomic int announced; /* cancelled up to this version */
    _Atomic bool done;
    _Atomic int wrong;
};

static void *read_changing(void *context)
{
    struct changing *changing = context;
    while (!atomic_load(&changing->done)) {
        int announced = atomic_load(&changing->announced);
        if (ask_now(&changing->source) < announced)
            atomic_fetch_add(&changing->wrong, 1);
        announced = atomic_load(&changing->announced);
        int version = cached_version(changing->source.cache);
        if (version >= 0 && version < announced)
            atomic_fetch_add(&changing->wrong, 1);
    }
    return NULL;
}

static void no_lookup_is_answered_with_what_was_cancelled_before_it_began(void **state)
{
    (void)state;
    struct changing changing = {.source = {.cache = new_cache(), .group = "tenant:42"}};
    pthread_t threads[READERS];
    for (int i = 0; i < READERS; i++)
        threads[i] = thread_start(read_changing, &changing);
    for (int version = 1; version <= WRITES; version++) {
        atomic_store(&changing.source.version, version);
        if (version % 3 == 0)
            quash_cache_remove(changing.source.cache, "key", 3);
        else
            quash_table_cancel(quash_cache_table(changing.source.cache), "tenant:42");
        atomic_store(&changing.announced, version);
        if (version % 16 == 0)
            sched_yield();
    }
    atomic_store(&changing.done, true);
    for (int i = 0; i < READERS; i++)
        thread_join(threads[i]);
    assert_int_equal(changing.wrong, 0);
    assert_int_equal(ask_now(&changing.source), WRITES);
    quash_cache_free(changing.source.cache);
}

/* ---- Counting ---- */

static void loads_are_sorted_by_time_as_documented(void **state)
{
    (void)state;
    for (unsigned bucket = 0; bucket < QUASH_LOAD_TIMES - 1; bucket++) {
        uint64_t bound_us = UINT64_C(1) << (2 * bucket + 6);
        assert_int_equal(fill_time_bucket(bound_us - 1), bucket);
        assert_int_equal(fill_time_bucket(bound_us), bucket + 1);
    }
    assert_int_equal(fill_time_bucket(0), 0);
    assert_int_equal(fill_time_bucket(UINT64_MAX), QUASH_LOAD_TIMES - 1);
}

static quash_status load_slowly(quash_fill *fill, void *context)
{
    (void)context;
    nanosleep(&(struct timespec){0, 5000000}, NULL); /* this is the load: nothing is awaited */
    return quash_fill_set_bytes(fill, "slow", 4);
}

static void every_fill_that_ends_is_counted_once_by_its_time(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_entry *entry;
    quash_fill *fill;
    assert_int_equal(quash_cache_get_or_load(cache, "slow", 4, load_slowly, NULL, NULL, &entry), QUASH_OK);
    quash_entry_release(entry);
    quash_cache_stats stats = stats_of(cache);
    for (unsigned bucket = 0; bucket < 4; bucket++)
        assert_int_equal(stats.loads_by_time[bucket], 0); /* less than 4 ms */
    assert_int_equal(quash_fill_begin(cache, "abandoned", 9, &fill), QUASH_OK);
    quash_fill_abandon(fill, QUASH_OK);
    assert_int_equal(quash_fill_begin(cache, "empty", 5, &fill), QUASH_OK);
    assert_int_equal(quash_fill_commit(fill, NULL, NULL), QUASH_LOAD_FAILED);
    assert_int_equal(quash_fill_begin(cache, "voided", 6, &fill), QUASH_OK);
    quash_cache_clear(cache);
    assert_int_equal(quash_fill_set_bytes(fill, "", 0), QUASH_OK);
    assert_int_equal(quash_fill_commit(fill, NULL, NULL), QUASH_OK);
    stats = stats_of(cache);
    assert_int_equal(stats.loads, 2);
    assert_int_equal(stats.loads_failed, 2);
    assert_int_equal(stats.loads_voided, 1);
    uint64_t sum = 0;
    for (unsigned bucket = 0; bucket < QUASH_LOAD_TIMES; bucket++)
        sum += stats.loads_by_time[bucket];
    assert_int_equal(sum, 4);
    quash_cache_free(cache);
}

/* ---- Callbacks around a load ---- */

struct reloading {
    struct source source;
    int told;
    int version; /* that the callback got */
};

static void reload(const void *key, size_t key_size, quash_entry *entry, quash_eviction reason, void *context)
{
    struct reloading *reloading = context;
    (void)key;
    (void)key_size;
    (void)entry;
    if (reason == QUASH_EVICTION_REMOVED)
        return;
    reloading->told++;
    reloading->version = ask_now(&reloading->source);
}

static void who_is_told_of_an_eviction_by_a_lookup_may_load_the_key_anew(void **state)
{
    (void)state;
    for (int by_event_loop = 0; by_event_loop < 2; by_event_loop++) {
        struct manual_clock clock = {1};
        struct reloading reloading = {.version = -1};
        quash_cache_options options = options_with_clock(&clock);
        options.ttl_ms = 10;
        options.load_timeout_ms = 2000; /* what it would wait for the lookup that waits for it */
        options.evicted = reload;
        options.evicted_context = &reloading;
        quash_cache *cache = new_cache_with(&options);
        reloading.source = (struct source){.cache = cache, .version = 1};
        assert_int_equal(put_text(cache, "key", "old!", NULL), QUASH_OK);
        manual_clock_advance(&clock, 10);
        if (by_event_loop) {
            quash_entry *entry;
            quash_fill *fill;
            assert_int_equal(quash_cache_get_or_begin(cache, "key", 3, NULL, NULL, &entry, &fill), QUASH_OK);
            assert_null(fill);
            quash_entry_release(entry);
        } else {
            assert_int_equal(ask_now(&reloading.source), 1);
        }
        assert_int_equal(reloading.told, 1);
        assert_int_equal(reloading.version, 1);
        assert_int_equal(reloading.source.loads, 1);
        quash_cache_free(cache);
    }
}

/* ---- Nested loads ---- */

struct nested {
    quash_cache *cache;
    const char *inner_key;
    quash_load_fn *inner_load;
    void *inner_context;
    bool remove_first;
    quash_status inner_status;
};

static quash_status load_nested(quash_fill *fill, void *context)
{
    struct nested *nested = context;
    quash_entry *entry = NULL;
    if (nested->remove_first)
        quash_cache_remove(nested->cache, nested->inner_key, strlen(nested->inner_key));
    nested->inner_status = quash_cache_get_or_load(nested->cache, nested->inner_key, strlen(nested->inner_key),
                                                   nested->inner_load, nested->inner_context, NULL, &entry);
    quash_entry_release(entry);
    return quash_fill_set_bytes(fill, "outer", 5);
}

/* Loads "outer" with a loader that asks for another key, or its own; that key's status. */
static quash_status status_inside(struct nested *nested, quash_cache *cache)
{
    quash_entry *entry;
    assert_int_equal(quash_cache_get_or_load(cache, "outer", 5, load_nested, nested, NULL, &entry), QUASH_OK);
    assert_true(entry_is_text(entry, "outer"));
    quash_entry_release(entry);
    quash_cache_clear(cache);
    return nested->inner_status;
}

static void a_loader_that_asks_for_its_own_key_is_told_so(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    char text[] = "inner";
    struct nested direct = {cache, "outer", load_text, text, false, QUASH_OK};
    assert_int_equal(status_inside(&direct, cache), QUASH_DEADLOCK);
    struct nested removing = {cache, "outer", load_text, text, true, QUASH_OK};
    assert_int_equal(status_inside(&removing, cache), QUASH_DEADLOCK);
    struct nested back = {cache, "outer", load_text, text, false, QUASH_OK};
    struct nested over_another = {cache, "middle", load_nested, &back, false, QUASH_OK};
    assert_int_equal(status_inside(&over_another, cache), QUASH_OK);
    assert_int_equal(back.inner_status, QUASH_DEADLOCK);
    quash_cache_free(cache);
}

static void a_loader_may_load_other_keys_and_its_own_in_another_cache(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_cache *other = new_cache();
    quash_entry *entry;
    char text[] = "inner";
    struct nested elsewhere = {other, "outer", load_text, text, false, QUASH_DEADLOCK};
    assert_int_equal(status_inside(&elsewhere, cache), QUASH_OK);
    struct nested another = {cache, "inner", load_text, text, false, QUASH_DEADLOCK};
    assert_int_equal(status_inside(&another, cache), QUASH_OK);
    /* The loads are over: the thread may load the key again. */
    assert_int_equal(quash_cache_get_or_load(cache, "outer", 5, load_text, text, NULL, &entry), QUASH_OK);
    quash_entry_release(entry);
    quash_cache_free(cache);
    quash_cache_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cancellation_at_any_moment_of_the_load_is_not_lost),
        cmocka_unit_test(no_lookup_is_answered_with_what_was_cancelled_before_it_began),
        cmocka_unit_test(loads_are_sorted_by_time_as_documented),
        cmocka_unit_test(every_fill_that_ends_is_counted_once_by_its_time),
        cmocka_unit_test(who_is_told_of_an_eviction_by_a_lookup_may_load_the_key_anew),
        cmocka_unit_test(a_loader_that_asks_for_its_own_key_is_told_so),
        cmocka_unit_test(a_loader_may_load_other_keys_and_its_own_in_another_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
