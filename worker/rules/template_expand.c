/*
 * template_expand.c - filling in a template.
 *
 * First every place is surveyed: how many values it finds, how many are lacking, how long the longest is. That settles
 * what the template gives before any name is given: one value that cannot be used widens even if another is absent and
 * may be, and so does one combination that is too long or too many. Then the names are made, each in one buffer, at
 * most as many as are allowed. Memory is taken only where places find more than VALUES_ON_STACK values.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quote.h"
#include "template_pieces.h"

#define VALUES_ON_STACK 64

/* What a place finds in the event. */
struct found {
    const struct source *source; /* the alternative that was taken */
    size_t count, absent;        /* of its values: those that can be used, those that are not there */
    size_t longest;              /* of the usable ones, as they go into a name; past the limit any number past it */
    struct value first;          /* of the usable ones */
    const struct value *values;  /* `count` of them, once they have been collected */
};

enum usable { USABLE, ABSENT, UNUSABLE };

/* A value as text; `room` is for what has none of its own. */
struct text {
    const char *start;
    size_t length;
    char room[TEMPLATE_GROUP_BYTES_MAX];
};

static enum usable value_text(const struct value *value, struct text *text)
{
    if (value_is_nothing(value))
        return ABSENT;
    if (value->json == NULL) {
        text->start = value->text;
        text->length = value->length;
        return text->length > 0 ? USABLE : UNUSABLE;
    }
    switch (json_typeof(value->json)) {
    case JSON_STRING:
        text->start = json_string_value(value->json);
        text->length = json_string_length(value->json);
        return text->length > 0 && memchr(text->start, '\0', text->length) == NULL ? USABLE : UNUSABLE;
    case JSON_INTEGER:
        text->length =
            (size_t)snprintf(text->room, sizeof text->room, "%" JSON_INTEGER_FORMAT, json_integer_value(value->json));
        text->start = text->room;
        return USABLE;
    case JSON_TRUE:
        text->start = "true";
        text->length = 4;
        return USABLE;
    case JSON_FALSE:
        text->start = "false";
        text->length = 5;
        return USABLE;
    default:
        return UNUSABLE;
    }
}

/* As value_text, after the filters. A result that is too long for a name has a length past the limit and no text. */
static enum usable place_text(const struct place *place, const struct value *value, struct text *text)
{
    enum usable usable = value_text(value, text);
    if (usable != USABLE || place->filter_count == 0)
        return usable;
    char out[TEMPLATE_GROUP_BYTES_MAX];
    text->length = filter_apply(place->filters, place->filter_count, text->start, text->length, out, sizeof out);
    if (text->length <= sizeof out)
        memcpy(text->room, out, text->length);
    text->start = text->room;
    return text->length > 0 ? USABLE : UNUSABLE;
}

struct survey {
    const struct place *place;
    struct found *found;
    struct value unusable; /* the first; nothing if all can be used */
};

static bool survey_value(void *context, const struct value *value)
{
    struct survey *survey = context;
    struct found *found = survey->found;
    struct text text;
    switch (place_text(survey->place, value, &text)) {
    case USABLE:
        if (found->count++ == 0)
            found->first = *value;
        if (text.length > found->longest)
            found->longest = text.length;
        return true;
    case ABSENT:
        found->absent++;
        return true;
    default:
        survey->unusable = *value;
        return false;
    }
}

/* Takes the first alternative that gives a value. False if one of its values cannot be used. */
static bool survey_place(struct survey *survey, const struct view *view)
{
    const struct place *place = survey->place;
    *survey->found = (struct found){0};
    for (size_t i = 0; i < place->alternative_count; i++) {
        *survey->found = (struct found){.source = place->alternatives[i]};
        if (!source_each(place->alternatives[i], view, survey_value, survey))
            return false;
        if (survey->found->count > 0)
            break;
    }
    return true;
}

static void explain_unusable(const struct found *found, const struct value *value, char why[EXPANSION_WHY_SIZE])
{
    const json_t *json = value->json;
    size_t length = json != NULL ? json_string_length(json) : value->length;
    const char *what = "an object";
    if (json_is_array(json))
        what = "an array";
    else if (json_is_real(json))
        what = "a number with a fraction or an exponent";
    else if (!json_is_object(json) && length == 0)
        what = "an empty string";
    else if (json_is_string(json) && memchr(json_string_value(json), '\0', length) != NULL)
        what = "a string with a NUL in it";
    else if (!json_is_object(json))
        what = "nothing but white space";
    char shown[QUOTE_SIZE];
    const char *source = source_text(found->source);
    snprintf(why, EXPANSION_WHY_SIZE, "%s is %s, which cannot be part of a group's name",
             quote_bare(shown, sizeof shown, source, strlen(source)), what);
}

static void explain_absent(const struct place *place, const struct found *found, char why[EXPANSION_WHY_SIZE])
{
    char first[QUOTE_SIZE], second[QUOTE_SIZE];
    const char *source = source_text(found->count > 0 ? found->source : place->alternatives[0]);
    quote_bare(first, sizeof first, source, strlen(source));
    if (found->count > 0) {
        snprintf(why, EXPANSION_WHY_SIZE, "%s is absent in %zu of %zu elements", first, found->absent,
                 found->absent + found->count);
    } else if (place->alternative_count == 1) {
        snprintf(why, EXPANSION_WHY_SIZE, "%s is absent", first);
    } else {
        source = source_text(place->alternatives[1]);
        quote_bare(second, sizeof second, source, strlen(source));
        if (place->alternative_count == 2)
            snprintf(why, EXPANSION_WHY_SIZE, "%s and %s are absent", first, second);
        else
            snprintf(why, EXPANSION_WHY_SIZE, "%s, %s and %zu more are absent", first, second,
                     place->alternative_count - 2);
    }
}

