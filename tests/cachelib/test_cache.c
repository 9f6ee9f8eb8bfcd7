/* The cache on one thread: putting and getting, and what makes a hit a miss, but for time (test_expiry.c). */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache_support.h"

/* ---- Putting and getting ---- */

static void a_put_value_is_hit_and_copied(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    char text[] = "value";
    assert_false(hits(cache, "key"));
    assert_int_equal(put_text(cache, "key", text, NULL), QUASH_OK);
    text[0] = 'X';
    assert_true(hits_text(cache, "key", "value"));
    quash_cache_free(cache);
}

static void keys_are_any_bytes_also_none(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_token *token;
    assert_int_equal(quash_token_new(quash_cache_table(cache), &token), QUASH_OK);
    const struct {
        const void *key;
        size_t size;
    } keys[] = {{NULL, 0}, {"\0", 1}, {"\0\0", 2}, {"a\0b", 3}, {"a\0c", 3}, {"a", 1}, {"\xff\xfe", 2}};
    const size_t count = sizeof keys / sizeof keys[0];
    for (size_t i = 0; i < count; i++)
        assert_int_equal(quash_cache_put(cache, keys[i].key, keys[i].size, token, &i, sizeof i, NULL), QUASH_OK);
    for (size_t i = 0; i < count; i++) {
        quash_entry *entry = quash_cache_get(cache, keys[i].key, keys[i].size);
        assert_non_null(entry);
        assert_memory_equal(quash_entry_bytes(entry), &i, sizeof i);
        quash_entry_release(entry);
    }
    assert_true(quash_cache_remove(cache, "", 0));
    assert_null(quash_cache_get(cache, NULL, 0));
    assert_int_equal(stats_of(cache).entries, count - 1);
    quash_token_free(token);
    quash_cache_free(cache);
}

static void values_may_be_empty_and_have_an_address(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    assert_int_equal(put_text(cache, "key", "", NULL), QUASH_OK);
    quash_entry *entry = quash_cache_get(cache, "key", 3);
    assert_non_null(entry);
    assert_int_equal(quash_entry_size(entry), 0);
    assert_non_null(quash_entry_bytes(entry));
    assert_null(quash_entry_object(entry));
    quash_entry_release(entry);
    quash_cache_free(cache);
}

static void bytes_are_aligned_for_any_type(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    for (size_t size = 1; size < 40; size++) {
        char key[40];
        memset(key, 'k', sizeof key);
        quash_token *token;
        assert_int_equal(quash_token_new(quash_cache_table(cache), &token), QUASH_OK);
        assert_int_equal(quash_cache_put(cache, key, size, token, key, size, NULL), QUASH_OK);
        quash_entry *entry = quash_cache_get(cache, key, size);
        assert_int_equal((uintptr_t)quash_entry_bytes(entry) % _Alignof(max_align_t), 0);
        quash_entry_release(entry);
        quash_token_free(token);
    }
    quash_cache_free(cache);
}

static void keys_and_values_may_be_as_long_as_their_limits(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_token *token = new_token(cache, "tenant:42");
    char *key = malloc(QUASH_KEY_MAX + 1);
    assert_non_null(key);
    memset(key, 'k', QUASH_KEY_MAX + 1);
    assert_int_equal(quash_cache_put(cache, key, QUASH_KEY_MAX - 1, token, "shorter", 7, NULL), QUASH_OK);
    assert_int_equal(quash_cache_put(cache, key, QUASH_KEY_MAX, token, "longest", 7, NULL), QUASH_OK);
    assert_int_equal(quash_cache_put(cache, key, QUASH_KEY_MAX + 1, token, "longer", 6, NULL), QUASH_INVALID);
    quash_entry *entry = quash_cache_get(cache, key, QUASH_KEY_MAX);
    assert_true(entry_is_text(entry, "longest"));
    quash_entry_release(entry);
    assert_true(quash_cache_contains(cache, key, QUASH_KEY_MAX));
    assert_null(quash_cache_get(cache, key, QUASH_KEY_MAX + 1));
    assert_false(quash_cache_contains(cache, key, QUASH_KEY_MAX + 1));
    assert_false(quash_cache_remove(cache, key, QUASH_KEY_MAX + 1));
    assert_true(quash_cache_remove(cache, key, QUASH_KEY_MAX));
    free(key);

    /* Refused by its size alone: there are not that many bytes. */
    put_text(cache, "key", "old", NULL);
    assert_int_equal(quash_cache_put(cache, "key", 3, token, "", QUASH_VALUE_MAX + 1, NULL), QUASH_TOO_LARGE);
    assert_int_equal(quash_cache_put(cache, "key", 3, token, "", SIZE_MAX, NULL), QUASH_TOO_LARGE);
    assert_false(hits(cache, "key")); /* the old value is gone all the same */
    assert_int_equal(stats_of(cache).refused, 2);
    quash_token_free(token);
    quash_cache_free(cache);
}

