/*
 * reload.c - other rules for a worker that runs. See reload.h.
 *
 * The thread sleeps until it is asked. What it has read and checked is the candidate. Each attempt at bringing it into
 * force begins anew with binding: a binding that exists stays as it is, and a queue that was lost has none. The
 * consumer refuses the change if it has connected again since the attempt began, because the queue may be another.
 *
 * Whatever is bound for a candidate counts as stale until the rules that need it are in force, so that one way leads
 * back from an attempt that failed and forward from one that succeeded: what is stale is removed.
 */
#include "reload.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "binder.h"
#include "changes.h"
#include "clock.h"
#include "log.h"
#include "retry.h"
#include "stale_bindings.h"
#include "worker_thread.h"

struct reload {
    struct reload_options options;
    struct pipeline *pipeline;
    struct consumer *consumer;
    pthread_t thread;
    atomic_bool stopping; /* set under the lock; read without it where the thread waits for the broker */
    atomic_uint_fast64_t done, refused;

    pthread_mutex_t lock; /* guards `cause`, and `stopping` against being missed */
    pthread_cond_t wake;
    const char *cause; /* of the last request that was not yet looked at; NULL: none */

    /* The thread's own. */
    struct rules *rules;     /* in force */
    struct rules *candidate; /* to come into force; NULL: none */
    struct stale_bindings stale;
    struct binder *binder; /* NULL between attempts */
    size_t binder_url;
    struct retry retry;
    struct retry_complaint complaint;
    uint64_t next_try_ms; /* of what is left to do */
    struct problems problems, warnings;
    char problem[BROKER_PROBLEM_SIZE];
};

/* ---- Reading */

static void keep_old_rules(struct reload *reload)
{
    char count[LOG_NUMBER_SIZE];
    atomic_fetch_add_explicit(&reload->refused, 1, memory_order_relaxed);
    log_line(LOG_WARN, "the old rules stay in force", "rules", log_number(count, rules_count(reload->rules)), NULL);
}

static void drop_candidate(struct reload *reload)
{
    rules_free(reload->candidate);
    reload->candidate = NULL;
}

/* What is read from a pipe is read once. */
static bool can_be_read_again(struct reload *reload)
{
    struct stat status;
    const char *path = reload->options.file.path;
    if (stat(path, &status) != 0 || S_ISREG(status.st_mode))
        return true; /* or reading it says why not */
    problems_add(&reload->problems, 0, 0, NULL, "is no regular file; rules from elsewhere are read at the start only");
    return false;
}

static void read_candidate(struct reload *reload, const char *cause)
{
    const struct rules_file *file = &reload->options.file;
    drop_candidate(reload);
    reload->problems.count = 0;
    reload->warnings.count = 0;
    struct rules *rules =
        can_be_read_again(reload) ? served_rules_load(file, &reload->problems, &reload->warnings) : NULL;
    if (rules == NULL) {
        served_rules_log_problems(file, &reload->problems);
        keep_old_rules(reload);
        return;
    }
    served_rules_log_warnings(file, &reload->warnings);
    if (rules_hash(rules) == rules_hash(reload->rules)) {
        log_line(LOG_INFO, "the rules are unchanged", "file", file->path, "cause", cause, NULL);
        rules_free(rules);
        return;
    }
    reload->candidate = rules;
    retry_init(&reload->retry, clock_monotonic_ms() * 0x9e3779b97f4a7c15u ^ (uint64_t)getpid());
    memset(&reload->complaint, 0, sizeof reload->complaint);
}

/* ---- The broker */

static void close_binder(struct reload *reload)
{
    binder_close(reload->binder);
    reload->binder = NULL;
}

/* Makes sure that there is a connection to the broker that the consumer uses. */
static enum binder_outcome open_binder(struct reload *reload)
{
    size_t url = consumer_url(reload->consumer);
    if (reload->binder != NULL && reload->binder_url == url)
        return BINDER_DONE;
    close_binder(reload);
    enum binder_outcome outcome;
    const struct broker_identity identity = {reload->options.connection_name, reload->options.version};
    reload->binder = binder_open(reload->options.urls[url], reload->options.queue, &identity, &reload->stopping,
                                 &outcome, reload->problem);
    reload->binder_url = url;
    return outcome;
}

static enum binder_outcome bind_added(struct reload *reload, const struct rules_changes *changes)
{
    if (changes->added_count == 0)
        return BINDER_DONE;
    enum binder_outcome outcome = open_binder(reload);
    if (outcome == BINDER_DONE && !stale_bindings_add(&reload->stale, changes->added, changes->added_count)) {
        snprintf(reload->problem, sizeof reload->problem, "out of memory");
        return BINDER_LOST;
    }
    for (size_t i = 0; i < changes->added_count && outcome == BINDER_DONE; i++)
        outcome = binder_add(reload->binder, &changes->added[i], reload->candidate, reload->problem);
    return outcome;
}

