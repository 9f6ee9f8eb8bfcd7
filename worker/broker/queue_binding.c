/*
 * queue_binding.c - binding the worker's queue. See queue_binding.h.
 */
#include "queue_binding.h"

#include <stdio.h>

void queue_problem(const amqp_rpc_reply_t *reply, const char *doing, const char *permission,
                   char problem[BROKER_PROBLEM_SIZE])
{
    char reason[BROKER_PROBLEM_SIZE];
    broker_reply_problem(reply, doing, reason);
    if (broker_reply_code(reply) == REPLY_ACCESS_REFUSED)
        snprintf(problem, BROKER_PROBLEM_SIZE, "%.400s; the user needs %s (rabbitmqctl set_permissions)", reason,
                 permission);
    else
        snprintf(problem, BROKER_PROBLEM_SIZE, "%.600s", reason);
}

bool queue_binding_add(amqp_connection_state_t connection, const char *queue, const struct binding *binding,
                       amqp_rpc_reply_t *reply)
{
    amqp_queue_bind(connection, BROKER_CHANNEL, amqp_cstring_bytes(queue), amqp_cstring_bytes(binding->exchange),
                    amqp_cstring_bytes(binding->routing_key), amqp_empty_table);
    *reply = amqp_get_rpc_reply(connection);
    return reply->reply_type == AMQP_RESPONSE_NORMAL;
}

bool queue_binding_remove(amqp_connection_state_t connection, const char *queue, const struct binding *binding,
                          amqp_rpc_reply_t *reply)
{
    amqp_queue_unbind(connection, BROKER_CHANNEL, amqp_cstring_bytes(queue), amqp_cstring_bytes(binding->exchange),
                      amqp_cstring_bytes(binding->routing_key), amqp_empty_table);
    *reply = amqp_get_rpc_reply(connection);
    return reply->reply_type == AMQP_RESPONSE_NORMAL;
}

void queue_binding_problem(const amqp_rpc_reply_t *reply, const struct binding *binding, const char *vhost,
                           const char *rules, char problem[BROKER_PROBLEM_SIZE])
{
    if (broker_reply_code(reply) == REPLY_NOT_FOUND) {
        snprintf(problem, BROKER_PROBLEM_SIZE,
                 "exchange \"%.200s\" does not exist in virtual host \"%.100s\", but rules listen there (%.256s, "
                 "routing key \"%.200s\"): start the emitter that declares it, or declare it, or correct its name",
                 binding->exchange, vhost, rules, binding->routing_key);
        return;
    }
    char doing[600];
    snprintf(doing, sizeof doing, "binding the queue to exchange \"%.200s\" for rules (%.256s)", binding->exchange,
             rules);
    queue_problem(reply, doing, "the permissions to write the queue and to read the exchange", problem);
}
