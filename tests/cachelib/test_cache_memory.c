/*
 * Every allocation of the library fails in turn: what comes out is a status, nothing is lost, nothing crashes, and the
 * cache works on. The program is linked with --wrap, so the library's calls, and only those made from this program's
 * objects, come through here.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cache_support.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);

static _Atomic long live;      /* blocks */
static _Atomic long countdown; /* the allocation that brings it to 0 fails; negative: none does */
static _Atomic bool failed;

static bool fails(void)
{
    if (atomic_load(&countdown) < 0 || atomic_fetch_sub(&countdown, 1) != 1)
        return false;
    atomic_store(&countdown, -1);
    atomic_store(&failed, true);
    return true;
}

void *__wrap_malloc(size_t size)
{
    void *memory = fails() ? NULL : __real_malloc(size);
    if (memory != NULL)
        atomic_fetch_add(&live, 1);
    return memory;
}

void *__wrap_calloc(size_t count, size_t size)
{
    void *memory = fails() ? NULL : __real_calloc(count, size);
    if (memory != NULL)
        atomic_fetch_add(&live, 1);
    return memory;
}

void *__wrap_realloc(void *memory, size_t size)
{
    void *moved = fails() ? NULL : __real_realloc(memory, size);
    if (memory == NULL && moved != NULL)
        atomic_fetch_add(&live, 1);
    return moved;
}

void __wrap_free(void *memory)
{
    if (memory != NULL)
        atomic_fetch_sub(&live, 1);
    __real_free(memory);
}

/* Runs `scenario` with its first allocation failing, then its second, and so on until none is left to fail. The
 * scenario returns the first status that was not QUASH_OK. */
static void fail_each(quash_status (*scenario)(void))
{
    int runs = 0;
    for (long nth = 1;; nth++) {
        long before = atomic_load(&live);
        atomic_store(&failed, false);
        atomic_store(&countdown, nth);
        quash_status status = scenario();
        atomic_store(&countdown, -1);
        assert_int_equal(atomic_load(&live), before);
        if (!atomic_load(&failed)) {
            assert_int_equal(status, QUASH_OK);
            break;
        }
        assert_true(status == QUASH_NO_MEMORY || status == QUASH_OK);
        runs++;
    }
    printf("%d allocations failed in turn\n", runs);
    assert_true(runs > 0);
}

/* What some scenarios need made before allocations begin to fail. */
static quash_cache *cache;
static quash_token *token;

static int make_cache(void **state)
{
    (void)state;
    atomic_store(&countdown, -1);
    cache = new_cache();
    if (quash_token_new(quash_cache_table(cache), &token) != QUASH_OK)
        return -1;
    return quash_token_add(token, "tenant:42") == QUASH_OK ? 0 : -1;
}

static int free_cache(void **state)
{
    (void)state;
    quash_token_free(token);
    quash_cache_free(cache);
    return 0;
}

static quash_status make_and_free(void)
{
    quash_cache *made = NULL;
    quash_status status = quash_cache_new(NULL, &made);
    assert_true((status == QUASH_OK) == (made != NULL));
    quash_cache_free(made);
    return status;
}

static void making_a_cache_fails_cleanly(void **state)
{
    (void)state;
    fail_each(make_and_free);
}

static quash_status make_tokens(void)
{
    quash_token *first = NULL, *second = NULL;
    quash_table *table = quash_cache_table(cache);
    quash_status status = quash_token_new(table, &first);
    if (status == QUASH_OK)
        status = quash_token_new_at(table, quash_token_stamp(first), &second);
    if (status == QUASH_OK)
        status = quash_token_add(second, "a:b");
    quash_token_free(first);
    quash_token_free(second);
    return status;
}

static void making_a_token_fails_cleanly(void **state)
{
    (void)state;
    fail_each(make_tokens);
}

