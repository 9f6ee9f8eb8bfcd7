/* See reclaim_support.h. */
#include "reclaim_support.h"

struct slab_arena *arena;

int reclaim_set_up(void **state)
{
    (void)state;
    arena = slab_arena_new();
    reclaim_now();
    return arena == NULL;
}

int reclaim_tear_down(void **state)
{
    (void)state;
    reclaim_now();
    bool clean = slab_arena_dead_bytes(arena) == 0;
    slab_arena_release(arena);
    return !clean;
}

static struct entry *entry_of_value(struct value *value)
{
    static const struct token token;
    static const struct key key = {"some key", 8, 0};
    static const struct lifetime lifetime = {.expires_ms = EXPIRES_NEVER, .sliding_ms = QUASH_SLIDING_NONE};
    struct entry *entry = entry_new(arena, NULL, &key, &token, value, &lifetime);
    if (entry == NULL)
        support_fail("no memory for an entry");
    return entry;
}

struct entry *entry_of_object(void *object, quash_destroy_fn *destroy)
{
    struct value value;
    if (value_set_object(&value, object, destroy, NULL, 0) != QUASH_OK)
        support_fail("an object was refused");
    return entry_of_value(&value);
}

struct entry *entry_of_counted(struct counted *object)
{
    return entry_of_object(object, counted_destroy);
}

static struct entry *entry_of_bytes(size_t size)
{
    static const char bytes[2 * RECLAIM_BATCH_BYTES];
    struct value value = {.data = NULL};
    if (size > sizeof bytes || value_borrow_bytes(&value, bytes, size) != QUASH_OK)
        support_fail("a value was refused");
    return entry_of_value(&value);
}

struct entry *entry_of_size(size_t block_size)
{
    struct entry *probe = entry_of_bytes(8);
    size_t overhead = entry_block_size(probe) - 8;
    entry_destroy(probe);
    struct entry *entry = entry_of_bytes(block_size - overhead);
    if (entry_block_size(entry) != block_size)
        support_fail("no entry has this size");
    return entry;
}

quash_entry *find(place *at)
{
    struct reader *reader = reader_self();
    reader_enter(reader);
    struct entry *entry = atomic_load_explicit(at, memory_order_acquire);
    quash_entry *held = entry == NULL ? NULL : reader_hold(reader, entry);
    reader_leave(reader);
    return held;
}

void replace(place *at, struct entry *entry, bool at_once)
{
    struct entry *old = atomic_exchange_explicit(at, entry, memory_order_acq_rel);
    if (old != NULL)
        reclaim_retire_entry(old, at_once);
}

void take_out(place *at)
{
    replace(at, NULL, true);
}

bool is_in_a_hold(const quash_entry *held)
{
    return !((uintptr_t)held & 1);
}

void *release(void *held)
{
    quash_entry_release(held);
    return NULL;
}

void *read_slowly(void *slow_reader)
{
    struct slow_reader *slow = slow_reader;
    struct reader *reader = reader_self();
    reader_enter(reader);
    struct entry *entry = atomic_load_explicit(slow->at, memory_order_acquire);
    gate_open(&slow->is_in);
    gate_pass(&slow->may_go);
    quash_entry *held = slow->hold ? reader_hold(reader, entry) : NULL;
    reader_leave(reader);
    gate_open(&slow->is_out);
    gate_pass(&slow->may_release);
    quash_entry_release(held);
    return NULL;
}
