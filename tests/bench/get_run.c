/*
 * get_run.c - see get_run.h.
 *
 * The main thread gives orders through a gate (a mutex and a condition) and sleeps while a slice runs; within a slice
 * the workers look at an atomic state only.
 */
#include "get_run.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "baseline.h"
#include "bench.h"
#include "canceller.h"
#include "fixture.h"
#include "get_worker.h"
#include "measure.h"

#define SLICE_S         0.1 /* about; shorter where the run is short */
#define LEAD_IN         0.1 /* part of a slice that is not counted */
#define ROUNDS_MIN      3.0
#define ROUNDS_MAX      99u
#define SAMPLED_WEIGHT  0.35 /* length of a slice in which lookups are timed one by one */
#define BURSTS_PER_S    10000.0
#define TTL_MS          UINT64_C(3600000)
#define CHECKED_ENTRIES 1000u

/* What one kind of slice measures. */
struct kind {
    enum get_subject subject;
    uint64_t threads;
    bool storm, sampled;
    double rates[ROUNDS_MAX];
    size_t rounds;
    uint64_t hits, misses;
    uint64_t spent_ns, running_ns;
};

enum { KIND_MAIN, KIND_BASELINE, KIND_QUIET, KIND_ONE, KIND_SAMPLED, KIND_BASELINE_SAMPLED, KINDS };

struct thread {
    struct run *run;
    struct get_worker *worker;
    unsigned number;
    pthread_t id;
};

struct run {
    const struct get_plan *plan;
    struct fixture fixture;
    struct baseline *baseline;
    struct canceller *canceller;
    struct thread *threads;
    size_t threads_started;
    struct kind kinds[KINDS]; /* those with threads 0 are not called for */

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t order; /* number of the slice that was begun last */
    const struct kind *kind;
    size_t busy;
    bool quit;
    _Atomic int state; /* enum get_state; relaxed: it orders nothing, the mutex does */
};

/* ---- The workers' threads */

static void *work(void *argument)
{
    struct thread *thread = argument;
    struct run *run = thread->run;
    measure_pin(thread->number);
    uint64_t done = 0;
    pthread_mutex_lock(&run->mutex);
    for (;;) {
        while (!run->quit && run->order == done)
            pthread_cond_wait(&run->changed, &run->mutex);
        if (run->quit)
            break;
        done = run->order;
        const struct kind *kind = run->kind;
        if (thread->number >= kind->threads)
            continue;
        pthread_mutex_unlock(&run->mutex);
        get_worker_slice(thread->worker, kind->subject, kind->sampled);
        pthread_mutex_lock(&run->mutex);
        if (--run->busy == 0)
            pthread_cond_broadcast(&run->changed);
    }
    pthread_mutex_unlock(&run->mutex);
    return NULL;
}

static void run_slice(struct run *run, struct kind *kind, double seconds)
{
    if (kind->storm)
        canceller_set(run->canceller, true);
    atomic_store_explicit(&run->state, GET_LEAD_IN, memory_order_relaxed);
    pthread_mutex_lock(&run->mutex);
    run->kind = kind;
    run->busy = kind->threads;
    run->order++;
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->mutex);

    uint64_t begin_ns = now_ns(), length_ns = (uint64_t)(seconds * (double)NS_PER_S);
    uint64_t lead_in_ns = (uint64_t)(LEAD_IN * (double)length_ns);
    measure_sleep_until(begin_ns + lead_in_ns);
    atomic_store_explicit(&run->state, GET_COUNTING, memory_order_relaxed);
    measure_sleep_until(begin_ns + lead_in_ns + length_ns);
    atomic_store_explicit(&run->state, GET_ENDED, memory_order_relaxed);

    pthread_mutex_lock(&run->mutex);
    while (run->busy > 0)
        pthread_cond_wait(&run->changed, &run->mutex);
    pthread_mutex_unlock(&run->mutex);
    if (kind->storm)
        canceller_set(run->canceller, false);
}

static void note_slice(struct run *run, struct kind *kind)
{
    double rate = 0;
    for (size_t i = 0; i < kind->threads; i++) {
        const struct get_worker *worker = run->threads[i].worker;
        rate += (double)worker->operations * (double)NS_PER_S / (double)(worker->spent_ns > 0 ? worker->spent_ns : 1);
        kind->hits += worker->hits;
        kind->misses += worker->misses;
        kind->spent_ns += worker->spent_ns;
        kind->running_ns += worker->running_ns;
    }
    kind->rates[kind->rounds++] = rate;
}

