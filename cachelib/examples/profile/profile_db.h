/*
 * profile_db.h - the truth behind the cache: profiles, permissions, regions, and the outbox, in one SQLite file.
 *
 * Every change writes its event into the outbox in the same transaction: an event exists exactly when its change does,
 * whether or not a broker can be reached at that moment. Several processes may share the file.
 *
 * Threads: every function may be called from any thread, except profile_db_close, which must be the last.
 */
#ifndef PROFILE_DB_H
#define PROFILE_DB_H

#include <stddef.h>
#include <stdint.h>

#define REGION_MAX      32u  /* bytes in a region's code */
#define PERMISSION_MAX  64u  /* bytes in a permission's name */
#define REGION_NAME_MAX 64u  /* bytes in the name that people see */
#define EMAIL_MAX       254u /* bytes; RFC 5321 leaves no room for more */

enum db_result {
    DB_OK,
    DB_NOT_FOUND, /* no such row, or nothing left to change */
    DB_FAILED,    /* already explained on standard error */
};

struct profile_db;

/* Opens the file, making it with a few sample profiles if it is new. NULL on failure, explained on standard error. */
struct profile_db *profile_db_open(const char *path);
void profile_db_close(struct profile_db *db);

/* A profile as one snapshot of the database has it. */
struct profile {
    int64_t tenant_id;
    char region[REGION_MAX + 1];
    char *json; /* what clients get; NUL-terminated */
    size_t json_size;
};

/* Reads the profile into *profile, the caller's until profile_fini. */
enum db_result profile_db_read(struct profile_db *db, int64_t id, struct profile *profile);
void profile_fini(struct profile *profile);

/* The changes. On DB_OK the change and its event are committed. */
enum db_result profile_db_update_email(struct profile_db *db, int64_t id, const char *email);
enum db_result profile_db_revoke_permission(struct profile_db *db, int64_t tenant_id, const char *permission);
enum db_result profile_db_rename_region(struct profile_db *db, const char *region, const char *name);

/* An event that waits to be published. */
struct outbox_event {
    int64_t id;
    char *routing_key;
    char *body; /* JSON */
};

/* The oldest event that this process should publish, into *event, the caller's until outbox_event_fini: one of its own,
 * or one that another left behind for seconds. DB_NOT_FOUND when there is none. */
enum db_result profile_db_outbox_first(struct profile_db *db, struct outbox_event *event);
void outbox_event_fini(struct outbox_event *event);

/* Forgets an event that was published. */
enum db_result profile_db_outbox_delete(struct profile_db *db, int64_t id);

/* How many events wait; -1 if the database cannot say. */
int64_t profile_db_outbox_count(struct profile_db *db);

#endif
