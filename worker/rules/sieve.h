/*
 * sieve.h - rules that compare one place of an event with exact values, found by looking that value up.
 *
 * A sieve is a list of numbers, each with a condition. Asked with an event it gives those whose condition may hold: the
 * ones that compare nothing exactly, and of the others those that want the value that is there. What it leaves out
 * cannot match.
 *
 *     all  ── /payload/source/table ──┬─ "orders" ─► 4, 17, 230
 *      │                              └─ "users" ──► 5, 18
 *      ├── /type ─────────────────────── ...
 *      └─► 3, 21 (compare neither)
 *
 * A list under a value can be a sieve again.
 */
#ifndef QUASHD_SIEVE_H
#define QUASHD_SIEVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "condition.h"
#include "source.h"
#include "word_map.h"

/* What was found: each number once. */
struct number_set {
    uint32_t *item;
    uint64_t *marks; /* one bit for each number that there is */
    size_t count;
};

static inline void number_set_add(struct number_set *set, uint32_t number)
{
    uint64_t bit = UINT64_C(1) << (number % 64);
    if ((set->marks[number / 64] & bit) != 0)
        return;
    set->marks[number / 64] |= bit;
    set->item[set->count++] = number;
}

void number_set_clear(struct number_set *set);

#define SIEVE_NONE UINT32_MAX

struct sieve {
    uint32_t first_item, item_count; /* what nothing is known of beforehand */
    uint32_t first_test, test_count;
};

struct sieve_test {
    const struct source *source;
    uint32_t scope; /* of its values in the map, each of which leads to a sieve */
};

/* Many sieves in common lists. Grows while they are made; after that any number of threads may ask. Starts as zero. */
struct sieves {
    struct sieve *sieve;
    size_t count, room;
    struct sieve_test *tests;
    size_t test_count, test_room;
    uint32_t *items;
    size_t item_count, item_room;
    uint32_t scopes;
    struct word_map values;
};

void sieves_fini(struct sieves *sieves);

struct sieve_item {
    uint32_t number;
    const struct condition *condition;
};

/* Makes a sieve of the conditions of one stage; items[count] is used up. SIEVE_NONE when memory ran out. A number is
 * kept at most SIEVE_VALUES_MAX times. */
#define SIEVE_VALUES_MAX 64
uint32_t sieve_make(struct sieves *sieves, struct sieve_item *items, size_t count, enum condition_stage stage);

/* Adds to `found` what may hold. What the stage looks at must have been read. */
void sieve_find(const struct sieves *sieves, uint32_t sieve, const struct view *view, struct number_set *found);

#endif
