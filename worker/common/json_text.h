/*
 * json_text.h - JSON as text: parsed under one policy, with mistakes in words; and where in a text a value stands.
 *
 * The policy, for files and for events alike: RFC 8259, UTF-8 without a byte order mark; any value may be the root; an
 * object that has a key twice is refused, because nobody can say which of the two was meant; integers must fit in 64
 * bits, so that their digits are never changed; at most JSON_TEXT_DEPTH_MAX levels.
 */
#ifndef QUASHD_JSON_TEXT_H
#define QUASHD_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#define JSON_TEXT_DEPTH_MAX 2048 /* jansson's own, JSON_PARSER_MAX_DEPTH */

struct json_fault {
    int line, column; /* from 1; columns count characters; 0 where there is none to tell */
    bool past_limit;  /* JSON as such, but past a limit of the policy: size of numbers, depth, \u0000, keys twice */
    bool number_past_64_bits;
    char sentence[192]; /* what is wrong, without the place */
};

/* Parses text[size]. `allow_nul` lets \u0000 into strings (never into keys). The result is the caller's; NULL after
 * filling in `fault` (may be NULL). */
json_t *json_text_parse(const char *text, size_t size, bool allow_nul, struct json_fault *fault);

/* Where a value stands in its text, as byte offsets; `key` is where its key begins, or `begin` if it has none. */
struct json_span {
    size_t key, begin, end;
};

/* Finds the value that `pointer` (RFC 6901) leads to. Meant for a text that is known to be JSON; on anything else it
 * answers false or finds a place that means little, but stays within the text. */
bool json_text_find(const char *text, size_t size, const char *pointer, struct json_span *span);

/* The line and column, both from 1, of a byte offset. */
void json_text_position(const char *text, size_t offset, int *line, int *column);

#endif
