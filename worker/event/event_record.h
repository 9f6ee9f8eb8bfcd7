/*
 * event_record.h - an event outside the broker, as one JSON object:
 *
 *     { "exchange": "domain", "routing_key": "order.paid", "headers": {}, "properties": {}, "body": {"id": 17} }
 *
 * with exactly one of `body` (any JSON value), `body_text` (a string that is the body) and `body_base64` (the body's
 * bytes). What is left out of the rest is empty. A header's value may be any JSON; `{"base64": "..."}` stands for
 * bytes. The bytes of `body` are those that stand in the record, so that a number past 64 bits or a key that is there
 * twice reaches the rules as it would from the broker.
 */
#ifndef QUASHD_EVENT_RECORD_H
#define QUASHD_EVENT_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "event.h"
#include "problem.h"

#define EVENT_RECORD_BYTES_MAX ((size_t)64 << 20)

struct event_record {
    struct event event; /* borrows from the members below; all of event.body_sent is there, however much that is */
    json_t *json;       /* the record as it was parsed */
    void *bytes;        /* its text, or its body decoded; private */
};

/* Reads text[size]. False after adding to `problems` what is wrong with it; then *record is empty. Otherwise
 * event_record_fini ends it. */
bool event_record_parse(struct event_record *record, const char *text, size_t size, struct problems *problems);
void event_record_fini(struct event_record *record);

#endif
