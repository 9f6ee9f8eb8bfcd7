/*
 * spans.h - calls of one sort as the stretches of time that they took, and the two questions that a model of concurrent
 * calls asks about them: did one surely take effect between two instants, and might one have?
 *
 * Use: spans_clear, spans_add as often as needed, spans_ready, then ask. The memory is used again after spans_clear.
 */
#ifndef QUASH_TESTS_LINEAR_SPANS_H
#define QUASH_TESTS_LINEAR_SPANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A position in the one order of all events of a round; 0: before the first. */
typedef uint64_t instant;

struct span {
    instant began;
    instant ended;
};

struct span_list {
    struct span *span;
    size_t count;
    size_t room;
};

struct spans {
    struct span_list certain; /* by `ended`; `began` is the latest so far */
    struct span_list all;     /* by `began`; `ended` is the latest so far */
};

void spans_clear(struct spans *spans);
/* `certain`: it took effect. Else it may have. */
void spans_add(struct spans *spans, instant began, instant ended, bool certain);
void spans_ready(struct spans *spans);
void spans_free(struct spans *spans);

/* Whether one surely took effect after `after` and before `before`: it lies wholly between them. */
bool spans_within(const struct spans *spans, instant after, instant before);

/* Whether one may have taken effect then: it does not lie wholly outside. */
bool spans_touch(const struct spans *spans, instant after, instant before);

#endif
