/* Files that are written, replaced and swapped, looked at step by step: no clock is involved but the file system's. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "file_watch.h"
#include "scratch.h"

static char directory[SCRATCH_PATH_SIZE];
static char path[SCRATCH_PATH_SIZE]; /* of the watched file */
static struct file_watch watch;

static void write_file(const char *where, const char *text)
{
    assert_true(scratch_write(where, text, strlen(text)));
}

static void put_time(const char *where, time_t seconds)
{
    const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    assert_int_equal(utimensat(AT_FDCWD, where, times, 0), 0);
}

static void in_directory(char out[SCRATCH_PATH_SIZE], const char *name)
{
    snprintf(out, SCRATCH_PATH_SIZE, "%s", scratch_path(directory, name));
}

static int set_up(void **state)
{
    (void)state;
    if (!scratch_make(directory))
        return 1;
    in_directory(path, "rules.json");
    write_file(path, "one");
    file_watch_init(&watch, path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(directory);
    return 0;
}

static void assert_news(enum file_news first, enum file_news second, enum file_news third)
{
    assert_int_equal(file_watch_look(&watch), first);
    assert_int_equal(file_watch_look(&watch), second);
    assert_int_equal(file_watch_look(&watch), third);
}

static void a_file_that_stays_is_no_news(void **state)
{
    (void)state;
    assert_news(FILE_AS_KNOWN, FILE_AS_KNOWN, FILE_AS_KNOWN);
}

static void a_file_written_in_place_is_told_once_when_it_has_settled(void **state)
{
    (void)state;
    write_file(path, "other");
    assert_news(FILE_AS_KNOWN, FILE_CHANGED, FILE_AS_KNOWN);
}

static void another_time_alone_is_a_change(void **state)
{
    (void)state;
    put_time(path, 1);
    assert_news(FILE_AS_KNOWN, FILE_CHANGED, FILE_AS_KNOWN);
}

static void a_file_that_is_still_being_written_is_waited_for(void **state)
{
    (void)state;
    for (time_t i = 1; i <= 5; i++) {
        put_time(path, i);
        assert_int_equal(file_watch_look(&watch), FILE_AS_KNOWN);
    }
    assert_int_equal(file_watch_look(&watch), FILE_CHANGED);
}

static void two_changes_between_two_looks_are_one(void **state)
{
    (void)state;
    write_file(path, "two");
    write_file(path, "three");
    assert_news(FILE_AS_KNOWN, FILE_CHANGED, FILE_AS_KNOWN);
}

static void a_file_renamed_over_it_is_a_change_even_with_its_size_and_time(void **state)
{
    (void)state;
    char beside[SCRATCH_PATH_SIZE];
    in_directory(beside, "new");
    put_time(path, 7);
    file_watch_know(&watch);
    write_file(beside, "two");
    put_time(beside, 7);
    assert_int_equal(rename(beside, path), 0);
    assert_news(FILE_AS_KNOWN, FILE_CHANGED, FILE_AS_KNOWN);
}

static void a_link_turned_to_another_directory_is_a_change(void **state)
{
    (void)state;
    char one[SCRATCH_PATH_SIZE], two[SCRATCH_PATH_SIZE], file[SCRATCH_PATH_SIZE], data[SCRATCH_PATH_SIZE];
    char data_new[SCRATCH_PATH_SIZE], link[SCRATCH_PATH_SIZE];
    /* As a ConfigMap is mounted: rules.json -> ..data/rules.json, ..data -> a directory with a date for a name. */
    in_directory(one, "..2026_1");
    in_directory(two, "..2026_2");
    assert_int_equal(mkdir(one, 0700), 0);
    assert_int_equal(mkdir(two, 0700), 0);
    in_directory(file, "..2026_1/rules.json");
    write_file(file, "one");
    in_directory(file, "..2026_2/rules.json");
    write_file(file, "two");
    in_directory(data, "..data");
    in_directory(data_new, "..data_tmp");
    in_directory(link, "link.json");
    assert_int_equal(symlink("..2026_1", data), 0);
    assert_int_equal(symlink("..data/rules.json", link), 0);
    file_watch_init(&watch, link);
    assert_news(FILE_AS_KNOWN, FILE_AS_KNOWN, FILE_AS_KNOWN);

    assert_int_equal(symlink("..2026_2", data_new), 0);
    assert_int_equal(rename(data_new, data), 0);
    assert_news(FILE_AS_KNOWN, FILE_CHANGED, FILE_AS_KNOWN);
}

static void a_file_absent_for_one_look_is_no_news(void **state)
{
    (void)state;
    char beside[SCRATCH_PATH_SIZE];
    in_directory(beside, "away");
    assert_int_equal(rename(path, beside), 0);
    assert_int_equal(file_watch_look(&watch), FILE_AS_KNOWN);
    assert_int_equal(rename(beside, path), 0);
    enum file_news news = file_watch_look(&watch);
    assert_int_equal(news, FILE_AS_KNOWN);
}

static void a_file_that_stays_away_is_told_once(void **state)
{
    (void)state;
    assert_int_equal(unlink(path), 0);
    assert_news(FILE_AS_KNOWN, FILE_GONE, FILE_AS_KNOWN);
    assert_news(FILE_AS_KNOWN, FILE_AS_KNOWN, FILE_AS_KNOWN);
    write_file(path, "back");
    assert_news(FILE_AS_KNOWN, FILE_CHANGED, FILE_AS_KNOWN);
    assert_int_equal(unlink(path), 0);
    assert_news(FILE_AS_KNOWN, FILE_GONE, FILE_AS_KNOWN);
}

static void a_directory_in_its_place_counts_as_gone(void **state)
{
    (void)state;
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_news(FILE_AS_KNOWN, FILE_GONE, FILE_AS_KNOWN);
}

static void what_the_owner_has_read_already_is_not_told_again(void **state)
{
    (void)state;
    write_file(path, "two");
    file_watch_know(&watch);
    assert_news(FILE_AS_KNOWN, FILE_AS_KNOWN, FILE_AS_KNOWN);
    write_file(path, "three");
    assert_news(FILE_AS_KNOWN, FILE_CHANGED, FILE_AS_KNOWN);
}

static void what_never_was_a_file_is_never_news(void **state)
{
    (void)state;
    file_watch_init(&watch, "/dev/null");
    assert_news(FILE_AS_KNOWN, FILE_AS_KNOWN, FILE_AS_KNOWN);
    char none[SCRATCH_PATH_SIZE];
    in_directory(none, "none");
    file_watch_init(&watch, none);
    assert_news(FILE_AS_KNOWN, FILE_AS_KNOWN, FILE_AS_KNOWN);
}

int main(void)
{
#define CLAIM(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CLAIM(a_file_that_stays_is_no_news),
        CLAIM(a_file_written_in_place_is_told_once_when_it_has_settled),
        CLAIM(another_time_alone_is_a_change),
        CLAIM(a_file_that_is_still_being_written_is_waited_for),
        CLAIM(two_changes_between_two_looks_are_one),
        CLAIM(a_file_renamed_over_it_is_a_change_even_with_its_size_and_time),
        CLAIM(a_link_turned_to_another_directory_is_a_change),
        CLAIM(a_file_absent_for_one_look_is_no_news),
        CLAIM(a_file_that_stays_away_is_told_once),
        CLAIM(a_directory_in_its_place_counts_as_gone),
        CLAIM(what_the_owner_has_read_already_is_not_told_again),
        CLAIM(what_never_was_a_file_is_never_news),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
