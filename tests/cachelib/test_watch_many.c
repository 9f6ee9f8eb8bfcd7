/*
 * test_watch_many.c - watches in large numbers, made and freed by several threads, and under a storm of cancellations.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "clock.h"
#include "table_probe.h"
#include "watch_support.h"

static unsigned next_random(unsigned *random)
{
    *random = *random * 1664525u + 1013904223u;
    return *random >> 8;
}

static void each_of_thousands_is_called_once(void **state)
{
    (void)state;
    const int count = ROUNDS(10000);
    struct told *told = calloc((size_t)count, sizeof *told);
    quash_watch **watches = calloc((size_t)count, sizeof(quash_watch *));
    assert_non_null(told);
    assert_non_null(watches);
    char group[32];
    for (int i = 0; i < count; i++) {
        snprintf(group, sizeof group, "tenant:%d", i);
        watches[i] = watch_group(stage.table, group, &told[i]);
    }
    for (int i = 0; i < count; i += 2) {
        snprintf(group, sizeof group, "tenant:%d", i);
        assert_int_equal(quash_table_cancel(stage.worker, group), QUASH_OK);
    }
    canceller_cancel(&stage.canceller, "tenant:1"); /* and one of the others from outside */
    settle(stage.table, stage.worker);
    int wrong = 0;
    for (int i = 0; i < count; i++) /* some of the others may be collateral: that is a reason of its own */
        wrong += i % 2 == 0 || i == 1 ? told[i].times != 1
                                      : told[i].times > 1 || (told[i].times == 1 && told[i].change != QUASH_COLLATERAL);
    assert_int_equal(wrong, 0);
    canceller_cancel(&stage.canceller, "tenant:*");
    settle(stage.table, stage.worker);
    for (int i = 0; i < count; i++)
        wrong += told[i].times != 1;
    assert_int_equal(wrong, 0);
    for (int i = 0; i < count; i++)
        quash_watch_free(watches[count - 1 - i]);
    await_watching_threads(0);
    free(watches);
    free(told);
}

struct lived {
    _Atomic int times;
    _Atomic bool freed;
    _Atomic bool *called_after_free;
};

static void note_life(quash_change change, void *context)
{
    (void)change;
    struct lived *lived = context;
    if (atomic_load(&lived->freed) || atomic_fetch_add(&lived->times, 1) != 0)
        atomic_store(lived->called_after_free, true);
}

struct maker {
    unsigned random;
    int rounds;
    int called;
    _Atomic bool called_after_free;
};

/* Its lives stay readable after they were freed, so that a callback that comes late is found out. */
static void *make_and_free(void *context)
{
    struct maker *maker = context;
    enum { WATCHES = 16 };
    struct lived *lives = calloc((size_t)maker->rounds, sizeof *lives);
    quash_watch *watches[WATCHES] = {NULL};
    struct lived *of[WATCHES] = {NULL};
    if (lives == NULL)
        support_fail("no memory");
    for (int i = 0; i < maker->rounds + WATCHES; i++) {
        int slot = i % WATCHES;
        quash_watch_free(watches[slot]);
        if (of[slot] != NULL)
            atomic_store(&of[slot]->freed, true);
        watches[slot] = NULL;
        of[slot] = NULL;
        if (i >= maker->rounds)
            continue;
        lives[i].called_after_free = &maker->called_after_free;
        of[slot] = &lives[i];
        char group[32];
        snprintf(group, sizeof group, "tenant:%u", next_random(&maker->random) % 4);
        watch_with(group, note_life, &lives[i], &watches[slot]);
        if (i % WATCHES == 0) /* some live long enough to be called, some do not */
            nanosleep(&(struct timespec){0, next_random(&maker->random) % 500000}, NULL);
    }
    settle(stage.table, stage.worker);
    for (int i = 0; i < maker->rounds; i++)
        maker->called += atomic_load(&lives[i].times);
    free(lives);
    return NULL;
}

