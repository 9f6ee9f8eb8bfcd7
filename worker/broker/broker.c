/*
 * broker.c - connections to the broker, and their failures in words. See broker.h.
 *
 * The TCP connection is made here and handed to rabbitmq-c: the library's own connect keeps the reason of a failure to
 * itself and cannot be interrupted.
 */
#define _GNU_SOURCE /* TCP_USER_TIMEOUT */

#include "broker.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#if __has_include(<rabbitmq-c/tcp_socket.h>)
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp_tcp_socket.h>
#endif

#include "clock.h"

#define CONNECT_SLICE_MS 100 /* how often a pending connect looks whether it is still wanted */

static struct timeval timeval_of_ms(uint32_t ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (long)(ms % 1000) * 1000};
}

static bool is_cancelled(const atomic_bool *cancelled)
{
    /* Relaxed: a flag alone, nothing is read on the strength of it. */
    return cancelled != NULL && atomic_load_explicit(cancelled, memory_order_relaxed);
}

/* ---- TCP */

/* Waits until a connect in progress has ended; its errno, 0 if it succeeded. */
static int await_connect(int fd, const atomic_bool *cancelled)
{
    uint64_t deadline_ms = clock_monotonic_ms() + BROKER_CONNECT_TIMEOUT_MS;
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        int ready = poll(&wait, 1, CONNECT_SLICE_MS);
        if (ready < 0 && errno != EINTR)
            return errno;
        if (ready > 0) {
            int result = 0;
            socklen_t size = sizeof result;
            return getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &size) == 0 ? result : errno;
        }
        if (is_cancelled(cancelled))
            return ECANCELED;
        if (clock_monotonic_ms() >= deadline_ms)
            return ETIMEDOUT;
    }
}

static int connect_address(const struct addrinfo *address, const atomic_bool *cancelled, int *connected)
{
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, address->ai_protocol);
    if (fd < 0)
        return errno;
    const int on = 1;
    const unsigned silence_ms = BROKER_SILENCE_MAX_MS;
    /* Neither is worth failing for: without them the heartbeat still notices a dead peer, only later. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence_ms, sizeof silence_ms);
    int result = connect(fd, address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
    if (result == EINPROGRESS)
        result = await_connect(fd, cancelled);
    if (result != 0) {
        close(fd);
        return result;
    }
    *connected = fd;
    return 0;
}

static int connect_host(const struct broker_url *url, const atomic_bool *cancelled, char problem[BROKER_PROBLEM_SIZE])
{
    struct addrinfo *addresses;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int looked_up = getaddrinfo(url->host, url->port, &hints, &addresses);
    if (looked_up != 0) {
        snprintf(problem, BROKER_PROBLEM_SIZE, "the host name %s cannot be resolved (%s): check its spelling, and DNS",
                 url->host, looked_up == EAI_SYSTEM ? strerror(errno) : gai_strerror(looked_up));
        return -1;
    }
    int fd = -1;
    int result = 0;
    for (const struct addrinfo *address = addresses; address != NULL && fd < 0; address = address->ai_next) {
        result = connect_address(address, cancelled, &fd);
        if (result == ECANCELED)
            break;
    }
    freeaddrinfo(addresses);
    if (fd < 0 && result == ETIMEDOUT) {
        snprintf(problem, BROKER_PROBLEM_SIZE,
                 "no answer from %s port %s: check that the address is right and that no firewall swallows packets",
                 url->host, url->port);
    } else if (fd < 0) {
        snprintf(problem, BROKER_PROBLEM_SIZE,
                 "cannot connect to %s port %s (%s): check that the broker runs and listens there", url->host,
                 url->port, strerror(result));
    }
    return fd;
}

/* ---- What went wrong, in words */

static void describe_close(const char *doing, unsigned code, amqp_bytes_t text, char problem[BROKER_PROBLEM_SIZE])
{
    int length = (int)(text.len < 300 ? text.len : 300);
    snprintf(problem, BROKER_PROBLEM_SIZE, "%s: the broker says %u %.*s", doing, code, length,
             text.bytes != NULL ? (const char *)text.bytes : "");
}

unsigned broker_reply_code(const amqp_rpc_reply_t *reply)
{
    if (reply->reply_type != AMQP_RESPONSE_SERVER_EXCEPTION)
        return 0;
    if (reply->reply.id == AMQP_CHANNEL_CLOSE_METHOD)
        return ((const amqp_channel_close_t *)reply->reply.decoded)->reply_code;
    if (reply->reply.id == AMQP_CONNECTION_CLOSE_METHOD)
        return ((const amqp_connection_close_t *)reply->reply.decoded)->reply_code;
    return 0;
}

