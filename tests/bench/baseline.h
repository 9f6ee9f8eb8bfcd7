/*
 * baseline.h - the cache that a C programmer writes by hand in an afternoon, to measure libquash against.
 *
 * GLib's hash table, an LRU list through the entries, one mutex around both. Keys and values are any bytes, counted
 * against a budget; entries expire by the same coarse monotonic clock that libquash reads. There are no groups, no
 * loads, no statistics: it does less, and is to lose in spite of that.
 *
 * What was done for its speed, each measured to be the faster way (docs/performance.md):
 *  - XXH3 for the hash, where g_str_hash goes byte by byte;
 *  - the table is a set of entries, so that a lookup does not read a second array for the value;
 *  - one block of memory an entry: links, key, value; a hit allocates nothing;
 *  - memory is allocated, filled and freed outside the lock, and the clock is read outside of it;
 *  - an entry that is the newest already is not moved;
 *  - small values are copied out under the lock, since that is cheaper than counting a reference twice; larger ones are
 *    handed out by reference.
 *
 * Threads: every function from any thread, except baseline_free.
 */
#ifndef QUASH_BENCH_BASELINE_H
#define QUASH_BENCH_BASELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BASELINE_COPY_MAX 128u /* values up to this size are faster copied; measured */

struct baseline;
struct baseline_entry;

/* NULL without memory. */
struct baseline *baseline_new(size_t max_bytes, uint64_t ttl_ms);
void baseline_free(struct baseline *baseline);

/* Copies up to `room` bytes of the value into `value`. False: absent or expired. */
bool baseline_copy(struct baseline *baseline, const void *key, size_t key_size, void *value, size_t room,
                   size_t *value_size);

/* The entry, with a reference for the caller; or NULL. */
struct baseline_entry *baseline_get(struct baseline *baseline, const void *key, size_t key_size);
const void *baseline_value(const struct baseline_entry *entry, size_t *value_size);
void baseline_release(struct baseline_entry *entry);

/* Adds or replaces. False without memory, or when the entry is larger than the budget. */
bool baseline_put(struct baseline *baseline, const void *key, size_t key_size, const void *value, size_t value_size);

/* What an entry counts against the budget. */
size_t baseline_charge(size_t key_size, size_t value_size);

#endif
