/*
 * get_worker.c - see get_worker.h.
 *
 * The two loops differ in nothing but the cache that they call. A lookup reads the first and the last word of the value
 * and lets go of it; a miss stores the value, as a service would once it had loaded it.
 */
#include "get_worker.h"

#include <stdlib.h>
#include <string.h>

#include "measure.h"

#define BATCH 64u /* operations between two looks at the state; divides the number of draws */

bool get_worker_init(struct get_worker *worker, const struct workload *workload, const struct zipf *zipf,
                     double write_percent, size_t threads, uint64_t seed, quash_cache *cache)
{
    worker->workload = workload;
    worker->cache = cache;
    worker->writes = write_percent > 0;
    worker->value = malloc(workload->value_bytes);
    worker->keys = malloc(BATCH * workload->key_bytes);
    for (size_t i = 0; worker->keys != NULL && i < BATCH; i++)
        workload_key(workload, 0, worker->keys + i * workload->key_bytes);
    for (size_t i = 0; i < GET_SUBJECTS; i++)
        worker->samples[i] = malloc(GET_SAMPLES_MAX * sizeof *worker->samples[i]);
    return quash_token_new(quash_cache_table(cache), &worker->token) == QUASH_OK && worker->value != NULL &&
           worker->samples[GET_QUASH] != NULL && worker->samples[GET_BASELINE] != NULL && worker->keys != NULL &&
           draws_init(&worker->draws, zipf, write_percent, threads, seed);
}

void get_worker_fini(struct get_worker *worker)
{
    draws_fini(&worker->draws);
    for (size_t i = 0; i < GET_SUBJECTS; i++)
        free(worker->samples[i]);
    free(worker->keys);
    free(worker->value);
    quash_token_free(worker->token);
}

/* The least that a lookup does with a value. */
static inline uint64_t ends_of(const void *value, size_t size)
{
    uint64_t first, last;
    memcpy(&first, value, sizeof first);
    memcpy(&last, (const unsigned char *)value + size - sizeof last, sizeof last);
    return first + last;
}

/* ---- libquash */

static void quash_store(struct get_worker *worker, const char *key, uint64_t number)
{
    const struct workload *workload = worker->workload;
    quash_token_restart(worker->token); /* before the value is read, here: made */
    workload_value(workload, number, ++worker->version, worker->value);
    bool named = workload_add_groups(workload, number, worker->token);
    quash_status status = quash_cache_put(worker->cache, key, workload->key_bytes, worker->token, worker->value,
                                          workload->value_bytes, NULL);
    if (status != QUASH_OK || !named)
        worker->failed = named ? status : QUASH_INVALID;
}

static inline void quash_look(struct get_worker *worker, const char *key, uint32_t draw)
{
    size_t key_bytes = worker->workload->key_bytes;
    if (worker->writes && draw & DRAW_WRITE) {
        quash_store(worker, key, draw & ~DRAW_WRITE);
        return;
    }
    quash_entry *entry = quash_cache_get(worker->cache, key, key_bytes);
    if (entry == NULL) {
        worker->misses++;
        quash_store(worker, key, draw);
        return;
    }
    worker->sink += ends_of(quash_entry_bytes(entry), quash_entry_size(entry));
    quash_entry_release(entry);
    worker->hits++;
}

/* ---- The baseline */

static void baseline_store(struct get_worker *worker, const char *key, uint64_t number)
{
    const struct workload *workload = worker->workload;
    workload_value(workload, number, ++worker->version, worker->value);
    if (!baseline_put(worker->baseline, key, workload->key_bytes, worker->value, workload->value_bytes))
        worker->failed = QUASH_NO_MEMORY;
}