static void a_put_replaces(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    put_text(cache, "key", "old", NULL);
    quash_entry *old = quash_cache_get(cache, "key", 3);
    put_text(cache, "key", "new", NULL);
    assert_true(hits_text(cache, "key", "new"));
    assert_true(entry_is_text(old, "old"));
    assert_int_equal(stats_of(cache).entries, 1);
    quash_entry_release(old);
    quash_cache_free(cache);
}

static void many_keys_are_all_found_and_removed(void **state)
{
    (void)state;
    enum { KEYS = 20000 };
    quash_cache *cache = new_cache();
    quash_token *token;
    assert_int_equal(quash_token_new(quash_cache_table(cache), &token), QUASH_OK);
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(quash_cache_put(cache, &i, sizeof i, token, &i, sizeof i, NULL), QUASH_OK);
    assert_int_equal(stats_of(cache).entries, KEYS);
    for (int i = 0; i < KEYS; i++) {
        quash_entry *entry = quash_cache_get(cache, &i, sizeof i);
        assert_non_null(entry);
        assert_memory_equal(quash_entry_bytes(entry), &i, sizeof i);
        quash_entry_release(entry);
    }
    for (int i = 0; i < KEYS; i++) {
        assert_true(quash_cache_remove(cache, &i, sizeof i));
        int last = KEYS - 1;
        quash_entry *entry = i == last ? NULL : quash_cache_get(cache, &last, sizeof last);
        assert_true(i == last || entry != NULL);
        quash_entry_release(entry);
    }
    assert_int_equal(stats_of(cache).entries, 0);
    assert_int_equal(stats_of(cache).bytes, 0);
    quash_token_free(token);
    quash_cache_free(cache);
}

/* ---- Validity ---- */

static void a_hit_is_refused_after_its_group_is_cancelled(void **state)
{
    (void)state;
    const char *const cancels[] = {"tenant:42", "tenant:*", "*"};
    for (size_t i = 0; i < 3; i++) {
        quash_cache *cache = new_cache();
        put_text(cache, "a", "value", "tenant:42");
        put_text(cache, "b", "value", "region:eu");
        assert_true(hits(cache, "a"));
        assert_int_equal(quash_table_cancel(quash_cache_table(cache), cancels[i]), QUASH_OK);
        assert_false(hits(cache, "a"));
        assert_int_equal(hits(cache, "b"), i < 2);
        quash_cache_stats stats = stats_of(cache);
        assert_int_equal(stats.misses_cancelled, i < 2 ? 1 : 2);
        /* What a lookup finds dead is gone there and then. */
        assert_int_equal(stats.entries, i < 2 ? 1 : 0);
        quash_cache_free(cache);
    }
}

static void a_value_cancelled_before_it_is_put_is_not_kept(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_token *token;
    assert_int_equal(quash_token_new(quash_cache_table(cache), &token), QUASH_OK);
    assert_int_equal(quash_token_add(token, "tenant:42"), QUASH_OK);
    put_text(cache, "key", "older", NULL);
    quash_table_cancel(quash_cache_table(cache), "tenant:42");
    assert_int_equal(quash_cache_put(cache, "key", 3, token, "value", 5, NULL), QUASH_OK);
    assert_int_equal(stats_of(cache).entries, 0);
    assert_false(hits(cache, "key"));
    quash_token_free(token);
    quash_cache_free(cache);
}

