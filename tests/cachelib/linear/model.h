/*
 * model.h - the reference model: what the cache's documentation promises, as questions about a history.
 *
 * It knows nothing of how the cache works. Each key has at most one value at a time, from some instant while it was
 * being committed or put, to some instant during the call that told of its leaving. A call that answers with a value
 * met it there, unless it had waited for the value's load; one that answers with none met nothing that was live. Where
 * calls overlap, any order will do, so every question is asked for both bounds: surely, and perhaps.
 */
#ifndef QUASH_TESTS_LINEAR_MODEL_H
#define QUASH_TESTS_LINEAR_MODEL_H

#include "world.h"

/* When a value surely was in the cache. */
struct zone {
    instant from;
    instant to;
    uint32_t number;
};

struct key_history {
    const struct op **ops; /* those that name the key, by when they began */
    size_t op_count;
    uint32_t *values; /* made for it, by when their making began */
    size_t value_count;
    struct zone *zones; /* in order; no two overlap, or it is a difference */
    size_t zone_count;
    struct spans voiding; /* removes, clears, puts */
};

struct model {
    const struct world *world;
    struct key_history keys[KEYS_MAX];
    const struct op **ops; /* all, by when they began */
    size_t op_count;
    struct spans cancels[NAMES];
    struct spans any_cancel;
    struct span_list blind; /* replacements after which the handle has the old table for a while */
    struct zone *lives;     /* of all values, by number - 1; `from` >= `to`: it was there at a moment between them */
};

/* A call, or a part of one, that asked for a key. */
struct question {
    unsigned key;
    instant began;
    instant ended;
    uint64_t early_ms;
    uint64_t late_ms;
    size_t at; /* the first operation of the key that did not begin before it */
};

void model_init(struct model *model);
void model_fini(struct model *model);
/* Takes in a round. */
void model_build(struct model *model, const struct world *world);

struct question question_of(const struct model *model, const struct op *op);

/* Why the question cannot have been answered with this value, or NULL. `from_index`: not by the value's own load. */
const char *model_refuses(const struct model *model, uint32_t number, const struct question *question, bool from_index);
/* The same for one that stood in past its time. */
const char *model_refuses_stale(const struct model *model, uint32_t number, const struct question *question);
/* The value that surely was there and live, so that the question cannot have been answered with none; 0: none. */
uint32_t model_misses(const struct model *model, const struct question *question);

/* Whether the question can have met the value dead: cancelled or expired. */
bool model_may_be_dead(const struct model *model, uint32_t number, const struct question *question);
bool model_may_be_cancelled(const struct model *model, const struct value *value, instant before);
bool model_may_be_voided(const struct model *model, const struct value *value);
bool model_cancelled(const struct model *model, const struct value *value, instant before);
/* The earliest and the latest time at which the value expires, as the question could have found it. */
uint64_t model_expires_early(const struct model *model, uint32_t number, const struct question *question);
uint64_t model_expires_late(const struct model *model, uint32_t number, const struct question *question);

/* Whether a get_or_load answered with the value that its own loader had made, here or on the executor. */
bool op_loaded(const struct model *model, const struct op *op);
/* Whether an operation answered with what it found in the cache, and not by waiting for a load. */
bool op_met(const struct model *model, const struct op *op);

#endif
