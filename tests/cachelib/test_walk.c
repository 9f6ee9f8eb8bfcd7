/* Contains, walks, removal of one and of all, and another bound. */
#include <stdio.h>
#include <stdlib.h>

#include "cache_support.h"

/* ---- Contains ---- */

static quash_status load_absent(quash_fill *fill, void *context)
{
    (void)fill, (void)context;
    return QUASH_ABSENT;
}

static void contains_says_what_a_get_would(void **state)
{
    (void)state;
    struct manual_clock clock = {5000};
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.clock_ms = manual_clock_ms;
    options.clock_context = &clock;
    options.ttl_ms = 100;
    options.absent_ttl_ms = 1000;
    quash_cache *cache = new_cache_with(&options);
    assert_false(contains(cache, "key"));
    put_text(cache, "key", "v", "tenant:42");
    assert_true(contains(cache, "key"));
    quash_table_cancel(quash_cache_table(cache), "tenant:42");
    assert_false(contains(cache, "key"));
    assert_int_equal(stats_of(cache).entries, 1); /* looking takes nothing out */
    put_text(cache, "key", "v", NULL);
    manual_clock_advance(&clock, 99);
    assert_true(contains(cache, "key"));
    manual_clock_advance(&clock, 1);
    assert_false(contains(cache, "key"));

    quash_entry *entry;
    assert_int_equal(quash_cache_get_or_load(cache, "none", 4, load_absent, NULL, NULL, &entry), QUASH_ABSENT);
    assert_int_equal(stats_of(cache).entries, 2);
    assert_false(contains(cache, "none"));
    quash_cache_free(cache);
}

/* ---- Walks ---- */

enum { NUMBERS = 3000 };

struct walk {
    quash_cache *cache;
    int met[NUMBERS + 100];
    int count;
    int stop_after; /* 0: never */
    int (*act)(struct walk *walk, int number);
};

static bool meet(const void *key, size_t key_size, quash_entry *entry, void *context)
{
    struct walk *walk = context;
    int number;
    if (key_size != sizeof number || quash_entry_size(entry) != 8)
        support_fail("an entry that nobody has put");
    memcpy(&number, key, sizeof number);
    walk->met[number]++;
    walk->count++;
    if (walk->act != NULL)
        walk->act(walk, number);
    return walk->count != walk->stop_after;
}

static void put_numbers(quash_cache *cache, int from, int to, const char *group)
{
    for (int i = from; i < to; i++)
        assert_int_equal(put_number_with(cache, i, 8, group, NULL), QUASH_OK);
}

static void a_walk_meets_each_live_entry_once_and_no_dead_one(void **state)
{
    (void)state;
    static struct walk walk;
    quash_cache *cache = new_cache();
    assert_int_equal(quash_cache_each(cache, meet, &walk), QUASH_OK);
    assert_int_equal(walk.count, 0);
    for (int i = 0; i < NUMBERS; i++)
        put_numbers(cache, i, i + 1, i % 3 == 0 ? "gone" : "stays");
    for (int i = 1; i < NUMBERS; i += 3)
        quash_cache_remove(cache, &i, sizeof i);
    quash_table_cancel(quash_cache_table(cache), "gone");
    assert_int_equal(quash_cache_each(cache, meet, &walk), QUASH_OK);
    for (int i = 0; i < NUMBERS; i++)
        assert_int_equal(walk.met[i], i % 3 == 2);
    quash_cache_free(cache);
}

static void a_walk_ends_when_it_is_told_to(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    put_numbers(cache, 0, NUMBERS, NULL);
    const int stops[] = {1, 2, 100, NUMBERS};
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        static struct walk walk;
        walk = (struct walk){.stop_after = stops[i]};
        assert_int_equal(quash_cache_each(cache, meet, &walk), QUASH_OK);
        assert_int_equal(walk.count, stops[i]);
    }
    /* Nothing is left held. */
    quash_cache_clear(cache);
    assert_int_equal(stats_of(cache).dead_bytes, 0);
    quash_cache_free(cache);
}

static int remove_others_and_put(struct walk *walk, int number)
{
    quash_cache_remove(walk->cache, &number, sizeof number);
    put_number(walk->cache, NUMBERS + number % 100, 8);
    if (!hits_number(walk->cache, NUMBERS + number % 100))
        support_fail("a callback's put was lost");
    quash_cache_maintain(walk->cache, 10);
    stats_of(walk->cache);
    return 0;
}

static void a_walk_may_change_the_cache_as_it_goes(void **state)
{
    (void)state;
    static struct walk walk;
    walk = (struct walk){.cache = new_cache(), .act = remove_others_and_put};
    put_numbers(walk.cache, 0, NUMBERS, NULL);
    assert_int_equal(quash_cache_each(walk.cache, meet, &walk), QUASH_OK);
    for (int i = 0; i < NUMBERS; i++)
        assert_int_equal(walk.met[i], 1);
    for (int i = NUMBERS; i < NUMBERS + 100; i++)
        assert_in_range(walk.met[i], 0, 1);
    quash_cache_free(walk.cache);
}

