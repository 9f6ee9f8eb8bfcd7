/*
 * bench_stampede.c - `quash-bench stampede`: one key, many threads, and the moment at which it expires.
 *
 * A barrier lets all threads look the key up at once, each time after it was seen to have expired. The loads are
 * counted by the loader itself.
 */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "fixture.h"
#include "measure.h"
#include "options.h"
#include "results.h"

#define WHO "quash-bench stampede"

#define THREADS_MAX  1024u
#define EXPIRIES_MAX 1000u
#define LOAD_MS_MAX  10000u
#define TTL_MS       30u /* beyond the load's time */
#define EXPIRY_S     20u /* after which an entry has surely expired */
#define STACK_BYTES  ((size_t)256 << 10)

static const char about[] = "Lets many threads look up one key at the moment when it has expired, over and over,\n"
                            "with a loader that takes a while.\n";

static const char method[] = "loads_per_expiry is counted by the loader: 1 is what single flight promises.\n"
                             "worst_wait_ms is the longest that any lookup took, worst_wait_ratio that compared with\n"
                             "the load it waited for; the load's own time is measured, not assumed. Waking threads\n"
                             "takes some microseconds each: on few processors that shows.\n";

struct stampede_plan {
    uint64_t threads, expiries, load_ms;
};

struct stampede {
    struct stampede_plan plan;
    quash_cache *cache;
    atomic_uint_fast64_t loads;   /* in this round; relaxed, the gate orders them */
    atomic_uint_fast64_t load_ns; /* of this round's last load */
    atomic_uint_fast64_t wrong;   /* lookups that got no value, in all rounds */

    pthread_mutex_t mutex; /* the gate */
    pthread_cond_t changed;
    uint64_t round;
    size_t busy;
    bool quit;
};

struct stampede_thread {
    struct stampede *stampede;
    pthread_t id;
    uint64_t wait_ns; /* in this round */
};

static const char the_key[] = "user:00000000001";

static quash_status load(quash_fill *fill, void *context)
{
    struct stampede *stampede = context;
    uint64_t begin_ns = now_ns();
    atomic_fetch_add_explicit(&stampede->loads, 1, memory_order_relaxed);
    measure_sleep_until(begin_ns + stampede->plan.load_ms * NS_PER_MS);
    quash_status status = quash_fill_add_group(fill, "tenant:1");
    atomic_store_explicit(&stampede->load_ns, now_ns() - begin_ns, memory_order_relaxed);
    return status == QUASH_OK ? quash_fill_set_bytes(fill, "value", 6) : status;
}

static void look_up(struct stampede *stampede)
{
    quash_entry *entry;
    if (quash_cache_get_or_load(stampede->cache, the_key, sizeof the_key, load, stampede, NULL, &entry) == QUASH_OK)
        quash_entry_release(entry);
    else
        atomic_fetch_add_explicit(&stampede->wrong, 1, memory_order_relaxed);
}

static void *run_thread(void *argument)
{
    struct stampede_thread *thread = argument;
    struct stampede *stampede = thread->stampede;
    uint64_t done = 0;
    pthread_mutex_lock(&stampede->mutex);
    for (;;) {
        while (!stampede->quit && stampede->round == done)
            pthread_cond_wait(&stampede->changed, &stampede->mutex);
        if (stampede->quit)
            break;
        done = stampede->round;
        pthread_mutex_unlock(&stampede->mutex);
        uint64_t begin_ns = now_ns();
        look_up(stampede);
        thread->wait_ns = now_ns() - begin_ns;
        pthread_mutex_lock(&stampede->mutex);
        if (--stampede->busy == 0)
            pthread_cond_broadcast(&stampede->changed);
    }
    pthread_mutex_unlock(&stampede->mutex);
    return NULL;
}

static void run_round(struct stampede *stampede)
{
    atomic_store_explicit(&stampede->loads, 0, memory_order_relaxed);
    pthread_mutex_lock(&stampede->mutex);
    stampede->busy = stampede->plan.threads;
    stampede->round++;
    pthread_cond_broadcast(&stampede->changed);
    while (stampede->busy > 0)
        pthread_cond_wait(&stampede->changed, &stampede->mutex);
    pthread_mutex_unlock(&stampede->mutex);
}

/* False: it does not expire. */
static bool await_expiry(struct stampede *stampede)
{
    uint64_t give_up_ns = now_ns() + EXPIRY_S * NS_PER_S;
    while (quash_cache_contains(stampede->cache, the_key, sizeof the_key)) {
        if (now_ns() > give_up_ns)
            return false;
        measure_sleep_until(now_ns() + NS_PER_MS);
    }
    return true;
}

struct stampede_figures {
    double loads, most_loads, worst_wait_ms, worst_ratio, load_ms;
    double median_waits[EXPIRIES_MAX];
};

