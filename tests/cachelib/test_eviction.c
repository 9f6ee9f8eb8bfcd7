/* The byte budget: what is counted, what is evicted for it, what is refused. */
#include "cache.h"
#include "cache_support.h"

static void keys_values_and_groups_are_counted_to_the_byte(void **state)
{
    (void)state;
    size_t base = charge_of(0, 0);
    assert_true(base > 0);
    assert_int_equal(charge_of(10, 0), base + 10);
    assert_int_equal(charge_of(0, 100), base + 100);
    quash_cache *cache = new_cache();
    put_text(cache, "", "", "tenant:42");
    assert_int_equal(stats_of(cache).bytes, base + 2 * sizeof(uint64_t));
    quash_cache_free(cache);
}

static void a_full_cache_evicts_the_least_recently_used(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(100, 50);
    for (int i = 0; i < 100; i++)
        put_number(cache, i, 50);
    assert_int_equal(stats_of(cache).entries, 100);
    assert_int_equal(stats_of(cache).evictions, 0);
    for (int i = 0; i < 100; i += 2) /* the even ones are used again, in order */
        assert_true(hits_number(cache, i));
    for (int i = 0; i < 75; i++)
        put_number(cache, 1000 + i, 50);
    quash_cache_stats stats = stats_of(cache);
    assert_int_equal(stats.evictions, 75);
    assert_int_equal(stats.entries, 100);
    /* First the 50 odd ones went, then the first 25 even ones. */
    for (int i = 0; i < 100; i++)
        assert_int_equal(hits_number(cache, i), i % 2 == 0 && i >= 50);
    for (int i = 0; i < 75; i++)
        assert_true(hits_number(cache, 1000 + i));
    quash_cache_free(cache);
}

static void max_bytes_is_never_exceeded_after_a_put(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(20, 50);
    size_t max_bytes = 20 * charge_of(sizeof(int), 50);
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(put_number(cache, i, (size_t)(i * 37 % 256)), QUASH_OK);
        assert_true(stats_of(cache).bytes <= max_bytes);
        assert_true(hits_number(cache, i));
    }
    quash_cache_free(cache);
}

static void replacing_in_a_full_cache_evicts_nothing(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(10, 50);
    for (int i = 0; i < 10; i++)
        put_number(cache, i, 50);
    for (int i = 0; i < 10; i++)
        put_number(cache, i, 50);
    assert_int_equal(stats_of(cache).evictions, 0);
    assert_int_equal(stats_of(cache).entries, 10);
    quash_cache_free(cache);
}

static void eviction_spares_the_newcomer_while_there_is_another(void **state)
{
    (void)state;
    /* Here the newcomer is the one used longest ago, as if others had been hit right after it came. */
    quash_cache *cache = cache_for_entries(3, 50);
    for (int i = 0; i < 3; i++)
        put_number(cache, i, 50);
    int key = 0;
    quash_entry *newcomer = quash_cache_get(cache, &key, sizeof key);
    assert_true(hits_number(cache, 1));
    assert_true(hits_number(cache, 2));
    struct entry_list dead = {NULL};
    cache->max_bytes = newcomer->charge;
    cache_evict(cache, newcomer, &dead);
    entry_list_release(&dead);
    assert_true(hits_number(cache, 0));
    assert_int_equal(stats_of(cache).evictions, 2);
    cache->max_bytes = 0;
    cache_evict(cache, newcomer, &dead); /* comes to an end although it finds nothing more to evict */
    assert_true(hits_number(cache, 0));
    quash_entry_release(newcomer);
    quash_cache_free(cache);
}

struct insertion {
    quash_cache *cache;
    int key;
    bool by_fill;
};

static void *insert_number(void *context)
{
    struct insertion *insertion = context;
    quash_fill *fill;
    if (!insertion->by_fill) {
        put_number(insertion->cache, insertion->key, 50);
        return NULL;
    }
    char bytes[50] = {0};
    if (quash_fill_begin(insertion->cache, &insertion->key, sizeof insertion->key, &fill) != QUASH_OK ||
        quash_fill_set_bytes(fill, bytes, sizeof bytes) != QUASH_OK || quash_fill_commit(fill, NULL, NULL) != QUASH_OK)
        support_fail("a fill failed");
    return NULL;
}

static bool is_over_budget(void *context)
{
    quash_cache *cache = context;
    return atomic_load(&cache->bytes) > cache->max_bytes;
}

static struct shard *shard_of_number(quash_cache *cache, int number)
{
    struct key key;
    assert_true(cache_key(cache, &number, sizeof number, &key));
    return cache_shard(cache, key.hash);
}

static void nobody_else_inserts_until_the_eviction_is_done(void **state)
{
    (void)state;
    for (int by_fill = 0; by_fill < 2; by_fill++) {
        quash_cache *cache = cache_for_entries(4, 50);
        for (int i = 0; i < 4; i++)
            put_number(cache, i, 50);
        /* Holds up the eviction that the insertion makes necessary, at the shard of its victim. */
        struct shard *victims = shard_of_number(cache, 0);
        struct insertion insertion = {cache, 4, by_fill == 1};
        while (shard_of_number(cache, insertion.key) == victims)
            insertion.key++;
        pthread_mutex_lock(&victims->lock);
        pthread_t inserting = thread_start(insert_number, &insertion);
        await(is_over_budget, cache, "nothing was inserted");
        assert_int_not_equal(pthread_mutex_trylock(&cache->insert_lock), 0);
        pthread_mutex_unlock(&victims->lock);
        thread_join(inserting);
        assert_false(is_over_budget(cache));
        assert_false(hits_number(cache, 0));
        assert_true(hits_number(cache, insertion.key));
        quash_cache_free(cache);
    }
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
    options.max_bytes = charge_of(sizeof(int), 255);
    quash_cache *cache = new_cache_with(&options);
    put_number(cache, 1, 0);
    assert_int_equal(put_number(cache, 2, 256), QUASH_TOO_LARGE);
    assert_true(hits_number(cache, 1));
    assert_int_equal(put_number(cache, 1, 256), QUASH_TOO_LARGE);
    assert_false(hits_number(cache, 1)); /* the old value is gone all the same */
    assert_int_equal(stats_of(cache).evictions, 0);
    assert_int_equal(stats_of(cache).bytes, 0);

    /* Exactly as large as the budget is not too large. */
    assert_int_equal(put_number(cache, 3, 255), QUASH_OK);
    assert_true(hits_number(cache, 3));
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
    quash_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_values_and_groups_are_counted_to_the_byte),
        cmocka_unit_test(a_full_cache_evicts_the_least_recently_used),
        cmocka_unit_test(max_bytes_is_never_exceeded_after_a_put),
        cmocka_unit_test(replacing_in_a_full_cache_evicts_nothing),
        cmocka_unit_test(eviction_spares_the_newcomer_while_there_is_another),
        cmocka_unit_test(nobody_else_inserts_until_the_eviction_is_done),
        cmocka_unit_test(one_large_entry_drives_out_the_others_and_stays),
        cmocka_unit_test(a_value_larger_than_the_budget_is_refused_and_empties_nothing),
        cmocka_unit_test(a_loaded_value_larger_than_the_budget_is_returned_and_not_kept),
        cmocka_unit_test(a_budget_of_nothing_keeps_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
