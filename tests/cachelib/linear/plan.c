/*
 * plan.c - drawing a round. What is drawn is skewed towards few keys and short times, where calls meet most.
 */
#include "world.h"

/* SplitMix64 (Steele, Lea and Flood, 2014): any seed will do. */
uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static bool one_in(uint64_t *random, uint64_t times)
{
    return random_below(random, times) == 0;
}

/* How often, of about a thousand calls. */
static const unsigned usual_weight[OPERATIONS] = {
    [DO_GET] = 300,    [DO_LOAD] = 250,   [DO_BEGIN] = 70,    [DO_NOTICE] = 20, [DO_FILL] = 40,   [DO_COMMIT] = 60,
    [DO_ABANDON] = 10, [DO_PUT] = 40,     [DO_CONTAINS] = 40, [DO_EACH] = 3,    [DO_REMOVE] = 20, [DO_CLEAR] = 1,
    [DO_CANCEL] = 100, [DO_ADVANCE] = 20, [DO_MAINTAIN] = 10, [DO_STATS] = 3,
};

static void draw_weights(struct plan *plan, uint64_t *random)
{
    static const unsigned quarters[] = {1, 4, 4, 4, 16};
    for (unsigned i = 0; i < OPERATIONS; i++) {
        unsigned weight = usual_weight[i] * quarters[random_below(random, 5)];
        if (i == DO_RESIZE && plan->theme == THEME_TIGHT)
            weight = 12;
        if (i == DO_REPLACE && plan->theme == THEME_SHARED)
            weight = one_in(random, 2) ? 8 : 0;
        plan->weight[i] = weight;
        plan->weights += weight;
    }
}

static void draw_lenience(struct plan *plan, uint64_t *random)
{
    quash_cache_options *cache = &plan->cache;
    plan->executor = one_in(random, 2);
    plan->load_on_executor = plan->executor && one_in(random, 2);
    if (one_in(random, 2))
        cache->eager_percent = (uint32_t)(1 + random_below(random, 99));
    if (one_in(random, 2))
        cache->ttl_jitter_percent = (uint32_t)random_below(random, 101);
    if (one_in(random, 2)) {
        cache->fail_safe_ms = 1 + random_below(random, 500);
        cache->fail_safe_throttle_ms = random_below(random, 50);
        cache->fail_safe_cancelled = one_in(random, 4);
        if (one_in(random, 2))
            cache->soft_timeout_ms = 1;
    }
}

void plan_draw(struct plan *plan, enum theme theme, uint64_t seed)
{
    static const unsigned keys[] = {1, 2, 4, KEYS_MAX};
    uint64_t state = seed, *random = &state;
    *plan = (struct plan){.theme = theme, .seed = seed};
    plan->workers = 2 + (unsigned)random_below(random, WORKERS_MAX - 1);
    plan->operations = 500 + (unsigned)random_below(random, OPERATIONS_MAX - 600);
    plan->keys = keys[random_below(random, 4)];
    plan->forgetful = one_in(random, 6);
    plan->buckets = plan->forgetful ? UINT64_C(1) << random_below(random, 3) : QUASH_TABLE_BUCKETS_DEFAULT;
    plan->sliding_percent = one_in(random, 2) ? 0 : 30;
    plan->step_ms = 1 + random_below(random, 30);
    plan->cache = (quash_cache_options)QUASH_CACHE_OPTIONS_INIT;
    plan->cache.max_bytes = BYTES_ROOMY;
    plan->cache.ttl_ms = 200;
    if (one_in(random, 3))
        plan->cache.absent_ttl_ms = 100;
    plan->cache.maintenance_thread = one_in(random, 4);
    if (theme == THEME_TIGHT) {
        plan->keys = KEYS_MAX;
        plan->cache.max_bytes = 300 + random_below(random, 2500);
        plan->never_remove = one_in(random, 3);
    }
    if (theme == THEME_LENIENT)
        draw_lenience(plan, random);
    draw_weights(plan, random);
}
