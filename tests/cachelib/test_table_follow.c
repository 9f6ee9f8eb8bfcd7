/*
 * test_table_follow.c - handles that follow their path through removal and replacement, and waits that end.
 *
 * The worker here is a second handle in the same process, or the test itself with rename and unlink.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <quash/table.h>

#include "clock.h"
#include "scratch.h"
#include "table_probe.h"

#define PATIENCE_MS 20000u

static char directory[SCRATCH_PATH_SIZE];
static char path[SCRATCH_PATH_SIZE + 8];

static int setup(void **state)
{
    (void)state;
    if (!scratch_make(directory))
        return -1;
    snprintf(path, sizeof path, "%s/web", directory);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_remove(directory);
    return 0;
}

static quash_table *serve(void)
{
    quash_table_serve_options options = QUASH_TABLE_SERVE_OPTIONS_INIT;
    options.buckets = 16;
    quash_table *table = NULL;
    bool fresh = false;
    quash_error error = {""};
    if (quash_table_serve(path, &options, &table, &fresh, &error) != QUASH_OK)
        fail_msg("%s", error.message);
    return table;
}

static quash_table *follow(bool writable)
{
    quash_table_options options = QUASH_TABLE_OPTIONS_INIT;
    options.writable = writable;
    quash_table *table = NULL;
    assert_int_equal(quash_table_open(path, &options, &table, NULL), QUASH_OK);
    return table;
}

static uint64_t incarnation(quash_table *table)
{
    return quash_table_stamp(table).incarnation;
}

/* Waits for a follower to arrive at this table by its checks alone. */
static void arrives_at(quash_table *table, uint64_t expected)
{
    uint64_t deadline_ms = clock_coarse_ms() + PATIENCE_MS;
    while (incarnation(table) != expected) {
        assert_true(clock_coarse_ms() < deadline_ms);
        sched_yield();
    }
}

static void a_table_that_appears_is_attached_by_the_next_checks(void **state)
{
    (void)state;
    quash_table *reader = follow(false);
    assert_null(table_current(reader));
    quash_table *worker = serve();
    arrives_at(reader, incarnation(worker));
    quash_table_close(reader);
    quash_table_close(worker);
}

static void a_refresh_attaches_at_once(void **state)
{
    (void)state;
    quash_table *reader = follow(false);
    bool replaced = true;
    assert_int_equal(quash_table_refresh(reader, &replaced, NULL), QUASH_NOT_FOUND);
    assert_false(replaced);
    quash_table *worker = serve();
    assert_int_equal(quash_table_refresh(reader, &replaced, NULL), QUASH_OK);
    assert_true(replaced);
    assert_true(incarnation(reader) == incarnation(worker));
    assert_int_equal(quash_table_refresh(reader, &replaced, NULL), QUASH_OK);
    assert_false(replaced);
    quash_table_close(reader);
    quash_table_close(worker);
}

static void a_removed_file_is_made_anew_by_its_worker_and_followed(void **state)
{
    (void)state;
    quash_table *worker = serve();
    quash_table *reader = follow(false);
    quash_stamp stamp = quash_table_stamp(reader);
    const struct table_map *old = table_current(reader);
    bool replaced = true;
    assert_int_equal(quash_table_refresh(worker, &replaced, NULL), QUASH_OK);
    assert_false(replaced);

    unlink(path);
    /* Until the worker has noticed, those who have the table go on with it, worker included. */
    assert_int_equal(quash_table_refresh(reader, NULL, NULL), QUASH_OK);
    assert_int_equal(quash_table_cancel(worker, "tenant:1"), QUASH_OK);
    assert_int_equal(probe(reader, "tenant:1", stamp.sequence), TABLE_CHANGED);
    assert_int_equal(probe(reader, "tenant:2", stamp.sequence), TABLE_UNCHANGED);

    assert_int_equal(quash_table_refresh(worker, &replaced, NULL), QUASH_OK);
    assert_true(replaced);
    assert_int_equal(probe_map(old, "tenant:2", stamp.sequence), TABLE_RETIRED);
    assert_true(incarnation(worker) != stamp.incarnation);
    arrives_at(reader, incarnation(worker));
    assert_int_equal(quash_table_cancel(worker, "tenant:2"), QUASH_OK);
    assert_int_equal(probe(reader, "tenant:2", 0), TABLE_CHANGED);
    quash_table_close(reader);
    quash_table_close(worker);
}

