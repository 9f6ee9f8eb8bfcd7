/*
 * event.c - the parts of an event as JSON.
 *
 * Emitters cannot be told to be careful, so nothing here trusts them: size and depth are capped, and whatever would
 * have to be guessed (a key that is there twice) makes the whole part malformed.
 */
#include "event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_text.h"
#include "wide_integers.h"

/* What jansson says of a mistake, up to where it quotes the text: what an event holds is nobody's business, and this
 * goes into logs. */
static int unquoted_length(const char *sentence)
{
    static const char *const quotes[] = {" near '", " escape '"};
    size_t length = strlen(sentence);
    for (size_t i = 0; i < sizeof quotes / sizeof quotes[0]; i++) {
        const char *quote = strstr(sentence, quotes[i]);
        if (quote != NULL && (size_t)(quote - sentence) < length)
            length = (size_t)(quote - sentence);
    }
    return (int)length;
}

static json_t *parse_with_wide_integers(const char *text, size_t size, struct json_fault *fault)
{
    size_t copy_size;
    char *copy = wide_integers_quote(text, size, &copy_size);
    if (copy == NULL)
        return NULL;
    json_t *json = json_text_parse(copy, copy_size, true, fault);
    if (json == NULL && fault->line > 0)
        fault->column = wide_integers_column(text, size, copy, copy_size, fault->line, fault->column);
    free(copy);
    return json;
}

static void parse(struct event *event)
{
    struct json_fault fault;
    event->parsed = json_text_parse(event->body, event->body_size, true, &fault);
    /* Integers past 64 bits are rare; only a body that has one pays for them. */
    if (event->parsed == NULL && fault.number_past_64_bits)
        event->parsed = parse_with_wide_integers(event->body, event->body_size, &fault);
    if (event->parsed != NULL)
        return;
    if (fault.line > 0)
        snprintf(event->problem, sizeof event->problem, "the body cannot be read at line %d, column %d: %.*s",
                 fault.line, fault.column, unquoted_length(fault.sentence), fault.sentence);
    else
        snprintf(event->problem, sizeof event->problem, "the body cannot be read: %.*s",
                 unquoted_length(fault.sentence), fault.sentence);
}

const json_t *event_json(struct event *event, const char **problem)
{
    if (!event->tried) {
        event->tried = true;
        if (event->body_sent > EVENT_BODY_BYTES_MAX || event->body_sent > event->body_size)
            snprintf(event->problem, sizeof event->problem, "the body has %zu bytes, more than the %zu that are read",
                     event->body_sent, EVENT_BODY_BYTES_MAX);
        else if (event->body_size == 0)
            snprintf(event->problem, sizeof event->problem, "the body is empty");
        else
            parse(event);
    }
    if (problem != NULL && event->parsed == NULL)
        *problem = event->problem;
    return event->parsed;
}

static bool decode_none(json_t **headers, json_t **properties, char problem[EVENT_PROBLEM_SIZE])
{
    *headers = json_object();
    *properties = json_object();
    if (*headers != NULL && *properties != NULL)
        return true;
    json_decref(*headers);
    json_decref(*properties);
    snprintf(problem, EVENT_PROBLEM_SIZE, "out of memory");
    return false;
}

static void decode(struct event *event)
{
    json_t *headers, *properties;
    if (event->decoded)
        return;
    event->decoded = true;
    bool fine = event->decode != NULL ? event->decode(event->decode_from, &headers, &properties, event->decode_problem)
                                      : decode_none(&headers, &properties, event->decode_problem);
    if (fine) {
        event->headers = headers;
        event->properties = properties;
    }
}

const json_t *event_headers(struct event *event, const char **problem)
{
    decode(event);
    if (problem != NULL && event->headers == NULL)
        *problem = event->decode_problem;
    return event->headers;
}

const json_t *event_properties(struct event *event, const char **problem)
{
    decode(event);
    if (problem != NULL && event->properties == NULL)
        *problem = event->decode_problem;
    return event->properties;
}

void event_fini(struct event *event)
{
    json_decref(event->parsed);
    json_decref(event->headers);
    json_decref(event->properties);
    event->parsed = event->headers = event->properties = NULL;
    event->tried = event->decoded = false;
}
