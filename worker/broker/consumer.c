/*
 * consumer.c - the consumer's thread: connect, serve until something breaks or it is stopped, pause, again.
 *
 * While it serves, a libev loop waits for the socket. rabbitmq-c reads ahead, so that frames may wait in memory while
 * the socket is quiet: each wake-up drains until the library has nothing left, or until a batch is full, and then wakes
 * itself again. The library also sends and checks heartbeats only inside its calls, hence a timer at half their
 * interval. The watcher of the socket is stopped before the connection is let go, because the library closes the
 * descriptor itself and the number may be somebody else's at once.
 *
 * Only `stopping`, `connected` and `connections` are shared between threads; none guards other data.
 */
#include "consumer.h"

#include <ev.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "clock.h"
#include "consumer_queue.h"
#include "log.h"
#include "retry.h"

#define GOODBYE_TIMEOUT_MS 1000 /* how long the broker may take to confirm the end of the connection */
#define APPLY_RETRY_S      1.0

struct consumer {
    struct consumer_options options;
    struct consumer_handler handler;
    size_t batch_max;
    pthread_t thread;
    atomic_bool stopping;
    atomic_bool connected;
    atomic_uint_fast64_t connections;

    /* The thread's own. */
    struct ev_loop *loop;
    ev_async stop_asked;
    ev_timer pause;
    ev_io readable;
    ev_timer heartbeat;
    ev_timer again;
    ev_timer apply_again;
    struct retry retry;
    struct retry_complaint complaint[CONSUMER_URLS_MAX];
    size_t url; /* the one that is tried or used */
    amqp_connection_state_t connection;
    struct delivery_reader *reader;
    uint64_t taken_tag; /* of the last delivery taken; 0: none on this connection */
    uint64_t acked_tag; /* up to which deliveries were acknowledged */
    bool broken;        /* the connection cannot go on, because of `problem` */
    char problem[BROKER_PROBLEM_SIZE];
};

static bool is_stopping(const struct consumer *consumer)
{
    return atomic_load_explicit(&consumer->stopping, memory_order_relaxed);
}

/* ---- Serving a connection */

/* `problem` has been set: nothing more is read from this connection. */
static void break_off(struct consumer *consumer)
{
    consumer->broken = true;
    ev_io_stop(consumer->loop, &consumer->readable);
    ev_break(consumer->loop, EVBREAK_ALL);
}

static void start_timer(struct consumer *consumer, ev_timer *timer, double seconds)
{
    if (ev_is_active(timer))
        return;
    ev_timer_set(timer, seconds, 0.);
    ev_timer_start(consumer->loop, timer);
}

/* Applies what was taken, then acknowledges it; in that order, or a crash in between would lose events. */
static void finish_batch(struct consumer *consumer)
{
    if (!consumer->handler.apply(consumer->handler.context)) {
        /* What was taken stays with the handler. The prefetch bounds how much more can come. */
        start_timer(consumer, &consumer->apply_again, APPLY_RETRY_S);
        return;
    }
    if (consumer->broken || consumer->taken_tag == consumer->acked_tag)
        return;
    int status = amqp_basic_ack(consumer->connection, BROKER_CHANNEL, consumer->taken_tag, true);
    if (status != AMQP_STATUS_OK) {
        broker_status_problem(status, "acknowledging events", consumer->problem);
        break_off(consumer);
        return;
    }
    consumer->acked_tag = consumer->taken_tag;
}

/* A frame of channel 0, or a method that is no delivery. */
static void take_method(struct consumer *consumer, const amqp_frame_t *frame)
{
    if (frame->frame_type != AMQP_FRAME_METHOD)
        return;
    const amqp_method_t *method = &frame->payload.method;
    if (method->id == AMQP_CONNECTION_BLOCKED_METHOD) {
        log_line(LOG_WARN, "the broker is short of memory or disk and takes no events from emitters until that is over",
                 NULL);
    } else if (method->id == AMQP_CONNECTION_UNBLOCKED_METHOD) {
        log_line(LOG_INFO, "the broker takes events from emitters again", NULL);
    } else if (broker_method_problem(method, consumer->problem)) {
        if (method->id == AMQP_CONNECTION_CLOSE_METHOD) {
            amqp_connection_close_ok_t close_ok = {0};
            (void)amqp_send_method(consumer->connection, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &close_ok);
        }
        break_off(consumer);
    }
}

/* Returns whether the batch is full. */
static bool take_frame(struct consumer *consumer, const amqp_frame_t *frame)
{
    if (frame->channel == 0) {
        take_method(consumer, frame);
        return false;
    }
    switch (delivery_reader_feed(consumer->reader, frame)) {
    case DELIVERY_MORE:
        return false;
    case DELIVERY_WHOLE: {
        const struct delivery *delivery = delivery_reader_get(consumer->reader);
        consumer->taken_tag = delivery->tag;
        bool full = consumer->handler.take(consumer->handler.context, delivery);
        return full || consumer->taken_tag - consumer->acked_tag >= consumer->batch_max;
    }
    case DELIVERY_NOT_OURS:
        take_method(consumer, frame);
        return false;
    case DELIVERY_NO_MEMORY:
        snprintf(consumer->problem, sizeof consumer->problem, "out of memory while an event was received");
        break_off(consumer);
        return false;
    case DELIVERY_BROKEN:
        snprintf(consumer->problem, sizeof consumer->problem,
                 "the broker sent frames in an order that the protocol does not allow");
        break_off(consumer);
        return false;
    }
    return false;
}

