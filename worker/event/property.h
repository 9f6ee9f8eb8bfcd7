/*
 * property.h - the properties that an AMQP 0-9-1 message can have, and what each holds.
 */
#ifndef QUASHD_PROPERTY_H
#define QUASHD_PROPERTY_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#define PROPERTIES 13

/* Their names, NULL-terminated: content_type, content_encoding, ... in the order of the protocol. */
extern const char *const property_names[PROPERTIES + 1];

/* Whether there is such a property. */
bool property_known(const char *name, size_t length);

/* Whether the property holds integers (delivery_mode, priority, timestamp); the others hold strings. */
bool property_is_integer(const char *name);

/* The smallest and the largest integer that it holds. */
json_int_t property_integer_min(const char *name);
json_int_t property_integer_max(const char *name);

/* Whether the property can have this value; if not, out[size] says why: "found ...; expected ...". */
bool property_check(const char *name, const json_t *value, char *out, size_t size);

#endif
