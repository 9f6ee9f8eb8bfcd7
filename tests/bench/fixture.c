/*
 * fixture.c - see fixture.h.
 *
 * The names of all files are made beforehand, so that a signal handler can remove them.
 */
#define _XOPEN_SOURCE 700 /* mkdtemp */
#include "fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define PATH_SIZE 256

static struct {
    char directory[PATH_SIZE]; /* "" until it is made */
    char table[FIXTURES_MAX][PATH_SIZE + 16];
    char lock[FIXTURES_MAX][PATH_SIZE + 32];
    size_t used;
    pid_t owner;
} scratch;

/* Calls only what a signal handler may call. */
static void remove_files(void)
{
    if (scratch.directory[0] == '\0' || scratch.owner != getpid())
        return;
    for (size_t i = 0; i < FIXTURES_MAX; i++) {
        unlink(scratch.table[i]);
        unlink(scratch.lock[i]);
    }
    rmdir(scratch.directory);
}

static void remove_files_and_end(int signal_number)
{
    remove_files();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static bool make_directory(void)
{
    const char *base = getenv("TMPDIR");
    if (access("/dev/shm", W_OK | X_OK) == 0)
        base = "/dev/shm";
    else if (base == NULL)
        base = "/tmp";
    char directory[PATH_SIZE];
    int length = snprintf(directory, sizeof directory, "%s/quash-bench-%ld-XXXXXX", base, (long)getpid());
    if (length < 0 || (size_t)length >= sizeof directory) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (mkdtemp(directory) == NULL)
        return false;
    for (size_t i = 0; i < FIXTURES_MAX; i++) {
        snprintf(scratch.table[i], sizeof scratch.table[i], "%s/table-%zu", directory, i);
        snprintf(scratch.lock[i], sizeof scratch.lock[i], "%s.lock", scratch.table[i]);
    }
    scratch.owner = getpid();
    memcpy(scratch.directory, directory, sizeof directory);
    atexit(remove_files);
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        signal(signals[i], remove_files_and_end);
    return true;
}

int fixture_open(struct fixture *fixture, const char *who, quash_cache_options *options)
{
    *fixture = (struct fixture){0};
    if (scratch.directory[0] == '\0' && !make_directory()) {
        fprintf(stderr, "%s: no directory for a table can be made in /dev/shm, TMPDIR or /tmp: %s\n", who,
                strerror(errno));
        return EXIT_UNREACHABLE;
    }
    const char *path = scratch.table[scratch.used++ % FIXTURES_MAX];
    quash_error error;
    bool fresh;
    if (quash_table_serve(path, NULL, &fixture->served, &fresh, &error) != QUASH_OK ||
        quash_table_open(path, NULL, &fixture->table, &error) != QUASH_OK) {
        fprintf(stderr, "%s: %s\n", who, error.message);
        return EXIT_UNREACHABLE;
    }
    options->table = fixture->table;
    quash_status status = quash_cache_new(options, &fixture->cache);
    return status == QUASH_OK ? EXIT_DONE : bench_failed(who, "no cache can be made", status);
}

void fixture_close(struct fixture *fixture)
{
    quash_cache_free(fixture->cache);
    quash_table_close(fixture->table);
    quash_table_close(fixture->served);
    *fixture = (struct fixture){0};
}
