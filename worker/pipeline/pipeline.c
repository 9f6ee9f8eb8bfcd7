/*
 * pipeline.c - deliveries become groups, groups are cancelled. See pipeline.h.
 *
 * Whatever cannot be understood or kept is widened: to `*` when the event cannot be read or memory runs out, which
 * needs no memory itself. A gap is closed in this order: the note in the table is erased, the queue is consumed, `*`
 * is cancelled, the note is written; see apply.h. A note that tells of another source or other rules need not be
 * erased: until `*` is cancelled nothing of the new source is acknowledged, so it stays true.
 */
#include "pipeline.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "quote.h"

#define LOG_BURST       5u /* complaints about events, of each kind, in each interval */
#define LOG_INTERVAL_MS 10000u

static const char *const everything[] = {"*"};

struct pipeline {
    const struct rules *rules;
    struct apply *apply;
    struct groups *groups; /* the batch */
    bool all;              /* the batch is `*`, whatever `groups` holds */
    const char *gap;       /* why events may have been missed; NULL: none may */
    bool closing;          /* the gap ends with the next apply: the queue is being consumed */
    uint64_t source;       /* what is consumed, while `closing` */
    struct log_sampler malformed_sampler;
    struct log_sampler widened_sampler;
    /* Relaxed: they are only counts. */
    atomic_uint_fast64_t events, ignored, malformed, widened, batches, group_count, flushes;
};

struct pipeline *pipeline_new(const struct rules *rules, struct apply *apply)
{
    struct pipeline *pipeline = calloc(1, sizeof *pipeline);
    if (pipeline == NULL)
        return NULL;
    pipeline->groups = groups_new();
    if (pipeline->groups == NULL) {
        free(pipeline);
        return NULL;
    }
    pipeline->rules = rules;
    pipeline->apply = apply;
    return pipeline;
}

void pipeline_free(struct pipeline *pipeline)
{
    if (pipeline == NULL)
        return;
    groups_free(pipeline->groups);
    free(pipeline);
}

static void count(atomic_uint_fast64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

static uint64_t counted(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* ---- Taking */

/* The body stays out of the log: it may hold what is nobody's business. */
static void complain(struct log_sampler *sampler, const char *sentence, const struct delivery *delivery,
                     const char *reason)
{
    uint64_t suppressed;
    if (!log_sample(sampler, LOG_BURST, LOG_INTERVAL_MS, &suppressed))
        return;
    char bytes[LOG_NUMBER_SIZE];
    char number[LOG_NUMBER_SIZE];
    log_line(LOG_WARN, sentence, "exchange", delivery->exchange, "routing_key", delivery->routing_key, "reason", reason,
             "body_bytes", log_number(bytes, delivery->body_sent), "more_like_it",
             suppressed > 0 ? log_number(number, suppressed) : NULL, NULL);
}

static void take_malformed(struct pipeline *pipeline, const struct delivery *delivery, const char *reason)
{
    pipeline->all = true;
    count(&pipeline->malformed, 1);
    complain(&pipeline->malformed_sampler, "an event cannot be read; cancelling everything", delivery, reason);
}

bool pipeline_take(void *context, const struct delivery *delivery)
{
    struct pipeline *pipeline = context;
    count(&pipeline->events, 1);
    if (delivery->nul_in_names) {
        take_malformed(pipeline, delivery, "its exchange or its routing key contains a NUL byte");
        return false;
    }
    struct event event = {
        .exchange = delivery->exchange,
        .routing_key = delivery->routing_key,
        .body = delivery->body,
        .body_size = delivery->body_size,
        .body_sent = delivery->body_sent,
    };
    struct verdict verdict;
    if (!rules_judge(pipeline->rules, &event, pipeline->groups, &verdict, NULL, NULL))
        take_malformed(pipeline, delivery, "out of memory");
    else if (verdict.malformed)
        take_malformed(pipeline, delivery, verdict.reason);
    else if (verdict.widened) {
        count(&pipeline->widened, 1);
        complain(&pipeline->widened_sampler, "an event lacks a value; cancelling a wider group", delivery,
                 verdict.reason);
    } else if (verdict.kind == VERDICT_IGNORE) {
        count(&pipeline->ignored, 1);
    }
    event_fini(&event);
    return groups_count(pipeline->groups) >= PIPELINE_GROUPS_MAX;
}

/* ---- Applying */

static void close_gap(struct pipeline *pipeline)
{
    apply_set_source(pipeline->apply, pipeline->source);
    count(&pipeline->flushes, 1);
    log_line(LOG_WARN, "cancelled everything: events may have been missed", "reason", pipeline->gap, NULL);
    pipeline->gap = NULL;
    pipeline->closing = false;
}

bool pipeline_apply(void *context)
{
    struct pipeline *pipeline = context;
    bool all = pipeline->all || pipeline->closing;
    const char *const *names = all ? everything : groups_names(pipeline->groups);
    size_t name_count = all ? 1 : groups_count(pipeline->groups);
    if (name_count == 0)
        return true;
    if (!apply_groups(pipeline->apply, names, name_count))
        return false;
    count(&pipeline->batches, 1);
    count(&pipeline->group_count, name_count);
    groups_clear(pipeline->groups);
    pipeline->all = false;
    if (pipeline->closing)
        close_gap(pipeline);
    return true;
}

/* ---- Continuity */

void pipeline_gap(void *context, const char *reason)
{
    struct pipeline *pipeline = context;
    apply_forget_source(pipeline->apply);
    pipeline->gap = reason;
    pipeline->closing = false;
}

void pipeline_consuming(void *context, uint64_t source)
{
    struct pipeline *pipeline = context;
    if (pipeline->gap == NULL)
        pipeline->gap = apply_source_differs(pipeline->apply, source);
    if (pipeline->gap == NULL)
        return;
    pipeline->source = source;
    pipeline->closing = true;
}

/* ---- Explaining */

struct names {
    const struct rules *rules;
    char *out;
    size_t size;
    size_t used;
};

static void add_name(void *context, size_t rule)
{
    struct names *names = context;
    char quoted[QUOTE_SIZE];
    const char *name = rules_name(names->rules, rule);
    const char *separator = names->used > 0 ? ", " : "";
    quote_text(quoted, sizeof quoted, name, strlen(name));
    if (names->used + strlen(separator) + strlen(quoted) >= names->size)
        return;
    int written = snprintf(names->out + names->used, names->size - names->used, "%s%s", separator, quoted);
    names->used += (size_t)written;
}

void pipeline_describe(void *context, const struct binding *binding, char *out, size_t size)
{
    struct pipeline *pipeline = context;
    struct names names = {.rules = pipeline->rules, .out = out, .size = size};
    out[0] = '\0';
    /* A pattern matches itself, and of an event without a body every rule is told whose exchange and key match. */
    struct event event = {.exchange = binding->exchange, .routing_key = binding->routing_key, .body = ""};
    struct groups *groups = groups_new();
    struct verdict verdict;
    if (groups != NULL)
        (void)rules_judge(pipeline->rules, &event, groups, &verdict, add_name, &names);
    groups_free(groups);
    event_fini(&event);
}

struct pipeline_counts pipeline_counts(const struct pipeline *pipeline)
{
    return (struct pipeline_counts){
        .events = counted(&pipeline->events),
        .ignored = counted(&pipeline->ignored),
        .malformed = counted(&pipeline->malformed),
        .widened = counted(&pipeline->widened),
        .batches = counted(&pipeline->batches),
        .groups = counted(&pipeline->group_count),
        .flushes = counted(&pipeline->flushes),
    };
}
