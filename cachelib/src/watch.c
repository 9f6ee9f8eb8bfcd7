/*
 * watch.c - calling back when something has changed.
 *
 * Each handle with watches has one thread, which goes through this:
 *
 *     rest until the pause after the last walk is over
 *     read the table's count of changes, then walk the waiting watches in the order they were made and check each token
 *     those that changed: out of the waiting list, into the due list, and called one by one with nothing held
 *     sleep while the count of changes is the one that was read
 *
 * No change is missed between the walk and the sleep, since the count was read before the walk. Nor is one between the
 * making of a watch and its first walk: whoever makes it puts it into the list and then checks it. If that finds
 * nothing, what comes later moves the count past the one the thread sleeps on; if it finds something, or another
 * mapping than the thread did, the thread is interrupted.
 *
 * Exactly once: a watch is in one list or none, and goes waiting -> due -> none under the mutex, before its callback.
 * Freeing takes it out of its list; a callback that runs on the thread meanwhile is waited for.
 *
 * The thread is started with the first watch and ends when it finds that none is left. Whoever frees the last one waits
 * for that, unless a callback runs: it may be waiting for just this call. Then the ended thread is joined by whoever
 * comes next: the maker of another watch, or quash_table_close.
 *
 * Ownership: a watch is its maker's, called or not; the watcher is the handle's. Locks: the table's mutex guards
 * which watcher it has; the sleeper's guards all in the watcher and its watches, and looks at the path (table_current)
 * are made under it, so it comes before the table's.
 */
#include <quash/watch.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "clock.h"
#include "sleeper.h"
#include "table_handle.h"
#include "thread.h"
#include "token.h"

/* From one walk to the next: at least this, and at least so many times the processor time that the walk took. So walks
 * cost no more than a fifth of a processor, however many watches there are and however fast cancellations come. */
#define WALK_PAUSE_NS    UINT64_C(1000000)
#define WALK_PAUSE_TIMES 4u

/* A table that appears wakes nobody. Long enough that each check also looks at the path. */
#define DETACHED_PAUSE_NS UINT64_C(25000000)

struct watch_list {
    quash_watch *first;
    quash_watch **end;
};

struct quash_watch {
    struct watcher *watcher;
    struct watch_list *list; /* that it is in, or NULL */
    quash_watch *next;
    quash_watch **place; /* what points to it in that list */
    quash_changed_fn *changed;
    void *context;
    quash_change change; /* why, once it is due */
    bool awaits_table;   /* of a group, made while no table was attached */
    struct token token;
};

enum thread_state {
    THREAD_NONE,
    THREAD_RUNNING,
    THREAD_ENDED /* and to be joined */
};

struct watcher {
    quash_table *table;
    struct sleeper sleeper; /* its mutex guards all that follows */
    struct watch_list waiting;
    struct watch_list due;
    size_t watches; /* not freed yet */
    pthread_t thread;
    enum thread_state state;
    bool closing;
    bool idle;                      /* asleep with nothing to watch */
    bool calling;                   /* a callback is running */
    const quash_watch *current;     /* whose, unless that has been freed */
    const struct table_map *walked; /* the mapping that the last walk was made with, and the next sleep will be */
    uint64_t walk_after_ns;
};

/* ---- Lists */

