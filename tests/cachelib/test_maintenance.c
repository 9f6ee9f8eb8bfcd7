/* The cache's own thread for maintenance: it finds what is dead by itself, ends with the cache, and leaves the
 * service's signals alone. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cache_support.h"

static quash_cache *maintained_cache(quash_cache_options options)
{
    options.maintenance_thread = true;
    return new_cache_with(&options);
}

struct wanted {
    quash_cache *cache;
    uint64_t entries;
};

static bool has_so_many(void *context)
{
    struct wanted *wanted = context;
    return stats_of(wanted->cache).entries == wanted->entries;
}

/* Nobody reads anything; only the thread can make it so. */
static void await_entries(quash_cache *cache, uint64_t entries)
{
    struct wanted wanted = {cache, entries};
    await(has_so_many, &wanted, "the dead were not found");
}

static void put_some(quash_cache *cache, int from, int to, const char *group, uint64_t ttl_ms)
{
    quash_entry_options options = QUASH_ENTRY_OPTIONS_INIT;
    options.ttl_ms = ttl_ms;
    for (int i = from; i < to; i++)
        assert_int_equal(put_number_with(cache, i, 8, group, &options), QUASH_OK);
}

static void what_another_process_cancels_goes_by_itself(void **state)
{
    (void)state;
    struct table_place place;
    table_place_make(&place);
    quash_table *server = serve(&place);
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.table = follow(&place);
    quash_cache *cache = maintained_cache(options);
    put_some(cache, 0, 100, "gone", QUASH_TTL_FOREVER);
    put_some(cache, 100, 150, "stays", QUASH_TTL_FOREVER);
    for (int round = 0; round < 3; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(quash_table_cancel(server, "gone") == QUASH_OK ? 0 : 1);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        await_entries(cache, 50);
        put_some(cache, 0, 100, "gone", QUASH_TTL_FOREVER);
    }
    assert_int_equal(stats_of(cache).evicted[QUASH_EVICTION_CANCELLED], 300);
    assert_int_equal(stats_of(cache).misses_cancelled, 0);
    quash_cache_free(cache);
    quash_table_close(options.table);
    quash_table_close(server);
    table_place_remove(&place);
}

static void what_expires_goes_by_itself(void **state)
{
    (void)state;
    quash_cache *cache = maintained_cache((quash_cache_options)QUASH_CACHE_OPTIONS_INIT);
    put_some(cache, 0, 100, NULL, 30);
    put_some(cache, 100, 110, NULL, 60);
    put_some(cache, 110, 130, NULL, QUASH_TTL_FOREVER);
    put_some(cache, 130, 131, NULL, QUASH_TTL_FOREVER - 1); /* a time that nobody sleeps for */
    await_entries(cache, 21);
    /* Also when it sleeps without an end in sight. */
    put_some(cache, 200, 300, NULL, 20);
    await_entries(cache, 21);
    quash_cache_free(cache);
}

static void a_clock_moved_by_hand_is_looked_at(void **state)
{
    (void)state;
    struct manual_clock clock = {5000};
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.clock_ms = manual_clock_ms;
    options.clock_context = &clock;
    quash_cache *cache = maintained_cache(options);
    put_some(cache, 0, 100, NULL, 1000000);
    manual_clock_advance(&clock, 1000000);
    await_entries(cache, 0);
    quash_cache_free(cache);
}

static void it_starts_without_a_table_and_works_once_there_is_one(void **state)
{
    (void)state;
    struct table_place place;
    table_place_make(&place);
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.table = follow(&place);
    options.detached_ttl_ms = 1000000;
    quash_cache *cache = maintained_cache(options);
    put_some(cache, 0, 100, "group", QUASH_TTL_FOREVER);
    assert_int_equal(stats_of(cache).entries, 100);
    quash_table *server = serve(&place);
    await_entries(cache, 0); /* stamped while detached, which a table does not answer for */
    put_some(cache, 0, 100, "group", QUASH_TTL_FOREVER);
    assert_int_equal(quash_table_cancel(server, "group"), QUASH_OK);
    await_entries(cache, 0);
    quash_cache_free(cache);
    quash_table_close(options.table);
    quash_table_close(server);
    table_place_remove(&place);
}

/* ---- Callbacks run on it ---- */

struct witness {
    pthread_t maker;
    _Atomic int here;
    _Atomic int elsewhere;
};

static void bear_witness(const void *key, size_t key_size, quash_entry *entry, quash_eviction reason, void *context)
{
    (void)key, (void)key_size, (void)entry;
    struct witness *witness = context;
    bool here = pthread_equal(pthread_self(), witness->maker) != 0;
    if (reason != (here ? QUASH_EVICTION_REMOVED : QUASH_EVICTION_CANCELLED))
        support_fail("an entry went for another reason than it should");
    atomic_fetch_add(here ? &witness->here : &witness->elsewhere, 1);
}

