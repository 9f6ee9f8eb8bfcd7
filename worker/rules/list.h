/*
 * list.h - room for one more in a list that grows.
 */
#ifndef QUASHD_LIST_H
#define QUASHD_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Makes room in `items` (*room elements of `size` bytes) for element number `count`. Returns the list, which may have
 * moved, or NULL when memory ran out; then the old one is as it was. */
static inline void *list_grow(void *items, size_t *room, size_t count, size_t size)
{
    if (count < *room)
        return items;
    size_t larger = *room == 0 ? 16 : *room * 2;
    if (larger > SIZE_MAX / size)
        return NULL;
    void *grown = realloc(items, larger * size);
    if (grown != NULL)
        *room = larger;
    return grown;
}

#endif
