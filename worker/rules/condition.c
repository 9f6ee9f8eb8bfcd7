/*
 * condition.c - reading and testing `when`.
 *
 * The tests stand in one array, in the order in which they are made; the key of `when` that each comes from gives its
 * stage. What is taken over from `defaults` is borrowed from there.
 */
#include "condition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quote.h"

enum key { KEY_EXCHANGE, KEY_ROUTING_KEY, KEY_HEADERS, KEY_PROPERTIES, KEY_BODY, KEYS };

static const char *const key_name[KEYS + 1] = {"exchange", "routing_key", "headers", "properties", "body", NULL};

static const enum condition_stage key_stage[KEYS] = {CONDITION_ROUTING, CONDITION_ROUTING, CONDITION_ATTRIBUTES,
                                                     CONDITION_ATTRIBUTES, CONDITION_BODY};

struct test {
    enum key key;
    bool borrowed; /* source and matcher are those of the defaults */
    char *pointer; /* owned */
    struct source *source;
    struct matcher *matcher;
};

struct condition {
    struct test *test;
    size_t count;
    size_t stage_end[CONDITION_BODY + 1]; /* where the tests of the stage end */
};

void condition_free(struct condition *condition)
{
    if (condition == NULL)
        return;
    for (size_t i = 0; i < condition->count; i++) {
        struct test *test = &condition->test[i];
        free(test->pointer);
        if (test->borrowed)
            continue;
        source_free(test->source);
        matcher_free(test->matcher);
    }
    free(condition->test);
    free(condition);
}

/* ---- Reading */

struct reading {
    struct condition *condition;
    struct problems *problems;
};

static struct test *add_test(struct reading *reading, enum key key)
{
    struct test *test = &reading->condition->test[reading->condition->count++];
    test->key = key;
    return test;
}

/* "/when/KEY" and, of a test of a source, "/SOURCE", escaped. NULL when memory ran out. */
static char *make_pointer(enum key key, const char *source)
{
    size_t length = source != NULL ? strlen(source) : 0;
    char *pointer = malloc(sizeof "/when/routing_key/" + 2 * length);
    if (pointer == NULL)
        return NULL;
    size_t used = (size_t)sprintf(pointer, "/when/%s%s", key_name[key], source != NULL ? "/" : "");
    for (size_t i = 0; i < length; i++) {
        bool escaped = source[i] == '~' || source[i] == '/';
        if (escaped)
            pointer[used++] = '~';
        pointer[used++] = source[i] == '~' ? '0' : source[i] == '/' ? '1' : source[i];
    }
    pointer[used] = '\0';
    return pointer;
}

static void read_test(struct reading *reading, enum key key, const char *source, json_t *value,
                      const struct json_place *place)
{
    static const enum matcher_kind kinds[KEYS] = {MATCHER_EXCHANGE, MATCHER_TOPIC, MATCHER_VALUE, MATCHER_VALUE,
                                                  MATCHER_VALUE};
    static struct source *(*const compile[KEYS])(const char *, size_t, char *, size_t) = {
        [KEY_HEADERS] = source_compile_header,
        [KEY_PROPERTIES] = source_compile_property,
        [KEY_BODY] = source_compile_body,
    };
    struct test *test = add_test(reading, key);
    char problem[256];
    test->pointer = make_pointer(key, source);
    if (test->pointer == NULL)
        json_problem(reading->problems, place, "out of memory");
    if (source != NULL) {
        test->source = compile[key](source, strlen(source), problem, sizeof problem);
        if (test->source == NULL)
            json_problem(reading->problems, place, "%s", problem);
    }
    test->matcher = matcher_read(value, kinds[key], place, reading->problems);
}

