/* Option structs of this and other versions of the library, and arguments outside their range. */
#include <stdlib.h>

#include "cache.h"
#include "cache_support.h"

static void the_defaults_are_those_of_the_header(void **state)
{
    (void)state;
    const quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    const quash_cache_options *const ways[] = {NULL, &options};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        quash_cache *cache;
        assert_int_equal(quash_cache_new(ways[i], &cache), QUASH_OK);
        assert_int_equal(stats_of(cache).max_bytes, 64 * 1024 * 1024);
        assert_int_equal(cache->ttl_ms, 5 * 60 * 1000);
        assert_int_equal(cache->sliding_ms, QUASH_SLIDING_NONE);
        assert_int_equal(cache->load_timeout_ms, 10 * 1000);
        assert_int_equal(cache->soft_timeout_ms, QUASH_TIMEOUT_NONE);
        assert_int_equal(cache->detached_ttl_ms, 0);
        assert_int_equal(cache->absent_ttl_ms, 0);
        assert_int_equal(cache->fail_safe_ms, 0);
        assert_int_equal(cache->ttl_jitter_percent + cache->eager_percent, 0);
        assert_null(cache->maintenance);
        assert_non_null(quash_cache_table(cache));
        quash_cache_free(cache);
    }
}

/* A copy with so many bytes and not one more: `from`, cut off, or followed by `more` bytes of `fill`. */
static void *options_of_size(const void *from, size_t from_size, size_t size, unsigned char fill)
{
    unsigned char *options = malloc(size);
    assert_non_null(options);
    memset(options, fill, size);
    memcpy(options, from, size < from_size ? size : from_size);
    memcpy(options, &size, sizeof size < size ? sizeof size : size);
    return options;
}

static void cache_options_of_an_older_version_leave_the_rest_at_its_default(void **state)
{
    (void)state;
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.ttl_ms = 1234;
    options.sliding_ms = 99;
    options.ttl_jitter_percent = 1000; /* would be refused if it were read */
    void *older = options_of_size(&options, sizeof options, offsetof(quash_cache_options, sliding_ms), 0);
    quash_cache *cache;
    assert_int_equal(quash_cache_new(older, &cache), QUASH_OK);
    assert_int_equal(cache->ttl_ms, 1234);
    assert_int_equal(cache->sliding_ms, QUASH_SLIDING_NONE);
    free(older);
    quash_cache_free(cache);

    void *oldest = options_of_size(&options, sizeof options, sizeof(size_t), 0);
    assert_int_equal(quash_cache_new(oldest, &cache), QUASH_OK);
    assert_int_equal(cache->ttl_ms, 5 * 60 * 1000);
    free(oldest);
    quash_cache_free(cache);
}

static void cache_options_of_a_newer_version_must_not_ask_for_what_is_not_there(void **state)
{
    (void)state;
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.ttl_ms = 1234;
    quash_cache *cache = NULL;
    void *newer = options_of_size(&options, sizeof options, sizeof options + 24, 0);
    assert_int_equal(quash_cache_new(newer, &cache), QUASH_OK);
    assert_int_equal(cache->ttl_ms, 1234);
    quash_cache_free(cache);
    cache = NULL;
    ((unsigned char *)newer)[sizeof options + 23] = 1;
    assert_int_equal(quash_cache_new(newer, &cache), QUASH_INVALID);
    ((unsigned char *)newer)[sizeof options + 23] = 0;
    ((unsigned char *)newer)[sizeof options] = 1;
    assert_int_equal(quash_cache_new(newer, &cache), QUASH_INVALID);
    free(newer);
    options.struct_size = 0;
    assert_int_equal(quash_cache_new(&options, &cache), QUASH_INVALID);
    options.struct_size = sizeof options.struct_size - 1;
    assert_int_equal(quash_cache_new(&options, &cache), QUASH_INVALID);
    assert_null(cache);
}

