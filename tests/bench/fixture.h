/*
 * fixture.h - a table and caches as a service has them: the table is a file in shared memory, written by one handle as
 * quashd would, and followed by another, read-only one, which the cache checks.
 *
 * The file is in a directory of its own, which goes with the process, also when it is interrupted.
 */
#ifndef QUASH_BENCH_FIXTURE_H
#define QUASH_BENCH_FIXTURE_H

#include <quash/cache.h>
#include <quash/table.h>

#define FIXTURES_MAX 8u /* in the life of a process */

struct fixture {
    quash_table *served; /* to cancel with */
    quash_table *table;  /* that of the cache */
    quash_cache *cache;
};

/* `options->table` is set here. Explains failures in the name of `who`; returns EXIT_DONE or the exit code. Whatever
 * is returned, fixture_close is due. *fixture is zeroed before. */
int fixture_open(struct fixture *fixture, const char *who, quash_cache_options *options);
void fixture_close(struct fixture *fixture);

#endif
