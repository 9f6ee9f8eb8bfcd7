/*
 * clients.h - the TCP side: a key a line, an answer a line, in that order for each client. One thread: the loop's.
 *
 *     alice                 ─►  value alice, read by query 1
 *     missing-person        ─►  absent
 *     (too slow)            ─►  timed out
 *     (anything else)       ─►  error and a sentence
 */
#ifndef EVENTLOOP_CLIENTS_H
#define EVENTLOOP_CLIENTS_H

#include <ev.h>
#include <netinet/in.h>

#include "answers.h"

struct clients;

/* Listens on the loopback address. NULL after a message on stderr. */
struct clients *clients_open(struct ev_loop *loop, struct answers *answers, in_port_t port);
/* The port it listens on, in the host's byte order. */
unsigned clients_port(const struct clients *clients);
/* Parts with all clients. */
void clients_close(struct clients *clients);

#endif
