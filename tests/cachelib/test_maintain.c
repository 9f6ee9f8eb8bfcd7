/* Maintenance by calls: what is dead goes without being read, bounded, completely, and for nothing if nothing is due.
 * The cache's own thread for it: test_maintenance.c. */
#include <stdio.h>

#include "cache.h"
#include "cache_support.h"

static quash_cache *cache_with_clock(struct manual_clock *clock)
{
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.clock_ms = manual_clock_ms;
    options.clock_context = clock;
    return new_cache_with(&options);
}

static void put_numbers(quash_cache *cache, int from, int to, const char *group, uint64_t ttl_ms)
{
    quash_entry_options options = QUASH_ENTRY_OPTIONS_INIT;
    options.ttl_ms = ttl_ms;
    for (int i = from; i < to; i++)
        assert_int_equal(put_number_with(cache, i, 8, group, &options), QUASH_OK);
}

static int how_many_are_there(quash_cache *cache, int from, int to)
{
    int there = 0;
    for (int i = from; i < to; i++)
        there += quash_cache_contains(cache, &i, sizeof i);
    return there;
}

static void cancel(quash_cache *cache, const char *group)
{
    assert_int_equal(quash_table_cancel(quash_cache_table(cache), group), QUASH_OK);
}

/* ---- Complete ---- */

static void what_was_cancelled_goes_without_being_read_however_small_the_steps(void **state)
{
    (void)state;
    const size_t steps[] = {1, 7, 64, 1000, SIZE_MAX};
    for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++) {
        quash_cache *cache = new_cache();
        put_numbers(cache, 0, 2000, "gone", QUASH_TTL_DEFAULT);
        put_numbers(cache, 2000, 3000, "stays", QUASH_TTL_DEFAULT);
        maintain_to_the_end(cache, steps[s]);
        assert_int_equal(stats_of(cache).entries, 3000);
        uint64_t full = stats_of(cache).bytes;
        cancel(cache, "gone");
        maintain_to_the_end(cache, steps[s]);
        quash_cache_stats stats = stats_of(cache);
        assert_int_equal(stats.entries, 1000);
        assert_int_equal(stats.bytes, full / 3);
        assert_int_equal(stats.dead_bytes, 0);
        assert_int_equal(stats.evicted[QUASH_EVICTION_CANCELLED], 2000);
        assert_int_equal(stats.misses_cancelled, 0);
        assert_int_equal(how_many_are_there(cache, 2000, 3000), 1000);
        quash_cache_free(cache);
    }
}

static void what_has_expired_goes_and_what_expires_later_goes_later(void **state)
{
    (void)state;
    struct manual_clock clock = {5000};
    quash_cache *cache = cache_with_clock(&clock);
    put_numbers(cache, 0, 100, NULL, 10);
    put_numbers(cache, 100, 300, NULL, 20);
    put_numbers(cache, 300, 600, NULL, QUASH_TTL_FOREVER);
    maintain_to_the_end(cache, 50);
    assert_int_equal(stats_of(cache).entries, 600);
    manual_clock_advance(&clock, 9);
    maintain_to_the_end(cache, 50);
    assert_int_equal(stats_of(cache).entries, 600);
    manual_clock_advance(&clock, 1);
    maintain_to_the_end(cache, 50);
    assert_int_equal(stats_of(cache).entries, 500);
    manual_clock_advance(&clock, 10);
    maintain_to_the_end(cache, 50);
    assert_int_equal(stats_of(cache).entries, 300);
    assert_int_equal(stats_of(cache).evicted[QUASH_EVICTION_EXPIRED], 300);
    manual_clock_advance(&clock, UINT64_MAX / 2);
    maintain_to_the_end(cache, 50);
    assert_int_equal(stats_of(cache).entries, 300);
    quash_cache_free(cache);
}

static void a_sliding_entry_goes_when_it_was_not_used_and_only_then(void **state)
{
    (void)state;
    struct manual_clock clock = {5000};
    quash_cache *cache = cache_with_clock(&clock);
    const quash_entry_options sliding = {sizeof sliding, QUASH_TTL_FOREVER, 100, QUASH_PRIORITY_NORMAL};
    put_number_with(cache, 1, 0, NULL, &sliding);
    put_number_with(cache, 2, 0, NULL, &sliding);
    for (int i = 0; i < 5; i++) {
        manual_clock_advance(&clock, 60);
        assert_true(hits_number(cache, 1));
        maintain_to_the_end(cache, 1000);
        assert_int_equal(stats_of(cache).entries, i == 0 ? 2 : 1);
    }
    manual_clock_advance(&clock, 100);
    maintain_to_the_end(cache, 1000);
    assert_int_equal(stats_of(cache).entries, 0);
    quash_cache_free(cache);
}

