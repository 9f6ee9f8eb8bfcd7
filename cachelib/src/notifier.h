/*
 * notifier.h - the waits of event loops: from "somebody else loads this key" to a notice that can be taken.
 *
 *     WAITING ──the flight ends──► READY ──taken──► gone
 *        └──────── forgotten ────► FORGOTTEN ──the flight ends──► gone
 *
 * A wait is owned by its flight until that ends, and noted by its notifier besides, so that it can be forgotten; then
 * by the notifier. The notifier lives until its owner has freed it and no flight has a wait of its any more.
 * Lock: the notifier's own, innermost; it guards the state and the list links of its waits.
 */
#ifndef QUASH_SRC_NOTIFIER_H
#define QUASH_SRC_NOTIFIER_H

#include <quash/cache.h>

enum wait_state { WAIT_WAITING, WAIT_READY, WAIT_FORGOTTEN };

struct wait {
    struct wait *next_in_flight; /* in the flight's list, or among the ended ones */
    struct quash_notifier *notifier;
    void *tag;
    quash_status status; /* the answer; `entry` is acquired, for whoever takes it */
    quash_entry *entry;
    enum wait_state state;
    struct wait *next; /* in one of the notifier's lists, unless forgotten */
    struct wait *previous;
};

/* A wait for the caller to hang on a flight. NULL without memory. */
struct wait *notifier_wait(quash_notifier *notifier, void *tag);

/* The flight has ended: delivers the wait's status and entry. No other lock may be held. */
void notifier_post(struct wait *wait);

#endif
