/* The eviction callback: told once for each entry, why, with no lock held. Many threads: test_evicted_threads.c. */
#include <stdio.h>

#include "cache_support.h"

enum { TOLD_MAX = 1000 };

/* What was told, in order. */
struct telling {
    quash_cache *cache;
    int count;
    struct {
        char key[32];
        char value[32];
        quash_eviction reason;
    } told[TOLD_MAX];
    quash_entry *kept; /* acquired by the callback if `keep` */
    bool keep;
    int put; /* by the callback, and kept */
};

static void note(const void *key, size_t key_size, quash_entry *entry, quash_eviction reason, void *context)
{
    struct telling *telling = context;
    if (telling->count == TOLD_MAX || key_size >= sizeof telling->told->key ||
        quash_entry_size(entry) >= sizeof telling->told->value)
        support_fail("more was told than there is");
    memcpy(telling->told[telling->count].key, key, key_size);
    if (quash_entry_bytes(entry) != NULL)
        memcpy(telling->told[telling->count].value, quash_entry_bytes(entry), quash_entry_size(entry));
    telling->told[telling->count++].reason = reason;
    if (telling->keep)
        telling->kept = quash_entry_acquire(entry);
}

static bool told(const struct telling *telling, int nth, const char *key, const char *value, quash_eviction reason)
{
    return nth < telling->count && strcmp(telling->told[nth].key, key) == 0 &&
           strcmp(telling->told[nth].value, value) == 0 && telling->told[nth].reason == reason;
}

static struct manual_clock hand = {5000};

static quash_cache *told_cache(quash_evicted_fn *evicted, void *context, size_t max_bytes)
{
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.evicted = evicted;
    options.evicted_context = context;
    options.clock_ms = manual_clock_ms;
    options.clock_context = &hand;
    if (max_bytes != 0)
        options.max_bytes = max_bytes;
    return new_cache_with(&options);
}

/* ---- Reasons ---- */

static void the_reason_is_told_before_the_call_returns(void **state)
{
    (void)state;
    struct telling telling = {0};
    quash_cache *cache = told_cache(note, &telling, 0);
    put_text(cache, "removed", "1", NULL);
    quash_cache_remove(cache, "removed", 7);
    assert_true(told(&telling, 0, "removed", "1", QUASH_EVICTION_REMOVED));

    put_text(cache, "replaced", "2", NULL);
    put_text(cache, "replaced", "3", NULL);
    assert_true(told(&telling, 1, "replaced", "2", QUASH_EVICTION_REPLACED));

    put_text(cache, "cancelled", "4", "tenant:42");
    quash_table_cancel(quash_cache_table(cache), "tenant:42");
    assert_int_equal(telling.count, 2); /* a cancel knows no caches */
    assert_false(hits(cache, "cancelled"));
    assert_true(told(&telling, 2, "cancelled", "4", QUASH_EVICTION_CANCELLED));

    const quash_entry_options brief = {sizeof brief, 100, QUASH_SLIDING_DEFAULT, QUASH_PRIORITY_NORMAL};
    put_text_with(cache, "expired", "5", NULL, &brief);
    manual_clock_advance(&hand, 100);
    assert_false(hits(cache, "expired"));
    assert_true(told(&telling, 3, "expired", "5", QUASH_EVICTION_EXPIRED));

    assert_int_equal(quash_cache_resize(cache, 0), QUASH_OK);
    assert_true(told(&telling, 4, "replaced", "3", QUASH_EVICTION_CAPACITY));
    assert_int_equal(telling.count, 5);

    assert_int_equal(quash_cache_resize(cache, 1 << 20), QUASH_OK);
    put_text(cache, "cleared", "6", NULL);
    quash_cache_clear(cache);
    assert_true(told(&telling, 5, "cleared", "6", QUASH_EVICTION_REMOVED));
    put_text(cache, "freed", "7", NULL);
    quash_cache_stats stats = stats_of(cache);
    quash_cache_free(cache);
    assert_true(told(&telling, 6, "freed", "7", QUASH_EVICTION_REMOVED));
    assert_int_equal(telling.count, 7);
    const uint64_t counted[QUASH_EVICTIONS] = {2, 1, 1, 1, 1};
    assert_memory_equal(stats.evicted, counted, sizeof counted);
}