static void what_may_still_stand_in_for_a_failed_load_stays_until_it_may_not(void **state)
{
    (void)state;
    struct manual_clock clock = {5000};
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.clock_ms = manual_clock_ms;
    options.clock_context = &clock;
    options.fail_safe_ms = 1000;
    quash_cache *cache = new_cache_with(&options);
    put_numbers(cache, 0, 10, "group", 100);
    manual_clock_advance(&clock, 1099);
    maintain_to_the_end(cache, 1000);
    assert_int_equal(stats_of(cache).entries, 10);
    manual_clock_advance(&clock, 1);
    maintain_to_the_end(cache, 1000);
    assert_int_equal(stats_of(cache).entries, 0);
    /* A cancelled one never may. */
    put_numbers(cache, 0, 10, "group", 100);
    cancel(cache, "group");
    maintain_to_the_end(cache, 1000);
    assert_int_equal(stats_of(cache).entries, 0);
    quash_cache_free(cache);
}

static void a_replaced_table_makes_everything_go(void **state)
{
    (void)state;
    struct table_place place;
    table_place_make(&place);
    quash_table *server = serve(&place);
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.table = follow(&place);
    quash_cache *cache = new_cache_with(&options);
    put_numbers(cache, 0, 100, "group", QUASH_TTL_DEFAULT);
    maintain_to_the_end(cache, 1000);
    assert_int_equal(remove(place.path), 0);
    assert_int_equal(quash_table_refresh(server, NULL, NULL), QUASH_OK);
    assert_int_equal(quash_table_refresh(options.table, NULL, NULL), QUASH_OK);
    put_numbers(cache, 100, 150, "group", QUASH_TTL_DEFAULT);
    maintain_to_the_end(cache, 1000);
    assert_int_equal(stats_of(cache).entries, 50);
    assert_int_equal(how_many_are_there(cache, 100, 150), 50);
    quash_cache_free(cache);
    quash_table_close(options.table);
    quash_table_close(server);
    table_place_remove(&place);
}

/* ---- Bounded, and for nothing if nothing is due ---- */

static void a_call_looks_at_no_more_than_it_was_allowed(void **state)
{
    (void)state;
    enum { ENTRIES = 5000 };
    quash_cache *cache = new_cache();
    put_numbers(cache, 0, ENTRIES, "gone", QUASH_TTL_DEFAULT);
    cancel(cache, "gone");
    uint64_t left = ENTRIES;
    bool more = true;
    while (more) {
        more = quash_cache_maintain(cache, 100);
        uint64_t now = stats_of(cache).entries;
        assert_in_range(left - now, 0, 100);
        left = now;
    }
    assert_int_equal(left, 0);
    quash_cache_free(cache);
}

static void a_call_that_may_look_at_nothing_says_whether_there_is_something(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    maintain_to_the_end(cache, 1000);
    assert_false(quash_cache_maintain(cache, 0));
    put_numbers(cache, 0, 10, "gone", QUASH_TTL_DEFAULT);
    assert_false(quash_cache_maintain(cache, 0));
    cancel(cache, "gone");
    assert_true(quash_cache_maintain(cache, 0));
    assert_int_equal(stats_of(cache).entries, 10);
    maintain_to_the_end(cache, 1000);
    assert_int_equal(stats_of(cache).entries, 0);
    assert_false(quash_cache_maintain(NULL, 10));
    quash_cache_free(cache);
}

static void when_nothing_is_due_a_call_says_so_at_once(void **state)
{
    (void)state;
    struct manual_clock clock = {5000};
    quash_cache *cache = cache_with_clock(&clock);
    put_numbers(cache, 0, 10000, "group", 1000);
    maintain_to_the_end(cache, 1000);
    for (int i = 0; i < 10; i++) {
        /* Neither hits nor new entries are a reason, nor time before the first has to go. */
        put_numbers(cache, 10000 + i, 10001 + i, "group", 1000);
        hits_number(cache, i);
        manual_clock_advance(&clock, 99);
        assert_false(quash_cache_maintain(cache, 1));
        assert_false(cache->sweep.under_way);
    }
    manual_clock_advance(&clock, 9);
    assert_false(quash_cache_maintain(cache, 1));
    manual_clock_advance(&clock, 1);
    assert_true(quash_cache_maintain(cache, 1));
    maintain_to_the_end(cache, 1000);
    assert_int_equal(stats_of(cache).entries, 9);
    cancel(cache, "other");
    assert_true(quash_cache_maintain(cache, 1));
    quash_cache_free(cache);
}

