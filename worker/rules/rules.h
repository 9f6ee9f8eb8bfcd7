/*
 * rules.h - a rules file, checked and compiled once into an immutable rule set that any number of threads may use.
 */
#ifndef QUASHD_RULES_H
#define QUASHD_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "groups.h"
#include "problem.h"

#define RULES_FILE_BYTES_MAX     ((size_t)8 << 20)
#define RULES_MAX                10000
#define RULES_BINDINGS_MAX       10000
#define RULE_NAME_CHARACTERS_MAX 200
#define RULE_TEMPLATES_MAX       32
#define EVENT_GROUPS_MAX         10000 /* named by one event, before duplicates are taken out */

struct rules;

/* Loads the file at `path`. `default_exchange` (may be NULL) is where the bindings of rules go that name no exchange;
 * it has no part in matching: such a rule holds for events of any exchange, here and in explain. NULL on failure, with
 * every problem found in `problems`. */
struct rules *rules_load(const char *path, const char *default_exchange, struct problems *problems);

/* As rules_load, of text[size]. */
struct rules *rules_parse(const char *text, size_t size, const char *default_exchange, struct problems *problems);

void rules_free(struct rules *rules);

size_t rules_count(const struct rules *rules);
const char *rules_name(const struct rules *rules, size_t index);

/* A hash of what the rules say, not of how the file is laid out: white space, the order of keys and $schema do not
 * count. The default exchange does if a rule is bound to it. Never 0. */
uint64_t rules_hash(const struct rules *rules);

/* The queue's bindings that the rules need, each once. The strings are borrowed from the rules. `exchange` is NULL
 * where a rule names none and there is no default. */
struct binding {
    const char *exchange;
    const char *routing_key;
};
size_t rules_binding_count(const struct rules *rules);
const struct binding *rules_bindings(const struct rules *rules);

enum verdict_kind {
    VERDICT_CANCEL, /* at least one group */
    VERDICT_IGNORE, /* no rule matched, or those that did named no group */
};

#define VERDICT_REASON_SIZE 512

struct verdict {
    enum verdict_kind kind;
    bool malformed; /* the body is not JSON, or was too large, and a rule needed to look: widened to `*` */
    bool widened;   /* a required value was missing or could not name a group, or the event named too many */
    char reason[VERDICT_REASON_SIZE]; /* a sentence; "" where there is nothing to say */
};

/* What the event means under the rules: adds its groups to `groups`, and calls `matched` (may be NULL) with the index
 * of each rule that matched, in file order; for a malformed event that is each rule whose exchange and routing key
 * match. The body is parsed only if such a rule needs it. False only when memory ran out: then nothing may be
 * concluded, and the caller must treat the event as `*`. */
bool rules_judge(const struct rules *rules, struct event *event, struct groups *groups, struct verdict *verdict,
                 void (*matched)(void *context, size_t rule), void *context);

#endif
