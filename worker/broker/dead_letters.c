/*
 * dead_letters.c - the thread that publishes dead letters. See dead_letters.h.
 *
 *     put -> `fresh` --the thread takes all--> `held` --confirmed--> `settled` -> the consumer
 *
 * `fresh` and `settled` are guarded by the lock, `held` is the thread's own; a letter is in one of them. Whether a
 * letter still counts is told by the number of the connection that it came by: dead_letters_forget moves on to the
 * next, and the thread drops what is of an earlier one when it next looks.
 *
 * Letters are published many at a time, and the answers of the broker counted: it does not say which event came back as
 * unroutable. If any did, or was refused, each letter of those is published once more by itself; and as long as there
 * is trouble, all are sent one by one, so that none arrives twice each time.
 */
#include "dead_letters.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "publisher.h"
#include "retry.h"
#include "worker_thread.h"

#define WINDOW       64u /* letters published before their answers are awaited */
#define WINDOW_BYTES ((size_t)1 << 20)
#define IDLE_MS      5000u /* half a heartbeat: an idle connection is closed before it would need one */
#define SLICE_MS     100u  /* how often a wait for the broker looks whether it is still wanted */
#define POOL_BYTES   4096

#define LOG_BURST       5u /* complaints about events in each interval */
#define LOG_INTERVAL_MS 10000u

struct list {
    struct dead_letter *first;
    struct dead_letter **end; /* where the next is hung in */
};

struct dead_letters {
    struct dead_letters_options options;
    char connection_name[512];
    pthread_t thread;
    bool running;
    atomic_bool stopping; /* relaxed: a flag alone */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* `fresh`, `number` or `stopping` */

    /* Guarded by the lock. */
    struct list fresh;
    struct list settled;
    uint64_t number; /* of the consumer's connection */
    uint64_t waiting, published;
    size_t bytes; /* of all letters that are in memory */
    bool troubled;

    struct log_sampler cut_sampler; /* the consumer's thread's */

    /* The thread's own. */
    struct list held;
    struct publisher *publisher; /* NULL: none is open */
    size_t url;
    struct retry retry;
    struct retry_complaint complaint;
    char problem[BROKER_PROBLEM_SIZE];
};

/* ---- Lists */

