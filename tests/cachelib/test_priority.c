/* Priorities: who goes first when there is no room, and who never does. */
#include "cache_support.h"

enum { VALUE_SIZE = 50 };

static quash_entry_options with_priority(quash_priority priority)
{
    quash_entry_options options = QUASH_ENTRY_OPTIONS_INIT;
    options.priority = priority;
    return options;
}

static quash_status put(quash_cache *cache, int key, quash_priority priority)
{
    quash_entry_options options = with_priority(priority);
    return put_number_with(cache, key, VALUE_SIZE, NULL, &options);
}

static void put_all(quash_cache *cache, int from, int to, quash_priority priority)
{
    for (int i = from; i < to; i++)
        assert_int_equal(put(cache, i, priority), QUASH_OK);
}

static int how_many_are_there(quash_cache *cache, int from, int to)
{
    int there = 0;
    for (int i = from; i < to; i++)
        there += quash_cache_contains(cache, &i, sizeof i);
    return there;
}

static void use(quash_cache *cache, int from, int to)
{
    for (int i = from; i < to; i++) {
        for (int times = 0; times < 4; times++)
            assert_true(hits_number(cache, i));
    }
}

/* 10 of each, low ones from 0, normal ones from 10, high ones from 20, the never-removed from 30. */
static quash_cache *mixed_cache(void)
{
    quash_cache *cache = cache_for_entries(40, VALUE_SIZE);
    /* The order in which they come says nothing. */
    put_all(cache, 30, 40, QUASH_PRIORITY_NEVER_REMOVE);
    put_all(cache, 0, 10, QUASH_PRIORITY_LOW);
    put_all(cache, 20, 30, QUASH_PRIORITY_HIGH);
    put_all(cache, 10, 20, QUASH_PRIORITY_NORMAL);
    use(cache, 0, 10); /* nor does use, across priorities */
    return cache;
}

static void low_goes_before_normal_before_high_and_the_rest_stays(void **state)
{
    (void)state;
    quash_cache *cache = mixed_cache();
    for (int i = 0; i < 30; i++) {
        assert_int_equal(put(cache, 100 + i, QUASH_PRIORITY_NEVER_REMOVE), QUASH_OK);
        assert_int_equal(how_many_are_there(cache, 0, 10), i < 10 ? 9 - i : 0);
        assert_int_equal(how_many_are_there(cache, 10, 20), i < 10 ? 10 : i < 20 ? 19 - i : 0);
        assert_int_equal(how_many_are_there(cache, 20, 30), i < 20 ? 10 : 29 - i);
        assert_int_equal(how_many_are_there(cache, 30, 40), 10);
    }
    assert_int_equal(how_many_are_there(cache, 100, 130), 30);
    quash_cache_free(cache);
}

static void low_newcomers_take_one_place_from_those_above_and_then_each_others(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(40, VALUE_SIZE);
    put_all(cache, 0, 40, QUASH_PRIORITY_HIGH);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(put(cache, 100 + i, QUASH_PRIORITY_LOW), QUASH_OK);
        assert_true(hits_number(cache, 100 + i));
    }
    assert_int_equal(how_many_are_there(cache, 0, 40), 39);
    quash_cache_free(cache);
}

static void a_put_says_so_when_only_what_may_never_be_removed_is_left(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(10, VALUE_SIZE);
    put_all(cache, 0, 10, QUASH_PRIORITY_NEVER_REMOVE);
    for (int priority = QUASH_PRIORITY_NORMAL; priority <= QUASH_PRIORITY_NEVER_REMOVE; priority++) {
        assert_int_equal(put(cache, 100, (quash_priority)priority), QUASH_NO_ROOM);
        assert_false(hits_number(cache, 100));
    }
    assert_int_equal(stats_of(cache).refused, 4);
    assert_int_equal(how_many_are_there(cache, 0, 10), 10);
    assert_int_equal(stats_of(cache).evicted[QUASH_EVICTION_CAPACITY], 0);

    /* A replacement makes its own room. A larger one does not: and then the old value is gone all the same. */
    assert_int_equal(put(cache, 3, QUASH_PRIORITY_NEVER_REMOVE), QUASH_OK);
    assert_int_equal(put_number(cache, 3, VALUE_SIZE + 50), QUASH_NO_ROOM);
    assert_false(hits_number(cache, 3));
    assert_int_equal(how_many_are_there(cache, 0, 10), 9);
    assert_int_equal(put(cache, 100, QUASH_PRIORITY_LOW), QUASH_OK);
    quash_cache_free(cache);
}

