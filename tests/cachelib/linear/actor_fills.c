/*
 * actor_fills.c - a thread's calls that make values: loads, fills, puts; and the notices of other's loads.
 */
#include "world.h"

/* ---- Values ---- */

/* Draws what the value is to be. */
static void value_draw(struct actor *actor, struct value *value)
{
    static const uint32_t sizes[] = {24, 24, 100, PAYLOAD_BYTES_MAX};
    const struct plan *plan = &actor->world->plan;
    uint64_t random = random_next(&actor->random);
    uint32_t groups = names_draw_groups(random);
    value->depends = groups;
    for (uint32_t rest = groups; rest != 0; rest &= rest - 1)
        value->groups++;
    random = random_next(&actor->random);
    value->size = sizes[random & 3];
    value->is_object = (random >> 2 & 7) == 0;
    value->unguarded = value->making != MADE_BY_PUT && (random >> 5 & 127) == 0;
    static const uint64_t ttls[] = {QUASH_TTL_DEFAULT, QUASH_TTL_DEFAULT, QUASH_TTL_FOREVER, 1, 20, 50, 100, 400};
    value->ttl_ms = ttls[random >> 12 & 7];
    value->sliding_ms = QUASH_SLIDING_NONE;
    if ((random >> 15) % 100 < plan->sliding_percent)
        value->sliding_ms = 5 + (random >> 32) % 60;
    value->priority = plan->theme == THEME_TIGHT ? (uint8_t)(random >> 24 & 3) : QUASH_PRIORITY_NORMAL;
    if (value->priority == QUASH_PRIORITY_NEVER_REMOVE && !plan->never_remove)
        value->priority = QUASH_PRIORITY_HIGH;
}

static quash_entry_options value_options(const struct value *value)
{
    quash_entry_options options = QUASH_ENTRY_OPTIONS_INIT;
    options.ttl_ms = value->ttl_ms;
    options.sliding_ms = value->sliding_ms;
    options.priority = (quash_priority)value->priority;
    return options;
}

/* What the options leave to the cache is written down as what the cache says. */
static void value_settle(const struct world *world, struct value *value)
{
    const quash_cache_options *cache = &world->plan.cache;
    if (value->ttl_ms == QUASH_TTL_DEFAULT)
        value->ttl_ms = value->outcome == OUTCOME_ABSENT ? cache->absent_ttl_ms : cache->ttl_ms;
    value->depends = names_implied(value->depends);
}

static void fill_name_groups(const struct value *value, quash_fill *fill)
{
    char text[NAME_SIZE];
    for (unsigned name = NAME_A; name < NAMES; name++) {
        if (!(value->depends & 1u << name))
            continue;
        name_write(text, name, 0);
        if (quash_fill_add_group(fill, text) != QUASH_OK)
            support_fail("a group could not be named");
    }
    for (unsigned i = 0; value->unguarded && i <= QUASH_TOKEN_GROUPS_MAX; i++) {
        name_write(text, NAME_UNRELATED, 1000 + i);
        if (quash_fill_add_group(fill, text) != QUASH_OK && i + value->groups < QUASH_TOKEN_GROUPS_MAX)
            support_fail("a group could not be named");
    }
}

/* Gives the fill its value, as drawn. */
static void fill_furnish(struct actor *actor, uint32_t number, quash_fill *fill)
{
    struct world *world = actor->world;
    struct value *value = value_at(world, number);
    value_draw(actor, value);
    quash_entry_options options = value_options(value);
    fill_name_groups(value, fill);
    quash_status status = quash_fill_set_options(fill, &options);
    value->outcome = random_below(&actor->random, 16) == 0 ? OUTCOME_ABSENT : OUTCOME_VALUE;
    if (value->outcome == OUTCOME_ABSENT) {
        status = quash_fill_set_absent(fill);
    } else if (value->is_object) {
        void *object = payload_object(world, number, value);
        if (status == QUASH_OK)
            status = quash_fill_set_object(fill, object, payload_destroy, world, value->size);
    } else if (status == QUASH_OK) {
        unsigned char bytes[PAYLOAD_BYTES_MAX];
        payload_write(bytes, number, value);
        status = quash_fill_set_bytes(fill, bytes, value->size);
    }
    if (status != QUASH_OK)
        support_fail("a fill could not be given its value");
    value_settle(world, value);
}

/* ---- Loads ---- */

struct load_call {
    unsigned key;
    instant asked;
    uint64_t asked_ms;
};

/* The status of a failed load says which load it was. */
static quash_status failure(struct value *value, uint32_t number)
{
    value->outcome = OUTCOME_FAILED;
    return (quash_status)(QUASH_STATUS_USER + number);
}