/* Something is left to do, and cannot be done now. */
static void try_later(struct reload *reload, const char *sentence)
{
    uint64_t now_ms = clock_monotonic_ms();
    char url[BROKER_URL_SIZE];
    reload->next_try_ms = now_ms + retry_failed(&reload->retry, now_ms);
    broker_url_redacted(reload->options.urls[consumer_url(reload->consumer)], url);
    bool stopping = atomic_load_explicit(&reload->stopping, memory_order_relaxed);
    if (!stopping && retry_should_tell(&reload->complaint, now_ms, reload->problem))
        log_line(LOG_WARN, sentence, "reason", reload->problem, "url", url, NULL);
}

static void forget_stale(struct reload *reload)
{
    while (reload->stale.count > 0)
        stale_bindings_drop_last(&reload->stale);
}

/* Takes away the bindings that the rules in force do not need. Returns how many. */
static size_t remove_stale(struct reload *reload)
{
    size_t before = reload->stale.count;
    if (before == 0)
        return 0;
    enum binder_outcome outcome = open_binder(reload);
    while (outcome == BINDER_DONE && reload->stale.count > 0) {
        outcome = binder_remove(reload->binder, &reload->stale.item[reload->stale.count - 1], reload->problem);
        if (outcome == BINDER_DONE)
            stale_bindings_drop_last(&reload->stale);
    }
    size_t removed = before - reload->stale.count;
    switch (outcome) {
    case BINDER_DONE:
        break;
    case BINDER_NO_QUEUE: /* nor are its bindings */
        forget_stale(reload);
        break;
    case BINDER_REFUSED:
        log_line(LOG_WARN, "bindings that no rule needs stay on the queue; their events are ignored", "reason",
                 reload->problem, NULL);
        forget_stale(reload);
        break;
    case BINDER_LOST:
        try_later(reload, "cannot remove bindings that no rule needs yet, and will keep trying");
        break;
    }
    return removed;
}

/* ---- The change */

struct swap {
    struct pipeline *pipeline;
    const struct rules *rules;
    const struct groups *cancel;
};

/* On the consumer's thread. */
static void swap_rules(void *context)
{
    const struct swap *swap = context;
    pipeline_swap(swap->pipeline, swap->rules, swap->cancel);
}

/* Binds what is new, and has the consumer change; over again if it has connected in between. *ended: it is over. */
static enum binder_outcome bring_in(struct reload *reload, const struct rules_changes *changes, bool *ended)
{
    struct swap swap = {reload->pipeline, reload->candidate, changes->cancel};
    struct consumer_exchange exchange = {
        .bindings = rules_bindings(reload->candidate),
        .binding_count = rules_binding_count(reload->candidate),
        .swap = swap_rules,
        .context = &swap,
    };
    for (;;) {
        exchange.connections = consumer_connections(reload->consumer);
        enum binder_outcome outcome = bind_added(reload, changes);
        if (outcome != BINDER_DONE)
            return outcome;
        enum consumer_exchanged exchanged = consumer_exchange(reload->consumer, &exchange);
        *ended = exchanged == CONSUMER_ENDED;
        if (exchanged != CONSUMER_RECONNECTED)
            return BINDER_DONE;
        close_binder(reload);
    }
}

static void tell_done(const struct reload *reload, const struct rules_changes *changes, size_t removed)
{
    char rules[LOG_NUMBER_SIZE], added[LOG_NUMBER_SIZE], gone[LOG_NUMBER_SIZE], cancelled[LOG_NUMBER_SIZE];
    char hash[17], groups[LOG_VALUE_MAX] = "";
    snprintf(hash, sizeof hash, "%016" PRIx64, rules_hash(reload->rules));
    const char *const *names = groups_names(changes->cancel);
    size_t used = 0;
    for (size_t i = 0; i < groups_count(changes->cancel) && used < sizeof groups; i++)
        used += (size_t)snprintf(groups + used, sizeof groups - used, "%s%s", i > 0 ? " " : "", names[i]);
    log_line(LOG_INFO, "reloaded the rules", "rules", log_number(rules, rules_count(reload->rules)), "rules_hash", hash,
             "bindings_added", log_number(added, changes->added_count), "bindings_removed", log_number(gone, removed),
             "cancelled", log_number(cancelled, groups_count(changes->cancel)), "groups", used > 0 ? groups : NULL,
             NULL);
}

/* The consumer follows the candidate. */
static void settle(struct reload *reload, const struct rules_changes *changes)
{
    struct rules *old = reload->rules;
    reload->rules = reload->candidate;
    reload->candidate = NULL;
    atomic_fetch_add_explicit(&reload->done, 1, memory_order_relaxed);
    if (!stale_bindings_add(&reload->stale, changes->removed, changes->removed_count) ||
        !stale_bindings_spare(&reload->stale, reload->rules)) {
        forget_stale(reload);
        log_line(LOG_WARN, "bindings that no rule needs stay on the queue; their events are ignored", "reason",
                 "out of memory", NULL);
    }
    memset(&reload->complaint, 0, sizeof reload->complaint);
    tell_done(reload, changes, remove_stale(reload));
    rules_free(old);
}

