/*
 * bench_get.c - `quash-bench get`: flags and figures. The run itself is in get_run.c.
 */
#include <math.h>

#include "bench.h"
#include "get_run.h"
#include "options.h"
#include "results.h"

#define WHO "quash-bench get"

static const char about[] = "Looks up keys as fast as it goes, in libquash and in the baseline: what a C\n"
                            "programmer writes by hand, a GLib hash table, an LRU list and one mutex.\n";

static const char method[] = "Both caches are filled first. Then short slices follow each other, now of the one,\n"
                             "now of the other, with one thread and with all, with cancellations and without; a\n"
                             "figure is the median of its slices. So whatever else the machine does meets all of\n"
                             "them alike. --seconds is shared by all slices; one round more warms up.\n"
                             "\n"
                             "A lookup gets the entry, reads the first and the last eight bytes of its value and\n"
                             "lets go of it. A miss stores the value. A write takes a stamp (quash_token_restart),\n"
                             "names the groups and puts the value; the baseline's replaces it under its lock.\n"
                             "Which keys is drawn beforehand; each is written out before it is looked up, 64 at a\n"
                             "time, which takes some 3 ns of every operation of both.\n"
                             "\n"
                             "ns_p50 and ns_p99 are of single lookups, one of 64 in slices of their own, timed by\n"
                             "the processor's fenced time stamp counter without the cost of timing nothing. A\n"
                             "fence keeps lookups from overlapping, so ns_p50 is more than 1e9 / ops_per_s.\n"
                             "\n"
                             "The table is a file in shared memory, as quashd serves it. Cancelled are groups\n"
                             "that no entry depends on, in bursts; --cancel-burst 1 spaces them evenly and keeps a\n"
                             "processor busy watching the clock.\n";

static void report(const struct get_plan *plan, const struct get_figures *figures, bool json)
{
    struct results results = {.command = "get"};
    struct results *r = &results;
    results_add(r, "entries", (double)plan->workload.entries, 0, "keys");
    results_add(r, "key_bytes", (double)plan->workload.key_bytes, 0, "of each key");
    results_add(r, "value_bytes", (double)plan->workload.value_bytes, 0, "of each value");
    results_add(r, "groups", (double)plan->workload.groups, 0, "that each entry depends on");
    results_add(r, "threads", (double)plan->threads, 0, "that look up");
    results_add(r, "zipf", plan->zipf, 2, "skew of the keys' popularity");
    results_add(r, "seconds", plan->seconds, 2, "measured in all");
    results_add(r, "write_percent", plan->write_percent, 2, "of the operations that are writes");
    results_add(r, "fit_percent", plan->fit_percent, 1, "of the entries that there is room for");
    results_add(r, "seed", (double)plan->seed, 0, "of the random numbers");
    results_add(r, "rounds", figures->slices, 0, "slices of each kind");
    results_add(r, "slice_ms", figures->slice_ms, 1, "length of a slice");

    results_add(r, "ops_per_s", figures->ops_per_s, 0, "operations a second in libquash, all threads");
    results_add(r, "ops_per_s_low", figures->ops_per_s_low, 0, "the slowest tenth of the slices is below");
    results_add(r, "ops_per_s_high", figures->ops_per_s_high, 0, "the fastest tenth of the slices is above");
    results_add(r, "preempted_percent", figures->preempted_percent, 1,
                "of that time they did not run: others did, or writers waited");
    results_add(r, "ns_p50", figures->ns_p50, 1, "of a single lookup, median");
    results_add(r, "ns_p99", figures->ns_p99, 1, "of a single lookup, 99 of 100 take less");
    results_add(r, "hit_ratio", figures->hit_ratio, 6, "hits among the lookups");
    results_add(r, "bytes_per_entry", figures->bytes_per_entry, 0, "counted against max_bytes, key and value included");
    results_add(r, "baseline_ops_per_s", figures->baseline_ops_per_s, 0, "operations a second in the baseline");
    results_add(r, "baseline_ns_p50", figures->baseline_ns_p50, 1, "of a single lookup");
    results_add(r, "baseline_ns_p99", figures->baseline_ns_p99, 1, "of a single lookup");
    results_add(r, "baseline_hit_ratio", figures->baseline_hit_ratio, 6, "hits among the lookups");
    results_add(r, "ratio", figures->ops_per_s / figures->baseline_ops_per_s, 3, "ops_per_s to baseline_ops_per_s");
    bool storm = plan->cancels_per_s > 0;
    if (plan->threads > 1) {
        double all = storm ? figures->quiet_ops_per_s : figures->ops_per_s;
        results_add(r, "one_thread_ops_per_s", figures->one_ops_per_s, 0, "with one thread, no cancellations");
        results_add(r, "scaling", all / figures->one_ops_per_s, 3, "all threads to one thread, no cancellations");
    }
    if (storm) {
        results_add(r, "cancels_per_s", figures->cancels_per_s, 0, "cancellations a second that were reached");
        results_add(r, "cancels_per_s_wanted", plan->cancels_per_s, 0, "cancellations a second asked for");
        results_add(r, "quiet_ops_per_s", figures->quiet_ops_per_s, 0, "without cancellations, in the same run");
        results_add(r, "storm_ratio", figures->ops_per_s / figures->quiet_ops_per_s, 3, "ops_per_s to quiet_ops_per_s");
        results_add(r, "misses_collateral", figures->misses_collateral, 0,
                    "entries that the table could not vouch for");
    }
    results_print(r, json);
}

