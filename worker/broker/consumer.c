/*
 * consumer.c - the consumer's thread: connect, serve until something breaks or it is stopped, pause, again. Serving is
 * in consumer_serve.c.
 *
 * `stopping`, `connected`, `connections` and `url` are shared between threads and guard no other data. An exchange of
 * bindings is asked for under a lock and made in the loop, hence never while a batch is taken.
 */
#include "consumer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "consumer_parts.h"
#include "consumer_queue.h"
#include "log.h"
#include "worker_thread.h"

#define GOODBYE_TIMEOUT_MS 1000 /* how long the broker may take to confirm the end of the connection */

/* ---- Exchanging the bindings */

/* Between two batches, or between two connections. */
static enum consumer_exchanged make_exchange(struct consumer *consumer, const struct consumer_exchange *exchange)
{
    bool serving = consumer_connected(consumer) && !consumer->broken;
    if (serving && exchange->connections != consumer_connections(consumer))
        return CONSUMER_RECONNECTED;
    consumer->options.bindings = exchange->bindings;
    consumer->options.binding_count = exchange->binding_count;
    exchange->swap(exchange->context);
    if (serving)
        consumer_finish_batch(consumer);
    else
        ev_timer_stop(consumer->loop, &consumer->pause); /* perhaps these are the bindings that it takes */
    return CONSUMER_EXCHANGED;
}

static void on_exchange(struct ev_loop *loop, ev_async *watcher, int events)
{
    (void)loop;
    (void)events;
    struct consumer *consumer = watcher->data;
    pthread_mutex_lock(&consumer->exchange_lock);
    const struct consumer_exchange *exchange = consumer->exchange;
    pthread_mutex_unlock(&consumer->exchange_lock);
    if (exchange == NULL)
        return;
    /* Without the lock: who asked waits for the answer, and nobody else asks. */
    enum consumer_exchanged exchanged = make_exchange(consumer, exchange);
    pthread_mutex_lock(&consumer->exchange_lock);
    consumer->exchange = NULL;
    consumer->exchanged = exchanged;
    pthread_cond_signal(&consumer->exchange_answered);
    pthread_mutex_unlock(&consumer->exchange_lock);
}

/* Nobody need wait any more. */
static void refuse_exchanges(struct consumer *consumer)
{
    pthread_mutex_lock(&consumer->exchange_lock);
    consumer->ended = true;
    consumer->exchange = NULL;
    consumer->exchanged = CONSUMER_ENDED;
    pthread_cond_signal(&consumer->exchange_answered);
    pthread_mutex_unlock(&consumer->exchange_lock);
}

enum consumer_exchanged consumer_exchange(struct consumer *consumer, const struct consumer_exchange *exchange)
{
    pthread_mutex_lock(&consumer->exchange_lock);
    if (!consumer->ended) {
        consumer->exchange = exchange;
        ev_async_send(consumer->loop, &consumer->exchange_asked);
    }
    while (consumer->exchange != NULL)
        pthread_cond_wait(&consumer->exchange_answered, &consumer->exchange_lock);
    enum consumer_exchanged exchanged = consumer->exchanged;
    pthread_mutex_unlock(&consumer->exchange_lock);
    return exchanged;
}

/* ---- From connection to connection */

static size_t current_url(const struct consumer *consumer)
{
    return atomic_load_explicit(&consumer->url, memory_order_relaxed);
}

/* Connects and sets up the queue; with false, `problem` says why that failed. */
static bool open_connection(struct consumer *consumer)
{
    struct broker_url url;
    const char *text = consumer->options.urls[current_url(consumer)];
    if (!broker_url_parse(text, &url, consumer->problem, sizeof consumer->problem))
        return false;
    const struct broker_identity identity = {consumer->options.connection_name, consumer->options.version};
    consumer->connection = broker_connect(&url, &identity, &consumer->stopping, consumer->problem);
    if (consumer->connection == NULL)
        return false;
    bool ready =
        consumer_queue_open(consumer->connection, &consumer->options, &url, &consumer->handler, consumer->problem);
    if (!ready)
        return false;
    consumer->broken = false;
    acks_reset(&consumer->acks);
    consumer->in_batch = 0;
    consumer->held = false;
    consumer->held_long = false;
    consumer->overflowing = false;
    consumer->unkept = 0;
    consumer->fetching = false;
    consumer->stall_told = false;
    delivery_reader_reset(consumer->reader);
    consumer->handler.consuming(consumer->handler.context,
                                consumer_queue_source(consumer->connection, consumer->options.queue, &url));
    return true;
}

