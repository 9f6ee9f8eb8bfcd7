/* The eviction policy: which entry goes. How many bytes, and whose, is in test_policy_bytes.c. */
#include <stdlib.h>

#include "policy_support.h"

/* ---- S3-FIFO ---- */

static void newcomers_that_nobody_uses_go_in_the_order_in_which_they_came(void **state)
{
    (void)state;
    struct policy policy;
    policy_init(&policy, 10 * CHARGE);
    struct item *items = new_items(30, QUASH_PRIORITY_NORMAL);
    add_all(&policy, items, 10);
    for (uint32_t i = 10; i < 30; i++)
        assert_ptr_equal(add_evicting(&policy, &items[i]), &items[i - 10]);
    empty(&policy, items, 30);
    policy_fini(&policy);
    free(items);
}

static void an_entry_used_twice_outlives_a_scan_and_one_used_once_does_not(void **state)
{
    (void)state;
    struct policy policy;
    policy_init(&policy, 10 * CHARGE);
    struct item *items = new_items(60, QUASH_PRIORITY_NORMAL);
    add_all(&policy, items, 10);
    use(&items[3], 1);
    use(&items[5], 2);
    for (uint32_t i = 10; i < 60; i++)
        add_evicting(&policy, &items[i]);
    assert_int_equal(items[3].entry.queue, POLICY_NONE);
    assert_int_equal(items[5].entry.queue, POLICY_MAIN);
    assert_int_equal(atomic_load(&items[5].entry.uses), 0);
    empty(&policy, items, 60);
    policy_fini(&policy);
    free(items);
}

static void uses_among_the_newest_hundredth_count_as_one(void **state)
{
    (void)state;
    struct policy policy;
    policy_init(&policy, 300 * CHARGE);
    struct item *items = new_items(700, QUASH_PRIORITY_NORMAL);
    add_all(&policy, items, 300);
    for (uint32_t i = 297; i < 300; i++) {
        assert_int_equal(items[i].entry.queue, POLICY_FRESH);
        use(&items[i], 3);
    }
    assert_int_equal(items[296].entry.queue, POLICY_SMALL);
    use(&items[296], 2); /* older than that: two are two */
    for (uint32_t i = 300; i < 303; i++)
        add_evicting(&policy, &items[i]);
    assert_int_equal(items[299].entry.queue, POLICY_SMALL);
    assert_int_equal(atomic_load(&items[299].entry.uses), 1);
    use(&items[298], 1); /* and once more, later */
    for (uint32_t i = 303; i < 700; i++)
        add_evicting(&policy, &items[i]);
    assert_int_equal(items[296].entry.queue, POLICY_MAIN);
    assert_int_equal(items[297].entry.queue, POLICY_NONE);
    assert_int_equal(items[298].entry.queue, POLICY_MAIN);
    assert_int_equal(items[299].entry.queue, POLICY_NONE);
    empty(&policy, items, 700);
    policy_fini(&policy);
    free(items);
}

static void a_key_that_comes_back_soon_after_its_eviction_goes_to_main(void **state)
{
    (void)state;
    struct policy policy;
    policy_init(&policy, 20 * CHARGE);
    struct item *items = new_items(100, QUASH_PRIORITY_NORMAL);
    add_all(&policy, items, 20);
    for (uint32_t i = 20; i < 38; i++)
        add_evicting(&policy, &items[i]); /* 0 to 17 are remembered: as many as nine tenths of the cache */
    struct item late;
    item_make(&late, 0, QUASH_PRIORITY_NORMAL, CHARGE);
    add_evicting(&policy, &late); /* and that is one more */
    assert_int_equal(late.entry.queue, POLICY_SMALL);
    struct item soon;
    item_make(&soon, 2, QUASH_PRIORITY_NORMAL, CHARGE);
    add_evicting(&policy, &soon);
    assert_int_equal(soon.entry.queue, POLICY_MAIN);
    for (uint32_t i = 38; i < 100; i++)
        add_evicting(&policy, &items[i]);
    assert_int_equal(late.entry.queue, POLICY_NONE);
    assert_int_equal(soon.entry.queue, POLICY_MAIN); /* the scan went past */
    policy_remove(&policy, &soon.entry);
    policy_remove(&policy, &late.entry);
    empty(&policy, items, 100);
    policy_fini(&policy);
    free(items);
}

static void main_passes_over_an_entry_once_for_each_of_its_uses(void **state)
{
    (void)state;
    struct policy policy;
    policy_init(&policy, 10 * CHARGE);
    struct item *items = new_items(20, QUASH_PRIORITY_NORMAL);
    struct policy_victims victims;
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(policy_reserve(&policy, CHARGE, &victims), POLICY_ROOM);
        policy_add_instead(&policy, &items[i].entry, POLICY_MAIN, i == 0 ? 1 : i == 1 ? 2 : 0);
    }
    assert_int_equal(policy_reserve(&policy, 8 * CHARGE, &victims), POLICY_ROOM);
    assert_int_equal(victims.count, 8); /* 2 to 9 */
    policy_unreserve(&policy, 8 * CHARGE);
    assert_int_equal(items[0].entry.queue, POLICY_MAIN);
    assert_int_equal(items[1].entry.queue, POLICY_MAIN);
    assert_int_equal(policy_reserve(&policy, 9 * CHARGE, &victims), POLICY_ROOM);
    assert_int_equal(victims.count, 1);
    assert_ptr_equal(victims.entry[0], &items[0].entry);
    policy_unreserve(&policy, 9 * CHARGE);
    assert_int_equal(policy_reserve(&policy, 10 * CHARGE, &victims), POLICY_ROOM);
    assert_int_equal(victims.count, 1);
    policy_unreserve(&policy, 10 * CHARGE);
    empty(&policy, items, 20);
    policy_fini(&policy);
    free(items);
}

