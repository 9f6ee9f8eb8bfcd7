/*
 * json_pointer.c - JSON Pointers, compiled.
 *
 * One allocation: the struct, its segments, then their keys and the text as NUL-terminated strings.
 */
#include "json_pointer.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quote.h"

#define NOT_AN_INDEX SIZE_MAX

struct segment {
    const char *key;
    size_t length;
    size_t index; /* the same as an array's index, or NOT_AN_INDEX */
    bool every;   /* `*`: all elements */
};

struct json_pointer {
    const char *text;
    size_t count;
    bool many;
    struct segment segment[];
};

/* "0", or digits that do not start with 0; "-" is the element behind the last, which never exists. */
static size_t array_index(const char *key, size_t length)
{
    if (length == 0 || length > 9 || (key[0] == '0' && length > 1))
        return NOT_AN_INDEX;
    size_t index = 0;
    for (size_t i = 0; i < length; i++) {
        if (key[i] < '0' || key[i] > '9')
            return NOT_AN_INDEX;
        index = index * 10 + (size_t)(key[i] - '0');
    }
    return index;
}

/* Whether the pointer can be compiled, and how many segments it has. */
static bool check(const char *text, size_t length, size_t *segments, char *problem, size_t size)
{
    char shown[QUOTE_SIZE];
    quote_text(shown, sizeof shown, text, length);
    *segments = 0;
    if (length > 0 && text[0] != '/') {
        snprintf(problem, size, "%s is not a JSON Pointer: it must start with \"/\", as in \"/tenant/id\"", shown);
        return false;
    }
    if (utf8_characters(text, length) > JSON_POINTER_CHARACTERS_MAX) {
        snprintf(problem, size, "%s is longer than %d characters", shown, JSON_POINTER_CHARACTERS_MAX);
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        char next = i + 1 < length ? text[i + 1] : '\0';
        if (text[i] == '\0') {
            snprintf(problem, size, "%s contains a NUL", shown);
            return false;
        }
        if (text[i] == '~' && next != '0' && next != '1') {
            snprintf(problem, size, "%s is not a JSON Pointer: write a \"~\" as \"~0\" and a \"/\" in a key as \"~1\"",
                     shown);
            return false;
        }
        if (text[i] == '/')
            ++*segments;
    }
    return true;
}

/* Room for the segments, the text (copied) and the keys, which take no more than another copy of it. NULL: out of
 * memory. */
static struct json_pointer *allocate(const char *text, size_t length, size_t segments, char **keys)
{
    struct json_pointer *pointer = malloc(sizeof *pointer + segments * sizeof(struct segment) + 2 * (length + 1));
    if (pointer == NULL)
        return NULL;
    char *strings = (char *)&pointer->segment[segments];
    memcpy(strings, text, length);
    strings[length] = '\0';
    *keys = strings + length + 1;
    pointer->text = strings;
    pointer->count = segments;
    pointer->many = false;
    return pointer;
}

struct json_pointer *json_pointer_compile(const char *text, size_t length, char *problem, size_t size)
{
    size_t segments;
    if (!check(text, length, &segments, problem, size))
        return NULL;
    char *key;
    struct json_pointer *pointer = allocate(text, length, segments, &key);
    if (pointer == NULL) {
        snprintf(problem, size, "out of memory");
        return NULL;
    }
    size_t at = 0;
    for (size_t i = 0; i < segments; i++) {
        char *start = key;
        for (at++; at < length && text[at] != '/'; at++) {
            if (text[at] == '~')
                *key++ = text[++at] == '0' ? '~' : '/';
            else
                *key++ = text[at];
        }
        size_t key_length = (size_t)(key - start);
        bool every = key_length == 1 && *start == '*';
        pointer->segment[i] = (struct segment){start, key_length, array_index(start, key_length), every};
        pointer->many = pointer->many || every;
        *key++ = '\0';
    }
    return pointer;
}

struct json_pointer *json_pointer_to_key(const char *key, size_t length)
{
    char *copy;
    struct json_pointer *pointer = allocate(key, length, 1, &copy);
    if (pointer == NULL)
        return NULL;
    memcpy(copy, key, length);
    copy[length] = '\0';
    pointer->segment[0] = (struct segment){copy, length, array_index(copy, length), false};
    return pointer;
}

void json_pointer_free(struct json_pointer *pointer)
{
    free(pointer);
}

bool json_pointer_is_many(const struct json_pointer *pointer)
{
    return pointer->many;
}

bool json_pointer_same(const struct json_pointer *a, const struct json_pointer *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct segment *left = &a->segment[i], *right = &b->segment[i];
        if (left->every != right->every || left->length != right->length ||
            memcmp(left->key, right->key, left->length) != 0)
            return false;
    }
    return true;
}

/* What one segment, which is not `*`, leads to. */
static const json_t *step(const struct segment *segment, const json_t *value)
{
    if (json_is_object(value))
        return json_object_getn(value, segment->key, segment->length);
    if (json_is_array(value) && segment->index != NOT_AN_INDEX)
        return json_array_get(value, segment->index);
    return NULL;
}

const json_t *json_pointer_find(const struct json_pointer *pointer, const json_t *root)
{
    const json_t *value = root;
    for (size_t i = 0; i < pointer->count && value != NULL; i++)
        value = step(&pointer->segment[i], value);
    return value;
}

/* json_pointer_each from segment `at` on, with `value` as the root. Recurs once for each `*`, of which the length of a
 * pointer allows JSON_POINTER_CHARACTERS_MAX / 2. */
static bool walk(const struct json_pointer *pointer, size_t at, const json_t *value, json_pointer_see *see,
                 void *context)
{
    for (; at < pointer->count && value != NULL && !pointer->segment[at].every; at++)
        value = step(&pointer->segment[at], value);
    if (at == pointer->count || value == NULL)
        return see(context, value);

    if (json_array_size(value) > 0) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (!walk(pointer, at + 1, json_array_get(value, i), see, context))
                return false;
        }
        return true;
    }
    if (json_object_size(value) > 0) {
        json_t *object = (json_t *)(uintptr_t)value; /* looking through it changes nothing, whatever its type says */
        for (void *i = json_object_iter(object); i != NULL; i = json_object_iter_next(object, i)) {
            if (!walk(pointer, at + 1, json_object_iter_value(i), see, context))
                return false;
        }
        return true;
    }
    return see(context, NULL);
}

bool json_pointer_each(const struct json_pointer *pointer, const json_t *root, json_pointer_see *see, void *context)
{
    return walk(pointer, 0, root, see, context);
}

const char *json_pointer_text(const struct json_pointer *pointer)
{
    return pointer->text;
}
