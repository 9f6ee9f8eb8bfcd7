/* Single flight and its ways out, with real threads; the order of events is forced by gates, never by sleeping. */
#include <stdio.h>
#include <stdlib.h>

#include "cache.h"
#include "load_support.h"

/* ---- One load a key ---- */

enum { THREADS = 32 };

static void thirty_two_threads_make_one_load(void **state)
{
    (void)state;
    struct gate read = GATE_INIT, proceed = GATE_INIT;
    struct source source = {.cache = new_cache(), .version = 1, .read = &read, .proceed = &proceed};
    struct caller callers[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){.source = &source};
        threads[i] = thread_start(ask_thread, &callers[i]);
    }
    gate_pass(&read);
    await_waits(source.cache, THREADS - 1);
    gate_open(&proceed);
    for (int i = 0; i < THREADS; i++) {
        thread_join(threads[i]);
        assert_int_equal(callers[i].status, QUASH_OK);
        assert_int_equal(callers[i].version, 1);
    }
    assert_int_equal(source.loads, 1);
    quash_cache_stats stats = stats_of(source.cache);
    assert_int_equal(stats.loads, 1);
    assert_int_equal(stats.waits, THREADS - 1);
    assert_int_equal(stats.misses_absent, THREADS);
    assert_int_equal(stats.hits, 0);
    assert_int_equal(stats.waits_timed_out, 0);
    quash_cache_free(source.cache);
}

static void threads_that_race_to_a_missing_key_make_one_load(void **state)
{
    (void)state;
    /* Without gates: whoever comes late must hit what the others loaded. */
    for (int round = 0; round < 50; round++) {
        struct source source = {.cache = new_cache(), .version = round};
        struct caller callers[8];
        pthread_t threads[8];
        for (int i = 0; i < 8; i++) {
            callers[i] = (struct caller){.source = &source};
            threads[i] = thread_start(ask_thread, &callers[i]);
        }
        for (int i = 0; i < 8; i++) {
            thread_join(threads[i]);
            assert_int_equal(callers[i].version, round);
        }
        assert_int_equal(source.loads, 1);
        quash_cache_free(source.cache);
    }
}

struct object_lookup {
    quash_cache *cache;
    quash_entry *entry;
};

static void *look_up_object(void *context)
{
    struct object_lookup *lookup = context;
    char text[] = "not needed";
    if (quash_cache_get_or_load(lookup->cache, "key", 3, load_text, text, NULL, &lookup->entry) != QUASH_OK)
        support_fail("no object");
    return NULL;
}

static void an_object_shared_by_those_who_waited_is_destroyed_by_the_last(void **state)
{
    (void)state;
    enum { WAITERS = 4 };
    quash_cache *cache = new_cache();
    struct counted object = {0};
    quash_fill *fill;
    assert_int_equal(quash_fill_begin(cache, "key", 3, &fill), QUASH_OK);
    struct object_lookup callers[WAITERS];
    pthread_t threads[WAITERS];
    for (int i = 0; i < WAITERS; i++) {
        callers[i] = (struct object_lookup){cache, NULL};
        threads[i] = thread_start(look_up_object, &callers[i]);
    }
    await_waits(cache, WAITERS);
    assert_int_equal(quash_fill_set_object(fill, &object, counted_destroy, NULL, 1), QUASH_OK);
    assert_int_equal(quash_fill_commit(fill, NULL, NULL), QUASH_OK);
    for (int i = 0; i < WAITERS; i++)
        thread_join(threads[i]);
    assert_true(quash_cache_remove(cache, "key", 3));
    for (int i = 0; i < WAITERS; i++) {
        assert_int_equal(object.destroyed, 0);
        assert_ptr_equal(quash_entry_object(callers[i].entry), &object);
        quash_entry_release(callers[i].entry);
    }
    assert_int_equal(object.destroyed, 1);
    quash_cache_free(cache);
}

