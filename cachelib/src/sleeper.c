/* See sleeper.h. */
#include "sleeper.h"

#include <time.h>

#include "clock.h"

/* Between two wakes of one who was not asleep yet: at first, and after doubling each time. It is a system call away
 * from its sleep, or waits for a processor. */
#define WAKE_AGAIN_FIRST_NS UINT64_C(50000)
#define WAKE_AGAIN_LAST_NS  UINT64_C(3200000)

bool sleeper_init(struct sleeper *sleeper)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0)
        return false;
    bool made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                pthread_cond_init(&sleeper->moved, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    if (!made)
        return false;
    if (pthread_mutex_init(&sleeper->mutex, NULL) != 0) {
        pthread_cond_destroy(&sleeper->moved);
        return false;
    }
    sleeper->asleep_on = NULL;
    sleeper->sleeps = 0;
    sleeper->interrupted = false;
    return true;
}

void sleeper_fini(struct sleeper *sleeper)
{
    pthread_mutex_destroy(&sleeper->mutex);
    pthread_cond_destroy(&sleeper->moved);
}

static void await_move(struct sleeper *sleeper, uint64_t time_ns)
{
    uint64_t now_ns = clock_monotonic_ns();
    if (time_ns > UINT64_MAX - now_ns) {
        pthread_cond_wait(&sleeper->moved, &sleeper->mutex);
        return;
    }
    uint64_t until_ns = now_ns + time_ns;
    const struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000u),
                                   .tv_nsec = (long)(until_ns % 1000000000u)};
    pthread_cond_timedwait(&sleeper->moved, &sleeper->mutex, &until);
}

void sleeper_sleep(struct sleeper *sleeper, const struct table_map *map, uint64_t seen, uint64_t time_ns)
{
    if (!sleeper->interrupted && map == NULL) {
        await_move(sleeper, time_ns);
    } else if (!sleeper->interrupted) {
        sleeper->asleep_on = map;
        sleeper->sleeps++;
        pthread_mutex_unlock(&sleeper->mutex);
        table_map_wait(map, seen, time_ns);
        pthread_mutex_lock(&sleeper->mutex);
        sleeper->asleep_on = NULL;
        pthread_cond_broadcast(&sleeper->moved);
    }
    sleeper->interrupted = false;
}

void sleeper_interrupt(struct sleeper *sleeper)
{
    sleeper->interrupted = true;
    pthread_cond_broadcast(&sleeper->moved);
    uint64_t again_ns = WAKE_AGAIN_FIRST_NS;
    for (const uint64_t sleep = sleeper->sleeps; sleeper->asleep_on != NULL && sleeper->sleeps == sleep;) {
        table_map_wake(sleeper->asleep_on);
        await_move(sleeper, again_ns);
        again_ns = again_ns < WAKE_AGAIN_LAST_NS ? again_ns * 2 : again_ns;
    }
}
