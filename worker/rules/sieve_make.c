/*
 * sieve_make.c - choosing which place of an event tells rules apart best.
 *
 * Of all places that the conditions compare with exact values, the one is taken that leaves the fewest to be asked: how
 * many compare it, less how many of them an event will have in common with, taking each value to be as frequent as it
 * is in the conditions. Those that do not compare it are looked at again for another place, those with the same value
 * as well, until looking up no longer pays.
 */
#include <stdlib.h>
#include <string.h>

#include "glob.h"
#include "list.h"
#include "sieve_value.h"

#define TESTS_MAX 4 /* places looked up in one sieve */
#define DEPTH_MAX 3 /* sieves in sieves */
#define SAVED_MIN 4 /* conditions; looking up one value costs about as much as testing two */

/* ---- What a condition compares exactly */

static const json_t *exact_scalar(const json_t *json)
{
    if (json_is_object(json)) /* {"exists": ...} and {"not": ...} have no such member */
        return json_object_get(json, "equals");
    struct sieve_value value;
    if (!sieve_value_of(json, &value))
        return NULL;
    return value.text != NULL && glob_has_wildcard(value.text, value.length) ? NULL : json;
}

/* The number of values if the matcher is one exact value or a list of up to `most`; otherwise 0. */
static size_t exact_count(const struct matcher *matcher, size_t most)
{
    const json_t *json = matcher_json(matcher);
    if (!json_is_array(json))
        return exact_scalar(json) != NULL ? 1 : 0;
    size_t count = json_array_size(json);
    if (count > most)
        return 0;
    for (size_t i = 0; i < count; i++)
        if (exact_scalar(json_array_get(json, i)) == NULL)
            return 0;
    return count;
}

static struct sieve_value exact_value(const struct matcher *matcher, size_t index)
{
    const json_t *json = matcher_json(matcher);
    struct sieve_value value;
    sieve_value_of(exact_scalar(json_is_array(json) ? json_array_get(json, index) : json), &value);
    return value;
}

/* ---- Which place tells most apart */

struct place {
    const struct source *source;
    size_t conditions, values; /* that compare it, and how often they name one */
    double same;               /* sum over the values of (conditions that name it) squared */
};

struct survey {
    struct word_map names, values; /* of places; of values, with the place and the kind as their scope */
    struct place *places;
    size_t place_count, place_room;
    size_t *uses; /* of each value */
    size_t use_count, use_room;
};

static void survey_fini(struct survey *survey)
{
    word_map_fini(&survey->names);
    word_map_fini(&survey->values);
    free(survey->places);
    free(survey->uses);
}

static uint32_t survey_place(struct survey *survey, const struct source *source)
{
    const char *name = source_text(source);
    uint32_t place = word_map_get(&survey->names, 0, name, strlen(name));
    if (place != WORD_MAP_NONE)
        return place;
    struct place *places = list_grow(survey->places, &survey->place_room, survey->place_count, sizeof *places);
    if (places == NULL)
        return WORD_MAP_NONE;
    survey->places = places;
    places[survey->place_count] = (struct place){source, 0, 0, 0};
    return word_map_put(&survey->names, 0, name, strlen(name), (uint32_t)survey->place_count++);
}

static bool survey_value(struct survey *survey, uint32_t place, const struct sieve_value *value)
{
    size_t *uses = list_grow(survey->uses, &survey->use_room, survey->use_count, sizeof *uses);
    if (uses == NULL)
        return false;
    survey->uses = uses;
    uint32_t number = word_map_put(&survey->values, place * SIEVE_KINDS + value->kind, sieve_value_bytes(value),
                                   value->length, (uint32_t)survey->use_count);
    if (number == WORD_MAP_NONE)
        return false;
    if (number == survey->use_count)
        uses[survey->use_count++] = 0;
    survey->places[place].values++;
    survey->places[place].same += 2.0 * (double)uses[number] + 1.0; /* (n + 1)^2 - n^2 */
    uses[number]++;
    return true;
}

