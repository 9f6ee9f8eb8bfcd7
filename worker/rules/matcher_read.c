/*
 * matcher_read.c - from JSON to the tree of tests; every mistake in it is told.
 */
#include <stdlib.h>
#include <string.h>

#include "glob.h"
#include "matcher_tree.h"
#include "quote.h"
#include "short_string.h"
#include "topic.h"

struct reading {
    struct matcher *matcher;
    struct problems *problems;
    size_t depth; /* of "not" */
};

/* What may stand there, in words, by the kind of matcher. */
static const char *const expected[] = {
    [MATCHER_VALUE] = ("a string, an integer, true, false, null, a list of them, or {\"exists\": …}, {\"not\": …} or "
                       "{\"equals\": …}"),
    [MATCHER_EXCHANGE] = "the name of an exchange, a list of them, {\"not\": …} or {\"equals\": …}",
    [MATCHER_TOPIC] = "a topic pattern such as \"order.*.changed\", a list of them, or {\"not\": …}",
};

static void refuse(const struct reading *reading, const json_t *json, const struct json_place *place)
{
    char found[QUOTE_SIZE + 16];
    json_problem(reading->problems, place, "found %s; expected %s", json_found(json, found, sizeof found),
                 expected[reading->matcher->kind]);
}

static void set_text(struct matcher_test *test, const json_t *json)
{
    test->json = json;
    if (json_is_string(json)) {
        test->text = json_string_value(json);
        test->length = json_string_length(json);
    }
}

static void check_exchange(const struct reading *reading, const struct matcher_test *test,
                           const struct json_place *place)
{
    if (test->length == 0)
        json_problem(
            reading->problems, place,
            "the default exchange \"\" cannot be bound to; name the exchange that the events are published to");
    else if (test->length > SHORT_STRING_BYTES_MAX)
        json_problem(reading->problems, place, "the name of an exchange has at most %d bytes, this one has %zu",
                     SHORT_STRING_BYTES_MAX, test->length);
}

static void read_string(const struct reading *reading, struct matcher_test *test, const struct json_place *place)
{
    char problem[256];
    switch (reading->matcher->kind) {
    case MATCHER_VALUE:
        test->kind = glob_has_wildcard(test->text, test->length) ? TEST_GLOB : TEST_EQUALS;
        return;
    case MATCHER_EXCHANGE:
        test->kind = glob_has_wildcard(test->text, test->length) ? TEST_GLOB : TEST_EQUALS;
        check_exchange(reading, test, place);
        return;
    case MATCHER_TOPIC:
        test->kind = TEST_TOPIC;
        if (!topic_check(test->text, problem, sizeof problem))
            json_problem(reading->problems, place, "%s", problem);
        return;
    }
}

/* A string, an integer, a boolean or null, if the kind of matcher allows it. */
static bool read_scalar(const struct reading *reading, struct matcher_test *test, json_t *json,
                        const struct json_place *place)
{
    char found[QUOTE_SIZE + 16];
    test->kind = TEST_EQUALS;
    set_text(test, json);
    if (json_is_string(json))
        return true;
    if (json_is_real(json)) {
        json_problem(reading->problems, place, "found %s, which is written as a fraction; expected %s",
                     json_found(json, found, sizeof found), expected[reading->matcher->kind]);
        return false;
    }
    if (reading->matcher->kind == MATCHER_VALUE && !json_is_object(json) && !json_is_array(json))
        return true;
    refuse(reading, json, place);
    return false;
}

static void read_test(struct reading *reading, struct matcher_test *test, json_t *json, bool in_list,
                      const struct json_place *place);

static void read_list(struct reading *reading, struct matcher_test *test, const json_t *list,
                      const struct json_place *place)
{
    size_t count = json_array_size(list);
    test->kind = TEST_ANY;
    if (count == 0) {
        json_problem(reading->problems, place,
                     "found an empty list, which nothing could match; leave the key out to "
                     "match all");
        return;
    }
    if (count > MATCHER_VALUES_MAX) {
        json_problem(reading->problems, place,
                     "found a list of %zu; at most %d values fit in one; make it several rules", count,
                     MATCHER_VALUES_MAX);
        return;
    }
    test->item = calloc(count, sizeof *test->item);
    if (test->item == NULL) {
        json_problem(reading->problems, place, "out of memory");
        return;
    }
    test->count = count;
    for (size_t i = 0; i < count; i++) {
        struct json_place here = json_place_index(place, i);
        read_test(reading, &test->item[i], json_array_get(list, i), true, &here);
    }
}

static void read_exists(const struct reading *reading, struct matcher_test *test, const json_t *value,
                        const struct json_place *place)
{
    char found[QUOTE_SIZE + 16];
    test->kind = json_is_false(value) ? TEST_ABSENT : TEST_EXISTS;
    if (!json_is_boolean(value))
        json_problem(reading->problems, place,
                     "found %s; expected true (there is a value) or false (it is absent or null)",
                     json_found(value, found, sizeof found));
}