static void a_cancel_by_another_process_makes_the_next_hit_a_miss(void **state)
{
    (void)state;
    struct table_place place;
    table_place_make(&place);
    quash_table *server = serve(&place);
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.table = follow(&place);
    quash_cache *cache = new_cache_with(&options);
    put_text(cache, "a", "value", "tenant:42");
    put_text(cache, "b", "value", "tenant:43");
    assert_true(hits(cache, "a"));

    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(quash_table_cancel(server, "tenant:42") == QUASH_OK ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_false(hits(cache, "a"));
    assert_true(hits(cache, "b"));

    quash_cache_free(cache);
    quash_table_close(options.table);
    quash_table_close(server);
    table_place_remove(&place);
}

static void a_replaced_table_cancels_everything_cached_before(void **state)
{
    (void)state;
    struct table_place place;
    table_place_make(&place);
    quash_table *server = serve(&place);
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.table = follow(&place);
    options.detached_ttl_ms = 1000000; /* must not help an entry that a table has stamped */
    quash_cache *cache = new_cache_with(&options);
    put_text(cache, "a", "value", "tenant:42");
    put_text(cache, "b", "value", NULL);
    put_text(cache, "c", "value", NULL);
    assert_true(hits(cache, "a"));

    assert_int_equal(unlink(place.path), 0);
    assert_int_equal(quash_table_refresh(server, NULL, NULL), QUASH_OK);
    assert_false(hits(cache, "a"));
    assert_int_equal(quash_table_refresh(options.table, NULL, NULL), QUASH_OK);
    assert_false(hits(cache, "b"));
    assert_int_equal(stats_of(cache).misses_cancelled, 2);
    put_text(cache, "a", "again", "tenant:42");
    assert_true(hits(cache, "a"));
    assert_false(hits(cache, "c"));

    quash_cache_free(cache);
    quash_table_close(options.table);
    quash_table_close(server);
    table_place_remove(&place);
}

static void nothing_is_served_while_detached_unless_allowed(void **state)
{
    (void)state;
    struct table_place place;
    table_place_make(&place);
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.table = follow(&place);
    quash_cache *cache = new_cache_with(&options);
    assert_int_equal(put_text(cache, "key", "value", NULL), QUASH_OK);
    assert_false(hits(cache, "key"));
    for (int i = 0; i < 2; i++) {
        quash_entry *entry = NULL;
        char text[] = "loaded";
        assert_int_equal(quash_cache_get_or_load(cache, "key", 3, load_text, text, NULL, &entry), QUASH_OK);
        quash_entry_release(entry);
    }
    quash_cache_stats stats = stats_of(cache);
    assert_int_equal(stats.loads, 2);
    assert_int_equal(stats.hits, 0);
    assert_int_equal(stats.entries, 0);
    assert_int_equal(stats.loads_voided, 0);

    /* A table appears, and the cache works. */
    quash_table *server = serve(&place);
    assert_int_equal(quash_table_refresh(options.table, NULL, NULL), QUASH_OK);
    put_text(cache, "key", "value", NULL);
    assert_true(hits(cache, "key"));
    quash_cache_free(cache);
    quash_table_close(options.table);
    quash_table_close(server);
    table_place_remove(&place);
}

static void detached_entries_are_served_within_detached_ttl_ms_until_a_table_appears(void **state)
{
    (void)state;
    struct table_place place;
    table_place_make(&place);
    struct manual_clock clock = {1000};
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.table = follow(&place);
    options.detached_ttl_ms = 100;
    options.clock_ms = manual_clock_ms;
    options.clock_context = &clock;
    quash_cache *cache = new_cache_with(&options);
    put_text(cache, "a", "value", NULL);
    manual_clock_advance(&clock, 99);
    assert_true(hits(cache, "a"));
    manual_clock_advance(&clock, 1);
    assert_false(hits(cache, "a"));
    assert_int_equal(stats_of(cache).misses_detached, 1);

    put_text(cache, "a", "value", NULL);
    assert_true(hits(cache, "a"));
    quash_table *server = serve(&place);
    assert_int_equal(quash_table_refresh(options.table, NULL, NULL), QUASH_OK);
    assert_false(hits(cache, "a"));
    assert_int_equal(stats_of(cache).misses_detached, 2);
    put_text(cache, "b", "value", NULL);

    /* The table ends without a successor: what it stamped is cancelled, what is stamped now is detached. */
    assert_int_equal(unlink(place.path), 0);
    assert_int_equal(quash_table_refresh(server, NULL, NULL), QUASH_OK);
    assert_int_equal(unlink(place.path), 0);
    assert_false(hits(cache, "b"));
    assert_int_equal(stats_of(cache).misses_cancelled, 1);
    put_text(cache, "c", "value", NULL);
    assert_true(hits(cache, "c"));

    quash_cache_free(cache);
    quash_table_close(options.table);
    quash_table_close(server);
    table_place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_put_value_is_hit_and_copied),
        cmocka_unit_test(keys_are_any_bytes_also_none),
        cmocka_unit_test(values_may_be_empty_and_have_an_address),
        cmocka_unit_test(bytes_are_aligned_for_any_type),
        cmocka_unit_test(keys_and_values_may_be_as_long_as_their_limits),
        cmocka_unit_test(a_put_replaces),
        cmocka_unit_test(many_keys_are_all_found_and_removed),
        cmocka_unit_test(a_hit_is_refused_after_its_group_is_cancelled),
        cmocka_unit_test(a_value_cancelled_before_it_is_put_is_not_kept),
        cmocka_unit_test(a_cancel_by_another_process_makes_the_next_hit_a_miss),
        cmocka_unit_test(a_replaced_table_cancels_everything_cached_before),
        cmocka_unit_test(nothing_is_served_while_detached_unless_allowed),
        cmocka_unit_test(detached_entries_are_served_within_detached_ttl_ms_until_a_table_appears),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
