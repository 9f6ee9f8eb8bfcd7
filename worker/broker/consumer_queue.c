/*
 * consumer_queue.c - from a fresh connection to a queue that is consumed. See consumer_queue.h.
 *
 * A queue that exists is never declared again: between the look and a declaration it could vanish and come back empty,
 * and nobody would notice. As it is, consuming a queue that has vanished fails, and the next attempt finds it absent.
 */
#include "consumer_queue.h"

#include <stdio.h>
#include <string.h>

#include <xxhash.h>

#include "queue_binding.h"

static bool declare(amqp_connection_state_t connection, const struct consumer_options *options,
                    char problem[BROKER_PROBLEM_SIZE])
{
    amqp_table_entry_t entries[] = {
        /* Said aloud, because a virtual host's default may be another type. */
        {.key = amqp_cstring_bytes("x-queue-type"),
         .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("classic")}},
        {.key = amqp_cstring_bytes("x-expires"),
         .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = (int64_t)options->queue_expires_ms}},
    };
    const amqp_table_t arguments = {.num_entries = sizeof entries / sizeof entries[0], .entries = entries};
    amqp_queue_declare(connection, BROKER_CHANNEL, amqp_cstring_bytes(options->queue), false, true, false, false,
                       arguments);
    const amqp_rpc_reply_t reply = amqp_get_rpc_reply(connection);
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return true;
    queue_problem(&reply, "declaring the queue", "the permission to configure it", problem);
    return false;
}

/* Makes sure that the queue is there. */
static bool find_or_declare(amqp_connection_state_t connection, const struct consumer_options *options,
                            const struct consumer_handler *handler, char problem[BROKER_PROBLEM_SIZE])
{
    amqp_queue_declare(connection, BROKER_CHANNEL, amqp_cstring_bytes(options->queue), true, false, false, false,
                       amqp_empty_table);
    const amqp_rpc_reply_t reply = amqp_get_rpc_reply(connection);
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return true;
    if (broker_reply_code(&reply) != REPLY_NOT_FOUND) {
        queue_problem(&reply, "looking for the queue", "the permissions to configure, read and write it", problem);
        return false;
    }
    handler->gap(handler->context, "the queue was absent, so events may have gone by");
    return broker_reopen_channel(connection, problem) && declare(connection, options, problem);
}

static bool bind_queue(amqp_connection_state_t connection, const struct consumer_options *options,
                       const struct broker_url *url, const struct consumer_handler *handler,
                       char problem[BROKER_PROBLEM_SIZE])
{
    for (size_t i = 0; i < options->binding_count; i++) {
        const struct binding *binding = &options->bindings[i];
        amqp_rpc_reply_t reply;
        if (queue_binding_add(connection, options->queue, binding, &reply))
            continue;
        if (broker_reply_code(&reply) == REPLY_NOT_FOUND)
            handler->gap(handler->context, "an exchange was missing, so events may have gone by");
        char rules[256];
        handler->describe(handler->context, binding, rules, sizeof rules);
        queue_binding_problem(&reply, binding, url->vhost, rules, problem);
        return false;
    }
    return true;
}

static bool consume(amqp_connection_state_t connection, const struct consumer_options *options,
                    char problem[BROKER_PROBLEM_SIZE])
{
    amqp_basic_qos(connection, BROKER_CHANNEL, 0, (uint16_t)options->prefetch, false);
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(connection);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        queue_problem(&reply, "setting the prefetch", "permissions", problem);
        return false;
    }
    /* Exclusively: two workers on one queue would each see half of the events. */
    amqp_basic_consume(connection, BROKER_CHANNEL, amqp_cstring_bytes(options->queue), amqp_empty_bytes, false, false,
                       true, amqp_empty_table);
    reply = amqp_get_rpc_reply(connection);
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return true;
    /* RabbitMQ says 403 both for a queue in use and for a missing permission. */
    char reason[BROKER_PROBLEM_SIZE];
    broker_reply_problem(&reply, "consuming the queue", reason);
    if (strstr(reason, "exclusive") != NULL)
        snprintf(problem, BROKER_PROBLEM_SIZE,
                 "somebody else consumes queue \"%.256s\": give each worker an --instance of its own; after a broken "
                 "connection it may be this worker's former self, until the broker has noticed; %.200s",
                 options->queue, reason);
    else
        queue_problem(&reply, "consuming the queue", "the permission to read it", problem);
    return false;
}

bool consumer_queue_open(amqp_connection_state_t connection, const struct consumer_options *options,
                         const struct broker_url *url, const struct consumer_handler *handler,
                         char problem[BROKER_PROBLEM_SIZE])
{
    return find_or_declare(connection, options, handler, problem) &&
           bind_queue(connection, options, url, handler, problem) && consume(connection, options, problem);
}

uint64_t consumer_queue_source(amqp_connection_state_t connection, const char *queue, const struct broker_url *url)
{
    char cluster[256];
    char identity[1024];
    broker_cluster_name(connection, cluster, sizeof cluster);
    /* The lengths keep the parts apart. */
    int length = snprintf(identity, sizeof identity, "%zu:%s%zu:%s%zu:%s", strlen(cluster), cluster, strlen(url->vhost),
                          url->vhost, strlen(queue), queue);
    uint64_t hash = XXH64(identity, (size_t)length, 0);
    return hash != 0 ? hash : 1;
}
