/*
 * flight.c - single flight: the meeting point of the one who loads a key and those who wait for it. See flight.h.
 */
#include "flight.h"

#include <stdlib.h>
#include <string.h>

#include "cache.h"

static struct flight **flight_list(struct shard *shard, uint64_t hash)
{
    return &shard->flights[hash & (FLIGHT_LISTS - 1)];
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

struct flight *flight_start(struct shard *shard, const struct key *key)
{
    if (key->size > SIZE_MAX - sizeof(struct flight))
        return NULL;
    struct flight *flight = malloc(sizeof *flight + key->size);
    if (flight == NULL)
        return NULL;
    if (!cond_init_monotonic(&flight->ended)) {
        free(flight);
        return NULL;
    }
    flight->state = FLIGHT_LOADING;
    flight->holders = 1;
    flight->status = QUASH_OK;
    flight->entry = NULL;
    flight->hash = key->hash;
    flight->key_size = key->size;
    if (key->size != 0)
        memcpy(flight->key, key->bytes, key->size);
    struct flight **list = flight_list(shard, key->hash);
    flight->next = *list;
    *list = flight;
    return flight;
}

struct flight *flight_find(struct shard *shard, const struct key *key)
{
    for (struct flight *flight = *flight_list(shard, key->hash); flight != NULL; flight = flight->next) {
        if (flight->hash == key->hash && flight->key_size == key->size &&
            (key->size == 0 || memcmp(flight->key, key->bytes, key->size) == 0))
            return flight;
    }
    return NULL;
}

static void flight_leave_loading(struct shard *shard, struct flight *flight, enum flight_state state)
{
    struct flight **link = flight_list(shard, flight->hash);
    while (*link != flight)
        link = &(*link)->next;
    *link = flight->next;
    flight->next = NULL;
    flight->state = state;
    pthread_cond_broadcast(&flight->ended);
}

void flight_finish(struct shard *shard, struct flight *flight, quash_status status, quash_entry *entry)
{
    if (flight->state != FLIGHT_LOADING)
        return;
    flight_leave_loading(shard, flight, FLIGHT_ENDED);
    flight->status = status;
    if (entry != NULL && flight->holders > 1)
        flight->entry = quash_entry_acquire(entry);
}

void flight_void(struct shard *shard, struct flight *flight)
{
    if (flight != NULL && flight->state == FLIGHT_LOADING)
        flight_leave_loading(shard, flight, FLIGHT_VOIDED);
}

void flight_void_all(struct shard *shard)
{
    for (unsigned i = 0; i < FLIGHT_LISTS; i++) {
        while (shard->flights[i] != NULL)
            flight_void(shard, shard->flights[i]);
    }
}

bool flight_wait(struct shard *shard, struct flight *flight, const struct timespec *deadline)
{
    int error = 0;
    while (flight->state == FLIGHT_LOADING && error == 0)
        error = pthread_cond_timedwait(&flight->ended, &shard->lock, deadline);
    return flight->state != FLIGHT_LOADING;
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