/* ---- Setting up */

/* What one entry counts against max_bytes: the cache says so when one is added. */
static quash_status find_charge(const struct workload *workload, size_t *charge)
{
    quash_cache *cache;
    quash_status status = quash_cache_new(NULL, &cache);
    if (status != QUASH_OK)
        return status;
    quash_token *token = NULL;
    unsigned char *value = calloc(1, workload->value_bytes);
    status = value == NULL ? QUASH_NO_MEMORY : quash_token_new(quash_cache_table(cache), &token);
    quash_cache_stats stats[2] = {QUASH_CACHE_STATS_INIT, QUASH_CACHE_STATS_INIT};
    for (unsigned i = 0; i < 2 && status == QUASH_OK; i++) {
        char key[KEY_BYTES_MAX];
        workload_key(workload, i, key);
        quash_token_restart(token);
        if (!workload_add_groups(workload, i, token))
            status = QUASH_NO_MEMORY;
        if (status == QUASH_OK)
            status = quash_cache_put(cache, key, workload->key_bytes, token, value, workload->value_bytes, NULL);
        if (status == QUASH_OK)
            status = quash_cache_get_stats(cache, &stats[i]);
    }
    *charge = stats[1].bytes - stats[0].bytes;
    quash_token_free(token);
    free(value);
    quash_cache_free(cache);
    return status;
}

static size_t budget(const struct get_plan *plan, size_t charge)
{
    double bytes = (double)charge * (double)plan->workload.entries * plan->fit_percent / 100;
    /* Where all are to fit: room for those that are being replaced at the moment. */
    return (size_t)bytes + (plan->fit_percent >= 100 ? (size_t)(bytes / 50) + ((size_t)1 << 20) : 0);
}

static int make_caches(struct run *run, const char *who, struct get_figures *figures)
{
    const struct workload *workload = &run->plan->workload;
    size_t charge, baseline_bytes = baseline_charge(workload->key_bytes, workload->value_bytes);
    quash_status status = find_charge(workload, &charge);
    if (status != QUASH_OK)
        return bench_failed(who, "an entry cannot be stored", status);
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.max_bytes = budget(run->plan, charge);
    options.ttl_ms = TTL_MS;
    int code = fixture_open(&run->fixture, who, &options);
    if (code != EXIT_DONE)
        return code;
    run->baseline = baseline_new(budget(run->plan, baseline_bytes), TTL_MS);
    figures->bytes_per_entry = (double)charge;
    figures->baseline_bytes_per_entry = (double)baseline_bytes;
    return run->baseline != NULL ? EXIT_DONE : bench_out_of_memory(who);
}

static bool make_workers(struct run *run)
{
    const struct get_plan *plan = run->plan;
    struct zipf *zipf = zipf_new(plan->workload.entries, plan->zipf, plan->seed);
    bool made = zipf != NULL;
    run->threads = calloc(plan->threads, sizeof *run->threads);
    made = made && run->threads != NULL;
    for (size_t i = 0; i < plan->threads && made; i++) {
        /* So far apart that no two threads write to neighbouring lines. */
        size_t size = (sizeof(struct get_worker) + 255) / 256 * 256;
        struct get_worker *worker = aligned_alloc(256, size);
        if (worker == NULL) {
            made = false;
            break;
        }
        memset(worker, 0, size);
        run->threads[i] = (struct thread){.run = run, .worker = worker, .number = (unsigned)i};
        worker->baseline = run->baseline;
        worker->state = &run->state;
        made = get_worker_init(worker, &plan->workload, zipf, plan->write_percent, plan->threads, plan->seed + i + 1,
                               run->fixture.cache);
    }
    zipf_free(zipf);
    return made;
}

static bool start_threads(struct run *run)
{
    const struct get_plan *plan = run->plan;
    for (; run->threads_started < plan->threads; run->threads_started++) {
        struct thread *thread = &run->threads[run->threads_started];
        if (pthread_create(&thread->id, NULL, work, thread) != 0)
            return false;
    }
    if (plan->cancels_per_s <= 0)
        return true;
    struct canceller_plan canceller = {
        .table = run->fixture.served,
        .per_s = plan->cancels_per_s,
        .burst = plan->cancel_burst,
        .names = plan->cancel_names,
        .processor = (unsigned)plan->threads,
        .pinned = plan->threads < measure_processors(),
    };
    if (canceller.burst == 0)
        canceller.burst = (uint64_t)fmax(1, ceil(plan->cancels_per_s / BURSTS_PER_S));
    run->canceller = canceller_start(&canceller);
    return run->canceller != NULL;
}