static int cancel_all(struct walk *walk, int number)
{
    (void)number;
    quash_table_cancel(quash_cache_table(walk->cache), "*");
    return 0;
}

static void what_is_cancelled_during_a_walk_is_not_met_after_it(void **state)
{
    (void)state;
    static struct walk walk;
    walk = (struct walk){.cache = new_cache(), .act = cancel_all};
    put_numbers(walk.cache, 0, NUMBERS, "group");
    assert_int_equal(quash_cache_each(walk.cache, meet, &walk), QUASH_OK);
    assert_int_equal(walk.count, 1);
    quash_cache_free(walk.cache);
}

static quash_entry *kept_entry;

static bool keep(const void *key, size_t key_size, quash_entry *entry, void *context)
{
    (void)key, (void)key_size, (void)context;
    kept_entry = quash_entry_acquire(entry);
    return true;
}

static void what_a_walk_meets_may_be_kept(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    put_text(cache, "key", "value", NULL);
    assert_int_equal(quash_cache_each(cache, keep, NULL), QUASH_OK);
    quash_cache_free(cache);
    assert_true(entry_is_text(kept_entry, "value"));
    quash_entry_release(kept_entry);
}

static void a_walk_without_cache_or_callback_is_refused(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    assert_int_equal(quash_cache_each(NULL, meet, NULL), QUASH_INVALID);
    assert_int_equal(quash_cache_each(cache, NULL, NULL), QUASH_INVALID);
    quash_cache_free(cache);
}

/* ---- Removal ---- */

static void remove_says_whether_there_was_a_live_entry(void **state)
{
    (void)state;
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.absent_ttl_ms = 1000;
    quash_cache *cache = new_cache_with(&options);
    assert_false(quash_cache_remove(cache, "key", 3));
    put_text(cache, "key", "value", "tenant:42");
    assert_true(quash_cache_remove(cache, "key", 3));
    assert_false(quash_cache_remove(cache, "key", 3));
    put_text(cache, "key", "value", "tenant:42");
    quash_table_cancel(quash_cache_table(cache), "tenant:42");
    assert_false(quash_cache_remove(cache, "key", 3));
    quash_entry *entry;
    assert_int_equal(quash_cache_get_or_load(cache, "none", 4, load_absent, NULL, NULL, &entry), QUASH_ABSENT);
    assert_false(quash_cache_remove(cache, "none", 4));
    assert_int_equal(stats_of(cache).entries, 0);
    quash_cache_free(cache);
}

static quash_status load_or_fail(quash_fill *fill, void *context)
{
    return *(bool *)context ? quash_fill_set_bytes(fill, "v", 1) : QUASH_LOAD_FAILED;
}

static void an_entry_that_stands_in_for_a_failed_load_is_not_live(void **state)
{
    (void)state;
    struct manual_clock clock = {5000};
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.clock_ms = manual_clock_ms;
    options.clock_context = &clock;
    options.ttl_ms = 100;
    options.fail_safe_ms = 10000;
    options.fail_safe_throttle_ms = 1000;
    quash_cache *cache = new_cache_with(&options);
    bool works = true;
    quash_entry *entry;
    assert_int_equal(quash_cache_get_or_load(cache, "key", 3, load_or_fail, &works, NULL, &entry), QUASH_OK);
    quash_entry_release(entry);
    manual_clock_advance(&clock, 100);
    works = false;
    assert_int_equal(quash_cache_get_or_load(cache, "key", 3, load_or_fail, &works, NULL, &entry), QUASH_OK);
    quash_entry_release(entry);
    static struct walk walk;
    assert_false(contains(cache, "key"));
    assert_int_equal(quash_cache_each(cache, meet, &walk), QUASH_OK);
    assert_int_equal(walk.count, 0);
    assert_false(quash_cache_remove(cache, "key", 3));
    assert_int_equal(stats_of(cache).entries, 0);
    quash_cache_free(cache);
}

static void clear_drops_everything_and_the_memory_comes_back(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    put_numbers(cache, 0, NUMBERS, NULL);
    quash_cache_clear(cache);
    quash_cache_stats stats = stats_of(cache);
    assert_int_equal(stats.entries, 0);
    assert_int_equal(stats.bytes, 0);
    assert_int_equal(stats.dead_bytes, 0);
    assert_int_equal(stats.evicted[QUASH_EVICTION_REMOVED], NUMBERS);
    assert_false(hits_number(cache, 7));
    put_number(cache, 7, 8);
    assert_true(hits_number(cache, 7));
    quash_cache_clear(NULL);
    quash_cache_free(cache);
}

