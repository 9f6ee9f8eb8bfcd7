/* See slow_db.h. A value names the query that read it, so that one can see which answers came from the cache. */
#include "slow_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char MISSING[] = "missing";

struct query {
    ev_timer timer; /* first, so that a watcher leads to its query */
    struct slow_db *db;
    struct query *next;
    struct query *previous;
    slow_db_done *done;
    void *context;
    size_t key_size;
    char key[];
};

struct slow_db {
    struct ev_loop *loop;
    double seconds;
    unsigned long queries;
    struct query *pending;
};

struct slow_db *slow_db_open(struct ev_loop *loop, double seconds_per_query)
{
    struct slow_db *db = malloc(sizeof *db);
    if (db != NULL)
        *db = (struct slow_db){.loop = loop, .seconds = seconds_per_query};
    return db;
}

/* Ends a query: its owner may ask for another from within `done`. */
static void query_end(struct query *query, enum slow_db_result result, const char *value)
{
    ev_timer_stop(query->db->loop, &query->timer);
    if (query->previous != NULL)
        query->previous->next = query->next;
    else
        query->db->pending = query->next;
    if (query->next != NULL)
        query->next->previous = query->previous;
    query->done(result, value, query->context);
    free(query);
}

void slow_db_close(struct slow_db *db)
{
    if (db == NULL)
        return;
    for (struct query *query = db->pending, *next; query != NULL; query = next) {
        next = query->next;
        query_end(query, SLOW_DB_STOPPED, NULL);
    }
    free(db);
}

static void query_due(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct query *query = (struct query *)timer;
    char value[512];
    unsigned long number = ++query->db->queries;
    int size = (int)query->key_size;
    if (query->key_size >= sizeof MISSING - 1 && memcmp(query->key, MISSING, sizeof MISSING - 1) == 0) {
        query_end(query, SLOW_DB_MISSING, NULL);
        return;
    }
    snprintf(value, sizeof value, "%.*s, read by query %lu", size, query->key, number);
    query_end(query, SLOW_DB_FOUND, value);
}

int slow_db_query(struct slow_db *db, const char *key, size_t key_size, slow_db_done *done, void *context)
{
    struct query *query = malloc(sizeof *query + key_size);
    if (query == NULL)
        return 0;
    *query = (struct query){.db = db, .next = db->pending, .done = done, .context = context, .key_size = key_size};
    memcpy(query->key, key, key_size);
    if (db->pending != NULL)
        db->pending->previous = query;
    db->pending = query;
    ev_timer_init(&query->timer, query_due, db->seconds, 0);
    ev_timer_start(db->loop, &query->timer);
    return 1;
}
