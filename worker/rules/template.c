/*
 * template.c - compiling the templates of `cancel`.
 *
 * A compiled template is a row of pieces, literal text or places. The wider group is worked out here, so that expanding
 * has nothing left to decide when it must fall back to it.
 */
#include "template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"
#include "quote.h"
#include "template_pieces.h"

static void place_free(struct place *place)
{
    if (place == NULL)
        return;
    for (size_t i = 0; i < place->alternative_count; i++)
        source_free(place->alternatives[i]);
    free(place);
}

void template_free(struct group_template *compiled)
{
    if (compiled == NULL)
        return;
    for (size_t i = 0; i < compiled->piece_count; i++)
        place_free(compiled->pieces[i].place);
    free(compiled->pieces);
    free(compiled->literals);
    free(compiled->text);
    free(compiled);
}

/* A part of a template, and where the sentence about a mistake in it goes. */
struct part {
    const char *text;
    size_t length;
};

struct sentence {
    char *text;
    size_t size;
};

static struct part trimmed(const char *text, size_t length)
{
    while (length > 0 && strchr(" \t\r\n", *text) != NULL) {
        text++;
        length--;
    }
    while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL)
        length--;
    return (struct part){text, length};
}

static bool compile_filter(struct place *place, struct part name, const char *shown, struct sentence problem)
{
    if (name.length == 0) {
        snprintf(problem.text, problem.size,
                 "{%s}: a \"|\" names no filter; write lower, upper or trim behind it, or \"??\" between alternatives",
                 shown);
        return false;
    }
    if (place->filter_count == TEMPLATE_FILTERS_MAX) {
        snprintf(problem.text, problem.size, "{%s} has more than %d filters", shown, TEMPLATE_FILTERS_MAX);
        return false;
    }
    if (filter_find(name.text, name.length, &place->filters[place->filter_count])) {
        place->filter_count++;
        return true;
    }
    char word[32], quoted[QUOTE_SIZE];
    snprintf(word, sizeof word, "%.*s", (int)(name.length < sizeof word ? name.length : sizeof word - 1), name.text);
    quote_text(quoted, sizeof quoted, name.text, name.length);
    const char *nearest = nearest_word(word, filter_names);
    if (name.text[name.length - 1] == '?')
        snprintf(problem.text, problem.size, "{%s}: the \"?\" belongs in front of the \"|\", as in {/region? | lower}",
                 shown);
    else if (nearest != NULL)
        snprintf(problem.text, problem.size, "{%s}: %s is no filter; did you mean %s?", shown, quoted, nearest);
    else
        snprintf(problem.text, problem.size, "{%s}: %s is no filter; there are lower, upper and trim", shown, quoted);
    return false;
}

static bool compile_alternative(struct place *place, struct part part, const char *shown, struct sentence problem)
{
    if (part.length == 0) {
        snprintf(problem.text, problem.size,
                 "{%s}: a \"??\" stands between two sources, as in {/after/id ?? /before/id}", shown);
        return false;
    }
    if (memchr(part.text, '?', part.length) != NULL) {
        snprintf(problem.text, problem.size,
                 "{%s}: a \"?\" can only stand at the end, where it says that the value may be absent", shown);
        return false;
    }
    if (place->alternative_count == TEMPLATE_ALTERNATIVES_MAX) {
        snprintf(problem.text, problem.size, "{%s} has more than %d alternatives", shown, TEMPLATE_ALTERNATIVES_MAX);
        return false;
    }
    struct source *source = source_compile(part.text, part.length, problem.text, problem.size);
    if (source == NULL)
        return false;
    place->alternatives[place->alternative_count++] = source;
    return true;
}

/* Compiles what stands between two braces: alternatives, perhaps a "?", filters. */
static bool compile_place(struct place *place, const char *text, size_t length, struct sentence problem)
{
    char shown[QUOTE_SIZE];
    quote_bare(shown, sizeof shown, text, length);
    if (memchr(text, '{', length) != NULL) {
        snprintf(problem.text, problem.size, "{%s} has a \"{\" inside; write \"{{\" and \"}}\" for literal braces",
                 shown);
        return false;
    }
    const char *end = text + length;
    const char *bar = memchr(text, '|', length);
    struct part sources = trimmed(text, (size_t)((bar != NULL ? bar : end) - text));
    while (bar != NULL) {
        const char *next = memchr(bar + 1, '|', (size_t)(end - bar - 1));
        struct part name = trimmed(bar + 1, (size_t)((next != NULL ? next : end) - bar - 1));
        if (!compile_filter(place, name, shown, problem))
            return false;
        bar = next;
    }

    size_t marks = 0; /* at the end: one is the "?", two are a "??" behind which something is missing */
    while (marks < sources.length && sources.text[sources.length - 1 - marks] == '?')
        marks++;
    if (marks == 1) {
        place->optional = true;
        sources = trimmed(sources.text, sources.length - 1);
    }
    if (sources.length == 0) {
        snprintf(problem.text, problem.size,
                 "{%s} names no value; write a source, as in {/tenant/id}, or {{}} for literal braces", shown);
        return false;
    }
    for (size_t at = 0, from = 0; at <= sources.length; at++) {
        bool ends = at == sources.length;
        if (!ends && (sources.text[at] != '?' || at + 1 == sources.length || sources.text[at + 1] != '?'))
            continue;
        struct part alternative = trimmed(sources.text + from, at - from);
        if (!compile_alternative(place, alternative, shown, problem))
            return false;
        from = at + 2;
        at++;
    }
    return true;
}

/* Copies literal text, without its doubled braces, up to the next place or the end. Returns the bytes taken, 0 if a
 * brace stands wrong. */
