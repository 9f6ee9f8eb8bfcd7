/*
 * publisher.h - publishes events so that the emitter knows what became of each: mandatory, so that one that no queue
 * would get comes back, and with the broker's confirmation. Events are pipelined; up to PUBLISHER_WINDOW may wait for
 * their confirmation.
 *
 * One thread.
 */
#ifndef QUASHD_PUBLISHER_H
#define QUASHD_PUBLISHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker.h"

#define PUBLISHER_WINDOW     4096u
#define PUBLISHER_TIMEOUT_MS 30000u /* without any confirmation, while some are awaited */

struct publisher;

struct publication {
    const char *exchange;
    const char *routing_key;
    const amqp_basic_properties_t *properties; /* with the headers, as they are to be; must fit (publisher_fits) */
    const void *body;
    size_t body_size;
};

struct publisher_counts {
    uint64_t published;  /* sent */
    uint64_t confirmed;  /* of them, those that the broker took over, also if no queue got them */
    uint64_t unroutable; /* of them, those that no queue got */
    uint64_t refused;    /* of them, those that the broker did not take over */
};

/* Connects. NULL on failure, with a sentence in `problem`. */
struct publisher *publisher_open(const struct broker_url *url, const struct broker_identity *identity,
                                 char problem[BROKER_PROBLEM_SIZE]);

/* The same; gives up soon after *cancelled (broker_connect) turns true. */
struct publisher *publisher_open_cancellable(const struct broker_url *url, const struct broker_identity *identity,
                                             const atomic_bool *cancelled, char problem[BROKER_PROBLEM_SIZE]);

/* Says goodbye and frees. NULL is fine. */
void publisher_close(struct publisher *publisher);

/* Declares a durable exchange of this type. */
bool publisher_declare(struct publisher *publisher, const char *exchange, const char *type,
                       char problem[BROKER_PROBLEM_SIZE]);

/* Whether the exchange exists. False also when the broker cannot be asked; the publisher is of no more use then. */
bool publisher_find_exchange(struct publisher *publisher, const char *exchange, char problem[BROKER_PROBLEM_SIZE]);

/* Whether headers and properties fit into one frame of the size that the broker allows, as AMQP demands. */
bool publisher_fits(struct publisher *publisher, const amqp_basic_properties_t *properties);

/* Sends one event, waiting while the window is full. False when the connection or the channel is gone, with a sentence
 * in `problem`; the publisher is of no more use then. */
bool publisher_send(struct publisher *publisher, const struct publication *publication,
                    char problem[BROKER_PROBLEM_SIZE]);

/* Waits until the broker has answered for every event. False as above. */
bool publisher_finish(struct publisher *publisher, char problem[BROKER_PROBLEM_SIZE]);

/* Waits at most `wait_ms` until the broker has answered for every event. False as above; publisher_awaited tells how
 * many have no answer yet. */
bool publisher_wait(struct publisher *publisher, uint32_t wait_ms, char problem[BROKER_PROBLEM_SIZE]);
uint64_t publisher_awaited(const struct publisher *publisher);

/* Whether the broker has said that it takes no events for now, because it is short of memory or disk. */
bool publisher_blocked(const struct publisher *publisher);

struct publisher_counts publisher_counts(const struct publisher *publisher);

/* Of the first event that came back as unroutable: `exchange`, `routing_key`, or "" if there was none. Borrowed. */
const char *publisher_unroutable_exchange(const struct publisher *publisher);
const char *publisher_unroutable_key(const struct publisher *publisher);

#endif
