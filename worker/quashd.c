/*
 * quashd.c - the worker: consumes domain-change events from its own queue and cancels the groups that they name in the
 * table that the caches of this host check.
 *
 * Two threads. This one runs the main loop (signals, the table's heartbeat) and never waits for the broker; the
 * consumer's does everything else, from connecting to cancelling. Made in the order table, pipeline, consumer, ended in
 * reverse. A consumer that is stuck in a call when it is time to go is left behind: what it has not applied, it has not
 * acknowledged either.
 */
#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apply.h"
#include "config.h"
#include "consumer.h"
#include "exit_code.h"
#include "log.h"
#include "pipeline.h"
#include "rules.h"
#include "standard_files.h"

#define TICK_S       1.0 /* heartbeat of the table */
#define STOP_LIMIT_S 1.5 /* how long an orderly end may take */

#define QUEUE_PREFIX "quash."

struct worker {
    struct config config;
    struct rules *rules;
    struct apply *apply;
    struct pipeline *pipeline;
    struct consumer *consumer;
    char queue[sizeof QUEUE_PREFIX + CONFIG_INSTANCE_MAX];
    char connection_name[sizeof "quashd " + CONFIG_INSTANCE_MAX];

    struct ev_loop *loop;
    ev_timer tick;
    ev_timer limit;
    ev_signal terminate;
    ev_signal interrupt;
    ev_signal hangup;
    ev_async ended;
    bool stopping;
    bool finished; /* the consumer's thread has said its last word */
};

/* ---- The main loop */

static void on_tick(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct worker *worker = watcher->data;
    apply_tick(worker->apply, consumer_connected(worker->consumer));
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

static void on_signal(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)events;
    struct worker *worker = watcher->data;
    if (worker->stopping) {
        ev_break(loop, EVBREAK_ALL); /* asked twice: somebody is in a hurry */
        return;
    }
    worker->stopping = true;
    log_line(LOG_INFO, "stopping", "signal", watcher->signum == SIGINT ? "SIGINT" : "SIGTERM", NULL);
    consumer_stop(worker->consumer);
    ev_timer_start(loop, &worker->limit);
}

/* A terminal that is closed must not end the worker, and who expects a reload is told that there was none. */
static void on_hangup(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)watcher;
    (void)events;
    log_line(LOG_WARN,
             "SIGHUP changes nothing: rules and configuration are read at the start; restart quashd for new ones",
             NULL);
}

static void on_ended(struct ev_loop *loop, ev_async *watcher, int events)
{
    (void)events;
    struct worker *worker = watcher->data;
    worker->finished = true;
    ev_break(loop, EVBREAK_ALL);
}

/* On the consumer's thread. */
static void consumer_ended(void *context)
{
    struct worker *worker = context;
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
    worker->tick.data = worker;
    worker->limit.data = worker;
    worker->terminate.data = worker;
    worker->interrupt.data = worker;
    worker->ended.data = worker;
    ev_timer_start(worker->loop, &worker->tick);
    ev_signal_start(worker->loop, &worker->terminate);
    ev_signal_start(worker->loop, &worker->interrupt);
    ev_signal_start(worker->loop, &worker->hangup);
    ev_async_start(worker->loop, &worker->ended);
}

