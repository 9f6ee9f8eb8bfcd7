/*
 * table_handle.h - the inside of a handle, for the files that are the table: table.c (handles, following the path),
 * table_file.c (attaching a file), table_create.c (making one), table_serve.c (the worker's side), table_cancel.c,
 * table_check.c, table_wait.c, table_info.c; and for watch.c, which keeps its thread here.
 *
 * Ownership: a handle owns every mapping that it ever had, in the list `maps`, until it is closed; so whoever has
 * fetched `current` may go on with it, and nothing is counted.
 * Locks: `mutex` guards `maps`, all changes of `current`, `watcher`, and the path itself against this process's other
 * threads; no other lock is taken under it. The file lock of a serving handle is held for as long as the handle lives.
 */
#ifndef QUASH_SRC_TABLE_HANDLE_H
#define QUASH_SRC_TABLE_HANDLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include <quash/table.h>

#include "layout.h"
#include "table.h"

enum table_role {
    TABLE_FOLLOWER, /* uses whatever table its path leads to */
    TABLE_SERVER,   /* decides what its path leads to */
    TABLE_PRIVATE   /* has no path */
};

struct table_access {
    bool writable;
    bool allow_shared_write;
    bool allow_any_owner;
};

struct quash_table {
    struct table_front front;            /* first: table_peek */
    _Atomic uint64_t waited_incarnation; /* the table that quash_table_wait last reported on */
    enum table_role role;                /* this and what follows down to the mutex never changes */
    char *path;                          /* absolute; NULL for a private table */
    struct table_access access;
    uint64_t serve_buckets; /* of the tables that a serving handle makes */
    mode_t serve_mode;
    int lock_fd; /* -1 unless serving */
    pthread_mutex_t mutex;
    struct table_map *maps;  /* newest first */
    struct watcher *watcher; /* who calls back when something has changed (watch.c); NULL before the first watch */
};

/* ---- table.c */

/* A detached handle. *table is the caller's. QUASH_INVALID for a path that cannot be one. */
quash_status table_handle_new(const char *path, enum table_role role, const struct table_access *access,
                              quash_table **table, quash_error *error);

/* Makes `map` the current one; the handle owns it from now on. The mutex is held, or nobody else has the handle yet. */
void table_publish(quash_table *table, struct table_map *map);

/* Whether the path of a following handle leads elsewhere than to `map`, or `map` has ended; then looks what is there
 * now. For who must not leave it to the next look, such as a writer. Serving and private handles: whether another
 * mapping is current. */
bool table_moved_on(quash_table *table, const struct table_map *map);

/* ---- table_file.c: what the path leads to */

/* Opens and checks that it is a regular file whose owner and mode `access` accepts. *fd is the caller's. */
quash_status table_file_open(const char *path, const struct table_access *access, int *fd, struct stat *file,
                             quash_error *error);

/* Reads the header and checks that the file is a whole table of this version. `*was_table` is set in any case: whether
 * the file at least begins as a table does. */
quash_status table_file_check(const char *path, int fd, const struct stat *file, struct table_header *header,
                              bool *was_table, quash_error *error);

/* Maps a file that was checked. */
quash_status table_file_map(const char *path, int fd, const struct stat *file, const struct table_header *header,
                            bool writable, struct table_map **map, quash_error *error);

/* All three in one. */
quash_status table_file_attach(const char *path, const struct table_access *access, struct table_map **map,
                               quash_error *error);

/* Unmaps and frees; NULL is fine. */
void table_map_free(struct table_map *map);

/* Reads the kernel's boot id. Zeros where it cannot be read: such a table is never taken for one of this boot. */
void table_boot_id(unsigned char id[16]);

/* Whether `id` is that of this boot. */
bool table_same_boot(const unsigned char id[16]);

/* ---- table_create.c */

static inline bool table_buckets_valid(uint64_t buckets)
{
    return buckets >= 1 && buckets <= QUASH_TABLE_BUCKETS_MAX && (buckets & (buckets - 1)) == 0;
}

/* Makes a table under the temporary name `path`.new; nobody sees it until table_create_publish. */
quash_status table_create(const char *path, uint64_t buckets, mode_t mode, struct table_map **map, quash_error *error);

/* Gives it its name, in place of what has that name now. */
quash_status table_create_publish(const char *path, quash_error *error);

/* Removes the temporary file of a table that will not be published. */
void table_create_abandon(const char *path);

/* A table in anonymous memory, which forked children share. */
quash_status table_create_private(uint64_t buckets, struct table_map **map);

/* ---- table_serve.c */

/* quash_table_refresh of a serving handle. */
quash_status table_serve_refresh(quash_table *table, bool *replaced, quash_error *error);

/* Lets go of the lock, if the handle has it. */
void table_serve_unlock(quash_table *table);

/* ---- watch.c */

/* Ends the watching thread; NULL is fine. No watch may be left. */
void watcher_free(struct watcher *watcher);

/* ---- table_cancel.c */

/* Ends the table for good: all that it stamped has changed, its waiters wake, its readers look for a successor. The
 * mapping must be writable. */
void table_map_retire(const struct table_map *map);

#endif
