/*
 * broker_url.c - reading and redacting a broker's address. rabbitmq-c has a parser, but it takes a trailing slash for
 * the virtual host "" and says of every mistake only that there is one.
 *
 * Nothing here ever copies the password anywhere but into broker_url.password: sentences name the part that is wrong.
 */
#include "broker_url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define EXAMPLE "a URL looks like amqp://user:password@host:5672/vhost"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Copies a percent-encoded part; `what` names it in the sentence. */
static bool decode(const char *from, size_t length, char out[SHORT_STRING_SIZE], const char *what, char *problem,
                   size_t problem_size)
{
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        char c = from[i];
        if (c == '%') {
            bool whole = length - i > 2;
            int high = whole ? hex_digit(from[i + 1]) : -1;
            int low = whole ? hex_digit(from[i + 2]) : -1;
            if (high < 0 || low < 0) {
                snprintf(problem, problem_size,
                         "its %s has a %% that is not followed by two hexadecimal digits; write %%25 for a %% itself",
                         what);
                return false;
            }
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == '\0') {
            snprintf(problem, problem_size, "its %s contains a NUL byte (%%00)", what);
            return false;
        }
        if (used + 1 >= SHORT_STRING_SIZE) {
            snprintf(problem, problem_size, "its %s is longer than %d bytes", what, SHORT_STRING_BYTES_MAX);
            return false;
        }
        out[used++] = c;
    }
    out[used] = '\0';
    return true;
}

static bool read_port(const char *from, size_t length, char out[6], char *problem, size_t problem_size)
{
    unsigned long port = 0;
    bool good = length > 0 && length < 6;
    for (size_t i = 0; good && i < length; i++) {
        good = from[i] >= '0' && from[i] <= '9';
        port = port * 10 + (unsigned long)(from[i] - '0');
    }
    if (!good || port < 1 || port > 65535) {
        snprintf(problem, problem_size,
                 "what stands behind the host's colon is not a port from 1 to 65535; " EXAMPLE
                 ", and a password needs a user before it and an @ behind it");
        return false;
    }
    snprintf(out, 6, "%lu", port);
    return true;
}

/* host[:port], of which the host may be [an IPv6 address]. */
static bool read_host(const char *from, size_t length, struct broker_url *url, char *problem, size_t problem_size)
{
    const char *end = from + length;
    const char *host = from;
    const char *host_end;
    const char *port = NULL;
    if (length > 0 && *from == '[') {
        host = from + 1;
        host_end = memchr(host, ']', length - 1);
        if (host_end == NULL) {
            snprintf(problem, problem_size, "its IPv6 address has no closing bracket; write [::1]");
            return false;
        }
        const char *after = host_end + 1;
        if (after < end && *after != ':') {
            snprintf(problem, problem_size, "only a colon and a port may follow the bracket of an IPv6 address");
            return false;
        }
        port = after < end ? after + 1 : NULL;
    } else {
        const char *colon = memchr(from, ':', length);
        host_end = colon != NULL ? colon : end;
        port = colon != NULL ? colon + 1 : NULL;
    }
    if (host_end == host) {
        snprintf(problem, problem_size, "it names no host; " EXAMPLE);
        return false;
    }
    if (!decode(host, (size_t)(host_end - host), url->host, "host", problem, problem_size))
        return false;
    if (port == NULL) {
        snprintf(url->port, sizeof url->port, "%u", BROKER_PORT_DEFAULT);
        return true;
    }
    return read_port(port, (size_t)(end - port), url->port, problem, problem_size);
}

