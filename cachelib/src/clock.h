/*
 * clock.h - the two readings of the kernel's monotonic clock that the library needs. Neither can fail on Linux.
 */
#ifndef QUASH_SRC_CLOCK_H
#define QUASH_SRC_CLOCK_H

#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC, which all processes of a host share. */
static inline uint64_t clock_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* The same clock as of the last tick (1 to 10 ms ago): cheaper, and near enough for "a few times a second". */
static inline uint64_t clock_coarse_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#endif
