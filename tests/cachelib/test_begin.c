/* quash_cache_get_or_begin: the lookup that never blocks, and what it answers. */
#include "load_support.h"

struct asked {
    quash_status status;
    quash_entry *entry;
    quash_fill *fill;
};

/* Outputs that are not written would be seen. */
static struct asked begin(quash_cache *cache, const char *key, quash_notifier *notifier, void *tag)
{
    static char junk;
    struct asked asked = {QUASH_OK, (quash_entry *)(void *)&junk, (quash_fill *)(void *)&junk};
    asked.status = quash_cache_get_or_begin(cache, key, strlen(key), notifier, tag, &asked.entry, &asked.fill);
    return asked;
}

static void commit_text(quash_fill *fill, const char *text)
{
    assert_int_equal(quash_fill_set_bytes(fill, text, strlen(text)), QUASH_OK);
    assert_int_equal(quash_fill_commit(fill, NULL, NULL), QUASH_OK);
}

static quash_notifier *new_notifier(void)
{
    quash_notifier *notifier = NULL;
    assert_int_equal(quash_notifier_new(&notifier), QUASH_OK);
    return notifier;
}

static void a_miss_gives_the_fill_and_then_a_hit_the_value(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    struct asked asked = begin(cache, "key", NULL, NULL);
    assert_int_equal(asked.status, QUASH_MISS);
    assert_null(asked.entry);
    assert_non_null(asked.fill);
    commit_text(asked.fill, "value");
    asked = begin(cache, "key", NULL, NULL);
    assert_int_equal(asked.status, QUASH_OK);
    assert_true(entry_is_text(asked.entry, "value"));
    assert_null(asked.fill);
    quash_entry_release(asked.entry);
    quash_cache_stats stats = stats_of(cache);
    assert_int_equal(stats.hits, 1);
    assert_int_equal(stats.misses_absent, 1);
    assert_int_equal(stats.loads, 1);
    quash_cache_free(cache);
}

static void while_another_loads_it_is_busy_and_has_no_fill(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    struct asked first = begin(cache, "key", NULL, NULL);
    struct asked second = begin(cache, "key", NULL, NULL);
    assert_int_equal(second.status, QUASH_BUSY);
    assert_null(second.entry);
    assert_null(second.fill);
    assert_int_equal(stats_of(cache).waits, 0); /* without a notifier it waits for nothing */
    quash_fill_abandon(first.fill, QUASH_OK);
    first = begin(cache, "key", NULL, NULL);
    assert_int_equal(first.status, QUASH_MISS);
    quash_fill_abandon(first.fill, QUASH_OK);
    quash_cache_free(cache);
}

static void threads_and_event_loops_wait_for_each_others_loads(void **state)
{
    (void)state;
    quash_notifier *notifier = new_notifier();
    struct gate read = GATE_INIT, proceed = GATE_INIT;
    struct source source = {.cache = new_cache(), .version = 6, .read = &read, .proceed = &proceed};
    struct caller loader = {.source = &source};
    pthread_t loading = thread_start(ask_thread, &loader);
    gate_pass(&read);
    int tag;
    assert_int_equal(begin(source.cache, "key", notifier, &tag).status, QUASH_BUSY);
    gate_open(&proceed);
    thread_join(loading);
    quash_notice notice;
    assert_true(quash_notifier_next(notifier, &notice));
    assert_ptr_equal(notice.tag, &tag);
    assert_int_equal(notice.status, QUASH_OK);
    assert_memory_equal(quash_entry_bytes(notice.entry), &(int){6}, sizeof(int));
    quash_entry_release(notice.entry);

    quash_cache_clear(source.cache);
    struct asked asked = begin(source.cache, "key", notifier, &tag);
    assert_int_equal(asked.status, QUASH_MISS);
    struct caller waiter = {.source = &source};
    pthread_t waiting = thread_start(ask_thread, &waiter);
    await_waits(source.cache, 2);
    assert_int_equal(quash_fill_set_bytes(asked.fill, &(int){7}, sizeof(int)), QUASH_OK);
    assert_int_equal(quash_fill_commit(asked.fill, NULL, NULL), QUASH_OK);
    thread_join(waiting);
    assert_int_equal(waiter.version, 7);
    assert_false(quash_notifier_next(notifier, &notice));
    assert_int_equal(source.loads, 1);
    quash_notifier_free(notifier);
    quash_cache_free(source.cache);
}

static void what_is_dead_is_a_miss_of_its_kind(void **state)
{
    (void)state;
    struct manual_clock clock = {10};
    quash_cache_options options = options_with_clock(&clock);
    options.ttl_ms = 10;
    quash_cache *cache = new_cache_with(&options);
    assert_int_equal(put_text(cache, "expired", "value", NULL), QUASH_OK);
    manual_clock_advance(&clock, 10);
    assert_int_equal(put_text(cache, "cancelled", "value", "tenant:42"), QUASH_OK);
    quash_table_cancel(quash_cache_table(cache), "tenant:42");
    const char *const keys[] = {"expired", "cancelled"};
    for (int i = 0; i < 2; i++) {
        struct asked asked = begin(cache, keys[i], NULL, NULL);
        assert_int_equal(asked.status, QUASH_MISS);
        quash_fill_abandon(asked.fill, QUASH_OK);
    }
    assert_int_equal(stats_of(cache).misses_expired, 1);
    assert_int_equal(stats_of(cache).misses_cancelled, 1);
    assert_int_equal(stats_of(cache).entries, 0);
    quash_cache_free(cache);
}

