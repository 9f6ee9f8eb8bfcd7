/*
 * events.c - the only user of rabbitmq-c. One thread has the connection to itself, because every call on it may block.
 *
 * The thread looks into the outbox when it is woken, and once a second besides: for what could not be published
 * before, and for what another instance on the same database left behind. Each event is confirmed before the next is
 * sent, which keeps the code short; a service with thousands of changes a second would keep several under way.
 */
#include "events.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_tcp_socket.h>
#endif

#define CHANNEL           1
#define HEARTBEAT_SECONDS 10
#define LOOK_EVERY_MS     1000 /* well below half the heartbeat, which is served when the thread looks */
#define CONFIRM_SECONDS   5

static const struct timeval STEP_TIMEOUT = {.tv_sec = 3}; /* for connecting, logging in, and each call */

struct events {
    struct profile_db *db;
    char *url; /* what `broker` points into */
    struct amqp_connection_info broker;
    pthread_t thread;

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool woken, stopping, connected; /* guarded by mutex */

    amqp_connection_state_t connection; /* the thread's; NULL while there is none */
    bool complained;                    /* the thread's: an outage is reported once */
    char refusal[256];                  /* the thread's: what the broker said; a short string has at most 255 bytes */
};

/* ---- The connection ------------------------------------------------------------------------------------------------
 */

static void set_connected(struct events *events, bool connected)
{
    pthread_mutex_lock(&events->mutex);
    events->connected = connected;
    pthread_mutex_unlock(&events->mutex);
}

static void disconnect(struct events *events, const char *reason)
{
    if (!events->complained)
        fprintf(stderr, "profile-service: no broker at %s:%d (%s); events wait in the outbox\n", events->broker.host,
                events->broker.port, reason);
    events->complained = true;
    amqp_destroy_connection(events->connection);
    events->connection = NULL;
    set_connected(events, false);
}

/* Why a call failed, in words that last until the next call; NULL if it did not. */
static const char *reply_problem(struct events *events, amqp_rpc_reply_t reply)
{
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return NULL;
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
        return amqp_error_string2(reply.library_error);

    amqp_bytes_t text = amqp_cstring_bytes("it refused without a reason");
    if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD)
        text = ((const amqp_connection_close_t *)reply.reply.decoded)->reply_text;
    else if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD)
        text = ((const amqp_channel_close_t *)reply.reply.decoded)->reply_text;
    snprintf(events->refusal, sizeof events->refusal, "%.*s", (int)text.len, (const char *)text.bytes);
    return events->refusal;
}

static const char *connect_steps(struct events *events)
{
    amqp_socket_t *socket = events->connection ? amqp_tcp_socket_new(events->connection) : NULL;
    if (!socket)
        return "out of memory";
    const int status = amqp_socket_open_noblock(socket, events->broker.host, events->broker.port, &STEP_TIMEOUT);
    if (status != AMQP_STATUS_OK)
        return amqp_error_string2(status);
    amqp_set_handshake_timeout(events->connection, &STEP_TIMEOUT);
    amqp_set_rpc_timeout(events->connection, &STEP_TIMEOUT);

    amqp_table_entry_t name = {
        .key = amqp_cstring_bytes("connection_name"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("profile-service: events")}};
    const amqp_table_t properties = {.num_entries = 1, .entries = &name};
    const char *problem = reply_problem(
        events, amqp_login_with_properties(events->connection, events->broker.vhost, AMQP_DEFAULT_MAX_CHANNELS,
                                           AMQP_DEFAULT_FRAME_SIZE, HEARTBEAT_SECONDS, &properties,
                                           AMQP_SASL_METHOD_PLAIN, events->broker.user, events->broker.password));
    if (problem)
        return problem;

    amqp_channel_open(events->connection, CHANNEL);
    problem = reply_problem(events, amqp_get_rpc_reply(events->connection));
    if (problem)
        return problem;
    amqp_exchange_declare(events->connection, CHANNEL, amqp_cstring_bytes(EVENTS_EXCHANGE), amqp_cstring_bytes("topic"),
                          false, true, false, false, amqp_empty_table);
    problem = reply_problem(events, amqp_get_rpc_reply(events->connection));
    if (problem)
        return problem;
    amqp_confirm_select(events->connection, CHANNEL);
    return reply_problem(events, amqp_get_rpc_reply(events->connection));
}

static bool connect_broker(struct events *events)
{
    events->connection = amqp_new_connection();
    const char *problem = connect_steps(events);
    if (problem) {
        disconnect(events, problem);
        return false;
    }
    fprintf(stderr, "profile-service: publishing to exchange %s at %s:%d\n", EVENTS_EXCHANGE, events->broker.host,
            events->broker.port);
    events->complained = false;
    set_connected(events, true);
    return true;
}

/* ---- Publishing ----------------------------------------------------------------------------------------------------
 */

