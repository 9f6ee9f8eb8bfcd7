/*
 * test_rules.c - a rules file is compiled whole or refused whole, with all its problems; its hash and its bindings.
 */
#include "rules_support.h"

#include "ruleset.h"

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
    assert_problem("/rules/0/cancel/0", "\"id\" names no source");
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

static void words_that_are_not_known_are_told_with_the_nearest(void **state)
{
    (void)state;
    must_refuse("{\"version\": 1, \"unmatched\": \"drop\", \"on_malformed\": [\"widen\", \"dead_leter\"],"
                " \"defaults\": {\"on_missing\": \"skip\", \"name\": \"x\", \"when\": {\"bdy\": {}}}, \"rules\": ["
                "{\"name\": \"a\", \"cancel\": [\"b\"], \"on_missing\": [\"widen\", \"skip\"]},"
                "{\"name\": \"b\", \"cancel\": [\"b\"], \"on_missing\": []},"
                "{\"name\": \"c\", \"cancel\": [\"b\"], \"on_missing\": [\"dead_letter\", \"dead_letter\"]},"
                "{\"name\": \"d\", \"cancel\": [\"b\"], \"on_missing\": true},"
                "{\"name\": \"e\", \"cancel\": [\"b\"], \"disabled\": \"yes\", \"description\": 1},"
                "{\"name\": \"f\", \"cancel\": [\"b\"], \"on_mising\": \"skip\"}]}");
    assert_problem("/unmatched", "\"drop\" is not known to this version; expected \"ignore\"");
    assert_problem("/on_malformed/1", "did you mean \"dead_letter\"?");
    assert_problem("/defaults/name", "unknown key \"name\"");
    assert_problem("/defaults/when/bdy", "did you mean \"body\"?");
    assert_problem("/rules/0/on_missing/1", "\"skip\" stands alone");
    assert_problem("/rules/1/on_missing", "empty list");
    assert_problem("/rules/2/on_missing/1", "is there twice");
    assert_problem("/rules/3/on_missing", "found true");
    assert_problem("/rules/4/disabled", "found the string \"yes\"; expected true or false");
    assert_problem("/rules/4/description", "a text for people");
    assert_problem("/rules/5/on_mising", "did you mean \"on_missing\"?");
    assert_int_equal(test_problems.count, 11);

    must_refuse(
        "{\"version\": 1, \"unmatched\": [\"ignore\"], \"on_malformed\": [], \"description\": {}, \"$schema\": 1,"
        " \"defaults\": [], \"rules\": [{\"name\": \"a\", \"cancel\": [\"b\"]}]}");
    assert_problem("/unmatched", "found an array");
    assert_problem("/on_malformed", "empty list");
    assert_problem("/description", "found an object");
    assert_problem("/$schema", "found the number 1");
    assert_problem("/defaults", "found an array");
    assert_int_equal(test_problems.count, 5);
}

static void a_mistake_in_defaults_is_told_once(void **state)
{
    (void)state;
    must_refuse("{\"version\": 1, \"defaults\": {\"when\": {\"routing_key\": \"a*\"}, \"repeat_after_ms\": 0},"
                " \"rules\": [{\"name\": \"a\", \"cancel\": [\"b\"]}, {\"name\": \"b\", \"cancel\": [\"b\"]}]}");
    assert_problem("/defaults/when/routing_key", "wildcard");
    assert_problem("/defaults/repeat_after_ms", "found 0; expected 1 to 3600000");
    assert_int_equal(test_problems.count, 2);
}

/* A file of one rule with `repeat_after_ms` in the rule, or in the defaults. */
static bool accepts_repeat(const char *value, bool in_defaults)
{
    char text[512];
    snprintf(text, sizeof text,
             in_defaults
                 ? "{\"version\": 1, \"defaults\": {\"repeat_after_ms\": %s},"
                   " \"rules\": [{\"name\": \"a\", \"cancel\": [\"b\"]}]}"
                 : "{\"version\": 1, \"rules\": [{\"name\": \"a\", \"cancel\": [\"b\"], \"repeat_after_ms\": %s}]}",
             value);
    test_problems.count = 0;
    struct rules *rules = rules_parse(text, strlen(text), NULL, &test_problems, NULL);
    bool fine = rules != NULL;
    rules_free(rules);
    return fine;
}