static void maintenance_tells_what_it_finds(void **state)
{
    (void)state;
    struct telling telling = {0};
    quash_cache *cache = told_cache(note, &telling, 0);
    const quash_entry_options brief = {sizeof brief, 100, QUASH_SLIDING_DEFAULT, QUASH_PRIORITY_NORMAL};
    put_text(cache, "cancelled", "1", "tenant:42");
    quash_table_cancel(quash_cache_table(cache), "tenant:42");
    maintain_to_the_end(cache, 100);
    assert_true(told(&telling, 0, "cancelled", "1", QUASH_EVICTION_CANCELLED));
    put_text_with(cache, "expired", "2", NULL, &brief);
    put_text(cache, "stays", "3", NULL);
    manual_clock_advance(&hand, 100);
    maintain_to_the_end(cache, 100);
    assert_true(told(&telling, 1, "expired", "2", QUASH_EVICTION_EXPIRED));
    assert_int_equal(telling.count, 2);
    quash_cache_free(cache);
    assert_int_equal(telling.count, 3);
}

static void what_is_evicted_dead_is_told_why_it_was_dead(void **state)
{
    (void)state;
    struct telling telling = {0};
    size_t charge = charge_of(3, 1);
    quash_cache *cache = told_cache(note, &telling, charge);
    put_text(cache, "key", "1", "tenant:42");
    quash_cache_resize(cache, 2 * charge);
    put_text(cache, "key", "1", "tenant:42");
    telling.count = 0;
    quash_table_cancel(quash_cache_table(cache), "tenant:42");
    quash_cache_resize(cache, 0);
    assert_true(told(&telling, 0, "key", "1", QUASH_EVICTION_CANCELLED));
    assert_int_equal(telling.count, 1);
    quash_cache_free(cache);
}

static void what_is_evicted_while_it_may_still_stand_in_goes_for_capacity(void **state)
{
    (void)state;
    struct telling telling = {0};
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.evicted = note;
    options.evicted_context = &telling;
    options.clock_ms = manual_clock_ms;
    options.clock_context = &hand;
    options.ttl_ms = 100;
    options.fail_safe_ms = 1000;
    quash_cache *cache = new_cache_with(&options);
    put_text(cache, "key", "1", NULL);
    manual_clock_advance(&hand, 100);
    assert_false(hits(cache, "key"));
    maintain_to_the_end(cache, 100);
    assert_int_equal(telling.count, 0);
    quash_cache_resize(cache, 0);
    assert_true(told(&telling, 0, "key", "1", QUASH_EVICTION_CAPACITY));
    quash_cache_resize(cache, 1 << 20);

    put_text(cache, "key", "2", NULL);
    manual_clock_advance(&hand, 1099);
    maintain_to_the_end(cache, 100);
    assert_int_equal(telling.count, 1);
    manual_clock_advance(&hand, 1);
    maintain_to_the_end(cache, 100);
    assert_true(told(&telling, 1, "key", "2", QUASH_EVICTION_EXPIRED));
    quash_cache_free(cache);
}

static void what_was_never_kept_is_not_told(void **state)
{
    (void)state;
    struct telling telling = {0};
    quash_cache *cache = told_cache(note, &telling, charge_of(3, 10));
    quash_token *token = new_token(cache, "tenant:42");
    quash_table_cancel(quash_cache_table(cache), "tenant:42");
    assert_int_equal(quash_cache_put(cache, "key", 3, token, "late", 4, NULL), QUASH_OK);
    assert_int_equal(put_text(cache, "key", "larger than what there is room for in this cache", NULL), QUASH_TOO_LARGE);
    quash_fill *fill;
    assert_int_equal(quash_fill_begin(cache, "key", 3, &fill), QUASH_OK);
    assert_int_equal(quash_fill_set_bytes(fill, "v", 1), QUASH_OK);
    quash_cache_remove(cache, "key", 3);
    assert_int_equal(quash_fill_commit(fill, NULL, NULL), QUASH_OK);
    quash_token_free(token);
    quash_cache_free(cache);
    assert_int_equal(telling.count, 0);
}

/* ---- What a callback may do ---- */

static void the_entry_may_be_kept_beyond_the_callback_and_the_cache(void **state)
{
    (void)state;
    struct telling telling = {.keep = true};
    quash_cache *cache = told_cache(note, &telling, 0);
    put_text(cache, "key", "value", NULL);
    quash_cache_free(cache);
    assert_int_equal(telling.count, 1);
    assert_true(entry_is_text(telling.kept, "value"));
    quash_entry_release(telling.kept);
}

/* Uses everything that there is, once for each of the first few that leave. */
static void use_the_cache(const void *key, size_t key_size, quash_entry *entry, quash_eviction reason, void *context)
{
    struct telling *telling = context;
    note(key, key_size, entry, reason, context);
    if (telling->count > 20)
        return;
    quash_cache *cache = telling->cache;
    char other[32];
    snprintf(other, sizeof other, "other%d", telling->count);
    put_text(cache, other, "v", NULL);
    quash_entry *got = quash_cache_get(cache, key, key_size);
    quash_entry_release(got);
    char text[] = "loaded";
    if (quash_cache_get_or_load(cache, key, key_size, load_text, text, NULL, &got) != QUASH_OK)
        support_fail("a callback could not load");
    quash_entry_release(got);
    quash_cache_remove(cache, other, strlen(other));
    stats_of(cache);
    quash_cache_contains(cache, key, key_size);
    quash_cache_maintain(cache, 1000);
    if (telling->count > 10)
        quash_cache_clear(cache);
    quash_cache_resize(cache, 1 << 20);
}

