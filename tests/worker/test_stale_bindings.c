/* Bindings that nobody needs, kept until they are removed. */
#include "rules_support.h"

#include "stale_bindings.h"

static struct stale_bindings stale;

static int tear_down(void **state)
{
    (void)state;
    stale_bindings_fini(&stale);
    return 0;
}

static void assert_kept(size_t index, const char *exchange, const char *routing_key)
{
    assert_true(index < stale.count);
    assert_string_equal(stale.item[index].exchange, exchange);
    assert_string_equal(stale.item[index].routing_key, routing_key);
}

static void they_outlive_the_strings_that_they_came_from(void **state)
{
    (void)state;
    char exchange[] = "x", key[] = "a.#";
    const struct binding binding = {exchange, key};
    assert_true(stale_bindings_add(&stale, &binding, 1));
    exchange[0] = key[0] = '!';
    assert_kept(0, "x", "a.#");
}

static void what_is_there_is_not_added_again(void **state)
{
    (void)state;
    const struct binding first[] = {{"x", "a"}, {"x", "b"}}, second[] = {{"x", "b"}, {"y", "b"}};
    assert_true(stale_bindings_add(&stale, first, 2));
    for (int i = 0; i < 3; i++)
        assert_true(stale_bindings_add(&stale, second, 2));
    assert_int_equal(stale.count, 3);
    assert_kept(2, "y", "b");
    assert_true(stale_bindings_add(&stale, NULL, 0));
    assert_int_equal(stale.count, 3);
}

static void what_the_rules_need_is_spared(void **state)
{
    (void)state;
    struct rules *rules = must_parse("{\"version\": 1, \"rules\": [{\"name\": \"r\", \"when\": {\"exchange\": \"x\", "
                                     "\"routing_key\": [\"a\", \"c\"]}, \"cancel\": [\"g\"]}]}");
    assert_true(stale_bindings_spare(&stale, rules));
    assert_int_equal(stale.count, 0);
    const struct binding all[] = {{"x", "a"}, {"x", "b"}, {"x", "c"}, {"y", "a"}};
    assert_true(stale_bindings_add(&stale, all, 4));
    assert_true(stale_bindings_spare(&stale, rules));
    assert_int_equal(stale.count, 2);
    assert_kept(0, "x", "b");
    assert_kept(1, "y", "a");
    /* And they can grow again. */
    assert_true(stale_bindings_add(&stale, all, 4));
    assert_int_equal(stale.count, 4);
    rules_free(rules);
}

static void the_last_is_dropped_first(void **state)
{
    (void)state;
    const struct binding all[] = {{"x", "a"}, {"x", "b"}};
    assert_true(stale_bindings_add(&stale, all, 2));
    stale_bindings_drop_last(&stale);
    assert_int_equal(stale.count, 1);
    assert_kept(0, "x", "a");
}

int main(void)
{
#define CLAIM(function) cmocka_unit_test_teardown(function, tear_down)
    const struct CMUnitTest tests[] = {
        CLAIM(they_outlive_the_strings_that_they_came_from),
        CLAIM(what_is_there_is_not_added_again),
        CLAIM(what_the_rules_need_is_spared),
        CLAIM(the_last_is_dropped_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