static bool survey_condition(struct survey *survey, const struct condition *condition, enum condition_stage stage,
                             size_t most)
{
    for (size_t i = 0; i < condition_count(condition); i++) {
        if (condition_stage_of(condition, i) != stage)
            continue;
        const struct matcher *matcher = condition_matcher(condition, i);
        size_t values = exact_count(matcher, most);
        if (values == 0)
            continue;
        uint32_t place = survey_place(survey, condition_source(condition, i));
        if (place >= survey->place_count || survey->places == NULL)
            return false;
        survey->places[place].conditions++;
        for (size_t j = 0; j < values; j++) {
            struct sieve_value value = exact_value(matcher, j);
            if (!survey_value(survey, place, &value))
                return false;
        }
    }
    return true;
}

/* *best becomes NULL if no place is worth looking up. False when memory ran out. */
static bool find_best(const struct sieve_item *items, size_t count, enum condition_stage stage, size_t most,
                      const struct source **best)
{
    struct survey survey = {.places = NULL};
    bool fine = true;
    for (size_t i = 0; i < count && fine; i++)
        fine = survey_condition(&survey, items[i].condition, stage, most);
    double saved_best = SAVED_MIN;
    *best = NULL;
    for (size_t i = 0; i < survey.place_count && fine; i++) {
        const struct place *place = &survey.places[i];
        double saved = (double)place->conditions - place->same / (double)place->values;
        if (saved >= saved_best) {
            saved_best = saved;
            *best = place->source;
        }
    }
    survey_fini(&survey);
    return fine;
}

/* ---- Making */

/* That an item wants the value which leads to a sieve. */
struct use {
    uint32_t sieve, item;
};

struct uses {
    struct use *use;
    size_t count, room;
};

static uint32_t add_sieve(struct sieves *sieves)
{
    if (sieves->count >= SIEVE_NONE)
        return SIEVE_NONE;
    struct sieve *grown = list_grow(sieves->sieve, &sieves->room, sieves->count, sizeof *grown);
    if (grown == NULL)
        return SIEVE_NONE;
    sieves->sieve = grown;
    grown[sieves->count] = (struct sieve){0, 0, 0, 0};
    return (uint32_t)sieves->count++;
}

static bool add_item(struct sieves *sieves, uint32_t number)
{
    if (sieves->item_count >= UINT32_MAX)
        return false;
    uint32_t *items = list_grow(sieves->items, &sieves->item_room, sieves->item_count, sizeof *items);
    if (items == NULL)
        return false;
    sieves->items = items;
    items[sieves->item_count++] = number;
    return true;
}

static bool add_test(struct sieves *sieves, const struct sieve_test *test)
{
    struct sieve_test *tests = list_grow(sieves->tests, &sieves->test_room, sieves->test_count, sizeof *tests);
    if (tests == NULL)
        return false;
    sieves->tests = tests;
    tests[sieves->test_count++] = *test;
    return true;
}

static const struct matcher *matcher_of(const struct condition *condition, enum condition_stage stage,
                                        const struct source *source)
{
    for (size_t i = 0; i < condition_count(condition); i++)
        if (condition_stage_of(condition, i) == stage &&
            strcmp(source_text(condition_source(condition, i)), source_text(source)) == 0)
            return condition_matcher(condition, i);
    return NULL;
}

/* Notes which sieves the item goes into, and makes those of values that nobody wanted before. */
static bool note_uses(struct sieves *sieves, struct uses *uses, uint32_t scope, uint32_t item,
                      const struct matcher *matcher, size_t values)
{
    for (size_t i = 0; i < values; i++) {
        struct sieve_value value = exact_value(matcher, i);
        uint32_t made = (uint32_t)sieves->count;
        uint32_t sieve =
            word_map_put(&sieves->values, scope + value.kind, sieve_value_bytes(&value), value.length, made);
        if (sieve == WORD_MAP_NONE || (sieve == made && add_sieve(sieves) == SIEVE_NONE))
            return false;
        struct use *grown = list_grow(uses->use, &uses->room, uses->count, sizeof *grown);
        if (grown == NULL)
            return false;
        uses->use = grown;
        grown[uses->count++] = (struct use){sieve, item};
    }
    return true;
}

