/* The eviction policy: what is counted, what may be evicted, and what is taken out or replaced. */
#include <stdlib.h>
#include <time.h>

#include "policy_support.h"

/* ---- Bytes ---- */

static void room_is_made_at_the_bound_and_refused_past_it(void **state)
{
    (void)state;
    struct policy policy;
    policy_init(&policy, 10 * CHARGE);
    struct item *items = new_items(10, QUASH_PRIORITY_NORMAL);
    struct policy_victims victims;
    add_all(&policy, items, 9);
    assert_int_equal(policy_reserve(&policy, CHARGE, &victims), POLICY_ROOM);
    assert_int_equal(victims.count, 0);
    policy_unreserve(&policy, CHARGE);
    assert_int_equal(policy_reserve(&policy, CHARGE + 1, &victims), POLICY_ROOM);
    assert_int_equal(victims.count, 1);
    policy_unreserve(&policy, CHARGE + 1);
    assert_int_equal(policy_reserve(&policy, 10 * CHARGE + 1, &victims), POLICY_NO_ROOM);
    assert_int_equal(victims.count, 0);
    assert_int_equal(policy_reserve(&policy, SIZE_MAX, &victims), POLICY_NO_ROOM);
    assert_int_equal(victims.count, 0);
    assert_int_equal(policy_entries(&policy), 8);
    assert_int_equal(policy_reserve(&policy, 10 * CHARGE, &victims), POLICY_ROOM);
    assert_int_equal(victims.count, 8);
    assert_int_equal(policy.bytes, 10 * CHARGE);
    policy_unreserve(&policy, 10 * CHARGE);
    empty(&policy, items, 10);
    policy_fini(&policy);
    free(items);
}

static void what_is_on_its_way_in_is_counted_and_not_evicted(void **state)
{
    (void)state;
    struct policy policy;
    policy_init(&policy, 10 * CHARGE);
    struct item *items = new_items(4, QUASH_PRIORITY_NORMAL);
    struct policy_victims victims;
    add_all(&policy, items, 4);
    assert_int_equal(policy_reserve(&policy, 6 * CHARGE, &victims), POLICY_ROOM);
    assert_int_equal(victims.count, 0);
    assert_int_equal(policy.bytes, 10 * CHARGE);
    assert_int_equal(policy_reserve(&policy, 4 * CHARGE + 1, &victims), POLICY_NO_ROOM);
    assert_int_equal(victims.count, 0);
    assert_int_equal(policy_reserve(&policy, 4 * CHARGE, &victims), POLICY_ROOM);
    assert_int_equal(victims.count, 4);
    assert_int_equal(policy.reserved, 10 * CHARGE);
    policy_unreserve(&policy, 10 * CHARGE);
    empty(&policy, items, 4);
    policy_fini(&policy);
    free(items);
}

static void a_large_entry_evicts_as_many_small_ones_as_it_takes(void **state)
{
    (void)state;
    const uint32_t count = 3 * POLICY_VICTIMS + 5;
    struct policy policy;
    policy_init(&policy, count * CHARGE);
    struct item *items = new_items(count, QUASH_PRIORITY_NORMAL);
    add_all(&policy, items, count);
    struct policy_victims victims;
    size_t charge = (count - 1) * CHARGE;
    uint32_t next = 0;
    for (unsigned call = 0; call < 3; call++) {
        assert_int_equal(policy_reserve(&policy, charge, &victims), POLICY_MORE);
        assert_int_equal(victims.count, POLICY_VICTIMS);
        assert_int_equal(policy.reserved, 0);
        for (uint32_t i = 0; i < POLICY_VICTIMS; i++)
            assert_ptr_equal(victims.entry[i], &items[next++].entry);
    }
    assert_int_equal(policy_reserve(&policy, charge, &victims), POLICY_ROOM);
    assert_int_equal(victims.count, 4);
    assert_int_equal(policy.reserved, charge);
    assert_int_equal(policy_entries(&policy), 1);
    policy_unreserve(&policy, charge);
    empty(&policy, items, count);
    policy_fini(&policy);
    free(items);
}

/* ---- Priorities ---- */