static inline bool baseline_read(struct get_worker *worker, const char *key)
{
    const struct workload *workload = worker->workload;
    size_t size;
    if (workload->value_bytes <= BASELINE_COPY_MAX) {
        unsigned char value[BASELINE_COPY_MAX];
        if (!baseline_copy(worker->baseline, key, workload->key_bytes, value, sizeof value, &size))
            return false;
        worker->sink += ends_of(value, size);
        return true;
    }
    struct baseline_entry *entry = baseline_get(worker->baseline, key, workload->key_bytes);
    if (entry == NULL)
        return false;
    const void *value = baseline_value(entry, &size);
    worker->sink += ends_of(value, size);
    baseline_release(entry);
    return true;
}

static inline void baseline_look(struct get_worker *worker, const char *key, uint32_t draw)
{
    if (worker->writes && draw & DRAW_WRITE) {
        baseline_store(worker, key, draw & ~DRAW_WRITE);
    } else if (baseline_read(worker, key)) {
        worker->hits++;
    } else {
        worker->misses++;
        baseline_store(worker, key, draw);
    }
}

/* ---- Slices */

/* Writes the next keys, up to BATCH of them, and returns their draws. The keys are written before the first is used, as
 * one that has just been written is slower to read. */
static const uint32_t *next_draws(struct get_worker *worker, size_t count)
{
    const uint32_t *draw = &worker->draws.draw[worker->at & (worker->draws.count - 1)];
    for (size_t i = 0; i < count; i++)
        workload_rekey(worker->workload, draw[i] & ~DRAW_WRITE, worker->keys + i * worker->workload->key_bytes);
    worker->at += count;
    return draw;
}

static void quash_batch(struct get_worker *worker, const uint32_t *draw, size_t count)
{
    size_t key_bytes = worker->workload->key_bytes;
    for (size_t i = 0; i < count; i++)
        quash_look(worker, worker->keys + i * key_bytes, draw[i]);
}

static void baseline_batch(struct get_worker *worker, const uint32_t *draw, size_t count)
{
    size_t key_bytes = worker->workload->key_bytes;
    for (size_t i = 0; i < count; i++)
        baseline_look(worker, worker->keys + i * key_bytes, draw[i]);
}

typedef void batch_fn(struct get_worker *worker, const uint32_t *draw, size_t count);

/* Of a batch, all but the last as ever, and that one timed. */
static void sample(struct get_worker *worker, enum get_subject subject, batch_fn *batch)
{
    const uint32_t *draw = next_draws(worker, BATCH);
    size_t key_bytes = worker->workload->key_bytes;
    batch(worker, draw, BATCH - 1);
    char *key = worker->keys, *last = key + (BATCH - 1) * key_bytes;
    memcpy(key, last, key_bytes);
    uint64_t begin = ticks_begin();
    batch(worker, &draw[BATCH - 1], 1);
    uint64_t ticks = ticks_end() - begin;
    if (!(draw[BATCH - 1] & DRAW_WRITE) && worker->sample_count[subject] < GET_SAMPLES_MAX)
        worker->samples[subject][worker->sample_count[subject]++] = ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX;
}

static int state_of(const struct get_worker *worker)
{
    return atomic_load_explicit(worker->state, memory_order_relaxed);
}

void get_worker_slice(struct get_worker *worker, enum get_subject subject, bool sampled)
{
    batch_fn *batch = subject == GET_QUASH ? quash_batch : baseline_batch;
    while (state_of(worker) == GET_LEAD_IN)
        batch(worker, next_draws(worker, BATCH), BATCH);
    worker->hits = worker->misses = worker->operations = 0;
    uint64_t begin_ns = now_ns(), running_ns = thread_ns();
    while (state_of(worker) != GET_ENDED) {
        if (sampled)
            sample(worker, subject, batch);
        else
            batch(worker, next_draws(worker, BATCH), BATCH);
        worker->operations += BATCH;
    }
    worker->spent_ns = now_ns() - begin_ns;
    worker->running_ns = thread_ns() - running_ns;
}

void get_worker_fill(struct get_worker *worker, uint64_t number)
{
    char key[KEY_BYTES_MAX];
    workload_key(worker->workload, number, key);
    quash_store(worker, key, number);
    baseline_store(worker, key, number);
}
