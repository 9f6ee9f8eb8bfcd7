/*
 * filter.h - what a template can do to a value before it becomes part of a name: {/country | trim | lower}.
 */
#ifndef QUASHD_FILTER_H
#define QUASHD_FILTER_H

#include <stdbool.h>
#include <stddef.h>

enum filter {
    FILTER_LOWER, /* each character by Unicode's simple case mapping, the same in every locale */
    FILTER_UPPER, /* the same; a character without a single capital, as the German sharp s, stays */
    FILTER_TRIM,  /* without ASCII white space at both ends */
};

/* Their names, NULL-terminated, in the order of the enum. */
extern const char *const filter_names[];

/* Whether there is a filter name[length], and which. */
bool filter_find(const char *name, size_t length, enum filter *filter);

/* Sends text[length] through the filters, the first one first, into out[size]; the result is not NUL-terminated. Bytes
 * that are not UTF-8 stay as they are. Returns its length, size + 1 if it does not fit. */
size_t filter_apply(const enum filter *filters, size_t count, const char *text, size_t length, char *out, size_t size);

#endif