/* All that making the names needs. */
struct making {
    const struct group_template *compiled;
    const struct found *found; /* of each place */
    expansion_name *name;
    void *context;
    size_t given;
    char buffer[TEMPLATE_GROUP_BYTES_MAX + 1];
};

static size_t append_value(struct making *making, const struct place *place, const struct value *value, size_t used)
{
    struct text text;
    if (place_text(place, value, &text) != USABLE)
        return used;
    memcpy(making->buffer + used, text.start, text.length);
    return used + text.length;
}

/* Makes the names that begin with the first `used` bytes of the buffer and go on with piece `at`, where place number
 * `place` is the next. Recurs once for each place with several values. */
static bool make_names(struct making *making, size_t at, size_t place, size_t used)
{
    const struct group_template *compiled = making->compiled;
    for (; at < compiled->piece_count; at++) {
        const struct piece *piece = &compiled->pieces[at];
        if (piece->place == NULL) {
            memcpy(making->buffer + used, piece->text, piece->length);
            used += piece->length;
            continue;
        }
        const struct found *found = &making->found[place++];
        if (found->count == 1) {
            used = append_value(making, piece->place, &found->first, used);
            continue;
        }
        for (size_t i = 0; i < found->count; i++) {
            if (!make_names(making, at + 1, place, append_value(making, piece->place, &found->values[i], used)))
                return false;
        }
        return true;
    }
    making->buffer[used] = '\0';
    making->given++;
    return making->name(making->context, making->buffer, used);
}

static bool collect_value(void *context, const struct value *value)
{
    struct value **next = context;
    if (!value_is_nothing(value))
        *(*next)++ = *value;
    return true;
}

/* Makes every name; all of them are known to fit. */
static bool make_all_names(struct making *making, struct found *found, size_t places, const struct view *view)
{
    size_t several = 0;
    for (size_t i = 0; i < places; i++)
        several += found[i].count > 1 ? found[i].count : 0;
    struct value on_stack[VALUES_ON_STACK];
    struct value *values = several > VALUES_ON_STACK ? malloc(several * sizeof *values) : on_stack;
    if (values == NULL)
        return false;
    struct value *next = values;
    for (size_t i = 0; several > 0 && i < places; i++) {
        found[i].values = next;
        if (found[i].count > 1)
            source_each(found[i].source, view, collect_value, &next);
    }
    bool ok = make_names(making, 0, 0, 0);
    if (values != on_stack)
        free(values);
    return ok;
}

/* Whether more than `limit` names come of the places, each of which has found some value. */
static bool is_too_many(const struct found *found, size_t places, size_t limit)
{
    size_t names = 1;
    if (limit == 0)
        return true;
    for (size_t i = 0; i < places; i++) {
        if (found[i].count > limit / names)
            return true;
        names *= found[i].count;
    }
    return false;
}

bool template_expand(const struct group_template *compiled, const struct view *view, unsigned missing, size_t limit,
                     expansion_name *name, void *context, struct expansion *expansion)
{
    struct found found[TEMPLATE_PLACES_MAX];
    struct making making = {.compiled = compiled, .found = found, .name = name, .context = context};
    const struct place *lacking = NULL, *empty = NULL; /* the first required one that lacks a value; that has none */
    size_t places = 0, lacks = 0, empties = 0;
    size_t longest = compiled->literal_bytes;
    bool keep = (missing & MISSING_DEAD_LETTER) != 0;

    *expansion = (struct expansion){.outcome = EXPANSION_WIDENED};
    for (size_t i = 0; i < compiled->piece_count; i++) {
        const struct place *place = compiled->pieces[i].place;
        if (place == NULL)
            continue;
        struct survey survey = {.place = place, .found = &found[places]};
        if (!survey_place(&survey, view)) {
            explain_unusable(survey.found, &survey.unusable, expansion->why);
            expansion->dead_letter = keep;
            goto widen;
        }
        if (survey.found->absent > 0 && !place->optional && lacking == NULL) {
            lacking = place;
            lacks = places;
        }
        if (survey.found->count == 0 && empty == NULL) {
            empty = place;
            empties = places;
        }
        longest += survey.found->longest;
        places++;
    }

    if (lacking != NULL && missing != 0) {
        explain_absent(lacking, &found[lacks], expansion->why);
        expansion->dead_letter = keep;
        if ((missing & MISSING_WIDEN) != 0)
            goto widen;
    }
    if (empty != NULL) {
        if (expansion->why[0] == '\0')
            explain_absent(empty, &found[empties], expansion->why);
        expansion->outcome = EXPANSION_NOTHING;
        return true;
    }
    if (is_too_many(found, places, limit)) {
        snprintf(expansion->why, sizeof expansion->why, "it would name more than %zu groups", limit);
        expansion->too_many = true;
        expansion->count = 1;
        return name(context, "*", 1);
    }
    if (longest > TEMPLATE_GROUP_BYTES_MAX) {
        snprintf(expansion->why, sizeof expansion->why, "the name would have more than %d bytes",
                 TEMPLATE_GROUP_BYTES_MAX);
        expansion->dead_letter = keep;
        goto widen;
    }
    expansion->outcome = EXPANSION_GROUPS;
    bool ok = make_all_names(&making, found, places, view);
    expansion->count = making.given;
    return ok;

widen:
    expansion->count = 1;
    return name(context, compiled->wider, compiled->wider_length);
}
