/*
 * fuzz.c - the promises that are checked of every event. See fuzz.h.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "template.h"
#include "verdict.h"

_Noreturn void fuzz_broken(const char *promise)
{
    fprintf(stderr, "promise broken: %s\n", promise);
    abort();
}

void fuzz_check_group(const char *name, size_t length)
{
    if (length == 0 || length > TEMPLATE_GROUP_BYTES_MAX)
        fuzz_broken("a group's name has 1 to 512 bytes");
    if (memchr(name, '\0', length) != NULL)
        fuzz_broken("a group's name contains no NUL");
}

struct judged {
    struct groups *groups;
    struct verdict verdict;
    size_t repeats;
};

static bool count_repeat(void *context, uint32_t after_ms, const char *group, size_t length)
{
    struct judged *judged = context;
    if (after_ms == 0 || after_ms > REPEAT_AFTER_MS_MAX)
        fuzz_broken("a repeat is within its limits");
    fuzz_check_group(group, length);
    judged->repeats++;
    return true;
}

static void ignore_rejected(void *context, size_t rule, const char *sentence)
{
    (void)context;
    (void)rule;
    if (sentence[0] == '\0')
        fuzz_broken("a rule that does not match says why");
}

static void judge(struct judged *judged, const struct rules *rules, struct event event, bool everyone)
{
    const struct judge_observer observer = {.rejected = ignore_rejected, .repeat = count_repeat, .context = judged};
    judged->repeats = 0;
    judged->groups = groups_new();
    if (judged->groups == NULL)
        fuzz_broken("there is memory");
    bool done = everyone ? rules_judge_observed(rules, &event, judged->groups, &judged->verdict, &observer)
                         : rules_judge(rules, &event, judged->groups, &judged->verdict, count_repeat, judged);
    if (!done)
        fuzz_broken("there is memory");
    event_fini(&event);
    groups_sort(judged->groups);
}

static void check_verdict(const struct judged *judged)
{
    const struct verdict *verdict = &judged->verdict;
    size_t count = groups_count(judged->groups);
    for (size_t i = 0; i < count; i++)
        fuzz_check_group(groups_names(judged->groups)[i], strlen(groups_names(judged->groups)[i]));
    if ((verdict->kind == VERDICT_CANCEL) != (count > 0) && verdict->kind != VERDICT_DEAD_LETTER)
        fuzz_broken("an event that names groups is a cancellation, and one that names none is not");
    if (count > EVENT_GROUPS_MAX)
        fuzz_broken("an event names at most so many groups");
    if (verdict->widened && count == 0)
        fuzz_broken("what is widened cancels something");
    if (verdict->kind == VERDICT_DEAD_LETTER && (verdict->reason[0] == '\0' || verdict->cause == CAUSE_NONE))
        fuzz_broken("a dead letter has a reason");
}

static void check_same(const struct judged *a, const struct judged *b)
{
    size_t count = groups_count(a->groups);
    bool same = count == groups_count(b->groups) && a->verdict.kind == b->verdict.kind &&
                a->verdict.cause == b->verdict.cause && a->verdict.rule == b->verdict.rule &&
                a->verdict.widened == b->verdict.widened && a->repeats == b->repeats &&
                strcmp(a->verdict.reason, b->verdict.reason) == 0;
    for (size_t i = 0; i < count && same; i++)
        same = strcmp(groups_names(a->groups)[i], groups_names(b->groups)[i]) == 0;
    if (!same)
        fuzz_broken("the index changes nothing");
}

void fuzz_judge(const struct rules *rules, struct event (*make)(const void *context), const void *context)
{
    struct judged indexed, asked;
    judge(&indexed, rules, make(context), false);
    judge(&asked, rules, make(context), true);
    check_verdict(&indexed);
    check_same(&indexed, &asked);
    groups_free(indexed.groups);
    groups_free(asked.groups);
}
