/*
 * verdict.c - what an event means under the rules.
 *
 * The order is what makes it cheap and safe. First exchange and routing key, which need no parsing: an event that no
 * rule could want is ignored whatever it holds. Then headers and properties, if a rule that is left looks at them. Then
 * the body is parsed, once, if any rule that is still left looks into it. What cannot be read makes the event
 * malformed, but only if a rule cannot be judged without it: the others have been asked before. Only then templates.
 *
 * While everything can be read the index leaves few rules to look at; where something cannot, or somebody watches,
 * every rule is asked.
 */
#include "verdict.h"

#include <stdio.h>
#include <string.h>

#include "index.h"
#include "quote.h"
#include "ruleset.h"

struct judgement {
    const struct rules *rules;
    struct event *event;
    struct groups *groups;
    size_t groups_before;
    const struct judge_observer *observer;
    struct verdict *verdict;
    struct view view;
    unsigned unreadable; /* SOURCE_...: what was needed and cannot be read */
    const char *problem; /* of the first such; borrowed from the event */
    size_t matches;      /* rules */
    size_t named;        /* groups that templates gave, each time */
    size_t incidents;    /* templates that had to widen, or that lacked a value whose event is to be kept */
    bool dead_letter;    /* because a value was missing */
    bool too_many;
};

const char *verdict_word(enum verdict_kind kind)
{
    static const char *const words[] = {
        [VERDICT_CANCEL] = "cancel", [VERDICT_IGNORE] = "ignore", [VERDICT_DEAD_LETTER] = "dead_letter"};
    return words[kind];
}

const char *verdict_cause_word(enum verdict_cause cause)
{
    static const char *const words[] = {[CAUSE_NONE] = "",
                                        [CAUSE_MALFORMED] = "malformed",
                                        [CAUSE_MISSING] = "missing",
                                        [CAUSE_TOO_MANY] = "too_many",
                                        [CAUSE_UNMATCHED] = "unmatched"};
    return words[cause];
}

const char *rules_template_text(const struct rules *rules, size_t rule, size_t template_index)
{
    return template_text(rules->rule[rule].templates[template_index]);
}

/* ---- Reading the event */

static void note_unreadable(struct judgement *judgement, unsigned part, const char *problem)
{
    judgement->unreadable |= part;
    if (judgement->problem == NULL)
        judgement->problem = problem;
}

static void read_attributes(struct judgement *judgement)
{
    const char *problem = NULL;
    struct view *view = &judgement->view;
    if (view->headers != NULL || (judgement->unreadable & SOURCE_ATTRIBUTES) != 0)
        return;
    const json_t *headers = event_headers(judgement->event, &problem);
    const json_t *properties = headers != NULL ? event_properties(judgement->event, &problem) : NULL;
    if (properties == NULL) {
        note_unreadable(judgement, SOURCE_ATTRIBUTES, problem);
        return;
    }
    view->headers = headers;
    view->properties = properties;
}

static void read_body(struct judgement *judgement)
{
    const char *problem = NULL;
    judgement->view.body = event_json(judgement->event, &problem);
    if (judgement->view.body == NULL)
        note_unreadable(judgement, SOURCE_BODY, problem);
}

/* Without the index: reads what the rules need. */
static void read_what_every_rule_needs(struct judgement *judgement)
{
    bool needs_body = false;
    for (size_t i = 0; i < judgement->rules->count; i++) {
        const struct rule *rule = &judgement->rules->rule[i];
        const struct condition *condition = rule->condition;
        const struct view *view = &judgement->view;
        size_t passed = condition_count(condition);
        if (rule->disabled || condition_first_failure(condition, CONDITION_ROUTING, view) != passed)
            continue;
        if (condition_has_stage(condition, CONDITION_ATTRIBUTES)) {
            read_attributes(judgement);
            if (view->headers != NULL && condition_first_failure(condition, CONDITION_ATTRIBUTES, view) != passed)
                continue;
        }
        if ((rule->template_needs & SOURCE_ATTRIBUTES) != 0)
            read_attributes(judgement);
        needs_body =
            needs_body || condition_has_stage(condition, CONDITION_BODY) || (rule->template_needs & SOURCE_BODY) != 0;
    }
    if (needs_body)
        read_body(judgement);
}