static quash_status put_over_old(void)
{
    quash_cache_put(cache, "key", 3, token, "old", 3, NULL);
    /* Whether the old one could be put is not the question. */
    if (atomic_load(&failed)) {
        quash_cache_clear(cache);
        return QUASH_NO_MEMORY;
    }
    quash_status status = quash_cache_put(cache, "key", 3, token, "new", 3, NULL);
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

static quash_status put_an_object(void)
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

static quash_status load_bytes(quash_fill *fill, void *context)
{
    (void)context;
    quash_status status = quash_fill_add_group(fill, "tenant:42");
    return status == QUASH_OK ? quash_fill_set_bytes(fill, "value", 5) : status;
}

static quash_status get_or_load(void)
{
    quash_entry *entry = NULL;
    quash_status status = quash_cache_get_or_load(cache, "key", 3, load_bytes, NULL, NULL, &entry);
    assert_true((status == QUASH_OK) == (entry != NULL));
    quash_entry_release(entry);
    bool kept = quash_cache_remove(cache, "key", 3);
    assert_true(kept == (status == QUASH_OK));
    /* Nothing is left that would make the next one wait. */
    atomic_store(&countdown, -1);
    assert_int_equal(quash_cache_get_or_load(cache, "key", 3, load_bytes, NULL, NULL, &entry), QUASH_OK);
    quash_entry_release(entry);
    quash_cache_clear(cache);
    return status;
}

static void a_load_without_memory_fails_cleanly(void **state)
{
    (void)state;
    fail_each(get_or_load);
}

static struct counted filled;

static quash_status fill_with_object(void)
{
    filled.destroyed = 0;
    quash_fill *fill = NULL;
    quash_status status = quash_fill_begin(cache, "key", 3, &fill);
    if (status != QUASH_OK) {
        assert_null(fill);
        return status;
    }
    assert_int_equal(quash_fill_set_object(fill, &filled, counted_destroy, NULL, 1), QUASH_OK);
    status = quash_fill_commit(fill, NULL, NULL);
    assert_int_equal(filled.destroyed, status == QUASH_OK ? 0 : 1);
    quash_cache_clear(cache);
    assert_int_equal(filled.destroyed, 1);
    return status;
}

static void a_fill_without_memory_destroys_its_object_once(void **state)
{
    (void)state;
    fail_each(fill_with_object);
}

static quash_status grow(void)
{
    quash_status first_failure = QUASH_OK;
    int put[500];
    for (int i = 0; i < 500; i++) {
        quash_status status = quash_cache_put(cache, &i, sizeof i, token, "v", 1, NULL);
        put[i] = status == QUASH_OK;
        if (first_failure == QUASH_OK)
            first_failure = status;
    }
    for (int i = 0; i < 500; i++)
        assert_int_equal(hits_number(cache, i), put[i]);
    quash_cache_clear(cache);
    return first_failure;
}

static void an_index_that_cannot_grow_still_finds_everything(void **state)
{
    (void)state;
    fail_each(grow);
}

struct waiter {
    quash_status status;
    quash_entry *entry;
};

static void *wait_for_load(void *context)
{
    struct waiter *waiter = context;
    waiter->status = quash_cache_get_or_load(cache, "key", 3, load_bytes, NULL, NULL, &waiter->entry);
    return NULL;
}

static void a_commit_without_memory_reaches_those_who_wait(void **state)
{
    (void)state;
    quash_fill *fill;
    assert_int_equal(quash_fill_begin(cache, "key", 3, &fill), QUASH_OK);
    assert_int_equal(quash_fill_set_bytes(fill, "value", 5), QUASH_OK);
    struct waiter waiters[4] = {{QUASH_OK, NULL}};
    pthread_t threads[4];
    uint64_t waits = stats_of(cache).waits;
    for (int i = 0; i < 4; i++)
        threads[i] = thread_start(wait_for_load, &waiters[i]);
    await_waits(cache, waits + 4);
    atomic_store(&countdown, 1);
    assert_int_equal(quash_fill_commit(fill, NULL, NULL), QUASH_NO_MEMORY);
    for (int i = 0; i < 4; i++) {
        thread_join(threads[i]);
        assert_int_equal(waiters[i].status, QUASH_NO_MEMORY);
        assert_null(waiters[i].entry);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(making_a_cache_fails_cleanly),
        cmocka_unit_test_setup_teardown(making_a_token_fails_cleanly, make_cache, free_cache),
        cmocka_unit_test_setup_teardown(a_put_without_memory_leaves_no_old_value, make_cache, free_cache),
        cmocka_unit_test_setup_teardown(an_object_that_could_not_be_put_stays_the_callers, make_cache, free_cache),
        cmocka_unit_test_setup_teardown(a_load_without_memory_fails_cleanly, make_cache, free_cache),
        cmocka_unit_test_setup_teardown(a_fill_without_memory_destroys_its_object_once, make_cache, free_cache),
        cmocka_unit_test_setup_teardown(an_index_that_cannot_grow_still_finds_everything, make_cache, free_cache),
        cmocka_unit_test_setup_teardown(a_commit_without_memory_reaches_those_who_wait, make_cache, free_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
