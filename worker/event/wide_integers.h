/*
 * wide_integers.h - integers that 64 bits do not hold, made strings of their digits: JSON allows them, jansson does
 * not, and as floating point they would become other integers.
 */
#ifndef QUASHD_WIDE_INTEGERS_H
#define QUASHD_WIDE_INTEGERS_H

#include <stddef.h>

/* A copy of text[size] with double quotes around each integer outside of strings that an int64_t does not hold, for the
 * caller to free; its size in *copy_size. Whatever JSON made of the text is made of the copy; what is no JSON does not
 * become any. NULL when memory ran out. */
char *wide_integers_quote(const char *text, size_t size, size_t *copy_size);

/* The column in text[size] of what stands at `line` and `column` in its copy. */
int wide_integers_column(const char *text, size_t size, const char *copy, size_t copy_size, int line, int column);

#endif
