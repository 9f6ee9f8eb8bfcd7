/*
 * gate.c - a one-shot hold: one mutex, one condition, one state.
 */
#include "gate.h"

#include <errno.h>
#include <time.h>

void gate_init(struct gate *gate)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&gate->opened, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&gate->mutex, NULL);
    gate->state = GATE_OPEN;
}

void gate_fini(struct gate *gate)
{
    pthread_cond_destroy(&gate->opened);
    pthread_mutex_destroy(&gate->mutex);
}

bool gate_arm(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    const bool was_open = gate->state == GATE_OPEN;
    if (was_open)
        gate->state = GATE_ARMED;
    pthread_mutex_unlock(&gate->mutex);
    return was_open;
}

void gate_pass(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    if (gate->state == GATE_ARMED) {
        gate->state = GATE_HELD;
        struct timespec deadline;
        clock_gettime(CLOCK_MONOTONIC, &deadline);
        deadline.tv_sec += GATE_HOLD_MAX_MS / 1000;
        while (gate->state == GATE_HELD)
            if (pthread_cond_timedwait(&gate->opened, &gate->mutex, &deadline) == ETIMEDOUT)
                gate->state = GATE_OPEN;
    }
    pthread_mutex_unlock(&gate->mutex);
}

void gate_release(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->state = GATE_OPEN;
    pthread_cond_broadcast(&gate->opened);
    pthread_mutex_unlock(&gate->mutex);
}

enum gate_state gate_state(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    const enum gate_state state = gate->state;
    pthread_mutex_unlock(&gate->mutex);
    return state;
}