/* An object of sources and what is wanted there. */
static void read_sources(struct reading *reading, enum key key, json_t *object, const struct json_place *place)
{
    static const char *const expected[KEYS] = {
        [KEY_HEADERS] = "an object of headers and values, as in {\"x-tenant\": \"a\"}",
        [KEY_PROPERTIES] = "an object of properties and values, as in {\"type\": \"order.paid\"}",
        [KEY_BODY] = "an object of JSON Pointers and values, as in {\"/type\": \"order.paid\"}",
    };
    if (!json_expect(object, JSON_OBJECT, expected[key], place, reading->problems))
        return;
    size_t count = json_object_size(object);
    if (count == 0) {
        json_problem(reading->problems, place, "found no condition; leave \"%s\" out, or name a place and its value",
                     key_name[key]);
        return;
    }
    if (count > CONDITION_SOURCES_MAX) {
        json_problem(reading->problems, place, "found %zu conditions; at most %d fit in one rule", count,
                     CONDITION_SOURCES_MAX);
        return;
    }
    const char *source;
    json_t *value;
    json_object_foreach(object, source, value)
    {
        struct json_place here = json_place_key(place, source);
        read_test(reading, key, source, value, &here);
    }
}

static void take_over(struct reading *reading, enum key key, const struct condition *defaults,
                      const struct json_place *place)
{
    static const char from[] = "/defaults";
    for (size_t i = 0; i < defaults->count; i++) {
        const struct test *original = &defaults->test[i];
        if (original->key != key)
            continue;
        struct test *test = add_test(reading, key);
        test->borrowed = true;
        test->source = original->source;
        test->matcher = original->matcher;
        size_t size = sizeof from + strlen(original->pointer);
        test->pointer = malloc(size);
        if (test->pointer == NULL)
            json_problem(reading->problems, place, "out of memory");
        else
            snprintf(test->pointer, size, "%s%s", from, original->pointer);
    }
}

static void read_key(struct reading *reading, enum key key, json_t *value, const struct json_place *place)
{
    if (key == KEY_EXCHANGE || key == KEY_ROUTING_KEY)
        read_test(reading, key, NULL, value, place);
    else
        read_sources(reading, key, value, place);
}

static void read_when(struct reading *reading, json_t *when, const struct condition *defaults,
                      const struct json_place *place)
{
    for (enum key key = 0; key < KEYS; key++) {
        struct json_place here = json_place_key(place, key_name[key]);
        json_t *value = json_object_get(when, key_name[key]);
        if (value != NULL)
            read_key(reading, key, value, &here);
        else if (defaults != NULL)
            take_over(reading, key, defaults, place);
        reading->condition->stage_end[key_stage[key]] = reading->condition->count;
    }
}

struct condition *condition_read(json_t *when, const struct condition *defaults, const struct json_place *place,
                                 struct problems *problems)
{
    size_t before = problems->count;
    struct condition *condition = calloc(1, sizeof *condition);
    if (condition == NULL)
        goto no_memory;
    if (when != NULL && !json_expect(when, JSON_OBJECT,
                                     "an object with \"exchange\", \"routing_key\", \"headers\", \"properties\" or "
                                     "\"body\"",
                                     place, problems))
        goto bad;
    if (when != NULL)
        json_check_keys(when, key_name, place, problems);

    size_t room = defaults != NULL ? defaults->count : 0;
    for (enum key key = 0; key < KEYS; key++) {
        const json_t *value = json_object_get(when, key_name[key]);
        size_t sources = key == KEY_EXCHANGE || key == KEY_ROUTING_KEY ? 1 : json_object_size(value);
        room += value == NULL ? 0 : sources;
    }
    condition->test = calloc(room > 0 ? room : 1, sizeof *condition->test);
    if (condition->test == NULL)
        goto no_memory;
    struct reading reading = {condition, problems};
    read_when(&reading, when, defaults, place);
    if (problems->count == before)
        return condition;
    goto bad;
no_memory:
    json_problem(problems, place, "out of memory");
bad:
    condition_free(condition);
    return NULL;
}

/* ---- Asking */

size_t condition_count(const struct condition *condition)
{
    return condition->count;
}

enum condition_stage condition_stage_of(const struct condition *condition, size_t index)
{
    return key_stage[condition->test[index].key];
}

const char *condition_pointer(const struct condition *condition, size_t index)
{
    return condition->test[index].pointer;
}

const struct source *condition_source(const struct condition *condition, size_t index)
{
    return condition->test[index].source;
}

const struct matcher *condition_matcher(const struct condition *condition, size_t index)
{
    return condition->test[index].matcher;
}

