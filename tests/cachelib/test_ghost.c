/* What the policy remembers of evicted keys. The program is linked with --wrap=calloc, so that memory can run out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "ghost.h"

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

static bool memory_is_out;
static size_t calloc_bytes; /* of the last one */

void *__wrap_calloc(size_t count, size_t size)
{
    if (memory_is_out)
        return NULL;
    calloc_bytes = count * size;
    return __real_calloc(count, size);
}

/* The hash of the key with this number; as good as random, and different for different numbers. */
static uint32_t hash_of(uint32_t number)
{
    number ^= number >> 16;
    number *= UINT32_C(0x85ebca6b);
    number ^= number >> 13;
    number *= UINT32_C(0xc2b2ae35);
    return number ^ number >> 16;
}

static void note_numbers(struct ghost *ghost, uint32_t from, uint32_t to, size_t window)
{
    for (uint32_t number = from; number < to; number++)
        ghost_note(ghost, hash_of(number), window);
}

static size_t take_numbers(struct ghost *ghost, uint32_t from, uint32_t to)
{
    size_t taken = 0;
    for (uint32_t number = from; number < to; number++)
        taken += ghost_take(ghost, hash_of(number));
    return taken;
}

static void a_noted_key_is_remembered_once(void **state)
{
    (void)state;
    struct ghost ghost;
    ghost_init(&ghost);
    assert_false(ghost_take(&ghost, 7)); /* before there is a table */
    ghost_note(&ghost, 7, 10);
    assert_false(ghost_take(&ghost, 8));
    assert_true(ghost_take(&ghost, 7));
    assert_false(ghost_take(&ghost, 7));
    ghost_fini(&ghost);
}

/* 0 is what an empty slot has for a fingerprint. */
static void a_hash_of_zero_is_a_key_like_any_other(void **state)
{
    (void)state;
    struct ghost ghost;
    ghost_init(&ghost);
    ghost_note(&ghost, 1, 10);
    assert_false(ghost_take(&ghost, 0));
    ghost_note(&ghost, 0, 10);
    assert_true(ghost_take(&ghost, 0));
    ghost_fini(&ghost);
}

static void a_key_noted_twice_counts_as_one_and_is_as_new_as_the_second_note(void **state)
{
    (void)state;
    struct ghost ghost;
    ghost_init(&ghost);
    note_numbers(&ghost, 0, 3, 3);
    ghost_note(&ghost, hash_of(0), 3);
    assert_int_equal(ghost.remembered, 3);
    ghost_note(&ghost, hash_of(3), 3); /* forgets 1, now the oldest */
    assert_false(ghost_take(&ghost, hash_of(1)));
    assert_int_equal(take_numbers(&ghost, 0, 4), 3);
    ghost_fini(&ghost);
}

static void the_oldest_is_forgotten_when_the_window_is_full(void **state)
{
    (void)state;
    for (uint32_t window = 1; window <= 31; window++) {
        struct ghost ghost;
        ghost_init(&ghost);
        note_numbers(&ghost, 0, window, window);
        assert_int_equal(ghost.remembered, window);
        ghost_note(&ghost, hash_of(window), window);
        assert_int_equal(ghost.remembered, window);
        assert_false(ghost_take(&ghost, hash_of(0)));
        assert_true(ghost_take(&ghost, hash_of(window)));
        ghost_fini(&ghost);
    }
}

static void a_key_that_came_back_makes_room_for_older_ones(void **state)
{
    (void)state;
    struct ghost ghost;
    ghost_init(&ghost);
    note_numbers(&ghost, 0, 20, 20);
    assert_int_equal(take_numbers(&ghost, 10, 20), 10);
    note_numbers(&ghost, 100, 110, 20);
    assert_int_equal(ghost.remembered, 20);
    assert_int_equal(take_numbers(&ghost, 0, 10), 10); /* with the oldest, ever since */
    assert_int_equal(ghost.remembered, 10);
    ghost_fini(&ghost);
}

