/* Groups of entries: how many, what they cost, and that each of them, its kind, and `*` make the next hit a miss. */
#include <stdio.h>

#include "cache.h"
#include "cache_support.h"

/* Puts an entry of `count` groups. The status of the first group that could not be added. */
static quash_status put_grouped(quash_cache *cache, const char *key, const char *const names[], size_t count)
{
    quash_token *token = new_token(cache, NULL);
    quash_status status = QUASH_OK;
    for (size_t i = 0; i < count && status == QUASH_OK; i++)
        status = quash_token_add(token, names[i]);
    assert_int_equal(quash_cache_put(cache, key, strlen(key), token, "v", 1, NULL), QUASH_OK);
    quash_token_free(token);
    return status;
}

enum { NAME_SIZE = 32, NAMES = QUASH_TOKEN_GROUPS_MAX + 1 };

/* kind0:0, kind1:1, ... of `kinds` kinds. */
static void make_names(char text[NAMES][NAME_SIZE], const char *names[NAMES], int kinds)
{
    for (int i = 0; i < NAMES; i++) {
        snprintf(text[i], NAME_SIZE, "kind%d:%d", i % kinds, i);
        names[i] = text[i];
    }
}

static bool measure(const void *key, size_t key_size, quash_entry *entry, void *context)
{
    (void)key, (void)key_size;
    *(size_t *)context = entry_block_size(held_entry(entry));
    return true;
}

static size_t block_bytes(quash_cache *cache)
{
    size_t bytes = 0;
    assert_int_equal(quash_cache_each(cache, measure, &bytes), QUASH_OK);
    return bytes;
}

static void a_group_costs_eight_bytes_also_if_it_has_a_kind(void **state)
{
    (void)state;
    char text[NAMES][NAME_SIZE];
    const char *names[NAMES];
    const int kinds[] = {1, 3, 16};
    for (size_t k = 0; k < 3; k++) {
        make_names(text, names, kinds[k]);
        quash_cache *cache = new_cache();
        size_t none = 0;
        uint64_t none_counted = 0;
        for (size_t groups = 0; groups <= QUASH_TOKEN_GROUPS_MAX; groups++) {
            assert_int_equal(put_grouped(cache, "0123456789abcdef", names, groups), QUASH_OK);
            none = groups == 0 ? block_bytes(cache) : none;
            none_counted = groups == 0 ? stats_of(cache).bytes : none_counted;
            /* Values begin, and blocks come, in steps of 16 bytes. */
            size_t expected = 8 * (groups + groups % 2);
            assert_int_equal(block_bytes(cache), none + expected);
            assert_int_equal(stats_of(cache).bytes, none_counted + expected);
        }
        quash_cache_free(cache);
    }
}

static void any_of_sixteen_groups_or_their_kinds_cancels_an_entry(void **state)
{
    (void)state;
    char text[NAMES][NAME_SIZE];
    const char *names[NAMES];
    make_names(text, names, 5);
    quash_cache *cache = new_cache();
    for (int i = 0; i < (int)QUASH_TOKEN_GROUPS_MAX; i++) {
        assert_int_equal(put_grouped(cache, "key", names, QUASH_TOKEN_GROUPS_MAX), QUASH_OK);
        assert_true(hits(cache, "key"));
        quash_table_cancel(quash_cache_table(cache), names[i]);
        assert_false(hits(cache, "key"));
    }
    for (int i = 0; i < 5; i++) {
        char kind[NAME_SIZE];
        snprintf(kind, sizeof kind, "kind%d:*", i);
        assert_int_equal(put_grouped(cache, "key", names, QUASH_TOKEN_GROUPS_MAX), QUASH_OK);
        assert_true(hits(cache, "key"));
        quash_table_cancel(quash_cache_table(cache), kind);
        assert_false(hits(cache, "key"));
    }
    assert_int_equal(put_grouped(cache, "key", names, QUASH_TOKEN_GROUPS_MAX), QUASH_OK);
    quash_table_cancel(quash_cache_table(cache), names[QUASH_TOKEN_GROUPS_MAX]); /* of another entry */
    quash_table_cancel(quash_cache_table(cache), "kind0");
    quash_table_cancel(quash_cache_table(cache), "kind5:*");
    assert_true(hits(cache, "key"));
    quash_table_cancel(quash_cache_table(cache), "*");
    assert_false(hits(cache, "key"));
    assert_int_equal(stats_of(cache).misses_collateral, 0);
    quash_cache_free(cache);
}

