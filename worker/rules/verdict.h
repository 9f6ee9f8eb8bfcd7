/*
 * verdict.h - judging an event while somebody watches: the same code as rules_judge, for explain.
 */
#ifndef QUASHD_VERDICT_H
#define QUASHD_VERDICT_H

#include "rules.h"
#include "template.h"

/* Every member may be NULL. Called in file order: `rejected` for a rule that does not match, with the first condition
 * that does not hold; `matched` for one that does, then `expanded` for each of its templates. */
struct judge_observer {
    void (*rejected)(void *context, size_t rule, const char *sentence);
    void (*matched)(void *context, size_t rule);
    void (*expanded)(void *context, size_t rule, const char *template_text, const struct expansion *expansion);
    void *context;
};

/* As rules_judge. Of a malformed event no template is expanded. */
bool rules_judge_observed(const struct rules *rules, struct event *event, struct groups *groups,
                          struct verdict *verdict, const struct judge_observer *observer);

#endif
