/*
 * emit_attributes.c - headers and properties of what `quash emit` publishes.
 */
#include "emit_attributes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"
#include "property.h"
#include "quote.h"
#include "short_string.h"

bool emit_attributes_init(struct emit_attributes *attributes)
{
    attributes->headers = json_object();
    attributes->properties = json_object();
    if (attributes->headers != NULL && attributes->properties != NULL)
        return true;
    emit_attributes_fini(attributes);
    return false;
}

void emit_attributes_fini(struct emit_attributes *attributes)
{
    json_decref(attributes->headers);
    json_decref(attributes->properties);
    *attributes = (struct emit_attributes){NULL, NULL};
}

/* Adds name[length] to `object`, with the value that it takes over. */
static bool add(json_t *object, const char *name, size_t length, json_t *value, const char *flag, const char *who)
{
    char shown[QUOTE_SIZE];
    quote_text(shown, sizeof shown, name, length);
    if (json_object_getn(object, name, length) != NULL)
        fprintf(stderr, "%s: %s %s is given twice; which of the two is meant?\n", who, flag, shown);
    else if (value == NULL || json_object_setn_nocheck(object, name, length, value) != 0)
        fprintf(stderr, "%s: out of memory\n", who);
    else {
        json_decref(value);
        return true;
    }
    json_decref(value);
    return false;
}

/* The length of the name in NAME=VALUE; 0 after a complaint. */
static size_t name_length(const char *text, const char *flag, const char *who)
{
    char shown[QUOTE_SIZE];
    const size_t length = strcspn(text, "=");
    if (length == 0 || text[length] == '\0') {
        fprintf(stderr, "%s: %s %s is not NAME=VALUE\n", who, flag,
                quote_text(shown, sizeof shown, text, strlen(text)));
        return 0;
    }
    if (!utf8_valid(text, strlen(text))) {
        fprintf(stderr, "%s: %s %s is not UTF-8\n", who, flag, quote_text(shown, sizeof shown, text, strlen(text)));
        return 0;
    }
    return length;
}

bool emit_attributes_add_header(struct emit_attributes *attributes, const char *text, const char *who)
{
    const size_t length = name_length(text, "--header", who);
    if (length == 0)
        return false;
    if (length > SHORT_STRING_BYTES_MAX) {
        fprintf(stderr, "%s: --header: the name has %zu bytes; AMQP allows at most %d\n", who, length,
                SHORT_STRING_BYTES_MAX);
        return false;
    }
    return add(attributes->headers, text, length, json_string(text + length + 1), "--header", who);
}

/* An integer where the property holds one and the text is one; else the text. */
static json_t *property_value(const char *name, const char *text)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    if (!property_is_integer(name) || digits[0] == '\0' || digits[strspn(digits, "0123456789")] != '\0')
        return json_string(text);
    errno = 0;
    const long long value = strtoll(text, NULL, 10);
    return errno == 0 ? json_integer(value) : json_string(text);
}

bool emit_attributes_add_property(struct emit_attributes *attributes, const char *text, const char *who)
{
    const size_t length = name_length(text, "--property", who);
    if (length == 0)
        return false;
    char name[64];
    char shown[QUOTE_SIZE];
    snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1), text);
    if (!property_known(text, length)) {
        const char *nearest = nearest_word(name, property_names);
        fprintf(stderr, "%s: --property: there is no property %s; ", who,
                quote_text(shown, sizeof shown, text, length));
        if (nearest != NULL)
            fprintf(stderr, "did you mean \"%s\"?\n", nearest);
        else
            fputs("if a header is meant, use --header\n", stderr);
        return false;
    }
    json_t *value = property_value(name, text + length + 1);
    char sentence[PROBLEM_SENTENCE_SIZE];
    if (value != NULL && !property_check(name, value, sentence, sizeof sentence)) {
        fprintf(stderr, "%s: --property %s: %s\n", who, name, sentence);
        json_decref(value);
        return false;
    }
    return add(attributes->properties, text, length, value, "--property", who);
}

bool emit_attributes_default(struct emit_attributes *attributes, const char *property, json_t *value)
{
    if (json_object_get(attributes->properties, property) == NULL)
        return json_object_set_new(attributes->properties, property, value) == 0;
    json_decref(value);
    return true;
}

static json_t *merge(json_t *own, json_t *defaults)
{
    json_t *merged = own != NULL ? json_copy(own) : json_object();
    if (merged != NULL && json_object_update_missing(merged, defaults) != 0) {
        json_decref(merged);
        merged = NULL;
    }
    return merged;
}

bool emit_attributes_merge(struct emit_attributes *attributes, json_t *headers, json_t *properties,
                           const struct emit_attributes *defaults)
{
    attributes->headers = merge(headers, defaults->headers);
    attributes->properties = merge(properties, defaults->properties);
    if (attributes->headers != NULL && attributes->properties != NULL)
        return true;
    emit_attributes_fini(attributes);
    return false;
}
