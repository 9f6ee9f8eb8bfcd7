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
#include "rules.h"

#define PIPELINE_GROUPS_MAX 8192u /* a batch that has so many is applied at once */

struct pipeline;

/* Borrows both until pipeline_free. NULL when memory ran out. */
struct pipeline *pipeline_new(const struct rules *rules, struct apply *apply);
void pipeline_free(struct pipeline *pipeline);

/* The members of a consumer_handler, whose context is the pipeline. */
bool pipeline_take(void *context, const struct delivery *delivery);
bool pipeline_apply(void *context);
void pipeline_gap(void *context, const char *reason);
void pipeline_consuming(void *context, uint64_t source);
void pipeline_describe(void *context, const struct binding *binding, char *out, size_t size);

struct pipeline_counts {
    uint64_t events;    /* taken */
    uint64_t ignored;   /* of them, those that no rule matched or that named no group */
    uint64_t malformed; /* of them, those that could not be read and cancelled everything */
    uint64_t widened;   /* of them, those in which a value was missing, so that a wider group was cancelled */
    uint64_t batches;   /* applied */
    uint64_t groups;    /* cancelled, each once a batch */
    uint64_t flushes;   /* times that everything was cancelled because events may have been missed */
};

/* Any thread. */
struct pipeline_counts pipeline_counts(const struct pipeline *pipeline);

#endif
