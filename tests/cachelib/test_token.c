/* Change tokens: what counts as a change, and what does not. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache_support.h"
#include "token.h"

static quash_table *new_table(uint64_t buckets)
{
    quash_table *table = NULL;
    assert_int_equal(quash_table_new_private(buckets, &table), QUASH_OK);
    return table;
}

static quash_token *token_of(quash_table *table, const char *group)
{
    quash_token *token = NULL;
    assert_int_equal(quash_token_new(table, &token), QUASH_OK);
    if (group != NULL)
        assert_int_equal(quash_token_add(token, group), QUASH_OK);
    return token;
}

static void cancel(quash_table *table, const char *group)
{
    assert_int_equal(quash_table_cancel(table, group), QUASH_OK);
}

static void changes_when_its_group_is_cancelled_and_stays_changed(void **state)
{
    (void)state;
    quash_table *table = new_table(1024);
    quash_token *token = token_of(table, "tenant:42");
    assert_int_equal(quash_token_check(token), QUASH_UNCHANGED);
    assert_false(quash_token_changed(token));
    cancel(table, "tenant:42");
    assert_int_equal(quash_token_check(token), QUASH_CHANGED);
    cancel(table, "tenant:43");
    assert_true(quash_token_changed(token));
    quash_token_free(token);
    quash_table_close(table);
}

static void other_groups_do_not_change_it(void **state)
{
    (void)state;
    quash_table *table = new_table(1024);
    quash_token *token = token_of(table, "tenant:42");
    cancel(table, "tenant:4");
    cancel(table, "tenant:421");
    cancel(table, "tenant");
    cancel(table, "tenants:42");
    assert_int_equal(quash_token_check(token), QUASH_UNCHANGED);
    quash_token_free(token);
    quash_table_close(table);
}

static void its_kind_and_everything_change_it(void **state)
{
    (void)state;
    quash_table *table = new_table(1024);
    const char *const implied[] = {"tenant:*", "*"};
    for (size_t i = 0; i < 2; i++) {
        quash_token *token = token_of(table, "tenant:42");
        quash_token *other = token_of(table, "region:eu");
        cancel(table, implied[i]);
        assert_int_equal(quash_token_check(token), QUASH_CHANGED);
        assert_int_equal(quash_token_check(other), i == 0 ? QUASH_UNCHANGED : QUASH_CHANGED);
        quash_token_free(token);
        quash_token_free(other);
    }
    quash_table_close(table);
}

static void a_kind_ends_before_the_first_colon(void **state)
{
    (void)state;
    quash_table *table = new_table(1024);
    quash_token *token = token_of(table, "urn:tenant:42");
    cancel(table, "urn:tenant:*");
    assert_int_equal(quash_token_check(token), QUASH_UNCHANGED);
    cancel(table, "urn:*");
    assert_int_equal(quash_token_check(token), QUASH_CHANGED);
    quash_token_free(token);
    quash_table_close(table);
}

static void a_token_without_groups_changes_with_everything_only(void **state)
{
    (void)state;
    quash_table *table = new_table(1024);
    quash_token *token = token_of(table, NULL);
    cancel(table, "tenant:42");
    assert_int_equal(quash_token_check(token), QUASH_UNCHANGED);
    cancel(table, "*");
    assert_int_equal(quash_token_check(token), QUASH_CHANGED);
    quash_token_free(token);
    quash_table_close(table);
}

static void a_group_added_late_counts_from_the_stamp(void **state)
{
    (void)state;
    quash_table *table = new_table(1024);
    quash_token *token = token_of(table, NULL);
    cancel(table, "tenant:42");
    /* Found good here at a count that the cancellation is part of: it must not be trusted for the group below. */
    assert_int_equal(quash_token_check(token), QUASH_UNCHANGED);
    assert_int_equal(quash_token_add(token, "tenant:42"), QUASH_OK);
    assert_int_equal(quash_token_check(token), QUASH_CHANGED);
    quash_token_free(token);
    quash_table_close(table);
}

static void a_cancel_before_the_stamp_does_not_count(void **state)
{
    (void)state;
    quash_table *table = new_table(1024);
    cancel(table, "tenant:42");
    quash_token *token = token_of(table, "tenant:42");
    assert_int_equal(quash_token_check(token), QUASH_UNCHANGED);
    quash_token_free(token);
    quash_table_close(table);
}

