/*
 * condition.c - reading and testing `when`.
 *
 * Strings are borrowed from the JSON values that hold them, which the condition keeps a reference to; testing only
 * reads them, so that any number of threads may.
 */
#include "condition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_pointer.h"
#include "quote.h"
#include "topic.h"

struct body_test {
    struct json_pointer *pointer;
    json_t *accepted; /* an array of scalars; a reference */
};

struct strings {
    const char **item;
    size_t count;
};

struct condition {
    json_t *when; /* a reference, which keeps the strings alive */
    struct strings exchanges, routing_keys;
    struct body_test *tests;
    size_t test_count;
};

void condition_free(struct condition *condition)
{
    if (condition == NULL)
        return;
    for (size_t i = 0; i < condition->test_count; i++) {
        json_pointer_free(condition->tests[i].pointer);
        json_decref(condition->tests[i].accepted);
    }
    free(condition->tests);
    free(condition->exchanges.item);
    free(condition->routing_keys.item);
    json_decref(condition->when);
    free(condition);
}

typedef void check_value(const json_t *value, const struct json_place *place, struct problems *problems);

/* A new array with the values that `value` stands for: itself, or its elements if it is a list. Each is checked. NULL
 * if it is no usable list, or memory ran out. */
static json_t *read_one_or_list(json_t *value, check_value *check, const struct json_place *place,
                                struct problems *problems)
{
    json_t *list = NULL;
    if (!json_is_array(value)) {
        check(value, place, problems);
        list = json_array();
        if (list == NULL || json_array_append(list, value) != 0)
            goto no_memory;
        return list;
    }
    if (json_array_size(value) == 0) {
        json_problem(problems, place, "found an empty list, which nothing could match; leave the key out to match all");
        return NULL;
    }
    if (json_array_size(value) > CONDITION_VALUES_MAX) {
        json_problem(problems, place, "found a list of %zu; at most %d values fit in one; make it several rules",
                     json_array_size(value), CONDITION_VALUES_MAX);
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        struct json_place here = json_place_index(place, i);
        check(json_array_get(value, i), &here, problems);
    }
    list = json_copy(value);
    if (list != NULL)
        return list;
no_memory:
    json_decref(list);
    json_problem(problems, place, "out of memory");
    return NULL;
}

static void check_exchange(const json_t *value, const struct json_place *place, struct problems *problems)
{
    if (!json_expect(value, JSON_STRING, "the name of an exchange, or a list of them", place, problems))
        return;
    const char *name = json_string_value(value);
    if (name[0] == '\0')
        json_problem(
            problems, place,
            "the default exchange \"\" cannot be bound to; name the exchange that the events are published to");
    else if (json_string_length(value) > SHORT_STRING_BYTES_MAX)
        json_problem(problems, place, "the name of an exchange has at most %d bytes, this one has %zu",
                     SHORT_STRING_BYTES_MAX, json_string_length(value));
    else if (strpbrk(name, "*?") != NULL)
        json_problem(problems, place,
                     "this version does not know \"*\" and \"?\" as wildcards in the name of an exchange; list the "
                     "exchanges one by one");
}

static void check_routing_key(const json_t *value, const struct json_place *place, struct problems *problems)
{
    if (!json_expect(value, JSON_STRING, "a topic pattern such as \"order.*.changed\", or a list of them", place,
                     problems))
        return;
    char problem[256];
    if (!topic_check(json_string_value(value), problem, sizeof problem))
        json_problem(problems, place, "%s", problem);
}

