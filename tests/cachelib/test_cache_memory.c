/*
 * Every allocation of the library fails in turn, mappings included: what comes out is a status, nothing is lost,
 * nothing crashes, and the cache works on.
 */
#include <stdio.h>

#include "cache_support.h"
#include "failing.h"

/* ---- Failing each in turn ---- */

/* What is done in a cache that was made for it; returns the first status that was not QUASH_OK. */
typedef quash_status scenario_fn(quash_cache *cache, quash_token *token);

/* Makes a cache, does what is to be done, frees it. */
static quash_status run(const quash_cache_options *options, scenario_fn *scenario)
{
    quash_cache *cache = NULL;
    quash_status status = quash_cache_new(options, &cache);
    assert_true((status == QUASH_OK) == (cache != NULL));
    if (status != QUASH_OK)
        return status;
    quash_token *token = NULL;
    status = quash_token_new(quash_cache_table(cache), &token);
    if (status == QUASH_OK && scenario != NULL) {
        assert_int_equal(quash_token_add(token, "tenant:42"), QUASH_OK);
        status = scenario(cache, token);
    }
    quash_token_free(token);
    quash_cache_free(cache);
    return status;
}

/* A small one that all the caches share: to map one for each is what takes the time. */
static quash_table *table;

static int make_table(void **state)
{
    (void)state;
    return quash_table_new_private(64, &table) == QUASH_OK ? 0 : -1;
}

static int close_table(void **state)
{
    (void)state;
    quash_table_close(table);
    return 0;
}

/* Runs it with the first allocation failing, then the second, and so on until none is left to fail. */
static void fail_each_with(const quash_cache_options *options, scenario_fn *scenario)
{
    int runs = 0;
    for (long nth = 1;; nth++) {
        long live = failing_live();
        long mapped = failing_mapped();
        failing_set(nth);
        quash_status status = run(options, scenario);
        bool happened = failing_happened();
        failing_set(0);
        assert_int_equal(failing_live(), live);
        assert_int_equal(failing_mapped(), mapped);
        if (!happened) {
            assert_int_equal(status, QUASH_OK);
            break;
        }
        assert_true(status == QUASH_NO_MEMORY || status == QUASH_OK);
        runs++;
    }
    printf("%d allocations failed in turn\n", runs);
    assert_true(runs > 0);
}

static void fail_each(scenario_fn *scenario)
{
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.table = table;
    fail_each_with(&options, scenario);
}

static quash_status first_failure(quash_status before, quash_status now)
{
    return before == QUASH_OK ? now : before;
}

/* ---- Making ---- */

static void making_a_cache_fails_cleanly(void **state)
{
    (void)state;
    fail_each_with(NULL, NULL);
}

static void a_cache_with_a_thread_of_its_own_fails_cleanly(void **state)
{
    (void)state;
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.maintenance_thread = true;
    fail_each_with(&options, NULL);
}

static void a_cache_says_so_when_its_thread_cannot_be_had(void **state)
{
    (void)state;
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.maintenance_thread = true;
    quash_cache *cache = NULL;
    long live = failing_live();
    long mapped = failing_mapped();
    failing_threads(true);
    assert_int_equal(quash_cache_new(&options, &cache), QUASH_SYSTEM);
    failing_threads(false);
    assert_null(cache);
    assert_int_equal(failing_live(), live);
    assert_int_equal(failing_mapped(), mapped);
}

static quash_status make_tokens(quash_cache *cache, quash_token *token)
{
    quash_token *second = NULL;
    quash_status status = quash_token_new_at(quash_cache_table(cache), quash_token_stamp(token), &second);
    if (status == QUASH_OK)
        status = quash_token_add(second, "a:b");
    quash_token_free(second);
    return status;
}

static void making_a_token_fails_cleanly(void **state)
{
    (void)state;
    fail_each(make_tokens);
}

/* ---- Putting ---- */