static void a_removed_directory_is_made_anew_too(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/d/web", directory);
    quash_table *worker = serve();
    quash_table *reader = follow(false);
    unlink(path);
    unlink(scratch_path(directory, "d/web.lock"));
    assert_int_equal(rmdir(scratch_path(directory, "d")), 0);
    bool replaced = false;
    assert_int_equal(quash_table_refresh(worker, &replaced, NULL), QUASH_OK);
    assert_true(replaced);
    arrives_at(reader, incarnation(worker));
    quash_table_close(reader);
    quash_table_close(worker);
}

static void a_table_replaced_without_being_retired_is_noticed(void **state)
{
    (void)state;
    quash_table *worker = serve();
    quash_table *reader = follow(false);
    quash_table *writer = follow(true);
    const struct table_map *old = table_current(reader);
    uint64_t first = incarnation(worker);
    quash_table_close(worker); /* which leaves the table unretired, as a killed worker does */
    unlink(path);
    worker = serve();
    assert_true(incarnation(worker) != first);
    assert_int_equal(probe_map(old, "tenant:1", 0), TABLE_UNCHANGED);

    /* A writer makes sure before it returns: its cancel is in the table that others will ask. */
    assert_int_equal(quash_table_cancel(writer, "tenant:1"), QUASH_OK);
    assert_int_equal(probe(worker, "tenant:1", 0), TABLE_CHANGED);
    assert_true(incarnation(writer) == incarnation(worker));
    /* A reader at one of its next checks. */
    arrives_at(reader, incarnation(worker));
    assert_int_equal(probe(reader, "tenant:1", 0), TABLE_CHANGED);
    quash_table_close(writer);
    quash_table_close(reader);
    quash_table_close(worker);
}

static void a_writer_that_finds_its_table_retired_cancels_in_the_successor(void **state)
{
    (void)state;
    quash_table *worker = serve();
    quash_table *writer = follow(true);
    unlink(path);
    assert_int_equal(quash_table_refresh(worker, NULL, NULL), QUASH_OK);
    assert_int_equal(quash_table_cancel(writer, "tenant:1"), QUASH_OK);
    assert_int_equal(probe(worker, "tenant:1", 0), TABLE_CHANGED);
    quash_table_close(writer);
    quash_table_close(worker);
}

static void a_detached_writer_looks_before_it_gives_up(void **state)
{
    (void)state;
    quash_table *writer = follow(true);
    assert_int_equal(quash_table_cancel(writer, "tenant:1"), QUASH_DETACHED);
    quash_table *worker = serve();
    assert_int_equal(quash_table_cancel(writer, "tenant:1"), QUASH_OK);
    assert_int_equal(probe(worker, "tenant:1", 0), TABLE_CHANGED);
    quash_table_close(writer);
    quash_table_close(worker);
}

static void an_ended_table_without_successor_is_left(void **state)
{
    (void)state;
    quash_table *worker = serve();
    quash_table *reader = follow(false);
    uint64_t first = incarnation(worker);
    /* A worker that dies between retiring its table and giving the new one its name. */
    atomic_store(&table_current(worker)->header->retired, 1);
    quash_error error = {""};
    assert_int_equal(quash_table_refresh(reader, NULL, &error), QUASH_NOT_FOUND);
    assert_non_null(strstr(error.message, "no successor"));
    assert_null(table_current(reader));
    assert_int_equal(incarnation(reader), 0);
    unlink(path);
    assert_int_equal(quash_table_refresh(reader, NULL, NULL), QUASH_NOT_FOUND);
    assert_null(table_current(reader));

    assert_int_equal(quash_table_refresh(worker, NULL, NULL), QUASH_OK);
    assert_true(incarnation(worker) != first);
    arrives_at(reader, incarnation(worker));
    quash_table_close(reader);
    quash_table_close(worker);
}

static void a_worker_replaces_a_table_that_ran_out_of_stamps(void **state)
{
    (void)state;
    quash_table *worker = serve();
    quash_table *reader = follow(false);
    quash_table *writer = follow(true);
    atomic_store(&table_current(worker)->header->sequence, SLOT_STAMP_MAX);
    quash_stamp stamp = quash_table_stamp(reader);
    assert_int_equal(quash_table_cancel(worker, "tenant:1"), QUASH_EXHAUSTED);
    assert_int_equal(probe(worker, "tenant:2", stamp.sequence), TABLE_RETIRED);
    bool replaced = false;
    assert_int_equal(quash_table_refresh(worker, &replaced, NULL), QUASH_OK);
    assert_true(replaced);
    assert_int_equal(quash_table_cancel(worker, "tenant:1"), QUASH_OK);
    assert_int_equal(quash_table_cancel(writer, "tenant:2"), QUASH_OK);
    assert_int_equal(probe(worker, "tenant:2", 0), TABLE_CHANGED);
    arrives_at(reader, incarnation(worker));
    quash_table_close(writer);
    quash_table_close(reader);
    quash_table_close(worker);
}

