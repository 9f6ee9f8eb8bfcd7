/*
 * entry.h - an entry: a key, an immutable value, what it depends on, and until when it holds; in one block of memory.
 *
 *     offset 0    struct entry          64 bytes
 *            64   struct entry_lifetime only with ENTRY_HAS_LIFETIME
 *                 words                 `words` of them, one for each group
 *                 key                   key_size bytes
 *     then, at the next multiple of 16:
 *                 value                 value_size bytes; for an object, struct entry_object
 *
 * What a hit looks at comes first, and in this order, so that it is in two or three lines next to each other, which are
 * fetched at the same time (index_find).
 *
 * A *word* is the hash of a group with its middle 24 bits, which no check of the table looks at, put to another use:
 * bits 24 to 39 name the group's kind in the cache's list of kinds (kinds.h), 0 for none. So an entry depends on
 * `kind:id` and `kind:*` for eight bytes.
 *
 * Life: made by entry_new, which nobody else sees; linked into its shard's index, where lock-free readers find it;
 * taken out of the index, by exactly one thread, under the shard's lock; *retired* by that thread (reclaim.h), which is
 * when its links become the reclaimer's; and destroyed once no reader is looking at it and nobody has acquired it.
 *
 * What may change after entry_new: `validated`, `deadline_ms`, `uses` and `marks` are hints or times that any reader
 * may write, all relaxed; `refs` is counted; `queue` and `links` belong to the policy's lock (policy.h) until the entry
 * is retired. All else never changes.
 */
#ifndef QUASH_SRC_ENTRY_H
#define QUASH_SRC_ENTRY_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quash/cache.h>

#include "key.h"
#include "reclaim.h"
#include "slab.h"
#include "token.h"

struct kinds;

#define EXPIRES_NEVER UINT64_MAX

enum entry_flag {
    ENTRY_IS_OBJECT = 1,
    ENTRY_IS_ABSENT = 2, /* the answer QUASH_ABSENT; no value */
    ENTRY_HAS_LIFETIME = 4,
    ENTRY_PRIORITY_SHIFT = 4 /* two bits of quash_priority */
};

enum entry_mark {
    ENTRY_REFRESHED = 1, /* eager refresh was tried */
    ENTRY_STOOD_IN = 2 /* it has expired, stood in for a failed load, and does so until deadline_ms without a new try */
};

#define ENTRY_USES_MAX 3u /* S3-FIFO's two-bit counter */

struct entry {
    union {
        struct {
            struct entry *newer;
            struct entry *older;
        };
        struct retired retired;
    };
    uint32_t hash;         /* of the key, low half: shard and place in the index */
    _Atomic uint32_t refs; /* holders that are not in a reader's list of holds (reclaim.h) */

    /* What a hit looks at; next to the key. */
    uint32_t age_low; /* when its load began, in milliseconds since the cache was made: 40 bits */
    uint8_t age_high;
    uint8_t queue;                /* enum policy_queue: where the policy has it */
    _Atomic uint8_t marks;        /* enum entry_mark */
    _Atomic uint8_t uses;         /* since it was added or last passed over, up to ENTRY_USES_MAX */
    _Atomic uint64_t deadline_ms; /* first instant at which it is no longer live; EXPIRES_NEVER */
    /* The table's count of changes at which the entry was last found good: while that stands, a check is one load. */
    _Atomic uint64_t validated;
    uint64_t stamp; /* low 48 bits; the top 16 are the serial of the table's mapping (table.h) */
    uint32_t value_size;
    uint16_t key_size;
    uint8_t words;
    uint8_t flags; /* enum entry_flag */
};

static_assert(sizeof(struct entry) == 64, "one cache line's worth, and the value after it is aligned for any type");

struct entry_object {
    void *object;
    quash_destroy_fn *destroy; /* may be NULL */
    void *context;
    size_t cost;
};

struct entry_lifetime {
    uint64_t sliding_ms; /* QUASH_SLIDING_NONE */
    /* The absolute expiry, EXPIRES_NEVER; deadline_ms is at most this. Once the entry is ENTRY_STOOD_IN: when it
     * expired; written once, under the shard's lock. */
    _Atomic uint64_t expires_ms;
};

/* ---- Values before they are in an entry */

