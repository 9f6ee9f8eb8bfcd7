/*
 * get_worker.h - one thread's part of `quash-bench get`: lookups in libquash or in the baseline, as fast as they go.
 *
 * A worker belongs to one thread while a slice runs and to the main thread in between.
 */
#ifndef QUASH_BENCH_GET_WORKER_H
#define QUASH_BENCH_GET_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quash/cache.h>
#include <quash/token.h>

#include "baseline.h"
#include "workload.h"

enum get_subject { GET_QUASH, GET_BASELINE, GET_SUBJECTS };

#define GET_SAMPLES_MAX 131072u /* timed lookups of each subject that one thread keeps */

enum get_state { GET_LEAD_IN, GET_COUNTING, GET_ENDED };

struct get_worker {
    /* Set once. */
    const struct workload *workload;
    quash_cache *cache;
    quash_token *token; /* this thread's own, used for each write in turn */
    struct baseline *baseline;
    struct draws draws;
    bool writes; /* some draws are writes */
    char *keys;  /* of a batch */
    unsigned char *value;
    const _Atomic int *state; /* enum get_state */

    /* Of the slice that ran last. */
    uint64_t operations, hits, misses;
    uint64_t spent_ns, running_ns; /* of these it had a processor */

    /* Of all slices. */
    size_t at;
    uint64_t version;
    uint64_t sink; /* what was read from values, so that no compiler leaves the reading out */
    quash_status failed;
    uint32_t *samples[GET_SUBJECTS]; /* ticks */
    size_t sample_count[GET_SUBJECTS];
};

/* False without memory; get_worker_fini is due in any case. *worker is zeroed before. */
bool get_worker_init(struct get_worker *worker, const struct workload *workload, const struct zipf *zipf,
                     double write_percent, size_t threads, uint64_t seed, quash_cache *cache);
void get_worker_fini(struct get_worker *worker);

/* Runs until *state is GET_ENDED, and counts from when it is GET_COUNTING. `sampled`: times one lookup of 64. */
void get_worker_slice(struct get_worker *worker, enum get_subject subject, bool sampled);

/* Stores an entry in both caches; failures are in worker->failed. */
void get_worker_fill(struct get_worker *worker, uint64_t number);

#endif
