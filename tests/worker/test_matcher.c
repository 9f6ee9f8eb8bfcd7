/*
 * test_matcher.c - matchers hold for what they say and nothing else; what they are said to have in common is true.
 */
#include "rules_support.h"

#include "json_text.h"
#include "matcher.h"

static json_t *must_json(const char *text)
{
    json_t *json = json_text_parse(text, strlen(text), true, NULL);
    if (json == NULL)
        fail_msg("not JSON: %s", text);
    return json;
}

static struct matcher *read_matcher(const char *text, enum matcher_kind kind)
{
    test_problems.count = 0;
    json_t *json = must_json(text);
    struct json_place place = json_place_key(NULL, "m");
    struct matcher *matcher = matcher_read(json, kind, &place, &test_problems);
    assert_int_equal(matcher == NULL, test_problems.count > 0);
    json_decref(json); /* the matcher keeps what it needs */
    return matcher;
}

static struct matcher *must_read(const char *text, enum matcher_kind kind)
{
    struct matcher *matcher = read_matcher(text, kind);
    if (matcher == NULL) {
        problems_print(&test_problems, text, stderr);
        fail_msg("refused: %s", text);
    }
    return matcher;
}

/* `value` is JSON, or NULL: absent. */
static bool holds(const char *text, const char *value)
{
    struct matcher *matcher = must_read(text, MATCHER_VALUE);
    json_t *json = value != NULL ? must_json(value) : NULL;
    const struct value seen = {.json = json};
    bool answer = matcher_holds(matcher, &seen);
    json_decref(json);
    matcher_free(matcher);
    return answer;
}

