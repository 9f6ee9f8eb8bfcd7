/*
 * baseline.c - see baseline.h.
 *
 * Lock: the one mutex guards the table, the list and `bytes`. What leaves the cache is unlinked under it, chained by
 * `next_left`, and let go of after it.
 */
#include "baseline.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <glib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct baseline_key {
    const void *bytes;
    size_t size;
};

struct link {
    struct link *newer, *older;
};

struct baseline_entry {
    struct baseline_key key; /* first: the table's key is the entry */
    struct link link;
    struct baseline_entry *next_left; /* among those that have left and are to be let go of */
    uint64_t expires_ms;
    size_t value_size;
    _Atomic uint32_t references; /* the cache's own is one */
    unsigned char bytes[];       /* the key, then the value */
};

struct baseline {
    pthread_mutex_t mutex;
    GHashTable *table;
    struct link list; /* a ring: its `older` is the newest entry, its `newer` the oldest */
    size_t bytes, max_bytes;
    uint64_t ttl_ms;
};

static guint key_hash(gconstpointer key)
{
    const struct baseline_key *hashed = key;
    return (guint)XXH3_64bits(hashed->bytes, hashed->size);
}

static gboolean key_equal(gconstpointer a, gconstpointer b)
{
    const struct baseline_key *x = a, *y = b;
    return x->size == y->size && memcmp(x->bytes, y->bytes, x->size) == 0;
}

static uint64_t coarse_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct baseline *baseline_new(size_t max_bytes, uint64_t ttl_ms)
{
    struct baseline *baseline = calloc(1, sizeof *baseline);
    if (baseline == NULL)
        return NULL;
    pthread_mutex_init(&baseline->mutex, NULL);
    baseline->list = (struct link){&baseline->list, &baseline->list};
    baseline->table = g_hash_table_new(key_hash, key_equal);
    baseline->max_bytes = max_bytes;
    baseline->ttl_ms = ttl_ms;
    return baseline;
}

/* ---- The list, under the mutex */

static struct baseline_entry *entry_of(struct link *link)
{
    return (struct baseline_entry *)((char *)link - offsetof(struct baseline_entry, link));
}

static void list_add(struct baseline *baseline, struct link *link)
{
    link->newer = &baseline->list;
    link->older = baseline->list.older;
    link->older->newer = link;
    baseline->list.older = link;
}

static void list_remove(struct link *link)
{
    link->newer->older = link->older;
    link->older->newer = link->newer;
}

/* Out of the list, onto the chain of those that left. */
static void unlist(struct baseline *baseline, struct baseline_entry *entry, struct baseline_entry **left)
{
    list_remove(&entry->link);
    baseline->bytes -= baseline_charge(entry->key.size, entry->value_size);
    entry->next_left = *left;
    *left = entry;
}

static void take_out(struct baseline *baseline, struct baseline_entry *entry, struct baseline_entry **left)
{
    g_hash_table_remove(baseline->table, entry);
    unlist(baseline, entry, left);
}

/* The live entry, now the newest; or NULL. */
static struct baseline_entry *find(struct baseline *baseline, const void *key, size_t key_size, uint64_t now_ms,
                                   struct baseline_entry **left)
{
    struct baseline_key wanted = {key, key_size};
    struct baseline_entry *entry = g_hash_table_lookup(baseline->table, &wanted);
    if (entry == NULL)
        return NULL;
    if (now_ms >= entry->expires_ms) {
        take_out(baseline, entry, left);
        return NULL;
    }
    if (baseline->list.older != &entry->link) {
        list_remove(&entry->link);
        list_add(baseline, &entry->link);
    }
    return entry;
}

static void let_go(struct baseline_entry *left)
{
    for (struct baseline_entry *next; left != NULL; left = next) {
        next = left->next_left;
        baseline_release(left);
    }
}

/* ---- The interface */

void baseline_free(struct baseline *baseline)
{
    if (baseline == NULL)
        return;
    g_hash_table_destroy(baseline->table);
    for (struct link *link = baseline->list.older, *older; link != &baseline->list; link = older) {
        older = link->older;
        baseline_release(entry_of(link));
    }
    pthread_mutex_destroy(&baseline->mutex);
    free(baseline);
}

bool baseline_copy(struct baseline *baseline, const void *key, size_t key_size, void *value, size_t room,
                   size_t *value_size)
{
    struct baseline_entry *left = NULL;
    uint64_t now_ms = coarse_ms();
    pthread_mutex_lock(&baseline->mutex);
    struct baseline_entry *entry = find(baseline, key, key_size, now_ms, &left);
    bool found = entry != NULL;
    if (found) {
        *value_size = entry->value_size;
        memcpy(value, entry->bytes + entry->key.size, entry->value_size < room ? entry->value_size : room);
    }
    pthread_mutex_unlock(&baseline->mutex);
    let_go(left);
    return found;
}

struct baseline_entry *baseline_get(struct baseline *baseline, const void *key, size_t key_size)
{
    struct baseline_entry *left = NULL;
    uint64_t now_ms = coarse_ms();
    pthread_mutex_lock(&baseline->mutex);
    struct baseline_entry *entry = find(baseline, key, key_size, now_ms, &left);
    if (entry != NULL)
        atomic_fetch_add_explicit(&entry->references, 1, memory_order_relaxed);
    pthread_mutex_unlock(&baseline->mutex);
    let_go(left);
    return entry;
}

const void *baseline_value(const struct baseline_entry *entry, size_t *value_size)
{
    *value_size = entry->value_size;
    return entry->bytes + entry->key.size;
}

void baseline_release(struct baseline_entry *entry)
{
    /* Release, and acquire by the last: all reads come before the memory is freed. */
    if (atomic_fetch_sub_explicit(&entry->references, 1, memory_order_acq_rel) == 1)
        free(entry);
}

bool baseline_put(struct baseline *baseline, const void *key, size_t key_size, const void *value, size_t value_size)
{
    size_t charge = baseline_charge(key_size, value_size);
    struct baseline_entry *entry = charge > baseline->max_bytes ? NULL : malloc(sizeof *entry + key_size + value_size);
    if (entry == NULL)
        return false;
    memcpy(entry->bytes, key, key_size);
    memcpy(entry->bytes + key_size, value, value_size);
    entry->key = (struct baseline_key){entry->bytes, key_size};
    entry->expires_ms = coarse_ms() + baseline->ttl_ms;
    entry->value_size = value_size;
    atomic_init(&entry->references, 1);

    struct baseline_entry *left = NULL;
    pthread_mutex_lock(&baseline->mutex);
    struct baseline_entry *old = g_hash_table_lookup(baseline->table, entry);
    if (old != NULL)
        unlist(baseline, old, &left); /* g_hash_table_add puts the new one into its place */
    g_hash_table_add(baseline->table, entry);
    for (struct link *link = baseline->list.newer, *newer;
         baseline->bytes > baseline->max_bytes - charge && link != &baseline->list; link = newer) {
        newer = link->newer;
        take_out(baseline, entry_of(link), &left);
    }
    list_add(baseline, &entry->link);
    baseline->bytes += charge;
    pthread_mutex_unlock(&baseline->mutex);
    let_go(left);
    return true;
}

size_t baseline_charge(size_t key_size, size_t value_size)
{
    /* The block with malloc's header and rounding, and its share of the table: a hash and a pointer, half full. */
    size_t block = (sizeof(struct baseline_entry) + key_size + value_size + 8 + 15) & ~(size_t)15;
    return block + 2 * (sizeof(guint) + sizeof(gpointer));
}
