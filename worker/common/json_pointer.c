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
};

struct json_pointer {
    const char *text;
    size_t count;
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
        bool ends = i + 2 >= length || text[i + 2] == '/';
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
        if (text[i] == '/' && next == '*' && ends) {
            snprintf(problem, size,
                     "%s has the segment \"*\", which this version does not know: name one element, as in \"/lines/0\"",
                     shown);
            return false;
        }
    }
    return true;
}

struct json_pointer *json_pointer_compile(const char *text, size_t length, char *problem, size_t size)
{
    size_t segments;
    if (!check(text, length, &segments, problem, size))
        return NULL;

    size_t table_size = segments * sizeof(struct segment);
    struct json_pointer *pointer = malloc(sizeof *pointer + table_size + 2 * length + 2);
    if (pointer == NULL) {
        snprintf(problem, size, "out of memory");
        return NULL;
    }
    char *strings = (char *)&pointer->segment[segments];
    memcpy(strings, text, length);
    strings[length] = '\0';
    pointer->text = strings;
    pointer->count = segments;

    char *key = strings + length + 1;
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
        pointer->segment[i] = (struct segment){start, key_length, array_index(start, key_length)};
        *key++ = '\0';
    }
    return pointer;
}

void json_pointer_free(struct json_pointer *pointer)
{
    free(pointer);
}

const json_t *json_pointer_find(const struct json_pointer *pointer, const json_t *root)
{
    const json_t *value = root;
    for (size_t i = 0; i < pointer->count && value != NULL; i++) {
        const struct segment *segment = &pointer->segment[i];
        if (json_is_object(value))
            value = json_object_getn(value, segment->key, segment->length);
        else if (json_is_array(value) && segment->index != NOT_AN_INDEX)
            value = json_array_get(value, segment->index);
        else
            value = NULL;
    }
    return value;
}

const char *json_pointer_text(const struct json_pointer *pointer)
{
    return pointer->text;
}
