/*
 * check_flights.c - single flight: of two loads of a key that surely went on at the same time, one had been voided
 * before the other began, or is of a caller who loads for itself alone, having waited twice for one that was voided.
 */
#include "check.h"
#include "report.h"

#define WAITS_MAX 2u

bool flight_may_be_private(const struct model *model, uint32_t number)
{
    const struct value *value = value_at(model->world, number);
    const struct key_history *history = &model->keys[value->key];
    unsigned voided = 0;
    if (value->making != MADE_BY_LOAD)
        return false;
    for (size_t i = 0; i < history->value_count; i++) {
        const struct value *other = value_at(model->world, history->values[i]);
        if (other == value || other->making == MADE_BY_PUT || other->stamp_early > value->stamp_late ||
            other->end_late < value->stamp_early)
            continue;
        voided += other->unguarded || model_may_be_voided(model, other);
    }
    return voided >= WAITS_MAX;
}

/* While no table is attached, each loads for itself. */
static bool may_be_detached(const struct model *model, instant from, instant to)
{
    for (size_t i = 0; i < model->op_count; i++) {
        const struct op *op = model->ops[i];
        if (op->kind == DO_REPLACE && op->began < to && op->ended > from)
            return true;
    }
    return false;
}

void check_flights(const struct model *model, unsigned key, unsigned *told)
{
    const struct key_history *history = &model->keys[key];
    const struct value *longest = NULL;
    uint32_t longest_number = 0;
    /* In the order in which they may have begun; by then the earlier ones surely go on until `end_early`. */
    for (size_t i = 0; i < history->value_count; i++) {
        uint32_t number = history->values[i];
        const struct value *value = value_at(model->world, number);
        if (value->making == MADE_BY_PUT)
            continue;
        if (longest != NULL && value->stamp_late < longest->end_early && longest->stamp_late < value->end_early) {
            instant from = longest->stamp_early;
            instant to = value->stamp_late > longest->stamp_late ? value->stamp_late : longest->stamp_late;
            if (!spans_touch(&history->voiding, from, to) && !flight_may_be_private(model, number) &&
                !flight_may_be_private(model, longest_number) && !may_be_detached(model, from, to))
                report(model, told, NULL, number, "value %u was loaded while value %u of its key was", number,
                       longest_number);
        }
        if (longest == NULL || value->end_early > longest->end_early) {
            longest = value;
            longest_number = number;
        }
    }
}
