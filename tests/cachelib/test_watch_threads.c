/*
 * test_watch_threads.c - watches that are freed and made while callbacks run, by the callbacks themselves and by other
 * threads.
 */

#include "clock.h"
#include "watch_support.h"

/* ---- Callbacks that free and make watches */

struct own {
    struct told told;
    quash_watch *watch;
    quash_watch *other;
};

static void free_own(quash_change change, void *context)
{
    struct own *own = context;
    quash_watch_free(own->watch);
    own->watch = NULL;
    tell(change, &own->told);
}

static void a_callback_may_free_its_own_watch_and_with_the_last_the_thread_ends(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct own own = {.told = TOLD_INIT};
        watch_with("tenant:1", free_own, &own, &own.watch);
        canceller_cancel(&stage.canceller, "tenant:1");
        await_told(&own.told);
        if (i % 2 == 0) /* else the next watch meets the thread on its way out */
            await_watching_threads(0);
    }
    await_watching_threads(0);
}

static void free_all_but_own(quash_change change, void *context)
{
    struct own *own = context;
    quash_watch_free(own->other);
    tell(change, &own->told);
}

static void a_callback_may_free_a_watch_that_is_due_and_it_is_not_called(void **state)
{
    (void)state;
    struct own own = {.told = TOLD_INIT};
    struct told other_told = TOLD_INIT;
    watch_with("tenant:1", free_all_but_own, &own, &own.watch);
    watch_with("tenant:1", tell, &other_told, &own.other);
    canceller_cancel(&stage.canceller, "tenant:1");
    await_told(&own.told);
    settle(stage.table, stage.worker);
    assert_int_equal(own.told.times, 1);
    assert_int_equal(other_told.times, 0);
    quash_watch_free(own.watch);
}

struct rearmed {
    struct told told;
    quash_watch *watch;
    _Atomic int made;
    int until;
};

static void watch_again(quash_change change, void *context)
{
    struct rearmed *rearmed = context;
    quash_watch_free(rearmed->watch);
    rearmed->watch = NULL;
    if (atomic_fetch_add(&rearmed->made, 1) + 1 < rearmed->until)
        watch_with("tenant:1", watch_again, rearmed, &rearmed->watch);
    else
        tell(change, &rearmed->told);
}

struct made {
    struct rearmed *rearmed;
    int wanted;
};

static bool was_made(void *context)
{
    struct made *made = context;
    return atomic_load(&made->rearmed->made) >= made->wanted;
}

static void a_callback_may_watch_again_and_is_called_for_each_change(void **state)
{
    (void)state;
    struct rearmed rearmed = {.told = TOLD_INIT, .until = 50};
    watch_with("tenant:1", watch_again, &rearmed, &rearmed.watch);
    for (int i = 1; i <= rearmed.until; i++) {
        struct made made = {&rearmed, i};
        /* The next is in place once the one before was called and this list is settled. */
        settle(stage.table, stage.worker);
        canceller_cancel(&stage.canceller, "tenant:1");
        await(was_made, &made, "a watch made in a callback was not called");
    }
    await_told(&rearmed.told);
    assert_int_equal(rearmed.made, rearmed.until);
    await_watching_threads(0);
}

static void watch_what_has_changed(quash_change change, void *context)
{
    struct rearmed *rearmed = context;
    quash_watch_free(rearmed->watch);
    rearmed->watch = NULL;
    if (atomic_fetch_add(&rearmed->made, 1) + 1 == rearmed->until) {
        tell(change, &rearmed->told);
        return;
    }
    quash_token *token = NULL;
    if (quash_token_new_at(stage.table, (quash_stamp){0, 0}, &token) != QUASH_OK ||
        quash_watch_token(token, watch_what_has_changed, rearmed, &rearmed->watch) != QUASH_OK)
        support_fail("no watch");
    quash_token_free(token);
}

static void a_watch_made_in_a_callback_of_what_has_changed_already_is_called(void **state)
{
    (void)state;
    struct rearmed rearmed = {.told = TOLD_INIT, .until = 50};
    uint64_t start_ns = clock_monotonic_ns();
    watch_with("tenant:1", watch_what_has_changed, &rearmed, &rearmed.watch);
    canceller_cancel(&stage.canceller, "tenant:1");
    await_told(&rearmed.told);
    assert_true(clock_monotonic_ns() - start_ns < UINT64_C(10000000000)); /* no sleep of a second in between */
}

static void after_all_were_called_the_next_is_still_called(void **state)
{
    (void)state;
    struct told told = TOLD_INIT;
    struct told next_told = TOLD_INIT;
    quash_watch *watch = watch_group(stage.table, "tenant:1", &told);
    canceller_cancel(&stage.canceller, "tenant:1");
    await_told(&told);
    canceller_cancel(&stage.canceller, "tenant:1");
    nap_ms(20); /* lets the thread find that nothing is left to wait for; if it has not, this still passes */
    quash_watch *next = watch_group(stage.table, "tenant:1", &next_told);
    canceller_cancel(&stage.canceller, "tenant:1");
    await_told(&next_told);
    assert_int_equal(told.times, 1);
    quash_watch_free(next);
    quash_watch_free(watch);
}

/* ---- While a callback runs */

struct held {
    struct gate entered;
    struct gate leave;
    _Atomic bool finished;
    quash_watch *own; /* to be freed by the callback; may be NULL */
};

static void hold(quash_change change, void *context)
{
    (void)change;
    struct held *held = context;
    quash_watch_free(held->own);
    gate_open(&held->entered);
    gate_pass(&held->leave);
    atomic_store(&held->finished, true);
}

