/*
 * The eviction callback while threads put, fill, remove, clear, cancel, let time pass, resize and maintain at once: for
 * each object that was ever kept it is called exactly once, before the object is destroyed, which it is exactly once;
 * for one that was not kept, never. (IMemoryCache has lost callbacks, and run some twice.)
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache_support.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { ROUNDS = 20000 };
#else
enum { ROUNDS = 40000 };
#endif

enum { ACTORS = 4, KEYS = 48, OBJECTS = ACTORS * ROUNDS };

enum fate { UNKNOWN, KEPT, NOT_KEPT };

struct object {
    struct world *world;
    _Atomic int told;
    _Atomic int destroyed;
    enum fate fate; /* its actor's, until that is joined */
};

struct world {
    quash_cache *cache;
    struct manual_clock clock;
    _Atomic bool stop;
    _Atomic uint64_t told;
    _Atomic uint64_t told_as[QUASH_EVICTIONS];
    _Atomic int wrong; /* told twice, or after the end */
    struct object *objects;
};

struct actor {
    struct world *world;
    struct object *objects; /* ROUNDS of them, its own */
    uint32_t random;
};

static uint32_t next_random(uint32_t *random)
{
    return (*random = *random * 1664525 + 1013904223) >> 8;
}

static void destroy(void *object, void *context)
{
    (void)context;
    struct object *dying = object;
    if (atomic_fetch_add(&dying->destroyed, 1) != 0)
        atomic_fetch_add(&dying->world->wrong, 1);
}

static void on_evicted(const void *key, size_t key_size, quash_entry *entry, quash_eviction reason, void *context)
{
    struct world *world = context;
    struct object *object = quash_entry_object(entry);
    quash_entry *mine = quash_entry_acquire(entry);
    if (atomic_fetch_add(&object->told, 1) != 0 || atomic_load(&object->destroyed) != 0)
        atomic_fetch_add(&world->wrong, 1);
    uint64_t nth = atomic_fetch_add(&world->told, 1);
    atomic_fetch_add(&world->told_as[reason], 1);
    /* Outside all locks: so it may ask for what other threads are just doing to this key and to others. */
    if (nth % 16 == 0) {
        quash_entry *other = quash_cache_get(world->cache, key, key_size);
        quash_entry_release(other);
        stats_of(world->cache);
    }
    if (nth % 64 == 1) {
        int number = (int)(nth % KEYS);
        quash_cache_remove(world->cache, &number, sizeof number);
    }
    if (atomic_load(&object->destroyed) != 0)
        atomic_fetch_add(&world->wrong, 1);
    quash_entry_release(mine);
}

static void put_object(struct world *world, int key, struct object *object, uint32_t random)
{
    quash_token *token = new_token(world->cache, random % 2 == 0 ? "some" : NULL);
    quash_entry_options options = QUASH_ENTRY_OPTIONS_INIT;
    options.ttl_ms = random % 5 == 0 ? 3 : QUASH_TTL_DEFAULT;
    options.priority = (quash_priority)(random / 16 % 3);
    quash_status status =
        quash_cache_put_object(world->cache, &key, sizeof key, token, object, destroy, NULL, random % 300, &options);
    if (status != QUASH_OK) {
        object->fate = NOT_KEPT;
        destroy(object, NULL);
    }
    quash_token_free(token);
}

static void fill_object(struct world *world, int key, struct object *object, uint32_t random)
{
    quash_fill *fill;
    bool kept = false;
    object->fate = NOT_KEPT;
    if (quash_fill_begin(world->cache, &key, sizeof key, &fill) != QUASH_OK) {
        destroy(object, NULL);
        return;
    }
    if (random % 2 == 0 && quash_fill_add_group(fill, "some") != QUASH_OK)
        support_fail("no group");
    if (quash_fill_set_object(fill, object, destroy, NULL, random % 300) != QUASH_OK)
        support_fail("no object");
    if (random % 8 == 0)
        sched_yield();
    quash_entry *entry = NULL;
    if (quash_fill_commit(fill, &entry, &kept) != QUASH_OK)
        support_fail("no commit");
    object->fate = kept ? KEPT : NOT_KEPT;
    quash_entry_release(entry);
}