static int compare_uses(const void *a, const void *b)
{
    const struct use *left = a, *right = b;
    if (left->sieve != right->sieve)
        return left->sieve < right->sieve ? -1 : 1;
    return (left->item > right->item) - (left->item < right->item);
}

static bool fill(struct sieves *sieves, uint32_t sieve, struct sieve_item *items, size_t count,
                 enum condition_stage stage, unsigned depth);

/* Fills the sieves behind the values, each with the items that want its value. */
static bool fill_behind(struct sieves *sieves, struct uses *uses, const struct sieve_item *items,
                        enum condition_stage stage, unsigned depth)
{
    if (uses->count == 0)
        return true;
    qsort(uses->use, uses->count, sizeof *uses->use, compare_uses);
    struct sieve_item *behind = calloc(uses->count, sizeof *behind);
    bool fine = behind != NULL;
    for (size_t i = 0; i < uses->count && fine;) {
        uint32_t sieve = uses->use[i].sieve;
        size_t count = 0;
        for (; i < uses->count && uses->use[i].sieve == sieve; i++)
            if (count == 0 || uses->use[i].item != uses->use[i - 1].item) /* a list may name a value twice */
                behind[count++] = items[uses->use[i].item];
        fine = fill(sieves, sieve, behind, count, stage, depth);
    }
    free(behind);
    return fine;
}

/* Makes a test of one place; the items that it tells apart leave items[*count]. */
static bool split(struct sieves *sieves, const struct source *source, struct sieve_item *items, size_t *count,
                  enum condition_stage stage, unsigned depth, struct sieve_test *test)
{
    size_t most = depth == 0 ? SIEVE_VALUES_MAX : 1;
    *test = (struct sieve_test){source, sieves->scopes};
    sieves->scopes += SIEVE_KINDS;
    struct uses uses = {.use = NULL};
    struct sieve_item *all = calloc(*count, sizeof *all);
    bool fine = all != NULL;
    size_t all_count = 0, rest = 0;
    for (size_t i = 0; i < *count && fine; i++) {
        const struct matcher *matcher = matcher_of(items[i].condition, stage, source);
        size_t values = matcher != NULL ? exact_count(matcher, most) : 0;
        if (values == 0) {
            items[rest++] = items[i];
            continue;
        }
        all[all_count] = items[i];
        fine = note_uses(sieves, &uses, test->scope, (uint32_t)all_count++, matcher, values);
    }
    fine = fine && fill_behind(sieves, &uses, all, stage, depth + 1);
    free(all);
    free(uses.use);
    *count = rest;
    return fine;
}

static bool fill(struct sieves *sieves, uint32_t sieve, struct sieve_item *items, size_t count,
                 enum condition_stage stage, unsigned depth)
{
    /* A value of a list is looked up only at the first place, or each further one would multiply the items. */
    size_t most = depth == 0 ? SIEVE_VALUES_MAX : 1;
    struct sieve_test tests[TESTS_MAX];
    uint32_t test_count = 0;
    while (test_count < TESTS_MAX && depth < DEPTH_MAX && count > SAVED_MIN) {
        const struct source *best;
        if (!find_best(items, count, stage, most, &best))
            return false;
        if (best == NULL)
            break;
        if (!split(sieves, best, items, &count, stage, depth, &tests[test_count++]))
            return false;
    }
    struct sieve made = {(uint32_t)sieves->item_count, (uint32_t)count, (uint32_t)sieves->test_count, test_count};
    for (size_t i = 0; i < count; i++)
        if (!add_item(sieves, items[i].number))
            return false;
    for (uint32_t i = 0; i < test_count; i++)
        if (!add_test(sieves, &tests[i]))
            return false;
    sieves->sieve[sieve] = made;
    return true;
}

uint32_t sieve_make(struct sieves *sieves, struct sieve_item *items, size_t count, enum condition_stage stage)
{
    uint32_t sieve = add_sieve(sieves);
    return sieve != SIEVE_NONE && fill(sieves, sieve, items, count, stage, 0) ? sieve : SIEVE_NONE;
}