static void equality_is_strict_about_types_and_digits(void **state)
{
    (void)state;
    static const struct {
        const char *wanted, *value;
        bool holds;
    } cases[] = {
        {"42", "42", true},
        {"42", "\"42\"", false},
        {"\"42\"", "42", false},
        {"42", "42.0", false},
        {"1", "true", false},
        {"true", "true", true},
        {"true", "false", false},
        {"false", "null", false},
        {"null", "null", true},
        {"null", NULL, false},
        {"0", "null", false},
        {"0", "false", false},
        {"\"\"", "\"\"", true},
        {"\"\"", "null", false},
        {"\"\"", NULL, false},
        {"\"a\"", "\"A\"", false},
        {"\"a\"", "\"a\\u0000\"", false},
        {"\"ab\"", "\"ac\"", false},
        {"9007199254740993", "9007199254740993", true},
        {"9007199254740993", "9007199254740992", false},
        {"-9223372036854775808", "-9223372036854775808", true},
        {"\"18446744073709551616\"", "\"18446744073709551616\"", true},
        {"[1, \"x\", null]", "\"x\"", true},
        {"[1, \"x\", null]", "null", true},
        {"[1, \"x\", null]", "2", false},
        {"[1, \"x\", null]", NULL, false},
        {"1", "[1]", false},
        {"\"a\"", "{}", false},
        {"\"a\"", "[\"a\"]", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (holds(cases[i].wanted, cases[i].value) != cases[i].holds)
            fail_msg("%s with %s: wanted %d", cases[i].wanted, cases[i].value, cases[i].holds);
    }
}

static void a_star_or_a_question_mark_makes_a_glob_unless_equals_says_no(void **state)
{
    (void)state;
    assert_true(holds("\"com.acme.*\"", "\"com.acme.order\""));
    assert_false(holds("\"com.acme.*\"", "\"com.other\""));
    assert_true(holds("\"?-eu\"", "\"\xc3\xa4-eu\""));
    assert_false(holds("\"*\"", "42")); /* a glob is about strings */
    assert_false(holds("\"*\"", "null"));
    assert_false(holds("\"*\"", NULL));
    assert_true(holds("\"*\"", "\"\""));
    assert_true(holds("{\"equals\": \"a*\"}", "\"a*\""));
    assert_false(holds("{\"equals\": \"a*\"}", "\"ab\""));
    assert_true(holds("{\"equals\": 42}", "42"));
    assert_true(holds("{\"equals\": null}", "null"));
    assert_false(holds("{\"equals\": null}", NULL));
    assert_true(holds("[\"b\", \"a?\"]", "\"ax\""));
}

static void exists_and_not_are_about_absence_too(void **state)
{
    (void)state;
    static const char *const there[] = {"0", "false", "\"\"", "[]", "{}", "1.5"};
    for (size_t i = 0; i < sizeof there / sizeof *there; i++) {
        assert_true(holds("{\"exists\": true}", there[i]));
        assert_false(holds("{\"exists\": false}", there[i]));
    }
    assert_false(holds("{\"exists\": true}", "null"));
    assert_false(holds("{\"exists\": true}", NULL));
    assert_true(holds("{\"exists\": false}", "null"));
    assert_true(holds("{\"exists\": false}", NULL));

    assert_true(holds("{\"not\": \"x\"}", NULL));
    assert_true(holds("{\"not\": \"x\"}", "null"));
    assert_true(holds("{\"not\": \"x\"}", "{}"));
    assert_false(holds("{\"not\": \"x\"}", "\"x\""));
    assert_false(holds("{\"not\": [\"test\", \"dev*\"]}", "\"dev-1\""));
    assert_true(holds("{\"not\": [\"test\", \"dev*\"]}", "\"prod\""));
    assert_true(holds("{\"not\": {\"not\": \"x\"}}", "\"x\""));
    assert_false(holds("{\"not\": {\"exists\": false}}", NULL));
    assert_true(holds("[\"x\", {\"exists\": false}]", NULL));
    assert_true(holds("[\"x\", {\"exists\": false}]", "\"x\""));
    assert_false(holds("[\"x\", {\"exists\": false}]", "\"y\""));
}

static void text_is_compared_as_strings_are(void **state)
{
    (void)state;
    struct matcher *matcher = must_read("[\"domain\", \"cdc.*\"]", MATCHER_EXCHANGE);
    const struct value exact = {.text = "domain", .length = 6}, glob = {.text = "cdc.shop", .length = 8},
                       other = {.text = "domain2", .length = 7}, none = {.text = "", .length = 0};
    assert_true(matcher_holds(matcher, &exact));
    assert_true(matcher_holds(matcher, &glob));
    assert_false(matcher_holds(matcher, &other));
    assert_false(matcher_holds(matcher, &none));
    matcher_free(matcher);

    matcher = must_read("{\"not\": [\"order.#\", \"*.late\"]}", MATCHER_TOPIC);
    const struct value order = {.text = "order.paid", .length = 10}, stock = {.text = "stock.low", .length = 9},
                       late = {.text = "stock.late", .length = 10};
    assert_false(matcher_holds(matcher, &order));
    assert_false(matcher_holds(matcher, &late));
    assert_true(matcher_holds(matcher, &stock));
    assert_true(matcher_holds(matcher, &none));
    matcher_free(matcher);
}

static void a_literal_is_told_from_everything_else(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum matcher_kind kind;
        size_t count; /* 0: not literal */
    } cases[] = {
        {"\"a\"", MATCHER_VALUE, 1},
        {"[\"a\", {\"equals\": \"b*\"}]", MATCHER_VALUE, 2},
        {"{\"equals\": \"*\"}", MATCHER_EXCHANGE, 1},
        {"\"a*\"", MATCHER_EXCHANGE, 0},
        {"[\"a\", \"b*\"]", MATCHER_EXCHANGE, 0},
        {"[\"a\", 1]", MATCHER_VALUE, 0},
        {"{\"equals\": 1}", MATCHER_VALUE, 0},
        {"{\"exists\": true}", MATCHER_VALUE, 0},
        {"{\"not\": \"a\"}", MATCHER_VALUE, 0},
        {"[\"a.*\", \"#\"]", MATCHER_TOPIC, 2},
        {"[\"a.*\", {\"not\": \"b\"}]", MATCHER_TOPIC, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct matcher *matcher = must_read(cases[i].text, cases[i].kind);
        size_t count;
        const char *const *strings = matcher_strings(matcher, &count);
        assert_int_equal(strings != NULL, cases[i].count > 0);
        assert_int_equal(count, cases[i].count);
        assert_int_equal(matcher_has_not(matcher), strstr(cases[i].text, "not") != NULL);
        matcher_free(matcher);
    }
    struct matcher *matcher = must_read("[\"a\", {\"equals\": \"b*\"}]", MATCHER_VALUE);
    size_t count;
    const char *const *strings = matcher_strings(matcher, &count);
    assert_string_equal(strings[0], "a");
    assert_string_equal(strings[1], "b*");
    matcher_free(matcher);
}

static void what_was_wanted_is_said_in_words(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"\"a\"", "not \"a\""},
        {"null", "not null"},
        {"[\"a\", \"b\"]", "not \"a\" or \"b\""},
        {"[\"a\", \"b\", 3, 4, 5]", "not \"a\", \"b\", 3 or 2 more"},
        {"\"a*\"", "which does not match \"a*\""},
        {"[\"x\", \"a?\"]", "which does not match \"x\" or \"a?\""},
        {"{\"equals\": \"a*\"}", "not \"a*\""},
        {"{\"exists\": true}", "but must be there"},
        {"{\"exists\": false}", "but must be absent"},
        {"{\"not\": [\"test\", \"dev\"]}", "but must not be \"test\" or \"dev\""},
        {"{\"not\": \"test*\"}", "but must not match \"test*\""},
        {"[\"a\", {\"exists\": false}]", "not \"a\" or absent"},
        {"[1, {\"not\": [2, 3]}]", "not 1 or anything but 2 or 3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct matcher *matcher = must_read(cases[i].text, MATCHER_VALUE);
        char words[256], few[24];
        assert_string_equal(matcher_describe(matcher, words, sizeof words), cases[i].words);
        matcher_describe(matcher, few, sizeof few); /* cut short, but whole */
        assert_true(strlen(few) < sizeof few && strncmp(few, words, strlen(few)) == 0);
        matcher_free(matcher);
    }
}

