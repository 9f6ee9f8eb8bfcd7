/*
 * test_table_open.c - what a path may lead to, and what is said of everything else.
 */
#define _GNU_SOURCE /* seteuid, for the tests that only root can make */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <quash/table.h>

#include "scratch.h"
#include "table_probe.h"

#define NOBODY  65534
#define BUCKETS 16

static char directory[SCRATCH_PATH_SIZE];
static char path[SCRATCH_PATH_SIZE + 8];

static void make_table(void)
{
    quash_table_serve_options options = QUASH_TABLE_SERVE_OPTIONS_INIT;
    options.buckets = BUCKETS;
    quash_table *table = NULL;
    bool fresh = false;
    quash_error error = {""};
    if (quash_table_serve(path, &options, &table, &fresh, &error) != QUASH_OK)
        fail_msg("%s", error.message);
    assert_int_equal(quash_table_cancel(table, "tenant:42"), QUASH_OK);
    quash_table_close(table);
}

static int setup(void **state)
{
    (void)state;
    if (!scratch_make(directory))
        return -1;
    snprintf(path, sizeof path, "%s/web", directory);
    make_table();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_remove(directory);
    return 0;
}

static quash_table_options options_with(bool writable)
{
    quash_table_options options = QUASH_TABLE_OPTIONS_INIT;
    options.writable = writable;
    options.must_exist = true;
    return options;
}

/* Opening `where` fails with this status, for readers and writers, and the message has these words, the path included.
 */
static void refused_at(const char *where, quash_status expected, const char *words)
{
    for (int writable = 0; writable < 2; writable++) {
        quash_table_options options = options_with(writable);
        quash_table *table = (quash_table *)&options;
        quash_error error = {""};
        quash_status status = quash_table_open(where, &options, &table, &error);
        if (status != expected || strstr(error.message, words) == NULL || strstr(error.message, where) == NULL)
            fail_msg("status %d, not %d with '%s': %s", status, expected, words, error.message);
        assert_ptr_equal(table, (quash_table *)&options); /* untouched */
        assert_int_equal(quash_table_open(where, &options, &table, NULL), expected);
        /* A file that is there and unfit is an error also for who would wait for one to appear. */
        options.must_exist = false;
        if (expected != QUASH_NOT_FOUND)
            assert_int_equal(quash_table_open(where, &options, &table, NULL), expected);
    }
}

static void refused(quash_status expected, const char *words)
{
    refused_at(path, expected, words);
}

/* Overwrites bytes of the table's file. */
static void poke(off_t offset, const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, offset), size);
    close(fd);
}

static void poke_u64(off_t offset, uint64_t value)
{
    poke(offset, &value, sizeof value);
}

static void a_table_is_opened_for_reading(void **state)
{
    (void)state;
    quash_table *table = NULL;
    assert_int_equal(quash_table_open(path, NULL, &table, NULL), QUASH_OK);
    assert_int_equal(probe(table, "tenant:42", 0), TABLE_CHANGED);
    assert_int_equal(probe(table, "tenant:43", 0), TABLE_UNCHANGED);
    assert_int_equal(quash_table_cancel(table, "tenant:43"), QUASH_READ_ONLY);
    assert_int_equal(quash_table_cancel_batch(table, NULL, 0), QUASH_READ_ONLY);
    assert_int_equal(quash_table_set_worker(table, true), QUASH_READ_ONLY);
    quash_table_source source = {0, 0, 0, 0};
    assert_int_equal(quash_table_set_source(table, &source), QUASH_READ_ONLY);
    assert_int_equal(quash_table_get_source(table, &source), QUASH_OK);
    assert_int_equal(probe(table, "tenant:43", 0), TABLE_UNCHANGED);
    quash_table_close(table);
}

static void a_table_is_opened_for_writing_if_asked(void **state)
{
    (void)state;
    quash_table_options options = options_with(true);
    quash_table *writer = NULL;
    quash_table *reader = NULL;
    assert_int_equal(quash_table_open(path, &options, &writer, NULL), QUASH_OK);
    assert_int_equal(quash_table_open(path, NULL, &reader, NULL), QUASH_OK);
    quash_stamp stamp = quash_table_stamp(reader);
    assert_int_equal(quash_table_cancel(writer, "tenant:7"), QUASH_OK);
    assert_int_equal(probe(reader, "tenant:7", stamp.sequence), TABLE_CHANGED);
    quash_table_close(reader);
    quash_table_close(writer);
}

