/* See spans.h. Both questions are a binary search and a look at a running maximum. */
#include "spans.h"

#include <stdlib.h>

#include "cache_support.h"

static void list_add(struct span_list *list, instant began, instant ended)
{
    if (list->count == list->room) {
        list->room = list->room == 0 ? 64 : 2 * list->room;
        list->span = realloc(list->span, list->room * sizeof *list->span);
        if (list->span == NULL)
            support_fail("no memory");
    }
    list->span[list->count++] = (struct span){began, ended};
}

void spans_clear(struct spans *spans)
{
    spans->certain.count = spans->all.count = 0;
}

void spans_add(struct spans *spans, instant began, instant ended, bool certain)
{
    list_add(&spans->all, began, ended);
    if (certain)
        list_add(&spans->certain, began, ended);
}

static int compare(instant a, instant b)
{
    return a < b ? -1 : a > b;
}

static int by_ended(const void *a, const void *b)
{
    return compare(((const struct span *)a)->ended, ((const struct span *)b)->ended);
}

static int by_began(const void *a, const void *b)
{
    return compare(((const struct span *)a)->began, ((const struct span *)b)->began);
}

void spans_ready(struct spans *spans)
{
    struct span_list *certain = &spans->certain;
    struct span_list *all = &spans->all;
    if (certain->count != 0)
        qsort(certain->span, certain->count, sizeof *certain->span, by_ended);
    if (all->count != 0)
        qsort(all->span, all->count, sizeof *all->span, by_began);
    for (size_t i = 1; i < certain->count; i++) {
        if (certain->span[i].began < certain->span[i - 1].began)
            certain->span[i].began = certain->span[i - 1].began;
    }
    for (size_t i = 1; i < all->count; i++) {
        if (all->span[i].ended < all->span[i - 1].ended)
            all->span[i].ended = all->span[i - 1].ended;
    }
}

void spans_free(struct spans *spans)
{
    free(spans->certain.span);
    free(spans->all.span);
}

bool spans_within(const struct spans *spans, instant after, instant before)
{
    const struct span_list *list = &spans->certain;
    size_t low = 0;
    for (size_t high = list->count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (list->span[middle].ended < before)
            low = middle + 1;
        else
            high = middle;
    }
    return low != 0 && list->span[low - 1].began > after;
}

bool spans_touch(const struct spans *spans, instant after, instant before)
{
    const struct span_list *list = &spans->all;
    size_t low = 0;
    for (size_t high = list->count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (list->span[middle].began < before)
            low = middle + 1;
        else
            high = middle;
    }
    return low != 0 && list->span[low - 1].ended > after;
}
