/* See model.h. */
#include "model.h"

/* ---- Cancelled, voided ---- */

/* Until its handle has been told to look, a cache goes on with a table whose worker went away without retiring it. What
 * was cancelled in its successor meanwhile counts from when the replacement ends. */
static instant known_before(const struct model *model, instant before)
{
    for (size_t i = 0; i < model->blind.count; i++) {
        if (before > model->blind.span[i].began && before < model->blind.span[i].ended)
            return model->blind.span[i].began;
    }
    return before;
}

bool model_cancelled(const struct model *model, const struct value *value, instant before)
{
    before = known_before(model, before);
    for (unsigned name = 0; name < NAMES; name++) {
        if (value->depends & 1u << name && spans_within(&model->cancels[name], value->stamp_late, before))
            return true;
    }
    return false;
}

bool model_may_be_cancelled(const struct model *model, const struct value *value, instant before)
{
    /* A table that forgets errs towards a miss. */
    if (model->world->plan.forgetful)
        return spans_touch(&model->any_cancel, value->stamp_early, before);
    for (unsigned name = 0; name < NAMES; name++) {
        if (value->depends & 1u << name && spans_touch(&model->cancels[name], value->stamp_early, before))
            return true;
    }
    return false;
}

/* A put is voided by nothing: it is later than what it overlaps, or earlier. */
static bool voided(const struct model *model, const struct value *value, instant before)
{
    instant after = value->making == MADE_BY_PUT ? value->end_late : value->stamp_late;
    return spans_within(&model->keys[value->key].voiding, after, before);
}

bool model_may_be_voided(const struct model *model, const struct value *value)
{
    return value->making != MADE_BY_PUT &&
           (spans_touch(&model->keys[value->key].voiding, value->stamp_early, value->end_late) ||
            model_may_be_cancelled(model, value, value->end_late));
}

/* ---- Expired ---- */

/* Whether the operation used the value, as sliding expiry counts it. A load may have used one before it refreshed it.
 */
static bool used(const struct model *model, const struct op *op, uint32_t number, bool surely)
{
    if (op->kind != DO_GET && op->kind != DO_LOAD && op->kind != DO_BEGIN)
        return false;
    if (op->answer == number && op->made != number && !op->stale)
        return !surely || op_met(model, op);
    if (surely)
        return false;
    /* An absent answer does not say which it was; to a plain get it looks like nothing. */
    if (value_at(model->world, number)->outcome == OUTCOME_ABSENT && op->answer == 0)
        return true;
    return op->kind == DO_LOAD && op->made != 0 && model->world->plan.cache.eager_percent != 0;
}

