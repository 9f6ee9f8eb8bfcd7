/*
 * bench_trace.c - `quash-bench trace`: the miss ratio on a trace of keys.
 *
 * Keys are numbers of eight bytes, values have eight bytes, so all entries count the same, and max_bytes is the
 * capacity times that. The baseline (LRU) runs along for comparison.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quash/cache.h>

#include "baseline.h"
#include "bench.h"
#include "options.h"
#include "results.h"

#define WHO "quash-bench trace"

#define CAPACITY_MAX 100000000u
#define SHOWN_MAX    32u /* a key of 64 bits has 20 digits */
#define TTL_MS       UINT64_C(86400000)

static const char about[] = "Looks up the keys of a trace, in order, and stores each that it misses. FILE has one\n"
                            "decimal number a line; - is standard input, as in\n"
                            "  xz -dc web.keys.xz | quash-bench trace --capacity 2000 -\n";

static const char method[] = "All entries have the same size, eight bytes of key and eight of value, and the cache\n"
                             "gets as many bytes as --capacity of them count. How many that is is found out by\n"
                             "adding some to another cache. baseline_miss_ratio is that of plain LRU.\n";

struct trace {
    quash_cache *cache;
    quash_token *token;
    struct baseline *baseline;
    uint64_t requests, misses, baseline_misses;
};

static quash_status find_charge(size_t *charge)
{
    quash_cache *cache;
    quash_status status = quash_cache_new(NULL, &cache);
    if (status != QUASH_OK)
        return status;
    quash_token *token;
    status = quash_token_new(quash_cache_table(cache), &token);
    quash_cache_stats stats[2] = {QUASH_CACHE_STATS_INIT, QUASH_CACHE_STATS_INIT};
    for (uint64_t key = 0; key < 2 && status == QUASH_OK; key++) {
        status = quash_cache_put(cache, &key, sizeof key, token, &key, sizeof key, NULL);
        if (status == QUASH_OK)
            status = quash_cache_get_stats(cache, &stats[key]);
    }
    *charge = stats[1].bytes - stats[0].bytes;
    quash_token_free(token);
    quash_cache_free(cache);
    return status;
}

static int trace_open(struct trace *trace, uint64_t capacity)
{
    size_t charge;
    quash_status status = find_charge(&charge);
    if (status != QUASH_OK)
        return bench_failed(WHO, "an entry cannot be stored", status);
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.max_bytes = charge * (size_t)capacity;
    options.ttl_ms = QUASH_TTL_FOREVER;
    status = quash_cache_new(&options, &trace->cache);
    if (status == QUASH_OK)
        status = quash_token_new(quash_cache_table(trace->cache), &trace->token);
    if (status != QUASH_OK)
        return bench_failed(WHO, "no cache can be made", status);
    trace->baseline = baseline_new(baseline_charge(sizeof(uint64_t), sizeof(uint64_t)) * (size_t)capacity, TTL_MS);
    return trace->baseline != NULL ? EXIT_DONE : bench_out_of_memory(WHO);
}

static void trace_close(struct trace *trace)
{
    quash_token_free(trace->token);
    quash_cache_free(trace->cache);
    baseline_free(trace->baseline);
}

static int request(struct trace *trace, uint64_t key)
{
    trace->requests++;
    quash_entry *entry = quash_cache_get(trace->cache, &key, sizeof key);
    if (entry != NULL) {
        uint64_t value;
        memcpy(&value, quash_entry_bytes(entry), sizeof value);
        quash_entry_release(entry);
        if (value != key) {
            fputs(WHO ": the cache answered a key with another one's value\n", stderr);
            return EXIT_WRONG;
        }
    } else {
        trace->misses++;
        quash_status status = quash_cache_put(trace->cache, &key, sizeof key, trace->token, &key, sizeof key, NULL);
        if (status != QUASH_OK)
            return bench_failed(WHO, "a value cannot be stored", status);
    }
    uint64_t value;
    size_t size;
    if (!baseline_copy(trace->baseline, &key, sizeof key, &value, sizeof value, &size)) {
        trace->baseline_misses++;
        if (!baseline_put(trace->baseline, &key, sizeof key, &key, sizeof key))
            return bench_out_of_memory(WHO);
    }
    return EXIT_DONE;
}