static void it_comes_to_an_end_however_fast_others_die(void **state)
{
    (void)state;
    enum { ENTRIES = 3000 };
    struct manual_clock clock = {5000};
    quash_cache *cache = cache_with_clock(&clock);
    for (int i = 0; i < ENTRIES; i++)
        put_numbers(cache, i, i + 1, i % 2 == 0 ? "gone" : "stays", (uint64_t)i + 1000);
    cancel(cache, "gone");
    for (int rounds = 0; rounds < 5; rounds++) {
        int live = how_many_are_there(cache, 0, ENTRIES);
        /* In each turn something is cancelled and something expires. */
        size_t calls = 0;
        do {
            cancel(cache, "other");
            manual_clock_advance(&clock, 1);
            assert_true(++calls < 10000);
        } while (quash_cache_maintain(cache, 10));
        /* What was dead when it began is gone. */
        assert_in_range(stats_of(cache).entries, how_many_are_there(cache, 0, ENTRIES), live);
    }
    quash_cache_free(cache);
}

static void what_died_behind_a_pass_under_way_is_gone_at_the_end_as_well(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    put_numbers(cache, 0, 1000, "first", QUASH_TTL_DEFAULT);
    put_numbers(cache, 1000, 2000, "second", QUASH_TTL_DEFAULT);
    cancel(cache, "first");
    /* A pass that is half around when others die, begun by whoever. */
    struct view view = cache_view(cache);
    struct departures departures = {{NULL}};
    for (int i = 0; i < 40; i++)
        sweep_some(cache, &view, &departures);
    departures_finish(cache, &departures);
    assert_true(cache->sweep.under_way);
    cancel(cache, "second");
    maintain_to_the_end(cache, 100);
    assert_int_equal(stats_of(cache).entries, 0);
    quash_cache_free(cache);
}

/* ---- While the index changes ---- */

static void a_pass_misses_nothing_while_the_index_grows_and_shrinks(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    put_numbers(cache, 0, 500, "gone", QUASH_TTL_DEFAULT);
    cancel(cache, "gone");
    int next = 500;
    bool more = true;
    for (int i = 0; more; i++) {
        more = quash_cache_maintain(cache, 13);
        if (i < 300) {
            put_numbers(cache, next, next + 50, "stays", QUASH_TTL_DEFAULT);
            next += 50;
        }
        assert_true(i < 100000);
    }
    assert_int_equal(how_many_are_there(cache, 500, next), next - 500);
    assert_int_equal(stats_of(cache).entries, next - 500);

    /* Nearly all of it dies, so the index shrinks shard by shard, while others come. */
    size_t slots = index_slots(&cache->shards[0].index);
    cancel(cache, "stays");
    int last = next;
    do
        put_numbers(cache, last, last + 1, "late", QUASH_TTL_DEFAULT), last++;
    while (quash_cache_maintain(cache, 500));
    assert_int_equal(stats_of(cache).entries, last - next);
    assert_int_equal(how_many_are_there(cache, next, last), last - next);
    assert_true(index_slots(&cache->shards[0].index) < slots / 4);
    quash_cache_free(cache);
}

static void an_index_made_anew_in_the_midst_of_a_pass_is_looked_at_again(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    struct index *index = &cache->shards[0].index;
    put_numbers(cache, 0, 6000, "gone", QUASH_TTL_DEFAULT);
    cancel(cache, "gone");
    size_t slots = index_slots(index);
    assert_true(quash_cache_maintain(cache, slots * 9 / 10));
    assert_true(cache->sweep.under_way && cache->sweep.shard == 0 && index->entries > 0);
    /* As an insertion does it that meets mostly tombstones. */
    struct index_table *old;
    index_shrink(index, &old);
    assert_non_null(old);
    reclaim_retire_block(&old->retired);
    assert_true(index_slots(index) < slots * 9 / 10);
    maintain_to_the_end(cache, 1000);
    assert_int_equal(stats_of(cache).entries, 0);
    quash_cache_free(cache);
}

/* ---- Memory ---- */

