/*
 * load.c - quash_cache_get_or_load: a hit, or one load that the others wait for.
 *
 * A lookup that misses either finds the key's flight and waits, or starts one, in the critical section in which it
 * missed; so between a miss and its flight no other load of the key can begin and end. Who waited for a flight that
 * was voided starts over, WAITS_MAX times in all, then loads for itself alone: under a storm of cancellations nobody
 * waits for ever, and each caller still loads at most once.
 *
 * While no table is attached and detached_ttl_ms is 0, nothing that one caller loaded could be given to another.
 * Waiting would be in vain, so then every caller loads for itself at once.
 */
#include <string.h>
#include <time.h>

#include "cache.h"
#include "clock.h"
#include "fill.h"

/* Loads of others that one lookup waits for. */
#define WAITS_MAX 2

/* The loads that this thread is in the middle of, innermost first; on the stack of quash_cache_get_or_load. */
struct loading {
    const struct loading *outer;
    const quash_cache *cache;
    const struct key *key;
};

static _Thread_local const struct loading *loading;

static bool thread_is_loading(const quash_cache *cache, const struct key *key)
{
    for (const struct loading *load = loading; load != NULL; load = load->outer) {
        if (load->cache == cache && load->key->hash == key->hash && load->key->size == key->size &&
            (key->size == 0 || memcmp(load->key->bytes, key->bytes, key->size) == 0))
            return true;
    }
    return false;
}

/* Runs the loader; `flight` is NULL for a load that is the caller's alone. */
static quash_status load_run(quash_cache *cache, struct flight *flight, const struct key *key, quash_load_fn *load,
                             void *context, quash_entry **entry)
{
    struct quash_fill fill;
    fill_start(&fill, cache, flight, key);

    struct loading self = {loading, cache, key};
    loading = &self;
    quash_status status = load(&fill, context);
    loading = self.outer;

    if (status != QUASH_OK) {
        fill_abandon(&fill, status);
        return status;
    }
    return fill_commit(&fill, entry, NULL);
}

static struct timespec deadline_after_ms(uint32_t timeout_ms)
{
    uint64_t deadline_ns = clock_monotonic_ns() + (uint64_t)timeout_ms * 1000000;
    return (struct timespec){.tv_sec = (time_t)(deadline_ns / 1000000000), .tv_nsec = (long)(deadline_ns % 1000000000)};
}

enum step {
    STEP_DONE,  /* *status and *entry say how */
    STEP_AGAIN, /* what was waited for was voided */
    STEP_LOAD   /* the load is this thread's, with *flight, or alone if that is NULL */
};

/* Waits for another's flight, under the shard's lock. *held is to be released once it is unlocked. */
static enum step wait_for_flight(struct shard *shard, struct flight *flight, const struct timespec *deadline,
                                 quash_status *status, quash_entry **entry, quash_entry **held)
{
    enum step step = STEP_DONE;
    flight->holders++;
    if (!flight_wait(shard, flight, deadline)) {
        shard->counters.waits_timed_out++;
        *status = QUASH_TIMED_OUT;
    } else if (flight->state == FLIGHT_VOIDED) {
        step = STEP_AGAIN;
    } else {
        *status = flight->status;
        if (flight->status == QUASH_OK)
            *entry = quash_entry_acquire(flight->entry);
    }
    *held = flight_release(flight);
    return step;
}

/* One lookup that has waited `waits` times: a hit, a wait, or the decision to load. */
static enum step lookup_step(quash_cache *cache, const struct key *key, unsigned waits, const struct timespec *deadline,
                             struct flight **flight, quash_status *status, quash_entry **entry)
{
    struct shard *shard = cache_shard(cache, key->hash);
    struct view view = cache_view(cache);
    struct entry_list dead = {NULL};
    quash_entry *held = NULL;
    enum step step = STEP_DONE;

    pthread_mutex_lock(&shard->lock);
    quash_entry *found = shard_lookup(cache, shard, key, &view, waits == 0 ? LOOKUP_COUNTED : LOOKUP_AGAIN, &dead);
    struct flight *others;
    if (found != NULL) {
        *status = QUASH_OK;
        *entry = found;
    } else if (thread_is_loading(cache, key)) {
        *status = QUASH_DEADLOCK;
    } else if (waits == WAITS_MAX || (view.map == NULL && cache->detached_ttl_ms == 0)) {
        *flight = NULL;
        step = STEP_LOAD;
    } else if ((others = flight_find(shard, key)) != NULL) {
        if (waits == 0)
            shard->counters.waits++;
        step = wait_for_flight(shard, others, deadline, status, entry, &held);
    } else if ((*flight = flight_start(shard, key)) != NULL) {
        step = STEP_LOAD;
    } else {
        *status = QUASH_NO_MEMORY;
    }
    pthread_mutex_unlock(&shard->lock);

    entry_list_release(&dead);
    quash_entry_release(held);
    return step;
}

quash_status quash_cache_get_or_load(quash_cache *cache, const void *key, size_t key_size, quash_load_fn *load,
                                     void *context, const quash_get_options *options, quash_entry **entry)
{
    struct key wanted;
    if (cache == NULL || load == NULL || entry == NULL || !cache_key(cache, key, key_size, &wanted))
        return QUASH_INVALID;
    if (options != NULL && options->struct_size < sizeof *options)
        return QUASH_INVALID;
    uint32_t timeout_ms = options == NULL ? QUASH_TIMEOUT_DEFAULT : options->load_timeout_ms;
    if (timeout_ms == QUASH_TIMEOUT_DEFAULT)
        timeout_ms = cache->load_timeout_ms;
    struct timespec deadline = deadline_after_ms(timeout_ms);

    for (unsigned waits = 0;; waits++) {
        struct flight *flight = NULL;
        quash_status status = QUASH_OK;
        switch (lookup_step(cache, &wanted, waits, &deadline, &flight, &status, entry)) {
        case STEP_DONE:
            return status;
        case STEP_LOAD:
            return load_run(cache, flight, &wanted, load, context, entry);
        case STEP_AGAIN:
            break;
        }
    }
}
