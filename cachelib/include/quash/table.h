/*
 * quash/table.h - the cancellation table: who was cancelled, and when, for every process of the host.
 *
 * A table is a small file of fixed size in shared memory (docs/table-format.md gives its bytes). Cancelling a group
 * declares everything that was derived from it before this instant obsolete: one word of the table is written, whatever
 * the group holds. Nothing is registered and nothing grows: when many groups have been cancelled, the table forgets old
 * ones in the safe direction, so that a reader sees a change that did not happen, never the other way round.
 *
 * A *group* is a name `kind:id` ("tenant:42") or a bare `kind` ("catalog"): 1 to QUASH_GROUP_MAX bytes, none of them
 * NUL. Whatever depends on `kind:id` also depends on `kind:*`, where kind ends before the first colon, and everything
 * depends on `*`; cancelling those two flushes a kind, or all.
 *
 * A handle follows its *path*: a table that does not exist yet is attached when it appears, and one that was replaced
 * is left for its successor. What was stamped by an earlier table counts as changed from then on.
 *
 * Threads: every function may be called from any thread at any time, except quash_table_close, which must be the last.
 * Times are CLOCK_MONOTONIC, in the unit that the name says.
 */
#ifndef QUASH_TABLE_H
#define QUASH_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quash/export.h>
#include <quash/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUASH_GROUP_MAX 512u /* bytes in a group's name */

#define QUASH_TABLE_BUCKETS_DEFAULT 16384u     /* 64 bytes each: 1 MiB */
#define QUASH_TABLE_BUCKETS_MAX     (1u << 24) /* 1 GiB */

typedef struct quash_table quash_table;

/* A position in a table's sequence of cancellations. `incarnation` names the table that handed it out (0: none was
 * attached, nothing can be said about what changed since); `sequence` only grows within one incarnation. */
typedef struct quash_stamp {
    uint64_t incarnation;
    uint64_t sequence;
} quash_stamp;

/* Start from QUASH_TABLE_OPTIONS_INIT. */
typedef struct quash_table_options {
    size_t struct_size;      /* sizeof(quash_table_options), so that later versions can add fields */
    bool writable;           /* map for writing too, so that this process can cancel */
    bool must_exist;         /* a missing file is QUASH_NOT_FOUND; otherwise it is attached when it appears */
    bool allow_shared_write; /* accept a file that its group or everybody may write */
    bool allow_any_owner;    /* accept a file whose owner is neither root nor this process's effective user */
} quash_table_options;

#define QUASH_TABLE_OPTIONS_INIT                                                                                       \
    {                                                                                                                  \
        sizeof(quash_table_options), false, false, false, false                                                        \
    }

/*
 * Opens the table at `path` (copied) for reading, or for writing if asked. *table is the caller's until
 * quash_table_close. `options` may be NULL for the defaults.
 * QUASH_NOT_FOUND, QUASH_NOT_PERMITTED, QUASH_NOT_A_TABLE (a directory, a symbolic link, truncated, foreign bytes),
 * QUASH_VERSION, QUASH_UNSAFE, QUASH_SYSTEM, QUASH_NO_MEMORY, QUASH_INVALID; `error` (may be NULL) says more.
 */
QUASH_API quash_status quash_table_open(const char *path, const quash_table_options *options, quash_table **table,
                                        quash_error *error);

/* Start from QUASH_TABLE_SERVE_OPTIONS_INIT. */
typedef struct quash_table_serve_options {
    size_t struct_size; /* sizeof(quash_table_serve_options) */
    uint64_t buckets;   /* a power of two, 1 to QUASH_TABLE_BUCKETS_MAX */
    uint32_t mode;      /* who may read and write the file: 0600 keeps others out, 0644 lets them read */
} quash_table_serve_options;

#define QUASH_TABLE_SERVE_OPTIONS_INIT                                                                                 \
    {                                                                                                                  \
        sizeof(quash_table_serve_options), QUASH_TABLE_BUCKETS_DEFAULT, 0600                                           \
    }

/*
 * Becomes the one worker of the table at `path`: locks `path`.lock, then takes over the table that is there, or makes
 * a new one where there is none. A table that cannot be trusted (another boot, a watermark later than now, retired,
 * damaged, other size, open to more writers than `mode` allows, half of its stamps handed out) is retired first, so
 * that its readers move on. A missing parent directory is made, one level.
 * `*fresh` says whether the table is new: then nothing is known about earlier cancellations, and the caller must treat
 * what came before as a gap. The lock ends with quash_table_close, or with the process and those that it forked and
 * that did not exec.
 * QUASH_BUSY when another worker holds the lock; else as quash_table_open. A path that leads to something that never
 * was a table (directory, symbolic link, foreign file) is refused, never overwritten.
 */
QUASH_API quash_status quash_table_serve(const char *path, const quash_table_serve_options *options,
                                         quash_table **table, bool *fresh, quash_error *error);