/* ---- Matching */

enum outcome {
    OUTCOME_REJECTED,
    OUTCOME_BLOCKED, /* nothing speaks against it, but it must look into what cannot be read */
    OUTCOME_MATCHED,
};

static unsigned part_of_stage(enum condition_stage stage)
{
    return stage == CONDITION_BODY ? SOURCE_BODY : stage == CONDITION_ATTRIBUTES ? SOURCE_ATTRIBUTES : 0;
}

static void say_rejected(const struct judgement *judgement, size_t index, size_t condition)
{
    const struct judge_observer *observer = judgement->observer;
    const struct rule *rule = &judgement->rules->rule[index];
    char sentence[MISMATCH_SIZE];
    if (observer->rejected == NULL)
        return;
    const char *why =
        rule->disabled ? "it is disabled" : condition_explain(rule->condition, condition, &judgement->view, sentence);
    observer->rejected(observer->context, index, why);
}

/* Asks one rule; `observed` tells the observer of it. */
static enum outcome ask(const struct judgement *judgement, size_t index, bool observed)
{
    const struct judge_observer *observer = judgement->observer;
    const struct rule *rule = &judgement->rules->rule[index];
    bool blocked = (rule->template_needs & judgement->unreadable) != 0;
    size_t count = rule->disabled ? 0 : condition_count(rule->condition);
    size_t failed = 0;
    for (; failed < count; failed++) {
        if ((part_of_stage(condition_stage_of(rule->condition, failed)) & judgement->unreadable) != 0) {
            blocked = true;
            continue;
        }
        bool holds = condition_test(rule->condition, failed, &judgement->view);
        if (observed && observer->tested != NULL)
            observer->tested(observer->context, index, failed, holds);
        if (!holds)
            break;
    }
    if (rule->disabled || failed < count) {
        if (observed)
            say_rejected(judgement, index, failed);
        return OUTCOME_REJECTED;
    }
    return blocked ? OUTCOME_BLOCKED : OUTCOME_MATCHED;
}

/* ---- Templates */

struct naming {
    struct judgement *judgement;
    const struct rule *rule;
    size_t rule_index, template_index;
};

static bool repeat_name(const struct judgement *judgement, const struct rule *rule, const char *name, size_t length)
{
    const struct judge_observer *observer = judgement->observer;
    for (size_t i = 0; i < rule->repeat_count && observer->repeat != NULL; i++) {
        if (!observer->repeat(observer->context, rule->repeat_after_ms[i], name, length))
            return false;
    }
    return true;
}

static bool take_name(void *context, const char *name, size_t length)
{
    const struct naming *naming = context;
    struct judgement *judgement = naming->judgement;
    const struct judge_observer *observer = judgement->observer;
    if (observer->named != NULL)
        observer->named(observer->context, naming->rule_index, naming->template_index, name, length);
    judgement->named++;
    return groups_add(judgement->groups, name, length) && repeat_name(judgement, naming->rule, name, length);
}

/* The first incident is the reason that is kept; the others are counted. */
static void note_incident(struct judgement *judgement, const struct naming *naming, const struct expansion *expansion)
{
    struct verdict *verdict = judgement->verdict;
    verdict->widened = verdict->widened || expansion->outcome == EXPANSION_WIDENED;
    judgement->dead_letter = judgement->dead_letter || expansion->dead_letter;
    if (judgement->incidents++ > 0)
        return;
    const struct group_template *compiled = naming->rule->templates[naming->template_index];
    char name[QUOTE_SIZE], text[QUOTE_SIZE], wider[QUOTE_SIZE] = "";
    bool widened = expansion->outcome == EXPANSION_WIDENED;
    verdict->rule = naming->rule_index;
    if (widened)
        quote_bare(wider, sizeof wider, template_wider(compiled), strlen(template_wider(compiled)));
    snprintf(verdict->reason, sizeof verdict->reason, "rule %s, template %s: %s%s%s%s",
             quote_text(name, sizeof name, naming->rule->name, strlen(naming->rule->name)),
             quote_bare(text, sizeof text, template_text(compiled), strlen(template_text(compiled))), expansion->why,
             widened ? ", so " : "", wider, widened ? " is cancelled" : "");
}