static uint64_t add_ms(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

uint64_t model_expires_late(const struct model *model, uint32_t number, const struct question *question)
{
    const struct value *value = value_at(model->world, number);
    const struct key_history *history = &model->keys[value->key];
    uint64_t expires_ms = add_ms(value->began_late_ms, value->ttl_ms);
    if (value->sliding_ms == QUASH_SLIDING_NONE)
        return expires_ms;
    /* Whoever used it later than this question began can have found it live only through those who began earlier. */
    uint64_t used_ms = value->kept_late_ms;
    for (size_t i = question->at; i-- > 0 && used_ms + value->sliding_ms <= question->early_ms;) {
        const struct op *op = history->ops[i];
        if (op->late_ms > used_ms && used(model, op, number, false))
            used_ms = op->late_ms;
    }
    uint64_t slides_ms = used_ms + value->sliding_ms;
    return slides_ms < expires_ms ? slides_ms : expires_ms;
}

uint64_t model_expires_early(const struct model *model, uint32_t number, const struct question *question)
{
    const struct value *value = value_at(model->world, number);
    const struct key_history *history = &model->keys[value->key];
    uint64_t expires_ms = UINT64_MAX;
    if (value->ttl_ms != QUASH_TTL_FOREVER)
        expires_ms = value->began_early_ms + value->ttl_ms -
                     (value->ttl_ms * model->world->plan.cache.ttl_jitter_percent + 99) / 100;
    if (value->sliding_ms == QUASH_SLIDING_NONE)
        return expires_ms;
    /* From the making, or from the last use that had surely ended. */
    uint64_t used_ms = value->kept_early_ms;
    for (size_t i = question->at; i-- > 0;) {
        const struct op *op = history->ops[i];
        if (op->ended < question->began && used(model, op, number, true)) {
            if (op->early_ms > used_ms)
                used_ms = op->early_ms;
            break;
        }
    }
    uint64_t slides_ms = used_ms + value->sliding_ms;
    return slides_ms < expires_ms ? slides_ms : expires_ms;
}

/* ---- Questions ---- */

struct question question_of(const struct model *model, const struct op *op)
{
    struct question question = {op->key, op->asked != 0 ? op->asked : op->began, op->ended, op->early_ms, op->late_ms,
                                0};
    const struct key_history *history = &model->keys[op->key];
    for (size_t high = history->op_count; question.at < high;) {
        size_t middle = question.at + (high - question.at) / 2;
        if (history->ops[middle]->began < question.began)
            question.at = middle + 1;
        else
            high = middle;
    }
    return question;
}

static instant later(instant a, instant b)
{
    return a > b ? a : b;
}

bool op_loaded(const struct model *model, const struct op *op)
{
    if (op->answer == 0 || op->kind != DO_LOAD)
        return false;
    const struct value *value = value_at(model->world, op->answer);
    return op->answer == op->made || (value->making == MADE_BY_LOAD && value->stamp_early == op->began);
}

/* What holds for one who stood in as well. */
static const char *refuses_always(const struct model *model, const struct value *value, const struct question *question,
                                  bool may_be_cancelled)
{
    if (value->key != question->key)
        return "it is another key's";
    if (value->end_early == 0 || value->end_early > question->ended)
        return "it was not made yet";
    if (value->unguarded)
        return "not all of its groups could be named, so it was its loader's only";
    /* What was cancelled or voided while it was loading goes to nobody but its loader. */
    instant before = later(question->began, value->end_early);
    if (!may_be_cancelled && model_cancelled(model, value, before))
        return "one of its groups had been cancelled after its stamp";
    if (voided(model, value, before))
        return "its key had been removed, cleared or put since it began to be made";
    return NULL;
}

/* That one can have met it in the cache. */
static const char *refuses_index(const struct value *value, const struct question *question)
{
    if (value->outcome == OUTCOME_ABSENT)
        return NULL;
    if (value->told == 0)
        return "it was never kept: nobody was told that it left";
    if (value->told_at < question->began)
        return "it had left the cache, and that had been told";
    return NULL;
}

const char *model_refuses(const struct model *model, uint32_t number, const struct question *question, bool from_index)
{
    const struct value *value = value_at(model->world, number);
    const char *reason = refuses_always(model, value, question, false);
    if (reason != NULL || !from_index)
        return reason;
    if (question->early_ms >= model_expires_late(model, number, question))
        return "it had expired";
    return refuses_index(value, question);
}

const char *model_refuses_stale(const struct model *model, uint32_t number, const struct question *question)
{
    const struct value *value = value_at(model->world, number);
    const quash_cache_options *cache = &model->world->plan.cache;
    const char *reason = refuses_always(model, value, question, cache->fail_safe_cancelled);
    if (reason != NULL)
        return reason;
    if (question->early_ms >= add_ms(model_expires_late(model, number, question), cache->fail_safe_ms))
        return "it had expired, and its time to stand in was over";
    return refuses_index(value, question);
}

bool model_may_be_dead(const struct model *model, uint32_t number, const struct question *question)
{
    return model_may_be_cancelled(model, value_at(model->world, number), question->ended) ||
           question->late_ms >= model_expires_early(model, number, question);
}

/* The value that took the place of this one, so that there was no moment with neither; 0: none did. */
static uint32_t successor(const struct model *model, uint32_t number)
{
    const struct value *value = value_at(model->world, number);
    bool replaced = value->told != 0 && value->told_reason == QUASH_EVICTION_REPLACED && value->told_made != 0;
    if (!replaced)
        return 0;
    const struct value *next = value_at(model->world, value->told_made);
    return next->outcome == OUTCOME_VALUE && next->told != 0 ? value->told_made : 0;
}

uint32_t model_misses(const struct model *model, const struct question *question)
{
    const struct key_history *history = &model->keys[question->key];
    size_t low = 0;
    for (size_t high = history->zone_count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (history->zones[middle].from < question->began)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return 0;
    for (uint32_t number = history->zones[low - 1].number; number != 0; number = successor(model, number)) {
        if (value_at(model->world, number)->end_early > question->ended || model_may_be_dead(model, number, question))
            return 0;
        if (model->lives[number - 1].to > question->ended)
            return number;
    }
    return 0;
}