static void an_object_without_room_stays_the_callers(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(4, VALUE_SIZE);
    put_all(cache, 0, 4, QUASH_PRIORITY_NEVER_REMOVE);
    struct counted object = {0};
    quash_token *token = new_token(cache, NULL);
    assert_int_equal(quash_cache_put_object(cache, "key", 3, token, &object, counted_destroy, NULL, 1, NULL),
                     QUASH_NO_ROOM);
    quash_token_free(token);
    quash_cache_free(cache);
    assert_int_equal(object.destroyed, 0);
}

static quash_status load_low(quash_fill *fill, void *context)
{
    (void)context;
    quash_entry_options options = with_priority(QUASH_PRIORITY_LOW);
    char bytes[VALUE_SIZE] = {0};
    quash_status status = quash_fill_set_options(fill, &options);
    return status == QUASH_OK ? quash_fill_set_bytes(fill, bytes, sizeof bytes) : status;
}

static void a_loader_may_name_the_priority(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(10, VALUE_SIZE);
    put_all(cache, 0, 9, QUASH_PRIORITY_NORMAL);
    quash_entry *entry;
    int key = 50;
    assert_int_equal(quash_cache_get_or_load(cache, &key, sizeof key, load_low, NULL, NULL, &entry), QUASH_OK);
    quash_entry_release(entry);
    use(cache, 50, 51);
    put_all(cache, 60, 61, QUASH_PRIORITY_NORMAL);
    assert_false(hits_number(cache, 50));
    assert_int_equal(how_many_are_there(cache, 0, 9), 9);
    quash_cache_free(cache);
}

static void a_loaded_value_without_room_is_returned_and_not_kept(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(4, VALUE_SIZE);
    put_all(cache, 0, 4, QUASH_PRIORITY_NEVER_REMOVE);
    quash_entry *entry = NULL;
    int key = 50;
    assert_int_equal(quash_cache_get_or_load(cache, &key, sizeof key, load_low, NULL, NULL, &entry), QUASH_OK);
    assert_int_equal(quash_entry_size(entry), VALUE_SIZE);
    quash_entry_release(entry);
    assert_false(hits_number(cache, 50));
    assert_int_equal(stats_of(cache).refused, 1);
    assert_int_equal(stats_of(cache).loads_voided, 0);
    quash_cache_free(cache);
}

static void what_may_never_be_removed_is_removed_replaced_cancelled_and_expires(void **state)
{
    (void)state;
    struct manual_clock clock = {5000};
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.clock_ms = manual_clock_ms;
    options.clock_context = &clock;
    quash_cache *cache = new_cache_with(&options);
    quash_entry_options never = with_priority(QUASH_PRIORITY_NEVER_REMOVE);
    put_text_with(cache, "removed", "v", NULL, &never);
    put_text_with(cache, "replaced", "v", NULL, &never);
    put_text_with(cache, "cancelled", "v", "tenant:42", &never);
    never.ttl_ms = 100;
    put_text_with(cache, "expired", "v", NULL, &never);
    assert_true(quash_cache_remove(cache, "removed", 7));
    put_text(cache, "replaced", "new", NULL);
    quash_table_cancel(quash_cache_table(cache), "tenant:42");
    manual_clock_advance(&clock, 100);
    assert_false(hits(cache, "removed"));
    assert_true(hits_text(cache, "replaced", "new"));
    assert_false(hits(cache, "cancelled"));
    assert_false(hits(cache, "expired"));
    assert_int_equal(stats_of(cache).entries, 1);
    quash_cache_clear(cache);
    assert_int_equal(stats_of(cache).bytes, 0);
    quash_cache_free(cache);
}

