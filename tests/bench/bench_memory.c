/*
 * bench_memory.c - `quash-bench memory`: what entries take of the process's memory, as the kernel sees it, and whether
 * that of cancelled ones serves for new ones.
 *
 * Each fill is measured in a process of its own, forked before anything is allocated, so that no memory is there
 * already that it could use. The bench itself allocates nothing while it fills.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quash/cache.h>

#include "bench.h"
#include "measure.h"
#include "options.h"
#include "results.h"
#include "workload.h"

#define WHO "quash-bench memory"

#define MEMORY_ENTRIES_MAX 25000000u
#define ENTRY_ROOM         320u  /* more than the bookkeeping of an entry; bounds max_bytes */
#define MAINTAIN_STEP      1000u /* places looked at by one call, as an event loop would */
#define MAINTAIN_LAPS      100u  /* times around the cache after which it will not end any more */
#define PROBED_ENTRIES     64u   /* to find out what one counts */

static const char about[] = "Fills a cache with entries that are all live, and compares the process's resident\n"
                            "size before and after. Then cancels everything, calls quash_cache_maintain until\n"
                            "nothing is left to do, and fills it with other keys and values of another size.\n";

static const char method[] = "Resident sizes are the kernel's (Rss in /proc/self/smaps_rollup). Each fill is in a\n"
                             "process of its own that was forked before anything was allocated.\n"
                             "\n"
                             "bytes_per_entry: growth by the first fill, less its keys and values, per entry. The\n"
                             "index, the allocator's rounding and what is mapped in advance are in it.\n"
                             "returned_percent: let A be the growth by the first fill, B the growth by the second\n"
                             "fill in a fresh process, H the growth by both with the cancellation in between. If\n"
                             "nothing came back, H were A + B; if everything did, the larger of the two. So\n"
                             "  returned_percent = 100 * (A + B - H) / min(A, B), and 100 at most.\n"
                             "The second fill is as large as the first, as counted by the cache.\n";

struct memory_plan {
    struct workload first, second;
};

/* What a child reports. */
struct memory_figures {
    int code;
    uint64_t second_entries;              /* given to all but the first */
    uint64_t first_growth, second_growth; /* of resident bytes, since there was only the empty cache */
    uint64_t charged_bytes;               /* by the first fill, as counted by the cache */
    uint64_t left_bytes, left_growth;     /* after cancelling and maintaining, counted and resident */
    uint64_t maintain_ns;
};

/* In bytes; 0 if the kernel does not say. */
static uint64_t resident_bytes(void)
{
    char line[256];
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    unsigned long long kilobytes = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "Rss: %llu kB", &kilobytes) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return (uint64_t)kilobytes * 1024;
}

static quash_status put(quash_cache *cache, const struct workload *workload, uint64_t number, quash_token *token,
                        unsigned char *value)
{
    char key[KEY_BYTES_MAX];
    workload_key(workload, number, key);
    workload_value(workload, number, 0, value);
    quash_token_restart(token);
    if (!workload_add_groups(workload, number, token))
        return QUASH_NO_MEMORY;
    return quash_cache_put(cache, key, workload->key_bytes, token, value, workload->value_bytes, NULL);
}

static quash_status fill(quash_cache *cache, const struct workload *workload, uint64_t from, uint64_t count,
                         quash_token *token)
{
    static unsigned char value[VALUE_BYTES_MAX];
    quash_status status = QUASH_OK;
    for (uint64_t i = from; i < from + count && status == QUASH_OK; i++)
        status = put(cache, workload, i, token, value);
    return status;
}

static uint64_t counted_bytes(quash_cache *cache)
{
    quash_cache_stats stats = QUASH_CACHE_STATS_INIT;
    return quash_cache_get_stats(cache, &stats) == QUASH_OK ? stats.bytes : 0;
}

static quash_status maintain(quash_cache *cache, uint64_t entries)
{
    uint64_t calls = MAINTAIN_LAPS * (entries / MAINTAIN_STEP + 1000);
    while (quash_cache_maintain(cache, MAINTAIN_STEP))
        if (calls-- == 0)
            return QUASH_TIMED_OUT;
    return QUASH_OK;
}

/* ---- In the children */

struct subject {
    quash_cache *cache;
    quash_token *token;
    uint64_t before; /* resident bytes */
};

static int subject_open(struct subject *subject, size_t max_bytes)
{
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.max_bytes = max_bytes;
    options.ttl_ms = QUASH_TTL_FOREVER;
    quash_status status = quash_cache_new(&options, &subject->cache);
    if (status == QUASH_OK)
        status = quash_token_new(quash_cache_table(subject->cache), &subject->token);
    if (status != QUASH_OK)
        return bench_failed(WHO, "no cache can be made", status);
    subject->before = resident_bytes();
    if (subject->before == 0) {
        fputs(WHO ": the kernel does not say how much memory is resident; /proc/self/smaps_rollup is needed\n", stderr);
        return EXIT_UNREACHABLE;
    }
    return EXIT_DONE;
}

