/*
 * pipeline.c - deliveries become groups, groups are cancelled. See pipeline.h.
 *
 * Whatever cannot be understood or kept is widened: to `*` when the event cannot be read or memory runs out, which
 * needs no memory itself. A gap is closed in this order: the note in the table is erased, the queue is consumed, `*`
 * is cancelled, the note is written; see apply.h. A note that tells of another source or other rules need not be
 * erased: until `*` is cancelled nothing of the new source is acknowledged, so it stays true.
 */
#include "pipeline.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attributes.h"
#include "clock.h"
#include "log.h"

#define LOG_BURST       5u /* complaints about events, of each kind, in each interval */
#define LOG_INTERVAL_MS 10000u

#define REPEAT_NAME_SIZE (QUASH_GROUP_MAX + 16u) /* a delay, a space and a group */

#define CAUSES (CAUSE_UNMATCHED + 1)

static const char *const everything[] = {"*"};

struct pipeline {
    const struct rules *rules;
    struct apply *apply;
    struct repeats *repeats;
    bool dead_letters;       /* there is an exchange for them */
    struct verdict verdict;  /* of the last delivery; what its dead letter says is borrowed from here */
    struct groups *groups;   /* the batch */
    bool all;                /* the batch is `*`, whatever `groups` holds */
    struct groups *repeated; /* what of the batch is to be cancelled again, as "<ms> <group>" */
    uint32_t repeat_all_ms;  /* and when `*` is, for what found no room there; 0: it is not */
    const char *gap;         /* why events may have been missed; NULL: none may */
    bool swapped;            /* the table's note does not yet speak of these rules */
    bool closing;            /* the gap ends with the next apply: the queue is being consumed */
    uint64_t source;         /* what is consumed, while `closing` */
    struct log_sampler sampler[CAUSES];
    /* Relaxed: they are only counts. */
    atomic_uint_fast64_t events, ignored, malformed, widened, dead_lettered, batches, group_count, flushes;
};

struct pipeline *pipeline_new(const struct rules *rules, struct apply *apply, struct repeats *repeats,
                              bool dead_letters)
{
    struct pipeline *pipeline = calloc(1, sizeof *pipeline);
    if (pipeline == NULL)
        return NULL;
    pipeline->groups = groups_new();
    pipeline->repeated = groups_new();
    if (pipeline->groups == NULL || pipeline->repeated == NULL) {
        pipeline_free(pipeline);
        return NULL;
    }
    pipeline->rules = rules;
    pipeline->apply = apply;
    pipeline->repeats = repeats;
    pipeline->dead_letters = dead_letters;
    return pipeline;
}