static void list_init(struct watch_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static void list_append(struct watch_list *list, quash_watch *watch)
{
    watch->list = list;
    watch->next = NULL;
    watch->place = list->end;
    *list->end = watch;
    list->end = &watch->next;
}

static void list_remove(quash_watch *watch)
{
    *watch->place = watch->next;
    if (watch->next != NULL)
        watch->next->place = watch->place;
    else
        watch->list->end = watch->place;
    watch->list = NULL;
}

/* ---- The thread */

static bool watch_is_due(quash_watch *watch, const struct table_map *map)
{
    if (watch->awaits_table && map == NULL)
        return false;
    watch->change = token_check(&watch->token, map);
    return watch->change != QUASH_UNCHANGED;
}

static bool watcher_ends(const struct watcher *watcher)
{
    return watcher->watches == 0 || watcher->closing;
}

static uint64_t thread_cpu_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void walk(struct watcher *watcher, const struct table_map *map)
{
    uint64_t start_ns = thread_cpu_ns();
    for (quash_watch *watch = watcher->waiting.first, *next; watch != NULL; watch = next) {
        next = watch->next;
        if (watch_is_due(watch, map)) {
            list_remove(watch);
            list_append(&watcher->due, watch);
        }
    }
    uint64_t pause_ns = (thread_cpu_ns() - start_ns) * WALK_PAUSE_TIMES;
    watcher->walk_after_ns = clock_monotonic_ns() + (pause_ns > WALK_PAUSE_NS ? pause_ns : WALK_PAUSE_NS);
}

static void call_due(struct watcher *watcher)
{
    while (watcher->due.first != NULL && !watcher->closing) {
        quash_watch *watch = watcher->due.first;
        list_remove(watch);
        quash_changed_fn *changed = watch->changed;
        void *context = watch->context;
        quash_change change = watch->change;
        watcher->current = watch;
        watcher->calling = true;
        pthread_mutex_unlock(&watcher->sleeper.mutex);
        changed(change, context); /* may free the watch */
        pthread_mutex_lock(&watcher->sleeper.mutex);
        watcher->calling = false;
        watcher->current = NULL;
        pthread_cond_broadcast(&watcher->sleeper.moved);
    }
}

/* Until the next walk may begin. False when the thread is to end instead. */
static bool rest(struct watcher *watcher)
{
    while (!watcher_ends(watcher)) {
        uint64_t now_ns = clock_monotonic_ns();
        if (now_ns >= watcher->walk_after_ns)
            return true;
        sleeper_sleep(&watcher->sleeper, NULL, 0, watcher->walk_after_ns - now_ns);
    }
    return false;
}

static void *watcher_run(void *context)
{
    struct watcher *watcher = context;
    prctl(PR_SET_NAME, "quash-watch"); /* for top and gdb: matters to nothing else */
    pthread_mutex_lock(&watcher->sleeper.mutex);
    while (rest(watcher)) {
        if (watcher->waiting.first == NULL) {
            watcher->idle = true;
            sleeper_sleep(&watcher->sleeper, NULL, 0, SLEEPER_FOREVER);
            watcher->idle = false;
            continue;
        }
        const struct table_map *map = token_map(watcher->table);
        uint64_t changes = map == NULL ? 0 : table_map_changes(map);
        watcher->walked = map;
        walk(watcher, map);
        call_due(watcher);
        if (!watcher_ends(watcher))
            sleeper_sleep(&watcher->sleeper, map, changes, map == NULL ? DETACHED_PAUSE_NS : SLEEPER_FOREVER);
    }
    watcher->state = THREAD_ENDED;
    pthread_cond_broadcast(&watcher->sleeper.moved);
    pthread_mutex_unlock(&watcher->sleeper.mutex);
    return NULL;
}

/* ---- Starting and ending it; the mutex is held by the caller throughout, but released meanwhile */

/* Joins the thread if it has ended. Released because destructors of the callbacks' thread-specific data run until then,
 * and may free watches. */
static void watcher_join(struct watcher *watcher)
{
    while (watcher->state == THREAD_ENDED) {
        pthread_t thread = watcher->thread;
        watcher->state = THREAD_NONE;
        pthread_mutex_unlock(&watcher->sleeper.mutex);
        pthread_join(thread, NULL);
        pthread_mutex_lock(&watcher->sleeper.mutex);
    }
}

static quash_status watcher_start(struct watcher *watcher)
{
    watcher_join(watcher);
    if (watcher->state == THREAD_RUNNING)
        return QUASH_OK;
    if (thread_create(&watcher->thread, watcher_run, watcher) != 0)
        return QUASH_SYSTEM;
    watcher->state = THREAD_RUNNING;
    return QUASH_OK;
}

static bool on_watching_thread(const struct watcher *watcher)
{
    return watcher->state == THREAD_RUNNING && pthread_equal(watcher->thread, pthread_self());
}

/* ---- The watcher of a handle */

static quash_status watcher_new(quash_table *table, struct watcher **watcher)
{
    struct watcher *made = calloc(1, sizeof *made);
    if (made == NULL)
        return QUASH_NO_MEMORY;
    if (!sleeper_init(&made->sleeper)) {
        free(made);
        return QUASH_NO_MEMORY;
    }
    made->table = table;
    made->state = THREAD_NONE;
    list_init(&made->waiting);
    list_init(&made->due);
    *watcher = made;
    return QUASH_OK;
}

static quash_status watcher_of(quash_table *table, struct watcher **watcher)
{
    quash_status status = QUASH_OK;
    pthread_mutex_lock(&table->mutex);
    if (table->watcher == NULL)
        status = watcher_new(table, &table->watcher);
    *watcher = table->watcher;
    pthread_mutex_unlock(&table->mutex);
    return status;
}

void watcher_free(struct watcher *watcher)
{
    if (watcher == NULL)
        return;
    pthread_mutex_lock(&watcher->sleeper.mutex);
    watcher->closing = true;
    sleeper_interrupt(&watcher->sleeper);
    while (watcher->state == THREAD_RUNNING)
        pthread_cond_wait(&watcher->sleeper.moved, &watcher->sleeper.mutex);
    watcher_join(watcher);
    pthread_mutex_unlock(&watcher->sleeper.mutex);
    sleeper_fini(&watcher->sleeper);
    free(watcher);
}

/* ---- Watches */

static quash_watch *watch_new(quash_changed_fn *changed, void *context)
{
    quash_watch *watch = malloc(sizeof *watch);
    if (watch == NULL)
        return NULL;
    watch->changed = changed;
    watch->context = context;
    watch->awaits_table = false;
    return watch;
}

/* Takes `made` over, also when it fails. */
static quash_status watch_begin(quash_table *table, quash_watch *made, quash_watch **watch)
{
    struct watcher *watcher;
    quash_status status = watcher_of(table, &watcher);
    if (status != QUASH_OK)
        goto free_watch;
    pthread_mutex_lock(&watcher->sleeper.mutex);
    status = watcher_start(watcher);
    if (status == QUASH_OK) {
        *watch = made; /* before the callback can run, which may want to free it */
        made->watcher = watcher;
        watcher->watches++;
        list_append(&watcher->waiting, made);
        const struct table_map *map = token_map(table);
        if (watch_is_due(made, map) || map != watcher->walked || watcher->idle)
            sleeper_interrupt(&watcher->sleeper); /* from here on it may have been called, and freed */
    }
    pthread_mutex_unlock(&watcher->sleeper.mutex);
    if (status == QUASH_OK)
        return QUASH_OK;

free_watch:
    free(made);
    return status;
}

quash_status quash_watch_token(const quash_token *token, quash_changed_fn *changed, void *context, quash_watch **watch)
{
    if (token == NULL || changed == NULL || watch == NULL)
        return QUASH_INVALID;
    quash_watch *made = watch_new(changed, context);
    if (made == NULL)
        return QUASH_NO_MEMORY;
    token_copy(&made->token, token_inside(token));
    return watch_begin(token_table(token), made, watch);
}

quash_status quash_watch_group(quash_table *table, const char *group, quash_changed_fn *changed, void *context,
                               quash_watch **watch)
{
    if (table == NULL || changed == NULL || watch == NULL)
        return QUASH_INVALID;
    quash_watch *made = watch_new(changed, context);
    if (made == NULL)
        return QUASH_NO_MEMORY;
    const struct table_map *map = token_map(table);
    token_init(&made->token, map);
    quash_status status = token_add(&made->token, group);
    if (status != QUASH_OK) {
        free(made);
        return status;
    }
    /* Also when the table ended between the two lines above. */
    made->awaits_table = token_check(&made->token, NULL) == QUASH_UNKNOWN;
    return watch_begin(table, made, watch);
}

void quash_watch_free(quash_watch *watch)
{
    if (watch == NULL)
        return;
    struct watcher *watcher = watch->watcher;
    pthread_mutex_lock(&watcher->sleeper.mutex);
    bool called_back = on_watching_thread(watcher);
    if (watch->list != NULL)
        list_remove(watch);
    else if (called_back && watcher->current == watch)
        watcher->current = NULL; /* its memory may become another watch while the callback still runs */
    while (watcher->current == watch)
        pthread_cond_wait(&watcher->sleeper.moved, &watcher->sleeper.mutex);
    free(watch);
    watcher->watches--;
    if (watcher->watches == 0 && !called_back) {
        sleeper_interrupt(&watcher->sleeper);
        while (watcher->watches == 0 && watcher->state == THREAD_RUNNING && !watcher->calling)
            pthread_cond_wait(&watcher->sleeper.moved, &watcher->sleeper.mutex);
        watcher_join(watcher);
    }
    pthread_mutex_unlock(&watcher->sleeper.mutex);
}
