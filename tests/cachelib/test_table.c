/*
 * test_table.c - cancelling and checking, in a table of this process's own.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quash/table.h>

#include "table_probe.h"

#define NAME_SIZE 32

static quash_table *new_table(uint64_t buckets)
{
    quash_table *table = NULL;
    assert_int_equal(quash_table_new_private(buckets, &table), QUASH_OK);
    return table;
}

static quash_table_info info_of(quash_table *table)
{
    quash_table_info info = QUASH_TABLE_INFO_INIT;
    assert_int_equal(quash_table_get_info(table, &info), QUASH_OK);
    return info;
}

static uint64_t slot_word(const struct table_map *map, const char *group, uint64_t stamp)
{
    uint64_t tag = group_hash(group, group_length(group), map->seed) >> SLOT_STAMP_BITS;
    return tag << SLOT_STAMP_BITS | stamp;
}

static const char *group_name(char name[NAME_SIZE], unsigned id)
{
    snprintf(name, NAME_SIZE, "group:%u", id);
    return name;
}

static void nothing_has_changed_in_a_new_table(void **state)
{
    (void)state;
    quash_table *table = new_table(16);
    assert_int_equal(probe(table, "tenant:42", 0), TABLE_UNCHANGED);
    quash_table_info info = info_of(table);
    assert_int_equal(info.format_version, 1);
    assert_true(info.same_boot);
    assert_false(info.retired);
    assert_true(info.incarnation != 0);
    assert_int_equal(info.buckets, 16);
    assert_int_equal(info.bytes, 4096 + 16 * 64);
    assert_int_equal(info.sequence, 0);
    assert_int_equal(info.changes, 0);
    assert_int_equal(info.slots_used, 0);
    assert_int_equal(info.buckets_overflowed, 0);
    assert_int_equal(info.worker_pid, 0);
    assert_int_equal(info.watermark_ns, 0);
    quash_table_close(table);
}

static void a_cancelled_group_has_changed_since_every_earlier_stamp(void **state)
{
    (void)state;
    quash_table *table = new_table(16384);
    quash_table_cancel(table, "tenant:1");
    uint64_t before = sequence(table);
    assert_int_equal(quash_table_cancel(table, "tenant:42"), QUASH_OK);
    uint64_t after = sequence(table);
    assert_int_equal(probe(table, "tenant:42", 0), TABLE_CHANGED);
    assert_int_equal(probe(table, "tenant:42", before), TABLE_CHANGED);
    assert_int_equal(probe(table, "tenant:42", after), TABLE_UNCHANGED);
    assert_int_equal(probe(table, "tenant:43", 0), TABLE_UNCHANGED);
    quash_table_close(table);
}

static void stamps_grow_by_one_and_name_their_table(void **state)
{
    (void)state;
    quash_table *table = new_table(16);
    quash_stamp first = quash_table_stamp(table);
    assert_true(first.incarnation == info_of(table).incarnation);
    for (uint64_t i = 1; i <= 100; i++) {
        assert_int_equal(quash_table_cancel(table, "catalog"), QUASH_OK);
        assert_int_equal(sequence(table), first.sequence + i);
    }
    quash_table_close(table);
}

static void a_check_of_many_groups_finds_the_one_that_changed(void **state)
{
    (void)state;
    quash_table *table = new_table(16384);
    const struct table_map *map = table_current(table);
    uint64_t hashes[33];
    for (unsigned i = 0; i < 33; i++) {
        char name[NAME_SIZE];
        group_name(name, i);
        hashes[i] = group_hash(name, strlen(name), map->seed);
    }
    for (unsigned i = 0; i < 33; i++) {
        char name[NAME_SIZE];
        uint64_t stamp = sequence(table);
        assert_int_equal(table_map_check(map, hashes, 33, stamp), TABLE_UNCHANGED);
        quash_table_cancel(table, group_name(name, i));
        assert_int_equal(table_map_check(map, hashes, 33, stamp), TABLE_CHANGED);
    }
    quash_table_close(table);
}

static void a_bucket_remembers_seven_groups_and_pushes_out_the_oldest(void **state)
{
    (void)state;
    quash_table *table = new_table(1);
    char name[NAME_SIZE];
    for (unsigned i = 1; i <= 7; i++)
        quash_table_cancel(table, group_name(name, i));
    assert_int_equal(info_of(table).slots_used, 7);
    assert_int_equal(info_of(table).buckets_overflowed, 0);
    /* A later cancel of group 1 leaves group 2 the oldest. */
    quash_table_cancel(table, group_name(name, 1)); /* stamp 8 */
    assert_int_equal(probe(table, "never", 0), TABLE_UNCHANGED);
    quash_table_cancel(table, group_name(name, 8)); /* stamp 9 pushes out group 2's stamp 2 */

    assert_int_equal(info_of(table).slots_used, 7);
    assert_int_equal(info_of(table).buckets_overflowed, 1);
    assert_int_equal(probe(table, "group:2", 1), TABLE_COLLATERAL);
    assert_int_equal(probe(table, "group:2", 2), TABLE_UNCHANGED);
    assert_int_equal(probe(table, "never", 1), TABLE_COLLATERAL);
    assert_int_equal(probe(table, "never", 2), TABLE_UNCHANGED);
    for (unsigned i = 1; i <= 8; i++)
        if (i != 2)
            assert_int_equal(probe(table, group_name(name, i), 2), TABLE_CHANGED);
    quash_table_close(table);
}