static void list_init(struct list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static void list_add(struct list *list, struct dead_letter *letter)
{
    letter->next = NULL;
    *list->end = letter;
    list->end = &letter->next;
}

/* Takes out the letter that `place` points to. */
static struct dead_letter *list_take(struct list *list, struct dead_letter **place)
{
    struct dead_letter *letter = *place;
    *place = letter->next;
    if (list->end == &letter->next)
        list->end = place;
    return letter;
}

static void list_move(struct list *to, struct list *from)
{
    if (from->first == NULL)
        return;
    *to->end = from->first;
    to->end = from->end;
    list_init(from);
}

/* With the lock held, as the next three. */
static void free_letter(struct dead_letters *letters, struct dead_letter *letter)
{
    letters->bytes -= letter->size;
    free(letter);
}

static void free_list(struct dead_letters *letters, struct list *list)
{
    while (list->first != NULL)
        free_letter(letters, list_take(list, &list->first));
}

static void drop_forgotten(struct dead_letters *letters)
{
    for (struct dead_letter **place = &letters->held.first; *place != NULL;) {
        if ((*place)->number != letters->number)
            free_letter(letters, list_take(&letters->held, place));
        else
            place = &(*place)->next;
    }
}

static bool is_stopping(const struct dead_letters *letters)
{
    return atomic_load_explicit(&letters->stopping, memory_order_relaxed);
}

/* Waits for a change, at most until `deadline_ms`; false when that has come. */
static bool await_change(struct dead_letters *letters, uint64_t deadline_ms)
{
    const struct timespec deadline = {.tv_sec = (time_t)(deadline_ms / 1000),
                                      .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    return pthread_cond_timedwait(&letters->changed, &letters->lock, &deadline) == 0;
}

/* ---- Trouble, and its end */

static void tell_trouble(struct dead_letters *letters, const char *reason)
{
    char number[LOG_NUMBER_SIZE];
    pthread_mutex_lock(&letters->lock);
    letters->troubled = true;
    uint64_t waiting = letters->waiting;
    pthread_mutex_unlock(&letters->lock);
    if (retry_should_tell(&letters->complaint, clock_monotonic_ms(), reason))
        log_line(LOG_ERROR,
                 "cannot hand over dead letters, and will keep trying; their events stay unacknowledged meanwhile",
                 "reason", reason, "exchange", letters->options.exchange, "waiting", log_number(number, waiting), NULL);
}

static void tell_success(struct dead_letters *letters)
{
    pthread_mutex_lock(&letters->lock);
    bool was_troubled = letters->troubled;
    letters->troubled = false;
    pthread_mutex_unlock(&letters->lock);
    (void)retry_succeeded(&letters->retry, clock_monotonic_ms());
    if (was_troubled)
        log_line(LOG_INFO, "the dead letters that waited have been handed over", "exchange", letters->options.exchange,
                 NULL);
    letters->complaint = (struct retry_complaint){.reason = ""};
}

/* ---- The connection */

static bool open_publisher(struct dead_letters *letters)
{
    if (letters->publisher != NULL)
        return true;
    struct broker_url url;
    char reason[BROKER_PROBLEM_SIZE];
    const struct broker_identity identity = {letters->connection_name, letters->options.version};
    const char *exchange = letters->options.exchange;
    if (!broker_url_parse(letters->options.urls[letters->url], &url, letters->problem, sizeof letters->problem))
        return false;
    letters->publisher = publisher_open_cancellable(&url, &identity, &letters->stopping, letters->problem);
    if (letters->publisher == NULL) {
        letters->url = (letters->url + 1) % letters->options.url_count;
        return false;
    }
    if (publisher_find_exchange(letters->publisher, exchange, reason))
        return true;
    if (strstr(reason, "the broker says 404") != NULL)
        snprintf(letters->problem, sizeof letters->problem,
                 "the dead-letter exchange \"%.200s\" does not exist in virtual host \"%.100s\": declare it and bind a "
                 "queue to it, or correct its name (--dead-letter-exchange)",
                 exchange, url.vhost);
    else
        snprintf(letters->problem, sizeof letters->problem, "%s", reason);
    return false;
}

static void close_publisher(struct dead_letters *letters)
{
    publisher_close(letters->publisher);
    letters->publisher = NULL;
}

/* ---- Publishing */

static bool send_letter(struct dead_letters *letters, struct dead_letter *letter)
{
    amqp_pool_t pool;
    amqp_basic_properties_t *properties;
    init_amqp_pool(&pool, POOL_BYTES);
    bool sent = dead_letter_properties(letter, &pool, &properties);
    if (sent) {
        const struct publication publication = {
            .exchange = letters->options.exchange,
            .routing_key = letter->routing_key,
            .properties = properties,
            .body = dead_letter_body(letter),
            .body_size = letter->body_size,
        };
        sent = publisher_send(letters->publisher, &publication, letters->problem);
    } else {
        snprintf(letters->problem, sizeof letters->problem, "out of memory");
    }
    empty_amqp_pool(&pool);
    return sent;
}

static bool await_answers(struct dead_letters *letters)
{
    struct publisher *publisher = letters->publisher;
    uint64_t awaited = publisher_awaited(publisher);
    uint64_t progress_ms = clock_monotonic_ms();
    while (awaited > 0) {
        if (is_stopping(letters)) {
            snprintf(letters->problem, sizeof letters->problem, "the worker ends");
            return false;
        }
        if (!publisher_wait(publisher, SLICE_MS, letters->problem))
            return false;
        uint64_t now_ms = clock_monotonic_ms();
        if (publisher_blocked(publisher))
            tell_trouble(letters, "the broker is short of memory or disk and takes no events until that is over: look "
                                  "after the broker (rabbitmqctl status)");
        /* One that says that it is blocked is alive; whether it stays so, the heartbeat tells. */
        if (publisher_blocked(publisher) || publisher_awaited(publisher) < awaited)
            progress_ms = now_ms;
        awaited = publisher_awaited(publisher);
        if (now_ms - progress_ms > PUBLISHER_TIMEOUT_MS) {
            snprintf(letters->problem, sizeof letters->problem, "the broker has confirmed nothing for %u s",
                     PUBLISHER_TIMEOUT_MS / 1000);
            return false;
        }
    }
    return true;
}

enum outcome {
    TAKEN,     /* all are in the exchange's queues */
    NOT_TAKEN, /* at least one is not */
    LOST,      /* nobody knows, and the connection is of no more use */
};

/* Publishes `count` letters from `first` on and waits for the answers. */
static enum outcome publish(struct dead_letters *letters, struct dead_letter *first, size_t count)
{
    const struct publisher_counts before = publisher_counts(letters->publisher);
    struct dead_letter *letter = first;
    for (size_t i = 0; i < count; i++, letter = letter->next) {
        if (!send_letter(letters, letter))
            return LOST;
    }
    if (!await_answers(letters))
        return LOST;
    const struct publisher_counts after = publisher_counts(letters->publisher);
    if (after.unroutable > before.unroutable)
        snprintf(letters->problem, sizeof letters->problem,
                 "the dead-letter exchange \"%.200s\" has no queue for routing key \"%.255s\": bind one that gets all "
                 "of them (to a topic exchange with the key #)",
                 letters->options.exchange, first->routing_key);
    else if (after.refused > before.refused)
        snprintf(letters->problem, sizeof letters->problem,
                 "a queue behind the dead-letter exchange \"%.200s\" did not take routing key \"%.255s\": look whether "
                 "it is full (x-max-length with x-overflow reject-publish) or its node is down",
                 letters->options.exchange, first->routing_key);
    else
        return TAKEN;
    return NOT_TAKEN;
}

/* A missing permission is told by an end of the channel, once something was published. */
static void explain_refusal(struct dead_letters *letters)
{
    char reason[BROKER_PROBLEM_SIZE];
    if (strstr(letters->problem, "ACCESS_REFUSED") == NULL)
        return;
    snprintf(reason, sizeof reason, "%s", letters->problem);
    snprintf(letters->problem, sizeof letters->problem,
             "%.600s; the user needs the permission to write it (rabbitmqctl set_permissions)", reason);
}

/* Hands `count` letters from *place on over to the consumer. */
static void settle(struct dead_letters *letters, struct dead_letter **place, size_t count)
{
    pthread_mutex_lock(&letters->lock);
    letters->published += count;
    for (size_t i = 0; i < count; i++) {
        struct dead_letter *letter = list_take(&letters->held, place);
        if (letter->number == letters->number) {
            letters->waiting--;
            list_add(&letters->settled, letter);
        } else {
            free_letter(letters, letter);
        }
    }
    pthread_mutex_unlock(&letters->lock);
    letters->options.settled(letters->options.settled_context);
}

/* How many letters from `first` on to publish at once. */
static size_t window_from(const struct dead_letter *first, size_t window)
{
    size_t count = 0;
    size_t bytes = 0;
    for (const struct dead_letter *letter = first; letter != NULL && count < window; letter = letter->next) {
        bytes += letter->size;
        if (count > 0 && bytes > WINDOW_BYTES)
            break;
        count++;
    }
    return count;
}

/* Publishes what is held. False: something of it could not be; `problem` says why. */
static bool publish_held(struct dead_letters *letters, size_t window)
{
    char problem[BROKER_PROBLEM_SIZE] = "";
    if (!open_publisher(letters))
        return false;
    for (struct dead_letter **place = &letters->held.first; *place != NULL && !is_stopping(letters);) {
        size_t count = window_from(*place, window);
        switch (publish(letters, *place, count)) {
        case TAKEN:
            settle(letters, place, count);
            break;
        case NOT_TAKEN:
            window = 1;
            if (count > 1)
                break;
            /* The first stands for all, so that what is logged stays the same while nothing changes. */
            if (problem[0] == '\0')
                snprintf(problem, sizeof problem, "%s", letters->problem);
            place = &(*place)->next;
            break;
        case LOST:
            explain_refusal(letters);
            return false;
        }
    }
    if (problem[0] == '\0')
        return true;
    snprintf(letters->problem, sizeof letters->problem, "%s", problem);
    return false;
}

/* ---- The thread */

/* Waits until there is something to publish, or it is time to end. Closes a connection that is idle. */
static void await_letters(struct dead_letters *letters)
{
    uint64_t idle_ms = clock_monotonic_ms() + IDLE_MS;
    pthread_mutex_lock(&letters->lock);
    for (;;) {
        list_move(&letters->held, &letters->fresh);
        drop_forgotten(letters);
        if (letters->held.first != NULL || is_stopping(letters))
            break;
        if (letters->publisher == NULL) {
            pthread_cond_wait(&letters->changed, &letters->lock);
        } else if (!await_change(letters, idle_ms)) {
            pthread_mutex_unlock(&letters->lock);
            close_publisher(letters);
            pthread_mutex_lock(&letters->lock);
        }
    }
    pthread_mutex_unlock(&letters->lock);
}

static void pause_for(struct dead_letters *letters, uint32_t wait_ms)
{
    uint64_t deadline_ms = clock_monotonic_ms() + wait_ms;
    pthread_mutex_lock(&letters->lock);
    while (!is_stopping(letters) && await_change(letters, deadline_ms))
        drop_forgotten(letters);
    pthread_mutex_unlock(&letters->lock);
}

static void *run(void *argument)
{
    struct dead_letters *letters = argument;
    size_t window = WINDOW;
    for (;;) {
        await_letters(letters);
        if (is_stopping(letters))
            break;
        if (publish_held(letters, window)) {
            window = WINDOW;
            tell_success(letters);
        } else if (!is_stopping(letters)) {
            window = 1;
            close_publisher(letters);
            tell_trouble(letters, letters->problem);
            pause_for(letters, retry_failed(&letters->retry, clock_monotonic_ms()));
        }
    }
    close_publisher(letters);
    return NULL;
}

/* ---- For the consumer's thread */

static void tell_cut(struct dead_letters *letters, const struct delivery *delivery)
{
    uint64_t suppressed;
    if (!log_sample(&letters->cut_sampler, LOG_BURST, LOG_INTERVAL_MS, &suppressed))
        return;
    char bytes[LOG_NUMBER_SIZE];
    char number[LOG_NUMBER_SIZE];
    log_line(
        LOG_ERROR,
        "an event is too large to become a dead letter as a whole; its header x-quash-left-out says what is missing",
        "exchange", delivery->exchange, "routing_key", delivery->routing_key, "body_bytes",
        log_number(bytes, delivery->body_sent), "more_like_it", suppressed > 0 ? log_number(number, suppressed) : NULL,
        NULL);
}

bool dead_letters_put(struct dead_letters *letters, const struct delivery *delivery,
                      const struct dead_letter_cause *cause, size_t frame_max)
{
    struct dead_letter *letter = dead_letter_new(delivery, cause, letters->options.instance, frame_max);
    if (letter == NULL)
        return false;
    if (!letter->whole)
        tell_cut(letters, delivery);
    pthread_mutex_lock(&letters->lock);
    letter->number = letters->number;
    letters->bytes += letter->size;
    letters->waiting++;
    list_add(&letters->fresh, letter);
    pthread_cond_signal(&letters->changed);
    pthread_mutex_unlock(&letters->lock);
    return true;
}

size_t dead_letters_settled(struct dead_letters *letters, uint64_t *tags, size_t room)
{
    size_t count = 0;
    pthread_mutex_lock(&letters->lock);
    while (count < room && letters->settled.first != NULL) {
        struct dead_letter *letter = list_take(&letters->settled, &letters->settled.first);
        tags[count++] = letter->tag;
        free_letter(letters, letter);
    }
    pthread_mutex_unlock(&letters->lock);
    return count;
}

void dead_letters_forget(struct dead_letters *letters)
{
    pthread_mutex_lock(&letters->lock);
    letters->number++;
    letters->waiting = 0;
    free_list(letters, &letters->fresh);
    free_list(letters, &letters->settled);
    pthread_cond_signal(&letters->changed);
    pthread_mutex_unlock(&letters->lock);
}

bool dead_letters_full(struct dead_letters *letters)
{
    pthread_mutex_lock(&letters->lock);
    bool full = letters->bytes >= DEAD_LETTERS_BYTES_MAX;
    pthread_mutex_unlock(&letters->lock);
    return full;
}

bool dead_letters_moving(struct dead_letters *letters)
{
    pthread_mutex_lock(&letters->lock);
    bool moving = letters->waiting > 0 && !letters->troubled;
    pthread_mutex_unlock(&letters->lock);
    return moving;
}

struct dead_letters_counts dead_letters_counts(struct dead_letters *letters)
{
    pthread_mutex_lock(&letters->lock);
    const struct dead_letters_counts counts = {.published = letters->published, .waiting = letters->waiting};
    pthread_mutex_unlock(&letters->lock);
    return counts;
}

/* ---- For the owner */

/* Deadlines are of the monotonic clock. */
static bool init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0)
        return false;
    bool good =
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 && pthread_cond_init(condition, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return good;
}

struct dead_letters *dead_letters_start(const struct dead_letters_options *options)
{
    struct dead_letters *letters = calloc(1, sizeof *letters);
    if (letters == NULL)
        return NULL;
    letters->options = *options;
    snprintf(letters->connection_name, sizeof letters->connection_name, "%s dead letters", options->connection_name);
    list_init(&letters->fresh);
    list_init(&letters->settled);
    list_init(&letters->held);
    retry_init(&letters->retry, clock_monotonic_ns() * 0x9e3779b97f4a7c15u ^ (uint64_t)getpid());
    if (pthread_mutex_init(&letters->lock, NULL) != 0)
        goto free_letters;
    if (!init_condition(&letters->changed))
        goto destroy_lock;
    if (!worker_thread_start(&letters->thread, run, letters))
        goto destroy_condition;
    letters->running = true;
    return letters;

destroy_condition:
    pthread_cond_destroy(&letters->changed);
destroy_lock:
    pthread_mutex_destroy(&letters->lock);
free_letters:
    free(letters);
    return NULL;
}

void dead_letters_stop(struct dead_letters *letters)
{
    if (letters == NULL || !letters->running)
        return;
    pthread_mutex_lock(&letters->lock);
    atomic_store_explicit(&letters->stopping, true, memory_order_relaxed);
    pthread_cond_signal(&letters->changed);
    pthread_mutex_unlock(&letters->lock);
    pthread_join(letters->thread, NULL);
    letters->running = false;
}

void dead_letters_free(struct dead_letters *letters)
{
    if (letters == NULL)
        return;
    free_list(letters, &letters->fresh);
    free_list(letters, &letters->settled);
    free_list(letters, &letters->held);
    pthread_cond_destroy(&letters->changed);
    pthread_mutex_destroy(&letters->lock);
    free(letters);
}
