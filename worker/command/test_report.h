/*
 * test_report.h - what came of a run of test cases: for people, for programs, and for servers that build and test.
 */
#ifndef QUASH_TEST_REPORT_H
#define QUASH_TEST_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "coverage.h"
#include "test_run.h"
#include "test_suite.h"

struct test_report {
    const struct suite *suite;
    const struct case_result *result; /* one for each case, file by file */
    size_t failed;
    const struct coverage *coverage; /* NULL: not asked for */
};

/* The cases that failed, coverage, and a summary. */
void test_report_text(const struct test_report *report, FILE *out);

/* One object on one line. False when memory ran out, or it cannot be written. */
bool test_report_json(const struct test_report *report, FILE *out);

/* JUnit's XML: a suite for each file. Whether it could be written is for who closes `out`. */
void test_report_junit(const struct test_report *report, FILE *out);

#endif