int bench_get(int argc, char **argv)
{
    struct get_plan plan = {
        .workload = {.entries = 100000, .key_bytes = 16, .value_bytes = 64, .groups = 2},
        .threads = 1,
        .zipf = 0.99,
        .seconds = 5,
        .cancel_names = 10000,
        .fit_percent = 100,
        .seed = 1,
    };
    bool json = false;
    const struct option flags[] = {
        {.name = "entries",
         .value = "N",
         .count = &plan.workload.entries,
         .min = 1,
         .max = ENTRIES_MAX,
         .help = "keys"},
        {.name = "value-bytes",
         .value = "B",
         .count = &plan.workload.value_bytes,
         .min = VALUE_BYTES_MIN,
         .max = VALUE_BYTES_MAX,
         .help = "of each value"},
        {.name = "key-bytes",
         .value = "B",
         .count = &plan.workload.key_bytes,
         .min = KEY_BYTES_MIN,
         .max = KEY_BYTES_MAX,
         .help = "of each key"},
        {.name = "groups",
         .value = "G",
         .count = &plan.workload.groups,
         .min = 0,
         .max = GROUPS_MAX,
         .help = "that each entry depends on"},
        {.name = "threads",
         .value = "T",
         .count = &plan.threads,
         .min = 1,
         .max = GET_THREADS_MAX,
         .help = "that look up, each on a processor"},
        {.name = "zipf",
         .value = "S",
         .real = &plan.zipf,
         .min = 0,
         .max = 10,
         .help = "skew of the keys' popularity; 0: all alike"},
        {.name = "seconds",
         .value = "D",
         .real = &plan.seconds,
         .min = 0.05,
         .max = 3600,
         .help = "to measure, in all"},
        {.name = "cancels-per-s",
         .value = "C",
         .real = &plan.cancels_per_s,
         .min = 0,
         .max = 10000000,
         .help = "of groups that no entry depends on"},
        {.name = "cancel-burst",
         .value = "N",
         .count = &plan.cancel_burst,
         .min = 0,
         .max = 1000000,
         .help = "so many at a time; 0: for 10,000 bursts\na second at most"},
        {.name = "cancel-names",
         .value = "N",
         .count = &plan.cancel_names,
         .min = 1,
         .max = 1000000000,
         .help = "how many different groups, in turn"},
        {.name = "write-percent",
         .value = "W",
         .real = &plan.write_percent,
         .min = 0,
         .max = 100,
         .help = "of the operations store a new value"},
        {.name = "fit-percent",
         .value = "P",
         .real = &plan.fit_percent,
         .min = 1,
         .max = 100,
         .help = "of the entries that each cache has room for"},
        {.name = "seed",
         .value = "N",
         .count = &plan.seed,
         .min = 0,
         .max = 4294967295,
         .help = "of the random numbers"},
        {.name = "json", .on = &json, .help = "one JSON object instead of a table"},
    };
    const struct options options = {WHO, NULL, about, method, flags, sizeof flags / sizeof flags[0]};
    enum options_outcome outcome = options_parse(&options, argc, argv, NULL);
    if (outcome != OPTIONS_RUN)
        return options_exit_code(outcome);
    struct get_figures figures;
    int code = get_run(&plan, WHO, &figures);
    if (code == EXIT_DONE)
        report(&plan, &figures, json);
    return code;
}
