/*
 * clients.c - see clients.h. A client has one question under way at a time; lines that follow wait in its buffer, and
 * the socket is not read while that is full.
 */
#define _GNU_SOURCE /* accept4 */
#include "clients.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_MAX   512 /* bytes that may come before a line's end */
#define ANSWER_MAX 1024

struct client {
    struct asker asker; /* first, so that an asker leads to its client */
    struct clients *clients;
    struct client *next;
    struct client *previous;
    ev_io readable;
    ev_io writable; /* active while an answer is not out yet */
    bool waits;     /* for an answer */
    bool asking;    /* a question is just being asked: its answer may come within the call */
    bool ended;     /* nothing more will come from it */
    bool broken;    /* nothing more can be sent to it */
    size_t in_size;
    size_t out_size;
    char in[LINE_MAX];
    char out[ANSWER_MAX];
};

struct clients {
    struct ev_loop *loop;
    struct answers *answers;
    ev_io listening;
    struct client *first;
};

static void client_close(struct client *client)
{
    struct clients *clients = client->clients;
    answers_forget(&client->asker);
    ev_io_stop(clients->loop, &client->readable);
    ev_io_stop(clients->loop, &client->writable);
    close(client->readable.fd);
    if (client->previous != NULL)
        client->previous->next = client->next;
    else
        clients->first = client->next;
    if (client->next != NULL)
        client->next->previous = client->previous;
    free(client);
}

/* ---- Answers ---- */

static void send_some(struct client *client)
{
    ssize_t sent = send(client->writable.fd, client->out, client->out_size, MSG_NOSIGNAL);
    if (sent < 0) {
        client->broken = errno != EAGAIN && errno != EINTR;
        return;
    }
    client->out_size -= (size_t)sent;
    memmove(client->out, client->out + sent, client->out_size);
}

static void answer(struct client *client, const char *word, const char *text, size_t size)
{
    int written = snprintf(client->out, sizeof client->out, "%s%s%.*s", word, size == 0 ? "" : " ", (int)size, text);
    client->out_size = (size_t)written < sizeof client->out ? (size_t)written : sizeof client->out - 1;
    client->out[client->out_size++] = '\n';
    client->waits = false;
    send_some(client);
}

/* ---- Questions ---- */

static void ask(struct client *client, size_t size)
{
    client->asking = true;
    answers_ask(client->clients->answers, &client->asker, client->in, size);
    client->asking = false;
}

/* Takes the first line out of the buffer, and asks. False: there is none. */
static bool next_line(struct client *client)
{
    static const char TOO_LONG[] = "a key has 1 to 200 bytes";
    static_assert(ANSWERS_KEY_MAX == 200, "what it says");
    const char *end = memchr(client->in, '\n', client->in_size);
    if (end == NULL)
        return false;
    size_t line = (size_t)(end - client->in) + 1;
    size_t size = line - 1;
    if (size > 0 && client->in[size - 1] == '\r')
        size--;
    client->waits = true;
    if (size == 0 || size > ANSWERS_KEY_MAX)
        answer(client, "error", TOO_LONG, sizeof TOO_LONG - 1);
    else
        ask(client, size);
    client->in_size -= line;
    memmove(client->in, client->in + line, client->in_size);
    return true;
}

/* Goes on with a client as far as it can; may close it. Never called from within itself. */
static void go_on(struct client *client)
{
    struct ev_loop *loop = client->clients->loop;
    while (!client->broken && !client->waits && client->out_size == 0 && next_line(client))
        ;
    bool idle = !client->waits && client->out_size == 0;
    bool endless = idle && client->in_size == sizeof client->in;
    if (client->broken || endless || (client->ended && idle)) {
        client_close(client);
        return;
    }
    if (client->out_size != 0)
        ev_io_start(loop, &client->writable);
    else
        ev_io_stop(loop, &client->writable);
    if (!client->ended && client->in_size < sizeof client->in)
        ev_io_start(loop, &client->readable);
    else
        ev_io_stop(loop, &client->readable);
}

static void told(struct asker *asker, enum answer kind, const char *text, size_t size)
{
    static const char *const WORDS[] = {[ANSWER_VALUE] = "value",
                                        [ANSWER_ABSENT] = "absent",
                                        [ANSWER_TIMED_OUT] = "timed out",
                                        [ANSWER_FAILED] = "error"};
    struct client *client = (struct client *)asker;
    bool says_more = kind == ANSWER_VALUE || kind == ANSWER_FAILED;
    answer(client, WORDS[kind], text, says_more ? size : 0);
    /* Else this is within go_on, which goes on by itself. */
    if (!client->asking)
        go_on(client);
}

/* ---- Sockets ---- */

static void client_readable(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct client *client = io->data;
    ssize_t got = recv(io->fd, client->in + client->in_size, sizeof client->in - client->in_size, 0);
    if (got > 0)
        client->in_size += (size_t)got;
    else if (got == 0)
        client->ended = true;
    else
        client->broken = errno != EAGAIN && errno != EINTR;
    go_on(client);
}

static void client_writable(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct client *client = io->data;
    send_some(client);
    go_on(client);
}

static void client_came(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    struct clients *clients = io->data;
    int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        close(fd);
        return;
    }
    client->asker.told = told;
    client->clients = clients;
    client->next = clients->first;
    if (clients->first != NULL)
        clients->first->previous = client;
    clients->first = client;
    ev_io_init(&client->readable, client_readable, fd, EV_READ);
    ev_io_init(&client->writable, client_writable, fd, EV_WRITE);
    client->readable.data = client->writable.data = client;
    ev_io_start(loop, &client->readable);
}

struct clients *clients_open(struct ev_loop *loop, struct answers *answers, in_port_t port)
{
    struct clients *clients = calloc(1, sizeof *clients);
    if (clients == NULL)
        goto complain;
    clients->loop = loop;
    clients->answers = answers;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        goto complain;
    const int on = 1;
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = port};
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 || listen(fd, SOMAXCONN) != 0)
        goto close_fd;
    ev_io_init(&clients->listening, client_came, fd, EV_READ);
    clients->listening.data = clients;
    ev_io_start(loop, &clients->listening);
    return clients;

close_fd:
    perror("eventloop-service: cannot listen");
    close(fd);
    goto free_clients;
complain:
    perror("eventloop-service");
free_clients:
    free(clients);
    return NULL;
}

unsigned clients_port(const struct clients *clients)
{
    struct sockaddr_in address = {.sin_port = 0};
    socklen_t size = sizeof address;
    if (getsockname(clients->listening.fd, (struct sockaddr *)&address, &size) != 0)
        return 0;
    return ntohs(address.sin_port);
}

void clients_close(struct clients *clients)
{
    if (clients == NULL)
        return;
    for (struct client *client = clients->first, *next; client != NULL; client = next) {
        next = client->next;
        client_close(client);
    }
    ev_io_stop(clients->loop, &clients->listening);
    close(clients->listening.fd);
    free(clients);
}
