/*
 * maintenance.c - the cache's own thread, if it was asked for: it sweeps when something was cancelled, and when
 * something expires, and sleeps in between, on the table's futex.
 *
 * However thick the cancellations come, it works for a tenth of its time at most: after each round it rests ten times
 * as long as the round took, and for REST_MIN_NS at least.
 */
#include <pthread.h>
#include <stdlib.h>

#include "cache.h"
#include "sleeper.h"
#include "thread.h"

#define REST_MIN_NS UINT64_C(10000000)
#define REST_TIMES  10u
#define SLICE_SLOTS 4096u

/* How long it sleeps at most while no table is attached, or while the cache's clock is the caller's, which nobody can
 * sleep by. */
#define LOOK_AGAIN_NS UINT64_C(100000000)

struct maintenance {
    quash_cache *cache;
    struct sleeper sleeper;
    bool stopping; /* under the sleeper's mutex */
    pthread_t thread;
};

static bool stopping(struct maintenance *maintenance)
{
    pthread_mutex_lock(&maintenance->sleeper.mutex);
    bool stop = maintenance->stopping;
    pthread_mutex_unlock(&maintenance->sleeper.mutex);
    return stop;
}

/* How long the earliest expiry is away. */
static uint64_t due_in_ns(const quash_cache *cache, const struct view *view)
{
    uint64_t due_ms = atomic_load_explicit(&cache->sweep.due_ms, memory_order_relaxed);
    if (cache->clock_ms != NULL || view->map == NULL)
        return LOOK_AGAIN_NS;
    /* An entry that is added meanwhile with a shorter time is found a second late at most: sleeps are no longer. */
    if (due_ms <= view->now_ms)
        return 0;
    uint64_t in_ms = due_ms - view->now_ms;
    return in_ms > SLEEPER_FOREVER / 1000000 ? SLEEPER_FOREVER : in_ms * 1000000;
}

/* Rests, then sleeps until the count of changes is not that of the last pass any more, or for the time given. */
static void rest(struct maintenance *maintenance, uint64_t round_ns)
{
    const quash_cache *cache = maintenance->cache;
    uint64_t until_ns =
        clock_monotonic_ns() + (round_ns * REST_TIMES > REST_MIN_NS ? round_ns * REST_TIMES : REST_MIN_NS);
    pthread_mutex_lock(&maintenance->sleeper.mutex);
    for (uint64_t now_ns; !maintenance->stopping && (now_ns = clock_monotonic_ns()) < until_ns;)
        sleeper_sleep(&maintenance->sleeper, NULL, 0, until_ns - now_ns);
    pthread_mutex_unlock(&maintenance->sleeper.mutex);

    struct view view = cache_view(cache);
    uint64_t clean = atomic_load_explicit(&cache->sweep.clean_changes, memory_order_relaxed);
    pthread_mutex_lock(&maintenance->sleeper.mutex);
    if (!maintenance->stopping)
        sleeper_sleep(&maintenance->sleeper, view.map, clean, due_in_ns(cache, &view));
    pthread_mutex_unlock(&maintenance->sleeper.mutex);
}

static void *run(void *context)
{
    struct maintenance *maintenance = context;
    while (!stopping(maintenance)) {
        uint64_t began_ns = clock_monotonic_ns();
        while (sweep_slice(maintenance->cache, SLICE_SLOTS) && !stopping(maintenance))
            ;
        rest(maintenance, clock_monotonic_ns() - began_ns);
    }
    return NULL;
}

quash_status maintenance_start(quash_cache *cache)
{
    struct maintenance *maintenance = malloc(sizeof *maintenance);
    if (maintenance == NULL)
        return QUASH_NO_MEMORY;
    maintenance->cache = cache;
    maintenance->stopping = false;
    quash_status status = QUASH_NO_MEMORY;
    if (!sleeper_init(&maintenance->sleeper))
        goto free_maintenance;
    status = QUASH_SYSTEM;
    if (thread_create(&maintenance->thread, run, maintenance) != 0)
        goto fini_sleeper;
    cache->maintenance = maintenance;
    return QUASH_OK;

fini_sleeper:
    sleeper_fini(&maintenance->sleeper);
free_maintenance:
    free(maintenance);
    return status;
}

void maintenance_stop(quash_cache *cache)
{
    struct maintenance *maintenance = cache->maintenance;
    if (maintenance == NULL)
        return;
    pthread_mutex_lock(&maintenance->sleeper.mutex);
    maintenance->stopping = true;
    sleeper_interrupt(&maintenance->sleeper);
    pthread_mutex_unlock(&maintenance->sleeper.mutex);
    pthread_join(maintenance->thread, NULL);
    cache->maintenance = NULL;
    sleeper_fini(&maintenance->sleeper);
    free(maintenance);
}
