/*
 * publisher.c - publishing with confirmations. See publisher.h. rabbitmq-c before 0.15 knows nothing of confirmations,
 * so their frames are read here.
 *
 * Events are numbered from 1. The broker confirms them in any order, one or "up to this one" at a time:
 *
 *     1 ... oldest-1 | oldest ... sent | sent+1 ...
 *       all answered   answered[n % WINDOW] says which
 *
 * The frames must be read while events are being sent, or both sides could wait for the other to read.
 */
#include "publisher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "clock.h"
#include "short_string.h"

#define READ_EVERY 64u /* events sent between looks for confirmations */

/* Around the properties in their frame: type, channel, size and end mark; class, weight and size of the body. */
#define FRAME_OVERHEAD (8u + 12u)

struct publisher {
    amqp_connection_state_t connection;
    bool broken;
    bool blocked;
    unsigned char *frame; /* where properties are encoded to see whether they fit */
    struct publisher_counts counts;
    uint64_t sent;
    uint64_t oldest; /* the first that has no answer; sent + 1 if none */
    bool answered[PUBLISHER_WINDOW];
    char unroutable_exchange[SHORT_STRING_SIZE];
    char unroutable_key[SHORT_STRING_SIZE];
};

struct publisher *publisher_open_cancellable(const struct broker_url *url, const struct broker_identity *identity,
                                             const atomic_bool *cancelled, char problem[BROKER_PROBLEM_SIZE])
{
    struct publisher *publisher = calloc(1, sizeof *publisher);
    if (publisher == NULL) {
        snprintf(problem, BROKER_PROBLEM_SIZE, "out of memory");
        return NULL;
    }
    publisher->oldest = 1;
    publisher->connection = broker_connect(url, identity, cancelled, problem);
    if (publisher->connection == NULL)
        goto free_publisher;
    amqp_confirm_select(publisher->connection, BROKER_CHANNEL);
    const amqp_rpc_reply_t reply = amqp_get_rpc_reply(publisher->connection);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        broker_reply_problem(&reply, "asking for confirmations", problem);
        goto abandon_connection;
    }
    return publisher;

abandon_connection:
    broker_abandon(publisher->connection);
free_publisher:
    free(publisher);
    return NULL;
}

struct publisher *publisher_open(const struct broker_url *url, const struct broker_identity *identity,
                                 char problem[BROKER_PROBLEM_SIZE])
{
    return publisher_open_cancellable(url, identity, NULL, problem);
}

void publisher_close(struct publisher *publisher)
{
    if (publisher == NULL)
        return;
    if (publisher->broken)
        broker_abandon(publisher->connection);
    else
        broker_close(publisher->connection, BROKER_RPC_TIMEOUT_MS);
    free(publisher->frame);
    free(publisher);
}

static bool declare(struct publisher *publisher, const char *exchange, const char *type, bool only_look,
                    const char *doing, char problem[BROKER_PROBLEM_SIZE])
{
    amqp_exchange_declare(publisher->connection, BROKER_CHANNEL, amqp_cstring_bytes(exchange), amqp_cstring_bytes(type),
                          only_look, true, false, false, amqp_empty_table);
    const amqp_rpc_reply_t reply = amqp_get_rpc_reply(publisher->connection);
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return true;
    char doing_what[300];
    snprintf(doing_what, sizeof doing_what, "%s exchange \"%.200s\"", doing, exchange);
    broker_reply_problem(&reply, doing_what, problem);
    publisher->broken = true;
    return false;
}

bool publisher_declare(struct publisher *publisher, const char *exchange, const char *type,
                       char problem[BROKER_PROBLEM_SIZE])
{
    return declare(publisher, exchange, type, false, "declaring", problem);
}

bool publisher_find_exchange(struct publisher *publisher, const char *exchange, char problem[BROKER_PROBLEM_SIZE])
{
    return declare(publisher, exchange, "", true, "looking for", problem);
}

/* ---- What the broker answers */

