/*
 * sieve.c - looking exact values up. sieve_make.c makes what is asked here.
 */
#include "sieve_value.h"

#include <stdlib.h>

void number_set_clear(struct number_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        set->marks[set->item[i] / 64] = 0;
    set->count = 0;
}

void sieves_fini(struct sieves *sieves)
{
    free(sieves->sieve);
    free(sieves->tests);
    free(sieves->items);
    word_map_fini(&sieves->values);
    *sieves = (struct sieves){.sieve = NULL};
}

struct search {
    const struct sieves *sieves;
    const struct sieve_test *test;
    const struct view *view;
    struct number_set *found;
};

static bool look_up(void *context, const struct value *value)
{
    const struct search *search = context;
    struct sieve_value key;
    if (value->json == NULL || !sieve_value_of(value->json, &key))
        return true;
    uint32_t sieve =
        word_map_get(&search->sieves->values, search->test->scope + key.kind, sieve_value_bytes(&key), key.length);
    if (sieve != WORD_MAP_NONE)
        sieve_find(search->sieves, sieve, search->view, search->found);
    return true;
}

void sieve_find(const struct sieves *sieves, uint32_t sieve, const struct view *view, struct number_set *found)
{
    const struct sieve *here = &sieves->sieve[sieve];
    for (uint32_t i = 0; i < here->item_count; i++)
        number_set_add(found, sieves->items[here->first_item + i]);
    for (uint32_t i = 0; i < here->test_count; i++) {
        const struct sieve_test *test = &sieves->tests[here->first_test + i];
        struct search search = {sieves, test, view, found};
        if (source_is_many(test->source)) {
            source_each(test->source, view, look_up, &search);
        } else {
            struct value value = source_value(test->source, view);
            look_up(&search, &value);
        }
    }
}
