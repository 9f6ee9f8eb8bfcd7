/*
 * source.c - compiling sources and following them.
 *
 * Body, headers and properties are all JSON once they are read, so that a header's name and a property's are pointers
 * to one key.
 */
#include "source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_pointer.h"
#include "problem.h"
#include "property.h"
#include "quote.h"
#include "short_string.h"

#define KNOWN_SOURCES "routing_key, routing_key.N, exchange, header.NAME and property.NAME"

enum origin { ORIGIN_BODY, ORIGIN_HEADERS, ORIGIN_PROPERTIES, ORIGIN_ROUTING_KEY, ORIGIN_EXCHANGE };

struct source {
    enum origin origin;
    struct json_pointer *pointer; /* of body, headers and properties */
    size_t word;                  /* of the routing key; 0: all of it */
    char text[];
};

bool value_is_nothing(const struct value *value)
{
    return value->text == NULL && (value->json == NULL || json_is_null(value->json));
}

void source_free(struct source *source)
{
    if (source == NULL)
        return;
    json_pointer_free(source->pointer);
    free(source);
}

/* A source called `prefix` and name[length]; takes the pointer over, also when it fails. */
static struct source *make(enum origin origin, struct json_pointer *pointer, const char *prefix, const char *name,
                           size_t length, char *problem, size_t size)
{
    size_t prefix_length = strlen(prefix);
    struct source *source = malloc(sizeof *source + prefix_length + length + 1);
    if (source == NULL) {
        json_pointer_free(pointer);
        snprintf(problem, size, "out of memory");
        return NULL;
    }
    *source = (struct source){.origin = origin, .pointer = pointer};
    memcpy(source->text, prefix, prefix_length);
    memcpy(source->text + prefix_length, name, length);
    source->text[prefix_length + length] = '\0';
    return source;
}

static struct source *compile_key(enum origin origin, const char *prefix, const char *name, size_t length,
                                  char *problem, size_t size)
{
    struct json_pointer *pointer = json_pointer_to_key(name, length);
    if (pointer == NULL) {
        snprintf(problem, size, "out of memory");
        return NULL;
    }
    return make(origin, pointer, prefix, name, length, problem, size);
}

struct source *source_compile_body(const char *text, size_t length, char *problem, size_t size)
{
    static const char whole[] = "the body"; /* whose pointer is empty, which would read badly in a sentence */
    struct json_pointer *pointer = json_pointer_compile(text, length, problem, size);
    if (pointer == NULL)
        return NULL;
    if (length == 0)
        return make(ORIGIN_BODY, pointer, "", whole, sizeof whole - 1, problem, size);
    return make(ORIGIN_BODY, pointer, "", text, length, problem, size);
}

static struct source *compile_header_name(const char *text, size_t length, char *problem, size_t size)
{
    char shown[QUOTE_SIZE];
    quote_text(shown, sizeof shown, text, length);
    if (length == 0)
        snprintf(problem, size, "no header is named; write its name, as in header.x-tenant");
    else if (memchr(text, '\0', length) != NULL)
        snprintf(problem, size, "%s contains a NUL, which no header's name does", shown);
    else if (length > SHORT_STRING_BYTES_MAX)
        snprintf(problem, size, "%s has %zu bytes; a header's name has at most %d", shown, length,
                 SHORT_STRING_BYTES_MAX);
    else
        return compile_key(ORIGIN_HEADERS, "header.", text, length, problem, size);
    return NULL;
}

struct source *source_compile_header(const char *text, size_t length, char *problem, size_t size)
{
    if (length == 0 || text[0] != '/')
        return compile_header_name(text, length, problem, size);
    struct json_pointer *pointer = json_pointer_compile(text, length, problem, size);
    return pointer != NULL ? make(ORIGIN_HEADERS, pointer, "header", text, length, problem, size) : NULL;
}

