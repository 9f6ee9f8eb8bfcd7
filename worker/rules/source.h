/*
 * source.h - where a rule looks in an event, and what it finds there.
 *
 *     /payload/lines/0/sku      JSON Pointer (RFC 6901) into the body; a whole segment `*` is every element
 *     header.x-tenant           the header of that name, as it is
 *     header/x-death/0/queue    JSON Pointer into the table of headers
 *     property.type             a property of the message
 *     routing_key               all of it
 *     routing_key.2             its second word, counted from 1
 *     exchange                  the exchange that the event was published to
 *
 * Immutable once compiled; looking takes no memory.
 */
#ifndef QUASHD_SOURCE_H
#define QUASHD_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "event.h"

#define SOURCE_WORD_MAX 127 /* N of routing_key.N; a routing key has at most 255 bytes */

/* The parts of an event that cost something to read. */
#define SOURCE_BODY       1u
#define SOURCE_ATTRIBUTES 2u /* headers and properties */

/* An event as far as it has been read: NULL where nobody has needed it. All borrowed. */
struct view {
    const char *exchange;
    const char *routing_key;
    const json_t *body, *headers, *properties;
};

/* What stands in a place: JSON, text (a part of the routing key, the exchange), or, with neither, nothing. */
struct value {
    const json_t *json; /* NULL: it is text, or absent */
    const char *text;   /* not NUL-terminated */
    size_t length;
};

/* Whether there is nothing: absent, or null. */
bool value_is_nothing(const struct value *value);

struct source;

/* Compiles text[length]; NULL after writing into problem[size] what is wrong with it. */
struct source *source_compile(const char *text, size_t length, char *problem, size_t size);
/* The same of a key of `when`: a JSON Pointer of "body"; a name or a JSON Pointer of "headers"; a name of
 * "properties". */
struct source *source_compile_body(const char *text, size_t length, char *problem, size_t size);
struct source *source_compile_header(const char *text, size_t length, char *problem, size_t size);
struct source *source_compile_property(const char *text, size_t length, char *problem, size_t size);
void source_free(struct source *source);

/* As explain and reasons call it: "/payload/op", "header.x-tenant", "routing_key.2"; of the pointer "" it is
 * "the body". Borrowed. */
const char *source_text(const struct source *source);

/* SOURCE_BODY, SOURCE_ATTRIBUTES or 0. */
unsigned source_needs(const struct source *source);

/* N of routing_key.N, 0 of any other source. */
size_t source_word(const struct source *source);

/* Whether it can find several values: a pointer with a segment `*`. */
bool source_is_many(const struct source *source);

/* Whether both look in the same place, however that is written. */
bool source_same(const struct source *a, const struct source *b);

/* Calls `see` with each value, in order, until one call says false; returns whether all said true. At least one call:
 * where there is nothing, and for each element that lacks the rest of the pointer, the value is absent. */
typedef bool source_see(void *context, const struct value *value);
bool source_each(const struct source *source, const struct view *view, source_see *see, void *context);

/* The value of a source that is not many. */
struct value source_value(const struct source *source, const struct view *view);

#endif
