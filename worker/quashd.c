/*
 * quashd.c - the worker: consumes domain-change events from its own queue and cancels the groups that they name in the
 * table that the caches of this host check.
 *
 * Three threads. This one runs the main loop (signals, the table's heartbeat, the watch over the rules file) and never
 * waits for the broker; the consumer's does everything else, from connecting to cancelling; the reload's brings other
 * rules. Made in the order table, pipeline, consumer, reload, ended in reverse. A thread that is stuck in a call when
 * it is time to go is left behind: what was not applied, was not acknowledged either.
 */
#include <errno.h>
#include <ev.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apply.h"
#include "clock.h"
#include "config.h"
#include "consumer.h"
#include "exit_code.h"
#include "file_watch.h"
#include "log.h"
#include "pipeline.h"
#include "reload.h"
#include "repeats.h"
#include "served_rules.h"
#include "standard_files.h"

#define TICK_S       1.0 /* heartbeat of the table; look at the rules file */
#define STOP_LIMIT_S 1.5 /* how long an orderly end may take */

#define QUEUE_PREFIX "quash."

struct worker {
    struct config config;
    struct rules_file file;
    struct rules *rules; /* those of the start; lent to the reload while it runs */
    struct file_watch watch;
    struct apply *apply;
    struct repeats *repeats;
    struct pipeline *pipeline;
    struct consumer *consumer;
    struct reload *reload;
    char queue[sizeof QUEUE_PREFIX + CONFIG_INSTANCE_MAX];
    char connection_name[sizeof "quashd " + CONFIG_INSTANCE_MAX];
    char reload_name[sizeof "quashd  rules" + CONFIG_INSTANCE_MAX];

    struct ev_loop *loop;
    ev_timer tick;
    ev_timer repeat;
    ev_async repeat_sooner;
    ev_timer limit;
    ev_signal terminate;
    ev_signal interrupt;
    ev_signal hangup;
    ev_async ended;
    atomic_uint threads; /* that have not yet said their last word */
    bool stopping;
};

/* ---- The main loop */

static void on_tick(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct worker *worker = watcher->data;
    apply_tick(worker->apply, consumer_connected(worker->consumer));
    if (worker->stopping)
        return;
    switch (file_watch_look(&worker->watch)) {
    case FILE_AS_KNOWN:
        break;
    case FILE_CHANGED:
        reload_ask(worker->reload, "the file has changed");
        break;
    case FILE_GONE:
        log_line(LOG_WARN, "the rules file is gone; the rules stay in force", "file", worker->file.path, NULL);
        break;
    }
}

static void run_repeats(struct worker *worker)
{
    ev_timer_stop(worker->loop, &worker->repeat);
    uint64_t wait_ms = repeats_run(worker->repeats, clock_monotonic_ms());
    if (wait_ms == REPEATS_NONE)
        return;
    ev_now_update(worker->loop);
    ev_timer_set(&worker->repeat, (double)wait_ms / 1000., 0.);
    ev_timer_start(worker->loop, &worker->repeat);
}

static void on_repeat(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    run_repeats(watcher->data);
}

static void on_repeat_sooner(struct ev_loop *loop, ev_async *watcher, int events)
{
    (void)loop;
    (void)events;
    run_repeats(watcher->data);
}

/* On the consumer's thread. */
static void repeat_sooner(void *context)
{
    struct worker *worker = context;
    ev_async_send(worker->loop, &worker->repeat_sooner);
}

/* Without this libev aborts, with a core file and without a log line. */
static void on_loop_failure(const char *doing)
{
    log_line(LOG_ERROR, "the event loop cannot go on; ending, what was not acknowledged will come again", "reason",
             strerror(errno), "doing", doing, NULL);
    _exit(EXIT_UNREACHABLE);
}

static void on_limit(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)watcher;
    (void)events;
    ev_break(loop, EVBREAK_ALL);
}

static void stop(struct worker *worker)
{
    worker->stopping = true;
    consumer_stop(worker->consumer);
    if (worker->reload != NULL)
        reload_stop(worker->reload);
    ev_timer_start(worker->loop, &worker->limit);
}

