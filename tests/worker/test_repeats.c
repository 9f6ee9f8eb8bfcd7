/* Groups that are cancelled once more, against a real table and a clock of the test's own. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quash/token.h>

#include "apply.h"
#include "log.h"
#include "repeats.h"
#include "scratch.h"

#define RULES_HASH 7u
#define SOURCE     11u
#define START_MS   1000000u

static long mallocs_until_failure; /* 0: none fails */
static bool add_while_cancelling;

void *__real_malloc(size_t size);
/* Visible, because the sanitizers have the library ask for it as well. */
__attribute__((visibility("default"))) void *__wrap_malloc(size_t size);
bool __real_apply_groups(struct apply *apply, const char *const *groups, size_t count);
bool __wrap_apply_groups(struct apply *apply, const char *const *groups, size_t count);

static char directory[SCRATCH_PATH_SIZE];
static quash_table *table; /* owned by `apply` */
static struct apply *apply;
static struct repeats *repeats;
static unsigned woken;

void *__wrap_malloc(size_t size)
{
    if (mallocs_until_failure > 0 && --mallocs_until_failure == 0)
        return NULL;
    return __real_malloc(size);
}

/* Stands for the consumer's thread, which adds when memory has run out for it. */
bool __wrap_apply_groups(struct apply *applied, const char *const *groups, size_t count)
{
    if (add_while_cancelling) {
        add_while_cancelling = false;
        for (long nth = 1; nth <= 2; nth++) {
            mallocs_until_failure = nth;
            repeats_add(repeats, START_MS, 500, "user:2");
            mallocs_until_failure = 0;
        }
    }
    return __real_apply_groups(applied, groups, count);
}

static int make_directory(void **state)
{
    (void)state;
    log_set_level(LOG_ERROR);
    return !scratch_make(directory);
}

static int remove_directory(void **state)
{
    (void)state;
    scratch_remove(directory);
    return 0;
}

static void wake(void *context)
{
    (void)context;
    woken++;
}

static int set_up(void **state)
{
    (void)state;
    bool fresh;
    assert_int_equal(quash_table_serve(scratch_path(directory, "table"), NULL, &table, &fresh, NULL), QUASH_OK);
    apply = apply_new(table, RULES_HASH);
    assert_non_null(apply);
    apply_set_source(apply, SOURCE);
    repeats = repeats_new(apply, wake, NULL);
    assert_non_null(repeats);
    woken = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    repeats_free(repeats);
    apply_free(apply);
    remove(scratch_path(directory, "table"));
    return 0;
}

static bool changed(quash_stamp since, const char *group)
{
    quash_token *token;
    assert_int_equal(quash_token_new_at(table, since, &token), QUASH_OK);
    assert_int_equal(quash_token_add(token, group), QUASH_OK);
    bool is = quash_token_changed(token);
    quash_token_free(token);
    return is;
}

static bool note_is_written(void)
{
    quash_table_source note = {0};
    assert_int_equal(quash_table_get_source(table, &note), QUASH_OK);
    assert_true(note.source_hash == 0 || (note.source_hash == SOURCE && note.rules_hash == RULES_HASH));
    return note.source_hash != 0;
}

static void a_group_is_cancelled_at_its_time_and_not_before(void **state)
{
    (void)state;
    quash_stamp before = quash_table_stamp(table);
    repeats_add(repeats, START_MS, 500, "user:1");
    assert_int_equal(repeats_run(repeats, START_MS), 500);
    assert_int_equal(repeats_run(repeats, START_MS + 499), 10); /* not more often than that */
    assert_false(changed(before, "user:1"));
    assert_true(repeats_run(repeats, START_MS + 500) == REPEATS_NONE);
    assert_true(changed(before, "user:1"));
    assert_false(changed(before, "user:2"));
    assert_int_equal(repeats_counts(repeats).done, 1);
    assert_int_equal(repeats_counts(repeats).pending, 0);
    /* And once only. */
    before = quash_table_stamp(table);
    assert_true(repeats_run(repeats, START_MS + 2000) == REPEATS_NONE);
    assert_false(changed(before, "user:1"));
}

static void delays_do_not_wait_for_each_other(void **state)
{
    (void)state;
    quash_stamp before = quash_table_stamp(table);
    static const uint32_t delays[] = {60000, 1, 500, 3600000, 20};
    char name[32];
    for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++) {
        snprintf(name, sizeof name, "d:%u", (unsigned)delays[i]);
        repeats_add(repeats, START_MS, delays[i], name);
    }
    static const uint32_t ordered[] = {1, 20, 500, 60000, 3600000};
    for (size_t i = 0; i < 5; i++) {
        repeats_run(repeats, START_MS + ordered[i] - 1);
        snprintf(name, sizeof name, "d:%u", (unsigned)ordered[i]);
        assert_false(changed(before, name));
        uint64_t wait_ms = repeats_run(repeats, START_MS + ordered[i]);
        assert_true(changed(before, name));
        if (i == 4)
            assert_true(wait_ms == REPEATS_NONE);
        else
            assert_int_equal(wait_ms, ordered[i + 1] - ordered[i]);
        assert_int_equal(repeats_counts(repeats).pending, 4 - i);
    }
}

