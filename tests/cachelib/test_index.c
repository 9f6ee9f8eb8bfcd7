/*
 * The index of a shard. The entries here have only what the index looks at: a hash, and a key of 8 bytes. The program
 * is linked with --wrap=malloc, so that memory can run out.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "index.h"

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

static _Atomic bool memory_is_out;

void *__wrap_malloc(size_t size)
{
    return atomic_load(&memory_is_out) ? NULL : __real_malloc(size);
}

/* ---- Entries and keys */

struct named {
    struct entry entry;
    uint64_t key; /* where entry_key looks for it */
    uint64_t hash;
    bool present;
};

static_assert(offsetof(struct named, key) == sizeof(struct entry), "no value, no words: the key comes first");

static void name(struct named *named, uint64_t key, uint64_t hash)
{
    memset(&named->entry, 0, sizeof named->entry);
    named->entry.hash = (uint32_t)hash;
    named->entry.key_size = sizeof named->key;
    named->key = key;
    named->hash = hash;
    named->present = false;
}

static struct named *new_named(size_t count)
{
    struct named *all = __real_malloc(count * sizeof *all);
    assert_non_null(all);
    return all;
}

/* A hash with the given home in a table of so many buckets, in the middle of what has that home. */
static uint64_t hash_for(uint32_t home, uint32_t bucket_count, uint64_t tag)
{
    uint64_t low = (((uint64_t)home << 32) / bucket_count + (UINT64_C(1) << 31) / bucket_count) >> INDEX_SHARD_BITS;
    uint64_t hash = tag << 32 | low;
    assert_int_equal(index_home((uint32_t)hash, bucket_count), home);
    return hash;
}

static uint64_t mixed(uint64_t number)
{
    number = (number + UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9);
    return (number ^ number >> 31) * UINT64_C(0x94d049bb133111eb) ^ number >> 29;
}

static uint64_t next(uint64_t *random)
{
    return mixed((*random)++);
}

static uint64_t seed(const char *what)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t random = mixed((uint64_t)now.tv_nsec << 20 ^ (uint64_t)now.tv_sec);
    const char *given = getenv("QUASH_TEST_SEED");
    if (given != NULL)
        random = strtoull(given, NULL, 0);
    printf("%s: QUASH_TEST_SEED=%llu\n", what, (unsigned long long)random);
    return random;
}

static struct named *find(const struct index *index, const struct named *named)
{
    const struct key key = {&named->key, sizeof named->key, named->hash};
    return (struct named *)index_find(index, &key);
}

static void add(struct index *index, struct named *named)
{
    struct index_table *old;
    assert_true(index_reserve(index, &old));
    free(old);
    index_add(index, &named->entry, named->hash);
    named->present = true;
}

static void take_out(struct index *index, struct named *named)
{
    assert_true(index_remove(index, &named->entry));
    named->present = false;
}

static uint32_t buckets_of(const struct index *index)
{
    return (uint32_t)(index_slots(index) / INDEX_BUCKET_SLOTS);
}

/* What is in the index is exactly what is present. */
static void assert_holds(const struct index *index, const struct named *all, size_t count)
{
    size_t present = 0;
    for (size_t i = 0; i < count; i++) {
        const struct named *found = find(index, &all[i]);
        assert_ptr_equal(found, all[i].present ? &all[i] : NULL);
        present += all[i].present;
    }
    size_t walked = 0;
    for (size_t slot = 0; slot < index_slots(index); slot++)
        walked += index_at(index, slot) != NULL;
    assert_int_equal(walked, present);
    assert_int_equal(index->entries, present);
}

