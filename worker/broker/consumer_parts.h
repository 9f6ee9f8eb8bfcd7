/*
 * consumer_parts.h - what is inside a struct consumer; for consumer.c, which goes from connection to connection, and
 * for consumer_serve.c, which serves one.
 */
#ifndef QUASHD_CONSUMER_PARTS_H
#define QUASHD_CONSUMER_PARTS_H

#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>

#include "acks.h"
#include "consumer.h"
#include "retry.h"

struct consumer {
    struct consumer_options options;
    struct consumer_handler handler;
    size_t batch_max;
    pthread_t thread;
    struct dead_letters *letters; /* NULL: there is no dead-letter exchange */
    atomic_bool stopping;
    atomic_bool connected;
    atomic_uint_fast64_t connections;
    atomic_size_t url; /* the one that is tried or used */

    pthread_mutex_t exchange_lock; /* guards the next four */
    pthread_cond_t exchange_answered;
    const struct consumer_exchange *exchange; /* asked for and not yet answered; NULL: none */
    enum consumer_exchanged exchanged;        /* the last answer */
    bool ended;

    /* The thread's own. */
    struct ev_loop *loop;
    ev_async stop_asked;
    ev_async exchange_asked;
    ev_async letters_settled;
    ev_timer pause;
    ev_io readable;
    ev_timer heartbeat;
    ev_timer again;
    ev_timer apply_again;
    struct retry retry;
    struct retry_complaint complaint[CONSUMER_URLS_MAX];
    amqp_connection_state_t connection;
    struct delivery_reader *reader;
    struct acks acks;
    size_t in_batch;  /* taken and not yet applied */
    bool held;        /* nothing is read, because dead letters fill the memory for them */
    bool held_long;   /* and that has been so at a heartbeat */
    bool overflowing; /* it has lasted too long: reading goes on without keeping more letters than that */
    size_t unkept;    /* deliveries that wait for a dead letter which is not kept */
    bool fetching;    /* for them, the connection is to be made anew */
    bool stall_told;
    bool broken; /* the connection cannot go on, because of `problem` */
    char problem[BROKER_PROBLEM_SIZE];
};

static inline bool is_stopping(const struct consumer *consumer)
{
    return atomic_load_explicit(&consumer->stopping, memory_order_relaxed);
}

/* Once, before the others. */
void consumer_init_serving(struct consumer *consumer);

/* Runs until the connection, which has been set up, breaks, with the reason in `problem`; until it is no more wanted,
 * with `fetching`; or until the consumer is stopped. */
void consumer_serve(struct consumer *consumer);

/* Applies what was taken, then acknowledges it; in that order, or a crash in between would lose events. What waits for
 * its dead letter is not acknowledged. */
void consumer_finish_batch(struct consumer *consumer);

#endif
