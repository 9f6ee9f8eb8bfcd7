/*
 * measure.c - see measure.h.
 */
#define _GNU_SOURCE /* sched_getaffinity, pthread_setaffinity_np */
#include "measure.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#define OVERHEAD_SAMPLES 2001u
#define CALIBRATION_NS   (20 * NS_PER_MS)

struct tick_scale measure_ticks(void)
{
    struct tick_scale scale;
    uint64_t begin_ns = now_ns(), begin = ticks_begin();
    measure_sleep_until(begin_ns + CALIBRATION_NS);
    uint64_t end_ns = now_ns(), end = ticks_end();
    scale.ns_per_tick = (double)(end_ns - begin_ns) / (double)(end - begin);

    uint32_t samples[OVERHEAD_SAMPLES];
    for (size_t i = 0; i < OVERHEAD_SAMPLES; i++) {
        uint64_t ticks = ticks_begin();
        samples[i] = (uint32_t)(ticks_end() - ticks);
    }
    scale.overhead_ticks = measure_quantile_u32(samples, OVERHEAD_SAMPLES, 0.5);
    return scale;
}

double ticks_to_ns(const struct tick_scale *scale, double ticks)
{
    double ns = (ticks - scale->overhead_ticks) * scale->ns_per_tick;
    return ns < 0 ? 0 : ns; /* NAN stays */
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static size_t rank(size_t count, double fraction)
{
    size_t at = (size_t)(fraction * (double)count);
    return at < count ? at : count - 1;
}

double measure_quantile(double *values, size_t count, double fraction)
{
    if (count == 0)
        return NAN;
    qsort(values, count, sizeof *values, compare_doubles);
    return values[rank(count, fraction)];
}

double measure_quantile_u32(uint32_t *values, size_t count, double fraction)
{
    if (count == 0)
        return NAN;
    qsort(values, count, sizeof *values, compare_u32);
    return values[rank(count, fraction)];
}

void measure_sleep_until(uint64_t when_ns)
{
    struct timespec when = {(time_t)(when_ns / NS_PER_S), (long)(when_ns % NS_PER_S)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR)
        ;
}

unsigned measure_processors(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return 1;
    return (unsigned)CPU_COUNT(&allowed);
}

/* The processors of the whole process, before any thread was pinned. */
static cpu_set_t process_processors;
static pthread_once_t processors_once = PTHREAD_ONCE_INIT;
static bool processors_known;

static void learn_processors(void)
{
    processors_known = sched_getaffinity(0, sizeof process_processors, &process_processors) == 0;
}

bool measure_pin(unsigned number)
{
    pthread_once(&processors_once, learn_processors);
    if (!processors_known)
        return false;
    unsigned left = number % (unsigned)CPU_COUNT(&process_processors);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &process_processors) || left-- > 0)
            continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        return pthread_setaffinity_np(pthread_self(), sizeof one, &one) == 0;
    }
    return false;
}
