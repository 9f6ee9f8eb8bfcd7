/*
 * The byte budget: what is counted, to the byte and at all times; what is refused; and that a full cache takes what is
 * new (IMemoryCache's count has drifted below zero, and its full caches have dropped the newcomer).
 */
#include <sched.h>
#include <stdlib.h>

#include "cache.h"
#include "cache_support.h"

/* ---- One thread ---- */

static void keys_values_costs_and_groups_are_counted(void **state)
{
    (void)state;
    size_t base = charge_of(0, 0);
    assert_true(base >= sizeof(struct entry));
    /* In steps of what the allocator rounds to. */
    assert_int_equal(charge_of(16, 0), base + 16);
    assert_int_equal(charge_of(0, 16), base + 16);
    assert_int_equal(charge_of(64, 128), base + 64 + 128);

    quash_cache *cache = new_cache();
    quash_token *token = new_token(cache, NULL);
    char object;
    assert_int_equal(quash_cache_put_object(cache, "", 0, token, &object, NULL, NULL, 0, NULL), QUASH_OK);
    uint64_t free_object = stats_of(cache).bytes;
    assert_int_equal(quash_cache_put_object(cache, "", 0, token, &object, NULL, NULL, 12345, NULL), QUASH_OK);
    assert_int_equal(stats_of(cache).bytes, free_object + 12345);
    quash_token_free(token);
    quash_cache_free(cache);
}

enum { MODEL_KEYS = 40, MODEL_SIZES = 256 };

/* What an entry of a number counts, by its value's size; -1: there is none. */
struct model {
    size_t charge[MODEL_SIZES];
    int size[MODEL_KEYS];
};

static uint64_t model_bytes(const struct model *model, size_t *entries)
{
    uint64_t bytes = 0;
    *entries = 0;
    for (int i = 0; i < MODEL_KEYS; i++) {
        if (model->size[i] >= 0) {
            bytes += model->charge[model->size[i]];
            ++*entries;
        }
    }
    return bytes;
}

static void bytes_is_the_sum_of_what_is_there_after_whatever_was_done(void **state)
{
    (void)state;
    static struct model model;
    for (int i = 0; i < MODEL_SIZES; i++)
        model.charge[i] = charge_of(sizeof(int), (size_t)i);
    for (int i = 0; i < MODEL_KEYS; i++)
        model.size[i] = -1;
    quash_cache *cache = new_cache();
    uint32_t random = 12345;
    for (int i = 0; i < 20000; i++) {
        random = random * 1664525 + 1013904223;
        int key = (int)(random >> 8) % MODEL_KEYS;
        int size = (int)(random >> 16) % MODEL_SIZES;
        switch (random >> 28) {
        case 0:
            quash_cache_clear(cache);
            for (int k = 0; k < MODEL_KEYS; k++)
                model.size[k] = -1;
            break;
        case 1:
        case 2:
        case 3:
            assert_int_equal(quash_cache_remove(cache, &key, sizeof key), model.size[key] >= 0);
            model.size[key] = -1;
            break;
        case 4:
            /* Of a group that is cancelled at once: it leaves when it is looked up. */
            assert_int_equal(put_number_with(cache, key, 0, "gone", NULL), QUASH_OK);
            quash_table_cancel(quash_cache_table(cache), "gone");
            assert_false(hits_number(cache, key));
            model.size[key] = -1;
            break;
        default:
            assert_int_equal(put_number(cache, key, (size_t)size), QUASH_OK);
            model.size[key] = size;
            break;
        }
        size_t entries;
        quash_cache_stats stats = stats_of(cache);
        assert_int_equal(stats.bytes, model_bytes(&model, &entries));
        assert_int_equal(stats.entries, entries);
    }
    quash_cache_clear(cache);
    assert_int_equal(stats_of(cache).bytes, 0);
    assert_int_equal(stats_of(cache).entries, 0);
    quash_cache_free(cache);
}