static void entry_options_of_other_versions_are_read_the_same_way(void **state)
{
    (void)state;
    struct manual_clock clock = {5000};
    quash_cache_options cache_options = QUASH_CACHE_OPTIONS_INIT;
    cache_options.clock_ms = manual_clock_ms;
    cache_options.clock_context = &clock;
    quash_cache *cache = new_cache_with(&cache_options);
    quash_token *token = new_token(cache, NULL);
    const quash_entry_options options = {0, 100, 1, (quash_priority)99};

    void *older = options_of_size(&options, sizeof options, offsetof(quash_entry_options, sliding_ms), 0);
    assert_int_equal(quash_cache_put(cache, "k", 1, token, "v", 1, older), QUASH_OK);
    free(older);
    manual_clock_advance(&clock, 99);
    assert_true(hits(cache, "k"));
    manual_clock_advance(&clock, 1);
    assert_false(hits(cache, "k"));

    void *same = options_of_size(&options, sizeof options, sizeof options, 0);
    assert_int_equal(quash_cache_put(cache, "k", 1, token, "v", 1, same), QUASH_INVALID); /* that priority */
    free(same);
    const quash_entry_options fine = QUASH_ENTRY_OPTIONS_INIT;
    void *newer = options_of_size(&fine, sizeof fine, sizeof fine + 9, 0);
    assert_int_equal(quash_cache_put(cache, "k", 1, token, "v", 1, newer), QUASH_OK);
    free(newer);
    newer = options_of_size(&fine, sizeof fine, sizeof fine + 9, 1);
    assert_int_equal(quash_cache_put(cache, "k", 1, token, "v", 1, newer), QUASH_INVALID);
    assert_true(hits(cache, "k")); /* nothing was done */
    free(newer);

    quash_fill *fill;
    assert_int_equal(quash_fill_begin(cache, "f", 1, &fill), QUASH_OK);
    quash_entry_options none = QUASH_ENTRY_OPTIONS_INIT;
    none.struct_size = 0;
    assert_int_equal(quash_fill_set_options(fill, &none), QUASH_INVALID);
    assert_int_equal(quash_fill_set_options(fill, NULL), QUASH_INVALID);
    assert_int_equal(quash_fill_set_options(fill, &fine), QUASH_OK);
    quash_fill_abandon(fill, QUASH_LOAD_FAILED);
    quash_token_free(token);
    quash_cache_free(cache);
}

static void get_options_and_stats_of_other_versions_too(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_get_options options = QUASH_GET_OPTIONS_INIT;
    quash_entry *entry = NULL;
    char text[] = "value";
    options.struct_size = 0;
    assert_int_equal(quash_cache_get_or_load(cache, "k", 1, load_text, text, &options, &entry), QUASH_INVALID);
    assert_null(entry);
    void *older = options_of_size(&options, sizeof options, sizeof(size_t), 0);
    assert_int_equal(quash_cache_get_or_load(cache, "k", 1, load_text, text, older, &entry), QUASH_OK);
    free(older);
    quash_entry_release(entry);
    void *newer = options_of_size(&options, sizeof options, sizeof options + 8, 1);
    assert_int_equal(quash_cache_get_or_load(cache, "k", 1, load_text, text, newer, &entry), QUASH_INVALID);
    free(newer);

    assert_true(hits(cache, "k"));
    quash_cache_stats stats = {.struct_size = offsetof(quash_cache_stats, hits_absent), .hits_absent = 77};
    assert_int_equal(quash_cache_get_stats(cache, &stats), QUASH_OK);
    assert_int_equal(stats.struct_size, offsetof(quash_cache_stats, hits_absent));
    assert_int_equal(stats.hits, 1);
    assert_int_equal(stats.hits_absent, 77);
    struct {
        quash_cache_stats known;
        uint64_t unknown;
    } larger = {{.struct_size = sizeof larger}, 77};
    assert_int_equal(quash_cache_get_stats(cache, &larger.known), QUASH_OK);
    assert_int_equal(larger.known.hits, 1);
    assert_int_equal(larger.known.max_bytes, 64 * 1024 * 1024);
    assert_int_equal(larger.unknown, 77);
    stats.struct_size = 0;
    assert_int_equal(quash_cache_get_stats(cache, &stats), QUASH_INVALID);
    assert_int_equal(quash_cache_get_stats(cache, NULL), QUASH_INVALID);
    assert_int_equal(quash_cache_get_stats(NULL, &stats), QUASH_INVALID);
    quash_cache_free(cache);
}

