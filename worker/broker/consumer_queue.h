/*
 * consumer_queue.h - the steps from a fresh connection to a queue that is being consumed.
 */
#ifndef QUASHD_CONSUMER_QUEUE_H
#define QUASHD_CONSUMER_QUEUE_H

#include "consumer.h"

/*
 * Looks whether the queue exists, declares it only if not, binds it as the rules need, and consumes it, exclusively.
 * Tells the handler of a gap before it changes anything at the broker. False on failure, with a sentence in
 * `problem`; the connection is of no more use then.
 */
bool consumer_queue_open(amqp_connection_state_t connection, const struct consumer_options *options,
                         const struct broker_url *url, const struct consumer_handler *handler,
                         char problem[BROKER_PROBLEM_SIZE]);

/* Identifies what is read: the broker's cluster, the virtual host and the queue, not the address it is reached at.
 * Never 0. */
uint64_t consumer_queue_source(amqp_connection_state_t connection, const char *queue, const struct broker_url *url);

#endif
