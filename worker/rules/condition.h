/*
 * condition.h - `when`: what an event must be for a rule to be about it. All conditions must hold; what is not said
 * holds for every event.
 *
 * Conditions are tested in stages, each of which needs more of the event to be read than the one before, so that a rule
 * never has a body parsed that its other conditions already exclude.
 */
#ifndef QUASHD_CONDITION_H
#define QUASHD_CONDITION_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "json_file.h"
#include "matcher.h"
#include "problem.h"
#include "source.h"

#define CONDITION_SOURCES_MAX 32 /* in each of `headers`, `properties`, `body` */

enum condition_stage {
    CONDITION_ROUTING,    /* exchange and routing key */
    CONDITION_ATTRIBUTES, /* headers and properties */
    CONDITION_BODY,
};

struct condition; /* immutable */

/* Reads the object at `place`, or makes one that always holds if `when` is NULL. What `when` does not say is taken over
 * from `defaults` (may be NULL; borrowed until condition_free). Everything wrong with it is added to `problems`; the
 * result is NULL if that is anything at all. */
struct condition *condition_read(json_t *when, const struct condition *defaults, const struct json_place *place,
                                 struct problems *problems);
void condition_free(struct condition *condition);

/* The single tests, in the order in which they are made, stage by stage. */
size_t condition_count(const struct condition *condition);
enum condition_stage condition_stage_of(const struct condition *condition, size_t index);
/* Where it stands in the rule, as a JSON Pointer: "/when/body/~1payload~1op"; borrowed. */
const char *condition_pointer(const struct condition *condition, size_t index);
/* NULL for the exchange and the routing key as a whole. */
const struct source *condition_source(const struct condition *condition, size_t index);
const struct matcher *condition_matcher(const struct condition *condition, size_t index);
bool condition_has_stage(const struct condition *condition, enum condition_stage stage);

/* The matchers of exchange and routing key; NULL: not said. Borrowed. What the queue's bindings are made from. */
const struct matcher *condition_exchange(const struct condition *condition);
const struct matcher *condition_routing_key(const struct condition *condition);

/* Whether one test holds. */
bool condition_test(const struct condition *condition, size_t index, const struct view *view);

/* The first test of the stage that does not hold; condition_count() if all do. */
size_t condition_first_failure(const struct condition *condition, enum condition_stage stage, const struct view *view);

/* Why a test does not hold, for explain: a sentence with the value that was seen. Returns out. */
#define MISMATCH_SIZE 512
const char *condition_explain(const struct condition *condition, size_t index, const struct view *view,
                              char out[MISMATCH_SIZE]);

#endif