static void times_to_repeat_after_have_limits(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool fine;
    } cases[] = {
        {"0", false},
        {"-1", false},
        {"1", true},
        {"2", true},
        {"3599999", true},
        {"3600000", true},
        {"3600001", false},
        {"9223372036854775807", false},
        {"1.0", false},
        {"\"500\"", false},
        {"null", false},
        {"[]", false},
        {"[500]", true},
        {"[1, 2, 3, 4, 5, 6, 7]", true},
        {"[1, 2, 3, 4, 5, 6, 7, 8]", true},
        {"[1, 2, 3, 4, 5, 6, 7, 8, 9]", false},
        {"[500, 500]", false},
        {"[3, 1, 2, 1]", false},
        {"[500, 0]", false},
        {"[[500]]", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (accepts_repeat(cases[i].value, false) != cases[i].fine ||
            accepts_repeat(cases[i].value, true) != cases[i].fine)
            fail_msg("%s", cases[i].value);
    }
    assert_false(accepts_repeat("[3, 1, 2, 1]", false));
    assert_problem("/rules/0/repeat_after_ms/3", "1 is there twice");
}

static void a_rule_takes_over_what_it_does_not_say(void **state)
{
    (void)state;
    struct rules *rules =
        must_parse("{\"version\": 1, \"defaults\": {\"when\": {\"exchange\": \"x\", \"routing_key\": \"k\"},"
                   " \"on_missing\": \"skip\", \"repeat_after_ms\": [500, 100]}, \"rules\": ["
                   "{\"name\": \"a\", \"cancel\": [\"b\"]},"
                   "{\"name\": \"b\", \"cancel\": [\"b\"], \"when\": {\"routing_key\": \"l\"},"
                   " \"on_missing\": [\"dead_letter\", \"widen\"], \"repeat_after_ms\": 7}]}");
    const struct rule *a = &rules->rule[0], *b = &rules->rule[1];
    assert_int_equal(a->missing, 0);
    assert_int_equal(a->repeat_count, 2);
    assert_int_equal(a->repeat_after_ms[0], 100); /* ascending */
    assert_int_equal(a->repeat_after_ms[1], 500);
    assert_int_equal(b->missing, MISSING_WIDEN | MISSING_DEAD_LETTER);
    assert_int_equal(b->repeat_count, 1);
    assert_int_equal(b->repeat_after_ms[0], 7);
    assert_int_equal(condition_count(a->condition), 2);
    assert_int_equal(condition_count(b->condition), 2);
    assert_string_equal(condition_pointer(b->condition, 1), "/when/routing_key");
    rules_free(rules);

    rules = must_parse("{\"version\": 1, \"defaults\": {}, \"rules\": [{\"name\": \"a\", \"cancel\": [\"b\"]},"
                       "{\"name\": \"b\", \"cancel\": [\"b\"], \"on_missing\": \"dead_letter\"}]}");
    assert_int_equal(rules->rule[0].missing, MISSING_WIDEN);
    assert_int_equal(rules->rule[0].repeat_count, 0);
    assert_int_equal(rules->rule[1].missing, MISSING_DEAD_LETTER);
    rules_free(rules);
}

static const char *asks(const char *before_rules, const char *in_rule)
{
    static char kept[256];
    char text[1024];
    snprintf(text, sizeof text,
             "{\"version\": 1, %s \"rules\": [{\"name\": \"o\", \"cancel\": [\"b\"]},"
             "{\"name\": \"r\", %s \"cancel\": [\"b\"]}]}",
             before_rules, in_rule);
    struct rules *rules = must_parse(text);
    const char *found = rules_asks_for_dead_letters(rules);
    snprintf(kept, sizeof kept, "%s", found != NULL ? found : "");
    rules_free(rules);
    return kept;
}

static void who_asks_for_dead_letters_expressly_is_named(void **state)
{
    (void)state;
    assert_string_equal(asks("", ""), "");
    assert_string_equal(asks("\"on_malformed\": \"widen\", \"unmatched\": \"ignore\",", "\"on_missing\": \"skip\","),
                        "");
    assert_string_equal(asks("", "\"on_missing\": \"dead_letter\","),
                        "rule \"r\" has \"on_missing\" with \"dead_letter\"");
    assert_string_equal(asks("", "\"on_missing\": [\"widen\", \"dead_letter\"],"),
                        "rule \"r\" has \"on_missing\" with \"dead_letter\"");
    assert_string_equal(asks("", "\"disabled\": true, \"on_missing\": \"dead_letter\","), "");
    assert_string_equal(asks("\"defaults\": {\"on_missing\": \"dead_letter\"},", ""),
                        "rule \"o\" has \"on_missing\" with \"dead_letter\", from \"defaults\"");
    assert_string_equal(asks("\"unmatched\": \"dead_letter\",", "\"on_missing\": \"dead_letter\","),
                        "the file has \"unmatched\": \"dead_letter\"");
    assert_string_equal(asks("\"on_malformed\": \"dead_letter\",", ""),
                        "the file has \"on_malformed\": \"dead_letter\"");
    /* The default, but written down. */
    assert_string_equal(asks("\"on_malformed\": [\"widen\", \"dead_letter\"],", ""),
                        "the file has \"on_malformed\" with \"dead_letter\" in it");
}

