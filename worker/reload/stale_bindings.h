/*
 * stale_bindings.h - bindings that may be on the queue although the rules in force need none of them: those of a reload
 * that has not come to its end, and those of rules that are gone. Strings of its own: it outlives both rule sets.
 *
 * One thread.
 */
#ifndef QUASHD_STALE_BINDINGS_H
#define QUASHD_STALE_BINDINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "rules.h"

struct stale_bindings {
    struct binding *item; /* each once */
    size_t count, room;
};

/* Adds copies of those that are new. False when memory ran out; then nothing was added. */
bool stale_bindings_add(struct stale_bindings *stale, const struct binding *binding, size_t count);

/* Takes those out that the rules need. False when memory ran out; then nothing was taken. */
bool stale_bindings_spare(struct stale_bindings *stale, const struct rules *rules);

/* Takes the last one out. */
void stale_bindings_drop_last(struct stale_bindings *stale);

void stale_bindings_fini(struct stale_bindings *stale);

#endif
