/*
 * cmd_emit.c - `quash emit`: publishes events, and is done only when the broker has taken them over and a queue got
 * each.
 *
 * One event from the command line, or a stream of records, one a line, that are published as they are read, with many
 * waiting for their confirmation at a time.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attributes.h"
#include "cmd.h"
#include "config.h"
#include "emit_attributes.h"
#include "event_record.h"
#include "options.h"
#include "publisher.h"
#include "quote.h"
#include "short_string.h"

#define WHO            "quash emit"
#define BODY_BYTES_MAX ((size_t)128 << 20) /* RabbitMQ's own limit before 4.0 */
#define URL_LENGTH_MAX 2048u
#define NAME_SIZE      300u

static const char help_text[] =
    "Usage: quash emit [--amqp-url URL] --exchange NAME [--routing-key KEY] BODY|-\n"
    "       quash emit [--amqp-url URL] --records FILE|-\n"
    "\n"
    "Publishes events and waits until the broker has taken them over. An event that\n"
    "no queue got is an error: either nobody listens, or the exchange or the routing\n"
    "key is not what the listeners expect.\n"
    "\n"
    "BODY is published as it stands; - reads it from standard input. --records reads\n"
    "one JSON object a line:\n"
    "  {\"exchange\": \"domain\", \"routing_key\": \"order.paid\", \"body\": {\"id\": 17}}\n"
    "with \"body\" (JSON), \"body_text\" or \"body_base64\", and, where wanted, with\n"
    "\"headers\" and \"properties\". Exchange, routing key, and each header and\n"
    "property that a record does not have are those of the flags.\n"
    "\n"
    "  --amqp-url URL         the broker, amqp://user:password@host:port/vhost, or a\n"
    "                         comma list, tried in turn; without it, the variable\n"
    "                         QUASH_AMQP_URL, else " CONFIG_AMQP_URL "\n"
    "  --exchange NAME        where to publish; without it, the variable\n"
    "                         QUASH_EXCHANGE; '' is the default exchange\n"
    "  --routing-key KEY      empty without it\n"
    "  --records FILE         read records from FILE, or from standard input with -\n"
    "  --header NAME=VALUE    a header, as a string (other types need a record);\n"
    "                         repeatable\n"
    "  --property NAME=VALUE  a property: content_type, content_encoding,\n"
    "                         delivery_mode, priority, correlation_id, reply_to,\n"
    "                         expiration, message_id, timestamp, type, user_id,\n"
    "                         app_id or cluster_id; repeatable\n"
    "  --transient            the broker may lose the event when it restarts; the\n"
    "                         same as --property delivery_mode=1\n"
    "  --persistent           it must not (the default)\n"
    "  --content-type TYPE    application/json without it; '' sends none\n"
    "  --declare TYPE         declare the exchange first: topic, direct, fanout or\n"
    "                         headers\n"
    "  --help                 print this and exit\n"
    "\n"
    "Exit codes:\n"
    "  0  every event was taken over and reached a queue\n"
    "  1  one did not\n"
    "  2  the command line is wrong\n"
    "  3  a record or a file is wrong\n"
    "  4  the broker cannot be reached, or was lost on the way\n";

struct request {
    const char *urls;
    const char *exchange; /* NULL: not given */
    const char *routing_key;
    const char *content_type; /* NULL: none */
    const char *declare;      /* NULL: do not */
    const char *records;      /* NULL: the event is `body` */
    const char *body;
    bool transient;
    struct emit_attributes attributes;
};

/* ---- Sending */

/* Exit code of a connection or a channel that is gone: an exchange that is missing will not come by waiting. */
static enum exit_code lost(const char *problem)
{
    fprintf(stderr, WHO ": %s\n", problem);
    return strstr(problem, "404 NOT_FOUND") != NULL ? EXIT_NO : EXIT_UNREACHABLE;
}

/* `publication` lacks its properties only; `name` is what complaints call it. */
static enum exit_code send_event(struct publisher *publisher, struct publication *publication,
                                 const struct emit_attributes *attributes, const char *name)
{
    char problem[BROKER_PROBLEM_SIZE];
    struct attributes *encoded = attributes_encode(attributes->headers, attributes->properties);
    if (encoded == NULL)
        return lost("out of memory");
    publication->properties = attributes_properties(encoded);
    enum exit_code code = EXIT_DONE;
    if (!publisher_fits(publisher, publication->properties)) {
        fprintf(stderr,
                WHO ": %s: headers and properties do not fit into one frame, which AMQP demands (RabbitMQ allows 128 "
                    "KiB unless told otherwise); move what is long into the body\n",
                name);
        code = EXIT_BAD_INPUT;
    } else if (!publisher_send(publisher, publication, problem)) {
        code = lost(problem);
    }
    attributes_free(encoded);
    return code;
}