/* Waits until the broker has taken responsibility for the one event that is under way. NULL, or why it has not. */
static const char *await_confirm(struct events *events)
{
    struct timeval timeout = {.tv_sec = CONFIRM_SECONDS};
    amqp_frame_t frame;
    const int status = amqp_simple_wait_frame_noblock(events->connection, &frame, &timeout);
    if (status != AMQP_STATUS_OK)
        return amqp_error_string2(status);
    if (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
        return "the broker did not confirm an event";
    amqp_maybe_release_buffers(events->connection);
    return NULL;
}

static const char *publish(struct events *events, const struct outbox_event *event)
{
    const amqp_basic_properties_t properties = {._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG,
                                                .content_type = amqp_cstring_bytes("application/json"),
                                                .delivery_mode = AMQP_DELIVERY_PERSISTENT};
    const int status = amqp_basic_publish(events->connection, CHANNEL, amqp_cstring_bytes(EVENTS_EXCHANGE),
                                          amqp_cstring_bytes(event->routing_key), false, false, &properties,
                                          amqp_cstring_bytes(event->body));
    return status == AMQP_STATUS_OK ? await_confirm(events) : amqp_error_string2(status);
}

/* Serves heartbeats, and finds out whether the broker has gone. */
static const char *look_at_connection(struct events *events)
{
    struct timeval now = {0};
    amqp_frame_t frame;
    const int status = amqp_simple_wait_frame_noblock(events->connection, &frame, &now);
    if (status == AMQP_STATUS_TIMEOUT)
        return NULL;
    return status == AMQP_STATUS_OK ? "the broker closed the channel" : amqp_error_string2(status);
}

/* ---- The thread ----------------------------------------------------------------------------------------------------
 */

static bool is_stopping(struct events *events)
{
    pthread_mutex_lock(&events->mutex);
    const bool stopping = events->stopping;
    pthread_mutex_unlock(&events->mutex);
    return stopping;
}

/* Until woken, or until it is time to look. */
static void wait_for_work(struct events *events)
{
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += LOOK_EVERY_MS / 1000;
    pthread_mutex_lock(&events->mutex);
    while (!events->woken && !events->stopping)
        if (pthread_cond_timedwait(&events->changed, &events->mutex, &deadline) == ETIMEDOUT)
            break;
    events->woken = false;
    pthread_mutex_unlock(&events->mutex);
}

/* Publishes what the outbox holds. NULL, or why it could not. */
static const char *empty_outbox(struct events *events)
{
    struct outbox_event event;
    while (!is_stopping(events) && profile_db_outbox_first(events->db, &event) == DB_OK) {
        const char *problem = publish(events, &event);
        const bool deleted = !problem && profile_db_outbox_delete(events->db, event.id) == DB_OK;
        outbox_event_fini(&event);
        if (!deleted)
            return problem;
    }
    return NULL;
}

static void *emit(void *context)
{
    struct events *events = context;
    for (; !is_stopping(events); wait_for_work(events)) {
        if (!events->connection && !connect_broker(events))
            continue;
        const char *problem = look_at_connection(events);
        if (!problem)
            problem = empty_outbox(events);
        if (problem)
            disconnect(events, problem);
    }
    if (events->connection) {
        amqp_connection_close(events->connection, AMQP_REPLY_SUCCESS);
        amqp_destroy_connection(events->connection);
    }
    return NULL;
}

struct events *events_start(struct profile_db *db, const char *amqp_url)
{
    struct events *events = calloc(1, sizeof *events);
    char *url = malloc(strlen(amqp_url) + 1);
    if (!events || !url) {
        fputs("profile-service: out of memory\n", stderr);
        goto free_memory;
    }
    strcpy(url, amqp_url);
    events->db = db;
    events->url = url;
    if (amqp_parse_url(events->url, &events->broker) != AMQP_STATUS_OK || events->broker.ssl) {
        fputs("profile-service: --amqp-url must look like amqp://user:password@host:port/vhost\n", stderr);
        goto free_memory;
    }

    /* "amqp://host/" is read as the virtual host of no name, which nobody has and many write. */
    if (events->broker.vhost[0] == '\0')
        events->broker.vhost = "/";

    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&events->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&events->mutex, NULL);
    if (pthread_create(&events->thread, NULL, emit, events) != 0) {
        fputs("profile-service: cannot start a thread\n", stderr);
        goto destroy_locks;
    }
    return events;

destroy_locks:
    pthread_mutex_destroy(&events->mutex);
    pthread_cond_destroy(&events->changed);
free_memory:
    free(url);
    free(events);
    return NULL;
}

void events_stop(struct events *events)
{
    if (!events)
        return;
    pthread_mutex_lock(&events->mutex);
    events->stopping = true;
    pthread_cond_signal(&events->changed);
    pthread_mutex_unlock(&events->mutex);
    pthread_join(events->thread, NULL);
    pthread_mutex_destroy(&events->mutex);
    pthread_cond_destroy(&events->changed);
    free(events->url);
    free(events);
}

void events_wake(struct events *events)
{
    pthread_mutex_lock(&events->mutex);
    events->woken = true;
    pthread_cond_signal(&events->changed);
    pthread_mutex_unlock(&events->mutex);
}

bool events_connected(struct events *events)
{
    pthread_mutex_lock(&events->mutex);
    const bool connected = events->connected;
    pthread_mutex_unlock(&events->mutex);
    return connected;
}
