/*
 * entry.c - values and entries: making, counting holders, judging, ending. See entry.h for ownership and locks.
 */
#include "entry.h"

#include <stdlib.h>
#include <string.h>

/* What an entry is charged for its place in the index, which has one to two buckets an entry while it grows. */
#define INDEX_SHARE (2 * sizeof(quash_entry *))

/* ---- Values ---- */

quash_status value_set_bytes(struct value *value, const void *bytes, size_t size)
{
    if (bytes == NULL && size != 0)
        return QUASH_INVALID;
    /* Also no bytes at all are a value, and have an address. malloc aligns for any type. */
    void *copy = malloc(size == 0 ? 1 : size);
    if (copy == NULL)
        return QUASH_NO_MEMORY;
    if (size != 0)
        memcpy(copy, bytes, size);
    *value = (struct value){.data = copy, .size = size};
    return QUASH_OK;
}

quash_status value_set_object(struct value *value, void *object, quash_destroy_fn *destroy, void *context, size_t cost)
{
    if (object == NULL)
        return QUASH_INVALID;
    *value = (struct value){.data = object, .size = cost, .is_object = true, .destroy = destroy, .context = context};
    return QUASH_OK;
}

void value_destroy(struct value *value)
{
    if (value->data == NULL)
        return;
    if (!value->is_object)
        free(value->data);
    else if (value->destroy != NULL)
        value->destroy(value->data, value->context);
    value->data = NULL;
}

/* ---- Entries ---- */

static size_t add_capped(size_t a, size_t b)
{
    return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

static void *entry_key(quash_entry *entry)
{
    return &entry->hashes[entry->token.hash_count];
}

quash_entry *entry_new(uint64_t hash, const void *key, size_t key_size, const struct token *token, struct value *value,
                       uint64_t began_ms, uint64_t ttl_ms)
{
    size_t hashes_size = token->head.hash_count * sizeof token->hash[0];
    size_t size = add_capped(sizeof(quash_entry) + hashes_size, key_size);
    quash_entry *entry = malloc(size);
    if (entry == NULL)
        return NULL;
    atomic_init(&entry->holders, 1);
    entry->hash = hash;
    entry->chain = entry->newer = entry->older = NULL;
    entry->used = 0;
    entry->began_ms = began_ms;
    entry->expires_ms = ttl_ms > EXPIRES_NEVER - began_ms ? EXPIRES_NEVER : began_ms + ttl_ms;
    entry->charge = add_capped(add_capped(size, INDEX_SHARE), value->size);
    entry->value = *value;
    value->data = NULL;
    entry->key_size = key_size;
    token_head_copy(&entry->token, &token->head);
    memcpy(entry->hashes, token->hash, hashes_size);
    if (key_size != 0)
        memcpy(entry_key(entry), key, key_size);
    return entry;
}

void entry_undo(quash_entry *entry, struct value *value)
{
    *value = entry->value;
    free(entry);
}

bool entry_has_key(const quash_entry *entry, uint64_t hash, const void *key, size_t key_size)
{
    return entry->hash == hash && entry->key_size == key_size &&
           (key_size == 0 || memcmp(&entry->hashes[entry->token.hash_count], key, key_size) == 0);
}

enum entry_state entry_state(quash_entry *entry, const struct table_map *map, uint64_t now_ms, uint64_t detached_ttl_ms)
{
    switch (token_check(&entry->token, entry->hashes, map)) {
    case QUASH_UNCHANGED:
        break;
    case QUASH_COLLATERAL:
        return ENTRY_COLLATERAL;
    case QUASH_UNKNOWN: {
        uint64_t age_ms = now_ms > entry->began_ms ? now_ms - entry->began_ms : 0;
        if (map != NULL || age_ms >= detached_ttl_ms)
            return ENTRY_DETACHED;
        break;
    }
    case QUASH_CHANGED:
        return ENTRY_CANCELLED;
    }
    return entry->expires_ms != EXPIRES_NEVER && now_ms >= entry->expires_ms ? ENTRY_EXPIRED : ENTRY_LIVE;
}

void entry_list_add(struct entry_list *list, quash_entry *entry)
{
    entry->chain = list->first;
    list->first = entry;
}

void entry_list_release(struct entry_list *list)
{
    while (list->first != NULL) {
        quash_entry *entry = list->first;
        list->first = entry->chain;
        quash_entry_release(entry);
    }
}

/* ---- The public face ---- */

const void *quash_entry_bytes(const quash_entry *entry)
{
    return entry->value.is_object ? NULL : entry->value.data;
}

size_t quash_entry_size(const quash_entry *entry)
{
    return entry->value.size;
}

void *quash_entry_object(const quash_entry *entry)
{
    return entry->value.is_object ? entry->value.data : NULL;
}

quash_entry *quash_entry_acquire(quash_entry *entry)
{
    /* Relaxed: whoever acquires is, or got it from, a holder, and so already sees the entry. */
    atomic_fetch_add_explicit(&entry->holders, 1, memory_order_relaxed);
    return entry;
}

void quash_entry_release(quash_entry *entry)
{
    if (entry == NULL)
        return;
    /* Release: this holder's reads come before the destruction. Acquire, on the last one's: pairs with the releases of
     * all the others. (Not a fence, which the thread sanitizer does not follow.) */
    if (atomic_fetch_sub_explicit(&entry->holders, 1, memory_order_acq_rel) != 1)
        return;
    value_destroy(&entry->value);
    free(entry);
}