static uint64_t growth(const struct subject *subject)
{
    uint64_t now = resident_bytes();
    return now > subject->before ? now - subject->before : 0;
}

static size_t max_bytes_of(const struct memory_plan *plan)
{
    return (size_t)plan->first.entries *
               (plan->first.key_bytes + plan->first.value_bytes + 8 * plan->first.groups + ENTRY_ROOM) +
           ((size_t)16 << 20);
}

/* What an entry of this size counts, on average over some. */
static quash_status find_charge(const struct workload *workload, double *charge)
{
    struct subject subject = {0};
    quash_status status = QUASH_NO_MEMORY;
    if (subject_open(&subject, (size_t)PROBED_ENTRIES * (2 * VALUE_BYTES_MAX)) == EXIT_DONE) {
        uint64_t before = counted_bytes(subject.cache);
        status = fill(subject.cache, workload, 0, PROBED_ENTRIES, subject.token);
        *charge = (double)(counted_bytes(subject.cache) - before) / PROBED_ENTRIES;
    }
    quash_token_free(subject.token);
    quash_cache_free(subject.cache);
    return status;
}

/* Finds how many entries of the second size count as much as all of the first. */
static void compare_sizes(const struct memory_plan *plan, struct memory_figures *figures)
{
    double first, second;
    quash_status status = find_charge(&plan->first, &first);
    if (status == QUASH_OK)
        status = find_charge(&plan->second, &second);
    if (status != QUASH_OK)
        figures->code = bench_failed(WHO, "an entry cannot be stored", status);
    else
        figures->second_entries = (uint64_t)((double)plan->first.entries * first / second);
}

/* Fills, cancels, maintains, fills again. */
static void both_fills(const struct memory_plan *plan, struct memory_figures *figures)
{
    struct subject subject = {0};
    figures->code = subject_open(&subject, max_bytes_of(plan));
    if (figures->code != EXIT_DONE)
        return;
    quash_status status = fill(subject.cache, &plan->first, 0, plan->first.entries, subject.token);
    figures->first_growth = growth(&subject);
    figures->charged_bytes = counted_bytes(subject.cache);
    if (status == QUASH_OK)
        status = quash_table_cancel(quash_cache_table(subject.cache), "*");
    uint64_t begin_ns = now_ns();
    if (status == QUASH_OK)
        status = maintain(subject.cache, plan->first.entries);
    figures->maintain_ns = now_ns() - begin_ns;
    figures->left_bytes = counted_bytes(subject.cache);
    figures->left_growth = growth(&subject);
    if (status == QUASH_OK)
        status = fill(subject.cache, &plan->second, plan->first.entries, figures->second_entries, subject.token);
    figures->second_growth = growth(&subject);
    if (status == QUASH_TIMED_OUT) {
        fputs(WHO ": quash_cache_maintain does not come to an end\n", stderr);
        figures->code = EXIT_WRONG;
    } else if (status != QUASH_OK) {
        figures->code = bench_failed(WHO, "the cache cannot be filled", status);
    }
    quash_token_free(subject.token);
    quash_cache_free(subject.cache);
}

/* The second fill, with nothing before it. */
static void second_fill(const struct memory_plan *plan, struct memory_figures *figures)
{
    struct subject subject = {0};
    figures->code = subject_open(&subject, max_bytes_of(plan));
    if (figures->code != EXIT_DONE)
        return;
    quash_status status =
        fill(subject.cache, &plan->second, plan->first.entries, figures->second_entries, subject.token);
    figures->second_growth = growth(&subject);
    if (status != QUASH_OK)
        figures->code = bench_failed(WHO, "the cache cannot be filled", status);
    quash_token_free(subject.token);
    quash_cache_free(subject.cache);
}

/* Runs `measure` in a child and brings its figures back. */
static int run_child(void (*measure)(const struct memory_plan *, struct memory_figures *),
                     const struct memory_plan *plan, struct memory_figures *figures)
{
    int ends[2];
    if (pipe(ends) != 0) {
        fprintf(stderr, "%s: no pipe can be made: %s\n", WHO, strerror(errno));
        return EXIT_UNREACHABLE;
    }
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        measure(plan, figures);
        _exit(write(ends[1], figures, sizeof *figures) == (ssize_t)sizeof *figures ? 0 : EXIT_UNREACHABLE);
    }
    close(ends[1]);
    int code = EXIT_UNREACHABLE;
    if (child < 0)
        fprintf(stderr, "%s: no process can be made: %s\n", WHO, strerror(errno));
    else if (read(ends[0], figures, sizeof *figures) == (ssize_t)sizeof *figures)
        code = figures->code;
    else
        fputs(WHO ": the process that measured ended early; it may have run out of memory\n", stderr);
    close(ends[0]);
    if (child > 0)
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ;
    return code;
}

