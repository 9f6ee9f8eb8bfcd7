/* Time: absolute and sliding expiry, both at once, and jitter; with the clock moved by hand. */
#include "cache_support.h"

static quash_cache *cache_with_clock(struct manual_clock *clock, quash_cache_options options)
{
    options.clock_ms = manual_clock_ms;
    options.clock_context = clock;
    return new_cache_with(&options);
}

static quash_cache *cache_with_ttl(struct manual_clock *clock, uint64_t ttl_ms)
{
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.ttl_ms = ttl_ms;
    return cache_with_clock(clock, options);
}

static void put_for(quash_cache *cache, const char *key, uint64_t ttl_ms, uint64_t sliding_ms)
{
    quash_entry_options options = QUASH_ENTRY_OPTIONS_INIT;
    options.ttl_ms = ttl_ms;
    options.sliding_ms = sliding_ms;
    assert_int_equal(put_text_with(cache, key, "v", NULL, &options), QUASH_OK);
}

/* ---- Absolute ---- */

static void an_entry_is_served_for_its_ttl_and_no_longer(void **state)
{
    (void)state;
    struct manual_clock clock = {5000};
    quash_cache *cache = cache_with_ttl(&clock, 1000);
    put_for(cache, "default", QUASH_TTL_DEFAULT, QUASH_SLIDING_DEFAULT);
    put_for(cache, "short", 10, QUASH_SLIDING_DEFAULT);
    put_for(cache, "long", 2000, QUASH_SLIDING_DEFAULT);
    manual_clock_advance(&clock, 9);
    assert_true(hits(cache, "short"));
    manual_clock_advance(&clock, 1);
    assert_false(hits(cache, "short"));
    manual_clock_advance(&clock, 989);
    assert_true(hits(cache, "default"));
    manual_clock_advance(&clock, 1);
    assert_false(hits(cache, "default"));
    assert_true(hits(cache, "long"));
    manual_clock_advance(&clock, 1000);
    assert_false(hits(cache, "long"));
    assert_int_equal(stats_of(cache).misses_expired, 3);
    quash_cache_free(cache);
}

static void what_would_expire_after_the_end_of_time_never_does(void **state)
{
    (void)state;
    struct manual_clock clock = {5000};
    quash_cache *cache = cache_with_ttl(&clock, 1000);
    put_for(cache, "forever", QUASH_TTL_FOREVER, QUASH_SLIDING_DEFAULT);
    put_for(cache, "nearly forever", QUASH_TTL_FOREVER - 1, QUASH_SLIDING_DEFAULT);
    put_for(cache, "past the end", UINT64_MAX - 4999, QUASH_SLIDING_DEFAULT);
    put_for(cache, "just before the end", UINT64_MAX - 5001, QUASH_SLIDING_DEFAULT);
    manual_clock_advance(&clock, UINT64_MAX - 5000 - 2);
    assert_true(hits(cache, "just before the end"));
    manual_clock_advance(&clock, 1);
    assert_false(hits(cache, "just before the end"));
    assert_true(hits(cache, "past the end"));
    assert_true(hits(cache, "forever"));
    assert_true(hits(cache, "nearly forever"));
    /* What is put this late overflows whatever it asks for. */
    put_for(cache, "late", 1000, 1000);
    assert_true(hits(cache, "late"));
    quash_cache_free(cache);
}

static void the_default_ttl_is_five_minutes(void **state)
{
    (void)state;
    struct manual_clock clock = {0};
    quash_cache *cache = cache_with_ttl(&clock, QUASH_TTL_DEFAULT);
    put_text(cache, "key", "value", NULL);
    manual_clock_advance(&clock, 5 * 60 * 1000 - 1);
    assert_true(hits(cache, "key"));
    manual_clock_advance(&clock, 1);
    assert_false(hits(cache, "key"));
    quash_cache_free(cache);
}

static quash_status load_slowly(quash_fill *fill, void *context)
{
    manual_clock_advance(context, 60);
    return quash_fill_set_bytes(fill, "v", 1);
}

static void the_ttl_counts_from_when_the_load_began(void **state)
{
    (void)state;
    struct manual_clock clock = {7};
    quash_cache *cache = cache_with_ttl(&clock, 100);
    quash_entry *entry;
    assert_int_equal(quash_cache_get_or_load(cache, "key", 3, load_slowly, &clock, NULL, &entry), QUASH_OK);
    quash_entry_release(entry);
    manual_clock_advance(&clock, 39);
    assert_true(hits(cache, "key"));
    manual_clock_advance(&clock, 1);
    assert_false(hits(cache, "key"));
    quash_cache_free(cache);
}