static bool apply_rule(struct judgement *judgement, size_t index)
{
    const struct rule *rule = &judgement->rules->rule[index];
    const struct judge_observer *observer = judgement->observer;
    struct naming naming = {judgement, rule, index, 0};
    for (; naming.template_index < rule->template_count; naming.template_index++) {
        struct expansion expansion;
        size_t left = judgement->named < EVENT_GROUPS_MAX ? EVENT_GROUPS_MAX - judgement->named : 0;
        if (!template_expand(rule->templates[naming.template_index], &judgement->view, rule->missing, left, take_name,
                             &naming, &expansion))
            return false;
        if (expansion.too_many) /* the template knows only what the others have left */
            snprintf(expansion.why, sizeof expansion.why,
                     "with it the event names more than the %d groups that one may", EVENT_GROUPS_MAX);
        if (observer->expanded != NULL)
            observer->expanded(observer->context, index, naming.template_index, &expansion);
        if (expansion.too_many) {
            if (!judgement->too_many && judgement->incidents == 0)
                judgement->verdict->rule = index;
            judgement->too_many = true;
        } else if (expansion.outcome == EXPANSION_WIDENED || expansion.dead_letter) {
            note_incident(judgement, &naming, &expansion);
        }
    }
    return true;
}

/* ---- Concluding */

static bool add_everything(struct judgement *judgement)
{
    groups_truncate(judgement->groups, judgement->groups_before);
    judgement->verdict->widened = true;
    return groups_add(judgement->groups, "*", 1);
}

static bool conclude_malformed(struct judgement *judgement)
{
    const struct rules *rules = judgement->rules;
    struct verdict *verdict = judgement->verdict;
    bool widen = (rules->on_malformed & MALFORMED_WIDEN) != 0;
    char name[QUOTE_SIZE];
    const char *culprit = rules->rule[verdict->rule].name;
    verdict->cause = CAUSE_MALFORMED;
    verdict->kind = (rules->on_malformed & MALFORMED_DEAD_LETTER) != 0 ? VERDICT_DEAD_LETTER : VERDICT_CANCEL;
    verdict->by_default = rules->malformed_by_default;
    snprintf(
        verdict->reason, sizeof verdict->reason,
        "%s, and rule %s looks into it; %s; conditions on exchange, routing key, headers or properties keep events "
        "away from a rule that cannot read them",
        judgement->problem, quote_text(name, sizeof name, culprit, strlen(culprit)),
        widen ? "the event could be about anything, so * (everything) is cancelled"
              : "what it is about is not known and not cancelled");
    return (!widen && !judgement->too_many) || add_everything(judgement);
}

static void conclude_too_many(struct judgement *judgement)
{
    struct verdict *verdict = judgement->verdict;
    size_t used = judgement->dead_letter ? strlen(verdict->reason) : 0;
    snprintf(verdict->reason + used, sizeof verdict->reason - used,
             "%sthe event names more than the %d groups that one may, so * (everything) is cancelled",
             used > 0 ? "; besides, " : "", EVENT_GROUPS_MAX);
    verdict->cause = judgement->dead_letter ? CAUSE_MISSING : CAUSE_TOO_MANY;
}

static bool conclude(struct judgement *judgement)
{
    struct verdict *verdict = judgement->verdict;
    if (judgement->matches == 0) {
        verdict->cause = CAUSE_UNMATCHED;
        verdict->kind = judgement->rules->unmatched_dead_letter ? VERDICT_DEAD_LETTER : VERDICT_IGNORE;
        snprintf(verdict->reason, sizeof verdict->reason, "no rule matched");
        return true;
    }
    size_t used = strlen(verdict->reason);
    if (judgement->incidents > 1)
        snprintf(verdict->reason + used, sizeof verdict->reason - used, " (and %zu more like this)",
                 judgement->incidents - 1);
    verdict->cause = judgement->incidents > 0 ? CAUSE_MISSING : CAUSE_NONE;
    verdict->kind = judgement->dead_letter ? VERDICT_DEAD_LETTER
                    : judgement->named > 0 ? VERDICT_CANCEL
                                           : VERDICT_IGNORE;
    if (judgement->too_many) {
        conclude_too_many(judgement);
        return add_everything(judgement);
    }
    if (verdict->kind == VERDICT_IGNORE)
        snprintf(verdict->reason, sizeof verdict->reason, "the rules that matched named no group");
    return true;
}