/* Room for exactly so many entries of a group. */
static quash_cache *full_cache(int entries)
{
    quash_cache *cache = new_cache();
    put_numbers(cache, 0, 1, "group", QUASH_TTL_DEFAULT);
    assert_int_equal(quash_cache_resize(cache, (size_t)entries * stats_of(cache).bytes), QUASH_OK);
    return cache;
}

static void what_was_cancelled_is_room_for_others_before_anything_live_goes(void **state)
{
    (void)state;
    enum { ENTRIES = 1000 };
    quash_cache *cache = full_cache(ENTRIES);
    for (int i = 0; i < ENTRIES; i++)
        put_numbers(cache, i, i + 1, i % 2 == 0 ? "gone" : "stays", QUASH_TTL_DEFAULT);
    assert_int_equal(stats_of(cache).entries, ENTRIES);
    cancel(cache, "gone");
    maintain_to_the_end(cache, 100);
    put_numbers(cache, 5000, 5000 + ENTRIES / 2, "stays", QUASH_TTL_DEFAULT);
    assert_int_equal(stats_of(cache).entries, ENTRIES);
    assert_int_equal(stats_of(cache).evicted[QUASH_EVICTION_CAPACITY], 0);
    for (int i = 1; i < ENTRIES; i += 2)
        assert_true(hits_number(cache, i));
    quash_cache_free(cache);
}

static void a_full_cache_looks_for_the_dead_itself_as_it_goes(void **state)
{
    (void)state;
    enum { ENTRIES = 1000, COME = 800 };
    quash_cache *cache = full_cache(ENTRIES);
    for (int i = 0; i < ENTRIES; i++)
        put_numbers(cache, i, i + 1, i % 10 != 0 ? "gone" : "stays", QUASH_TTL_DEFAULT);
    cancel(cache, "gone");
    put_numbers(cache, 5000, 5000 + COME, "stays", QUASH_TTL_DEFAULT);
    quash_cache_stats stats = stats_of(cache);
    assert_in_range(stats.evicted[QUASH_EVICTION_CANCELLED], COME - 20, ENTRIES * 9 / 10);
    /* While it looks, the first few insertions may find none in time. */
    assert_in_range(stats.evicted[QUASH_EVICTION_CAPACITY], 0, 20);
    assert_int_equal(how_many_are_there(cache, 5000, 5000 + COME), COME);
    quash_cache_free(cache);
}

static void the_memory_of_what_died_serves_what_comes(void **state)
{
    (void)state;
    enum { ENTRIES = 30000 };
    quash_cache *cache = new_cache();
    size_t mapped = 0;
    for (int round = 0; round < 4; round++) {
        put_numbers(cache, 0, ENTRIES, "gone", QUASH_TTL_DEFAULT);
        if (round == 0)
            mapped = slab_arena_mapped_bytes(cache_arena(cache));
        else
            assert_true(slab_arena_mapped_bytes(cache_arena(cache)) <= mapped);
        cancel(cache, "gone");
        maintain_to_the_end(cache, 1000);
        assert_int_equal(stats_of(cache).dead_bytes, 0);
        assert_true(slab_arena_mapped_bytes(cache_arena(cache)) <= SLAB_CHUNK_BYTES);
    }
    assert_true(mapped > SLAB_CHUNK_BYTES);
    quash_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_cancelled_goes_without_being_read_however_small_the_steps),
        cmocka_unit_test(what_has_expired_goes_and_what_expires_later_goes_later),
        cmocka_unit_test(a_sliding_entry_goes_when_it_was_not_used_and_only_then),
        cmocka_unit_test(what_may_still_stand_in_for_a_failed_load_stays_until_it_may_not),
        cmocka_unit_test(a_replaced_table_makes_everything_go),
        cmocka_unit_test(a_call_looks_at_no_more_than_it_was_allowed),
        cmocka_unit_test(a_call_that_may_look_at_nothing_says_whether_there_is_something),
        cmocka_unit_test(when_nothing_is_due_a_call_says_so_at_once),
        cmocka_unit_test(it_comes_to_an_end_however_fast_others_die),
        cmocka_unit_test(what_died_behind_a_pass_under_way_is_gone_at_the_end_as_well),
        cmocka_unit_test(a_pass_misses_nothing_while_the_index_grows_and_shrinks),
        cmocka_unit_test(an_index_made_anew_in_the_midst_of_a_pass_is_looked_at_again),
        cmocka_unit_test(what_was_cancelled_is_room_for_others_before_anything_live_goes),
        cmocka_unit_test(a_full_cache_looks_for_the_dead_itself_as_it_goes),
        cmocka_unit_test(the_memory_of_what_died_serves_what_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
