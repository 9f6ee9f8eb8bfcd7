/*
 * entry.h - an entry: a key, an immutable value, the token that says whether it still holds, and when it expires.
 *
 * Ownership: counted. The cache holds an entry while it is in its shard's index; each acquired entry is one more
 * holder. The last one to let go destroys the value and frees the entry, on its own thread and with no lock held. An
 * entry that has left the index never refers to the cache again, so it may outlive it.
 *
 * Which lock protects what: `chain`, `newer`, `older` and `used` belong to the shard whose index the entry is in, and
 * are touched under that shard's lock only; once the entry has left the index, `chain` belongs to whoever took it
 * out (struct entry_list). `holders` and `token.validated` are atomic. Everything else never changes.
 */
#ifndef QUASH_SRC_ENTRY_H
#define QUASH_SRC_ENTRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quash/cache.h>

#include "token.h"

/* A value before and inside an entry: bytes that the library copied, or an object of the caller's. */
struct value {
    void *data;  /* malloc'ed bytes, or the object; NULL: none was set */
    size_t size; /* of the bytes; of an object the stated cost */
    bool is_object;
    quash_destroy_fn *destroy; /* of an object; may be NULL */
    void *context;
};

/* Copies bytes into a value that holds none. QUASH_NO_MEMORY, QUASH_INVALID. */
quash_status value_set_bytes(struct value *value, const void *bytes, size_t size);
/* Takes over an object. QUASH_INVALID. */
quash_status value_set_object(struct value *value, void *object, quash_destroy_fn *destroy, void *context, size_t cost);
/* Ends a value; one without data is fine. Calls the destructor: no lock may be held. */
void value_destroy(struct value *value);

#define EXPIRES_NEVER UINT64_MAX

struct quash_entry {
    _Atomic size_t holders;
    uint64_t hash;             /* of the key, with the cache's seed */
    struct quash_entry *chain; /* next in the index's bucket, or in a list of entries that have left it */
    struct quash_entry *newer; /* used more recently than this one */
    struct quash_entry *older;
    uint64_t used;       /* when it was last used, in the cache's count of uses */
    uint64_t began_ms;   /* when its load began */
    uint64_t expires_ms; /* EXPIRES_NEVER, or the first instant at which it is no longer served */
    size_t charge;       /* what it counts against max_bytes */
    struct value value;
    size_t key_size;
    struct token_head token;
    uint64_t hashes[]; /* token.hash_count of them, then the key's bytes */
};

/* Makes an entry with one holder, the caller, and moves *value into it. NULL without memory; then *value is as
 * before. `ttl_ms` may be QUASH_TTL_FOREVER, but not QUASH_TTL_DEFAULT. */
quash_entry *entry_new(uint64_t hash, const void *key, size_t key_size, const struct token *token, struct value *value,
                       uint64_t began_ms, uint64_t ttl_ms);

/* Frees an entry that nobody else has seen, and moves its value back. */
void entry_undo(quash_entry *entry, struct value *value);

bool entry_has_key(const quash_entry *entry, uint64_t hash, const void *key, size_t key_size);

enum entry_state {
    ENTRY_LIVE,
    ENTRY_EXPIRED,    /* past its ttl; otherwise good */
    ENTRY_CANCELLED,  /* one of its groups was cancelled, or its table ended */
    ENTRY_COLLATERAL, /* it may have been cancelled: the table has forgotten */
    ENTRY_DETACHED    /* stamped while detached, and a table is attached now, or detached_ttl_ms is over */
};

/* Whether the entry may be served at `now_ms`, with the mapping that was current at some moment after the lookup
 * began. */
enum entry_state entry_state(quash_entry *entry, const struct table_map *map, uint64_t now_ms,
                             uint64_t detached_ttl_ms);

/* Entries that have left their index, to be released once no lock is held. */
struct entry_list {
    quash_entry *first;
};

void entry_list_add(struct entry_list *list, quash_entry *entry);
void entry_list_release(struct entry_list *list);

#endif
