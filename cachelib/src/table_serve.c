/*
 * table_serve.c - the worker's side: the lock, taking over the table that is there, and replacing one that is not fit.
 *
 * One worker a table. Who serves holds an flock on `path`.lock from before it looks at the path until it closes the
 * handle or dies (and so have the children that it forked and that did not exec); the file holds its process id, for
 * the message to whoever comes second. It is removed while the lock is held; so whoever gets the lock makes sure that
 * the name still leads to the file that it has locked.
 *
 * Replacing a table: the new one is made whole beside it, the old one is retired, and only then does the new one get
 * the name. A writer that finds its table not retired after it has cancelled there may therefore rely on it that
 * nobody had stamped in a successor before (quash_table_cancel_batch); and if there is no room for a new one, the old
 * one is still good for those who have it.
 *
 * What never was a table is never replaced: at worst, this refuses to work.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "error.h"
#include "table_handle.h"

/* A table that has handed out more stamps than this is replaced when a worker starts, long before they run out. */
#define SEQUENCE_TIRED (SLOT_STAMP_MAX / 2)

/* Makes the directory of `path` if it is missing: one level, open to whom the table is open to. */
static void make_directory(const char *path, mode_t table_mode)
{
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - path);
    if (length == 0 || length >= sizeof directory)
        return;
    memcpy(directory, path, length);
    directory[length] = '\0';
    if (mkdir(directory, 0700) != 0)
        return; /* it exists, or making something in it will say what is wrong */
    mode_t mode = 0700 | ((table_mode & 0060) != 0 ? 0050 : 0) | ((table_mode & 0006) != 0 ? 0005 : 0);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fchmod(fd, mode) != 0) {
        /* Then it stays closed to others, who will say that they may not open the table. */
    }
    close(fd);
}

/* ---- The lock */

static bool lock_name(const char *path, char name[PATH_MAX])
{
    int length = snprintf(name, PATH_MAX, "%s.lock", path);
    return length > 0 && length < PATH_MAX;
}

/* Whether `name` leads to the file that is open as `fd`. */
static bool leads_to(const char *name, int fd)
{
    struct stat named;
    struct stat opened;
    return lstat(name, &named) == 0 && fstat(fd, &opened) == 0 && named.st_dev == opened.st_dev &&
           named.st_ino == opened.st_ino;
}

static quash_status busy(const char *path, int fd, quash_error *error)
{
    char holder[16] = "";
    ssize_t length = pread(fd, holder, sizeof holder - 1, 0);
    size_t digits = length > 0 ? strspn(holder, "0123456789") : 0;
    holder[digits] = '\0';
    return error_set(
        error, QUASH_BUSY,
        "another worker serves the table at %s already%s%s%s: stop that one, or give this one a table of its "
        "own",
        path, digits > 0 ? " (process " : "", holder, digits > 0 ? ")" : "");
}

static quash_status lock_path(const char *path, mode_t table_mode, int *fd, quash_error *error)
{
    char name[PATH_MAX];
    if (!lock_name(path, name))
        return error_set(error, QUASH_INVALID, "the path %.64s... is too long for a lock beside it", path);
    for (;;) {
        int opened = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
        if (opened < 0 && errno == ENOENT) {
            make_directory(path, table_mode);
            opened = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
        }
        if (opened < 0) {
            quash_status status = errno == EACCES || errno == EPERM || errno == EROFS ? QUASH_NOT_PERMITTED
                                  : errno == ENOENT                                   ? QUASH_NOT_FOUND
                                  : errno == ENAMETOOLONG                             ? QUASH_INVALID
                                  : errno == ENOTDIR                                  ? QUASH_NOT_A_TABLE
                                                                                      : QUASH_SYSTEM;
            return error_set_system(error, status, errno,
                                    "cannot open the lock file %s; its directory must exist, or at "
                                    "least the one above, and let this user write",
                                    name);
        }
        struct stat file;
        if (fstat(opened, &file) != 0 || !S_ISREG(file.st_mode)) {
            close(opened);
            return error_set(error, QUASH_SYSTEM, "%s is not a regular file, and cannot be the table's lock; remove it",
                             name);
        }
        if (flock(opened, LOCK_EX | LOCK_NB) != 0) {
            quash_status status = errno == EWOULDBLOCK
                                      ? busy(path, opened, error)
                                      : error_set_system(error, QUASH_SYSTEM, errno, "cannot lock %s", name);
            close(opened);
            return status;
        }
        if (!leads_to(name, opened)) {
            close(opened); /* its holder removed it before it let go: there is, or will be, another */
            continue;
        }
        char pid[16];
        int length = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
        if (ftruncate(opened, 0) != 0 || pwrite(opened, pid, (size_t)length, 0) != length) {
            /* The lock holds without it; only the message to the second worker says less. */
        }
        *fd = opened;
        return QUASH_OK;
    }
}

