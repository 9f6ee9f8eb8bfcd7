/*
 * Many threads at once, against three invariants:
 *  - a lookup never answers with a version older than the last one of which the cancellation had returned when the
 *    lookup began, whatever fills, puts, removals, evictions and voided loads go on;
 *  - every object is destroyed exactly once, and never while somebody holds it;
 *  - the bytes in use never exceed max_bytes.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cache_support.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { OPERATIONS = 12000, ROUNDS = 5000 };
#else
enum { OPERATIONS = 60000, ROUNDS = 20000 };
#endif

enum { GROUPS = 16, KEYS_A_GROUP = 2, KEYS = GROUPS * KEYS_A_GROUP };

/* A small generator, so that each thread has its own, from a seed that is printed (George Marsaglia's xorshift). */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint64_t new_seed(const char *test)
{
    const char *given = getenv("QUASH_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("%s: QUASH_TEST_SEED=%llu\n", test, (unsigned long long)seed);
    return seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
}

/* ---- No hit is older than a cancellation that had returned ---- */

struct world {
    quash_cache *cache;
    _Atomic uint64_t committed[GROUPS]; /* the database: the current version of each group's data */
    _Atomic uint64_t cancelled[GROUPS]; /* the last version whose cancellation has returned */
    _Atomic bool stop;
    _Atomic uint64_t stale;
    _Atomic uint64_t answers;
    size_t max_bytes;
    _Atomic uint64_t over_budget;
};

struct actor {
    struct world *world;
    uint64_t random;
    unsigned operations;
};

struct row {
    struct world *world;
    unsigned group;
    uint64_t random;
};

static void group_name(char name[16], unsigned group)
{
    snprintf(name, 16, "row:%u", group);
}

static void dawdle(uint64_t random)
{
    if (random % 4 == 0)
        sched_yield();
}

static quash_status load_row(quash_fill *fill, void *context)
{
    struct row *row = context;
    uint64_t version = atomic_load(&row->world->committed[row->group]);
    dawdle(next_random(&row->random));
    char name[16];
    group_name(name, row->group);
    quash_status status = quash_fill_add_group(fill, name);
    if (status != QUASH_OK)
        return status;
    if (next_random(&row->random) % 64 == 0)
        return QUASH_STATUS_USER;
    return quash_fill_set_bytes(fill, &version, sizeof version);
}

static void check_answer(struct world *world, const quash_entry *entry, uint64_t floor)
{
    uint64_t version;
    memcpy(&version, quash_entry_bytes(entry), sizeof version);
    atomic_fetch_add_explicit(&world->answers, 1, memory_order_relaxed);
    if (version < floor)
        atomic_fetch_add(&world->stale, 1);
}

static void check_budget(struct world *world)
{
    if (stats_of(world->cache).bytes > world->max_bytes)
        atomic_fetch_add(&world->over_budget, 1);
}

static void put_row(struct world *world, unsigned group, unsigned key, uint64_t random)
{
    quash_token *token;
    char name[16];
    group_name(name, group);
    if (quash_token_new(quash_cache_table(world->cache), &token) != QUASH_OK)
        support_fail("no token");
    uint64_t version = atomic_load(&world->committed[group]);
    dawdle(random);
    if (quash_token_add(token, name) != QUASH_OK)
        support_fail("no group");
    quash_status status = quash_cache_put(world->cache, &key, sizeof key, token, &version, sizeof version, NULL);
    if (status != QUASH_OK)
        support_fail(quash_status_string(status));
    quash_token_free(token);
}

static void fill_row(struct world *world, unsigned group, unsigned key, uint64_t random)
{
    quash_fill *fill;
    quash_entry *entry;
    uint64_t floor = atomic_load(&world->cancelled[group]);
    if (quash_fill_begin(world->cache, &key, sizeof key, &fill) != QUASH_OK)
        return;
    struct row row = {world, group, random | 1};
    quash_status status = load_row(fill, &row);
    if (status != QUASH_OK) {
        quash_fill_abandon(fill, status);
        return;
    }
    if (quash_fill_commit(fill, &entry, NULL) != QUASH_OK)
        support_fail("a fill could not be committed");
    check_answer(world, entry, floor);
    quash_entry_release(entry);
}

static void *reader(void *context)
{
    struct actor *actor = context;
    struct world *world = actor->world;
    for (unsigned i = 0; i < actor->operations; i++) {
        uint64_t random = next_random(&actor->random);
        unsigned key = (unsigned)(random >> 32) % KEYS;
        unsigned group = key % GROUPS;
        /* What is known to have been cancelled before the lookup begins. */
        uint64_t floor = atomic_load(&world->cancelled[group]);
        quash_entry *entry = NULL;
        switch (random % 16) {
        case 0:
            put_row(world, group, key, random >> 8);
            break;
        case 1:
            fill_row(world, group, key, random >> 8);
            break;
        case 2:
            quash_cache_remove(world->cache, &key, sizeof key);
            break;
        case 3:
            if ((random >> 8 & 15) == 0)
                quash_cache_clear(world->cache);
            else
                quash_cache_maintain(world->cache, random >> 12 & 127);
            break;
        case 4:
        case 5:
        case 6:
            entry = quash_cache_get(world->cache, &key, sizeof key);
            break;
        default: {
            struct row row = {world, group, random | 1};
            quash_status status = quash_cache_get_or_load(world->cache, &key, sizeof key, load_row, &row, NULL, &entry);
            if (status != QUASH_OK && status != QUASH_STATUS_USER)
                support_fail(quash_status_string(status));
            break;
        }
        }
        if (entry != NULL)
            check_answer(world, entry, floor);
        quash_entry_release(entry);
        check_budget(world);
    }
    return NULL;
}

static void *writer(void *context)
{
    struct actor *actor = context;
    struct world *world = actor->world;
    while (!atomic_load(&world->stop)) {
        uint64_t random = next_random(&actor->random);
        unsigned group = (unsigned)(random >> 32) % GROUPS;
        char name[16];
        group_name(name, group);
        uint64_t version = atomic_fetch_add(&world->committed[group], 1) + 1;
        dawdle(random);
        const char *cancelled = random % 64 == 1 ? "row:*" : random % 64 == 2 ? "*" : name;
        if (quash_table_cancel(quash_cache_table(world->cache), cancelled) != QUASH_OK)
            support_fail("a group could not be cancelled");
        uint64_t last = atomic_load(&world->cancelled[group]);
        while (last < version && !atomic_compare_exchange_weak(&world->cancelled[group], &last, version))
            ;
        for (int i = 0; i < 20; i++)
            sched_yield();
    }
    return NULL;
}

static void run_world(uint64_t buckets, size_t entries, bool maintained)
{
    enum { READERS = 4, WRITERS = 2 };
    static struct world world;
    memset(&world, 0, sizeof world);
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    assert_int_equal(quash_table_new_private(buckets, &options.table), QUASH_OK);
    world.max_bytes = options.max_bytes = entries * (charge_of(sizeof(unsigned), sizeof(uint64_t)) + sizeof(uint64_t));
    options.maintenance_thread = maintained;
    world.cache = new_cache_with(&options);

    uint64_t seed = new_seed("stress");
    struct actor actors[READERS + WRITERS];
    pthread_t threads[READERS + WRITERS];
    for (int i = 0; i < READERS + WRITERS; i++) {
        actors[i] = (struct actor){&world, seed * (uint64_t)(2 * i + 1), OPERATIONS};
        threads[i] = thread_start(i < READERS ? reader : writer, &actors[i]);
    }
    for (int i = 0; i < READERS; i++)
        thread_join(threads[i]);
    atomic_store(&world.stop, true);
    for (int i = READERS; i < READERS + WRITERS; i++)
        thread_join(threads[i]);

    assert_int_equal(world.stale, 0);
    assert_int_equal(world.over_budget, 0);
    quash_cache_stats stats = stats_of(world.cache);
    printf("answers %llu, hits %llu, cancelled %llu, collateral %llu, voided %llu, waits %llu, evictions %llu\n",
           (unsigned long long)world.answers, (unsigned long long)stats.hits,
           (unsigned long long)stats.misses_cancelled, (unsigned long long)stats.misses_collateral,
           (unsigned long long)stats.loads_voided, (unsigned long long)stats.waits,
           (unsigned long long)stats.evicted[QUASH_EVICTION_CAPACITY]);
    /* It proves nothing if nothing happened. */
    assert_true(stats.hits > 0);
    assert_true(stats.misses_cancelled + stats.misses_collateral > 0);
    quash_cache_clear(world.cache);
    assert_int_equal(stats_of(world.cache).bytes, 0);
    quash_cache_free(world.cache);
    quash_table_close(options.table);
}

static void no_hit_is_older_than_a_cancellation_that_had_returned(void **state)
{
    (void)state;
    run_world(QUASH_TABLE_BUCKETS_DEFAULT, 10 * KEYS, false);
}

static void nor_with_a_cache_too_small_for_its_keys(void **state)
{
    (void)state;
    run_world(QUASH_TABLE_BUCKETS_DEFAULT, KEYS / 4, false);
}

static void nor_with_a_table_too_small_for_its_groups(void **state)
{
    (void)state;
    run_world(1, 10 * KEYS, false);
}

static void nor_with_a_thread_that_maintains(void **state)
{
    (void)state;
    run_world(QUASH_TABLE_BUCKETS_DEFAULT, KEYS / 2, true);
}

/* ---- Tokens by themselves ---- */

struct duel {
    quash_table *table;
    _Atomic int ready;     /* the round for which the token has been started */
    _Atomic int cancelled; /* the round of which the cancellation has returned */
};

static void *cancel_each_round(void *context)
{
    struct duel *duel = context;
    for (int round = 1; round <= ROUNDS; round++) {
        while (atomic_load(&duel->ready) < round)
            sched_yield();
        /* The first makes the other side check in full, just when the second comes. */
        if (quash_table_cancel(duel->table, "unrelated:1") != QUASH_OK ||
            quash_table_cancel(duel->table, "tenant:42") != QUASH_OK)
            support_fail("a group could not be cancelled");
        atomic_store(&duel->cancelled, round);
    }
    return NULL;
}

static void a_token_has_changed_once_a_cancellation_has_returned(void **state)
{
    (void)state;
    struct duel duel = {.table = NULL};
    assert_int_equal(quash_table_new_private(1024, &duel.table), QUASH_OK);
    quash_token *token;
    assert_int_equal(quash_token_new(duel.table, &token), QUASH_OK);
    pthread_t canceller = thread_start(cancel_each_round, &duel);
    int missed = 0;
    for (int round = 1; round <= ROUNDS; round++) {
        quash_token_restart(token);
        assert_int_equal(quash_token_add(token, "tenant:42"), QUASH_OK);
        atomic_store(&duel.ready, round);
        for (int spins = 1; atomic_load(&duel.cancelled) < round; spins++) {
            quash_token_check(token);
            if (spins % 10000 == 0)
                sched_yield();
        }
        if (!quash_token_changed(token))
            missed++;
    }
    thread_join(canceller);
    assert_int_equal(missed, 0);
    quash_token_free(token);
    quash_table_close(duel.table);
}

/* ---- Destructors ---- */

#define ALIVE 0x600d600d600d600dULL

struct object {
    _Atomic uint64_t canary;
};

struct zoo {
    quash_cache *cache;
    _Atomic uint64_t made;
    _Atomic uint64_t destroyed;
};

static void destroy_object(void *object, void *context)
{
    struct zoo *zoo = context;
    struct object *dying = object;
    if (atomic_exchange(&dying->canary, 0) != ALIVE)
        support_fail("an object was destroyed twice");
    atomic_fetch_add(&zoo->destroyed, 1);
    free(dying);
}

static quash_status load_object(quash_fill *fill, void *context)
{
    struct zoo *zoo = context;
    struct object *object = malloc(sizeof *object);
    if (object == NULL)
        support_fail("no memory");
    atomic_init(&object->canary, ALIVE);
    atomic_fetch_add(&zoo->made, 1);
    return quash_fill_set_object(fill, object, destroy_object, zoo, 100);
}

struct keeper {
    struct zoo *zoo;
    uint64_t random;
    quash_entry *held; /* beyond the cache's end */
};

static void *keep_objects(void *context)
{
    struct keeper *keeper = context;
    quash_cache *cache = keeper->zoo->cache;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t random = next_random(&keeper->random);
        unsigned key = (unsigned)(random >> 32) % 16;
        if (random % 8 == 0)
            quash_cache_remove(cache, &key, sizeof key);
        if (random % 64 == 1)
            quash_cache_clear(cache);
        if (random % 64 == 2 && quash_table_cancel(quash_cache_table(cache), "*") != QUASH_OK)
            support_fail("no cancel");
        quash_entry *entry;
        if (quash_cache_get_or_load(cache, &key, sizeof key, load_object, keeper->zoo, NULL, &entry) != QUASH_OK)
            support_fail("no object");
        dawdle(random >> 8);
        if (atomic_load(&((struct object *)quash_entry_object(entry))->canary) != ALIVE)
            support_fail("an object was destroyed while it was held");
        quash_entry_release(keeper->held);
        keeper->held = entry;
    }
    return NULL;
}

