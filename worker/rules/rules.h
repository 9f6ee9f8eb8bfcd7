/*
 * rules.h - a rules file, checked and compiled once into an immutable rule set that any number of threads may use.
 */
#ifndef QUASHD_RULES_H
#define QUASHD_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "event.h"
#include "groups.h"
#include "problem.h"

#define RULES_FILE_BYTES_MAX     ((size_t)8 << 20)
#define RULES_MAX                10000
#define RULES_BINDINGS_MAX       10000
#define RULES_TESTS_MAX          10000
#define RULE_NAME_CHARACTERS_MAX 200
#define RULE_TEMPLATES_MAX       32
#define RULE_REPEATS_MAX         8       /* in one `repeat_after_ms` */
#define REPEAT_AFTER_MS_MAX      3600000 /* an hour */
#define EVENT_GROUPS_MAX         10000   /* named by one event, before duplicates are taken out */

struct rules;

/* Loads the file at `path`. `default_exchange` (may be NULL) is where the bindings of rules go that name no exchange;
 * it has no part in matching: such a rule holds for events of any exchange, here and in explain. NULL on failure, with
 * every problem found in `problems`. `warnings` (may be NULL) gets what is allowed but hardly meant; see lint.h. */
struct rules *rules_load(const char *path, const char *default_exchange, struct problems *problems,
                         struct problems *warnings);

/* As rules_load, of text[size]. */
struct rules *rules_parse(const char *text, size_t size, const char *default_exchange, struct problems *problems,
                          struct problems *warnings);

void rules_free(struct rules *rules);

size_t rules_count(const struct rules *rules);
const char *rules_name(const struct rules *rules, size_t index);
bool rules_disabled(const struct rules *rules, size_t index);

/* A hash of what the rules say, not of how the file is laid out: white space, the order of keys, $schema, descriptions
 * and tests do not count. The default exchange does if a rule is bound to it. Never 0. */
uint64_t rules_hash(const struct rules *rules);

/* The queue's bindings that the rules need, each once. The strings are borrowed from the rules. `exchange` is NULL
 * where a rule names none and there is no default. */
struct binding {
    const char *exchange;
    const char *routing_key;
};
size_t rules_binding_count(const struct rules *rules);
const struct binding *rules_bindings(const struct rules *rules);

/* The names of the rules that need a binding, quoted, for a person; "" if none does. Returns out. */
const char *rules_of_binding(const struct rules *rules, const struct binding *binding, char *out, size_t size);

/* Where the file itself asks for dead letters, as a sentence ("rule "x" has "on_missing": …"), or NULL if it does not:
 * then a worker without a dead-letter exchange can follow it. The default of on_malformed does not count. Borrowed. */
const char *rules_asks_for_dead_letters(const struct rules *rules);

/* The file's `tests`, a JSON array, or NULL; borrowed. Each has been checked. */
const json_t *rules_tests(const struct rules *rules);

enum verdict_kind {
    VERDICT_CANCEL,      /* at least one group */
    VERDICT_IGNORE,      /* no rule matched, or those that did named no group */
    VERDICT_DEAD_LETTER, /* to be kept for people to look at; groups are cancelled too if there are any */
};

/* What was wrong with the event. */
enum verdict_cause {
    CAUSE_NONE,
    CAUSE_MALFORMED, /* the body or the headers cannot be read, and a rule needed to look */
    CAUSE_MISSING,   /* a required value was absent or could not name a group */
    CAUSE_TOO_MANY,  /* the event named too many groups */
    CAUSE_UNMATCHED, /* no rule matched */
};

#define VERDICT_REASON_SIZE 512
#define VERDICT_NO_RULE     SIZE_MAX

struct verdict {
    enum verdict_kind kind;
    enum verdict_cause cause;
    bool by_default; /* a dead letter only because nothing else was said: a worker may do without */
    bool widened;    /* a wider group than could be named is cancelled */
    size_t rule;     /* the first that could not do as it says; VERDICT_NO_RULE if there is none to blame */
    char reason[VERDICT_REASON_SIZE]; /* a sentence; "" where there is nothing to say */
};

/* The word for a kind, as in "cancel", and for a cause, as in "malformed" ("" for CAUSE_NONE). */
const char *verdict_word(enum verdict_kind kind);
const char *verdict_cause_word(enum verdict_cause cause);

/* Takes a group that is to be cancelled once more after a time. False: out of memory. */
typedef bool verdict_repeat(void *context, uint32_t after_ms, const char *group, size_t length);

/* What the event means under the rules: adds its groups to `groups`, and calls `repeat` (may be NULL) with each group
 * of a rule that has `repeat_after_ms`, for each of its times. Nothing is parsed or decoded that no rule needs. False
 * only when memory ran out: then nothing may be concluded, and the caller must treat the event as `*`. */
bool rules_judge(const struct rules *rules, struct event *event, struct groups *groups, struct verdict *verdict,
                 verdict_repeat *repeat, void *context);

#endif
