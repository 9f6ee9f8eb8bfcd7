/*
 * events.h - the emitter: takes events out of the outbox and publishes them to the topic exchange `domain`.
 *
 * An event leaves the outbox when the broker has confirmed it, not before, so it is published at least once, also
 * across restarts of the broker and of this service. Cancelling twice is harmless, so twice is fine.
 *
 * Threads: events_wake and events_connected may be called from any thread.
 */
#ifndef EVENTS_H
#define EVENTS_H

#include <stdbool.h>

#include "profile_db.h"

#define EVENTS_EXCHANGE "domain"

struct events;

/* Starts the emitter's thread. `db` is borrowed. A broker that cannot be reached is no failure: events wait. NULL on
 * failure, explained on standard error. */
struct events *events_start(struct profile_db *db, const char *amqp_url);

/* Ends the thread after the event that is under way; what is still in the outbox stays there for the next start. NULL
 * is fine. */
void events_stop(struct events *events);

/* Says that there is something in the outbox. */
void events_wake(struct events *events);

/* Whether the emitter has a connection to the broker. */
bool events_connected(struct events *events);

#endif
