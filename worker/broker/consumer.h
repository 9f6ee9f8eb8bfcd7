/*
 * consumer.h - the worker's own queue, consumed on a thread of its own, because rabbitmq-c blocks in connect, login,
 * questions and sends. Whatever breaks, the thread rebuilds the connection, with growing pauses, until it is stopped.
 *
 * The queue decides whether events may have been missed. It is looked for before it is declared: a queue that was
 * absent has held no events, so everything that happened in the meantime is unknown. An exchange that was missing has
 * routed none. Both are a *gap*, told to the handler before anything is changed at the broker, and closed by it once
 * the queue is consumed.
 */
#ifndef QUASHD_CONSUMER_H
#define QUASHD_CONSUMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dead_letters.h"
#include "delivery.h"
#include "rules.h"

/* What becomes of the deliveries. All are called on the consumer's thread, one at a time. */
struct consumer_handler {
    void *context;
    /* One more delivery, borrowed for the call. Returns whether it is time to apply. With a word in *cause, which was
     * empty, the delivery becomes a dead letter as well, and is acknowledged only when that has arrived; what *cause
     * points to must live until the call returns and no longer. Only for a consumer with a dead-letter exchange. */
    bool (*take)(void *context, const struct delivery *delivery, struct dead_letter_cause *cause);
    /* Makes everything that was taken take effect. False: it did not, and is to be tried again later; nothing may be
     * acknowledged before that. */
    bool (*apply)(void *context);
    /* From some instant in the past until the next `consuming`, events may pass unseen; `reason` is a constant. */
    void (*gap)(void *context, const char *reason);
    /* From now on none can. `source` identifies the broker, the virtual host and the queue. An apply follows. */
    void (*consuming)(void *context, uint64_t source);
    /* The names of the rules that need this binding, quoted, for a person; "" if they cannot be told. */
    void (*describe)(void *context, const struct binding *binding, char *out, size_t size);
};

struct consumer_options {
    char *const *urls; /* checked; tried in turn */
    size_t url_count;  /* 1 to CONSUMER_URLS_MAX */
    const char *queue;
    const char *connection_name;
    const char *version;
    const char *dead_letter_exchange; /* NULL: none */
    const char *instance;             /* named in dead letters */
    uint64_t queue_expires_ms;
    uint32_t prefetch;
    const struct binding *bindings; /* each with an exchange; until consumer_exchange brings others */
    size_t binding_count;
    /* The thread's last word, after consumer_stop; called on it. */
    void (*ended)(void *context);
    void *ended_context;
};

#define CONSUMER_URLS_MAX       16u
#define CONSUMER_DELIVERIES_MAX 512u /* taken before they are applied and acknowledged; fewer with a small prefetch */

struct consumer;

/* Starts the thread. What `options` and `handler` point to is borrowed until consumer_join. NULL when memory, a file
 * descriptor or the thread could not be had. */
struct consumer *consumer_start(const struct consumer_options *options, const struct consumer_handler *handler);

/* Whether the queue is being consumed. Any thread. */
bool consumer_connected(const struct consumer *consumer);

/* How often it has been so far. Any thread. */
uint64_t consumer_connections(const struct consumer *consumer);

/* Which of the options' URLs is used, or was tried last. Any thread. */
size_t consumer_url(const struct consumer *consumer);

/* Other bindings, and what goes with them, for a consumer that runs. */
struct consumer_exchange {
    const struct binding *bindings; /* each with an exchange; borrowed until the next exchange or consumer_join */
    size_t binding_count;
    /* What consumer_connections said before somebody bound the queue to those that are new. */
    uint64_t connections;
    /* Called on the consumer's thread, between two batches; an apply follows once the queue is consumed. */
    void (*swap)(void *context);
    void *context;
};

enum consumer_exchanged {
    CONSUMER_EXCHANGED,   /* nothing uses the former bindings any more */
    CONSUMER_RECONNECTED, /* nothing was done: the queue may be another by now, and must be bound again first */
    CONSUMER_ENDED,       /* nothing was done: the thread has ended */
};

/* Exchanges the bindings, waiting until the thread has done it, which may take as long as the time-outs of broker.h. A
 * consumer that is not connected binds them when it next is. One thread at a time, another than the consumer's. */
enum consumer_exchanged consumer_exchange(struct consumer *consumer, const struct consumer_exchange *exchange);

/* Dead letters so far. Any thread. */
struct dead_letters_counts consumer_dead_letters(const struct consumer *consumer);

/* Asks the thread to finish what it has in hand, to say goodbye to the broker and to end. Returns at once; while the
 * broker does not answer, ending may take as long as the time-outs of broker.h. Any thread. */
void consumer_stop(struct consumer *consumer);

/* Waits for the thread's end and frees. NULL is fine. */
void consumer_join(struct consumer *consumer);

#endif