static void all_low_go_before_any_normal_and_those_before_any_high(void **state)
{
    (void)state;
    static const quash_priority order[] = {QUASH_PRIORITY_LOW, QUASH_PRIORITY_NORMAL, QUASH_PRIORITY_HIGH};
    struct policy policy;
    policy_init(&policy, 30 * CHARGE);
    struct item items[30];
    for (uint32_t i = 0; i < 30; i++) {
        item_make(&items[i], i, order[2 - i % 3], CHARGE); /* the high ones first */
        add(&policy, &items[i]);
        use(&items[i], order[2 - i % 3] == QUASH_PRIORITY_LOW ? 3 : 0); /* which does not help them */
    }
    struct policy_victims victims;
    for (uint32_t i = 0; i < 30; i++) {
        assert_int_equal(policy_reserve(&policy, (i + 1) * CHARGE, &victims), POLICY_ROOM);
        policy_unreserve(&policy, (i + 1) * CHARGE);
        assert_int_equal(victims.count, 1);
        assert_int_equal(entry_priority(victims.entry[0]), order[i / 10]);
    }
    policy_fini(&policy);
}

static void never_removed_entries_count_and_are_not_evicted(void **state)
{
    (void)state;
    struct policy policy;
    policy_init(&policy, 10 * CHARGE);
    struct item *never = new_items(7, QUASH_PRIORITY_NEVER_REMOVE);
    struct item *items = new_items(4, QUASH_PRIORITY_HIGH);
    add_all(&policy, never, 7);
    add_all(&policy, items, 3);
    struct policy_victims victims;
    assert_int_equal(policy_reserve(&policy, 3 * CHARGE + 1, &victims), POLICY_NO_ROOM);
    assert_int_equal(victims.count, 0);
    assert_int_equal(policy_entries(&policy), 10); /* nothing was evicted in vain */
    assert_ptr_equal(add_evicting(&policy, &items[3]), &items[0]);
    assert_int_equal(policy_reserve(&policy, 3 * CHARGE, &victims), POLICY_ROOM);
    assert_int_equal(victims.count, 3);
    policy_unreserve(&policy, 3 * CHARGE);
    assert_int_equal(policy_entries(&policy), 7);
    assert_int_equal(policy_remove(&policy, &never[2].entry), POLICY_NEVER);
    empty(&policy, never, 7);
    policy_fini(&policy);
    free(never);
    free(items);
}

/* ---- Removing and replacing ---- */

static void an_entry_that_is_in_no_queue_is_left_alone(void **state)
{
    (void)state;
    struct policy policy;
    policy_init(&policy, 3 * CHARGE);
    struct item *items = new_items(4, QUASH_PRIORITY_NORMAL);
    add_all(&policy, items, 3);
    assert_int_equal(policy_remove(&policy, &items[1].entry), POLICY_SMALL);
    struct retired mine = {.next = (struct retired *)&mine, .epoch = 77};
    items[1].entry.retired = mine; /* its links are the reclaimer's by now */
    assert_int_equal(policy_remove(&policy, &items[1].entry), POLICY_NONE);
    assert_int_equal(policy_entries(&policy), 2);
    assert_int_equal(policy.bytes, 2 * CHARGE);
    add(&policy, &items[3]);
    assert_ptr_equal(items[1].entry.retired.next, mine.next);
    assert_int_equal(items[1].entry.retired.epoch, 77);
    empty(&policy, items, 4);
    policy_fini(&policy);
    free(items);
}

static void a_replacement_takes_over_queue_and_uses(void **state)
{
    (void)state;
    struct policy policy;
    policy_init(&policy, 10 * CHARGE);
    struct policy_victims victims;
    struct item item;
    static const enum policy_queue queues[] = {POLICY_FRESH, POLICY_SMALL, POLICY_MAIN};
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned uses = 0; uses <= ENTRY_USES_MAX; uses++) {
            item_make(&item, 1, QUASH_PRIORITY_HIGH, CHARGE);
            assert_int_equal(policy_reserve(&policy, CHARGE, &victims), POLICY_ROOM);
            policy_add_instead(&policy, &item.entry, queues[i], uses);
            /* One alone is more than a hundredth: it is not among the newest for long. */
            assert_int_equal(item.entry.queue, queues[i] == POLICY_FRESH ? POLICY_SMALL : queues[i]);
            assert_int_equal(atomic_load(&item.entry.uses), queues[i] == POLICY_FRESH && uses > 1 ? 1 : uses);
            assert_int_equal(policy.reserved, 0);
            assert_int_equal(policy.classes[2].main.entries, queues[i] == POLICY_MAIN);
            policy_remove(&policy, &item.entry);
            assert_int_equal(policy.bytes, 0);
        }
    }
    policy_fini(&policy);
}