static void a_failure_reaches_all_who_wait(void **state)
{
    (void)state;
    struct gate read = GATE_INIT, proceed = GATE_INIT;
    struct source source = {
        .cache = new_cache(), .read = &read, .proceed = &proceed, .status = (quash_status)(QUASH_STATUS_USER + 3)};
    struct caller callers[8];
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) {
        callers[i] = (struct caller){.source = &source};
        threads[i] = thread_start(ask_thread, &callers[i]);
    }
    await_waits(source.cache, 7);
    gate_open(&proceed);
    for (int i = 0; i < 8; i++) {
        thread_join(threads[i]);
        assert_int_equal(callers[i].status, QUASH_STATUS_USER + 3);
    }
    assert_int_equal(source.loads, 1);
    assert_int_equal(cached_version(source.cache), -1);
    quash_cache_free(source.cache);
}

static void one_who_waits_too_long_gives_up_and_the_load_goes_on(void **state)
{
    (void)state;
    struct gate read = GATE_INIT, proceed = GATE_INIT;
    struct source source = {.cache = new_cache(), .version = 1, .read = &read, .proceed = &proceed};
    struct caller loader = {.source = &source}, patient = {.source = &source};
    struct caller hasty = {.source = &source, .timeout_ms = 20};
    pthread_t loading = thread_start(ask_thread, &loader);
    gate_pass(&read);
    pthread_t waiting = thread_start(ask_thread, &patient);
    await_waits(source.cache, 1);
    ask(&hasty);
    assert_int_equal(hasty.status, QUASH_TIMED_OUT);
    gate_open(&proceed);
    thread_join(loading);
    thread_join(waiting);
    assert_int_equal(loader.status, QUASH_OK);
    assert_int_equal(patient.status, QUASH_OK);
    assert_int_equal(source.loads, 1);
    assert_int_equal(cached_version(source.cache), 1);
    assert_int_equal(stats_of(source.cache).waits, 2);
    assert_int_equal(stats_of(source.cache).waits_timed_out, 1);
    quash_cache_free(source.cache);
}

static void the_caches_own_time_out_holds_for_those_who_name_none(void **state)
{
    (void)state;
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.load_timeout_ms = 20;
    quash_cache *cache = new_cache_with(&options);
    quash_fill *fill;
    assert_int_equal(quash_fill_begin(cache, "key", 3, &fill), QUASH_OK);
    quash_entry *entry = NULL;
    char text[] = "value";
    /* The thread that began a fill is not its loader, so this waits, and is not a deadlock. */
    assert_int_equal(quash_cache_get_or_load(cache, "key", 3, load_text, text, NULL, &entry), QUASH_TIMED_OUT);
    assert_null(entry);
    quash_fill_abandon(fill, QUASH_OK);
    quash_cache_free(cache);
}

/* ---- Changes during a load ---- */

static void a_load_that_overlaps_its_own_cancellation_is_not_served_afterwards(void **state)
{
    (void)state;
    struct gate read = GATE_INIT, proceed = GATE_INIT;
    struct source source = {
        .cache = new_cache(), .group = "tenant:42", .version = 1, .read = &read, .proceed = &proceed};
    struct caller loader = {.source = &source}, waiter = {.source = &source};
    pthread_t loading = thread_start(ask_thread, &loader);
    gate_pass(&read); /* it has read version 1, and stands still */
    pthread_t waiting = thread_start(ask_thread, &waiter);
    await_waits(source.cache, 1);

    atomic_store(&source.version, 2);
    assert_int_equal(quash_table_cancel(quash_cache_table(source.cache), "tenant:42"), QUASH_OK);
    gate_open(&proceed);
    thread_join(loading);
    thread_join(waiting);

    assert_int_equal(loader.status, QUASH_OK);
    assert_int_equal(loader.version, 1); /* its read overlapped the change */
    assert_int_equal(waiter.status, QUASH_OK);
    assert_int_equal(waiter.version, 2); /* no one else's does */
    assert_int_equal(source.loads, 2);
    assert_int_equal(cached_version(source.cache), 2);
    assert_int_equal(stats_of(source.cache).loads_voided, 1);
    quash_cache_free(source.cache);
}

enum voiding { BY_REMOVE, BY_CLEAR, BY_PUT };

