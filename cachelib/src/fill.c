/*
 * fill.c - fills: begin, what a loader says about its value, commit and abandon.
 *
 * The decision whether a value is kept and shared is taken in fill_settle, under the shard's lock, in the same
 * critical section in which the flight ends. Nobody can start to wait for the flight between the check of the token
 * and its end; so a waiter is never given a value of which a group was cancelled before its lookup began.
 */
#include "fill.h"

#include <stdlib.h>

#include "insert.h"

void fill_start(struct quash_fill *fill, quash_cache *cache, struct flight *flight, const struct key *key)
{
    fill->cache = cache;
    fill->flight = flight;
    fill->key = flight == NULL ? *key : flight->key;
    fill->own_key = NULL;
    fill->options = (quash_entry_options)QUASH_ENTRY_OPTIONS_INIT;
    fill->value = (struct value){.data = NULL};
    fill->unguarded = fill->not_wanted = false;
    fill->began_ns = clock_monotonic_ns();
    struct view view = cache_view(cache);
    fill->began_ms = view.now_ms;
    token_init(&fill->token, view.map);
}

static void count_end(const struct quash_fill *fill, unsigned counter)
{
    unsigned bucket = fill_time_bucket((clock_monotonic_ns() - fill->began_ns) / 1000);
    const struct reader *reader = reader_self();
    stats_count(fill->cache, reader, counter);
    stats_count(fill->cache, reader, COUNT_LOAD_TIMES + bucket);
}

/* Ends the fill without a value. */
static void fill_fail(struct quash_fill *fill, quash_status status)
{
    struct shard *shard = cache_shard(fill->cache, fill->key.hash);
    struct flight_ends ends = {NULL};
    count_end(fill, COUNT_LOADS_FAILED);
    if (fill->flight != NULL) {
        pthread_mutex_lock(&shard->lock);
        flight_end(shard, fill->flight, true, status, NULL, &ends);
        flight_release(fill->flight);
        pthread_mutex_unlock(&shard->lock);
    }
    flight_ends_finish(&ends);
}

void fill_abandon(struct quash_fill *fill, quash_status status)
{
    fill_fail(fill, status == QUASH_OK ? QUASH_LOAD_FAILED : status);
    value_destroy(&fill->value);
}

static quash_status fill_status(const struct quash_fill *fill)
{
    return fill->value.is_absent ? QUASH_ABSENT : QUASH_OK;
}

/* Ends a shared fill with its entry, under the shard's lock; unless there is to be made room first. */
static enum insert_result fill_settle(struct quash_fill *fill, struct shard *shard, struct insertion *insertion,
                                      struct view *view, struct departures *departures, struct flight_ends *ends)
{
    quash_cache *cache = fill->cache;
    struct entry *entry = insertion->entry;
    /* Fetched here, not before the lock, for the sake of those who have begun to wait until now. */
    view->map = cache_map(cache, view);
    enum entry_state state = entry_judge(entry, view);
    bool voided = fill->flight->state == FLIGHT_VOIDED || state == ENTRY_CANCELLED || state == ENTRY_COLLATERAL;
    bool shared = !voided && !fill->unguarded && state != ENTRY_DETACHED;
    bool keep = shared && state == ENTRY_LIVE && !fill->not_wanted;
    /* What is there is older than what this fill has read, so it goes even if this value cannot stay. */
    enum insert_result result = insert_settle(cache, shard, &fill->key, insertion, keep, shared, departures);
    if (result == INSERT_AGAIN)
        return result;
    if (voided)
        stats_count(cache, reader_current, COUNT_LOADS_VOIDED);
    else if (keep && result != INSERT_KEPT)
        stats_count(cache, reader_current, COUNT_REFUSED);
    flight_end(shard, fill->flight, shared, fill_status(fill), entry, ends);
    /* NULL: if the flight holds an entry, it is for one who waits, and that is the last holder. */
    flight_release(fill->flight);
    return result;
}

static bool fill_commit_shared(struct quash_fill *fill, struct entry *entry, struct view view)
{
    quash_cache *cache = fill->cache;
    struct departures departures = {{NULL}};
    struct flight_ends ends = {NULL};
    struct shard *shard = cache_shard(cache, fill->key.hash);
    struct insertion insertion = insert_start(cache, entry);
    enum insert_result result;
    for (;;) {
        pthread_mutex_lock(&shard->lock);
        result = fill_settle(fill, shard, &insertion, &view, &departures, &ends);
        pthread_mutex_unlock(&shard->lock);
        if (result != INSERT_AGAIN)
            break;
        /* Only now: a fill that has been voided must not make anything leave. */
        insert_make_room(cache, &fill->key, &insertion, &view, &departures);
    }
    insert_end(&insertion);
    flight_ends_finish(&ends);
    departures_finish(cache, &departures);
    return result == INSERT_KEPT;
}

/* Hands the entry of a private fill to the caller who waits for it, if it was loaded on another thread. */
static void fill_commit_private(struct quash_fill *fill, struct entry *entry)
{
    struct shard *shard = cache_shard(fill->cache, fill->key.hash);
    struct flight_ends nobody = {NULL};
    if (fill->flight == NULL)
        return;
    pthread_mutex_lock(&shard->lock);
    flight_end(shard, fill->flight, false, fill_status(fill), entry, &nobody);
    flight_release(fill->flight);
    pthread_mutex_unlock(&shard->lock);
}

