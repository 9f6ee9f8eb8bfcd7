/*
 * json_pointer.h - JSON Pointers (RFC 6901) compiled once and followed for each event.
 */
#ifndef QUASHD_JSON_POINTER_H
#define QUASHD_JSON_POINTER_H

#include <stddef.h>

#include <jansson.h>

#define JSON_POINTER_CHARACTERS_MAX 512

struct json_pointer; /* immutable */

/* Compiles text[length], which is "" (the whole document) or starts with a slash. NULL after writing into
 * problem[size] what is wrong with it. A segment that is `*` alone is refused: later versions will read it as "every
 * element", and no rule may change its meaning by itself. */
struct json_pointer *json_pointer_compile(const char *text, size_t length, char *problem, size_t size);
void json_pointer_free(struct json_pointer *pointer);

/* The value it leads to, borrowed from `root`; NULL if there is none. */
const json_t *json_pointer_find(const struct json_pointer *pointer, const json_t *root);

/* As it was written. */
const char *json_pointer_text(const struct json_pointer *pointer);

#endif
