/*
 * reclaim.c - when what has left an index can be freed.
 *
 *     retired ─► arrived ─► waiting ─ every reader was out since ─► passed ─ no hold has it ─┬─ refs 0 ─► dead
 *                            (epochs)                               (holds)                  └─ else: the last of the
 *                                                                                             counted handles ends it
 *
 * Lists and records are under the domain's mutex. What is dead is destroyed after it is released, by the thread that
 * found it so. A destructor may release and retire in turn: what dies of that is queued behind it and destroyed by the
 * same loop, so that a chain of objects that own one another needs no stack.
 *
 * Why it is right. "Barrier" is the reclaimer's membarrier: in each thread there is a moment between two instructions
 * such that what the thread stored before it is seen after the reclaimer's barrier, and what the reclaimer stored
 * before its barrier is seen by the thread's loads after that moment. (With reclaim_state.fenced, reader and reclaimer
 * both do an atomic read-modify-write of the word in question instead. These are in one order: either the reclaimer's
 * is later and sees the store, or the reader's is, and acquires all that the reclaimer did.)
 *
 * 1. Epochs. An entry is retired after it has left its index; an attempt gives it the epoch e of the moment at which it
 *    takes it from where it arrived, under the mutex, as is each step of the epoch. A reader that may still look at it
 * loaded the index before the entry left, so it had not acquired an epoch later than e; and what it had, it stored
 * before it loaded the index. Either the reclaimer's look after the barrier sees that and leaves the entry waiting, or
 * the reader's moment came before its store, and then its loads do not find the entry.
 * 2. No new holds. A hold is taken inside the epoch in which the entry was found, or before the entry is retired. The
 *    first is seen because reader_leave released it, the second because retiring came after. So once the epochs have
 *    passed, a look at all holds misses none, and from then on a hold that does not have the entry never will.
 * 3. Counts after holds. Who has a hold may count (reader_hold_counted), but no handle goes from the count to a hold.
 *    So holds are looked at first and `refs` after: nothing slips through between the two.
 * 4. A release stores NULL, then looks for the mark HOLD_RETIRED; the reclaimer marks, passes a barrier and looks
 *    again. If the releaser saw no mark, its moment came after that look, so the reclaimer's second look sees the NULL.
 *    If it saw the mark, it takes the mutex and looks at all holds itself. Either way somebody looks after the last
 *    hold was let go, and whoever is last under the mutex sees all of them.
 * 5. A mark is not lost when a hold is used again at once by its thread, while a releaser on another thread has yet to
 *    look for it: taking a hold leaves its state alone. Only a look under the mutex takes a mark away, from a hold that
 *    has no passed entry; what the releaser would have looked for, that look has just seen. A mark that is left over
 *    costs the next release of its hold a needless look.
 * 6. A look reads the `refs` of whatever entry it finds in a hold. That entry cannot be freed meanwhile: it would have
 *    to be seen in no hold first; by a later look, which needs the mutex, or by an earlier one, after which (2) this
 *    one would not have found it.
 * 7. REFS_LAST is set in the same word as the count, once no hold has the entry and no list of the domain. From then on
 *    who takes the count to 0 knows by that one instruction that the entry is his to destroy. Who does not find it
 *    there does not touch the entry again.
 * 8. A hold's count in `state` is taken down by compare-and-swap while it is not 0, and who finds 0 has the only
 *    handle, so that nobody else can change the count: it never goes below, whatever marks come in between.
 *
 * fork: what the parent has retired the parent destroys. The child forgets it, as destructors should not run twice, nor
 * locks of the parent's arenas be waited for that are never let go.
 */
#include "reclaim.h"

#include <assert.h>
#include <stdlib.h>

#include "entry.h"
#include "readers.h"
#include "slab.h"

/* In entry.refs, above the count. */
#define REFS_PASSED UINT32_C(0x80000000) /* it is on the domain's list `passed`, or was: its links are the domain's */
#define REFS_LAST   UINT32_C(0x40000000) /* who takes the count to 0 destroys it */
#define REFS_COUNT  (REFS_LAST - 1)

#define HOLD_COUNT (HOLD_RETIRED - 1)

/* How often a reader inside its lookup is looked at before it is left for a later attempt: some hundred ns, longer than
 * a lookup takes unless its thread was preempted. */
#define RECLAIM_SPINS 256u

static_assert(_Alignof(struct hold) > 1 && _Alignof(struct entry) > 1, "the lowest bit of a handle is free");

struct queue {
    struct retired *first;
    struct retired *last; /* meaningless when there is no first */
};

/* What the thread is destroying, further up its stack; NULL: nothing. */
static _Thread_local struct queue *destroying __attribute__((tls_model("initial-exec")));