static struct entry *fill_entry(struct quash_fill *fill, uint64_t now_ms)
{
    quash_cache *cache = fill->cache;
    if (fill->value.is_absent && fill->options.ttl_ms == QUASH_TTL_DEFAULT) {
        fill->options.ttl_ms = cache->absent_ttl_ms;
        fill->not_wanted = cache->absent_ttl_ms == 0;
    }
    struct lifetime lifetime = cache_lifetime(cache, &fill->options, fill->began_ms, now_ms);
    struct value value = fill->value;
    struct entry *entry = entry_new(cache_arena(cache), &cache->kinds, &fill->key, &fill->token, &value, &lifetime);
    if (entry != NULL)
        fill->value.data = NULL;
    return entry;
}

quash_status fill_commit(struct quash_fill *fill, quash_entry **entry, bool *kept)
{
    if (fill->value.data == NULL && !fill->value.is_absent) {
        fill_fail(fill, QUASH_LOAD_FAILED);
        return QUASH_LOAD_FAILED;
    }
    struct view view = cache_view(fill->cache);
    struct entry *made = fill_entry(fill, view.now_ms);
    if (made == NULL) {
        fill_abandon(fill, QUASH_NO_MEMORY);
        return QUASH_NO_MEMORY;
    }
    count_end(fill, COUNT_LOADS);

    bool was_kept = false;
    quash_entry *held;
    if (fill->flight == NULL || fill->flight->alone) {
        held = reader_hold_alone(made);
        fill_commit_private(fill, made);
    } else {
        /* Acquired before others can see it, and so before anybody can take it out again. */
        struct reader *reader = reader_self();
        held = reader == NULL ? reader_hold_counted(made) : reader_hold(reader, made);
        was_kept = fill_commit_shared(fill, made, view);
        if (!was_kept)
            reclaim_retire_entry(made, made->flags & ENTRY_IS_OBJECT);
    }
    if (kept != NULL)
        *kept = was_kept;
    if (fill->value.is_absent || entry == NULL)
        quash_entry_release(held);
    else
        *entry = held;
    return fill_status(fill);
}

quash_status fill_end(struct quash_fill *fill, quash_status status, quash_entry **entry)
{
    if (status == QUASH_ABSENT)
        quash_fill_set_absent(fill);
    else if (status != QUASH_OK) {
        fill_abandon(fill, status);
        return status;
    }
    return fill_commit(fill, entry, NULL);
}

/* ---- The public face ---- */

quash_status quash_fill_begin(quash_cache *cache, const void *key, size_t key_size, quash_fill **fill)
{
    struct key wanted;
    if (cache == NULL || fill == NULL || !cache_key(cache, key, key_size, &wanted))
        return QUASH_INVALID;
    quash_fill *made = malloc(sizeof *made);
    if (made == NULL)
        return QUASH_NO_MEMORY;

    quash_status status = QUASH_OK;
    struct flight *flight = NULL;
    struct shard *shard = cache_shard(cache, wanted.hash);
    pthread_mutex_lock(&shard->lock);
    if (flight_find(shard, &wanted) != NULL)
        status = QUASH_BUSY;
    else if ((flight = flight_start(shard, &wanted)) == NULL)
        status = QUASH_NO_MEMORY;
    pthread_mutex_unlock(&shard->lock);
    if (status != QUASH_OK) {
        free(made);
        return status;
    }
    fill_start(made, cache, flight, &wanted);
    *fill = made;
    return QUASH_OK;
}

quash_status quash_fill_add_group(quash_fill *fill, const char *group)
{
    if (fill == NULL)
        return QUASH_INVALID;
    quash_status status = token_add(&fill->token, group);
    if (status != QUASH_OK)
        fill->unguarded = true;
    return status;
}

quash_status quash_fill_set_options(quash_fill *fill, const quash_entry_options *options)
{
    quash_entry_options read;
    if (fill == NULL || options == NULL || !entry_options_read(&read, options))
        return QUASH_INVALID;
    fill->options = read;
    return QUASH_OK;
}

/* Puts `value` in the place of the fill's value. */
static quash_status fill_replace_value(quash_fill *fill, quash_status status, const struct value *value)
{
    if (status != QUASH_OK)
        return status;
    value_destroy(&fill->value);
    fill->value = *value;
    return QUASH_OK;
}

quash_status quash_fill_set_bytes(quash_fill *fill, const void *bytes, size_t size)
{
    struct value value;
    if (fill == NULL)
        return QUASH_INVALID;
    return fill_replace_value(fill, value_set_bytes(&value, bytes, size), &value);
}

quash_status quash_fill_set_object(quash_fill *fill, void *object, quash_destroy_fn *destroy, void *context,
                                   size_t cost)
{
    struct value value;
    if (fill == NULL)
        return QUASH_INVALID;
    return fill_replace_value(fill, value_set_object(&value, object, destroy, context, cost), &value);
}

quash_status quash_fill_set_absent(quash_fill *fill)
{
    const struct value value = {.is_absent = true};
    if (fill == NULL)
        return QUASH_INVALID;
    return fill_replace_value(fill, QUASH_OK, &value);
}

quash_stamp quash_fill_stamp(const quash_fill *fill)
{
    return (quash_stamp){fill->token.incarnation, fill->token.stamp};
}

static void fill_free(quash_fill *fill)
{
    free(fill->own_key);
    free(fill);
}

quash_status quash_fill_commit(quash_fill *fill, quash_entry **entry, bool *kept)
{
    if (fill == NULL)
        return QUASH_INVALID;
    quash_status status = fill_commit(fill, entry, kept);
    fill_free(fill);
    return status;
}

void quash_fill_abandon(quash_fill *fill, quash_status status)
{
    if (fill == NULL)
        return;
    fill_abandon(fill, status);
    fill_free(fill);
}
