/*
 * failing.h - every allocation of the library fails in turn. A program that uses this is linked with --wrap for each of
 * malloc, calloc, realloc, free and pthread_create, so that the calls made from its own objects, and only those, come
 * through here. cmocka's own are not among them. It may also be linked with --wrap for aligned_alloc, and for mmap and
 * munmap: then these count and fail too.
 */
#ifndef QUASH_TESTS_FAILING_H
#define QUASH_TESTS_FAILING_H

#include <stdbool.h>

/* Blocks allocated and not freed yet. */
long failing_live(void);

/* Bytes mapped and not unmapped yet. */
long failing_mapped(void);

/* The nth allocation from now on fails, and no other; 0: none does. */
void failing_set(long nth);

/* Whether one has failed since failing_set. */
bool failing_happened(void);

/* Whether pthread_create fails, with EAGAIN. */
void failing_threads(bool fail);

#endif