struct freer {
    quash_watch *watch;
    struct held *held;
    _Atomic bool begun;
    bool after; /* the callback had finished when the free returned */
};

static void *free_one(void *context)
{
    struct freer *freer = context;
    atomic_store(&freer->begun, true);
    quash_watch_free(freer->watch);
    freer->after = atomic_load(&freer->held->finished);
    return NULL;
}

static bool has_begun(void *freer)
{
    return atomic_load(&((struct freer *)freer)->begun);
}

static void freeing_waits_for_the_running_callback(void **state)
{
    (void)state;
    struct held held = {GATE_INIT, GATE_INIT, false, NULL};
    struct freer freer = {.held = &held};
    watch_with("tenant:1", hold, &held, &freer.watch);
    canceller_cancel(&stage.canceller, "tenant:1");
    gate_pass(&held.entered);
    pthread_t thread = thread_start(free_one, &freer);
    await(has_begun, &freer, "a thread did not start");
    nap_ms(20); /* lets it get as far as it will: a free that does not wait would be over */
    gate_open(&held.leave);
    thread_join(thread);
    assert_true(freer.after);
    await_watching_threads(0);
}

static void a_change_during_a_callback_is_told_of_right_after_it(void **state)
{
    (void)state;
    uint64_t time_ns = 0;
    for (int i = 0; i < 5; i++) {
        struct held held = {GATE_INIT, GATE_INIT, false, NULL};
        struct told told = TOLD_INIT;
        quash_watch *holder = NULL;
        quash_watch *watch = watch_group(stage.table, "tenant:2", &told);
        watch_with("tenant:1", hold, &held, &holder);
        canceller_cancel(&stage.canceller, "tenant:1");
        gate_pass(&held.entered); /* the walk that the other was in is over */
        canceller_cancel(&stage.canceller, "tenant:2");
        uint64_t start_ns = clock_monotonic_ns();
        gate_open(&held.leave);
        await_told(&told);
        time_ns += clock_monotonic_ns() - start_ns;
        quash_watch_free(watch);
        quash_watch_free(holder);
    }
    assert_true(time_ns < UINT64_C(2500000000)); /* a thread that had missed them would have slept a second each */
}

static void threads_may_free_other_watches_while_a_callback_runs(void **state)
{
    (void)state;
    enum { OTHERS = 4 };
    struct held held = {GATE_INIT, GATE_INIT, false, NULL};
    struct told told = TOLD_INIT;
    struct freer freers[OTHERS];
    pthread_t threads[OTHERS];
    quash_watch *watch = NULL;
    watch_with("tenant:1", hold, &held, &watch);
    for (int i = 0; i < OTHERS; i++) /* half of them due and next */
        freers[i] =
            (struct freer){.watch = watch_group(stage.table, i % 2 == 0 ? "tenant:1" : "user:1", &told), .held = &held};
    canceller_cancel(&stage.canceller, "tenant:1");
    gate_pass(&held.entered);
    for (int i = 0; i < OTHERS; i++)
        threads[i] = thread_start(free_one, &freers[i]);
    for (int i = 0; i < OTHERS; i++) {
        thread_join(threads[i]); /* while the callback is held */
        assert_false(freers[i].after);
    }
    /* Making one works as well. */
    quash_watch *made = watch_group(stage.table, "tenant:1", &told);
    gate_open(&held.leave);
    settle(stage.table, stage.worker);
    assert_int_equal(told.times, 0);
    quash_watch_free(made);
    quash_watch_free(watch);
}

static void a_callback_that_freed_itself_may_wait_for_who_frees_the_last_watch(void **state)
{
    (void)state;
    struct held held = {GATE_INIT, GATE_INIT, false, NULL};
    struct told told = TOLD_INIT;
    watch_with("tenant:1", hold, &held, &held.own);
    struct freer freer = {.watch = watch_group(stage.table, "user:1", &told), .held = &held};
    canceller_cancel(&stage.canceller, "tenant:1");
    gate_pass(&held.entered);
    thread_join(thread_start(free_one, &freer));
    assert_false(freer.after);
    gate_open(&held.leave);
    await_watching_threads(0);
}

static void a_table_may_be_closed_right_after_a_callback_freed_the_last_watch(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct held held = {GATE_INIT, GATE_INIT, false, NULL};
        quash_table *closed = follow(&stage.place);
        assert_int_equal(quash_watch_group(closed, "tenant:1", hold, &held, &held.own), QUASH_OK);
        canceller_cancel(&stage.canceller, "tenant:1");
        gate_pass(&held.entered);
        gate_open(&held.leave);
        quash_table_close(closed);
        assert_true(held.finished);
        assert_int_equal(watching_threads(), 0);
    }
}

#define T(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_callback_may_free_its_own_watch_and_with_the_last_the_thread_ends),
        T(a_callback_may_free_a_watch_that_is_due_and_it_is_not_called),
        T(a_callback_may_watch_again_and_is_called_for_each_change),
        T(a_watch_made_in_a_callback_of_what_has_changed_already_is_called),
        T(after_all_were_called_the_next_is_still_called),
        T(freeing_waits_for_the_running_callback),
        T(a_change_during_a_callback_is_told_of_right_after_it),
        T(threads_may_free_other_watches_while_a_callback_runs),
        T(a_callback_that_freed_itself_may_wait_for_who_frees_the_last_watch),
        T(a_table_may_be_closed_right_after_a_callback_freed_the_last_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