static void a_replacement_of_another_priority_goes_by_its_own(void **state)
{
    (void)state;
    struct policy policy;
    policy_init(&policy, 10 * CHARGE);
    struct policy_victims victims;
    struct item item;
    item_make(&item, 1, QUASH_PRIORITY_NEVER_REMOVE, CHARGE);
    assert_int_equal(policy_reserve(&policy, CHARGE, &victims), POLICY_ROOM);
    policy_add_instead(&policy, &item.entry, POLICY_SMALL, 1);
    assert_int_equal(policy_remove(&policy, &item.entry), POLICY_NEVER);
    item_make(&item, 1, QUASH_PRIORITY_LOW, CHARGE);
    assert_int_equal(policy_reserve(&policy, CHARGE, &victims), POLICY_ROOM);
    policy_add_instead(&policy, &item.entry, POLICY_NEVER, 3);
    assert_int_equal(policy.classes[0].main.bytes, CHARGE);
    assert_int_equal(policy_remove(&policy, &item.entry), POLICY_MAIN);
    policy_fini(&policy);
}

/* ---- Another bound ---- */

static void a_smaller_bound_evicts_down_to_it(void **state)
{
    (void)state;
    struct policy policy;
    policy_init(&policy, 100 * CHARGE);
    struct item *items = new_items(100, QUASH_PRIORITY_NORMAL);
    add_all(&policy, items, 100);
    policy_resize(&policy, 70 * CHARGE);
    struct policy_victims victims;
    assert_int_equal(policy_trim(&policy, &victims), POLICY_MORE);
    assert_int_equal(victims.count, POLICY_VICTIMS);
    assert_int_equal(policy_trim(&policy, &victims), POLICY_ROOM);
    assert_int_equal(victims.count, 30 - POLICY_VICTIMS);
    assert_int_equal(policy.bytes, 70 * CHARGE);
    assert_int_equal(policy_trim(&policy, &victims), POLICY_ROOM);
    assert_int_equal(victims.count, 0);
    policy_resize(&policy, 70 * CHARGE - 1);
    assert_int_equal(policy_trim(&policy, &victims), POLICY_ROOM);
    assert_int_equal(victims.count, 1);
    policy_resize(&policy, 0);
    while (policy_trim(&policy, &victims) == POLICY_MORE)
        ;
    assert_int_equal(policy.bytes, 0);
    empty(&policy, items, 100);
    policy_fini(&policy);
    free(items);
}

static void a_bound_below_what_is_never_removed_evicts_all_else_and_says_so(void **state)
{
    (void)state;
    struct policy policy;
    policy_init(&policy, 20 * CHARGE);
    struct item *never = new_items(5, QUASH_PRIORITY_NEVER_REMOVE);
    struct item *items = new_items(5, QUASH_PRIORITY_NORMAL);
    add_all(&policy, never, 5);
    add_all(&policy, items, 5);
    struct policy_victims victims;
    policy_resize(&policy, 5 * CHARGE);
    assert_int_equal(policy_trim(&policy, &victims), POLICY_ROOM);
    assert_int_equal(victims.count, 5);
    policy_resize(&policy, 5 * CHARGE - 1);
    assert_int_equal(policy_trim(&policy, &victims), POLICY_NO_ROOM);
    assert_int_equal(victims.count, 0);
    assert_int_equal(policy_reserve(&policy, 0, &victims), POLICY_NO_ROOM);
    empty(&policy, never, 5);
    policy_fini(&policy);
    free(never);
    free(items);
}

/* ---- At random, against the plain sum ---- */

#define RANDOM_ITEMS 400u

static size_t check_list(const struct policy_list *list, enum policy_queue queue, int priority)
{
    size_t entries = 0;
    size_t bytes = 0;
    const struct entry *older = NULL;
    for (const struct entry *entry = list->oldest; entry != NULL; entry = entry->newer) {
        assert_ptr_equal(entry->older, older);
        assert_int_equal(entry->queue, queue);
        assert_int_equal(entry_priority(entry), priority);
        entries++;
        bytes += entry_charge(entry);
        older = entry;
    }
    assert_ptr_equal(list->newest, older);
    assert_int_equal(list->entries, entries);
    assert_int_equal(list->bytes, bytes);
    return bytes;
}

static void check_all(const struct policy *policy)
{
    static const int priorities[] = {QUASH_PRIORITY_LOW, QUASH_PRIORITY_NORMAL, QUASH_PRIORITY_HIGH};
    size_t bytes = policy->reserved + check_list(&policy->never, POLICY_NEVER, QUASH_PRIORITY_NEVER_REMOVE);
    for (unsigned i = 0; i < POLICY_CLASSES; i++) {
        bytes += check_list(&policy->classes[i].fresh, POLICY_FRESH, priorities[i]);
        bytes += check_list(&policy->classes[i].small, POLICY_SMALL, priorities[i]);
        bytes += check_list(&policy->classes[i].main, POLICY_MAIN, priorities[i]);
    }
    assert_int_equal(policy->bytes, bytes);
}

