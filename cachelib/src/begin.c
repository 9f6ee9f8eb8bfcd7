/*
 * begin.c - quash_cache_get_or_begin: the lookup of an event loop. What blocks in get_or_load is here an answer: the
 * load is the caller's, or a notice will come.
 */
#include <stdlib.h>
#include <string.h>

#include "load.h"

/* A fill for the caller; `flight` (NULL: private) passes to it. NULL without memory, and then the flight is ended. */
static quash_fill *fill_make(quash_cache *cache, struct flight *flight, const struct key *key)
{
    void *own_key = flight == NULL ? malloc(key->size + 1) : NULL;
    quash_fill *fill = malloc(sizeof *fill);
    if (fill != NULL && (flight != NULL || own_key != NULL)) {
        fill_start(fill, cache, flight, key);
        if (flight == NULL) {
            memcpy(own_key, key->bytes, key->size);
            fill->own_key = own_key;
            fill->key.bytes = own_key;
        }
        return fill;
    }
    free(fill);
    free(own_key);
    if (flight != NULL) {
        struct quash_fill end;
        fill_start(&end, cache, flight, key);
        fill_abandon(&end, QUASH_NO_MEMORY);
    }
    return NULL;
}

/* A hit; the entry passes to the caller, and so may the load that refreshes it. */
static quash_status begin_hit(quash_cache *cache, const struct key *key, struct lookup *found, const struct view *view,
                              quash_entry **entry, quash_fill **fill)
{
    if (refresh_claim(cache, found->entry, view)) {
        struct flight *flight = refresh_start(cache, key);
        if (flight != NULL)
            *fill = fill_make(cache, flight, key);
    }
    if (!entry_is_absent(found->entry)) {
        *entry = found->held;
        return QUASH_OK;
    }
    quash_entry_release(found->held);
    return QUASH_ABSENT;
}

/* Waits for another's flight, under the shard's lock. */
static quash_status begin_wait(struct flight *flight, quash_notifier *notifier, void *tag)
{
    if (notifier == NULL)
        return QUASH_BUSY;
    struct wait *wait = notifier_wait(notifier, tag);
    if (wait == NULL)
        return QUASH_NO_MEMORY;
    wait->next_in_flight = flight->waits;
    flight->waits = wait;
    return QUASH_BUSY;
}

static quash_status begin_miss(quash_cache *cache, struct reader *reader, const struct key *key,
                               quash_notifier *notifier, void *tag, quash_entry **entry, quash_fill **fill)
{
    struct view view;
    struct flight *flight = NULL;
    quash_status status = QUASH_MISS;
    struct shard *shard = cache_shard(cache, key->hash);

    struct lookup found = lookup_locked(cache, shard, key, &view);
    if (found.state == ENTRY_LIVE && entry_stood_in(found.entry))
        found.state = ENTRY_EXPIRED;
    if (found.state == ENTRY_LIVE) {
        entry_touch(found.entry, view.now_ms);
        found.held = reader_hold(reader, found.entry);
    } else if (view.map != NULL || cache->detached_ttl_ms != 0) {
        flight = flight_find(shard, key);
        if (flight != NULL) {
            status = begin_wait(flight, notifier, tag);
        } else {
            flight = flight_start(shard, key);
            if (flight == NULL)
                status = QUASH_NO_MEMORY;
        }
    }
    pthread_mutex_unlock(&shard->lock);

    if (found.held != NULL) {
        stats_count(cache, reader, stats_hit(found.entry));
        return begin_hit(cache, key, &found, &view, entry, fill);
    }
    stats_count(cache, reader, stats_miss(found.state));
    if (status == QUASH_BUSY && notifier != NULL)
        stats_count(cache, reader, COUNT_WAITS);
    if (status != QUASH_MISS)
        return status;
    *fill = fill_make(cache, flight, key);
    return *fill == NULL ? QUASH_NO_MEMORY : QUASH_MISS;
}

quash_status quash_cache_get_or_begin(quash_cache *cache, const void *key, size_t key_size, quash_notifier *notifier,
                                      void *tag, quash_entry **entry, quash_fill **fill)
{
    struct key wanted;
    if (cache == NULL || entry == NULL || fill == NULL || !cache_key(cache, key, key_size, &wanted))
        return QUASH_INVALID;
    struct reader *reader = reader_self();
    if (reader == NULL)
        return QUASH_NO_MEMORY;
    *entry = NULL;
    *fill = NULL;
    struct view view = cache_view_quick(cache);
    struct lookup found = lookup(cache, reader, &wanted, &view);
    if (found.state != ENTRY_LIVE || entry_stood_in(found.entry)) {
        quash_entry_release(found.held);
        return begin_miss(cache, reader, &wanted, notifier, tag, entry, fill);
    }
    stats_count(cache, reader, stats_hit(found.entry));
    return begin_hit(cache, &wanted, &found, &view, entry, fill);
}
