/*
 * thread.h - starting the library's own threads: that of a cache's maintenance, that of a handle's watches.
 */
#ifndef QUASH_SRC_THREAD_H
#define QUASH_SRC_THREAD_H

#include <pthread.h>

/* As pthread_create. The service's signals are for its own threads, so the new one blocks them; not those by which the
 * kernel says that a callback has done something wrong: they are still for the service's handlers. */
int thread_create(pthread_t *thread, void *(*run)(void *argument), void *argument);

#endif
