/* Fills and loaders on one thread: what is kept, what voids a fill, who owns the value. */
#include <stdio.h>

#include "load_support.h"

static quash_fill *begin(quash_cache *cache, const char *key)
{
    quash_fill *fill = NULL;
    assert_int_equal(quash_fill_begin(cache, key, strlen(key), &fill), QUASH_OK);
    return fill;
}

/* Commits a text; returns whether it was kept, and checks that the caller got it in any case. */
static bool commit_text(quash_fill *fill, const char *text)
{
    quash_entry *entry = NULL;
    bool kept = false;
    assert_int_equal(quash_fill_set_bytes(fill, text, strlen(text)), QUASH_OK);
    assert_int_equal(quash_fill_commit(fill, &entry, &kept), QUASH_OK);
    assert_true(entry_is_text(entry, text));
    quash_entry_release(entry);
    return kept;
}

/* ---- The life of a fill ---- */

static void a_committed_fill_is_kept_and_hit(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    assert_true(commit_text(begin(cache, "key"), "value"));
    assert_true(hits_text(cache, "key", "value"));
    assert_int_equal(stats_of(cache).loads, 1);
    quash_cache_free(cache);
}

static void a_second_fill_of_the_key_is_busy_until_the_first_ends(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_fill *first = begin(cache, "key");
    quash_fill *second = NULL;
    assert_int_equal(quash_fill_begin(cache, "key", 3, &second), QUASH_BUSY);
    assert_null(second);
    quash_fill *other = begin(cache, "other");
    quash_fill_abandon(other, QUASH_OK);
    quash_fill_abandon(first, QUASH_OK);
    second = begin(cache, "key");
    assert_true(commit_text(second, "value"));
    assert_true(commit_text(begin(cache, "key"), "again"));
    quash_cache_free(cache);
}

static void an_abandoned_fill_leaves_nothing(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_fill *fill = begin(cache, "key");
    assert_int_equal(quash_fill_set_bytes(fill, "value", 5), QUASH_OK);
    quash_fill_abandon(fill, QUASH_STATUS_USER);
    assert_false(hits(cache, "key"));
    assert_int_equal(stats_of(cache).loads, 0);
    assert_int_equal(stats_of(cache).loads_failed, 1);
    quash_fill_abandon(NULL, QUASH_OK);
    quash_cache_free(cache);
}

static void a_fill_without_a_value_is_a_failed_load(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_entry *entry = NULL;
    bool kept = true;
    assert_int_equal(quash_fill_commit(begin(cache, "key"), &entry, &kept), QUASH_LOAD_FAILED);
    assert_null(entry);
    assert_true(kept); /* outputs are written on success only */
    assert_int_equal(stats_of(cache).loads_failed, 1);
    quash_fill_abandon(begin(cache, "key"), QUASH_OK);
    quash_cache_free(cache);
}

static void commit_needs_neither_output(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_fill *fill = begin(cache, "key");
    assert_int_equal(quash_fill_set_bytes(fill, "value", 5), QUASH_OK);
    assert_int_equal(quash_fill_commit(fill, NULL, NULL), QUASH_OK);
    assert_true(hits_text(cache, "key", "value"));
    quash_cache_free(cache);
}

static void a_fill_replaces_the_live_entry_of_its_key(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    put_text(cache, "key", "old", NULL);
    quash_fill *fill = begin(cache, "key");
    assert_true(hits_text(cache, "key", "old")); /* a refresh: others hit meanwhile */
    assert_true(commit_text(fill, "new"));
    assert_true(hits_text(cache, "key", "new"));
    assert_int_equal(stats_of(cache).entries, 1);
    quash_cache_free(cache);
}

/* ---- Changes while it is open ---- */

