/* What has left an index lives as long as somebody may look at it, no longer, and is destroyed once. */
#include <stdlib.h>

#include "reclaim_support.h"

/* ---- Holding ---- */

static void an_entry_that_nobody_has_dies_with_its_retirement(void **state)
{
    (void)state;
    struct counted object = {0};
    place at = entry_of_counted(&object);
    quash_entry_release(find(&at));
    assert_int_equal(object.destroyed, 0);
    take_out(&at);
    assert_int_equal(object.destroyed, 1);
}

static void an_acquired_entry_outlives_its_retirement_and_dies_with_its_release(void **state)
{
    (void)state;
    struct counted object = {0};
    place at = entry_of_counted(&object);
    quash_entry *held = find(&at);
    assert_true(is_in_a_hold(held));
    take_out(&at);
    reclaim_now();
    assert_int_equal(object.destroyed, 0);
    assert_ptr_equal(quash_entry_object(held), &object);
    quash_entry_release(held);
    assert_int_equal(object.destroyed, 1);
    reclaim_now();
    assert_int_equal(object.destroyed, 1);
}

static void a_handle_may_be_released_on_another_thread(void **state)
{
    (void)state;
    struct counted object = {0};
    place at = entry_of_counted(&object);
    for (int before = 0; before < 2; before++) {
        quash_entry *held = find(&at);
        if (before == 0) {
            thread_join(thread_start(release, held));
            continue;
        }
        take_out(&at);
        assert_int_equal(object.destroyed, 0);
        thread_join(thread_start(release, held));
    }
    assert_int_equal(object.destroyed, 1);
}

static void a_thread_can_hold_more_entries_than_it_has_holds(void **state)
{
    (void)state;
    enum { MORE = 3 * READER_HOLDS };
    struct counted objects[MORE] = {{0}};
    place at[MORE];
    quash_entry *held[MORE];
    for (unsigned i = 0; i < MORE; i++) {
        at[i] = entry_of_counted(&objects[i]);
        held[i] = find(&at[i]);
        assert_ptr_equal(quash_entry_object(held[i]), &objects[i]);
        assert_int_equal(is_in_a_hold(held[i]), i < READER_HOLDS);
    }
    for (unsigned i = 0; i < MORE; i++)
        take_out(&at[i]);
    reclaim_now();
    for (unsigned i = 0; i < MORE; i++)
        assert_int_equal(objects[i].destroyed, 0);
    for (unsigned i = 0; i < MORE; i++) {
        unsigned any = i * 7 % MORE;
        quash_entry_release(held[any]);
        assert_int_equal(objects[any].destroyed, 1);
    }
    /* And then it has holds again. */
    struct counted object = {0};
    place again = entry_of_counted(&object);
    quash_entry *last = find(&again);
    assert_true(is_in_a_hold(last));
    quash_entry_release(last);
    take_out(&again);
}

static void an_entry_dies_with_the_last_of_all_its_handles(void **state)
{
    (void)state;
    for (int mix = 0; mix < 16; mix++) {
        struct counted object = {0};
        place at = entry_of_counted(&object);
        quash_entry *held[4] = {find(&at), find(&at), NULL, NULL};
        assert_ptr_not_equal(held[0], held[1]);
        held[2] = mix & 1 ? quash_entry_acquire(held[0]) : reader_hold_counted(atomic_load(&at));
        held[3] = mix & 2 ? quash_entry_acquire(held[2]) : quash_entry_acquire(held[1]);
        take_out(&at);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(object.destroyed, 0);
            int which = mix & 4 ? 3 - i : i;
            if (mix & 8)
                thread_join(thread_start(release, held[which]));
            else
                quash_entry_release(held[which]);
        }
        assert_int_equal(object.destroyed, 1);
    }
}

static void an_entry_of_its_own_dies_with_its_last_release(void **state)
{
    (void)state;
    struct counted object = {0};
    struct entry *entry = entry_of_counted(&object);
    size_t size = entry_block_size(entry);
    quash_entry *held = reader_hold_alone(entry);
    assert_int_equal(slab_arena_dead_bytes(arena), size);
    quash_entry_acquire(held);
    quash_entry_release(held);
    assert_int_equal(object.destroyed, 0);
    quash_entry_release(held);
    assert_int_equal(object.destroyed, 1);
    assert_int_equal(slab_arena_dead_bytes(arena), 0);
}