static quash_status put_over_old(quash_cache *cache, quash_token *token)
{
    quash_status status = quash_cache_put(cache, "key", 3, token, "old", 3, NULL);
    if (status != QUASH_OK) {
        assert_false(hits(cache, "key"));
        return status;
    }
    status = quash_cache_put(cache, "key", 3, token, "new", 3, NULL);
    if (status == QUASH_OK)
        assert_true(hits_text(cache, "key", "new"));
    else
        assert_false(hits(cache, "key")); /* the old value would be wrong now */
    quash_cache_clear(cache);
    assert_int_equal(stats_of(cache).bytes, 0);
    return status;
}

static void a_put_without_memory_leaves_no_old_value(void **state)
{
    (void)state;
    fail_each(put_over_old);
}

static quash_status put_large(quash_cache *cache, quash_token *token)
{
    static const char bytes[100000];
    quash_status status = quash_cache_put(cache, "key", 3, token, "small", 5, NULL);
    for (size_t size = 1000; size <= sizeof bytes; size *= 10) {
        quash_status put = quash_cache_put(cache, "key", 3, token, bytes, size, NULL);
        assert_int_equal(hits(cache, "key"), put == QUASH_OK);
        assert_int_equal(stats_of(cache).entries, put == QUASH_OK);
        status = first_failure(status, put);
    }
    return status;
}

static void values_too_large_for_a_slab_fail_the_same_way(void **state)
{
    (void)state;
    fail_each(put_large);
}

static quash_status put_an_object(quash_cache *cache, quash_token *token)
{
    struct counted object = {0};
    quash_status status = quash_cache_put_object(cache, "key", 3, token, &object, counted_destroy, NULL, 1, NULL);
    quash_cache_clear(cache);
    /* On success it was the cache's, on failure it still is the caller's. */
    assert_int_equal(object.destroyed, status == QUASH_OK ? 1 : 0);
    return status;
}

static void an_object_that_could_not_be_put_stays_the_callers(void **state)
{
    (void)state;
    fail_each(put_an_object);
}

/* Each of the 64 indexes grows several times; where every access costs many times as much, once or twice. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { NUMBERS = 300 };
#else
enum { NUMBERS = 3000 };
#endif

static quash_status grow(quash_cache *cache, quash_token *token)
{
    static bool put[NUMBERS];
    quash_status status = QUASH_OK;
    for (int i = 0; i < NUMBERS; i++) {
        quash_status now = quash_cache_put(cache, &i, sizeof i, token, "v", 1, NULL);
        put[i] = now == QUASH_OK;
        status = first_failure(status, now);
    }
    int kept = 0;
    for (int i = 0; i < NUMBERS; i++) {
        assert_int_equal(hits_number(cache, i), put[i]);
        kept += put[i];
    }
    assert_int_equal(stats_of(cache).entries, kept);
    return status;
}

static void an_index_that_cannot_grow_still_finds_everything(void **state)
{
    (void)state;
    fail_each(grow);
}

static quash_status overflow(quash_cache *cache, quash_token *token)
{
    (void)token;
    quash_status status = QUASH_OK;
    for (int i = 0; i < 300; i++) {
        quash_token *own = NULL;
        quash_status now = quash_token_new(quash_cache_table(cache), &own);
        if (now == QUASH_OK)
            now = quash_cache_put(cache, &i, sizeof i, own, "v", 1, NULL);
        assert_true(stats_of(cache).bytes <= stats_of(cache).max_bytes);
        quash_token_free(own);
        status = first_failure(status, now);
    }
    return status;
}

static void a_full_cache_goes_on_evicting(void **state)
{
    (void)state;
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.table = table;
    options.max_bytes = 100 * charge_of(sizeof(int), 1);
    fail_each_with(&options, overflow);
}

/* ---- Loading ---- */

static quash_status load_bytes(quash_fill *fill, void *context)
{
    (void)context;
    quash_status status = quash_fill_add_group(fill, "tenant:42");
    return status == QUASH_OK ? quash_fill_set_bytes(fill, "value", 5) : status;
}

