/*
 * event_record.c - reading an event record.
 *
 * The record's own shape must be right, or it is refused; its body may be as broken as bodies are in the wild. So when
 * the record cannot be parsed because its `body` goes past a limit, the body is blanked out of a copy and the rest is
 * parsed again; what is broken outside of the body, or is not JSON at all, is still told with its line and column.
 */
#include "event_record.h"

#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "json_file.h"
#include "json_text.h"
#include "record_attributes.h"
#include "short_string.h"

static const char *read_string(const json_t *root, const char *key, const char *expected, struct problems *problems)
{
    const json_t *value = json_object_get(root, key);
    struct json_place here = json_place_key(NULL, key);
    if (value == NULL || !json_expect(value, JSON_STRING, expected, &here, problems))
        return "";
    if (json_string_length(value) > SHORT_STRING_BYTES_MAX)
        json_problem(problems, &here, "has %zu bytes; AMQP allows at most %d", json_string_length(value),
                     SHORT_STRING_BYTES_MAX);
    if (strlen(json_string_value(value)) != json_string_length(value))
        json_problem(problems, &here, "contains \\u0000, which no exchange and no routing key can");
    return json_string_value(value);
}

static void set_body(struct event *event, const void *bytes, size_t size)
{
    event->body = bytes;
    event->body_size = size < EVENT_BODY_BYTES_MAX ? size : EVENT_BODY_BYTES_MAX;
    event->body_sent = size;
}

/* `text` is the record's; takes what it needs of it into record->bytes. */
static void read_body(struct event_record *record, const char *text, const struct json_span *span,
                      struct problems *problems)
{
    static const char *const keys[] = {"body", "body_text", "body_base64"};
    size_t found = 0;
    for (size_t i = 0; i < 3; i++)
        found += json_object_get(record->json, keys[i]) != NULL ? 1 : 0;
    if (found != 1) {
        json_problem(problems, NULL, "found %zu of \"body\", \"body_text\" and \"body_base64\"; expected exactly one",
                     found);
        return;
    }

    const json_t *value = json_object_get(record->json, "body_text");
    if (value != NULL) {
        struct json_place here = json_place_key(NULL, "body_text");
        if (json_expect(value, JSON_STRING, "the body as a string", &here, problems))
            set_body(&record->event, json_string_value(value), json_string_length(value));
        return;
    }
    value = json_object_get(record->json, "body_base64");
    if (value != NULL) {
        struct json_place here = json_place_key(NULL, "body_base64");
        if (!json_expect(value, JSON_STRING, "the body's bytes in base64", &here, problems))
            return;
        size_t size;
        record->bytes = base64_decode(json_string_value(value), json_string_length(value), &size);
        if (record->bytes == NULL)
            json_problem(problems, &here, "%s",
                         size == 0 ? "is not base64 (RFC 4648: A-Z a-z 0-9 + /, padded with = to a multiple of 4)"
                                   : "cannot be read: out of memory");
        else
            set_body(&record->event, record->bytes, size);
        return;
    }
    size_t size = span->end - span->begin;
    record->bytes = size > 0 ? malloc(size) : NULL;
    if (record->bytes == NULL) {
        json_problem(problems, NULL, "cannot be read: out of memory");
        return;
    }
    memcpy(record->bytes, text + span->begin, size);
    set_body(&record->event, record->bytes, size);
}

/* Parses the record with a 0 in the place of its body. Lines and columns stay what they are. */
static json_t *parse_without_body(const char *text, size_t size, const struct json_span *span, struct json_fault *fault)
{
    char *copy = malloc(size);
    if (copy == NULL)
        return NULL;
    memcpy(copy, text, size);
    for (size_t i = span->begin; i < span->end; i++) {
        if (copy[i] != '\n')
            copy[i] = ' ';
    }
    copy[span->begin] = '0';
    json_t *json = json_text_parse(copy, size, true, fault);
    free(copy);
    return json;
}

bool event_record_parse(struct event_record *record, const char *text, size_t size, struct problems *problems)
{
    size_t before = problems->count;
    *record = (struct event_record){.event = {.exchange = "", .routing_key = "", .body = ""}};

    struct json_fault fault;
    struct json_span span = {0, 0, 0};
    bool has_body = json_text_find(text, size, "/body", &span);
    record->json = json_text_parse(text, size, true, &fault);
    if (record->json == NULL && has_body && fault.past_limit)
        record->json = parse_without_body(text, size, &span, &fault);
    if (record->json == NULL) {
        if (size == 0)
            problems_add(problems, 0, 0, NULL, "is empty; an event record, a JSON object, is expected");
        else
            problems_add(problems, fault.line, fault.column, NULL, "not JSON: %s", fault.sentence);
        return false;
    }

    static const char *const known[] = {"exchange", "routing_key", "headers",     "properties",
                                        "body",     "body_text",   "body_base64", NULL};
    if (json_expect(record->json, JSON_OBJECT,
                    "an event record: an object with \"exchange\", \"routing_key\", \"body\"", NULL, problems)) {
        json_check_keys(record->json, known, NULL, problems);
        record->event.exchange = read_string(record->json, "exchange", "the name of an exchange", problems);
        record->event.routing_key = read_string(record->json, "routing_key", "a routing key", problems);
        record_attributes_check(record->json, problems);
        record->event.decode = record_attributes_decode;
        record->event.decode_from = record->json;
        read_body(record, text, &span, problems);
    }
    if (problems->count == before)
        return true;
    event_record_fini(record);
    return false;
}

void event_record_fini(struct event_record *record)
{
    event_fini(&record->event);
    json_decref(record->json);
    free(record->bytes);
    *record = (struct event_record){.event = {.exchange = "", .routing_key = "", .body = ""}};
}
