/*
 * actor.c - what a thread of a round does: calls, drawn by the plan's weights, each noted before and after.
 */
#include "world.h"

#include <sched.h>

_Thread_local struct actor *self;

/* ---- Noting ---- */

struct op *op_begin(struct actor *actor, enum operation kind, unsigned key)
{
    struct history *history = &actor->history;
    if (history->count == history->room)
        support_fail("a thread's history is full");
    struct op *op = &history->ops[history->count++];
    *op = (struct op){.kind = (uint8_t)kind, .key = (uint8_t)key, .thread = (uint8_t)actor->number};
    op->outer = history->current;
    history->current = op;
    op->early_ms = clock_now(actor->world);
    op->began = tick(actor->world);
    return op;
}

void op_end(struct actor *actor, struct op *op)
{
    op->ended = tick(actor->world);
    op->late_ms = clock_now(actor->world);
    actor->history.current = op->outer;
}

uint32_t value_new(struct actor *actor, enum making making, unsigned key)
{
    if (actor->values == VALUES_EACH)
        support_fail("a thread has made too many values");
    uint32_t number = actor->number * VALUES_EACH + ++actor->values;
    struct value *value = value_at(actor->world, number);
    memset(value, 0, sizeof *value);
    value->making = (uint8_t)making;
    value->key = (uint8_t)key;
    value->thread = (uint8_t)actor->number;
    return number;
}

/* ---- Keeping and letting go ---- */

void actor_dawdle(struct actor *actor)
{
    if (random_below(&actor->random, 8) == 0)
        sched_yield();
}

static void let_go(struct actor *actor, unsigned at)
{
    uint32_t number = payload_number(actor->world, actor->held[at].entry);
    if (number != actor->held[at].value)
        world_wrong(actor->world, "value %u turned into %u while it was held", actor->held[at].value, number);
    quash_entry_release(actor->held[at].entry);
    actor->held[at] = actor->held[--actor->held_count];
}

static quash_entry *hand_over(struct actor *actor, quash_entry *entry)
{
    return atomic_exchange(&actor->world->handed_over[random_below(&actor->random, HANDED_OVER)], entry);
}

void actor_keep(struct actor *actor, quash_entry *entry, uint32_t number)
{
    uint64_t choice = random_below(&actor->random, 64);
    if (choice < 32) {
        quash_entry_release(entry);
        return;
    }
    if (choice < 34)
        quash_entry_release(hand_over(actor, quash_entry_acquire(entry)));
    if (actor->held_count == HELD)
        let_go(actor, (unsigned)random_below(&actor->random, HELD));
    actor->held[actor->held_count].entry = entry;
    actor->held[actor->held_count++].value = number;
    if (actor->held_count > 1 && choice % 8 != 0)
        let_go(actor, (unsigned)random_below(&actor->random, actor->held_count));
}

void actor_release_all(struct actor *actor)
{
    while (actor->held_count != 0)
        let_go(actor, 0);
}

/* ---- Calls ---- */

static void act_get(struct actor *actor, unsigned key)
{
    const uint32_t bytes = key;
    struct op *op = op_begin(actor, DO_GET, key);
    quash_entry *entry = quash_cache_get(actor->world->cache, &bytes, sizeof bytes);
    op_end(actor, op);
    if (entry == NULL)
        return;
    op->answer = payload_number(actor->world, entry);
    actor_keep(actor, entry, op->answer);
}

static void act_contains(struct actor *actor, unsigned key)
{
    const uint32_t bytes = key;
    struct op *op = op_begin(actor, DO_CONTAINS, key);
    op->status = quash_cache_contains(actor->world->cache, &bytes, sizeof bytes);
    op_end(actor, op);
}

static void act_remove(struct actor *actor, unsigned key)
{
    const uint32_t bytes = key;
    struct op *op = op_begin(actor, DO_REMOVE, key);
    op->status = quash_cache_remove(actor->world->cache, &bytes, sizeof bytes);
    op_end(actor, op);
}

void act_clear(struct actor *actor)
{
    struct op *op = op_begin(actor, DO_CLEAR, 0);
    quash_cache_clear(actor->world->cache);
    op_end(actor, op);
}

struct walk {
    struct actor *actor;
    uint32_t met[KEYS_MAX];
    instant met_at[KEYS_MAX];
};

static bool meet(const void *key, size_t key_size, quash_entry *entry, void *context)
{
    struct walk *walk = context;
    struct actor *actor = walk->actor;
    uint32_t bytes = KEYS_MAX, number = payload_number(actor->world, entry);
    if (key_size == sizeof bytes)
        memcpy(&bytes, key, sizeof bytes);
    if (bytes >= actor->world->plan.keys) {
        world_wrong(actor->world, "each met a key that nobody has used");
        return false;
    }
    if (walk->met[bytes] != 0)
        world_wrong(actor->world, "each met key %u twice: values %u and %u", bytes, walk->met[bytes], number);
    walk->met[bytes] = number;
    walk->met_at[bytes] = tick(actor->world);
    actor_dawdle(actor);
    return true;
}

