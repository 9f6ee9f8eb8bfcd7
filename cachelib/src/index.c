/*
 * index.c - the hash table of a shard. Chains go through the entries themselves, so adding one cannot fail.
 *
 * The shard is chosen by the hash's top bits, the bucket by its low ones (cache.h).
 */
#include "index.h"

#include <stdlib.h>

/* An index with fewer entries than a quarter of its buckets halves itself; far enough from doubling that no sequence
 * of adds and removes makes it do both over and over. */
#define SHRINK_BELOW 4

void index_init(struct index *index)
{
    *index = (struct index){.bucket_count = INDEX_BUCKETS_MIN};
    index->buckets = index->fixed;
}

void index_fini(struct index *index)
{
    if (index->buckets != index->fixed)
        free(index->buckets);
    index_init(index);
}

static quash_entry **bucket_of(const struct index *index, uint64_t hash)
{
    return &index->buckets[hash & (index->bucket_count - 1)];
}

static void index_resize(struct index *index, size_t bucket_count)
{
    quash_entry **old = index->buckets;
    size_t old_count = index->bucket_count;
    quash_entry **buckets;
    if (bucket_count == INDEX_BUCKETS_MIN) {
        buckets = index->fixed;
        for (size_t i = 0; i < INDEX_BUCKETS_MIN; i++)
            buckets[i] = NULL;
    } else {
        buckets = calloc(bucket_count, sizeof(quash_entry *));
        if (buckets == NULL)
            return;
    }
    index->buckets = buckets;
    index->bucket_count = bucket_count;
    for (size_t i = 0; i < old_count; i++) {
        for (quash_entry *entry = old[i], *next; entry != NULL; entry = next) {
            next = entry->chain;
            quash_entry **bucket = bucket_of(index, entry->hash);
            entry->chain = *bucket;
            *bucket = entry;
        }
    }
    if (old != index->fixed)
        free(old);
}

quash_entry *index_find(const struct index *index, uint64_t hash, const void *key, size_t key_size)
{
    for (quash_entry *entry = *bucket_of(index, hash); entry != NULL; entry = entry->chain) {
        if (entry_has_key(entry, hash, key, key_size))
            return entry;
    }
    return NULL;
}

void index_add(struct index *index, quash_entry *entry)
{
    if (index->entries >= index->bucket_count)
        index_resize(index, index->bucket_count * 2);
    quash_entry **bucket = bucket_of(index, entry->hash);
    entry->chain = *bucket;
    *bucket = entry;
    index->entries++;
}

void index_remove(struct index *index, quash_entry *entry)
{
    quash_entry **link = bucket_of(index, entry->hash);
    while (*link != entry)
        link = &(*link)->chain;
    *link = entry->chain;
    entry->chain = NULL;
    index->entries--;
    if (index->bucket_count > INDEX_BUCKETS_MIN && index->entries < index->bucket_count / SHRINK_BELOW)
        index_resize(index, index->bucket_count / 2);
}