/* Under the mutex. */
static struct {
    struct queue waiting;   /* entries, by epoch */
    struct queue blocks;    /* the same for blocks */
    struct queue passed;    /* entries that no reader is looking at */
    uint64_t looks;         /* number of the last look at the holds */
    struct queue forgotten; /* the parent's; kept so that they count as reachable */
} domain;

/* Entries that were retired without haste and have not been looked at since: a stack, so that retiring one waits for
 * nobody. Its links are in the entries' retired.next. */
static struct {
    _Alignas(64) _Atomic(struct retired *) first;
    _Atomic size_t weight; /* their bytes, but at least ARRIVED_WEIGHT_MIN for each */
    _Atomic bool hasty;    /* some that are waiting were to be freed at once; changed under the mutex */
} arrived;

/* So that a batch is full by either measure. */
#define ARRIVED_WEIGHT_MIN (RECLAIM_BATCH_BYTES / RECLAIM_BATCH_ENTRIES)

static void queue_add(struct queue *queue, struct retired *node)
{
    node->next = NULL;
    if (queue->first == NULL)
        queue->first = node;
    else
        queue->last->next = node;
    queue->last = node;
}

static struct retired *queue_take(struct queue *queue)
{
    struct retired *node = queue->first;
    if (node != NULL)
        queue->first = node->next;
    return node;
}

static void queue_move(struct queue *to, struct queue *from)
{
    for (struct retired *node; (node = queue_take(from)) != NULL;)
        queue_add(to, node);
}

static struct entry *entry_of(struct retired *node)
{
    return (struct entry *)((char *)node - offsetof(struct entry, retired));
}

/* Puts an entry where the next attempt finds it. Returns the weight of all that are there. */
static size_t arrive(struct retired *node, size_t size)
{
    /* Release pairs with the acquire in take_arrived: that the entry is out of its index comes with it. Only whole
     * stacks are taken, so it does not matter whether `first` has been something else meanwhile. */
    node->next = atomic_load_explicit(&arrived.first, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&arrived.first, &node->next, node, memory_order_release,
                                                  memory_order_relaxed))
        continue;
    size_t weight = size < ARRIVED_WEIGHT_MIN ? ARRIVED_WEIGHT_MIN : size;
    return atomic_fetch_add_explicit(&arrived.weight, weight, memory_order_relaxed) + weight;
}

/* Moves what has arrived to the waiting, with the epoch of now; the mutex is held. */
static void take_arrived(void)
{
    uint64_t epoch = atomic_load_explicit(&reclaim_state.epoch, memory_order_relaxed);
    atomic_store_explicit(&arrived.weight, 0, memory_order_relaxed);
    struct retired *node = atomic_exchange_explicit(&arrived.first, NULL, memory_order_acquire);
    while (node != NULL) {
        struct retired *next = node->next;
        node->epoch = epoch;
        queue_add(&domain.waiting, node);
        node = next;
    }
}

static void set_hasty(bool hasty)
{
    atomic_store_explicit(&arrived.hasty, hasty, memory_order_relaxed);
}

void reclaim_forget(void)
{
    take_arrived();
    queue_move(&domain.forgotten, &domain.waiting);
    queue_move(&domain.forgotten, &domain.passed);
    set_hasty(false);
}

/* ---- Destroying */

static void entry_end(struct entry *entry)
{
    size_t size = entry_block_size(entry);
    atomic_fetch_sub_explicit(slab_dead_bytes(entry, size), size, memory_order_relaxed);
    entry_destroy(entry);
}

/* No lock may be held. */
static void destroy(struct queue *dead)
{
    if (destroying != NULL) {
        queue_move(destroying, dead);
        return;
    }
    destroying = dead;
    for (struct retired *node; (node = queue_take(dead)) != NULL;)
        entry_end(entry_of(node));
    destroying = NULL;
}

/* ---- Looking who is there; the mutex is held */

/* The epoch of the oldest lookup under way, UINT64_MAX if there is none. Those that began at `last` or before are
 * waited for, if `patient`, but not for long. After the barrier. */
static uint64_t oldest_lookup(uint64_t last, bool patient)
{
    uint64_t oldest = UINT64_MAX;
    for (struct reader *reader = readers_first; reader != NULL; reader = reader->next) {
        /* Acquire pairs with reader_leave. */
        uint64_t active = reclaim_state.fenced ? atomic_fetch_add_explicit(&reader->active, 0, memory_order_acq_rel)
                                               : atomic_load_explicit(&reader->active, memory_order_acquire);
        /* It is enough to see that it was out once; its own loads see what the barrier brought from then on. */
        unsigned spins = patient && reader != reader_current ? RECLAIM_SPINS : 0;
        while (active != 0 && active <= last && spins-- > 0)
            active = atomic_load_explicit(&reader->active, memory_order_acquire);
        if (active != 0 && active < oldest)
            oldest = active;
    }
    return oldest;
}

