/*
 * template.h - `cancel`: the names of groups with places for values from the event's body.
 *
 *     tenant:{/payload/tenant_id}      a JSON Pointer into the body; required
 *     region:{/payload/region?}        absent is fine: then the template names nothing
 *     note:{{literal braces}}
 *
 * Whatever a required place finds, no event is dropped and no wrong group is named: what cannot name its group widens
 * to every group of the template's kind, `tenant:*`, or to everything, `*`, where the kind is not literal.
 */
#ifndef QUASHD_TEMPLATE_H
#define QUASHD_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#define TEMPLATE_CHARACTERS_MAX  512 /* of a template as it is written */
#define TEMPLATE_GROUP_BYTES_MAX 512 /* of a group's name; what the cancellation table takes */

struct group_template; /* immutable */

/* Compiles text[length]; NULL after writing into problem[size] what is wrong with it. */
struct group_template *template_compile(const char *text, size_t length, char *problem, size_t size);
void template_free(struct group_template *compiled);

/* As it was written. */
const char *template_text(const struct group_template *compiled);

/* Whether it looks into the body at all. */
bool template_needs_body(const struct group_template *compiled);

enum expansion_outcome {
    EXPANSION_GROUP,   /* `name` is the group */
    EXPANSION_NOTHING, /* something that may be absent was */
    EXPANSION_WIDENED, /* `name` is the wider group, `why` a sentence */
};

#define EXPANSION_WHY_SIZE 256

struct expansion {
    enum expansion_outcome outcome;
    size_t length;
    char name[TEMPLATE_GROUP_BYTES_MAX + 1];
    char why[EXPANSION_WHY_SIZE]; /* also for EXPANSION_NOTHING */
};

/* Fills in the values of `body` (may be NULL if the template does not need one). Null counts as absent. With
 * `skip_missing` a required value that is absent names nothing instead of widening; a value that is there but cannot
 * be part of a name always widens. */
void template_expand(const struct group_template *compiled, const json_t *body, bool skip_missing,
                     struct expansion *expansion);

#endif