static quash_status get_or_load(quash_cache *cache, quash_token *token)
{
    (void)token;
    quash_entry *entry = NULL;
    quash_status status = quash_cache_get_or_load(cache, "key", 3, load_bytes, NULL, NULL, &entry);
    assert_true((status == QUASH_OK) == (entry != NULL));
    quash_entry_release(entry);
    bool kept = quash_cache_remove(cache, "key", 3);
    assert_true(!kept || status == QUASH_OK);
    /* Nothing is left that would make the next one wait; only the one allocation failed. */
    bool happened = failing_happened();
    if (happened) {
        assert_int_equal(quash_cache_get_or_load(cache, "key", 3, load_bytes, NULL, NULL, &entry), QUASH_OK);
        quash_entry_release(entry);
        assert_true(hits(cache, "key"));
    }
    return happened ? QUASH_NO_MEMORY : status;
}

static struct counted filled;

static quash_status fill_with_object(quash_cache *cache, quash_token *token)
{
    (void)token;
    filled.destroyed = 0;
    quash_fill *fill = NULL;
    quash_status status = quash_fill_begin(cache, "key", 3, &fill);
    if (status != QUASH_OK) {
        assert_null(fill);
        return status;
    }
    assert_int_equal(quash_fill_set_object(fill, &filled, counted_destroy, NULL, 1), QUASH_OK);
    bool kept = false;
    status = quash_fill_commit(fill, NULL, &kept);
    assert_int_equal(filled.destroyed, status == QUASH_OK && kept ? 0 : 1);
    quash_cache_clear(cache);
    assert_int_equal(filled.destroyed, 1);
    return status;
}

static void a_fill_without_memory_destroys_its_object_once(void **state)
{
    (void)state;
    fail_each(fill_with_object);
}

static quash_status begin_and_wait(quash_cache *cache, quash_token *token)
{
    (void)token;
    quash_notifier *notifier = NULL;
    quash_status status = quash_notifier_new(&notifier);
    if (status != QUASH_OK)
        return status;
    quash_entry *entry;
    quash_fill *fill = NULL, *none = NULL;
    int tag;
    status = quash_cache_get_or_begin(cache, "key", 3, notifier, &tag, &entry, &fill);
    if (status == QUASH_MISS) {
        status = quash_cache_get_or_begin(cache, "key", 3, notifier, &tag, &entry, &none);
        assert_true(status == QUASH_BUSY || status == QUASH_NO_MEMORY);
        quash_notice notice;
        bool waits = status == QUASH_BUSY;
        quash_status set = quash_fill_set_bytes(fill, "value", 5);
        quash_status committed = set == QUASH_OK ? quash_fill_commit(fill, NULL, NULL) : set;
        if (set != QUASH_OK)
            quash_fill_abandon(fill, set);
        assert_int_equal(quash_notifier_next(notifier, &notice), waits);
        if (waits) {
            assert_int_equal(notice.status, committed);
            quash_entry_release(notice.entry);
        }
        status = first_failure(waits ? QUASH_OK : status, committed);
    }
    quash_notifier_free(notifier);
    return status;
}

static void an_event_loop_without_memory_is_told(void **state)
{
    (void)state;
    fail_each(begin_and_wait);
}

static void a_load_without_memory_fails_cleanly(void **state)
{
    (void)state;
    fail_each(get_or_load);
}

struct waiter {
    quash_cache *cache;
    quash_status status;
    quash_entry *entry;
};

static void *wait_for_load(void *context)
{
    struct waiter *waiter = context;
    waiter->status = quash_cache_get_or_load(waiter->cache, "key", 3, load_bytes, NULL, NULL, &waiter->entry);
    return NULL;
}

static void a_commit_without_memory_reaches_those_who_wait(void **state)
{
    (void)state;
    enum { WAITERS = 4 };
    quash_cache *cache = new_cache();
    quash_fill *fill;
    assert_int_equal(quash_fill_begin(cache, "key", 3, &fill), QUASH_OK);
    assert_int_equal(quash_fill_set_bytes(fill, "value", 5), QUASH_OK);
    struct waiter waiters[WAITERS];
    pthread_t threads[WAITERS];
    for (int i = 0; i < WAITERS; i++) {
        waiters[i] = (struct waiter){cache, QUASH_OK, NULL};
        threads[i] = thread_start(wait_for_load, &waiters[i]);
    }
    await_waits(cache, WAITERS);
    failing_set(1);
    assert_int_equal(quash_fill_commit(fill, NULL, NULL), QUASH_NO_MEMORY);
    failing_set(0);
    for (int i = 0; i < WAITERS; i++) {
        thread_join(threads[i]);
        assert_int_equal(waiters[i].status, QUASH_NO_MEMORY);
        assert_null(waiters[i].entry);
    }
    quash_cache_free(cache);
}