/* What the hold has now. */
static struct entry *hold_look(struct hold *hold)
{
    /* Acquire pairs with the release, and with the taking of the hold. */
    struct entry *entry = atomic_load_explicit(&hold->entry, memory_order_acquire);
    /* Where a look has to see what was let go before, or be seen by it, it is a read-modify-write; a NULL was. */
    while (reclaim_state.fenced && entry != NULL &&
           !atomic_compare_exchange_strong_explicit(&hold->entry, &entry, entry, memory_order_acq_rel,
                                                    memory_order_acquire))
        continue;
    return entry;
}

/* Marks the holds that have passed entries. True: some were not marked yet. */
static bool look_at_holds(void)
{
    bool marked = false;
    domain.looks++;
    for (struct reader *reader = readers_first; reader != NULL; reader = reader->next) {
        for (unsigned i = 0; i < READER_HOLDS; i++) {
            struct hold *hold = &reader->holds[i];
            struct entry *entry = hold_look(hold);
            /* Relaxed: marks are made and taken under the mutex; so is REFS_PASSED. */
            bool has_mark = atomic_load_explicit(&hold->state, memory_order_relaxed) & HOLD_RETIRED;
            bool waits = entry != NULL && atomic_load_explicit(&entry->refs, memory_order_relaxed) & REFS_PASSED;
            if (waits)
                entry->retired.epoch = domain.looks;
            if (waits && !has_mark) {
                /* The barrier that follows orders it; release for the fenced case. */
                atomic_fetch_or_explicit(&hold->state, HOLD_RETIRED, memory_order_release);
                marked = true;
            } else if (!waits && has_mark) {
                atomic_fetch_and_explicit(&hold->state, ~HOLD_RETIRED, memory_order_relaxed);
            }
        }
    }
    return marked;
}

/* Sorts out the passed entries that the last look saw in no hold. */
static void take_unheld(struct queue *dead)
{
    struct queue passed = domain.passed;
    domain.passed.first = NULL;
    for (struct retired *node; (node = queue_take(&passed)) != NULL;) {
        if (node->epoch == domain.looks) {
            queue_add(&domain.passed, node);
            continue;
        }
        struct entry *entry = entry_of(node);
        /* Acquire pairs with the releases of counted handles. Without handles nobody can make one. */
        if (atomic_load_explicit(&entry->refs, memory_order_acquire) == REFS_PASSED ||
            (atomic_fetch_or_explicit(&entry->refs, REFS_LAST, memory_order_acq_rel) & REFS_COUNT) == 0)
            queue_add(dead, node);
    }
}

/* Looks at the holds, and frees what was waiting for them. */
static void sort_passed(struct queue *dead)
{
    bool marked = look_at_holds();
    take_unheld(dead);
    if (marked && readers_barrier()) {
        look_at_holds();
        take_unheld(dead);
    }
}

/* One attempt at all that was retired. */
static void attempt(bool patient, struct queue *dead, struct queue *blocks)
{
    take_arrived();
    if (domain.waiting.first != NULL || domain.blocks.first != NULL) {
        uint64_t last = atomic_load_explicit(&reclaim_state.epoch, memory_order_relaxed);
        /* Release pairs with reader_enter: with the new epoch comes that all that was retired is out of the index. */
        atomic_store_explicit(&reclaim_state.epoch, last + 1, memory_order_release);
        if (!readers_barrier())
            return;
        uint64_t oldest = oldest_lookup(last, patient);
        while (domain.waiting.first != NULL && domain.waiting.first->epoch < oldest) {
            struct retired *node = queue_take(&domain.waiting);
            atomic_fetch_or_explicit(&entry_of(node)->refs, REFS_PASSED, memory_order_relaxed);
            node->epoch = 0; /* in no look yet */
            queue_add(&domain.passed, node);
        }
        while (domain.blocks.first != NULL && domain.blocks.first->epoch < oldest)
            queue_add(blocks, queue_take(&domain.blocks));
        if (domain.waiting.first == NULL)
            set_hasty(false);
    }
    if (domain.passed.first != NULL)
        sort_passed(dead);
}

static void unlock_and_destroy(struct queue *dead, struct queue *blocks)
{
    pthread_mutex_unlock(&readers_mutex);
    for (struct retired *block; (block = queue_take(blocks)) != NULL;)
        free(block);
    destroy(dead);
}

void reclaim_now(void)
{
    struct queue dead = {NULL, NULL};
    struct queue blocks = {NULL, NULL};
    pthread_mutex_lock(&readers_mutex);
    attempt(true, &dead, &blocks);
    unlock_and_destroy(&dead, &blocks);
}