static void a_group_cancelled_during_the_fill_voids_it_also_if_named_afterwards(void **state)
{
    (void)state;
    for (int named_first = 0; named_first < 2; named_first++) {
        quash_cache *cache = new_cache();
        quash_fill *fill = begin(cache, "key");
        if (named_first)
            assert_int_equal(quash_fill_add_group(fill, "tenant:42"), QUASH_OK);
        assert_int_equal(quash_table_cancel(quash_cache_table(cache), "tenant:42"), QUASH_OK);
        if (!named_first)
            assert_int_equal(quash_fill_add_group(fill, "tenant:42"), QUASH_OK);
        assert_false(commit_text(fill, "value"));
        assert_false(hits(cache, "key"));
        assert_int_equal(stats_of(cache).loads, 1);
        assert_int_equal(stats_of(cache).loads_voided, 1);
        quash_cache_free(cache);
    }
}

static void other_cancellations_do_not_void_it(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_table_cancel(quash_cache_table(cache), "tenant:42"); /* before the stamp */
    quash_fill *fill = begin(cache, "key");
    assert_int_equal(quash_fill_add_group(fill, "tenant:42"), QUASH_OK);
    quash_table_cancel(quash_cache_table(cache), "tenant:43");
    assert_true(commit_text(fill, "value"));
    assert_true(hits(cache, "key"));
    quash_table_cancel(quash_cache_table(cache), "tenant:42");
    assert_false(hits(cache, "key"));
    quash_cache_free(cache);
}

static void remove_during_the_fill_voids_it(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_fill *fill = begin(cache, "key");
    quash_fill *other = begin(cache, "other");
    assert_false(quash_cache_remove(cache, "key", 3));
    assert_false(commit_text(fill, "value"));
    assert_true(commit_text(other, "value"));
    assert_false(hits(cache, "key"));
    assert_int_equal(stats_of(cache).loads_voided, 1);
    quash_cache_free(cache);
}

static void clear_during_the_fill_voids_it(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_fill *fills[50];
    char key[16];
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "key%d", i);
        fills[i] = begin(cache, key);
    }
    quash_cache_clear(cache);
    for (int i = 0; i < 50; i++)
        assert_false(commit_text(fills[i], "value"));
    assert_int_equal(stats_of(cache).entries, 0);
    assert_int_equal(stats_of(cache).loads_voided, 50);
    quash_cache_free(cache);
}

static void put_during_the_fill_voids_it_and_stays(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_fill *fill = begin(cache, "key");
    assert_int_equal(put_text(cache, "key", "newer", NULL), QUASH_OK);
    assert_false(commit_text(fill, "older"));
    assert_true(hits_text(cache, "key", "newer"));
    quash_cache_free(cache);
}

static void a_voided_fill_does_not_hinder_the_next(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_fill *voided = begin(cache, "key");
    quash_cache_remove(cache, "key", 3);
    quash_fill *next = begin(cache, "key");
    assert_true(commit_text(next, "newer"));
    assert_false(commit_text(voided, "older"));
    assert_true(hits_text(cache, "key", "newer"));

    voided = begin(cache, "key");
    quash_cache_remove(cache, "key", 3);
    next = begin(cache, "key");
    assert_false(commit_text(voided, "older"));
    assert_true(commit_text(next, "newer"));
    assert_true(hits_text(cache, "key", "newer"));
    quash_cache_free(cache);
}

static void the_stamp_can_be_handed_on(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_table *table = quash_cache_table(cache);
    quash_stamp now = quash_table_stamp(table);
    quash_fill *fill = begin(cache, "key");
    quash_stamp stamp = quash_fill_stamp(fill);
    assert_true(stamp.incarnation == now.incarnation && stamp.sequence == now.sequence);
    quash_table_cancel(table, "tenant:42");
    quash_token *token;
    assert_int_equal(quash_token_new_at(table, stamp, &token), QUASH_OK);
    assert_int_equal(quash_token_add(token, "tenant:42"), QUASH_OK);
    assert_true(quash_token_changed(token));
    quash_token_free(token);
    quash_fill_abandon(fill, QUASH_OK);
    quash_cache_free(cache);
}

/* ---- What the loader says ---- */