static void a_relative_path_survives_a_change_of_directory(void **state)
{
    (void)state;
    char before[PATH_MAX];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(directory), 0);
    quash_table *table = NULL;
    assert_int_equal(quash_table_open("web", NULL, &table, NULL), QUASH_OK);
    assert_int_equal(chdir("/"), 0);
    bool replaced = false;
    assert_int_equal(quash_table_refresh(table, &replaced, NULL), QUASH_OK);
    unlink(path);
    make_table();
    assert_int_equal(quash_table_refresh(table, &replaced, NULL), QUASH_OK);
    assert_true(replaced);
    quash_table_close(table);
    assert_int_equal(chdir(before), 0);
}

static void a_missing_table_is_an_error_only_if_it_must_exist(void **state)
{
    (void)state;
    unlink(path);
    refused(QUASH_NOT_FOUND, "is it running");
    quash_table *table = NULL;
    quash_error error = {"as it was"};
    assert_int_equal(quash_table_open(path, NULL, &table, &error), QUASH_OK);
    assert_string_equal(error.message, "as it was");
    assert_null(table_current(table));
    assert_int_equal(quash_table_stamp(table).incarnation, 0);
    quash_table_info info = QUASH_TABLE_INFO_INIT;
    assert_int_equal(quash_table_get_info(table, &info), QUASH_DETACHED);
    quash_table_source source;
    assert_int_equal(quash_table_get_source(table, &source), QUASH_DETACHED);
    uint64_t changes = 0;
    assert_int_equal(quash_table_wait(table, &changes, 1000), QUASH_DETACHED);
    assert_int_equal(quash_table_refresh(table, NULL, &error), QUASH_NOT_FOUND);
    assert_non_null(strstr(error.message, path));
    quash_table_close(table);

    quash_table_options options = options_with(true);
    options.must_exist = false;
    assert_int_equal(quash_table_open(path, &options, &table, NULL), QUASH_OK);
    assert_int_equal(quash_table_cancel(table, "tenant:1"), QUASH_DETACHED);
    assert_int_equal(quash_table_set_worker(table, true), QUASH_DETACHED);
    quash_table_close(table);
}

static void a_missing_directory_is_a_missing_table(void **state)
{
    (void)state;
    const char *where = scratch_path(directory, "nowhere/web");
    refused_at(where, QUASH_NOT_FOUND, "no table at");
    quash_table *table = NULL;
    assert_int_equal(quash_table_open(where, NULL, &table, NULL), QUASH_OK);
    quash_table_close(table);
}

static void a_path_through_a_file_is_refused(void **state)
{
    (void)state;
    refused_at(scratch_path(path, "web"), QUASH_NOT_A_TABLE, "not a directory");
}

static void a_directory_is_refused(void **state)
{
    (void)state;
    refused_at(directory, QUASH_NOT_A_TABLE, "is a directory");
}

static void a_symbolic_link_is_refused_even_to_a_table(void **state)
{
    (void)state;
    const char *link = scratch_path(directory, "link");
    assert_int_equal(symlink(path, link), 0);
    refused_at(link, QUASH_NOT_A_TABLE, "symbolic link");
}

static void a_named_pipe_is_refused_without_waiting(void **state)
{
    (void)state;
    const char *pipe = scratch_path(directory, "pipe");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    refused_at(pipe, QUASH_NOT_A_TABLE, "named pipe");
}

