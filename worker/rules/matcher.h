/*
 * matcher.h - what a value must be, as it is written in `when`:
 *
 *     "paid", 42, true, null        exactly that, of the same type; null is met by a null that is there
 *     "com.acme.order.*", "?-eu"    a glob, because of its `*` or `?`: over the whole string
 *     ["c", "u", {"not": "d"}]      one of them
 *     {"exists": true}              anything but null and absence; false: null or absence
 *     {"not": ["test", "dev"]}      none of them; also where there is nothing
 *     {"equals": "a*b"}             exactly that, without wildcards
 *
 * Immutable once read; any number of threads may ask.
 */
#ifndef QUASHD_MATCHER_H
#define QUASHD_MATCHER_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "json_file.h"
#include "problem.h"
#include "source.h"

#define MATCHER_VALUES_MAX 256 /* in one list */
#define MATCHER_DEPTH_MAX  8   /* of "not" in "not" */

/* What the strings of a matcher are. */
enum matcher_kind {
    MATCHER_VALUE,    /* of a header, a property or the body: any scalar, globs */
    MATCHER_EXCHANGE, /* names of exchanges: globs, but neither "exists" nor anything that is no string */
    MATCHER_TOPIC,    /* AMQP topic patterns: neither globs nor "exists" nor "equals" */
};

struct matcher;

/* Reads `json`, which it keeps a reference to. Everything wrong with it is added to `problems`; the result is NULL if
 * that is anything at all. */
struct matcher *matcher_read(json_t *json, enum matcher_kind kind, const struct json_place *place,
                             struct problems *problems);
void matcher_free(struct matcher *matcher);

/* The text of a value that a matcher of exchanges or topics is asked about ends with a NUL. */
bool matcher_holds(const struct matcher *matcher, const struct value *value);

/* As it is written; borrowed. */
const json_t *matcher_json(const struct matcher *matcher);

/* What was wanted, for a sentence behind "is X, ": `not "a", "b" or 3 more`, `which does not match "a.#"`, `but must be
 * absent`. Returns out. */
const char *matcher_describe(const struct matcher *matcher, char *out, size_t size);

/* The literal strings (for MATCHER_TOPIC the patterns) that it consists of, borrowed; NULL if it is anything else than
 * one of them or a list of them. What bindings and indexes are made from. */
const char *const *matcher_strings(const struct matcher *matcher, size_t *count);

/* Whether there is a "not" anywhere in it. */
bool matcher_has_not(const struct matcher *matcher);

/* Whether everything that meets `narrow` also meets `wide`; false also means that nobody can tell. Both of one kind. */
bool matcher_covers(const struct matcher *wide, const struct matcher *narrow);

/* Whether no value meets both; false also means that nobody can tell. Both of one kind. About one value: where a
 * pointer finds several, one of them may meet the one and another the other. */
bool matcher_disjoint(const struct matcher *a, const struct matcher *b);

/* Whether an absent value meets it. */
bool matcher_takes_nothing(const struct matcher *matcher);

/* Whether only what is absent or null meets it; false also means that nobody can tell. */
bool matcher_takes_only_nothing(const struct matcher *matcher);

#endif