void pipeline_free(struct pipeline *pipeline)
{
    if (pipeline == NULL)
        return;
    groups_free(pipeline->groups);
    groups_free(pipeline->repeated);
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
static void complain(struct pipeline *pipeline, const char *sentence, const struct delivery *delivery,
                     const struct verdict *verdict)
{
    uint64_t suppressed;
    if (!log_sample(&pipeline->sampler[verdict->cause], LOG_BURST, LOG_INTERVAL_MS, &suppressed))
        return;
    char bytes[LOG_NUMBER_SIZE];
    char number[LOG_NUMBER_SIZE];
    log_line(LOG_WARN, sentence, "exchange", delivery->exchange, "routing_key", delivery->routing_key, "reason",
             verdict->reason, "body_bytes", log_number(bytes, delivery->body_sent), "more_like_it",
             suppressed > 0 ? log_number(number, suppressed) : NULL, NULL);
}

static void tell_misfit(struct pipeline *pipeline, const struct delivery *delivery, const struct verdict *verdict,
                        bool dead_letter)
{
    static const char *const what[] = {[CAUSE_NONE] = "an event is not as it should be",
                                       [CAUSE_MALFORMED] = "an event cannot be read",
                                       [CAUSE_MISSING] = "an event lacks a value",
                                       [CAUSE_TOO_MANY] = "an event names too many groups",
                                       [CAUSE_UNMATCHED] = "no rule matches an event"};
    const char *wider = verdict->cause == CAUSE_MISSING ? "cancelling a wider group" : "cancelling everything";
    char sentence[128];
    snprintf(sentence, sizeof sentence, "%s; %s%s%s", what[verdict->cause], verdict->widened ? wider : "",
             verdict->widened && dead_letter ? " and " : "", dead_letter ? "making it a dead letter" : "");
    complain(pipeline, sentence, delivery, verdict);
}

/* What is not for the rules to say: everything is cancelled, whatever they say. */
static void take_unreadable(struct pipeline *pipeline, const char *reason)
{
    struct verdict *verdict = &pipeline->verdict;
    pipeline->all = true;
    *verdict = (struct verdict){.kind = VERDICT_DEAD_LETTER,
                                .cause = CAUSE_MALFORMED,
                                .by_default = true,
                                .widened = true,
                                .rule = VERDICT_NO_RULE};
    snprintf(verdict->reason, sizeof verdict->reason, "%s", reason);
}

/* A verdict_repeat: kept with the batch until that is applied. Each delay and group is kept once, as one name. */
static bool repeat_later(void *context, uint32_t after_ms, const char *group, size_t length)
{
    struct pipeline *pipeline = context;
    char name[REPEAT_NAME_SIZE];
    int written = snprintf(name, sizeof name, "%" PRIu32 " %.*s", after_ms, (int)length, group);
    if (written < 0 || (size_t)written >= sizeof name || !groups_add(pipeline->repeated, name, (size_t)written)) {
        if (after_ms > pipeline->repeat_all_ms)
            pipeline->repeat_all_ms = after_ms;
    }
    return true;
}

static void judge(struct pipeline *pipeline, const struct delivery *delivery)
{
    struct event event = {
        .exchange = delivery->exchange,
        .routing_key = delivery->routing_key,
        .body = delivery->body,
        .body_size = delivery->body_size,
        .body_sent = delivery->body_sent,
        .decode = attributes_decode,
        .decode_from = delivery->properties,
    };
    if (!rules_judge(pipeline->rules, &event, pipeline->groups, &pipeline->verdict, repeat_later, pipeline)) {
        take_unreadable(pipeline, "out of memory");
        pipeline->verdict.kind = VERDICT_CANCEL; /* not the event's fault */
    }
    event_fini(&event);
}

bool pipeline_take(void *context, const struct delivery *delivery, struct dead_letter_cause *cause)
{
    struct pipeline *pipeline = context;
    const struct verdict *verdict = &pipeline->verdict;
    count(&pipeline->events, 1);
    if (delivery->nul_in_names)
        take_unreadable(pipeline, "its exchange or its routing key contains a NUL byte");
    else
        judge(pipeline, delivery);
    bool dead_letter = verdict->kind == VERDICT_DEAD_LETTER && pipeline->dead_letters;
    if (verdict->cause == CAUSE_MALFORMED)
        count(&pipeline->malformed, 1);
    else if (verdict->widened)
        count(&pipeline->widened, 1);
    else if (verdict->kind == VERDICT_IGNORE)
        count(&pipeline->ignored, 1);
    if (verdict->widened || dead_letter)
        tell_misfit(pipeline, delivery, verdict, dead_letter);
    if (dead_letter) {
        count(&pipeline->dead_lettered, 1);
        cause->word = verdict_cause_word(verdict->cause);
        cause->reason = verdict->reason;
        cause->rule = verdict->rule != VERDICT_NO_RULE ? rules_name(pipeline->rules, verdict->rule) : NULL;
    }
    return groups_count(pipeline->groups) >= PIPELINE_GROUPS_MAX ||
           groups_count(pipeline->repeated) >= PIPELINE_GROUPS_MAX;
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

/* Before anything is acknowledged: from here on the table's note is held. */
static void start_repeats(struct pipeline *pipeline)
{
    uint64_t now_ms = clock_monotonic_ms();
    const char *const *names = groups_names(pipeline->repeated);
    for (size_t i = 0; i < groups_count(pipeline->repeated); i++) {
        char *group;
        uint32_t after_ms = (uint32_t)strtoul(names[i], &group, 10);
        repeats_add(pipeline->repeats, now_ms, after_ms, group + 1);
    }
    if (pipeline->repeat_all_ms > 0)
        repeats_add(pipeline->repeats, now_ms, pipeline->repeat_all_ms, everything[0]);
    groups_clear(pipeline->repeated);
    pipeline->repeat_all_ms = 0;
}

bool pipeline_apply(void *context)
{
    struct pipeline *pipeline = context;
    bool all = pipeline->all || pipeline->closing;
    const char *const *names = all ? everything : groups_names(pipeline->groups);
    size_t name_count = all ? 1 : groups_count(pipeline->groups);
    if (name_count > 0) {
        if (!apply_groups(pipeline->apply, names, name_count))
            return false;
        count(&pipeline->batches, 1);
        count(&pipeline->group_count, name_count);
        groups_clear(pipeline->groups);
        pipeline->all = false;
    }
    start_repeats(pipeline);
    if (pipeline->swapped)
        apply_set_rules(pipeline->apply, rules_hash(pipeline->rules));
    pipeline->swapped = false;
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

/* ---- Other rules */

void pipeline_swap(struct pipeline *pipeline, const struct rules *rules, const struct groups *cancel)
{
    pipeline->rules = rules;
    pipeline->swapped = true;
    const char *const *names = groups_names(cancel);
    for (size_t i = 0; i < groups_count(cancel); i++) {
        if (!groups_add(pipeline->groups, names[i], strlen(names[i])))
            pipeline->all = true;
    }
}

/* ---- Explaining */

void pipeline_describe(void *context, const struct binding *binding, char *out, size_t size)
{
    const struct pipeline *pipeline = context;
    rules_of_binding(pipeline->rules, binding, out, size);
}

struct pipeline_counts pipeline_counts(const struct pipeline *pipeline)
{
    return (struct pipeline_counts){
        .events = counted(&pipeline->events),
        .ignored = counted(&pipeline->ignored),
        .malformed = counted(&pipeline->malformed),
        .widened = counted(&pipeline->widened),
        .dead_lettered = counted(&pipeline->dead_lettered),
        .batches = counted(&pipeline->batches),
        .groups = counted(&pipeline->group_count),
        .flushes = counted(&pipeline->flushes),
    };
}
