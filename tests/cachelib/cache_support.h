/*
 * cache_support.h - what the cache's tests share: gates for threads, a clock moved by hand, tables in a place of their
 * own, objects that count their destruction.
 *
 * cmocka's assertions may be used on the test's own thread only. Other threads leave results behind, to be asserted
 * after they are joined; what goes wrong on them beyond that ends the program with a message (support_fail).
 */
#ifndef QUASH_TESTS_CACHE_SUPPORT_H
#define QUASH_TESTS_CACHE_SUPPORT_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <quash/cache.h>

#include "scratch.h"

/* Longer than anything here takes on a loaded machine under a sanitizer; only a broken test waits for it. */
#define SUPPORT_PATIENCE_MS 60000u

_Noreturn void support_fail(const char *what);

/* ---- Gates: a thread waits until another has opened it ---- */

struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t opened;
    bool open;
};

#define GATE_INIT                                                                                                      \
    {                                                                                                                  \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false                                                     \
    }

void gate_open(struct gate *gate);
void gate_pass(struct gate *gate); /* waits */

/* Waits until `condition(context)` holds. */
void await(bool (*condition)(void *context), void *context, const char *what);

/* Waits until so many lookups wait for another's load. */
void await_waits(quash_cache *cache, uint64_t waits);

pthread_t thread_start(void *(*run)(void *), void *context);
void *thread_join(pthread_t thread);

/* ---- A clock moved by hand ---- */

struct manual_clock {
    _Atomic uint64_t now_ms;
};

uint64_t manual_clock_ms(void *context);
void manual_clock_advance(struct manual_clock *clock, uint64_t ms);

/* ---- Caches ---- */

/* With a private table and the defaults. */
quash_cache *new_cache(void);
quash_cache *new_cache_with(const quash_cache_options *options);
quash_cache_stats stats_of(quash_cache *cache);

/* Puts a string, with an entry that depends on `group` (NULL: on none) and is stamped now. */
quash_status put_text(quash_cache *cache, const char *key, const char *text, const char *group);
/* The same, kept as `options` say. */
quash_status put_text_with(quash_cache *cache, const char *key, const char *text, const char *group,
                           const quash_entry_options *options);
/* Whether a get hits, and hits this string. */
bool hits_text(quash_cache *cache, const char *key, const char *text);
bool hits(quash_cache *cache, const char *key);
bool entry_is_text(const quash_entry *entry, const char *text);

bool contains(quash_cache *cache, const char *key);

/* A token stamped now, that depends on `group` (NULL: on none). */
quash_token *new_token(quash_cache *cache, const char *group);

/* Calls quash_cache_maintain, `max_entries` at a time, until it has no more to do. Returns how many calls that took. */
size_t maintain_to_the_end(quash_cache *cache, size_t max_entries);

/* A loader whose context is the string that it loads. */
quash_status load_text(quash_fill *fill, void *text);

/* ---- The byte budget ---- */

/* What an entry without groups counts. */
size_t charge_of(size_t key_size, size_t value_size);
/* Room for exactly so many entries whose keys are numbers. */
quash_cache *cache_for_entries(size_t count, size_t value_size);
quash_cache *cache_for_entries_with(size_t count, size_t value_size, quash_cache_options options);
quash_status put_number(quash_cache *cache, int key, size_t value_size);
quash_status put_number_with(quash_cache *cache, int key, size_t value_size, const char *group,
                             const quash_entry_options *options);
bool hits_number(quash_cache *cache, int key);

/* ---- Tables ---- */

/* A path for a table, in a directory of its own. */
struct table_place {
    char directory[SCRATCH_PATH_SIZE];
    char path[SCRATCH_PATH_SIZE + 16];
};

void table_place_make(struct table_place *place);
void table_place_remove(struct table_place *place);
quash_table *serve(const struct table_place *place);
quash_table *follow(const struct table_place *place);

/* ---- Objects that count ---- */

struct counted {
    _Atomic int destroyed;
};

void counted_destroy(void *object, void *context);

#endif
