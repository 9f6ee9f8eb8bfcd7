/*
 * load.h - what get_or_load, its tasks on an executor and get_or_begin share.
 */
#ifndef QUASH_SRC_LOAD_H
#define QUASH_SRC_LOAD_H

#include "fill.h"
#include "lookup.h"

/* Runs a loader for a fill on this thread, and ends the fill. On QUASH_OK *entry (may be NULL) is the value. */
quash_status load_run(struct quash_fill *fill, quash_load_fn *load, void *context, quash_entry **entry);

/* ---- refresh.c */

/* Whether eager refresh of a live entry is due, and nobody has begun it; then the caller is the one. */
bool refresh_claim(const quash_cache *cache, struct entry *entry, const struct view *view);

/* Starts the flight for it. NULL: there is one already, or no memory; then there is nothing to do. */
struct flight *refresh_start(quash_cache *cache, const struct key *key);

/* ---- task.c: loads on the cache's executor */

/* Hands a load to the executor; `flight` passes to it. `context_size` as in quash_get_options. False: it was refused,
 * or there was no memory, and the flight is still the caller's. */
bool task_submit(quash_cache *cache, struct flight *flight, quash_load_fn *load, void *context, size_t context_size);

#endif
