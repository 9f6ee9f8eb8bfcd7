/*
 * get_run.h - the course of `quash-bench get`: both caches filled, threads started, and then many short slices, now of
 * the one, now of the other, so that whatever else the machine is doing meets all of them alike.
 */
#ifndef QUASH_BENCH_GET_RUN_H
#define QUASH_BENCH_GET_RUN_H

#include <stdint.h>

#include "workload.h"

#define GET_THREADS_MAX 256u

struct get_plan {
    struct workload workload;
    uint64_t threads;
    double zipf;
    double seconds;
    double write_percent;
    double cancels_per_s;
    uint64_t cancel_burst; /* 0: so many that there are 10,000 bursts a second at most */
    uint64_t cancel_names;
    double fit_percent; /* of the entries, that there is room for */
    uint64_t seed;
};

/* Figures that a plan does not call for are NAN. Rates are the medians of the slices. */
struct get_figures {
    double ops_per_s, ns_p50, ns_p99, hit_ratio;
    double baseline_ops_per_s, baseline_ns_p50, baseline_ns_p99, baseline_hit_ratio;
    double quiet_ops_per_s;               /* without the cancellations */
    double one_ops_per_s;                 /* with one thread, without the cancellations */
    double ops_per_s_low, ops_per_s_high; /* a tenth of the slices was slower, or faster */
    double cancels_per_s;
    double misses_collateral;                         /* of all slices */
    double bytes_per_entry, baseline_bytes_per_entry; /* as counted against the budgets */
    double preempted_percent;                         /* of the threads' time, in which they did not run */
    double slices, slice_ms;
};

/* Returns an exit code, after explaining anything but EXIT_DONE in the name of `who`. */
int get_run(const struct get_plan *plan, const char *who, struct get_figures *figures);

#endif
