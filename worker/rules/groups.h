/*
 * groups.h - a set of group names: each once, however many events or rules name it.
 */
#ifndef QUASHD_GROUPS_H
#define QUASHD_GROUPS_H

#include <stdbool.h>
#include <stddef.h>

struct groups; /* opaque: an open-addressed set over an arena that is kept between batches */

struct groups *groups_new(void);
void groups_free(struct groups *groups);

/* Adds a copy of `name`, which contains no NUL. False only when memory ran out; then the set is as it was. */
bool groups_add(struct groups *groups, const char *name, size_t length);

/* The names, NUL-terminated, in the order they were first added; valid until the next add or clear. */
const char *const *groups_names(const struct groups *groups);
size_t groups_count(const struct groups *groups);

/* Forgets all names but the first `count`. */
void groups_truncate(struct groups *groups, size_t count);

/* Sorts the names bytewise. */
void groups_sort(struct groups *groups);

/* Empties the set, keeping its memory for the next batch. */
void groups_clear(struct groups *groups);

#endif