static bool is_cut(int status)
{
    return status == AMQP_STATUS_CONNECTION_CLOSED || status == AMQP_STATUS_SOCKET_CLOSED ||
           status == AMQP_STATUS_SOCKET_ERROR || status == AMQP_STATUS_TCP_ERROR;
}

void broker_status_problem(int status, const char *doing, char problem[BROKER_PROBLEM_SIZE])
{
    const char *reason = amqp_error_string2(status);
    /* Which of the four it is depends on timing; a reason that stays the same must also read the same. */
    if (is_cut(status))
        reason = "the connection was closed or reset";
    else if (status == AMQP_STATUS_HEARTBEAT_TIMEOUT)
        reason = "the broker has been silent for longer than two heartbeats";
    else if (status == AMQP_STATUS_TIMEOUT)
        reason = "the broker did not answer in time";
    snprintf(problem, BROKER_PROBLEM_SIZE, "%s: %s", doing, reason);
}

void broker_reply_problem(const amqp_rpc_reply_t *reply, const char *doing, char problem[BROKER_PROBLEM_SIZE])
{
    if (reply->reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) {
        broker_status_problem(reply->library_error, doing, problem);
    } else if (reply->reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply->reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *close_method = reply->reply.decoded;
        describe_close(doing, close_method->reply_code, close_method->reply_text, problem);
    } else if (reply->reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply->reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *close_method = reply->reply.decoded;
        describe_close(doing, close_method->reply_code, close_method->reply_text, problem);
    } else {
        snprintf(problem, BROKER_PROBLEM_SIZE, "%s: an answer that does not fit the question", doing);
    }
}

bool broker_method_problem(const amqp_method_t *method, char problem[BROKER_PROBLEM_SIZE])
{
    if (method->id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *close_method = method->decoded;
        describe_close("the connection was closed", close_method->reply_code, close_method->reply_text, problem);
        return true;
    }
    if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *close_method = method->decoded;
        describe_close("the channel was closed", close_method->reply_code, close_method->reply_text, problem);
        return true;
    }
    if (method->id == AMQP_BASIC_CANCEL_METHOD) {
        snprintf(problem, BROKER_PROBLEM_SIZE, "the broker cancelled the consumer: the queue was deleted or has moved");
        return true;
    }
    return false;
}

/* A login fails in ways that need different people to act. */
static void describe_login(const amqp_rpc_reply_t *reply, const struct broker_url *url,
                           char problem[BROKER_PROBLEM_SIZE])
{
    char reason[BROKER_PROBLEM_SIZE];
    broker_reply_problem(reply, "logging in", reason);
    unsigned code = broker_reply_code(reply);
    if (code == AMQP_ACCESS_REFUSED)
        snprintf(problem, BROKER_PROBLEM_SIZE,
                 "the broker refused to log in user %.64s at virtual host %.64s: check user and password, and whether "
                 "this user may log in from here (guest may only from the broker's own host); %.256s",
                 url->user, url->vhost, reason);
    else if (code == AMQP_NOT_ALLOWED)
        snprintf(problem, BROKER_PROBLEM_SIZE,
                 "the broker does not let user %.64s into virtual host %.64s: check that it exists (rabbitmqctl "
                 "list_vhosts) and that the user has permissions there (rabbitmqctl set_permissions); %.256s",
                 url->user, url->vhost, reason);
    else if (code == 0 && reply->reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION &&
             (is_cut(reply->library_error) || reply->library_error == AMQP_STATUS_INCOMPATIBLE_AMQP_VERSION ||
              reply->library_error == AMQP_STATUS_BAD_AMQP_DATA))
        snprintf(problem, BROKER_PROBLEM_SIZE,
                 "%.256s; check that %.64s port %s is RabbitMQ's AMQP port (5672), neither its TLS port nor its web "
                 "page",
                 reason, url->host, url->port);
    else
        snprintf(problem, BROKER_PROBLEM_SIZE, "%s", reason);
}

/* ---- AMQP */

static amqp_table_entry_t string_entry(const char *key, const char *value)
{
    return (amqp_table_entry_t){
        .key = amqp_cstring_bytes(key),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value)},
    };
}

static amqp_table_entry_t true_entry(const char *key)
{
    return (amqp_table_entry_t){
        .key = amqp_cstring_bytes(key),
        .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1},
    };
}

