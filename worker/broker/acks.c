/*
 * acks.c - which deliveries may be acknowledged. See acks.h.
 *
 *     done             open[0]  ...  open[count - 1]   taken
 *     --|-- implied --|-- each with its own mark ------|
 *
 * As long as nothing waits, `open` is empty and everything in (done, taken] is to be acknowledged. Between flushes
 * `open` begins with one that waits or did when it was taken. A flush leaves in it only what waits.
 */
#include "acks.h"

#include <stdlib.h>

#define ROOM_FIRST 64u

void acks_fini(struct acks *acks)
{
    free(acks->open);
    *acks = (struct acks){.taken = 0};
}

void acks_reset(struct acks *acks)
{
    acks->taken = 0;
    acks->done = 0;
    acks->count = 0;
    acks->waiting = 0;
}

bool acks_take(struct acks *acks, uint64_t tag, bool waits)
{
    if (waits || acks->count > 0) {
        if (acks->count == acks->room) {
            size_t room = acks->room == 0 ? ROOM_FIRST : acks->room * 2;
            struct ack *open = realloc(acks->open, room * sizeof *open);
            if (open == NULL)
                return false;
            acks->open = open;
            acks->room = room;
        }
        acks->open[acks->count++] = (struct ack){.tag = tag, .waits = waits};
        acks->waiting += waits ? 1 : 0;
    }
    acks->taken = tag;
    return true;
}

void acks_settle(struct acks *acks, uint64_t tag)
{
    size_t low = 0;
    size_t high = acks->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (acks->open[middle].tag < tag)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == acks->count || acks->open[low].tag != tag || !acks->open[low].waits)
        return;
    acks->open[low].waits = false;
    acks->waiting--;
}

size_t acks_waiting(const struct acks *acks)
{
    return acks->waiting;
}

bool acks_flush(struct acks *acks, acks_send *send, void *context)
{
    /* Everything before the first that waits, as one. */
    size_t kept = 0;
    size_t next = 0;
    while (next < acks->count && !acks->open[next].waits)
        next++;
    uint64_t last = 0;
    if (next > 0)
        last = acks->open[next - 1].tag;
    else if (acks->count > 0 && acks->open[0].tag - 1 > acks->done)
        last = acks->open[0].tag - 1;
    else if (acks->count == 0 && acks->taken > acks->done)
        last = acks->taken;
    if (last != 0 && !send(context, last, true))
        return false;
    for (; next < acks->count; next++) {
        if (acks->open[next].waits)
            acks->open[kept++] = acks->open[next];
        else if (!send(context, acks->open[next].tag, false))
            return false;
    }
    acks->count = kept;
    acks->done = acks->taken;
    return true;
}
