/*
 * model_build.c - putting the threads' histories together, by key, and working out when which value surely was there.
 */
#include "model.h"

#include <stdlib.h>

#define OPS_ALL    (ACTORS_MAX * HISTORY_EACH)
#define VALUES_ALL (ACTORS_MAX * VALUES_EACH)

static void *need(void *memory)
{
    if (memory == NULL)
        support_fail("no memory");
    return memory;
}

void model_init(struct model *model)
{
    memset(model, 0, sizeof *model);
    model->ops = need(calloc(OPS_ALL, sizeof(const struct op *)));
    model->lives = need(calloc(VALUES_ALL, sizeof *model->lives));
}

void model_fini(struct model *model)
{
    for (unsigned key = 0; key < KEYS_MAX; key++) {
        free(model->keys[key].ops);
        free(model->keys[key].values);
        free(model->keys[key].zones);
        spans_free(&model->keys[key].voiding);
    }
    for (unsigned name = 0; name < NAMES; name++)
        spans_free(&model->cancels[name]);
    spans_free(&model->any_cancel);
    free(model->blind.span);
    free(model->lives);
    free(model->ops);
}

static int compare(instant a, instant b)
{
    return a < b ? -1 : a > b;
}

static int by_began(const void *a, const void *b)
{
    return compare((*(const struct op *const *)a)->began, (*(const struct op *const *)b)->began);
}

static int by_from(const void *a, const void *b)
{
    return compare(((const struct zone *)a)->from, ((const struct zone *)b)->from);
}

/* ---- Operations ---- */

static void gather(struct model *model)
{
    const struct world *world = model->world;
    model->op_count = 0;
    for (unsigned i = 0; i < ACTORS_MAX; i++) {
        for (unsigned at = 0; at < world->actors[i].history.count; at++)
            model->ops[model->op_count++] = &world->actors[i].history.ops[at];
    }
    for (unsigned at = 0; at < world->common->ops_count; at++)
        model->ops[model->op_count++] = &world->common->ops[at];
    if (model->op_count != 0)
        qsort(model->ops, model->op_count, sizeof(const struct op *), by_began);
}

static bool names_a_key(const struct op *op)
{
    switch ((enum operation)op->kind) {
    case DO_CLEAR:
    case DO_CANCEL:
    case DO_REPLACE:
    case DO_RETIRE:
    case DO_ADVANCE:
    case DO_MAINTAIN:
    case DO_RESIZE:
    case DO_STATS:
        return false;
    default:
        return true;
    }
}

static void split_by_key(struct model *model)
{
    size_t count[KEYS_MAX] = {0};
    for (size_t i = 0; i < model->op_count; i++)
        count[model->ops[i]->key] += names_a_key(model->ops[i]);
    for (unsigned key = 0; key < KEYS_MAX; key++) {
        struct key_history *history = &model->keys[key];
        history->ops = need(realloc(history->ops, (count[key] + 1) * sizeof(const struct op *)));
        history->op_count = 0;
    }
    for (size_t i = 0; i < model->op_count; i++) {
        struct key_history *history = &model->keys[model->ops[i]->key];
        if (names_a_key(model->ops[i]))
            history->ops[history->op_count++] = model->ops[i];
    }
}

/* ---- What makes values obsolete ---- */

static void add_cancel(struct model *model, const struct op *op)
{
    for (unsigned name = 0; name < NAMES; name++) {
        /* One that found no table to cancel in may have done so before the table went away. */
        if (op->names & 1u << name)
            spans_add(&model->cancels[name], op->began, op->ended, op->status == QUASH_OK);
    }
    spans_add(&model->any_cancel, op->began, op->ended, false);
}

/* What has been stamped before is obsolete once its table was retired, or another was found. */
static void add_replacement(struct model *model, const struct op *op)
{
    spans_add(&model->cancels[NAME_ALL], op->began, op->ended, true);
    spans_add(&model->any_cancel, op->began, op->ended, true);
    if (!op->stale)
        return;
    struct span_list *blind = &model->blind;
    if (blind->count == blind->room) {
        blind->room = 2 * blind->room + 16;
        blind->span = need(realloc(blind->span, blind->room * sizeof *blind->span));
    }
    blind->span[blind->count++] = (struct span){op->began, op->ended};
}

