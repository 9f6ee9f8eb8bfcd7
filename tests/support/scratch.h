/*
 * scratch.h - a directory of its own for a test, and memory that forked children share with it.
 */
#ifndef QUASH_TESTS_SCRATCH_H
#define QUASH_TESTS_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SCRATCH_PATH_SIZE 256

/* Makes an empty directory in shared memory if there is any, else in TMPDIR or /tmp. False on failure. */
bool scratch_make(char directory[SCRATCH_PATH_SIZE]);

/* Removes it with all that is in it, one level of directories deep. */
void scratch_remove(const char *directory);

/* `directory`/`name`, in one of a few static buffers. */
const char *scratch_path(const char *directory, const char *name);

/* Zeroed memory that stays shared across fork; NULL on failure. */
void *scratch_shared(size_t bytes);

/* As fork, but the child dies with its parent, so that a test that fails leaves none behind. */
pid_t scratch_fork(void);

/* Writes a file of mode 0600; whether it worked. */
bool scratch_write(const char *path, const void *bytes, size_t size);

#endif
