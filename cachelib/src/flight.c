/*
 * flight.c - single flight: the meeting point of the one who loads a key and those who wait for it. See flight.h.
 */
#include "flight.h"

#include <stdlib.h>
#include <string.h>

#include "cache.h"

static struct flight **flight_list(struct shard *shard, uint64_t hash)
{
    return &shard->flights[hash >> 32 & (FLIGHT_LISTS - 1)];
}

static bool cond_init_monotonic(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0)
        return false;
    bool done =
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 && pthread_cond_init(cond, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return done;
}

static struct flight *flight_new(const struct key *key, bool alone)
{
    struct flight *flight = malloc(sizeof *flight + key->size);
    if (flight == NULL)
        return NULL;
    if (!cond_init_monotonic(&flight->ended)) {
        free(flight);
        return NULL;
    }
    flight->next = NULL;
    flight->state = alone ? FLIGHT_VOIDED : FLIGHT_LOADING;
    flight->alone = alone;
    flight->over = false;
    flight->holders = 1;
    flight->status = QUASH_OK;
    flight->entry = NULL;
    flight->waits = NULL;
    flight->key = (struct key){flight->key_bytes, key->size, key->hash};
    memcpy(flight->key_bytes, key->bytes, key->size);
    return flight;
}

struct flight *flight_start(struct shard *shard, const struct key *key)
{
    struct flight *flight = flight_new(key, false);
    if (flight == NULL)
        return NULL;
    struct flight **list = flight_list(shard, key->hash);
    flight->next = *list;
    *list = flight;
    return flight;
}

struct flight *flight_alone(const struct key *key)
{
    return flight_new(key, true);
}

struct flight *flight_find(struct shard *shard, const struct key *key)
{
    for (struct flight *flight = *flight_list(shard, key->hash); flight != NULL; flight = flight->next) {
        if (key_equal(&flight->key, key))
            return flight;
    }
    return NULL;
}

static void flight_leave_loading(struct shard *shard, struct flight *flight, enum flight_state state)
{
    struct flight **link = flight_list(shard, flight->key.hash);
    while (*link != flight)
        link = &(*link)->next;
    *link = flight->next;
    flight->next = NULL;
    flight->state = state;
    pthread_cond_broadcast(&flight->ended);
}

/* Moves the event loops' waits to `ends`, with the answer. */
static void flight_answer_waits(struct flight *flight, quash_status status, struct entry *entry,
                                struct flight_ends *ends)
{
    while (flight->waits != NULL) {
        struct wait *wait = flight->waits;
        flight->waits = wait->next_in_flight;
        wait->status = status;
        wait->entry = status == QUASH_OK ? reader_hold_counted(entry) : NULL;
        wait->next_in_flight = ends->first;
        ends->first = wait;
    }
}

void flight_end(struct shard *shard, struct flight *flight, bool shared, quash_status status, struct entry *entry,
                struct flight_ends *ends)
{
    if (flight->state == FLIGHT_LOADING) {
        flight_leave_loading(shard, flight, shared ? FLIGHT_ENDED : FLIGHT_VOIDED);
        flight_answer_waits(flight, shared ? status : QUASH_VOIDED, entry, ends);
    }
    flight->over = true;
    flight->status = status;
    if (status == QUASH_OK && flight->holders > 1)
        flight->entry = reader_hold_counted(entry);
    pthread_cond_broadcast(&flight->ended);
}

void flight_void(struct shard *shard, struct flight *flight, struct flight_ends *ends)
{
    if (flight == NULL || flight->state != FLIGHT_LOADING)
        return;
    flight_leave_loading(shard, flight, FLIGHT_VOIDED);
    flight_answer_waits(flight, QUASH_VOIDED, NULL, ends);
}

void flight_void_all(struct shard *shard, struct flight_ends *ends)
{
    for (unsigned i = 0; i < FLIGHT_LISTS; i++) {
        while (shard->flights[i] != NULL)
            flight_void(shard, shard->flights[i], ends);
    }
}

void flight_ends_finish(struct flight_ends *ends)
{
    while (ends->first != NULL) {
        struct wait *wait = ends->first;
        ends->first = wait->next_in_flight;
        notifier_post(wait);
    }
}

static bool flight_pending(const struct flight *flight, bool own)
{
    return own ? !flight->over : flight->state == FLIGHT_LOADING;
}

bool flight_wait(struct shard *shard, struct flight *flight, bool own, const struct timespec *deadline)
{
    int error = 0;
    while (flight_pending(flight, own) && error == 0)
        error = pthread_cond_timedwait(&flight->ended, &shard->lock, deadline);
    return !flight_pending(flight, own);
}

quash_entry *flight_release(struct flight *flight)
{
    if (--flight->holders != 0)
        return NULL;
    quash_entry *entry = flight->entry;
    pthread_cond_destroy(&flight->ended);
    free(flight);
    return entry;
}