static size_t take_literal(struct piece *piece, const char *text, size_t length, char *out)
{
    size_t at = 0;
    piece->text = out;
    while (at < length) {
        char c = text[at];
        if ((c == '{' || c == '}') && at + 1 < length && text[at + 1] == c)
            at++;
        else if (c == '{')
            break;
        else if (c == '}')
            return 0;
        *out++ = c;
        at++;
    }
    piece->length = (size_t)(out - piece->text);
    return at;
}

/* Splits the text into pieces. */
static bool compile_pieces(struct group_template *compiled, size_t length, struct sentence problem)
{
    const char *text = compiled->text;
    char *out = compiled->literals;
    for (size_t at = 0; at < length;) {
        struct piece *piece = &compiled->pieces[compiled->piece_count++];
        if (text[at] != '{' || text[at + 1] == '{') {
            size_t taken = take_literal(piece, text + at, length - at, out);
            if (taken == 0) {
                snprintf(problem.text, problem.size, "a \"}\" closes nothing; write \"}}\" for a literal brace");
                return false;
            }
            out += piece->length;
            compiled->literal_bytes += piece->length;
            at += taken;
            continue;
        }
        const char *end = memchr(text + at, '}', length - at);
        if (end == NULL) {
            snprintf(problem.text, problem.size, "the \"{\" is never closed; write \"{{\" for a literal brace");
            return false;
        }
        size_t place_length = (size_t)(end - text) - at - 1;
        piece->place = calloc(1, sizeof *piece->place);
        if (piece->place == NULL) {
            snprintf(problem.text, problem.size, "out of memory");
            return false;
        }
        if (!compile_place(piece->place, text + at + 1, place_length, problem))
            return false;
        for (size_t i = 0; i < piece->place->alternative_count; i++)
            compiled->needs |= source_needs(piece->place->alternatives[i]);
        compiled->place_count++;
        at += place_length + 2;
    }
    return true;
}

/* `kind:*`, if a literal text that ends the kind comes first; else, or if that is too long to be a name, `*`. */
static void find_wider(struct group_template *compiled)
{
    const struct piece *first = &compiled->pieces[0];
    const char *colon = first->place == NULL ? memchr(first->text, ':', first->length) : NULL;
    size_t length = colon != NULL ? (size_t)(colon - first->text) + 1 : 0;
    if (length == TEMPLATE_GROUP_BYTES_MAX)
        length = 0;
    if (length > 0)
        memcpy(compiled->wider, first->text, length);
    compiled->wider[length++] = '*';
    compiled->wider[length] = '\0';
    compiled->wider_length = length;
}

/* What can be said about the text as a whole. */
static bool check_text(const char *text, size_t length, struct sentence problem)
{
    size_t characters = utf8_characters(text, length);
    if (length == 0)
        snprintf(problem.text, problem.size, "the template is empty; write a group, as in \"tenant:{/tenant/id}\"");
    else if (memchr(text, '\0', length) != NULL)
        snprintf(problem.text, problem.size, "the template contains a NUL, which no group's name can");
    else if (text[0] == ':')
        snprintf(problem.text, problem.size,
                 "the template names no kind in front of its \":\"; write a group, as in \"tenant:42\"");
    else if (characters > TEMPLATE_CHARACTERS_MAX)
        snprintf(problem.text, problem.size, "the template has %zu characters; at most %d are allowed", characters,
                 TEMPLATE_CHARACTERS_MAX);
    else
        return true;
    return false;
}

static struct group_template *allocate(const char *text, size_t length)
{
    size_t braces = 0;
    for (size_t i = 0; i < length; i++)
        braces += text[i] == '{' ? 1 : 0;
    struct group_template *compiled = calloc(1, sizeof *compiled);
    if (compiled == NULL)
        return NULL;
    compiled->text = malloc(length + 1);
    compiled->literals = malloc(length);
    compiled->pieces = calloc(2 * braces + 1, sizeof *compiled->pieces); /* each place, and a text behind each */
    if (compiled->text == NULL || compiled->literals == NULL || compiled->pieces == NULL) {
        template_free(compiled);
        return NULL;
    }
    memcpy(compiled->text, text, length);
    compiled->text[length] = '\0';
    return compiled;
}

struct group_template *template_compile(const char *text, size_t length, char *problem, size_t size)
{
    struct sentence sentence = {problem, size};
    if (!check_text(text, length, sentence))
        return NULL;
    struct group_template *compiled = allocate(text, length);
    if (compiled == NULL) {
        snprintf(problem, size, "out of memory");
        return NULL;
    }
    if (!compile_pieces(compiled, length, sentence)) {
        template_free(compiled);
        return NULL;
    }
    size_t least = compiled->literal_bytes + compiled->place_count; /* each value has a byte at least */
    if (least > TEMPLATE_GROUP_BYTES_MAX) {
        snprintf(problem, size, "the template makes names of %zu bytes or more; a group's name has at most %d", least,
                 TEMPLATE_GROUP_BYTES_MAX);
        template_free(compiled);
        return NULL;
    }
    find_wider(compiled);
    return compiled;
}

const char *template_text(const struct group_template *compiled)
{
    return compiled->text;
}

const char *template_wider(const struct group_template *compiled)
{
    return compiled->wider;
}

unsigned template_needs(const struct group_template *compiled)
{
    return compiled->needs;
}

size_t template_place_count(const struct group_template *compiled)
{
    return compiled->place_count;
}

const struct source *const *template_place(const struct group_template *compiled, size_t index, size_t *count,
                                           bool *optional)
{
    const struct piece *piece = compiled->pieces;
    while (piece->place == NULL || index-- > 0)
        piece++;
    *count = piece->place->alternative_count;
    *optional = piece->place->optional;
    return (const struct source *const *)piece->place->alternatives;
}
