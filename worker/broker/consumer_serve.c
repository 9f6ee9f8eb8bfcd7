/*
 * consumer_serve.c - a connection that is set up: deliveries are read, taken, applied and acknowledged. See
 * consumer_parts.h.
 *
 * A libev loop waits for the socket. rabbitmq-c reads ahead, so that frames may wait in memory while the socket is
 * quiet: each wake-up drains until the library has nothing left, or until a batch is full, and then wakes itself again.
 * The library also sends and checks heartbeats only inside its calls, hence a timer at half their interval. The watcher
 * of the socket is stopped before the connection is let go, because the library closes the descriptor itself and the
 * number may be somebody else's at once.
 *
 * Deliveries that become dead letters are not acknowledged before these have arrived (acks.h); those behind them are.
 * When letters fill the memory that they may take, nothing is read for a moment, which is enough while they are only
 * slow. RabbitMQ bears that for about half a minute and then ends the connection. So if it lasts, reading goes on, but
 * no more letters are kept: those deliveries stay with the broker, unacknowledged, and once all that are kept have
 * arrived, a new connection brings them again.
 */
#include <stdio.h>
#include <sys/time.h>

#include "consumer_parts.h"
#include "log.h"

#define APPLY_RETRY_S   1.0
#define SEE_OFF_S       0.5 /* how long dead letters that are under way may take at the end */
#define SETTLED_AT_ONCE 64u

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

/* ---- Acknowledging */

static bool send_ack(void *context, uint64_t tag, bool multiple)
{
    struct consumer *consumer = context;
    int status = amqp_basic_ack(consumer->connection, BROKER_CHANNEL, tag, multiple);
    if (status == AMQP_STATUS_OK)
        return true;
    broker_status_problem(status, "acknowledging events", consumer->problem);
    return false;
}

static void collect_settled(struct consumer *consumer)
{
    uint64_t tags[SETTLED_AT_ONCE];
    size_t count = SETTLED_AT_ONCE;
    while (consumer->letters != NULL && count == SETTLED_AT_ONCE) {
        count = dead_letters_settled(consumer->letters, tags, SETTLED_AT_ONCE);
        for (size_t i = 0; i < count; i++)
            acks_settle(&consumer->acks, tags[i]);
    }
}

void consumer_finish_batch(struct consumer *consumer)
{
    if (!consumer->handler.apply(consumer->handler.context)) {
        /* What was taken stays with the handler. The prefetch bounds how much more can come. */
        start_timer(consumer, &consumer->apply_again, APPLY_RETRY_S);
        return;
    }
    consumer->in_batch = 0;
    if (consumer->broken)
        return;
    collect_settled(consumer);
    if (!acks_flush(&consumer->acks, send_ack, consumer))
        break_off(consumer);
}

/* ---- Reading */

/* Keeps the delivery as a dead letter, or counts it among those that will come again. False: out of memory. */
static bool put_letter(struct consumer *consumer, const struct delivery *delivery,
                       const struct dead_letter_cause *cause)
{
    /* From the first that is not kept on, none is, so that those that are come to an end. */
    if (consumer->unkept > 0 || (consumer->overflowing && dead_letters_full(consumer->letters))) {
        consumer->unkept++;
        return true;
    }
    if (!dead_letters_put(consumer->letters, delivery, cause, (size_t)amqp_get_frame_max(consumer->connection)))
        return false;
    if (!consumer->overflowing && dead_letters_full(consumer->letters)) {
        consumer->held = true;
        ev_io_stop(consumer->loop, &consumer->readable);
    }
    return true;
}

