/*
 * worker_thread.h - starting a thread the way every thread of quashd is.
 */
#ifndef QUASHD_WORKER_THREAD_H
#define QUASHD_WORKER_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* Of memory that costs nothing until it is touched. Tables nested in an event's headers, and values nested in its body
 * or in a rules file, are walked recursively; whoever starts quashd with a small `ulimit -s` must not thereby let one
 * message or one file end it. */
#define WORKER_THREAD_STACK_BYTES ((size_t)16 << 20)

/* Starts `run` with all signals blocked: they are the main thread's. Whether it worked. */
bool worker_thread_start(pthread_t *thread, void *(*run)(void *argument), void *argument);

#endif
