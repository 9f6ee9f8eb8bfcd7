/*
 * check_values.c - each value's coming and leaving: kept unless there was a reason not to, told exactly once and for
 * the right reason, and never two of one key at a time.
 */
#include "check.h"
#include "report.h"

/* The question whether it was dead when it was told to have left. */
static struct question leaving(const struct value *value)
{
    return (struct question){value->key, value->told_after, value->told_at, 0, value->told_late_ms, 0};
}

static bool reason_holds(const struct model *model, uint32_t number, const struct value *value)
{
    const struct plan *plan = &model->world->plan;
    struct question question = leaving(value);
    const struct key_history *history = &model->keys[value->key];
    while (question.at < history->op_count && history->ops[question.at]->began < question.began)
        question.at++;
    bool same_key = value->told_in != DO_CLEAR && value->told_key == value->key;
    switch ((quash_eviction)value->told_reason) {
    case QUASH_EVICTION_REMOVED:
        return value->told_in == DO_CLEAR || (value->told_in == DO_REMOVE && same_key);
    case QUASH_EVICTION_REPLACED:
        return same_key && (value->told_in == DO_PUT || value->told_in == DO_COMMIT || value->told_in == DO_LOAD ||
                            value->told_in == DO_TASK);
    case QUASH_EVICTION_EXPIRED:
        return value->told_late_ms >= model_expires_early(model, number, &question);
    case QUASH_EVICTION_CANCELLED:
        return model_may_be_cancelled(model, value, value->told_at);
    case QUASH_EVICTION_CAPACITY:
        return plan->theme == THEME_TIGHT && value->priority != QUASH_PRIORITY_NEVER_REMOVE;
    }
    return false;
}

/* The call that made the value leave, if it is one of the value's key. */
static const struct op *left_in(const struct model *model, const struct value *value)
{
    const struct key_history *history = &model->keys[value->key];
    for (size_t i = 0; i < history->op_count && history->ops[i]->began <= value->told_after; i++) {
        if (history->ops[i]->began == value->told_after)
            return history->ops[i];
    }
    return NULL;
}

/* A remove that took out what was live says so. */
static bool remove_owns_up(const struct model *model, uint32_t number, const struct value *value)
{
    const struct op *op = left_in(model, value);
    if (op == NULL || op->kind != DO_REMOVE || op->status != 0)
        return true;
    const struct question question = question_of(model, op);
    return model_may_be_dead(model, number, &question);
}

static void check_left(const struct model *model, uint32_t number, const struct value *value, unsigned *told)
{
    if (value->told != 1)
        report(model, told, NULL, number, "value %u is told to have left %u times", number, value->told);
    else if (value->outcome != OUTCOME_VALUE)
        report(model, told, NULL, number, "value %u is told to have left, but was refused", number);
    else if (value->told_at < value->end_early)
        report(model, told, NULL, number, "value %u is told to have left before it was added", number);
    else if (!reason_holds(model, number, value))
        report(model, told, NULL, number, "value %u is told to have left for a reason that does not hold", number);
    else if (!remove_owns_up(model, number, value))
        report(model, told, left_in(model, value), number, "a remove took out value %u, and says there was none",
               number);
}

static void check_not_kept(const struct model *model, uint32_t number, const struct value *value, unsigned *told)
{
    struct question question = {value->key, value->end_late, value->end_late, 0, value->kept_late_ms, 0};
    if (value->unguarded || model->world->plan.theme == THEME_TIGHT ||
        model_may_be_cancelled(model, value, value->end_late) || model_may_be_voided(model, value) ||
        value->kept_late_ms >= model_expires_early(model, number, &question) ||
        (value->making == MADE_BY_LOAD && flight_may_be_private(model, number)))
        return;
    report(model, told, NULL, number, "value %u was not kept, and nothing says why", number);
}

static void check_value(const struct model *model, uint32_t number, unsigned *told)
{
    const struct value *value = value_at(model->world, number);
    if (value->making == MADE_BY_FILL && value->outcome == OUTCOME_VALUE && value->kept != (value->told != 0))
        report(model, told, NULL, number, "value %u was %s, says its fill", number, value->kept ? "kept" : "not kept");
    else if (value->told != 0)
        check_left(model, number, value, told);
    else if (value->outcome == OUTCOME_VALUE)
        check_not_kept(model, number, value, told);
}

/* The zone that surely is there from before `from` until after `to`, other than the value's own; NULL: none. */
static const struct zone *zone_around(const struct key_history *history, instant from, instant to, uint32_t number)
{
    for (size_t i = 0; i < history->zone_count; i++) {
        const struct zone *zone = &history->zones[i];
        if (zone->from >= from)
            break;
        if (zone->number != number && zone->to > to)
            return zone;
    }
    return NULL;
}

/* Those whose coming and leaving overlap were there at a moment at least. */
static void check_moment(const struct model *model, const struct key_history *history, uint32_t number, unsigned *told)
{
    const struct value *value = value_at(model->world, number);
    const struct zone *life = &model->lives[number - 1];
    if (value->told == 0 || value->outcome != OUTCOME_VALUE || life->from < life->to)
        return;
    instant from = life->to > value->end_early ? life->to : value->end_early;
    instant to = life->from < value->told_at ? life->from : value->told_at;
    const struct zone *other = zone_around(history, from, to, number);
    if (other != NULL)
        report(model, told, NULL, number, "value %u came and left while value %u of its key was there all the time",
               number, other->number);
}

void check_values(const struct model *model, unsigned key, unsigned *told)
{
    const struct key_history *history = &model->keys[key];
    for (size_t i = 0; i < history->value_count; i++) {
        check_value(model, history->values[i], told);
        check_moment(model, history, history->values[i], told);
    }
    for (size_t i = 1; i < history->zone_count; i++) {
        if (history->zones[i].from < history->zones[i - 1].to)
            report(model, told, NULL, history->zones[i].number, "value %u was there while value %u of its key was",
                   history->zones[i].number, history->zones[i - 1].number);
    }
}