static int measure(struct stampede *stampede, struct stampede_thread *threads, struct stampede_figures *figures)
{
    double waits[THREADS_MAX];
    double load_ms_sum = 0;
    for (uint64_t expiry = 0; expiry < stampede->plan.expiries; expiry++) {
        if (!await_expiry(stampede)) {
            fprintf(stderr, "%s: an entry with a ttl of %" PRIu64 " ms has not expired after %u s\n", WHO,
                    stampede->plan.load_ms + TTL_MS, EXPIRY_S);
            return EXIT_WRONG;
        }
        run_round(stampede);
        double load_ms = (double)atomic_load_explicit(&stampede->load_ns, memory_order_relaxed) / 1e6;
        double loads = (double)atomic_load_explicit(&stampede->loads, memory_order_relaxed);
        double worst_ms = 0;
        for (size_t i = 0; i < stampede->plan.threads; i++) {
            waits[i] = (double)threads[i].wait_ns / 1e6;
            worst_ms = fmax(worst_ms, waits[i]);
        }
        figures->loads += loads;
        figures->most_loads = fmax(figures->most_loads, loads);
        figures->worst_wait_ms = fmax(figures->worst_wait_ms, worst_ms);
        figures->worst_ratio = fmax(figures->worst_ratio, worst_ms / load_ms);
        figures->median_waits[expiry] = measure_quantile(waits, stampede->plan.threads, 0.5);
        load_ms_sum += load_ms;
    }
    figures->load_ms = load_ms_sum / (double)stampede->plan.expiries;
    uint64_t wrong = atomic_load_explicit(&stampede->wrong, memory_order_relaxed);
    if (wrong > 0)
        fprintf(stderr, "%s: %llu lookups got no value, though every load produced one\n", WHO,
                (unsigned long long)wrong);
    return wrong > 0 ? EXIT_WRONG : EXIT_DONE;
}

static void report(const struct stampede_plan *plan, struct stampede_figures *figures, bool json)
{
    double expiries = (double)plan->expiries;
    struct results results = {.command = "stampede"};
    results_add(&results, "threads", (double)plan->threads, 0, "that look the key up at once");
    results_add(&results, "expiries", expiries, 0, "of the key");
    results_add(&results, "loads", figures->loads, 0, "in all");
    results_add(&results, "loads_per_expiry", figures->loads / expiries, 3, "on average");
    results_add(&results, "loads_per_expiry_max", figures->most_loads, 0, "at most");
    results_add(&results, "load_ms", figures->load_ms, 3, "that a load took, on average");
    results_add(&results, "median_wait_ms", measure_quantile(figures->median_waits, plan->expiries, 0.5), 3,
                "of a lookup");
    results_add(&results, "worst_wait_ms", figures->worst_wait_ms, 3, "of any lookup");
    results_add(&results, "worst_wait_ratio", figures->worst_ratio, 3, "the worst wait to the load waited for");
    results_print(&results, json);
}

/* Starts the threads, measures, ends them. */
static int run_threads(struct stampede *stampede, struct stampede_thread *threads, struct stampede_figures *figures)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    size_t started = 0;
    for (; started < stampede->plan.threads; started++) {
        threads[started].stampede = stampede;
        if (pthread_create(&threads[started].id, &attributes, run_thread, &threads[started]) != 0)
            break;
    }
    pthread_attr_destroy(&attributes);
    int code = EXIT_UNREACHABLE;
    if (started == stampede->plan.threads)
        code = measure(stampede, threads, figures);
    else
        fprintf(stderr, "%s: no more threads could be started than %zu; measure with fewer\n", WHO, started);
    pthread_mutex_lock(&stampede->mutex);
    stampede->quit = true;
    pthread_cond_broadcast(&stampede->changed);
    pthread_mutex_unlock(&stampede->mutex);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i].id, NULL);
    return code;
}

static int run(const struct stampede_plan *plan, bool json)
{
    struct stampede_thread *threads = calloc(plan->threads, sizeof *threads);
    if (threads == NULL)
        return bench_out_of_memory(WHO);
    struct fixture fixture;
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.ttl_ms = plan->load_ms + TTL_MS; /* it counts from when the load began */
    options.load_timeout_ms = LOAD_MS_MAX + EXPIRY_S * 1000;
    int code = fixture_open(&fixture, WHO, &options);
    struct stampede stampede = {.plan = *plan, .cache = fixture.cache};
    pthread_mutex_init(&stampede.mutex, NULL);
    pthread_cond_init(&stampede.changed, NULL);
    struct stampede_figures figures = {0};
    if (code == EXIT_DONE)
        code = run_threads(&stampede, threads, &figures);
    if (code == EXIT_DONE)
        report(plan, &figures, json);
    pthread_cond_destroy(&stampede.changed);
    pthread_mutex_destroy(&stampede.mutex);
    fixture_close(&fixture);
    free(threads);
    return code;
}

int bench_stampede(int argc, char **argv)
{
    struct stampede_plan plan = {.threads = 64, .expiries = 50, .load_ms = 20};
    bool json = false;
    const struct option flags[] = {
        {.name = "threads",
         .value = "T",
         .count = &plan.threads,
         .min = 1,
         .max = THREADS_MAX,
         .help = "that look the key up at once"},
        {.name = "expiries",
         .value = "N",
         .count = &plan.expiries,
         .min = 1,
         .max = EXPIRIES_MAX,
         .help = "of the key"},
        {.name = "load-ms",
         .value = "MS",
         .count = &plan.load_ms,
         .min = 1,
         .max = LOAD_MS_MAX,
         .help = "that a load takes"},
        {.name = "json", .on = &json, .help = "one JSON object instead of a table"},
    };
    const struct options options = {WHO, NULL, about, method, flags, sizeof flags / sizeof flags[0]};
    enum options_outcome outcome = options_parse(&options, argc, argv, NULL);
    return outcome == OPTIONS_RUN ? run(&plan, json) : options_exit_code(outcome);
}