void reclaim_retire_entry(struct entry *entry, bool at_once)
{
    struct queue dead = {NULL, NULL};
    struct queue blocks = {NULL, NULL};
    size_t size = entry_block_size(entry);
    atomic_fetch_add_explicit(slab_dead_bytes(entry, size), size, memory_order_relaxed);
    size_t weight = arrive(&entry->retired, size);
    if (at_once) {
        pthread_mutex_lock(&readers_mutex);
        set_hasty(true);
    } else {
        bool due = weight >= RECLAIM_BATCH_BYTES || atomic_load_explicit(&arrived.hasty, memory_order_relaxed);
        /* If an attempt is under way: what it does not take along is found by the next to retire something. */
        if (!due || pthread_mutex_trylock(&readers_mutex) != 0)
            return;
    }
    attempt(at_once, &dead, &blocks);
    unlock_and_destroy(&dead, &blocks);
}

void reclaim_retire_block(struct retired *block)
{
    struct queue dead = {NULL, NULL};
    struct queue blocks = {NULL, NULL};
    pthread_mutex_lock(&readers_mutex);
    block->epoch = atomic_load_explicit(&reclaim_state.epoch, memory_order_relaxed);
    queue_add(&domain.blocks, block);
    attempt(false, &dead, &blocks);
    unlock_and_destroy(&dead, &blocks);
}

/* ---- Handles */

static bool is_counted(const quash_entry *held)
{
    return (uintptr_t)held & 1;
}

static quash_entry *counted_handle(struct entry *entry)
{
    return (quash_entry *)((uintptr_t)entry | 1);
}

quash_entry *reader_hold_counted(struct entry *entry)
{
    /* Relaxed: it can be found by whoever found it, and is not freed before what comes after this has been seen
     * (reader_leave, or the release of the handle that the caller has). */
    atomic_fetch_add_explicit(&entry->refs, 1, memory_order_relaxed);
    return counted_handle(entry);
}

quash_entry *reader_hold_alone(struct entry *entry)
{
    size_t size = entry_block_size(entry);
    atomic_fetch_add_explicit(slab_dead_bytes(entry, size), size, memory_order_relaxed);
    atomic_fetch_add_explicit(&entry->refs, REFS_LAST + 1, memory_order_relaxed);
    return counted_handle(entry);
}

quash_entry *quash_entry_acquire(quash_entry *held)
{
    /* Relaxed: whoever acquires has a handle, or got this one from who has. */
    if (is_counted(held))
        atomic_fetch_add_explicit(&held_entry(held)->refs, 1, memory_order_relaxed);
    else
        atomic_fetch_add_explicit(&((struct hold *)held)->state, 1, memory_order_relaxed);
    return held;
}

static void counted_release(struct entry *entry)
{
    /* Release: this handle's reads come before the destruction. Acquire, on the last one's: pairs with the releases of
     * all the others, and with the reclaimer's handing over. */
    uint32_t before = atomic_fetch_sub_explicit(&entry->refs, 1, memory_order_acq_rel);
    if (!(before & REFS_LAST) || (before & REFS_COUNT) != 1)
        return;
    struct queue dead = {NULL, NULL};
    queue_add(&dead, &entry->retired);
    destroy(&dead);
}

/* Whether this handle was only one of several, and has been counted down. `state` is what was seen. */
static bool hold_count_down(struct hold *hold, uint32_t state)
{
    /* Release for this handle's reads, acquire for those of others, if this turns out to be the last. */
    while (state & HOLD_COUNT) {
        if (atomic_compare_exchange_weak_explicit(&hold->state, &state, state - 1, memory_order_acq_rel,
                                                  memory_order_acquire))
            return true;
    }
    return false;
}

/* A marked hold was let go. */
static void hold_was_marked(void)
{
    struct queue dead = {NULL, NULL};
    struct queue blocks = {NULL, NULL};
    pthread_mutex_lock(&readers_mutex);
    sort_passed(&dead);
    unlock_and_destroy(&dead, &blocks);
}

void quash_entry_release(quash_entry *held)
{
    if (held == NULL)
        return;
    if (is_counted(held)) {
        counted_release(held_entry(held));
        return;
    }
    struct hold *hold = (struct hold *)held;
    /* Acquire pairs with the counting down by others. */
    uint32_t state = atomic_load_explicit(&hold->state, memory_order_acquire);
    if (state & HOLD_COUNT && hold_count_down(hold, state))
        return;
    /* Release pairs with hold_look, and with the thread that takes the hold next. The load after it is kept in order by
     * the reclaimer's barrier. */
    if (reclaim_state.fenced) {
        atomic_exchange_explicit(&hold->entry, NULL, memory_order_acq_rel);
    } else {
        atomic_store_explicit(&hold->entry, NULL, memory_order_release);
        atomic_signal_fence(memory_order_seq_cst);
    }
    if (atomic_load_explicit(&hold->state, memory_order_relaxed) & HOLD_RETIRED)
        hold_was_marked();
}