static void a_seventeenth_group_is_too_many_and_nothing_is_kept(void **state)
{
    (void)state;
    char text[NAMES][NAME_SIZE];
    const char *names[NAMES];
    make_names(text, names, 1);
    quash_cache *cache = new_cache();
    assert_int_equal(put_grouped(cache, "key", names, QUASH_TOKEN_GROUPS_MAX), QUASH_OK);
    assert_true(hits(cache, "key"));
    assert_int_equal(put_grouped(cache, "key", names, QUASH_TOKEN_GROUPS_MAX + 1), QUASH_TOO_MANY);
    assert_false(hits(cache, "key"));

    quash_fill *fill;
    bool kept = true;
    assert_int_equal(quash_fill_begin(cache, "key", 3, &fill), QUASH_OK);
    for (size_t i = 0; i < QUASH_TOKEN_GROUPS_MAX; i++)
        assert_int_equal(quash_fill_add_group(fill, names[i]), QUASH_OK);
    assert_int_equal(quash_fill_add_group(fill, names[0]), QUASH_OK); /* has it already */
    assert_int_equal(quash_fill_add_group(fill, names[QUASH_TOKEN_GROUPS_MAX]), QUASH_TOO_MANY);
    assert_int_equal(quash_fill_set_bytes(fill, "v", 1), QUASH_OK);
    assert_int_equal(quash_fill_commit(fill, NULL, &kept), QUASH_OK);
    assert_false(kept);
    assert_false(hits(cache, "key"));
    quash_cache_free(cache);
}

static void a_group_without_a_kind_and_one_named_like_a_flush_work_as_they_are(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    const char *const bare[] = {"catalog"};
    const char *const all_of_a_kind[] = {"tenant:*"};
    const char *const odd[] = {":", "::", "a:b:c"};
    put_grouped(cache, "bare", bare, 1);
    put_grouped(cache, "flush", all_of_a_kind, 1);
    put_grouped(cache, "odd", odd, 3);
    quash_table_cancel(quash_cache_table(cache), "tenant:42");
    quash_table_cancel(quash_cache_table(cache), "catalog:1");
    quash_table_cancel(quash_cache_table(cache), "b:*");
    assert_true(hits(cache, "bare") && hits(cache, "flush") && hits(cache, "odd"));
    quash_table_cancel(quash_cache_table(cache), "tenant:*");
    quash_table_cancel(quash_cache_table(cache), "catalog");
    quash_table_cancel(quash_cache_table(cache), "a:*");
    assert_false(hits(cache, "bare"));
    assert_false(hits(cache, "flush"));
    assert_false(hits(cache, "odd"));
    quash_cache_free(cache);
}

static void many_groups_are_told_apart(void **state)
{
    (void)state;
    enum { GROUPS = 20000, CANCELLED = 2000 };
    quash_cache *cache = new_cache();
    char group[NAME_SIZE];
    for (int i = 0; i < GROUPS; i++) {
        snprintf(group, sizeof group, "user:%d", i);
        assert_int_equal(put_number_with(cache, i, 0, group, NULL), QUASH_OK);
    }
    for (int i = 0; i < CANCELLED; i++) {
        snprintf(group, sizeof group, "user:%d", i * (GROUPS / CANCELLED));
        quash_table_cancel(quash_cache_table(cache), group);
    }
    int lost = 0;
    for (int i = 0; i < GROUPS; i++) {
        if (i % (GROUPS / CANCELLED) == 0)
            assert_false(hits_number(cache, i));
        else
            lost += !hits_number(cache, i);
    }
    /* Two groups share bucket and tag with a probability of 2^-30: one pair in 36 million. */
    assert_in_range(lost, 0, 3);
    quash_cache_free(cache);
}