static quash_status load(quash_fill *fill, void *context)
{
    struct actor *actor = self;
    struct world *world = actor->world;
    const struct load_call *call = context;
    uint32_t number = value_new(actor, MADE_BY_LOAD, call->key);
    struct value *value = value_at(world, number);
    struct op *op = actor->history.current;
    op->made = number;
    op->key = (uint8_t)call->key;
    op->loads++;
    value->stamp_early = call->asked;
    value->began_early_ms = call->asked_ms;
    value->stamp_late = tick(world);
    value->began_late_ms = clock_now(world);
    actor_intrude(actor);
    quash_status status = QUASH_OK;
    if (random_below(&actor->random, 16) == 0)
        status = failure(value, number);
    else
        fill_furnish(actor, number, fill);
    value->kept_early_ms = clock_now(world);
    value->end_early = tick(world);
    return status == QUASH_OK && value->outcome == OUTCOME_ABSENT ? QUASH_ABSENT : status;
}

/* After the call in which a load ran. */
static void load_ended(const struct world *world, const struct op *op)
{
    if (op->made == 0)
        return;
    struct value *value = value_at(world, op->made);
    value->end_late = op->ended;
    value->kept_late_ms = op->late_ms;
}

void act_load(struct actor *actor, unsigned key)
{
    struct world *world = actor->world;
    const uint32_t bytes = key;
    quash_get_options options = QUASH_GET_OPTIONS_INIT;
    quash_entry *entry = NULL;
    bool stale = false;
    options.context_size = sizeof(struct load_call);
    options.stale = &stale;
    struct op *op = op_begin(actor, DO_LOAD, key);
    struct load_call call = {key, op->began, op->early_ms};
    op->status = (int)quash_cache_get_or_load(world->cache, &bytes, sizeof bytes, load, &call, &options, &entry);
    op_end(actor, op);
    load_ended(world, op);
    if (op->status != QUASH_OK)
        return;
    op->stale = stale;
    op->answer = payload_number(world, entry);
    actor_keep(actor, entry, op->answer);
}

/* ---- Fills ---- */

static void fill_opened(struct actor *actor, struct op *op, quash_fill *fill)
{
    op->made = value_new(actor, MADE_BY_FILL, op->key);
    struct value *value = value_at(actor->world, op->made);
    value->stamp_early = op->began;
    value->stamp_late = op->ended;
    value->began_early_ms = op->early_ms;
    value->began_late_ms = op->late_ms;
    actor->open[actor->open_count].fill = fill;
    actor->open[actor->open_count++].value = op->made;
}

void act_fill(struct actor *actor, unsigned key)
{
    const uint32_t bytes = key;
    quash_fill *fill;
    if (actor->open_count == OPEN_FILLS) {
        act_end_fill(actor, true);
        return;
    }
    struct op *op = op_begin(actor, DO_FILL, key);
    op->status = (int)quash_fill_begin(actor->world->cache, &bytes, sizeof bytes, &fill);
    op_end(actor, op);
    if (op->status == QUASH_OK)
        fill_opened(actor, op, fill);
}

void act_begin(struct actor *actor, unsigned key)
{
    struct world *world = actor->world;
    const uint32_t bytes = key;
    if (actor->open_count == OPEN_FILLS) {
        act_end_fill(actor, true);
        return;
    }
    struct wait *wait = &actor->waits[actor->wait_count];
    quash_entry *entry;
    quash_fill *fill;
    struct op *op = op_begin(actor, DO_BEGIN, key);
    *wait = (struct wait){.op = (uint32_t)(op - actor->history.ops)};
    op->status =
        (int)quash_cache_get_or_begin(world->cache, &bytes, sizeof bytes, actor->notifier, wait, &entry, &fill);
    op_end(actor, op);
    if (fill != NULL)
        fill_opened(actor, op, fill);
    if (op->status == QUASH_BUSY)
        actor->wait_count++;
    if ((op->status == QUASH_OK) != (entry != NULL) || (op->status == QUASH_MISS && fill == NULL))
        world_wrong(world, "get_or_begin of key %u answered %d with the wrong outputs", key, op->status);
    if (entry == NULL)
        return;
    op->answer = payload_number(world, entry);
    actor_keep(actor, entry, op->answer);
}

