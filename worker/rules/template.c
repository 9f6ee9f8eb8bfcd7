/*
 * template.c - compiling and expanding the templates of `cancel`.
 *
 * A compiled template is a row of pieces, literal text or pointer. The wider group is worked out at compile time, so
 * that expanding has nothing left to decide when it must fall back to it.
 */
#include "template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_pointer.h"
#include "quote.h"

struct piece {
    struct json_pointer *pointer; /* NULL: literal text */
    bool optional;
    char *text; /* literal; inside the template's buffer */
    size_t length;
};

struct group_template {
    char *text;
    char *literals; /* what the pieces' texts point into */
    struct piece *pieces;
    size_t piece_count;
    size_t place_count;
    char wider[TEMPLATE_GROUP_BYTES_MAX + 1];
    size_t wider_length;
};

void template_free(struct group_template *compiled)
{
    if (compiled == NULL)
        return;
    for (size_t i = 0; i < compiled->piece_count; i++)
        json_pointer_free(compiled->pieces[i].pointer);
    free(compiled->pieces);
    free(compiled->literals);
    free(compiled->text);
    free(compiled);
}

/* Compiles what stands between two braces. */
static bool compile_place(struct piece *piece, const char *text, size_t length, char *problem, size_t size)
{
    char shown[QUOTE_SIZE];
    quote_bare(shown, sizeof shown, text, length);
    if (length == 0) {
        snprintf(problem, size,
                 "{} names no value; write a JSON Pointer, as in {/tenant/id}, or {{}} for literal braces");
        return false;
    }
    if (memchr(text, '{', length) != NULL) {
        snprintf(problem, size, "{%s} has a \"{\" inside; write \"{{\" and \"}}\" for literal braces", shown);
        return false;
    }
    for (size_t i = 0; i + 1 < length; i++) {
        if (text[i] == '?' && text[i + 1] == '?') {
            snprintf(problem, size,
                     "{%s}: this version does not know \"??\"; use one template for each value, each "
                     "with a \"?\" at its end",
                     shown);
            return false;
        }
    }
    if (memchr(text, '|', length) != NULL) {
        snprintf(problem, size, "{%s}: this version does not know filters (\"|\"); the value is used as it is sent",
                 shown);
        return false;
    }
    if (text[0] != '/') {
        snprintf(problem, size,
                 "{%s}: this version knows only JSON Pointers into the body here, which start with \"/\", as in "
                 "{/tenant/id}",
                 shown);
        return false;
    }
    piece->optional = text[length - 1] == '?';
    if (piece->optional)
        length--;
    if (memchr(text, '?', length) != NULL) {
        snprintf(problem, size, "{%s}: a \"?\" can only stand at the end, where it says that the value may be absent",
                 shown);
        return false;
    }
    if (strchr(" \t\r\n", text[length - 1]) != NULL) {
        snprintf(problem, size, "{%s} ends in white space; take it out", shown);
        return false;
    }
    piece->pointer = json_pointer_compile(text, length, problem, size);
    return piece->pointer != NULL;
}

/* Splits the text into pieces. Literal text is copied without its doubled braces. */
static bool compile_pieces(struct group_template *compiled, size_t length, char *problem, size_t size)
{
    const char *text = compiled->text;
    char *out = compiled->literals;
    for (size_t at = 0; at < length;) {
        struct piece *piece = &compiled->pieces[compiled->piece_count];
        char c = text[at];
        if (c == '{' && text[at + 1] != '{') {
            const char *end = memchr(text + at, '}', length - at);
            if (end == NULL) {
                snprintf(problem, size, "the \"{\" is never closed; write \"{{\" for a literal brace");
                return false;
            }
            size_t place_length = (size_t)(end - text) - at - 1;
            if (!compile_place(piece, text + at + 1, place_length, problem, size))
                return false;
            compiled->piece_count++;
            compiled->place_count++;
            at += place_length + 2;
            continue;
        }
        piece->text = out;
        while (at < length) {
            c = text[at];
            if ((c == '{' || c == '}') && text[at + 1] == c)
                at++;
            else if (c == '{')
                break;
            else if (c == '}') {
                snprintf(problem, size, "a \"}\" closes nothing; write \"}}\" for a literal brace");
                return false;
            }
            *out++ = c;
            at++;
        }
        piece->length = (size_t)(out - piece->text);
        compiled->piece_count++;
    }
    return true;
}

/* `kind:*`, if a literal text that ends the kind comes first; else `*`. */
static void find_wider(struct group_template *compiled)
{
    const struct piece *first = &compiled->pieces[0];
    const char *colon = first->pointer == NULL ? memchr(first->text, ':', first->length) : NULL;
    size_t length = 0;
    if (colon != NULL) {
        length = (size_t)(colon - first->text) + 1;
        memcpy(compiled->wider, first->text, length);
    }
    compiled->wider[length++] = '*';
    compiled->wider[length] = '\0';
    compiled->wider_length = length;
}

struct group_template *template_compile(const char *text, size_t length, char *problem, size_t size)
{
    if (length == 0) {
        snprintf(problem, size, "the template is empty; write a group, as in \"tenant:{/tenant/id}\"");
        return NULL;
    }
    if (memchr(text, '\0', length) != NULL) {
        snprintf(problem, size, "the template contains a NUL, which no group's name can");
        return NULL;
    }
    if (text[0] == ':') {
        snprintf(problem, size, "the template names no kind in front of its \":\"; write a group, as in \"tenant:42\"");
        return NULL;
    }
    size_t characters = utf8_characters(text, length);
    if (characters > TEMPLATE_CHARACTERS_MAX) {
        snprintf(problem, size, "the template has %zu characters; at most %d are allowed", characters,
                 TEMPLATE_CHARACTERS_MAX);
        return NULL;
    }