static void on_signal(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)events;
    struct worker *worker = watcher->data;
    if (worker->stopping) {
        ev_break(loop, EVBREAK_ALL); /* asked twice: somebody is in a hurry */
        return;
    }
    log_line(LOG_INFO, "stopping", "signal", watcher->signum == SIGINT ? "SIGINT" : "SIGTERM", NULL);
    stop(worker);
}

/* The file is read whether it seems to have changed or not: perhaps an exchange that its rules need is there now. */
static void on_hangup(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)events;
    struct worker *worker = watcher->data;
    if (worker->stopping)
        return;
    file_watch_know(&worker->watch);
    reload_ask(worker->reload, "SIGHUP");
}

static bool all_ended(struct worker *worker)
{
    return atomic_load_explicit(&worker->threads, memory_order_relaxed) == 0;
}

static void on_ended(struct ev_loop *loop, ev_async *watcher, int events)
{
    (void)events;
    if (all_ended(watcher->data))
        ev_break(loop, EVBREAK_ALL);
}

/* On a thread that ends. Relaxed: joining it is what orders the rest. */
static void thread_ended(void *context)
{
    struct worker *worker = context;
    atomic_fetch_sub_explicit(&worker->threads, 1, memory_order_relaxed);
    ev_async_send(worker->loop, &worker->ended);
}

static void init_loop(struct worker *worker)
{
    ev_timer_init(&worker->tick, on_tick, 0., TICK_S);
    ev_timer_init(&worker->limit, on_limit, STOP_LIMIT_S, 0.);
    ev_signal_init(&worker->terminate, on_signal, SIGTERM);
    ev_signal_init(&worker->interrupt, on_signal, SIGINT);
    ev_signal_init(&worker->hangup, on_hangup, SIGHUP);
    ev_async_init(&worker->ended, on_ended);
    ev_timer_init(&worker->repeat, on_repeat, 0., 0.);
    ev_async_init(&worker->repeat_sooner, on_repeat_sooner);
    worker->repeat.data = worker;
    worker->repeat_sooner.data = worker;
    worker->tick.data = worker;
    worker->limit.data = worker;
    worker->terminate.data = worker;
    worker->interrupt.data = worker;
    worker->hangup.data = worker;
    worker->ended.data = worker;
    ev_timer_start(worker->loop, &worker->tick);
    ev_signal_start(worker->loop, &worker->terminate);
    ev_signal_start(worker->loop, &worker->interrupt);
    ev_signal_start(worker->loop, &worker->hangup);
    ev_async_start(worker->loop, &worker->ended);
    ev_async_start(worker->loop, &worker->repeat_sooner);
}

static bool start_consumer(struct worker *worker)
{
    const struct consumer_options options = {
        .urls = worker->config.amqp_url,
        .url_count = worker->config.amqp_url_count,
        .queue = worker->queue,
        .connection_name = worker->connection_name,
        .version = QUASH_PROGRAM_VERSION,
        .dead_letter_exchange = worker->config.dead_letter_exchange,
        .instance = worker->config.instance,
        .queue_expires_ms = worker->config.queue_expires_ms,
        .prefetch = worker->config.prefetch,
        .bindings = rules_bindings(worker->rules),
        .binding_count = rules_binding_count(worker->rules),
        .ended = thread_ended,
        .ended_context = worker,
    };
    const struct consumer_handler handler = {
        .context = worker->pipeline,
        .take = pipeline_take,
        .apply = pipeline_apply,
        .gap = pipeline_gap,
        .consuming = pipeline_consuming,
        .describe = pipeline_describe,
    };
    worker->consumer = consumer_start(&options, &handler);
    return worker->consumer != NULL;
}

static bool start_reload(struct worker *worker)
{
    const struct reload_options options = {
        .file = worker->file,
        .urls = worker->config.amqp_url,
        .queue = worker->queue,
        .connection_name = worker->reload_name,
        .version = QUASH_PROGRAM_VERSION,
        .ended = thread_ended,
        .ended_context = worker,
    };
    worker->reload = reload_start(&options, worker->rules, worker->pipeline, worker->consumer);
    return worker->reload != NULL;
}

