/*
 * test_groups.c - a set keeps each name once, in order, and can be rolled back and used again.
 */
#include "rules_support.h"

static bool add(struct groups *groups, const char *name)
{
    return groups_add(groups, name, strlen(name));
}

static void a_name_added_twice_is_there_once_in_first_order(void **state)
{
    (void)state;
    struct groups *groups = groups_new();
    assert_true(add(groups, "tenant:2"));
    assert_true(add(groups, "tenant:1"));
    assert_true(add(groups, "tenant:2"));
    assert_int_equal(groups_count(groups), 2);
    assert_string_equal(groups_names(groups)[0], "tenant:2");
    assert_string_equal(groups_names(groups)[1], "tenant:1");
    groups_free(groups);
}

static void a_name_is_copied_and_takes_its_length_alone(void **state)
{
    (void)state;
    struct groups *groups = groups_new();
    char text[] = "tenant:42";
    assert_true(groups_add(groups, text, 8));
    memset(text, 'x', sizeof text - 1);
    assert_int_equal(groups_count(groups), 1);
    assert_string_equal(groups_names(groups)[0], "tenant:4");
    groups_free(groups);
}

static void a_hundred_thousand_names_are_each_there_once(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    struct groups *groups = groups_new();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++) {
            char name[32];
            snprintf(name, sizeof name, "user:%d", i);
            assert_true(add(groups, name));
        }
        assert_int_equal(groups_count(groups), COUNT);
    }
    for (int i = 0; i < COUNT; i++) {
        char name[32];
        snprintf(name, sizeof name, "user:%d", i);
        assert_string_equal(groups_names(groups)[i], name);
    }
    groups_free(groups);
}

static void sorting_is_bytewise_and_keeps_the_set(void **state)
{
    (void)state;
    struct groups *groups = groups_new();
    static const char *const names[] = {"b", "a:2", "\xc3\xa4", "a:10", "*", "B"};
    for (size_t i = 0; i < 6; i++)
        assert_true(add(groups, names[i]));
    groups_sort(groups);
    static const char *const sorted[] = {"*", "B", "a:10", "a:2", "b", "\xc3\xa4"};
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(groups_names(groups)[i], sorted[i]);
    for (size_t i = 0; i < 6; i++)
        assert_true(add(groups, names[i]));
    assert_int_equal(groups_count(groups), 6);
    groups_truncate(groups, 3);
    assert_true(add(groups, "B"));
    assert_int_equal(groups_count(groups), 3);
    assert_true(add(groups, "b"));
    assert_int_equal(groups_count(groups), 4);
    groups_free(groups);
}

static void names_taken_out_again_can_be_added_again(void **state)
{
    (void)state;
    struct groups *groups = groups_new();
    char name[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "kept:%d", i);
        assert_true(add(groups, name));
    }
    size_t mark = groups_count(groups);
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "dropped:%d", i);
        assert_true(add(groups, name));
    }
    groups_truncate(groups, mark);
    assert_int_equal(groups_count(groups), mark);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "kept:%d", i);
        assert_true(add(groups, name));
    }
    assert_int_equal(groups_count(groups), mark);
    assert_true(add(groups, "dropped:7"));
    assert_int_equal(groups_count(groups), mark + 1);
    assert_string_equal(groups_names(groups)[mark], "dropped:7");
    groups_free(groups);
}

static void a_cleared_set_is_empty_and_works_again(void **state)
{
    (void)state;
    struct groups *groups = groups_new();
    char name[600];
    for (int round = 0; round < 5; round++) {
        int count = round % 2 == 0 ? 3000 : 3;
        for (int i = 0; i < count; i++) {
            memset(name, 'n', sizeof name);
            snprintf(name + 500, sizeof name - 500, ":%d:%d", round, i);
            assert_true(groups_add(groups, name, strlen(name)));
        }
        assert_int_equal(groups_count(groups), count);
        groups_clear(groups);
        assert_int_equal(groups_count(groups), 0);
    }
    assert_true(add(groups, name));
    assert_int_equal(groups_count(groups), 1);
    groups_free(groups);
    groups_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_added_twice_is_there_once_in_first_order),
        cmocka_unit_test(a_name_is_copied_and_takes_its_length_alone),
        cmocka_unit_test(a_hundred_thousand_names_are_each_there_once),
        cmocka_unit_test(sorting_is_bytewise_and_keeps_the_set),
        cmocka_unit_test(names_taken_out_again_can_be_added_again),
        cmocka_unit_test(a_cleared_set_is_empty_and_works_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