static void a_stamp_taken_earlier_sees_what_came_after_it(void **state)
{
    (void)state;
    quash_table *table = new_table(1024);
    quash_stamp before = quash_table_stamp(table);
    cancel(table, "tenant:42");
    quash_stamp after = quash_table_stamp(table);
    quash_token *token;
    assert_int_equal(quash_token_new_at(table, before, &token), QUASH_OK);
    assert_int_equal(quash_token_add(token, "tenant:42"), QUASH_OK);
    assert_int_equal(quash_token_check(token), QUASH_CHANGED);
    assert_true(quash_token_stamp(token).incarnation == before.incarnation);
    assert_true(quash_token_stamp(token).sequence == before.sequence);
    quash_token_free(token);
    assert_int_equal(quash_token_new_at(table, after, &token), QUASH_OK);
    assert_int_equal(quash_token_add(token, "tenant:42"), QUASH_OK);
    assert_int_equal(quash_token_check(token), QUASH_UNCHANGED);
    quash_token_free(token);
    quash_table_close(table);
}

static void a_stamp_that_the_table_never_handed_out_is_changed(void **state)
{
    (void)state;
    quash_table *table = new_table(1024);
    quash_stamp stamp = quash_table_stamp(table);
    const quash_stamp strange[] = {{stamp.incarnation, stamp.sequence + 1},
                                   {stamp.incarnation, UINT64_MAX},
                                   {stamp.incarnation + 1, stamp.sequence}};
    for (size_t i = 0; i < 3; i++) {
        quash_token *token;
        assert_int_equal(quash_token_new_at(table, strange[i], &token), QUASH_OK);
        assert_int_equal(quash_token_add(token, "tenant:42"), QUASH_OK);
        assert_int_equal(quash_token_check(token), QUASH_CHANGED);
        cancel(table, "other:1"); /* the sequence has passed the stamp: still changed */
        assert_int_equal(quash_token_check(token), QUASH_CHANGED);
        quash_token_free(token);
    }
    quash_token *nowhere;
    assert_int_equal(quash_token_new_at(table, (quash_stamp){0, 0}, &nowhere), QUASH_OK);
    assert_int_equal(quash_token_check(nowhere), QUASH_UNKNOWN);
    quash_token_free(nowhere);
    quash_table_close(table);
}

static void restart_takes_a_new_stamp_and_forgets_the_groups(void **state)
{
    (void)state;
    quash_table *table = new_table(1024);
    quash_token *token = token_of(table, "tenant:42");
    cancel(table, "tenant:42");
    assert_true(quash_token_changed(token));
    quash_token_restart(token);
    assert_int_equal(quash_token_check(token), QUASH_UNCHANGED);
    cancel(table, "tenant:42");
    assert_int_equal(quash_token_check(token), QUASH_UNCHANGED);
    quash_token_free(token);
    quash_table_close(table);
}

static void sixteen_groups_fit_and_a_seventeenth_does_not(void **state)
{
    (void)state;
    quash_table *table = new_table(1024);
    quash_token *token = token_of(table, NULL);
    char group[32];
    /* Each of a kind of its own, which takes the most room. */
    for (unsigned i = 0; i < QUASH_TOKEN_GROUPS_MAX; i++) {
        snprintf(group, sizeof group, "kind%u:1", i);
        assert_int_equal(quash_token_add(token, group), QUASH_OK);
    }
    assert_int_equal(quash_token_add(token, "kind3:1"), QUASH_OK); /* is there already */
    assert_int_equal(quash_token_check(token), QUASH_UNCHANGED);
    snprintf(group, sizeof group, "kind%u:*", QUASH_TOKEN_GROUPS_MAX - 1);
    cancel(table, group);
    assert_int_equal(quash_token_check(token), QUASH_CHANGED);
    assert_int_equal(quash_token_add(token, "one:more"), QUASH_TOO_MANY);
    quash_token_free(token);
    quash_table_close(table);
}

/* Whoever does not look at what adding returned must get a miss for it, not a stale value. */
static void a_token_that_lacks_a_group_is_changed_until_it_is_restarted(void **state)
{
    (void)state;
    quash_table *table = new_table(1024);
    quash_token *token = token_of(table, "tenant:42");
    assert_int_equal(quash_token_check(token), QUASH_UNCHANGED);
    assert_int_equal(quash_token_add(token, ""), QUASH_INVALID);
    assert_int_equal(quash_token_check(token), QUASH_CHANGED);
    assert_int_equal(quash_token_add(token, "tenant:43"), QUASH_OK);
    assert_int_equal(quash_token_check(token), QUASH_CHANGED);

    quash_token_restart(token);
    char group[32];
    for (unsigned i = 0; i < QUASH_TOKEN_GROUPS_MAX; i++) {
        snprintf(group, sizeof group, "user:%u", i);
        assert_int_equal(quash_token_add(token, group), QUASH_OK);
    }
    assert_int_equal(quash_token_check(token), QUASH_UNCHANGED);
    assert_int_equal(quash_token_add(token, "tenant:42"), QUASH_TOO_MANY);
    assert_int_equal(quash_token_check(token), QUASH_CHANGED);
    quash_token_free(token);
    quash_table_close(table);
}