static void sixteen_groups_are_kept_and_a_seventeenth_voids(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    char group[32];
    for (unsigned groups = QUASH_TOKEN_GROUPS_MAX; groups <= QUASH_TOKEN_GROUPS_MAX + 1; groups++) {
        quash_fill *fill = begin(cache, "key");
        for (unsigned i = 0; i < groups; i++) {
            snprintf(group, sizeof group, "kind%u:%u", i, i);
            assert_int_equal(quash_fill_add_group(fill, group), i < QUASH_TOKEN_GROUPS_MAX ? QUASH_OK : QUASH_TOO_MANY);
        }
        assert_int_equal(commit_text(fill, "value"), groups == QUASH_TOKEN_GROUPS_MAX);
        assert_int_equal(hits(cache, "key"), groups == QUASH_TOKEN_GROUPS_MAX);
        quash_table_cancel(quash_cache_table(cache), group);
        assert_false(hits(cache, "key"));
    }
    assert_int_equal(stats_of(cache).loads_voided, 0);
    quash_cache_free(cache);
}

static void a_group_that_is_no_name_voids(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    const char *const names[] = {"", NULL};
    for (size_t i = 0; i < 2; i++) {
        quash_fill *fill = begin(cache, "key");
        assert_int_equal(quash_fill_add_group(fill, names[i]), QUASH_INVALID);
        assert_int_equal(quash_fill_add_group(fill, "tenant:42"), QUASH_OK);
        assert_false(commit_text(fill, "value"));
        assert_false(hits(cache, "key"));
    }
    quash_cache_free(cache);
}

static void a_fill_sets_its_own_ttl(void **state)
{
    (void)state;
    struct manual_clock clock = {100};
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.clock_ms = manual_clock_ms;
    options.clock_context = &clock;
    quash_cache *cache = new_cache_with(&options);
    quash_fill *fill = begin(cache, "key");
    quash_entry_options entry_options = QUASH_ENTRY_OPTIONS_INIT;
    entry_options.ttl_ms = 50;
    assert_int_equal(quash_fill_set_options(fill, &entry_options), QUASH_OK);
    assert_int_equal(quash_fill_set_options(fill, NULL), QUASH_INVALID);
    assert_int_equal(quash_fill_set_options(NULL, &entry_options), QUASH_INVALID);
    entry_options.struct_size = sizeof entry_options.struct_size - 1;
    entry_options.ttl_ms = 5000;
    assert_int_equal(quash_fill_set_options(fill, &entry_options), QUASH_INVALID);
    manual_clock_advance(&clock, 20);
    assert_true(commit_text(fill, "value"));
    manual_clock_advance(&clock, 29);
    assert_true(hits(cache, "key"));
    manual_clock_advance(&clock, 1);
    assert_false(hits(cache, "key"));
    quash_cache_free(cache);
}

static void a_fill_sets_its_own_sliding_expiry(void **state)
{
    (void)state;
    struct manual_clock clock = {100};
    quash_cache_options options = options_with_clock(&clock);
    options.ttl_ms = 100;
    quash_cache *cache = new_cache_with(&options);
    quash_fill *fill = begin(cache, "key");
    quash_entry_options entry_options = QUASH_ENTRY_OPTIONS_INIT;
    entry_options.sliding_ms = 40;
    assert_int_equal(quash_fill_set_options(fill, &entry_options), QUASH_OK);
    assert_true(commit_text(fill, "value"));
    manual_clock_advance(&clock, 39);
    assert_true(hits(cache, "key"));
    manual_clock_advance(&clock, 39);
    assert_true(hits(cache, "key"));
    manual_clock_advance(&clock, 21);
    assert_true(hits(cache, "key"));
    manual_clock_advance(&clock, 1); /* the ttl is over */
    assert_false(hits(cache, "key"));
    quash_cache_free(cache);
}

