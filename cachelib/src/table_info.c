/*
 * table_info.c - what a table says about itself and about its worker: read by people and monitoring, written by the
 * worker. None of it has a part in whether a group has changed.
 *
 * Every word is read and written on its own, so a reader may see some of them from before an update and some from
 * after it; a worker's successor reads them when nobody writes any more.
 */
#include <stddef.h>
#include <unistd.h>

#include "clock.h"
#include "table_handle.h"

static uint64_t load(const _Atomic uint64_t *word)
{
    /* Relaxed: each word stands for itself. */
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* A watermark that says later than now, or was set under another kernel, says nothing. */
static uint64_t trusted_watermark(const struct table_map *map)
{
    uint64_t watermark_ns = load(&map->header->watermark_ns);
    return map->same_boot && watermark_ns <= clock_monotonic_ns() ? watermark_ns : 0;
}

static void count_buckets(const struct table_map *map, quash_table_info *info)
{
    for (uint64_t b = 0; b <= map->bucket_mask; b++) {
        const struct bucket *bucket = &map->buckets[b];
        for (unsigned i = 0; i < BUCKET_SLOTS; i++)
            info->slots_used += load(&bucket->slot[i]) != 0;
        info->buckets_overflowed += load(&bucket->floor) != 0;
    }
}

quash_status quash_table_get_info(quash_table *table, quash_table_info *info)
{
    if (table == NULL || info == NULL || info->struct_size < sizeof *info)
        return QUASH_INVALID;
    const struct table_map *map = table_current(table);
    if (map == NULL)
        return QUASH_DETACHED;
    const struct table_header *header = map->header;
    quash_table_info now = {
        .struct_size = info->struct_size, /* the caller's, of which a later version may have more */
        .format_version = TABLE_FORMAT_VERSION,
        .same_boot = map->same_boot,
        .retired = table_map_retired(map),
        .worker_connected = load(&header->worker_connected) != 0,
        .worker_pid = (uint32_t)load(&header->worker_pid),
        .worker_heartbeat_ns = load(&header->worker_heartbeat_ns),
        .incarnation = map->incarnation,
        .bytes = map->bytes,
        .buckets = map->bucket_mask + 1,
        .sequence = table_map_sequence(map),
        .changes = table_map_changes(map),
        .watermark_ns = trusted_watermark(map),
        .ping_interval_ms = load(&header->ping_interval_ms),
    };
    count_buckets(map, &now);
    *info = now;
    return QUASH_OK;
}

/* The header to write the worker's words to. */
static quash_status writable_header(quash_table *table, struct table_header **header)
{
    if (table->role == TABLE_FOLLOWER && !table->access.writable)
        return QUASH_READ_ONLY;
    const struct table_map *map = table_current(table);
    if (map == NULL)
        return QUASH_DETACHED;
    *header = map->header;
    return QUASH_OK;
}

quash_status quash_table_get_source(quash_table *table, quash_table_source *source)
{
    if (table == NULL || source == NULL)
        return QUASH_INVALID;
    const struct table_map *map = table_current(table);
    if (map == NULL)
        return QUASH_DETACHED;
    const struct table_header *header = map->header;
    *source = (quash_table_source){
        .sentinel = load(&header->source_sentinel),
        .stream_offset = load(&header->source_stream_offset),
        .source_hash = load(&header->source_hash),
        .rules_hash = load(&header->rules_hash),
    };
    return QUASH_OK;
}

quash_status quash_table_set_source(quash_table *table, const quash_table_source *source)
{
    if (table == NULL || source == NULL)
        return QUASH_INVALID;
    struct table_header *header;
    quash_status status = writable_header(table, &header);
    if (status != QUASH_OK)
        return status;
    /* Release: whoever takes over from here finds applied what was applied before it was said. */
    atomic_store_explicit(&header->source_sentinel, source->sentinel, memory_order_release);
    atomic_store_explicit(&header->source_stream_offset, source->stream_offset, memory_order_release);
    atomic_store_explicit(&header->source_hash, source->source_hash, memory_order_release);
    atomic_store_explicit(&header->rules_hash, source->rules_hash, memory_order_release);
    return QUASH_OK;
}

quash_status quash_table_set_worker(quash_table *table, bool connected)
{
    if (table == NULL)
        return QUASH_INVALID;
    struct table_header *header;
    quash_status status = writable_header(table, &header);
    if (status != QUASH_OK)
        return status;
    /* Relaxed: each word stands for itself. */
    atomic_store_explicit(&header->worker_pid, (uint64_t)getpid(), memory_order_relaxed);
    atomic_store_explicit(&header->worker_heartbeat_ns, clock_monotonic_ns(), memory_order_relaxed);
    atomic_store_explicit(&header->worker_connected, connected, memory_order_relaxed);
    return QUASH_OK;
}
