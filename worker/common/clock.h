/*
 * clock.h - readings of the kernel's monotonic clock, which cannot fail on Linux and which all processes of a host
 * share.
 */
#ifndef QUASHD_CLOCK_H
#define QUASHD_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static inline uint64_t clock_monotonic_ms(void)
{
    return clock_monotonic_ns() / 1000000;
}

#endif
