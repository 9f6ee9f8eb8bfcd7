/*
 * actor_tables.c - a thread's calls that make values obsolete: cancellations, and another table in the place of the one
 * that they were stamped with.
 */
#include "world.h"

#include <sched.h>
#include <stdio.h>

void act_cancel(struct actor *actor)
{
    uint64_t random = random_next(&actor->random);
    char text[3][NAME_SIZE];
    const char *groups[3];
    size_t count = random % 16 == 0 ? 3 : 1;
    uint32_t names = 0;
    for (size_t i = 0; i < count; i++) {
        random >>= 5;
        unsigned draw = (unsigned)(random % 32);
        unsigned name = draw == 0   ? random >> 20 & 3 ? NAME_BARE : NAME_ALL
                        : draw < 3  ? NAME_KIND_A + draw - 1
                        : draw < 16 ? NAME_A + draw % (NAME_BARE - NAME_A + 1)
                                    : NAME_UNRELATED;
        names |= 1u << name;
        name_write(text[i], name, (unsigned)(random >> 8) % UNRELATED);
        groups[i] = text[i];
    }
    struct op *op = op_begin(actor, DO_CANCEL, 0);
    op->names = names;
    op->status = (int)quash_table_cancel_batch(actor->world->table, groups, count);
    op_end(actor, op);
}

/* Waits until the other process has found the new table. If that one's file were removed before, it would not find the
 * table at all, and cancel in the old one: who removes the files of tables that are in use by hand must not be faster
 * than those who use them. */
static void await_other(struct common *common)
{
    unsigned count = atomic_load(&common->ops_count);
    while (atomic_load(&common->ops_count) < count + 2 && count + 2 < OPERATIONS_MAX)
        sched_yield();
}

/* The worker goes away without a word, and another takes its place. */
static quash_status serve_anew(struct world *world, quash_error *error)
{
    bool fresh = false;
    quash_table_serve_options options = QUASH_TABLE_SERVE_OPTIONS_INIT;
    options.buckets = world->plan.buckets;
    quash_table_close(world->server);
    remove(world->place.path);
    sched_yield();
    return quash_table_serve(world->place.path, &options, &world->server, &fresh, error);
}

/* The file is removed under a worker that goes on: it retires the table, which the cache notices by itself. */
static quash_status retire(struct actor *actor, quash_error *error)
{
    struct op *op = op_begin(actor, DO_RETIRE, 0);
    remove(actor->world->place.path);
    actor_dawdle(actor);
    quash_status status = quash_table_refresh(actor->world->server, NULL, error);
    op_end(actor, op);
    return status;
}

/* Until it is told to look, the cache's handle has the old table for a while, or none. */
void act_replace(struct actor *actor)
{
    struct world *world = actor->world;
    quash_error error = {""};
    struct op *op = op_begin(actor, DO_REPLACE, 0);
    op->stale = random_below(&actor->random, 2) == 0;
    quash_status status = op->stale ? serve_anew(world, &error) : retire(actor, &error);
    if (status != QUASH_OK)
        support_fail(error.message);
    for (uint64_t i = random_below(&actor->random, 20); i > 0; i--)
        sched_yield();
    if (quash_table_refresh(world->table, NULL, &error) != QUASH_OK)
        support_fail(error.message);
    op_end(actor, op);
    await_other(world->common);
}
