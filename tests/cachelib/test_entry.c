/* Entries: objects, their destructors, and holders that outlive the cache. */
#include "cache_support.h"

static quash_status put_counted(quash_cache *cache, const char *key, struct counted *object, size_t cost,
                                const char *group)
{
    quash_token *token;
    assert_int_equal(quash_token_new(quash_cache_table(cache), &token), QUASH_OK);
    if (group != NULL)
        assert_int_equal(quash_token_add(token, group), QUASH_OK);
    quash_status status =
        quash_cache_put_object(cache, key, strlen(key), token, object, counted_destroy, NULL, cost, NULL);
    quash_token_free(token);
    return status;
}

static void an_object_is_handed_out_as_it_is(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    struct counted object = {0};
    assert_int_equal(put_counted(cache, "key", &object, 123, NULL), QUASH_OK);
    quash_entry *entry = quash_cache_get(cache, "key", 3);
    assert_ptr_equal(quash_entry_object(entry), &object);
    assert_null(quash_entry_bytes(entry));
    assert_int_equal(quash_entry_size(entry), 123);
    quash_entry_release(entry);
    assert_int_equal(object.destroyed, 0);
    quash_cache_free(cache);
    assert_int_equal(object.destroyed, 1);
}

static void an_object_is_destroyed_once_whatever_ends_it(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    struct counted removed = {0}, replaced = {0}, cancelled = {0}, cleared = {0}, freed = {0};
    put_counted(cache, "removed", &removed, 1, NULL);
    put_counted(cache, "replaced", &replaced, 1, NULL);
    put_counted(cache, "cancelled", &cancelled, 1, "tenant:42");
    assert_true(quash_cache_remove(cache, "removed", 7));
    put_text(cache, "replaced", "by this", NULL);
    quash_table_cancel(quash_cache_table(cache), "tenant:42");
    assert_false(hits(cache, "cancelled"));
    assert_int_equal(removed.destroyed, 1);
    assert_int_equal(replaced.destroyed, 1);
    assert_int_equal(cancelled.destroyed, 1);
    put_counted(cache, "cleared", &cleared, 1, NULL);
    quash_cache_clear(cache);
    assert_int_equal(cleared.destroyed, 1);
    put_counted(cache, "freed", &freed, 1, NULL);
    quash_cache_free(cache);
    assert_int_equal(freed.destroyed, 1);
    assert_int_equal(removed.destroyed + replaced.destroyed + cancelled.destroyed + cleared.destroyed, 4);
}

static void an_evicted_object_is_destroyed_once(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(4, 50);
    struct counted object = {0};
    put_counted(cache, "key", &object, 1, NULL);
    for (int i = 0; i < 100; i++)
        put_number(cache, i, 50);
    assert_int_equal(object.destroyed, 1);
    quash_cache_free(cache);
    assert_int_equal(object.destroyed, 1);
}

static void an_object_lives_while_it_is_held(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    struct counted object = {0};
    put_counted(cache, "key", &object, 1, NULL);
    quash_entry *first = quash_cache_get(cache, "key", 3);
    quash_entry *second = quash_entry_acquire(first);
    assert_ptr_equal(first, second);
    quash_cache_remove(cache, "key", 3);
    assert_int_equal(object.destroyed, 0);
    quash_entry_release(first);
    assert_int_equal(object.destroyed, 0);
    quash_cache_free(cache);
    assert_int_equal(object.destroyed, 0);
    assert_ptr_equal(quash_entry_object(second), &object);
    quash_entry_release(second);
    assert_int_equal(object.destroyed, 1);
    quash_entry_release(NULL);
}

static void bytes_outlive_the_cache_while_they_are_held(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    put_text(cache, "key", "value", "tenant:42");
    quash_entry *entry = quash_cache_get(cache, "key", 3);
    quash_cache_free(cache);
    assert_true(entry_is_text(entry, "value"));
    quash_entry_release(entry);
}

static void an_object_that_was_refused_stays_the_callers(void **state)
{
    (void)state;
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.max_bytes = 1000;
    quash_cache *cache = new_cache_with(&options);
    struct counted object = {0};
    assert_int_equal(put_counted(cache, "key", &object, 1001, NULL), QUASH_TOO_LARGE);
    assert_int_equal(put_counted(cache, "key", &object, SIZE_MAX, NULL), QUASH_TOO_LARGE);
    assert_int_equal(quash_cache_put_object(cache, "key", 3, NULL, &object, counted_destroy, NULL, 1, NULL),
                     QUASH_INVALID);
    quash_cache_free(cache);
    assert_int_equal(object.destroyed, 0);
}

static void an_object_that_was_cancelled_before_the_put_is_destroyed(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    struct counted object = {0};
    quash_token *token;
    assert_int_equal(quash_token_new(quash_cache_table(cache), &token), QUASH_OK);
    quash_table_cancel(quash_cache_table(cache), "*");
    assert_int_equal(quash_cache_put_object(cache, "key", 3, token, &object, counted_destroy, NULL, 1, NULL), QUASH_OK);
    assert_int_equal(object.destroyed, 1);
    quash_token_free(token);
    quash_cache_free(cache);
    assert_int_equal(object.destroyed, 1);
}

static void put_back(void *object, void *context)
{
    struct counted *counted = object;
    if (atomic_fetch_add(&counted->destroyed, 1) == 0)
        put_text(context, "from a destructor", "value", NULL);
}

static void a_destructor_may_use_the_cache(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    struct counted object = {0};
    quash_token *token;
    assert_int_equal(quash_token_new(quash_cache_table(cache), &token), QUASH_OK);
    assert_int_equal(quash_cache_put_object(cache, "key", 3, token, &object, put_back, cache, 1, NULL), QUASH_OK);
    assert_true(quash_cache_remove(cache, "key", 3));
    assert_true(hits(cache, "from a destructor"));
    quash_token_free(token);
    quash_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_is_handed_out_as_it_is),
        cmocka_unit_test(an_object_is_destroyed_once_whatever_ends_it),
        cmocka_unit_test(an_evicted_object_is_destroyed_once),
        cmocka_unit_test(an_object_lives_while_it_is_held),
        cmocka_unit_test(bytes_outlive_the_cache_while_they_are_held),
        cmocka_unit_test(an_object_that_was_refused_stays_the_callers),
        cmocka_unit_test(an_object_that_was_cancelled_before_the_put_is_destroyed),
        cmocka_unit_test(a_destructor_may_use_the_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
