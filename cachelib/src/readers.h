/*
 * readers.h - the records of all threads that look things up: what readers.c keeps and reclaim.c looks through.
 */
#ifndef QUASH_SRC_READERS_H
#define QUASH_SRC_READERS_H

#include <pthread.h>
#include <stdbool.h>

#include "reclaim.h"

/* The domain's mutex: the list of records, who has them, and all that is retired. */
extern pthread_mutex_t readers_mutex;

/* All records, by number; only ever added to. Under the mutex. */
extern struct reader *readers_first;

/* Makes every running thread of the process pass a full barrier; with reclaim_state.fenced nothing, since then the
 * caller's and the readers' read-modify-writes do without. False: it cannot be had any more, as in a process that has
 * since forbidden itself the system call. Then nothing may be freed. The mutex is held. */
bool readers_barrier(void);

/* reclaim.c, for the child of a fork: what was retired is the parent's to destroy. The mutex is held. */
void reclaim_forget(void);

#endif