static void add_obsoleting(struct model *model)
{
    for (unsigned name = 0; name < NAMES; name++)
        spans_clear(&model->cancels[name]);
    for (unsigned key = 0; key < KEYS_MAX; key++)
        spans_clear(&model->keys[key].voiding);
    spans_clear(&model->any_cancel);
    model->blind.count = 0;
    for (size_t i = 0; i < model->op_count; i++) {
        const struct op *op = model->ops[i];
        if (op->kind == DO_CANCEL)
            add_cancel(model, op);
        else if (op->kind == DO_REPLACE || op->kind == DO_RETIRE)
            add_replacement(model, op);
        else if (op->kind == DO_REMOVE || op->kind == DO_PUT)
            spans_add(&model->keys[op->key].voiding, op->began, op->ended, true);
        for (unsigned key = 0; op->kind == DO_CLEAR && key < KEYS_MAX; key++)
            spans_add(&model->keys[key].voiding, op->began, op->ended, true);
    }
    for (unsigned name = 0; name < NAMES; name++)
        spans_ready(&model->cancels[name]);
    for (unsigned key = 0; key < KEYS_MAX; key++)
        spans_ready(&model->keys[key].voiding);
    spans_ready(&model->any_cancel);
}

/* ---- Values ---- */

static const struct world *sorting; /* for by_making; this program has one model at work at a time */

static int by_making(const void *a, const void *b)
{
    return compare(value_at(sorting, *(const uint32_t *)a)->stamp_early,
                   value_at(sorting, *(const uint32_t *)b)->stamp_early);
}

static void gather_values(struct model *model)
{
    const struct world *world = model->world;
    size_t count[KEYS_MAX] = {0};
    for (unsigned i = 0; i < ACTORS_MAX; i++) {
        for (unsigned at = 0; at < world->actors[i].values; at++)
            count[value_at(world, i * VALUES_EACH + at + 1)->key]++;
    }
    for (unsigned key = 0; key < KEYS_MAX; key++) {
        struct key_history *history = &model->keys[key];
        history->value_count = 0;
        history->values = need(realloc(history->values, (count[key] + 1) * sizeof *history->values));
        history->zones = need(realloc(history->zones, (count[key] + 1) * sizeof *history->zones));
    }
    for (unsigned i = 0; i < ACTORS_MAX; i++) {
        for (unsigned at = 0; at < world->actors[i].values; at++) {
            uint32_t number = i * VALUES_EACH + at + 1;
            struct key_history *history = &model->keys[value_at(world, number)->key];
            history->values[history->value_count++] = number;
        }
    }
    sorting = world;
    for (unsigned key = 0; key < KEYS_MAX; key++) {
        if (model->keys[key].value_count != 0)
            qsort(model->keys[key].values, model->keys[key].value_count, sizeof(uint32_t), by_making);
    }
}

bool op_met(const struct model *model, const struct op *op)
{
    switch ((enum operation)op->kind) {
    case DO_GET:
    case DO_BEGIN:
    case DO_EACH:
        return op->answer != 0;
    case DO_LOAD:
        /* Else it may have waited for that load. */
        return op->answer != 0 && op->answer != op->made && !op->stale &&
               value_at(model->world, op->answer)->end_late < op->began;
    default:
        return false;
    }
}

/* From the end of the call that added it to the beginning of the one that took it out; longer, if it was met. */
static void work_out_lives(struct model *model, struct key_history *history)
{
    for (size_t i = 0; i < history->value_count; i++) {
        uint32_t number = history->values[i];
        const struct value *value = value_at(model->world, number);
        model->lives[number - 1] = (struct zone){value->end_late, value->told_after, number};
    }
    for (size_t i = 0; i < history->op_count; i++) {
        const struct op *op = history->ops[i];
        if (!op_met(model, op))
            continue;
        struct zone *life = &model->lives[op->answer - 1];
        if (op->ended < life->from)
            life->from = op->ended;
        if (op->began > life->to)
            life->to = op->began;
    }
    history->zone_count = 0;
    for (size_t i = 0; i < history->value_count; i++) {
        const struct zone *life = &model->lives[history->values[i] - 1];
        const struct value *value = value_at(model->world, life->number);
        if (value->outcome == OUTCOME_VALUE && value->told != 0 && life->from < life->to)
            history->zones[history->zone_count++] = *life;
    }
    if (history->zone_count != 0)
        qsort(history->zones, history->zone_count, sizeof *history->zones, by_from);
}

void model_build(struct model *model, const struct world *world)
{
    model->world = world;
    gather(model);
    split_by_key(model);
    add_obsoleting(model);
    gather_values(model);
    for (unsigned key = 0; key < KEYS_MAX; key++)
        work_out_lives(model, &model->keys[key]);
}
