/*
 * index.h - the entries of one shard by key: a chained hash table that doubles when it holds as many entries as it has
 * buckets, and shrinks when it holds far fewer.
 *
 * The index does not count as a holder by itself; its shard does (shard_link, shard_unlink). The shard's lock protects
 * it. A resize that finds no memory is put off: the index then is slower, never wrong.
 */
#ifndef QUASH_SRC_INDEX_H
#define QUASH_SRC_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "entry.h"

#define INDEX_BUCKETS_MIN 8u

struct index {
    quash_entry **buckets; /* `fixed`, or malloc'ed */
    size_t bucket_count;   /* a power of two */
    size_t entries;
    quash_entry
        *fixed[INDEX_BUCKETS_MIN]; /* so that an empty index needs no memory, and the first entries none either */
};

void index_init(struct index *index);
/* The index must be empty. */
void index_fini(struct index *index);

quash_entry *index_find(const struct index *index, uint64_t hash, const void *key, size_t key_size);
/* No entry of that key may be there. */
void index_add(struct index *index, quash_entry *entry);
/* The entry must be there. */
void index_remove(struct index *index, quash_entry *entry);

#endif
