/*
 * profile_db.c - the only user of SQLite.
 *
 * One connection behind one mutex, held for single statements and short transactions, never while anything waits for
 * the network. Other processes' writers are waited for by SQLite itself (busy time-out); the write-ahead log lets
 * readers go on meanwhile.
 */
#include "profile_db.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sqlite3.h>

#define BUSY_TIMEOUT_MS     5000
#define BUSY_PAUSE_MS       10
#define LEFT_BEHIND_SECONDS 5

struct profile_db {
    sqlite3 *connection; /* guarded by mutex */
    int64_t writer;      /* random: this process among those that share the file */
    pthread_mutex_t mutex;
};

/* AUTOINCREMENT: an id is never given to a second event, so that deleting one by its id cannot hit a newer one that
 * another process wrote meanwhile. An event is published by its writer; after LEFT_BEHIND_SECONDS by whoever sees it.
 */
static const char SCHEMA_AND_SAMPLES[] =
    "CREATE TABLE region (code TEXT PRIMARY KEY, name TEXT NOT NULL) STRICT;"
    "CREATE TABLE permission (tenant_id INTEGER, name TEXT, PRIMARY KEY (tenant_id, name)) STRICT;"
    "CREATE TABLE profile (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL,"
    "                      tenant_id INTEGER NOT NULL, region TEXT NOT NULL REFERENCES region) STRICT;"
    "CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, routing_key TEXT NOT NULL, body TEXT NOT NULL,"
    "                     writer INTEGER NOT NULL, written_at INTEGER NOT NULL) STRICT;"
    "INSERT INTO region VALUES ('eu', 'Europe'), ('us', 'United States');"
    "INSERT INTO permission VALUES (42, 'export'), (42, 'read'), (43, 'export'), (43, 'read');"
    "INSERT INTO profile VALUES (1, 'Ada', 'ada@one.example', 42, 'eu'), (2, 'Grace', 'grace@one.example', 42, 'us'),"
    "                           (3, 'Edsger', 'edsger@one.example', 42, 'eu'),"
    "                           (4, 'Barbara', 'barbara@one.example', 43, 'us'),"
    "                           (5, 'Donald', 'donald@one.example', 43, 'us'),"
    "                           (6, 'Frances', 'frances@one.example', 43, 'us');"
    "PRAGMA user_version = 1;";

/* ---- Statements ----------------------------------------------------------------------------------------------------
 */

/* What a statement's ?1, ?2 ... stand for. */
struct value {
    const char *text; /* NULL: it is the number */
    int64_t number;
};

static enum db_result failed(struct profile_db *db, const char *what)
{
    fprintf(stderr, "profile-service: the database failed to %s: %s\n", what, sqlite3_errmsg(db->connection));
    return DB_FAILED;
}

/* NULL on failure. Values that the statement has no place for are left out. */
static sqlite3_stmt *prepare(struct profile_db *db, const char *sql, const struct value *values, int count)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db->connection, sql, -1, &statement, NULL) != SQLITE_OK)
        return NULL;
    const int places = sqlite3_bind_parameter_count(statement);
    for (int i = 0; i < count && i < places; i++) {
        const int status = values[i].text ? sqlite3_bind_text(statement, i + 1, values[i].text, -1, SQLITE_TRANSIENT)
                                          : sqlite3_bind_int64(statement, i + 1, values[i].number);
        if (status != SQLITE_OK) {
            sqlite3_finalize(statement);
            return NULL;
        }
    }
    return statement;
}

/* Runs a statement that returns no rows. */
static bool run(struct profile_db *db, const char *sql, const struct value *values, int count)
{
    sqlite3_stmt *statement = prepare(db, sql, values, count);
    const bool done = statement && sqlite3_step(statement) == SQLITE_DONE;
    sqlite3_finalize(statement);
    return done;
}

/* A copy of a column's text, the caller's; NULL when memory ran out. */
static char *column_copy(sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);
    if (!text)
        return NULL;
    const size_t size = (size_t)sqlite3_column_bytes(statement, column) + 1;
    char *copy = malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

/* ---- Opening -------------------------------------------------------------------------------------------------------
 */

/* Lets readers and a writer work at once. SQLite does not wait here for another process that does the same on the same
 * new file, so this does. */
