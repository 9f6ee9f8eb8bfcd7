/*
 * template.h - `cancel`: the names of groups with places for values from the event.
 *
 *     tenant:{/payload/tenant_id}                       a source (source.h); required
 *     region:{/payload/region?}                         absent is fine: then the template names nothing
 *     order:{/after/id ?? /before/id}                   the first that is there
 *     region:{routing_key.3 | lower}                    filters: lower, upper, trim
 *     note:{{literal braces}}
 *
 * A pointer with a segment `*` gives one group for every element; several such places give every combination.
 *
 * Whatever a required place finds, no event is dropped and no wrong group is named: what cannot name its group widens
 * to every group of the template's kind, `tenant:*`, or to everything, `*`, where the kind is not literal; unless the
 * rule asks for something else where a value is absent.
 */
#ifndef QUASHD_TEMPLATE_H
#define QUASHD_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "source.h"

#define TEMPLATE_CHARACTERS_MAX   512 /* of a template as it is written */
#define TEMPLATE_GROUP_BYTES_MAX  512 /* of a group's name; what the cancellation table takes */
#define TEMPLATE_ALTERNATIVES_MAX 8   /* in one place */
#define TEMPLATE_FILTERS_MAX      8   /* in one place */

struct group_template; /* immutable */

/* Compiles text[length]; NULL after writing into problem[size] what is wrong with it. */
struct group_template *template_compile(const char *text, size_t length, char *problem, size_t size);
void template_free(struct group_template *compiled);

/* As it was written. */
const char *template_text(const struct group_template *compiled);

/* What an event is widened to: `kind:*` or `*`. */
const char *template_wider(const struct group_template *compiled);

/* SOURCE_BODY, SOURCE_ATTRIBUTES, both or 0. */
unsigned template_needs(const struct group_template *compiled);

/* Its places, for who looks for mistakes: the sources of each, and whether all of them may be absent. */
size_t template_place_count(const struct group_template *compiled);
const struct source *const *template_place(const struct group_template *compiled, size_t index, size_t *count,
                                           bool *optional);

/* What becomes of a required value that is absent: flags; 0 is `skip`. Of a place with a segment `*`, one element that
 * lacks the value is enough to widen; without MISSING_WIDEN only that element is left out. */
#define MISSING_WIDEN       1u
#define MISSING_DEAD_LETTER 2u

enum expansion_outcome {
    EXPANSION_GROUPS,  /* `count` names */
    EXPANSION_NOTHING, /* what was absent may be, or leaves nothing to name */
    EXPANSION_WIDENED, /* one name, the wider group */
};

#define EXPANSION_WHY_SIZE 256

struct expansion {
    enum expansion_outcome outcome;
    size_t count;                 /* names given to `name` */
    bool dead_letter;             /* a value was absent or could not be used, and the rule wants the event kept */
    bool too_many;                /* widened to `*` because more than `limit` names would have come of it */
    char why[EXPANSION_WHY_SIZE]; /* a sentence; "" for EXPANSION_GROUPS without dead_letter */
};

/* Takes a name; false: out of memory. */
typedef bool expansion_name(void *context, const char *name, size_t length);

/* Fills in the values of `view`, in which what template_needs says must have been read. Null counts as absent.
 * `missing` says what absence of a required value does; a value that is there but cannot be part of a name widens
 * whatever it says. Once more than `limit` names would come of it, the template widens to `*`. Names may repeat. False
 * when memory ran out or `name` said so. */
bool template_expand(const struct group_template *compiled, const struct view *view, unsigned missing, size_t limit,
                     expansion_name *name, void *context, struct expansion *expansion);

#endif
