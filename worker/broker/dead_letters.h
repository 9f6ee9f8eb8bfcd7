/*
 * dead_letters.h - events that could not be used go to the dead-letter exchange, and may be acknowledged only when the
 * broker has confirmed them there: persistent, and in at least one queue.
 *
 * On a thread and a connection of its own. The broker stops reading from a connection that publishes when it is short
 * of memory or disk, and deliveries must go on then; and no cancellation may wait for a letter. The connection is there
 * only while there are letters.
 *
 * Whatever keeps a letter from its exchange (there is none, no queue is bound, no permission, no broker), the letter
 * waits, its event stays unacknowledged, the log says what to do, and it is tried again, with growing pauses. Letters
 * whose connection to the consumer is lost are forgotten: their events come again. So a letter may arrive twice, but
 * none is lost.
 */
#ifndef QUASHD_DEAD_LETTERS_H
#define QUASHD_DEAD_LETTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dead_letter.h"

/* In memory; the one that goes past it is still taken, so up to one letter more. */
#define DEAD_LETTERS_BYTES_MAX ((size_t)64 << 20)

struct dead_letters;

/* All borrowed until dead_letters_free. */
struct dead_letters_options {
    char *const *urls; /* checked; tried in turn */
    size_t url_count;
    const char *exchange;
    const char *instance;
    const char *connection_name; /* the consumer's; that of the letters says so */
    const char *version;
    /* dead_letters_settled has something to say. Called on the letters' own thread. */
    void (*settled)(void *context);
    void *settled_context;
};

/* NULL when memory or the thread could not be had. */
struct dead_letters *dead_letters_start(const struct dead_letters_options *options);

/* ---- For the consumer's thread */

/* Takes a copy of the delivery, to be published. False: out of memory. */
bool dead_letters_put(struct dead_letters *letters, const struct delivery *delivery,
                      const struct dead_letter_cause *cause, size_t frame_max);

/* The tags of deliveries that may be acknowledged, each once; at most `room` of them. */
size_t dead_letters_settled(struct dead_letters *letters, uint64_t *tags, size_t room);

/* The consumer has lost its connection, and with it the tags: forgets everything that waits. */
void dead_letters_forget(struct dead_letters *letters);

/* Whether they hold as much as they may; then no more should be put until some are settled. */
bool dead_letters_full(struct dead_letters *letters);

/* Whether some wait and nothing is known to be in their way. */
bool dead_letters_moving(struct dead_letters *letters);

/* ---- For the owner */

struct dead_letters_counts {
    uint64_t published; /* and confirmed */
    uint64_t waiting;
};

/* Any thread. */
struct dead_letters_counts dead_letters_counts(struct dead_letters *letters);

/* Ends the thread, waiting for it. What is under way then may have arrived or not. NULL is fine, as it is below. */
void dead_letters_stop(struct dead_letters *letters);

/* After dead_letters_stop. */
void dead_letters_free(struct dead_letters *letters);

#endif
