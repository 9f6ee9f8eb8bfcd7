/*
 * test_table_processes.c - one table, several processes: what one cancels the next check of another sees, and what a
 * writer leaves that is killed on the way.
 */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <quash/table.h>

#include "scratch.h"
#include "table_probe.h"

#define WRITERS_MAX 4u
#define GROUPS      40u
#define NAME_SIZE   32

static char directory[SCRATCH_PATH_SIZE];
static char path[SCRATCH_PATH_SIZE + 8];

/* What the processes of a test share besides the table; a cache line for each writer. */
struct shared {
    struct {
        _Alignas(64) _Atomic uint64_t asked; /* the round in which this writer may cancel */
        _Atomic uint64_t done;               /* the round in which it has */
    } writer[WRITERS_MAX];
    _Atomic uint64_t completed[GROUPS]; /* cancels of this group that have returned */
};

static struct shared *shared;

static int setup(void **state)
{
    (void)state;
    shared = scratch_shared(sizeof *shared);
    if (shared == NULL || !scratch_make(directory))
        return -1;
    snprintf(path, sizeof path, "%s/web", directory);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    munmap(shared, sizeof *shared);
    scratch_remove(directory);
    return 0;
}

static quash_table *serve(uint64_t buckets)
{
    quash_table_serve_options options = QUASH_TABLE_SERVE_OPTIONS_INIT;
    options.buckets = buckets;
    quash_table *table = NULL;
    bool fresh = false;
    assert_int_equal(quash_table_serve(path, &options, &table, &fresh, NULL), QUASH_OK);
    return table;
}

static quash_table *follow(bool writable)
{
    quash_table_options options = QUASH_TABLE_OPTIONS_INIT;
    options.writable = writable;
    options.must_exist = true;
    quash_table *table = NULL;
    return quash_table_open(path, &options, &table, NULL) == QUASH_OK ? table : NULL;
}

static const char *group_name(char name[NAME_SIZE], unsigned id)
{
    snprintf(name, NAME_SIZE, "tenant:%u", id);
    return name;
}

/* The children that a failing test must not leave behind. */
static void stop(const pid_t *children, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
}

/* ---- A million cancels, each seen by the very next check */

static _Noreturn void write_when_asked(unsigned id, const char *group)
{
    quash_table *table = follow(true);
    if (table == NULL)
        _exit(1);
    for (uint64_t round = 1;; round++) {
        while (atomic_load_explicit(&shared->writer[id].asked, memory_order_acquire) < round)
            sched_yield();
        if (quash_table_cancel(table, group) != QUASH_OK)
            _exit(2);
        atomic_store_explicit(&shared->writer[id].done, round, memory_order_release);
    }
}

/* Each round: take a stamp, let every writer cancel once, and check when the last has said that it did. The table is
 * opened read-only in this process, and writable in each writer's. */
static void each_cancel_is_seen_by_the_next_check(unsigned writers, bool one_group, uint64_t rounds)
{
    quash_table *worker = serve(QUASH_TABLE_BUCKETS_DEFAULT);
    pid_t children[WRITERS_MAX];
    char names[WRITERS_MAX][NAME_SIZE];
    for (unsigned i = 0; i < writers; i++) {
        group_name(names[i], one_group ? 0 : i);
        children[i] = scratch_fork();
        if (children[i] == 0)
            write_when_asked(i, names[i]);
        assert_true(children[i] > 0);
    }
    quash_table *reader = follow(false);
    const struct table_map *map = table_current(reader);
    uint64_t unseen = 0;
    uint64_t imagined = 0;
    bool stuck = false;
    const time_t deadline = time(NULL) + 100;
    for (uint64_t round = 1; round <= rounds && unseen == 0 && !stuck; round++) {
        quash_stamp stamp = quash_table_stamp(reader);
        for (unsigned i = 0; i < writers; i++)
            imagined += probe_map(map, names[i], stamp.sequence) != TABLE_UNCHANGED;
        for (unsigned i = 0; i < writers; i++)
            atomic_store_explicit(&shared->writer[i].asked, round, memory_order_release);
        for (unsigned i = 0; i < writers; i++) {
            for (unsigned turn = 1; atomic_load_explicit(&shared->writer[i].done, memory_order_acquire) < round;
                 turn++) {
                sched_yield();
                if (turn % 65536 == 0 && (stuck = time(NULL) > deadline))
                    break;
            }
            unseen += probe_map(map, names[i], stamp.sequence) != TABLE_CHANGED;
        }
        imagined += probe_map(map, "nobody", stamp.sequence) != TABLE_UNCHANGED;
    }
    stop(children, writers);
    assert_false(stuck);
    assert_int_equal(unseen, 0);
    assert_int_equal(imagined, 0);
    assert_int_equal(sequence(reader), rounds * writers);
    assert_int_equal(table_map_changes(map), rounds * writers);
    quash_table_close(reader);
    quash_table_close(worker);
}