void act_end_fill(struct actor *actor, bool commit)
{
    struct world *world = actor->world;
    if (actor->open_count == 0)
        return;
    unsigned at = (unsigned)random_below(&actor->random, actor->open_count);
    quash_fill *fill = actor->open[at].fill;
    uint32_t number = actor->open[at].value;
    actor->open[at] = actor->open[--actor->open_count];
    struct value *value = value_at(world, number);
    quash_status failed = QUASH_OK;
    if (commit)
        fill_furnish(actor, number, fill);
    else
        failed = failure(value, number);

    quash_entry *entry = NULL;
    bool kept = false;
    struct op *op = op_begin(actor, commit ? DO_COMMIT : DO_ABANDON, value->key);
    op->made = number;
    if (commit)
        op->status = (int)quash_fill_commit(fill, &entry, &kept);
    else
        quash_fill_abandon(fill, failed);
    op_end(actor, op);
    value->end_early = op->began;
    value->end_late = op->ended;
    value->kept_early_ms = op->early_ms;
    value->kept_late_ms = op->late_ms;
    value->kept = kept;
    if (entry == NULL)
        return;
    op->answer = payload_number(world, entry);
    actor_keep(actor, entry, op->answer);
}

/* ---- Puts ---- */

static quash_status put(struct actor *actor, uint32_t number, const quash_token *token)
{
    struct world *world = actor->world;
    const struct value *value = value_at(world, number);
    const uint32_t key = value->key;
    quash_entry_options options = value_options(value);
    if (value->is_object) {
        void *object = payload_object(world, number, value);
        quash_status status = quash_cache_put_object(world->cache, &key, sizeof key, token, object, payload_destroy,
                                                     world, value->size, &options);
        if (status != QUASH_OK)
            payload_destroy(object, world);
        return status;
    }
    unsigned char bytes[PAYLOAD_BYTES_MAX];
    payload_write(bytes, number, value);
    return quash_cache_put(world->cache, &key, sizeof key, token, bytes, value->size, &options);
}

void act_put(struct actor *actor, unsigned key)
{
    struct world *world = actor->world;
    uint32_t number = value_new(actor, MADE_BY_PUT, key);
    struct value *value = value_at(world, number);
    quash_token *token;
    value->stamp_early = tick(world);
    if (quash_token_new(world->table, &token) != QUASH_OK)
        support_fail("no token");
    value->stamp_late = tick(world);
    value_draw(actor, value);
    for (unsigned name = NAME_A; name <= NAME_BARE; name++) {
        char text[NAME_SIZE];
        name_write(text, name, 0);
        if (value->depends & 1u << name && quash_token_add(token, text) != QUASH_OK)
            support_fail("a group could not be named");
    }
    actor_dawdle(actor);
    struct op *op = op_begin(actor, DO_PUT, key);
    op->made = number;
    op->status = (int)put(actor, number, token);
    op_end(actor, op);
    quash_token_free(token);
    value->outcome = op->status == QUASH_OK ? OUTCOME_VALUE : OUTCOME_REFUSED;
    value_settle(world, value);
    value->end_early = op->began;
    value->end_late = op->ended;
    value->began_early_ms = value->kept_early_ms = op->early_ms;
    value->began_late_ms = value->kept_late_ms = op->late_ms;
}

/* ---- Notices ---- */

static void take_notice(struct actor *actor, const quash_notice *notice, struct op *op)
{
    struct world *world = actor->world;
    struct wait *wait = notice->tag;
    if (wait < actor->waits || wait >= actor->waits + actor->wait_count || wait->forgotten) {
        world_wrong(world, "a notice has a tag that nobody waits with, or that was forgotten");
        return;
    }
    wait->notices++;
    const struct op *asked = &actor->history.ops[wait->op];
    op->key = asked->key;
    op->asked = asked->began;
    op->early_ms = asked->early_ms;
    op->status = (int)notice->status;
    if ((notice->status == QUASH_OK) != (notice->entry != NULL))
        world_wrong(world, "a notice of status %d has the wrong entry", op->status);
    if (notice->entry == NULL)
        return;
    op->answer = payload_number(world, notice->entry);
    actor_keep(actor, notice->entry, op->answer);
}

void act_notices(struct actor *actor)
{
    if (actor->wait_count != 0 && random_below(&actor->random, 8) == 0) {
        struct wait *wait = &actor->waits[random_below(&actor->random, actor->wait_count)];
        quash_notifier_forget(actor->notifier, wait);
        wait->forgotten = true;
    }
    for (;;) {
        quash_notice notice;
        struct op *op = op_begin(actor, DO_NOTICE, 0);
        bool more = quash_notifier_next(actor->notifier, &notice);
        op_end(actor, op);
        if (!more) {
            actor->history.count--;
            return;
        }
        take_notice(actor, &notice, op);
    }
}
