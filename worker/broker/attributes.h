/*
 * attributes.h - headers and properties of a message, between AMQP and JSON.
 */
#ifndef QUASHD_ATTRIBUTES_H
#define QUASHD_ATTRIBUTES_H

#include "broker.h"
#include "event.h"

/* An event_decode (event.h); `source` is an amqp_basic_properties_t, or NULL for none at all. */
bool attributes_decode(const void *source, json_t **headers, json_t **properties, char problem[EVENT_PROBLEM_SIZE]);

/* The other way, for publishing. */
struct attributes;

/* Makes them of the objects of an event record that has been checked; either may be NULL. Strings are borrowed from
 * them. Decoding the result gives what the rules see of the record. NULL when memory ran out. */
struct attributes *attributes_encode(json_t *headers, const json_t *properties);
void attributes_free(struct attributes *attributes);

/* Borrowed. */
const amqp_basic_properties_t *attributes_properties(const struct attributes *attributes);

#endif
