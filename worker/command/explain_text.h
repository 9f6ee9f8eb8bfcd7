/*
 * explain_text.h - an explanation, for people.
 */
#ifndef QUASH_EXPLAIN_TEXT_H
#define QUASH_EXPLAIN_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "explanation.h"

#define EXPLAIN_EXCLUDED_MAX 20 /* rules that exchange or routing key exclude are told one by one up to here */
#define EXPLAIN_GROUPS_MAX   50 /* groups in the verdict */
#define EXPLAIN_NAMES_MAX    8  /* names in a line */

/* One rule: whether it matches, and what its templates give. Each line starts with `indent`. */
void explain_text_rule(const struct explanation *explanation, size_t rule, const char *indent, bool verbose, FILE *out);

/* Every rule, in file order, and what comes of it. Unless `verbose`, what is long and of little use is only counted:
 * rules that exchange or routing key exclude, and names beyond the limits above. */
void explain_text(const struct explanation *explanation, bool verbose, FILE *out);

#endif
