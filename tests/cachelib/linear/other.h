/*
 * other.h - another process, which opens the table by its path and cancels groups in it. Its history is in memory that
 * is shared with it.
 */
#ifndef QUASH_TESTS_LINEAR_OTHER_H
#define QUASH_TESTS_LINEAR_OTHER_H

#include "world.h"

/* Forks it; before any thread is started. It ends with its parent. */
void other_fork(struct common *common);
/* Lets it cancel, from now until other_stop, which returns when it has ended its last call. */
void other_start(struct common *common, const char *path, uint64_t seed);
void other_stop(struct common *common);
/* Ends the process. */
void other_end(void);

#endif
