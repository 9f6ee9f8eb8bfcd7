/*
 * verdict.h - judging an event while somebody watches: the same code as rules_judge, for explain and for tests.
 */
#ifndef QUASHD_VERDICT_H
#define QUASHD_VERDICT_H

#include "rules.h"
#include "template.h"

/* Every member may be NULL. With `rejected` or `tested` every rule is looked at, in file order, also those that the
 * index would leave out. */
struct judge_observer {
    /* A rule that does not match, with the first condition that does not hold; for one that is disabled, that. */
    void (*rejected)(void *context, size_t rule, const char *sentence);
    /* One that does; also one that could not be looked into because the event is malformed. */
    void (*matched)(void *context, size_t rule);
    /* Each condition that was tested (condition.h counts them) up to the first that does not hold. */
    void (*tested)(void *context, size_t rule, size_t condition, bool holds);
    /* Of one that matches: each name that a template gives, then what became of the template. */
    void (*named)(void *context, size_t rule, size_t template_index, const char *name, size_t length);
    void (*expanded)(void *context, size_t rule, size_t template_index, const struct expansion *expansion);
    verdict_repeat *repeat;
    void *context;
};

/* As rules_judge. Of a malformed event that cancels `*` no template is expanded; of one that is only kept (on_malformed
 * is "dead_letter" alone) those of the rules that need nothing of what cannot be read. */
bool rules_judge_observed(const struct rules *rules, struct event *event, struct groups *groups,
                          struct verdict *verdict, const struct judge_observer *observer);

/* Of a rule: its template as it was written. */
const char *rules_template_text(const struct rules *rules, size_t rule, size_t template_index);

#endif