struct source *source_compile_property(const char *text, size_t length, char *problem, size_t size)
{
    if (property_known(text, length))
        return compile_key(ORIGIN_PROPERTIES, "property.", text, length, problem, size);
    char shown[QUOTE_SIZE];
    quote_text(shown, sizeof shown, text, length);
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)(length < sizeof word ? length : sizeof word - 1), text);
    const char *nearest = nearest_word(word, property_names);
    if (length == 0)
        snprintf(problem, size, "no property is named; write one, as in \"type\"");
    else if (nearest != NULL)
        snprintf(problem, size, "%s is no property of a message; did you mean \"%s\"?", shown, nearest);
    else
        snprintf(problem, size,
                 "%s is no property of a message; those are content_type, content_encoding, delivery_mode, priority, "
                 "correlation_id, reply_to, expiration, message_id, timestamp, type, user_id, app_id and cluster_id",
                 shown);
    return NULL;
}

/* N of routing_key.N, or 0 if text[length] is no number from 1 to SOURCE_WORD_MAX without leading zeros. */
static size_t word_number(const char *text, size_t length)
{
    if (length == 0 || length > 3 || text[0] == '0')
        return 0;
    size_t number = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return 0;
        number = number * 10 + (size_t)(text[i] - '0');
    }
    return number <= SOURCE_WORD_MAX ? number : 0;
}

static struct source *compile_word(const char *text, size_t length, char *problem, size_t size)
{
    size_t word = word_number(text, length);
    if (word == 0) {
        char shown[QUOTE_SIZE];
        snprintf(problem, size,
                 "\"routing_key.%s\" names no word of the routing key; they are counted from 1, as in routing_key.1, "
                 "to %d",
                 quote_bare(shown, sizeof shown, text, length), SOURCE_WORD_MAX);
        return NULL;
    }
    struct source *source = make(ORIGIN_ROUTING_KEY, NULL, "routing_key.", text, length, problem, size);
    if (source != NULL)
        source->word = word;
    return source;
}

/* What was most likely meant by a source that is none, into instead[size]; "" if there is no telling. `head` is what
 * stands in front of its first dot or slash, `rest` what follows from there. */
static void guess(const char *head, const char *rest, char *instead, size_t size)
{
    static const char *const heads[] = {"routing_key", "exchange", "header", "headers", "property", "properties", NULL};
    const char *nearest = nearest_word(head, heads);
    const char *name = *rest != '\0' ? rest + 1 : "NAME";
    if (nearest == NULL)
        instead[0] = '\0';
    else if (nearest[0] == 'h')
        snprintf(instead, size, "header%c%s", *rest == '/' ? '/' : '.', name);
    else if (nearest[0] == 'p')
        snprintf(instead, size, "property.%s", name);
    else if (nearest[0] == 'r' && *rest != '\0')
        snprintf(instead, size, "routing_key.%s", name);
    else
        snprintf(instead, size, "%s", nearest);
}

static void explain_unknown(const char *text, size_t length, char *problem, size_t size)
{
    char whole[64], head[sizeof whole], shown[QUOTE_SIZE], instead[QUOTE_SIZE], quoted[QUOTE_SIZE];
    snprintf(whole, sizeof whole, "%.*s", (int)(length < sizeof whole ? length : sizeof whole - 1), text);
    size_t head_length = strcspn(whole, "./");
    const char *rest = whole + head_length;
    snprintf(head, sizeof head, "%.*s", (int)head_length, whole);
    quote_text(shown, sizeof shown, text, length);
    guess(head, rest, instead, sizeof instead);
    if (instead[0] != '\0') {
        snprintf(problem, size, "%s names no source; did you mean %s?", shown,
                 quote_text(quoted, sizeof quoted, instead, strlen(instead)));
        return;
    }
    /* Perhaps a path with dots, as of JavaScript or a JSONPath: the same as a pointer. */
    bool from_root = *rest != '\0' && (strcmp(head, "body") == 0 || strcmp(head, "$") == 0);
    snprintf(instead, sizeof instead, "/%s", from_root ? rest + 1 : whole);
    for (char *at = instead; *at != '\0'; at++)
        *at = *at == '.' ? '/' : *at;
    snprintf(problem, size,
             "%s names no source; write a JSON Pointer for a value of the body, as in %s, or one of " KNOWN_SOURCES,
             shown, quote_text(quoted, sizeof quoted, instead, strlen(instead)));
}

