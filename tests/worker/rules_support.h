/*
 * rules_support.h - what the tests of rules and events share.
 */
#ifndef RULES_SUPPORT_H
#define RULES_SUPPORT_H

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "event.h"
#include "groups.h"
#include "problem.h"
#include "rules.h"

static struct problems test_problems;

/* Fails the test unless some problem has this pointer and this part of a sentence. */
static inline void assert_problem(const char *pointer, const char *part)
{
    for (size_t i = 0; i < test_problems.count && i < PROBLEMS_MAX; i++) {
        if (strcmp(test_problems.item[i].pointer, pointer) == 0 && strstr(test_problems.item[i].sentence, part) != NULL)
            return;
    }
    problems_print(&test_problems, "wanted at", stderr);
    fail_msg("no problem at \"%s\" that says \"%s\"", pointer, part);
}

static inline struct rules *must_parse(const char *text)
{
    test_problems.count = 0;
    struct rules *rules = rules_parse(text, strlen(text), NULL, &test_problems, NULL);
    if (rules == NULL)
        problems_print(&test_problems, "rules", stderr);
    assert_non_null(rules);
    return rules;
}

static inline void must_refuse(const char *text)
{
    test_problems.count = 0;
    assert_null(rules_parse(text, strlen(text), NULL, &test_problems, NULL));
    assert_true(test_problems.count > 0);
}

/* An event with a body that is a C string. */
static inline struct event make_event(const char *exchange, const char *routing_key, const char *body)
{
    return (struct event){.exchange = exchange,
                          .routing_key = routing_key,
                          .body = body,
                          .body_size = strlen(body),
                          .body_sent = strlen(body)};
}

#endif
