/*
 * test_rules.c - a rules file is compiled whole or refused whole, with all its problems; its hash and its bindings.
 */
#include "rules_support.h"

#define RULE(name, when) "{\"name\": \"" name "\", \"when\": {" when "}, \"cancel\": [\"a:{/id}\"]}"
#define FILE_OF(rules)   "{\"version\": 1, \"rules\": [" rules "]}"

static void a_good_file_is_compiled_in_order(void **state)
{
    (void)state;
    struct rules *rules = must_parse(FILE_OF(RULE("one", "") "," RULE("two", "\"routing_key\": \"a.#\"")));
    assert_int_equal(rules_count(rules), 2);
    assert_string_equal(rules_name(rules, 0), "one");
    assert_string_equal(rules_name(rules, 1), "two");
    rules_free(rules);
    rules_free(NULL);
}

static void all_problems_are_told_at_once(void **state)
{
    (void)state;
    must_refuse(
        "{\"version\": 2, \"extra\": 1, \"rules\": [\n"
        "{\"name\": \"a\", \"when\": {\"routing_kee\": 1}, \"cancel\": [\"x:{id}\", 3], \"on_missing\": \"skp\"},\n"
        "{\"name\": \"a\", \"cancel\": []},\n"
        "7]}");
    assert_problem("/version", "version 2");
    assert_problem("/extra", "unknown key");
    assert_problem("/rules/0/when/routing_kee", "did you mean \"routing_key\"?");
    assert_problem("/rules/0/cancel/0", "{id}");
    assert_problem("/rules/0/cancel/1", "found the number 3");
    assert_problem("/rules/0/on_missing", "did you mean \"skip\"?");
    assert_problem("/rules/1/name", "taken by /rules/0");
    assert_problem("/rules/1/cancel", "found 0 templates");
    assert_problem("/rules/2", "found the number 7");
    assert_int_equal(test_problems.count, 9);
    for (size_t i = 0; i < test_problems.count; i++)
        assert_true(test_problems.item[i].line > 0);
}

static void problems_lead_to_their_line(void **state)
{
    (void)state;
    must_refuse("{\n \"version\": 1,\n \"rules\": [\n  {\"name\": \"a\",\n   \"cancel\": [\"b\",\n     \"c:{x}\"]}]}");
    assert_int_equal(test_problems.item[0].line, 6);
    assert_int_equal(test_problems.item[0].column, 6);
}

static void dead_letter_is_not_known_yet(void **state)
{
    (void)state;
    must_refuse(FILE_OF("{\"name\": \"a\", \"cancel\": [\"b\"], \"on_missing\": \"dead_letter\"}"));
    assert_problem("/rules/0/on_missing", "\"dead_letter\" is not known to this version");
}

static void the_hash_is_of_what_is_said_not_of_the_layout(void **state)
{
    (void)state;
    struct rules *one = must_parse("{\"version\": 1, \"rules\": [{\"name\": \"a\", \"cancel\": [\"b\", \"c\"]}]}");
    struct rules *two = must_parse("{ \"rules\" : [ {\"cancel\":[\"\\u0062\",\"c\"],\n\"name\":\"a\"} ],"
                                   " \"$schema\": \"x\", \"version\":1 }");
    struct rules *other = must_parse("{\"version\": 1, \"rules\": [{\"name\": \"a\", \"cancel\": [\"b\", \"d\"]}]}");
    assert_true(rules_hash(one) != 0);
    assert_true(rules_hash(one) == rules_hash(two));
    assert_true(rules_hash(one) != rules_hash(other));
    rules_free(one);
    rules_free(two);
    rules_free(other);
}

static uint64_t hash_with(const char *text, const char *default_exchange)
{
    struct rules *rules = rules_parse(text, strlen(text), default_exchange, &test_problems);
    assert_non_null(rules);
    uint64_t hash = rules_hash(rules);
    rules_free(rules);
    return hash;
}

static void the_default_exchange_counts_where_a_rule_uses_it(void **state)
{
    (void)state;
    static const char without[] = FILE_OF(RULE("a", ""));
    static const char with[] = FILE_OF(RULE("a", "\"exchange\": \"x\""));
    assert_true(hash_with(without, "d1") != hash_with(without, "d2"));
    assert_true(hash_with(without, "d1") != hash_with(without, NULL));
    assert_true(hash_with(with, "d1") == hash_with(with, NULL));
}

static void assert_binding(const struct rules *rules, const char *exchange, const char *routing_key)
{
    size_t found = 0;
    for (size_t i = 0; i < rules_binding_count(rules); i++) {
        const struct binding *binding = &rules_bindings(rules)[i];
        bool same_exchange = exchange == NULL ? binding->exchange == NULL
                                              : binding->exchange != NULL && strcmp(binding->exchange, exchange) == 0;
        found += same_exchange && strcmp(binding->routing_key, routing_key) == 0 ? 1 : 0;
    }
    if (found != 1)
        fail_msg("%zu bindings of %s with %s", found, exchange ? exchange : "(none)", routing_key);
}