static void a_check_looks_past_the_first_slot_with_the_right_tag(void **state)
{
    (void)state;
    quash_table *table = new_table(1);
    const struct table_map *map = table_current(table);
    atomic_store(&map->buckets[0].slot[1], slot_word(map, "raced", 5));
    atomic_store(&map->buckets[0].slot[6], slot_word(map, "raced", 9));
    assert_int_equal(probe(table, "raced", 4), TABLE_CHANGED);
    assert_int_equal(probe(table, "raced", 5), TABLE_CHANGED);
    assert_int_equal(probe(table, "raced", 8), TABLE_CHANGED);
    assert_int_equal(probe(table, "raced", 9), TABLE_UNCHANGED);
    quash_table_close(table);
}

static void a_slot_with_an_early_stamp_does_not_hide_the_floor(void **state)
{
    (void)state;
    quash_table *table = new_table(1);
    const struct table_map *map = table_current(table);
    /* Stamp 9 was pushed out; then a slow writer came with stamp 5. */
    atomic_store(&map->buckets[0].slot[0], slot_word(map, "raced", 5));
    atomic_store(&map->buckets[0].floor, 9);
    assert_int_equal(probe(table, "raced", 4), TABLE_CHANGED);
    assert_int_equal(probe(table, "raced", 5), TABLE_COLLATERAL);
    assert_int_equal(probe(table, "raced", 9), TABLE_UNCHANGED);
    quash_table_close(table);
}

static void a_cancel_raises_a_slot_and_never_lowers_one(void **state)
{
    (void)state;
    quash_table *table = new_table(1);
    const struct table_map *map = table_current(table);
    atomic_store(&map->buckets[0].slot[2], slot_word(map, "raced", 3));
    atomic_store(&map->header->sequence, 9);
    quash_table_cancel(table, "raced"); /* stamp 10, over stamp 3 */
    assert_true(atomic_load(&map->buckets[0].slot[2]) == slot_word(map, "raced", 10));
    assert_int_equal(info_of(table).slots_used, 1);

    /* Another writer took stamp 100 and was faster. */
    atomic_store(&map->buckets[0].slot[2], slot_word(map, "raced", 100));
    uint64_t changes = info_of(table).changes;
    quash_table_cancel(table, "raced");
    assert_true(atomic_load(&map->buckets[0].slot[2]) == slot_word(map, "raced", 100));
    assert_int_equal(info_of(table).slots_used, 1);
    assert_int_equal(info_of(table).changes, changes + 1);
    quash_table_close(table);
}

static void a_floor_is_never_lowered(void **state)
{
    (void)state;
    quash_table *table = new_table(1);
    const struct table_map *map = table_current(table);
    char name[NAME_SIZE];
    for (unsigned i = 1; i <= 7; i++)
        quash_table_cancel(table, group_name(name, i));
    atomic_store(&map->buckets[0].floor, 5);
    quash_table_cancel(table, "another"); /* pushes out stamp 1 */
    assert_int_equal(atomic_load(&map->buckets[0].floor), 5);
    quash_table_close(table);
}

/* A name whose tag is 0, which an empty slot has too. */
static void find_tag_zero(const struct table_map *map, char name[NAME_SIZE])
{
    unsigned id = 0;
    do
        group_name(name, id++);
    while (group_hash(name, strlen(name), map->seed) >> SLOT_STAMP_BITS != 0);
}

