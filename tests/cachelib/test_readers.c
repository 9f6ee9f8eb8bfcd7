/* Records of readers: threads come and go, at the wrong moment too, and processes fork. */
#include <sys/wait.h>
#include <unistd.h>

#include "reclaim_support.h"

/* ---- Threads ---- */

static void *own_number(void *context)
{
    struct reader *reader = reader_self();
    if (reader == NULL)
        support_fail("a thread could not register");
    *(uint32_t *)context = reader->number;
    return NULL;
}

static void a_thread_that_has_ended_leaves_its_record_to_the_next(void **state)
{
    (void)state;
    uint32_t own, first, number;
    own_number(&own);
    thread_join(thread_start(own_number, &first));
    assert_int_not_equal(own, first);
    for (int i = 0; i < 100; i++) {
        thread_join(thread_start(own_number, &number));
        assert_int_equal(number, first);
    }
}

struct resident {
    uint32_t number;
    struct gate is_in;
    struct gate may_go;
};

static void *reside(void *context)
{
    struct resident *resident = context;
    own_number(&resident->number);
    gate_open(&resident->is_in);
    gate_pass(&resident->may_go);
    return NULL;
}

static pthread_t resident_start(struct resident *resident)
{
    *resident = (struct resident){0, GATE_INIT, GATE_INIT};
    pthread_t thread = thread_start(reside, resident);
    gate_pass(&resident->is_in);
    return thread;
}

static void resident_end(struct resident *resident, pthread_t thread)
{
    gate_open(&resident->may_go);
    thread_join(thread);
}

static void a_number_is_the_smallest_that_no_living_thread_has(void **state)
{
    (void)state;
    /* More than there are records before memory is needed. */
    enum { MANY = 80 };
    static struct resident residents[MANY];
    pthread_t threads[MANY];
    uint32_t own;
    own_number(&own);
    assert_int_equal(own, 0);
    for (uint32_t i = 0; i < MANY; i++) {
        threads[i] = resident_start(&residents[i]);
        assert_int_equal(residents[i].number, i + 1);
    }
    static const uint32_t gone[] = {70, 3, 11};
    for (unsigned i = 0; i < 3; i++)
        resident_end(&residents[gone[i]], threads[gone[i]]);
    static const uint32_t in_order[] = {3, 11, 70};
    for (unsigned i = 0; i < 3; i++) {
        threads[in_order[i]] = resident_start(&residents[in_order[i]]);
        assert_int_equal(residents[in_order[i]].number, in_order[i] + 1);
    }
    for (unsigned i = 0; i < MANY; i++)
        resident_end(&residents[i], threads[i]);
}

struct visit {
    place *at;
    quash_entry *held;
    unsigned in_holds;
};

static void *find_and_end(void *context)
{
    struct visit *visit = context;
    visit->held = find(visit->at);
    return NULL;
}

static void *find_in_all_holds(void *context)
{
    struct visit *visit = context;
    quash_entry *held[2 * READER_HOLDS];
    for (unsigned i = 0; i < 2 * READER_HOLDS; i++) {
        held[i] = find(visit->at);
        visit->in_holds += is_in_a_hold(held[i]);
    }
    for (unsigned i = 0; i < 2 * READER_HOLDS; i++)
        quash_entry_release(held[i]);
    return NULL;
}

static void a_hold_in_use_outlives_its_thread_and_is_left_alone_by_the_next(void **state)
{
    (void)state;
    struct counted object = {0}, other = {0};
    place at = entry_of_counted(&object);
    place elsewhere = entry_of_counted(&other);
    struct visit first = {&at, NULL, 0}, second = {&elsewhere, NULL, 0};
    thread_join(thread_start(find_and_end, &first));
    assert_true(is_in_a_hold(first.held));
    thread_join(thread_start(find_in_all_holds, &second));
    assert_int_equal(second.in_holds, READER_HOLDS - 1);
    assert_ptr_equal(quash_entry_object(first.held), &object);
    take_out(&at);
    take_out(&elsewhere);
    assert_int_equal(other.destroyed, 1);
    assert_int_equal(object.destroyed, 0);
    quash_entry_release(first.held);
    assert_int_equal(object.destroyed, 1);
}

static pthread_key_t late_key;
static _Atomic int late_finds;

static void find_late(void *at)
{
    quash_entry *held = find(at);
    quash_entry_release(held);
    if (!reader_self()->taken)
        support_fail("a thread uses a record that it has given back");
    /* Once before the record is given back, or after it; twice is both. */
    if (atomic_fetch_add(&late_finds, 1) == 0)
        pthread_setspecific(late_key, at);
}

static void *end_late(void *at)
{
    uint32_t number;
    own_number(&number);
    pthread_setspecific(late_key, at);
    return NULL;
}

static void a_thread_may_look_up_while_it_ends(void **state)
{
    (void)state;
    struct counted object = {0};
    place at = entry_of_counted(&object);
    assert_int_equal(pthread_key_create(&late_key, find_late), 0);
    uint32_t before, after;
    thread_join(thread_start(own_number, &before));
    thread_join(thread_start(end_late, &at));
    assert_int_equal(late_finds, 2);
    thread_join(thread_start(own_number, &after));
    assert_int_equal(after, before);
    take_out(&at);
    assert_int_equal(object.destroyed, 1);
    pthread_key_delete(late_key);
}

/* ---- fork ---- */

/* What the child finds; 0: all well. */
static int child_looks(struct counted *held_by_parent, struct counted *waiting)
{
    slab_arena_release(arena);
    arena = slab_arena_new();
    struct counted own = {0};
    place at = entry_of_counted(&own);
    quash_entry *held = find(&at);
    if (!is_in_a_hold(held))
        return 1;
    take_out(&at);
    if (own.destroyed != 0)
        return 2;
    quash_entry_release(held);
    if (own.destroyed != 1)
        return 3;
    reclaim_now();
    return held_by_parent->destroyed != 0 || waiting->destroyed != 0 ? 4 : 0;
}

static void a_forked_child_has_readers_of_its_own_and_leaves_the_parents_entries_alone(void **state)
{
    (void)state;
    struct counted held_object = {0}, waiting_object = {0}, looked_at = {0};
    place at = entry_of_counted(&looked_at);
    place held_at = entry_of_counted(&held_object);
    struct slow_reader slow = SLOW_READER(&at, true);
    struct visit visit = {&held_at, NULL, 0};
    pthread_t thread = thread_start(read_slowly, &slow);
    gate_pass(&slow.is_in);
    thread_join(thread_start(find_and_end, &visit));
    take_out(&held_at);
    reclaim_retire_entry(entry_of_counted(&waiting_object), false);

    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(60);
        _exit(child_looks(&held_object, &waiting_object));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);

    gate_open(&slow.may_go);
    gate_open(&slow.may_release);
    thread_join(thread);
    take_out(&at);
    quash_entry_release(visit.held);
    reclaim_now();
    assert_int_equal(held_object.destroyed, 1);
    assert_int_equal(waiting_object.destroyed, 1);
    assert_int_equal(looked_at.destroyed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RECLAIM_TEST(a_number_is_the_smallest_that_no_living_thread_has),
        RECLAIM_TEST(a_thread_that_has_ended_leaves_its_record_to_the_next),
        RECLAIM_TEST(a_hold_in_use_outlives_its_thread_and_is_left_alone_by_the_next),
        RECLAIM_TEST(a_thread_may_look_up_while_it_ends),
        RECLAIM_TEST(a_forked_child_has_readers_of_its_own_and_leaves_the_parents_entries_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
