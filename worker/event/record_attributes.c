/*
 * record_attributes.c - headers and properties of an event record.
 *
 * Bytes that are text come out of the broker as a string, whether the emitter declared them as bytes or as text; so
 * they do here.
 */
#include "record_attributes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "json_file.h"
#include "property.h"
#include "quote.h"
#include "short_string.h"

/* ---- Checking */

static void check_table(json_t *table, size_t depth, const struct json_place *place, struct problems *problems);

/* A value that stands in `depth` tables and arrays. */
static void check_value(json_t *value, size_t depth, const struct json_place *place, struct problems *problems)
{
    if (!json_is_object(value) && !json_is_array(value))
        return;
    if (depth == EVENT_HEADER_DEPTH_MAX) {
        json_problem(problems, place, "headers are nested more than %d levels deep", EVENT_HEADER_DEPTH_MAX);
        return;
    }
    if (json_is_object(value)) {
        check_table(value, depth + 1, place, problems);
        return;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        struct json_place item = json_place_index(place, i);
        check_value(json_array_get(value, i), depth + 1, &item, problems);
    }
}

static void check_table(json_t *table, size_t depth, const struct json_place *place, struct problems *problems)
{
    const char *name;
    json_t *value;
    json_object_foreach(table, name, value)
    {
        struct json_place here = json_place_key(place, name);
        if (strlen(name) > SHORT_STRING_BYTES_MAX)
            json_problem(problems, &here, "the header's name has %zu bytes; AMQP allows at most %d", strlen(name),
                         SHORT_STRING_BYTES_MAX);
        check_value(value, depth, &here, problems);
    }
}

static void check_properties(json_t *properties, const struct json_place *place, struct problems *problems)
{
    const char *name;
    json_t *value;
    json_check_keys(properties, property_names, place, problems);
    json_object_foreach(properties, name, value)
    {
        struct json_place here = json_place_key(place, name);
        char sentence[PROBLEM_SENTENCE_SIZE];
        if (property_known(name, strlen(name)) && !property_check(name, value, sentence, sizeof sentence))
            json_problem(problems, &here, "%s", sentence);
    }
}

void record_attributes_check(json_t *record, struct problems *problems)
{
    json_t *headers = json_object_get(record, "headers");
    struct json_place headers_place = json_place_key(NULL, "headers");
    if (headers != NULL && json_expect(headers, JSON_OBJECT, "an object", &headers_place, problems))
        check_table(headers, 0, &headers_place, problems);

    json_t *properties = json_object_get(record, "properties");
    struct json_place properties_place = json_place_key(NULL, "properties");
    if (properties != NULL && json_expect(properties, JSON_OBJECT, "an object", &properties_place, problems))
        check_properties(properties, &properties_place, problems);
}

/* ---- Decoding */

unsigned char *record_attributes_bytes(const json_t *value, size_t *size)
{
    const json_t *text = json_object_get(value, "base64");
    *size = 0;
    if (json_object_size(value) != 1 || !json_is_string(text))
        return NULL;
    return base64_decode(json_string_value(text), json_string_length(text), size);
}

static json_t *as_delivered(json_t *value);

static json_t *table_as_delivered(json_t *table)
{
    const char *name;
    json_t *value;
    json_t *out = json_object();
    json_object_foreach(table, name, value)
    {
        if (out != NULL && json_object_set_new_nocheck(out, name, as_delivered(value)) != 0) {
            json_decref(out);
            out = NULL;
        }
    }
    return out;
}

static json_t *array_as_delivered(json_t *array)
{
    json_t *out = json_array();
    for (size_t i = 0; out != NULL && i < json_array_size(array); i++) {
        if (json_array_append_new(out, as_delivered(json_array_get(array, i))) != 0) {
            json_decref(out);
            out = NULL;
        }
    }
    return out;
}

/* A new reference; NULL when memory ran out. Depth is bounded by the check. */
static json_t *as_delivered(json_t *value)
{
    if (json_is_array(value))
        return array_as_delivered(value);
    if (!json_is_object(value))
        return json_incref(value);
    size_t size;
    unsigned char *bytes = record_attributes_bytes(value, &size);
    json_t *out = NULL;
    if (bytes == NULL)
        out = size == 0 ? table_as_delivered(value) : NULL;
    else if (utf8_valid((const char *)bytes, size))
        out = json_stringn_nocheck((const char *)bytes, size);
    else
        out = table_as_delivered(value);
    free(bytes);
    return out;
}

bool record_attributes_decode(const void *source, json_t **headers, json_t **properties,
                              char problem[EVENT_PROBLEM_SIZE])
{
    const json_t *record = source;
    json_t *given = json_object_get(record, "properties");
    *headers = table_as_delivered(json_object_get(record, "headers"));
    *properties = given != NULL ? json_incref(given) : json_object();
    if (*headers != NULL && *properties != NULL)
        return true;
    json_decref(*headers);
    json_decref(*properties);
    snprintf(problem, EVENT_PROBLEM_SIZE, "out of memory");
    return false;
}
