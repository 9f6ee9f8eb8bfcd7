/*
 * explain_json.h - an explanation, for programs.
 */
#ifndef QUASH_EXPLAIN_JSON_H
#define QUASH_EXPLAIN_JSON_H

#include <jansson.h>

#include "explanation.h"

/* {"groups": [...], "rules": [...], "verdict": ..., "reason": ..., "details": {...}}; the caller releases it. NULL when
 * memory ran out. */
json_t *explain_json(const struct explanation *explanation);

/* A string of any text: what is not UTF-8 in it is escaped. NULL stays null. */
json_t *explain_json_text(const char *text);

/* The names of groups, in their order. NULL when memory ran out. */
json_t *explain_json_groups(const struct groups *groups);

#endif
