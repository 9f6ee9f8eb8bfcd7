/*
 * test_json_pointer.c - JSON Pointers lead where RFC 6901 says, and those with a `*` everywhere that a slow and simple
 * walk finds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json_pointer.h"
#include "json_text.h"

#define SEEN_MAX 4096

static const json_t *seen[SEEN_MAX];
static size_t seen_count, seen_limit;

static bool see(void *context, const json_t *value)
{
    assert_ptr_equal(context, &seen_count);
    assert_true(seen_count < SEEN_MAX);
    seen[seen_count++] = value;
    return seen_count < seen_limit;
}

static bool each(const struct json_pointer *pointer, const json_t *root)
{
    seen_count = 0;
    seen_limit = SEEN_MAX;
    return json_pointer_each(pointer, root, see, &seen_count);
}

static struct json_pointer *compile(const char *text)
{
    char problem[256] = "";
    struct json_pointer *pointer = json_pointer_compile(text, strlen(text), problem, sizeof problem);
    if (pointer == NULL)
        fail_msg("%s: %s", text, problem);
    assert_string_equal(json_pointer_text(pointer), text);
    return pointer;
}

static json_t *parse(const char *text)
{
    json_t *json = json_text_parse(text, strlen(text), true, NULL);
    assert_non_null(json);
    return json;
}

/* What the pointer finds, as a JSON array in which an object {"none": true} stands for nothing. */
static void assert_finds(const char *document, const char *text, const char *wanted)
{
    json_t *root = parse(document);
    json_t *want = parse(wanted);
    struct json_pointer *pointer = compile(text);
    assert_true(each(pointer, root));
    json_t *got = json_array();
    for (size_t i = 0; i < seen_count; i++) {
        json_t *item = seen[i] != NULL ? json_deep_copy(seen[i]) : json_pack("{s:b}", "none", 1);
        assert_int_equal(json_array_append_new(got, item), 0);
    }
    if (!json_equal(got, want)) {
        char *dump = json_dumps(got, JSON_COMPACT);
        fail_msg("%s in %s: wanted %s, got %s", text, document, wanted, dump);
    }
    if (!json_pointer_is_many(pointer)) {
        assert_int_equal(seen_count, 1);
        assert_ptr_equal(json_pointer_find(pointer, root), seen[0]);
    }
    json_decref(got);
    json_decref(want);
    json_decref(root);
    json_pointer_free(pointer);
}

#define NONE "{\"none\": true}"

static void the_examples_of_the_rfc_lead_where_it_says(void **state)
{
    (void)state;
    static const char document[] =
        "{\"foo\": [\"bar\", \"baz\"], \"\": 0, \"a/b\": 1, \"c%d\": 2, \"e^f\": 3, \"g|h\": 4,"
        " \"i\\\\j\": 5, \"k\\\"l\": 6, \" \": 7, \"m~n\": 8}";
    static const char *const examples[][2] = {
        {"/foo", "[[\"bar\", \"baz\"]]"},
        {"/foo/0", "[\"bar\"]"},
        {"/", "[0]"},
        {"/a~1b", "[1]"},
        {"/c%d", "[2]"},
        {"/e^f", "[3]"},
        {"/g|h", "[4]"},
        {"/i\\j", "[5]"},
        {"/k\"l", "[6]"},
        {"/ ", "[7]"},
        {"/m~0n", "[8]"},
        {"/foo/2", "[" NONE "]"},
        {"/foo/-", "[" NONE "]"},
        {"/foo/01", "[" NONE "]"},
        {"/foo/0/0", "[" NONE "]"},
        {"/foo/18446744073709551616", "[" NONE "]"},
        {"/foo/1 ", "[" NONE "]"},
        {"/bar", "[" NONE "]"},
    };
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
        assert_finds(document, examples[i][0], examples[i][1]);
    assert_finds("17", "", "[17]");
    assert_finds("{\"~1\": 1, \"/\": 2}", "/~01", "[1]");
    assert_finds("{\"0\": \"a key\"}", "/0", "[\"a key\"]");
}

static void a_star_is_every_element_and_every_member(void **state)
{
    (void)state;
    assert_finds("[1, 2, 3]", "/*", "[1, 2, 3]");
    assert_finds("{\"a\": 1, \"b\": 2}", "/*", "[1, 2]");
    assert_finds("{\"z\": {\"b\": 1, \"a\": 2}, \"a\": [3]}", "/*/*", "[1, 2, 3]");
    assert_finds("{\"lines\": [{\"sku\": \"x\"}, {\"sku\": \"y\"}]}", "/lines/*/sku", "[\"x\", \"y\"]");
    assert_finds("[[1, 2], [3]]", "/*/0", "[1, 3]");
    assert_finds("[null, {}, []]", "/*", "[null, {}, []]");
    assert_finds("[1, 2]", "/*a", "[" NONE "]");
    assert_finds("{\"*a\": 1, \"**\": 2, \"a*\": 3}", "/**", "[2]");
    assert_finds("{\"*\": 1, \"b\": 2}", "/*", "[1, 2]");
}