static void a_mark_on_a_hold_goes_with_the_entry_that_it_was_for(void **state)
{
    (void)state;
    struct counted object = {0};
    place at = entry_of_counted(&object);
    quash_entry *held = find(&at);
    struct hold *hold = (struct hold *)held;
    take_out(&at);
    assert_int_equal(atomic_load(&hold->state), HOLD_RETIRED);
    quash_entry_acquire(held);
    assert_int_equal(atomic_load(&hold->state), HOLD_RETIRED | 1);
    quash_entry_release(held);
    quash_entry_release(held);
    assert_int_equal(atomic_load(&hold->state), 0);
    assert_int_equal(object.destroyed, 1);
}

/* As when a hold is let go by another thread, and taken again before that one has looked for the mark. */
static void a_mark_that_is_left_on_a_hold_is_kept_until_somebody_looks(void **state)
{
    (void)state;
    struct counted marked = {0}, next = {0};
    place first = entry_of_counted(&marked);
    place second = entry_of_counted(&next);
    struct hold *hold = (struct hold *)find(&first);
    take_out(&first);
    atomic_store_explicit(&hold->entry, NULL, memory_order_release);
    quash_entry *held = find(&second);
    assert_ptr_equal(held, hold);
    assert_int_equal(atomic_load(&hold->state), HOLD_RETIRED);
    quash_entry_release(held);
    assert_int_equal(marked.destroyed, 1);
    assert_int_equal(next.destroyed, 0);
    assert_int_equal(atomic_load(&hold->state), 0);
    take_out(&second);
}

static void no_handle_is_a_handle_that_can_be_released(void **state)
{
    (void)state;
    quash_entry_release(NULL);
}

/* ---- Lookups under way ---- */

static void an_entry_retired_within_a_lookup_dies_with_a_later_call(void **state)
{
    (void)state;
    struct counted first = {0}, second = {0};
    place at = entry_of_counted(&first);
    struct reader *reader = reader_self();
    reader_enter(reader);
    take_out(&at);
    reclaim_now();
    assert_int_equal(first.destroyed, 0);
    reader_leave(reader);
    assert_int_equal(first.destroyed, 0);
    /* It was to die at once, so the next one to retire anything tries again. */
    reclaim_retire_entry(entry_of_counted(&second), false);
    assert_int_equal(first.destroyed, 1);
    assert_int_equal(second.destroyed, 1);
}

static void a_lookup_on_another_thread_delays_destruction_until_it_has_ended(void **state)
{
    (void)state;
    struct counted object = {0};
    place at = entry_of_counted(&object);
    struct slow_reader slow = SLOW_READER(&at, false);
    pthread_t thread = thread_start(read_slowly, &slow);
    gate_pass(&slow.is_in);
    take_out(&at);
    reclaim_now();
    assert_int_equal(object.destroyed, 0);
    gate_open(&slow.may_go);
    gate_pass(&slow.is_out);
    reclaim_now();
    assert_int_equal(object.destroyed, 1);
    gate_open(&slow.may_release);
    thread_join(thread);
}

static void what_a_lookup_finds_before_the_retirement_it_may_hold_after_it(void **state)
{
    (void)state;
    struct counted object = {0};
    place at = entry_of_counted(&object);
    struct slow_reader slow = SLOW_READER(&at, true);
    pthread_t thread = thread_start(read_slowly, &slow);
    gate_pass(&slow.is_in);
    take_out(&at);
    gate_open(&slow.may_go);
    gate_pass(&slow.is_out);
    reclaim_now();
    assert_int_equal(object.destroyed, 0);
    gate_open(&slow.may_release);
    thread_join(thread);
    assert_int_equal(object.destroyed, 1);
}

