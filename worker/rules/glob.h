/*
 * glob.h - patterns over whole strings: `*` is any number of characters, `?` is one (a character, not a byte, of
 * UTF-8); everything else stands for itself.
 */
#ifndef QUASHD_GLOB_H
#define QUASHD_GLOB_H

#include <stdbool.h>
#include <stddef.h>

/* Whether there is a wildcard in it at all. */
bool glob_has_wildcard(const char *pattern, size_t length);

/* Both may contain NUL. Takes at most (bytes of the pattern) * (bytes of the text) steps, no memory. */
bool glob_match(const char *pattern, size_t pattern_length, const char *text, size_t length);

/* Whether whatever matches `narrow` also matches `wide`; false also means that nobody can tell. */
bool glob_covers(const char *wide, size_t wide_length, const char *narrow, size_t narrow_length);

/* Whether no text matches both; false also means that nobody can tell. */
bool glob_disjoint(const char *a, size_t a_length, const char *b, size_t b_length);

#endif
