/*
 * quote.h - values from outside, made fit for a sentence: on one line, shortened where they are long, with control
 * characters and broken UTF-8 escaped so that a terminal or a log shows them and does nothing else.
 */
#ifndef QUASHD_QUOTE_H
#define QUASHD_QUOTE_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#define QUOTE_SIZE 96 /* room that most callers give */

/* Writes `text` in double quotes into out[size] (at least 8 bytes); a text that does not fit ends in `..."`.
 * Returns out. */
const char *quote_text(char *out, size_t size, const char *text, size_t length);

/* As quote_text for any JSON value: a string in quotes, a scalar as it is written, else "an object", "an array".
 * NULL is "nothing". Returns out. */
const char *quote_json(char *out, size_t size, const json_t *value);

/* As quote_text, without the quotes. */
const char *quote_bare(char *out, size_t size, const char *text, size_t length);

/* Takes a UTF-8 character off the end of `text` if it was cut in the middle. */
void utf8_trim(char *text);

/* Whether text[length] is UTF-8, as RFC 3629 has it: no surrogates, nothing in more bytes than it needs. */
bool utf8_valid(const char *text, size_t length);

/* How many characters the UTF-8 text has, as JSON Schema counts its lengths. */
size_t utf8_characters(const char *text, size_t length);

#endif