static void drain(struct consumer *consumer)
{
    bool full = false;
    while (!full && !consumer->broken) {
        amqp_frame_t frame;
        const struct timeval at_once = {0, 0};
        int status = amqp_simple_wait_frame_noblock(consumer->connection, &frame, &at_once);
        if (status == AMQP_STATUS_TIMEOUT)
            break;
        if (status != AMQP_STATUS_OK) {
            broker_status_problem(status, "reading from the broker", consumer->problem);
            break_off(consumer);
            break;
        }
        full = take_frame(consumer, &frame);
        /* Everything has been copied; without this the library keeps all frames until it is idle. */
        amqp_maybe_release_buffers(consumer->connection);
    }
    finish_batch(consumer);
    if (!consumer->broken && full &&
        (amqp_frames_enqueued(consumer->connection) || amqp_data_in_buffer(consumer->connection))) {
        start_timer(consumer, &consumer->again, 0.);
    }
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    drain(watcher->data);
}

static void on_timer(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct consumer *consumer = watcher->data;
    if (!consumer->broken)
        drain(consumer);
}

static void on_stop(struct ev_loop *loop, ev_async *watcher, int events)
{
    (void)watcher;
    (void)events;
    ev_break(loop, EVBREAK_ALL);
}

/* Runs until the connection breaks, with the reason in `problem`, or the consumer is stopped. */
static void serve(struct consumer *consumer)
{
    ev_io_set(&consumer->readable, amqp_get_sockfd(consumer->connection), EV_READ);
    ev_io_start(consumer->loop, &consumer->readable);
    ev_timer_set(&consumer->heartbeat, BROKER_HEARTBEAT_S / 2., BROKER_HEARTBEAT_S / 2.);
    ev_timer_start(consumer->loop, &consumer->heartbeat);
    /* Setting up has asked questions; deliveries may have come with the answers, and lie in memory. */
    drain(consumer);
    while (!consumer->broken && !is_stopping(consumer))
        ev_run(consumer->loop, EVRUN_ONCE);
    ev_io_stop(consumer->loop, &consumer->readable);
    ev_timer_stop(consumer->loop, &consumer->heartbeat);
    ev_timer_stop(consumer->loop, &consumer->again);
    ev_timer_stop(consumer->loop, &consumer->apply_again);
    finish_batch(consumer);
    ev_timer_stop(consumer->loop, &consumer->apply_again);
}

/* ---- From connection to connection */

/* Connects and sets up the queue; with false, `problem` says why that failed. */
static bool open_connection(struct consumer *consumer)
{
    struct broker_url url;
    const char *text = consumer->options.urls[consumer->url];
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
    consumer->taken_tag = 0;
    consumer->acked_tag = 0;
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
    broker_url_redacted(consumer->options.urls[consumer->url], url);
    if (was_connected)
        log_line(LOG_WARN, "lost the broker, connecting again", "reason", consumer->problem, "url", url, NULL);
    else if (retry_should_tell(&consumer->complaint[consumer->url], clock_monotonic_ms(), consumer->problem))
        log_line(LOG_WARN, "cannot consume events, and will keep trying", "reason", consumer->problem, "url", url,
                 "attempts", log_number(attempts, consumer->retry.attempts), NULL);
}

static void tell_success(struct consumer *consumer, uint32_t attempts)
{
    char url[BROKER_URL_SIZE];
    char number[LOG_NUMBER_SIZE];
    char sentence[96];
    broker_url_redacted(consumer->options.urls[consumer->url], url);
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
            serve(consumer);
            atomic_store_explicit(&consumer->connected, false, memory_order_relaxed);
        }
        if (connected && consumer->broken)
            broker_abandon(consumer->connection);
        else
            broker_close(consumer->connection, GOODBYE_TIMEOUT_MS);
        consumer->connection = NULL;
        if (is_stopping(consumer))
            break;
        uint32_t wait_ms = retry_failed(&consumer->retry, clock_monotonic_ms());
        tell_failure(consumer, connected);
        /* An address that worked is tried once more before the next. */
        if (!connected)
            consumer->url = (consumer->url + 1) % consumer->options.url_count;
        pause_for(consumer, wait_ms);
    }
    consumer->options.ended(consumer->options.ended_context);
    return NULL;
}

/* ---- For other threads */

static void init_watchers(struct consumer *consumer)
{
    ev_async_init(&consumer->stop_asked, on_stop);
    ev_timer_init(&consumer->pause, on_pause_over, 0., 0.);
    ev_io_init(&consumer->readable, on_readable, -1, EV_READ);
    ev_timer_init(&consumer->heartbeat, on_timer, 0., 0.);
    ev_timer_init(&consumer->again, on_timer, 0., 0.);
    ev_timer_init(&consumer->apply_again, on_timer, 0., 0.);
    consumer->readable.data = consumer;
    consumer->heartbeat.data = consumer;
    consumer->again.data = consumer;
    consumer->apply_again.data = consumer;
    ev_async_start(consumer->loop, &consumer->stop_asked);
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
    consumer->reader = delivery_reader_new(EVENT_BODY_BYTES_MAX);
    if (consumer->reader == NULL)
        goto free_consumer;
    consumer->loop = ev_loop_new(EVFLAG_AUTO);
    if (consumer->loop == NULL)
        goto free_reader;
    init_watchers(consumer);
    /* Signals are the main thread's: none may interrupt rabbitmq-c. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&consumer->thread, NULL, run, consumer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0)
        goto destroy_loop;
    return consumer;

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
    ev_loop_destroy(consumer->loop);
    delivery_reader_free(consumer->reader);
    free(consumer);
}