static void what_may_never_be_removed_is_room_once_it_is_dead(void **state)
{
    (void)state;
    enum { ENTRIES = 2000 };
    struct manual_clock clock = {5000};
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.clock_ms = manual_clock_ms;
    options.clock_context = &clock;
    options.ttl_ms = QUASH_TTL_FOREVER;
    quash_cache *cache = cache_for_entries_with(ENTRIES, VALUE_SIZE, options);
    quash_entry_options never = with_priority(QUASH_PRIORITY_NEVER_REMOVE);
    put_all(cache, 0, ENTRIES - 1, QUASH_PRIORITY_NEVER_REMOVE);
    never.ttl_ms = 100;
    assert_int_equal(put_number_with(cache, ENTRIES - 1, VALUE_SIZE, NULL, &never), QUASH_OK);
    assert_int_equal(put(cache, -1, QUASH_PRIORITY_NORMAL), QUASH_NO_ROOM);
    manual_clock_advance(&clock, 100);
    /* One of two thousand has expired, and nobody has looked it up. */
    assert_int_equal(put(cache, -1, QUASH_PRIORITY_NORMAL), QUASH_OK);
    assert_true(hits_number(cache, -1));
    assert_int_equal(how_many_are_there(cache, 0, ENTRIES), ENTRIES - 1);
    assert_int_equal(stats_of(cache).evicted[QUASH_EVICTION_EXPIRED], 1);
    quash_cache_free(cache);
}

static void a_replacement_has_the_priority_that_it_says(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(10, VALUE_SIZE);
    put_all(cache, 0, 1, QUASH_PRIORITY_NEVER_REMOVE);
    put_all(cache, 1, 2, QUASH_PRIORITY_LOW);
    put_all(cache, 0, 1, QUASH_PRIORITY_LOW);
    put_all(cache, 1, 2, QUASH_PRIORITY_NEVER_REMOVE);
    put_all(cache, 100, 200, QUASH_PRIORITY_NORMAL);
    assert_int_equal(how_many_are_there(cache, 0, 1), 0);
    assert_int_equal(how_many_are_there(cache, 1, 2), 1);
    quash_cache_free(cache);
}

static void a_bound_below_what_may_never_be_removed_holds_from_then_on(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(10, VALUE_SIZE);
    size_t charge = charge_of(sizeof(int), VALUE_SIZE);
    put_all(cache, 0, 6, QUASH_PRIORITY_NEVER_REMOVE);
    put_all(cache, 6, 10, QUASH_PRIORITY_HIGH);
    assert_int_equal(quash_cache_resize(cache, 5 * charge), QUASH_NO_ROOM);
    assert_int_equal(how_many_are_there(cache, 0, 6), 6);
    assert_int_equal(how_many_are_there(cache, 6, 10), 0);
    assert_int_equal(stats_of(cache).max_bytes, 5 * charge);
    assert_int_equal(put(cache, 100, QUASH_PRIORITY_HIGH), QUASH_NO_ROOM);
    for (int i = 0; i < 2; i++)
        assert_true(quash_cache_remove(cache, &i, sizeof i));
    assert_int_equal(put(cache, 100, QUASH_PRIORITY_HIGH), QUASH_OK);
    assert_int_equal(put(cache, 101, QUASH_PRIORITY_HIGH), QUASH_OK);
    assert_int_equal(how_many_are_there(cache, 100, 102), 1);
    assert_int_equal(stats_of(cache).bytes, 5 * charge);
    quash_cache_free(cache);
}

static void a_priority_that_there_is_not_is_refused(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    assert_int_equal(put(cache, 1, (quash_priority)(QUASH_PRIORITY_NEVER_REMOVE + 1)), QUASH_INVALID);
    assert_false(hits_number(cache, 1));
    quash_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(low_goes_before_normal_before_high_and_the_rest_stays),
        cmocka_unit_test(low_newcomers_take_one_place_from_those_above_and_then_each_others),
        cmocka_unit_test(a_put_says_so_when_only_what_may_never_be_removed_is_left),
        cmocka_unit_test(an_object_without_room_stays_the_callers),
        cmocka_unit_test(a_loader_may_name_the_priority),
        cmocka_unit_test(a_loaded_value_without_room_is_returned_and_not_kept),
        cmocka_unit_test(what_may_never_be_removed_is_removed_replaced_cancelled_and_expires),
        cmocka_unit_test(what_may_never_be_removed_is_room_once_it_is_dead),
        cmocka_unit_test(a_replacement_has_the_priority_that_it_says),
        cmocka_unit_test(a_bound_below_what_may_never_be_removed_holds_from_then_on),
        cmocka_unit_test(a_priority_that_there_is_not_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