static bool all_told(void *context)
{
    struct witness *witness = context;
    return atomic_load(&witness->elsewhere) == 50;
}

static void departures_that_it_finds_are_told_on_its_thread(void **state)
{
    (void)state;
    struct witness witness = {.maker = pthread_self()};
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.evicted = bear_witness;
    options.evicted_context = &witness;
    quash_cache *cache = maintained_cache(options);
    put_some(cache, 0, 50, "gone", QUASH_TTL_FOREVER);
    put_some(cache, 50, 60, "stays", QUASH_TTL_FOREVER);
    quash_table_cancel(quash_cache_table(cache), "gone");
    await(all_told, &witness, "departures were not told");
    quash_cache_free(cache);
    assert_int_equal(witness.here, 10);
    assert_int_equal(witness.elsewhere, 50);
}

/* ---- The thread itself ---- */

enum { TASKS_MAX = 64 };

/* The threads of this process; their number. */
static int tasks(int task[TASKS_MAX])
{
    DIR *directory = opendir("/proc/self/task");
    assert_non_null(directory);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL && count < TASKS_MAX;) {
        if (entry->d_name[0] != '.')
            task[count++] = atoi(entry->d_name);
    }
    closedir(directory);
    return count;
}

static unsigned long long blocked_signals(int task)
{
    char path[64], line[256];
    unsigned long long mask = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/status", task);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "SigBlk: %llx", &mask) == 1)
            break;
    }
    fclose(file);
    return mask;
}

static bool so_many_tasks(void *wanted)
{
    int task[TASKS_MAX];
    return tasks(task) == *(int *)wanted;
}

/* The same once those that have been joined, which the kernel may list for a moment longer, have gone. */
static int settled_tasks(int task[TASKS_MAX])
{
    int count;
    do {
        count = tasks(task);
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    } while (tasks(task) != count);
    return count;
}

static void there_is_one_thread_it_ends_with_the_cache_and_takes_no_signals(void **state)
{
    (void)state;
    int before[TASKS_MAX] = {0}, with[TASKS_MAX] = {0};
    /* A sanitizer has a thread of its own from the first one on. */
    quash_cache_free(maintained_cache((quash_cache_options)QUASH_CACHE_OPTIONS_INIT));
    int count = settled_tasks(before);
    quash_cache *idle = new_cache();
    assert_int_equal(tasks(with), count); /* none unless it is asked for */
    quash_cache *cache = maintained_cache((quash_cache_options)QUASH_CACHE_OPTIONS_INIT);
    assert_int_equal(tasks(with), count + 1);
    /* It runs: before that it has all signals blocked in any case. */
    put_some(cache, 0, 10, "gone", QUASH_TTL_FOREVER);
    quash_table_cancel(quash_cache_table(cache), "gone");
    await_entries(cache, 0);
    for (int i = 0; i < count + 1; i++) {
        bool is_old = false;
        for (int j = 0; j < count; j++)
            is_old = is_old || before[j] == with[i];
        if (is_old)
            continue;
        const int signals[] = {SIGINT,  SIGTERM, SIGHUP,  SIGUSR1,  SIGUSR2,
                               SIGCHLD, SIGALRM, SIGPIPE, SIGRTMIN, SIGRTMAX};
        for (size_t s = 0; s < sizeof signals / sizeof signals[0]; s++)
            assert_true(blocked_signals(with[i]) >> (signals[s] - 1) & 1);
    }
    sigset_t mine;
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mine), 0);
    assert_false(sigismember(&mine, SIGTERM)); /* the caller's are as they were */
    quash_cache_free(cache);
    await(so_many_tasks, &count, "a thread is left");
    quash_cache_free(idle);
}

static void caches_come_and_go_with_their_threads_at_any_moment(void **state)
{
    (void)state;
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    assert_int_equal(quash_table_new_private(64, &options.table), QUASH_OK);
    for (int i = 0; i < 100; i++) {
        quash_cache *cache = maintained_cache(options);
        put_some(cache, 0, i % 7, "group", i % 3 == 0 ? 1 : QUASH_TTL_FOREVER);
        if (i % 2 == 0)
            quash_table_cancel(options.table, "group");
        quash_cache_free(cache);
    }
    quash_table_close(options.table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_is_one_thread_it_ends_with_the_cache_and_takes_no_signals),
        cmocka_unit_test(what_another_process_cancels_goes_by_itself),
        cmocka_unit_test(what_expires_goes_by_itself),
        cmocka_unit_test(a_clock_moved_by_hand_is_looked_at),
        cmocka_unit_test(it_starts_without_a_table_and_works_once_there_is_one),
        cmocka_unit_test(departures_that_it_finds_are_told_on_its_thread),
        cmocka_unit_test(caches_come_and_go_with_their_threads_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
