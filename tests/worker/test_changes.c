/* From one rules file to the next: bindings that come and go, and groups that may have missed an event. */
#include "rules_support.h"

#include "changes.h"

static struct rules *before, *after;
static struct rules_changes changes;

/* What `rules` of a file are, between its brackets. */
static struct rules *parse_rules(const char *members)
{
    char text[4096];
    snprintf(text, sizeof text, "{\"version\": 1, %s}", members);
    return must_parse(text);
}

static void compare(const char *old, const char *new)
{
    before = parse_rules(old);
    after = parse_rules(new);
    assert_true(rules_changes_find(&changes, before, after));
}

static int tear_down(void **state)
{
    (void)state;
    rules_changes_fini(&changes);
    rules_free(before);
    rules_free(after);
    before = after = NULL;
    return 0;
}

/* The names, joined by spaces, in no order that matters. */
static void assert_cancelled(const char *expected)
{
    char found[1024] = "";
    size_t used = 0;
    groups_sort(changes.cancel);
    for (size_t i = 0; i < groups_count(changes.cancel); i++)
        used += (size_t)snprintf(found + used, sizeof found - used, "%s%s", i > 0 ? " " : "",
                                 groups_names(changes.cancel)[i]);
    assert_string_equal(found, expected);
}

static void assert_bindings(size_t added, size_t removed)
{
    assert_int_equal(changes.added_count, added);
    assert_int_equal(changes.removed_count, removed);
}

#define A          "{\"name\": \"a\", \"when\": {\"exchange\": \"x\", \"routing_key\": \"a.#\"}, \"cancel\": [\"one:{/id}\"]}"
#define B          "{\"name\": \"b\", \"when\": {\"exchange\": \"x\", \"routing_key\": \"b.#\"}, \"cancel\": [\"two:{/id}\"]}"
#define RULES(...) "\"rules\": [" __VA_ARGS__ "]"
/* A rule for the exchange "x" with this `when`, cancel and other keys. */
#define RULE(when, rest) "{\"name\": \"r\", \"when\": {\"exchange\": \"x\"" when "}, " rest "}"

static void the_same_rules_change_nothing(void **state)
{
    (void)state;
    compare(RULES(A "," B), RULES(A "," B));
    assert_bindings(0, 0);
    assert_cancelled("");
}

static void neither_order_nor_names_nor_descriptions_cancel(void **state)
{
    (void)state;
    compare(RULES(A "," B),
            RULES(B ", {\"name\": \"A\", \"description\": \"new\", \"when\": {\"routing_key\": \"a.#\", "
                    "\"exchange\": \"x\"}, \"cancel\": [\"one:{/id}\"]}"));
    assert_bindings(0, 0);
    assert_cancelled("");
}

static void a_new_rule_is_bound_and_its_kinds_are_cancelled(void **state)
{
    (void)state;
    compare(RULES(A), RULES(A "," B));
    assert_bindings(1, 0);
    assert_string_equal(changes.added[0].exchange, "x");
    assert_string_equal(changes.added[0].routing_key, "b.#");
    assert_cancelled("two:*");
}

static void a_rule_that_is_gone_is_unbound_and_cancels_nothing(void **state)
{
    (void)state;
    compare(RULES(A "," B), RULES(B));
    assert_bindings(0, 1);
    assert_string_equal(changes.removed[0].routing_key, "a.#");
    assert_cancelled("");
}

static void a_binding_that_another_rule_still_needs_stays(void **state)
{
    (void)state;
    compare(RULES(A ", {\"name\": \"c\", \"when\": {\"exchange\": \"x\", \"routing_key\": \"a.#\"}, "
                    "\"cancel\": [\"three\"]}"),
            RULES(A));
    assert_bindings(0, 0);
}

static void other_conditions_cancel_all_templates_of_the_rule(void **state)
{
    (void)state;
    compare(RULES(RULE(", \"body\": {\"/op\": \"c\"}", "\"cancel\": [\"one:{/id}\", \"two:{/id}\"]") "," B),
            RULES(RULE(", \"body\": {\"/op\": \"u\"}", "\"cancel\": [\"one:{/id}\", \"two:{/id}\"]") "," B));
    assert_bindings(0, 0);
    assert_cancelled("one:* two:*");
}

static void another_template_cancels_its_own_kind_only(void **state)
{
    (void)state;
    compare(RULES(RULE("", "\"cancel\": [\"one:{/id}\"]")),
            RULES(RULE("", "\"cancel\": [\"one:{/id}\", \"two:{/id}\"]")));
    assert_cancelled("two:*");
}

static void a_changed_template_cancels_its_new_kind(void **state)
{
    (void)state;
    compare(RULES(RULE("", "\"cancel\": [\"one:{/id}\"]")), RULES(RULE("", "\"cancel\": [\"one:{/other}\"]")));
    assert_cancelled("one:*");
}

static void a_template_without_a_kind_cancels_everything(void **state)
{
    (void)state;
    compare(RULES(A), RULES(A "," RULE("", "\"cancel\": [\"{/kind}:{/id}\"]")));
    assert_cancelled("*");
}

static void a_template_without_places_cancels_its_one_group(void **state)
{
    (void)state;
    compare(RULES(A), RULES(A "," RULE("", "\"cancel\": [\"catalog\", \"list:{{all}}\"]")));
    assert_cancelled("catalog list:{all}");
}

