/*
 * reclaim.h - memory that lock-free readers may be looking at: epochs for the moment of a lookup, holds for as long as
 * an entry is acquired.
 *
 * Epochs (Fraser, "Practical lock-freedom", 2004): a reader publishes the global epoch while it walks the index; what
 * was taken out of the index is freed only once every reader has been out since. A lookup is short and runs no code of
 * the caller's, so epochs pass quickly.
 *
 * Holds (Michael, "Hazard pointers", 2004): what a lookup hands out is noted in one of its thread's few holds before
 * the epoch ends, and freed only once no hold has it. So acquiring and releasing write a line of the thread's own, not
 * the entry. A quash_entry is the address of a hold; where a thread has no hold left, it is the address of the entry
 * with its lowest bit set, and the entry's `refs` are counted instead.
 *
 * A reader's stores and the loads that follow them are kept in order by the reclaimer's membarrier(2), which makes
 * every running thread of the process pass a full barrier: readers need none of their own. Where the kernel does not
 * have it, and under the thread sanitizer, which cannot see it, those stores are exchanges (reclaim_state.fenced).
 *
 * One domain for the process, not one for each cache: threads and holds outlive caches. A thread registers itself by
 * its first lookup, and its record passes to a later thread after it has ended; holds that are still in use stay.
 *
 * How it works, and why it is right, is at the head of reclaim.c.
 *
 * Lock: the domain's mutex, innermost of all but the slabs'; destructors run after it is released.
 */
#ifndef QUASH_SRC_RECLAIM_H
#define QUASH_SRC_RECLAIM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quash/cache.h>

struct entry;

/* In what is retired, for the domain's lists. */
struct retired {
    struct retired *next;
    uint64_t epoch; /* when it was retired; later, the look that last found it held */
};

/* ---- Readers */

#define READER_HOLDS 16u /* a power of two */
#define READER_TRIES 4u  /* holds that are looked at before an entry is counted instead */

/* The holder of one acquired entry. */
struct hold {
    _Atomic(struct entry *) entry; /* NULL: free */
    /* The low bits count what quash_entry_acquire added, 0 in a free hold; HOLD_RETIRED: the reclaimer waits for this
     * hold, so whoever lets go has to look whether the entry can be freed. */
    _Atomic uint32_t state;
};

#define HOLD_RETIRED UINT32_C(0x80000000)

struct reader {
    /* The epoch in which its lookup began; 0: in none. With the first holds on a cache line of the thread's own. */
    _Alignas(64) _Atomic uint64_t active;
    uint32_t next_hold;  /* where the thread looks for a free hold first */
    uint32_t number;     /* smallest that no other living thread has */
    struct reader *next; /* in the list of all, by number */
    bool taken;          /* by a living thread; under the domain's mutex */
    struct hold holds[READER_HOLDS];
};

/* What every lookup reads, on a cache line of its own. */
struct reclaim_state {
    _Alignas(64) _Atomic uint64_t epoch; /* from 1 */
    bool fenced;                         /* readers must exchange; set before the first reader is registered */
};

extern struct reclaim_state reclaim_state;

extern _Thread_local struct reader *reader_current __attribute__((tls_model("initial-exec")));

/* Registers this thread. NULL without memory (the first few dozen threads need none). */
struct reader *reader_register(void);

static inline struct reader *reader_self(void)
{
    struct reader *reader = reader_current;
    return reader != NULL ? reader : reader_register();
}

/* Between the two, what was found in an index stays readable. Not to be nested; no lock may be waited for in between,
 * except a shard's or the policy's. */
static inline void reader_enter(struct reader *reader)
{
    /* Acquire: a reader that has this epoch sees all that was done before the epoch began. */
    uint64_t epoch = atomic_load_explicit(&reclaim_state.epoch, memory_order_acquire);
    /* Pairs with the reclaimer's look at it after its barrier. Release: goes on with what the reader_leave before
     * this one has published. */
    if (reclaim_state.fenced) {
        atomic_exchange_explicit(&reader->active, epoch, memory_order_acq_rel);
    } else {
        atomic_store_explicit(&reader->active, epoch, memory_order_release);
        atomic_signal_fence(memory_order_seq_cst);
    }
}

static inline void reader_leave(struct reader *reader)
{
    /* Release: its reads, and the holds that it took, come before. Pairs with the reclaimer's acquire. */
    atomic_store_explicit(&reader->active, 0, memory_order_release);
}

/* Acquires an entry by counting in the entry, as reader_hold does when the thread has no hold left. Any thread,
 * registered or not. */
quash_entry *reader_hold_counted(struct entry *entry);

/* For an entry that was never in an index and will not be: the last release destroys it, at once. */
quash_entry *reader_hold_alone(struct entry *entry);

/* Acquires an entry that was found since reader_enter, or that the caller keeps from being retired, as who is going to
 * link or to retire it does. What is acquired already is acquired again by quash_entry_acquire, never by this: a
 * reclaimer may have looked at this thread's holds, and not yet at the one that has it. Never fails. */
static inline quash_entry *reader_hold(struct reader *reader, struct entry *entry)
{
    for (uint32_t tries = 0; tries < READER_TRIES; tries++) {
        uint32_t at = (reader->next_hold + tries) % READER_HOLDS;
        struct hold *hold = &reader->holds[at];
        /* Acquire pairs with the release of whoever let go of it: what that one read comes before what a reclaimer
         * does that finds the new entry here. */
        if (atomic_load_explicit(&hold->entry, memory_order_acquire) == NULL) {
            /* Release, for the same reason. */
            atomic_store_explicit(&hold->entry, entry, memory_order_release);
            if (tries != 0)
                reader->next_hold = at;
            return (quash_entry *)hold;
        }
    }
    reader->next_hold = (reader->next_hold + READER_TRIES) % READER_HOLDS;
    return reader_hold_counted(entry);
}

/* The entry that was acquired. */
static inline struct entry *held_entry(const quash_entry *held)
{
    uintptr_t address = (uintptr_t)held;
    if (address & 1)
        return (struct entry *)(address & ~(uintptr_t)1);
    /* Relaxed: the holder stored it, or got it from one who did. */
    return atomic_load_explicit(&((const struct hold *)held)->entry, memory_order_relaxed);
}

/* ---- What is to be freed */

/* What is retired without haste waits until so much has come together since the last attempt. */
#define RECLAIM_BATCH_ENTRIES 512u
#define RECLAIM_BATCH_BYTES   ((size_t)256 << 10)

/* Hands over an entry that has left its index; entry_destroy follows, at once if nobody is looking, else by whoever
 * looks last or by a later call. `at_once`: try now; else when some more have come together, since trying costs a
 * microsecond. No lock may be held: destructors run. */
void reclaim_retire_entry(struct entry *entry, bool at_once);

/* The same for a block of malloc'ed memory that begins with a struct retired and that nobody can hold. Such blocks are
 * large and rare, so it tries at once. */
void reclaim_retire_block(struct retired *block);

/* Frees all that can be freed now. No lock may be held. */
void reclaim_now(void);

#endif
