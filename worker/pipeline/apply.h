/*
 * apply.h - the cancellation table that this worker serves; the only user of <quash/table.h> in quashd.
 *
 * Cancels, and keeps the note in the table's header of what it was last served with: which source, which rules. The
 * note is what lets the next worker go on without cancelling everything. It is erased before anything is done that
 * makes it untrue, and written after everything is true that it says, so that a crash in between errs towards
 * cancelling too much.
 *
 * Any thread; one lock, held for the time of a few stores, orders a replacement of the table against cancellations.
 */
#ifndef QUASHD_APPLY_H
#define QUASHD_APPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quash/table.h>

struct apply;

/* Takes over `table`, open for writing, also on failure. `rules_hash` is of the rules that are served. NULL when memory
 * ran out. */
struct apply *apply_new(quash_table *table, uint64_t rules_hash);

/* Says in the table that no worker is connected any more, and closes it. NULL is fine. */
void apply_free(struct apply *apply);

/* Cancels the groups. False: not all of them, and they must be cancelled later; why was logged. */
bool apply_groups(struct apply *apply, const char *const *groups, size_t count);

/* Erases the note. */
void apply_forget_source(struct apply *apply);

/* NULL when the note says that the table was last served with `source` and these rules; else in what they differ. */
const char *apply_source_differs(struct apply *apply, uint64_t source);

/* Writes the note. */
void apply_set_source(struct apply *apply, uint64_t source);

/* From now on these rules are served, and the note, unless it is erased, says so; to be called once everything is
 * cancelled that they ask for. */
void apply_set_rules(struct apply *apply, uint64_t rules_hash);

/* While held, the note is erased, so that a worker that dies now leaves a table that its successor flushes; what the
 * note would say is kept up, and stands there again when it is let go. */
void apply_hold_note(struct apply *apply, bool hold);

/* Once a second: tells the readers that the worker is alive and whether it is connected, and replaces a table whose
 * file was removed; everything is cancelled in the new one. */
void apply_tick(struct apply *apply, bool connected);

#endif