static void read_not(struct reading *reading, struct matcher_test *test, json_t *value, const struct json_place *place)
{
    test->kind = TEST_NOT;
    reading->matcher->has_not = true;
    if (reading->depth == MATCHER_DEPTH_MAX) {
        json_problem(reading->problems, place, "\"not\" stands in more than %d others; say it more simply",
                     MATCHER_DEPTH_MAX);
        return;
    }
    test->item = calloc(1, sizeof *test->item);
    if (test->item == NULL) {
        json_problem(reading->problems, place, "out of memory");
        return;
    }
    test->count = 1;
    reading->depth++;
    read_test(reading, test->item, value, false, place);
    reading->depth--;
}

static void read_equals(const struct reading *reading, struct matcher_test *test, json_t *value,
                        const struct json_place *place)
{
    bool exchange = reading->matcher->kind == MATCHER_EXCHANGE;
    char found[QUOTE_SIZE + 16];
    if (json_is_array(value))
        json_problem(reading->problems, place, "found a list; write a list of {\"equals\": …} instead");
    else if (json_is_object(value) || (exchange && !json_is_string(value)))
        json_problem(reading->problems, place, "found %s; expected %s", json_found(value, found, sizeof found),
                     exchange ? "the name of an exchange" : "a string, an integer, true, false or null");
    else if (read_scalar(reading, test, value, place) && exchange)
        check_exchange(reading, test, place);
}

static void read_object(struct reading *reading, struct matcher_test *test, json_t *object,
                        const struct json_place *place)
{
    static const char *const of_value[] = {"exists", "not", "equals", NULL};
    static const char *const of_exchange[] = {"not", "equals", NULL};
    static const char *const of_topic[] = {"not", NULL};
    static const char *const *const known[] = {
        [MATCHER_VALUE] = of_value, [MATCHER_EXCHANGE] = of_exchange, [MATCHER_TOPIC] = of_topic};
    if (!json_check_keys(object, known[reading->matcher->kind], place, reading->problems))
        return;
    if (json_object_size(object) != 1) {
        json_problem(reading->problems, place,
                     json_object_size(object) == 0
                         ? "found an empty object; expected %s"
                         : "found an object with several keys, of which one is allowed; expected %s",
                     expected[reading->matcher->kind]);
        return;
    }
    const char *key = json_object_iter_key(json_object_iter(object));
    json_t *value = json_object_get(object, key);
    struct json_place here = json_place_key(place, key);
    if (strcmp(key, "exists") == 0)
        read_exists(reading, test, value, &here);
    else if (strcmp(key, "not") == 0)
        read_not(reading, test, value, &here);
    else
        read_equals(reading, test, value, &here);
}

static void read_test(struct reading *reading, struct matcher_test *test, json_t *json, bool in_list,
                      const struct json_place *place)
{
    test->json = json;
    if (json_is_object(json))
        read_object(reading, test, json, place);
    else if (json_is_array(json) && in_list)
        json_problem(reading->problems, place, "found a list in a list; expected %s", expected[reading->matcher->kind]);
    else if (json_is_array(json))
        read_list(reading, test, json, place);
    else if (read_scalar(reading, test, json, place) && json_is_string(json))
        read_string(reading, test, place);
}

static bool is_literal(const struct matcher_test *test)
{
    return test->text != NULL && test->kind != TEST_GLOB;
}

/* False when memory ran out. */
static bool collect_strings(struct matcher *matcher)
{
    const struct matcher_test *root = &matcher->root;
    const struct matcher_test *item = root->kind == TEST_ANY ? root->item : root;
    size_t count = root->kind == TEST_ANY ? root->count : 1;
    for (size_t i = 0; i < count; i++) {
        if (!is_literal(&item[i]))
            return true;
    }
    matcher->strings = calloc(count, sizeof *matcher->strings);
    if (matcher->strings == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        matcher->strings[i] = item[i].text;
    matcher->string_count = count;
    return true;
}

struct matcher *matcher_read(json_t *json, enum matcher_kind kind, const struct json_place *place,
                             struct problems *problems)
{
    size_t before = problems->count;
    struct matcher *matcher = calloc(1, sizeof *matcher);
    if (matcher == NULL) {
        json_problem(problems, place, "out of memory");
        return NULL;
    }
    matcher->kind = kind;
    matcher->json = json_incref(json);
    struct reading reading = {.matcher = matcher, .problems = problems};
    read_test(&reading, &matcher->root, json, false, place);
    if (problems->count == before && !collect_strings(matcher))
        json_problem(problems, place, "out of memory");
    if (problems->count == before)
        return matcher;
    matcher_free(matcher);
    return NULL;
}