static bool starts_with(const char *text, size_t length, const char *prefix)
{
    return length >= strlen(prefix) && memcmp(text, prefix, strlen(prefix)) == 0;
}

static bool equals(const char *text, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(text, word, length) == 0;
}

struct source *source_compile(const char *text, size_t length, char *problem, size_t size)
{
    if (starts_with(text, length, "/"))
        return source_compile_body(text, length, problem, size);
    if (starts_with(text, length, "header/"))
        return source_compile_header(text + strlen("header"), length - strlen("header"), problem, size);
    if (starts_with(text, length, "header."))
        return compile_header_name(text + strlen("header."), length - strlen("header."), problem, size);
    if (starts_with(text, length, "property."))
        return source_compile_property(text + strlen("property."), length - strlen("property."), problem, size);
    if (starts_with(text, length, "routing_key."))
        return compile_word(text + strlen("routing_key."), length - strlen("routing_key."), problem, size);
    if (equals(text, length, "routing_key"))
        return make(ORIGIN_ROUTING_KEY, NULL, "", text, length, problem, size);
    if (equals(text, length, "exchange"))
        return make(ORIGIN_EXCHANGE, NULL, "", text, length, problem, size);
    explain_unknown(text, length, problem, size);
    return NULL;
}

const char *source_text(const struct source *source)
{
    return source->text;
}

unsigned source_needs(const struct source *source)
{
    switch (source->origin) {
    case ORIGIN_BODY:
        return SOURCE_BODY;
    case ORIGIN_HEADERS:
    case ORIGIN_PROPERTIES:
        return SOURCE_ATTRIBUTES;
    default:
        return 0;
    }
}

size_t source_word(const struct source *source)
{
    return source->word;
}

bool source_is_many(const struct source *source)
{
    return source->pointer != NULL && json_pointer_is_many(source->pointer);
}

bool source_same(const struct source *a, const struct source *b)
{
    return a->origin == b->origin && a->word == b->word &&
           (a->pointer == NULL || json_pointer_same(a->pointer, b->pointer));
}

/* The word, counted from 1; absent if there are not so many. An empty routing key has none. */
static struct value routing_key_word(const char *key, size_t word)
{
    if (*key == '\0')
        return (struct value){0};
    for (; word > 1; word--) {
        key = strchr(key, '.');
        if (key == NULL)
            return (struct value){0};
        key++;
    }
    return (struct value){.text = key, .length = strcspn(key, ".")};
}

/* The whole text; an empty one is absent. */
static struct value whole(const char *text)
{
    return *text != '\0' ? (struct value){.text = text, .length = strlen(text)} : (struct value){0};
}

static const json_t *root(const struct source *source, const struct view *view)
{
    switch (source->origin) {
    case ORIGIN_BODY:
        return view->body;
    case ORIGIN_HEADERS:
        return view->headers;
    default:
        return view->properties;
    }
}

struct value source_value(const struct source *source, const struct view *view)
{
    if (source->pointer != NULL)
        return (struct value){.json = json_pointer_find(source->pointer, root(source, view))};
    if (source->origin == ORIGIN_EXCHANGE)
        return whole(view->exchange);
    return source->word == 0 ? whole(view->routing_key) : routing_key_word(view->routing_key, source->word);
}

struct seer {
    source_see *see;
    void *context;
};

static bool see_json(void *context, const json_t *json)
{
    const struct seer *seer = context;
    struct value value = {.json = json};
    return seer->see(seer->context, &value);
}

bool source_each(const struct source *source, const struct view *view, source_see *see, void *context)
{
    if (!source_is_many(source)) {
        struct value value = source_value(source, view);
        return see(context, &value);
    }
    struct seer seer = {see, context};
    return json_pointer_each(source->pointer, root(source, view), see_json, &seer);
}
