/*
 * lint_witness.c - an event that a rule matches, made from its conditions.
 *
 * Whatever rule covers another matches this event as well, so the index finds the few rules that may; nothing else
 * depends on it. Values are guessed from the matchers, objects are made for the segments of pointers (an element `*`
 * too: it finds the members of objects), and the conditions themselves say whether the guess was good.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "condition.h"
#include "json_pointer.h"
#include "lint_parts.h"

#define SOMETHING "\x02" /* what conditions hardly name */

void witness_fini(struct witness *witness)
{
    json_decref(witness->body);
    json_decref(witness->headers);
    json_decref(witness->properties);
    *witness = (struct witness){.body = NULL};
}

/* A text that matches the glob. */
static json_t *from_glob(const char *glob, size_t length)
{
    char *text = malloc(length + 1);
    if (text == NULL)
        return NULL;
    size_t used = 0;
    for (size_t i = 0; i < length; i++)
        if (glob[i] != '*')
            text[used++] = glob[i] == '?' ? 'x' : glob[i];
    json_t *made = json_stringn(text, used);
    free(text);
    return made;
}

/* A value that meets the matcher; NULL: absent, or out of memory. */
static json_t *value_for(const struct matcher *matcher)
{
    const json_t *json = matcher_json(matcher);
    while (json_is_array(json))
        json = json_array_get(json, 0);
    if (json_is_string(json))
        return from_glob(json_string_value(json), json_string_length(json));
    if (!json_is_object(json))
        return json_deep_copy(json);
    const json_t *exact = json_object_get(json, "equals");
    if (exact != NULL)
        return json_deep_copy(exact);
    return matcher_takes_nothing(matcher) ? NULL : json_string(SOMETHING);
}

/* The next segment of a pointer, unescaped into key[size]; returns what is behind it, NULL if it does not fit. */
static const char *next_segment(const char *pointer, char *key, size_t size)
{
    size_t used = 0;
    for (pointer++; *pointer != '\0' && *pointer != '/'; pointer++) {
        bool escaped = *pointer == '~' && pointer[1] != '\0';
        pointer += escaped;
        if (used + 1 == size)
            return NULL;
        key[used++] = *pointer;
        if (escaped)
            key[used - 1] = *pointer == '0' ? '~' : '/';
    }
    key[used] = '\0';
    return pointer;
}

/* Puts the value, whose reference it takes, where the pointer leads. False: something else stands there, or memory ran
 * out. */
static bool put_at(json_t **root, const char *pointer, json_t *value)
{
    char key[4 * JSON_POINTER_CHARACTERS_MAX + 1];
    if (*pointer == '\0' && *root == NULL) {
        *root = value;
        return true;
    }
    if (*root == NULL)
        *root = json_object();
    json_t *holder = *root;
    while (json_is_object(holder) && *pointer == '/') {
        pointer = next_segment(pointer, key, sizeof key);
        if (pointer == NULL)
            break;
        if (*pointer == '\0' && json_object_get(holder, key) == NULL)
            return json_object_set_new(holder, key, value) == 0;
        json_t *inner = json_object_get(holder, key);
        if (inner == NULL) {
            inner = json_object();
            if (json_object_set_new(holder, key, inner) != 0)
                break;
        }
        holder = inner;
    }
    json_decref(value);
    return false;
}

static bool put(struct witness *witness, const struct source *source, json_t *value)
{
    static const char by_name[] = "header.", by_pointer[] = "header", property[] = "property.";
    const char *text = source_text(source);
    if (source_needs(source) == SOURCE_BODY)
        return put_at(&witness->body, *text == '/' ? text : "", value);
    if (strncmp(text, property, sizeof property - 1) == 0)
        return json_object_set_new(witness->properties, text + sizeof property - 1, value) == 0;
    if (strncmp(text, by_name, sizeof by_name - 1) == 0)
        return json_object_set_new(witness->headers, text + sizeof by_name - 1, value) == 0;
    return put_at(&witness->headers, text + sizeof by_pointer - 1, value);
}

/* A key that the pattern matches: a word for each `*`, none for `#`. */
static void key_for(const char *pattern, char *out)
{
    size_t used = 0;
    for (const char *word = pattern[0] != '\0' ? pattern : NULL; word != NULL;) {
        size_t length = strcspn(word, ".");
        if (length != 1 || word[0] != '#') {
            if (used > 0)
                out[used++] = '.';
            memcpy(out + used, word, length);
            if (length == 1 && word[0] == '*')
                out[used] = SOMETHING[0];
            used += length;
        }
        word = word[length] == '.' ? word + length + 1 : NULL;
    }
    out[used] = '\0';
}

static void set_routing(struct witness *witness, const struct condition *condition)
{
    const struct matcher *exchange = condition_exchange(condition), *routing_key = condition_routing_key(condition);
    json_t *name = exchange != NULL ? value_for(exchange) : NULL;
    snprintf(witness->exchange, sizeof witness->exchange, "%s",
             json_is_string(name) ? json_string_value(name) : SOMETHING);
    json_decref(name);
    const json_t *pattern = routing_key != NULL ? matcher_json(routing_key) : NULL;
    while (json_is_array(pattern))
        pattern = json_array_get(pattern, 0);
    key_for(json_is_string(pattern) ? json_string_value(pattern) : SOMETHING, witness->routing_key);
    witness->view.exchange = witness->exchange;
    witness->view.routing_key = witness->routing_key;
}

bool witness_make(struct witness *witness, const struct condition *condition)
{
    size_t count = condition_count(condition);
    *witness = (struct witness){.headers = json_object(), .properties = json_object()};
    set_routing(witness, condition);
    for (size_t i = 0; i < count; i++) {
        if (condition_source(condition, i) == NULL)
            continue;
        json_t *value = value_for(condition_matcher(condition, i));
        if (value != NULL && !put(witness, condition_source(condition, i), value))
            return false;
    }
    if (witness->body == NULL)
        witness->body = json_object();
    witness->view.headers = witness->headers;
    witness->view.properties = witness->properties;
    witness->view.body = witness->body;
    if (witness->headers == NULL || witness->properties == NULL || witness->body == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!condition_test(condition, i, &witness->view))
            return false;
    return true;
}