static void check_victims(const struct policy *policy, const struct policy_victims *victims)
{
    assert_true(victims->count <= POLICY_VICTIMS);
    static const int ranks[] = {[QUASH_PRIORITY_LOW] = 0, [QUASH_PRIORITY_NORMAL] = 1, [QUASH_PRIORITY_HIGH] = 2};
    for (size_t i = 0; i < victims->count; i++) {
        quash_priority priority = entry_priority(victims->entry[i]);
        assert_int_not_equal(priority, QUASH_PRIORITY_NEVER_REMOVE);
        assert_int_equal(victims->entry[i]->queue, POLICY_NONE);
        for (int lower = 0; lower < ranks[priority]; lower++) {
            const struct policy_class *class = &policy->classes[lower];
            assert_int_equal(class->fresh.entries + class->small.entries + class->main.entries, 0);
        }
    }
}

static void bytes_are_the_exact_sum_whatever_happens(void **state)
{
    (void)state;
    const char *given = getenv("QUASH_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("    QUASH_TEST_SEED=%llu\n", (unsigned long long)seed);
    uint64_t random = seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
    struct policy policy;
    policy_init(&policy, 100 * CHARGE);
    struct item *items = new_items(RANDOM_ITEMS, QUASH_PRIORITY_NORMAL);
    struct policy_victims victims;
    unsigned rooms[POLICY_NO_ROOM + 1] = {0};
    for (unsigned step = 0; step < 100000; step++) {
        uint32_t key = (uint32_t)next_random(&random) % RANDOM_ITEMS;
        struct item *item = &items[key];
        unsigned what = (unsigned)next_random(&random) % 100;
        if (what < 40 && item->entry.queue != POLICY_NONE) {
            use(item, 1);
        } else if (what < 90) {
            unsigned uses = atomic_load(&item->entry.uses);
            enum policy_queue queue = policy_remove(&policy, &item->entry);
            unsigned priority = (unsigned)next_random(&random) % 10;
            uint64_t size = next_random(&random) % 50 == 0 ? 90 * CHARGE : 3 * CHARGE;
            item_make(item, key, (quash_priority)(priority < 4 ? priority : 0),
                      300 + (size_t)(next_random(&random) % size));
            size_t charge = entry_charge(&item->entry);
            enum policy_room room;
            do {
                room = policy_reserve(&policy, charge, &victims);
                rooms[room]++;
                check_victims(&policy, &victims);
            } while (room == POLICY_MORE);
            if (room == POLICY_ROOM) {
                assert_true(policy.bytes <= policy.max_bytes);
                if (what == 89)
                    policy_unreserve(&policy, charge);
                else if (queue == POLICY_NONE)
                    policy_add(&policy, &item->entry);
                else
                    policy_add_instead(&policy, &item->entry, queue, uses);
            }
        } else if (what < 99) {
            bool queued = item->entry.queue != POLICY_NONE;
            assert_int_equal(policy_remove(&policy, &item->entry) != POLICY_NONE, queued);
        } else {
            policy_resize(&policy, (20 + (size_t)(next_random(&random) % 200)) * CHARGE);
            enum policy_room room;
            do {
                room = policy_trim(&policy, &victims);
                check_victims(&policy, &victims);
            } while (room == POLICY_MORE);
            assert_int_equal(room == POLICY_ROOM, policy.bytes <= policy.max_bytes);
        }
        check_all(&policy);
    }
    assert_true(rooms[POLICY_ROOM] > 0 && rooms[POLICY_MORE] > 0 && rooms[POLICY_NO_ROOM] > 0);
    empty(&policy, items, RANDOM_ITEMS);
    policy_fini(&policy);
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_is_made_at_the_bound_and_refused_past_it),
        cmocka_unit_test(what_is_on_its_way_in_is_counted_and_not_evicted),
        cmocka_unit_test(a_large_entry_evicts_as_many_small_ones_as_it_takes),
        cmocka_unit_test(all_low_go_before_any_normal_and_those_before_any_high),
        cmocka_unit_test(never_removed_entries_count_and_are_not_evicted),
        cmocka_unit_test(an_entry_that_is_in_no_queue_is_left_alone),
        cmocka_unit_test(a_replacement_takes_over_queue_and_uses),
        cmocka_unit_test(a_replacement_of_another_priority_goes_by_its_own),
        cmocka_unit_test(a_smaller_bound_evicts_down_to_it),
        cmocka_unit_test(a_bound_below_what_is_never_removed_evicts_all_else_and_says_so),
        cmocka_unit_test(bytes_are_the_exact_sum_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
