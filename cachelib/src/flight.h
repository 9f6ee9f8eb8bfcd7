/*
 * flight.h - a load under way that others may wait for ("single flight").
 *
 *     LOADING ──finish──► ENDED    its status, and its entry if that is QUASH_OK, are for all who waited
 *        └──────void────► VOIDED   removed, replaced or cancelled meanwhile: those who waited try again
 *
 * A flight is in its shard's lists while it is LOADING, and only then; so the next to miss the key after that starts
 * another. All of it is protected by the shard's lock. Ownership: counted by `holders`, who are the fill and the
 * threads that wait; the last one frees it.
 */
#ifndef QUASH_SRC_FLIGHT_H
#define QUASH_SRC_FLIGHT_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "entry.h"

struct key;
struct shard;

enum flight_state { FLIGHT_LOADING, FLIGHT_ENDED, FLIGHT_VOIDED };

struct flight {
    struct flight *next; /* in the shard's list */
    enum flight_state state;
    size_t holders;
    quash_status status;  /* when ENDED */
    quash_entry *entry;   /* when ENDED with QUASH_OK and somebody waits: one hold of the entry, the flight's own */
    pthread_cond_t ended; /* no longer LOADING; waits by CLOCK_MONOTONIC */
    uint64_t hash;
    size_t key_size;
    unsigned char key[];
};

/* A new flight with one holder, the fill, in its shard's lists. NULL without memory. */
struct flight *flight_start(struct shard *shard, const struct key *key);

/* The flight that is LOADING the key, or NULL. */
struct flight *flight_find(struct shard *shard, const struct key *key);

/* LOADING to ENDED; wakes those who wait. A flight that is VOIDED stays so. `entry` is borrowed. */
void flight_finish(struct shard *shard, struct flight *flight, quash_status status, quash_entry *entry);

/* LOADING to VOIDED; wakes those who wait. NULL is fine, and a flight that is not LOADING stays as it is. */
void flight_void(struct shard *shard, struct flight *flight);
void flight_void_all(struct shard *shard);

/* Waits until the flight is no longer LOADING, or `deadline` has passed; the caller is a holder. Returns whether it
 * is no longer LOADING. */
bool flight_wait(struct shard *shard, struct flight *flight, const struct timespec *deadline);

/* One holder less. Returns the entry that the flight held, if it is gone now, for the caller to release once the
 * shard is unlocked; else NULL. */
quash_entry *flight_release(struct flight *flight);

#endif
