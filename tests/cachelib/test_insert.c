/*
 * Insertions that others interfere with at the worst moment: between room and place. The program is linked with --wrap
 * for policy_reserve, so that a test can stop one there, with the policy's lock held and none other, and policy_trim.
 */
#include "cache.h"
#include "cache_support.h"

enum policy_room __real_policy_reserve(struct policy *policy, size_t charge, struct policy_victims *victims);
enum policy_room __wrap_policy_reserve(struct policy *policy, size_t charge, struct policy_victims *victims);

/* Where the next insertion is stopped, if `armed`: once it has its victims. */
static struct {
    _Atomic bool armed;
    struct gate reached;
    struct gate go_on;
} stop = {.reached = GATE_INIT, .go_on = GATE_INIT};

enum policy_room __wrap_policy_reserve(struct policy *policy, size_t charge, struct policy_victims *victims)
{
    enum policy_room room = __real_policy_reserve(policy, charge, victims);
    if (atomic_exchange(&stop.armed, false)) {
        gate_open(&stop.reached);
        gate_pass(&stop.go_on);
    }
    return room;
}

enum policy_room __real_policy_trim(struct policy *policy, struct policy_victims *victims);
enum policy_room __wrap_policy_trim(struct policy *policy, struct policy_victims *victims);

static _Atomic int trims;

static int newcomer; /* its key */

enum policy_room __wrap_policy_trim(struct policy *policy, struct policy_victims *victims)
{
    enum policy_room room = __real_policy_trim(policy, victims);
    atomic_fetch_add(&trims, 1);
    return room;
}

static int arm(void **state)
{
    (void)state;
    stop.reached.open = stop.go_on.open = false;
    atomic_store(&stop.armed, false);
    atomic_store(&trims, 0);
    newcomer = 1000;
    return 0;
}

enum { ENTRIES = 4, VALUE_SIZE = 50 };

static _Atomic int told;
static _Atomic int told_reason;

static void on_evicted(const void *key, size_t key_size, quash_entry *entry, quash_eviction reason, void *context)
{
    (void)key_size, (void)entry, (void)context;
    int number;
    memcpy(&number, key, sizeof number);
    if (number != 0)
        return;
    atomic_fetch_add(&told, 1);
    atomic_store(&told_reason, (int)reason);
}

/* A full cache, of which 0 is the next to go. */
static quash_cache *full_cache(void)
{
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.evicted = on_evicted;
    quash_cache *cache = cache_for_entries_with(ENTRIES, VALUE_SIZE, options);
    for (int i = 0; i < ENTRIES; i++)
        assert_int_equal(put_number(cache, i, VALUE_SIZE), QUASH_OK);
    maintain_to_the_end(cache, 1000); /* so that nobody looks for the dead meanwhile */
    atomic_store(&told, 0);
    return cache;
}

static struct shard *shard_of_number(quash_cache *cache, int number)
{
    struct key key;
    if (!cache_key(cache, &number, sizeof number, &key))
        support_fail("no key");
    return cache_shard(cache, key.hash);
}

/* What the policy counts is what the index has. */
static bool add_charge(const void *key, size_t key_size, quash_entry *entry, void *context)
{
    (void)key, (void)key_size;
    *(uint64_t *)context += entry_charge(held_entry(entry));
    return true;
}

static void assert_counted_right(quash_cache *cache)
{
    uint64_t sum = 0;
    assert_int_equal(quash_cache_each(cache, add_charge, &sum), QUASH_OK);
    assert_int_equal(stats_of(cache).bytes, sum);
    assert_int_equal(cache->policy.reserved, 0);
}

static void *put_newcomer(void *context)
{
    if (put_number(context, newcomer, VALUE_SIZE) != QUASH_OK)
        support_fail("a newcomer was refused");
    return NULL;
}

static void *remove_victim(void *context)
{
    int victim = 0;
    return quash_cache_remove(context, &victim, sizeof victim) ? context : NULL;
}

static bool is_locked(void *context)
{
    struct shard *shard = context;
    if (pthread_mutex_trylock(&shard->lock) != 0)
        return true;
    pthread_mutex_unlock(&shard->lock);
    return false;
}