static void no_callback_comes_after_its_watch_was_freed(void **state)
{
    (void)state;
    enum { MAKERS = 3 };
    struct maker makers[MAKERS];
    pthread_t threads[MAKERS];
    for (int i = 0; i < MAKERS; i++) {
        makers[i] = (struct maker){.random = (unsigned)i + 1, .rounds = ROUNDS(40000)};
        threads[i] = thread_start(make_and_free, &makers[i]);
    }
    for (int i = 0; i < ROUNDS(20000); i++) {
        char group[32];
        snprintf(group, sizeof group, "tenant:%d", i % 4);
        canceller_cancel(&stage.canceller, group);
    }
    int called = 0;
    for (int i = 0; i < MAKERS; i++) {
        thread_join(threads[i]);
        assert_false(makers[i].called_after_free);
        called += makers[i].called;
    }
    printf("%d callbacks\n", called);
    assert_true(called > 0);
    await_watching_threads(0);
}

static void *start_and_end(void *rounds)
{
    struct told told = TOLD_INIT;
    for (int i = 0; i < *(const int *)rounds; i++)
        quash_watch_free(watch_group(stage.table, "user:1", &told));
    return NULL;
}

static void threads_that_start_and_end_watching_at_once_do_not_hang(void **state)
{
    (void)state;
    int rounds = ROUNDS(4000);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        threads[i] = thread_start(start_and_end, &rounds);
    for (int i = 0; i < 3; i++)
        thread_join(threads[i]);
    start_and_end(&rounds); /* and one alone, which starts and ends the thread each time */
    await_watching_threads(0);
}

/* ---- A storm */

struct clocked {
    struct told told;
    _Atomic uint64_t cpu_ns;
};

static void note_cpu(quash_change change, void *context)
{
    struct clocked *clocked = context;
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    atomic_store(&clocked->cpu_ns, (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec);
    tell(change, &clocked->told);
}

static uint64_t cpu_of_the_thread(void)
{
    struct clocked clocked = {.told = TOLD_INIT};
    quash_watch *watch = NULL;
    watch_with("clock", note_cpu, &clocked, &watch);
    assert_int_equal(quash_table_cancel(stage.worker, "clock"), QUASH_OK);
    await_told(&clocked.told);
    quash_watch_free(watch);
    return clocked.cpu_ns;
}

static void a_storm_of_other_cancels_neither_hides_a_change_nor_keeps_a_processor_busy(void **state)
{
    (void)state;
    enum { WATCHES = 200, TIMED = 20 };
    struct told told = TOLD_INIT;
    quash_watch *watches[WATCHES];
    for (int i = 0; i < WATCHES; i++) {
        char group[32];
        snprintf(group, sizeof group, "user:%d", i);
        watches[i] = watch_group(stage.table, group, &told);
    }
    settle(stage.table, stage.worker);
    canceller_storm(&stage.canceller);
    uint64_t start_ns = clock_monotonic_ns();
    uint64_t start_cpu_ns = cpu_of_the_thread();
    uint64_t start_sequence = sequence(stage.table);
    uint64_t worst_ns = 0;
    for (int i = 0; i < TIMED; i++) {
        struct told timed = TOLD_INIT;
        quash_watch *watch = watch_group(stage.table, "tenant:42", &timed);
        nap_ms(20);
        uint64_t cancelled_ns = clock_monotonic_ns();
        assert_int_equal(quash_table_cancel(stage.worker, "tenant:42"), QUASH_OK);
        await_told(&timed);
        uint64_t time_ns = clock_monotonic_ns() - cancelled_ns;
        worst_ns = time_ns > worst_ns ? time_ns : worst_ns;
        quash_watch_free(watch);
    }
    uint64_t cpu_ns = cpu_of_the_thread() - start_cpu_ns;
    uint64_t time_ns = clock_monotonic_ns() - start_ns;
    printf("%d watches, %.0f cancels/s: %.1f %% of a processor, worst latency %.1f ms\n", WATCHES,
           (double)(sequence(stage.table) - start_sequence) * 1e9 / (double)time_ns,
           100.0 * (double)cpu_ns / (double)time_ns, (double)worst_ns / 1e6);
    assert_true(cpu_ns < time_ns / 4);
    for (int i = 0; i < WATCHES; i++)
        quash_watch_free(watches[i]);
}

#define T(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(each_of_thousands_is_called_once),
        T(no_callback_comes_after_its_watch_was_freed),
        T(threads_that_start_and_end_watching_at_once_do_not_hang),
        T(a_storm_of_other_cancels_neither_hides_a_change_nor_keeps_a_processor_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
