/*
 * apply.c - cancelling in the table that is served, and the note of what it was served with. See apply.h.
 */
#include "apply.h"

#include <pthread.h>
#include <stdlib.h>

#include "log.h"

static const char *const everything[] = {"*"};

struct apply {
    pthread_mutex_t lock; /* guards the rest, and keeps the table from being replaced in the middle of a call */
    quash_table *table;
    uint64_t rules_hash;
    uint64_t source; /* what the note says, or would say were it not held; 0: it is erased */
    bool held;       /* the note is erased whatever `source` says */
    /* What was logged last, so that it is logged once. */
    quash_status cancel_trouble;
    quash_status file_trouble;
};

struct apply *apply_new(quash_table *table, uint64_t rules_hash)
{
    struct apply *apply = calloc(1, sizeof *apply);
    if (apply == NULL)
        goto close_table;
    if (pthread_mutex_init(&apply->lock, NULL) != 0)
        goto free_apply;
    apply->table = table;
    apply->rules_hash = rules_hash;
    return apply;

free_apply:
    free(apply);
close_table:
    quash_table_close(table);
    return NULL;
}

void apply_free(struct apply *apply)
{
    if (apply == NULL)
        return;
    (void)quash_table_set_worker(apply->table, false);
    quash_table_close(apply->table);
    pthread_mutex_destroy(&apply->lock);
    free(apply);
}

/* Logs a failure that is another than the last, and its end. */
static void tell_trouble(quash_status *last, quash_status status, const quash_error *error, const char *sentence)
{
    if (status == *last)
        return;
    *last = status;
    if (status == QUASH_OK)
        log_line(LOG_INFO, "the cancellation table is in order again", NULL);
    else
        log_line(LOG_ERROR, sentence, "reason",
                 error->message[0] != '\0' ? error->message : quash_status_string(status), NULL);
}

/* With the lock held. */
static bool write_note(struct apply *apply, uint64_t source)
{
    quash_table_source note = {0};
    if (source != 0 && !apply->held) {
        (void)quash_table_get_source(apply->table, &note);
        note.source_hash = source;
        note.rules_hash = apply->rules_hash;
    }
    apply->source = source;
    return quash_table_set_source(apply->table, &note) == QUASH_OK;
}

/* With the lock held. Follows the table's file; a table that is new begins with everything cancelled. */
static quash_status refresh(struct apply *apply, quash_error *error)
{
    bool replaced = false;
    quash_status status = quash_table_refresh(apply->table, &replaced, error);
    if (status != QUASH_OK || !replaced)
        return status;
    status = quash_table_cancel_batch(apply->table, everything, 1);
    /* Should that have failed, the new table bears no note, and everything is cancelled at the next occasion. */
    if (status != QUASH_OK)
        apply->source = 0;
    else if (apply->source != 0)
        (void)write_note(apply, apply->source);
    log_line(LOG_WARN, "the table's file was removed or replaced; made a new one and cancelled everything in it", NULL);
    return status;
}

bool apply_groups(struct apply *apply, const char *const *groups, size_t count)
{
    if (count == 0)
        return true;
    pthread_mutex_lock(&apply->lock);
    quash_error error = {""};
    quash_status status = quash_table_cancel_batch(apply->table, groups, count);
    if (status == QUASH_INVALID) {
        /* A name that no table takes; waiting will not mend it. */
        log_line(LOG_ERROR, "a group's name is not valid; cancelling everything in its place", NULL);
        status = quash_table_cancel_batch(apply->table, everything, 1);
    }
    if (status != QUASH_OK) {
        status = refresh(apply, &error);
        if (status == QUASH_OK)
            status = quash_table_cancel_batch(apply->table, groups, count);
    }
    tell_trouble(&apply->cancel_trouble, status, &error,
                 "cannot cancel; events stay unacknowledged until the cancellation table is in order again");
    pthread_mutex_unlock(&apply->lock);
    return status == QUASH_OK;
}

void apply_forget_source(struct apply *apply)
{
    pthread_mutex_lock(&apply->lock);
    (void)write_note(apply, 0);
    pthread_mutex_unlock(&apply->lock);
}

const char *apply_source_differs(struct apply *apply, uint64_t source)
{
    quash_table_source note = {0};
    pthread_mutex_lock(&apply->lock);
    quash_status status = quash_table_get_source(apply->table, &note);
    if (apply->held) {
        note.source_hash = apply->source;
        note.rules_hash = apply->rules_hash;
    }
    if (status == QUASH_OK && note.source_hash == source && note.rules_hash == apply->rules_hash)
        apply->source = source;
    pthread_mutex_unlock(&apply->lock);
    if (status != QUASH_OK || note.source_hash == 0)
        return "the table does not say what it was last served with: it is new, or its worker was interrupted, or "
               "had groups left to cancel again";
    if (note.source_hash != source)
        return "the table was last served from another queue, virtual host or broker";
    if (note.rules_hash != apply->rules_hash)
        return "the table was last served with other rules";
    return NULL;
}

void apply_set_source(struct apply *apply, uint64_t source)
{
    pthread_mutex_lock(&apply->lock);
    (void)write_note(apply, source);
    pthread_mutex_unlock(&apply->lock);
}

void apply_set_rules(struct apply *apply, uint64_t rules_hash)
{
    pthread_mutex_lock(&apply->lock);
    apply->rules_hash = rules_hash;
    if (apply->source != 0)
        (void)write_note(apply, apply->source);
    pthread_mutex_unlock(&apply->lock);
}

void apply_hold_note(struct apply *apply, bool hold)
{
    pthread_mutex_lock(&apply->lock);
    if (apply->held != hold) {
        apply->held = hold;
        (void)write_note(apply, apply->source);
    }
    pthread_mutex_unlock(&apply->lock);
}

void apply_tick(struct apply *apply, bool connected)
{
    quash_error error = {""};
    pthread_mutex_lock(&apply->lock);
    quash_status status = refresh(apply, &error);
    tell_trouble(&apply->file_trouble, status, &error, "the cancellation table's file is not in order");
    (void)quash_table_set_worker(apply->table, connected);
    pthread_mutex_unlock(&apply->lock);
}