/* Returns whether the batch is full. */
static bool take(struct consumer *consumer, const struct delivery *delivery)
{
    struct dead_letter_cause cause = {.word = NULL};
    bool full = consumer->handler.take(consumer->handler.context, delivery, &cause);
    bool waits = cause.word != NULL && consumer->letters != NULL;
    if ((waits && !put_letter(consumer, delivery, &cause)) || !acks_take(&consumer->acks, delivery->tag, waits)) {
        snprintf(consumer->problem, sizeof consumer->problem, "out of memory while an event was taken");
        break_off(consumer);
        return false;
    }
    consumer->in_batch++;
    return full || consumer->held || consumer->in_batch >= consumer->batch_max;
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
    case DELIVERY_WHOLE:
        return take(consumer, delivery_reader_get(consumer->reader));
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
    bool full = consumer->held;
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
    consumer_finish_batch(consumer);
    if (!consumer->broken && full && !consumer->held &&
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

/* ---- Dead letters */

static void read_on(struct consumer *consumer)
{
    consumer->held = false;
    consumer->held_long = false;
    ev_io_start(consumer->loop, &consumer->readable);
    start_timer(consumer, &consumer->again, 0.);
}

/* At each heartbeat: reading does not rest for longer than from one to the next but one. */
static void limit_hold(struct consumer *consumer)
{
    if (!consumer->held)
        return;
    if (dead_letters_full(consumer->letters)) {
        if (!consumer->held_long && dead_letters_moving(consumer->letters)) {
            consumer->held_long = true;
            return;
        }
        consumer->overflowing = true;
        log_line(LOG_WARN,
                 "dead letters fill the memory for them; events that become one from now on stay with the broker until "
                 "these are handed over",
                 NULL);
    }
    read_on(consumer);
}

/* Once all letters that are kept have arrived, those that are not can come again. */
static void fetch_unkept(struct consumer *consumer)
{
    if (consumer->unkept == 0 || acks_waiting(&consumer->acks) > consumer->unkept || consumer->broken)
        return;
    char number[LOG_NUMBER_SIZE];
    log_line(LOG_INFO, "connecting again for events whose dead letters found no room", "events",
             log_number(number, consumer->unkept), NULL);
    consumer->fetching = true;
    ev_break(consumer->loop, EVBREAK_ALL);
}

static void on_settled(struct ev_loop *loop, ev_async *watcher, int events)
{
    (void)loop;
    (void)events;
    struct consumer *consumer = watcher->data;
    if (consumer->connection == NULL || consumer->broken)
        return;
    consumer_finish_batch(consumer);
    /* After the end of reading nothing is to begin again. */
    if (is_stopping(consumer))
        return;
    if (consumer->held && !consumer->broken && !dead_letters_full(consumer->letters))
        read_on(consumer);
    fetch_unkept(consumer);
}

/* Said only of what has lasted for a while. */
static void tell_stall(struct consumer *consumer)
{
    bool stalled = acks_waiting(&consumer->acks) >= consumer->options.prefetch;
    if (stalled == consumer->stall_told)
        return;
    consumer->stall_told = stalled;
    char number[LOG_NUMBER_SIZE];
    log_number(number, acks_waiting(&consumer->acks));
    if (stalled)
        log_line(LOG_ERROR,
                 "no events come, so that caches may keep what has changed: as many wait for their dead letter as "
                 "--prefetch lets be under way",
                 "waiting", number, NULL);
    else
        log_line(LOG_INFO, "events come again", "waiting", number, NULL);
}

/* ---- The loop */

static void on_heartbeat(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct consumer *consumer = watcher->data;
    if (consumer->letters != NULL && !consumer->broken) {
        tell_stall(consumer);
        limit_hold(consumer);
        fetch_unkept(consumer);
    }
    on_timer(loop, watcher, events);
}

/* At the end: letters that are under way get a moment, so that their events need not come again. */
static void see_off_letters(struct consumer *consumer)
{
    ev_now_update(consumer->loop);
    ev_timer_set(&consumer->pause, SEE_OFF_S, 0.);
    ev_timer_start(consumer->loop, &consumer->pause);
    while (dead_letters_moving(consumer->letters) && !consumer->broken && ev_is_active(&consumer->pause))
        ev_run(consumer->loop, EVRUN_ONCE);
    ev_timer_stop(consumer->loop, &consumer->pause);
    consumer_finish_batch(consumer);
    char number[LOG_NUMBER_SIZE];
    if (acks_waiting(&consumer->acks) > 0)
        log_line(LOG_WARN, "events that wait for their dead letter stay in the queue", "waiting",
                 log_number(number, acks_waiting(&consumer->acks)), NULL);
}

void consumer_serve(struct consumer *consumer)
{
    ev_io_set(&consumer->readable, amqp_get_sockfd(consumer->connection), EV_READ);
    ev_io_start(consumer->loop, &consumer->readable);
    ev_timer_set(&consumer->heartbeat, BROKER_HEARTBEAT_S / 2., BROKER_HEARTBEAT_S / 2.);
    ev_timer_start(consumer->loop, &consumer->heartbeat);
    /* Setting up has asked questions; deliveries may have come with the answers, and lie in memory. */
    drain(consumer);
    while (!consumer->broken && !consumer->fetching && !is_stopping(consumer))
        ev_run(consumer->loop, EVRUN_ONCE);
    ev_io_stop(consumer->loop, &consumer->readable);
    ev_timer_stop(consumer->loop, &consumer->heartbeat);
    ev_timer_stop(consumer->loop, &consumer->again);
    ev_timer_stop(consumer->loop, &consumer->apply_again);
    consumer_finish_batch(consumer);
    if (consumer->letters != NULL && !consumer->broken && !consumer->fetching)
        see_off_letters(consumer);
    ev_timer_stop(consumer->loop, &consumer->apply_again);
}

void consumer_init_serving(struct consumer *consumer)
{
    ev_io_init(&consumer->readable, on_readable, -1, EV_READ);
    ev_timer_init(&consumer->heartbeat, on_heartbeat, 0., 0.);
    ev_timer_init(&consumer->again, on_timer, 0., 0.);
    ev_timer_init(&consumer->apply_again, on_timer, 0., 0.);
    ev_async_init(&consumer->letters_settled, on_settled);
    consumer->readable.data = consumer;
    consumer->heartbeat.data = consumer;
    consumer->again.data = consumer;
    consumer->apply_again.data = consumer;
    consumer->letters_settled.data = consumer;
    ev_async_start(consumer->loop, &consumer->letters_settled);
}
