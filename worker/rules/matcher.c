/*
 * matcher.c - a matcher's life, asking it about a value, and saying in words what it wants.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "glob.h"
#include "matcher_tree.h"
#include "quote.h"
#include "topic.h"

/* ---- Life */

static void fini_test(struct matcher_test *test)
{
    for (size_t i = 0; i < test->count; i++)
        fini_test(&test->item[i]);
    free(test->item);
}

void matcher_free(struct matcher *matcher)
{
    if (matcher == NULL)
        return;
    fini_test(&matcher->root);
    free(matcher->strings);
    json_decref(matcher->json);
    free(matcher);
}

/* ---- Testing */

static bool same_text(const struct matcher_test *test, const char *text, size_t length)
{
    return test->length == length && memcmp(test->text, text, length) == 0;
}

static bool equals(const struct matcher_test *test, const struct value *value)
{
    if (value->json == NULL)
        return test->text != NULL && value->text != NULL && same_text(test, value->text, value->length);
    if (test->text != NULL)
        return json_is_string(value->json) &&
               same_text(test, json_string_value(value->json), json_string_length(value->json));
    if (json_typeof(test->json) != json_typeof(value->json))
        return false;
    return !json_is_integer(test->json) || json_integer_value(test->json) == json_integer_value(value->json);
}

static bool matches_glob(const struct matcher_test *test, const struct value *value)
{
    if (value->json == NULL)
        return value->text != NULL && glob_match(test->text, test->length, value->text, value->length);
    return json_is_string(value->json) &&
           glob_match(test->text, test->length, json_string_value(value->json), json_string_length(value->json));
}

bool matcher_test_holds(const struct matcher_test *test, const struct value *value)
{
    switch (test->kind) {
    case TEST_EQUALS:
        return equals(test, value);
    case TEST_GLOB:
        return matches_glob(test, value);
    case TEST_TOPIC:
        return value->text != NULL && topic_match(test->text, value->text);
    case TEST_EXISTS:
        return !value_is_nothing(value);
    case TEST_ABSENT:
        return value_is_nothing(value);
    case TEST_NOT:
        return !matcher_test_holds(test->item, value);
    case TEST_ANY:
        break;
    }
    for (size_t i = 0; i < test->count; i++) {
        if (matcher_test_holds(&test->item[i], value))
            return true;
    }
    return false;
}

bool matcher_holds(const struct matcher *matcher, const struct value *value)
{
    return matcher_test_holds(&matcher->root, value);
}

const json_t *matcher_json(const struct matcher *matcher)
{
    return matcher->json;
}

/* ---- Describing */

static bool has_pattern(const struct matcher_test *test)
{
    if (test->kind == TEST_GLOB || test->kind == TEST_TOPIC)
        return true;
    for (size_t i = 0; i < test->count; i++) {
        if (has_pattern(&test->item[i]))
            return true;
    }
    return false;
}

static void append(char *out, size_t size, const char *text)
{
    size_t used = strlen(out);
    snprintf(out + used, size - used, "%s", text);
}

/* `"a"`, `anything but "a" or "b"`, or as much of a list as fits a sentence: `"a", "b" or 3 more`. */
static void describe(const struct matcher_test *test, char *out, size_t size)
{
    enum { SHOWN_MAX = 3 };
    char shown[QUOTE_SIZE / 2];
    switch (test->kind) {
    case TEST_EXISTS:
        append(out, size, "anything that is there");
        return;
    case TEST_ABSENT:
        append(out, size, "absent");
        return;
    case TEST_NOT:
        append(out, size, "anything but ");
        describe(test->item, out, size);
        return;
    case TEST_EQUALS:
    case TEST_GLOB:
    case TEST_TOPIC:
        append(out, size, quote_json(shown, sizeof shown, test->json));
        return;
    case TEST_ANY:
        break;
    }
    for (size_t i = 0; i < test->count && i < SHOWN_MAX; i++) {
        append(out, size, i == 0 ? "" : i + 1 == test->count ? " or " : ", ");
        describe(&test->item[i], out, size);
    }
    if (test->count > SHOWN_MAX) {
        snprintf(shown, sizeof shown, " or %zu more", test->count - SHOWN_MAX);
        append(out, size, shown);
    }
}

const char *matcher_describe(const struct matcher *matcher, char *out, size_t size)
{
    const struct matcher_test *test = &matcher->root;
    const char *relation = has_pattern(test) ? "which does not match " : "not ";
    if (test->kind == TEST_EXISTS)
        relation = "but must be there";
    else if (test->kind == TEST_ABSENT)
        relation = "but must be absent";
    else if (test->kind == TEST_NOT)
        relation = has_pattern(test) ? "but must not match " : "but must not be ";
    snprintf(out, size, "%s", relation);
    if (test->kind == TEST_NOT)
        test = test->item;
    else if (test->kind == TEST_EXISTS || test->kind == TEST_ABSENT)
        return out;
    describe(test, out, size);
    utf8_trim(out);
    return out;
}

/* ---- Asking about it */

const char *const *matcher_strings(const struct matcher *matcher, size_t *count)
{
    *count = matcher->string_count;
    return matcher->strings;
}

bool matcher_has_not(const struct matcher *matcher)
{
    return matcher->has_not;
}
