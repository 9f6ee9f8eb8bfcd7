/*
 * lint_parts.h - what the files of the lint share. lint.h says what it looks for.
 */
#ifndef QUASHD_LINT_PARTS_H
#define QUASHD_LINT_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "lint.h"
#include "matcher.h"
#include "problem.h"
#include "ruleset.h"
#include "short_string.h"

/* Adds a warning about a rule; `where` is a JSON Pointer within the rule, or one that begins with "/defaults". */
void lint_warn(struct problems *warnings, size_t rule, const char *where, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Conditions that cannot hold: alone, or both. Returns whether the rule can never match. */
bool lint_condition(const struct rules *rules, size_t rule, struct problems *warnings);

/* Templates of one rule. */
void lint_templates(const struct rules *rules, size_t rule, struct problems *warnings);

/* Rules that others make superfluous; never[i]: rule i can never match, and has been told of. */
void lint_shadows(const struct rules *rules, const bool *never, struct problems *warnings);

/* A template as it is written, without the white space in its places that means nothing; two that say the same are then
 * the same text. */
#define TEMPLATE_TEXT_SIZE (4 * TEMPLATE_CHARACTERS_MAX + 1)
void lint_canonical(const struct group_template *compiled, char *out, size_t size);

/* An event that the rule matches, made from its conditions, or as near as that can be had. */
struct witness {
    struct view view;
    json_t *body, *headers, *properties;
    char routing_key[SHORT_STRING_SIZE], exchange[SHORT_STRING_SIZE];
};
/* False when memory ran out, or no such event could be made. Ends with witness_fini in any case. */
bool witness_make(struct witness *witness, const struct condition *condition);
void witness_fini(struct witness *witness);

/* Whether a value that meets the matcher is a scalar or nothing, never an object or an array. */
bool matcher_takes_only_plain(const struct matcher *matcher);

/* Whether `inner` looks into what `outer` finds, further down the same object. */
bool source_is_below(const struct source *inner, const struct source *outer);

#endif