static size_t stage_begin(const struct condition *condition, enum condition_stage stage)
{
    return stage == CONDITION_ROUTING ? 0 : condition->stage_end[stage - 1];
}

bool condition_has_stage(const struct condition *condition, enum condition_stage stage)
{
    return stage_begin(condition, stage) < condition->stage_end[stage];
}

static const struct matcher *find_matcher(const struct condition *condition, enum key key)
{
    for (size_t i = 0; i < condition->stage_end[CONDITION_ROUTING]; i++) {
        if (condition->test[i].key == key)
            return condition->test[i].matcher;
    }
    return NULL;
}

const struct matcher *condition_exchange(const struct condition *condition)
{
    return find_matcher(condition, KEY_EXCHANGE);
}

const struct matcher *condition_routing_key(const struct condition *condition)
{
    return find_matcher(condition, KEY_ROUTING_KEY);
}

/* ---- Testing */

static struct value text_value(const char *text)
{
    return (struct value){.text = text, .length = strlen(text)};
}

/* The value that a test is about, of one that is not about several. */
static struct value single_value(const struct test *test, const struct view *view)
{
    if (test->source == NULL)
        return text_value(test->key == KEY_EXCHANGE ? view->exchange : view->routing_key);
    return source_value(test->source, view);
}

static bool see_mismatch(void *context, const struct value *value)
{
    return !matcher_holds(context, value);
}

bool condition_test(const struct condition *condition, size_t index, const struct view *view)
{
    const struct test *test = &condition->test[index];
    if (test->source != NULL && source_is_many(test->source))
        return !source_each(test->source, view, see_mismatch, test->matcher);
    struct value value = single_value(test, view);
    return matcher_holds(test->matcher, &value);
}

size_t condition_first_failure(const struct condition *condition, enum condition_stage stage, const struct view *view)
{
    for (size_t i = stage_begin(condition, stage); i < condition->stage_end[stage]; i++) {
        if (!condition_test(condition, i, view))
            return i;
    }
    return condition->count;
}

/* ---- Explaining */

#define VALUES_SHOWN_MAX 3

struct sight {
    char text[VALUES_SHOWN_MAX * (QUOTE_SIZE / 2 + 2)]; /* `"a", "b", "c"` */
    size_t count;
};

static bool see_value(void *context, const struct value *value)
{
    struct sight *sight = context;
    if (sight->count++ >= VALUES_SHOWN_MAX)
        return true;
    char shown[QUOTE_SIZE / 2];
    if (value->json != NULL)
        quote_json(shown, sizeof shown, value->json);
    else if (value->text != NULL)
        quote_text(shown, sizeof shown, value->text, value->length);
    else
        snprintf(shown, sizeof shown, "absent");
    size_t used = strlen(sight->text);
    snprintf(sight->text + used, sizeof sight->text - used, "%s%s", sight->count > 1 ? ", " : "", shown);
    return true;
}

const char *condition_explain(const struct condition *condition, size_t index, const struct view *view,
                              char out[MISMATCH_SIZE])
{
    const struct test *test = &condition->test[index];
    struct sight sight = {.text = "", .count = 0};
    char place[QUOTE_SIZE], wanted[256], more[32] = "";
    const char *what = place;
    if (test->source != NULL && source_is_many(test->source)) {
        (void)source_each(test->source, view, see_value, &sight);
    } else {
        struct value value = single_value(test, view);
        (void)see_value(&sight, &value);
    }
    if (sight.count > VALUES_SHOWN_MAX)
        snprintf(more, sizeof more, " and %zu more", sight.count - VALUES_SHOWN_MAX);
    if (test->source == NULL)
        what = test->key == KEY_EXCHANGE ? "the exchange" : "the routing key";
    else if (source_text(test->source)[0] == '\0')
        what = "the body";
    else
        quote_bare(place, sizeof place, source_text(test->source), strlen(source_text(test->source)));
    snprintf(out, MISMATCH_SIZE, "%s is %s%s, %s", what, sight.text, more,
             matcher_describe(test->matcher, wanted, sizeof wanted));
    utf8_trim(out);
    return out;
}
