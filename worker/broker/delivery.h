/*
 * delivery.h - puts the frames of a delivery together: basic.deliver, header, body frames. rabbitmq-c has a function
 * for this, but its time-out covers the first frame only and it keeps a body of any size.
 *
 *     NONE --basic.deliver--> HEADER --header, size > 0--> BODY --last byte--> NONE, a delivery is whole
 *                                   \--header, size = 0--------------------> NONE, a delivery is whole
 *
 * A body larger than the limit is counted, not kept. Everything is copied out of the frames, so the connection's
 * buffers may be released after each.
 */
#ifndef QUASHD_DELIVERY_H
#define QUASHD_DELIVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker.h"
#include "short_string.h"

struct delivery {
    uint64_t tag;
    bool redelivered;
    bool nul_in_names; /* exchange or routing key contain a NUL byte: the strings below end before it */
    char exchange[SHORT_STRING_SIZE];
    char routing_key[SHORT_STRING_SIZE];
    uint8_t exchange_length, routing_key_length; /* with what stands behind a NUL byte */
    const void *body; /* borrowed from the reader until the next frame is fed; not NUL-terminated */
    size_t body_size; /* bytes at `body`; 0 when the body was too large to keep */
    uint64_t body_sent;
    const amqp_basic_properties_t *properties; /* with the table of headers; never NULL; borrowed like the body */
};

enum delivery_step {
    DELIVERY_MORE,      /* the frame was taken, others must follow */
    DELIVERY_WHOLE,     /* the frame completed a delivery, which delivery_reader_get returns */
    DELIVERY_NOT_OURS,  /* a method other than basic.deliver, between deliveries: the caller's business */
    DELIVERY_BROKEN,    /* a frame that cannot come here: the connection must be rebuilt */
    DELIVERY_NO_MEMORY, /* the body or the properties could not be kept: the connection must be rebuilt */
};

struct delivery_reader;

/* `body_bytes_max`: the largest body that is kept. NULL when memory ran out. */
struct delivery_reader *delivery_reader_new(size_t body_bytes_max);
void delivery_reader_free(struct delivery_reader *reader);

/* Takes the next frame of BROKER_CHANNEL. */
enum delivery_step delivery_reader_feed(struct delivery_reader *reader, const amqp_frame_t *frame);

/* The delivery that the last frame completed; borrowed until the next is fed. */
const struct delivery *delivery_reader_get(const struct delivery_reader *reader);

/* Forgets a half-read delivery, for a new connection. */
void delivery_reader_reset(struct delivery_reader *reader);

#endif
