/*
 * put.c - values that the caller has read itself.
 */
#include "insert.h"

/* Puts an entry that nobody has seen yet. Its key's old entry and its flight end whatever comes of it. On any status
 * but QUASH_OK the entry is still the caller's. */
static quash_status put_entry(quash_cache *cache, const struct key *key, struct entry *entry, struct view *view)
{
    struct departures departures = {{NULL}};
    struct flight_ends ends = {NULL};
    struct shard *shard = cache_shard(cache, key->hash);
    struct insertion insertion = insert_start(cache, entry);
    if (insert_wants_room(cache, &insertion))
        insert_make_room(cache, key, &insertion, view, &departures);
    enum insert_result result;
    for (;;) {
        pthread_mutex_lock(&shard->lock);
        flight_void(shard, flight_find(shard, key), &ends);
        /* Fetched under the lock, so that a later lookup sees no older table. */
        view->map = cache_map(cache, view);
        bool live = entry_judge(entry, view) == ENTRY_LIVE;
        result = insert_settle(cache, shard, key, &insertion, live, true, &departures);
        pthread_mutex_unlock(&shard->lock);
        if (result != INSERT_AGAIN)
            break;
        insert_make_room(cache, key, &insertion, view, &departures);
    }
    insert_end(&insertion);
    flight_ends_finish(&ends);
    departures_finish(cache, &departures);
    if (insertion.room != QUASH_OK)
        stats_count(cache, reader_current, COUNT_REFUSED);
    else if (result == INSERT_DROPPED)
        entry_destroy(entry);
    return insertion.room;
}

struct put {
    struct key key;
    quash_entry_options options;
};

/* Checks what both puts are given. */
static bool put_valid(const quash_cache *cache, const void *bytes, size_t size, const quash_token *token,
                      const quash_entry_options *options, struct put *put)
{
    return cache != NULL && token != NULL && token_table(token) == cache->table &&
           entry_options_read(&put->options, options) && cache_key(cache, bytes, size, &put->key);
}

/* Puts *value, which stays the caller's on failure. */
static quash_status put_value(quash_cache *cache, const struct put *put, const quash_token *token, struct value *value)
{
    struct view view = cache_view(cache);
    struct lifetime lifetime = cache_lifetime(cache, &put->options, view.now_ms, view.now_ms);
    struct entry *entry =
        entry_new(cache_arena(cache), &cache->kinds, &put->key, token_inside(token), value, &lifetime);
    if (entry == NULL) {
        /* The caller knows a newer value than the one that is there. */
        quash_cache_remove(cache, put->key.bytes, put->key.size);
        return QUASH_NO_MEMORY;
    }
    quash_status status = put_entry(cache, &put->key, entry, &view);
    if (status != QUASH_OK)
        entry_undo(entry, value);
    return status;
}

quash_status quash_cache_put(quash_cache *cache, const void *key, size_t key_size, const quash_token *token,
                             const void *bytes, size_t size, const quash_entry_options *options)
{
    struct put put;
    struct value value = {.data = NULL};
    if (!put_valid(cache, key, key_size, token, options, &put))
        return QUASH_INVALID;
    quash_status status = value_borrow_bytes(&value, bytes, size);
    if (status == QUASH_TOO_LARGE) {
        quash_cache_remove(cache, key, key_size);
        stats_count(cache, reader_current, COUNT_REFUSED);
    }
    return status == QUASH_OK ? put_value(cache, &put, token, &value) : status;
}

quash_status quash_cache_put_object(quash_cache *cache, const void *key, size_t key_size, const quash_token *token,
                                    void *object, quash_destroy_fn *destroy, void *context, size_t cost,
                                    const quash_entry_options *options)
{
    struct put put;
    struct value value;
    if (!put_valid(cache, key, key_size, token, options, &put) ||
        value_set_object(&value, object, destroy, context, cost) != QUASH_OK)
        return QUASH_INVALID;
    return put_value(cache, &put, token, &value);
}
