/*
 * rules_read.h - from a rules file's JSON to a struct rules: the steps, each a file of its own. All of them add to
 * `problems` what is wrong, and go on; what they leave half done, rules_free takes away.
 */
#ifndef QUASHD_RULES_READ_H
#define QUASHD_RULES_READ_H

#include "json_file.h"
#include "problem.h"
#include "ruleset.h"

/* What a rule takes over from `defaults` where it does not say it itself. */
struct rule_defaults {
    const struct condition *condition; /* NULL: nothing */
    unsigned missing;
    uint32_t repeat_after_ms[RULE_REPEATS_MAX];
    size_t repeat_count;
};

/* The root of the file. */
void rules_read(struct rules *rules, json_t *root, struct problems *problems);

/* One rule; `names` are the names so far, each with the index of its rule. */
void rule_read(struct rule *rule, json_t *json, const struct rule_defaults *defaults, json_t *names, size_t index,
               const struct json_place *place, struct problems *problems);

/* `on_missing` and `repeat_after_ms` of the object at `place`, a rule or `defaults`; what it does not say stays. */
void rule_read_missing(unsigned *missing, const json_t *object, const struct json_place *place,
                       struct problems *problems);
void rule_read_repeats(uint32_t repeat_after_ms[RULE_REPEATS_MAX], size_t *count, const json_t *object,
                       const struct json_place *place, struct problems *problems);

/* One word of `known` (NULL-terminated, at most 8 words, of which number i is the flag 1 << i), or, of those in
 * `listable`, a list without repetition. Returns the flags; 0 after adding a problem, in which `expected` says in words
 * what may stand there. */
unsigned words_read(json_t *value, const char *const *known, unsigned listable, const char *expected,
                    const struct json_place *place, struct problems *problems);

/* `description`, which may stand beside anything. */
void description_check(const json_t *object, const struct json_place *place, struct problems *problems);

/* The queue's bindings, from the rules as they have been read. */
void rules_derive_bindings(struct rules *rules, struct problems *problems);
/* Whether a rule is bound to the default exchange. */
bool rules_use_default_exchange(const struct rules *rules);

#endif