static void a_million_cancels_of_one_writer_are_each_seen_by_the_next_check(void **state)
{
    (void)state;
    each_cancel_is_seen_by_the_next_check(1, false, ROUNDS(1000000));
}

static void a_million_cancels_of_four_writers_are_each_seen_by_the_next_check(void **state)
{
    (void)state;
    each_cancel_is_seen_by_the_next_check(4, false, ROUNDS(1000000) / 4);
}

static void four_writers_of_one_group_are_each_seen_by_the_next_check(void **state)
{
    (void)state;
    each_cancel_is_seen_by_the_next_check(4, true, ROUNDS(100000) / 4);
}

/* ---- Killed writers */

static _Noreturn void cancel_until_killed(unsigned seed)
{
    quash_table *table = follow(true);
    if (table == NULL)
        _exit(1);
    for (;;) {
        char name[NAME_SIZE];
        seed = seed * 1664525u + 1013904223u;
        unsigned id = (seed >> 8) % GROUPS;
        if (quash_table_cancel(table, group_name(name, id)) != QUASH_OK)
            _exit(2);
        atomic_fetch_add_explicit(&shared->completed[id], 1, memory_order_release);
    }
}

static void a_writer_killed_at_any_moment_takes_no_cancel_with_it(void **state)
{
    (void)state;
    for (uint64_t buckets = 1; buckets <= 16; buckets *= 16) {
        quash_table *worker = serve(buckets);
        unsigned random = 4711;
        for (unsigned round = 0; round < ROUNDS(400); round++) {
            /* Two at once, so that a dead one may leave another in the middle of a race with it. */
            pid_t children[2];
            for (unsigned i = 0; i < 2; i++) {
                children[i] = scratch_fork();
                if (children[i] == 0)
                    cancel_until_killed(round * 2 + i);
                assert_true(children[i] > 0);
            }
            uint64_t completed[GROUPS];
            uint64_t stamp;
            uint64_t begun = sequence(worker);
            while (sequence(worker) < begun + 20)
                sched_yield();
            /* The stamp first: what is counted after it and had begun before it is one cancel per writer at most. */
            stamp = sequence(worker);
            for (unsigned id = 0; id < GROUPS; id++)
                completed[id] = atomic_load_explicit(&shared->completed[id], memory_order_acquire);
            random = random * 1664525u + 1013904223u;
            const struct timespec while_longer = {0, (long)(random >> 8) % 500000};
            nanosleep(&while_longer, NULL);
            stop(children, 2);

            for (unsigned id = 0; id < GROUPS; id++) {
                char name[NAME_SIZE];
                uint64_t more = atomic_load_explicit(&shared->completed[id], memory_order_acquire) - completed[id];
                if (more > 2)
                    assert_int_not_equal(probe(worker, group_name(name, id), stamp), TABLE_UNCHANGED);
            }
            /* And the table goes on. */
            stamp = sequence(worker);
            assert_int_equal(quash_table_cancel(worker, "tenant:1"), QUASH_OK);
            assert_int_equal(probe(worker, "tenant:1", stamp), TABLE_CHANGED);
        }
        quash_table_close(worker);
        unlink(path);
    }
}

/*
 * The same without luck: the writer is stepped through its cancels one instruction at a time, and after each the memory
 * is what a kill there would leave. At every such moment a cancel that has returned must be seen, and so must all that
 * were complete before, whether their slots are being taken or not.
 */