static bool log_in(amqp_connection_state_t connection, const struct broker_url *url,
                   const struct broker_identity *identity, char problem[BROKER_PROBLEM_SIZE])
{
    /* What a client does not claim here, the broker never sends it. */
    amqp_table_entry_t capabilities[] = {
        true_entry("consumer_cancel_notify"),       true_entry("connection.blocked"),
        true_entry("publisher_confirms"),           true_entry("basic.nack"),
        true_entry("authentication_failure_close"),
    };
    amqp_table_entry_t properties[] = {
        string_entry("product", "quash"),
        string_entry("version", identity->version),
        string_entry("connection_name", identity->name),
        {
            .key = amqp_cstring_bytes("capabilities"),
            .value = {.kind = AMQP_FIELD_KIND_TABLE,
                      .value.table = {.num_entries = sizeof capabilities / sizeof capabilities[0],
                                      .entries = capabilities}},
        },
    };
    const amqp_table_t table = {.num_entries = sizeof properties / sizeof properties[0], .entries = properties};
    amqp_rpc_reply_t reply = amqp_login_with_properties(connection, url->vhost, 0, BROKER_FRAME_MAX, BROKER_HEARTBEAT_S,
                                                        &table, AMQP_SASL_METHOD_PLAIN, url->user, url->password);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        describe_login(&reply, url, problem);
        return false;
    }
    amqp_channel_open(connection, BROKER_CHANNEL);
    reply = amqp_get_rpc_reply(connection);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        broker_reply_problem(&reply, "opening a channel", problem);
        return false;
    }
    return true;
}

amqp_connection_state_t broker_connect(const struct broker_url *url, const struct broker_identity *identity,
                                       const atomic_bool *cancelled, char problem[BROKER_PROBLEM_SIZE])
{
    int fd = connect_host(url, cancelled, problem);
    if (fd < 0)
        return NULL;
    amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = connection != NULL ? amqp_tcp_socket_new(connection) : NULL;
    if (socket == NULL) {
        snprintf(problem, BROKER_PROBLEM_SIZE, "out of memory while connecting");
        close(fd);
        broker_abandon(connection);
        return NULL;
    }
    amqp_tcp_socket_set_sockfd(socket, fd); /* from here on the library closes it */
    const struct timeval login_timeout = timeval_of_ms(BROKER_LOGIN_TIMEOUT_MS);
    const struct timeval rpc_timeout = timeval_of_ms(BROKER_RPC_TIMEOUT_MS);
    if (amqp_set_handshake_timeout(connection, &login_timeout) != AMQP_STATUS_OK ||
        amqp_set_rpc_timeout(connection, &rpc_timeout) != AMQP_STATUS_OK ||
        !log_in(connection, url, identity, problem)) {
        broker_abandon(connection);
        return NULL;
    }
    return connection;
}

void broker_close(amqp_connection_state_t connection, uint32_t timeout_ms)
{
    if (connection == NULL)
        return;
    const struct timeval timeout = timeval_of_ms(timeout_ms);
    (void)amqp_set_rpc_timeout(connection, &timeout);
    (void)amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    broker_abandon(connection);
}

void broker_abandon(amqp_connection_state_t connection)
{
    if (connection == NULL)
        return;
    /* Destroying closes the socket if the library has not done so already. */
    (void)amqp_destroy_connection(connection);
}

void broker_cluster_name(amqp_connection_state_t connection, char *out, size_t size)
{
    const amqp_table_t *properties = amqp_get_server_properties(connection);
    out[0] = '\0';
    for (int i = 0; properties != NULL && i < properties->num_entries; i++) {
        const amqp_table_entry_t *entry = &properties->entries[i];
        if (entry->value.kind == AMQP_FIELD_KIND_UTF8 && entry->key.len == strlen("cluster_name") &&
            memcmp(entry->key.bytes, "cluster_name", entry->key.len) == 0) {
            const amqp_bytes_t name = entry->value.value.bytes;
            snprintf(out, size, "%.*s", (int)name.len, (const char *)name.bytes);
        }
    }
}

bool broker_reopen_channel(amqp_connection_state_t connection, char problem[BROKER_PROBLEM_SIZE])
{
    amqp_channel_close_ok_t close_ok = {0};
    int status = amqp_send_method(connection, BROKER_CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD, &close_ok);
    if (status != AMQP_STATUS_OK) {
        broker_status_problem(status, "confirming a closed channel", problem);
        return false;
    }
    amqp_maybe_release_buffers(connection);
    amqp_channel_open(connection, BROKER_CHANNEL);
    const amqp_rpc_reply_t reply = amqp_get_rpc_reply(connection);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        broker_reply_problem(&reply, "opening the channel again", problem);
        return false;
    }
    return true;
}