/* ---- Judging */

/* The first rule that cannot be judged because of what cannot be read; VERDICT_NO_RULE: all can. */
static size_t find_blocked(const struct judgement *judgement)
{
    for (size_t i = 0; i < judgement->rules->count; i++) {
        if (ask(judgement, i, false) == OUTCOME_BLOCKED)
            return i;
    }
    return VERDICT_NO_RULE;
}

/* Of a malformed event that is widened to `*` no template is expanded: what they name is in it. */
static bool follow_rule(struct judgement *judgement, size_t index, enum outcome outcome, bool malformed)
{
    const struct judge_observer *observer = judgement->observer;
    if (outcome == OUTCOME_REJECTED)
        return true;
    judgement->matches++;
    if (observer->matched != NULL)
        observer->matched(observer->context, index);
    if (malformed && (judgement->rules->on_malformed & MALFORMED_WIDEN) != 0)
        return repeat_name(judgement, &judgement->rules->rule[index], "*", 1);
    return outcome == OUTCOME_BLOCKED || apply_rule(judgement, index);
}

/* Of an event of which what is needed has been read, or cannot be. */
static bool follow_every_rule(struct judgement *judgement)
{
    size_t blocked = judgement->unreadable != 0 ? find_blocked(judgement) : VERDICT_NO_RULE;
    bool malformed = blocked != VERDICT_NO_RULE;
    for (size_t i = 0; i < judgement->rules->count; i++) {
        if (!follow_rule(judgement, i, ask(judgement, i, true), malformed))
            return false;
    }
    if (!malformed)
        return conclude(judgement);
    judgement->verdict->rule = blocked;
    return conclude_malformed(judgement);
}

/* All that the index leaves: of these, only conditions on the body need be tested. */
static bool follow_candidates(struct judgement *judgement, struct candidates *candidates)
{
    size_t count;
    const uint32_t *index = candidates_by_body(candidates, &judgement->view, &count);
    for (size_t i = 0; i < count; i++) {
        const struct condition *condition = judgement->rules->rule[index[i]].condition;
        bool holds = condition_first_failure(condition, CONDITION_BODY, &judgement->view) == condition_count(condition);
        if (!follow_rule(judgement, index[i], holds ? OUTCOME_MATCHED : OUTCOME_REJECTED, false))
            return false;
    }
    return conclude(judgement);
}

static bool judge_by_index(struct judgement *judgement)
{
    struct rule_index *index = judgement->rules->index;
    struct candidates *candidates = candidates_take(index);
    if (candidates == NULL)
        return false;
    if ((candidates_by_routing(candidates, &judgement->view) & SOURCE_ATTRIBUTES) != 0)
        read_attributes(judgement);
    if ((candidates_by_attributes(candidates, &judgement->view) & SOURCE_BODY) != 0)
        read_body(judgement);
    bool fine = judgement->unreadable == 0 ? follow_candidates(judgement, candidates) : follow_every_rule(judgement);
    candidates_give_back(index, candidates);
    return fine;
}

bool rules_judge_observed(const struct rules *rules, struct event *event, struct groups *groups,
                          struct verdict *verdict, const struct judge_observer *observer)
{
    struct judgement judgement = {.rules = rules,
                                  .event = event,
                                  .groups = groups,
                                  .groups_before = groups_count(groups),
                                  .observer = observer,
                                  .verdict = verdict,
                                  .view = {.exchange = event->exchange, .routing_key = event->routing_key}};
    verdict->kind = VERDICT_IGNORE;
    verdict->cause = CAUSE_NONE;
    verdict->by_default = false;
    verdict->widened = false;
    verdict->rule = VERDICT_NO_RULE;
    verdict->reason[0] = '\0';
    if (observer->rejected == NULL && observer->tested == NULL)
        return judge_by_index(&judgement);
    read_what_every_rule_needs(&judgement);
    return follow_every_rule(&judgement);
}

bool rules_judge(const struct rules *rules, struct event *event, struct groups *groups, struct verdict *verdict,
                 verdict_repeat *repeat, void *context)
{
    const struct judge_observer observer = {.repeat = repeat, .context = context};
    return rules_judge_observed(rules, event, groups, verdict, &observer);
}
