/*
 * canceller.c - see canceller.h.
 *
 * One mutex guards the orders and the counts; the thread holds it only between bouts. `on` is atomic besides, so that a
 * bout ends without taking it.
 */
#include "canceller.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "measure.h"

#define SLEEP_MIN_NS UINT64_C(60000) /* a sleep takes that long anyway */
#define BEHIND_MAX   (5 * NS_PER_MS) /* what is further behind is given up, not caught up with in one burst */
#define NAME_SIZE    40

struct canceller {
    struct canceller_plan plan;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* on, quit, or a bout has ended */
    atomic_bool on;         /* relaxed: it orders nothing */
    bool quit, in_bout;
    uint64_t done, next_name;
    uint64_t spent_ns;
};

static void cancel_burst(struct canceller *canceller)
{
    for (uint64_t i = 0; i < canceller->plan.burst; i++) {
        char name[NAME_SIZE];
        snprintf(name, sizeof name, "order:%" PRIu64, canceller->next_name++ % canceller->plan.names);
        if (quash_table_cancel(canceller->plan.table, name) == QUASH_OK)
            canceller->done++;
    }
}

static void bout(struct canceller *canceller)
{
    double interval_ns = (double)NS_PER_S / canceller->plan.per_s * (double)canceller->plan.burst;
    uint64_t begun_ns = now_ns();
    double due_ns = (double)begun_ns;
    while (atomic_load_explicit(&canceller->on, memory_order_relaxed)) {
        uint64_t now = now_ns();
        if ((double)now < due_ns) {
            if (due_ns - (double)now > (double)SLEEP_MIN_NS)
                measure_sleep_until((uint64_t)fmin(due_ns, (double)(now + 20 * NS_PER_MS)));
            continue;
        }
        cancel_burst(canceller);
        due_ns = fmax(due_ns + interval_ns, (double)now - (double)BEHIND_MAX);
    }
    canceller->spent_ns += now_ns() - begun_ns;
}

static void *run(void *argument)
{
    struct canceller *canceller = argument;
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* this thread's sleeps: to the microsecond, not to fifty */
    if (canceller->plan.pinned)
        measure_pin(canceller->plan.processor);
    pthread_mutex_lock(&canceller->mutex);
    while (!canceller->quit) {
        if (!atomic_load_explicit(&canceller->on, memory_order_relaxed)) {
            pthread_cond_wait(&canceller->changed, &canceller->mutex);
            continue;
        }
        canceller->in_bout = true;
        pthread_mutex_unlock(&canceller->mutex);
        bout(canceller);
        pthread_mutex_lock(&canceller->mutex);
        canceller->in_bout = false;
        pthread_cond_broadcast(&canceller->changed);
    }
    pthread_mutex_unlock(&canceller->mutex);
    return NULL;
}

struct canceller *canceller_start(const struct canceller_plan *plan)
{
    struct canceller *canceller = calloc(1, sizeof *canceller);
    if (canceller == NULL)
        return NULL;
    canceller->plan = *plan;
    pthread_mutex_init(&canceller->mutex, NULL);
    pthread_cond_init(&canceller->changed, NULL);
    atomic_init(&canceller->on, false);
    if (pthread_create(&canceller->thread, NULL, run, canceller) != 0) {
        pthread_cond_destroy(&canceller->changed);
        pthread_mutex_destroy(&canceller->mutex);
        free(canceller);
        return NULL;
    }
    return canceller;
}

void canceller_stop(struct canceller *canceller)
{
    if (canceller == NULL)
        return;
    pthread_mutex_lock(&canceller->mutex);
    canceller->quit = true;
    atomic_store_explicit(&canceller->on, false, memory_order_relaxed);
    pthread_cond_broadcast(&canceller->changed);
    pthread_mutex_unlock(&canceller->mutex);
    pthread_join(canceller->thread, NULL);
    pthread_cond_destroy(&canceller->changed);
    pthread_mutex_destroy(&canceller->mutex);
    free(canceller);
}

void canceller_set(struct canceller *canceller, bool on)
{
    pthread_mutex_lock(&canceller->mutex);
    atomic_store_explicit(&canceller->on, on, memory_order_relaxed);
    pthread_cond_broadcast(&canceller->changed);
    pthread_mutex_unlock(&canceller->mutex);
}

double canceller_rate(struct canceller *canceller)
{
    pthread_mutex_lock(&canceller->mutex);
    while (canceller->in_bout)
        pthread_cond_wait(&canceller->changed, &canceller->mutex);
    double rate =
        canceller->spent_ns == 0 ? NAN : (double)canceller->done * (double)NS_PER_S / (double)canceller->spent_ns;
    pthread_mutex_unlock(&canceller->mutex);
    return rate;
}