static void a_load_that_outlasts_its_ttl_is_returned_and_not_kept(void **state)
{
    (void)state;
    struct manual_clock clock = {7};
    quash_cache *cache = cache_with_ttl(&clock, 50);
    quash_entry *entry;
    assert_int_equal(quash_cache_get_or_load(cache, "key", 3, load_slowly, &clock, NULL, &entry), QUASH_OK);
    quash_entry_release(entry);
    assert_int_equal(stats_of(cache).entries, 0);
    assert_int_equal(stats_of(cache).loads, 1);
    assert_int_equal(stats_of(cache).loads_voided, 0);
    quash_cache_free(cache);
}

/* ---- Sliding ---- */

static void a_sliding_entry_lives_while_it_is_used(void **state)
{
    (void)state;
    struct manual_clock clock = {5000};
    quash_cache *cache = cache_with_ttl(&clock, QUASH_TTL_FOREVER);
    put_for(cache, "used", QUASH_TTL_DEFAULT, 100);
    put_for(cache, "unused", QUASH_TTL_DEFAULT, 100);
    put_for(cache, "not sliding", QUASH_TTL_DEFAULT, QUASH_SLIDING_NONE);
    for (int i = 0; i < 20; i++) {
        manual_clock_advance(&clock, 99);
        assert_true(hits(cache, "used"));
    }
    assert_false(hits(cache, "unused"));
    manual_clock_advance(&clock, 100);
    assert_false(hits(cache, "used"));
    assert_true(hits(cache, "not sliding"));
    assert_int_equal(stats_of(cache).misses_expired, 2);
    quash_cache_free(cache);
}

static void sliding_never_outlives_the_ttl(void **state)
{
    (void)state;
    struct manual_clock clock = {5000};
    quash_cache *cache = cache_with_ttl(&clock, 1000);
    put_for(cache, "key", 250, 100);
    put_for(cache, "slides longer than it lives", 250, 1000);
    put_for(cache, "slides for ages", 250, QUASH_SLIDING_NONE - 1);
    for (int i = 0; i < 4; i++) {
        manual_clock_advance(&clock, 60);
        assert_true(hits(cache, "key"));
        assert_true(hits(cache, "slides longer than it lives"));
        assert_true(hits(cache, "slides for ages"));
    }
    manual_clock_advance(&clock, 9);
    assert_true(hits(cache, "key"));
    manual_clock_advance(&clock, 1);
    assert_false(hits(cache, "key"));
    assert_false(hits(cache, "slides longer than it lives"));
    assert_false(hits(cache, "slides for ages"));
    quash_cache_free(cache);
}

static void the_cache_says_what_slides_and_an_entry_may_say_otherwise(void **state)
{
    (void)state;
    struct manual_clock clock = {5000};
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.sliding_ms = 100;
    quash_cache *cache = cache_with_clock(&clock, options);
    put_text(cache, "says nothing", "v", NULL);
    put_for(cache, "says longer", QUASH_TTL_DEFAULT, 200);
    put_for(cache, "says not", QUASH_TTL_DEFAULT, QUASH_SLIDING_NONE);
    manual_clock_advance(&clock, 100);
    assert_false(hits(cache, "says nothing"));
    assert_true(hits(cache, "says longer"));
    manual_clock_advance(&clock, 200);
    assert_false(hits(cache, "says longer"));
    assert_true(hits(cache, "says not"));
    quash_cache_free(cache);
}

static bool look_on(const void *key, size_t key_size, quash_entry *entry, void *context)
{
    (void)key, (void)key_size, (void)entry;
    ++*(int *)context;
    return true;
}