static void a_reader_does_not_leave_its_table_for_something_unfit(void **state)
{
    (void)state;
    quash_table *worker = serve();
    quash_table *reader = follow(false);
    uint64_t first = incarnation(reader);
    unlink(path);
    assert_true(scratch_write(path, "not a table", 11));
    assert_int_equal(quash_table_refresh(reader, NULL, NULL), QUASH_OK);
    assert_true(incarnation(reader) == first);
    /* Nor does the worker overwrite it: it says so and keeps its own. */
    quash_error error = {""};
    bool replaced = true;
    assert_int_equal(quash_table_refresh(worker, &replaced, &error), QUASH_NOT_A_TABLE);
    assert_false(replaced);
    assert_non_null(strstr(error.message, path));
    assert_int_equal(quash_table_cancel(worker, "tenant:1"), QUASH_OK);
    assert_int_equal(probe(reader, "tenant:1", 0), TABLE_CHANGED);
    quash_table_close(reader);
    quash_table_close(worker);
}

static void a_copy_of_a_table_is_not_taken_for_the_table(void **state)
{
    (void)state;
    char bytes[4096 + 16 * 64];
    quash_table *worker = serve();
    quash_table *reader = follow(false);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, bytes, sizeof bytes), sizeof bytes);
    close(fd);
    quash_stamp stamp = quash_table_stamp(reader);
    assert_int_equal(quash_table_cancel(worker, "tenant:1"), QUASH_OK);
    unlink(path);
    assert_true(scratch_write(path, bytes, sizeof bytes)); /* knows nothing of that cancel */
    assert_int_equal(quash_table_refresh(reader, NULL, NULL), QUASH_OK);
    assert_int_equal(probe(reader, "tenant:1", stamp.sequence), TABLE_CHANGED);
    assert_int_equal(quash_table_refresh(worker, NULL, NULL), QUASH_OK);
    arrives_at(reader, incarnation(worker));
    assert_true(incarnation(reader) != stamp.incarnation);
    quash_table_close(reader);
    quash_table_close(worker);
}

static void a_worker_whose_lock_was_taken_away_gives_way(void **state)
{
    (void)state;
    quash_table *worker = serve();
    quash_table *reader = follow(false);
    const struct table_map *old = table_current(reader);
    unlink(scratch_path(directory, "web.lock"));
    unlink(path);
    quash_table *other = serve();
    quash_error error = {""};
    assert_int_equal(quash_table_refresh(worker, NULL, &error), QUASH_BUSY);
    assert_int_equal(probe_map(old, "tenant:1", 0), TABLE_RETIRED);
    assert_int_equal(quash_table_cancel(worker, "tenant:1"), QUASH_DETACHED);
    arrives_at(reader, incarnation(other));
    quash_table_close(other);
    /* And serves again once the other is gone. */
    assert_int_equal(quash_table_refresh(worker, NULL, NULL), QUASH_OK);
    assert_int_equal(quash_table_cancel(worker, "tenant:1"), QUASH_OK);
    quash_table_close(reader);
    quash_table_close(worker);
}

static void a_private_table_stays_what_it_is(void **state)
{
    (void)state;
    quash_table *table = NULL;
    assert_int_equal(quash_table_new_private(16, &table), QUASH_OK);
    uint64_t first = incarnation(table);
    bool replaced = true;
    assert_int_equal(quash_table_refresh(table, &replaced, NULL), QUASH_OK);
    assert_false(replaced);
    assert_true(incarnation(table) == first);
    assert_int_equal(quash_table_refresh(NULL, NULL, NULL), QUASH_INVALID);
    quash_table_close(table);
}

/* ---- Waiting */

struct waiter {
    pthread_t thread;
    quash_table *table;
    uint64_t changes;
    uint32_t timeout_ms;
    quash_status status;
    uint64_t cpu_ns;
};

static uint64_t thread_cpu_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Lets a waiter get to sleep. A test that goes on too early still passes: the waiter then returns without sleeping. */
static void nap_ms(long time_ms)
{
    const struct timespec time = {0, time_ms * 1000000};
    nanosleep(&time, NULL);
}