static void a_list_has_1_to_256_values(void **state)
{
    (void)state;
    static char text[4096];
    for (int count = MATCHER_VALUES_MAX - 1; count <= MATCHER_VALUES_MAX + 1; count++) {
        int used = snprintf(text, sizeof text, "{\"not\": [");
        for (int i = 0; i < count; i++)
            used += snprintf(text + used, sizeof text - (size_t)used, "%s\"k%d\"", i ? "," : "", i);
        snprintf(text + used, sizeof text - (size_t)used, "]}");
        struct matcher *matcher = read_matcher(text, MATCHER_TOPIC);
        assert_int_equal(matcher != NULL, count <= MATCHER_VALUES_MAX);
        matcher_free(matcher);
    }
    assert_problem("/m/not", "at most 256");
    assert_null(read_matcher("[]", MATCHER_VALUE));
    assert_problem("/m", "empty list");
}

static void not_stands_in_not_up_to_8_deep(void **state)
{
    (void)state;
    for (int depth = MATCHER_DEPTH_MAX - 1; depth <= MATCHER_DEPTH_MAX + 1; depth++) {
        for (int lists = 0; lists <= 1; lists++) { /* a list between does not count */
            char text[512] = "";
            for (int i = 0; i < depth; i++)
                strcat(text, lists ? "{\"not\": [1, " : "{\"not\": ");
            strcat(text, "2");
            for (int i = 0; i < depth; i++)
                strcat(text, lists ? "]}" : "}");
            struct matcher *matcher = read_matcher(text, MATCHER_VALUE);
            assert_int_equal(matcher != NULL, depth <= MATCHER_DEPTH_MAX);
            matcher_free(matcher);
        }
    }
    assert_non_null(strstr(test_problems.item[0].sentence, "more simply"));
}

