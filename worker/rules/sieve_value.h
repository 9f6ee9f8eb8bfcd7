/*
 * sieve_value.h - a scalar as a key of a sieve's map: its kind and its bytes. Two are equal as conditions compare them
 * exactly when kind and bytes are.
 */
#ifndef QUASHD_SIEVE_VALUE_H
#define QUASHD_SIEVE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "sieve.h"

#define SIEVE_KINDS 5u /* string, integer, true, false, null */

struct sieve_value {
    uint32_t kind;
    const char *text; /* of a string */
    int64_t integer;
    size_t length; /* of its bytes */
};

/* False of what no condition can equal: nothing, objects, arrays, fractions. */
static inline bool sieve_value_of(const json_t *json, struct sieve_value *value)
{
    *value = (struct sieve_value){0, NULL, 0, 0};
    if (json == NULL)
        return false;
    switch (json_typeof(json)) {
    case JSON_STRING:
        value->text = json_string_value(json);
        value->length = json_string_length(json);
        return true;
    case JSON_INTEGER:
        value->kind = 1;
        value->integer = json_integer_value(json);
        value->length = sizeof value->integer;
        return true;
    case JSON_TRUE:
        value->kind = 2;
        return true;
    case JSON_FALSE:
        value->kind = 3;
        return true;
    case JSON_NULL:
        value->kind = 4;
        return true;
    default:
        return false;
    }
}

static inline const void *sieve_value_bytes(const struct sieve_value *value)
{
    return value->kind == 1 ? (const void *)&value->integer : (const void *)value->text;
}

#endif
