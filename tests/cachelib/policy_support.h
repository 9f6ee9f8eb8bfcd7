/*
 * policy_support.h - entries for tests of the policy: objects of a stated cost, so that a test can choose what each is
 * charged, in memory of the test's own.
 */
#ifndef QUASH_TESTS_POLICY_SUPPORT_H
#define QUASH_TESTS_POLICY_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy.h"

struct item {
    struct entry entry;
    struct entry_object object; /* where entry_charge looks for it */
};

static_assert(offsetof(struct item, object) == sizeof(struct entry), "the value comes after the entry");

#define CHARGE 1000u

/* An entry as entry_new makes it, as far as the policy looks. */
void item_make(struct item *item, uint32_t key, quash_priority priority, size_t charge);

/* So many of them, with keys from 0 and CHARGE each; to be freed. */
struct item *new_items(uint32_t count, quash_priority priority);

/* As so many hits do. */
void use(struct item *item, unsigned times);

/* Adds entries for which there is room. */
void add(struct policy *policy, struct item *item);
void add_all(struct policy *policy, struct item *items, uint32_t count);

/* Adds an entry that makes one other go, and returns that. */
struct item *add_evicting(struct policy *policy, struct item *item);

/* Removes them all, after which nothing may be left or counted. */
void empty(struct policy *policy, struct item *items, uint32_t count);

/* From a seed that is not 0 (George Marsaglia's xorshift). */
uint64_t next_random(uint64_t *random);

#endif
