/*
 * answers.c - the file to copy from. See answers.h.
 *
 *     ask ─► quash_cache_get_or_begin ─┬─ QUASH_OK, QUASH_ABSENT ──────────────────────────────► answer
 *                                      ├─ QUASH_MISS: a fill ─► query ─ later ─► commit ───────► answer
 *                                      └─ QUASH_BUSY: somebody else asks for it ─► a notice ───► answer
 *
 * An asker is the tag of its notices. When its time is over it is told so, and forgotten: the query goes on without it,
 * and its value is kept.
 */
#include "answers.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quash/cache.h>
#include <quash/watch.h>

/* How often the cache is looked through for what has expired, and how much of it in one idle turn. */
#define MAINTAIN_SECONDS 1.0
#define MAINTAIN_ENTRIES 1000u

struct answers {
    struct ev_loop *loop;
    struct slow_db *db;
    double seconds_per_answer;
    quash_table *table;
    quash_cache *cache;
    quash_notifier *notifier;
    quash_watch *flush;
    ev_io notices;
    ev_timer tidy;
    ev_idle idle;
    ev_async flushed;
};

/* A query under way. */
struct question {
    struct answers *answers;
    struct asker *asker; /* who gets its answer; NULL: nobody any more, or nobody ever did (a refresh) */
    quash_fill *fill;
};

static void ask(struct asker *asker);

/* ---- Answers ---- */

static void tell(struct asker *asker, enum answer answer, const char *text, size_t size)
{
    ev_timer_stop(asker->answers->loop, &asker->deadline);
    asker->told(asker, answer, text, size);
}

static void tell_value(struct asker *asker, quash_entry *entry)
{
    tell(asker, ANSWER_VALUE, quash_entry_bytes(entry), quash_entry_size(entry));
    quash_entry_release(entry);
}

static void tell_status(struct asker *asker, quash_status status)
{
    const char *text = quash_status_string(status);
    tell(asker, status == QUASH_ABSENT ? ANSWER_ABSENT : ANSWER_FAILED, text, strlen(text));
}

void answers_forget(struct asker *asker)
{
    if (asker->answers == NULL)
        return;
    ev_timer_stop(asker->answers->loop, &asker->deadline);
    quash_notifier_forget(asker->answers->notifier, asker);
    if (asker->question != NULL)
        asker->question->asker = NULL;
    asker->question = NULL;
}

static void time_is_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct asker *asker = timer->data;
    answers_forget(asker);
    tell(asker, ANSWER_TIMED_OUT, NULL, 0);
}

/* ---- Queries ---- */

/* What the value depends on is named here, after it was read: the fill's stamp is older. */
static quash_status fill_end(quash_fill *fill, const char *value, quash_entry **entry)
{
    quash_status status =
        value == NULL ? quash_fill_set_absent(fill) : quash_fill_set_bytes(fill, value, strlen(value));
    if (status == QUASH_OK)
        return quash_fill_commit(fill, entry, NULL);
    quash_fill_abandon(fill, status);
    return status;
}

static void query_done(enum slow_db_result result, const char *value, void *context)
{
    struct question *question = context;
    struct asker *asker = question->asker;
    quash_entry *entry = NULL;
    quash_status status = QUASH_LOAD_FAILED;
    if (result == SLOW_DB_STOPPED)
        quash_fill_abandon(question->fill, status);
    else
        status = fill_end(question->fill, value, &entry);
    free(question);
    if (asker == NULL) {
        quash_entry_release(entry);
        return;
    }
    asker->question = NULL;
    if (status == QUASH_OK)
        tell_value(asker, entry);
    else
        tell_status(asker, status);
}

/* Starts the query for a fill. False: it was abandoned for lack of memory. */
static bool query(struct answers *answers, struct asker *asker, quash_fill *fill, bool refresh)
{
    char group[sizeof "key:" + ANSWERS_KEY_MAX];
    snprintf(group, sizeof group, "key:%.*s", (int)asker->key_size, asker->key);
    struct question *question = malloc(sizeof *question);
    if (question == NULL || quash_fill_add_group(fill, group) != QUASH_OK)
        goto abandon;
    *question = (struct question){answers, refresh ? NULL : asker, fill};
    if (!slow_db_query(answers->db, asker->key, asker->key_size, query_done, question))
        goto abandon;
    if (!refresh)
        asker->question = question;
    return true;

abandon:
    free(question);
    quash_fill_abandon(fill, QUASH_NO_MEMORY);
    return false;
}

static void ask(struct asker *asker)
{
    struct answers *answers = asker->answers;
    quash_entry *entry;
    quash_fill *fill;
    quash_status status =
        quash_cache_get_or_begin(answers->cache, asker->key, asker->key_size, answers->notifier, asker, &entry, &fill);
    switch (status) {
    case QUASH_OK:
        /* It will expire soon: this one has the value all the same, and the next ones a new one. */
        if (fill != NULL)
            query(answers, asker, fill, true);
        tell_value(asker, entry);
        break;
    case QUASH_MISS:
        if (!query(answers, asker, fill, false))
            tell_status(asker, QUASH_NO_MEMORY);
        break;
    case QUASH_BUSY:
        break;
    default:
        if (fill != NULL)
            query(answers, asker, fill, true);
        tell_status(asker, status);
        break;
    }
}

