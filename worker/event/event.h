/*
 * event.h - one domain-change event, wherever it came from: a delivery of the broker, or a record in a file. The only
 * place where the JSON of an event is parsed.
 *
 * The strings and the body are borrowed from whoever made the event and must outlive it. The body is parsed when
 * somebody first asks for it, and once. Initialise with designated initialisers; what is private starts as zero.
 */
#ifndef QUASHD_EVENT_H
#define QUASHD_EVENT_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#define EVENT_BODY_BYTES_MAX ((size_t)1 << 20) /* larger bodies are not kept; such an event counts as malformed */

struct event {
    const char *exchange;    /* never NULL; the default exchange is "" */
    const char *routing_key; /* never NULL */
    const void *body;        /* as it was sent; not NUL-terminated */
    size_t body_size;        /* bytes at `body` */
    size_t body_sent;        /* bytes the emitter sent; larger than body_size when the body was too large to keep */

    /* Private to event.c */
    json_t *parsed;
    bool tried;
    char problem[288];
};

/* The event's body as JSON (json_text.h says what is accepted; \u0000 may stand in strings), borrowed from the event.
 * NULL if it is none, and then *problem (may be NULL) is a sentence that says why and where, without quoting the body,
 * borrowed as well. */
const json_t *event_json(struct event *event, const char **problem);

/* Lets go of what event_json made. The borrowed parts are the owner's. */
void event_fini(struct event *event);

#endif
