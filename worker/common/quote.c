/*
 * quote.c - values from outside, made fit for a sentence.
 */
#include "quote.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The length of the well-formed UTF-8 character at text[0..length), or 0. */
static size_t utf8_character(const char *text, size_t length, uint32_t *code)
{
    unsigned char lead = (unsigned char)text[0];
    size_t size = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    if (size == 0 || size > length)
        return 0;
    uint32_t value = size == 1 ? lead : lead & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        unsigned char next = (unsigned char)text[i];
        if ((next & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (next & 0x3fu);
    }
    if ((size == 3 && value < 0x800) || (size == 4 && (value < 0x10000 || value > 0x10ffff)) ||
        (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *code = value;
    return size;
}

/* Control characters, and those that reorder or hide what stands beside them. */
static bool is_unprintable(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x200b && code <= 0x200f) ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
}

/* Writes the character at `text` into piece[16], escaped if it must be; returns the bytes taken. */
static size_t quote_character(const char *text, size_t length, bool marks, char piece[16], size_t *width)
{
    uint32_t code = 0;
    size_t taken = utf8_character(text, length, &code);
    if (taken == 0) {
        *width = (size_t)snprintf(piece, 16, "\\x%02x", (unsigned)(unsigned char)text[0]);
        return 1;
    }
    if (is_unprintable(code)) {
        *width = (size_t)snprintf(piece, 16, "\\u%04x", (unsigned)code);
    } else if (marks && (code == '"' || code == '\\')) {
        *width = (size_t)snprintf(piece, 16, "\\%c", (char)code);
    } else {
        memcpy(piece, text, taken);
        *width = taken;
    }
    return taken;
}

static const char *quote(char *out, size_t size, const char *text, size_t length, bool marks)
{
    static const char more[] = "...";
    size_t end = marks ? 2 : 1; /* the closing mark and the NUL */
    size_t used = 0;
    if (marks)
        out[used++] = '"';
    size_t cut = used; /* the last place where `more` could stand */
    while (length > 0) {
        char piece[16];
        size_t width;
        size_t taken = quote_character(text, length, marks, piece, &width);
        if (used + width + end > size) {
            memcpy(out + cut, more, sizeof more - 1);
            used = cut + sizeof more - 1;
            break;
        }
        memcpy(out + used, piece, width);
        used += width;
        if (used + sizeof more - 1 + end <= size)
            cut = used;
        text += taken;
        length -= taken;
    }
    if (marks)
        out[used++] = '"';
    out[used] = '\0';
    return out;
}

const char *quote_text(char *out, size_t size, const char *text, size_t length)
{
    return quote(out, size, text, length, true);
}

const char *quote_bare(char *out, size_t size, const char *text, size_t length)
{
    return quote(out, size, text, length, false);
}

const char *quote_json(char *out, size_t size, const json_t *value)
{
    if (value == NULL) {
        snprintf(out, size, "nothing");
        return out;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        snprintf(out, size, "an object");
        break;
    case JSON_ARRAY:
        snprintf(out, size, "an array");
        break;
    case JSON_STRING:
        return quote_text(out, size, json_string_value(value), json_string_length(value));
    case JSON_INTEGER:
        snprintf(out, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        snprintf(out, size, "%.17g", json_real_value(value));
        if (strpbrk(out, ".en") == NULL) /* jansson has forgotten how it was written; not like an integer, though */
            snprintf(out + strlen(out), size - strlen(out), ".0");
        break;
    case JSON_TRUE:
        snprintf(out, size, "true");
        break;
    case JSON_FALSE:
        snprintf(out, size, "false");
        break;
    case JSON_NULL:
        snprintf(out, size, "null");
        break;
    }
    return out;
}

bool utf8_valid(const char *text, size_t length)
{
    while (length > 0) {
        uint32_t code;
        size_t taken = utf8_character(text, length, &code);
        if (taken == 0)
            return false;
        text += taken;
        length -= taken;
    }
    return true;
}

size_t utf8_characters(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80 ? 1 : 0;
    return count;
}

void utf8_trim(char *text)
{
    size_t length = strlen(text);
    size_t back = 0;
    while (back < length && back < 3 && ((unsigned char)text[length - 1 - back] & 0xc0) == 0x80)
        back++;
    if (back == length)
        return;
    unsigned char lead = (unsigned char)text[length - 1 - back];
    size_t wanted = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (lead >= 0xc0 && back + 1 < wanted)
        text[length - 1 - back] = '\0';
}