/* Runs until a signal asks to end. Returns whether the consumer has ended as well. */
static bool run(struct worker *worker)
{
    const struct consumer_options options = {
        .urls = worker->config.amqp_url,
        .url_count = worker->config.amqp_url_count,
        .queue = worker->queue,
        .connection_name = worker->connection_name,
        .version = QUASH_PROGRAM_VERSION,
        .queue_expires_ms = worker->config.queue_expires_ms,
        .prefetch = worker->config.prefetch,
        .bindings = rules_bindings(worker->rules),
        .binding_count = rules_binding_count(worker->rules),
        .ended = consumer_ended,
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
    init_loop(worker);
    worker->consumer = consumer_start(&options, &handler);
    if (worker->consumer == NULL) {
        log_line(LOG_ERROR,
                 "cannot start the consumer's thread: out of memory, file descriptors or threads (ulimit -n, -u)",
                 NULL);
        return false;
    }
    ev_run(worker->loop, 0);
    return worker->finished;
}

static void log_summary(const struct worker *worker)
{
    const struct pipeline_counts counts = pipeline_counts(worker->pipeline);
    char number[8][LOG_NUMBER_SIZE];
    log_line(LOG_INFO, "stopped", "events", log_number(number[0], counts.events), "groups",
             log_number(number[1], counts.groups), "batches", log_number(number[2], counts.batches), "ignored",
             log_number(number[3], counts.ignored), "malformed", log_number(number[4], counts.malformed), "widened",
             log_number(number[5], counts.widened), "flushes", log_number(number[6], counts.flushes), "connections",
             log_number(number[7], consumer_connections(worker->consumer)), NULL);
}

/* ---- Before it */

/* NULL after explaining on standard error what is wrong. */
static struct rules *load_rules(const struct config *config)
{
    struct problems *problems = calloc(1, sizeof *problems);
    if (problems == NULL) {
        fputs("quashd: out of memory\n", stderr);
        return NULL;
    }
    struct rules *rules = rules_load(config->rules_path, config->exchange, problems);
    if (rules == NULL)
        problems_print(problems, config->rules_path, stderr);
    free(problems);
    return rules;
}

/* Every binding needs an exchange. */
static bool check_bindings(const struct rules *rules, const char *path)
{
    const struct binding *bindings = rules_bindings(rules);
    for (size_t i = 0; i < rules_binding_count(rules); i++) {
        if (bindings[i].exchange != NULL)
            continue;
        fprintf(stderr,
                "quashd: %s: a rule for routing key \"%s\" does not say where it listens: add \"exchange\" to its "
                "\"when\", or give --exchange for all rules that name none\n",
                path, bindings[i].routing_key);
        return false;
    }
    return true;
}

static int table_failed(quash_status status, const quash_error *error)
{
    fprintf(stderr, "quashd: %s\n", error->message[0] != '\0' ? error->message : quash_status_string(status));
    if (status == QUASH_UNSAFE) /* the message speaks to programs that read tables, too */
        fputs("quashd takes over no table of somebody else's: start it as that user, or remove the file.\n", stderr);
    return (int)exit_code_of_table(status);
}

static int out_of_memory(void)
{
    fputs("quashd: out of memory\n", stderr);
    return EXIT_UNREACHABLE;
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
    worker->pipeline = pipeline_new(worker->rules, worker->apply);
    if (worker->pipeline == NULL) {
        code = out_of_memory();
        goto free_apply;
    }
    ev_set_syserr_cb(on_loop_failure);
    worker->loop = ev_default_loop(0);
    if (worker->loop == NULL) {
        fputs("quashd: cannot make an event loop\n", stderr);
        goto free_pipeline;
    }
    snprintf(worker->queue, sizeof worker->queue, QUEUE_PREFIX "%s", config->instance);
    snprintf(worker->connection_name, sizeof worker->connection_name, "quashd %s", config->instance);
    char count[LOG_NUMBER_SIZE];
    log_line(LOG_INFO, "quashd starts", "version", QUASH_PROGRAM_VERSION, "instance", config->instance, "table",
             config->table_path, "table_is", fresh ? "new" : "taken over", "rules",
             log_number(count, rules_count(worker->rules)), NULL);

    bool finished = run(worker);
    if (worker->consumer != NULL) {
        log_summary(worker);
        if (!finished) {
            log_line(LOG_WARN,
                     "the broker does not answer; ending without it. What was not acknowledged will come again", NULL);
            apply_tick(worker->apply, false);
            /* The consumer's thread still uses everything, so nothing is freed. */
            _exit(EXIT_DONE);
        }
        code = EXIT_DONE;
    }
    consumer_join(worker->consumer);
    ev_loop_destroy(worker->loop);
free_pipeline:
    pipeline_free(worker->pipeline);
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
    worker.rules = load_rules(&worker.config);
    if (worker.rules == NULL || !check_bindings(worker.rules, worker.config.rules_path))
        code = EXIT_BAD_INPUT;
    else if (worker.config.check)
        puts("configuration ok");
    else
        code = serve(&worker);
    rules_free(worker.rules);
free_config:
    config_fini(&worker.config);
    /* What --help or --check has to say. */
    return standard_files_flush("quashd") ? code : EXIT_UNREACHABLE;
}