static void answer_one(struct publisher *publisher, uint64_t number, uint64_t *counter)
{
    bool *answered = &publisher->answered[number % PUBLISHER_WINDOW];
    if (!*answered) {
        *answered = true;
        (*counter)++;
    }
}

static void take_answer(struct publisher *publisher, uint64_t number, bool multiple, uint64_t *counter)
{
    if (number < publisher->oldest || number > publisher->sent)
        return;
    for (uint64_t n = multiple ? publisher->oldest : number; n <= number; n++)
        answer_one(publisher, n, counter);
    while (publisher->oldest <= publisher->sent && publisher->answered[publisher->oldest % PUBLISHER_WINDOW]) {
        publisher->answered[publisher->oldest % PUBLISHER_WINDOW] = false;
        publisher->oldest++;
    }
}

static void copy_name(char out[SHORT_STRING_SIZE], amqp_bytes_t name)
{
    snprintf(out, SHORT_STRING_SIZE, "%.*s", (int)name.len, name.bytes != NULL ? (const char *)name.bytes : "");
}

static void take_return(struct publisher *publisher, const amqp_basic_return_t *returned)
{
    if (publisher->counts.unroutable++ == 0) {
        copy_name(publisher->unroutable_exchange, returned->exchange);
        copy_name(publisher->unroutable_key, returned->routing_key);
    }
}

/* False when the broker has ended the channel or the connection. */
static bool take_frame(struct publisher *publisher, const amqp_frame_t *frame, char problem[BROKER_PROBLEM_SIZE])
{
    /* The header and the body that follow a basic.return are the event itself, of no interest here. */
    if (frame->frame_type != AMQP_FRAME_METHOD)
        return true;
    const amqp_method_t *method = &frame->payload.method;
    if (method->id == AMQP_BASIC_ACK_METHOD) {
        const amqp_basic_ack_t *ack = method->decoded;
        take_answer(publisher, ack->delivery_tag, ack->multiple != 0, &publisher->counts.confirmed);
    } else if (method->id == AMQP_BASIC_NACK_METHOD) {
        const amqp_basic_nack_t *nack = method->decoded;
        take_answer(publisher, nack->delivery_tag, nack->multiple != 0, &publisher->counts.refused);
    } else if (method->id == AMQP_BASIC_RETURN_METHOD) {
        take_return(publisher, method->decoded);
    } else if (method->id == AMQP_CONNECTION_BLOCKED_METHOD || method->id == AMQP_CONNECTION_UNBLOCKED_METHOD) {
        publisher->blocked = method->id == AMQP_CONNECTION_BLOCKED_METHOD;
    } else if (broker_method_problem(method, problem)) {
        publisher->broken = true;
        return false;
    }
    return true;
}

/* Takes one frame, waiting for it up to `wait_ms`. *came says whether there was one. */
static bool read_frame(struct publisher *publisher, uint32_t wait_ms, bool *came, char problem[BROKER_PROBLEM_SIZE])
{
    amqp_frame_t frame;
    const struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = (long)(wait_ms % 1000) * 1000};
    int status = amqp_simple_wait_frame_noblock(publisher->connection, &frame, &wait);
    *came = status == AMQP_STATUS_OK;
    if (status == AMQP_STATUS_TIMEOUT)
        return true;
    if (status != AMQP_STATUS_OK) {
        broker_status_problem(status, "reading from the broker", problem);
        publisher->broken = true;
        return false;
    }
    bool good = take_frame(publisher, &frame, problem);
    amqp_maybe_release_buffers(publisher->connection);
    return good;
}

/* Takes what is there without waiting. */
static bool read_answers(struct publisher *publisher, char problem[BROKER_PROBLEM_SIZE])
{
    bool came = true;
    while (came) {
        if (!read_frame(publisher, 0, &came, problem))
            return false;
    }
    return true;
}

