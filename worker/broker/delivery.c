/*
 * delivery.c - a delivery from its frames. See delivery.h, which draws the states.
 */
#include "delivery.h"

#include <stdlib.h>
#include <string.h>

#define BODY_BYTES_KEPT       ((size_t)2 << 20) /* of a larger buffer, between deliveries */
#define PROPERTIES_PAGE_BYTES 4096u
#define PROPERTIES_PAGES_KEPT 16 /* between deliveries */

static const amqp_basic_properties_t no_properties;

enum state { NONE, HEADER, BODY };

struct delivery_reader {
    enum state state;
    struct delivery delivery;
    size_t body_bytes_max;
    unsigned char *buffer; /* kept from one delivery to the next */
    size_t buffer_size;
    amqp_pool_t pool;  /* what the properties of this delivery are made of */
    uint64_t received; /* bytes of the body so far, kept or not */
};

struct delivery_reader *delivery_reader_new(size_t body_bytes_max)
{
    struct delivery_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return NULL;
    reader->body_bytes_max = body_bytes_max;
    init_amqp_pool(&reader->pool, PROPERTIES_PAGE_BYTES);
    return reader;
}

void delivery_reader_free(struct delivery_reader *reader)
{
    if (reader == NULL)
        return;
    empty_amqp_pool(&reader->pool);
    free(reader->buffer);
    free(reader);
}

void delivery_reader_reset(struct delivery_reader *reader)
{
    reader->state = NONE;
}

const struct delivery *delivery_reader_get(const struct delivery_reader *reader)
{
    return &reader->delivery;
}

/* Returns whether the name is whole, without a NUL inside. */
static bool copy_name(char out[SHORT_STRING_SIZE], amqp_bytes_t name)
{
    size_t length = name.len < SHORT_STRING_SIZE ? name.len : SHORT_STRING_SIZE - 1;
    if (length > 0)
        memcpy(out, name.bytes, length);
    out[length] = '\0';
    return strlen(out) == name.len;
}

static void begin(struct delivery_reader *reader, const amqp_basic_deliver_t *deliver)
{
    struct delivery *delivery = &reader->delivery;
    delivery->tag = deliver->delivery_tag;
    delivery->redelivered = deliver->redelivered != 0;
    bool exchange_whole = copy_name(delivery->exchange, deliver->exchange);
    bool routing_key_whole = copy_name(delivery->routing_key, deliver->routing_key);
    delivery->nul_in_names = !exchange_whole || !routing_key_whole;
    delivery->exchange_length = (uint8_t)deliver->exchange.len;
    delivery->routing_key_length = (uint8_t)deliver->routing_key.len;
    delivery->body = NULL;
    delivery->body_size = 0;
    delivery->body_sent = 0;
    delivery->properties = &no_properties;
    reader->received = 0;
    reader->state = HEADER;
}

/* Makes room for a body of this size. */
static bool reserve(struct delivery_reader *reader, size_t size)
{
    if (reader->buffer_size > BODY_BYTES_KEPT && size <= BODY_BYTES_KEPT) {
        free(reader->buffer);
        reader->buffer = NULL;
        reader->buffer_size = 0;
    }
    if (size <= reader->buffer_size)
        return true;
    size_t wanted = reader->buffer_size == 0 ? 4096 : reader->buffer_size;
    while (wanted < size)
        wanted *= 2;
    unsigned char *buffer = realloc(reader->buffer, wanted);
    if (buffer == NULL)
        return false;
    reader->buffer = buffer;
    reader->buffer_size = wanted;
    return true;
}

/* Lets go of the memory of the last delivery's properties, but for a few pages that the next will want. */
static void recycle(amqp_pool_t *pool)
{
    if (pool->pages.num_blocks > PROPERTIES_PAGES_KEPT)
        empty_amqp_pool(pool);
    else
        recycle_amqp_pool(pool);
}

/* The library has decoded them, into memory that it takes back with the frame. Copying what it made would be harder
 * than decoding once more: amqp_table_clone refuses a header without a name, which emitters may send. */
static enum delivery_step take_properties(struct delivery_reader *reader, amqp_bytes_t encoded)
{
    recycle(&reader->pool);
    bool none = encoded.len < 2 || memcmp(encoded.bytes, "\0\0", 2) == 0; /* no flag is set */
    if (none)
        return DELIVERY_MORE;
    amqp_bytes_t copy;
    amqp_pool_alloc_bytes(&reader->pool, encoded.len, &copy);
    if (copy.bytes == NULL)
        return DELIVERY_NO_MEMORY;
    memcpy(copy.bytes, encoded.bytes, encoded.len);
    void *decoded;
    int status = amqp_decode_properties(AMQP_BASIC_CLASS, &reader->pool, copy, &decoded);
    if (status < 0)
        return status == AMQP_STATUS_NO_MEMORY ? DELIVERY_NO_MEMORY : DELIVERY_BROKEN;
    reader->delivery.properties = decoded;
    return DELIVERY_MORE;
}

static enum delivery_step take_header(struct delivery_reader *reader, uint64_t body_size, amqp_bytes_t properties)
{
    struct delivery *delivery = &reader->delivery;
    enum delivery_step step = take_properties(reader, properties);
    if (step != DELIVERY_MORE)
        return step;
    delivery->body_sent = body_size;
    if (body_size <= reader->body_bytes_max) {
        if (!reserve(reader, (size_t)body_size))
            return DELIVERY_NO_MEMORY;
        delivery->body = body_size > 0 ? (const void *)reader->buffer : "";
        delivery->body_size = (size_t)body_size;
    }
    reader->state = body_size > 0 ? BODY : NONE;
    return body_size > 0 ? DELIVERY_MORE : DELIVERY_WHOLE;
}

static enum delivery_step take_body(struct delivery_reader *reader, amqp_bytes_t fragment)
{
    struct delivery *delivery = &reader->delivery;
    if (fragment.len > delivery->body_sent - reader->received)
        return DELIVERY_BROKEN;
    if (delivery->body != NULL && fragment.len > 0)
        memcpy(reader->buffer + reader->received, fragment.bytes, fragment.len);
    reader->received += fragment.len;
    if (reader->received < delivery->body_sent)
        return DELIVERY_MORE;
    reader->state = NONE;
    return DELIVERY_WHOLE;
}

enum delivery_step delivery_reader_feed(struct delivery_reader *reader, const amqp_frame_t *frame)
{
    switch (reader->state) {
    case NONE:
        if (frame->frame_type != AMQP_FRAME_METHOD)
            return DELIVERY_BROKEN;
        if (frame->payload.method.id != AMQP_BASIC_DELIVER_METHOD)
            return DELIVERY_NOT_OURS;
        begin(reader, frame->payload.method.decoded);
        return DELIVERY_MORE;
    case HEADER:
        if (frame->frame_type != AMQP_FRAME_HEADER || frame->payload.properties.class_id != AMQP_BASIC_CLASS)
            return DELIVERY_BROKEN;
        return take_header(reader, frame->payload.properties.body_size, frame->payload.properties.raw);
    case BODY:
        if (frame->frame_type != AMQP_FRAME_BODY)
            return DELIVERY_BROKEN;
        return take_body(reader, frame->payload.body_fragment);
    }
    return DELIVERY_BROKEN;
}