void answers_ask(struct answers *answers, struct asker *asker, const char *key, size_t key_size)
{
    asker->answers = answers;
    asker->question = NULL;
    asker->key_size = key_size;
    memcpy(asker->key, key, key_size);
    ev_timer_init(&asker->deadline, time_is_over, answers->seconds_per_answer, 0);
    asker->deadline.data = asker;
    ev_timer_start(answers->loop, &asker->deadline);
    ask(asker);
}

/* ---- What the loop hears of the cache ---- */

static void notices_came(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct answers *answers = io->data;
    quash_notice notice;
    while (quash_notifier_next(answers->notifier, &notice)) {
        struct asker *asker = notice.tag;
        if (notice.status == QUASH_OK)
            tell_value(asker, notice.entry);
        else if (notice.status == QUASH_VOIDED)
            ask(asker); /* its time goes on */
        else
            tell_status(asker, notice.status);
    }
}

/* Memory of what is expired or cancelled comes back in idle turns, a little at a time. */
static void tidy_a_little(struct ev_loop *loop, ev_idle *idle, int events)
{
    (void)events;
    struct answers *answers = idle->data;
    if (!quash_cache_maintain(answers->cache, MAINTAIN_ENTRIES))
        ev_idle_stop(loop, idle);
}

static void tidy_again(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    struct answers *answers = timer->data;
    ev_idle_start(loop, &answers->idle);
}

/* On the table's watching thread. */
static void all_was_cancelled(quash_change change, void *context)
{
    (void)change;
    struct answers *answers = context;
    ev_async_send(answers->loop, &answers->flushed);
}

/* After a flush there is much to give back, so it begins at once. */
static void flush_came(struct ev_loop *loop, ev_async *async, int events)
{
    (void)events;
    struct answers *answers = async->data;
    quash_watch_free(answers->flush);
    answers->flush = NULL;
    if (quash_watch_group(answers->table, "*", all_was_cancelled, answers, &answers->flush) != QUASH_OK)
        fputs("eventloop-service: no more notice of flushes; memory comes back within a second all the same\n", stderr);
    ev_idle_start(loop, &answers->idle);
}

static void watchers_start(struct answers *answers)
{
    ev_io_init(&answers->notices, notices_came, quash_notifier_fd(answers->notifier), EV_READ);
    ev_timer_init(&answers->tidy, tidy_again, MAINTAIN_SECONDS, MAINTAIN_SECONDS);
    ev_idle_init(&answers->idle, tidy_a_little);
    ev_async_init(&answers->flushed, flush_came);
    answers->notices.data = answers->tidy.data = answers->idle.data = answers->flushed.data = answers;
    ev_io_start(answers->loop, &answers->notices);
    ev_timer_start(answers->loop, &answers->tidy);
    ev_async_start(answers->loop, &answers->flushed);
}

/* ---- From start to end ---- */

struct answers *answers_open(struct ev_loop *loop, struct slow_db *db, const struct answers_options *options)
{
    struct answers *answers = calloc(1, sizeof *answers);
    quash_error error = {"out of memory"};
    if (answers == NULL)
        goto complain;
    answers->loop = loop;
    answers->db = db;
    answers->seconds_per_answer = options->seconds_per_answer;
    /* The table need not be there yet: until it is, every asker has a query of its own, and nothing is kept. */
    if (quash_table_open(options->table_path, NULL, &answers->table, &error) != QUASH_OK)
        goto free_answers;
    quash_cache_options cache_options = QUASH_CACHE_OPTIONS_INIT;
    cache_options.table = answers->table;
    cache_options.ttl_ms = (uint64_t)(options->seconds_to_live * 1000);
    cache_options.absent_ttl_ms = cache_options.ttl_ms;
    cache_options.eager_percent = 80;
    if (quash_cache_new(&cache_options, &answers->cache) != QUASH_OK)
        goto close_table;
    if (quash_notifier_new(&answers->notifier) != QUASH_OK)
        goto free_cache;
    watchers_start(answers);
    if (quash_watch_group(answers->table, "*", all_was_cancelled, answers, &answers->flush) == QUASH_OK)
        return answers;

    ev_async_stop(loop, &answers->flushed);
    ev_timer_stop(loop, &answers->tidy);
    ev_io_stop(loop, &answers->notices);
    quash_notifier_free(answers->notifier);
free_cache:
    quash_cache_free(answers->cache);
close_table:
    quash_table_close(answers->table);
free_answers:
    free(answers);
complain:
    fprintf(stderr, "eventloop-service: %s\n", error.message);
    return NULL;
}

void answers_close(struct answers *answers)
{
    if (answers == NULL)
        return;
    quash_watch_free(answers->flush); /* first: from then on its thread does not touch the loop */
    ev_async_stop(answers->loop, &answers->flushed);
    ev_idle_stop(answers->loop, &answers->idle);
    ev_timer_stop(answers->loop, &answers->tidy);
    ev_io_stop(answers->loop, &answers->notices);
    quash_notifier_free(answers->notifier);
    quash_cache_free(answers->cache);
    quash_table_close(answers->table);
    free(answers);
}