/* Runs until a signal asks to end. False if it could not start. */
static bool run(struct worker *worker)
{
    static const char failure[] = "cannot start a thread: out of memory, file descriptors or threads (ulimit -n, -u)";
    init_loop(worker);
    if (!start_consumer(worker)) {
        log_line(LOG_ERROR, failure, NULL);
        return false;
    }
    atomic_fetch_add_explicit(&worker->threads, 1, memory_order_relaxed);
    bool started = start_reload(worker);
    if (started) {
        atomic_fetch_add_explicit(&worker->threads, 1, memory_order_relaxed);
    } else {
        log_line(LOG_ERROR, failure, NULL);
        stop(worker);
    }
    ev_run(worker->loop, 0);
    return started;
}

static void log_summary(const struct worker *worker)
{
    const struct pipeline_counts counts = pipeline_counts(worker->pipeline);
    const struct dead_letters_counts letters = consumer_dead_letters(worker->consumer);
    const struct repeats_counts repeats = repeats_counts(worker->repeats);
    struct reload_counts reloads = {0};
    if (worker->reload != NULL)
        reloads = reload_counts(worker->reload);
    char number[14][LOG_NUMBER_SIZE];
    if (repeats.pending > 0)
        log_line(LOG_WARN, "groups were still to be cancelled again; the next start will cancel everything instead",
                 "pending", log_number(number[0], repeats.pending), NULL);
    log_line(LOG_INFO, "stopped", "events", log_number(number[0], counts.events), "groups",
             log_number(number[1], counts.groups), "batches", log_number(number[2], counts.batches), "ignored",
             log_number(number[3], counts.ignored), "malformed", log_number(number[4], counts.malformed), "widened",
             log_number(number[5], counts.widened), "flushes", log_number(number[6], counts.flushes), "connections",
             log_number(number[7], consumer_connections(worker->consumer)), "reloads",
             log_number(number[8], reloads.done), "reloads_refused", log_number(number[9], reloads.refused),
             "dead_lettered", log_number(number[10], letters.published), "dead_letters_waiting",
             log_number(number[11], letters.waiting), "repeated", log_number(number[12], repeats.done),
             "repeats_pending", log_number(number[13], repeats.pending), NULL);
}

static void log_start(const struct worker *worker, bool fresh)
{
    char count[LOG_NUMBER_SIZE], hash[17];
    snprintf(hash, sizeof hash, "%016" PRIx64, rules_hash(worker->rules));
    log_line(LOG_INFO, "quashd starts", "version", QUASH_PROGRAM_VERSION, "instance", worker->config.instance, "table",
             worker->config.table_path, "table_is", fresh ? "new" : "taken over", "rules",
             log_number(count, rules_count(worker->rules)), "rules_hash", hash, NULL);
}

/* ---- Before it */

static int out_of_memory(void)
{
    fputs("quashd: out of memory\n", stderr);
    return EXIT_UNREACHABLE;
}

/* Loads the rules; explains on standard error what is wrong, and what hardly meant. */
static int load_rules(struct worker *worker)
{
    const struct config *config = &worker->config;
    worker->file = (struct rules_file){.path = config->rules_path,
                                       .default_exchange = config->exchange,
                                       .dead_letter_exchange = config->dead_letter_exchange};
    /* Before it is read: a change after that is news. */
    file_watch_init(&worker->watch, config->rules_path);
    struct problems *problems = calloc(2, sizeof *problems);
    if (problems == NULL)
        return out_of_memory();
    struct problems *warnings = &problems[1];
    worker->rules = served_rules_load(&worker->file, problems, warnings);
    if (worker->rules == NULL)
        problems_print(problems, config->rules_path, stderr);
    else if (config->check)
        problems_print_warnings(warnings, config->rules_path, stderr);
    else
        served_rules_log_warnings(&worker->file, warnings);
    free(problems);
    return worker->rules != NULL ? EXIT_DONE : EXIT_BAD_INPUT;
}