/* All of standard input, any bytes, also none; the caller frees. NULL after saying why not. */
static char *read_input(size_t *size)
{
    char *bytes = NULL;
    size_t room = 0;
    *size = 0;
    for (;;) {
        if (*size == room) {
            room = room == 0 ? 65536 : room * 2;
            char *larger = room <= 2 * BODY_BYTES_MAX ? realloc(bytes, room) : NULL;
            if (larger == NULL)
                break;
            bytes = larger;
        }
        size_t got = fread(bytes + *size, 1, room - *size, stdin);
        *size += got;
        if (got == 0 && !ferror(stdin) && *size <= BODY_BYTES_MAX)
            return bytes;
        if (got == 0)
            break;
    }
    if (ferror(stdin))
        fprintf(stderr, WHO ": standard input cannot be read: %s\n", strerror(errno));
    else
        fprintf(stderr, WHO ": standard input holds more than %zu MiB, or than there is memory for\n",
                BODY_BYTES_MAX >> 20);
    free(bytes);
    return NULL;
}

static enum exit_code send_body(struct publisher *publisher, const struct request *request)
{
    size_t size = strlen(request->body);
    char *input = NULL;
    if (strcmp(request->body, "-") == 0) {
        input = read_input(&size);
        if (input == NULL)
            return EXIT_BAD_INPUT;
    }
    struct publication publication = {
        .exchange = request->exchange,
        .routing_key = request->routing_key,
        .body = input != NULL ? input : request->body,
        .body_size = size,
    };
    enum exit_code code = send_event(publisher, &publication, &request->attributes, "the event");
    free(input);
    return code;
}

/* One line of the records, called `name`. `problems` has none yet: the first wrong record ends the stream. */
static enum exit_code send_record(struct publisher *publisher, const struct request *request, const char *line,
                                  size_t length, const char *name, struct problems *problems)
{
    struct event_record record;
    if (!event_record_parse(&record, line, length, problems)) {
        problems_print(problems, name, stderr);
        return EXIT_BAD_INPUT;
    }
    const struct event *event = &record.event;
    struct publication publication = {
        .exchange = event->exchange[0] != '\0' ? event->exchange : request->exchange,
        .routing_key = event->routing_key[0] != '\0' ? event->routing_key : request->routing_key,
        .body = event->body,
        .body_size = event->body_sent, /* also of one that is larger than the rules would read */
    };
    struct emit_attributes attributes = {NULL, NULL};
    enum exit_code code = EXIT_BAD_INPUT;
    if (publication.exchange == NULL)
        fprintf(stderr, WHO ": %s names no exchange; add \"exchange\" to it, or give --exchange\n", name);
    else if (!emit_attributes_merge(&attributes, json_object_get(record.json, "headers"),
                                    json_object_get(record.json, "properties"), &request->attributes))
        code = lost("out of memory");
    else
        code = send_event(publisher, &publication, &attributes, name);
    emit_attributes_fini(&attributes);
    event_record_fini(&record);
    return code;
}

static bool is_blank(const char *line)
{
    return line[strspn(line, " \t\r\n")] == '\0';
}

static enum exit_code send_records(struct publisher *publisher, const struct request *request)
{
    bool standard = strcmp(request->records, "-") == 0;
    const char *path = standard ? "standard input" : request->records;
    FILE *file = standard ? stdin : fopen(request->records, "re");
    if (file == NULL) {
        fprintf(stderr, WHO ": %s cannot be read: %s\n", path, strerror(errno));
        return EXIT_BAD_INPUT;
    }
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    enum exit_code code = EXIT_DONE;
    /* Once for all records: it is large. */
    struct problems *problems = calloc(1, sizeof *problems);
    if (problems == NULL) {
        fputs(WHO ": out of memory\n", stderr);
        code = EXIT_BAD_INPUT;
    }
    for (unsigned long number = 1; code == EXIT_DONE && (length = getline(&line, &size, file)) >= 0; number++) {
        char name[NAME_SIZE];
        snprintf(name, sizeof name, "%.100s: record %lu", path, number);
        if (!is_blank(line) || memchr(line, '\0', (size_t)length) != NULL)
            code = send_record(publisher, request, line, (size_t)length, name, problems);
    }
    if (code == EXIT_DONE && ferror(file)) {
        fprintf(stderr, WHO ": %s cannot be read: %s\n", path, strerror(errno));
        code = EXIT_BAD_INPUT;
    }
    free(problems);
    free(line);
    if (!standard)
        fclose(file);
    return code;
}