static void plan_kinds(struct run *run)
{
    uint64_t threads = run->plan->threads;
    bool storm = run->plan->cancels_per_s > 0;
    struct kind *kinds = run->kinds;
    kinds[KIND_MAIN] = (struct kind){.subject = GET_QUASH, .threads = threads, .storm = storm};
    kinds[KIND_BASELINE] = (struct kind){.subject = GET_BASELINE, .threads = threads};
    kinds[KIND_QUIET] = (struct kind){.subject = GET_QUASH, .threads = storm ? threads : 0};
    kinds[KIND_ONE] = (struct kind){.subject = GET_QUASH, .threads = threads > 1 ? 1 : 0};
    kinds[KIND_SAMPLED] = (struct kind){.subject = GET_QUASH, .threads = threads, .storm = storm, .sampled = true};
    kinds[KIND_BASELINE_SAMPLED] = (struct kind){.subject = GET_BASELINE, .threads = threads, .sampled = true};
}

/* ---- Measuring */

static void run_slices(struct run *run, struct get_figures *figures)
{
    double weight = 0;
    for (size_t i = 0; i < KINDS; i++)
        if (run->kinds[i].threads > 0)
            weight += run->kinds[i].sampled ? SAMPLED_WEIGHT : 1;
    double rounds = floor(run->plan->seconds / (weight * SLICE_S));
    rounds = fmin(fmax(rounds, ROUNDS_MIN), ROUNDS_MAX);
    double slice_s = run->plan->seconds / (weight * rounds);
    figures->slices = rounds;
    figures->slice_ms = slice_s * 1e3;
    /* One round to warm up. Every other round goes the other way, so that nobody always follows the same one. */
    for (size_t round = 0; round <= (size_t)rounds; round++)
        for (size_t i = 0; i < KINDS; i++) {
            struct kind *kind = &run->kinds[round % 2 == 0 ? i : KINDS - 1 - i];
            if (kind->threads == 0)
                continue;
            run_slice(run, kind, kind->sampled ? slice_s * SAMPLED_WEIGHT : slice_s);
            if (round > 0)
                note_slice(run, kind);
            else
                for (size_t j = 0; j < kind->threads; j++)
                    run->threads[j].worker->sample_count[kind->subject] = 0;
        }
}

/* Hits must be the entry asked for: its number is in the value's first word. */
static int check_values(const struct run *run, const char *who)
{
    const struct workload *workload = &run->plan->workload;
    for (uint64_t i = 0; i < CHECKED_ENTRIES && i < workload->entries; i++) {
        char key[KEY_BYTES_MAX];
        workload_key(workload, i, key);
        quash_entry *entry = quash_cache_get(run->fixture.cache, key, workload->key_bytes);
        if (entry == NULL)
            continue;
        uint64_t word;
        memcpy(&word, quash_entry_bytes(entry), sizeof word);
        bool right = quash_entry_size(entry) == workload->value_bytes && (uint32_t)word == i;
        quash_entry_release(entry);
        if (!right) {
            fprintf(stderr, "%s: the cache answered key %llu with another entry's value\n", who, (unsigned long long)i);
            return EXIT_WRONG;
        }
    }
    return EXIT_DONE;
}

static double rate_of(struct kind *kind, double fraction)
{
    return measure_quantile(kind->rates, kind->rounds, fraction);
}

static double hit_ratio_of(const struct kind *kind)
{
    return (double)kind->hits / (double)(kind->hits + kind->misses);
}

/* The latencies of all threads together, in nanoseconds. */
static bool find_latencies(struct run *run, enum get_subject subject, const struct tick_scale *scale, double *p50,
                           double *p99)
{
    size_t count = 0;
    for (size_t i = 0; i < run->plan->threads; i++)
        count += run->threads[i].worker->sample_count[subject];
    uint32_t *all = malloc((count > 0 ? count : 1) * sizeof *all);
    if (all == NULL)
        return false;
    size_t at = 0;
    for (size_t i = 0; i < run->plan->threads; i++) {
        const struct get_worker *worker = run->threads[i].worker;
        memcpy(all + at, worker->samples[subject], worker->sample_count[subject] * sizeof *all);
        at += worker->sample_count[subject];
    }
    *p50 = ticks_to_ns(scale, measure_quantile_u32(all, count, 0.5));
    *p99 = ticks_to_ns(scale, measure_quantile_u32(all, count, 0.99));
    free(all);
    return true;
}