static void an_object_is_destroyed_exactly_once_and_never_while_held(void **state)
{
    (void)state;
    enum { KEEPERS = 4 };
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.max_bytes = 10 * (charge_of(sizeof(unsigned), 100));
    struct zoo zoo = {.cache = new_cache_with(&options)};
    uint64_t seed = new_seed("objects");
    struct keeper keepers[KEEPERS];
    pthread_t threads[KEEPERS];
    for (int i = 0; i < KEEPERS; i++) {
        keepers[i] = (struct keeper){&zoo, seed * (uint64_t)(2 * i + 1), NULL};
        threads[i] = thread_start(keep_objects, &keepers[i]);
    }
    for (int i = 0; i < KEEPERS; i++)
        thread_join(threads[i]);
    quash_cache_free(zoo.cache);
    for (int i = 0; i < KEEPERS; i++) {
        assert_true(atomic_load(&((struct object *)quash_entry_object(keepers[i].held))->canary) == ALIVE);
        quash_entry_release(keepers[i].held);
    }
    assert_true(zoo.made > 0);
    assert_int_equal(zoo.made, zoo.destroyed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_hit_is_older_than_a_cancellation_that_had_returned),
        cmocka_unit_test(nor_with_a_cache_too_small_for_its_keys),
        cmocka_unit_test(nor_with_a_table_too_small_for_its_groups),
        cmocka_unit_test(nor_with_a_thread_that_maintains),
        cmocka_unit_test(a_token_has_changed_once_a_cancellation_has_returned),
        cmocka_unit_test(an_object_is_destroyed_exactly_once_and_never_while_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
