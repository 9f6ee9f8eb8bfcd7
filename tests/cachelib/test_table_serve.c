/*
 * test_table_serve.c - becoming a table's one worker: the lock, what is taken over, what is replaced, what is refused.
 */
#define _GNU_SOURCE /* seteuid */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <quash/table.h>

#include "clock.h"
#include "scratch.h"
#include "table_probe.h"

#define NOBODY 65534

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

static quash_status serve_with(uint64_t buckets, uint32_t mode, quash_table **table, bool *fresh, quash_error *error)
{
    quash_table_serve_options options = QUASH_TABLE_SERVE_OPTIONS_INIT;
    options.buckets = buckets;
    options.mode = mode;
    return quash_table_serve(path, &options, table, fresh, error);
}

static quash_table *serve(bool expect_fresh)
{
    quash_table *table = NULL;
    bool fresh = !expect_fresh;
    quash_error error = {""};
    if (serve_with(16, 0600, &table, &fresh, &error) != QUASH_OK)
        fail_msg("%s", error.message);
    assert_int_equal(fresh, expect_fresh);
    return table;
}

static quash_table *open_reader(void)
{
    quash_table *table = NULL;
    assert_int_equal(quash_table_open(path, NULL, &table, NULL), QUASH_OK);
    return table;
}

static uint64_t incarnation(quash_table *table)
{
    return quash_table_stamp(table).incarnation;
}

static bool exists(const char *name)
{
    struct stat file;
    return lstat(scratch_path(directory, name), &file) == 0;
}

static void a_table_is_made_where_there_is_none(void **state)
{
    (void)state;
    quash_table *table = serve(true);
    struct stat file;
    assert_int_equal(lstat(path, &file), 0);
    assert_true(S_ISREG(file.st_mode));
    assert_int_equal(file.st_mode & 0777, 0600);
    assert_int_equal(file.st_size, 4096 + 16 * 64);
    assert_true(file.st_blocks * 512 >= file.st_size); /* allocated, not promised */
    assert_false(exists("web.new"));
    assert_int_equal(probe(table, "tenant:42", 0), TABLE_UNCHANGED);
    quash_table_close(table);
    assert_true(exists("web"));
    assert_false(exists("web.lock"));
}

static void every_table_has_its_own_incarnation_and_seed(void **state)
{
    (void)state;
    uint64_t seen_incarnation = 0;
    uint64_t seen_seed = 0;
    for (unsigned i = 0; i < 8; i++) {
        unlink(path);
        quash_table *table = serve(true);
        assert_true(incarnation(table) != seen_incarnation);
        assert_true(table_current(table)->seed != seen_seed);
        seen_incarnation = incarnation(table);
        seen_seed = table_current(table)->seed;
        quash_table_close(table);
    }
}

static void the_mode_is_as_asked_whatever_the_umask(void **state)
{
    (void)state;
    const uint32_t modes[] = {0600, 0640, 0644, 0660, 0666};
    mode_t umask_before = umask(0077);
    for (unsigned i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        quash_table *table = NULL;
        bool fresh = false;
        unlink(path);
        assert_int_equal(serve_with(16, modes[i], &table, &fresh, NULL), QUASH_OK);
        struct stat file;
        assert_int_equal(lstat(path, &file), 0);
        assert_int_equal(file.st_mode & 07777, modes[i]);
        quash_table_close(table);
    }
    umask(umask_before);
}

static void a_missing_directory_is_made_one_level_deep(void **state)
{
    (void)state;
    quash_table_serve_options options = QUASH_TABLE_SERVE_OPTIONS_INIT;
    options.buckets = 1;
    quash_table *table = NULL;
    bool fresh = false;
    quash_error error = {""};
    mode_t umask_before = umask(0077);
    options.mode = 0644;
    assert_int_equal(quash_table_serve(scratch_path(directory, "new/web"), &options, &table, &fresh, &error), QUASH_OK);
    umask(umask_before);
    struct stat file;
    assert_int_equal(stat(scratch_path(directory, "new"), &file), 0);
    assert_int_equal(file.st_mode & 0777, 0755); /* who may read the table may get there */
    quash_table_close(table);
    assert_int_equal(quash_table_serve(scratch_path(directory, "a/b/web"), &options, &table, &fresh, &error),
                     QUASH_NOT_FOUND);
    assert_non_null(strstr(error.message, "directory must exist"));
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    quash_table *table = NULL;
    bool fresh = false;
    quash_error error = {""};
    const uint64_t buckets[] = {0, 3, (uint64_t)QUASH_TABLE_BUCKETS_MAX * 2};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(serve_with(buckets[i], 0600, &table, &fresh, &error), QUASH_INVALID);
        assert_non_null(strstr(error.message, "power of two"));
    }
    const uint32_t modes[] = {0, 0400, 0700, 01600, 0755};
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(serve_with(16, modes[i], &table, &fresh, &error), QUASH_INVALID);
        assert_non_null(strstr(error.message, "mode"));
    }
    assert_int_equal(quash_table_serve("", NULL, &table, &fresh, NULL), QUASH_INVALID);
    assert_int_equal(quash_table_serve(path, NULL, NULL, &fresh, NULL), QUASH_INVALID);
    assert_int_equal(quash_table_serve(path, NULL, &table, NULL, NULL), QUASH_INVALID);
    quash_table_serve_options options = QUASH_TABLE_SERVE_OPTIONS_INIT;
    options.struct_size--;
    assert_int_equal(quash_table_serve(path, &options, &table, &fresh, NULL), QUASH_INVALID);
    assert_false(exists("web"));
}