static int sum_up(struct run *run, const char *who, const struct tick_scale *scale, struct get_figures *figures)
{
    for (size_t i = 0; i < run->plan->threads; i++)
        if (run->threads[i].worker->failed != QUASH_OK)
            return bench_failed(who, "a value could not be stored", run->threads[i].worker->failed);
    struct kind *kinds = run->kinds;
    figures->ops_per_s = rate_of(&kinds[KIND_MAIN], 0.5);
    figures->ops_per_s_low = rate_of(&kinds[KIND_MAIN], 0.1);
    figures->ops_per_s_high = rate_of(&kinds[KIND_MAIN], 0.9);
    /* A lookup never waits: when a thread that only reads did not run, another program did. */
    struct kind *main_kind = &kinds[KIND_MAIN];
    figures->preempted_percent = 100 * fmax(0, 1 - (double)main_kind->running_ns / (double)main_kind->spent_ns);
    figures->hit_ratio = hit_ratio_of(&kinds[KIND_MAIN]);
    figures->baseline_ops_per_s = rate_of(&kinds[KIND_BASELINE], 0.5);
    figures->baseline_hit_ratio = hit_ratio_of(&kinds[KIND_BASELINE]);
    figures->quiet_ops_per_s = rate_of(&kinds[KIND_QUIET], 0.5);
    figures->one_ops_per_s = rate_of(&kinds[KIND_ONE], 0.5);
    figures->cancels_per_s = run->canceller != NULL ? canceller_rate(run->canceller) : NAN;
    quash_cache_stats stats = QUASH_CACHE_STATS_INIT;
    if (quash_cache_get_stats(run->fixture.cache, &stats) == QUASH_OK)
        figures->misses_collateral = (double)stats.misses_collateral;
    if (!find_latencies(run, GET_QUASH, scale, &figures->ns_p50, &figures->ns_p99) ||
        !find_latencies(run, GET_BASELINE, scale, &figures->baseline_ns_p50, &figures->baseline_ns_p99))
        return bench_out_of_memory(who);
    return check_values(run, who);
}

static void end_run(struct run *run)
{
    pthread_mutex_lock(&run->mutex);
    run->quit = true;
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->mutex);
    for (size_t i = 0; i < run->threads_started; i++)
        pthread_join(run->threads[i].id, NULL);
    canceller_stop(run->canceller);
    for (size_t i = 0; run->threads != NULL && i < run->plan->threads; i++)
        if (run->threads[i].worker != NULL) {
            get_worker_fini(run->threads[i].worker);
            free(run->threads[i].worker);
        }
    free(run->threads);
    baseline_free(run->baseline);
    fixture_close(&run->fixture);
    pthread_cond_destroy(&run->changed);
    pthread_mutex_destroy(&run->mutex);
}

int get_run(const struct get_plan *plan, const char *who, struct get_figures *figures)
{
    *figures = (struct get_figures){.misses_collateral = NAN};
    struct run run = {.plan = plan};
    pthread_mutex_init(&run.mutex, NULL);
    pthread_cond_init(&run.changed, NULL);
    atomic_init(&run.state, GET_ENDED);

    int code = make_caches(&run, who, figures);
    if (code == EXIT_DONE && !make_workers(&run))
        code = bench_out_of_memory(who);
    if (code == EXIT_DONE) {
        struct tick_scale scale = measure_ticks();
        for (uint64_t i = 0; i < plan->workload.entries; i++)
            get_worker_fill(run.threads[0].worker, i);
        if (!start_threads(&run)) {
            fprintf(stderr, "%s: no more threads could be started than %zu; measure with fewer\n", who,
                    run.threads_started);
            code = EXIT_UNREACHABLE;
        } else {
            plan_kinds(&run);
            run_slices(&run, figures);
            code = sum_up(&run, who, &scale, figures);
        }
    }
    end_run(&run);
    return code;
}