/* One line of the history for each key: as if each had been asked for. */
static void act_each(struct actor *actor)
{
    struct walk walk = {.actor = actor};
    struct op *first = op_begin(actor, DO_EACH, 0);
    quash_status status = quash_cache_each(actor->world->cache, meet, &walk);
    op_end(actor, first);
    first->status = (int)status;
    const struct op whole = *first;
    for (unsigned key = 0; key < actor->world->plan.keys; key++) {
        struct op *op = first;
        if (key != 0) {
            if (actor->history.count == actor->history.room)
                support_fail("a thread's history is full");
            op = &actor->history.ops[actor->history.count++];
            *op = whole;
        }
        op->key = (uint8_t)key;
        op->answer = walk.met[key];
        if (op->answer != 0)
            op->ended = walk.met_at[key];
    }
}

static void act_advance(struct actor *actor)
{
    struct op *op = op_begin(actor, DO_ADVANCE, 0);
    atomic_fetch_add(&actor->world->common->now_ms, 1 + random_below(&actor->random, actor->world->plan.step_ms));
    op_end(actor, op);
}

static void act_maintain(struct actor *actor)
{
    struct op *op = op_begin(actor, DO_MAINTAIN, 0);
    op->status = quash_cache_maintain(actor->world->cache, (size_t)random_below(&actor->random, 2000));
    op_end(actor, op);
}

void act_maintain_all(struct actor *actor)
{
    /* To the end of what others have begun: "all" counts from the first call after that. */
    while (quash_cache_maintain(actor->world->cache, 1000))
        ;
    struct op *op = op_begin(actor, DO_MAINTAIN, 0);
    while (quash_cache_maintain(actor->world->cache, 1000))
        ;
    op_end(actor, op);
}

static void act_resize(struct actor *actor)
{
    struct op *op = op_begin(actor, DO_RESIZE, 0);
    op->status = (int)quash_cache_resize(actor->world->cache, 200 + random_below(&actor->random, 2800));
    op_end(actor, op);
}

static void act_stats(struct actor *actor)
{
    struct op *op = op_begin(actor, DO_STATS, 0);
    quash_cache_stats stats = stats_of(actor->world->cache);
    op_end(actor, op);
    /* Where the bound moves, it may have been larger a moment ago. */
    size_t bound = actor->world->plan.theme == THEME_TIGHT ? 3000 : actor->world->plan.cache.max_bytes;
    if (stats.bytes > bound)
        world_wrong(actor->world, "the cache counts %zu bytes; its bound is %zu", (size_t)stats.bytes, bound);
}

void actor_intrude(struct actor *actor)
{
    unsigned key = (unsigned)random_below(&actor->random, actor->world->plan.keys);
    switch (random_below(&actor->random, 64)) {
    case 0:
        act_remove(actor, key);
        break;
    case 1:
    case 2:
    case 3:
        act_cancel(actor);
        break;
    case 4:
    case 5:
        act_get(actor, key);
        break;
    case 6:
        act_put(actor, key);
        break;
    case 7:
        act_advance(actor);
        break;
    default:
        actor_dawdle(actor);
        break;
    }
}

/* ---- A round ---- */

static enum operation draw(struct actor *actor)
{
    const struct plan *plan = &actor->world->plan;
    uint64_t at = random_below(&actor->random, plan->weights);
    unsigned kind = 0;
    for (; at >= plan->weight[kind]; kind++)
        at -= plan->weight[kind];
    return (enum operation)kind;
}

static void act(struct actor *actor)
{
    unsigned key = (unsigned)random_below(&actor->random, actor->world->plan.keys);
    switch (draw(actor)) {
    case DO_LOAD:
        /* Whoever holds a fill open must not wait for another's. */
        if (actor->open_count == 0)
            act_load(actor, key);
        else
            act_end_fill(actor, true);
        break;
    case DO_BEGIN:
        act_begin(actor, key);
        break;
    case DO_NOTICE:
        act_notices(actor);
        break;
    case DO_FILL:
        act_fill(actor, key);
        break;
    case DO_COMMIT:
        act_end_fill(actor, true);
        break;
    case DO_ABANDON:
        act_end_fill(actor, false);
        break;
    case DO_PUT:
        act_put(actor, key);
        break;
    case DO_CONTAINS:
        act_contains(actor, key);
        break;
    case DO_EACH:
        act_each(actor);
        break;
    case DO_REMOVE:
        act_remove(actor, key);
        break;
    case DO_CLEAR:
        act_clear(actor);
        break;
    case DO_CANCEL:
        act_cancel(actor);
        break;
    case DO_REPLACE:
        if (actor->number == 0)
            act_replace(actor);
        break;
    case DO_ADVANCE:
        act_advance(actor);
        break;
    case DO_MAINTAIN:
        act_maintain(actor);
        break;
    case DO_RESIZE:
        act_resize(actor);
        break;
    case DO_STATS:
        act_stats(actor);
        break;
    default:
        act_get(actor, key);
        break;
    }
}

void actor_run(struct actor *actor)
{
    while (actor->history.count < actor->world->plan.operations)
        act(actor);
}

void actor_finish(struct actor *actor)
{
    while (actor->open_count != 0)
        act_end_fill(actor, true);
}