/* Makes a table in this process's own memory, for caches that have no worker, and for tests. `buckets` as above. */
QUASH_API quash_status quash_table_new_private(uint64_t buckets, quash_table **table);

/* Unmaps and frees. Caches, tokens and watches that borrow the table must be freed before. NULL is fine. */
QUASH_API void quash_table_close(quash_table *table);

/*
 * Looks whether the path still leads to the attached table. A reader's handle attaches what it finds there; a serving
 * handle whose file was removed or replaced, or whose table has ended, retires it and makes a new one. `*replaced` (may
 * be NULL) says, whatever is returned, whether the handle has another table now.
 * Readers need not call this: checks do, a few times a second. A worker calls it about once a second.
 * QUASH_OK when a table is attached afterwards; else why none is. From a serving handle also QUASH_NOT_A_TABLE, if its
 * path leads to something that never was a table (it keeps its own, for those who have it mapped), and QUASH_BUSY, if
 * its lock file was removed and another worker has taken its place.
 */
QUASH_API quash_status quash_table_refresh(quash_table *table, bool *replaced, quash_error *error);

/* Cancels one group. As quash_table_cancel_batch with one name. */
QUASH_API quash_status quash_table_cancel(quash_table *table, const char *group);

/*
 * Cancels `count` groups (NUL-terminated names, borrowed for the call). On return every check made afterwards, in any
 * process, sees them; those who wait are woken once. The names are checked before the first is cancelled.
 * QUASH_INVALID, QUASH_READ_ONLY, QUASH_DETACHED. QUASH_EXHAUSTED when the table has no stamps left: it has ended with
 * that, all that it stamped counts as changed, and a worker's quash_table_refresh replaces it.
 */
QUASH_API quash_status quash_table_cancel_batch(quash_table *table, const char *const *groups, size_t count);

/* Where the sequence stands now. Taken *before* data is read, it is what quash_token_new_at needs to say later whether
 * that data is obsolete. */
QUASH_API quash_stamp quash_table_stamp(quash_table *table);

/*
 * Blocks until the table's count of completed cancellations differs from `*changes`, or the table is replaced, then
 * stores the new count. Start with 0, or with the count from quash_table_get_info. Sleeps on a futex; once a second it
 * looks besides whether the path leads to another table, which wakes nobody if the old one was not retired.
 * QUASH_TIMED_OUT after `timeout_ms`; QUASH_DETACHED when no table is attached.
 */
QUASH_API quash_status quash_table_wait(quash_table *table, uint64_t *changes, uint32_t timeout_ms);

/* What a worker remembers in the table about where it stands, so that its successor can tell whether it may go on.
 * All are hashes or positions chosen by the worker; 0 means not known. */
typedef struct quash_table_source {
    uint64_t sentinel;      /* identity of the last ping that was applied */
    uint64_t stream_offset; /* its offset, when reading a stream */
    uint64_t source_hash;   /* the broker, virtual host and queue that are read */
    uint64_t rules_hash;    /* the rules that are served */
} quash_table_source;

/* For the worker: read and write the source position. QUASH_READ_ONLY, QUASH_DETACHED. */
QUASH_API quash_status quash_table_get_source(quash_table *table, quash_table_source *source);
QUASH_API quash_status quash_table_set_source(quash_table *table, const quash_table_source *source);

/* For the worker: publishes this process's pid, that it is alive now, and whether it has a broker connection. */
QUASH_API quash_status quash_table_set_worker(quash_table *table, bool connected);

/* Start from QUASH_TABLE_INFO_INIT. */
typedef struct quash_table_info {
    size_t struct_size;           /* sizeof(quash_table_info) */
    uint32_t format_version;      /* 1 */
    bool same_boot;               /* false: the file is older than the last boot */
    bool retired;                 /* replaced by another table, or about to be */
    bool worker_connected;        /* what the worker last said */
    uint32_t worker_pid;          /* 0: none yet */
    uint64_t worker_heartbeat_ns; /* when the worker last said so; 0: never */
    uint64_t incarnation;         /* random identity of this table, never 0 */
    uint64_t bytes;               /* size of the file */
    uint64_t buckets;             /* number of 64-byte buckets */
    uint64_t slots_used;          /* groups that are remembered; 7 a bucket are possible */
    uint64_t buckets_overflowed;  /* buckets that have pushed a group out */
    uint64_t sequence;            /* last stamp handed out */
    uint64_t changes;             /* cancellations completed */
    uint64_t watermark_ns;        /* 0: none, or not to be trusted */
    uint64_t ping_interval_ms;    /* 0: none */
} quash_table_info;

#define QUASH_TABLE_INFO_INIT                                                                                          \
    {                                                                                                                  \
        sizeof(quash_table_info), 0, false, false, false, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                              \
    }

/* Reads the header and counts the buckets (O(buckets)). QUASH_DETACHED. */
QUASH_API quash_status quash_table_get_info(quash_table *table, quash_table_info *info);

#ifdef __cplusplus
}
#endif

#endif
