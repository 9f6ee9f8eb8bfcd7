/*
 * check_totals.c - what the cache says about itself, when nothing goes on any more, against what has happened.
 */
#include "check.h"
#include "report.h"

struct totals {
    uint64_t gets, loads, begins;         /* lookups */
    uint64_t met, may_have_met;           /* those that surely were hits; that may have been besides */
    uint64_t loaded, failed;              /* fills that ended with a value or "absent"; without */
    uint64_t told[QUASH_EVICTIONS], left; /* values, by reason; in all */
    uint64_t cleared, cleared_bytes;      /* by the last clear */
    uint64_t late;                        /* told by the cache's own thread when the statistics had been read already */
};

/* What a value of this make counts, as measured in a cache of its own. */
static uint64_t charge(const struct model *model, const struct value *value)
{
    static uint64_t known[5][2][2][PAYLOAD_BYTES_MAX + 1];
    bool lives = value->sliding_ms != QUASH_SLIDING_NONE || model->world->plan.cache.fail_safe_ms != 0;
    uint64_t *bytes = &known[value->groups][lives][value->is_object][value->size];
    if (*bytes != 0)
        return *bytes;
    quash_cache *cache = new_cache();
    quash_entry_options options = QUASH_ENTRY_OPTIONS_INIT;
    options.sliding_ms = lives ? 1000 : QUASH_SLIDING_NONE;
    quash_token *token;
    static unsigned char object[PAYLOAD_BYTES_MAX];
    uint32_t key = 0;
    quash_status status = quash_token_new(quash_cache_table(cache), &token);
    for (unsigned i = 0; i < value->groups && status == QUASH_OK; i++) {
        char text[NAME_SIZE];
        name_write(text, NAME_A + i, 0);
        status = quash_token_add(token, text);
    }
    if (status == QUASH_OK)
        status = value->is_object
                     ? quash_cache_put_object(cache, &key, sizeof key, token, object, NULL, NULL, value->size, &options)
                     : quash_cache_put(cache, &key, sizeof key, token, object, value->size, &options);
    if (status != QUASH_OK)
        support_fail("no value to measure");
    *bytes = stats_of(cache).bytes;
    quash_token_free(token);
    quash_cache_free(cache);
    return *bytes;
}

static void count_ops(const struct model *model, struct totals *totals)
{
    for (size_t i = 0; i < model->op_count; i++) {
        const struct op *op = model->ops[i];
        totals->gets += op->kind == DO_GET;
        totals->loads += op->kind == DO_LOAD;
        totals->begins += op->kind == DO_BEGIN;
        totals->met += (op->kind == DO_GET || op->kind == DO_BEGIN || op->kind == DO_LOAD) && op_met(model, op);
        totals->may_have_met += op->kind == DO_LOAD && !op_met(model, op);
    }
}

/* The call that cleared the cache at the end, and the one that looked for what is dead before that. */
static const struct op *last_of(const struct model *model, enum operation kind)
{
    const struct history *history = &model->world->actors[MAIN].history;
    for (unsigned i = history->count; i-- > 0;) {
        if (history->ops[i].kind == kind)
            return &history->ops[i];
    }
    support_fail("a round did not end as it must");
}

static bool is_at(const struct value *value, const struct op *op)
{
    return value->told_in == op->kind && value->told_after == op->began;
}

static void count_values(const struct model *model, struct totals *totals)
{
    const struct op *clear = last_of(model, DO_CLEAR);
    for (unsigned key = 0; key < KEYS_MAX; key++) {
        const struct key_history *history = &model->keys[key];
        for (size_t i = 0; i < history->value_count; i++) {
            const struct value *value = value_at(model->world, history->values[i]);
            if (value->making != MADE_BY_PUT) {
                totals->loaded += value->outcome == OUTCOME_VALUE || value->outcome == OUTCOME_ABSENT;
                totals->failed += value->outcome == OUTCOME_FAILED;
            }
            if (value->told == 0)
                continue;
            totals->left++;
            totals->told[value->told_reason]++;
            totals->late += value->told_in == OPERATIONS && value->told_at > clear->ended;
            if (is_at(value, clear)) {
                totals->cleared++;
                totals->cleared_bytes += charge(model, value);
            }
        }
    }
}

static void expect(const struct model *model, unsigned *told, const char *what, uint64_t said, uint64_t least,
                   uint64_t most)
{
    if (said < least || said > most)
        report(model, told, NULL, 0, "the statistics say %llu %s; it can be %llu to %llu", (unsigned long long)said,
               what, (unsigned long long)least, (unsigned long long)most);
}