static void *wait_once(void *argument)
{
    struct waiter *waiter = argument;
    uint64_t start_ns = thread_cpu_ns();
    waiter->status = quash_table_wait(waiter->table, &waiter->changes, waiter->timeout_ms);
    waiter->cpu_ns = thread_cpu_ns() - start_ns;
    return NULL;
}

static void a_wait_returns_at_once_if_the_count_has_moved(void **state)
{
    (void)state;
    quash_table *worker = serve();
    quash_table *reader = follow(false);
    uint64_t changes = 0;
    assert_int_equal(quash_table_wait(reader, &changes, 0), QUASH_TIMED_OUT);
    assert_int_equal(quash_table_cancel(worker, "tenant:1"), QUASH_OK);
    assert_int_equal(quash_table_wait(reader, &changes, 0), QUASH_OK);
    assert_int_equal(changes, 1);
    assert_int_equal(quash_table_wait(reader, &changes, 0), QUASH_TIMED_OUT);
    assert_int_equal(changes, 1);
    assert_int_equal(quash_table_wait(reader, NULL, 0), QUASH_INVALID);
    assert_int_equal(quash_table_wait(NULL, &changes, 0), QUASH_INVALID);
    quash_table_close(reader);
    quash_table_close(worker);
}

static void a_wait_times_out_after_its_time(void **state)
{
    (void)state;
    quash_table *worker = serve();
    quash_table *reader = follow(false);
    struct waiter waiter = {.table = reader, .timeout_ms = 1200}; /* longer than one slice of its sleep */
    uint64_t start_ns = clock_monotonic_ns();
    wait_once(&waiter);
    uint64_t time_ns = clock_monotonic_ns() - start_ns;
    assert_int_equal(waiter.status, QUASH_TIMED_OUT);
    assert_in_range(time_ns, UINT64_C(1200) * 1000000, UINT64_C(10) * 1000000000);
    quash_table_close(reader);
    quash_table_close(worker);
}

static void every_waiter_is_woken_by_one_batch_and_did_not_poll(void **state)
{
    (void)state;
    enum { WAITERS = 4 };
    quash_table *worker = serve();
    quash_table *readers[2] = {follow(false), worker}; /* a read-only mapping and a writable one */
    struct waiter waiters[WAITERS];
    for (unsigned i = 0; i < WAITERS; i++) {
        waiters[i] = (struct waiter){.table = readers[i % 2], .timeout_ms = PATIENCE_MS};
        assert_int_equal(pthread_create(&waiters[i].thread, NULL, wait_once, &waiters[i]), 0);
    }
    /* Long enough that one who polls has spent time on it. */
    nap_ms(200);
    const char *groups[] = {"tenant:1", "tenant:2", "tenant:3"};
    assert_int_equal(quash_table_cancel_batch(worker, groups, 3), QUASH_OK);
    uint64_t woken_ns = clock_monotonic_ns();
    for (unsigned i = 0; i < WAITERS; i++) {
        pthread_join(waiters[i].thread, NULL);
        assert_int_equal(waiters[i].status, QUASH_OK);
        assert_int_equal(waiters[i].changes, 3);
        assert_true(waiters[i].cpu_ns < UINT64_C(100) * 1000000);
    }
    /* Less than the slice after which a waiter would have looked by itself. */
    assert_true(clock_monotonic_ns() - woken_ns < UINT64_C(700) * 1000000);
    quash_table_close(readers[0]);
    quash_table_close(worker);
}

static void a_wait_goes_by_all_64_bits_of_the_count(void **state)
{
    (void)state;
    quash_table *worker = serve();
    atomic_store(&table_current(worker)->header->changes, UINT64_C(1) << 32);
    uint64_t changes = 0; /* the same low half, which is what the futex sees */
    assert_int_equal(quash_table_wait(worker, &changes, PATIENCE_MS), QUASH_OK);
    assert_true(changes == UINT64_C(1) << 32);
    quash_table_close(worker);
}

static void a_wait_ends_when_the_table_is_replaced(void **state)
{
    (void)state;
    quash_table *worker = serve();
    quash_table *reader = follow(false);
    struct waiter waiter = {.table = reader, .timeout_ms = PATIENCE_MS};
    assert_int_equal(pthread_create(&waiter.thread, NULL, wait_once, &waiter), 0);
    nap_ms(50);
    unlink(path);
    assert_int_equal(quash_table_refresh(worker, NULL, NULL), QUASH_OK);
    pthread_join(waiter.thread, NULL);
    assert_int_equal(waiter.status, QUASH_OK);
    quash_table_close(reader);
    quash_table_close(worker);
}