static void lookups_that_begin_after_the_retirement_do_not_delay(void **state)
{
    (void)state;
    struct counted object = {0}, other = {0};
    place at = entry_of_counted(&object);
    place elsewhere = entry_of_counted(&other);
    struct slow_reader early = SLOW_READER(&at, false);
    struct slow_reader late = SLOW_READER(&elsewhere, false);
    pthread_t threads[2];
    threads[0] = thread_start(read_slowly, &early);
    gate_pass(&early.is_in);
    take_out(&at);
    threads[1] = thread_start(read_slowly, &late);
    gate_pass(&late.is_in);
    gate_open(&early.may_go);
    gate_pass(&early.is_out);
    reclaim_now();
    assert_int_equal(object.destroyed, 1);
    gate_open(&late.may_go);
    gate_open(&early.may_release);
    gate_open(&late.may_release);
    thread_join(threads[0]);
    thread_join(threads[1]);
    take_out(&elsewhere);
}

/* ---- When it is tried ---- */

static void what_is_retired_without_haste_waits_for_a_batch(void **state)
{
    (void)state;
    struct counted objects[RECLAIM_BATCH_ENTRIES + 1] = {{0}};
    for (unsigned i = 0; i < RECLAIM_BATCH_ENTRIES; i++) {
        assert_int_equal(objects[0].destroyed, 0);
        reclaim_retire_entry(entry_of_counted(&objects[i]), false);
    }
    for (unsigned i = 0; i < RECLAIM_BATCH_ENTRIES; i++)
        assert_int_equal(objects[i].destroyed, 1);
    reclaim_retire_entry(entry_of_counted(&objects[RECLAIM_BATCH_ENTRIES]), false);
    assert_int_equal(objects[RECLAIM_BATCH_ENTRIES].destroyed, 0);
    reclaim_now();
    assert_int_equal(objects[RECLAIM_BATCH_ENTRIES].destroyed, 1);
}

static size_t dead_after_retiring(size_t first, size_t second)
{
    reclaim_now();
    reclaim_retire_entry(entry_of_size(first), false);
    if (second != 0)
        reclaim_retire_entry(entry_of_size(second), false);
    return slab_arena_dead_bytes(arena);
}

static void a_batch_is_as_well_so_many_bytes(void **state)
{
    (void)state;
    const size_t half = RECLAIM_BATCH_BYTES / 2;
    assert_int_equal(dead_after_retiring(half, half - 8), RECLAIM_BATCH_BYTES - 8);
    assert_int_equal(dead_after_retiring(half, half), 0);
    assert_int_equal(dead_after_retiring(half, half + 8), 0);
    assert_int_equal(dead_after_retiring(RECLAIM_BATCH_BYTES, 0), 0);
}

static void retired_bytes_count_as_dead_until_they_are_freed(void **state)
{
    (void)state;
    struct counted object = {0};
    place at = entry_of_counted(&object);
    size_t size = entry_block_size(atomic_load(&at));
    quash_entry *held = find(&at);
    assert_int_equal(slab_arena_dead_bytes(arena), 0);
    take_out(&at);
    assert_int_equal(slab_arena_dead_bytes(arena), size);
    quash_entry_release(held);
    assert_int_equal(slab_arena_dead_bytes(arena), 0);
}

/* The test is linked so that these see every free. */
static _Atomic(void *) watched_block;
static _Atomic int watched_frees;
void __real_free(void *block); /* NOLINT: the linker's name */
void __wrap_free(void *block); /* NOLINT */
void __wrap_free(void *block)  /* NOLINT */
{
    if (block != NULL && block == atomic_load(&watched_block))
        atomic_fetch_add(&watched_frees, 1);
    __real_free(block);
}

static void a_block_is_freed_once_no_lookup_can_see_it(void **state)
{
    (void)state;
    struct retired *blocks[2];
    for (int i = 0; i < 2; i++)
        assert_non_null(blocks[i] = malloc(sizeof **blocks));
    atomic_store(&watched_frees, 0);
    atomic_store(&watched_block, blocks[0]);
    reclaim_retire_block(blocks[0]);
    assert_int_equal(watched_frees, 1);

    struct reader *reader = reader_self();
    atomic_store(&watched_block, blocks[1]);
    reader_enter(reader);
    reclaim_retire_block(blocks[1]);
    reclaim_now();
    assert_int_equal(watched_frees, 1);
    reader_leave(reader);
    reclaim_now();
    assert_int_equal(watched_frees, 2);
    atomic_store(&watched_block, NULL);
}

