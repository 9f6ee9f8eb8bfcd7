/* What goes when there is no room: what S3-FIFO promises to those who look from outside. What the cache counts and
 * bounds is test_budget.c's, and priorities are test_priority.c's. */
#include "cache_support.h"

enum { CAPACITY = 200, VALUE_SIZE = 50 };

static void put_numbers(quash_cache *cache, int from, int to)
{
    for (int i = from; i < to; i++)
        assert_int_equal(put_number(cache, i, VALUE_SIZE), QUASH_OK);
}

/* Whether it is there, which counts as no use. */
static bool is_there(quash_cache *cache, int key)
{
    return quash_cache_contains(cache, &key, sizeof key);
}

static int how_many_are_there(quash_cache *cache, int from, int to)
{
    int there = 0;
    for (int i = from; i < to; i++)
        there += is_there(cache, i);
    return there;
}

static void nothing_goes_before_the_cache_is_full(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(CAPACITY, VALUE_SIZE);
    put_numbers(cache, 0, CAPACITY);
    assert_int_equal(how_many_are_there(cache, 0, CAPACITY), CAPACITY);
    assert_int_equal(stats_of(cache).evicted[QUASH_EVICTION_CAPACITY], 0);
    put_numbers(cache, CAPACITY, CAPACITY + 1);
    assert_int_equal(stats_of(cache).evicted[QUASH_EVICTION_CAPACITY], 1);
    assert_int_equal(stats_of(cache).entries, CAPACITY);
    quash_cache_free(cache);
}

static void what_is_never_used_goes_in_the_order_in_which_it_came(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(CAPACITY, VALUE_SIZE);
    put_numbers(cache, 0, CAPACITY);
    for (int i = 0; i < CAPACITY; i++) {
        put_numbers(cache, CAPACITY + i, CAPACITY + i + 1);
        assert_false(is_there(cache, i));
        assert_int_equal(how_many_are_there(cache, i + 1, CAPACITY + i + 1), CAPACITY);
    }
    quash_cache_free(cache);
}

static void what_is_used_stays_while_there_is_something_that_is_not(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(CAPACITY, VALUE_SIZE);
    put_numbers(cache, 0, CAPACITY);
    for (int i = 0; i < CAPACITY / 2; i += 2) {
        assert_true(hits_number(cache, i));
        assert_true(hits_number(cache, i));
    }
    /* Half of the older half is used: three quarters of all can go before one of these. */
    put_numbers(cache, CAPACITY, CAPACITY + CAPACITY * 3 / 4 - 5);
    for (int i = 0; i < CAPACITY / 2; i++)
        assert_int_equal(is_there(cache, i), i % 2 == 0);
    quash_cache_free(cache);
}

static void a_scan_does_not_drive_out_what_is_used(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(CAPACITY, VALUE_SIZE);
    put_numbers(cache, 0, CAPACITY);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < CAPACITY / 2; i++)
            assert_true(hits_number(cache, i));
    }
    put_numbers(cache, 1000, 1000 + 50 * CAPACITY); /* each once */
    assert_int_equal(how_many_are_there(cache, 0, CAPACITY / 2), CAPACITY / 2);
    quash_cache_free(cache);
}

static void what_was_used_once_long_ago_makes_way_in_the_end(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(CAPACITY, VALUE_SIZE);
    put_numbers(cache, 0, CAPACITY);
    for (int i = 0; i < CAPACITY; i++) {
        assert_true(hits_number(cache, i));
        assert_true(hits_number(cache, i));
    }
    /* Others are used more; each comes back while its key is still remembered. */
    for (int round = 0; round < 40; round++) {
        for (int i = 1000; i < 1000 + CAPACITY / 2; i++) {
            if (!hits_number(cache, i))
                put_numbers(cache, i, i + 1);
        }
    }
    /* A few keys' fingerprints may have lost their place to others. */
    assert_in_range(how_many_are_there(cache, 1000, 1000 + CAPACITY / 2), CAPACITY / 2 - 5, CAPACITY / 2);
    quash_cache_free(cache);
}

static void a_key_that_comes_back_soon_after_it_went_is_kept_for_longer(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(CAPACITY, VALUE_SIZE);
    put_numbers(cache, 0, CAPACITY + CAPACITY / 2);
    assert_int_equal(how_many_are_there(cache, 0, 10), 0);
    put_numbers(cache, 0, 10);      /* evicted a moment ago */
    put_numbers(cache, 5000, 5010); /* never seen before */
    put_numbers(cache, 1000, 1000 + 2 * CAPACITY);
    assert_int_equal(how_many_are_there(cache, 5000, 5010), 0);
    /* A fingerprint or two may have lost its place to others. */
    assert_in_range(how_many_are_there(cache, 0, 10), 7, 10);
    quash_cache_free(cache);
}

static void a_replacement_inherits_the_standing_of_what_it_replaces(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(CAPACITY, VALUE_SIZE);
    put_numbers(cache, 0, CAPACITY);
    for (int i = 0; i < 10; i++) {
        assert_true(hits_number(cache, i));
        assert_true(hits_number(cache, i));
    }
    put_numbers(cache, 0, 10); /* as when they were cancelled, or have expired, and are loaded anew */
    put_numbers(cache, 1000, 1000 + 5 * CAPACITY);
    assert_int_equal(how_many_are_there(cache, 0, 10), 10);
    quash_cache_free(cache);
}

static void an_entry_that_is_held_may_be_evicted_and_stays_valid(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(4, VALUE_SIZE);
    put_text(cache, "held", "value", NULL);
    quash_entry *entry = quash_cache_get(cache, "held", 4);
    put_numbers(cache, 0, 100);
    assert_false(contains(cache, "held"));
    assert_true(entry_is_text(entry, "value"));
    quash_entry_release(entry);
    quash_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_goes_before_the_cache_is_full),
        cmocka_unit_test(what_is_never_used_goes_in_the_order_in_which_it_came),
        cmocka_unit_test(what_is_used_stays_while_there_is_something_that_is_not),
        cmocka_unit_test(a_scan_does_not_drive_out_what_is_used),
        cmocka_unit_test(what_was_used_once_long_ago_makes_way_in_the_end),
        cmocka_unit_test(a_key_that_comes_back_soon_after_it_went_is_kept_for_longer),
        cmocka_unit_test(a_replacement_inherits_the_standing_of_what_it_replaces),
        cmocka_unit_test(an_entry_that_is_held_may_be_evicted_and_stays_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