static void more_kinds_than_have_numbers_cancel_their_entries_all_the_same(void **state)
{
    (void)state;
    enum { KINDS = KINDS_MAX + 100 };
    quash_cache *cache = new_cache();
    char name[NAME_SIZE];
    for (int i = 0; i < KINDS; i++) {
        snprintf(name, sizeof name, "kind%d:1", i);
        assert_int_equal(put_number_with(cache, i, 0, name, NULL), QUASH_OK);
    }
    assert_int_equal(atomic_load(&cache->kinds.count), KINDS_MAX);
    for (int i = 0; i < KINDS; i++)
        assert_true(hits_number(cache, i));
    for (int i = 0; i < KINDS; i += 3) {
        snprintf(name, sizeof name, i % 2 == 0 ? "kind%d:*" : "kind%d:1", i);
        quash_table_cancel(quash_cache_table(cache), name);
    }
    for (int i = 0; i < KINDS; i++)
        assert_int_equal(hits_number(cache, i), i % 3 != 0);

    /* Sixteen groups of kinds without a number have as many more words, and each of them counts. */
    const char *names[QUASH_TOKEN_GROUPS_MAX];
    char text[QUASH_TOKEN_GROUPS_MAX][NAME_SIZE];
    for (int i = 0; i < (int)QUASH_TOKEN_GROUPS_MAX; i++) {
        snprintf(text[i], NAME_SIZE, "late%d:1", i);
        names[i] = text[i];
    }
    for (int i = 0; i < (int)QUASH_TOKEN_GROUPS_MAX; i++) {
        put_grouped(cache, "key", names, QUASH_TOKEN_GROUPS_MAX);
        assert_true(hits(cache, "key"));
        snprintf(name, sizeof name, "late%d:*", i);
        quash_table_cancel(quash_cache_table(cache), name);
        assert_false(hits(cache, "key"));
    }
    quash_cache_free(cache);
}

static void kinds_are_numbered_once_whoever_asks(void **state)
{
    (void)state;
    static struct kinds kinds;
    assert_true(kinds_init(&kinds));
    for (uint64_t i = 1; i <= KINDS_MAX; i++) {
        /* All of one place in the table. */
        uint64_t hash = i;
        assert_int_equal(kinds_number(&kinds, hash), i);
        assert_int_equal(kinds_number(&kinds, hash), i);
        assert_int_equal(kinds_hash(&kinds, (uint16_t)i), hash);
    }
    assert_int_equal(kinds_number(&kinds, KINDS_MAX + 1), 0);
    assert_int_equal(kinds_number(&kinds, KINDS_MAX), KINDS_MAX);
    kinds_fini(&kinds);
}

struct numbering {
    struct kinds *kinds;
    uint16_t number[KINDS_MAX];
};

static void *number_all(void *context)
{
    struct numbering *numbering = context;
    for (uint64_t i = 0; i < KINDS_MAX; i++) {
        numbering->number[i] = kinds_number(numbering->kinds, i << 40 | i);
        if (kinds_hash(numbering->kinds, numbering->number[i]) != (i << 40 | i))
            support_fail("a kind has the number of another");
    }
    return NULL;
}

static void kinds_have_one_number_for_all_threads(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    static struct kinds kinds;
    static struct numbering numberings[THREADS];
    assert_true(kinds_init(&kinds));
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        numberings[i].kinds = &kinds;
        threads[i] = thread_start(number_all, &numberings[i]);
    }
    for (int i = 0; i < THREADS; i++)
        thread_join(threads[i]);
    for (int i = 1; i < THREADS; i++)
        assert_memory_equal(numberings[i].number, numberings[0].number, sizeof numberings[0].number);
    kinds_fini(&kinds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_costs_eight_bytes_also_if_it_has_a_kind),
        cmocka_unit_test(any_of_sixteen_groups_or_their_kinds_cancels_an_entry),
        cmocka_unit_test(a_seventeenth_group_is_too_many_and_nothing_is_kept),
        cmocka_unit_test(a_group_without_a_kind_and_one_named_like_a_flush_work_as_they_are),
        cmocka_unit_test(many_groups_are_told_apart),
        cmocka_unit_test(more_kinds_than_have_numbers_cancel_their_entries_all_the_same),
        cmocka_unit_test(kinds_are_numbered_once_whoever_asks),
        cmocka_unit_test(kinds_have_one_number_for_all_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