static void a_group_with_tag_zero_is_not_confused_with_an_empty_slot(void **state)
{
    (void)state;
    quash_table *table = new_table(1);
    char zero[NAME_SIZE];
    char name[NAME_SIZE];
    find_tag_zero(table_current(table), zero);
    assert_int_equal(probe(table, zero, 0), TABLE_UNCHANGED);
    quash_table_cancel(table, zero);
    assert_int_equal(probe(table, zero, 0), TABLE_CHANGED);
    quash_table_cancel(table, zero);
    assert_int_equal(info_of(table).slots_used, 1);
    for (unsigned i = 1; i <= 6; i++)
        quash_table_cancel(table, group_name(name, i * 1000003));
    assert_int_equal(info_of(table).slots_used, 7);
    assert_int_equal(info_of(table).buckets_overflowed, 0);
    assert_int_equal(probe(table, zero, 1), TABLE_CHANGED);
    assert_int_equal(probe(table, zero, 2), TABLE_UNCHANGED);
    quash_table_close(table);
}

static void a_batch_takes_a_stamp_for_each_group_and_counts_them_all(void **state)
{
    (void)state;
    quash_table *table = new_table(16384);
    const char *groups[] = {"tenant:1", "tenant:2", "tenant:1", "region:eu"};
    assert_int_equal(quash_table_cancel_batch(table, groups, 4), QUASH_OK);
    assert_int_equal(info_of(table).sequence, 4);
    assert_int_equal(info_of(table).changes, 4);
    assert_int_equal(info_of(table).slots_used, 3);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(probe(table, groups[i], 0), TABLE_CHANGED);
    quash_table_close(table);
}

static void an_empty_batch_does_nothing(void **state)
{
    (void)state;
    quash_table *table = new_table(16);
    assert_int_equal(quash_table_cancel_batch(table, NULL, 0), QUASH_OK);
    assert_int_equal(info_of(table).changes, 0);
    quash_table_close(table);
}

static void a_batch_with_one_bad_name_cancels_nothing(void **state)
{
    (void)state;
    quash_table *table = new_table(16);
    char long_name[QUASH_GROUP_MAX + 2];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    const char *bad[] = {"", NULL, long_name};
    for (unsigned i = 0; i < 3; i++) {
        const char *groups[] = {"tenant:1", bad[i]};
        assert_int_equal(quash_table_cancel_batch(table, groups, 2), QUASH_INVALID);
        assert_int_equal(quash_table_cancel(table, bad[i]), QUASH_INVALID);
    }
    assert_int_equal(quash_table_cancel_batch(table, NULL, 1), QUASH_INVALID);
    assert_int_equal(quash_table_cancel_batch(NULL, NULL, 0), QUASH_INVALID);
    assert_int_equal(info_of(table).sequence, 0);
    assert_int_equal(info_of(table).changes, 0);
    long_name[QUASH_GROUP_MAX] = '\0';
    assert_int_equal(quash_table_cancel(table, long_name), QUASH_OK);
    assert_int_equal(probe(table, long_name, 0), TABLE_CHANGED);
    quash_table_close(table);
}

static void the_last_stamp_is_used_and_the_next_cancel_ends_the_table(void **state)
{
    (void)state;
    quash_table *table = new_table(16);
    const struct table_map *map = table_current(table);
    atomic_store(&map->header->sequence, SLOT_STAMP_MAX - 1);
    assert_int_equal(quash_table_cancel(table, "tenant:1"), QUASH_OK);
    assert_int_equal(probe(table, "tenant:1", SLOT_STAMP_MAX - 1), TABLE_CHANGED);
    assert_int_equal(probe(table, "tenant:2", SLOT_STAMP_MAX), TABLE_UNCHANGED);
    assert_true(sequence(table) == SLOT_STAMP_MAX);

    uint64_t changes = info_of(table).changes;
    assert_int_equal(quash_table_cancel(table, "tenant:2"), QUASH_EXHAUSTED);
    assert_true(sequence(table) == SLOT_STAMP_MAX);
    assert_int_equal(probe(table, "tenant:3", SLOT_STAMP_MAX), TABLE_RETIRED);
    assert_true(info_of(table).retired);
    assert_int_equal(info_of(table).changes, changes + 1);
    assert_int_equal(quash_table_cancel(table, "tenant:2"), QUASH_EXHAUSTED);
    quash_table_close(table);
}

