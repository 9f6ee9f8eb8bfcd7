/*
 * test_sleeper.c - a thread that sleeps until a table changes is interrupted without fail, whenever that comes. Linked
 * with --wrap for the two calls that reach the futex, so that a wake can be made to come too early.
 */
#include "sleeper.h"

#include <sched.h>

#include "cache_support.h"
#include "clock.h"
#include "table.h"
#include "table_probe.h"

static quash_table *table;
static struct sleeper sleeper;

static int setup(void **state)
{
    (void)state;
    return quash_table_new_private(16, &table) == QUASH_OK && sleeper_init(&sleeper) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    sleeper_fini(&sleeper);
    quash_table_close(table);
    return 0;
}

/* Sleeps once and returns how long, in ns. */
static uint64_t sleep_once(const struct table_map *map, uint64_t seen, uint64_t time_ns)
{
    uint64_t start_ns = clock_monotonic_ns();
    pthread_mutex_lock(&sleeper.mutex);
    sleeper_sleep(&sleeper, map, seen, time_ns);
    pthread_mutex_unlock(&sleeper.mutex);
    return clock_monotonic_ns() - start_ns;
}

static void interrupt(void)
{
    pthread_mutex_lock(&sleeper.mutex);
    sleeper_interrupt(&sleeper);
    pthread_mutex_unlock(&sleeper.mutex);
}

static void an_interrupt_before_the_sleep_ends_it_and_only_it(void **state)
{
    (void)state;
    const struct table_map *map = table_current(table);
    interrupt();
    assert_true(sleep_once(map, 0, SLEEPER_FOREVER) < UINT64_C(500000000));
    assert_true(sleep_once(map, 0, 30000000) >= 30000000);
    interrupt();
    assert_true(sleep_once(NULL, 0, UINT64_C(10000000000)) < UINT64_C(5000000000));
    assert_true(sleep_once(NULL, 0, 30000000) >= 30000000);
}

static void a_count_that_has_moved_ends_the_sleep(void **state)
{
    (void)state;
    assert_int_equal(quash_table_cancel(table, "tenant:1"), QUASH_OK);
    assert_true(sleep_once(table_current(table), 0, SLEEPER_FOREVER) < UINT64_C(500000000));
}

static void no_sleep_on_a_table_is_longer_than_a_second(void **state)
{
    (void)state;
    uint64_t time_ns = sleep_once(table_current(table), 0, SLEEPER_FOREVER);
    assert_in_range(time_ns, UINT64_C(900000000), UINT64_C(10000000000));
}

void __real_table_map_wait(const struct table_map *map, uint64_t seen, uint64_t time_ns);
void __real_table_map_wake(const struct table_map *map);
void __wrap_table_map_wait(const struct table_map *map, uint64_t seen, uint64_t time_ns);
void __wrap_table_map_wake(const struct table_map *map);

static _Atomic bool dawdle; /* on the way to sleep, until the first wake is over */
static _Atomic bool dawdles;
static _Atomic int wakes;

static bool was_woken(void *context)
{
    (void)context;
    return atomic_load(&wakes) > 0;
}

static bool is_dawdling(void *context)
{
    (void)context;
    return atomic_load(&dawdles);
}

void __wrap_table_map_wait(const struct table_map *map, uint64_t seen, uint64_t time_ns)
{
    if (atomic_exchange(&dawdle, false)) {
        atomic_store(&dawdles, true);
        await(was_woken, NULL, "nobody woke");
    }
    __real_table_map_wait(map, seen, time_ns);
}

void __wrap_table_map_wake(const struct table_map *map)
{
    __real_table_map_wake(map);
    atomic_fetch_add(&wakes, 1);
}

static void *sleep_for_a_second(void *slept_ns)
{
    *(uint64_t *)slept_ns = sleep_once(table_current(table), 0, SLEEPER_FOREVER);
    return NULL;
}

static void a_wake_that_comes_too_early_is_followed_by_others(void **state)
{
    (void)state;
    uint64_t slept_ns = 0;
    atomic_store(&wakes, 0);
    atomic_store(&dawdle, true);
    pthread_t thread = thread_start(sleep_for_a_second, &slept_ns);
    await(is_dawdling, NULL, "the sleeper did not come to its sleep");
    interrupt();
    thread_join(thread);
    assert_true(atomic_load(&wakes) > 1);
    assert_true(slept_ns < UINT64_C(700000000));
}

struct rounds {
    _Atomic int slept;
    int until;
};

static void *sleep_on_and_on(void *context)
{
    struct rounds *rounds = context;
    const struct table_map *map = table_current(table);
    pthread_mutex_lock(&sleeper.mutex);
    while (atomic_load(&rounds->slept) < rounds->until) {
        sleeper_sleep(&sleeper, map, 0, SLEEPER_FOREVER);
        atomic_fetch_add(&rounds->slept, 1);
        pthread_mutex_unlock(&sleeper.mutex);
        sched_yield();
        pthread_mutex_lock(&sleeper.mutex);
    }
    pthread_mutex_unlock(&sleeper.mutex);
    return NULL;
}

static void no_interrupt_is_lost_on_the_way_to_sleep(void **state)
{
    (void)state;
    struct rounds rounds = {.until = ROUNDS(20000)};
    uint64_t start_ns = clock_monotonic_ns();
    pthread_t thread = thread_start(sleep_on_and_on, &rounds);
    /* Each meets the sleeper somewhere else: about to sleep, asleep, or waking up. One that was lost costs a second. */
    while (atomic_load(&rounds.slept) < rounds.until) {
        int before = atomic_load(&rounds.slept);
        interrupt();
        while (atomic_load(&rounds.slept) == before)
            sched_yield();
    }
    thread_join(thread);
    assert_true(clock_monotonic_ns() - start_ns < UINT64_C(60000000000));
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_interrupt_before_the_sleep_ends_it_and_only_it), T(a_count_that_has_moved_ends_the_sleep),
        T(no_sleep_on_a_table_is_longer_than_a_second),       T(a_wake_that_comes_too_early_is_followed_by_others),
        T(no_interrupt_is_lost_on_the_way_to_sleep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
