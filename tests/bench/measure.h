/*
 * measure.h - clocks, percentiles, and keeping a thread on a processor.
 *
 * A single lookup takes some tens of nanoseconds, about as much as reading the clock. So it is timed by the processor's
 * time stamp counter where there is one, fenced so that the lookup is neither begun before nor ended after; the cost of
 * timing nothing is measured the same way and subtracted. Elsewhere the monotonic clock has to do.
 */
#ifndef QUASH_BENCH_MEASURE_H
#define QUASH_BENCH_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

static inline uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* How long the calling thread has been running, not counting when it waited for a processor. */
static inline uint64_t thread_ns(void)
{
    struct timespec spent;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return (uint64_t)spent.tv_sec * NS_PER_S + (uint64_t)spent.tv_nsec;
}

/* A reading of the counter; nothing that follows in the program has begun. */
static inline uint64_t ticks_begin(void)
{
#if defined(__x86_64__)
    _mm_lfence();
    uint64_t ticks = __rdtsc();
    _mm_lfence();
    return ticks;
#else
    return now_ns();
#endif
}

/* A reading of the counter; all that precedes in the program has ended. */
static inline uint64_t ticks_end(void)
{
#if defined(__x86_64__)
    unsigned processor;
    uint64_t ticks = __rdtscp(&processor);
    _mm_lfence();
    return ticks;
#else
    return now_ns();
#endif
}

struct tick_scale {
    double ns_per_tick;
    double overhead_ticks; /* of a ticks_begin, ticks_end pair with nothing in between */
};

/* Takes 20 ms. */
struct tick_scale measure_ticks(void);

/* Nanoseconds of so many ticks, without the overhead; not below 0. NAN of NAN. */
double ticks_to_ns(const struct tick_scale *scale, double ticks);

/* A figure out of several; sorts them. `fraction` is 0.5 for the median. NAN if there are none. */
double measure_quantile(double *values, size_t count, double fraction);
double measure_quantile_u32(uint32_t *values, size_t count, double fraction);

void measure_sleep_until(uint64_t when_ns);

/* Processors that this process may use. */
unsigned measure_processors(void);

/* Keeps the calling thread on the processor with this number among those, modulo their count. */
bool measure_pin(unsigned number);

#endif