static void a_second_worker_is_told_who_is_first(void **state)
{
    (void)state;
    quash_table *first = serve(true);
    quash_table *second = NULL;
    bool fresh = false;
    quash_error error = {""};
    assert_int_equal(serve_with(16, 0600, &second, &fresh, &error), QUASH_BUSY);
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld)", (long)getpid());
    assert_non_null(strstr(error.message, pid));
    assert_non_null(strstr(error.message, path));
    quash_table_close(first);
    second = serve(false);
    quash_table_close(second);
}

static void the_lock_ends_with_the_process_that_held_it(void **state)
{
    (void)state;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = scratch_fork();
    if (child == 0) {
        quash_table *table;
        bool fresh;
        quash_table_serve_options options = QUASH_TABLE_SERVE_OPTIONS_INIT;
        options.buckets = 16;
        char ok = quash_table_serve(path, &options, &table, &fresh, NULL) == QUASH_OK;
        if (write(ready[1], &ok, 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    char ok = 0;
    assert_int_equal(read(ready[0], &ok, 1), 1);
    assert_true(ok);
    quash_table *table = NULL;
    bool fresh = false;
    assert_int_equal(serve_with(16, 0600, &table, &fresh, NULL), QUASH_BUSY);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    table = serve(false); /* what the dead one left is whole */
    quash_table_close(table);
    close(ready[0]);
    close(ready[1]);
}

static void a_lock_that_is_not_a_file_is_refused(void **state)
{
    (void)state;
    quash_table *table = NULL;
    bool fresh = false;
    quash_error error = {""};
    assert_int_equal(symlink("elsewhere", scratch_path(directory, "web.lock")), 0);
    assert_int_equal(serve_with(16, 0600, &table, &fresh, &error), QUASH_SYSTEM);
    assert_non_null(strstr(error.message, "web.lock"));
    assert_false(exists("elsewhere"));
    assert_int_equal(unlink(scratch_path(directory, "web.lock")), 0);
    assert_int_equal(mkfifo(scratch_path(directory, "web.lock"), 0600), 0);
    assert_int_equal(serve_with(16, 0600, &table, &fresh, &error), QUASH_SYSTEM);
    assert_non_null(strstr(error.message, "not a regular file"));
    assert_false(exists("web"));
}

static void a_fit_table_is_taken_over_with_all_it_remembers(void **state)
{
    (void)state;
    quash_table *table = serve(true);
    const quash_table_source source = {1, 2, 3, 4};
    assert_int_equal(quash_table_cancel(table, "tenant:42"), QUASH_OK);
    assert_int_equal(quash_table_set_source(table, &source), QUASH_OK);
    uint64_t first = incarnation(table);
    quash_table_close(table);

    quash_table *reader = open_reader();
    table = serve(false);
    assert_true(incarnation(table) == first);
    assert_int_equal(probe(table, "tenant:42", 0), TABLE_CHANGED);
    quash_table_source remembered;
    assert_int_equal(quash_table_get_source(table, &remembered), QUASH_OK);
    assert_memory_equal(&source, &remembered, sizeof source);
    assert_int_equal(probe(reader, "tenant:43", 0), TABLE_UNCHANGED);
    quash_table_close(reader);
    quash_table_close(table);
}

static void a_mode_that_was_changed_is_given_to_the_table_that_is_there(void **state)
{
    (void)state;
    quash_table *table = serve(true);
    quash_table_close(table);
    bool fresh = true;
    assert_int_equal(serve_with(16, 0644, &table, &fresh, NULL), QUASH_OK);
    assert_false(fresh);
    struct stat file;
    assert_int_equal(lstat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0644);
    quash_table_close(table);
}

/* Whatever makes a table unfit: after `spoil` its readers find everything changed and move to a new table. One that was
 * retired already is not announced again. */
static void replaced_after(void (*spoil)(quash_table *table), uint64_t buckets, bool announced)
{
    quash_table *table = serve(true);
    quash_table *reader = open_reader();
    quash_stamp stamp = quash_table_stamp(reader);
    const struct table_map *old = table_current(reader);
    if (spoil != NULL)
        spoil(table);
    uint64_t changes = table_map_changes(old);
    quash_table_close(table);

    bool fresh = false;
    quash_error error = {""};
    if (serve_with(buckets, 0600, &table, &fresh, &error) != QUASH_OK)
        fail_msg("%s", error.message);
    assert_true(fresh);
    assert_true(incarnation(table) != stamp.incarnation);
    assert_true(table_current(table)->same_boot);
    assert_int_equal(table_current(table)->bucket_mask + 1, buckets);
    assert_int_equal(sequence(table), 0);
    assert_int_equal(probe_map(old, "tenant:42", stamp.sequence), TABLE_RETIRED);
    if (announced)
        assert_true(table_map_changes(old) > changes); /* so that the one-load check notices */
    bool replaced = false;
    assert_int_equal(quash_table_refresh(reader, &replaced, NULL), QUASH_OK);
    assert_true(incarnation(reader) == incarnation(table));
    quash_table_close(reader);
    quash_table_close(table);
}

static void spoil_boot(quash_table *table)
{
    (void)table;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "another boot's", 14, 0x80), 14);
    close(fd);
}

static void a_table_of_another_boot_is_replaced(void **state)
{
    (void)state;
    replaced_after(spoil_boot, 16, true);
}

static void spoil_watermark(quash_table *table)
{
    atomic_store(&table_current(table)->header->watermark_ns, clock_monotonic_ns() + UINT64_C(1000000000000));
}

static void a_watermark_later_than_now_is_not_trusted(void **state)
{
    (void)state;
    replaced_after(spoil_watermark, 16, true);
}

static void a_watermark_of_the_past_is_no_reason_to_replace(void **state)
{
    (void)state;
    quash_table *table = serve(true);
    atomic_store(&table_current(table)->header->watermark_ns, clock_monotonic_ns());
    quash_table_close(table);
    quash_table_close(serve(false));
}

static void spoil_retired(quash_table *table)
{
    atomic_store(&table_current(table)->header->retired, 1);
}

static void a_retired_table_is_replaced(void **state)
{
    (void)state;
    replaced_after(spoil_retired, 16, false);
}

static void spoil_sequence(quash_table *table)
{
    atomic_store(&table_current(table)->header->sequence, SLOT_STAMP_MAX / 2 + 1);
}

static void a_table_with_half_its_stamps_gone_is_replaced(void **state)
{
    (void)state;
    replaced_after(spoil_sequence, 16, true);
}

static void a_table_with_just_less_than_half_its_stamps_gone_is_taken_over(void **state)
{
    (void)state;
    quash_table *table = serve(true);
    atomic_store(&table_current(table)->header->sequence, SLOT_STAMP_MAX / 2);
    quash_table_close(table);
    quash_table_close(serve(false));
}

static void a_table_of_another_size_is_replaced(void **state)
{
    (void)state;
    replaced_after(NULL, 32, true);
}

static void spoil_mode(quash_table *table)
{
    (void)table;
    assert_int_equal(chmod(path, 0620), 0);
}

static void a_table_open_to_more_writers_than_asked_is_replaced(void **state)
{
    (void)state;
    replaced_after(spoil_mode, 16, true);
}

static void spoil_size(quash_table *table)
{
    (void)table;
    assert_int_equal(truncate(path, 4096), 0);
}

static void a_truncated_table_is_replaced_and_its_readers_are_told(void **state)
{
    (void)state;
    quash_table *table = serve(true);
    quash_table *reader = open_reader();
    const struct table_map *old = table_current(reader);
    uint64_t changes = table_map_changes(old);
    quash_table_close(table);
    spoil_size(NULL);
    table = serve(true);
    assert_true(table_map_changes(old) > changes); /* the header is all that there is to look at */
    assert_int_equal(atomic_load(&old->header->retired), 1);
    assert_int_equal(quash_table_refresh(reader, NULL, NULL), QUASH_OK);
    assert_true(incarnation(reader) == incarnation(table));
    quash_table_close(reader);
    quash_table_close(table);

    assert_int_equal(truncate(path, 100), 0);
    quash_table_close(serve(true));
}

/* Serving is refused with this status, and what is at the path stays as it is. */
static void refused(quash_status expected, const char *words)
{
    struct stat before;
    struct stat after;
    assert_int_equal(lstat(path, &before), 0);
    quash_table *table = NULL;
    bool fresh = false;
    quash_error error = {""};
    quash_status status = serve_with(16, 0600, &table, &fresh, &error);
    if (status != expected || strstr(error.message, words) == NULL || strstr(error.message, path) == NULL)
        fail_msg("status %d, not %d with '%s': %s", status, expected, words, error.message);
    assert_int_equal(serve_with(16, 0600, &table, &fresh, NULL), expected);
    assert_int_equal(lstat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(before.st_size, after.st_size);
    assert_false(exists("web.new"));
    assert_false(exists("web.lock"));
}

static void what_never_was_a_table_is_refused_and_left_alone(void **state)
{
    (void)state;
    assert_true(scratch_write(path, "{\"rules\": []}", 13));
    refused(QUASH_NOT_A_TABLE, "not a cancellation table");
    assert_true(scratch_write(path, "", 0));
    refused(QUASH_NOT_A_TABLE, "not a cancellation table");
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    refused(QUASH_NOT_A_TABLE, "directory");
    rmdir(path);
    assert_int_equal(symlink("/nowhere", path), 0);
    refused(QUASH_NOT_A_TABLE, "symbolic link");
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    refused(QUASH_NOT_A_TABLE, "named pipe");
}

static void a_newer_table_is_refused_and_left_alone(void **state)
{
    (void)state;
    quash_table_close(serve(true));
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "\2", 1, 8), 1);
    close(fd);
    refused(QUASH_VERSION, "version 2");
}

