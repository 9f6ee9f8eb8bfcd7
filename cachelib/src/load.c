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
 *
 * Fail-safe: a lookup that finds an expired entry keeps hold of it (the stand-in), and hands it out if the load fails
 * or takes too long; not before it has looked again whether the entry was cancelled, removed or replaced meanwhile.
 *
 * With load_on_executor the caller waits for its own load with the time-outs of any other, but gets the outcome also if
 * the load was voided, as it would have on its own thread: so its loader runs once at most.
 */
#include "load.h"

#include <time.h>

/* Loads of others that one lookup waits for. */
#define WAITS_MAX 2

/* ---- Running loaders on this thread ---- */

/* The loads that this thread is in the middle of, innermost first; on the stack of load_run. */
struct loading {
    const struct loading *outer;
    const quash_cache *cache;
    const struct key *key;
};

static _Thread_local const struct loading *loading;

static bool thread_is_loading(const quash_cache *cache, const struct key *key)
{
    for (const struct loading *load = loading; load != NULL; load = load->outer) {
        if (load->cache == cache && key_equal(load->key, key))
            return true;
    }
    return false;
}

quash_status load_run(struct quash_fill *fill, quash_load_fn *load, void *context, quash_entry **entry)
{
    struct loading self = {loading, fill->cache, &fill->key};
    loading = &self;
    quash_status status = load(fill, context);
    loading = self.outer;
    return fill_end(fill, status, entry);
}

/* ---- One call ---- */

struct call {
    quash_cache *cache;
    struct reader *reader;
    struct key key;
    quash_load_fn *load;
    void *context;
    quash_get_options options; /* with the cache's filled in */
    struct timespec soft;      /* when the waiting ends, if there is a stand-in */
    struct timespec hard;      /* and if there is none */
    struct lookup stand_in;    /* `held` NULL: none */
    quash_entry *found;        /* the answer to QUASH_OK */
    bool stale;                /* `found` has stood in */
    bool waited;               /* has been counted among those who wait */
};

static struct timespec deadline_after_ms(uint64_t now_ns, uint32_t timeout_ms)
{
    uint64_t deadline_ns = now_ns + (uint64_t)timeout_ms * 1000000;
    return (struct timespec){.tv_sec = (time_t)(deadline_ns / 1000000000), .tv_nsec = (long)(deadline_ns % 1000000000)};
}

/* The status for a live entry that was found; its hold passes to the call. */
static quash_status answer(struct call *call, const struct lookup *found)
{
    if (!entry_is_absent(found->entry)) {
        call->found = found->held;
        return QUASH_OK;
    }
    quash_entry_release(found->held);
    return QUASH_ABSENT;
}

/* ---- Standing in ---- */

/* Lets the stand-in be served without a new try for a while. The shard's lock is held. */
static void throttle(const quash_cache *cache, struct entry *entry, uint64_t now_ms)
{
    struct entry_lifetime *lifetime = entry_lifetime(entry);
    if (cache->fail_safe_throttle_ms == 0 || lifetime == NULL)
        return;
    if (!entry_stood_in(entry)) {
        atomic_store_explicit(&lifetime->expires_ms, atomic_load_explicit(&entry->deadline_ms, memory_order_relaxed),
                              memory_order_relaxed);
        /* Release pairs with the acquire in entry_stale_until_ms: who sees the mark sees when it expired. */
        atomic_fetch_or_explicit(&entry->marks, ENTRY_STOOD_IN, memory_order_release);
    }
    uint64_t until_ms = entry_stale_until_ms(entry, cache->fail_safe_ms);
    if (now_ms < until_ms && cache->fail_safe_throttle_ms < until_ms - now_ms)
        until_ms = now_ms + cache->fail_safe_throttle_ms;
    atomic_store_explicit(&entry->deadline_ms, until_ms, memory_order_relaxed);
}

/* Answers with the stand-in, if there is one and it still may be served. */
static bool stand_in(struct call *call, bool load_failed, quash_status *status)
{
    quash_cache *cache = call->cache;
    struct lookup *found = &call->stand_in;
    if (found->held == NULL)
        return false;
    struct view view = cache_view(cache);
    struct shard *shard = cache_shard(cache, call->key.hash);
    pthread_mutex_lock(&shard->lock);
    /* One that has been removed or replaced meanwhile is as bad as one that was cancelled. */
    bool may = index_find(&shard->index, &call->key) == found->entry;
    if (may) {
        enum entry_state state = entry_judge(found->entry, &view);
        may = state == ENTRY_LIVE || cache_retains(cache, found->entry, state, view.now_ms);
        if (may && load_failed && state == ENTRY_EXPIRED)
            throttle(cache, found->entry, view.now_ms);
    }
    pthread_mutex_unlock(&shard->lock);
    if (!may)
        return false;
    stats_count(cache, call->reader, COUNT_HITS_STALE);
    call->stale = true;
    *status = answer(call, found);
    found->held = NULL;
    return true;
}