static void each_of_sixteen_groups_counts(void **state)
{
    (void)state;
    quash_table *table = new_table(1024);
    for (unsigned cancelled = 0; cancelled < QUASH_TOKEN_GROUPS_MAX; cancelled++) {
        quash_token *token = token_of(table, NULL);
        char group[32];
        for (unsigned i = 0; i < QUASH_TOKEN_GROUPS_MAX; i++) {
            snprintf(group, sizeof group, "kind:%u", i);
            assert_int_equal(quash_token_add(token, group), QUASH_OK);
        }
        snprintf(group, sizeof group, "kind:%u", cancelled);
        cancel(table, group);
        assert_int_equal(quash_token_check(token), QUASH_CHANGED);
        quash_token_free(token);
    }
    quash_table_close(table);
}

static void names_of_1_to_512_bytes_are_groups(void **state)
{
    (void)state;
    quash_table *table = new_table(1024);
    quash_token *token = token_of(table, NULL);
    char name[QUASH_GROUP_MAX + 2];
    memset(name, 'g', sizeof name);
    name[QUASH_GROUP_MAX + 1] = '\0';
    assert_int_equal(quash_token_add(token, name), QUASH_INVALID);
    assert_int_equal(quash_token_add(token, ""), QUASH_INVALID);
    assert_int_equal(quash_token_add(token, NULL), QUASH_INVALID);
    quash_token_restart(token);
    name[QUASH_GROUP_MAX] = '\0';
    assert_int_equal(quash_token_add(token, name), QUASH_OK);
    assert_int_equal(quash_token_add(token, "x"), QUASH_OK);
    assert_int_equal(quash_token_add(token, "\xff\x01:\x80"), QUASH_OK);
    assert_int_equal(quash_token_check(token), QUASH_UNCHANGED);
    cancel(table, name);
    assert_int_equal(quash_token_check(token), QUASH_CHANGED);
    quash_token_free(token);
    quash_table_close(table);
}

static void a_table_that_has_forgotten_says_collateral(void **state)
{
    (void)state;
    quash_table *table = new_table(1);
    quash_token *token = token_of(table, "tenant:42");
    char group[32];
    for (int i = 0; i < 20; i++) {
        snprintf(group, sizeof group, "other:%d", i);
        cancel(table, group);
    }
    assert_int_equal(quash_token_check(token), QUASH_COLLATERAL);
    assert_true(quash_token_changed(token));
    quash_token_free(token);
    quash_table_close(table);
}

static void a_token_of_a_replaced_table_is_changed_for_good(void **state)
{
    (void)state;
    struct table_place place;
    table_place_make(&place);
    quash_table *server = serve(&place);
    quash_table *reader = follow(&place);
    quash_token *token = token_of(reader, "tenant:42");
    quash_token *servers = token_of(server, "tenant:42");
    assert_int_equal(quash_token_check(token), QUASH_UNCHANGED);

    assert_int_equal(unlink(place.path), 0);
    bool replaced = false;
    assert_int_equal(quash_table_refresh(server, &replaced, NULL), QUASH_OK);
    assert_true(replaced);
    /* At once: the old table says itself that it has ended. */
    assert_int_equal(quash_token_check(token), QUASH_CHANGED);
    assert_int_equal(quash_token_check(servers), QUASH_CHANGED);
    /* A group may still be named on it, by a loader that knows nothing of all this. */
    assert_int_equal(quash_token_add(token, "region:eu"), QUASH_OK);
    assert_int_equal(quash_table_refresh(reader, NULL, NULL), QUASH_OK);
    assert_int_equal(quash_token_check(token), QUASH_CHANGED);
    quash_token_restart(token);
    assert_int_equal(quash_token_check(token), QUASH_UNCHANGED);

    quash_token_free(token);
    quash_token_free(servers);
    quash_table_close(reader);
    quash_table_close(server);
    table_place_remove(&place);
}