/* ---- The command */

static void report(const struct memory_plan *plan, const struct memory_figures *both,
                   const struct memory_figures *second, bool json)
{
    double entries = (double)plan->first.entries;
    double payload = (double)(plan->first.key_bytes + plan->first.value_bytes);
    double a = (double)both->first_growth, b = (double)second->second_growth, h = (double)both->second_growth;
    struct results results = {.command = "memory"};
    struct results *r = &results;
    results_add(r, "entries", entries, 0, "in the first fill");
    results_add(r, "groups", (double)plan->first.groups, 0, "that each depends on");
    results_add(r, "key_bytes", (double)plan->first.key_bytes, 0, "of each key");
    results_add(r, "value_bytes", (double)plan->first.value_bytes, 0, "of each value");
    results_add(r, "refill_value_bytes", (double)plan->second.value_bytes, 0, "of each value in the second fill");
    results_add(r, "bytes_per_entry", a / entries - payload, 1, "resident, beyond key and value");
    results_add(r, "charged_bytes_per_entry", (double)both->charged_bytes / entries - payload, 1,
                "counted by the cache, beyond key and value");
    results_add(r, "resident_bytes", a, 0, "growth by the first fill");
    results_add(r, "left_bytes", (double)both->left_bytes, 0, "counted by the cache after all was cancelled");
    results_add(r, "left_resident_bytes", (double)both->left_growth, 0, "of that growth still resident then");
    results_add(r, "maintain_ms", (double)both->maintain_ns / 1e6, 1, "that quash_cache_maintain took");
    results_add(r, "refill_entries", (double)both->second_entries, 0, "in the second fill");
    results_add(r, "refill_resident_bytes", h, 0, "growth by both fills");
    results_add(r, "fresh_resident_bytes", b, 0, "growth by the second fill in a fresh process");
    results_add(r, "returned_percent", fmax(0, fmin(100, 100 * (a + b - h) / fmin(a, b))), 2,
                "of the cancelled entries' memory that served new ones");
    results_print(r, json);
}

static int run(const struct memory_plan *plan, bool json)
{
    struct memory_figures sizes = {0};
    int code = run_child(compare_sizes, plan, &sizes);
    if (code != EXIT_DONE)
        return code;
    struct memory_figures both = {.second_entries = sizes.second_entries};
    code = run_child(both_fills, plan, &both);
    if (code != EXIT_DONE)
        return code;
    struct memory_figures second = {.second_entries = sizes.second_entries};
    code = run_child(second_fill, plan, &second);
    if (code != EXIT_DONE)
        return code;
    report(plan, &both, &second, json);
    return EXIT_DONE;
}

int bench_memory(int argc, char **argv)
{
    struct workload first = {.entries = 1000000, .key_bytes = 16, .value_bytes = 64, .groups = 2};
    uint64_t refill_value_bytes = 0;
    bool json = false;
    const struct option flags[] = {
        {.name = "entries",
         .value = "N",
         .count = &first.entries,
         .min = 1000,
         .max = MEMORY_ENTRIES_MAX,
         .help = "in the first fill"},
        {.name = "groups",
         .value = "G",
         .count = &first.groups,
         .min = 0,
         .max = GROUPS_MAX,
         .help = "that each entry depends on"},
        {.name = "value-bytes",
         .value = "B",
         .count = &first.value_bytes,
         .min = VALUE_BYTES_MIN,
         .max = VALUE_BYTES_MAX,
         .help = "of each value"},
        {.name = "key-bytes",
         .value = "B",
         .count = &first.key_bytes,
         .min = KEY_BYTES_MIN,
         .max = KEY_BYTES_MAX,
         .help = "of each key"},
        {.name = "refill-value-bytes",
         .value = "B",
         .count = &refill_value_bytes,
         .min = 0,
         .max = VALUE_BYTES_MAX,
         .help = "of each value in the second fill; 0: half as\nmuch again as in the first"},
        {.name = "json", .on = &json, .help = "one JSON object instead of a table"},
    };
    const struct options options = {WHO, NULL, about, method, flags, sizeof flags / sizeof flags[0]};
    enum options_outcome outcome = options_parse(&options, argc, argv, NULL);
    if (outcome != OPTIONS_RUN)
        return options_exit_code(outcome);
    if (refill_value_bytes == 0)
        refill_value_bytes =
            first.value_bytes < VALUE_BYTES_MAX / 2 ? first.value_bytes * 3 / 2 : first.value_bytes / 2;
    else if (refill_value_bytes < VALUE_BYTES_MIN)
        return options_wrong(WHO, "--refill-value-bytes is 0 or at least %u", VALUE_BYTES_MIN);
    struct memory_plan plan = {.first = first, .second = first};
    plan.second.value_bytes = refill_value_bytes;
    return run(&plan, json);
}