static void the_runner_is_woken_only_for_what_is_due_sooner(void **state)
{
    (void)state;
    repeats_add(repeats, START_MS, 500, "a:1");
    assert_int_equal(woken, 1);
    repeats_add(repeats, START_MS + 1, 500, "a:2");
    repeats_add(repeats, START_MS + 2, 5000, "a:3");
    assert_int_equal(woken, 1);
    repeats_add(repeats, START_MS + 3, 100, "a:4");
    assert_int_equal(woken, 2);
    assert_int_equal(repeats_run(repeats, START_MS + 103), 397);
    repeats_add(repeats, START_MS + 104, 500, "a:5");
    assert_int_equal(woken, 2);
}

static void the_note_is_erased_while_anything_is_pending(void **state)
{
    (void)state;
    assert_true(note_is_written());
    repeats_add(repeats, START_MS, 500, "user:1");
    assert_false(note_is_written());
    repeats_add(repeats, START_MS, 900, "user:2");
    repeats_run(repeats, START_MS + 500);
    assert_false(note_is_written());
    repeats_run(repeats, START_MS + 900);
    assert_true(note_is_written());
}

static void a_new_connection_needs_no_flush_for_a_note_that_is_held(void **state)
{
    (void)state;
    repeats_add(repeats, START_MS, 500, "user:1");
    assert_null(apply_source_differs(apply, SOURCE));
    assert_non_null(apply_source_differs(apply, SOURCE + 1));
    assert_false(note_is_written());
}

static void what_is_noted_meanwhile_is_written_in_the_end(void **state)
{
    (void)state;
    repeats_add(repeats, START_MS, 500, "user:1");
    /* A gap, open to the end: nothing may be written then. */
    apply_forget_source(apply);
    assert_non_null(apply_source_differs(apply, SOURCE));
    repeats_run(repeats, START_MS + 500);
    assert_false(note_is_written());
    /* A gap that is closed while the note is held. */
    repeats_add(repeats, START_MS + 600, 500, "user:1");
    apply_forget_source(apply);
    apply_set_source(apply, SOURCE);
    assert_false(note_is_written());
    repeats_run(repeats, START_MS + 1100);
    assert_true(note_is_written());
}

static void a_worker_that_ends_with_repeats_leaves_the_note_erased(void **state)
{
    (void)state;
    repeats_add(repeats, START_MS, 500, "user:1");
    repeats_free(repeats);
    repeats = NULL;
    apply_tick(apply, false);
    assert_false(note_is_written());
}

static void what_cannot_be_cancelled_is_tried_again(void **state)
{
    (void)state;
    const char *path = scratch_path(directory, "later");
    quash_table_options options = QUASH_TABLE_OPTIONS_INIT;
    options.writable = true;
    quash_table *detached;
    assert_int_equal(quash_table_open(path, &options, &detached, NULL), QUASH_OK);
    struct apply *waiting = apply_new(detached, RULES_HASH);
    struct repeats *kept = repeats_new(waiting, wake, NULL);
    repeats_add(kept, START_MS, 5, "user:1");
    assert_int_equal(repeats_run(kept, START_MS + 5), 1000);
    repeats_add(kept, START_MS + 6, 5, "user:2");
    assert_int_equal(repeats_run(kept, START_MS + 1005), 1000);
    assert_int_equal(repeats_counts(kept).pending, 2);
    assert_int_equal(repeats_counts(kept).done, 0);

    quash_table *appeared;
    bool fresh;
    assert_int_equal(quash_table_serve(path, NULL, &appeared, &fresh, NULL), QUASH_OK);
    quash_stamp before = quash_table_stamp(appeared);
    assert_true(repeats_run(kept, START_MS + 2005) == REPEATS_NONE);
    quash_table *own = table;
    table = appeared;
    assert_true(changed(before, "user:1"));
    assert_true(changed(before, "user:2"));
    table = own;
    assert_int_equal(repeats_counts(kept).done, 2);
    quash_table_close(appeared);
    repeats_free(kept);
    apply_free(waiting);
    remove(path);
}

/* ---- Too many */

/* Adds repeats of different groups until there are fewer pending than before. Returns how many were added. */
static uint64_t overflow(uint64_t *now_ms, uint32_t after_ms)
{
    char name[512];
    uint64_t added = 0;
    uint64_t pending = 0;
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    do {
        pending = repeats_counts(repeats).pending;
        snprintf(name, sizeof name, "x:%llu", (unsigned long long)added);
        name[strlen(name)] = 'x'; /* long names fill the memory sooner */
        repeats_add(repeats, *now_ms, after_ms, name);
        added++;
        if (added % 1000 == 0)
            (*now_ms)++;
    } while (repeats_counts(repeats).pending > pending);
    return added;
}