static void a_table_that_has_ended_hands_out_no_stamps(void **state)
{
    (void)state;
    struct table_place place;
    table_place_make(&place);
    quash_table *server = serve(&place);
    /* As by a thread that fetched the mapping just before it was retired. */
    const struct table_map *map = token_map(server);
    assert_non_null(map);
    assert_int_equal(unlink(place.path), 0);
    assert_int_equal(quash_table_refresh(server, NULL, NULL), QUASH_OK);
    struct token token;
    token_init(&token, map);
    assert_true(token.incarnation == 0);
    assert_int_equal(token_check(&token, map), QUASH_UNKNOWN);
    quash_table_close(server);
    table_place_remove(&place);
}

static void a_token_made_while_detached_is_never_good(void **state)
{
    (void)state;
    struct table_place place;
    table_place_make(&place);
    quash_table *reader = follow(&place);
    quash_token *token = token_of(reader, "tenant:42");
    assert_true(quash_token_stamp(token).incarnation == 0);
    assert_int_equal(quash_token_check(token), QUASH_UNKNOWN);
    assert_true(quash_token_changed(token));

    quash_table *server = serve(&place);
    assert_int_equal(quash_table_refresh(reader, NULL, NULL), QUASH_OK);
    assert_int_equal(quash_token_check(token), QUASH_UNKNOWN);
    quash_token_restart(token);
    assert_int_equal(quash_token_check(token), QUASH_UNCHANGED);

    quash_token_free(token);
    quash_table_close(reader);
    quash_table_close(server);
    table_place_remove(&place);
}

static void a_cancel_by_another_process_changes_it(void **state)
{
    (void)state;
    struct table_place place;
    table_place_make(&place);
    quash_table *server = serve(&place);
    quash_table *reader = follow(&place);
    quash_token *token = token_of(reader, "tenant:42");
    assert_int_equal(quash_token_check(token), QUASH_UNCHANGED);

    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        quash_table_options options = QUASH_TABLE_OPTIONS_INIT;
        options.writable = true;
        quash_table *writer;
        bool done = quash_table_open(place.path, &options, &writer, NULL) == QUASH_OK &&
                    quash_table_cancel(writer, "tenant:42") == QUASH_OK;
        _exit(done ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(quash_token_check(token), QUASH_CHANGED);

    quash_token_free(token);
    quash_table_close(reader);
    quash_table_close(server);
    table_place_remove(&place);
}

static void invalid_arguments_are_refused(void **state)
{
    (void)state;
    quash_table *table = new_table(1);
    quash_token *token = NULL;
    assert_int_equal(quash_token_new(NULL, &token), QUASH_INVALID);
    assert_int_equal(quash_token_new(table, NULL), QUASH_INVALID);
    assert_int_equal(quash_token_new_at(NULL, (quash_stamp){1, 1}, &token), QUASH_INVALID);
    assert_int_equal(quash_token_add(NULL, "a"), QUASH_INVALID);
    assert_null(token);
    quash_token_free(NULL);
    quash_table_close(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_when_its_group_is_cancelled_and_stays_changed),
        cmocka_unit_test(other_groups_do_not_change_it),
        cmocka_unit_test(its_kind_and_everything_change_it),
        cmocka_unit_test(a_kind_ends_before_the_first_colon),
        cmocka_unit_test(a_token_without_groups_changes_with_everything_only),
        cmocka_unit_test(a_group_added_late_counts_from_the_stamp),
        cmocka_unit_test(a_cancel_before_the_stamp_does_not_count),
        cmocka_unit_test(a_stamp_taken_earlier_sees_what_came_after_it),
        cmocka_unit_test(a_stamp_that_the_table_never_handed_out_is_changed),
        cmocka_unit_test(restart_takes_a_new_stamp_and_forgets_the_groups),
        cmocka_unit_test(sixteen_groups_fit_and_a_seventeenth_does_not),
        cmocka_unit_test(a_token_that_lacks_a_group_is_changed_until_it_is_restarted),
        cmocka_unit_test(each_of_sixteen_groups_counts),
        cmocka_unit_test(names_of_1_to_512_bytes_are_groups),
        cmocka_unit_test(a_table_that_has_forgotten_says_collateral),
        cmocka_unit_test(a_token_of_a_replaced_table_is_changed_for_good),
        cmocka_unit_test(a_table_that_has_ended_hands_out_no_stamps),
        cmocka_unit_test(a_token_made_while_detached_is_never_good),
        cmocka_unit_test(a_cancel_by_another_process_changes_it),
        cmocka_unit_test(invalid_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
