/*
 * worker_thread.c - starting a thread. See worker_thread.h.
 */
#include "worker_thread.h"

#include <signal.h>

bool worker_thread_start(pthread_t *thread, void *(*run)(void *argument), void *argument)
{
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool fine = pthread_attr_setstacksize(&attributes, WORKER_THREAD_STACK_BYTES) == 0 &&
                pthread_create(thread, &attributes, run, argument) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return fine;
}
