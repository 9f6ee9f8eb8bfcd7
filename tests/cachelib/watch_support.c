/* See watch_support.h. */
#include "watch_support.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREAD_NAME "quash-watch"
#define STORM       "!" /* to the canceller, in place of a group */

static _Atomic unsigned turns;

void tell(quash_change change, void *context)
{
    struct told *told = context;
    atomic_store(&told->change, (int)change);
    atomic_store(&told->turn, atomic_fetch_add(&turns, 1));
    atomic_fetch_add(&told->times, 1);
}

static bool was_told(void *context)
{
    struct told *told = context;
    return atomic_load(&told->times) > 0;
}

void await_told(struct told *told)
{
    await(was_told, told, "a watch's callback did not come");
}

quash_watch *watch_group(quash_table *table, const char *group, struct told *told)
{
    quash_watch *watch = NULL;
    if (quash_watch_group(table, group, tell, told, &watch) != QUASH_OK)
        support_fail("no watch");
    return watch;
}

quash_watch *watch_token(const quash_token *token, struct told *told)
{
    quash_watch *watch = NULL;
    if (quash_watch_token(token, tell, told, &watch) != QUASH_OK)
        support_fail("no watch");
    return watch;
}

void watch_with(const char *group, quash_changed_fn *changed, void *context, quash_watch **watch)
{
    if (quash_watch_group(stage.table, group, changed, context, watch) != QUASH_OK)
        support_fail("no watch");
}

quash_token *token_of(quash_table *table, const char *group)
{
    quash_token *token = NULL;
    if (quash_token_new(table, &token) != QUASH_OK || (group != NULL && quash_token_add(token, group) != QUASH_OK))
        support_fail("no token");
    return token;
}

void nap_ms(long time_ms)
{
    nanosleep(&(struct timespec){0, time_ms * 1000000}, NULL);
}

void settle(quash_table *table, quash_table *writer)
{
    struct told told = TOLD_INIT;
    quash_watch *watch = watch_group(table, "settled", &told);
    if (quash_table_cancel(writer, "settled") != QUASH_OK)
        support_fail("no cancel");
    await_told(&told);
    quash_watch_free(watch);
}

int watching_threads(void)
{
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    if (tasks == NULL)
        support_fail("no /proc");
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        char path[300];
        char name[sizeof THREAD_NAME] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            continue;
        count += fgets(name, sizeof name, file) != NULL && strcmp(name, THREAD_NAME) == 0;
        fclose(file);
    }
    closedir(tasks);
    return count;
}

static bool are_watching_threads(void *count)
{
    return watching_threads() == *(int *)count;
}

void await_watching_threads(int count)
{
    await(are_watching_threads, &count, "there are more or fewer watching threads than there should be");
}

/* ---- The canceller */

static _Noreturn void cancel_on_and_on(quash_table *table)
{
    for (unsigned i = 0;; i++) {
        char group[32];
        snprintf(group, sizeof group, "storm:%u", i % 20000);
        if (quash_table_cancel(table, group) != QUASH_OK)
            _exit(1);
    }
}

static _Noreturn void cancel_what_is_told(const char *path, int names, int done)
{
    quash_table_options options = QUASH_TABLE_OPTIONS_INIT;
    options.writable = true;
    quash_table *table = NULL;
    if (quash_table_open(path, &options, &table, NULL) != QUASH_OK)
        _exit(1);
    char group[QUASH_GROUP_MAX + 1];
    while (read(names, group, sizeof group) == sizeof group) {
        bool storm = strcmp(group, STORM) == 0;
        if ((!storm && quash_table_cancel(table, group) != QUASH_OK) || write(done, "", 1) != 1)
            _exit(1);
        if (storm)
            cancel_on_and_on(table);
    }
    _exit(0);
}

void canceller_start(struct canceller *canceller, const struct table_place *place)
{
    int names[2];
    int done[2];
    if (pipe(names) != 0 || pipe(done) != 0)
        support_fail("no pipe");
    canceller->pid = scratch_fork();
    if (canceller->pid < 0)
        support_fail("no process");
    if (canceller->pid == 0) {
        close(names[1]);
        close(done[0]);
        cancel_what_is_told(place->path, names[0], done[1]);
    }
    close(names[0]);
    close(done[1]);
    canceller->names = names[1];
    canceller->done = done[0];
}

void canceller_cancel(const struct canceller *canceller, const char *group)
{
    char name[QUASH_GROUP_MAX + 1] = "";
    snprintf(name, sizeof name, "%s", group);
    char answer;
    if (write(canceller->names, name, sizeof name) != sizeof name || read(canceller->done, &answer, 1) != 1)
        support_fail("the cancelling process does not answer");
}

void canceller_storm(const struct canceller *canceller)
{
    canceller_cancel(canceller, STORM);
}

void canceller_stop(struct canceller *canceller)
{
    kill(canceller->pid, SIGKILL);
    waitpid(canceller->pid, NULL, 0);
    close(canceller->names);
    close(canceller->done);
}

/* ---- The stage */

struct stage stage;

int stage_setup(void **state)
{
    (void)state;
    table_place_make(&stage.place);
    stage.worker = serve(&stage.place);
    canceller_start(&stage.canceller, &stage.place);
    stage.table = follow(&stage.place);
    return 0;
}

int stage_teardown(void **state)
{
    (void)state;
    quash_table_close(stage.table);
    canceller_stop(&stage.canceller);
    quash_table_close(stage.worker);
    table_place_remove(&stage.place);
    return 0;
}
