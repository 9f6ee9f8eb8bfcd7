/*
 * json_file.h - a JSON file that a person wrote: loaded under a size cap, then read with checks whose complaints carry
 * the JSON Pointer to the culprit, all of them at once.
 *
 * Checks do not stop the reader: they add to a struct problems and answer whether the value can be used.
 */
#ifndef QUASHD_JSON_FILE_H
#define QUASHD_JSON_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "problem.h"

struct json_file {
    json_t *json; /* the root, of any type */
    char *text;   /* what it was parsed from; ends with a NUL that `size` does not count */
    size_t size;
};

/* Reads and parses the file at `path`. False after adding to `problems` why it cannot be read or is not JSON; then
 * *file is empty. Otherwise json_file_fini ends it. */
bool json_file_load(struct json_file *file, const char *path, size_t max_bytes, struct problems *problems);

/* As json_file_load, of text[size], which is copied. */
bool json_file_parse(struct json_file *file, const char *text, size_t size, struct problems *problems);

/* Gives each of the problems that has only a JSON Pointer its line and column in the file. To be called last. */
void json_file_locate(const struct json_file *file, struct problems *problems);

void json_file_fini(struct json_file *file);

/* Only the reading: the bytes of the file, or of the descriptor, up to max_bytes, with a NUL behind them. The caller
 * frees; NULL after adding a problem. An empty file is none here. */
char *json_file_read(const char *path, size_t max_bytes, size_t *size, struct problems *problems);
char *json_file_read_fd(int fd, size_t max_bytes, size_t *size, struct problems *problems);

/* Where a value stands in its document; lives on the stack of whoever reads it. NULL is the root. */
struct json_place {
    const struct json_place *parent;
    const char *key; /* NULL: element `index` of an array */
    size_t index;
};

struct json_place json_place_key(const struct json_place *parent, const char *key);
struct json_place json_place_index(const struct json_place *parent, size_t index);

/* The JSON Pointer to it, as far as whole segments fit. Returns out. */
const char *json_place_pointer(const struct json_place *place, char *out, size_t size);

/* Adds a problem at `place`. */
void json_problem(struct problems *problems, const struct json_place *place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "an object", "the string "x"", "the number 42", … : what was found, for a sentence. Returns out. */
const char *json_found(const json_t *value, char *out, size_t size);

/* Whether `value` has that type; if not, adds "found …; expected EXPECTED". `expected` says it in words, with an
 * example where that helps. */
bool json_expect(const json_t *value, json_type type, const char *expected, const struct json_place *place,
                 struct problems *problems);

/* Complains about each key of `object` that is not one of `known` (NULL-terminated), with the nearest that is. */
bool json_check_keys(json_t *object, const char *const *known, const struct json_place *place,
                     struct problems *problems);

/* The member `key`; if there is none, adds "the key KEY is missing; expected EXPECTED". Borrowed. */
json_t *json_require(const json_t *object, const char *key, const char *expected, const struct json_place *place,
                     struct problems *problems);

/* The number of characters in valid UTF-8, which is how JSON Schema counts. */
size_t json_characters(const json_t *string);

#endif
