/*
 * json_pointer.h - JSON Pointers (RFC 6901) compiled once and followed for each event.
 *
 * One addition to the RFC: a segment that is `*` alone stands for every element of an array and for the value of every
 * member of an object, so that such a pointer leads to many values.
 */
#ifndef QUASHD_JSON_POINTER_H
#define QUASHD_JSON_POINTER_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#define JSON_POINTER_CHARACTERS_MAX 512

struct json_pointer; /* immutable */

/* Compiles text[length], which is "" (the whole document) or starts with a slash. NULL after writing into
 * problem[size] what is wrong with it. */
struct json_pointer *json_pointer_compile(const char *text, size_t length, char *problem, size_t size);

/* The pointer to the member of the root whose key is key[length], whatever that says: neither `~`, a slash nor `*` mean
 * anything in it. NULL: out of memory. */
struct json_pointer *json_pointer_to_key(const char *key, size_t length);

void json_pointer_free(struct json_pointer *pointer);

/* Whether it has a segment `*`. */
bool json_pointer_is_many(const struct json_pointer *pointer);

/* Whether both lead to the same places in every document. */
bool json_pointer_same(const struct json_pointer *a, const struct json_pointer *b);

/* The value that a pointer which is not many leads to, borrowed from `root`; NULL if there is none, or no root. */
const json_t *json_pointer_find(const struct json_pointer *pointer, const json_t *root);

/* Takes a value, NULL where there is none; false: enough seen. */
typedef bool json_pointer_see(void *context, const json_t *value);

/* Calls `see` with each value that the pointer leads to, in the order of the document, until one call says false;
 * returns whether all said true. At least one call: an element that lacks the rest of the pointer gives a NULL, and so,
 * once, does a list without elements, or what is no list, where a `*` wants one. Visits each value of the document once
 * at most; takes no memory but the stack's, by the number of segments `*`. */
bool json_pointer_each(const struct json_pointer *pointer, const json_t *root, json_pointer_see *see, void *context);

/* As it was written; of json_pointer_to_key, the key. */
const char *json_pointer_text(const struct json_pointer *pointer);

#endif
