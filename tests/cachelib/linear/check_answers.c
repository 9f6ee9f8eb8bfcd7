/*
 * check_answers.c - each answer against the model: a value must have been there, none must have been missing.
 */
#include "check.h"
#include "report.h"

static void check_value(const struct model *model, const struct op *op, bool from_index, unsigned *told)
{
    const struct question question = question_of(model, op);
    const char *reason = op->stale ? model_refuses_stale(model, op->answer, &question)
                                   : model_refuses(model, op->answer, &question, from_index);
    if (reason != NULL)
        report(model, told, op, op->answer, "%s answered with value %u, but %s", operation_names[op->kind], op->answer,
               reason);
}

static void check_nothing(const struct model *model, const struct op *op, const struct question *question,
                          unsigned *told)
{
    uint32_t number = model_misses(model, question);
    if (number != 0)
        report(model, told, op, number, "%s met nothing, but value %u was there and live", operation_names[op->kind],
               number);
}

/* An answer that does not say which value it met: there must be one that it can have been. */
static void check_some(const struct model *model, const struct op *op, enum outcome outcome, bool from_index,
                       unsigned *told)
{
    const struct question question = question_of(model, op);
    const struct key_history *history = &model->keys[op->key];
    for (size_t i = history->value_count; i-- > 0;) {
        uint32_t number = history->values[i];
        if (value_at(model->world, number)->outcome == outcome &&
            model_refuses(model, number, &question, from_index) == NULL)
            return;
        /* An absent answer may have stood in as well. */
        if (outcome == OUTCOME_ABSENT && value_at(model->world, number)->outcome == outcome && !from_index &&
            model_refuses_stale(model, number, &question) == NULL)
            return;
    }
    report(model, told, op, 0, "%s answered as if there was %s, but no value that was ever made can have been it",
           operation_names[op->kind], outcome == OUTCOME_ABSENT ? "a kept answer \"absent\"" : "a live value");
}

/* A failure must be that of a load that was under way. */
static void check_failure(const struct model *model, const struct op *op, unsigned *told)
{
    uint32_t number = (uint32_t)(op->status - QUASH_STATUS_USER);
    const struct question question = question_of(model, op);
    if (op->status <= QUASH_STATUS_USER || number > ACTORS_MAX * VALUES_EACH) {
        report(model, told, op, 0, "%s answered with a status that it cannot have: %s", operation_names[op->kind],
               quash_status_string((quash_status)op->status));
        return;
    }
    const struct value *value = value_at(model->world, number);
    if (value->outcome != OUTCOME_FAILED || value->key != op->key || value->stamp_early > question.ended ||
        value->end_late < question.began)
        report(model, told, op, number, "%s answered with the failure of a load that was not under way",
               operation_names[op->kind]);
}

/* BUSY, and a notice of VOIDED, speak of a load that was under way. */
static void check_other_load(const struct model *model, const struct op *op, bool is_voided, unsigned *told)
{
    const struct question question = question_of(model, op);
    const struct key_history *history = &model->keys[op->key];
    for (size_t i = history->value_count; i-- > 0;) {
        const struct value *value = value_at(model->world, history->values[i]);
        if (value->making != MADE_BY_PUT && value->stamp_early < question.ended && value->end_late > question.began &&
            (!is_voided || value->unguarded || model_may_be_voided(model, value)))
            return;
    }
    report(model, told, op, 0, "%s speaks of a load, but none %s", operation_names[op->kind],
           is_voided ? "can have been voided" : "was under way");
}

/* The value that the call's own loader has made, here or on the executor; NULL: it was not called. */
static const struct value *own_load(const struct model *model, const struct op *op)
{
    const struct key_history *history = &model->keys[op->key];
    if (op->made != 0)
        return value_at(model->world, op->made);
    for (size_t i = history->value_count; model->world->plan.load_on_executor && i-- > 0;) {
        const struct value *value = value_at(model->world, history->values[i]);
        if (value->making == MADE_BY_LOAD && value->stamp_early == op->began)
            return value;
    }
    return NULL;
}