/* What a fill or a put was given. */
struct value {
    void *data;  /* malloc'ed bytes, or the object; NULL: none was set */
    size_t size; /* of the bytes; of an object the stated cost */
    bool is_object;
    bool is_absent;            /* then data is NULL */
    bool borrowed;             /* bytes are the caller's, not to be freed */
    quash_destroy_fn *destroy; /* of an object; may be NULL */
    void *context;
};

/* Copies bytes into a value that holds none. QUASH_NO_MEMORY, QUASH_INVALID, QUASH_TOO_LARGE. */
quash_status value_set_bytes(struct value *value, const void *bytes, size_t size);
/* Refers to bytes that stay the caller's. QUASH_INVALID, QUASH_TOO_LARGE. */
quash_status value_borrow_bytes(struct value *value, const void *bytes, size_t size);
/* Takes over an object. QUASH_INVALID. */
quash_status value_set_object(struct value *value, void *object, quash_destroy_fn *destroy, void *context, size_t cost);
/* Ends a value; one without data is fine. Calls the destructor: no lock may be held. */
void value_destroy(struct value *value);

/* ---- Entries */

/* How an entry is to be kept, with all defaults filled in. */
struct lifetime {
    uint64_t age_ms;     /* when its load began, since the cache was made */
    uint64_t expires_ms; /* EXPIRES_NEVER */
    uint64_t sliding_ms; /* QUASH_SLIDING_NONE */
    uint64_t now_ms;     /* sliding counts from here */
    quash_priority priority;
    bool keep; /* store the absolute expiry: fail-safe needs it */
};

/* When an entry that is used now goes: at the end of its sliding window, and never later than it expires. */
static inline uint64_t sliding_deadline_ms(uint64_t expires_ms, uint64_t sliding_ms, uint64_t now_ms)
{
    return sliding_ms < expires_ms && now_ms < expires_ms - sliding_ms ? now_ms + sliding_ms : expires_ms;
}

/* Makes an entry and moves *value into it. NULL without memory; then *value is as before. */
struct entry *entry_new(struct slab_arena *arena, struct kinds *kinds, const struct key *key, const struct token *token,
                        struct value *value, const struct lifetime *lifetime);

/* Frees an entry that nobody else has seen, and moves an object back. */
void entry_undo(struct entry *entry, struct value *value);

/* Ends an entry that nobody can reach any more: destroys an object, frees the memory. No lock may be held. */
void entry_destroy(struct entry *entry);

/* Bytes of the block; and what the entry counts against max_bytes: its block as allocated, its share of the index and
 * of the memory of evicted keys, and an object's stated cost. */
size_t entry_block_size(const struct entry *entry);
size_t entry_charge(const struct entry *entry);

static inline struct entry_lifetime *entry_lifetime(const struct entry *entry)
{
    /* Cast away: what is in an entry is const only to those who have the entry so. */
    return entry->flags & ENTRY_HAS_LIFETIME ? (struct entry_lifetime *)(uintptr_t)(entry + 1) : NULL;
}

static inline const uint64_t *entry_words(const struct entry *entry)
{
    return (const uint64_t *)(entry + 1) +
           (entry->flags & ENTRY_HAS_LIFETIME ? sizeof(struct entry_lifetime) / sizeof(uint64_t) : 0);
}

static inline const void *entry_key(const struct entry *entry)
{
    return entry_words(entry) + entry->words;
}

static inline size_t entry_value_offset(bool has_lifetime, size_t words, size_t key_size)
{
    size_t end =
        sizeof(struct entry) + (has_lifetime ? sizeof(struct entry_lifetime) : 0) + words * sizeof(uint64_t) + key_size;
    return (end + 15) & ~(size_t)15;
}

static inline void *entry_value(const struct entry *entry)
{
    return (char *)(uintptr_t)entry +
           entry_value_offset(entry->flags & ENTRY_HAS_LIFETIME, entry->words, entry->key_size);
}

static inline bool entry_has_key(const struct entry *entry, const struct key *key)
{
    return entry->key_size == key->size && key_bytes_equal(entry_key(entry), key->bytes, key->size);
}

static inline quash_priority entry_priority(const struct entry *entry)
{
    return (quash_priority)(entry->flags >> ENTRY_PRIORITY_SHIFT & 3);
}

static inline uint64_t entry_age_ms(const struct entry *entry)
{
    return (uint64_t)entry->age_high << 32 | entry->age_low;
}

#endif
