/*
 * emit_attributes.h - the headers and properties that `quash emit` publishes: those of its flags, and those of records.
 */
#ifndef QUASH_EMIT_ATTRIBUTES_H
#define QUASH_EMIT_ATTRIBUTES_H

#include <stdbool.h>

#include <jansson.h>

struct emit_attributes {
    json_t *headers, *properties; /* each an object */
};

/* False when memory ran out; then there is nothing to end. */
bool emit_attributes_init(struct emit_attributes *attributes);
void emit_attributes_fini(struct emit_attributes *attributes);

/* Take the value of --header, of --property: NAME=VALUE. False after explaining on standard error, in the name of
 * `who`, what is wrong with it. */
bool emit_attributes_add_header(struct emit_attributes *attributes, const char *text, const char *who);
bool emit_attributes_add_property(struct emit_attributes *attributes, const char *text, const char *who);

/* Gives the property a value if it has none. False when memory ran out. */
bool emit_attributes_default(struct emit_attributes *attributes, const char *property, json_t *value);

/* What a record says of its own, completed by `defaults`; either of the two may be NULL. */
bool emit_attributes_merge(struct emit_attributes *attributes, json_t *headers, json_t *properties,
                           const struct emit_attributes *defaults);

#endif
