/*
 * layout.h - the bytes of a cancellation table, version 1. docs/table-format.md is the specification; the
 * static_asserts below hold this file to it.
 *
 *     0x0000  identity          written once, before the file has its name; `retired` alone changes later
 *     0x0080  boot id           written once
 *     0x0100  sequence          last stamp handed out: every writer's fetch-add
 *     0x0180  changes           cancellations completed: every reader's one load; its low half is the futex
 *     0x0200  freshness         watermark and ping interval
 *     0x0280  worker            pid, heartbeat, connected
 *     0x0300  source            where the worker stands
 *     0x1000  buckets           64 bytes each: 7 slots and a floor
 *
 * All little-endian; every field that changes is an aligned 64-bit word and is accessed atomically. Fields that are
 * written by different processes or at different rates stand 128 bytes apart, since processors fetch lines in pairs.
 */
#ifndef QUASH_SRC_LAYOUT_H
#define QUASH_SRC_LAYOUT_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_MAGIC          "QUASHTBL"
#define TABLE_MAGIC_SIZE     8u
#define TABLE_FORMAT_VERSION 1u
#define TABLE_HEADER_SIZE    4096u

#define BUCKET_SLOTS 7u

/* A slot: tag in the top 16 bits, stamp in the low 48. The word 0 is an empty slot, since stamps start at 1. */
#define SLOT_STAMP_BITS 48
#define SLOT_STAMP_MAX  ((UINT64_C(1) << SLOT_STAMP_BITS) - 1)

struct bucket {
    _Atomic uint64_t slot[BUCKET_SLOTS];
    _Atomic uint64_t floor; /* no group that was pushed out of this bucket had a later stamp */
};

struct table_header {
    /* 0x000 */
    unsigned char magic[TABLE_MAGIC_SIZE];
    uint32_t format_version;
    uint32_t header_size;
    uint64_t bucket_count; /* a power of two */
    uint64_t hash_seed;
    uint64_t incarnation; /* random, not 0 */
    uint64_t created_ns;  /* CLOCK_REALTIME, for people */
    _Atomic uint64_t retired;
    unsigned char pad_identity[0x80 - 0x38];
    /* 0x080 */
    unsigned char boot_id[16]; /* the UUID's bytes, in the order they are written */
    unsigned char pad_boot[0x80 - 0x10];
    /* 0x100 */
    _Atomic uint64_t sequence;
    unsigned char pad_sequence[0x80 - 0x08];
    /* 0x180 */
    _Atomic uint64_t changes;
    unsigned char pad_changes[0x80 - 0x08];
    /* 0x200 */
    _Atomic uint64_t watermark_ns;
    _Atomic uint64_t ping_interval_ms;
    unsigned char pad_freshness[0x80 - 0x10];
    /* 0x280 */
    _Atomic uint64_t worker_pid;
    _Atomic uint64_t worker_heartbeat_ns;
    _Atomic uint64_t worker_connected;
    unsigned char pad_worker[0x80 - 0x18];
    /* 0x300 */
    _Atomic uint64_t source_sentinel;
    _Atomic uint64_t source_stream_offset;
    _Atomic uint64_t source_hash;
    _Atomic uint64_t rules_hash;
    unsigned char pad_source[TABLE_HEADER_SIZE - 0x320];
};

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is little-endian and read in place");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && sizeof(_Atomic uint64_t) == 8, "64-bit atomics must be lock-free");
static_assert(sizeof(struct bucket) == 64, "a bucket is one cache line");
static_assert(offsetof(struct bucket, floor) == 56, "the floor comes after the slots");
static_assert(offsetof(struct table_header, format_version) == 0x08, "format version");
static_assert(offsetof(struct table_header, header_size) == 0x0c, "header size");
static_assert(offsetof(struct table_header, bucket_count) == 0x10, "bucket count");
static_assert(offsetof(struct table_header, hash_seed) == 0x18, "hash seed");
static_assert(offsetof(struct table_header, incarnation) == 0x20, "incarnation");
static_assert(offsetof(struct table_header, created_ns) == 0x28, "creation time");
static_assert(offsetof(struct table_header, retired) == 0x30, "retired");
static_assert(offsetof(struct table_header, boot_id) == 0x80, "boot id");
static_assert(offsetof(struct table_header, sequence) == 0x100, "sequence");
static_assert(offsetof(struct table_header, changes) == 0x180, "changes");
static_assert(offsetof(struct table_header, watermark_ns) == 0x200, "watermark");
static_assert(offsetof(struct table_header, ping_interval_ms) == 0x208, "ping interval");
static_assert(offsetof(struct table_header, worker_pid) == 0x280, "worker pid");
static_assert(offsetof(struct table_header, worker_heartbeat_ns) == 0x288, "worker heartbeat");
static_assert(offsetof(struct table_header, worker_connected) == 0x290, "worker connected");
static_assert(offsetof(struct table_header, source_sentinel) == 0x300, "sentinel");
static_assert(offsetof(struct table_header, source_stream_offset) == 0x308, "stream offset");
static_assert(offsetof(struct table_header, source_hash) == 0x310, "source hash");
static_assert(offsetof(struct table_header, rules_hash) == 0x318, "rules hash");
static_assert(sizeof(struct table_header) == TABLE_HEADER_SIZE, "the header is one page");

#endif
