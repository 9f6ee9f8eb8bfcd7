/*
 * wide_integers.c - quoting integers past 64 bits. See wide_integers.h. One pass over the text, no recursion.
 */
#include "wide_integers.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_KEPT 18u /* so many digits always fit, one more may */

static bool is_number(char c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* Whether token[length] is an integer as JSON writes it, and too large. */
static bool is_wide(const char *token, size_t length)
{
    bool negative = length > 0 && token[0] == '-';
    if (negative) {
        token++;
        length--;
    }
    if (length <= DIGITS_KEPT || token[0] == '0')
        return false;
    for (size_t i = 0; i < length; i++) {
        if (token[i] < '0' || token[i] > '9')
            return false;
    }
    const char *most = negative ? "9223372036854775808" : "9223372036854775807";
    return length > DIGITS_KEPT + 1 || memcmp(token, most, DIGITS_KEPT + 1) > 0;
}

/* Where the string that begins at text[at] ends. */
static size_t skip_string(const char *text, size_t size, size_t at)
{
    for (at++; at < size && text[at] != '"'; at++) {
        if (text[at] == '\\')
            at++;
    }
    return at < size ? at + 1 : size;
}

/* A key must be a string: quotes would make one of what is none. */
static bool is_key(const char *text, size_t size, size_t at)
{
    while (at < size && (text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r'))
        at++;
    return at < size && text[at] == ':';
}

char *wide_integers_quote(const char *text, size_t size, size_t *copy_size)
{
    /* Two quotes for each token of more than DIGITS_KEPT characters. */
    char *copy = malloc(size + 2 * (size / (DIGITS_KEPT + 1)) + 1);
    if (copy == NULL)
        return NULL;
    size_t used = 0, at = 0;
    while (at < size) {
        size_t begin = at;
        bool wide = false;
        if (text[at] == '"') {
            at = skip_string(text, size, at);
        } else if (is_number(text[at])) {
            while (at < size && is_number(text[at]))
                at++;
            wide = is_wide(text + begin, at - begin) && !is_key(text, size, at);
        } else {
            at++;
        }
        if (wide)
            copy[used++] = '"';
        memcpy(copy + used, text + begin, at - begin);
        used += at - begin;
        if (wide)
            copy[used++] = '"';
    }
    *copy_size = used;
    return copy;
}

int wide_integers_column(const char *text, size_t size, const char *copy, size_t copy_size, int line, int column)
{
    int line_now = 1, column_now = 1, quotes = 0;
    size_t at = 0;
    for (size_t i = 0; i < copy_size && (line_now < line || (line_now == line && column_now < column)); i++) {
        bool added = at >= size || copy[i] != text[at];
        if (added)
            quotes++;
        else
            at++;
        if (copy[i] == '\n') {
            line_now++;
            column_now = 1;
            quotes = 0;
        } else if (((unsigned char)copy[i] & 0xc0) != 0x80) {
            column_now++;
        }
    }
    return column > quotes ? column - quotes : 1;
}