static int table_failed(quash_status status, const quash_error *error)
{
    fprintf(stderr, "quashd: %s\n", error->message[0] != '\0' ? error->message : quash_status_string(status));
    if (status == QUASH_UNSAFE) /* the message speaks to programs that read tables, too */
        fputs("quashd takes over no table of somebody else's: start it as that user, or remove the file.\n", stderr);
    return (int)exit_code_of_table(status);
}

static int serve(struct worker *worker)
{
    const struct config *config = &worker->config;
    quash_table_serve_options options = QUASH_TABLE_SERVE_OPTIONS_INIT;
    options.buckets = config->table_buckets;
    options.mode = config->table_mode;
    quash_table *table;
    bool fresh;
    quash_error error = {""};
    quash_status status = quash_table_serve(config->table_path, &options, &table, &fresh, &error);
    if (status != QUASH_OK)
        return table_failed(status, &error);
    worker->apply = apply_new(table, rules_hash(worker->rules));
    if (worker->apply == NULL)
        return out_of_memory();
    int code = EXIT_UNREACHABLE;
    worker->repeats = repeats_new(worker->apply, repeat_sooner, worker);
    if (worker->repeats == NULL) {
        code = out_of_memory();
        goto free_apply;
    }
    worker->pipeline =
        pipeline_new(worker->rules, worker->apply, worker->repeats, config->dead_letter_exchange != NULL);
    if (worker->pipeline == NULL) {
        code = out_of_memory();
        goto free_repeats;
    }
    ev_set_syserr_cb(on_loop_failure);
    worker->loop = ev_default_loop(0);
    if (worker->loop == NULL) {
        fputs("quashd: cannot make an event loop\n", stderr);
        goto free_pipeline;
    }
    snprintf(worker->queue, sizeof worker->queue, QUEUE_PREFIX "%s", config->instance);
    snprintf(worker->connection_name, sizeof worker->connection_name, "quashd %s", config->instance);
    snprintf(worker->reload_name, sizeof worker->reload_name, "quashd %s rules", config->instance);
    log_start(worker, fresh);

    if (run(worker))
        code = EXIT_DONE;
    if (worker->consumer != NULL) {
        log_summary(worker);
        if (!all_ended(worker)) {
            log_line(LOG_WARN,
                     "the broker does not answer; ending without it. What was not acknowledged will come again", NULL);
            apply_tick(worker->apply, false);
            /* A thread still uses everything, so nothing is freed. */
            _exit(code);
        }
    }
    if (worker->reload != NULL)
        worker->rules = reload_join(worker->reload); /* before the consumer, which it speaks to, is freed */
    consumer_join(worker->consumer);
    ev_loop_destroy(worker->loop);
free_pipeline:
    pipeline_free(worker->pipeline);
free_repeats:
    repeats_free(worker->repeats);
free_apply:
    apply_free(worker->apply);
    return code;
}

int main(int argc, char **argv)
{
    struct worker worker = {0};
    int code = EXIT_DONE;
    if (!standard_files_hold())
        return EXIT_UNREACHABLE;
    switch (config_read(&worker.config, argc, argv, stdout, stderr)) {
    case CONFIG_RUN:
        break;
    case CONFIG_DONE:
        goto free_config;
    case CONFIG_USAGE:
        code = EXIT_USAGE;
        goto free_config;
    case CONFIG_BAD:
        code = EXIT_BAD_INPUT;
        goto free_config;
    }
    /* A reader of the log that goes away must not take the worker with it. */
    signal(SIGPIPE, SIG_IGN);
    log_set_level(worker.config.log_level);
    code = load_rules(&worker);
    if (worker.rules != NULL && worker.config.check)
        puts("configuration ok");
    else if (worker.rules != NULL)
        code = serve(&worker);
    rules_free(worker.rules);
free_config:
    config_fini(&worker.config);
    /* What --help or --check has to say. */
    return standard_files_flush("quashd") ? code : EXIT_UNREACHABLE;
}
