/*
 * filter.c - lower, upper, trim.
 *
 * All filters are applied to one character at a time, so that a result needs no second buffer however many there are
 * and however long the text is. Trimming can be done first whatever its place: no other filter makes or takes white
 * space.
 */
#include "filter.h"

#include <string.h>

#include <utf8proc.h>

#define SHARP_S 0xdf

const char *const filter_names[] = {"lower", "upper", "trim", NULL};

bool filter_find(const char *name, size_t length, enum filter *filter)
{
    for (int i = 0; filter_names[i] != NULL; i++) {
        if (strlen(filter_names[i]) == length && memcmp(filter_names[i], name, length) == 0) {
            *filter = (enum filter)i;
            return true;
        }
    }
    return false;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void trim(const char **text, size_t *length)
{
    while (*length > 0 && is_space(**text)) {
        ++*text;
        --*length;
    }
    while (*length > 0 && is_space((*text)[*length - 1]))
        --*length;
}

static utf8proc_int32_t map(enum filter filter, utf8proc_int32_t code)
{
    if (filter == FILTER_LOWER)
        return utf8proc_tolower(code);
    /* Unicode's simple mapping leaves it as it is; utf8proc makes a capital of it that nobody writes. */
    if (filter == FILTER_UPPER && code != SHARP_S)
        return utf8proc_toupper(code);
    return code;
}

size_t filter_apply(const enum filter *filters, size_t count, const char *text, size_t length, char *out, size_t size)
{
    bool maps = false;
    for (size_t i = 0; i < count; i++) {
        if (filters[i] == FILTER_TRIM)
            trim(&text, &length);
        else
            maps = true;
    }
    if (!maps) {
        if (length > size)
            return size + 1;
        memcpy(out, text, length);
        return length;
    }

    size_t used = 0;
    while (length > 0) {
        utf8proc_int32_t code = 0;
        utf8proc_ssize_t taken = utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)length, &code);
        utf8proc_uint8_t bytes[4] = {(utf8proc_uint8_t)*text};
        size_t width = 1;
        if (taken > 0) {
            for (size_t i = 0; i < count; i++)
                code = map(filters[i], code);
            width = (size_t)utf8proc_encode_char(code, bytes);
        } else {
            taken = 1;
        }
        if (width > size - used)
            return size + 1;
        memcpy(out + used, bytes, width);
        used += width;
        text += taken;
        length -= (size_t)taken;
    }
    return used;
}
