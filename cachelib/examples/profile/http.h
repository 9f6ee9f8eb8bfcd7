/*
 * http.h - the service's endpoints. README.md lists them.
 */
#ifndef HTTP_H
#define HTTP_H

#include <netinet/in.h>
#include <stdbool.h>

#include "events.h"
#include "gate.h"
#include "profile_cache.h"
#include "profile_db.h"

/* What the handlers work on; all borrowed. */
struct http_parts {
    struct profile_db *db;
    struct profile_cache *cache;
    struct events *events;
    struct gate *gate;
    bool debug; /* whether /debug/... exists */
};

struct http;

/* Listens; port 0 takes a free one. NULL on failure, explained on standard error. */
struct http *http_start(const struct sockaddr_in *address, const struct http_parts *parts);

/* The port that it listens on. */
unsigned http_port(const struct http *http);

/* Stops listening and waits for requests that are under way. NULL is fine. */
void http_stop(struct http *http);

#endif
