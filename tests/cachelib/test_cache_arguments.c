/* Statistics, option structs and arguments outside their range. */
#include "cache_support.h"

#include "cache.h"

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
    quash_cache_stats stats = stats_of(cache);
    assert_int_equal(stats.hits, 2);
    assert_int_equal(stats.misses_absent, 2);
    assert_int_equal(stats.misses_cancelled, 1);
    assert_int_equal(stats.misses_expired + stats.misses_collateral + stats.misses_detached, 0);
    assert_int_equal(stats.loads, 1);
    assert_int_equal(stats.loads_failed + stats.loads_voided + stats.waits + stats.waits_timed_out, 0);
    quash_cache_free(cache);
}

static void options_of_the_wrong_size_are_refused_and_larger_ones_accepted(void **state)
{
    (void)state;
    quash_cache *cache = NULL;
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.struct_size = 0;
    assert_int_equal(quash_cache_new(&options, &cache), QUASH_INVALID);
    options.struct_size = sizeof options - 1;
    assert_int_equal(quash_cache_new(&options, &cache), QUASH_INVALID);
    assert_null(cache);
    assert_int_equal(quash_cache_new(NULL, NULL), QUASH_INVALID);
    options.struct_size = sizeof options + 64;
    assert_int_equal(quash_cache_new(&options, &cache), QUASH_OK);

    quash_token *token;
    assert_int_equal(quash_token_new(quash_cache_table(cache), &token), QUASH_OK);
    quash_entry_options entry_options = QUASH_ENTRY_OPTIONS_INIT;
    entry_options.struct_size--;
    assert_int_equal(quash_cache_put(cache, "k", 1, token, "v", 1, &entry_options), QUASH_INVALID);
    entry_options.struct_size += 9;
    assert_int_equal(quash_cache_put(cache, "k", 1, token, "v", 1, &entry_options), QUASH_OK);

    quash_get_options get_options = QUASH_GET_OPTIONS_INIT;
    get_options.struct_size--;
    quash_entry *entry = NULL;
    char text[] = "value";
    assert_int_equal(quash_cache_get_or_load(cache, "k", 1, load_text, text, &get_options, &entry), QUASH_INVALID);
    assert_null(entry);
    get_options.struct_size += 9;
    assert_int_equal(quash_cache_get_or_load(cache, "k", 1, load_text, text, &get_options, &entry), QUASH_OK);
    quash_entry_release(entry);

    quash_cache_stats stats = QUASH_CACHE_STATS_INIT;
    stats.struct_size--;
    assert_int_equal(quash_cache_get_stats(cache, &stats), QUASH_INVALID);
    assert_int_equal(stats.hits, 0);
    assert_int_equal(quash_cache_get_stats(cache, NULL), QUASH_INVALID);
    quash_token_free(token);
    quash_cache_free(cache);
    quash_cache_free(NULL);
}

static void invalid_arguments_are_refused(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_cache *other = new_cache();
    quash_token *token, *others;
    assert_int_equal(quash_token_new(quash_cache_table(cache), &token), QUASH_OK);
    assert_int_equal(quash_token_new(quash_cache_table(other), &others), QUASH_OK);
    quash_entry *entry = NULL;
    char text[] = "value";
    assert_null(quash_cache_get(NULL, "k", 1));
    assert_null(quash_cache_get(cache, NULL, 1));
    assert_false(quash_cache_remove(cache, NULL, 1));
    assert_int_equal(quash_cache_put(NULL, "k", 1, token, "v", 1, NULL), QUASH_INVALID);
    assert_int_equal(quash_cache_put(cache, NULL, 1, token, "v", 1, NULL), QUASH_INVALID);
    assert_int_equal(quash_cache_put(cache, "k", 1, NULL, "v", 1, NULL), QUASH_INVALID);
    assert_int_equal(quash_cache_put(cache, "k", 1, token, NULL, 1, NULL), QUASH_INVALID);
    assert_int_equal(quash_cache_put(cache, "k", 1, others, "v", 1, NULL), QUASH_INVALID); /* of another table */
    assert_int_equal(quash_cache_put_object(cache, "k", 1, token, NULL, NULL, NULL, 1, NULL), QUASH_INVALID);
    assert_int_equal(quash_cache_get_or_load(cache, "k", 1, NULL, NULL, NULL, &entry), QUASH_INVALID);
    assert_int_equal(quash_cache_get_or_load(cache, "k", 1, load_text, text, NULL, NULL), QUASH_INVALID);
    assert_int_equal(quash_cache_get_or_load(cache, NULL, 1, load_text, text, NULL, &entry), QUASH_INVALID);
    assert_int_equal(quash_cache_get_or_load(NULL, "k", 1, load_text, text, NULL, &entry), QUASH_INVALID);
    assert_null(entry);
    quash_token_free(token);
    quash_token_free(others);
    quash_cache_free(cache);
    quash_cache_free(other);
}

static void the_defaults_are_those_of_the_header(void **state)
{
    (void)state;
    const quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    const quash_cache_options *const ways[] = {NULL, &options};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        quash_cache *cache;
        assert_int_equal(quash_cache_new(ways[i], &cache), QUASH_OK);
        assert_int_equal(cache->max_bytes, 64 * 1024 * 1024);
        assert_int_equal(cache->ttl_ms, 5 * 60 * 1000);
        assert_int_equal(cache->load_timeout_ms, 10 * 1000);
        assert_int_equal(cache->detached_ttl_ms, 0);
        assert_non_null(quash_cache_table(cache));
        quash_cache_free(cache);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_those_of_the_header),
        cmocka_unit_test(every_lookup_is_counted_once),
        cmocka_unit_test(options_of_the_wrong_size_are_refused_and_larger_ones_accepted),
        cmocka_unit_test(invalid_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