static bool is_failure(quash_status status)
{
    return status != QUASH_OK && status != QUASH_ABSENT;
}

/* ---- Hits ---- */

/* Counts a lookup that is answered with a live entry; `first`: it has not been counted as a miss. */
static void count_live(struct call *call, const struct entry *entry, bool first)
{
    call->stale = entry_stood_in(entry);
    if (call->stale)
        stats_count(call->cache, call->reader, COUNT_HITS_STALE);
    if (first)
        stats_count(call->cache, call->reader, call->stale ? stats_miss(ENTRY_EXPIRED) : stats_hit(entry));
}

/* A live entry was found. Loads it anew first if that is due, and it is this caller's turn. */
static quash_status hit(struct call *call, struct lookup *found, const struct view *view)
{
    quash_cache *cache = call->cache;
    struct flight *flight = NULL;
    count_live(call, found->entry, true);
    if (refresh_claim(cache, found->entry, view) && !thread_is_loading(cache, &call->key))
        flight = refresh_start(cache, &call->key);
    if (flight == NULL ||
        (cache->execute != NULL && task_submit(cache, flight, call->load, call->context, call->options.context_size)))
        return answer(call, found);

    struct quash_fill fill;
    fill_start(&fill, cache, flight, &call->key);
    quash_entry *fresh;
    quash_status status = load_run(&fill, call->load, call->context, &fresh);
    if (is_failure(status))
        return answer(call, found);
    quash_entry_release(found->held);
    if (status == QUASH_OK)
        call->found = fresh;
    return status;
}

/* ---- Misses ---- */

/* Waits for a flight of which this thread is a holder, and lets go of it. `own`: it is the caller's load, on the
 * executor. False: the flight was voided, and the caller has to look again. */
static bool await_flight(struct call *call, struct flight *flight, bool own, quash_status *status)
{
    struct shard *shard = cache_shard(call->cache, call->key.hash);
    bool soft = call->stand_in.held != NULL && call->options.soft_timeout_ms < call->options.load_timeout_ms;
    bool stood_in = false;
    pthread_mutex_lock(&shard->lock);
    bool ended = flight_wait(shard, flight, own, soft ? &call->soft : &call->hard);
    if (!ended && soft) {
        pthread_mutex_unlock(&shard->lock);
        stood_in = stand_in(call, false, status);
        pthread_mutex_lock(&shard->lock);
        /* It was cancelled meanwhile: then this wait is one like any other. */
        if (!stood_in)
            ended = flight_wait(shard, flight, own, &call->hard);
    }
    bool voided = ended && !own && flight->state == FLIGHT_VOIDED;
    bool outcome = ended && !voided;
    if (outcome) {
        *status = flight->status;
        if (*status == QUASH_OK)
            call->found = quash_entry_acquire(flight->entry);
    }
    quash_entry *held = flight_release(flight);
    pthread_mutex_unlock(&shard->lock);
    quash_entry_release(held);

    if (!ended && !stood_in) {
        *status = QUASH_TIMED_OUT;
        stats_count(call->cache, call->reader, COUNT_WAITS_TIMED_OUT);
    } else if (outcome && is_failure(*status)) {
        stand_in(call, true, status);
    }
    return !voided;
}

/* Counts the first wait of a call. */
static void count_wait(struct call *call)
{
    if (!call->waited)
        stats_count(call->cache, call->reader, COUNT_WAITS);
    call->waited = true;
}

/* A look under the shard's lock, which this leaves locked. An entry that is live now is acquired. */
static struct lookup look_again(struct call *call, struct shard *shard, struct view *view, bool first)
{
    struct lookup found = lookup_locked(call->cache, shard, &call->key, view);
    if (found.state == ENTRY_LIVE) {
        entry_touch(found.entry, view->now_ms);
        found.held = reader_hold(call->reader, found.entry);
        count_live(call, found.entry, first);
        return found;
    }
    if (found.entry != NULL && call->stand_in.held == NULL)
        call->stand_in = (struct lookup){found.state, reader_hold(call->reader, found.entry), found.entry};
    if (first)
        stats_count(call->cache, call->reader, stats_miss(found.state));
    return found;
}

enum step {
    STEP_DONE, /* *status says how */
    STEP_WAIT, /* for *flight, of which this thread is a holder */
    STEP_LOAD  /* the load is this caller's, with *flight, or alone if that is NULL */
};

/* Under the shard's lock: to wait for the flight of the key, or to start one. */
static enum step join_or_start(struct call *call, struct shard *shard, struct flight **flight, quash_status *status)
{
    *flight = flight_find(shard, &call->key);
    if (*flight != NULL) {
        count_wait(call);
        (*flight)->holders++;
        return STEP_WAIT;
    }
    *flight = flight_start(shard, &call->key);
    if (*flight != NULL)
        return STEP_LOAD;
    *status = QUASH_NO_MEMORY;
    return STEP_DONE;
}