/* Maintenance has been all around when nothing else went on: what it left was not dead. */
static void check_maintained(const struct model *model, unsigned *told)
{
    const struct op *clear = last_of(model, DO_CLEAR);
    const struct op *maintain = last_of(model, DO_MAINTAIN);
    const quash_cache_options *cache = &model->world->plan.cache;
    for (unsigned key = 0; key < KEYS_MAX; key++) {
        const struct key_history *history = &model->keys[key];
        for (size_t i = 0; i < history->value_count; i++) {
            uint32_t number = history->values[i];
            const struct value *value = value_at(model->world, number);
            struct question question = {
                key, maintain->began, maintain->ended, maintain->early_ms, maintain->late_ms, history->op_count};
            if (value->told == 0 || !is_at(value, clear))
                continue;
            uint64_t expires_ms = model_expires_late(model, number, &question);
            if (!cache->fail_safe_cancelled && model_cancelled(model, value, maintain->began))
                report(model, told, maintain, number, "maintenance left value %u, which was cancelled", number);
            if (expires_ms <= maintain->early_ms && maintain->early_ms - expires_ms >= cache->fail_safe_ms)
                report(model, told, maintain, number, "maintenance left value %u, which had expired", number);
        }
    }
}

static void check_waits(const struct model *model, unsigned *told)
{
    for (unsigned i = 0; i < model->world->plan.workers; i++) {
        const struct actor *actor = &model->world->actors[i];
        for (unsigned at = 0; at < actor->wait_count; at++) {
            const struct wait *wait = &actor->waits[at];
            if (wait->notices > 1 || (wait->notices == 0 && !wait->forgotten))
                report(model, told, &actor->history.ops[wait->op], 0, "one who waited had %u notices", wait->notices);
        }
    }
}

void check_totals(const struct model *model, unsigned *told)
{
    const struct world *world = model->world;
    const struct plan *plan = &world->plan;
    const quash_cache_stats *end = &world->at_end, *before = &world->before_clear;
    const uint64_t any = UINT64_MAX;
    const uint64_t absent = world->told_absent;
    struct totals totals = {0};
    count_ops(model, &totals);
    count_values(model, &totals);

    uint64_t lookups = totals.gets + totals.loads + totals.begins;
    uint64_t misses = end->misses_absent + end->misses_expired + end->misses_cancelled + end->misses_collateral +
                      end->misses_detached;
    expect(model, told, "hits and misses", end->hits + end->hits_absent + misses, lookups, lookups);
    expect(model, told, "hits", end->hits, totals.met, totals.met + totals.may_have_met);
    expect(model, told, "loads", end->loads, totals.loaded, totals.loaded);
    expect(model, told, "failed loads", end->loads_failed, totals.failed, totals.failed);
    expect(model, told, "collateral misses", end->misses_collateral, 0, plan->forgetful ? any : 0);
    expect(model, told, "detached misses", end->misses_detached, 0, plan->theme == THEME_SHARED ? any : 0);
    expect(model, told, "hits that stood in", end->hits_stale, 0, plan->cache.fail_safe_ms != 0 ? any : 0);
    expect(model, told, "refreshes", end->loads_refreshed, 0, plan->cache.eager_percent != 0 ? any : 0);
    expect(model, told, "waits that timed out", end->waits_timed_out, 0, plan->cache.soft_timeout_ms != 0 ? any : 0);
    expect(model, told, "refused values", end->refused, 0, plan->theme == THEME_TIGHT ? any : 0);

    /* The cache's own thread may be telling even now. */
    bool thread = plan->cache.maintenance_thread;
    uint64_t evicted = 0, late = totals.late + (thread ? absent : 0);
    for (unsigned reason = 0; reason < QUASH_EVICTIONS; reason++) {
        evicted += end->evicted[reason];
        expect(model, told, "evictions for one reason", end->evicted[reason],
               totals.told[reason] > late ? totals.told[reason] - late : 0, totals.told[reason] + absent);
    }
    expect(model, told, "evictions", evicted, totals.left + absent - late, totals.left + absent);
    expect(model, told, "entries after a clear", end->entries, 0, 0);
    expect(model, told, "bytes after a clear", end->bytes, 0, 0);
    expect(model, told, "entries", before->entries, totals.cleared, thread ? any : totals.cleared + absent);
    expect(model, told, "bytes", before->bytes, totals.cleared_bytes,
           thread || absent != 0 ? any : totals.cleared_bytes);
    if (world->objects_made != world->objects_destroyed)
        report(model, told, NULL, 0, "%llu objects were made, %llu destroyed", (unsigned long long)world->objects_made,
               (unsigned long long)world->objects_destroyed);
    check_waits(model, told);
    if (!thread)
        check_maintained(model, told);
}

unsigned check_round(const struct model *model)
{
    unsigned told = 0;
    if (model->world->wrong[0] != '\0')
        report(model, &told, NULL, 0, "%s", model->world->wrong);
    for (unsigned key = 0; key < model->world->plan.keys; key++) {
        check_answers(model, key, &told);
        check_values(model, key, &told);
        check_flights(model, key, &told);
    }
    check_totals(model, &told);
    return told;
}
