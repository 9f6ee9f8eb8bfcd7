/*
 * verdict.c - what an event means under the rules.
 *
 * The order is what makes it cheap and safe. First exchange and routing key, which need no parsing: an event that no
 * rule could want is ignored whatever its body is. Then the body is parsed, once, if any rule left needs it; one that
 * cannot be read could have been anything, so it cancels everything. Only then conditions on the body and templates.
 */
#include "verdict.h"

#include <stdio.h>
#include <string.h>

#include "quote.h"
#include "ruleset.h"

struct judgement {
    const struct rules *rules;
    struct event *event;
    struct groups *groups;
    size_t groups_before;
    const struct judge_observer *observer;
    struct verdict *verdict;
    size_t named;   /* groups that templates gave, each time */
    size_t widened; /* templates that had to widen */
};

static bool add_everything(struct judgement *judgement)
{
    groups_truncate(judgement->groups, judgement->groups_before);
    judgement->verdict->kind = VERDICT_CANCEL;
    return groups_add(judgement->groups, "*", 1);
}

static void say_rejected(const struct judgement *judgement, size_t rule, const struct mismatch *mismatch)
{
    if (judgement->observer->rejected != NULL)
        judgement->observer->rejected(judgement->observer->context, rule, mismatch->sentence);
}

static void say_matched(const struct judgement *judgement, size_t rule)
{
    if (judgement->observer->matched != NULL)
        judgement->observer->matched(judgement->observer->context, rule);
}

/* The first widening is the reason that is kept; the others are counted. */
static void note_widening(struct judgement *judgement, const struct rule *rule, const struct group_template *compiled,
                          const struct expansion *expansion)
{
    judgement->verdict->widened = true;
    if (judgement->widened++ > 0)
        return;
    char name[QUOTE_SIZE], text[QUOTE_SIZE], wider[QUOTE_SIZE];
    snprintf(judgement->verdict->reason, VERDICT_REASON_SIZE, "rule %s, template %s: %s, so %s is cancelled",
             quote_text(name, sizeof name, rule->name, strlen(rule->name)),
             quote_bare(text, sizeof text, template_text(compiled), strlen(template_text(compiled))), expansion->why,
             quote_bare(wider, sizeof wider, expansion->name, expansion->length));
}

static bool apply_rule(struct judgement *judgement, size_t index, const json_t *body)
{
    const struct rule *rule = &judgement->rules->rule[index];
    for (size_t i = 0; i < rule->template_count; i++) {
        const struct group_template *compiled = rule->templates[i];
        struct expansion expansion;
        template_expand(compiled, body, rule->skip_missing, &expansion);
        if (judgement->observer->expanded != NULL)
            judgement->observer->expanded(judgement->observer->context, index, template_text(compiled), &expansion);
        if (expansion.outcome == EXPANSION_NOTHING)
            continue;
        if (expansion.outcome == EXPANSION_WIDENED)
            note_widening(judgement, rule, compiled, &expansion);
        /* Past the limit they are only counted: the answer will be `*`. */
        if (++judgement->named <= EVENT_GROUPS_MAX && !groups_add(judgement->groups, expansion.name, expansion.length))
            return false;
    }
    return true;
}

static bool judge_malformed(struct judgement *judgement, const char *problem)
{
    struct verdict *verdict = judgement->verdict;
    verdict->malformed = true;
    snprintf(verdict->reason, sizeof verdict->reason,
             "%s; it could be about anything, so * (everything) is cancelled; let the emitter send JSON, or keep the "
             "event away with \"exchange\" and \"routing_key\"",
             problem);
    for (size_t i = 0; i < judgement->rules->count; i++) {
        struct mismatch mismatch;
        if (condition_routing(judgement->rules->rule[i].condition, judgement->event, &mismatch))
            say_matched(judgement, i);
        else
            say_rejected(judgement, i, &mismatch);
    }
    return add_everything(judgement);
}

static bool judge_well_formed(struct judgement *judgement, const json_t *body, size_t *matches)
{
    struct mismatch mismatch;
    struct mismatch *wanted = judgement->observer->rejected != NULL ? &mismatch : NULL;
    for (size_t i = 0; i < judgement->rules->count; i++) {
        const struct condition *condition = judgement->rules->rule[i].condition;
        if (!condition_routing(condition, judgement->event, wanted) || !condition_body(condition, body, wanted)) {
            say_rejected(judgement, i, &mismatch);
            continue;
        }
        ++*matches;
        say_matched(judgement, i);
        if (!apply_rule(judgement, i, body))
            return false;
    }
    return true;
}

bool rules_judge_observed(const struct rules *rules, struct event *event, struct groups *groups,
                          struct verdict *verdict, const struct judge_observer *observer)
{
    struct judgement judgement = {rules, event, groups, groups_count(groups), observer, verdict, 0, 0};
    *verdict = (struct verdict){.kind = VERDICT_IGNORE, .malformed = false, .widened = false, .reason = ""};

    bool needs_body = false;
    for (size_t i = 0; i < rules->count && !needs_body; i++)
        needs_body = rules->rule[i].needs_body && condition_routing(rules->rule[i].condition, event, NULL);

    const json_t *body = NULL;
    if (needs_body) {
        const char *problem = NULL;
        body = event_json(event, &problem);
        if (body == NULL)
            return judge_malformed(&judgement, problem);
    }

    size_t matches = 0;
    if (!judge_well_formed(&judgement, body, &matches))
        return false;

    size_t reason_length = strlen(verdict->reason);
    if (judgement.named > EVENT_GROUPS_MAX) {
        verdict->widened = true;
        snprintf(verdict->reason, sizeof verdict->reason,
                 "the event names %zu groups, more than the %d that one may, so * (everything) is cancelled",
                 judgement.named, EVENT_GROUPS_MAX);
        return add_everything(&judgement);
    }
    if (judgement.widened > 1)
        snprintf(verdict->reason + reason_length, sizeof verdict->reason - reason_length, " (and %zu more like this)",
                 judgement.widened - 1);
    if (judgement.named > 0)
        verdict->kind = VERDICT_CANCEL;
    else
        snprintf(verdict->reason, sizeof verdict->reason, "%s",
                 matches > 0 ? "the rules that matched named no group" : "no rule matched");
    return true;
}

bool rules_judge(const struct rules *rules, struct event *event, struct groups *groups, struct verdict *verdict,
                 void (*matched)(void *context, size_t rule), void *context)
{
    const struct judge_observer observer = {.rejected = NULL, .matched = matched, .expanded = NULL, .context = context};
    return rules_judge_observed(rules, event, groups, verdict, &observer);
}
