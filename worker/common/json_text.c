/*
 * json_text.c - JSON as text: parsing under one policy, and finding where a value stands.
 *
 * Finding does not recurse, so that depth costs nothing: a container is skipped by counting its brackets.
 */
#include "json_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quote.h"

static const char byte_order_mark[] = "\xef\xbb\xbf";

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void explain_fault(const json_error_t *error, struct json_fault *fault)
{
    char said[JSON_ERROR_TEXT_LENGTH];
    quote_bare(said, sizeof said - 32, error->text, strlen(error->text));
    const char *near = strstr(said, " near ");
    if (near == NULL)
        near = "";

    fault->line = error->line > 0 ? error->line : 0;
    fault->column = error->line > 0 ? (error->column > 0 ? error->column : 1) : 0;
    fault->past_limit = true;
    fault->number_past_64_bits = json_error_code(error) == json_error_numeric_overflow;
    switch (json_error_code(error)) {
    case json_error_stack_overflow:
        snprintf(fault->sentence, sizeof fault->sentence, "nested more than %d levels deep", JSON_TEXT_DEPTH_MAX);
        break;
    case json_error_numeric_overflow:
        snprintf(fault->sentence, sizeof fault->sentence, "a number is too large for 64 bits%s", near);
        break;
    case json_error_null_character:
    case json_error_null_byte_in_key:
        snprintf(fault->sentence, sizeof fault->sentence, "\\u0000 is not allowed here%s", near);
        break;
    case json_error_duplicate_key:
        snprintf(fault->sentence, sizeof fault->sentence, "an object has this key twice%s", near);
        break;
    case json_error_invalid_utf8:
        fault->past_limit = false;
        snprintf(fault->sentence, sizeof fault->sentence, "not UTF-8: %s", said);
        break;
    default:
        fault->past_limit = false;
        snprintf(fault->sentence, sizeof fault->sentence, "%s", said);
        break;
    }
}

json_t *json_text_parse(const char *text, size_t size, bool allow_nul, struct json_fault *fault)
{
    json_error_t error;
    size_t flags = JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | (allow_nul ? JSON_ALLOW_NUL : 0);
    json_t *json = json_loadb(text, size, flags, &error);
    if (json != NULL || fault == NULL)
        return json;

    if (size >= 3 && memcmp(text, byte_order_mark, 3) == 0) {
        fault->line = fault->column = 1;
        fault->past_limit = fault->number_past_64_bits = false;
        snprintf(fault->sentence, sizeof fault->sentence, "it starts with a byte order mark, which JSON must not have");
        return NULL;
    }
    explain_fault(&error, fault);
    return NULL;
}

struct scan {
    const char *at, *end;
};

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->end && is_space(*scan->at))
        scan->at++;
}

static bool skip_string(struct scan *scan)
{
    for (scan->at++; scan->at < scan->end; scan->at++) {
        if (*scan->at == '"') {
            scan->at++;
            return true;
        }
        if (*scan->at == '\\' && ++scan->at == scan->end)
            break;
    }
    return false;
}

static bool skip_value(struct scan *scan)
{
    const char *begin = scan->at;
    size_t depth = 0;
    while (scan->at < scan->end) {
        char c = *scan->at;
        if (c == '"') {
            if (!skip_string(scan))
                return false;
        } else if (c == '{' || c == '[') {
            depth++;
            scan->at++;
        } else if (c == '}' || c == ']') {
            if (depth == 0)
                break;
            depth--;
            scan->at++;
        } else if (depth == 0 && (c == ',' || is_space(c))) {
            break;
        } else {
            scan->at++;
            continue;
        }
        if (depth == 0)
            break;
    }
    return scan->at > begin && depth == 0;
}

/* Whether the quoted key text[begin..end) is `word`. */
static bool key_is(const char *begin, const char *end, const char *word, size_t word_length)
{
    size_t length = (size_t)(end - begin);
    if (memchr(begin, '\\', length) == NULL)
        return length == word_length + 2 && memcmp(begin + 1, word, word_length) == 0;

    json_t *key = json_loadb(begin, length, JSON_DECODE_ANY, NULL);
    bool same = key != NULL && json_is_string(key) && json_string_length(key) == word_length &&
                memcmp(json_string_value(key), word, word_length) == 0;
    json_decref(key);
    return same;
}

/* Moves from the `{` of an object to the value of its member `word`. */
static bool enter_member(struct scan *scan, const char *word, size_t word_length, const char **key)
{
    scan->at++;
    for (;;) {
        skip_space(scan);
        if (scan->at == scan->end || *scan->at != '"')
            return false;
        const char *begin = scan->at;
        if (!skip_string(scan))
            return false;
        bool found = key_is(begin, scan->at, word, word_length);
        skip_space(scan);
        if (scan->at == scan->end || *scan->at != ':')
            return false;
        scan->at++;
        skip_space(scan);
        if (found) {
            *key = begin;
            return scan->at < scan->end;
        }
        if (!skip_value(scan))
            return false;
        skip_space(scan);
        if (scan->at == scan->end || *scan->at != ',')
            return false;
        scan->at++;
    }
}

/* Moves from the `[` of an array to its element `index`. */
static bool enter_element(struct scan *scan, unsigned long index)
{
    scan->at++;
    for (unsigned long i = 0;; i++) {
        skip_space(scan);
        if (scan->at == scan->end || *scan->at == ']')
            return false;
        if (i == index)
            return true;
        if (!skip_value(scan))
            return false;
        skip_space(scan);
        if (scan->at == scan->end || *scan->at != ',')
            return false;
        scan->at++;
    }
}

/* The segment of `pointer` behind its first slash, without escapes. */
static size_t next_segment(const char **pointer, char *word, size_t size)
{
    size_t length = 0;
    const char *at = *pointer + 1;
    for (; *at != '\0' && *at != '/'; at++) {
        char c = *at;
        if (c == '~' && (at[1] == '0' || at[1] == '1'))
            c = *++at == '0' ? '~' : '/';
        if (length < size - 1)
            word[length++] = c;
    }
    word[length] = '\0';
    *pointer = at;
    return length;
}

bool json_text_find(const char *text, size_t size, const char *pointer, struct json_span *span)
{
    size_t word_size = strlen(pointer) + 1;
    char *word = malloc(word_size);
    if (word == NULL)
        return false;

    struct scan scan = {text, text + size};
    const char *key = NULL;
    skip_space(&scan);
    bool found = scan.at < scan.end;
    while (found && *pointer == '/') {
        size_t length = next_segment(&pointer, word, word_size);
        key = NULL;
        if (*scan.at == '{')
            found = enter_member(&scan, word, length, &key);
        else if (*scan.at == '[')
            found = enter_element(&scan, strtoul(word, NULL, 10));
        else
            found = false;
    }
    const char *begin = scan.at;
    if (found && skip_value(&scan)) {
        span->begin = (size_t)(begin - text);
        span->end = (size_t)(scan.at - text);
        span->key = key != NULL ? (size_t)(key - text) : span->begin;
    } else {
        found = false;
    }
    free(word);
    return found;
}

void json_text_position(const char *text, size_t offset, int *line, int *column)
{
    *line = 1;
    *column = 1;
    for (size_t i = 0; i < offset; i++) {
        if (text[i] == '\n') {
            ++*line;
            *column = 1;
        } else if (((unsigned char)text[i] & 0xc0) != 0x80) {
            ++*column;
        }
    }
}
