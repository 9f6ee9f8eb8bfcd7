/*
 * queue_binding.h - binding the worker's queue to the exchanges of the rules, and what to do about it when that fails.
 */
#ifndef QUASHD_QUEUE_BINDING_H
#define QUASHD_QUEUE_BINDING_H

#include "broker.h"
#include "rules.h"

/* Binds the queue; a binding that exists stays as it is. False when the broker refuses or does not answer, with its
 * reply in *reply. */
bool queue_binding_add(amqp_connection_state_t connection, const char *queue, const struct binding *binding,
                       amqp_rpc_reply_t *reply);

/* The opposite; a binding that does not exist is removed already. */
bool queue_binding_remove(amqp_connection_state_t connection, const char *queue, const struct binding *binding,
                          amqp_rpc_reply_t *reply);

/* The reply of queue_binding_add as a sentence. `rules`: the names of the rules that need the binding, quoted. */
void queue_binding_problem(const amqp_rpc_reply_t *reply, const struct binding *binding, const char *vhost,
                           const char *rules, char problem[BROKER_PROBLEM_SIZE]);

/* A reply to another question about the queue as a sentence: what was done, the reason, and `permission`, which the
 * user needs, if it is that. */
void queue_problem(const amqp_rpc_reply_t *reply, const char *doing, const char *permission,
                   char problem[BROKER_PROBLEM_SIZE]);

/* The reply codes of AMQP that are told apart. */
#define REPLY_ACCESS_REFUSED 403u
#define REPLY_NOT_FOUND      404u

#endif