static void a_batch_larger_than_what_is_left_ends_the_table(void **state)
{
    (void)state;
    quash_table *table = new_table(16);
    const struct table_map *map = table_current(table);
    const char *groups[] = {"tenant:1", "tenant:2", "tenant:3"};
    atomic_store(&map->header->sequence, SLOT_STAMP_MAX - 2);
    assert_int_equal(quash_table_cancel_batch(table, groups, 3), QUASH_EXHAUSTED);
    assert_int_equal(probe(table, "other", SLOT_STAMP_MAX), TABLE_RETIRED);
    quash_table_close(table);

    table = new_table(16);
    map = table_current(table);
    atomic_store(&map->header->sequence, SLOT_STAMP_MAX - 3);
    assert_int_equal(quash_table_cancel_batch(table, groups, 3), QUASH_OK);
    assert_int_equal(probe(table, "tenant:3", SLOT_STAMP_MAX - 1), TABLE_CHANGED);
    assert_int_equal(probe(table, "other", SLOT_STAMP_MAX), TABLE_UNCHANGED);
    quash_table_close(table);
}

static void a_tables_buckets_are_a_power_of_two_within_the_limits(void **state)
{
    (void)state;
    quash_table *table = NULL;
    const uint64_t bad[] = {0, 3, 16383, 16385, (uint64_t)QUASH_TABLE_BUCKETS_MAX * 2, UINT64_MAX};
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(quash_table_new_private(bad[i], &table), QUASH_INVALID);
    assert_null(table);
    const uint64_t good[] = {1, 2, QUASH_TABLE_BUCKETS_MAX};
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        table = new_table(good[i]);
        quash_table_cancel(table, "tenant:42");
        assert_int_equal(probe(table, "tenant:42", 0), TABLE_CHANGED);
        quash_table_close(table);
    }
    assert_int_equal(quash_table_new_private(1, NULL), QUASH_INVALID);
}

static void closing_nothing_is_fine(void **state)
{
    (void)state;
    quash_table_close(NULL);
    assert_int_equal(quash_table_stamp(NULL).incarnation, 0);
}

static void what_a_worker_says_of_itself_is_read_back(void **state)
{
    (void)state;
    quash_table *table = new_table(16);
    quash_table_source source = {1, 2, 3, UINT64_MAX};
    assert_int_equal(quash_table_set_source(table, &source), QUASH_OK);
    quash_table_source read = {0};
    assert_int_equal(quash_table_get_source(table, &read), QUASH_OK);
    assert_memory_equal(&source, &read, sizeof read);
    assert_int_equal(quash_table_set_worker(table, true), QUASH_OK);
    quash_table_info info = info_of(table);
    assert_true(info.worker_connected);
    assert_true(info.worker_pid != 0);
    assert_true(info.worker_heartbeat_ns != 0);
    assert_int_equal(quash_table_set_worker(table, false), QUASH_OK);
    assert_false(info_of(table).worker_connected);
    assert_int_equal(quash_table_set_source(NULL, &source), QUASH_INVALID);
    assert_int_equal(quash_table_get_source(table, NULL), QUASH_INVALID);
    assert_int_equal(quash_table_set_worker(NULL, true), QUASH_INVALID);
    quash_table_close(table);
}

static void a_watermark_later_than_now_reads_as_none(void **state)
{
    (void)state;
    quash_table *table = new_table(16);
    const struct table_map *map = table_current(table);
    atomic_store(&map->header->watermark_ns, 1);
    assert_int_equal(info_of(table).watermark_ns, 1);
    atomic_store(&map->header->watermark_ns, UINT64_MAX);
    assert_int_equal(info_of(table).watermark_ns, 0);
    quash_table_close(table);
}

static void info_of_another_size_is_refused(void **state)
{
    (void)state;
    quash_table *table = new_table(16);
    quash_table_info info = QUASH_TABLE_INFO_INIT;
    info.struct_size--;
    assert_int_equal(quash_table_get_info(table, &info), QUASH_INVALID);
    assert_int_equal(quash_table_get_info(table, NULL), QUASH_INVALID);
    quash_table_close(table);
}