/* ---- The broker */

/* Connects to the first of the URLs that can be. */
static enum exit_code connect_any(const char *urls, struct publisher **publisher)
{
    const struct broker_identity identity = {"quash emit", QUASH_PROGRAM_VERSION};
    char problem[BROKER_PROBLEM_SIZE];
    char shown[BROKER_URL_SIZE];
    const char *url = urls;
    do {
        char one[URL_LENGTH_MAX];
        size_t length = strcspn(url, ",");
        if (length >= sizeof one) {
            fprintf(stderr, WHO ": a URL is longer than %u bytes\n", URL_LENGTH_MAX - 1);
            return EXIT_USAGE;
        }
        memcpy(one, url, length);
        one[length] = '\0';
        url += length + (url[length] == ',' ? 1 : 0);
        struct broker_url parsed;
        broker_url_redacted(one, shown);
        if (!broker_url_parse(one, &parsed, problem, sizeof problem)) {
            fprintf(stderr, WHO ": the URL \"%s\" is not usable: %s\n", shown, problem);
            return EXIT_USAGE;
        }
        *publisher = publisher_open(&parsed, &identity, problem);
        if (*publisher != NULL)
            return EXIT_DONE;
        fprintf(stderr, WHO ": %s: %s\n", shown, problem);
    } while (*url != '\0');
    return EXIT_UNREACHABLE;
}

/* What became of the events; the answer. */
static enum exit_code report(const struct publisher *publisher, enum exit_code code)
{
    const struct publisher_counts counts = publisher_counts(publisher);
    printf("published %llu %s, %llu confirmed\n", (unsigned long long)counts.published,
           counts.published == 1 ? "event" : "events", (unsigned long long)counts.confirmed);
    if (counts.unroutable > 0) {
        const char *first_exchange = publisher_unroutable_exchange(publisher);
        const char *first_key = publisher_unroutable_key(publisher);
        char exchange[NAME_SIZE];
        char key[NAME_SIZE];
        fprintf(stderr,
                WHO ": %llu of %llu reached no queue, the first in exchange %s with routing key %s: nothing is bound "
                    "there that matches; does the worker run, and do its rules name this exchange and key?\n",
                (unsigned long long)counts.unroutable, (unsigned long long)counts.published,
                quote_text(exchange, sizeof exchange, first_exchange, strlen(first_exchange)),
                quote_text(key, sizeof key, first_key, strlen(first_key)));
    }
    if (counts.refused > 0)
        fprintf(stderr, WHO ": the broker refused to take over %llu of %llu\n", (unsigned long long)counts.refused,
                (unsigned long long)counts.published);
    bool good = counts.unroutable == 0 && counts.refused == 0;
    return code == EXIT_DONE && !good ? EXIT_NO : code;
}

static enum exit_code emit(const struct request *request)
{
    struct publisher *publisher = NULL;
    char problem[BROKER_PROBLEM_SIZE];
    enum exit_code code = connect_any(request->urls, &publisher);
    if (code != EXIT_DONE)
        return code;
    if (request->declare != NULL && !publisher_declare(publisher, request->exchange, request->declare, problem))
        code = lost(problem);
    if (code == EXIT_DONE) {
        code = request->records != NULL ? send_records(publisher, request) : send_body(publisher, request);
        /* A wrong record ends the stream; what was sent before is still waited for. */
        if ((code == EXIT_DONE || code == EXIT_BAD_INPUT) && !publisher_finish(publisher, problem))
            code = lost(problem);
        code = report(publisher, code);
    }
    publisher_close(publisher);
    return code;
}

/* ---- The command line */

static bool names_fit(const struct request *request)
{
    const char *const names[] = {request->exchange, request->routing_key, request->content_type};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i] != NULL && strlen(names[i]) > SHORT_STRING_BYTES_MAX) {
            fprintf(stderr, WHO ": an exchange, a routing key and a content type have at most %d bytes\n",
                    SHORT_STRING_BYTES_MAX);
            return false;
        }
    }
    return true;
}

