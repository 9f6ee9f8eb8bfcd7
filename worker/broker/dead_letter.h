/*
 * dead_letter.h - an event that could not be used, made ready to be published again for people to look at: its body and
 * its properties as they were, and headers that say why it is there.
 *
 *     x-quash-reason         a sentence
 *     x-quash-cause          one word: malformed, missing, ...
 *     x-quash-rule           the rule that could not do as it says, if it is one
 *     x-quash-first-failure  when that happened for the first time, as 2026-11-24T08:00:00.123Z
 *     x-quash-exchange       where the event was published to,
 *     x-quash-routing-key    and how
 *     x-quash-instance       the worker that says so
 *
 * First failure, exchange and routing key are kept if the event bears them already, so that a letter that was put back
 * and failed again still tells where it came from. Three things cannot stay as they were: the letter is persistent; a
 * user id, which the broker takes from that user only, goes to x-quash-user-id; an expiration, by which the letter
 * would vanish unseen, to x-quash-expiration.
 */
#ifndef QUASHD_DEAD_LETTER_H
#define QUASHD_DEAD_LETTER_H

#include <stddef.h>
#include <stdint.h>

#include "delivery.h"

#define DEAD_LETTER_BODY_BYTES_MAX ((size_t)16 << 20) /* what RabbitMQ takes unless told otherwise, since 4.0 */

/* Why; `word` NULL: it is none. All borrowed. */
struct dead_letter_cause {
    const char *word;
    const char *reason;
    const char *rule; /* NULL: none to blame */
};

/* One block of memory, with properties (as the protocol encodes them) and body behind it. */
struct dead_letter {
    struct dead_letter *next;
    uint64_t tag;    /* of the delivery */
    uint64_t number; /* of the connection that it came by */
    size_t size;     /* of the block */
    bool whole;      /* nothing was left out */
    char routing_key[SHORT_STRING_SIZE];
    size_t properties_size;
    size_t body_size;
    unsigned char bytes[];
};

/* What does not fit into a frame of `frame_max` bytes, or was not kept of a body, is left out; x-quash-left-out then
 * says what. NULL when memory ran out. The caller frees with free(). */
struct dead_letter *dead_letter_new(const struct delivery *delivery, const struct dead_letter_cause *cause,
                                    const char *instance, size_t frame_max);

/* The properties and headers, with memory from `pool`, borrowing from the letter. False: out of memory. */
bool dead_letter_properties(struct dead_letter *letter, amqp_pool_t *pool, amqp_basic_properties_t **properties);

/* The body, borrowed. */
const void *dead_letter_body(const struct dead_letter *letter);

#endif
