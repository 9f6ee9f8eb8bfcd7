/*
 * record_attributes.h - headers and properties of an event record: what they may be, and what of them reaches the
 * rules.
 */
#ifndef QUASHD_RECORD_ATTRIBUTES_H
#define QUASHD_RECORD_ATTRIBUTES_H

#include <jansson.h>

#include "event.h"
#include "problem.h"

/* Checks the members "headers" and "properties" of the record, both of which may be missing. */
void record_attributes_check(json_t *record, struct problems *problems);

/* An event_decode (event.h); `source` is the record as json_t, which has been checked. */
bool record_attributes_decode(const void *source, json_t **headers, json_t **properties,
                              char problem[EVENT_PROBLEM_SIZE]);

/* The bytes that a header's value `{"base64": "..."}` stands for, for the caller to free, and how many in *size. NULL
 * if it is anything else, with *size 0, or when memory ran out, with *size 1. */
unsigned char *record_attributes_bytes(const json_t *value, size_t *size);

#endif