static void an_expired_value_does_not_stand_in(void **state)
{
    (void)state;
    struct manual_clock clock = {10};
    quash_cache_options options = options_with_clock(&clock);
    options.ttl_ms = 10;
    options.fail_safe_ms = 1000;
    quash_cache *cache = new_cache_with(&options);
    assert_int_equal(put_text(cache, "key", "old", NULL), QUASH_OK);
    manual_clock_advance(&clock, 10);
    struct asked asked = begin(cache, "key", NULL, NULL);
    assert_int_equal(asked.status, QUASH_MISS);
    assert_null(asked.entry);
    commit_text(asked.fill, "new");
    assert_true(hits_text(cache, "key", "new"));
    assert_int_equal(stats_of(cache).hits_stale, 0);
    quash_cache_free(cache);
}

static void a_use_counts_for_sliding_expiry(void **state)
{
    (void)state;
    struct manual_clock clock = {10};
    quash_cache_options options = options_with_clock(&clock);
    options.sliding_ms = 10;
    quash_cache *cache = new_cache_with(&options);
    assert_int_equal(put_text(cache, "key", "value", NULL), QUASH_OK);
    for (int i = 0; i < 5; i++) {
        manual_clock_advance(&clock, 9);
        struct asked asked = begin(cache, "key", NULL, NULL);
        assert_int_equal(asked.status, QUASH_OK);
        quash_entry_release(asked.entry);
    }
    quash_cache_free(cache);
}

static void while_detached_each_asker_has_a_fill_of_its_own(void **state)
{
    (void)state;
    struct table_place place;
    table_place_make(&place);
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.table = follow(&place);
    quash_cache *cache = new_cache_with(&options);
    quash_notifier *notifier = new_notifier();
    char key[] = "key"; /* need not outlive the call */
    struct asked first = begin(cache, key, notifier, NULL);
    struct asked second = begin(cache, key, notifier, NULL);
    memset(key, 'x', 3);
    assert_int_equal(first.status, QUASH_MISS);
    assert_int_equal(second.status, QUASH_MISS);
    quash_entry *entry;
    bool kept = true;
    assert_int_equal(quash_fill_add_group(first.fill, "tenant:42"), QUASH_OK);
    assert_int_equal(quash_fill_set_bytes(first.fill, "one", 3), QUASH_OK);
    assert_int_equal(quash_fill_commit(first.fill, &entry, &kept), QUASH_OK);
    assert_false(kept);
    assert_true(entry_is_text(entry, "one"));
    quash_entry_release(entry);
    quash_fill_abandon(second.fill, QUASH_OK);
    quash_notice notice;
    assert_false(quash_notifier_next(notifier, &notice));
    assert_int_equal(stats_of(cache).entries, 0);

    /* Also a key without any bytes. */
    struct asked empty = begin(cache, "", notifier, NULL);
    assert_int_equal(empty.status, QUASH_MISS);
    quash_fill_abandon(empty.fill, QUASH_OK);
    quash_notifier_free(notifier);
    quash_cache_free(cache);
    quash_table_close(options.table);
    table_place_remove(&place);
}

static quash_status begin_own_key(quash_fill *fill, void *context)
{
    struct asked asked = begin(context, "key", NULL, NULL);
    if (asked.status != QUASH_BUSY || asked.entry != NULL || asked.fill != NULL)
        return QUASH_INVALID;
    return quash_fill_set_bytes(fill, "value", 5);
}

static void inside_a_load_of_the_key_it_is_busy(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_entry *entry;
    assert_int_equal(quash_cache_get_or_load(cache, "key", 3, begin_own_key, cache, NULL, &entry), QUASH_OK);
    quash_entry_release(entry);
    quash_cache_free(cache);
}

static void invalid_arguments_are_refused(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_entry *entry;
    quash_fill *fill;
    assert_int_equal(quash_cache_get_or_begin(NULL, "k", 1, NULL, NULL, &entry, &fill), QUASH_INVALID);
    assert_int_equal(quash_cache_get_or_begin(cache, NULL, 1, NULL, NULL, &entry, &fill), QUASH_INVALID);
    assert_int_equal(quash_cache_get_or_begin(cache, "k", QUASH_KEY_MAX + 1, NULL, NULL, &entry, &fill), QUASH_INVALID);
    assert_int_equal(quash_cache_get_or_begin(cache, "k", 1, NULL, NULL, NULL, &fill), QUASH_INVALID);
    assert_int_equal(quash_cache_get_or_begin(cache, "k", 1, NULL, NULL, &entry, NULL), QUASH_INVALID);
    quash_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_miss_gives_the_fill_and_then_a_hit_the_value),
        cmocka_unit_test(while_another_loads_it_is_busy_and_has_no_fill),
        cmocka_unit_test(threads_and_event_loops_wait_for_each_others_loads),
        cmocka_unit_test(what_is_dead_is_a_miss_of_its_kind),
        cmocka_unit_test(an_expired_value_does_not_stand_in),
        cmocka_unit_test(a_use_counts_for_sliding_expiry),
        cmocka_unit_test(while_detached_each_asker_has_a_fill_of_its_own),
        cmocka_unit_test(inside_a_load_of_the_key_it_is_busy),
        cmocka_unit_test(invalid_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