static void too_many_become_everything_at_the_time_of_the_last(void **state)
{
    (void)state;
    quash_stamp before = quash_table_stamp(table);
    uint64_t now_ms = START_MS;
    repeats_add(repeats, now_ms, 60000, "other:1");
    uint64_t added = overflow(&now_ms, 800);
    /* The bound: neither much more nor much less. */
    assert_in_range(added, REPEATS_BYTES_MAX / 1024, REPEATS_BYTES_MAX / 512);
    assert_int_equal(repeats_counts(repeats).pending, 2);
    assert_false(note_is_written());
    repeats_run(repeats, now_ms + 799);
    assert_false(changed(before, "anything:1"));
    repeats_run(repeats, now_ms + 800 + 100); /* an eighth later at most */
    assert_true(changed(before, "anything:1"));
    assert_int_equal(repeats_counts(repeats).pending, 1);
    before = quash_table_stamp(table);
    repeats_run(repeats, START_MS + 60000 + 7500);
    assert_true(changed(before, "anything:1"));
    assert_true(note_is_written());
}

static void a_flood_that_does_not_end_is_still_cancelled_in_time(void **state)
{
    (void)state;
    uint64_t now_ms = START_MS;
    quash_stamp before = quash_table_stamp(table);
    uint64_t flushed_ms = START_MS;
    /* Several times over, within and beyond one delay. */
    for (int round = 0; round < 12; round++) {
        overflow(&now_ms, 100);
        repeats_run(repeats, now_ms);
        if (changed(before, "anything:1")) {
            assert_true(now_ms - flushed_ms <= 100 + 13 + 100);
            flushed_ms = now_ms;
            before = quash_table_stamp(table);
        }
        assert_true(repeats_counts(repeats).pending <= 10);
        assert_true(now_ms - flushed_ms <= 300);
    }
    assert_true(flushed_ms > START_MS);
}

/* ---- Two threads */

#define ADDED 20000

static atomic_bool adding;

static void *add_many(void *argument)
{
    (void)argument;
    char name[32];
    for (unsigned i = 0; i < ADDED; i++) {
        snprintf(name, sizeof name, "user:%u", i % 100);
        repeats_add(repeats, START_MS + i / 100, 1 + i % 3, name);
    }
    atomic_store(&adding, false);
    return NULL;
}

static void what_finds_no_memory_while_others_are_cancelled_becomes_everything(void **state)
{
    (void)state;
    repeats_add(repeats, START_MS, 100, "user:1");
    add_while_cancelling = true;
    assert_int_equal(repeats_run(repeats, START_MS + 100), 400);
    assert_false(add_while_cancelling);
    quash_stamp since = quash_table_stamp(table);
    assert_int_equal(repeats_run(repeats, START_MS + 500), REPEATS_NONE);
    assert_true(changed(since, "user:3"));
    assert_int_equal(repeats_counts(repeats).pending, 0);
}

static void adding_and_running_at_once_loses_none(void **state)
{
    (void)state;
    pthread_t thread;
    atomic_store(&adding, true);
    assert_int_equal(pthread_create(&thread, NULL, add_many, NULL), 0);
    uint64_t now_ms = START_MS;
    while (atomic_load(&adding))
        repeats_run(repeats, now_ms++);
    pthread_join(thread, NULL);
    repeats_run(repeats, START_MS + ADDED);
    assert_int_equal(repeats_counts(repeats).done, ADDED);
    assert_int_equal(repeats_counts(repeats).pending, 0);
    assert_true(note_is_written());
}

int main(void)
{
#define CLAIM(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CLAIM(a_group_is_cancelled_at_its_time_and_not_before),
        CLAIM(delays_do_not_wait_for_each_other),
        CLAIM(the_runner_is_woken_only_for_what_is_due_sooner),
        CLAIM(the_note_is_erased_while_anything_is_pending),
        CLAIM(a_new_connection_needs_no_flush_for_a_note_that_is_held),
        CLAIM(what_is_noted_meanwhile_is_written_in_the_end),
        CLAIM(a_worker_that_ends_with_repeats_leaves_the_note_erased),
        CLAIM(what_cannot_be_cancelled_is_tried_again),
        CLAIM(too_many_become_everything_at_the_time_of_the_last),
        CLAIM(a_flood_that_does_not_end_is_still_cancelled_in_time),
        CLAIM(what_finds_no_memory_while_others_are_cancelled_becomes_everything),
        CLAIM(adding_and_running_at_once_loses_none),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