static void a_fill_sets_its_own_priority(void **state)
{
    (void)state;
    quash_cache *cache = cache_for_entries(4, 8);
    quash_fill *fill = begin(cache, "stay");
    quash_entry_options entry_options = QUASH_ENTRY_OPTIONS_INIT;
    entry_options.priority = QUASH_PRIORITY_NEVER_REMOVE;
    assert_int_equal(quash_fill_set_options(fill, &entry_options), QUASH_OK);
    assert_true(commit_text(fill, "value"));
    for (int i = 0; i < 100; i++)
        assert_int_equal(put_number(cache, i, 8), QUASH_OK);
    assert_true(hits_text(cache, "stay", "value"));
    quash_cache_free(cache);
}

static void a_fill_states_the_cost_of_its_object(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    uint64_t bytes[2];
    int object = 7;
    for (size_t cost = 0; cost <= 1000; cost += 1000) {
        quash_fill *fill = begin(cache, "key");
        assert_int_equal(quash_fill_set_object(fill, &object, NULL, NULL, cost), QUASH_OK);
        assert_int_equal(quash_fill_commit(fill, NULL, NULL), QUASH_OK);
        bytes[cost != 0] = stats_of(cache).bytes;
    }
    assert_int_equal(bytes[1] - bytes[0], 1000);
    quash_cache_free(cache);
}

static void a_value_set_again_drops_the_first(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    struct counted first = {0}, second = {0};
    quash_fill *fill = begin(cache, "key");
    assert_int_equal(quash_fill_set_bytes(fill, "bytes", 5), QUASH_OK);
    assert_int_equal(quash_fill_set_object(fill, &first, counted_destroy, NULL, 1), QUASH_OK);
    assert_int_equal(quash_fill_set_object(fill, &second, counted_destroy, NULL, 1), QUASH_OK);
    assert_int_equal(first.destroyed, 1);
    assert_int_equal(quash_fill_set_object(fill, NULL, counted_destroy, NULL, 1), QUASH_INVALID);
    assert_int_equal(quash_fill_set_bytes(fill, NULL, 1), QUASH_INVALID);
    assert_int_equal(second.destroyed, 0);
    assert_int_equal(quash_fill_commit(fill, NULL, NULL), QUASH_OK);
    quash_cache_free(cache);
    assert_int_equal(first.destroyed, 1);
    assert_int_equal(second.destroyed, 1);
}

static void an_abandoned_or_voided_object_is_destroyed_once(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    struct counted abandoned = {0}, voided = {0};
    quash_fill *fill = begin(cache, "key");
    assert_int_equal(quash_fill_set_object(fill, &abandoned, counted_destroy, NULL, 1), QUASH_OK);
    quash_fill_abandon(fill, QUASH_OK);
    assert_int_equal(abandoned.destroyed, 1);
    fill = begin(cache, "key");
    assert_int_equal(quash_fill_set_object(fill, &voided, counted_destroy, NULL, 1), QUASH_OK);
    quash_cache_clear(cache);
    quash_entry *entry;
    assert_int_equal(quash_fill_commit(fill, &entry, NULL), QUASH_OK);
    assert_int_equal(voided.destroyed, 0);
    quash_entry_release(entry);
    assert_int_equal(voided.destroyed, 1);
    quash_cache_free(cache);
}

static void an_object_without_a_destructor_is_left_alone(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    int object = 7;
    quash_fill *fill = begin(cache, "key");
    assert_int_equal(quash_fill_set_object(fill, &object, NULL, NULL, 0), QUASH_OK);
    assert_int_equal(quash_fill_commit(fill, NULL, NULL), QUASH_OK);
    quash_cache_free(cache);
    assert_int_equal(object, 7);
}

/* ---- Loaders ---- */

static quash_status load_nothing(quash_fill *fill, void *context)
{
    (void)fill;
    (void)context;
    return QUASH_OK;
}

static quash_status load_failing(quash_fill *fill, void *context)
{
    (void)context;
    quash_fill_set_bytes(fill, "half", 4);
    return (quash_status)(QUASH_STATUS_USER + 7);
}