static void contains_and_each_count_as_no_use(void **state)
{
    (void)state;
    struct manual_clock clock = {5000};
    quash_cache *cache = cache_with_ttl(&clock, 1000);
    put_for(cache, "key", QUASH_TTL_DEFAULT, 100);
    quash_cache_stats before = stats_of(cache);
    int met = 0;
    manual_clock_advance(&clock, 99);
    assert_true(contains(cache, "key"));
    assert_int_equal(quash_cache_each(cache, look_on, &met), QUASH_OK);
    assert_int_equal(met, 1);
    manual_clock_advance(&clock, 1);
    assert_false(contains(cache, "key"));
    assert_int_equal(quash_cache_each(cache, look_on, &met), QUASH_OK);
    assert_int_equal(met, 1);
    quash_cache_stats after = stats_of(cache);
    assert_memory_equal(&before, &after, sizeof before);
    assert_false(hits(cache, "key"));
    quash_cache_free(cache);
}

static void a_loaded_entry_slides_from_the_end_of_its_load(void **state)
{
    (void)state;
    struct manual_clock clock = {7};
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.ttl_ms = 1000;
    options.sliding_ms = 50; /* shorter than the load takes */
    quash_cache *cache = cache_with_clock(&clock, options);
    quash_entry *entry;
    assert_int_equal(quash_cache_get_or_load(cache, "key", 3, load_slowly, &clock, NULL, &entry), QUASH_OK);
    quash_entry_release(entry);
    manual_clock_advance(&clock, 49);
    assert_true(hits(cache, "key"));
    manual_clock_advance(&clock, 50);
    assert_false(hits(cache, "key"));
    quash_cache_free(cache);
}

/* ---- Many threads use one sliding entry while time passes ---- */

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { SLIDE_ROUNDS = 30000 };
#else
enum { SLIDE_ROUNDS = 300000 };
#endif

enum { SLIDERS = 4, SLIDE_MS = 20 };

struct slide {
    quash_cache *cache;
    _Atomic bool stop;
    _Atomic uint64_t missed;
};

static void *use_it(void *context)
{
    struct slide *slide = context;
    while (!atomic_load(&slide->stop)) {
        if (!hits(slide->cache, "key"))
            atomic_fetch_add(&slide->missed, 1);
    }
    return NULL;
}

static void renewals_by_many_threads_do_not_undo_each_other(void **state)
{
    (void)state;
    struct manual_clock clock = {5000};
    struct slide slide = {.cache = cache_with_ttl(&clock, QUASH_TTL_FOREVER)};
    put_for(slide.cache, "key", QUASH_TTL_DEFAULT, SLIDE_MS);
    pthread_t threads[SLIDERS];
    for (int i = 0; i < SLIDERS; i++)
        threads[i] = thread_start(use_it, &slide);
    for (int i = 0; i < SLIDE_ROUNDS; i++) {
        manual_clock_advance(&clock, 1);
        /* This use keeps it alive for longer than the clock stands still, whatever the others do, some of which are
         * stopped in the midst of theirs for many rounds. */
        if (!hits(slide.cache, "key"))
            atomic_fetch_add(&slide.missed, 1);
    }
    atomic_store(&slide.stop, true);
    for (int i = 0; i < SLIDERS; i++)
        thread_join(threads[i]);
    assert_int_equal(slide.missed, 0);
    quash_cache_free(slide.cache);
}

/* ---- Jitter ---- */

enum { JITTERED = 2000 };

/* Puts JITTERED entries; fills in how long each of them lived, by `step_ms`. */
static void lives(struct manual_clock *clock, quash_cache *cache, uint64_t step_ms, uint64_t life_ms[JITTERED])
{
    for (int i = 0; i < JITTERED; i++) {
        life_ms[i] = 0;
        assert_int_equal(put_number(cache, i, 0), QUASH_OK);
    }
    for (int left = JITTERED; left > 0;) {
        manual_clock_advance(clock, step_ms);
        for (int i = 0; i < JITTERED; i++) {
            if (life_ms[i] % 2 != 0)
                continue; /* marked by an odd number: over */
            if (quash_cache_contains(cache, &i, sizeof i)) {
                life_ms[i] += step_ms;
            } else {
                life_ms[i]++;
                left--;
            }
        }
    }
}

static void jitter_spreads_expiries_and_never_lengthens_a_life(void **state)
{
    (void)state;
    struct manual_clock clock = {5000};
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.ttl_ms = 1000;
    options.ttl_jitter_percent = 30;
    quash_cache *cache = cache_with_clock(&clock, options);
    static uint64_t life_ms[JITTERED];
    lives(&clock, cache, 10, life_ms);
    /* By tenths of the 300 ms in which they may end. */
    int in_tenth[10] = {0};
    for (int i = 0; i < JITTERED; i++) {
        assert_in_range(life_ms[i], 690, 1000);
        uint64_t early_ms = 1000 - life_ms[i];
        in_tenth[early_ms >= 300 ? 9 : early_ms / 30]++;
    }
    /* 200 are to be expected in each; less than 120 would be six standard deviations. */
    for (int i = 0; i < 10; i++)
        assert_true(in_tenth[i] > 120);
    quash_cache_free(cache);
}