static void try_candidate(struct reload *reload)
{
    static const char not_yet[] =
        "cannot bring the new rules into force yet, and will keep trying; until then the old ones stay";
    struct rules_changes changes;
    if (!rules_changes_find(&changes, reload->rules, reload->candidate)) {
        snprintf(reload->problem, sizeof reload->problem, "out of memory");
        try_later(reload, not_yet);
        return;
    }
    bool ended = false;
    enum binder_outcome outcome = bring_in(reload, &changes, &ended);
    if (ended) {
        drop_candidate(reload);
    } else if (outcome == BINDER_DONE) {
        settle(reload, &changes);
    } else if (outcome == BINDER_REFUSED) {
        log_line(LOG_ERROR, "the new rules cannot come into force", "reason", reload->problem, NULL);
        drop_candidate(reload);
        keep_old_rules(reload);
        remove_stale(reload);
    } else {
        try_later(reload, not_yet);
    }
    rules_changes_fini(&changes);
}

/* ---- The thread */

static struct timespec time_of_ms(uint64_t ms)
{
    return (struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
}

/* Sleeps until there is something to do. Returns whether to go on; *cause is why the file is to be read, or NULL. */
static bool await_work(struct reload *reload, const char **cause)
{
    bool work_left = reload->candidate != NULL || reload->stale.count > 0;
    const struct timespec deadline = time_of_ms(reload->next_try_ms);
    int waited = 0;
    pthread_mutex_lock(&reload->lock);
    while (!atomic_load_explicit(&reload->stopping, memory_order_relaxed) && reload->cause == NULL &&
           waited != ETIMEDOUT)
        waited = work_left ? pthread_cond_timedwait(&reload->wake, &reload->lock, &deadline)
                           : pthread_cond_wait(&reload->wake, &reload->lock);
    *cause = reload->cause;
    reload->cause = NULL;
    pthread_mutex_unlock(&reload->lock);
    return !atomic_load_explicit(&reload->stopping, memory_order_relaxed);
}

static void *run(void *argument)
{
    struct reload *reload = argument;
    const char *cause;
    while (await_work(reload, &cause)) {
        if (cause != NULL)
            read_candidate(reload, cause);
        if (reload->candidate != NULL)
            try_candidate(reload);
        else
            remove_stale(reload);
        close_binder(reload);
    }
    drop_candidate(reload);
    reload->options.ended(reload->options.ended_context);
    return NULL;
}

/* ---- For other threads */

static bool init_wake(struct reload *reload)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0)
        return false;
    bool fine = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                pthread_cond_init(&reload->wake, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return fine;
}

struct reload *reload_start(const struct reload_options *options, struct rules *rules, struct pipeline *pipeline,
                            struct consumer *consumer)
{
    struct reload *reload = calloc(1, sizeof *reload);
    if (reload == NULL)
        return NULL;
    reload->options = *options;
    reload->rules = rules;
    reload->pipeline = pipeline;
    reload->consumer = consumer;
    if (pthread_mutex_init(&reload->lock, NULL) != 0)
        goto free_reload;
    if (!init_wake(reload))
        goto destroy_lock;
    if (!worker_thread_start(&reload->thread, run, reload))
        goto destroy_wake;
    return reload;

destroy_wake:
    pthread_cond_destroy(&reload->wake);
destroy_lock:
    pthread_mutex_destroy(&reload->lock);
free_reload:
    free(reload);
    return NULL;
}

void reload_ask(struct reload *reload, const char *cause)
{
    pthread_mutex_lock(&reload->lock);
    reload->cause = cause;
    pthread_cond_signal(&reload->wake);
    pthread_mutex_unlock(&reload->lock);
}

struct reload_counts reload_counts(const struct reload *reload)
{
    return (struct reload_counts){
        .done = atomic_load_explicit(&reload->done, memory_order_relaxed),
        .refused = atomic_load_explicit(&reload->refused, memory_order_relaxed),
    };
}

void reload_stop(struct reload *reload)
{
    pthread_mutex_lock(&reload->lock);
    atomic_store_explicit(&reload->stopping, true, memory_order_relaxed);
    pthread_cond_signal(&reload->wake);
    pthread_mutex_unlock(&reload->lock);
}

struct rules *reload_join(struct reload *reload)
{
    if (reload == NULL)
        return NULL;
    pthread_join(reload->thread, NULL);
    struct rules *rules = reload->rules;
    stale_bindings_fini(&reload->stale);
    pthread_cond_destroy(&reload->wake);
    pthread_mutex_destroy(&reload->lock);
    free(reload);
    return rules;
}
