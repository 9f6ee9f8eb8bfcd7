/*
 * glob.c - patterns over whole strings.
 *
 * Matching goes from left to right and remembers only the last `*`: when something later does not fit, that `*` takes
 * one character more. An earlier one need never be tried again, since whatever it could give the last one can take
 * itself. So the cost is bounded by a product, whatever the pattern.
 */
#include "glob.h"

#include <string.h>

bool glob_has_wildcard(const char *pattern, size_t length)
{
    return memchr(pattern, '*', length) != NULL || memchr(pattern, '?', length) != NULL;
}

/* Bytes of the character at text[0..length), of which there is at least one. What is no UTF-8 (the name of an exchange
 * may hold any bytes) is taken byte by byte. */
static size_t character_size(const char *text, size_t length)
{
    unsigned char lead = (unsigned char)text[0];
    size_t size = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (size > length)
        return 1;
    for (size_t i = 1; i < size; i++) {
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            return 1;
    }
    return size;
}

/* With `text_is_pattern`, `text` is a glob itself, whose `*` only a `*` can take. */
static bool match(const char *pattern, size_t pattern_length, const char *text, size_t length, bool text_is_pattern)
{
    size_t p = 0, t = 0;
    bool starred = false;
    size_t after_star = 0; /* in the pattern */
    size_t taken_to = 0;   /* where in the text the last `*` ends for now */
    while (t < length) {
        if (p < pattern_length && pattern[p] == '*') {
            starred = true;
            after_star = ++p;
            taken_to = t;
        } else if (p < pattern_length && pattern[p] == '?' && !(text_is_pattern && text[t] == '*')) {
            p++;
            t += character_size(text + t, length - t);
        } else if (p < pattern_length && pattern[p] == text[t]) {
            p++;
            t++;
        } else if (starred) {
            taken_to += character_size(text + taken_to, length - taken_to);
            t = taken_to;
            p = after_star;
        } else {
            return false;
        }
    }
    while (p < pattern_length && pattern[p] == '*')
        p++;
    return p == pattern_length;
}

bool glob_match(const char *pattern, size_t pattern_length, const char *text, size_t length)
{
    return match(pattern, pattern_length, text, length, false);
}

bool glob_covers(const char *wide, size_t wide_length, const char *narrow, size_t narrow_length)
{
    return match(wide, wide_length, narrow, narrow_length, true);
}

static bool is_wildcard(char byte)
{
    return byte == '*' || byte == '?';
}

bool glob_disjoint(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t shorter = a_length < b_length ? a_length : b_length;
    for (size_t i = 0; i < shorter && !is_wildcard(a[i]) && !is_wildcard(b[i]); i++) {
        if (a[i] != b[i])
            return true;
    }
    for (size_t i = 1; i <= shorter && !is_wildcard(a[a_length - i]) && !is_wildcard(b[b_length - i]); i++) {
        if (a[a_length - i] != b[b_length - i])
            return true;
    }
    return false;
}