static void *act(void *context)
{
    struct actor *actor = context;
    struct world *world = actor->world;
    quash_entry *held = NULL;
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t random = next_random(&actor->random);
        int key = (int)(random % KEYS);
        uint32_t what = next_random(&actor->random);
        if (what % 3 == 0)
            fill_object(world, key, &actor->objects[i], what / 3);
        else
            put_object(world, key, &actor->objects[i], what / 3);
        key = (int)(what / 256 % KEYS);
        quash_entry_release(held);
        held = quash_cache_get(world->cache, &key, sizeof key);
        if (held != NULL && atomic_load(&((struct object *)quash_entry_object(held))->destroyed) != 0)
            atomic_fetch_add(&world->wrong, 1);
        if (what / 1024 % 8 == 0)
            manual_clock_advance(&world->clock, 1);
        if (what / 16 % 8 == 0)
            quash_cache_remove(world->cache, &key, sizeof key);
        if (what / 16 % 512 == 1)
            quash_cache_clear(world->cache);
    }
    quash_entry_release(held);
    return NULL;
}

static void *disturb(void *context)
{
    struct world *world = context;
    uint32_t random = 99;
    while (!atomic_load(&world->stop)) {
        uint32_t what = next_random(&random);
        quash_cache_maintain(world->cache, what % 100 + 1);
        if (what / 128 % 4 == 0 && quash_table_cancel(quash_cache_table(world->cache), "some") != QUASH_OK)
            support_fail("no cancel");
        if (what / 2048 % 64 == 0)
            quash_cache_resize(world->cache, what / 64 % 2 == 0 ? 3000 : 12000);
        sched_yield();
    }
    return NULL;
}

static void each_object_that_was_kept_is_told_exactly_once_and_no_other(void **state)
{
    (void)state;
    static struct world world = {.clock = {5000}};
    world.objects = calloc(OBJECTS, sizeof *world.objects);
    assert_non_null(world.objects);
    for (int i = 0; i < OBJECTS; i++)
        world.objects[i].world = &world;
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.max_bytes = 12000;
    options.clock_ms = manual_clock_ms;
    options.clock_context = &world.clock;
    options.evicted = on_evicted;
    options.evicted_context = &world;
    world.cache = new_cache_with(&options);

    struct actor actors[ACTORS];
    pthread_t threads[ACTORS];
    pthread_t disturber = thread_start(disturb, &world);
    for (int i = 0; i < ACTORS; i++) {
        actors[i] = (struct actor){&world, &world.objects[i * ROUNDS], (uint32_t)i * 7919 + 1};
        threads[i] = thread_start(act, &actors[i]);
    }
    for (int i = 0; i < ACTORS; i++)
        thread_join(threads[i]);
    atomic_store(&world.stop, true);
    thread_join(disturber);
    quash_cache_stats stats = stats_of(world.cache);
    uint64_t left = stats.entries;
    uint64_t counted = 0;
    for (int i = 0; i < QUASH_EVICTIONS; i++) {
        counted += stats.evicted[i];
        assert_int_equal(stats.evicted[i], world.told_as[i]);
        assert_true(stats.evicted[i] > 0); /* it proves nothing if nothing happened */
    }
    assert_int_equal(counted, world.told);
    quash_cache_free(world.cache);
    assert_int_equal(world.told, counted + left);

    assert_int_equal(world.wrong, 0);
    int kept = 0;
    for (int i = 0; i < OBJECTS; i++) {
        const struct object *object = &world.objects[i];
        assert_int_equal(object->destroyed, 1);
        assert_in_range(object->told, object->fate == KEPT, object->fate != NOT_KEPT);
        kept += object->fate == KEPT;
    }
    assert_true(kept > 0);
    printf("%d objects, %llu told: removed %llu, replaced %llu, expired %llu, cancelled %llu, capacity %llu\n", OBJECTS,
           (unsigned long long)world.told, (unsigned long long)world.told_as[0], (unsigned long long)world.told_as[1],
           (unsigned long long)world.told_as[2], (unsigned long long)world.told_as[3],
           (unsigned long long)world.told_as[4]);
    free(world.objects);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_object_that_was_kept_is_told_exactly_once_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