/* So a key that nobody asks for any more does not stay because the others come back. */
static void no_key_outlives_all_generations(void **state)
{
    (void)state;
    struct ghost ghost;
    ghost_init(&ghost);
    note_numbers(&ghost, 0, 1, 20);
    for (uint32_t i = 0; i < GHOST_GENERATIONS - 2; i++) {
        ghost_note(&ghost, hash_of(1 + i), 20);
        assert_true(ghost_take(&ghost, hash_of(1 + i)));
    }
    assert_int_equal(ghost.remembered, 1);
    note_numbers(&ghost, 1000, 1002, 20);
    assert_int_equal(ghost.remembered, 2);
    assert_false(ghost_take(&ghost, hash_of(0)));
    ghost_fini(&ghost);
}

static void nearly_all_of_a_large_window_are_remembered_and_none_before(void **state)
{
    (void)state;
    const uint32_t window = 100000;
    struct ghost ghost;
    ghost_init(&ghost);
    note_numbers(&ghost, 0, 3 * window, window);
    assert_in_range(ghost.remembered, window - window / 32, window);
    size_t before = take_numbers(&ghost, 0, 2 * window - window / 32);
    size_t within = take_numbers(&ghost, 2 * window, 3 * window);
    printf("    of the window %.2f %%, wrongly %zu\n", 100.0 * (double)within / window, before);
    assert_int_equal(before, 0);
    assert_true(within >= window / 100 * 95);
    ghost_fini(&ghost);
}

static void sixteen_bytes_a_key_are_enough(void **state)
{
    (void)state;
    static const size_t windows[] = {128, 1000, 65536, 100000, 1000000};
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        struct ghost ghost;
        ghost_init(&ghost);
        ghost_note(&ghost, 1, windows[i]);
        assert_true(calloc_bytes <= 16 * windows[i]);
        ghost_fini(&ghost);
    }
}

static void the_table_follows_the_window(void **state)
{
    (void)state;
    struct ghost ghost;
    ghost_init(&ghost);
    note_numbers(&ghost, 0, 1000, 1000);
    const struct ghost_bucket *first = ghost.buckets;
    size_t limit = ghost.window_max;
    assert_int_equal(limit, 1125);
    ghost_note(&ghost, hash_of(1000), limit);
    assert_ptr_equal(ghost.buckets, first);
    ghost_note(&ghost, hash_of(1001), limit + 1); /* begins anew */
    assert_int_equal(ghost.window_max, 1126 + 1126 / 8);
    assert_int_equal(ghost.remembered, 1);
    limit = ghost.window_max / 4;
    ghost_note(&ghost, hash_of(1002), limit);
    assert_int_equal(ghost.remembered, 2);
    ghost_note(&ghost, hash_of(1003), limit - 1);
    assert_int_equal(ghost.remembered, 1);
    assert_true(calloc_bytes <= 16 * limit);
    ghost_fini(&ghost);
}

static void without_memory_nothing_is_remembered(void **state)
{
    (void)state;
    struct ghost ghost;
    ghost_init(&ghost);
    memory_is_out = true;
    note_numbers(&ghost, 0, 100, 100);
    assert_int_equal(take_numbers(&ghost, 0, 100), 0);
    memory_is_out = false;
    note_numbers(&ghost, 0, 20, 100);
    assert_int_equal(take_numbers(&ghost, 0, 20), 20);
    ghost_fini(&ghost);
}

static void without_memory_the_table_that_there_is_serves_a_larger_window(void **state)
{
    (void)state;
    struct ghost ghost;
    ghost_init(&ghost);
    note_numbers(&ghost, 0, 100, 100);
    memory_is_out = true;
    note_numbers(&ghost, 100, 1100, 1000);
    memory_is_out = false;
    assert_true(ghost_take(&ghost, hash_of(1099)));
    assert_true(ghost.remembered <= ghost.bucket_count * GHOST_BUCKET_SLOTS);
    assert_true(take_numbers(&ghost, 0, 1100) >= 100);
    assert_int_equal(ghost.remembered, 0);
    ghost_fini(&ghost);
}

