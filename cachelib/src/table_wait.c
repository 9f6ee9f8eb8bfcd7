/*
 * table_wait.c - sleeping until something was cancelled.
 *
 * The futex is the low half of `changes`, the one at the lower address, and it is a shared one: waiters and writers are
 * different processes. Waiting needs no more than to read the word, so it works on a read-only mapping.
 *
 * A retired table moves `changes` and wakes. What wakes nobody is a table that was replaced without being retired
 * (its worker killed, its file removed), and 2^32 cancellations between a waiter's look at the word and its sleep; for
 * those no sleep is longer than WAIT_SLICE_NS.
 */
#define _GNU_SOURCE /* syscall */
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "table_handle.h"

#define WAIT_SLICE_NS UINT64_C(1000000000)

static void *futex_word(const struct table_map *map)
{
    static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low half comes first");
    return (char *)map->header + offsetof(struct table_header, changes);
}

void table_map_wake(const struct table_map *map)
{
    /* Fails only for an address that is not mapped, and this one is. */
    syscall(SYS_futex, futex_word(map), FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void table_map_wait(const struct table_map *map, uint64_t seen, uint64_t time_ns)
{
    if (time_ns > WAIT_SLICE_NS)
        time_ns = WAIT_SLICE_NS;
    const struct timespec time = {.tv_sec = (time_t)(time_ns / 1000000000u), .tv_nsec = (long)(time_ns % 1000000000u)};
    syscall(SYS_futex, futex_word(map), FUTEX_WAIT, (uint32_t)seen, &time, NULL, 0);
}

quash_status quash_table_wait(quash_table *table, uint64_t *changes, uint32_t timeout_ms)
{
    if (table == NULL || changes == NULL)
        return QUASH_INVALID;
    const uint64_t deadline_ns = clock_monotonic_ns() + (uint64_t)timeout_ms * 1000000u;
    uint64_t began_with = 0; /* the incarnation that this call found first */
    for (;;) {
        const struct table_map *map = table_current(table);
        if (map == NULL)
            return QUASH_DETACHED;
        /* A successor's count may happen to be the one that the caller knows from its predecessor. Relaxed: the word is
         * compared and nothing else. */
        uint64_t waited = atomic_exchange_explicit(&table->waited_incarnation, map->incarnation, memory_order_relaxed);
        if (began_with == 0)
            began_with = waited != 0 ? waited : map->incarnation;
        uint64_t count = table_map_changes(map);
        uint64_t now_ns = clock_monotonic_ns();
        if (count == *changes && began_with == map->incarnation) {
            if (now_ns >= deadline_ns)
                return QUASH_TIMED_OUT;
            table_map_wait(map, count, deadline_ns - now_ns);
            /* Still of this table: one that has just ended may have no successor yet. */
            count = table_map_changes(map);
            if (count == *changes)
                continue;
        }
        *changes = count;
        return QUASH_OK;
    }
}