void table_serve_unlock(quash_table *table)
{
    char name[PATH_MAX];
    if (table->lock_fd < 0)
        return;
    if (lock_name(table->path, name) && leads_to(name, table->lock_fd))
        unlink(name);
    close(table->lock_fd);
    table->lock_fd = -1;
}

/* ---- The table */

/* Whether a worker may go on with a table that it finds. */
static bool is_fit(const quash_table *table, const struct table_map *map, mode_t mode)
{
    const struct table_header *header = map->header;
    /* Relaxed: no worker is writing there now, and other writers only move the sequence. */
    return map->same_boot && !table_map_retired(map) && map->bucket_mask + 1 == table->serve_buckets &&
           atomic_load_explicit(&header->sequence, memory_order_relaxed) <= SEQUENCE_TIRED &&
           atomic_load_explicit(&header->watermark_ns, memory_order_relaxed) <= clock_monotonic_ns() &&
           (mode & (S_IWGRP | S_IWOTH) & ~table->serve_mode) == 0;
}

/* Tells the readers of a damaged table, as far as its header reaches. */
static void retire_damaged(int fd, const struct stat *file)
{
    if (file->st_size < (off_t)TABLE_HEADER_SIZE)
        return;
    void *header = mmap(NULL, TABLE_HEADER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (header == MAP_FAILED)
        return;
    const struct table_map map = {.header = header};
    table_map_retire(&map);
    munmap(header, TABLE_HEADER_SIZE);
}

/* Looks at what has the path's name. OK: *found is a whole table, fit if *fit says so, or NULL if there is nothing of
 * value. Anything else: it must not be replaced. */
static quash_status find_table(const quash_table *table, struct table_map **found, bool *fit, quash_error *error)
{
    *found = NULL;
    *fit = false;
    int fd;
    struct stat file;
    quash_status status = table_file_open(table->path, &table->access, &fd, &file, error);
    if (status != QUASH_OK)
        return status == QUASH_NOT_FOUND ? QUASH_OK : status;

    struct table_header header;
    bool was_table;
    status = table_file_check(table->path, fd, &file, &header, &was_table, error);
    if (status == QUASH_OK) {
        status = table_file_map(table->path, fd, &file, &header, true, found, error);
        *fit = status == QUASH_OK && is_fit(table, *found, file.st_mode);
        if (*fit && (file.st_mode & 0777) != table->serve_mode && fchmod(fd, table->serve_mode) != 0)
            *fit = false; /* it is root's, and we are not: then one of our own */
    } else if (status == QUASH_NOT_A_TABLE && was_table) {
        retire_damaged(fd, &file);
        status = QUASH_OK;
    }
    close(fd);
    return status;
}

/* Puts a new table in the place of `found` and of the handle's own, either of which may be NULL. */
static quash_status replace(quash_table *table, const struct table_map *found, quash_error *error)
{
    make_directory(table->path, table->serve_mode);
    struct table_map *made;
    quash_status status = table_create(table->path, table->serve_buckets, table->serve_mode, &made, error);
    if (status != QUASH_OK)
        return status;

    /* Relaxed: only holders of the mutex change it. */
    const struct table_map *own = atomic_load_explicit(&table->front.current, memory_order_relaxed);
    if (found != NULL && !table_map_retired(found))
        table_map_retire(found);
    if (own != NULL && !table_map_retired(own)) /* not if it is the same file as `found` */
        table_map_retire(own);
    status = table_create_publish(table->path, error);
    if (status != QUASH_OK) {
        table_create_abandon(table->path);
        table_map_free(made);
        atomic_store_explicit(&table->front.current, NULL, memory_order_relaxed);
        return status;
    }
    table_publish(table, made);
    return QUASH_OK;
}

/* Takes over the table that is there, or replaces it. */
static quash_status serve_path(quash_table *table, bool may_take_over, bool *fresh, quash_error *error)
{
    struct table_map *found;
    bool fit;
    quash_error reason; /* of what may turn out not to matter */
    quash_status status = find_table(table, &found, &fit, &reason);
    if (status != QUASH_OK)
        return error_set(error, status, "%s", reason.message);
    if (fit && may_take_over) {
        *fresh = false;
        table_publish(table, found);
        return QUASH_OK;
    }
    status = replace(table, found, error);
    table_map_free(found);
    if (status == QUASH_OK)
        *fresh = true;
    return status;
}

quash_status quash_table_serve(const char *path, const quash_table_serve_options *options, quash_table **table,
                               bool *fresh, quash_error *error)
{
    static const quash_table_serve_options defaults = QUASH_TABLE_SERVE_OPTIONS_INIT;
    if (options == NULL)
        options = &defaults;
    if (table == NULL || fresh == NULL || options->struct_size < sizeof defaults)
        return error_set(error, QUASH_INVALID,
                         "quash_table_serve needs places for the table and for whether it is fresh, and options that "
                         "began as QUASH_TABLE_SERVE_OPTIONS_INIT");
    if (!table_buckets_valid(options->buckets))
        return error_set(error, QUASH_INVALID, "a table has a power of two of buckets, from 1 to %u",
                         QUASH_TABLE_BUCKETS_MAX);
    if ((options->mode & ~0666u) != 0 || (options->mode & 0600u) != 0600u)
        return error_set(
            error, QUASH_INVALID,
            "a table's mode lets its owner read and write, and is made of read and write bits: 0600, 0640, "
            "0644, 0660 or 0666, not %04o",
            options->mode);
    /* Modes are judged by is_fit, against what was asked for. */
    const struct table_access access = {.writable = true, .allow_shared_write = true};
    quash_table *handle;
    quash_status status = table_handle_new(path, TABLE_SERVER, &access, &handle, error);
    if (status != QUASH_OK)
        return status;
    handle->serve_buckets = options->buckets;
    handle->serve_mode = (mode_t)options->mode;
    status = lock_path(handle->path, handle->serve_mode, &handle->lock_fd, error);
    if (status == QUASH_OK)
        status = serve_path(handle, true, fresh, error);
    if (status != QUASH_OK) {
        quash_table_close(handle);
        return status;
    }
    *table = handle;
    return QUASH_OK;
}

/* If the lock file was removed under us, another worker may hold a new one: then that one serves. */
static quash_status relock(quash_table *table, quash_error *error)
{
    char name[PATH_MAX];
    if (lock_name(table->path, name) && leads_to(name, table->lock_fd))
        return QUASH_OK;
    int fd;
    quash_status status = lock_path(table->path, table->serve_mode, &fd, error);
    if (status != QUASH_OK)
        return status;
    close(table->lock_fd);
    table->lock_fd = fd;
    return QUASH_OK;
}

quash_status table_serve_refresh(quash_table *table, bool *replaced, quash_error *error)
{
    /* Relaxed: only holders of the mutex change it. */
    const struct table_map *own = atomic_load_explicit(&table->front.current, memory_order_relaxed);
    struct stat file;
    if (own != NULL && !table_map_retired(own) && lstat(table->path, &file) == 0 && file.st_dev == own->device &&
        file.st_ino == own->inode)
        return QUASH_OK;

    quash_status status = relock(table, error);
    if (status == QUASH_BUSY && own != NULL) {
        /* Our readers have to move to the other worker's table. */
        table_map_retire(own);
        atomic_store_explicit(&table->front.current, NULL, memory_order_relaxed);
    }
    if (status != QUASH_OK)
        return status;
    bool fresh = false;
    status = serve_path(table, false, &fresh, error);
    if (status == QUASH_OK && replaced != NULL)
        *replaced = true;
    return status;
}