static void tests_in_the_file_are_checked_and_kept(void **state)
{
    (void)state;
    struct rules *rules =
        must_parse("{\"version\": 1, \"rules\": [{\"name\": \"a\", \"cancel\": [\"b\"]}], \"tests\": ["
                   "{\"name\": \"t\", \"event\": {\"body\": 1}, \"groups\": [\"b\"]}]}");
    assert_int_equal(json_array_size(rules_tests(rules)), 1);
    rules_free(rules);
    rules = must_parse(FILE_OF(RULE("a", "")));
    assert_null(rules_tests(rules));
    rules_free(rules);
    must_refuse("{\"version\": 1, \"rules\": [{\"name\": \"a\", \"cancel\": [\"b\"]}], \"tests\": [{\"name\": 1}]}");
    assert_problem("/tests/0/name", "found the number 1");
}

static void warnings_do_not_refuse_a_file(void **state)
{
    (void)state;
    static struct problems warnings;
    static const char text[] = "{\"version\": 1,\n \"rules\": [\n  {\"name\": \"a\", \"cancel\": [\"b\"]},\n"
                               "  {\"name\": \"b\", \"cancel\": [\"b\"], \"when\": {\"routing_key\": \"k\"}}]}";
    warnings.count = 0;
    struct rules *rules = rules_parse(text, strlen(text), NULL, &test_problems, &warnings);
    assert_non_null(rules);
    assert_true(warnings.count > 0);
    for (size_t i = 0; i < warnings.count; i++)
        assert_true(warnings.item[i].line > 1);
    rules_free(rules);
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

static void the_hash_leaves_out_what_is_for_people(void **state)
{
    (void)state;
    struct rules *plain = must_parse(FILE_OF("{\"name\": \"a\", \"cancel\": [\"b\"], \"when\": {\"headers\":"
                                             " {\"description\": \"x\", \"tests\": \"y\"}}}"));
    struct rules *said =
        must_parse("{\"tests\": [{\"name\": \"t\", \"event\": {\"body\": 1}, \"groups\": []}],"
                   " \"description\": \"d\", \"$schema\": \"s\", \"version\": 1, \"rules\": [{\"name\": \"a\","
                   " \"description\": \"e\", \"cancel\": [\"b\"], \"when\": {\"headers\":"
                   " {\"tests\": \"y\", \"description\": \"x\"}}}]}");
    struct rules *other = must_parse(FILE_OF("{\"name\": \"a\", \"cancel\": [\"b\"], \"when\": {\"headers\":"
                                             " {\"description\": \"z\", \"tests\": \"y\"}}}"));
    assert_true(rules_hash(plain) == rules_hash(said));
    assert_true(rules_hash(plain) != rules_hash(other)); /* a header of that name counts */
    rules_free(plain);
    rules_free(said);
    rules_free(other);

    static const char *const different[] = {
        "{\"version\": 1, \"rules\": [{\"name\": \"a\", \"cancel\": [\"b\"]}]}",
        "{\"version\": 1, \"rules\": [{\"name\": \"a\", \"cancel\": [\"b\"], \"on_missing\": \"skip\"}]}",
        "{\"version\": 1, \"rules\": [{\"name\": \"a\", \"cancel\": [\"b\"], \"disabled\": true}]}",
        "{\"version\": 1, \"rules\": [{\"name\": \"a\", \"cancel\": [\"b\"], \"repeat_after_ms\": 5}]}",
        "{\"version\": 1, \"unmatched\": \"dead_letter\", \"rules\": [{\"name\": \"a\", \"cancel\": [\"b\"]}]}",
        "{\"version\": 1, \"on_malformed\": \"widen\", \"rules\": [{\"name\": \"a\", \"cancel\": [\"b\"]}]}",
        "{\"version\":1, \"defaults\":{\"on_missing\":\"skip\"}, \"rules\":[{\"name\":\"a\", \"cancel\":[\"b\"]}]}",
    };
    enum { COUNT = sizeof different / sizeof *different };
    uint64_t hashes[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        struct rules *rules = must_parse(different[i]);
        hashes[i] = rules_hash(rules);
        rules_free(rules);
        for (size_t j = 0; j < i; j++)
            assert_true(hashes[i] != hashes[j]);
    }
}

static uint64_t hash_with(const char *text, const char *default_exchange)
{
    struct rules *rules = rules_parse(text, strlen(text), default_exchange, &test_problems, NULL);
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
    static const char glob[] = FILE_OF(RULE("a", "\"exchange\": [\"x\", \"y*\"]"));
    assert_true(hash_with(glob, "d1") != hash_with(glob, "d2"));
    static const char disabled[] = FILE_OF("{\"name\": \"a\", \"disabled\": true, \"cancel\": [\"b\"]}");
    assert_true(hash_with(disabled, "d1") == hash_with(disabled, "d2"));
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
    struct rules *rules = rules_parse(text, strlen(text), "dflt", &test_problems, NULL);
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

static void what_cannot_be_named_is_bound_to_the_default_exchange(void **state)
{
    (void)state;
    static const char text[] = FILE_OF(
        "{\"name\": \"glob\", \"cancel\": [\"g\"], \"when\": {\"exchange\": \"cdc.*\", \"routing_key\": \"a\"}},"
        "{\"name\": \"not\", \"cancel\": [\"g\"], \"when\": {\"exchange\": {\"not\": \"z\"}, \"routing_key\": \"b\"}},"
        "{\"name\": \"both\", \"cancel\": [\"g\"], \"when\": {\"exchange\": [\"x\", \"y*\"], \"routing_key\": \"c\"}},"
        "{\"name\": \"equals\", \"cancel\": [\"g\"], \"when\": {\"exchange\": [\"x\", {\"equals\": \"y*\"}],"
        " \"routing_key\": \"d\"}},"
        "{\"name\": \"not keys\", \"cancel\": [\"g\"], \"when\": {\"exchange\": \"x\","
        " \"routing_key\": [\"e\", {\"not\": \"f\"}]}},"
        "{\"name\": \"disabled\", \"cancel\": [\"g\"], \"disabled\": true, \"when\": {\"exchange\": \"never\"}}");
    struct rules *rules = rules_parse(text, strlen(text), "dflt", &test_problems, NULL);
    assert_non_null(rules);
    assert_int_equal(rules_binding_count(rules), 6);
    assert_binding(rules, "dflt", "a");
    assert_binding(rules, "dflt", "b");
    assert_binding(rules, "dflt", "c");
    assert_binding(rules, "x", "d");
    assert_binding(rules, "y*", "d");
    assert_binding(rules, "x", "#");
    assert_true(rules_disabled(rules, 5));
    assert_false(rules_disabled(rules, 4));
    rules_free(rules);
}

static void the_rules_behind_a_binding_are_named(void **state)
{
    (void)state;
    static const char text[] = FILE_OF(
        "{\"name\": \"a\", \"cancel\": [\"g\"], \"when\": {\"exchange\": \"x\", \"routing_key\": [\"k\", \"l\"]}},"
        "{\"name\": \"b \\\"q\\\"\", \"cancel\": [\"g\"], \"when\": {\"exchange\": [\"x\", \"y\"], \"routing_key\": "
        "\"k\"}},"
        "{\"name\": \"off\", \"disabled\": true, \"cancel\": [\"g\"], \"when\": {\"exchange\": \"x\", \"routing_key\": "
        "\"k\"}},"
        "{\"name\": \"d\", \"cancel\": [\"g\"]}");
    struct rules *rules = must_parse(text);
    char names[128], few[8];
    assert_string_equal(rules_of_binding(rules, &(struct binding){"x", "k"}, names, sizeof names),
                        "\"a\", \"b \\\"q\\\"\"");
    assert_string_equal(rules_of_binding(rules, &(struct binding){"x", "l"}, names, sizeof names), "\"a\"");
    assert_string_equal(rules_of_binding(rules, &(struct binding){NULL, "#"}, names, sizeof names), "\"d\"");
    assert_string_equal(rules_of_binding(rules, &(struct binding){"z", "k"}, names, sizeof names), "");
    assert_string_equal(rules_of_binding(rules, &(struct binding){"x", "k"}, few, sizeof few), "\"a\"");
    static const char both[] = "\"a\", \"b \\\"q\\\"\"";
    for (size_t size = sizeof both - 1; size <= sizeof both + 1; size++)
        assert_string_equal(rules_of_binding(rules, &(struct binding){"x", "k"}, names, size),
                            size >= sizeof both ? both : "\"a\"");
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
    struct rules *rules = rules_parse(text, strlen(text), NULL, &test_problems, NULL);
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
        cmocka_unit_test(words_that_are_not_known_are_told_with_the_nearest),
        cmocka_unit_test(a_mistake_in_defaults_is_told_once),
        cmocka_unit_test(times_to_repeat_after_have_limits),
        cmocka_unit_test(a_rule_takes_over_what_it_does_not_say),
        cmocka_unit_test(who_asks_for_dead_letters_expressly_is_named),
        cmocka_unit_test(tests_in_the_file_are_checked_and_kept),
        cmocka_unit_test(warnings_do_not_refuse_a_file),
        cmocka_unit_test(the_hash_leaves_out_what_is_for_people),
        cmocka_unit_test(what_cannot_be_named_is_bound_to_the_default_exchange),
        cmocka_unit_test(the_rules_behind_a_binding_are_named),
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