/* Waits until at most `open` events have no answer. */
static bool await_answers(struct publisher *publisher, uint64_t open, char problem[BROKER_PROBLEM_SIZE])
{
    uint64_t progress_ms = clock_monotonic_ms();
    while (publisher->sent + 1 - publisher->oldest > open) {
        bool came;
        if (!read_frame(publisher, 1000, &came, problem))
            return false;
        if (came) {
            progress_ms = clock_monotonic_ms();
        } else if (clock_monotonic_ms() - progress_ms > PUBLISHER_TIMEOUT_MS) {
            snprintf(problem, BROKER_PROBLEM_SIZE,
                     "the broker has confirmed nothing for %u s: is it short of memory or disk? (rabbitmqctl status)",
                     PUBLISHER_TIMEOUT_MS / 1000);
            publisher->broken = true;
            return false;
        }
    }
    return true;
}

/* ---- Sending */

bool publisher_fits(struct publisher *publisher, const amqp_basic_properties_t *properties)
{
    const size_t frame_max = (size_t)amqp_get_frame_max(publisher->connection);
    if (publisher->frame == NULL)
        publisher->frame = malloc(frame_max);
    if (publisher->frame == NULL)
        return false;
    amqp_basic_properties_t copy = *properties;
    const amqp_bytes_t room = {.len = frame_max - FRAME_OVERHEAD, .bytes = publisher->frame};
    return amqp_encode_properties(AMQP_BASIC_CLASS, &copy, room) >= 0;
}

bool publisher_send(struct publisher *publisher, const struct publication *publication,
                    char problem[BROKER_PROBLEM_SIZE])
{
    if (!await_answers(publisher, PUBLISHER_WINDOW - 1, problem))
        return false;
    /* amqp_bytes_t has no const; the library only reads. */
    union {
        const void *in;
        void *out;
    } body = {.in = publication->body};
    int status = amqp_basic_publish(publisher->connection, BROKER_CHANNEL, amqp_cstring_bytes(publication->exchange),
                                    amqp_cstring_bytes(publication->routing_key), true, false, publication->properties,
                                    (amqp_bytes_t){.len = publication->body_size, .bytes = body.out});
    if (status != AMQP_STATUS_OK) {
        publisher->broken = true;
        /* The broker may have said why before it closed the connection. */
        problem[0] = '\0';
        char reason[BROKER_PROBLEM_SIZE] = "";
        (void)read_answers(publisher, reason);
        if (strstr(reason, "the broker says") != NULL)
            snprintf(problem, BROKER_PROBLEM_SIZE, "%s", reason);
        else
            broker_status_problem(status, "publishing", problem);
        return false;
    }
    publisher->sent++;
    publisher->counts.published++;
    return publisher->sent % READ_EVERY != 0 || read_answers(publisher, problem);
}

bool publisher_finish(struct publisher *publisher, char problem[BROKER_PROBLEM_SIZE])
{
    return await_answers(publisher, 0, problem);
}

bool publisher_wait(struct publisher *publisher, uint32_t wait_ms, char problem[BROKER_PROBLEM_SIZE])
{
    uint64_t deadline_ms = clock_monotonic_ms() + wait_ms;
    while (publisher->oldest <= publisher->sent) {
        uint64_t now_ms = clock_monotonic_ms();
        bool came;
        if (!read_frame(publisher, now_ms < deadline_ms ? (uint32_t)(deadline_ms - now_ms) : 0, &came, problem))
            return false;
        if (!came && now_ms >= deadline_ms)
            break;
    }
    return true;
}

uint64_t publisher_awaited(const struct publisher *publisher)
{
    return publisher->sent + 1 - publisher->oldest;
}

bool publisher_blocked(const struct publisher *publisher)
{
    return publisher->blocked;
}

struct publisher_counts publisher_counts(const struct publisher *publisher)
{
    return publisher->counts;
}

const char *publisher_unroutable_exchange(const struct publisher *publisher)
{
    return publisher->unroutable_exchange;
}

const char *publisher_unroutable_key(const struct publisher *publisher)
{
    return publisher->unroutable_key;
}