static void every_mistake_is_told_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum matcher_kind kind;
        const char *pointer, *part;
    } cases[] = {
        {"1.5", MATCHER_VALUE, "/m", "found the number 1.5, which is written as a fraction"},
        {"[[1]]", MATCHER_VALUE, "/m/0", "list in a list"},
        {"{}", MATCHER_VALUE, "/m", "found an empty object"},
        {"{\"exists\": true, \"not\": 1}", MATCHER_VALUE, "/m", "several keys"},
        {"{\"exist\": true}", MATCHER_VALUE, "/m/exist", "did you mean \"exists\"?"},
        {"{\"in\": [1]}", MATCHER_VALUE, "/m/in", "knows \"exists\", \"not\" and \"equals\""},
        {"{\"exists\": 1}", MATCHER_VALUE, "/m/exists", "expected true"},
        {"{\"equals\": [1]}", MATCHER_VALUE, "/m/equals", "a list of {\"equals\""},
        {"{\"equals\": {}}", MATCHER_VALUE, "/m/equals", "found an object"},
        {"{\"equals\": 1.5}", MATCHER_VALUE, "/m/equals", "fraction"},
        {"{\"not\": [1, {\"not\": 2.5}]}", MATCHER_VALUE, "/m/not/1/not", "fraction"},
        {"1", MATCHER_EXCHANGE, "/m", "found the number 1"},
        {"null", MATCHER_EXCHANGE, "/m", "found null"},
        {"\"\"", MATCHER_EXCHANGE, "/m", "default exchange"},
        {"{\"equals\": \"\"}", MATCHER_EXCHANGE, "/m/equals", "default exchange"},
        {"{\"equals\": 1}", MATCHER_EXCHANGE, "/m/equals", "the name of an exchange"},
        {"{\"exists\": true}", MATCHER_EXCHANGE, "/m/exists", "unknown key"},
        {"true", MATCHER_TOPIC, "/m", "topic pattern"},
        {"\"order*\"", MATCHER_TOPIC, "/m", "wildcard"},
        {"{\"not\": \"order*\"}", MATCHER_TOPIC, "/m/not", "wildcard"},
        {"{\"equals\": \"order\"}", MATCHER_TOPIC, "/m/equals", "unknown key"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_null(read_matcher(cases[i].text, cases[i].kind));
        assert_problem(cases[i].pointer, cases[i].part);
        assert_int_equal(test_problems.count, 1);
    }
    assert_null(read_matcher("[\"a\", 1.5, {\"exist\": 1}, []]", MATCHER_VALUE));
    assert_int_equal(test_problems.count, 3);
}

static void the_name_of_an_exchange_has_up_to_255_bytes(void **state)
{
    (void)state;
    for (size_t length = 254; length <= 256; length++) {
        char text[300] = "\"", name[300];
        memset(name, 'x', length);
        name[length] = '\0';
        strcat(strcat(text, name), "\"");
        struct matcher *matcher = read_matcher(text, MATCHER_EXCHANGE);
        assert_int_equal(matcher != NULL, length <= 255);
        matcher_free(matcher);
    }
    assert_problem("/m", "at most 255 bytes");
}

/* ---- Comparing: whatever is said of two matchers is tried on every value of a small world. */

static uint64_t random_state = 20261124;

static size_t pick(size_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)((random_state >> 11) % below);
}

static void write_matcher(enum matcher_kind kind, char *out, bool in_list, int depth)
{
    static const char *const leaves[3][16] = {
        [MATCHER_VALUE] = {"\"a\"", "\"b\"", "\"ab\"", "\"a*\"", "\"*b\"", "\"?\"", "\"*\"", "1", "2", "true", "null",
                           "{\"exists\": true}", "{\"exists\": false}", "{\"equals\": \"*\"}", "{\"equals\": null}",
                           "{\"equals\": \"a\"}"},
        [MATCHER_EXCHANGE] = {"\"a\"", "\"b\"", "\"ab\"", "\"a*\"", "\"*b\"", "\"?\"", "\"*\"", "\"**\"",
                              "{\"equals\": \"a\"}", "{\"equals\": \"b\"}", "{\"equals\": \"?\"}", "\"a?\"", "\"??\"",
                              "\"c\"", "\"?b\"", "\"ac\""},
        [MATCHER_TOPIC] = {"\"a\"", "\"b\"", "\"a.b\"", "\"a.*\"", "\"*.b\"", "\"*\"", "\"#\"", "\"#.b\"", "\"a.#\"",
                           "\"*.*\"", "\"#.a.#\"", "\"#.#\"", "\"\"", "\"a.*.#\"", "\"b.#\"", "\"b.*\""},
    };
    size_t shape = depth == 0 ? 0 : pick(3);
    if (shape == 0 || (shape == 1 && in_list)) {
        strcat(out, leaves[kind][pick(16)]);
    } else if (shape == 1) {
        strcat(out, "[");
        for (size_t left = 1 + pick(3); left > 0; left--) {
            write_matcher(kind, out, true, depth - 1);
            strcat(out, left > 1 ? ", " : "]");
        }
    } else {
        strcat(out, "{\"not\": ");
        write_matcher(kind, out, false, depth - 1);
        strcat(out, "}");
    }
}

