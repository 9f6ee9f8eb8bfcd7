/*
 * lock.h - mutexes for critical sections of a few dozen instructions: who finds one taken spins for a moment before it
 * sleeps, since going to sleep and being woken takes longer than what it waits for.
 */
#ifndef QUASH_SRC_LOCK_H
#define QUASH_SRC_LOCK_H

#include <pthread.h>
#include <stdbool.h>

/* False without memory. */
static inline bool lock_init(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;
    if (pthread_mutexattr_init(&attributes) != 0)
        return false;
#ifdef __GLIBC__
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
    bool made = pthread_mutex_init(lock, &attributes) == 0;
    pthread_mutexattr_destroy(&attributes);
    return made;
}

#endif