/* Against the plainest table there is: the last stamp of every group, and nothing forgotten. */
static void no_cancelled_group_ever_looks_unchanged(void **state)
{
    (void)state;
    enum { GROUPS = 60 };
    unsigned random = 12345;
    for (uint64_t buckets = 1; buckets <= 16; buckets *= 4) {
        quash_table *table = new_table(buckets);
        uint64_t last[GROUPS] = {0};
        uint64_t exact = 0;
        for (unsigned i = 0; i < ROUNDS(20000); i++) {
            char name[NAME_SIZE];
            random = random * 1664525u + 1013904223u;
            unsigned cancelled = (random >> 8) % GROUPS;
            quash_table_cancel(table, group_name(name, cancelled));
            last[cancelled] = sequence(table);

            random = random * 1664525u + 1013904223u;
            unsigned asked = (random >> 8) % GROUPS;
            uint64_t back = (random >> 16) % 100;
            uint64_t stamp = back < sequence(table) ? sequence(table) - back : 0;
            enum table_verdict verdict = probe(table, group_name(name, asked), stamp);
            if (last[asked] > stamp)
                assert_int_not_equal(verdict, TABLE_UNCHANGED);
            exact += (last[asked] > stamp) == (verdict != TABLE_UNCHANGED);
        }
        /* And a table with more slots than groups is right nearly always. */
        if (buckets == 16)
            assert_true(exact > (uint64_t)ROUNDS(20000) * 95 / 100);
        quash_table_close(table);
    }
}

struct racer {
    pthread_t thread;
    quash_table *table;
    unsigned id;
    unsigned misses;
};

/* Cancels a group of its own, and one that all share, in a table so small that everything is pushed out all the time.
 */
static void *race(void *argument)
{
    struct racer *racer = argument;
    char name[NAME_SIZE];
    group_name(name, racer->id);
    const char *both[] = {name, "shared"};
    for (unsigned i = 0; i < ROUNDS(100000); i++) {
        uint64_t stamp = sequence(racer->table);
        quash_table_cancel_batch(racer->table, both, 2);
        racer->misses += probe(racer->table, name, stamp) == TABLE_UNCHANGED;
        racer->misses += probe(racer->table, "shared", stamp) == TABLE_UNCHANGED;
    }
    return NULL;
}

static void writers_that_race_in_one_bucket_lose_nothing(void **state)
{
    (void)state;
    enum { RACERS = 12 }; /* more than slots */
    quash_table *table = new_table(1);
    struct racer racers[RACERS];
    for (unsigned i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.table = table, .id = i};
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (unsigned i = 0; i < RACERS; i++) {
        pthread_join(racers[i].thread, NULL);
        assert_int_equal(racers[i].misses, 0);
    }
    assert_int_equal(info_of(table).changes, 2u * RACERS * ROUNDS(100000));
    assert_int_equal(info_of(table).sequence, 2u * RACERS * ROUNDS(100000));
    quash_table_close(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_has_changed_in_a_new_table),
        cmocka_unit_test(a_cancelled_group_has_changed_since_every_earlier_stamp),
        cmocka_unit_test(stamps_grow_by_one_and_name_their_table),
        cmocka_unit_test(a_check_of_many_groups_finds_the_one_that_changed),
        cmocka_unit_test(a_bucket_remembers_seven_groups_and_pushes_out_the_oldest),
        cmocka_unit_test(a_check_looks_past_the_first_slot_with_the_right_tag),
        cmocka_unit_test(a_slot_with_an_early_stamp_does_not_hide_the_floor),
        cmocka_unit_test(a_cancel_raises_a_slot_and_never_lowers_one),
        cmocka_unit_test(a_floor_is_never_lowered),
        cmocka_unit_test(a_group_with_tag_zero_is_not_confused_with_an_empty_slot),
        cmocka_unit_test(a_batch_takes_a_stamp_for_each_group_and_counts_them_all),
        cmocka_unit_test(an_empty_batch_does_nothing),
        cmocka_unit_test(a_batch_with_one_bad_name_cancels_nothing),
        cmocka_unit_test(the_last_stamp_is_used_and_the_next_cancel_ends_the_table),
        cmocka_unit_test(a_batch_larger_than_what_is_left_ends_the_table),
        cmocka_unit_test(a_tables_buckets_are_a_power_of_two_within_the_limits),
        cmocka_unit_test(closing_nothing_is_fine),
        cmocka_unit_test(what_a_worker_says_of_itself_is_read_back),
        cmocka_unit_test(a_watermark_later_than_now_reads_as_none),
        cmocka_unit_test(info_of_another_size_is_refused),
        cmocka_unit_test(no_cancelled_group_ever_looks_unchanged),
        cmocka_unit_test(writers_that_race_in_one_bucket_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
