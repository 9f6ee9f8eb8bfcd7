/*
 * slow_db.h - a database that takes its time, as others do over a network: each query is a timer of the event loop.
 * It knows every key but those that begin with "missing". One thread: the loop's.
 */
#ifndef EVENTLOOP_SLOW_DB_H
#define EVENTLOOP_SLOW_DB_H

#include <ev.h>
#include <stddef.h>

struct slow_db;

enum slow_db_result { SLOW_DB_FOUND, SLOW_DB_MISSING, SLOW_DB_STOPPED };

/* The end of a query, in a later turn of the loop. `value` is valid for the call; NULL unless it was found. */
typedef void slow_db_done(enum slow_db_result result, const char *value, void *context);

/* NULL without memory. */
struct slow_db *slow_db_open(struct ev_loop *loop, double seconds_per_query);
/* What is under way ends with SLOW_DB_STOPPED. */
void slow_db_close(struct slow_db *db);

/* The key is copied. Returns false without memory; then `done` is not called. */
int slow_db_query(struct slow_db *db, const char *key, size_t key_size, slow_db_done *done, void *context);

#endif