#define WORLD_MAX 32

struct world {
    enum matcher_kind kind;
    json_t *json[WORLD_MAX];
    struct value value[WORLD_MAX];
    size_t count;
};

static void make_world(struct world *world, enum matcher_kind kind)
{
    static const char *const values[] = {"\"\"",  "\"a\"", "\"b\"", "\"ab\"", "\"ba\"", "\"abb\"",
                                         "\"c\"", "\"*\"", "\"?\"", "1",      "2",      "3",
                                         "true",  "false", "null",  "1.5",    "{}",     "[1]"};
    static const char *const texts[3][16] = {
        [MATCHER_EXCHANGE] = {"", "a", "b", "ab", "ba", "abb", "c", "*", "?", "ac", "cab"},
        [MATCHER_TOPIC] = {"", "a", "b", "c", "a.b", "b.a", "b.b", "a.c", "c.b", "a.b.c", "c.a.b", "b.a.b", "c.c.c",
                           "."}};
    *world = (struct world){.kind = kind};
    if (kind != MATCHER_VALUE) {
        for (; world->count < 16 && texts[kind][world->count] != NULL; world->count++)
            world->value[world->count] =
                (struct value){.text = texts[kind][world->count], .length = strlen(texts[kind][world->count])};
        return;
    }
    for (; world->count < sizeof values / sizeof *values; world->count++) {
        world->json[world->count] = must_json(values[world->count]);
        world->value[world->count] = (struct value){.json = world->json[world->count]};
    }
    world->count++; /* and one that is absent */
}

static void compare(const struct world *world, size_t *covering, size_t *apart)
{
    char first[1024] = "", second[1024] = "";
    write_matcher(world->kind, first, false, 3);
    write_matcher(world->kind, second, false, 3);
    struct matcher *a = must_read(first, world->kind), *b = must_read(second, world->kind);
    bool covers = matcher_covers(a, b), disjoint = matcher_disjoint(a, b);
    bool only_nothing = matcher_takes_only_nothing(a);
    for (size_t i = 0; i < world->count; i++) {
        bool a_holds = matcher_holds(a, &world->value[i]), b_holds = matcher_holds(b, &world->value[i]);
        if (covers && b_holds && !a_holds)
            fail_msg("%s does not cover %s: value %zu", first, second, i);
        if (disjoint && a_holds && b_holds)
            fail_msg("%s and %s are both met by value %zu", first, second, i);
        if (only_nothing && a_holds && !value_is_nothing(&world->value[i]))
            fail_msg("%s is met by value %zu", first, i);
    }
    if (world->kind == MATCHER_VALUE) {
        const struct value absent = {.json = NULL};
        assert_int_equal(matcher_takes_nothing(a), matcher_holds(a, &absent));
    }
    *covering += covers ? 1 : 0;
    *apart += disjoint ? 1 : 0;
    matcher_free(a);
    matcher_free(b);
}

static void what_is_said_of_two_matchers_is_true_of_every_value(void **state)
{
    (void)state;
    enum { ROUNDS = 4000 };
    for (enum matcher_kind kind = MATCHER_VALUE; kind <= MATCHER_TOPIC; kind++) {
        struct world world;
        size_t covering = 0, apart = 0;
        make_world(&world, kind);
        for (int i = 0; i < ROUNDS; i++)
            compare(&world, &covering, &apart);
        print_message("kind %d: of %d pairs %zu cover, %zu are disjoint\n", (int)kind, ROUNDS, covering, apart);
        assert_true(covering > ROUNDS / 20 && apart > ROUNDS / 20); /* else nothing was said */
        for (size_t i = 0; i < world.count; i++)
            json_decref(world.json[i]);
    }
}