/* A line without its end. */
static bool read_key(const char *line, uint64_t *key)
{
    uint64_t value = 0;
    for (const char *at = line; *at != '\0'; at++) {
        unsigned digit = (unsigned)(unsigned char)*at - '0';
        if (digit > 9 || value > UINT64_MAX / 10 || value * 10 > UINT64_MAX - digit)
            return false;
        value = value * 10 + digit;
    }
    *key = value;
    return *line != '\0';
}

static void complain(const char *path, uint64_t number, const char *line)
{
    char shown[SHOWN_MAX + 4];
    snprintf(shown, sizeof shown, strlen(line) >= SHOWN_MAX ? "%.*s..." : "%.*s", (int)SHOWN_MAX, line);
    for (char *at = shown; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || (unsigned char)*at > '~')
            *at = '?';
    fprintf(stderr, "%s:%llu: \"%s\" is no key; a trace has one decimal number a line, from 0 to %llu\n", path,
            (unsigned long long)number, shown, (unsigned long long)UINT64_MAX);
}

static int read_trace(struct trace *trace, FILE *file, const char *path)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    int code = EXIT_DONE;
    errno = 0;
    for (uint64_t number = 1; code == EXIT_DONE && (length = getline(&line, &room, file)) >= 0; number++) {
        uint64_t key;
        if (length > 0 && line[length - 1] == '\n')
            line[--length] = '\0';
        if (length > 0 && line[length - 1] == '\r')
            line[--length] = '\0';
        if ((size_t)length != strlen(line) || !read_key(line, &key)) {
            complain(path, number, line);
            code = EXIT_BAD_INPUT;
        } else {
            code = request(trace, key);
        }
    }
    if (code == EXIT_DONE && ferror(file)) {
        fprintf(stderr, "%s: %s cannot be read: %s\n", WHO, path, strerror(errno));
        code = EXIT_UNREACHABLE;
    }
    if (code == EXIT_DONE && trace->requests == 0) {
        fprintf(stderr, "%s: %s is empty; a trace has one decimal number a line\n", WHO, path);
        code = EXIT_BAD_INPUT;
    }
    free(line);
    return code;
}

static void report(const struct trace *trace, uint64_t capacity, bool json)
{
    struct results results = {.command = "trace"};
    double requests = (double)trace->requests;
    results_add(&results, "capacity", (double)capacity, 0, "entries that there is room for");
    results_add(&results, "requests", requests, 0, "lines of the trace");
    results_add(&results, "misses", (double)trace->misses, 0, "of them");
    results_add(&results, "miss_ratio", (double)trace->misses / requests, 6, "misses to requests");
    results_add(&results, "baseline_miss_ratio", (double)trace->baseline_misses / requests, 6, "the same of plain LRU");
    quash_cache_stats stats = QUASH_CACHE_STATS_INIT;
    if (quash_cache_get_stats(trace->cache, &stats) == QUASH_OK) {
        results_add(&results, "entries", (double)stats.entries, 0, "in the cache at the end");
        results_add(&results, "max_bytes", (double)stats.max_bytes, 0, "that the cache was given");
    }
    results_print(&results, json);
}

static int run(uint64_t capacity, const char *path, bool json)
{
    bool is_input = strcmp(path, "-") == 0;
    FILE *file = is_input ? stdin : fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "%s: %s cannot be opened: %s\n", WHO, path, strerror(errno));
        return EXIT_UNREACHABLE;
    }
    struct trace trace = {0};
    int code = trace_open(&trace, capacity);
    if (code == EXIT_DONE)
        code = read_trace(&trace, file, is_input ? "standard input" : path);
    if (code == EXIT_DONE)
        report(&trace, capacity, json);
    trace_close(&trace);
    if (!is_input)
        fclose(file);
    return code;
}

int bench_trace(int argc, char **argv)
{
    uint64_t capacity = 0;
    bool json = false;
    const struct option flags[] = {
        {.name = "capacity",
         .value = "N",
         .count = &capacity,
         .min = 1,
         .max = CAPACITY_MAX,
         .help = "entries that there is room for; required"},
        {.name = "json", .on = &json, .help = "one JSON object instead of a table"},
    };
    const struct options options = {WHO, "FILE|-", about, method, flags, sizeof flags / sizeof flags[0]};
    const char *path = NULL;
    enum options_outcome outcome = options_parse(&options, argc, argv, &path);
    if (outcome != OPTIONS_RUN)
        return options_exit_code(outcome);
    if (capacity == 0)
        return options_wrong(WHO, "--capacity N is missing: how many entries the cache has room for");
    return run(capacity, path, json);
}