static void check_voided_by(enum voiding how)
{
    struct gate read = GATE_INIT, proceed = GATE_INIT;
    struct source source = {.cache = new_cache(), .version = 1, .read = &read, .proceed = &proceed};
    struct caller loader = {.source = &source}, waiter = {.source = &source};
    pthread_t loading = thread_start(ask_thread, &loader);
    gate_pass(&read);
    pthread_t waiting = thread_start(ask_thread, &waiter);
    await_waits(source.cache, 1);

    atomic_store(&source.version, 2);
    if (how == BY_REMOVE)
        assert_false(quash_cache_remove(source.cache, "key", 3));
    if (how == BY_CLEAR)
        quash_cache_clear(source.cache);
    if (how == BY_PUT) {
        quash_token *token;
        int version = 2;
        assert_int_equal(quash_token_new(quash_cache_table(source.cache), &token), QUASH_OK);
        assert_int_equal(quash_cache_put(source.cache, "key", 3, token, &version, sizeof version, NULL), QUASH_OK);
        quash_token_free(token);
    }
    /* The one who waits does not depend on the voided load any more: that still stands still. */
    thread_join(waiting);
    assert_int_equal(waiter.status, QUASH_OK);
    assert_int_equal(waiter.version, 2);
    assert_int_equal(source.loads, how == BY_PUT ? 1 : 2);
    gate_open(&proceed);
    thread_join(loading);
    assert_int_equal(loader.version, 1);
    assert_int_equal(cached_version(source.cache), 2);
    quash_cache_stats stats = stats_of(source.cache);
    assert_int_equal(stats.loads_voided, 1);
    /* The second look of the one who waited is not counted, whatever it finds; the hit is cached_version's. */
    assert_int_equal(stats.misses_absent, 2);
    assert_int_equal(stats.hits, 1);
    assert_int_equal(stats.waits, 1);
    quash_cache_free(source.cache);
}

static void remove_during_a_load_voids_it_and_who_waited_loads_again(void **state)
{
    (void)state;
    check_voided_by(BY_REMOVE);
}

static void clear_during_a_load_voids_it_and_who_waited_loads_again(void **state)
{
    (void)state;
    check_voided_by(BY_CLEAR);
}

static void put_during_a_load_voids_it_and_who_waited_gets_the_put_value(void **state)
{
    (void)state;
    check_voided_by(BY_PUT);
}

static void a_fill_whose_group_was_refused_is_not_shared(void **state)
{
    (void)state;
    struct source source = {.cache = new_cache(), .version = 5};
    quash_fill *fill;
    assert_int_equal(quash_fill_begin(source.cache, "key", 3, &fill), QUASH_OK);
    struct caller waiter = {.source = &source};
    pthread_t waiting = thread_start(ask_thread, &waiter);
    await_waits(source.cache, 1);
    int stale = 4;
    assert_int_equal(quash_fill_add_group(fill, ""), QUASH_INVALID);
    assert_int_equal(quash_fill_set_bytes(fill, &stale, sizeof stale), QUASH_OK);
    bool kept = true;
    assert_int_equal(quash_fill_commit(fill, NULL, &kept), QUASH_OK);
    assert_false(kept);
    thread_join(waiting);
    assert_int_equal(waiter.version, 5);
    assert_int_equal(source.loads, 1);
    quash_cache_free(source.cache);
}

/* Puts another flight in the place of the one that is loading the key, which is voided, in one critical section, so
 * that those who waited for the first find the second. */
static struct flight *supersede_flight(quash_cache *cache)
{
    struct key key;
    assert_true(cache_key(cache, "key", 3, &key));
    struct shard *shard = cache_shard(cache, key.hash);
    pthread_mutex_lock(&shard->lock);
    struct flight_ends ends = {NULL};
    flight_void(shard, flight_find(shard, &key), &ends);
    struct flight *flight = flight_start(shard, &key);
    pthread_mutex_unlock(&shard->lock);
    assert_null(ends.first);
    assert_non_null(flight);
    return flight;
}

struct waited_for {
    struct shard *shard;
    struct flight *flight;
};

static bool somebody_waits(void *context)
{
    struct waited_for *waited_for = context;
    pthread_mutex_lock(&waited_for->shard->lock);
    bool waits = waited_for->flight->holders > 1;
    pthread_mutex_unlock(&waited_for->shard->lock);
    return waits;
}

static void end_flight(struct shard *shard, struct flight *flight)
{
    pthread_mutex_lock(&shard->lock);
    struct flight_ends ends = {NULL};
    flight_void(shard, flight, &ends);
    assert_null(flight_release(flight));
    pthread_mutex_unlock(&shard->lock);
}

