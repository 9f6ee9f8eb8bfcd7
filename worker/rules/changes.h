/*
 * changes.h - from one rule set to the next: what must be bound, what need not be any more, and which groups may have
 * missed an event that only the new rules understand.
 */
#ifndef QUASHD_CHANGES_H
#define QUASHD_CHANGES_H

#include <stdbool.h>
#include <stddef.h>

#include "groups.h"
#include "rules.h"

struct rules_changes {
    struct binding *added; /* strings borrowed from the new rules */
    size_t added_count;
    struct binding *removed; /* strings borrowed from the old rules */
    size_t removed_count;
    /* The wider group of each template (of one without places, its group) that no old rule has under the same
     * conditions and with the same ways (on_missing, repeat_after_ms); `*` if from now on events cancel that are
     * malformed, and did not before. */
    struct groups *cancel;
};

/* False when memory ran out; then *changes is empty. */
bool rules_changes_find(struct rules_changes *changes, const struct rules *before, const struct rules *after);
void rules_changes_fini(struct rules_changes *changes);

/* Puts those of binding[count] into `out`, which has room for all, that are not among other[other_count]. Returns how
 * many, or SIZE_MAX when memory ran out. */
size_t bindings_without(const struct binding *binding, size_t count, const struct binding *other, size_t other_count,
                        struct binding *out);

#endif
