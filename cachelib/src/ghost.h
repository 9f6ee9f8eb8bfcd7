/*
 * ghost.h - S3-FIFO's memory of keys that were evicted from the small queue: the last `window` of them that have not
 * come back since. Fingerprints in a table of fixed buckets.
 *
 *     table ─► [ bucket | bucket | ... ]     bucket: one cache line, 8 slots
 *     slot:    32-bit fingerprint, 32-bit generation in which it was noted
 *
 *     generations:  forgotten | oldest ... ... ... ... newest     living[]: how many of each are remembered still
 *
 * As a queue, but without one: a generation is a thirty-second part of the window. When more than the window are
 * remembered, the oldest generation is forgotten, by moving `oldest` on. What is in an older generation than that, or
 * in none, is an empty slot. A key is forgotten as well when its bucket is full and it is of the oldest there, or when
 * GHOST_GENERATIONS have begun since. Two keys of one fingerprint count as one: that costs a wrong guess, nothing else.
 *
 * The table has room for 9/8 of the window, at a load of 2/3: at most 16 bytes for each key in the window. When the
 * window outgrows it, or needs less than a quarter of it, another takes its place, which remembers nothing at first.
 *
 * Protected by the policy's lock. Without memory it keeps the table that it has, or remembers nothing.
 */
#ifndef QUASH_SRC_GHOST_H
#define QUASH_SRC_GHOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GHOST_BUCKET_SLOTS 8u
#define GHOST_GENERATIONS  256u /* a power of two */

struct ghost_slot {
    uint32_t fingerprint;
    uint32_t generation; /* 0: none yet */
};

struct ghost_bucket {
    struct ghost_slot slot[GHOST_BUCKET_SLOTS];
};

struct ghost {
    struct ghost_bucket *buckets; /* aligned to a cache line, in `memory`; NULL until the first note */
    void *memory;
    size_t bucket_count;
    size_t window_max;   /* what the table is made for */
    size_t remembered;   /* the sum of `living` from oldest to newest */
    size_t newest_notes; /* how many were noted in the newest generation */
    uint32_t newest;     /* from 1; at most GHOST_GENERATIONS - 1 after the oldest */
    uint32_t oldest;
    uint32_t living[GHOST_GENERATIONS]; /* by generation, modulo */
};

void ghost_init(struct ghost *ghost);
void ghost_fini(struct ghost *ghost);

/* Notes an evicted key. `window`: how many are remembered; the table is made for it. */
void ghost_note(struct ghost *ghost, uint32_t hash, size_t window);

/* Whether the key is remembered; if so it is forgotten. */
bool ghost_take(struct ghost *ghost, uint32_t hash);

#endif
