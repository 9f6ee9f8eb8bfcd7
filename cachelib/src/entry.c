/*
 * entry.c - values and entries: making, measuring, ending; and what callers may ask of one. See entry.h.
 */
#include "entry.h"

#include <stdlib.h>
#include <string.h>

#include "kinds.h"

/* What an entry is charged for its place in the index and in the policy's memory of evicted keys, beside its block. */
#define ENTRY_SHARE 24u

/* ---- Values ---- */

static quash_status check_bytes(const void *bytes, size_t size)
{
    if (bytes == NULL && size != 0)
        return QUASH_INVALID;
    return size > QUASH_VALUE_MAX ? QUASH_TOO_LARGE : QUASH_OK;
}

quash_status value_borrow_bytes(struct value *value, const void *bytes, size_t size)
{
    quash_status status = check_bytes(bytes, size);
    /* Also no bytes at all are a value. The cast: whoever borrows does not write. */
    if (status == QUASH_OK)
        *value = (struct value){.data = bytes == NULL ? "" : (void *)(uintptr_t)bytes, .size = size, .borrowed = true};
    return status;
}

quash_status value_set_bytes(struct value *value, const void *bytes, size_t size)
{
    quash_status status = check_bytes(bytes, size);
    if (status != QUASH_OK)
        return status;
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
    if (value->is_object) {
        if (value->data != NULL && value->destroy != NULL)
            value->destroy(value->data, value->context);
    } else if (!value->borrowed) {
        free(value->data);
    }
    value->data = NULL;
    value->is_absent = false;
}

/* ---- Measuring ---- */

static size_t add_capped(size_t a, size_t b)
{
    return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

size_t entry_block_size(const struct entry *entry)
{
    return entry_value_offset(entry->flags & ENTRY_HAS_LIFETIME, entry->words, entry->key_size) + entry->value_size;
}

static size_t charge(size_t block, size_t cost)
{
    return add_capped(add_capped(slab_size(block), ENTRY_SHARE), cost);
}

static const struct entry_object *entry_object(const struct entry *entry)
{
    return entry_value(entry);
}

size_t entry_charge(const struct entry *entry)
{
    return charge(entry_block_size(entry), entry->flags & ENTRY_IS_OBJECT ? entry_object(entry)->cost : 0);
}

/* ---- Making and ending ---- */

/* Writes the words of a token; their number. A kind that has no number gets a word of its own, once. */
static unsigned words_write(uint64_t *words, struct kinds *kinds, const struct token *token)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < token->groups; i++) {
        uint16_t kind = token->has_kind[i] ? kinds_number(kinds, token->kind[i]) : 0;
        words[count++] = word_make(token->group[i], kind);
        if (token->has_kind[i] && kind == 0)
            words[count++] = word_make(token->kind[i], 0);
    }
    return count;
}

static uint32_t token_serial(const struct token *token)
{
    if (token->incarnation == 0)
        return TABLE_SERIAL_DETACHED;
    /* After 65,533 replacements the serials are used up: then nothing is kept any more. */
    return token->ended || token->serial > UINT16_MAX ? TABLE_SERIAL_ENDED : token->serial;
}

struct entry *entry_new(struct slab_arena *arena, struct kinds *kinds, const struct key *key, const struct token *token,
                        struct value *value, const struct lifetime *lifetime)
{
    uint64_t words[2 * QUASH_TOKEN_GROUPS_MAX];
    unsigned word_count = words_write(words, kinds, token);
    bool has_lifetime = lifetime->keep || lifetime->sliding_ms != QUASH_SLIDING_NONE;
    size_t value_size = value->is_object ? sizeof(struct entry_object) : value->size;
    size_t value_offset = entry_value_offset(has_lifetime, word_count, key->size);
    struct entry *entry = slab_alloc(arena, value_offset + value_size);
    if (entry == NULL)
        return NULL;

    uint64_t deadline_ms = sliding_deadline_ms(lifetime->expires_ms, lifetime->sliding_ms, lifetime->now_ms);
    atomic_init(&entry->validated, atomic_load_explicit(&token->validated, memory_order_relaxed));
    entry->stamp = token->stamp | (uint64_t)token_serial(token) << SLOT_STAMP_BITS;
    atomic_init(&entry->deadline_ms, deadline_ms);
    entry->hash = (uint32_t)key->hash;
    entry->key_size = (uint16_t)key->size;
    entry->words = (uint8_t)word_count;
    entry->flags =
        (uint8_t)((value->is_object ? ENTRY_IS_OBJECT : 0) | (value->is_absent ? ENTRY_IS_ABSENT : 0) |
                  (has_lifetime ? ENTRY_HAS_LIFETIME : 0) | (unsigned)lifetime->priority << ENTRY_PRIORITY_SHIFT);
    entry->value_size = (uint32_t)value_size;
    atomic_init(&entry->refs, 0);
    entry->age_low = (uint32_t)lifetime->age_ms;
    entry->age_high = (uint8_t)(lifetime->age_ms >> 32);
    atomic_init(&entry->marks, 0);
    atomic_init(&entry->uses, 0);
    entry->queue = 0;
    entry->newer = entry->older = NULL;

    uint64_t *next = (uint64_t *)(entry + 1);
    if (has_lifetime) {
        struct entry_lifetime *kept = (struct entry_lifetime *)next;
        kept->sliding_ms = lifetime->sliding_ms;
        atomic_init(&kept->expires_ms, lifetime->expires_ms);
        next += sizeof *kept / sizeof *next;
    }
    memcpy(next, words, word_count * sizeof *words);
    memcpy(next + word_count, key->bytes, key->size);
    if (value->is_object)
        *(struct entry_object *)entry_value(entry) =
            (struct entry_object){value->data, value->destroy, value->context, value->size};
    else if (value_size != 0)
        memcpy(entry_value(entry), value->data, value_size);
    if (!value->is_object)
        value_destroy(value);
    value->data = NULL;
    return entry;
}

void entry_undo(struct entry *entry, struct value *value)
{
    if (entry->flags & ENTRY_IS_OBJECT) {
        const struct entry_object *object = entry_object(entry);
        value_set_object(value, object->object, object->destroy, object->context, object->cost);
    }
    slab_free(entry, entry_block_size(entry));
}

void entry_destroy(struct entry *entry)
{
    if (entry->flags & ENTRY_IS_OBJECT) {
        const struct entry_object *object = entry_object(entry);
        if (object->destroy != NULL)
            object->destroy(object->object, object->context);
    }
    slab_free(entry, entry_block_size(entry));
}

/* ---- The public face ---- */

const void *quash_entry_bytes(const quash_entry *held)
{
    struct entry *entry = held_entry(held);
    return entry->flags & ENTRY_IS_OBJECT ? NULL : entry_value(entry);
}

size_t quash_entry_size(const quash_entry *held)
{
    const struct entry *entry = held_entry(held);
    return entry->flags & ENTRY_IS_OBJECT ? entry_object(entry)->cost : entry->value_size;
}

void *quash_entry_object(const quash_entry *held)
{
    const struct entry *entry = held_entry(held);
    return entry->flags & ENTRY_IS_OBJECT ? entry_object(entry)->object : NULL;
}