static void numbers_of_generations_that_run_out_begin_anew(void **state)
{
    (void)state;
    struct ghost ghost;
    ghost_init(&ghost);
    note_numbers(&ghost, 0, 1, 20);
    ghost_take(&ghost, hash_of(0));
    ghost.newest = UINT32_MAX - 10; /* four thousand million notes later */
    ghost.oldest = UINT32_MAX - 10;
    note_numbers(&ghost, 0, 10, 20);
    assert_int_equal(ghost.newest, UINT32_MAX);
    note_numbers(&ghost, 10, 15, 20);
    assert_true(ghost.newest < 10);
    assert_int_equal(ghost.remembered, 5);
    assert_int_equal(take_numbers(&ghost, 0, 10), 0);
    assert_int_equal(take_numbers(&ghost, 10, 15), 5);
    ghost_fini(&ghost);
}

/* ---- Against a queue, one step after the other ---- */

#define MODEL_KEYS 4000u

struct model {
    uint32_t noted[MODEL_KEYS]; /* the step, 0 if it is not remembered */
};

/* How many the queue has that were noted no earlier than this one. */
static size_t rank_of(const struct model *model, uint32_t key)
{
    size_t rank = 0;
    for (uint32_t i = 0; i < MODEL_KEYS; i++)
        rank += model->noted[i] >= model->noted[key];
    return rank;
}

static void it_remembers_what_a_queue_of_its_window_would(void **state)
{
    (void)state;
    const char *given = getenv("QUASH_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("    QUASH_TEST_SEED=%llu\n", (unsigned long long)seed);
    uint64_t random = seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
    const size_t window = 640;
    struct ghost ghost;
    ghost_init(&ghost);
    struct model model = {{0}};
    size_t asked = 0;
    size_t wrongly = 0;
    size_t missed = 0;
    for (uint32_t step = 1; step <= 40000; step++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        uint32_t key = (uint32_t)(random >> 33) % MODEL_KEYS;
        if (random >> 20 & 1) {
            ghost_note(&ghost, hash_of(key), window);
            model.noted[key] = step;
        } else {
            size_t rank = model.noted[key] == 0 ? SIZE_MAX : rank_of(&model, key);
            bool taken = ghost_take(&ghost, hash_of(key));
            /* It forgets a part in 32 of the window at a time. */
            wrongly += taken && rank > window;
            asked += rank <= window - window / 32;
            missed += !taken && rank <= window - window / 32;
            model.noted[key] = 0;
        }
        assert_true(ghost.remembered <= window);
    }
    printf("    missed %zu of %zu, wrongly %zu\n", missed, asked, wrongly);
    assert_true(asked > 1000);
    assert_true(missed <= asked / 20);
    assert_true(wrongly <= asked / 20);
    ghost_fini(&ghost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_noted_key_is_remembered_once),
        cmocka_unit_test(a_hash_of_zero_is_a_key_like_any_other),
        cmocka_unit_test(a_key_noted_twice_counts_as_one_and_is_as_new_as_the_second_note),
        cmocka_unit_test(the_oldest_is_forgotten_when_the_window_is_full),
        cmocka_unit_test(a_key_that_came_back_makes_room_for_older_ones),
        cmocka_unit_test(no_key_outlives_all_generations),
        cmocka_unit_test(nearly_all_of_a_large_window_are_remembered_and_none_before),
        cmocka_unit_test(sixteen_bytes_a_key_are_enough),
        cmocka_unit_test(the_table_follows_the_window),
        cmocka_unit_test(without_memory_nothing_is_remembered),
        cmocka_unit_test(without_memory_the_table_that_there_is_serves_a_larger_window),
        cmocka_unit_test(numbers_of_generations_that_run_out_begin_anew),
        cmocka_unit_test(it_remembers_what_a_queue_of_its_window_would),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