/* ---- Destructors ---- */

struct owner {
    quash_entry *owned;
    struct entry *retires;
    int destroyed;
};

static void owner_destroy(void *object, void *context)
{
    (void)context;
    struct owner *owner = object;
    owner->destroyed++;
    quash_entry_release(owner->owned);
    if (owner->retires != NULL)
        reclaim_retire_entry(owner->retires, true);
    reclaim_now();
}

static void a_destructor_may_release_and_retire_other_entries(void **state)
{
    (void)state;
    struct owner in_hold = {NULL, NULL, 0}, counted = {NULL, NULL, 0}, retired = {NULL, NULL, 0};
    place hold_at = entry_of_object(&in_hold, owner_destroy);
    place counted_at = entry_of_object(&counted, owner_destroy);
    in_hold.owned = reader_hold_counted(atomic_load(&counted_at));
    struct owner first = {find(&hold_at), entry_of_object(&retired, owner_destroy), 0};
    take_out(&hold_at);
    take_out(&counted_at);
    assert_int_equal(in_hold.destroyed + counted.destroyed, 0);
    place at = entry_of_object(&first, owner_destroy);
    take_out(&at);
    assert_int_equal(first.destroyed, 1);
    assert_int_equal(in_hold.destroyed, 1);
    assert_int_equal(counted.destroyed, 1);
    assert_int_equal(retired.destroyed, 1);
}

static void link_destroy(void *object, void *context)
{
    (void)context;
    struct owner *owner = object;
    owner->destroyed++;
    quash_entry_release(owner->owned);
}

static void a_chain_of_owners_needs_no_stack(void **state)
{
    (void)state;
    enum { LINKS = 200000 };
    struct owner *links = calloc(LINKS, sizeof *links);
    assert_non_null(links);
    quash_entry *last = NULL;
    for (int i = 0; i < LINKS; i++) {
        links[i].owned = last;
        last = reader_hold_alone(entry_of_object(&links[i], link_destroy));
    }
    quash_entry_release(last);
    for (int i = 0; i < LINKS; i++)
        assert_int_equal(links[i].destroyed, 1);
    free(links);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RECLAIM_TEST(an_entry_that_nobody_has_dies_with_its_retirement),
        RECLAIM_TEST(an_acquired_entry_outlives_its_retirement_and_dies_with_its_release),
        RECLAIM_TEST(a_handle_may_be_released_on_another_thread),
        RECLAIM_TEST(a_thread_can_hold_more_entries_than_it_has_holds),
        RECLAIM_TEST(an_entry_dies_with_the_last_of_all_its_handles),
        RECLAIM_TEST(an_entry_of_its_own_dies_with_its_last_release),
        RECLAIM_TEST(a_mark_on_a_hold_goes_with_the_entry_that_it_was_for),
        RECLAIM_TEST(a_mark_that_is_left_on_a_hold_is_kept_until_somebody_looks),
        RECLAIM_TEST(no_handle_is_a_handle_that_can_be_released),
        RECLAIM_TEST(an_entry_retired_within_a_lookup_dies_with_a_later_call),
        RECLAIM_TEST(a_lookup_on_another_thread_delays_destruction_until_it_has_ended),
        RECLAIM_TEST(what_a_lookup_finds_before_the_retirement_it_may_hold_after_it),
        RECLAIM_TEST(lookups_that_begin_after_the_retirement_do_not_delay),
        RECLAIM_TEST(what_is_retired_without_haste_waits_for_a_batch),
        RECLAIM_TEST(a_batch_is_as_well_so_many_bytes),
        RECLAIM_TEST(retired_bytes_count_as_dead_until_they_are_freed),
        RECLAIM_TEST(a_block_is_freed_once_no_lookup_can_see_it),
        RECLAIM_TEST(a_destructor_may_release_and_retire_other_entries),
        RECLAIM_TEST(a_chain_of_owners_needs_no_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