static void a_wait_ends_when_the_table_was_replaced_silently(void **state)
{
    (void)state;
    quash_table *worker = serve();
    quash_table *reader = follow(false);
    struct waiter waiter = {.table = reader, .timeout_ms = PATIENCE_MS};
    assert_int_equal(pthread_create(&waiter.thread, NULL, wait_once, &waiter), 0);
    nap_ms(50);
    quash_table_close(worker);
    unlink(path);
    worker = serve(); /* whose count is 0 as well */
    pthread_join(waiter.thread, NULL);
    assert_int_equal(waiter.status, QUASH_OK);
    assert_int_equal(waiter.changes, 0);
    assert_true(incarnation(reader) == incarnation(worker));
    quash_table_close(reader);
    quash_table_close(worker);
}

static void a_successor_with_the_same_count_still_ends_a_wait(void **state)
{
    (void)state;
    quash_table *worker = serve();
    quash_table *reader = follow(false);
    uint64_t changes = 0;
    assert_int_equal(quash_table_wait(reader, &changes, 0), QUASH_TIMED_OUT);
    quash_table_close(worker);
    unlink(path);
    worker = serve();
    assert_int_equal(quash_table_refresh(reader, NULL, NULL), QUASH_OK);
    assert_int_equal(quash_table_wait(reader, &changes, 0), QUASH_OK);
    assert_int_equal(quash_table_wait(reader, &changes, 0), QUASH_TIMED_OUT);
    quash_table_close(reader);
    quash_table_close(worker);
}

/* ---- Many threads on a handle whose table is replaced all the time */

struct checker {
    pthread_t thread;
    quash_table *table;
    _Atomic bool *stop;
    uint64_t checks;
};

static void *check_on_and_on(void *argument)
{
    struct checker *checker = argument;
    while (!atomic_load(checker->stop)) {
        const struct table_map *map = table_current(checker->table);
        if (map != NULL)
            checker->checks += probe_map(map, "tenant:1", 0) != TABLE_UNCHANGED;
        sched_yield();
    }
    return NULL;
}

static void threads_go_on_checking_while_tables_come_and_go(void **state)
{
    (void)state;
    enum { CHECKERS = 3 };
    quash_table *worker = serve();
    quash_table *reader = follow(true);
    _Atomic bool stop = false;
    struct checker checkers[CHECKERS];
    for (unsigned i = 0; i < CHECKERS; i++) {
        checkers[i] = (struct checker){.table = reader, .stop = &stop};
        assert_int_equal(pthread_create(&checkers[i].thread, NULL, check_on_and_on, &checkers[i]), 0);
    }
    for (unsigned i = 0; i < 200; i++) {
        unlink(path);
        assert_int_equal(quash_table_refresh(worker, NULL, NULL), QUASH_OK);
        assert_int_equal(quash_table_cancel(reader, "tenant:1"), QUASH_OK);
        assert_int_equal(probe(worker, "tenant:1", 0), TABLE_CHANGED);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < CHECKERS; i++)
        pthread_join(checkers[i].thread, NULL);
    quash_table_close(reader);
    quash_table_close(worker);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_table_that_appears_is_attached_by_the_next_checks),
        T(a_refresh_attaches_at_once),
        T(a_removed_file_is_made_anew_by_its_worker_and_followed),
        T(a_removed_directory_is_made_anew_too),
        T(a_table_replaced_without_being_retired_is_noticed),
        T(a_writer_that_finds_its_table_retired_cancels_in_the_successor),
        T(a_detached_writer_looks_before_it_gives_up),
        T(an_ended_table_without_successor_is_left),
        T(a_worker_replaces_a_table_that_ran_out_of_stamps),
        T(a_reader_does_not_leave_its_table_for_something_unfit),
        T(a_copy_of_a_table_is_not_taken_for_the_table),
        T(a_worker_whose_lock_was_taken_away_gives_way),
        T(a_private_table_stays_what_it_is),
        T(a_wait_returns_at_once_if_the_count_has_moved),
        T(a_wait_times_out_after_its_time),
        T(every_waiter_is_woken_by_one_batch_and_did_not_poll),
        T(a_wait_goes_by_all_64_bits_of_the_count),
        T(a_wait_ends_when_the_table_is_replaced),
        T(a_wait_ends_when_the_table_was_replaced_silently),
        T(a_successor_with_the_same_count_still_ends_a_wait),
        T(threads_go_on_checking_while_tables_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