static void a_table_of_another_user_is_refused_and_left_alone(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    quash_table_close(serve(true));
    assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
    refused(QUASH_UNSAFE, "12345");
}

static void a_directory_that_may_not_be_written_is_refused(void **state)
{
    (void)state;
    assert_int_equal(chmod(directory, 0555), 0);
    pid_t child = scratch_fork();
    if (child == 0) {
        if (geteuid() == 0 && (setegid(NOBODY) != 0 || seteuid(NOBODY) != 0))
            _exit(100);
        quash_table *table;
        bool fresh;
        quash_error error = {""};
        quash_status status = quash_table_serve(path, NULL, &table, &fresh, &error);
        _exit(status != QUASH_NOT_PERMITTED ? 1 : strstr(error.message, path) == NULL ? 2 : 0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(chmod(directory, 0700), 0);
    assert_int_equal(status, 0);
}

static void an_unfinished_table_of_a_dead_worker_is_no_hindrance(void **state)
{
    (void)state;
    assert_true(scratch_write(scratch_path(directory, "web.new"), "half", 4));
    quash_table_close(serve(true));
    assert_false(exists("web.new"));
}

static void a_table_that_does_not_fit_is_an_error_and_leaves_nothing(void **state)
{
    (void)state;
    pid_t child = scratch_fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        const struct rlimit limit = {1 << 20, 1 << 20};
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
            _exit(100);
        quash_table *table;
        bool fresh;
        quash_error error = {""};
        if (serve_with(QUASH_TABLE_BUCKETS_DEFAULT, 0600, &table, &fresh, &error) != QUASH_SYSTEM)
            _exit(1);
        if (strstr(error.message, "no room") == NULL)
            _exit(2);
        _exit(exists("web") || exists("web.new") || exists("web.lock") ? 3 : 0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_table_is_made_where_there_is_none),
        T(every_table_has_its_own_incarnation_and_seed),
        T(the_mode_is_as_asked_whatever_the_umask),
        T(a_missing_directory_is_made_one_level_deep),
        T(bad_options_are_refused),
        T(a_second_worker_is_told_who_is_first),
        T(the_lock_ends_with_the_process_that_held_it),
        T(a_lock_that_is_not_a_file_is_refused),
        T(a_fit_table_is_taken_over_with_all_it_remembers),
        T(a_mode_that_was_changed_is_given_to_the_table_that_is_there),
        T(a_table_of_another_boot_is_replaced),
        T(a_watermark_later_than_now_is_not_trusted),
        T(a_watermark_of_the_past_is_no_reason_to_replace),
        T(a_retired_table_is_replaced),
        T(a_table_with_half_its_stamps_gone_is_replaced),
        T(a_table_with_just_less_than_half_its_stamps_gone_is_taken_over),
        T(a_table_of_another_size_is_replaced),
        T(a_table_open_to_more_writers_than_asked_is_replaced),
        T(a_truncated_table_is_replaced_and_its_readers_are_told),
        T(what_never_was_a_table_is_refused_and_left_alone),
        T(a_newer_table_is_refused_and_left_alone),
        T(a_table_of_another_user_is_refused_and_left_alone),
        T(a_directory_that_may_not_be_written_is_refused),
        T(an_unfinished_table_of_a_dead_worker_is_no_hindrance),
        T(a_table_that_does_not_fit_is_an_error_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
