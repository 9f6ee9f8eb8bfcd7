/*
 * template_pieces.h - a compiled template: what template.c makes and template_expand.c fills in.
 */
#ifndef QUASHD_TEMPLATE_PIECES_H
#define QUASHD_TEMPLATE_PIECES_H

#include "filter.h"
#include "template.h"

/* The shortest place is {/}. */
#define TEMPLATE_PLACES_MAX (TEMPLATE_CHARACTERS_MAX / 3)

struct place {
    struct source *alternatives[TEMPLATE_ALTERNATIVES_MAX];
    size_t alternative_count;
    enum filter filters[TEMPLATE_FILTERS_MAX];
    size_t filter_count;
    bool optional;
};

/* Literal text, or a place. */
struct piece {
    struct place *place; /* NULL: literal */
    const char *text;    /* inside the template's `literals` */
    size_t length;
};

struct group_template {
    char *text;
    char *literals;
    struct piece *pieces;
    size_t piece_count, place_count;
    size_t literal_bytes; /* of all literal pieces */
    unsigned needs;
    char wider[TEMPLATE_GROUP_BYTES_MAX + 1];
    size_t wider_length;
};

#endif
