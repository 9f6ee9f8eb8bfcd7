/*
 * http.c - the only user of libmicrohttpd: routes, checks of what clients send, answers in JSON.
 *
 * One thread a connection, so that a slow load delays those who wait for that profile and nobody else. What clients
 * send is either checked against a small alphabet or left out of answers, so no answer needs JSON escaping here.
 */
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>

#define CONNECTIONS_MAX      256u
#define IDLE_TIMEOUT_SECONDS 60u
#define ID_DIGITS_MAX        18u /* what always fits an int64_t */
#define ANSWER_SIZE          1024u

struct http {
    struct MHD_Daemon *daemon;
    struct http_parts parts;
};

struct request {
    const struct http_parts *parts;
    struct MHD_Connection *connection;
    char subject[64]; /* what stands in the route's braces */
};

/* ---- Answers -------------------------------------------------------------------------------------------------------
 */

/* Sends `body`, copied, with one header more if `name` is not NULL. */
static enum MHD_Result send_json(struct request *request, unsigned status, const void *body, size_t size,
                                 const char *name, const char *value)
{
    /* MHD only reads a body that it is told to copy; its signature is older than const. */
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (name)
        MHD_add_response_header(response, name, value);
    const enum MHD_Result queued = MHD_queue_response(request->connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result answer(struct request *request, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum MHD_Result answer(struct request *request, unsigned status, const char *format, ...)
{
    char body[ANSWER_SIZE];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(body, sizeof body, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof body)
        return MHD_NO;
    return send_json(request, status, body, (size_t)length, NULL, NULL);
}

/* `sentence` is ours, never a client's. */
static enum MHD_Result refuse(struct request *request, unsigned status, const char *sentence)
{
    return answer(request, status, "{\"error\":\"%s\"}\n", sentence);
}

/* ---- What clients send ---------------------------------------------------------------------------------------------
 */

static bool parse_id(const char *text, int64_t *id)
{
    const size_t length = strlen(text);
    if (length == 0 || length > ID_DIGITS_MAX || strspn(text, "0123456789") != length)
        return false;
    *id = strtoll(text, NULL, 10);
    return *id > 0;
}

/* Whether `text` has 1 to `max` bytes, all of them printable ASCII and none of them in `except`. */
static bool is_plain(const char *text, size_t size, size_t max, const char *except)
{
    if (size == 0 || size > max)
        return false;
    for (size_t i = 0; i < size; i++)
        if (text[i] < ' ' || text[i] > '~' || strchr(except, text[i]))
            return false;
    return true;
}

/* The argument `name` of the query, if it is_plain; else NULL. */
static const char *argument(struct request *request, const char *name, size_t max, const char *except)
{
    const char *value = NULL;
    size_t size = 0;
    MHD_lookup_connection_value_n(request->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value, &size);
    return value && is_plain(value, size, max, except) ? value : NULL;
}

/* ---- Profiles ------------------------------------------------------------------------------------------------------
 */

static enum MHD_Result get_profile(struct request *request)
{
    int64_t id;
    if (!parse_id(request->subject, &id))
        return refuse(request, MHD_HTTP_BAD_REQUEST, "a profile's id is a positive number of at most 18 digits");

    quash_entry *entry;
    bool hit;
    const quash_status status = profile_cache_get(request->parts->cache, id, &entry, &hit);
    if (status == PROFILE_UNKNOWN)
        return refuse(request, MHD_HTTP_NOT_FOUND, "there is no profile with this id");
    if (status == QUASH_TIMED_OUT)
        return refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "loading this profile takes too long; try again");
    if (status != QUASH_OK)
        return refuse(request, MHD_HTTP_INTERNAL_SERVER_ERROR, quash_status_string(status));

    const enum MHD_Result queued = send_json(request, MHD_HTTP_OK, quash_entry_bytes(entry), quash_entry_size(entry),
                                             "X-Cache", hit ? "hit" : "miss");
    quash_entry_release(entry);
    return queued;
}

/* What every change does next: the database has committed it, with its event; now this host's caches; then the event
 * may go out to the other hosts; and last the answer. */
static enum MHD_Result changed(struct request *request, enum db_result result, const char *group)
{
    if (result == DB_NOT_FOUND)
        return refuse(request, MHD_HTTP_NOT_FOUND, "there is nothing of this name to change");
    if (result != DB_OK)
        return refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "the database could not make the change; try again");
    profile_cache_cancel(request->parts->cache, group);
    events_wake(request->parts->events);
    return answer(request, MHD_HTTP_OK, "{\"cancelled\":\"%s\"}\n", group);
}

static enum MHD_Result update_profile(struct request *request)
{
    int64_t id;
    if (!parse_id(request->subject, &id))
        return refuse(request, MHD_HTTP_BAD_REQUEST, "a profile's id is a positive number of at most 18 digits");
    const char *email = argument(request, "email", EMAIL_MAX, " \"\\<>");
    const char *at = email ? strchr(email, '@') : NULL;
    if (!at || at == email || at[1] == '\0' || strchr(at + 1, '@'))
        return refuse(request, MHD_HTTP_BAD_REQUEST,
                      "pass ?email=name@host with at most 254 ASCII characters, without spaces and quotes");

    char group[GROUP_SIZE];
    snprintf(group, sizeof group, USER_GROUP, id);
    return changed(request, profile_db_update_email(request->parts->db, id, email), group);
}

static enum MHD_Result revoke_permission(struct request *request)
{
    int64_t tenant_id;
    if (!parse_id(request->subject, &tenant_id))
        return refuse(request, MHD_HTTP_BAD_REQUEST, "a tenant's id is a positive number of at most 18 digits");
    const char *permission = argument(request, "permission", PERMISSION_MAX, " \"\\");
    if (!permission)
        return refuse(request, MHD_HTTP_BAD_REQUEST,
                      "pass ?permission=NAME with at most 64 ASCII characters, without spaces and quotes");

    char group[GROUP_SIZE];
    snprintf(group, sizeof group, TENANT_GROUP, tenant_id);
    return changed(request, profile_db_revoke_permission(request->parts->db, tenant_id, permission), group);
}

static enum MHD_Result update_region(struct request *request)
{
    const size_t length = strlen(request->subject);
    if (length == 0 || length > REGION_MAX ||
        strspn(request->subject, "abcdefghijklmnopqrstuvwxyz0123456789-") != length)
        return refuse(request, MHD_HTTP_BAD_REQUEST,
                      "a region's code is 1 to 32 lower-case letters, digits and hyphens");
    const char *name = argument(request, "name", REGION_NAME_MAX, "\"\\");
    if (!name)
        return refuse(request, MHD_HTTP_BAD_REQUEST, "pass ?name=NAME with 1 to 64 ASCII characters, without quotes");

    char group[GROUP_SIZE];
    snprintf(group, sizeof group, REGION_GROUP, request->subject);
    return changed(request, profile_db_rename_region(request->parts->db, request->subject, name), group);
}

/* ---- Operations ----------------------------------------------------------------------------------------------------
 */

static enum MHD_Result get_health(struct request *request)
{
    return answer(request, MHD_HTTP_OK, "{\"status\":\"ok\"}\n");
}

static enum MHD_Result get_stats(struct request *request)
{
    quash_cache_stats stats;
    quash_table_info info;
    profile_cache_stats(request->parts->cache, &stats, &info);
    return answer(
        request, MHD_HTTP_OK,
        "{\"cache\":{\"hits\":%" PRIu64 ",\"misses\":{\"absent\":%" PRIu64 ",\"expired\":%" PRIu64
        ",\"cancelled\":%" PRIu64 ",\"collateral\":%" PRIu64 ",\"detached\":%" PRIu64 "},\"loads\":%" PRIu64
        ",\"loads_failed\":%" PRIu64 ",\"loads_voided\":%" PRIu64 ",\"waits\":%" PRIu64 ",\"entries\":%" PRIu64
        ",\"bytes\":%" PRIu64 "},"
        "\"table\":{\"attached\":%s,\"worker_connected\":%s,\"changes\":%" PRIu64 "},"
        "\"events\":{\"connected\":%s,\"outbox\":%" PRId64 "}}\n",
        stats.hits, stats.misses_absent, stats.misses_expired, stats.misses_cancelled, stats.misses_collateral,
        stats.misses_detached, stats.loads, stats.loads_failed, stats.loads_voided, stats.waits, stats.entries,
        stats.bytes, info.incarnation ? "true" : "false", info.worker_connected ? "true" : "false", info.changes,
        events_connected(request->parts->events) ? "true" : "false", profile_db_outbox_count(request->parts->db));
}

static enum MHD_Result hold_next_load(struct request *request)
{
    if (!gate_arm(request->parts->gate))
        return refuse(request, MHD_HTTP_CONFLICT, "a load is held, or about to be; POST /debug/release first");
    return answer(request, MHD_HTTP_OK, "{\"gate\":\"armed\"}\n");
}

static enum MHD_Result release_load(struct request *request)
{
    gate_release(request->parts->gate);
    return answer(request, MHD_HTTP_OK, "{\"gate\":\"open\"}\n");
}

static enum MHD_Result get_gate(struct request *request)
{
    static const char *const names[] = {[GATE_OPEN] = "open", [GATE_ARMED] = "armed", [GATE_HELD] = "held"};
    return answer(request, MHD_HTTP_OK, "{\"gate\":\"%s\"}\n", names[gate_state(request->parts->gate)]);
}

/* ---- Routes --------------------------------------------------------------------------------------------------------
 */

static const struct route {
    const char *method;
    const char *before, *after; /* around the subject; `after` NULL: the path has none */
    bool debug;
    enum MHD_Result (*handler)(struct request *request);
} ROUTES[] = {
    {"GET", "/profile/", "", false, get_profile},
    {"POST", "/profile/", "/update", false, update_profile},
    {"POST", "/tenant/", "/revoke", false, revoke_permission},
    {"POST", "/region/", "/update", false, update_region},
    {"GET", "/health", NULL, false, get_health},
    {"GET", "/stats", NULL, false, get_stats},
    {"POST", "/debug/hold-next-load", NULL, true, hold_next_load},
    {"POST", "/debug/release", NULL, true, release_load},
    {"GET", "/debug/gate", NULL, true, get_gate},
};

/* Whether the route's path is this one; then *subject points to what stands in its braces. */
static bool route_matches(const struct route *route, const char *path, const char **subject, size_t *subject_size)
{
    if (!route->after) {
        *subject_size = 0;
        return strcmp(path, route->before) == 0;
    }
    const size_t length = strlen(path), before = strlen(route->before), after = strlen(route->after);
    if (length < before + after || strncmp(path, route->before, before) != 0 ||
        strcmp(path + length - after, route->after) != 0)
        return false;
    *subject = path + before;
    *subject_size = length - before - after;
    return !memchr(*subject, '/', *subject_size);
}

static enum MHD_Result dispatch(struct request *request, const char *method, const char *path)
{
    const char *allowed = NULL;
    for (size_t i = 0; i < sizeof ROUTES / sizeof ROUTES[0]; i++) {
        const struct route *route = &ROUTES[i];
        const char *subject = "";
        size_t size = 0;
        if ((route->debug && !request->parts->debug) || !route_matches(route, path, &subject, &size))
            continue;
        if (strcmp(method, route->method) != 0) {
            allowed = route->method;
            continue;
        }
        if (size >= sizeof request->subject)
            return refuse(request, MHD_HTTP_BAD_REQUEST, "the name in the path is too long");
        memcpy(request->subject, subject, size);
        request->subject[size] = '\0';
        return route->handler(request);
    }
    if (!allowed)
        return refuse(request, MHD_HTTP_NOT_FOUND, "there is no such path");
    char body[ANSWER_SIZE];
    const int length = snprintf(body, sizeof body, "{\"error\":\"this path takes %s only\"}\n", allowed);
    return send_json(request, MHD_HTTP_METHOD_NOT_ALLOWED, body, (size_t)length, MHD_HTTP_HEADER_ALLOW, allowed);
}

/* MHD calls this once with the headers, then with each piece of the body, then to be answered. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload, size_t *upload_size,
                                  void **seen)
{
    (void)version;
    (void)upload;
    struct http *http = context;
    if (!*seen) {
        *seen = http;
        return MHD_YES;
    }
    if (*upload_size > 0) { /* no endpoint wants a body */
        *upload_size = 0;
        return MHD_YES;
    }
    struct request request = {.parts = &http->parts, .connection = connection};
    const bool is_head = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0; /* MHD leaves the body out */
    return dispatch(&request, is_head ? MHD_HTTP_METHOD_GET : method, path);
}

struct http *http_start(const struct sockaddr_in *address, const struct http_parts *parts)
{
    struct http *http = malloc(sizeof *http);
    if (!http) {
        fputs("profile-service: out of memory\n", stderr);
        return NULL;
    }
    http->parts = *parts;
    http->daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL, 0, NULL, NULL,
                         on_request, http, MHD_OPTION_SOCK_ADDR, address, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
                         MHD_OPTION_CONNECTION_TIMEOUT, IDLE_TIMEOUT_SECONDS, MHD_OPTION_END);
    if (!http->daemon) {
        fprintf(stderr, "profile-service: cannot listen on port %u: %s\n", ntohs(address->sin_port), strerror(errno));
        free(http);
        return NULL;
    }
    return http;
}

unsigned http_port(const struct http *http)
{
    return MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void http_stop(struct http *http)
{
    if (!http)
        return;
    MHD_stop_daemon(http->daemon);
    free(http);
}
