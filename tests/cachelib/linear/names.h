/*
 * names.h - the few groups of the test, as bits: so "does this cancellation concern that value" is one `and`.
 */
#ifndef QUASH_TESTS_LINEAR_NAMES_H
#define QUASH_TESTS_LINEAR_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quash/table.h>

/* What can be cancelled: `*`, the kinds, their groups, a bare kind, and names on which nothing ever depends. */
enum name {
    NAME_ALL,
    NAME_KIND_A,
    NAME_KIND_B,
    NAME_A, /* a:0 to a:3 */
    NAME_B = NAME_A + 4,
    NAME_BARE = NAME_B + 4,
    NAME_UNRELATED,
    NAMES
};

#define NAMES_OF_ANYTHING ((UINT32_C(1) << NAMES) - 1)

#define NAME_SIZE 24

/* Different unrelated ones. */
#define UNRELATED 16u

/* Writes the name; `number` tells the unrelated ones apart. */
void name_write(char text[NAME_SIZE], unsigned name, unsigned number);

/* All names whose cancellation concerns a value that was made from these groups. */
uint32_t names_implied(uint32_t groups);

/* Draws up to four groups that a value may be made from; also none. */
uint32_t names_draw_groups(uint64_t random);

/* Whether the table can tell all of them apart. It hashes names with a seed of its own, to 30 bits if it is large. */
bool names_are_apart(quash_table *table);

#endif