/* ---- Walking, bounds, maintenance ---- */

static bool count_met(const void *key, size_t key_size, quash_entry *entry, void *context)
{
    (void)key, (void)key_size, (void)entry;
    ++*(int *)context;
    return true;
}

static quash_status walk(quash_cache *cache, quash_token *token)
{
    quash_status status = QUASH_OK;
    for (int i = 0; i < 40; i++)
        status = first_failure(status, quash_cache_put(cache, &i, sizeof i, token, "v", 1, NULL));
    int entries = (int)stats_of(cache).entries;
    int met = 0;
    quash_status walked = quash_cache_each(cache, count_met, &met);
    assert_true(walked == QUASH_OK ? met == entries : met < entries);
    return first_failure(status, walked);
}

static void a_walk_without_memory_says_so(void **state)
{
    (void)state;
    fail_each(walk);
}

static quash_status maintain(quash_cache *cache, quash_token *token)
{
    quash_status status = QUASH_OK;
    for (int i = 0; i < NUMBERS; i++)
        status = first_failure(status, quash_cache_put(cache, &i, sizeof i, token, "v", 1, NULL));
    status = first_failure(status, quash_cache_resize(cache, NUMBERS * 50));
    assert_true(stats_of(cache).bytes <= NUMBERS * 50);
    assert_int_equal(quash_table_cancel(quash_cache_table(cache), "tenant:42"), QUASH_OK);
    /* Also if no smaller index can be had. */
    maintain_to_the_end(cache, 100);
    assert_int_equal(stats_of(cache).entries, 0);
    assert_int_equal(stats_of(cache).bytes, 0);
    return status;
}

static void maintenance_needs_no_memory(void **state)
{
    (void)state;
    fail_each(maintain);
}

static void a_hit_allocates_nothing(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    put_text(cache, "key", "value", "tenant:42");
    failing_set(1);
    for (int i = 0; i < 1000; i++) {
        /* Every other time something else is cancelled, so that the entry is looked at anew. */
        if (i % 2 == 0)
            quash_table_cancel(quash_cache_table(cache), "tenant:43");
        assert_true(hits_text(cache, "key", "value"));
        assert_true(quash_cache_contains(cache, "key", 3));
    }
    assert_false(failing_happened());
    failing_set(0);
    quash_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hit_allocates_nothing),
        cmocka_unit_test(making_a_cache_fails_cleanly),
        cmocka_unit_test(a_cache_with_a_thread_of_its_own_fails_cleanly),
        cmocka_unit_test(a_cache_says_so_when_its_thread_cannot_be_had),
        cmocka_unit_test(making_a_token_fails_cleanly),
        cmocka_unit_test(a_put_without_memory_leaves_no_old_value),
        cmocka_unit_test(values_too_large_for_a_slab_fail_the_same_way),
        cmocka_unit_test(an_object_that_could_not_be_put_stays_the_callers),
        cmocka_unit_test(an_index_that_cannot_grow_still_finds_everything),
        cmocka_unit_test(a_full_cache_goes_on_evicting),
        cmocka_unit_test(a_load_without_memory_fails_cleanly),
        cmocka_unit_test(a_fill_without_memory_destroys_its_object_once),
        cmocka_unit_test(an_event_loop_without_memory_is_told),
        cmocka_unit_test(a_commit_without_memory_reaches_those_who_wait),
        cmocka_unit_test(a_walk_without_memory_says_so),
        cmocka_unit_test(maintenance_needs_no_memory),
    };
    return cmocka_run_group_tests(tests, make_table, close_table);
}
