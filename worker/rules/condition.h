/*
 * condition.h - `when`: exchange, routing key and body of an event. Conditions are ANDed, lists inside are ORed; what
 * is not said holds for every event.
 */
#ifndef QUASHD_CONDITION_H
#define QUASHD_CONDITION_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "event.h"
#include "json_file.h"
#include "problem.h"
#include "short_string.h"

#define CONDITION_VALUES_MAX   256 /* in one list */
#define CONDITION_POINTERS_MAX 32  /* in one `body` */

struct condition; /* immutable */

/* Reads the object at `place`, or makes one that always holds if `when` is NULL. Everything wrong with it is added to
 * `problems`; the result is NULL if that is anything at all. */
struct condition *condition_read(json_t *when, const struct json_place *place, struct problems *problems);
void condition_free(struct condition *condition);

/* Why a condition does not hold, for explain: a sentence with the value that was seen. */
#define MISMATCH_SIZE 512
struct mismatch {
    char sentence[MISMATCH_SIZE];
};

/* Whether exchange and routing key hold. `mismatch` may be NULL, and is written only when they do not. */
bool condition_routing(const struct condition *condition, const struct event *event, struct mismatch *mismatch);

/* Whether there is anything about the body, and whether that holds. */
bool condition_needs_body(const struct condition *condition);
bool condition_body(const struct condition *condition, const json_t *body, struct mismatch *mismatch);

/* What the queue's bindings are made from; borrowed. A count of 0: none is named. */
const char *const *condition_exchanges(const struct condition *condition, size_t *count);
const char *const *condition_routing_keys(const struct condition *condition, size_t *count);

#endif
