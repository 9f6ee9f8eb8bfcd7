/*
 * answers.h - answers from the cache, without ever blocking: how an event loop uses libquash. Everything happens on the
 * loop's thread.
 */
#ifndef EVENTLOOP_ANSWERS_H
#define EVENTLOOP_ANSWERS_H

#include <ev.h>
#include <stddef.h>

#include "slow_db.h"

#define ANSWERS_KEY_MAX 200 /* bytes, so that "key:" and the key are a group's name */

struct answers;
struct asker;

enum answer { ANSWER_VALUE, ANSWER_ABSENT, ANSWER_TIMED_OUT, ANSWER_FAILED };

/* The one answer to an answers_ask: during that call, or in a later turn. `text` is valid for the call; for a failure
 * it says why, NULL if there is no more to say. The asker may ask again. */
typedef void answers_told(struct asker *asker, enum answer answer, const char *text, size_t size);

/* One who asks for one key at a time; a part of the caller's own struct. */
struct asker {
    answers_told *told; /* set by the caller, the rest by answers_ask */
    ev_timer deadline;  /* active while an answer is outstanding */
    struct answers *answers;
    struct question *question; /* the query that answers it, if it is its own */
    size_t key_size;
    char key[ANSWERS_KEY_MAX];
};

struct answers_options {
    const char *table_path;
    double seconds_per_answer; /* later ones are ANSWER_TIMED_OUT */
    double seconds_to_live;
};

/* NULL after a message on stderr. */
struct answers *answers_open(struct ev_loop *loop, struct slow_db *db, const struct answers_options *options);
/* Nobody may wait for an answer any more, and the database must have ended. */
void answers_close(struct answers *answers);

/* Asks for a key of 1 to ANSWERS_KEY_MAX bytes (copied). */
void answers_ask(struct answers *answers, struct asker *asker, const char *key, size_t key_size);

/* Waits no more. An asker that waits for nothing is fine. */
void answers_forget(struct asker *asker);

#endif
