/*
 * pipeline.h - deliveries become groups, groups are cancelled: the consumer's handler.
 *
 * What is taken collects in a batch, in which each group stands once, until it is applied; a batch that could not be
 * applied stays, also across connections. All functions but pipeline_counts are for the consumer's thread.
 */
#ifndef QUASHD_PIPELINE_H
#define QUASHD_PIPELINE_H

#include <stdint.h>

#include "apply.h"
#include "consumer.h"
#include "repeats.h"
#include "rules.h"

#define PIPELINE_GROUPS_MAX 8192u /* a batch that has so many is applied at once */

struct pipeline;

/* Borrows all until pipeline_free, the rules only until pipeline_swap brings others. `dead_letters`: the consumer has
 * an exchange for them; without one, the rules must not ask for any. NULL when memory ran out. */
struct pipeline *pipeline_new(const struct rules *rules, struct apply *apply, struct repeats *repeats,
                              bool dead_letters);
void pipeline_free(struct pipeline *pipeline);

/* The members of a consumer_handler, whose context is the pipeline. */
bool pipeline_take(void *context, const struct delivery *delivery, struct dead_letter_cause *cause);
bool pipeline_apply(void *context);
void pipeline_gap(void *context, const char *reason);
void pipeline_consuming(void *context, uint64_t source);
void pipeline_describe(void *context, const struct binding *binding, char *out, size_t size);

/* From the next delivery on `rules` are followed, borrowed as in pipeline_new; nothing uses the former ones any more.
 * With the next apply, which must not come before the new rules' bindings stand, the groups of `cancel` (borrowed for
 * the call) are cancelled, and then the table's note says which rules are served. */
void pipeline_swap(struct pipeline *pipeline, const struct rules *rules, const struct groups *cancel);

struct pipeline_counts {
    uint64_t events;        /* taken */
    uint64_t ignored;       /* of them, those that no rule matched or that named no group */
    uint64_t malformed;     /* of them, those that could not be read */
    uint64_t widened;       /* of them, those in which a value was missing, so that a wider group was cancelled */
    uint64_t dead_lettered; /* of them, those that were to become a dead letter */
    uint64_t batches;       /* applied */
    uint64_t groups;        /* cancelled, each once a batch */
    uint64_t flushes;       /* times that everything was cancelled because events may have been missed */
};

/* Any thread. */
struct pipeline_counts pipeline_counts(const struct pipeline *pipeline);

#endif
