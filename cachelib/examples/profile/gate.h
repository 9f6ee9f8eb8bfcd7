/*
 * gate.h - lets the demo stop one load at an exact point, so that its races happen every time and not by luck.
 *
 * Threads: every function may be called from any thread, except gate_fini, which must be the last.
 */
#ifndef GATE_H
#define GATE_H

#include <pthread.h>
#include <stdbool.h>

#define GATE_HOLD_MAX_MS 30000 /* nobody is held for longer */

enum gate_state {
    GATE_OPEN,  /* everybody passes */
    GATE_ARMED, /* the next one will be held */
    GATE_HELD,  /* one is being held; everybody else passes */
};

struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t opened;
    enum gate_state state; /* guarded by mutex */
};

void gate_init(struct gate *gate);
void gate_fini(struct gate *gate);

/* Holds the next one to pass. False when one is held, or about to be, already. */
bool gate_arm(struct gate *gate);

/* Passes, after having been held if the gate was armed. */
void gate_pass(struct gate *gate);

/* Opens the gate and lets go of the one that is held. */
void gate_release(struct gate *gate);

enum gate_state gate_state(struct gate *gate);

#endif
