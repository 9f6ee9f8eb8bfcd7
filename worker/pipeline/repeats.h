/*
 * repeats.h - groups that are cancelled once more after a time (a rule's `repeat_after_ms`), for loads that read a
 * replica which lags behind.
 *
 * While any is pending, the note in the table is held erased (apply.h): they live in memory only, and a worker that
 * dies with them leaves a table that its successor flushes. They do not depend on the rules they come from, nor on the
 * connection.
 *
 * Bounded: should they take more than REPEATS_BYTES_MAX, all that are pending for one delay become a single `*`, at the
 * time of the last of them and up to an eighth of the delay later.
 */
#ifndef QUASHD_REPEATS_H
#define QUASHD_REPEATS_H

#include <stddef.h>
#include <stdint.h>

#include "apply.h"

#define REPEATS_BYTES_MAX ((size_t)32 << 20)
#define REPEATS_NONE      UINT64_MAX

struct repeats;

/* Borrows `apply` until repeats_free. `sooner` is called, by whoever adds, when repeats_run should be called sooner
 * than it last said. NULL when memory ran out. */
struct repeats *repeats_new(struct apply *apply, void (*sooner)(void *context), void *context);

/* What is pending is forgotten, and the note in the table stays erased. NULL is fine. */
void repeats_free(struct repeats *repeats);

/* Has `name` cancelled again `after_ms` from now, monotonic milliseconds that never go back. When memory runs out, `*`
 * stands for it. One thread. */
void repeats_add(struct repeats *repeats, uint64_t now_ms, uint32_t after_ms, const char *name);

/* Cancels what is due; what cannot be is tried again later. Returns after how many milliseconds it wants to be called
 * again, REPEATS_NONE: not before `sooner`. One thread, which may be another. */
uint64_t repeats_run(struct repeats *repeats, uint64_t now_ms);

struct repeats_counts {
    uint64_t done; /* groups cancelled once more */
    uint64_t pending;
};

/* Any thread. */
struct repeats_counts repeats_counts(struct repeats *repeats);

#endif