static void bindings_are_the_product_each_once(void **state)
{
    (void)state;
    static const char text[] = "{\"version\": 1, \"rules\": ["
                               "{\"name\": \"a\", \"cancel\": [\"g\"], \"when\":"
                               " {\"exchange\": [\"x\", \"y\"], \"routing_key\": [\"k.#\", \"l\"]}},"
                               "{\"name\": \"b\", \"cancel\": [\"g\"], \"when\": {\"exchange\": \"x\", "
                               "\"routing_key\": [\"l\", \"m\", \"m\"]}},"
                               "{\"name\": \"c\", \"cancel\": [\"g\"], \"when\": {\"exchange\": \"x\"}},"
                               "{\"name\": \"d\", \"cancel\": [\"g\"]}]}";
    struct rules *rules = rules_parse(text, strlen(text), "dflt", &test_problems);
    assert_non_null(rules);
    assert_int_equal(rules_binding_count(rules), 7);
    assert_binding(rules, "x", "k.#");
    assert_binding(rules, "x", "l");
    assert_binding(rules, "y", "k.#");
    assert_binding(rules, "y", "l");
    assert_binding(rules, "x", "m");
    assert_binding(rules, "x", "#");
    assert_binding(rules, "dflt", "#");
    rules_free(rules);

    rules = must_parse(FILE_OF(RULE("d", "\"routing_key\": \"k\"")));
    assert_int_equal(rules_binding_count(rules), 1);
    assert_binding(rules, NULL, "k");
    rules_free(rules);
}

/* A file of `count` rules, each with a routing key of its own and `templates` templates. */
static char *many_rules(size_t count, size_t templates)
{
    char *text = malloc(64 + count * (96 + templates * 24));
    size_t used = (size_t)sprintf(text, "{\"version\": 1, \"rules\": [");
    for (size_t i = 0; i < count; i++) {
        used +=
            (size_t)sprintf(text + used, "%s{\"name\": \"r%zu\", \"when\": {\"routing_key\": \"k%zu\"}, \"cancel\": [",
                            i ? "," : "", i, i);
        for (size_t j = 0; j < templates; j++)
            used += (size_t)sprintf(text + used, "%s\"g:%zu\"", j ? "," : "", j);
        used += (size_t)sprintf(text + used, "]}");
    }
    sprintf(text + used, "]}");
    return text;
}

static bool accepted(const char *text)
{
    test_problems.count = 0;
    struct rules *rules = rules_parse(text, strlen(text), NULL, &test_problems);
    bool fine = rules != NULL;
    assert_int_equal(fine, test_problems.count == 0);
    rules_free(rules);
    return fine;
}

static void the_number_of_rules_has_a_limit(void **state)
{
    (void)state;
    for (size_t count = RULES_MAX - 1; count <= RULES_MAX + 1; count++) {
        char *text = many_rules(count, 1);
        assert_int_equal(accepted(text), count <= RULES_MAX);
        free(text);
    }
    assert_problem("/rules", "at most 10000");
}

static void the_number_of_templates_has_a_limit(void **state)
{
    (void)state;
    for (size_t count = RULE_TEMPLATES_MAX - 1; count <= RULE_TEMPLATES_MAX + 1; count++) {
        char *text = many_rules(1, count);
        assert_int_equal(accepted(text), count <= RULE_TEMPLATES_MAX);
        free(text);
    }
    assert_problem("/rules/0/cancel", "found 33 templates");
}

static void the_length_of_a_name_has_a_limit_in_characters(void **state)
{
    (void)state;
    for (size_t characters = RULE_NAME_CHARACTERS_MAX - 1; characters <= RULE_NAME_CHARACTERS_MAX + 1; characters++) {
        char text[1024];
        int used = snprintf(text, sizeof text, "{\"version\": 1, \"rules\": [{\"cancel\": [\"a\"], \"name\": \"");
        for (size_t i = 0; i < characters; i++)
            used += snprintf(text + used, sizeof text - (size_t)used, "\xc3\xa4");
        snprintf(text + used, sizeof text - (size_t)used, "\"}]}");
        assert_int_equal(accepted(text), characters <= RULE_NAME_CHARACTERS_MAX);
    }
    assert_problem("/rules/0/name", "201 characters");
}

/* One rule of 100 exchanges by 100 routing keys, and one of `more` routing keys. */
static void the_number_of_bindings_has_a_limit(void **state)
{
    (void)state;
    for (int more = -1; more <= 1; more++) {
        static char text[16384];
        int used = snprintf(text, sizeof text,
                            "{\"version\": 1, \"rules\": [{\"name\": \"a\", \"cancel\": [\"a\"],"
                            " \"when\": {\"exchange\": [");
        for (int i = 0; i < 100; i++)
            used += snprintf(text + used, sizeof text - (size_t)used, "%s\"x%d\"", i ? "," : "", i);
        used += snprintf(text + used, sizeof text - (size_t)used, "], \"routing_key\": [");
        for (int i = 0; i < 99; i++)
            used += snprintf(text + used, sizeof text - (size_t)used, "%s\"k%d\"", i ? "," : "", i);
        used +=
            snprintf(text + used, sizeof text - (size_t)used,
                     "]}}, {\"name\": \"b\", \"cancel\": [\"a\"], \"when\": {\"exchange\": \"y\", \"routing_key\": [");
        for (int i = 0; i < 100 + more; i++)
            used += snprintf(text + used, sizeof text - (size_t)used, "%s\"k%d\"", i ? "," : "", i);
        snprintf(text + used, sizeof text - (size_t)used, "]}}]}");
        assert_int_equal(accepted(text), more <= 0);
    }
    assert_problem("/rules", "more than 10000 bindings");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_is_compiled_in_order),
        cmocka_unit_test(all_problems_are_told_at_once),
        cmocka_unit_test(problems_lead_to_their_line),
        cmocka_unit_test(dead_letter_is_not_known_yet),
        cmocka_unit_test(the_hash_is_of_what_is_said_not_of_the_layout),
        cmocka_unit_test(the_default_exchange_counts_where_a_rule_uses_it),
        cmocka_unit_test(bindings_are_the_product_each_once),
        cmocka_unit_test(the_number_of_rules_has_a_limit),
        cmocka_unit_test(the_number_of_templates_has_a_limit),
        cmocka_unit_test(the_length_of_a_name_has_a_limit_in_characters),
        cmocka_unit_test(the_number_of_bindings_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
