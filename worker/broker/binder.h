/*
 * binder.h - changes the bindings of the worker's queue over a connection of its own, while another consumes it.
 *
 * One thread at a time.
 */
#ifndef QUASHD_BINDER_H
#define QUASHD_BINDER_H

#include <stdatomic.h>

#include "broker.h"
#include "rules.h"

enum binder_outcome {
    BINDER_DONE,
    BINDER_REFUSED,  /* waiting will not mend it: the exchange does not exist, or a permission is missing */
    BINDER_NO_QUEUE, /* it does not exist (yet) */
    BINDER_LOST,     /* the broker cannot be reached, or the connection broke */
};

struct binder;

/* Connects to the broker at `url` (checked, borrowed until binder_close) and looks whether the queue is there. Gives up
 * soon after *cancelled turns true. NULL with the outcome in *outcome and a sentence in `problem`. */
struct binder *binder_open(const char *url, const char *queue, const struct broker_identity *identity,
                           const atomic_bool *cancelled, enum binder_outcome *outcome,
                           char problem[BROKER_PROBLEM_SIZE]);

/* Says goodbye if the connection is whole, and frees. NULL is fine. */
void binder_close(struct binder *binder);

/* Binds. If that fails, there is a sentence in `problem`, which names the rules that `rules` has for the binding; after
 * BINDER_LOST and BINDER_NO_QUEUE the binder is of no more use. */
enum binder_outcome binder_add(struct binder *binder, const struct binding *binding, const struct rules *rules,
                               char problem[BROKER_PROBLEM_SIZE]);

/* Takes a binding away, if it is there. */
enum binder_outcome binder_remove(struct binder *binder, const struct binding *binding,
                                  char problem[BROKER_PROBLEM_SIZE]);

#endif
