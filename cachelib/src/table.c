/*
 * table.c - handles: making and closing them, and following the path to the table that it leads to now.
 *
 * A follower looks at its path when a check finds that it has not been looked at for a while (table_current), before
 * and after it cancels (table_moved_on), and when it is asked to (quash_table_refresh). What it finds there:
 *
 *     path leads to                  attached table not retired     retired, or none attached
 *     the attached file              stay                           detach
 *     another table                  attach it                      attach it
 *     nothing, or nothing usable     stay                           detach
 *
 * "Stay" in the last line is because a table whose file is gone goes on working for all who have it mapped, and the
 * worker that misses its file retires the table before it makes another.
 */
#include "table.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "error.h"
#include "group.h"
#include "table_handle.h"

/* How long a check goes on without a look at the path. */
#define LOOK_ATTACHED_MS 250u
#define LOOK_DETACHED_MS 20u /* also while the attached one is retired: its successor is moments away */

/* Absolute, so that a process that changes its directory later still finds its table. */
static quash_status absolute_path(const char *path, char **absolute, quash_error *error)
{
    if (path == NULL || path[0] == '\0')
        return error_set(error, QUASH_INVALID, "the table's path is empty; give one such as /dev/shm/quash/web");
    size_t length = strlen(path);
    if (length >= PATH_MAX)
        return error_set(error, QUASH_INVALID, "the table's path has %zu bytes; the system allows %d", length,
                         PATH_MAX - 1);
    if (path[length - 1] == '/')
        return error_set(error, QUASH_INVALID, "%s ends in a slash; a table's path ends with its own name", path);

    char directory[PATH_MAX] = "";
    if (path[0] != '/' && getcwd(directory, sizeof directory) == NULL)
        return error_set(error, QUASH_INVALID, "%s is relative, and the working directory has no name", path);
    size_t prefix = strlen(directory);
    char *result = malloc(prefix + 1 + length + 1);
    if (result == NULL)
        return error_set(error, QUASH_NO_MEMORY, "no memory for the path of %s", path);
    memcpy(result, directory, prefix);
    if (prefix > 0)
        result[prefix++] = '/';
    memcpy(result + prefix, path, length + 1);
    *absolute = result;
    return QUASH_OK;
}

quash_status table_handle_new(const char *path, enum table_role role, const struct table_access *access,
                              quash_table **table, quash_error *error)
{
    quash_table *handle = calloc(1, sizeof *handle);
    if (handle == NULL)
        return error_set(error, QUASH_NO_MEMORY, "no memory for a table's handle");
    handle->role = role;
    handle->access = *access;
    handle->lock_fd = -1;
    atomic_init(&handle->front.current, NULL);
    atomic_init(&handle->front.looked_ms, clock_coarse_ms());
    handle->front.look_every_ms = role == TABLE_FOLLOWER ? LOOK_ATTACHED_MS : UINT64_MAX;
    atomic_init(&handle->waited_incarnation, 0);

    quash_status status = QUASH_OK;
    if (role != TABLE_PRIVATE)
        status = absolute_path(path, &handle->path, error);
    if (status != QUASH_OK)
        goto free_handle;
    if (pthread_mutex_init(&handle->mutex, NULL) != 0) {
        status = error_set(error, QUASH_NO_MEMORY, "no memory for a table's lock");
        goto free_path;
    }
    *table = handle;
    return QUASH_OK;

free_path:
    free(handle->path);
free_handle:
    free(handle);
    return status;
}

void table_publish(quash_table *table, struct table_map *map)
{
    map->serial = table->maps == NULL ? TABLE_SERIAL_FIRST : table->maps->serial + 1;
    map->all_hash = group_all_hash(map->seed);
    map->older = table->maps;
    table->maps = map;
    /* Release pairs with the acquire in table_current: the mapping's fields come with the pointer. */
    atomic_store_explicit(&table->front.current, map, memory_order_release);
}

static void detach(quash_table *table)
{
    /* Nothing hangs on this store but itself. */
    atomic_store_explicit(&table->front.current, NULL, memory_order_relaxed);
}

static bool same_file(const struct table_map *map, const struct stat *file)
{
    return map->device == file->st_dev && map->inode == file->st_ino;
}

/* Whether the path of a follower still leads to `map`; nothing there at all counts as that too. */
static bool path_leads_to(const quash_table *table, const struct table_map *map)
{
    struct stat file;
    return lstat(table->path, &file) != 0 || same_file(map, &file);
}

/* A copy of an attached table under the same path bears the same incarnation but not the cancellations since: nothing
 * that was stamped could be told apart. */
static bool had_incarnation(const quash_table *table, uint64_t incarnation)
{
    for (const struct table_map *map = table->maps; map != NULL; map = map->older)
        if (map->incarnation == incarnation)
            return true;
    return false;
}

/* The table at the head of this file, for a follower. The mutex is held. */
static quash_status look(quash_table *table, bool *replaced, quash_error *error)
{
    /* Relaxed: only holders of the mutex change it. */
    struct table_map *map = atomic_load_explicit(&table->front.current, memory_order_relaxed);
    atomic_store_explicit(&table->front.looked_ms, clock_coarse_ms(), memory_order_relaxed);
    /* In this order: a table that is not retired here cannot have been replaced by its worker before. */
    bool attached = map != NULL && !table_map_retired(map);
    struct stat file;
    if (map != NULL && lstat(table->path, &file) == 0 && same_file(map, &file)) {
        if (attached)
            return QUASH_OK;
        detach(table);
        return error_set(error, QUASH_NOT_FOUND,
                         "the table at %s has ended and has no successor yet: is quashd running?", table->path);
    }

    struct table_map *found = NULL;
    /* While one is attached, whatever else there may be is not a failure of this call. */
    if (attached)
        error = NULL;
    quash_status status = table_file_attach(table->path, &table->access, &found, error);
    if (status == QUASH_OK && had_incarnation(table, found->incarnation)) {
        status = error_set(error, QUASH_NOT_A_TABLE,
                           "%s is a copy of a table that was there before; restart quashd so that it makes a new one",
                           table->path);
        table_map_free(found);
    }
    if (status == QUASH_OK) {
        table_publish(table, found);
        if (replaced != NULL)
            *replaced = true;
        return QUASH_OK;
    }
    if (attached)
        return QUASH_OK;
    detach(table);
    return status;
}

