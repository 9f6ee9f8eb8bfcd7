/*
 * flight.h - a load under way that others may wait for ("single flight").
 *
 *     LOADING ──end──► ENDED    its status, and its entry if that is QUASH_OK, are for all who waited
 *        └──────void─► VOIDED   removed, replaced or cancelled meanwhile: those who waited try again
 *
 * A flight is in its shard's lists while it is LOADING, and only then; so the next to miss the key after that starts
 * another. It is `over` when its fill has ended, which may be long after it was voided: that is what the caller waits
 * for whose own load runs on an executor, and who gets its outcome in any case. One that is `alone` is for such a
 * caller only: in no list, and VOIDED from the beginning. All of it is protected by the shard's lock. Ownership:
 * counted by `holders`, who are the fill and the threads that wait; the last one frees it. Event loops wait without a
 * thread: for each there is a `struct wait`, which belongs to the flight until it ends, and then, among the
 * flight_ends, to whoever ended it.
 */
#ifndef QUASH_SRC_FLIGHT_H
#define QUASH_SRC_FLIGHT_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "entry.h"
#include "notifier.h"

struct shard;

enum flight_state { FLIGHT_LOADING, FLIGHT_ENDED, FLIGHT_VOIDED };

struct flight {
    struct flight *next; /* in the shard's list */
    enum flight_state state;
    bool alone; /* never changes, so it may be read without the lock */
    bool over;
    size_t holders;
    quash_status status;  /* when over */
    quash_entry *entry;   /* when over with QUASH_OK, if a thread had waited: acquired, the flight's own */
    struct wait *waits;   /* of event loops */
    pthread_cond_t ended; /* no longer LOADING, or over; waits by CLOCK_MONOTONIC */
    struct key key;       /* its bytes are those that follow */
    unsigned char key_bytes[];
};

/* The waits of event loops whose flights have ended under the lock, to be told after the unlock. */
struct flight_ends {
    struct wait *first;
};

void flight_ends_finish(struct flight_ends *ends);

/* A new flight with one holder, the fill, in its shard's lists. NULL without memory. */
struct flight *flight_start(struct shard *shard, const struct key *key);

/* The same, alone. */
struct flight *flight_alone(const struct key *key);

/* The flight that is LOADING the key, or NULL. */
struct flight *flight_find(struct shard *shard, const struct key *key);

/* The flight is over, with this status and, if that is QUASH_OK, this entry; wakes those who wait. From LOADING to
 * ENDED if they may have it (`shared`), else to VOIDED. `entry` is borrowed, and cannot be retired meanwhile. */
void flight_end(struct shard *shard, struct flight *flight, bool shared, quash_status status, struct entry *entry,
                struct flight_ends *ends);

/* LOADING to VOIDED; wakes those who wait. NULL is fine, and a flight that is not LOADING stays as it is. */
void flight_void(struct shard *shard, struct flight *flight, struct flight_ends *ends);
void flight_void_all(struct shard *shard, struct flight_ends *ends);

/* Waits until the flight is no longer LOADING, or, if it is the caller's `own`, over; or until `deadline` has passed.
 * The caller is a holder. False: the time is up. */
bool flight_wait(struct shard *shard, struct flight *flight, bool own, const struct timespec *deadline);

/* One holder less. Returns the entry that the flight held, if it is gone now, for the caller to release once the
 * shard is unlocked; else NULL. */
quash_entry *flight_release(struct flight *flight);

#endif