static void an_element_that_lacks_the_rest_is_seen_as_nothing(void **state)
{
    (void)state;
    assert_finds("[{\"a\": 1}, {}, 7, null, {\"a\": 2}]", "/*/a", "[1, " NONE ", " NONE ", " NONE ", 2]");
    assert_finds("[{\"a\": [1]}, {\"a\": []}, {\"a\": 3}, {}]", "/*/a/*", "[1, " NONE ", " NONE ", " NONE "]");
}

static void no_list_or_an_empty_one_is_nothing_once(void **state)
{
    (void)state;
    static const char *const documents[] = {"[]", "{}", "17", "\"text\"", "null", "true", "1.5"};
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        assert_finds(documents[i], "/*", "[" NONE "]");
        assert_finds(documents[i], "/*/a/*", "[" NONE "]");
        assert_finds(documents[i], "/a/*", "[" NONE "]");
    }
    struct json_pointer *many = compile("/*/a"), *one = compile("/a"), *whole = compile("");
    assert_true(each(many, NULL));
    assert_int_equal(seen_count, 1);
    assert_null(seen[0]);
    assert_true(each(one, NULL));
    assert_int_equal(seen_count, 1);
    assert_null(seen[0]);
    assert_null(json_pointer_find(one, NULL));
    assert_null(json_pointer_find(whole, NULL));
    json_pointer_free(many);
    json_pointer_free(one);
    json_pointer_free(whole);
}

static void nothing_is_seen_after_enough(void **state)
{
    (void)state;
    json_t *root = parse("{\"a\": [[1, 2], [], [3, 4]], \"b\": {\"x\": [5], \"y\": [6]}}");
    static const struct {
        const char *pointer;
        size_t all;
    } cases[] = {{"/*/*/*", 7}, {"/a/*/*", 5}, {"/b/*/0", 2}, {"/a", 1}, {"/none", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_pointer *pointer = compile(cases[i].pointer);
        assert_true(each(pointer, root));
        assert_int_equal(seen_count, cases[i].all);
        for (size_t enough = 1; enough <= cases[i].all; enough++) {
            seen_count = 0;
            seen_limit = enough;
            assert_false(json_pointer_each(pointer, root, see, &seen_count));
            assert_int_equal(seen_count, enough);
        }
        json_pointer_free(pointer);
    }
    json_decref(root);
}

/* The reference: the segments as text, each step spelled out, the results in a list. */
static size_t expected_count;
static const json_t *expected[SEEN_MAX];

static void expect(const json_t *value)
{
    assert_true(expected_count < SEEN_MAX);
    expected[expected_count++] = value;
}

static void refer(const char *pointer, json_t *value)
{
    if (*pointer == '\0') {
        expect(value);
        return;
    }
    char segment[32];
    size_t length = strcspn(pointer + 1, "/");
    memcpy(segment, pointer + 1, length);
    segment[length] = '\0';
    const char *rest = pointer + 1 + length;
    size_t before = expected_count;
    size_t index;
    json_t *item;
    const char *key;
    if (strcmp(segment, "*") == 0) {
        json_array_foreach(value, index, item) refer(rest, item);
        json_object_foreach(value, key, item) refer(rest, item);
    } else if (json_is_object(value)) {
        item = json_object_get(value, segment);
        if (item != NULL)
            refer(rest, item);
    } else if (json_is_array(value)) {
        json_array_foreach(value, index, item)
        {
            char number[24];
            snprintf(number, sizeof number, "%zu", index);
            if (strcmp(number, segment) == 0)
                refer(rest, item);
        }
    }
    if (expected_count == before)
        expect(NULL);
}

static uint64_t random_state = 88172645463325252u;

static size_t random_below(size_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state % limit);
}

static const char *const keys[] = {"a", "b", "0", "1"};

static json_t *random_json(size_t depth)
{
    size_t kind = random_below(depth == 0 ? 2 : 6);
    if (kind == 0)
        return json_null();
    if (kind == 1)
        return json_integer((json_int_t)random_below(10));
    json_t *value = kind < 4 ? json_array() : json_object();
    for (size_t i = random_below(4); i > 0; i--) {
        if (json_is_array(value))
            json_array_append_new(value, random_json(depth - 1));
        else
            json_object_set_new(value, keys[random_below(4)], random_json(depth - 1));
    }
    return value;
}

static void the_walk_sees_what_a_simple_one_does(void **state)
{
    (void)state;
    size_t several = 0;
    for (int round = 0; round < 20000; round++) {
        json_t *root = random_json(5);
        char text[64] = "";
        for (size_t i = random_below(6); i > 0; i--) {
            strcat(text, "/");
            strcat(text, random_below(2) == 0 ? "*" : keys[random_below(4)]);
        }
        struct json_pointer *pointer = compile(text);
        expected_count = 0;
        refer(text, root);
        assert_true(each(pointer, root));
        assert_int_equal(seen_count, expected_count);
        for (size_t i = 0; i < seen_count; i++)
            assert_ptr_equal(seen[i], expected[i]);
        assert_int_equal(json_pointer_is_many(pointer), strchr(text, '*') != NULL);
        if (!json_pointer_is_many(pointer))
            assert_ptr_equal(json_pointer_find(pointer, root), expected[0]);
        several += seen_count > 1 ? 1 : 0;
        json_pointer_free(pointer);
        json_decref(root);
    }
    assert_true(several > 500); /* else the documents were too poor to tell anything */
}

