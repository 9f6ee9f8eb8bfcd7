/*
 * reclaim_support.h - for the tests of the reclaimer: entries that tell when they are destroyed, and an index of one
 * place, where an entry is found and replaced as the cache's own does it.
 */
#ifndef QUASH_TESTS_RECLAIM_SUPPORT_H
#define QUASH_TESTS_RECLAIM_SUPPORT_H

#include "cache_support.h"
#include "entry.h"
#include "readers.h"
#include "reclaim.h"

/* Of the test that is running. */
extern struct slab_arena *arena;

/* Each test begins and ends with nothing retired. */
int reclaim_set_up(void **state);
int reclaim_tear_down(void **state);

#define RECLAIM_TEST(name) cmocka_unit_test_setup_teardown(name, reclaim_set_up, reclaim_tear_down)

/* Entries that are in no place yet. */
struct entry *entry_of_object(void *object, quash_destroy_fn *destroy);
struct entry *entry_of_counted(struct counted *object);
/* Of bytes; the block has this size. */
struct entry *entry_of_size(size_t block_size);

typedef _Atomic(struct entry *) place;

/* A lookup: the entry, acquired, or NULL. */
quash_entry *find(place *at);

/* Puts `entry` (may be NULL) there, and retires what was there. */
void replace(place *at, struct entry *entry, bool at_once);
void take_out(place *at);

bool is_in_a_hold(const quash_entry *held);

/* A thread that releases a handle. */
void *release(void *held);

/* A thread in the midst of a lookup. */
struct slow_reader {
    place *at;
    struct gate is_in;
    struct gate may_go;
    struct gate is_out;
    struct gate may_release;
    bool hold; /* what it has found, when it may go */
};

void *read_slowly(void *slow_reader);

#define SLOW_READER(at, hold)                                                                                          \
    {                                                                                                                  \
        at, GATE_INIT, GATE_INIT, GATE_INIT, GATE_INIT, hold                                                           \
    }

#endif