static void other_ways_cancel_the_kinds_of_the_rule(void **state)
{
    (void)state;
    compare(RULES(RULE("", "\"cancel\": [\"one:{/id}\"], \"on_missing\": \"skip\"")),
            RULES(RULE("", "\"cancel\": [\"one:{/id}\"]")));
    assert_cancelled("one:*");
    tear_down(NULL);
    compare(RULES(RULE("", "\"cancel\": [\"one:{/id}\"]")),
            RULES(RULE("", "\"cancel\": [\"one:{/id}\"], \"repeat_after_ms\": 500")));
    assert_cancelled("one:*");
}

static void ways_written_differently_are_no_change(void **state)
{
    (void)state;
    compare(RULES(RULE("", "\"cancel\": [\"one:{/id}\"], \"repeat_after_ms\": [500]")),
            RULES(RULE("", "\"cancel\": [\"one:{/id}\"], \"repeat_after_ms\": 500, \"on_missing\": \"widen\"")));
    assert_cancelled("");
}

static void a_default_says_as_much_as_the_rule_itself(void **state)
{
    (void)state;
    compare(
        RULES(RULE(", \"headers\": {\"env\": \"prod\"}", "\"cancel\": [\"one:{/id}\"], \"on_missing\": \"skip\"")),
        "\"defaults\": {\"when\": {\"exchange\": \"x\", \"headers\": {\"env\": \"prod\"}}, \"on_missing\": \"skip\"}, "
        "\"rules\": [{\"name\": \"r\", \"cancel\": [\"one:{/id}\"]}]");
    assert_bindings(0, 0);
    assert_cancelled("");
}

static void another_default_changes_the_rules_that_take_it_over(void **state)
{
    (void)state;
#define DEFAULTS(env)                                                                                                  \
    "\"defaults\": {\"when\": {\"headers\": {\"env\": \"" env "\"}}}, "                                                \
    "\"rules\": [" RULE(", \"headers\": {\"own\": 1}",                                                                 \
                        "\"cancel\": [\"own:{/id}\"]") ","                                                             \
                                                       "{\"name\": \"d\", \"when\": {\"exchange\": \"x\"}, "           \
                                                       "\"cancel\": [\"default:{/id}\"]}]"
    compare(DEFAULTS("prod"), DEFAULTS("test"));
    assert_cancelled("default:*");
}

static void disabling_is_removing_and_enabling_is_adding(void **state)
{
    (void)state;
#define DISABLED                                                                                                       \
    "{\"name\": \"b\", \"disabled\": true, \"when\": {\"exchange\": \"x\", \"routing_key\": \"b.#\"}, "                \
    "\"cancel\": [\"two:{/id}\"]}"
    compare(RULES(A "," B), RULES(A "," DISABLED));
    assert_bindings(0, 1);
    assert_cancelled("");
    tear_down(NULL);
    compare(RULES(A "," DISABLED), RULES(A "," B));
    assert_bindings(1, 0);
    assert_cancelled("two:*");
}

static void malformed_events_that_cancel_from_now_on_cancel_everything(void **state)
{
    (void)state;
    compare("\"on_malformed\": \"dead_letter\", " RULES(A), RULES(A));
    assert_cancelled("*");
    tear_down(NULL);
    compare(RULES(A), "\"on_malformed\": \"dead_letter\", " RULES(A));
    assert_cancelled("");
    tear_down(NULL);
    compare(RULES(A), "\"on_malformed\": \"widen\", \"unmatched\": \"dead_letter\", " RULES(A));
    assert_cancelled("");
}

static void exchange_and_routing_key_are_told_apart_in_a_binding(void **state)
{
    (void)state;
    const struct binding one[] = {{"a", "b"}, {"ab", ""}, {NULL, "b"}};
    const struct binding other[] = {{"", "b"}, {"a", ""}};
    struct binding out[3];
    assert_int_equal(bindings_without(one, 3, other, 2, out), 2);
    assert_ptr_equal(out[0].exchange, one[0].exchange);
    assert_ptr_equal(out[1].exchange, one[1].exchange);
    assert_int_equal(bindings_without(one, 3, NULL, 0, out), 3);
    assert_int_equal(bindings_without(NULL, 0, other, 2, out), 0);
}

int main(void)
{
#define CLAIM(function) cmocka_unit_test_teardown(function, tear_down)
    const struct CMUnitTest tests[] = {
        CLAIM(the_same_rules_change_nothing),
        CLAIM(neither_order_nor_names_nor_descriptions_cancel),
        CLAIM(a_new_rule_is_bound_and_its_kinds_are_cancelled),
        CLAIM(a_rule_that_is_gone_is_unbound_and_cancels_nothing),
        CLAIM(a_binding_that_another_rule_still_needs_stays),
        CLAIM(other_conditions_cancel_all_templates_of_the_rule),
        CLAIM(another_template_cancels_its_own_kind_only),
        CLAIM(a_changed_template_cancels_its_new_kind),
        CLAIM(a_template_without_a_kind_cancels_everything),
        CLAIM(a_template_without_places_cancels_its_one_group),
        CLAIM(other_ways_cancel_the_kinds_of_the_rule),
        CLAIM(ways_written_differently_are_no_change),
        CLAIM(a_default_says_as_much_as_the_rule_itself),
        CLAIM(another_default_changes_the_rules_that_take_it_over),
        CLAIM(disabling_is_removing_and_enabling_is_adding),
        CLAIM(malformed_events_that_cancel_from_now_on_cancel_everything),
        CLAIM(exchange_and_routing_key_are_told_apart_in_a_binding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