/* ---- Another bound ---- */

static void a_smaller_bound_evicts_what_is_too_much_and_a_larger_one_nothing(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(100, 8);
    size_t charge = charge_of(sizeof(int), 8);
    put_numbers(cache, 0, 100, NULL);
    assert_int_equal(quash_cache_resize(cache, 200 * charge), QUASH_OK);
    assert_int_equal(stats_of(cache).entries, 100);
    assert_int_equal(stats_of(cache).max_bytes, 200 * charge);
    put_numbers(cache, 100, 200, NULL);
    assert_int_equal(stats_of(cache).entries, 200);
    assert_int_equal(quash_cache_resize(cache, 50 * charge + charge - 1), QUASH_OK);
    quash_cache_stats stats = stats_of(cache);
    assert_int_equal(stats.entries, 50);
    assert_int_equal(stats.bytes, 50 * charge);
    assert_int_equal(stats.evicted[QUASH_EVICTION_CAPACITY], 150);
    assert_int_equal(stats.dead_bytes, 0);
    put_numbers(cache, 1000, 1010, NULL);
    assert_int_equal(stats_of(cache).entries, 50);
    assert_int_equal(quash_cache_resize(cache, 0), QUASH_OK);
    assert_int_equal(stats_of(cache).entries, 0);
    assert_int_equal(put_number(cache, 1, 8), QUASH_TOO_LARGE);
    assert_int_equal(quash_cache_resize(cache, SIZE_MAX), QUASH_OK);
    put_numbers(cache, 0, 10, NULL);
    assert_int_equal(stats_of(cache).entries, 10);
    assert_int_equal(quash_cache_resize(NULL, 0), QUASH_INVALID);
    quash_cache_free(cache);
}

static void fill_object(quash_cache *cache, const char *key, struct counted *object, size_t cost)
{
    quash_fill *fill;
    bool kept = false;
    assert_int_equal(quash_fill_begin(cache, key, strlen(key), &fill), QUASH_OK);
    assert_int_equal(quash_fill_set_object(fill, object, counted_destroy, NULL, cost), QUASH_OK);
    assert_int_equal(quash_fill_commit(fill, NULL, &kept), QUASH_OK);
    assert_true(kept);
}

static void an_unbounded_cache_counts_costs_without_overflow(void **state)
{
    (void)state;
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.max_bytes = SIZE_MAX;
    quash_cache *cache = new_cache_with(&options);
    put_numbers(cache, 0, 10, NULL);
    quash_token *token = new_token(cache, NULL);
    struct counted first = {0}, second = {0}, largest = {0};
    assert_int_equal(
        quash_cache_put_object(cache, "first", 5, token, &first, counted_destroy, NULL, SIZE_MAX / 2, NULL), QUASH_OK);
    assert_true(stats_of(cache).bytes > SIZE_MAX / 2);
    assert_int_equal(stats_of(cache).entries, 11);
    fill_object(cache, "second", &second, SIZE_MAX / 2);
    assert_true(stats_of(cache).bytes > SIZE_MAX / 2);
    assert_true(contains(cache, "second"));
    assert_int_equal(contains(cache, "first"), stats_of(cache).bytes > SIZE_MAX - 1000);
    fill_object(cache, "largest", &largest, SIZE_MAX);
    assert_true(contains(cache, "largest"));
    assert_int_equal(stats_of(cache).entries, 1);
    assert_false(contains(cache, "second"));
    for (int i = 0; i < 10; i++)
        assert_false(hits_number(cache, i));
    quash_token_free(token);
    quash_cache_clear(cache);
    assert_int_equal(stats_of(cache).bytes, 0);
    quash_cache_free(cache);
    assert_int_equal(first.destroyed + second.destroyed + largest.destroyed, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contains_says_what_a_get_would),
        cmocka_unit_test(a_walk_meets_each_live_entry_once_and_no_dead_one),
        cmocka_unit_test(a_walk_ends_when_it_is_told_to),
        cmocka_unit_test(a_walk_may_change_the_cache_as_it_goes),
        cmocka_unit_test(what_is_cancelled_during_a_walk_is_not_met_after_it),
        cmocka_unit_test(what_a_walk_meets_may_be_kept),
        cmocka_unit_test(a_walk_without_cache_or_callback_is_refused),
        cmocka_unit_test(remove_says_whether_there_was_a_live_entry),
        cmocka_unit_test(an_entry_that_stands_in_for_a_failed_load_is_not_live),
        cmocka_unit_test(clear_drops_everything_and_the_memory_comes_back),
        cmocka_unit_test(a_smaller_bound_evicts_what_is_too_much_and_a_larger_one_nothing),
        cmocka_unit_test(an_unbounded_cache_counts_costs_without_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