static void max_bytes_is_never_exceeded_and_the_newcomer_is_there(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(20, 50);
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(put_number(cache, i, (size_t)(i * 37 % 256)), QUASH_OK);
        quash_cache_stats stats = stats_of(cache);
        assert_true(stats.bytes <= stats.max_bytes);
        assert_true(hits_number(cache, i));
    }
    assert_int_equal(stats_of(cache).refused, 0);
    quash_cache_free(cache);
}

static quash_status load_fifty(quash_fill *fill, void *context)
{
    char bytes[50] = {0};
    (void)context;
    return quash_fill_set_bytes(fill, bytes, sizeof bytes);
}

static void replacing_in_a_full_cache_evicts_no_third(void **state)
{
    (void)state;
    enum { ENTRIES = 10 };
    quash_cache *cache = cache_for_entries(ENTRIES, 50);
    for (int i = 0; i < ENTRIES; i++)
        put_number_with(cache, i, 50, NULL, NULL);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < ENTRIES; i++)
            assert_int_equal(put_number(cache, i, 50), QUASH_OK);
    }
    /* Loaded anew over what is still there, as eager refresh does. */
    for (int i = 0; i < ENTRIES; i++) {
        quash_fill *fill;
        bool kept = false;
        assert_int_equal(quash_fill_begin(cache, &i, sizeof i, &fill), QUASH_OK);
        assert_int_equal(load_fifty(fill, NULL), QUASH_OK);
        assert_int_equal(quash_fill_commit(fill, NULL, &kept), QUASH_OK);
        assert_true(kept);
    }
    /* Smaller, then as large again. */
    for (int i = 0; i < ENTRIES; i++)
        assert_int_equal(put_number(cache, i, 10), QUASH_OK);
    for (int i = 0; i < ENTRIES; i++)
        assert_int_equal(put_number(cache, i, 50), QUASH_OK);
    quash_cache_stats stats = stats_of(cache);
    assert_int_equal(stats.evicted[QUASH_EVICTION_CAPACITY], 0);
    assert_int_equal(stats.evicted[QUASH_EVICTION_REPLACED], 23 * ENTRIES);
    assert_int_equal(stats.entries, ENTRIES);
    assert_int_equal(stats.bytes, stats.max_bytes);
    quash_cache_free(cache);
}

static void one_large_entry_drives_out_the_others_and_stays(void **state)
{
    (void)state;
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.max_bytes = charge_of(sizeof(int), 256);
    quash_cache *cache = new_cache_with(&options);
    put_number(cache, 1, 0);
    assert_int_equal(put_number(cache, 2, 256), QUASH_OK);
    assert_true(hits_number(cache, 2));
    assert_false(hits_number(cache, 1));
    assert_int_equal(stats_of(cache).bytes, options.max_bytes);
    quash_cache_free(cache);
}

static void a_value_larger_than_the_budget_is_refused_and_empties_nothing(void **state)
{
    (void)state;
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.max_bytes = charge_of(sizeof(int), 240);
    quash_cache *cache = new_cache_with(&options);
    put_number(cache, 1, 0);
    assert_int_equal(put_number(cache, 2, 256), QUASH_TOO_LARGE);
    assert_true(hits_number(cache, 1));
    assert_int_equal(put_number(cache, 1, 256), QUASH_TOO_LARGE);
    assert_false(hits_number(cache, 1)); /* the old value is gone all the same */
    assert_int_equal(stats_of(cache).evicted[QUASH_EVICTION_CAPACITY], 0);
    assert_int_equal(stats_of(cache).refused, 2);
    assert_int_equal(stats_of(cache).bytes, 0);

    /* Exactly as large as the budget is not too large. */
    assert_int_equal(put_number(cache, 3, 240), QUASH_OK);
    assert_true(hits_number(cache, 3));
    quash_cache_free(cache);
}