static void check_load(const struct model *model, const struct op *op, unsigned *told)
{
    const struct value *made = own_load(model, op);
    if (op->loads > 1)
        report(model, told, op, op->made, "one caller called its loader %u times", op->loads);
    if (op->status == QUASH_OK && !op_loaded(model, op))
        check_value(model, op, value_at(model->world, op->answer)->end_late < op->began, told);
    else if (op->status == QUASH_ABSENT && (made == NULL || made->outcome != OUTCOME_ABSENT))
        check_some(model, op, OUTCOME_ABSENT, false, told);
    else if (op->status != QUASH_OK && op->status != QUASH_ABSENT)
        check_failure(model, op, told);
    /* It loads because it met nothing, unless it refreshed what it met. */
    if (made == NULL || model->world->plan.cache.eager_percent != 0)
        return;
    struct question question = question_of(model, op);
    question.ended = made->stamp_late;
    question.late_ms = made->began_late_ms;
    check_nothing(model, op, &question, told);
}

static void check_begin(const struct model *model, const struct op *op, unsigned *told)
{
    const struct question question = question_of(model, op);
    switch (op->status) {
    case QUASH_OK:
        check_value(model, op, true, told);
        break;
    case QUASH_ABSENT:
        check_some(model, op, OUTCOME_ABSENT, true, told);
        break;
    case QUASH_BUSY:
        check_other_load(model, op, false, told);
        check_nothing(model, op, &question, told);
        break;
    case QUASH_MISS:
        check_nothing(model, op, &question, told);
        break;
    default:
        check_failure(model, op, told);
        break;
    }
}

static void check_notice(const struct model *model, const struct op *op, unsigned *told)
{
    if (op->status == QUASH_OK)
        check_value(model, op, false, told);
    else if (op->status == QUASH_VOIDED)
        check_other_load(model, op, true, told);
    else if (op->status == QUASH_ABSENT)
        check_some(model, op, OUTCOME_ABSENT, false, told);
    else
        check_failure(model, op, told);
}

static void check_commit(const struct model *model, const struct op *op, unsigned *told)
{
    const struct value *value = value_at(model->world, op->made);
    bool right = value->outcome == OUTCOME_ABSENT ? op->status == QUASH_ABSENT
                                                  : op->status == QUASH_OK && op->answer == op->made;
    if (!right)
        report(model, told, op, op->made, "a fill was not answered with its own value");
}

static void check_put(const struct model *model, const struct op *op, unsigned *told)
{
    bool tight = model->world->plan.theme == THEME_TIGHT;
    if (op->status != QUASH_OK && !(tight && (op->status == QUASH_TOO_LARGE || op->status == QUASH_NO_ROOM)))
        report(model, told, op, op->made, "a put answered \"%s\"", quash_status_string((quash_status)op->status));
}

static void check_op(const struct model *model, const struct op *op, unsigned *told)
{
    const struct question question = question_of(model, op);
    switch ((enum operation)op->kind) {
    case DO_GET:
    case DO_EACH:
        if (op->answer != 0)
            check_value(model, op, true, told);
        else
            check_nothing(model, op, &question, told);
        break;
    case DO_CONTAINS:
    case DO_REMOVE:
        if (op->status != 0)
            check_some(model, op, OUTCOME_VALUE, true, told);
        else
            check_nothing(model, op, &question, told);
        break;
    case DO_LOAD:
        check_load(model, op, told);
        break;
    case DO_BEGIN:
        check_begin(model, op, told);
        break;
    case DO_NOTICE:
        check_notice(model, op, told);
        break;
    case DO_FILL:
        if (op->status == QUASH_BUSY)
            check_other_load(model, op, false, told);
        else if (op->status != QUASH_OK)
            check_failure(model, op, told);
        break;
    case DO_COMMIT:
        check_commit(model, op, told);
        break;
    case DO_PUT:
        check_put(model, op, told);
        break;
    default:
        break;
    }
}

void check_answers(const struct model *model, unsigned key, unsigned *told)
{
    const struct key_history *history = &model->keys[key];
    for (size_t i = 0; i < history->op_count; i++)
        check_op(model, history->ops[i], told);
}