static void check_scalar(const json_t *value, const struct json_place *place, struct problems *problems)
{
    static const char expected[] = "a string, an integer, true, false, null, or a list of them";
    char found[QUOTE_SIZE + 16];
    switch (json_typeof(value)) {
    case JSON_INTEGER:
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        return;
    case JSON_STRING:
        if (strpbrk(json_string_value(value), "*?") != NULL)
            json_problem(problems, place,
                         "%s: this version compares strings exactly and does not know \"*\" and \"?\" as wildcards; "
                         "list the values one by one",
                         json_found(value, found, sizeof found));
        return;
    case JSON_REAL:
        json_problem(problems, place, "found %s, which is written as a fraction; expected %s",
                     json_found(value, found, sizeof found), expected);
        return;
    case JSON_OBJECT:
        json_problem(problems, place,
                     "found an object, a kind of condition that this version does not know; expected %s", expected);
        return;
    case JSON_ARRAY:
        json_problem(problems, place, "found a list in a list; expected %s", expected);
        return;
    }
}

/* Borrows the strings of `value`, which read_one_or_list has checked. */
static bool borrow_strings(json_t *value, struct strings *strings)
{
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    strings->item = calloc(count, sizeof *strings->item);
    if (strings->item == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        strings->item[i] = json_string_value(json_is_array(value) ? json_array_get(value, i) : value);
    strings->count = count;
    return true;
}

static void read_strings(struct strings *strings, json_t *value, check_value *check, const struct json_place *place,
                         struct problems *problems)
{
    size_t before = problems->count;
    json_decref(read_one_or_list(value, check, place, problems));
    if (problems->count == before && !borrow_strings(value, strings))
        json_problem(problems, place, "out of memory");
}

static void read_body(struct condition *condition, json_t *body, const struct json_place *place,
                      struct problems *problems)
{
    if (!json_expect(body, JSON_OBJECT, "an object of JSON Pointers and values, as in {\"/type\": \"order.paid\"}",
                     place, problems))
        return;
    size_t count = json_object_size(body);
    if (count == 0) {
        json_problem(problems, place, "found no condition; leave \"body\" out, or name a JSON Pointer and its value");
        return;
    }
    if (count > CONDITION_POINTERS_MAX) {
        json_problem(problems, place, "found %zu conditions; at most %d fit in one rule", count,
                     CONDITION_POINTERS_MAX);
        return;
    }
    condition->tests = calloc(count, sizeof *condition->tests);
    if (condition->tests == NULL) {
        json_problem(problems, place, "out of memory");
        return;
    }
    const char *key;
    json_t *value;
    json_object_foreach(body, key, value)
    {
        struct json_place here = json_place_key(place, key);
        struct body_test *test = &condition->tests[condition->test_count++];
        char problem[256];
        test->pointer = json_pointer_compile(key, strlen(key), problem, sizeof problem);
        if (test->pointer == NULL)
            json_problem(problems, &here, "%s", problem);
        test->accepted = read_one_or_list(value, check_scalar, &here, problems);
    }
}

struct condition *condition_read(json_t *when, const struct json_place *place, struct problems *problems)
{
    static const char *const known[] = {"exchange", "routing_key", "body", NULL};
    size_t before = problems->count;
    struct condition *condition = calloc(1, sizeof *condition);
    if (condition == NULL) {
        json_problem(problems, place, "out of memory");
        return NULL;
    }
    if (when == NULL)
        return condition;
    if (!json_expect(when, JSON_OBJECT, "an object with \"exchange\", \"routing_key\" or \"body\"", place, problems))
        goto bad;
    condition->when = json_incref(when);
    json_check_keys(when, known, place, problems);

    json_t *exchange = json_object_get(when, "exchange");
    struct json_place exchange_place = json_place_key(place, "exchange");
    if (exchange != NULL)
        read_strings(&condition->exchanges, exchange, check_exchange, &exchange_place, problems);
    json_t *routing_key = json_object_get(when, "routing_key");
    struct json_place routing_key_place = json_place_key(place, "routing_key");
    if (routing_key != NULL)
        read_strings(&condition->routing_keys, routing_key, check_routing_key, &routing_key_place, problems);
    json_t *body = json_object_get(when, "body");
    struct json_place body_place = json_place_key(place, "body");
    if (body != NULL)
        read_body(condition, body, &body_place, problems);

    if (problems->count == before)
        return condition;
bad:
    condition_free(condition);
    return NULL;
}

/* `"a", "b" or 3 more` */
static const char *describe(char *out, size_t size, const char *const *text, const json_t *list, size_t count)
{
    enum { SHOWN_MAX = 3 };
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count && i < SHOWN_MAX; i++) {
        char shown[48];
        if (text != NULL)
            quote_text(shown, sizeof shown, text[i], strlen(text[i]));
        else
            quote_json(shown, sizeof shown, json_array_get(list, i));
        const char *joint = i == 0 ? "" : i + 1 == count ? " or " : ", ";
        used += (size_t)snprintf(out + used, size - used, "%s%s", joint, shown);
    }
    if (count > SHOWN_MAX)
        snprintf(out + used, size - used, " or %zu more", count - SHOWN_MAX);
    return out;
}

