/*
 * other.c - see other.h. Orders go through one pipe: a path to begin with, at whose end the process ends; its answer,
 * when it has been stopped, through the other.
 */
#include "other.h"

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int orders[2], answers[2];
static pid_t process;

static void note(struct common *common, uint64_t *random, quash_table *table)
{
    char text[NAME_SIZE];
    const char *group = text;
    struct op *op = &common->ops[common->ops_count];
    unsigned draw = (unsigned)random_below(random, 40);
    unsigned name = draw < 3 ? draw : draw < 20 ? NAME_A + draw % (NAME_BARE - NAME_A + 1) : (unsigned)NAME_UNRELATED;
    name_write(text, name, draw % UNRELATED);
    *op = (struct op){.kind = DO_CANCEL, .thread = OTHER, .names = 1u << name};
    op->early_ms = atomic_load(&common->now_ms);
    op->began = atomic_fetch_add(&common->last, 1) + 1;
    op->status = (int)quash_table_cancel_batch(table, &group, 1);
    op->ended = atomic_fetch_add(&common->last, 1) + 1;
    op->late_ms = atomic_load(&common->now_ms);
    common->ops_count++;
}

static void cancel_until_stopped(struct common *common, const char *path)
{
    quash_table_options options = QUASH_TABLE_OPTIONS_INIT;
    quash_table *table;
    quash_error error;
    uint64_t random = common->seed;
    options.writable = true;
    if (quash_table_open(path, &options, &table, &error) != QUASH_OK)
        support_fail(error.message);
    while (!atomic_load(&common->stop) && common->ops_count < OPERATIONS_MAX) {
        note(common, &random, table);
        if (random_below(&random, 4) == 0)
            nanosleep(&(struct timespec){0, (long)random_below(&random, 50000)}, NULL);
    }
    quash_table_close(table);
}

static bool read_all(int fd, void *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t got = read(fd, (char *)bytes + at, size - at);
        if (got <= 0 && errno != EINTR)
            return false;
        at += got > 0 ? (size_t)got : 0;
    }
    return true;
}

static void write_all(int fd, const void *bytes, size_t size)
{
    /* Less than a pipe takes at once. */
    if (write(fd, bytes, size) != (ssize_t)size)
        support_fail("the other process does not listen");
}

void other_fork(struct common *common)
{
    char path[SCRATCH_PATH_SIZE + 16];
    if (pipe(orders) != 0 || pipe(answers) != 0)
        support_fail("no pipe");
    fflush(NULL);
    process = scratch_fork();
    if (process < 0)
        support_fail("no other process");
    if (process != 0) {
        close(orders[0]);
        close(answers[1]);
        return;
    }
    close(orders[1]);
    close(answers[0]);
    while (read_all(orders[0], path, sizeof path)) {
        cancel_until_stopped(common, path);
        write_all(answers[1], "", 1);
    }
    _exit(0);
}

void other_start(struct common *common, const char *path, uint64_t seed)
{
    char order[SCRATCH_PATH_SIZE + 16] = "";
    atomic_store(&common->stop, false);
    common->seed = seed ^ 1;
    snprintf(order, sizeof order, "%s", path);
    write_all(orders[1], order, sizeof order);
}

void other_stop(struct common *common)
{
    char answer;
    atomic_store(&common->stop, true);
    if (!read_all(answers[0], &answer, 1))
        support_fail("the other process has ended");
}

void other_end(void)
{
    close(orders[1]);
    close(answers[0]);
    waitpid(process, NULL, 0);
}
