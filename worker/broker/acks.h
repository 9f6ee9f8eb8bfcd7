/*
 * acks.h - which deliveries may be acknowledged, when some have to wait although later ones need not.
 *
 * Tags count up from 1 on each connection. Whatever was taken and applied is acknowledged with one "up to this one" as
 * long as nothing waits. What waits stays back, with what lies before it acknowledged as a whole and what comes after
 * it one by one:
 *
 *     1 ... 6 | 7 waits | 8  9 | 10 waits | 11        ->  up to 6; 8; 9; 11        7 settled ->  7
 *
 * An acknowledgement always names a tag that the broker still waits for: it ends the channel over any other.
 */
#ifndef QUASHD_ACKS_H
#define QUASHD_ACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ack {
    uint64_t tag;
    bool waits;
};

/* Starts as zero. */
struct acks {
    /* Private to acks.c */
    uint64_t taken;   /* the last tag taken */
    uint64_t done;    /* all up to this one are acknowledged, or stand in `open` */
    struct ack *open; /* by tag: what is not acknowledged, from the first that waits on */
    size_t count, room;
    size_t waiting; /* of them, those that wait */
};

void acks_fini(struct acks *acks);

/* Forgets everything, for a new connection. */
void acks_reset(struct acks *acks);

/* The next delivery was taken; `waits`: it is not to be acknowledged before it is settled. False: out of memory. */
bool acks_take(struct acks *acks, uint64_t tag, bool waits);

/* The delivery need not wait any more. One that does not wait is left alone. */
void acks_settle(struct acks *acks, uint64_t tag);

/* How many wait. */
size_t acks_waiting(const struct acks *acks);

/* Acknowledges everything that was taken and does not wait, by calling `send`. False as soon as that says so; then the
 * connection is of no more use. */
typedef bool acks_send(void *context, uint64_t tag, bool multiple);
bool acks_flush(struct acks *acks, acks_send *send, void *context);

#endif