static void options_outside_their_range_are_refused(void **state)
{
    (void)state;
    quash_cache *cache = NULL;
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    assert_int_equal(quash_cache_new(&options, NULL), QUASH_INVALID);
    options.ttl_jitter_percent = 101;
    assert_int_equal(quash_cache_new(&options, &cache), QUASH_INVALID);
    options.ttl_jitter_percent = 100;
    options.eager_percent = 100;
    assert_int_equal(quash_cache_new(&options, &cache), QUASH_INVALID);
    options.eager_percent = 99;
    options.load_on_executor = true; /* without one */
    assert_int_equal(quash_cache_new(&options, &cache), QUASH_INVALID);
    assert_null(cache);
    options.load_on_executor = false;
    assert_int_equal(quash_cache_new(&options, &cache), QUASH_OK);
    quash_cache_free(cache);
    quash_cache_free(NULL);
}

static void invalid_arguments_are_refused(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_cache *other = new_cache();
    quash_token *token = new_token(cache, NULL);
    quash_token *others = new_token(other, NULL);
    quash_entry *entry = NULL;
    char text[] = "value";
    assert_null(quash_cache_get(NULL, "k", 1));
    assert_null(quash_cache_get(cache, NULL, 1));
    assert_false(quash_cache_contains(NULL, "k", 1));
    assert_false(quash_cache_contains(cache, NULL, 1));
    assert_false(quash_cache_remove(NULL, "k", 1));
    assert_false(quash_cache_remove(cache, NULL, 1));
    assert_int_equal(quash_cache_put(NULL, "k", 1, token, "v", 1, NULL), QUASH_INVALID);
    assert_int_equal(quash_cache_put(cache, NULL, 1, token, "v", 1, NULL), QUASH_INVALID);
    assert_int_equal(quash_cache_put(cache, "k", 1, NULL, "v", 1, NULL), QUASH_INVALID);
    assert_int_equal(quash_cache_put(cache, "k", 1, token, NULL, 1, NULL), QUASH_INVALID);
    assert_int_equal(quash_cache_put(cache, "k", 1, others, "v", 1, NULL), QUASH_INVALID); /* of another table */
    assert_int_equal(quash_cache_put_object(cache, "k", 1, token, NULL, NULL, NULL, 1, NULL), QUASH_INVALID);
    assert_int_equal(quash_cache_put_object(cache, "k", 1, NULL, text, NULL, NULL, 1, NULL), QUASH_INVALID);
    assert_int_equal(quash_cache_get_or_load(cache, "k", 1, NULL, NULL, NULL, &entry), QUASH_INVALID);
    assert_int_equal(quash_cache_get_or_load(cache, "k", 1, load_text, text, NULL, NULL), QUASH_INVALID);
    assert_int_equal(quash_cache_get_or_load(cache, NULL, 1, load_text, text, NULL, &entry), QUASH_INVALID);
    assert_int_equal(quash_cache_get_or_load(NULL, "k", 1, load_text, text, NULL, &entry), QUASH_INVALID);
    assert_null(entry);
    assert_int_equal(stats_of(cache).entries, 0);
    quash_token_free(token);
    quash_token_free(others);
    quash_cache_free(cache);
    quash_cache_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_those_of_the_header),
        cmocka_unit_test(cache_options_of_an_older_version_leave_the_rest_at_its_default),
        cmocka_unit_test(cache_options_of_a_newer_version_must_not_ask_for_what_is_not_there),
        cmocka_unit_test(entry_options_of_other_versions_are_read_the_same_way),
        cmocka_unit_test(get_options_and_stats_of_other_versions_too),
        cmocka_unit_test(options_outside_their_range_are_refused),
        cmocka_unit_test(invalid_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
