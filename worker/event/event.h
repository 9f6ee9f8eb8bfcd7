/*
 * event.h - one domain-change event, wherever it came from: a delivery of the broker, or a record in a file. The only
 * place where the JSON of an event is parsed.
 *
 * The strings and the body are borrowed from whoever made the event and must outlive it. Body, headers and properties
 * are each parsed or decoded when somebody first asks for them, and once; an event that no rule looks into costs
 * nothing. Initialise with designated initialisers; what is private starts as zero.
 */
#ifndef QUASHD_EVENT_H
#define QUASHD_EVENT_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#define EVENT_BODY_BYTES_MAX   ((size_t)1 << 20) /* larger bodies are not kept; such an event counts as malformed */
#define EVENT_HEADER_DEPTH_MAX 64                /* levels of tables and arrays in the headers */
#define EVENT_PROBLEM_SIZE     288

/* Makes JSON objects of the headers and of the properties that `source` stands for, for the caller to release. False
 * after writing into `problem` why not, as a sentence that quotes nothing of the event. */
typedef bool event_decode(const void *source, json_t **headers, json_t **properties, char problem[EVENT_PROBLEM_SIZE]);

struct event {
    const char *exchange;    /* never NULL; the default exchange is "" */
    const char *routing_key; /* never NULL */
    const void *body;        /* as it was sent; not NUL-terminated */
    size_t body_size;        /* bytes at `body` */
    size_t body_sent;        /* bytes the emitter sent; larger than body_size when the body was too large to keep */
    event_decode *decode;    /* NULL: there are no headers and no properties */
    const void *decode_from;

    /* Private to event.c */
    json_t *parsed, *headers, *properties;
    bool tried, decoded;
    char problem[EVENT_PROBLEM_SIZE];
    char decode_problem[EVENT_PROBLEM_SIZE];
};

/* The event's body as JSON (json_text.h says what is accepted; \u0000 may stand in strings), borrowed from the event.
 * An integer past 64 bits is the string of its digits. NULL if the body is none, and then *problem (may be NULL) is a
 * sentence that says why and where, without quoting the body, borrowed as well. */
const json_t *event_json(struct event *event, const char **problem);

/* The event's headers and properties, each an object, borrowed from the event. NULL as above. */
const json_t *event_headers(struct event *event, const char **problem);
const json_t *event_properties(struct event *event, const char **problem);

/* Lets go of what was made. The borrowed parts are the owner's. */
void event_fini(struct event *event);

#endif
