/*
 * stale_bindings.c - bindings that nobody needs. See stale_bindings.h.
 */
#include "stale_bindings.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "changes.h"

/* Both strings in one piece of memory, which begins with the exchange. */
static bool copy(struct binding *to, const struct binding *from)
{
    size_t exchange_size = strlen(from->exchange) + 1;
    size_t key_size = strlen(from->routing_key) + 1;
    char *text = malloc(exchange_size + key_size);
    if (text == NULL)
        return false;
    memcpy(text, from->exchange, exchange_size);
    memcpy(text + exchange_size, from->routing_key, key_size);
    *to = (struct binding){text, text + exchange_size};
    return true;
}

static void release(const struct binding *binding)
{
    free((void *)(uintptr_t)binding->exchange);
}

static bool make_room(struct stale_bindings *stale, size_t count)
{
    if (count <= stale->room)
        return true;
    struct binding *larger = realloc(stale->item, count * sizeof *larger);
    if (larger == NULL)
        return false;
    stale->item = larger;
    stale->room = count;
    return true;
}

bool stale_bindings_add(struct stale_bindings *stale, const struct binding *binding, size_t count)
{
    size_t before = stale->count;
    struct binding *fresh = malloc((count + 1) * sizeof *fresh);
    if (fresh == NULL)
        return false;
    size_t fresh_count = bindings_without(binding, count, stale->item, before, fresh);
    bool fine = fresh_count != SIZE_MAX && make_room(stale, before + fresh_count);
    for (size_t i = 0; fine && i < fresh_count; i++) {
        fine = copy(&stale->item[stale->count], &fresh[i]);
        stale->count += fine ? 1 : 0;
    }
    while (!fine && stale->count > before)
        stale_bindings_drop_last(stale);
    free(fresh);
    return fine;
}

bool stale_bindings_spare(struct stale_bindings *stale, const struct rules *rules)
{
    struct binding *kept = malloc((stale->count + 1) * sizeof *kept);
    if (kept == NULL)
        return false;
    size_t count = bindings_without(stale->item, stale->count, rules_bindings(rules), rules_binding_count(rules), kept);
    if (count == SIZE_MAX) {
        free(kept);
        return false;
    }
    /* What is kept stands in the old order. */
    for (size_t i = 0, next = 0; i < stale->count; i++) {
        if (next < count && kept[next].exchange == stale->item[i].exchange)
            next++;
        else
            release(&stale->item[i]);
    }
    free(stale->item);
    stale->item = kept;
    stale->room = stale->count + 1;
    stale->count = count;
    return true;
}

void stale_bindings_drop_last(struct stale_bindings *stale)
{
    release(&stale->item[--stale->count]);
}

void stale_bindings_fini(struct stale_bindings *stale)
{
    while (stale->count > 0)
        stale_bindings_drop_last(stale);
    free(stale->item);
    *stale = (struct stale_bindings){0};
}