static void say_mismatch(struct mismatch *mismatch, const char *what, const char *seen, const char *relation,
                         const struct strings *wanted)
{
    if (mismatch == NULL)
        return;
    char shown[QUOTE_SIZE], list[256];
    quote_text(shown, sizeof shown, seen, strlen(seen));
    describe(list, sizeof list, wanted->item, NULL, wanted->count);
    snprintf(mismatch->sentence, sizeof mismatch->sentence, "%s is %s, %s %s", what, shown, relation, list);
}

bool condition_routing(const struct condition *condition, const struct event *event, struct mismatch *mismatch)
{
    const struct strings *exchanges = &condition->exchanges;
    bool holds = exchanges->count == 0;
    for (size_t i = 0; i < exchanges->count && !holds; i++)
        holds = strcmp(exchanges->item[i], event->exchange) == 0;
    if (!holds) {
        say_mismatch(mismatch, "the exchange", event->exchange, "not", exchanges);
        return false;
    }
    const struct strings *keys = &condition->routing_keys;
    holds = keys->count == 0;
    for (size_t i = 0; i < keys->count && !holds; i++)
        holds = topic_match(keys->item[i], event->routing_key);
    if (!holds)
        say_mismatch(mismatch, "the routing key", event->routing_key, "which does not match", keys);
    return holds;
}

bool condition_needs_body(const struct condition *condition)
{
    return condition->test_count > 0;
}

bool condition_body(const struct condition *condition, const json_t *body, struct mismatch *mismatch)
{
    for (size_t i = 0; i < condition->test_count; i++) {
        const struct body_test *test = &condition->tests[i];
        const json_t *value = json_pointer_find(test->pointer, body);
        size_t count = json_array_size(test->accepted);
        bool holds = false;
        for (size_t j = 0; j < count && !holds && value != NULL; j++)
            holds = json_equal(json_array_get(test->accepted, j), value) != 0;
        if (holds)
            continue;
        if (mismatch != NULL) {
            const char *pointer = json_pointer_text(test->pointer);
            char shown_pointer[QUOTE_SIZE], shown[QUOTE_SIZE], list[256];
            quote_bare(shown_pointer, sizeof shown_pointer, pointer, strlen(pointer));
            describe(list, sizeof list, NULL, test->accepted, count);
            const char *seen = value == NULL ? "absent" : quote_json(shown, sizeof shown, value);
            snprintf(mismatch->sentence, sizeof mismatch->sentence, "%s is %s, not %s",
                     pointer[0] == '\0' ? "the body" : shown_pointer, seen, list);
        }
        return false;
    }
    return true;
}

const char *const *condition_exchanges(const struct condition *condition, size_t *count)
{
    *count = condition->exchanges.count;
    return condition->exchanges.item;
}

const char *const *condition_routing_keys(const struct condition *condition, size_t *count)
{
    *count = condition->routing_keys.count;
    return condition->routing_keys.item;
}
