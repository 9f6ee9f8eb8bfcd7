/*
 * event.c - the body of an event as JSON.
 *
 * Emitters cannot be told to be careful, so nothing here trusts them: size and depth are capped, and whatever would
 * have to be guessed (a number past 64 bits, a key that is there twice) makes the whole body malformed.
 */
#include "event.h"

#include <stdio.h>
#include <string.h>

#include "json_text.h"

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

const json_t *event_json(struct event *event, const char **problem)
{
    if (!event->tried) {
        event->tried = true;
        struct json_fault fault;
        if (event->body_sent > EVENT_BODY_BYTES_MAX || event->body_sent > event->body_size) {
            snprintf(event->problem, sizeof event->problem, "the body has %zu bytes, more than the %zu that are read",
                     event->body_sent, EVENT_BODY_BYTES_MAX);
        } else if (event->body_size == 0) {
            snprintf(event->problem, sizeof event->problem, "the body is empty");
        } else {
            event->parsed = json_text_parse(event->body, event->body_size, true, &fault);
            if (event->parsed == NULL && fault.line > 0)
                snprintf(event->problem, sizeof event->problem, "the body cannot be read at line %d, column %d: %.*s",
                         fault.line, fault.column, unquoted_length(fault.sentence), fault.sentence);
            else if (event->parsed == NULL)
                snprintf(event->problem, sizeof event->problem, "the body cannot be read: %.*s",
                         unquoted_length(fault.sentence), fault.sentence);
        }
    }
    if (problem != NULL && event->parsed == NULL)
        *problem = event->problem;
    return event->parsed;
}

void event_fini(struct event *event)
{
    json_decref(event->parsed);
    event->parsed = NULL;
    event->tried = false;
}
