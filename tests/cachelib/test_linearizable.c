/*
 * Many threads use a cache in all the ways there are, and all that they called and were answered is checked afterwards
 * against a model of what is promised (linear/model.h). Round after round, each of another make.
 *
 *     QUASH_TEST_SECONDS   for all themes together; 4. The long run: 600
 *     QUASH_TEST_THEME     one theme only: roomy, tight, lenient, shared
 *     QUASH_TEST_SEED      of the first round; the others follow from it. Drawn from the time.
 *     QUASH_TEST_AGAIN     1: every round is the first one again, for a difference that does not come each time
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "linear/check.h"
#include "linear/other.h"

static const char *const theme_names[THEMES] = {"roomy", "tight", "lenient", "shared"};

static struct world *world;
static struct model model;

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static uint64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct sums {
    uint64_t rounds, hits, hits_absent, hits_stale, missed[5], waits, voided, evicted[QUASH_EVICTIONS];
};

static void add(struct sums *sums, const quash_cache_stats *stats)
{
    const uint64_t missed[5] = {stats->misses_absent, stats->misses_expired, stats->misses_cancelled,
                                stats->misses_collateral, stats->misses_detached};
    sums->rounds++;
    sums->hits += stats->hits;
    sums->hits_absent += stats->hits_absent;
    sums->hits_stale += stats->hits_stale;
    sums->waits += stats->waits;
    sums->voided += stats->loads_voided;
    for (unsigned i = 0; i < 5; i++)
        sums->missed[i] += missed[i];
    for (unsigned i = 0; i < QUASH_EVICTIONS; i++)
        sums->evicted[i] += stats->evicted[i];
}

#define U(number) ((unsigned long long)(number))

static void print_sums(const struct sums *sums, enum theme theme, unsigned differences)
{
    uint64_t calls = 0;
    for (unsigned kind = 0; kind < OPERATIONS; kind++)
        calls += world->seen[kind];
    printf("%s: %llu rounds, %llu calls:", theme_names[theme], U(sums->rounds), U(calls));
    for (unsigned kind = 0; kind < OPERATIONS; kind++)
        printf("%s %llu %s", kind == 0 ? "" : ",", U(world->seen[kind]), operation_names[kind]);
    printf(
        "\n  hits %llu (and absent %llu, stood in %llu), misses: absent %llu, expired %llu, cancelled %llu, collateral "
        "%llu, detached %llu\n",
        U(sums->hits), U(sums->hits_absent), U(sums->hits_stale), U(sums->missed[0]), U(sums->missed[1]),
        U(sums->missed[2]), U(sums->missed[3]), U(sums->missed[4]));
    printf("  waits %llu, voided loads %llu, evicted: removed %llu, replaced %llu, expired %llu, cancelled %llu, "
           "capacity %llu\n  differences %u\n",
           U(sums->waits), U(sums->voided), U(sums->evicted[0]), U(sums->evicted[1]), U(sums->evicted[2]),
           U(sums->evicted[3]), U(sums->evicted[4]), differences);
}

static void run_theme(enum theme theme)
{
    const char *only = getenv("QUASH_TEST_THEME");
    if (only != NULL && strcmp(only, theme_names[theme]) != 0)
        skip();
    uint64_t until_ms = monotonic_ms() + number_from("QUASH_TEST_SECONDS", 4) * 1000 / (only == NULL ? THEMES : 1);
    uint64_t seed = number_from("QUASH_TEST_SEED", (uint64_t)time(NULL));
    bool again = number_from("QUASH_TEST_AGAIN", 0) != 0;
    struct sums sums = {0};
    unsigned differences = 0;
    printf("%s: QUASH_TEST_SEED=%llu\n", theme_names[theme], U(seed));
    memset(world->seen, 0, sizeof world->seen);
    do {
        struct plan plan;
        plan_draw(&plan, theme, seed);
        world_run(world, &plan);
        model_build(&model, world);
        differences = check_round(&model);
        add(&sums, &world->at_end);
        if (differences != 0)
            printf("To repeat the round: QUASH_TEST_SEED=%llu QUASH_TEST_THEME=%s QUASH_TEST_AGAIN=1\n", U(seed),
                   theme_names[theme]);
        seed += !again;
    } while (differences == 0 && monotonic_ms() < until_ms);
    print_sums(&sums, theme, differences);
    fflush(stdout);
    assert_int_equal(differences, 0);
    /* It proves nothing if nothing happened. */
    assert_true(sums.hits > 0);
    assert_true(sums.missed[2] + sums.missed[3] > 0);
}

static void no_answer_differs_from_the_model_while_there_is_room_for_all(void **state)
{
    (void)state;
    run_theme(THEME_ROOMY);
}

static void none_differs_while_entries_are_evicted_and_the_bound_moves(void **state)
{
    (void)state;
    run_theme(THEME_TIGHT);
}

static void none_differs_with_eager_refresh_fail_safe_and_an_executor(void **state)
{
    (void)state;
    run_theme(THEME_LENIENT);
}

static void none_differs_while_another_process_cancels_and_the_table_is_replaced(void **state)
{
    (void)state;
    run_theme(THEME_SHARED);
}

static int set_up(void **state)
{
    (void)state;
    struct common *common = scratch_shared(sizeof *common);
    if (common == NULL)
        support_fail("no shared memory");
    other_fork(common);
    world = world_new(common);
    model_init(&model);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    model_fini(&model);
    world_free(world);
    other_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_answer_differs_from_the_model_while_there_is_room_for_all),
        cmocka_unit_test(none_differs_while_entries_are_evicted_and_the_bound_moves),
        cmocka_unit_test(none_differs_with_eager_refresh_fail_safe_and_an_executor),
        cmocka_unit_test(none_differs_while_another_process_cancels_and_the_table_is_replaced),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