static void a_socket_is_refused(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *name = scratch_path(directory, "socket");
    memcpy(address.sun_path, name, strlen(name) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    refused_at(name, QUASH_NOT_A_TABLE, "socket");
    close(fd);
}

static void a_device_is_refused(void **state)
{
    (void)state;
    refused_at("/dev/null", QUASH_NOT_A_TABLE, "device");
}

static void an_empty_path_is_refused(void **state)
{
    (void)state;
    quash_table *table = NULL;
    quash_error error = {""};
    assert_int_equal(quash_table_open("", NULL, &table, &error), QUASH_INVALID);
    assert_non_null(strstr(error.message, "empty"));
    assert_int_equal(quash_table_open(NULL, NULL, &table, NULL), QUASH_INVALID);
    assert_int_equal(quash_table_open(path, NULL, NULL, NULL), QUASH_INVALID);
    quash_table_options options = QUASH_TABLE_OPTIONS_INIT;
    options.struct_size--;
    assert_int_equal(quash_table_open(path, &options, &table, NULL), QUASH_INVALID);
    refused_at(scratch_path(path, ""), QUASH_INVALID, "slash");
}

static void a_path_longer_than_the_system_allows_is_refused(void **state)
{
    (void)state;
    char name[PATH_MAX + 1];
    memset(name, 'x', sizeof name);
    name[0] = '/';
    name[PATH_MAX] = '\0';
    quash_table *table = NULL;
    quash_error error = {""};
    assert_int_equal(quash_table_open(name, NULL, &table, &error), QUASH_INVALID);
    assert_non_null(strstr(error.message, "allows"));
    name[PATH_MAX - 1] = '\0'; /* as a path right, as a name in it not */
    assert_int_equal(quash_table_open(name, NULL, &table, &error), QUASH_INVALID);
}

static void an_empty_file_is_refused(void **state)
{
    (void)state;
    assert_true(scratch_write(path, "", 0));
    refused(QUASH_NOT_A_TABLE, "0 bytes");
}

static void foreign_bytes_are_refused(void **state)
{
    (void)state;
    char bytes[8192];
    memset(bytes, 'x', sizeof bytes);
    assert_true(scratch_write(path, bytes, sizeof bytes));
    refused(QUASH_NOT_A_TABLE, "not a cancellation table");
    assert_true(scratch_write(path, "QUASHTB", 7));
    refused(QUASH_NOT_A_TABLE, "not a cancellation table");
}

static void a_truncated_table_is_refused(void **state)
{
    (void)state;
    const off_t whole = 4096 + BUCKETS * 64;
    const off_t sizes[] = {whole - 1, whole + 1, 4096, whole - 64};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(truncate(path, sizes[i]), 0);
        refused(QUASH_NOT_A_TABLE, "size");
    }
    const off_t short_sizes[] = {8, 64, 4095};
    for (unsigned i = 3; i-- > 0;) {
        assert_int_equal(truncate(path, short_sizes[i]), 0);
        refused(QUASH_NOT_A_TABLE, "ends within its header");
    }
}

static void a_newer_version_is_told_apart_from_damage(void **state)
{
    (void)state;
    const uint32_t newer = 2;
    const uint32_t newest = UINT32_MAX;
    const uint32_t none = 0;
    poke(8, &newer, sizeof newer);
    refused(QUASH_VERSION, "update");
    poke(8, &newest, sizeof newest);
    refused(QUASH_VERSION, "4294967295");
    poke(8, &none, sizeof none);
    refused(QUASH_NOT_A_TABLE, "version");
    /* Whatever else a newer version changes. */
    poke(8, &newer, sizeof newer);
    assert_int_equal(truncate(path, 100), 0);
    refused(QUASH_VERSION, "update");
}

static void a_header_of_another_size_is_refused(void **state)
{
    (void)state;
    const uint32_t size = 8192;
    poke(12, &size, sizeof size);
    refused(QUASH_NOT_A_TABLE, "header");
}

static void a_bucket_count_that_cannot_be_is_refused(void **state)
{
    (void)state;
    const uint64_t counts[] = {0,
                               3,
                               15,
                               17,
                               (uint64_t)QUASH_TABLE_BUCKETS_MAX * 2,
                               UINT64_MAX,
                               UINT64_C(1) << 58 /* times 64 it would be 0 */};
    for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        poke_u64(16, counts[i]);
        refused(QUASH_NOT_A_TABLE, "power of two");
    }
    poke_u64(16, BUCKETS * 2);
    refused(QUASH_NOT_A_TABLE, "size");
    poke_u64(16, BUCKETS);
    quash_table *table = NULL;
    assert_int_equal(quash_table_open(path, NULL, &table, NULL), QUASH_OK);
    quash_table_close(table);
}

static void a_table_without_an_incarnation_is_refused(void **state)
{
    (void)state;
    poke_u64(0x20, 0);
    refused(QUASH_NOT_A_TABLE, "incarnation");
}

static void a_table_that_others_may_write_is_refused_unless_allowed(void **state)
{
    (void)state;
    const mode_t modes[] = {0620, 0602, 0666};
    for (unsigned i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        refused(QUASH_UNSAFE, "allow_shared_write");
        quash_table_options options = options_with(true);
        options.allow_shared_write = true;
        quash_table *table = NULL;
        assert_int_equal(quash_table_open(path, &options, &table, NULL), QUASH_OK);
        quash_table_close(table);
    }
    assert_int_equal(chmod(path, 0644), 0);
    quash_table *table = NULL;
    assert_int_equal(quash_table_open(path, NULL, &table, NULL), QUASH_OK);
    quash_table_close(table);
}

static void a_table_of_another_user_is_refused_unless_allowed(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip(); /* only root can give files away */
    assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
    refused(QUASH_UNSAFE, "allow_any_owner");
    quash_table_options options = options_with(false);
    options.allow_any_owner = true;
    quash_table *table = NULL;
    assert_int_equal(quash_table_open(path, &options, &table, NULL), QUASH_OK);
    quash_table_close(table);
}