static void at_every_instruction_of_a_cancel_what_was_cancelled_stays_so(void **state)
{
    (void)state;
    quash_table *worker = serve(1);
    char name[NAME_SIZE];
    for (unsigned id = 1; id <= 7; id++)
        assert_int_equal(quash_table_cancel(worker, group_name(name, id)),
                         QUASH_OK); /* stamp = id; the bucket is full */
    const struct table_map *map = table_current(worker);
    uint64_t changes = table_map_changes(map);
    uint64_t stamp = sequence(worker);

    pid_t child = scratch_fork();
    if (child == 0) {
        quash_table *table = follow(true);
        if (table == NULL || ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(1);
        raise(SIGSTOP);
        for (unsigned id = 8; id <= 10; id++) { /* each pushes one out */
            if (quash_table_cancel(table, group_name(name, id)) != QUASH_OK)
                _exit(2);
            atomic_store_explicit(&shared->writer[0].done, id, memory_order_release);
        }
        quash_table_cancel(table, "tenant:7"); /* finds its slot */
        atomic_store_explicit(&shared->writer[0].done, 11, memory_order_release);
        _exit(0);
    }
    assert_true(child > 0);
    int status = 0;
    uint64_t steps = 0;
    uint64_t lost = 0;
    uint64_t announced_too_early = 0;
    uint64_t floors_seen = 0;
    uint64_t last_floor = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status))
        skip(); /* a sandbox without ptrace */
    while (!WIFEXITED(status) && !WIFSIGNALED(status)) {
        for (unsigned id = 1; id <= 7; id++)
            lost += probe_map(map, group_name(name, id), id - 1) == TABLE_UNCHANGED;
        uint64_t done = atomic_load(&shared->writer[0].done);
        for (unsigned id = 8; id <= 10; id++) {
            /* `changes` may only move once the slot is there. */
            bool seen = probe_map(map, group_name(name, id), stamp) == TABLE_CHANGED;
            if (done >= id)
                lost += !seen;
            announced_too_early += table_map_changes(map) >= changes + id - 7 && !seen;
        }
        if (done == 11)
            lost += probe_map(map, "tenant:7", stamp + 3) != TABLE_CHANGED;
        uint64_t floor = atomic_load(&map->buckets[0].floor);
        floors_seen += floor != last_floor;
        last_floor = floor;
        steps++;
        if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) != 0 || waitpid(child, &status, 0) != child)
            break;
        if (WIFSTOPPED(status) && WSTOPSIG(status) != SIGTRAP)
            break;
    }
    if (!WIFEXITED(status) && !WIFSIGNALED(status))
        stop(&child, 1);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(lost, 0);
    assert_int_equal(announced_too_early, 0);
    assert_int_equal(floors_seen, 3);
    assert_true(steps > 200);
    assert_int_equal(table_map_changes(map), changes + 4);
    quash_table_close(worker);
}

/* A reader that is held after `steps` instructions of a check while the group that it asks for is pushed out of its
 * bucket. Returns its verdict; *finished: it was through before that. -1: a sandbox without ptrace. */
static int verdict_of_a_reader_held_after(uint64_t steps, bool *finished)
{
    quash_table *table = NULL;
    atomic_store(&shared->writer[0].done, 0);
    assert_int_equal(quash_table_new_private(1, &table), QUASH_OK);
    char name[NAME_SIZE];
    for (unsigned id = 1; id <= 7; id++)
        assert_int_equal(quash_table_cancel(table, group_name(name, id)), QUASH_OK);
    const struct table_map *map = table_current(table);
    uint64_t hash = group_hash("tenant:1", 8, map->seed);

    pid_t child = scratch_fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(100);
        raise(SIGSTOP);
        enum table_verdict verdict = table_map_check(map, &hash, 1, 0);
        atomic_store_explicit(&shared->writer[0].done, 1, memory_order_release);
        _exit((int)verdict);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    for (uint64_t step = 0; step < steps && WIFSTOPPED(status); step++) {
        if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) != 0 || waitpid(child, &status, 0) != child)
            break;
    }
    *finished = !WIFSTOPPED(status) || atomic_load(&shared->writer[0].done) != 0;
    if (WIFSTOPPED(status)) {
        for (unsigned id = 8; id <= 14; id++)
            quash_table_cancel(table, group_name(name, id));
        ptrace(PTRACE_CONT, child, NULL, NULL);
        waitpid(child, &status, 0);
    }
    quash_table_close(table);
    return WIFEXITED(status) && WEXITSTATUS(status) != 100 ? WEXITSTATUS(status) : -1;
}