static void a_failing_loader_keeps_nothing_and_its_status_arrives(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_entry *entry = NULL;
    assert_int_equal(quash_cache_get_or_load(cache, "key", 3, load_nothing, NULL, NULL, &entry), QUASH_LOAD_FAILED);
    assert_int_equal(quash_cache_get_or_load(cache, "key", 3, load_failing, NULL, NULL, &entry), QUASH_STATUS_USER + 7);
    assert_null(entry);
    assert_false(hits(cache, "key"));
    assert_int_equal(stats_of(cache).loads_failed, 2);
    quash_cache_free(cache);
}

static quash_status load_then_cancel(quash_fill *fill, void *context)
{
    quash_fill_set_bytes(fill, "old", 3);
    quash_table_cancel(context, "tenant:42");
    return quash_fill_add_group(fill, "tenant:42");
}

static void a_value_cancelled_while_loading_goes_to_its_loader_only(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_entry *entry;
    assert_int_equal(quash_cache_get_or_load(cache, "key", 3, load_then_cancel, quash_cache_table(cache), NULL, &entry),
                     QUASH_OK);
    assert_true(entry_is_text(entry, "old"));
    quash_entry_release(entry);
    assert_false(hits(cache, "key"));
    assert_int_equal(stats_of(cache).loads_voided, 1);
    quash_cache_free(cache);
}

static void invalid_arguments_are_refused(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_fill *fill = NULL;
    assert_int_equal(quash_fill_begin(NULL, "k", 1, &fill), QUASH_INVALID);
    assert_int_equal(quash_fill_begin(cache, NULL, 1, &fill), QUASH_INVALID);
    assert_int_equal(quash_fill_begin(cache, "k", 1, NULL), QUASH_INVALID);
    assert_null(fill);
    assert_int_equal(quash_fill_add_group(NULL, "a"), QUASH_INVALID);
    assert_int_equal(quash_fill_set_bytes(NULL, "a", 1), QUASH_INVALID);
    assert_int_equal(quash_fill_set_object(NULL, &fill, NULL, NULL, 1), QUASH_INVALID);
    assert_int_equal(quash_fill_commit(NULL, NULL, NULL), QUASH_INVALID);
    quash_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_committed_fill_is_kept_and_hit),
        cmocka_unit_test(a_second_fill_of_the_key_is_busy_until_the_first_ends),
        cmocka_unit_test(an_abandoned_fill_leaves_nothing),
        cmocka_unit_test(a_fill_without_a_value_is_a_failed_load),
        cmocka_unit_test(commit_needs_neither_output),
        cmocka_unit_test(a_fill_replaces_the_live_entry_of_its_key),
        cmocka_unit_test(a_group_cancelled_during_the_fill_voids_it_also_if_named_afterwards),
        cmocka_unit_test(other_cancellations_do_not_void_it),
        cmocka_unit_test(remove_during_the_fill_voids_it),
        cmocka_unit_test(clear_during_the_fill_voids_it),
        cmocka_unit_test(put_during_the_fill_voids_it_and_stays),
        cmocka_unit_test(a_voided_fill_does_not_hinder_the_next),
        cmocka_unit_test(the_stamp_can_be_handed_on),
        cmocka_unit_test(sixteen_groups_are_kept_and_a_seventeenth_voids),
        cmocka_unit_test(a_group_that_is_no_name_voids),
        cmocka_unit_test(a_fill_sets_its_own_ttl),
        cmocka_unit_test(a_fill_sets_its_own_sliding_expiry),
        cmocka_unit_test(a_fill_sets_its_own_priority),
        cmocka_unit_test(a_fill_states_the_cost_of_its_object),
        cmocka_unit_test(a_value_set_again_drops_the_first),
        cmocka_unit_test(an_abandoned_or_voided_object_is_destroyed_once),
        cmocka_unit_test(an_object_without_a_destructor_is_left_alone),
        cmocka_unit_test(a_failing_loader_keeps_nothing_and_its_status_arrives),
        cmocka_unit_test(a_value_cancelled_while_loading_goes_to_its_loader_only),
        cmocka_unit_test(invalid_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