static void what_anyone_can_see_is_seen(void **state)
{
    (void)state;
    static const struct {
        enum matcher_kind kind;
        const char *wide, *narrow;
        bool covers, disjoint;
    } cases[] = {
        {MATCHER_VALUE, "[\"a\", \"b\"]", "\"a\"", true, false},
        {MATCHER_VALUE, "\"a\"", "[\"a\", \"b\"]", false, false},
        {MATCHER_VALUE, "\"a*\"", "[\"ab\", \"a?\"]", true, false},
        {MATCHER_VALUE, "{\"exists\": true}", "[\"a*\", 1]", true, false},
        {MATCHER_VALUE, "{\"exists\": true}", "null", false, true},
        {MATCHER_VALUE, "{\"exists\": true}", "{\"not\": {\"exists\": false}}", true, false},
        {MATCHER_VALUE, "{\"exists\": false}", "{\"not\": {\"exists\": true}}", true, false},
        {MATCHER_VALUE, "{\"exists\": false}", "{\"exists\": true}", false, true},
        {MATCHER_VALUE, "{\"not\": \"a\"}", "\"b\"", true, false},
        {MATCHER_VALUE, "{\"not\": \"a\"}", "\"a\"", false, true},
        {MATCHER_VALUE, "{\"not\": \"a\"}", "{\"not\": [\"a\", \"b\"]}", true, false},
        {MATCHER_VALUE, "{\"not\": [\"a\", \"b\"]}", "[\"a\", \"b\"]", false, true},
        {MATCHER_VALUE, "\"a*\"", "\"b*\"", false, true},
        {MATCHER_VALUE, "\"*\"", "1", false, true},
        {MATCHER_EXCHANGE, "\"*\"", "{\"not\": \"a\"}", true, false},
        {MATCHER_EXCHANGE, "\"cdc.*\"", "\"domain\"", false, true},
        {MATCHER_TOPIC, "\"#\"", "{\"not\": \"a\"}", true, false},
        {MATCHER_TOPIC, "\"order.#\"", "[\"order.paid\", \"order.*.late\"]", true, false},
        {MATCHER_TOPIC, "\"order.#\"", "\"stock.#\"", false, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct matcher *wide = must_read(cases[i].wide, cases[i].kind);
        struct matcher *narrow = must_read(cases[i].narrow, cases[i].kind);
        if (matcher_covers(wide, narrow) != cases[i].covers || matcher_disjoint(wide, narrow) != cases[i].disjoint)
            fail_msg("%s and %s", cases[i].wide, cases[i].narrow);
        matcher_free(wide);
        matcher_free(narrow);
    }
}

static void who_takes_only_what_is_not_there_is_known(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool nothing, only;
    } cases[] = {
        {"{\"exists\": false}", true, true},
        {"{\"exists\": true}", false, false},
        {"null", false, true},
        {"[null, {\"exists\": false}]", true, true},
        {"{\"not\": {\"exists\": true}}", true, true},
        {"{\"not\": \"a\"}", true, false},
        {"\"*\"", false, false},
        {"[\"a\", {\"exists\": false}]", true, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct matcher *matcher = must_read(cases[i].text, MATCHER_VALUE);
        if (matcher_takes_nothing(matcher) != cases[i].nothing || matcher_takes_only_nothing(matcher) != cases[i].only)
            fail_msg("%s", cases[i].text);
        matcher_free(matcher);
    }
    matcher_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_is_strict_about_types_and_digits),
        cmocka_unit_test(a_star_or_a_question_mark_makes_a_glob_unless_equals_says_no),
        cmocka_unit_test(exists_and_not_are_about_absence_too),
        cmocka_unit_test(text_is_compared_as_strings_are),
        cmocka_unit_test(a_literal_is_told_from_everything_else),
        cmocka_unit_test(what_was_wanted_is_said_in_words),
        cmocka_unit_test(a_list_has_1_to_256_values),
        cmocka_unit_test(not_stands_in_not_up_to_8_deep),
        cmocka_unit_test(every_mistake_is_told_with_its_place),
        cmocka_unit_test(the_name_of_an_exchange_has_up_to_255_bytes),
        cmocka_unit_test(what_is_said_of_two_matchers_is_true_of_every_value),
        cmocka_unit_test(what_anyone_can_see_is_seen),
        cmocka_unit_test(who_takes_only_what_is_not_there_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