static void on_pause_over(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)watcher;
    (void)events;
    ev_break(loop, EVBREAK_ALL);
}

static void pause_for(struct consumer *consumer, uint32_t ms)
{
    ev_now_update(consumer->loop);
    ev_timer_set(&consumer->pause, ms / 1000., 0.);
    ev_timer_start(consumer->loop, &consumer->pause);
    while (ev_is_active(&consumer->pause) && !is_stopping(consumer))
        ev_run(consumer->loop, EVRUN_ONCE);
    ev_timer_stop(consumer->loop, &consumer->pause);
}

static void tell_failure(struct consumer *consumer, bool was_connected)
{
    char url[BROKER_URL_SIZE];
    char attempts[LOG_NUMBER_SIZE];
    broker_url_redacted(consumer->options.urls[current_url(consumer)], url);
    if (was_connected)
        log_line(LOG_WARN, "lost the broker, connecting again", "reason", consumer->problem, "url", url, NULL);
    else if (retry_should_tell(&consumer->complaint[current_url(consumer)], clock_monotonic_ms(), consumer->problem))
        log_line(LOG_WARN, "cannot consume events, and will keep trying", "reason", consumer->problem, "url", url,
                 "attempts", log_number(attempts, consumer->retry.attempts), NULL);
}

static void tell_success(struct consumer *consumer, uint32_t attempts)
{
    char url[BROKER_URL_SIZE];
    char number[LOG_NUMBER_SIZE];
    char sentence[96];
    broker_url_redacted(consumer->options.urls[current_url(consumer)], url);
    if (attempts > 1)
        snprintf(sentence, sizeof sentence, "connected to the broker after %u attempts, consuming events", attempts);
    else
        snprintf(sentence, sizeof sentence, "connected to the broker, consuming events");
    log_line(LOG_INFO, sentence, "url", url, "queue", consumer->options.queue, "bindings",
             log_number(number, consumer->options.binding_count), NULL);
}

static void *run(void *argument)
{
    struct consumer *consumer = argument;
    while (!is_stopping(consumer)) {
        bool connected = open_connection(consumer);
        if (connected) {
            uint32_t attempts = retry_succeeded(&consumer->retry, clock_monotonic_ms());
            memset(consumer->complaint, 0, sizeof consumer->complaint);
            atomic_fetch_add_explicit(&consumer->connections, 1, memory_order_relaxed);
            atomic_store_explicit(&consumer->connected, true, memory_order_relaxed);
            tell_success(consumer, attempts);
            consumer_serve(consumer);
            if (consumer->letters != NULL && !is_stopping(consumer))
                dead_letters_forget(consumer->letters);
            atomic_store_explicit(&consumer->connected, false, memory_order_relaxed);
        }
        if (connected && consumer->broken)
            broker_abandon(consumer->connection);
        else
            broker_close(consumer->connection, GOODBYE_TIMEOUT_MS);
        consumer->connection = NULL;
        if (is_stopping(consumer))
            break;
        if (connected && !consumer->broken)
            continue; /* it was let go on purpose */
        uint32_t wait_ms = retry_failed(&consumer->retry, clock_monotonic_ms());
        tell_failure(consumer, connected);
        /* An address that worked is tried once more before the next. */
        if (!connected)
            atomic_store_explicit(&consumer->url, (current_url(consumer) + 1) % consumer->options.url_count,
                                  memory_order_relaxed);
        pause_for(consumer, wait_ms);
    }
    refuse_exchanges(consumer);
    dead_letters_stop(consumer->letters);
    consumer->options.ended(consumer->options.ended_context);
    return NULL;
}

/* ---- For other threads */

static void on_stop(struct ev_loop *loop, ev_async *watcher, int events)
{
    (void)watcher;
    (void)events;
    ev_break(loop, EVBREAK_ALL);
}

static void init_watchers(struct consumer *consumer)
{
    ev_async_init(&consumer->stop_asked, on_stop);
    ev_async_init(&consumer->exchange_asked, on_exchange);
    ev_timer_init(&consumer->pause, on_pause_over, 0., 0.);
    consumer->exchange_asked.data = consumer;
    ev_async_start(consumer->loop, &consumer->stop_asked);
    ev_async_start(consumer->loop, &consumer->exchange_asked);
    consumer_init_serving(consumer);
}