static void a_stated_cost_may_be_any_number(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(10, 50);
    put_number(cache, 1, 50);
    quash_token *token = new_token(cache, NULL);
    char object;
    const size_t costs[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 200, SIZE_MAX / 2 + 1, PTRDIFF_MAX};
    for (size_t i = 0; i < sizeof costs / sizeof costs[0]; i++)
        assert_int_equal(quash_cache_put_object(cache, "key", 3, token, &object, NULL, NULL, costs[i], NULL),
                         QUASH_TOO_LARGE);
    assert_true(hits_number(cache, 1));
    quash_token_free(token);
    quash_cache_free(cache);
}

static void a_loaded_value_larger_than_the_budget_is_returned_and_not_kept(void **state)
{
    (void)state;
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.max_bytes = charge_of(5, 10);
    quash_cache *cache = new_cache_with(&options);
    put_text(cache, "small", "v", NULL);
    quash_entry *entry;
    char text[] = "much larger than the ten bytes that fit";
    assert_int_equal(quash_cache_get_or_load(cache, "large", 5, load_text, text, NULL, &entry), QUASH_OK);
    assert_true(entry_is_text(entry, text));
    quash_entry_release(entry);
    assert_false(hits(cache, "large"));
    assert_true(hits(cache, "small"));
    assert_int_equal(stats_of(cache).loads_voided, 0);
    assert_int_equal(stats_of(cache).refused, 1);
    quash_cache_free(cache);
}

static void a_budget_of_nothing_keeps_nothing(void **state)
{
    (void)state;
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.max_bytes = 0;
    quash_cache *cache = new_cache_with(&options);
    assert_int_equal(put_text(cache, "key", "value", NULL), QUASH_TOO_LARGE);
    assert_false(hits(cache, "key"));
    quash_entry *entry;
    char text[] = "loaded";
    assert_int_equal(quash_cache_get_or_load(cache, "key", 3, load_text, text, NULL, &entry), QUASH_OK);
    assert_true(entry_is_text(entry, text));
    quash_entry_release(entry);
    assert_int_equal(stats_of(cache).entries, 0);
    quash_cache_free(cache);
}

/* ---- Many threads ---- */

enum { CHANGERS = 3, KEYS = 64 };

struct crowd {
    quash_cache *cache;
    size_t most_bytes; /* the largest max_bytes there ever is */
    int rounds;
    _Atomic bool stop;
    _Atomic int over;    /* samples above it */
    _Atomic int refused; /* puts that were */
    _Atomic int samples;
};

static uint32_t next_random(uint32_t *random)
{
    return *random = *random * 1664525 + 1013904223;
}

static void sample(struct crowd *crowd)
{
    quash_cache_stats stats = stats_of(crowd->cache);
    atomic_fetch_add(&crowd->samples, 1);
    if (stats.bytes > crowd->most_bytes)
        atomic_fetch_add(&crowd->over, 1);
}

static void *change(void *context)
{
    struct crowd *crowd = context;
    uint32_t random = (uint32_t)(uintptr_t)&random | 1;
    for (int i = 0; i < crowd->rounds; i++) {
        uint32_t drawn = next_random(&random) >> 8;
        int key = (int)(drawn % KEYS);
        size_t size = drawn / KEYS % 256;
        uint32_t what = drawn >> 16 & 15;
        if (what < 3)
            quash_cache_remove(crowd->cache, &key, sizeof key);
        else if (what == 3)
            quash_table_cancel(quash_cache_table(crowd->cache), "some");
        else if (put_number_with(crowd->cache, key, size, what < 7 ? "some" : NULL, NULL) != QUASH_OK)
            atomic_fetch_add(&crowd->refused, 1);
        hits_number(crowd->cache, (int)(drawn / 7 % KEYS));
    }
    return NULL;
}

static void *watch_bytes(void *context)
{
    struct crowd *crowd = context;
    while (!atomic_load(&crowd->stop)) {
        sample(crowd);
        sched_yield();
    }
    return NULL;
}

static bool add_charge(const void *key, size_t key_size, quash_entry *entry, void *context)
{
    (void)key, (void)key_size;
    *(uint64_t *)context += entry_charge(held_entry(entry));
    return true;
}