/* Runs as somebody who is not root, in a child; its exit status is the number of the step that went wrong. */
static int as_nobody(int (*steps)(void))
{
    pid_t child = scratch_fork();
    if (child == 0) {
        if (geteuid() == 0 && (setegid(NOBODY) != 0 || seteuid(NOBODY) != 0))
            _exit(100);
        _exit(steps());
    }
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

static int open_closed_table(void)
{
    quash_table *table = NULL;
    quash_table_options options = options_with(false);
    quash_error error = {""};
    if (quash_table_open(path, &options, &table, &error) != QUASH_NOT_PERMITTED)
        return 1;
    if (strstr(error.message, path) == NULL || strstr(error.message, "for reading") == NULL)
        return 2;
    /* Who would wait for a table to appear would wait for ever. */
    return quash_table_open(path, NULL, &table, NULL) == QUASH_NOT_PERMITTED ? 0 : 3;
}

static void a_table_that_may_not_be_read_is_refused(void **state)
{
    (void)state;
    assert_int_equal(chmod(directory, 0755), 0);
    assert_int_equal(chmod(path, 0000), 0);
    assert_int_equal(as_nobody(open_closed_table), 0);
}

static void a_directory_that_may_not_be_entered_is_refused(void **state)
{
    (void)state;
    assert_int_equal(chmod(directory, 0000), 0);
    int step = as_nobody(open_closed_table);
    assert_int_equal(chmod(directory, 0700), 0);
    assert_int_equal(step, 0);
}

static int open_read_only_table(void)
{
    quash_table *table = NULL;
    quash_table_options options = options_with(true);
    quash_error error = {""};
    if (quash_table_open(path, &options, &table, &error) != QUASH_NOT_PERMITTED)
        return 1;
    if (strstr(error.message, "for reading and writing") == NULL)
        return 2;
    options.writable = false;
    if (quash_table_open(path, &options, &table, &error) != QUASH_OK) /* root's files are trusted, one's own too */
        return 3;
    quash_table_close(table);
    return 0;
}

static void a_table_that_may_only_be_read_is_refused_for_writing(void **state)
{
    (void)state;
    assert_int_equal(chmod(directory, 0755), 0);
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(as_nobody(open_read_only_table), 0);
}

static void a_table_of_another_boot_is_readable_and_says_so(void **state)
{
    (void)state;
    poke_u64(0x200, 1); /* a watermark that would be believed otherwise */
    quash_table *table = NULL;
    quash_table_info info = QUASH_TABLE_INFO_INIT;
    assert_int_equal(quash_table_open(path, NULL, &table, NULL), QUASH_OK);
    assert_int_equal(quash_table_get_info(table, &info), QUASH_OK);
    assert_true(info.same_boot);
    assert_int_equal(info.watermark_ns, 1);
    quash_table_close(table);

    poke_u64(0x80, 1);
    assert_int_equal(quash_table_open(path, NULL, &table, NULL), QUASH_OK);
    assert_int_equal(quash_table_get_info(table, &info), QUASH_OK);
    assert_false(info.same_boot);
    assert_int_equal(info.watermark_ns, 0);
    quash_table_close(table);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_table_is_opened_for_reading),
        T(a_table_is_opened_for_writing_if_asked),
        T(a_relative_path_survives_a_change_of_directory),
        T(a_missing_table_is_an_error_only_if_it_must_exist),
        T(a_missing_directory_is_a_missing_table),
        T(a_path_through_a_file_is_refused),
        T(a_directory_is_refused),
        T(a_symbolic_link_is_refused_even_to_a_table),
        T(a_named_pipe_is_refused_without_waiting),
        T(a_socket_is_refused),
        T(a_device_is_refused),
        T(an_empty_path_is_refused),
        T(a_path_longer_than_the_system_allows_is_refused),
        T(an_empty_file_is_refused),
        T(foreign_bytes_are_refused),
        T(a_truncated_table_is_refused),
        T(a_newer_version_is_told_apart_from_damage),
        T(a_header_of_another_size_is_refused),
        T(a_bucket_count_that_cannot_be_is_refused),
        T(a_table_without_an_incarnation_is_refused),
        T(a_table_that_others_may_write_is_refused_unless_allowed),
        T(a_table_of_another_user_is_refused_unless_allowed),
        T(a_table_that_may_not_be_read_is_refused),
        T(a_directory_that_may_not_be_entered_is_refused),
        T(a_table_that_may_only_be_read_is_refused_for_writing),
        T(a_table_of_another_boot_is_readable_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