/* The part of table_current that is due a few times a second. */
static void look_if_due(quash_table *table, bool attached)
{
    uint64_t now_ms = clock_coarse_ms();
    /* Relaxed, and a CAS, so that one of many threads looks; nothing else is told through this word. */
    uint64_t looked_ms = atomic_load_explicit(&table->front.looked_ms, memory_order_relaxed);
    if (now_ms - looked_ms < (attached ? LOOK_ATTACHED_MS : LOOK_DETACHED_MS) ||
        !atomic_compare_exchange_strong_explicit(&table->front.looked_ms, &looked_ms, now_ms, memory_order_relaxed,
                                                 memory_order_relaxed))
        return;
    /* Whoever holds it is looking. Not waiting also keeps a child usable that was forked while another thread did. */
    if (pthread_mutex_trylock(&table->mutex) != 0)
        return;
    look(table, NULL, NULL);
    pthread_mutex_unlock(&table->mutex);
}

const struct table_map *table_current(quash_table *table)
{
    /* Acquire pairs with table_publish. */
    struct table_map *map = atomic_load_explicit(&table->front.current, memory_order_acquire);
    if (table->role != TABLE_FOLLOWER)
        return map;
    look_if_due(table, map != NULL && !table_map_retired(map));
    return atomic_load_explicit(&table->front.current, memory_order_acquire);
}

bool table_moved_on(quash_table *table, const struct table_map *map)
{
    if (table->role == TABLE_FOLLOWER && (map == NULL || table_map_retired(map) || !path_leads_to(table, map))) {
        pthread_mutex_lock(&table->mutex);
        /* Another thread may have looked meanwhile; a second look costs little and misses nothing. */
        look(table, NULL, NULL);
        pthread_mutex_unlock(&table->mutex);
    }
    return atomic_load_explicit(&table->front.current, memory_order_acquire) != map;
}

quash_status quash_table_open(const char *path, const quash_table_options *options, quash_table **table,
                              quash_error *error)
{
    static const quash_table_options defaults = QUASH_TABLE_OPTIONS_INIT;
    if (options == NULL)
        options = &defaults;
    if (table == NULL || options->struct_size < sizeof defaults)
        return error_set(error, QUASH_INVALID,
                         "quash_table_open needs a place for the table, and options that began as "
                         "QUASH_TABLE_OPTIONS_INIT");
    const struct table_access access = {options->writable, options->allow_shared_write, options->allow_any_owner};
    quash_table *handle;
    quash_status status = table_handle_new(path, TABLE_FOLLOWER, &access, &handle, error);
    if (status != QUASH_OK)
        return status;

    struct table_map *map;
    quash_error reason; /* not the caller's: a missing table may turn out to be no failure */
    status = table_file_attach(handle->path, &access, &map, &reason);
    if (status == QUASH_OK) {
        table_publish(handle, map);
    } else if (status != QUASH_NOT_FOUND || options->must_exist) {
        quash_table_close(handle);
        if (error != NULL)
            *error = reason;
        return status;
    }
    *table = handle;
    return QUASH_OK;
}

quash_status quash_table_new_private(uint64_t buckets, quash_table **table)
{
    if (table == NULL)
        return QUASH_INVALID;
    const struct table_access access = {.writable = true};
    quash_table *handle;
    quash_status status = table_handle_new(NULL, TABLE_PRIVATE, &access, &handle, NULL);
    if (status != QUASH_OK)
        return status;
    struct table_map *map;
    status = table_create_private(buckets, &map);
    if (status != QUASH_OK) {
        quash_table_close(handle);
        return status;
    }
    table_publish(handle, map);
    *table = handle;
    return QUASH_OK;
}

void quash_table_close(quash_table *table)
{
    if (table == NULL)
        return;
    watcher_free(table->watcher); /* first: its thread uses the mappings */
    while (table->maps != NULL) {
        struct table_map *map = table->maps;
        table->maps = map->older;
        table_map_free(map);
    }
    table_serve_unlock(table);
    pthread_mutex_destroy(&table->mutex);
    free(table->path);
    free(table);
}

quash_status quash_table_refresh(quash_table *table, bool *replaced, quash_error *error)
{
    if (table == NULL)
        return error_set(error, QUASH_INVALID, "quash_table_refresh needs a table");
    if (replaced != NULL)
        *replaced = false;
    if (table->role == TABLE_PRIVATE)
        return QUASH_OK;
    pthread_mutex_lock(&table->mutex);
    quash_status status =
        table->role == TABLE_SERVER ? table_serve_refresh(table, replaced, error) : look(table, replaced, error);
    pthread_mutex_unlock(&table->mutex);
    return status;
}

quash_stamp quash_table_stamp(quash_table *table)
{
    const struct table_map *map = table == NULL ? NULL : table_current(table);
    if (map == NULL)
        return (quash_stamp){0, 0};
    return (quash_stamp){map->incarnation, table_map_sequence(map)};
}
