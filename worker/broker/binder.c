/*
 * binder.c - changes the bindings of the worker's queue. See binder.h.
 *
 * The broker answers a refusal by closing the channel; it is opened again, so that what was bound before can be taken
 * back over the same connection.
 */
#include "binder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue_binding.h"

#define GOODBYE_TIMEOUT_MS 1000

struct binder {
    amqp_connection_state_t connection;
    const char *queue;
    struct broker_url url;
    bool broken;
};

/* Whether the queue is there; a channel that the broker closed is open again afterwards. */
static enum binder_outcome look_for_queue(struct binder *binder, char problem[BROKER_PROBLEM_SIZE])
{
    amqp_queue_declare(binder->connection, BROKER_CHANNEL, amqp_cstring_bytes(binder->queue), true, false, false, false,
                       amqp_empty_table);
    const amqp_rpc_reply_t reply = amqp_get_rpc_reply(binder->connection);
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return BINDER_DONE;
    unsigned code = broker_reply_code(&reply);
    binder->broken = true;
    if (code == REPLY_NOT_FOUND) {
        snprintf(problem, BROKER_PROBLEM_SIZE, "queue \"%.256s\" does not exist yet; the worker declares it",
                 binder->queue);
        return BINDER_NO_QUEUE;
    }
    queue_problem(&reply, "looking for the queue", "the permissions to configure, read and write it", problem);
    return code == REPLY_ACCESS_REFUSED ? BINDER_REFUSED : BINDER_LOST;
}

struct binder *binder_open(const char *url, const char *queue, const struct broker_identity *identity,
                           const atomic_bool *cancelled, enum binder_outcome *outcome,
                           char problem[BROKER_PROBLEM_SIZE])
{
    *outcome = BINDER_LOST;
    struct binder *binder = calloc(1, sizeof *binder);
    if (binder == NULL) {
        snprintf(problem, BROKER_PROBLEM_SIZE, "out of memory");
        return NULL;
    }
    binder->queue = queue;
    if (broker_url_parse(url, &binder->url, problem, BROKER_PROBLEM_SIZE))
        binder->connection = broker_connect(&binder->url, identity, cancelled, problem);
    if (binder->connection != NULL)
        *outcome = look_for_queue(binder, problem);
    if (*outcome == BINDER_DONE)
        return binder;
    binder_close(binder);
    return NULL;
}

void binder_close(struct binder *binder)
{
    if (binder == NULL)
        return;
    if (binder->broken)
        broker_abandon(binder->connection);
    else
        broker_close(binder->connection, GOODBYE_TIMEOUT_MS);
    free(binder);
}

/* After a reply that is not a normal one: whether the connection is still good, and what the reply means. Exceptions
 * of the channel leave it as it was; those of the connection, and silence, end it. */
static enum binder_outcome recover(struct binder *binder, const amqp_rpc_reply_t *reply,
                                   char problem[BROKER_PROBLEM_SIZE])
{
    unsigned code = broker_reply_code(reply);
    char why[BROKER_PROBLEM_SIZE];
    if (reply->reply_type != AMQP_RESPONSE_SERVER_EXCEPTION || reply->reply.id != AMQP_CHANNEL_CLOSE_METHOD) {
        binder->broken = true;
        return BINDER_LOST;
    }
    if (!broker_reopen_channel(binder->connection, why)) {
        binder->broken = true;
        memcpy(problem, why, sizeof why);
        return BINDER_LOST;
    }
    if (code != REPLY_NOT_FOUND && code != REPLY_ACCESS_REFUSED)
        return BINDER_LOST;
    /* The broker says 404 of a queue, too. */
    enum binder_outcome queue = code == REPLY_NOT_FOUND ? look_for_queue(binder, why) : BINDER_DONE;
    if (queue == BINDER_DONE)
        return BINDER_REFUSED;
    memcpy(problem, why, sizeof why);
    return queue;
}

enum binder_outcome binder_add(struct binder *binder, const struct binding *binding, const struct rules *rules,
                               char problem[BROKER_PROBLEM_SIZE])
{
    amqp_rpc_reply_t reply;
    if (queue_binding_add(binder->connection, binder->queue, binding, &reply)) {
        amqp_maybe_release_buffers(binder->connection);
        return BINDER_DONE;
    }
    char names[256];
    rules_of_binding(rules, binding, names, sizeof names);
    /* Before the reply's memory is released. */
    queue_binding_problem(&reply, binding, binder->url.vhost, names, problem);
    return recover(binder, &reply, problem);
}

enum binder_outcome binder_remove(struct binder *binder, const struct binding *binding,
                                  char problem[BROKER_PROBLEM_SIZE])
{
    amqp_rpc_reply_t reply;
    if (queue_binding_remove(binder->connection, binder->queue, binding, &reply)) {
        amqp_maybe_release_buffers(binder->connection);
        return BINDER_DONE;
    }
    queue_problem(&reply, "removing a binding", "the permission to write the queue", problem);
    bool gone = broker_reply_code(&reply) == REPLY_NOT_FOUND;
    enum binder_outcome outcome = recover(binder, &reply, problem);
    /* With its exchange the binding went, too. */
    return gone && outcome == BINDER_REFUSED ? BINDER_DONE : outcome;
}