bool broker_url_parse(const char *url, struct broker_url *parsed, char *problem, size_t problem_size)
{
    struct broker_url made = {.user = "guest", .password = "guest", .vhost = "/"};
    if (strncasecmp(url, "amqps://", 8) == 0) {
        snprintf(problem, problem_size,
                 "amqps:// needs TLS, which this version cannot do; use amqp:// inside a network you trust, or through "
                 "a TLS tunnel such as stunnel");
        return false;
    }
    if (strncasecmp(url, "amqp://", 7) != 0) {
        snprintf(problem, problem_size, "it does not begin with amqp://; " EXAMPLE);
        return false;
    }
    for (const unsigned char *c = (const unsigned char *)url; *c != '\0'; c++) {
        if (*c <= ' ' || *c == 0x7f) {
            snprintf(problem, problem_size, "it contains a space or a control character; percent-encode it (%%%02X)",
                     *c);
            return false;
        }
    }
    const char *authority = url + 7;
    size_t authority_length = strcspn(authority, "/?#");
    const char *path = authority + authority_length;
    const char *at = NULL;
    for (size_t i = 0; i < authority_length; i++)
        at = authority[i] == '@' ? authority + i : at;
    if (at != NULL) {
        size_t length = (size_t)(at - authority);
        const char *colon = memchr(authority, ':', length);
        size_t user_length = colon != NULL ? (size_t)(colon - authority) : length;
        if (!decode(authority, user_length, made.user, "user name", problem, problem_size))
            return false;
        if (colon != NULL &&
            !decode(colon + 1, (size_t)(at - colon) - 1, made.password, "password", problem, problem_size))
            return false;
        if (made.user[0] == '\0') {
            snprintf(problem, problem_size, "its user name is empty; " EXAMPLE);
            return false;
        }
        authority_length -= length + 1;
        authority = at + 1;
    } else if (strchr(path, '@') != NULL && memchr(authority, ':', authority_length) != NULL) {
        snprintf(problem, problem_size,
                 "an @ stands behind its first slash; in a user name or a password write %%2F for /, %%3F for ?, %%23 "
                 "for # and %%40 for @");
        return false;
    }
    if (!read_host(authority, authority_length, &made, problem, problem_size))
        return false;
    if (*path == '/') {
        const char *vhost = path + 1;
        size_t length = strcspn(vhost, "/?#");
        path = vhost + length;
        if (*path == '/') {
            snprintf(problem, problem_size,
                     "its virtual host contains a slash; write %%2F, so that the default "
                     "virtual host is amqp://host/%%2F or just amqp://host");
            return false;
        }
        if (length > 0 && !decode(vhost, length, made.vhost, "virtual host", problem, problem_size))
            return false;
    }
    if (*path != '\0') {
        snprintf(problem, problem_size, "it has parameters behind a %c, of which none is known here; leave them out",
                 *path);
        return false;
    }
    *parsed = made;
    return true;
}

bool broker_url_check(const char *url, char *problem, size_t problem_size)
{
    struct broker_url parsed;
    return broker_url_parse(url, &parsed, problem, problem_size);
}

void broker_url_redacted(const char *url, char out[BROKER_URL_SIZE])
{
    const char *rest = strstr(url, "://");
    rest = rest != NULL ? rest + 3 : url;
    const char *at = strrchr(rest, '@');
    const char *colon = strchr(rest, ':');
    if (at != NULL) {
        /* The last @, wherever it stands: in a URL that is wrong the password may contain slashes. */
        const char *user_end = colon != NULL && colon < at ? colon : at;
        snprintf(out, BROKER_URL_SIZE, "%.*s%.*s", (int)(user_end - url), url, (int)strcspn(at, "?#"), at);
        return;
    }
    /* Without an @, what stands behind a colon is a port; anything else may be a password whose host was forgotten. */
    const char *end = rest + strcspn(rest, "?#");
    if (colon != NULL && colon < end && *rest != '[') {
        size_t digits = strspn(colon + 1, "0123456789");
        if (digits > 5 || (colon[1 + digits] != '\0' && strchr("/?#", colon[1 + digits]) == NULL))
            end = colon;
    }
    snprintf(out, BROKER_URL_SIZE, "%.*s", (int)(end - url), url);
}
