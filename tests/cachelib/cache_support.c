/* See cache_support.h. */
#include "cache_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

_Noreturn void support_fail(const char *what)
{
    fprintf(stderr, "test support: %s\n", what);
    abort();
}

static struct timespec after_ms(clockid_t clock, uint32_t ms)
{
    struct timespec when;
    clock_gettime(clock, &when);
    when.tv_sec += (time_t)(ms / 1000);
    return when;
}

void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->open = true;
    pthread_cond_broadcast(&gate->opened);
    pthread_mutex_unlock(&gate->mutex);
}

void gate_pass(struct gate *gate)
{
    struct timespec deadline = after_ms(CLOCK_REALTIME, SUPPORT_PATIENCE_MS);
    pthread_mutex_lock(&gate->mutex);
    while (!gate->open) {
        if (pthread_cond_timedwait(&gate->opened, &gate->mutex, &deadline) != 0)
            support_fail("nobody opened a gate");
    }
    pthread_mutex_unlock(&gate->mutex);
}

void await(bool (*condition)(void *context), void *context, const char *what)
{
    struct timespec deadline = after_ms(CLOCK_MONOTONIC, SUPPORT_PATIENCE_MS);
    while (!condition(context)) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec > deadline.tv_sec)
            support_fail(what);
        nanosleep(&(struct timespec){0, 200000}, NULL);
    }
}

struct waits {
    quash_cache *cache;
    uint64_t wanted;
};

static bool enough_wait(void *context)
{
    struct waits *waits = context;
    return stats_of(waits->cache).waits >= waits->wanted;
}

void await_waits(quash_cache *cache, uint64_t waits)
{
    struct waits wanted = {cache, waits};
    await(enough_wait, &wanted, "lookups did not begin to wait");
}

pthread_t thread_start(void *(*run)(void *), void *context)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, context) != 0)
        support_fail("no thread");
    return thread;
}

void *thread_join(pthread_t thread)
{
    void *result;
    if (pthread_join(thread, &result) != 0)
        support_fail("no join");
    return result;
}

uint64_t manual_clock_ms(void *context)
{
    struct manual_clock *clock = context;
    return atomic_load(&clock->now_ms);
}

void manual_clock_advance(struct manual_clock *clock, uint64_t ms)
{
    atomic_fetch_add(&clock->now_ms, ms);
}

quash_cache *new_cache(void)
{
    return new_cache_with(NULL);
}

quash_cache *new_cache_with(const quash_cache_options *options)
{
    quash_cache *cache = NULL;
    if (quash_cache_new(options, &cache) != QUASH_OK)
        support_fail("no cache");
    return cache;
}

quash_cache_stats stats_of(quash_cache *cache)
{
    quash_cache_stats stats = QUASH_CACHE_STATS_INIT;
    if (quash_cache_get_stats(cache, &stats) != QUASH_OK)
        support_fail("no statistics");
    return stats;
}

quash_token *new_token(quash_cache *cache, const char *group)
{
    quash_token *token = NULL;
    if (quash_token_new(quash_cache_table(cache), &token) != QUASH_OK)
        support_fail("no token");
    if (group != NULL && quash_token_add(token, group) != QUASH_OK)
        support_fail("no group");
    return token;
}

quash_status put_text(quash_cache *cache, const char *key, const char *text, const char *group)
{
    return put_text_with(cache, key, text, group, NULL);
}

quash_status put_text_with(quash_cache *cache, const char *key, const char *text, const char *group,
                           const quash_entry_options *options)
{
    quash_token *token = new_token(cache, group);
    quash_status status = quash_cache_put(cache, key, strlen(key), token, text, strlen(text), options);
    quash_token_free(token);
    return status;
}

bool entry_is_text(const quash_entry *entry, const char *text)
{
    return quash_entry_size(entry) == strlen(text) && memcmp(quash_entry_bytes(entry), text, strlen(text)) == 0;
}

bool hits_text(quash_cache *cache, const char *key, const char *text)
{
    quash_entry *entry = quash_cache_get(cache, key, strlen(key));
    bool same = entry != NULL && entry_is_text(entry, text);
    quash_entry_release(entry);
    return same;
}

bool hits(quash_cache *cache, const char *key)
{
    quash_entry *entry = quash_cache_get(cache, key, strlen(key));
    quash_entry_release(entry);
    return entry != NULL;
}

bool contains(quash_cache *cache, const char *key)
{
    return quash_cache_contains(cache, key, strlen(key));
}

size_t maintain_to_the_end(quash_cache *cache, size_t max_entries)
{
    size_t calls = 1;
    while (quash_cache_maintain(cache, max_entries)) {
        if (++calls > 10000000)
            support_fail("maintenance does not come to an end");
    }
    return calls;
}

size_t charge_of(size_t key_size, size_t value_size)
{
    quash_cache *cache = new_cache();
    quash_token *token;
    char bytes[256] = {0};
    if (quash_token_new(quash_cache_table(cache), &token) != QUASH_OK ||
        quash_cache_put(cache, bytes, key_size, token, bytes, value_size, NULL) != QUASH_OK)
        support_fail("no entry to measure");
    size_t charge = (size_t)stats_of(cache).bytes;
    quash_token_free(token);
    quash_cache_free(cache);
    return charge;
}

quash_cache *cache_for_entries(size_t count, size_t value_size)
{
    return cache_for_entries_with(count, value_size, (quash_cache_options)QUASH_CACHE_OPTIONS_INIT);
}

quash_cache *cache_for_entries_with(size_t count, size_t value_size, quash_cache_options options)
{
    options.max_bytes = count * charge_of(sizeof(int), value_size);
    return new_cache_with(&options);
}

quash_status put_number(quash_cache *cache, int key, size_t value_size)
{
    return put_number_with(cache, key, value_size, NULL, NULL);
}

quash_status put_number_with(quash_cache *cache, int key, size_t value_size, const char *group,
                             const quash_entry_options *options)
{
    char bytes[256] = {0};
    quash_token *token = new_token(cache, group);
    quash_status status = quash_cache_put(cache, &key, sizeof key, token, bytes, value_size, options);
    quash_token_free(token);
    return status;
}

bool hits_number(quash_cache *cache, int key)
{
    quash_entry *entry = quash_cache_get(cache, &key, sizeof key);
    quash_entry_release(entry);
    return entry != NULL;
}

quash_status load_text(quash_fill *fill, void *text)
{
    return quash_fill_set_bytes(fill, text, strlen(text));
}

void table_place_make(struct table_place *place)
{
    if (!scratch_make(place->directory))
        support_fail("no directory for a table");
    snprintf(place->path, sizeof place->path, "%s/table", place->directory);
}

void table_place_remove(struct table_place *place)
{
    scratch_remove(place->directory);
}

quash_table *serve(const struct table_place *place)
{
    quash_table *table = NULL;
    bool fresh;
    quash_error error;
    if (quash_table_serve(place->path, NULL, &table, &fresh, &error) != QUASH_OK)
        support_fail(error.message);
    return table;
}

quash_table *follow(const struct table_place *place)
{
    quash_table *table = NULL;
    quash_error error;
    if (quash_table_open(place->path, NULL, &table, &error) != QUASH_OK)
        support_fail(error.message);
    return table;
}

void counted_destroy(void *object, void *context)
{
    (void)context;
    struct counted *counted = object;
    atomic_fetch_add(&counted->destroyed, 1);
}