static void an_entry_that_is_removed_while_it_is_being_evicted_is_told_once(void **state)
{
    (void)state;
    quash_cache *cache = full_cache();
    atomic_store(&stop.armed, true);
    pthread_t inserting = thread_start(put_newcomer, cache);
    gate_pass(&stop.reached);
    pthread_t removing = thread_start(remove_victim, cache);
    /* It has taken the victim out of the index, and waits for the policy. */
    await(is_locked, shard_of_number(cache, 0), "nobody interfered");
    gate_open(&stop.go_on);
    thread_join(inserting);
    assert_non_null(thread_join(removing));
    assert_true(hits_number(cache, newcomer));
    assert_counted_right(cache);
    assert_int_equal(told, 1);
    assert_int_equal(told_reason, QUASH_EVICTION_REMOVED);
    assert_int_equal(stats_of(cache).entries, ENTRIES);
    quash_cache_free(cache);
    assert_int_equal(told, 1);
}

/* ---- A fill that is voided after its key's old entry has made way ---- */

static void *refill(void *context)
{
    quash_cache *cache = context;
    const int key = 0;
    quash_fill *fill;
    char bytes[2 * VALUE_SIZE] = {0};
    bool kept = true;
    if (quash_fill_begin(cache, &key, sizeof key, &fill) != QUASH_OK ||
        quash_fill_set_bytes(fill, bytes, sizeof bytes) != QUASH_OK || quash_fill_commit(fill, NULL, &kept) != QUASH_OK)
        support_fail("a fill failed");
    return kept ? context : NULL;
}

static void what_has_made_way_for_a_fill_that_is_voided_leaves(void **state)
{
    (void)state;
    quash_cache *cache = full_cache();
    atomic_store(&stop.armed, true);
    pthread_t filling = thread_start(refill, cache);
    gate_pass(&stop.reached);
    struct shard *shard = shard_of_number(cache, 0);
    struct flight_ends ends = {NULL};
    pthread_mutex_lock(&shard->lock);
    flight_void_all(shard, &ends);
    pthread_mutex_unlock(&shard->lock);
    flight_ends_finish(&ends);
    gate_open(&stop.go_on);
    assert_null(thread_join(filling));
    assert_int_equal(stats_of(cache).loads_voided, 1);
    /* Neither the new value nor, outside the bound's count, the old one. */
    assert_false(hits_number(cache, 0));
    assert_int_equal(told, 1);
    assert_counted_right(cache);
    quash_cache_free(cache);
    assert_int_equal(told, 1);
}

/* ---- A resize while another has room but not yet a place ---- */

static bool is_reserved(void *context)
{
    quash_cache *cache = context;
    pthread_mutex_lock(&cache->policy_lock);
    bool reserved = cache->policy.reserved != 0;
    pthread_mutex_unlock(&cache->policy_lock);
    return reserved;
}

static bool has_trimmed(void *context)
{
    (void)context;
    return atomic_load(&trims) > 0;
}

static void *resize_below_one_entry(void *context)
{
    if (quash_cache_resize(context, charge_of(sizeof(int), VALUE_SIZE) - 1) != QUASH_OK)
        support_fail("a resize did not wait for what was on its way in");
    return NULL;
}

static void a_resize_waits_for_what_is_on_its_way_in(void **state)
{
    (void)state;
    quash_cache *cache = full_cache();
    /* It is held up at its own shard, and so must not have its victim there. */
    while (shard_of_number(cache, newcomer) == shard_of_number(cache, 0))
        newcomer++;
    struct shard *shard = shard_of_number(cache, newcomer);
    pthread_mutex_lock(&shard->lock);
    pthread_t inserting = thread_start(put_newcomer, cache);
    await(is_reserved, cache, "nothing was reserved");
    pthread_t resizing = thread_start(resize_below_one_entry, cache);
    await(has_trimmed, NULL, "nobody resized");
    pthread_mutex_unlock(&shard->lock);
    thread_join(inserting);
    thread_join(resizing);
    assert_int_equal(stats_of(cache).entries, 0);
    assert_counted_right(cache);
    quash_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_entry_that_is_removed_while_it_is_being_evicted_is_told_once, arm),
        cmocka_unit_test_setup(a_resize_waits_for_what_is_on_its_way_in, arm),
        cmocka_unit_test_setup(what_has_made_way_for_a_fill_that_is_voided_leaves, arm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