static void at_every_instruction_of_a_check_a_group_may_be_pushed_out_and_is_still_seen(void **state)
{
    (void)state;
    bool finished = false;
    uint64_t changed = 0;
    uint64_t collateral = 0;
    /* In strides where each access is a call into a sanitizer. */
    for (uint64_t steps = 0; !finished; steps += ROUNDS(20) == 20 ? 1 : 7) {
        int verdict = verdict_of_a_reader_held_after(steps, &finished);
        if (verdict < 0)
            skip();
        assert_int_not_equal(verdict, TABLE_UNCHANGED);
        changed += verdict == TABLE_CHANGED;
        collateral += verdict == TABLE_COLLATERAL;
    }
    assert_true(changed > 0 && collateral > 0); /* it was held before the slot was read, and after */
}

/* ---- Workers that come and go */

static _Noreturn void serve_and_stop(unsigned rounds)
{
    quash_table_serve_options options = QUASH_TABLE_SERVE_OPTIONS_INIT;
    options.buckets = 1;
    for (unsigned served = 0; served < rounds;) {
        quash_table *table = NULL;
        bool fresh = false;
        quash_status status = quash_table_serve(path, &options, &table, &fresh, NULL);
        if (status == QUASH_BUSY) {
            sched_yield();
            continue;
        }
        if (status != QUASH_OK || atomic_fetch_add(&shared->completed[0], 1) != 0)
            _exit(1);
        atomic_fetch_sub(&shared->completed[0], 1);
        atomic_fetch_add(&shared->completed[1], fresh);
        quash_table_close(table);
        served++;
    }
    _exit(0);
}

static void of_several_that_start_and_stop_one_serves_at_a_time(void **state)
{
    (void)state;
    pid_t children[WRITERS_MAX];
    for (unsigned i = 0; i < WRITERS_MAX; i++) {
        children[i] = scratch_fork();
        if (children[i] == 0)
            serve_and_stop(ROUNDS(2000));
        assert_true(children[i] > 0);
    }
    unsigned failed = 0;
    for (unsigned i = 0; i < WRITERS_MAX; i++) {
        int status = -1;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        failed += status != 0;
    }
    assert_int_equal(failed, 0);
    assert_int_equal(atomic_load(&shared->completed[1]), 1); /* and only the first made a table */
}

/* ---- Memory that is not in any file */

static void a_private_table_is_shared_with_forked_children(void **state)
{
    (void)state;
    quash_table *table = NULL;
    assert_int_equal(quash_table_new_private(16, &table), QUASH_OK);
    uint64_t changes = 0;
    pid_t child = scratch_fork();
    if (child == 0)
        _exit(quash_table_cancel(table, "tenant:1") != QUASH_OK);
    assert_int_equal(quash_table_wait(table, &changes, 20000), QUASH_OK); /* another process wakes this one */
    assert_int_equal(changes, 1);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(probe(table, "tenant:1", 0), TABLE_CHANGED);
    quash_table_close(table);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_million_cancels_of_one_writer_are_each_seen_by_the_next_check),
        T(a_million_cancels_of_four_writers_are_each_seen_by_the_next_check),
        T(four_writers_of_one_group_are_each_seen_by_the_next_check),
        T(a_writer_killed_at_any_moment_takes_no_cancel_with_it),
        T(at_every_instruction_of_a_cancel_what_was_cancelled_stays_so),
        T(at_every_instruction_of_a_check_a_group_may_be_pushed_out_and_is_still_seen),
        T(of_several_that_start_and_stop_one_serves_at_a_time),
        T(a_private_table_is_shared_with_forked_children),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