    struct group_template *compiled = calloc(1, sizeof *compiled);
    if (compiled == NULL)
        goto no_memory;
    compiled->text = malloc(length + 1);
    compiled->literals = malloc(length + 1);
    compiled->pieces = calloc(length, sizeof *compiled->pieces);
    if (compiled->text == NULL || compiled->literals == NULL || compiled->pieces == NULL)
        goto no_memory;
    memcpy(compiled->text, text, length);
    compiled->text[length] = '\0';

    if (!compile_pieces(compiled, length, problem, size))
        goto bad;
    size_t least = compiled->place_count; /* each value has a byte at least */
    for (size_t i = 0; i < compiled->piece_count; i++)
        least += compiled->pieces[i].length;
    if (least > TEMPLATE_GROUP_BYTES_MAX) {
        snprintf(problem, size, "the template makes names of %zu bytes or more; a group's name has at most %d", least,
                 TEMPLATE_GROUP_BYTES_MAX);
        goto bad;
    }
    find_wider(compiled);
    return compiled;

no_memory:
    snprintf(problem, size, "out of memory");
bad:
    template_free(compiled);
    return NULL;
}

const char *template_text(const struct group_template *compiled)
{
    return compiled->text;
}

bool template_needs_body(const struct group_template *compiled)
{
    return compiled->place_count > 0;
}

enum usable { USABLE, ABSENT, UNUSABLE };

/* The text of a value, if it can be part of a name; `digits` is room for what has none of its own. */
static enum usable value_text(const json_t *value, char digits[24], const char **text, size_t *length)
{
    if (value == NULL || json_is_null(value))
        return ABSENT;
    switch (json_typeof(value)) {
    case JSON_STRING:
        *text = json_string_value(value);
        *length = json_string_length(value);
        return *length > 0 && memchr(*text, '\0', *length) == NULL ? USABLE : UNUSABLE;
    case JSON_INTEGER:
        *length = (size_t)snprintf(digits, 24, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        *text = digits;
        return USABLE;
    case JSON_TRUE:
        *text = "true";
        *length = 4;
        return USABLE;
    case JSON_FALSE:
        *text = "false";
        *length = 5;
        return USABLE;
    default:
        return UNUSABLE;
    }
}

static void explain_unusable(const struct piece *piece, const json_t *value, struct expansion *expansion)
{
    const char *pointer = json_pointer_text(piece->pointer);
    const char *what = "an object";
    if (json_is_string(value))
        what = json_string_length(value) == 0 ? "an empty string" : "a string with a NUL in it";
    else if (json_is_array(value))
        what = "an array";
    else if (json_is_real(value))
        what = "a number with a fraction or an exponent";
    char shown[QUOTE_SIZE];
    snprintf(expansion->why, sizeof expansion->why, "%s is %s, which cannot be part of a group's name",
             quote_bare(shown, sizeof shown, pointer, strlen(pointer)), what);
}

static void widen(const struct group_template *compiled, struct expansion *expansion)
{
    expansion->outcome = EXPANSION_WIDENED;
    expansion->length = compiled->wider_length;
    memcpy(expansion->name, compiled->wider, compiled->wider_length + 1);
}

void template_expand(const struct group_template *compiled, const json_t *body, bool skip_missing,
                     struct expansion *expansion)
{
    const struct piece *absent = NULL;  /* the first absent value that only makes the template name nothing */
    const struct piece *missing = NULL; /* the first absent value that must widen */
    size_t used = 0;
    bool too_long = false;

    /* Every value is looked at before anything is decided: one that cannot be used must widen even if another is
     * absent and may be. */
    for (size_t i = 0; i < compiled->piece_count; i++) {
        const struct piece *piece = &compiled->pieces[i];
        const char *text = piece->text;
        size_t length = piece->length;
        char digits[24];
        if (piece->pointer != NULL) {
            const json_t *value = json_pointer_find(piece->pointer, body);
            enum usable usable = value_text(value, digits, &text, &length);
            if (usable == UNUSABLE) {
                widen(compiled, expansion);
                explain_unusable(piece, value, expansion);
                return;
            }
            if (usable == ABSENT) {
                if (piece->optional || skip_missing)
                    absent = absent != NULL ? absent : piece;
                else
                    missing = missing != NULL ? missing : piece;
                continue;
            }
        }
        too_long = too_long || length > TEMPLATE_GROUP_BYTES_MAX - used;
        if (too_long)
            continue;
        memcpy(expansion->name + used, text, length);
        used += length;
    }

    char shown[QUOTE_SIZE];
    const struct piece *blame = missing != NULL ? missing : absent;
    if (blame != NULL)
        quote_bare(shown, sizeof shown, json_pointer_text(blame->pointer), strlen(json_pointer_text(blame->pointer)));
    if (missing != NULL) {
        widen(compiled, expansion);
        snprintf(expansion->why, sizeof expansion->why, "%s is absent", shown);
    } else if (absent != NULL) {
        expansion->outcome = EXPANSION_NOTHING;
        expansion->length = 0;
        expansion->name[0] = '\0';
        snprintf(expansion->why, sizeof expansion->why, "%s is absent", shown);
    } else if (too_long) {
        widen(compiled, expansion);
        snprintf(expansion->why, sizeof expansion->why, "the name would have more than %d bytes",
                 TEMPLATE_GROUP_BYTES_MAX);
    } else {
        expansion->outcome = EXPANSION_GROUP;
        expansion->length = used;
        expansion->name[used] = '\0';
        expansion->why[0] = '\0';
    }
}