static void jitter_of_a_short_ttl_is_not_lost_to_rounding(void **state)
{
    (void)state;
    struct manual_clock clock = {5000};
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.ttl_ms = 90;
    options.ttl_jitter_percent = 50;
    quash_cache *cache = cache_with_clock(&clock, options);
    static uint64_t life_ms[JITTERED];
    lives(&clock, cache, 2, life_ms);
    uint64_t shortest_ms = UINT64_MAX, longest_ms = 0;
    for (int i = 0; i < JITTERED; i++) {
        shortest_ms = life_ms[i] < shortest_ms ? life_ms[i] : shortest_ms;
        longest_ms = life_ms[i] > longest_ms ? life_ms[i] : longest_ms;
    }
    assert_in_range(shortest_ms, 43, 50);
    assert_in_range(longest_ms, 85, 90);
    quash_cache_free(cache);
}

static void without_jitter_all_expire_at_once(void **state)
{
    (void)state;
    struct manual_clock clock = {5000};
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.ttl_ms = 1000;
    quash_cache *cache = cache_with_clock(&clock, options);
    for (int i = 0; i < 100; i++)
        put_number(cache, i, 0);
    manual_clock_advance(&clock, 999);
    for (int i = 0; i < 100; i++)
        assert_true(quash_cache_contains(cache, &i, sizeof i));
    manual_clock_advance(&clock, 1);
    for (int i = 0; i < 100; i++)
        assert_false(quash_cache_contains(cache, &i, sizeof i));
    quash_cache_free(cache);
}

static void jitter_leaves_forever_alone_and_may_take_all_of_a_ttl(void **state)
{
    (void)state;
    struct manual_clock clock = {5000};
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.ttl_ms = QUASH_TTL_FOREVER;
    options.ttl_jitter_percent = 100;
    quash_cache *cache = cache_with_clock(&clock, options);
    for (int i = 0; i < 100; i++)
        put_number(cache, i, 0);
    /* The longest ttl that is not forever, of which all or nothing may be taken. */
    const quash_entry_options longest = {sizeof longest, QUASH_TTL_FOREVER - 1, QUASH_SLIDING_DEFAULT, 0};
    for (int i = 100; i < 200; i++)
        assert_int_equal(put_number_with(cache, i, 0, NULL, &longest), QUASH_OK);
    manual_clock_advance(&clock, UINT64_MAX / 2);
    int left = 0;
    for (int i = 0; i < 200; i++) {
        if (i < 100)
            assert_true(quash_cache_contains(cache, &i, sizeof i));
        else
            left += quash_cache_contains(cache, &i, sizeof i);
    }
    assert_in_range(left, 20, 80);
    quash_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_is_served_for_its_ttl_and_no_longer),
        cmocka_unit_test(what_would_expire_after_the_end_of_time_never_does),
        cmocka_unit_test(the_default_ttl_is_five_minutes),
        cmocka_unit_test(the_ttl_counts_from_when_the_load_began),
        cmocka_unit_test(a_load_that_outlasts_its_ttl_is_returned_and_not_kept),
        cmocka_unit_test(a_sliding_entry_lives_while_it_is_used),
        cmocka_unit_test(sliding_never_outlives_the_ttl),
        cmocka_unit_test(the_cache_says_what_slides_and_an_entry_may_say_otherwise),
        cmocka_unit_test(contains_and_each_count_as_no_use),
        cmocka_unit_test(a_loaded_entry_slides_from_the_end_of_its_load),
        cmocka_unit_test(renewals_by_many_threads_do_not_undo_each_other),
        cmocka_unit_test(jitter_spreads_expiries_and_never_lengthens_a_life),
        cmocka_unit_test(jitter_of_a_short_ttl_is_not_lost_to_rounding),
        cmocka_unit_test(without_jitter_all_expire_at_once),
        cmocka_unit_test(jitter_leaves_forever_alone_and_may_take_all_of_a_ttl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