/* On the letters' thread. */
static void letters_have_settled(void *context)
{
    struct consumer *consumer = context;
    ev_async_send(consumer->loop, &consumer->letters_settled);
}

/* False when they are wanted and cannot be had. */
static bool start_letters(struct consumer *consumer)
{
    if (consumer->options.dead_letter_exchange == NULL)
        return true;
    const struct dead_letters_options options = {
        .urls = consumer->options.urls,
        .url_count = consumer->options.url_count,
        .exchange = consumer->options.dead_letter_exchange,
        .instance = consumer->options.instance,
        .connection_name = consumer->options.connection_name,
        .version = consumer->options.version,
        .settled = letters_have_settled,
        .settled_context = consumer,
    };
    consumer->letters = dead_letters_start(&options);
    return consumer->letters != NULL;
}

struct consumer *consumer_start(const struct consumer_options *options, const struct consumer_handler *handler)
{
    struct consumer *consumer = calloc(1, sizeof *consumer);
    if (consumer == NULL)
        return NULL;
    consumer->options = *options;
    consumer->handler = *handler;
    consumer->batch_max =
        options->prefetch / 2 < CONSUMER_DELIVERIES_MAX ? options->prefetch / 2 : CONSUMER_DELIVERIES_MAX;
    if (consumer->batch_max == 0)
        consumer->batch_max = 1;
    retry_init(&consumer->retry, clock_monotonic_ms() * 0x9e3779b97f4a7c15u ^ (uint64_t)getpid());
    /* A dead letter is to be whole, also where the event is too large to be looked into. */
    consumer->reader =
        delivery_reader_new(options->dead_letter_exchange != NULL ? DEAD_LETTER_BODY_BYTES_MAX : EVENT_BODY_BYTES_MAX);
    if (consumer->reader == NULL)
        goto free_consumer;
    consumer->loop = ev_loop_new(EVFLAG_AUTO);
    if (consumer->loop == NULL)
        goto free_reader;
    init_watchers(consumer);
    if (pthread_mutex_init(&consumer->exchange_lock, NULL) != 0)
        goto destroy_loop;
    if (pthread_cond_init(&consumer->exchange_answered, NULL) != 0)
        goto destroy_lock;
    if (!start_letters(consumer))
        goto destroy_condition;
    if (!worker_thread_start(&consumer->thread, run, consumer))
        goto free_letters;
    return consumer;

free_letters:
    dead_letters_stop(consumer->letters);
    dead_letters_free(consumer->letters);
destroy_condition:
    pthread_cond_destroy(&consumer->exchange_answered);
destroy_lock:
    pthread_mutex_destroy(&consumer->exchange_lock);
destroy_loop:
    ev_loop_destroy(consumer->loop);
free_reader:
    delivery_reader_free(consumer->reader);
free_consumer:
    free(consumer);
    return NULL;
}

bool consumer_connected(const struct consumer *consumer)
{
    return atomic_load_explicit(&consumer->connected, memory_order_relaxed);
}

uint64_t consumer_connections(const struct consumer *consumer)
{
    return atomic_load_explicit(&consumer->connections, memory_order_relaxed);
}

size_t consumer_url(const struct consumer *consumer)
{
    return current_url(consumer);
}

struct dead_letters_counts consumer_dead_letters(const struct consumer *consumer)
{
    return consumer->letters != NULL ? dead_letters_counts(consumer->letters) : (struct dead_letters_counts){0, 0};
}

void consumer_stop(struct consumer *consumer)
{
    atomic_store_explicit(&consumer->stopping, true, memory_order_relaxed);
    ev_async_send(consumer->loop, &consumer->stop_asked);
}

void consumer_join(struct consumer *consumer)
{
    if (consumer == NULL)
        return;
    pthread_join(consumer->thread, NULL);
    dead_letters_free(consumer->letters);
    acks_fini(&consumer->acks);
    pthread_cond_destroy(&consumer->exchange_answered);
    pthread_mutex_destroy(&consumer->exchange_lock);
    ev_loop_destroy(consumer->loop);
    delivery_reader_free(consumer->reader);
    free(consumer);
}