static void newcomers_hold_a_tenth_while_main_is_in_use(void **state)
{
    (void)state;
    const uint32_t capacity = 200;
    struct policy policy;
    policy_init(&policy, capacity * CHARGE);
    struct item *items = new_items(2000, QUASH_PRIORITY_NORMAL);
    add_all(&policy, items, capacity);
    for (uint32_t i = 0; i < capacity; i++)
        use(&items[i], 3);
    for (uint32_t i = capacity; i < 2000; i++) {
        add_evicting(&policy, &items[i]);
        for (uint32_t used = 0; used < capacity; used++)
            use(&items[used], 1);
    }
    const struct policy_class *class = &policy.classes[1];
    assert_in_range(class->fresh.bytes + class->small.bytes, capacity / 10 * CHARGE, (capacity / 10 + 1) * CHARGE);
    assert_int_equal(class->fresh.bytes, 2 * CHARGE);
    empty(&policy, items, 2000);
    policy_fini(&policy);
    free(items);
}

/* ---- Time ---- */

static void a_call_passes_over_a_bounded_number_even_when_everything_is_in_use(void **state)
{
    (void)state;
    const uint32_t count = 4 * POLICY_PASSES;
    struct policy policy;
    policy_init(&policy, count * CHARGE);
    struct item *items = new_items(count + 1, QUASH_PRIORITY_NORMAL);
    add_all(&policy, items, count);
    for (uint32_t i = 0; i < count; i++)
        use(&items[i], 3);
    add_evicting(&policy, &items[count]);
    assert_int_equal(policy.classes[1].main.entries, POLICY_PASSES);
    empty(&policy, items, count + 1);

    /* The same with all of them in main. */
    struct policy_victims victims;
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(policy_reserve(&policy, CHARGE, &victims), POLICY_ROOM);
        policy_add_instead(&policy, &items[i].entry, POLICY_MAIN, 3);
    }
    assert_ptr_equal(add_evicting(&policy, &items[count]), &items[POLICY_PASSES]);
    uint32_t passed = 0;
    for (uint32_t i = 0; i < count; i++)
        passed += atomic_load(&items[i].entry.uses) == 2;
    assert_int_equal(passed, POLICY_PASSES);
    empty(&policy, items, count + 1);
    policy_fini(&policy);
    free(items);
}

/* ---- What it is for ---- */

/* One request for a key: counts a miss, and loads it then. */
static void request(struct policy *policy, struct item *item, uint32_t *misses)
{
    if (item->entry.queue != POLICY_NONE) {
        use(item, 1);
        return;
    }
    ++*misses;
    atomic_store(&item->entry.uses, 0);
    struct policy_victims victims;
    assert_int_equal(policy_reserve(policy, CHARGE, &victims), POLICY_ROOM);
    policy_add(policy, &item->entry);
}

/* A queue in order of use has no hit at all in a loop that is longer than the queue. */
static void a_loop_a_little_longer_than_the_cache_mostly_hits(void **state)
{
    (void)state;
    struct policy policy;
    policy_init(&policy, 1000 * CHARGE);
    struct item *items = new_items(1100, QUASH_PRIORITY_NORMAL);
    uint32_t misses = 0;
    for (uint32_t i = 0; i < 110000; i++)
        request(&policy, &items[i % 1100], &misses);
    printf("    miss ratio %.4f\n", misses / 110000.0);
    assert_true(misses < 110000 * 22 / 100);
    empty(&policy, items, 1100);
    policy_fini(&policy);
    free(items);
}

static void scans_do_not_drive_out_what_is_in_use(void **state)
{
    (void)state;
    struct policy policy;
    policy_init(&policy, 1000 * CHARGE);
    const uint32_t all = 400000;
    struct item *items = new_items(all, QUASH_PRIORITY_NORMAL);
    uint64_t random = 88172645463325252;
    uint32_t scanned = 1000;
    uint32_t misses = 0;
    uint32_t ignored = 0;
    /* 800 keys in use at random, among nine times as many that are each used once: a queue in order of use has a tenth
     * of the 800 in it at most. */
    while (scanned < all) {
        request(&policy, &items[next_random(&random) % 800], scanned < 100000 ? &ignored : &misses);
        for (uint32_t i = 0; i < 9 && scanned < all; i++)
            request(&policy, &items[scanned++], &ignored);
    }
    printf("    misses of those in use %.4f\n", misses / (300000 / 9.0));
    assert_true(misses < 300000 / 9 / 10);
    empty(&policy, items, all);
    policy_fini(&policy);
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newcomers_that_nobody_uses_go_in_the_order_in_which_they_came),
        cmocka_unit_test(an_entry_used_twice_outlives_a_scan_and_one_used_once_does_not),
        cmocka_unit_test(uses_among_the_newest_hundredth_count_as_one),
        cmocka_unit_test(a_key_that_comes_back_soon_after_its_eviction_goes_to_main),
        cmocka_unit_test(main_passes_over_an_entry_once_for_each_of_its_uses),
        cmocka_unit_test(newcomers_hold_a_tenth_while_main_is_in_use),
        cmocka_unit_test(a_call_passes_over_a_bounded_number_even_when_everything_is_in_use),
        cmocka_unit_test(a_loop_a_little_longer_than_the_cache_mostly_hits),
        cmocka_unit_test(scans_do_not_drive_out_what_is_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