static void after_two_voided_waits_one_loads_alone_for_itself(void **state)
{
    (void)state;
    struct source source = {.cache = new_cache(), .version = 9};
    struct key key;
    assert_true(cache_key(source.cache, "key", 3, &key));
    struct shard *shard = cache_shard(source.cache, key.hash);

    struct waited_for first = {shard, supersede_flight(source.cache)};
    struct caller waiter = {.source = &source};
    pthread_t waiting = thread_start(ask_thread, &waiter);
    await(somebody_waits, &first, "nobody waits for the first load");
    struct waited_for second = {shard, supersede_flight(source.cache)};
    await(somebody_waits, &second, "nobody waits for the second load");
    struct waited_for third = {shard, supersede_flight(source.cache)};
    /* A third load is under way, and does not hinder it. */
    thread_join(waiting);
    assert_int_equal(waiter.status, QUASH_OK);
    assert_int_equal(waiter.version, 9);
    assert_int_equal(source.loads, 1);
    assert_int_equal(cached_version(source.cache), -1);
    assert_int_equal(stats_of(source.cache).waits, 1);
    assert_int_equal(stats_of(source.cache).loads, 1);
    assert_int_equal(stats_of(source.cache).loads_voided, 0);

    end_flight(shard, first.flight);
    end_flight(shard, second.flight);
    end_flight(shard, third.flight);
    quash_cache_free(source.cache);
}

/* ---- Fills from any thread ---- */

static void *commit_elsewhere(void *context)
{
    quash_fill *fill = context;
    bool kept = false;
    int version = 3;
    if (quash_fill_add_group(fill, "tenant:42") != QUASH_OK ||
        quash_fill_set_bytes(fill, &version, sizeof version) != QUASH_OK ||
        quash_fill_commit(fill, NULL, &kept) != QUASH_OK || !kept)
        support_fail("a fill could not be committed by another thread");
    return NULL;
}

static void a_fill_may_be_ended_by_another_thread_than_began_it(void **state)
{
    (void)state;
    struct source source = {.cache = new_cache(), .version = 9};
    quash_fill *fill;
    assert_int_equal(quash_fill_begin(source.cache, "key", 3, &fill), QUASH_OK);
    struct caller waiter = {.source = &source};
    pthread_t waiting = thread_start(ask_thread, &waiter);
    await_waits(source.cache, 1);
    thread_join(thread_start(commit_elsewhere, fill));
    thread_join(waiting);
    assert_int_equal(waiter.version, 3);
    assert_int_equal(source.loads, 0);
    quash_table_cancel(quash_cache_table(source.cache), "tenant:42");
    assert_int_equal(cached_version(source.cache), -1);

    assert_int_equal(quash_fill_begin(source.cache, "key", 3, &fill), QUASH_OK);
    waiting = thread_start(ask_thread, &waiter);
    await_waits(source.cache, 2);
    quash_fill_abandon(fill, QUASH_OK);
    thread_join(waiting);
    assert_int_equal(waiter.status, QUASH_LOAD_FAILED);
    quash_cache_free(source.cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thirty_two_threads_make_one_load),
        cmocka_unit_test(threads_that_race_to_a_missing_key_make_one_load),
        cmocka_unit_test(an_object_shared_by_those_who_waited_is_destroyed_by_the_last),
        cmocka_unit_test(a_failure_reaches_all_who_wait),
        cmocka_unit_test(one_who_waits_too_long_gives_up_and_the_load_goes_on),
        cmocka_unit_test(the_caches_own_time_out_holds_for_those_who_name_none),
        cmocka_unit_test(a_load_that_overlaps_its_own_cancellation_is_not_served_afterwards),
        cmocka_unit_test(remove_during_a_load_voids_it_and_who_waited_loads_again),
        cmocka_unit_test(clear_during_a_load_voids_it_and_who_waited_loads_again),
        cmocka_unit_test(put_during_a_load_voids_it_and_who_waited_gets_the_put_value),
        cmocka_unit_test(a_fill_whose_group_was_refused_is_not_shared),
        cmocka_unit_test(after_two_voided_waits_one_loads_alone_for_itself),
        cmocka_unit_test(a_fill_may_be_ended_by_another_thread_than_began_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