/* One lookup that has waited `waits` times: a hit, a wait, or the decision to load. */
static enum step miss_step(struct call *call, unsigned waits, struct flight **flight, quash_status *status)
{
    quash_cache *cache = call->cache;
    struct shard *shard = cache_shard(cache, call->key.hash);
    struct view view;
    enum step step = STEP_DONE;
    struct lookup found = look_again(call, shard, &view, waits == 0);
    *flight = NULL;
    if (found.held != NULL) {
        /* Loaded by another since the first look. */
    } else if (thread_is_loading(cache, &call->key)) {
        *status = QUASH_DEADLOCK;
    } else if (waits < WAITS_MAX && (view.map != NULL || cache->detached_ttl_ms != 0)) {
        step = join_or_start(call, shard, flight, status);
    } else {
        step = STEP_LOAD;
    }
    pthread_mutex_unlock(&shard->lock);
    if (found.held != NULL)
        *status = answer(call, &found);
    return step;
}

static quash_status load_here(struct call *call, struct flight *flight)
{
    struct quash_fill fill;
    fill_start(&fill, call->cache, flight, &call->key);
    quash_status status = load_run(&fill, call->load, call->context, &call->found);
    if (is_failure(status))
        stand_in(call, true, &status);
    return status;
}

/* Hands the load to the executor and waits for it as the others do, but for its own outcome. NULL `flight`: it is for
 * this caller alone. */
static quash_status load_there(struct call *call, struct flight *flight)
{
    struct shard *shard = cache_shard(call->cache, call->key.hash);
    quash_status status;
    if (flight == NULL)
        flight = flight_alone(&call->key);
    if (flight == NULL)
        return load_here(call, NULL);
    pthread_mutex_lock(&shard->lock);
    flight->holders++;
    pthread_mutex_unlock(&shard->lock);
    if (task_submit(call->cache, flight, call->load, call->context, call->options.context_size)) {
        count_wait(call);
        await_flight(call, flight, true, &status);
        return status;
    }
    pthread_mutex_lock(&shard->lock);
    flight_release(flight);
    pthread_mutex_unlock(&shard->lock);
    return load_here(call, flight);
}

static quash_status miss(struct call *call)
{
    uint64_t now_ns = clock_monotonic_ns();
    call->soft = deadline_after_ms(now_ns, call->options.soft_timeout_ms);
    call->hard = deadline_after_ms(now_ns, call->options.load_timeout_ms);
    for (unsigned waits = 0;; waits++) {
        struct flight *flight;
        quash_status status;
        enum step step = miss_step(call, waits, &flight, &status);
        if (step == STEP_LOAD)
            return call->cache->load_on_executor ? load_there(call, flight) : load_here(call, flight);
        if (step == STEP_DONE || await_flight(call, flight, false, &status))
            return status;
    }
}

static bool call_options_read(struct call *call, const quash_get_options *options)
{
    call->options = (quash_get_options)QUASH_GET_OPTIONS_INIT;
    if (options != NULL && !options_read(&call->options, sizeof call->options, options))
        return false;
    if (call->context == NULL && call->options.context_size != 0)
        return false;
    if (call->options.load_timeout_ms == QUASH_TIMEOUT_DEFAULT)
        call->options.load_timeout_ms = call->cache->load_timeout_ms;
    if (call->options.soft_timeout_ms == QUASH_TIMEOUT_DEFAULT)
        call->options.soft_timeout_ms = call->cache->soft_timeout_ms;
    return true;
}

quash_status quash_cache_get_or_load(quash_cache *cache, const void *key, size_t key_size, quash_load_fn *load,
                                     void *context, const quash_get_options *options, quash_entry **entry)
{
    struct call call = {.cache = cache, .load = load, .context = context};
    if (cache == NULL || load == NULL || entry == NULL || !cache_key(cache, key, key_size, &call.key) ||
        !call_options_read(&call, options))
        return QUASH_INVALID;
    call.reader = reader_self();
    if (call.reader == NULL)
        return QUASH_NO_MEMORY;

    struct view view = cache_view_quick(cache);
    struct lookup found = lookup(cache, call.reader, &call.key, &view);
    quash_status status;
    if (found.state == ENTRY_LIVE) {
        status = hit(&call, &found, &view);
    } else {
        call.stand_in = found;
        status = miss(&call);
        quash_entry_release(call.stand_in.held);
    }
    if (status != QUASH_OK)
        return status;
    if (call.options.stale != NULL)
        *call.options.stale = call.stale;
    *entry = call.found;
    return QUASH_OK;
}
