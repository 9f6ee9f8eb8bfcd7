/*
 * topic.h - AMQP topic patterns: words between dots, `*` stands for exactly one word, `#` for any number of them.
 */
#ifndef QUASHD_TOPIC_H
#define QUASHD_TOPIC_H

#include <stdbool.h>
#include <stddef.h>

#include "short_string.h"

/* Whether `pattern` can be used; if not, problem[size] says why. A wildcard is a whole word: `orders*` is refused,
 * because the broker would look for a literal asterisk. */
bool topic_check(const char *pattern, char *problem, size_t size);

/* Whether the routing key matches, by the rules of a topic exchange: an empty key has no words, not one empty word.
 * Takes at most (words of the pattern) * (bytes of the key) steps and no memory. */
bool topic_match(const char *pattern, const char *routing_key);

/* Whether every key that matches `narrow` also matches `wide`; false also means that nobody can tell. */
bool topic_covers(const char *wide, const char *narrow);

/* Whether no key matches both; false also means that nobody can tell. */
bool topic_disjoint(const char *a, const char *b);

#endif
