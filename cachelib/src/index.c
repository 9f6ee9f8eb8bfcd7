/*
 * index.c - the index of a shard, as its writers see it.
 *
 * That a search may end at a bucket whose last slot is empty rests on one rule: once the last slot has been used, it is
 * never empty again in this table. What leaves such a bucket leaves a tombstone, which a later entry takes over. Only
 * in a table of a single bucket, where every search ends, are there no tombstones.
 *
 * Slots that are in use, tombstones included, are at most INDEX_FULL_PERCENT of all. Above that a table is made for
 * the entries there are, with INDEX_FRESH_PERCENT of its slots in use: larger if they have become more, of the same
 * size or smaller if most of what filled it was tombstones. So an entry costs 9.4 to 12.3 bytes, and filling a
 * cache copies each about four times. The bounds were chosen by measuring (docs/cache.md).
 *
 * Ownership: the index has its table until index_reserve or index_shrink hands it out as replaced.
 */
#include "index.h"

#include <assert.h>
#include <stdlib.h>

#define INDEX_FULL_PERCENT   85u
#define INDEX_FRESH_PERCENT  65u
#define INDEX_SPARSE_PERCENT 30u

/* The home bucket has 26 bits of the hash to be chosen by. */
#define INDEX_BUCKETS_MAX (UINT32_C(1) << (32 - INDEX_SHARD_BITS))

static_assert(offsetof(struct index_table, retired) == 0, "the reclaimer frees what begins with it");
static_assert(sizeof(struct index_bucket) == 64, "a cache line");
static_assert(SLAB_ADDRESS_BITS <= INDEX_ADDRESS_BITS, "an entry's address leaves room for the tag");
static_assert(SLAB_GRAIN > INDEX_TOMBSTONE, "no entry's address looks like a tombstone");

/* ---- Tables */

/* Entries and tombstones that a table holds before another is made. A single bucket is searched in any case. */
static size_t table_limit(uint32_t bucket_count)
{
    size_t slots = (size_t)bucket_count * INDEX_BUCKET_SLOTS;
    return bucket_count == 1 ? slots : slots * INDEX_FULL_PERCENT / 100;
}

static size_t table_slots(const struct index_table *table)
{
    return (size_t)table->bucket_count * INDEX_BUCKET_SLOTS;
}

/* By how many bits a number of buckets is shifted in a span. */
static unsigned span_shift(size_t buckets)
{
    unsigned shift = 0;
    while (buckets >> shift > UINT16_MAX)
        shift++;
    return shift;
}

static uint64_t table_span(const struct index_table *table)
{
    unsigned shift = span_shift(table->bucket_count);
    return (uint64_t)(table->bucket_count >> shift) << INDEX_ADDRESS_BITS | (uint64_t)(uintptr_t)table->buckets | shift;
}

/* An empty table for so many entries, one more included. NULL without memory. */
static struct index_table *table_new(size_t entries)
{
    if (entries > table_limit(INDEX_BUCKETS_MAX))
        return NULL;
    size_t slots = entries * 100 / INDEX_FRESH_PERCENT;
    size_t buckets = (slots + INDEX_BUCKET_SLOTS - 1) / INDEX_BUCKET_SLOTS;
    if (entries <= INDEX_BUCKET_SLOTS)
        buckets = 1;
    if (buckets > INDEX_BUCKETS_MAX)
        buckets = INDEX_BUCKETS_MAX;
    /* Down, if not at the end, to a number that a span can say: that leaves it a little fuller. */
    buckets = buckets >> span_shift(buckets) << span_shift(buckets);
    const size_t align = sizeof(struct index_bucket);
    struct index_table *table = malloc(sizeof *table + align - 1 + buckets * align);
    if (table == NULL)
        return NULL;
    table->bucket_count = (uint32_t)buckets;
    table->buckets = (struct index_bucket *)(((uintptr_t)(table + 1) + align - 1) & ~(uintptr_t)(align - 1));
    for (size_t b = 0; b < buckets; b++) {
        for (unsigned s = 0; s < INDEX_BUCKET_SLOTS; s++)
            atomic_init(&table->buckets[b].slot[s], INDEX_EMPTY);
    }
    return table;
}

/* Writers are alone, so their own reads of the slots need no order. */
static uint64_t slot_read(const _Atomic uint64_t *slot)
{
    return atomic_load_explicit(slot, memory_order_relaxed);
}

/* Whether entries may have gone past. */
static bool bucket_passed(const struct index_bucket *bucket)
{
    return slot_read(&bucket->slot[INDEX_BUCKET_SLOTS - 1]) != INDEX_EMPTY;
}

static uint32_t bucket_after(const struct index_table *table, uint32_t at)
{
    return at + 1 == table->bucket_count ? 0 : at + 1;
}

/* The first slot in a search from the home bucket on that has no entry. There must be one. */
static _Atomic uint64_t *table_room(struct index_table *table, uint32_t hash)
{
    for (uint32_t at = index_home(hash, table->bucket_count);; at = bucket_after(table, at)) {
        for (unsigned s = 0; s < INDEX_BUCKET_SLOTS; s++) {
            _Atomic uint64_t *slot = &table->buckets[at].slot[s];
            if (slot_read(slot) <= INDEX_TOMBSTONE)
                return slot;
        }
    }
}

