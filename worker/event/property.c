/*
 * property.c - the properties of AMQP's class "basic".
 */
#include "property.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "json_file.h"
#include "quote.h"
#include "short_string.h"

const char *const property_names[PROPERTIES + 1] = {
    "content_type", "content_encoding", "delivery_mode", "priority", "correlation_id", "reply_to",   "expiration",
    "message_id",   "timestamp",        "type",          "user_id",  "app_id",         "cluster_id", NULL};

static const struct {
    const char *name;
    json_int_t min, max;
} integers[] = {{"delivery_mode", 1, 2}, {"priority", 0, 255}, {"timestamp", 0, INT64_MAX}};

#define INTEGERS (sizeof integers / sizeof integers[0])

/* INTEGERS if it holds strings. */
static size_t find_integer(const char *name)
{
    size_t i = 0;
    while (i < INTEGERS && strcmp(integers[i].name, name) != 0)
        i++;
    return i;
}

bool property_known(const char *name, size_t length)
{
    for (size_t i = 0; i < PROPERTIES; i++) {
        if (strlen(property_names[i]) == length && memcmp(property_names[i], name, length) == 0)
            return true;
    }
    return false;
}

bool property_is_integer(const char *name)
{
    return find_integer(name) < INTEGERS;
}

json_int_t property_integer_min(const char *name)
{
    size_t i = find_integer(name);
    return i < INTEGERS ? integers[i].min : 0;
}

json_int_t property_integer_max(const char *name)
{
    size_t i = find_integer(name);
    return i < INTEGERS ? integers[i].max : 0;
}

bool property_check(const char *name, const json_t *value, char *out, size_t size)
{
    char found[QUOTE_SIZE + 16];
    if (!property_is_integer(name)) {
        if (json_string_length(value) > SHORT_STRING_BYTES_MAX)
            snprintf(out, size, "has %zu bytes; AMQP allows at most %d", json_string_length(value),
                     SHORT_STRING_BYTES_MAX);
        else if (!json_is_string(value))
            snprintf(out, size, "found %s; expected a string", json_found(value, found, sizeof found));
        else
            return true;
        return false;
    }
    json_int_t min = property_integer_min(name), max = property_integer_max(name);
    if (json_is_integer(value) && json_integer_value(value) >= min && json_integer_value(value) <= max)
        return true;
    snprintf(out, size, "found %s; expected an integer from %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT,
             json_found(value, found, sizeof found), min, max);
    return false;
}