/* An index of many buckets with nothing in it. */
static void make_wide(struct index *index, struct named *filler, size_t count)
{
    index_init(index);
    for (size_t i = 0; i < count; i++) {
        name(&filler[i], mixed(i), mixed(i));
        add(index, &filler[i]);
    }
    for (size_t i = 0; i < count; i++)
        take_out(index, &filler[i]);
    /* A table of the same size without the tombstones. */
    struct index_table *table = atomic_load(&index->table);
    for (uint32_t b = 0; b < table->bucket_count; b++) {
        for (unsigned s = 0; s < INDEX_BUCKET_SLOTS; s++)
            atomic_store(&table->buckets[b].slot[s], INDEX_EMPTY);
    }
    index->tombstones = 0;
}

static void finish(struct index *index)
{
    free(atomic_load(&index->table));
    index_init(index);
}

/* ---- Claims */

static void an_index_without_entries_needs_no_memory_and_finds_nothing(void **state)
{
    (void)state;
    struct index index;
    struct named one;
    name(&one, 1, mixed(1));
    index_init(&index);
    assert_null(find(&index, &one));
    assert_int_equal(index_slots(&index), 0);
    assert_false(index_remove(&index, &one.entry));
    struct index_table *old = (struct index_table *)&one;
    index_shrink(&index, &old);
    assert_null(old);
    index_fini(&index);
}

static void a_single_bucket_serves_eight_entries_and_has_no_tombstones(void **state)
{
    (void)state;
    struct index index;
    struct named all[INDEX_BUCKET_SLOTS];
    index_init(&index);
    for (size_t i = 0; i < INDEX_BUCKET_SLOTS; i++) {
        name(&all[i], i, mixed(i));
        add(&index, &all[i]);
    }
    assert_holds(&index, all, INDEX_BUCKET_SLOTS);
    struct index_table *table = atomic_load(&index.table);
    for (size_t i = 0; i < 100; i++) {
        take_out(&index, &all[i % INDEX_BUCKET_SLOTS]);
        assert_int_equal(index.tombstones, 0);
        assert_holds(&index, all, INDEX_BUCKET_SLOTS);
        add(&index, &all[i % INDEX_BUCKET_SLOTS]);
        assert_holds(&index, all, INDEX_BUCKET_SLOTS);
    }
    assert_ptr_equal(table, atomic_load(&index.table));
    assert_int_equal(index_slots(&index), INDEX_BUCKET_SLOTS);
    finish(&index);
}

static void keys_of_one_tag_and_home_are_told_apart(void **state)
{
    (void)state;
    struct index index;
    enum { COUNT = 40 };
    struct named all[COUNT];
    index_init(&index);
    for (size_t i = 0; i < COUNT; i++) {
        name(&all[i], i, mixed(7));
        if (i % 2 == 0)
            add(&index, &all[i]);
        assert_holds(&index, all, i + 1);
    }
    finish(&index);
}

static void a_tag_of_zero_is_a_tag_like_any_other(void **state)
{
    (void)state;
    struct index index;
    struct named filler[64];
    make_wide(&index, filler, 64);
    enum { COUNT = 20 };
    struct named all[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        name(&all[i], i, hash_for(3, buckets_of(&index), i % 2 == 0 ? 0 : 0xffff));
        add(&index, &all[i]);
    }
    /* Tombstones have the tag 0 too. */
    for (size_t i = 0; i < COUNT; i += 3)
        take_out(&index, &all[i]);
    assert_holds(&index, all, COUNT);
    finish(&index);
}

static void what_does_not_fit_its_bucket_is_found_in_the_next(void **state)
{
    (void)state;
    struct index index;
    struct named filler[64];
    make_wide(&index, filler, 64);
    const uint32_t home = 2;
    enum { COUNT = 3 * INDEX_BUCKET_SLOTS + 1 };
    struct named all[COUNT + 1];
    for (size_t i = 0; i < COUNT; i++) {
        name(&all[i], i, hash_for(home, buckets_of(&index), mixed(i) & 0xffff));
        add(&index, &all[i]);
        assert_ptr_equal(index_at(&index, home * INDEX_BUCKET_SLOTS + i), &all[i].entry);
    }
    name(&all[COUNT], COUNT, hash_for(home, buckets_of(&index), 1));
    assert_holds(&index, all, COUNT + 1);
    /* Still, when all before it has gone. */
    for (size_t i = 0; i < COUNT - 1; i++)
        take_out(&index, &all[i]);
    assert_holds(&index, all, COUNT + 1);
    finish(&index);
}

