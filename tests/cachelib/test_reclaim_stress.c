/* The reclaimer under many threads at once. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "reclaim_support.h"

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint64_t new_seed(void)
{
    const char *given = getenv("QUASH_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("QUASH_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* ---- A crowd ---- */

enum { PLACES = 4, THREADS = 4, KEPT = 20, MAILBOXES = 4, ROUNDS = 8, OPERATIONS = 5000 };
#define ALIVE    UINT64_C(0xA11FEA11FEA11FE0)
#define POISONED UINT64_C(0xDEADDEADDEADDEAD)

struct crowd {
    place places[PLACES];
    _Atomic(quash_entry *) mailboxes[MAILBOXES];
    _Atomic uint64_t made;
    _Atomic uint64_t destroyed;
    _Atomic uint64_t wrong; /* values that were read after their destruction, or destroyed twice */
};

struct member {
    struct crowd *crowd;
    uint64_t random;
};

struct poisoned {
    struct crowd *crowd;
    uint64_t value; /* plain, as an object's contents are: a race on it is one for the sanitizers */
};

static void poison(void *object, void *context)
{
    (void)context;
    struct poisoned *poisoned = object;
    struct crowd *crowd = poisoned->crowd;
    if (poisoned->value != ALIVE)
        atomic_fetch_add(&crowd->wrong, 1);
    poisoned->value = POISONED;
    atomic_fetch_add(&crowd->destroyed, 1);
    free(poisoned);
}

static struct entry *entry_to_poison(struct crowd *crowd)
{
    struct poisoned *object = malloc(sizeof *object);
    if (object == NULL)
        support_fail("no memory");
    *object = (struct poisoned){crowd, ALIVE};
    atomic_fetch_add(&crowd->made, 1);
    return entry_of_object(object, poison);
}

static void check(struct crowd *crowd, const quash_entry *held)
{
    if (held == NULL)
        return;
    const struct poisoned *object = quash_entry_object(held);
    if (object->value != ALIVE)
        atomic_fetch_add(&crowd->wrong, 1);
}

static void operate(struct crowd *crowd, uint64_t random, quash_entry *kept[KEPT])
{
    place *at = &crowd->places[random % PLACES];
    quash_entry **mine = &kept[(random >> 8) % KEPT];
    _Atomic(quash_entry *) *mailbox = &crowd->mailboxes[(random >> 16) % MAILBOXES];
    check(crowd, *mine);
    switch (random >> 24 & 15) {
    case 0:
    case 1:
        replace(at, entry_to_poison(crowd), random >> 32 & 1);
        break;
    case 2:
        replace(at, NULL, true);
        break;
    case 3:
        *mine = atomic_exchange_explicit(mailbox, *mine, memory_order_acq_rel);
        break;
    case 4:
    case 5: {
        quash_entry *shared = *mine == NULL ? NULL : quash_entry_acquire(*mine);
        quash_entry_release(atomic_exchange_explicit(mailbox, shared, memory_order_acq_rel));
        break;
    }
    case 6:
        quash_entry_release(reader_hold_alone(entry_to_poison(crowd)));
        break;
    case 7:
        if (random >> 32 & 1)
            reclaim_now();
        break;
    case 8: {
        quash_entry *found = find(at);
        check(crowd, found);
        quash_entry_release(found);
        break;
    }
    default:
        quash_entry_release(*mine);
        *mine = find(at);
        break;
    }
    check(crowd, *mine);
}

static void *join_crowd(void *context)
{
    struct member *member = context;
    quash_entry *kept[KEPT] = {NULL};
    for (int i = 0; i < OPERATIONS; i++)
        operate(member->crowd, next_random(&member->random), kept);
    /* Some end with holds in use, which others let go of later. */
    for (unsigned i = 0; i < KEPT; i++)
        quash_entry_release(i < MAILBOXES ? atomic_exchange(&member->crowd->mailboxes[i], kept[i]) : kept[i]);
    return NULL;
}