/* Whether the request is whole; explains what is missing. */
static bool check(const struct request *request, int operands)
{
    if (request->records != NULL && operands > 0)
        fputs(WHO ": --records and a body exclude each other\n", stderr);
    else if (request->records == NULL && operands != 1)
        fputs(operands == 0 ? WHO ": no event; give its body, - to read it from standard input, or --records FILE\n"
                            : WHO ": more than one body; put the body into quotes, or use --records\n",
              stderr);
    else if (request->exchange == NULL && (request->records == NULL || request->declare != NULL))
        fputs(WHO ": no exchange; give --exchange NAME or QUASH_EXCHANGE\n", stderr);
    else
        return names_fit(request);
    return false;
}

static const char *environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : otherwise;
}

/* Fills in the request. With *ended the command ends with the result: help was asked for, or something is wrong. */
static int read_flags(int argc, char **argv, struct request *request, bool *ended)
{
    enum {
        FLAG_URL = OPTION_FIRST,
        FLAG_EXCHANGE,
        FLAG_ROUTING_KEY,
        FLAG_RECORDS,
        FLAG_HEADER,
        FLAG_PROPERTY,
        FLAG_PERSISTENT,
        FLAG_TRANSIENT,
        FLAG_CONTENT_TYPE,
        FLAG_DECLARE
    };
    static const struct option flags[] = {
        {"amqp-url", required_argument, NULL, FLAG_URL},
        {"exchange", required_argument, NULL, FLAG_EXCHANGE},
        {"routing-key", required_argument, NULL, FLAG_ROUTING_KEY},
        {"records", required_argument, NULL, FLAG_RECORDS},
        {"header", required_argument, NULL, FLAG_HEADER},
        {"property", required_argument, NULL, FLAG_PROPERTY},
        {"persistent", no_argument, NULL, FLAG_PERSISTENT},
        {"transient", no_argument, NULL, FLAG_TRANSIENT},
        {"content-type", required_argument, NULL, FLAG_CONTENT_TYPE},
        {"declare", required_argument, NULL, FLAG_DECLARE},
        {"help", no_argument, NULL, OPTION_HELP},
        {NULL, 0, NULL, 0},
    };
    int value;
    options_start();
    while ((value = options_next(argc, argv, flags, WHO, stderr)) != OPTION_END) {
        switch (value) {
        case FLAG_URL:
            request->urls = optarg;
            break;
        case FLAG_EXCHANGE:
            request->exchange = optarg;
            break;
        case FLAG_ROUTING_KEY:
            request->routing_key = optarg;
            break;
        case FLAG_RECORDS:
            request->records = optarg;
            break;
        case FLAG_HEADER:
            if (!emit_attributes_add_header(&request->attributes, optarg, WHO))
                return options_refer_to_help(WHO, stderr);
            break;
        case FLAG_PROPERTY:
            if (!emit_attributes_add_property(&request->attributes, optarg, WHO))
                return options_refer_to_help(WHO, stderr);
            break;
        case FLAG_PERSISTENT:
            request->transient = false;
            break;
        case FLAG_TRANSIENT:
            request->transient = true;
            break;
        case FLAG_CONTENT_TYPE:
            request->content_type = *optarg != '\0' ? optarg : NULL;
            break;
        case FLAG_DECLARE:
            request->declare = optarg;
            break;
        default:
            return options_end(value, help_text, WHO);
        }
    }
    if (!check(request, argc - optind))
        return options_refer_to_help(WHO, stderr);
    request->body = request->records == NULL ? argv[optind] : NULL;
    *ended = false;
    return EXIT_DONE;
}

/* What --content-type and --transient say, unless --property has said otherwise. */
static bool add_defaults(struct request *request)
{
    json_t *mode = json_integer(request->transient ? 1 : 2);
    return emit_attributes_default(&request->attributes, "delivery_mode", mode) &&
           (request->content_type == NULL ||
            emit_attributes_default(&request->attributes, "content_type", json_string_nocheck(request->content_type)));
}

int cmd_emit(int argc, char **argv)
{
    struct request request = {
        .urls = environment("QUASH_AMQP_URL", CONFIG_AMQP_URL),
        .exchange = environment("QUASH_EXCHANGE", NULL),
        .routing_key = "",
        .content_type = "application/json",
    };
    if (!emit_attributes_init(&request.attributes))
        return (int)lost("out of memory");
    bool ended = true;
    int code = read_flags(argc, argv, &request, &ended);
    if (!ended)
        code = (int)(add_defaults(&request) ? emit(&request) : lost("out of memory"));
    emit_attributes_fini(&request.attributes);
    return code;
}