static bool use_write_ahead_log(struct profile_db *db)
{
    const struct timespec pause = {.tv_nsec = BUSY_PAUSE_MS * 1000000L};
    int status = SQLITE_BUSY;
    for (int waited_ms = 0; status == SQLITE_BUSY && waited_ms < BUSY_TIMEOUT_MS; waited_ms += BUSY_PAUSE_MS) {
        status = sqlite3_exec(db->connection, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if (status == SQLITE_BUSY)
            nanosleep(&pause, NULL);
    }
    return status == SQLITE_OK;
}

static bool fill_if_new(struct profile_db *db)
{
    /* IMMEDIATE: of two services that start at once, the second waits here and then finds the work done. */
    if (sqlite3_exec(db->connection, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return false;
    sqlite3_stmt *version = prepare(db, "PRAGMA user_version", NULL, 0);
    const bool known = version && sqlite3_step(version) == SQLITE_ROW;
    const bool is_new = known && sqlite3_column_int(version, 0) == 0;
    sqlite3_finalize(version);
    return known && (!is_new || sqlite3_exec(db->connection, SCHEMA_AND_SAMPLES, NULL, NULL, NULL) == SQLITE_OK) &&
           sqlite3_exec(db->connection, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
}

struct profile_db *profile_db_open(const char *path)
{
    struct profile_db *db = calloc(1, sizeof *db);
    if (!db) {
        fputs("profile-service: out of memory\n", stderr);
        return NULL;
    }
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, &db->connection, flags, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(db->connection, BUSY_TIMEOUT_MS) != SQLITE_OK || !use_write_ahead_log(db) ||
        !fill_if_new(db)) {
        fprintf(stderr, "profile-service: cannot use the database %s: %s\n", path, sqlite3_errmsg(db->connection));
        sqlite3_close(db->connection);
        free(db);
        return NULL;
    }
    sqlite3_randomness((int)sizeof db->writer, &db->writer);
    pthread_mutex_init(&db->mutex, NULL);
    return db;
}

void profile_db_close(struct profile_db *db)
{
    if (!db)
        return;
    sqlite3_close(db->connection);
    pthread_mutex_destroy(&db->mutex);
    free(db);
}

/* ---- Reading -------------------------------------------------------------------------------------------------------
 */

enum db_result profile_db_read(struct profile_db *db, int64_t id, struct profile *profile)
{
    static const char sql[] =
        "SELECT tenant_id, region, json_object('id', profile.id, 'name', profile.name, 'email', email,"
        "         'tenant_id', tenant_id, 'region', region, 'region_name', region.name,"
        "         'permissions', (SELECT json_group_array(name) FROM (SELECT name FROM permission"
        "                          WHERE permission.tenant_id = profile.tenant_id ORDER BY name)))"
        "  FROM profile JOIN region ON region.code = profile.region WHERE profile.id = ?1";

    pthread_mutex_lock(&db->mutex);
    enum db_result result = DB_FAILED;
    sqlite3_stmt *statement = prepare(db, sql, &(struct value){.number = id}, 1);
    const int step = statement ? sqlite3_step(statement) : SQLITE_ERROR;
    if (step == SQLITE_DONE) {
        result = DB_NOT_FOUND;
    } else if (step == SQLITE_ROW) {
        struct profile read = {.tenant_id = sqlite3_column_int64(statement, 0), .json = column_copy(statement, 2)};
        snprintf(read.region, sizeof read.region, "%s", (const char *)sqlite3_column_text(statement, 1));
        if (read.json) {
            read.json_size = strlen(read.json);
            *profile = read;
            result = DB_OK;
        }
    }
    if (result == DB_FAILED)
        failed(db, "read a profile");
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&db->mutex);
    return result;
}

void profile_fini(struct profile *profile)
{
    free(profile->json);
    profile->json = NULL;
}

/* ---- Changing ------------------------------------------------------------------------------------------------------
 */

/*
 * One transaction: `sql` with its ?1 and ?2, and if that changed a row, the event, whose body is the SQL expression
 * `event_body` over the same ?1 and ?2.
 */
static enum db_result change(struct profile_db *db, const char *sql, struct value first, struct value second,
                             const char *routing_key, const char *event_body)
{
    const struct value values[] = {first, second, {.text = routing_key}, {.number = db->writer}};
    char event_sql[256];
    snprintf(event_sql, sizeof event_sql,
             "INSERT INTO outbox (body, routing_key, writer, written_at) SELECT %s, ?3, ?4, unixepoch()", event_body);
    enum db_result result = DB_FAILED;

    pthread_mutex_lock(&db->mutex);
    if (!run(db, "BEGIN IMMEDIATE", NULL, 0)) {
        failed(db, "begin a change");
        goto unlock;
    }
    if (!run(db, sql, values, 2))
        failed(db, "make a change");
    else if (sqlite3_changes(db->connection) == 0)
        result = DB_NOT_FOUND;
    else if (run(db, event_sql, values, 4) && run(db, "COMMIT", NULL, 0))
        result = DB_OK;
    else
        failed(db, "commit a change with its event");
    if (result != DB_OK)
        run(db, "ROLLBACK", NULL, 0);
unlock:
    pthread_mutex_unlock(&db->mutex);
    return result;
}

enum db_result profile_db_update_email(struct profile_db *db, int64_t id, const char *email)
{
    return change(db, "UPDATE profile SET email = ?2 WHERE id = ?1", (struct value){.number = id},
                  (struct value){.text = email}, "user.updated", "json_object('id', ?1)");
}

enum db_result profile_db_revoke_permission(struct profile_db *db, int64_t tenant_id, const char *permission)
{
    return change(db, "DELETE FROM permission WHERE tenant_id = ?1 AND name = ?2", (struct value){.number = tenant_id},
                  (struct value){.text = permission}, "tenant.permission_revoked",
                  "json_object('tenant_id', ?1, 'permission', ?2)");
}

enum db_result profile_db_rename_region(struct profile_db *db, const char *region, const char *name)
{
    return change(db, "UPDATE region SET name = ?2 WHERE code = ?1", (struct value){.text = region},
                  (struct value){.text = name}, "region.updated", "json_object('region', ?1)");
}

/* ---- The outbox ----------------------------------------------------------------------------------------------------
 */

enum db_result profile_db_outbox_first(struct profile_db *db, struct outbox_event *event)
{
    static const char sql[] = "SELECT id, routing_key, body FROM outbox"
                              " WHERE writer = ?1 OR written_at < unixepoch() - ?2 ORDER BY id LIMIT 1";
    const struct value values[] = {{.number = db->writer}, {.number = LEFT_BEHIND_SECONDS}};
    pthread_mutex_lock(&db->mutex);
    enum db_result result = DB_FAILED;
    sqlite3_stmt *statement = prepare(db, sql, values, 2);
    const int step = statement ? sqlite3_step(statement) : SQLITE_ERROR;
    if (step == SQLITE_DONE) {
        result = DB_NOT_FOUND;
    } else if (step == SQLITE_ROW) {
        struct outbox_event read = {.id = sqlite3_column_int64(statement, 0),
                                    .routing_key = column_copy(statement, 1),
                                    .body = column_copy(statement, 2)};
        if (read.routing_key && read.body) {
            *event = read;
            result = DB_OK;
        } else {
            outbox_event_fini(&read);
        }
    }
    if (result == DB_FAILED)
        failed(db, "read the outbox");
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&db->mutex);
    return result;
}

void outbox_event_fini(struct outbox_event *event)
{
    free(event->routing_key);
    free(event->body);
    event->routing_key = NULL;
    event->body = NULL;
}

enum db_result profile_db_outbox_delete(struct profile_db *db, int64_t id)
{
    pthread_mutex_lock(&db->mutex);
    const bool done = run(db, "DELETE FROM outbox WHERE id = ?1", &(struct value){.number = id}, 1);
    const enum db_result result = done ? DB_OK : failed(db, "delete a published event");
    pthread_mutex_unlock(&db->mutex);
    return result;
}

int64_t profile_db_outbox_count(struct profile_db *db)
{
    pthread_mutex_lock(&db->mutex);
    sqlite3_stmt *statement = prepare(db, "SELECT count(*) FROM outbox", NULL, 0);
    const bool known = statement && sqlite3_step(statement) == SQLITE_ROW;
    const int64_t count = known ? sqlite3_column_int64(statement, 0) : -1;
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&db->mutex);
    return count;
}