static void as_many_stars_as_fit_are_followed(void **state)
{
    (void)state;
    char text[JSON_POINTER_CHARACTERS_MAX + 1];
    for (size_t i = 0; i < JSON_POINTER_CHARACTERS_MAX; i += 2)
        memcpy(text + i, "/*", 3);
    struct json_pointer *pointer = compile(text);
    json_t *root = json_integer(7);
    for (size_t i = 0; i < JSON_POINTER_CHARACTERS_MAX / 2; i++)
        root = i % 2 == 0 ? json_pack("[o]", root) : json_pack("{s:o}", "k", root);
    assert_true(each(pointer, root));
    assert_int_equal(seen_count, 1);
    assert_int_equal(json_integer_value(seen[0]), 7);
    json_decref(root);
    json_pointer_free(pointer);
}

static void a_pointer_may_have_512_characters(void **state)
{
    (void)state;
    for (size_t characters = 511; characters <= 513; characters++) {
        char text[2 * 513 + 1], problem[256] = "";
        size_t length = 0;
        text[length++] = '/';
        for (size_t i = 1; i < characters; i++) { /* two bytes each */
            memcpy(text + length, "\xc3\xa4", 2);
            length += 2;
        }
        struct json_pointer *pointer = json_pointer_compile(text, length, problem, sizeof problem);
        assert_int_equal(pointer != NULL, characters <= JSON_POINTER_CHARACTERS_MAX);
        if (pointer == NULL)
            assert_non_null(strstr(problem, "longer than 512 characters"));
        json_pointer_free(pointer);
    }
}

static void a_key_is_taken_as_it_is(void **state)
{
    (void)state;
    static const char *const names[] = {"*", "a/b", "~0", "", "x-tenant", "0", "/a"};
    json_t *root = json_object();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        json_object_set_new(root, names[i], json_integer((json_int_t)i));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct json_pointer *pointer = json_pointer_to_key(names[i], strlen(names[i]));
        assert_false(json_pointer_is_many(pointer));
        assert_string_equal(json_pointer_text(pointer), names[i]);
        assert_int_equal(json_integer_value(json_pointer_find(pointer, root)), i);
        json_pointer_free(pointer);
    }
    json_decref(root);
}

static bool same(struct json_pointer *a, struct json_pointer *b)
{
    bool result = json_pointer_same(a, b);
    assert_int_equal(json_pointer_same(b, a), result);
    json_pointer_free(a);
    json_pointer_free(b);
    return result;
}

static void the_same_places_are_recognised(void **state)
{
    (void)state;
    assert_true(same(compile(""), compile("")));
    assert_true(same(compile("/a/*/b~1c"), compile("/a/*/b~1c")));
    assert_true(same(compile("/b~1c"), json_pointer_to_key("b/c", 3)));
    assert_true(same(compile("/"), json_pointer_to_key("", 0)));
    assert_false(same(compile("/a"), compile("/b")));
    assert_false(same(compile("/a"), compile("/a/b")));
    assert_false(same(compile("/a"), compile("/ab")));
    assert_false(same(compile("/"), compile("")));
    assert_false(same(compile("/*"), json_pointer_to_key("*", 1)));
}

static void mistakes_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"a", "\"a\" is not a JSON Pointer: it must start with \"/\""},
        {" /a", "must start with"},
        {"*", "must start with"},
        {"/~", "write a \"~\" as \"~0\""},
        {"/a~2", "write a \"~\" as \"~0\""},
        {"/~/0", "write a \"~\" as \"~0\""},
    };
    char problem[256];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(json_pointer_compile(bad[i][0], strlen(bad[i][0]), problem, sizeof problem));
        if (strstr(problem, bad[i][1]) == NULL)
            fail_msg("%s: %s", bad[i][0], problem);
    }
    assert_null(json_pointer_compile("/a\0b", 4, problem, sizeof problem));
    assert_non_null(strstr(problem, "contains a NUL"));
    assert_null(
        json_pointer_compile("/~0", 2, problem, sizeof problem)); /* what stands behind the length is not read */
    json_pointer_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_rfc_lead_where_it_says),
        cmocka_unit_test(a_star_is_every_element_and_every_member),
        cmocka_unit_test(an_element_that_lacks_the_rest_is_seen_as_nothing),
        cmocka_unit_test(no_list_or_an_empty_one_is_nothing_once),
        cmocka_unit_test(nothing_is_seen_after_enough),
        cmocka_unit_test(the_walk_sees_what_a_simple_one_does),
        cmocka_unit_test(as_many_stars_as_fit_are_followed),
        cmocka_unit_test(a_pointer_may_have_512_characters),
        cmocka_unit_test(a_key_is_taken_as_it_is),
        cmocka_unit_test(the_same_places_are_recognised),
        cmocka_unit_test(mistakes_are_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