static void run_crowd(uint64_t seed)
{
    struct crowd crowd = {.made = 0};
    for (int round = 0; round < ROUNDS; round++) {
        struct member members[THREADS];
        pthread_t threads[THREADS];
        for (unsigned i = 0; i < THREADS; i++) {
            members[i] = (struct member){&crowd, (seed + (uint64_t)round * THREADS + i) * 0x9E3779B97F4A7C15 | 1};
            threads[i] = thread_start(join_crowd, &members[i]);
        }
        for (unsigned i = 0; i < THREADS; i++)
            thread_join(threads[i]);
    }
    for (unsigned i = 0; i < PLACES; i++)
        replace(&crowd.places[i], NULL, true);
    for (unsigned i = 0; i < MAILBOXES; i++)
        quash_entry_release(atomic_exchange(&crowd.mailboxes[i], NULL));
    reclaim_now();
    assert_int_equal(crowd.wrong, 0);
    assert_true(crowd.made > 0);
    assert_int_equal(crowd.destroyed, crowd.made);
}

static void a_crowd_never_sees_a_destroyed_value_and_leaves_none_behind(void **state)
{
    (void)state;
    run_crowd(new_seed());
}

/* ---- Two that meet again and again at the same moment ---- */

enum { MEETINGS = 30000, MEETINGS_MS = 3000 };

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Both may share a processor with others. */
static void await_turn(const _Atomic unsigned *turn, unsigned wanted)
{
    for (unsigned spins = 0; atomic_load_explicit(turn, memory_order_acquire) != wanted; spins++) {
        if (spins > 2000)
            sched_yield();
    }
}

static void dawdle(uint64_t random)
{
    for (volatile unsigned i = 0; i < (random & 31); i++)
        continue;
}

/* Stores that miss the caches keep those behind them from being seen: what the reclaimer's barrier is for. */
static void delay_stores(uint64_t *random)
{
    static _Thread_local unsigned char far[4 << 20];
    for (int i = 0; i < 4; i++)
        far[next_random(random) % sizeof far]++;
}

struct meeting {
    place at;
    uint64_t random;
    quash_entry *shared;
    _Atomic unsigned begun; /* the number of the last meeting of which the entry is in its place */
    _Atomic unsigned held;  /* the same, found by the guest, who has two handles now, one of them `shared` */
    _Atomic unsigned met;   /* both let go */
    _Atomic unsigned left;  /* the guest has let go */
};

static void *be_the_guest(void *context)
{
    struct meeting *meeting = context;
    uint64_t random = meeting->random ^ UINT64_C(0x5DEECE66D);
    for (unsigned i = 1;; i++) {
        await_turn(&meeting->begun, i);
        quash_entry *held = find(&meeting->at);
        if (held == NULL)
            return NULL;
        meeting->shared = next_random(&random) & 1 << 20 ? quash_entry_acquire(held) : NULL;
        atomic_store_explicit(&meeting->held, i, memory_order_release);
        await_turn(&meeting->met, i);
        dawdle(random);
        if (random & 1 << 10)
            delay_stores(&random);
        quash_entry_release(held);
        atomic_store_explicit(&meeting->left, i, memory_order_release);
    }
}

/* No later call helps: what counts is that one of those that let go notices that it is the last. */
static void the_last_of_those_that_let_go_at_the_same_moment_destroys(void **state)
{
    (void)state;
    struct meeting meeting = {.random = new_seed() << 20 | 1};
    pthread_t guest = thread_start(be_the_guest, &meeting);
    uint64_t until_ms = now_ms() + MEETINGS_MS;
    unsigned i = 0;
    bool all_destroyed = true;
    while (++i <= MEETINGS && now_ms() < until_ms && all_destroyed) {
        struct counted object = {0};
        atomic_store(&meeting.at, entry_of_counted(&object));
        atomic_store_explicit(&meeting.begun, i, memory_order_release);
        await_turn(&meeting.held, i);
        uint64_t random = next_random(&meeting.random);
        atomic_store_explicit(&meeting.met, i, memory_order_release);
        dawdle(random >> 8);
        if (random & 1 << 16)
            quash_entry_release(meeting.shared);
        take_out(&meeting.at);
        if (!(random & 1 << 16))
            quash_entry_release(meeting.shared);
        await_turn(&meeting.left, i);
        all_destroyed = object.destroyed == 1;
        if (!all_destroyed)
            reclaim_now();
    }
    /* To nothing, which ends it. */
    atomic_store_explicit(&meeting.begun, i, memory_order_release);
    thread_join(guest);
    assert_true(all_destroyed);
}