/* The slot of this entry and its bucket, or NULL. */
static _Atomic uint64_t *table_slot(struct index_table *table, const struct entry *entry, struct index_bucket **bucket)
{
    uint32_t at = index_home(entry->hash, table->bucket_count);
    for (uint32_t i = 0; i < table->bucket_count; i++, at = bucket_after(table, at)) {
        *bucket = &table->buckets[at];
        for (unsigned s = 0; s < INDEX_BUCKET_SLOTS; s++) {
            if (index_slot_entry(slot_read(&(*bucket)->slot[s])) == entry)
                return &(*bucket)->slot[s];
        }
        if (!bucket_passed(*bucket))
            return NULL;
    }
    return NULL;
}

static void bucket_prefetch_entries(const struct index_bucket *bucket)
{
    for (unsigned s = 0; s < INDEX_BUCKET_SLOTS; s++)
        __builtin_prefetch(index_slot_entry(slot_read(&bucket->slot[s])));
}

/* Copies all entries. Their hashes are in the entries, which are fetched one bucket ahead. */
static void table_copy(struct index_table *to, const struct index_table *from)
{
    for (uint32_t b = 0; b < from->bucket_count; b++) {
        if (b + 1 < from->bucket_count)
            bucket_prefetch_entries(&from->buckets[b + 1]);
        for (unsigned s = 0; s < INDEX_BUCKET_SLOTS; s++) {
            uint64_t word = slot_read(&from->buckets[b].slot[s]);
            if (word > INDEX_TOMBSTONE)
                atomic_store_explicit(table_room(to, index_slot_entry(word)->hash), word, memory_order_relaxed);
        }
    }
}

/* ---- The index */

static struct index_table *index_table(const struct index *index)
{
    return atomic_load_explicit(&index->table, memory_order_relaxed);
}

void index_init(struct index *index)
{
    atomic_init(&index->span, 0);
    atomic_init(&index->table, NULL);
    index->entries = 0;
    index->tombstones = 0;
    index->rebuilds = 0;
}

void index_fini(struct index *index)
{
    free(index_table(index));
    index_init(index);
}

/* Replaces the table by one with room for `entries`. False without memory. */
static bool index_rebuild(struct index *index, size_t entries, struct index_table **old)
{
    struct index_table *table = table_new(entries);
    if (table == NULL)
        return false;
    *old = index_table(index);
    if (*old != NULL)
        table_copy(table, *old);
    index->tombstones = 0;
    index->rebuilds++;
    /* Relaxed: for those who have the lock. */
    atomic_store_explicit(&index->table, table, memory_order_relaxed);
    /* Release pairs with the acquire of index_find: the slots come with the table. */
    atomic_store_explicit(&index->span, table_span(table), memory_order_release);
    return true;
}

bool index_reserve(struct index *index, struct index_table **old)
{
    *old = NULL;
    const struct index_table *table = index_table(index);
    if (table != NULL && index->entries + index->tombstones < table_limit(table->bucket_count))
        return true;
    return index_rebuild(index, index->entries + 1, old);
}

void index_shrink(struct index *index, struct index_table **old)
{
    *old = NULL;
    const struct index_table *table = index_table(index);
    if (table == NULL || table->bucket_count == 1 || index->entries * 100 >= table_slots(table) * INDEX_SPARSE_PERCENT)
        return;
    /* Without memory it stays as it is. */
    (void)index_rebuild(index, index->entries, old);
}

static uint64_t slot_word(const struct entry *entry, uint64_t hash)
{
    return index_tag(hash) << INDEX_ADDRESS_BITS | (uint64_t)(uintptr_t)entry;
}

void index_add(struct index *index, struct entry *entry, uint64_t hash)
{
    _Atomic uint64_t *slot = table_room(index_table(index), (uint32_t)hash);
    if (slot_read(slot) == INDEX_TOMBSTONE)
        index->tombstones--;
    index->entries++;
    /* Release pairs with the acquire of index_find: the entry's contents come with it. */
    atomic_store_explicit(slot, slot_word(entry, hash), memory_order_release);
}

void index_replace(struct index *index, struct entry *old, struct entry *entry, uint64_t hash)
{
    struct index_bucket *bucket;
    _Atomic uint64_t *slot = table_slot(index_table(index), old, &bucket);
    /* Release: as in index_add. */
    atomic_store_explicit(slot, slot_word(entry, hash), memory_order_release);
}

bool index_remove(struct index *index, const struct entry *entry)
{
    struct index_table *table = index_table(index);
    struct index_bucket *bucket;
    _Atomic uint64_t *slot = table == NULL ? NULL : table_slot(table, entry, &bucket);
    if (slot == NULL)
        return false;
    bool passed = table->bucket_count > 1 && bucket_passed(bucket);
    if (passed)
        index->tombstones++;
    index->entries--;
    /* Relaxed: a reader needs nothing that came before to believe that the entry is gone. */
    atomic_store_explicit(slot, passed ? INDEX_TOMBSTONE : INDEX_EMPTY, memory_order_relaxed);
    return true;
}

/* ---- Walks */

size_t index_slots(const struct index *index)
{
    const struct index_table *table = index_table(index);
    return table == NULL ? 0 : table_slots(table);
}

struct entry *index_at(const struct index *index, size_t slot)
{
    const struct index_table *table = index_table(index);
    uint64_t word = slot_read(&table->buckets[slot / INDEX_BUCKET_SLOTS].slot[slot % INDEX_BUCKET_SLOTS]);
    return word > INDEX_TOMBSTONE ? index_slot_entry(word) : NULL;
}