static void crowd_run(struct crowd *crowd, void *(*meanwhile)(void *))
{
    pthread_t changers[CHANGERS];
    pthread_t other = thread_start(meanwhile, crowd);
    for (int i = 0; i < CHANGERS; i++)
        changers[i] = thread_start(change, crowd);
    for (int i = 0; i < CHANGERS; i++)
        thread_join(changers[i]);
    atomic_store(&crowd->stop, true);
    thread_join(other);

    maintain_to_the_end(crowd->cache, 1000);
    uint64_t sum = 0;
    assert_int_equal(quash_cache_each(crowd->cache, add_charge, &sum), QUASH_OK);
    assert_int_equal(stats_of(crowd->cache).bytes, sum);
    assert_true(sum <= stats_of(crowd->cache).max_bytes);
    assert_int_equal(crowd->over, 0);
    quash_cache_clear(crowd->cache);
    assert_int_equal(stats_of(crowd->cache).bytes, 0);
    assert_int_equal(stats_of(crowd->cache).entries, 0);
    quash_cache_free(crowd->cache);
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { CROWD_ROUNDS = 8000 };
#else
enum { CROWD_ROUNDS = 80000 };
#endif

static void bytes_never_exceeds_max_bytes_whoever_looks_while_others_change(void **state)
{
    (void)state;
    struct crowd crowd = {.cache = cache_for_entries(20, 128), .rounds = CROWD_ROUNDS};
    crowd.most_bytes = (size_t)stats_of(crowd.cache).max_bytes;
    crowd_run(&crowd, watch_bytes);
    assert_true(crowd.samples > 0);
}

static void a_put_is_never_refused_because_others_put_at_the_same_time(void **state)
{
    (void)state;
    /* Room for two of the largest: three who put at once cannot all have a place at once, but one after the other. */
    struct crowd crowd = {.cache = cache_for_entries(2, 255), .rounds = CROWD_ROUNDS};
    crowd.most_bytes = (size_t)stats_of(crowd.cache).max_bytes;
    crowd_run(&crowd, watch_bytes);
    assert_int_equal(crowd.refused, 0);
}

static void *resize(void *context)
{
    struct crowd *crowd = context;
    uint32_t random = 7;
    while (!atomic_load(&crowd->stop)) {
        size_t max_bytes = crowd->most_bytes / (1 + next_random(&random) / 3 % 16);
        if (quash_cache_resize(crowd->cache, max_bytes) != QUASH_OK)
            support_fail("a resize did not find what to evict");
        /* Nobody else resizes, so from here on that is the bound. */
        for (int i = 0; i < 3; i++) {
            if (stats_of(crowd->cache).bytes > max_bytes)
                atomic_fetch_add(&crowd->over, 1);
            sched_yield();
        }
    }
    return NULL;
}

static void nor_once_a_resize_has_returned(void **state)
{
    (void)state;
    struct crowd crowd = {.cache = cache_for_entries(20, 255), .rounds = CROWD_ROUNDS / 2};
    crowd.most_bytes = (size_t)stats_of(crowd.cache).max_bytes;
    crowd_run(&crowd, resize);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_values_costs_and_groups_are_counted),
        cmocka_unit_test(bytes_is_the_sum_of_what_is_there_after_whatever_was_done),
        cmocka_unit_test(max_bytes_is_never_exceeded_and_the_newcomer_is_there),
        cmocka_unit_test(replacing_in_a_full_cache_evicts_no_third),
        cmocka_unit_test(one_large_entry_drives_out_the_others_and_stays),
        cmocka_unit_test(a_value_larger_than_the_budget_is_refused_and_empties_nothing),
        cmocka_unit_test(a_stated_cost_may_be_any_number),
        cmocka_unit_test(a_loaded_value_larger_than_the_budget_is_returned_and_not_kept),
        cmocka_unit_test(a_budget_of_nothing_keeps_nothing),
        cmocka_unit_test(bytes_never_exceeds_max_bytes_whoever_looks_while_others_change),
        cmocka_unit_test(a_put_is_never_refused_because_others_put_at_the_same_time),
        cmocka_unit_test(nor_once_a_resize_has_returned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