static void a_search_goes_around_the_end(void **state)
{
    (void)state;
    struct index index;
    struct named filler[64];
    make_wide(&index, filler, 64);
    const uint32_t last = buckets_of(&index) - 1;
    enum { COUNT = 2 * INDEX_BUCKET_SLOTS };
    struct named all[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        name(&all[i], i, hash_for(last, buckets_of(&index), i));
        add(&index, &all[i]);
    }
    assert_ptr_equal(index_at(&index, last * INDEX_BUCKET_SLOTS), &all[0].entry);
    assert_ptr_equal(index_at(&index, 0), &all[INDEX_BUCKET_SLOTS].entry);
    assert_holds(&index, all, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        take_out(&index, &all[i]);
        assert_holds(&index, all, COUNT);
    }
    finish(&index);
}

static void tombstones_are_left_only_where_others_have_gone_past_and_are_used_again(void **state)
{
    (void)state;
    struct index index;
    struct named filler[64];
    make_wide(&index, filler, 64);
    const uint32_t home = 4;
    enum { COUNT = INDEX_BUCKET_SLOTS + 1 };
    struct named all[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        name(&all[i], i, hash_for(home, buckets_of(&index), i));
    /* Not from a bucket that was never full. */
    for (size_t i = 0; i < INDEX_BUCKET_SLOTS - 1; i++)
        add(&index, &all[i]);
    take_out(&index, &all[2]);
    assert_int_equal(index.tombstones, 0);
    add(&index, &all[2]);
    for (size_t i = INDEX_BUCKET_SLOTS - 1; i < COUNT; i++)
        add(&index, &all[i]);
    take_out(&index, &all[2]);
    take_out(&index, &all[7]);
    assert_int_equal(index.tombstones, 2);
    assert_holds(&index, all, COUNT);
    add(&index, &all[7]);
    assert_ptr_equal(index_at(&index, home * INDEX_BUCKET_SLOTS + 2), &all[7].entry);
    add(&index, &all[2]);
    assert_ptr_equal(index_at(&index, home * INDEX_BUCKET_SLOTS + 7), &all[2].entry);
    assert_int_equal(index.tombstones, 0);
    assert_holds(&index, all, COUNT);
    finish(&index);
}

static void an_entry_replaces_another_in_its_place(void **state)
{
    (void)state;
    struct index index;
    struct named all[20];
    struct named another;
    index_init(&index);
    for (size_t i = 0; i < 20; i++) {
        name(&all[i], i, mixed(i));
        add(&index, &all[i]);
    }
    name(&another, all[11].key, all[11].hash);
    index_replace(&index, &all[11].entry, &another.entry, another.hash);
    assert_ptr_equal(find(&index, &all[11]), &another);
    assert_int_equal(index.entries, 20);
    assert_false(index_remove(&index, &all[11].entry));
    assert_true(index_remove(&index, &another.entry));
    assert_false(index_remove(&index, &another.entry));
    all[11].present = false;
    assert_holds(&index, all, 20);
    finish(&index);
}

static void an_entry_costs_at_most_13_bytes_at_any_number_from_a_hundred_on(void **state)
{
    (void)state;
    struct index index;
    enum { COUNT = 100000 };
    struct named *all = new_named(COUNT);
    index_init(&index);
    size_t tables = 0;
    const struct index_table *table = NULL;
    for (size_t i = 0; i < COUNT; i++) {
        name(&all[i], i, mixed(i));
        add(&index, &all[i]);
        if (i + 1 >= 100)
            assert_true(index_slots(&index) * 8 <= 13 * (i + 1));
        if (index_slots(&index) > INDEX_BUCKET_SLOTS)
            assert_true((i + 1) * 100 <= index_slots(&index) * 85);
        tables += atomic_load(&index.table) != table;
        table = atomic_load(&index.table);
    }
    assert_holds(&index, all, COUNT);
    /* Each a quarter larger at least. */
    assert_in_range(tables, 10, 45);
    free(all);
    finish(&index);
}

static void a_table_full_of_tombstones_is_replaced_by_one_no_larger(void **state)
{
    (void)state;
    struct index index;
    enum { COUNT = 2000 };
    struct named *all = new_named(COUNT);
    index_init(&index);
    uint64_t random = seed("tombstones");
    for (size_t i = 0; i < COUNT; i++) {
        name(&all[i], i, next(&random));
        add(&index, &all[i]);
    }
    const size_t most = COUNT * 100 / 65 + 2 * INDEX_BUCKET_SLOTS;
    size_t purges = 0;
    for (size_t i = 0; i < 40 * (size_t)COUNT; i++) {
        struct named *one = &all[next(&random) % COUNT];
        take_out(&index, one);
        name(one, COUNT + i, next(&random));
        size_t tombstones = index.tombstones;
        add(&index, one);
        purges += tombstones > 100 && index.tombstones < 2;
        assert_true(index_slots(&index) <= most);
        assert_true(index.entries + index.tombstones <= index_slots(&index) * 85 / 100 + 1);
    }
    assert_true(purges > 5);
    assert_holds(&index, all, COUNT);
    free(all);
    finish(&index);
}

static void an_index_that_has_become_sparse_shrinks_but_not_to_grow_at_once(void **state)
{
    (void)state;
    struct index index;
    enum { COUNT = 5000 };
    struct named *all = new_named(COUNT);
    index_init(&index);
    for (size_t i = 0; i < COUNT; i++) {
        name(&all[i], i, mixed(i));
        add(&index, &all[i]);
    }
    size_t left = COUNT;
    struct index_table *old;
    while (left > 0) {
        size_t slots = index_slots(&index);
        take_out(&index, &all[--left]);
        index_shrink(&index, &old);
        assert_true((old != NULL) == (index_slots(&index) < slots));
        if (old == NULL) {
            assert_true(slots == INDEX_BUCKET_SLOTS || left * 100 >= slots * 30);
            continue;
        }
        free(old);
        assert_true(left * 100 < slots * 30 && (left + 1) * 100 >= slots * 30);
        assert_holds(&index, all, COUNT);
        /* A quarter more entries fit without another table. */
        size_t more = index_slots(&index) > 10 * INDEX_BUCKET_SLOTS ? left / 4 : 0;
        for (size_t i = 0; i < more; i++) {
            assert_true(index_reserve(&index, &old));
            assert_null(old);
            index_add(&index, &all[left + i].entry, all[left + i].hash);
        }
        for (size_t i = 0; i < more; i++)
            assert_true(index_remove(&index, &all[left + i].entry));
    }
    assert_int_equal(index_slots(&index), INDEX_BUCKET_SLOTS);
    free(all);
    index_fini(&index);
}

static void without_memory_the_index_stays_as_it_was(void **state)
{
    (void)state;
    struct index index;
    enum { COUNT = 1000 };
    struct named *all = new_named(COUNT);
    index_init(&index);
    size_t refused = 0;
    for (size_t i = 0; i < COUNT; i++) {
        name(&all[i], i, mixed(i));
        struct index_table *old = (struct index_table *)all;
        atomic_store(&memory_is_out, true);
        bool reserved = index_reserve(&index, &old);
        atomic_store(&memory_is_out, false);
        assert_null(old);
        if (!reserved) {
            refused++;
            assert_holds(&index, all, i + 1);
        }
        add(&index, &all[i]);
    }
    assert_true(refused > 5);
    for (size_t i = 10; i < COUNT; i++)
        take_out(&index, &all[i]);
    struct index_table *old;
    atomic_store(&memory_is_out, true);
    index_shrink(&index, &old);
    atomic_store(&memory_is_out, false);
    assert_null(old);
    assert_holds(&index, all, COUNT);
    free(all);
    finish(&index);
}

/* ---- Against a model */

/* Hashes of which many share home and tag: what is rare otherwise happens all the time. */
static uint64_t crowded_hash(uint64_t *random)
{
    uint64_t home = next(random) % 11 * (UINT32_MAX / 11) >> INDEX_SHARD_BITS;
    if (next(random) % 4 == 0)
        home = next(random) & (UINT32_MAX >> INDEX_SHARD_BITS);
    return next(random) % 3 << 32 | home;
}

static void any_sequence_of_changes_leaves_what_a_plain_list_would(void **state)
{
    (void)state;
    uint64_t random = seed("model");
    for (int round = 0; round < 60; round++) {
        enum { COUNT = 400 };
        static struct named all[COUNT];
        static struct named spare[COUNT];
        struct index index;
        index_init(&index);
        for (size_t i = 0; i < COUNT; i++)
            name(&all[i], i, crowded_hash(&random));
        /* Some rounds mostly add, some mostly remove, most turn from one to the other. */
        for (int step = 0; step < 1500; step++) {
            uint64_t bias = (uint64_t)(step / 300 + round) % 3;
            size_t i = next(&random) % COUNT;
            struct index_table *old = NULL;
            if (!all[i].present) {
                if (next(&random) % 4 >= bias)
                    add(&index, &all[i]);
            } else if (next(&random) % 8 == 0) {
                /* Another entry of the key, and back, for the list to stay simple. */
                name(&spare[i], all[i].key, all[i].hash);
                index_replace(&index, &all[i].entry, &spare[i].entry, all[i].hash);
                assert_ptr_equal(find(&index, &all[i]), &spare[i]);
                index_replace(&index, &spare[i].entry, &all[i].entry, all[i].hash);
            } else if (next(&random) % 4 <= bias + 1) {
                take_out(&index, &all[i]);
            }
            if (next(&random) % 50 == 0)
                index_shrink(&index, &old);
            free(old);
            if (step % 25 == 0)
                assert_holds(&index, all, COUNT);
        }
        assert_holds(&index, all, COUNT);
        finish(&index);
    }
}

/* ---- With readers */

#define STEADY 300u
#define MOVING 3000u
#define TURNS  6

struct reading {
    const struct index *index;
    const struct named *steady; /* of these, and */
    const struct named *moving; /* of these, only the keys */
    _Atomic bool done;
    _Atomic uint64_t searches;
    _Atomic uint64_t missed; /* what was there all the time */
    _Atomic uint64_t wrong;  /* an entry of another key */
};

static void *read_on(void *context)
{
    struct reading *reading = context;
    uint64_t random = (uint64_t)(uintptr_t)&random;
    while (!atomic_load_explicit(&reading->done, memory_order_relaxed)) {
        const struct named *wanted = &reading->steady[next(&random) % STEADY];
        const struct named *found = find(reading->index, wanted);
        if (found == NULL)
            atomic_fetch_add_explicit(&reading->missed, 1, memory_order_relaxed);
        else if (found->key != wanted->key)
            atomic_fetch_add_explicit(&reading->wrong, 1, memory_order_relaxed);
        wanted = &reading->moving[next(&random) % MOVING];
        found = find(reading->index, wanted);
        if (found != NULL && found->key != wanted->key)
            atomic_fetch_add_explicit(&reading->wrong, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&reading->searches, 1, memory_order_relaxed);
    }
    return NULL;
}

/* Readers need no epochs here: no table and no entry is freed before they have ended. */
static void what_stays_is_found_through_all_changes_around_it(void **state)
{
    (void)state;
    uint64_t random = seed("readers");
    enum { READERS = 2, REPLACED_MAX = 100000 };
    static struct named steady[2][STEADY];
    static struct named keys[MOVING];
    static struct named moving[TURNS][MOVING]; /* made anew in each turn, as readers may still look at the old */
    static struct index_table *replaced[REPLACED_MAX];
    size_t replaced_count = 0;
    struct index index;
    index_init(&index);
    for (size_t i = 0; i < STEADY; i++) {
        uint64_t hash = crowded_hash(&random);
        name(&steady[0][i], i, hash);
        name(&steady[1][i], i, hash);
        add(&index, &steady[0][i]);
    }
    for (size_t i = 0; i < MOVING; i++)
        name(&keys[i], STEADY + i, i % 2 == 0 ? crowded_hash(&random) : next(&random));

    struct reading reading = {.index = &index, .steady = steady[0], .moving = keys};
    pthread_t readers[READERS];
    for (int r = 0; r < READERS; r++)
        assert_int_equal(pthread_create(&readers[r], NULL, read_on, &reading), 0);
    size_t held_by[STEADY] = {0};
    for (int turn = 0; turn < 2 * TURNS; turn++) {
        for (size_t i = 0; i < MOVING; i++) {
            struct index_table *old = NULL;
            struct named *one = &moving[turn / 2][i];
            if (turn % 2 == 0) {
                name(one, keys[i].key, keys[i].hash);
                assert_true(index_reserve(&index, &old));
                index_add(&index, &one->entry, one->hash);
            } else {
                assert_true(index_remove(&index, &one->entry));
                index_shrink(&index, &old);
            }
            if (old != NULL && replaced_count < REPLACED_MAX)
                replaced[replaced_count++] = old;
            size_t turned = next(&random) % STEADY;
            struct named *was = &steady[held_by[turned]][turned];
            held_by[turned] = 1 - held_by[turned];
            index_replace(&index, &was->entry, &steady[held_by[turned]][turned].entry, was->hash);
        }
        /* At least some of the searches fall into each turn. */
        uint64_t seen = atomic_load(&reading.searches);
        while (atomic_load(&reading.searches) < seen + 100)
            ;
    }
    atomic_store(&reading.done, true);
    for (int r = 0; r < READERS; r++)
        assert_int_equal(pthread_join(readers[r], NULL), 0);
    printf("%llu searches, %zu tables\n", (unsigned long long)atomic_load(&reading.searches), replaced_count);
    assert_int_equal(atomic_load(&reading.missed), 0);
    assert_int_equal(atomic_load(&reading.wrong), 0);
    assert_true(replaced_count > TURNS && replaced_count < REPLACED_MAX);
    for (size_t i = 0; i < replaced_count; i++)
        free(replaced[i]);
    finish(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_index_without_entries_needs_no_memory_and_finds_nothing),
        cmocka_unit_test(a_single_bucket_serves_eight_entries_and_has_no_tombstones),
        cmocka_unit_test(keys_of_one_tag_and_home_are_told_apart),
        cmocka_unit_test(a_tag_of_zero_is_a_tag_like_any_other),
        cmocka_unit_test(what_does_not_fit_its_bucket_is_found_in_the_next),
        cmocka_unit_test(a_search_goes_around_the_end),
        cmocka_unit_test(tombstones_are_left_only_where_others_have_gone_past_and_are_used_again),
        cmocka_unit_test(an_entry_replaces_another_in_its_place),
        cmocka_unit_test(an_entry_costs_at_most_13_bytes_at_any_number_from_a_hundred_on),
        cmocka_unit_test(a_table_full_of_tombstones_is_replaced_by_one_no_larger),
        cmocka_unit_test(an_index_that_has_become_sparse_shrinks_but_not_to_grow_at_once),
        cmocka_unit_test(without_memory_the_index_stays_as_it_was),
        cmocka_unit_test(any_sequence_of_changes_leaves_what_a_plain_list_would),
        cmocka_unit_test(what_stays_is_found_through_all_changes_around_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