enum { SUCCESSIONS_SEEN = 20000, OBJECTS = 1024 };

struct succession {
    place at;
    _Atomic bool over;
    _Atomic unsigned seen; /* entries, by the reader */
    _Atomic unsigned wrong;
    struct object {
        uint64_t value; /* plain, as in struct poisoned */
        _Atomic bool in_use;
    } objects[OBJECTS];
};

static void wither(void *object, void *context)
{
    (void)context;
    struct object *withered = object;
    withered->value = POISONED;
    atomic_store_explicit(&withered->in_use, false, memory_order_release);
}

/* Looks at the value twice. A destroyed entry's memory may be another's already; then its object is another one. */
static void look_well(struct succession *succession, struct entry *entry, uint64_t random)
{
    const struct object *object = ((const struct entry_object *)entry_value(entry))->object;
    uint64_t before = object->value;
    dawdle(random);
    const struct object *after = ((const struct entry_object *)entry_value(entry))->object;
    if (before != ALIVE || after != object || after->value != ALIVE)
        atomic_fetch_add_explicit(&succession->wrong, 1, memory_order_relaxed);
}

static void *keep_looking(void *context)
{
    struct succession *succession = context;
    struct reader *reader = reader_self();
    const struct entry *last = NULL;
    uint64_t random = 1;
    while (!atomic_load_explicit(&succession->over, memory_order_relaxed)) {
        uint64_t choice = next_random(&random);
        if (choice & 1 << 20)
            delay_stores(&random);
        reader_enter(reader);
        struct entry *entry = atomic_load_explicit(&succession->at, memory_order_acquire);
        look_well(succession, entry, choice);
        if (entry != last)
            atomic_fetch_add_explicit(&succession->seen, 1, memory_order_relaxed);
        last = entry;
        quash_entry *held = choice & 1 << 21 ? reader_hold(reader, entry) : NULL;
        reader_leave(reader);
        if (held != NULL)
            look_well(succession, entry, choice >> 8);
        quash_entry_release(held);
    }
    return NULL;
}

static struct entry *successor(struct succession *succession, unsigned i)
{
    while (atomic_load_explicit(&succession->objects[i % OBJECTS].in_use, memory_order_acquire)) {
        /* All are in use when the reader was preempted in the midst of a lookup. */
        if (++i % OBJECTS == 0) {
            sched_yield();
            reclaim_now();
        }
    }
    struct object *object = &succession->objects[i % OBJECTS];
    object->value = ALIVE;
    atomic_store_explicit(&object->in_use, true, memory_order_relaxed);
    return entry_of_object(object, wither);
}

static void run_succession(void)
{
    static struct succession succession;
    atomic_store(&succession.over, false);
    atomic_store(&succession.seen, 0);
    atomic_store(&succession.wrong, 0);
    atomic_store(&succession.at, successor(&succession, 0));
    pthread_t reader = thread_start(keep_looking, &succession);
    uint64_t until_ms = now_ms() + MEETINGS_MS;
    for (unsigned i = 1; atomic_load(&succession.seen) < SUCCESSIONS_SEEN && now_ms() < until_ms; i++)
        replace(&succession.at, successor(&succession, i), true);
    atomic_store(&succession.over, true);
    thread_join(reader);
    take_out(&succession.at);
    assert_int_equal(succession.wrong, 0);
}

static void a_value_is_never_destroyed_between_being_found_and_being_held(void **state)
{
    (void)state;
    run_succession();
}

static void without_a_barrier_of_the_kernel_all_this_is_so_too(void **state)
{
    if (reclaim_state.fenced)
        skip();
    /* No other thread is registered. */
    reclaim_state.fenced = true;
    run_crowd(new_seed());
    run_succession();
    the_last_of_those_that_let_go_at_the_same_moment_destroys(state);
    reclaim_state.fenced = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RECLAIM_TEST(a_crowd_never_sees_a_destroyed_value_and_leaves_none_behind),
        RECLAIM_TEST(the_last_of_those_that_let_go_at_the_same_moment_destroys),
        RECLAIM_TEST(a_value_is_never_destroyed_between_being_found_and_being_held),
        RECLAIM_TEST(without_a_barrier_of_the_kernel_all_this_is_so_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