static void a_callback_may_use_the_cache(void **state)
{
    (void)state;
    struct telling telling = {0};
    quash_cache *cache = telling.cache = told_cache(use_the_cache, &telling, 0);
    put_text(cache, "key", "v", "tenant:42");
    quash_table_cancel(quash_cache_table(cache), "tenant:42");
    assert_false(hits(cache, "key"));
    assert_true(telling.count > 20);
    put_text(cache, "key", "v", NULL);
    put_text(cache, "key", "v", NULL);
    quash_cache_free(cache);
}

static void put_back(const void *key, size_t key_size, quash_entry *entry, quash_eviction reason, void *context)
{
    struct telling *telling = context;
    note(key, key_size, entry, reason, context);
    quash_token *token = new_token(telling->cache, NULL);
    quash_status status =
        quash_cache_put(telling->cache, key, key_size, token, quash_entry_bytes(entry), quash_entry_size(entry), NULL);
    if (status != QUASH_OK && status != QUASH_TOO_LARGE)
        support_fail("a callback could not put");
    telling->put += status == QUASH_OK;
    quash_token_free(token);
}

static void what_a_callback_puts_while_the_cache_is_freed_is_not_kept(void **state)
{
    (void)state;
    struct telling telling = {0};
    quash_cache *cache = telling.cache = told_cache(put_back, &telling, 0);
    char key[16];
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof key, "key%d", i);
        put_text(cache, key, "v", NULL);
    }
    assert_true(quash_cache_remove(cache, "key7", 4));
    assert_int_equal(telling.put, 1);
    assert_true(hits(cache, "key7"));
    quash_cache_free(cache);
    assert_int_equal(telling.count, 201);
    assert_int_equal(telling.put, 1);
}

/* ---- Objects ---- */

struct last_rites {
    struct counted object; /* first */
    int told;
    int destroyed_when_told;
};

static void note_rites(const void *key, size_t key_size, quash_entry *entry, quash_eviction reason, void *context)
{
    (void)key, (void)key_size, (void)reason, (void)context;
    struct last_rites *rites = quash_entry_object(entry);
    rites->told++;
    rites->destroyed_when_told = atomic_load(&rites->object.destroyed);
}

static void an_object_is_destroyed_after_its_departure_was_told(void **state)
{
    (void)state;
    struct last_rites removed = {{0}, 0, 0}, held = {{0}, 0, 0}, freed = {{0}, 0, 0};
    quash_cache *cache = told_cache(note_rites, NULL, 0);
    quash_token *token = new_token(cache, NULL);
    quash_cache_put_object(cache, "removed", 7, token, &removed, counted_destroy, NULL, 1, NULL);
    quash_cache_put_object(cache, "held", 4, token, &held, counted_destroy, NULL, 1, NULL);
    quash_cache_put_object(cache, "freed", 5, token, &freed, counted_destroy, NULL, 1, NULL);
    quash_cache_remove(cache, "removed", 7);
    assert_int_equal(removed.told, 1);
    assert_int_equal(removed.destroyed_when_told, 0);
    assert_int_equal(removed.object.destroyed, 1);

    quash_entry *entry = quash_cache_get(cache, "held", 4);
    quash_cache_remove(cache, "held", 4);
    assert_int_equal(held.told, 1);
    assert_int_equal(held.object.destroyed, 0);
    quash_cache_free(cache);
    assert_int_equal(freed.told, 1);
    assert_int_equal(freed.destroyed_when_told, 0);
    assert_int_equal(freed.object.destroyed, 1);
    assert_int_equal(held.object.destroyed, 0);
    quash_entry_release(entry);
    assert_int_equal(held.object.destroyed, 1);
    assert_int_equal(held.told, 1);
    quash_token_free(token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reason_is_told_before_the_call_returns),
        cmocka_unit_test(maintenance_tells_what_it_finds),
        cmocka_unit_test(what_is_evicted_dead_is_told_why_it_was_dead),
        cmocka_unit_test(what_is_evicted_while_it_may_still_stand_in_goes_for_capacity),
        cmocka_unit_test(what_was_never_kept_is_not_told),
        cmocka_unit_test(the_entry_may_be_kept_beyond_the_callback_and_the_cache),
        cmocka_unit_test(a_callback_may_use_the_cache),
        cmocka_unit_test(what_a_callback_puts_while_the_cache_is_freed_is_not_kept),
        cmocka_unit_test(an_object_is_destroyed_after_its_departure_was_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
