/*
 * reload.h - other rules for a worker that runs, on a thread of their own: neither the main loop nor the consumer waits
 * for a file to be read or for the broker to answer.
 *
 * The file is read and checked aside. The queue is bound to what is new, then the consumer's thread changes from the
 * old rules to the new between two batches and cancels what may have missed an event, then the bindings that no rule
 * needs any more are removed. Until the change the old rules are in force, after it the new ones, whatever fails in
 * between: a file with mistakes or an exchange that does not exist leave everything as it was; a broker that cannot be
 * reached is waited for. What was asked last wins.
 */
#ifndef QUASHD_RELOAD_H
#define QUASHD_RELOAD_H

#include <stdint.h>

#include "consumer.h"
#include "pipeline.h"
#include "served_rules.h"

struct reload_options {
    struct rules_file file;
    char *const *urls; /* the consumer's */
    const char *queue;
    const char *connection_name;
    const char *version;
    /* The thread's last word, after reload_stop; called on it. */
    void (*ended)(void *context);
    void *ended_context;
};

struct reload;

/* Starts the thread. `rules` are those in force; it frees them once others have replaced them, and reload_join gives
 * back those that are in force then. Whatever else it is given is borrowed until reload_join. NULL when memory or the
 * thread could not be had. */
struct reload *reload_start(const struct reload_options *options, struct rules *rules, struct pipeline *pipeline,
                            struct consumer *consumer);

/* Has the file read again; returns at once. `cause` is a constant, for the log. Any thread. */
void reload_ask(struct reload *reload, const char *cause);

struct reload_counts {
    uint64_t done;    /* times that other rules came into force */
    uint64_t refused; /* times that they could not */
};

/* Any thread. */
struct reload_counts reload_counts(const struct reload *reload);

/* Asks the thread to end. Returns at once; while the broker does not answer, ending may take as long as the time-outs
 * of broker.h, and as long as the consumer's thread does. Any thread. */
void reload_stop(struct reload *reload);

/* Waits for the thread's end and frees. The rules in force, which the consumer may still use, are the caller's. NULL
 * gives NULL. */
struct rules *reload_join(struct reload *reload);

#endif
