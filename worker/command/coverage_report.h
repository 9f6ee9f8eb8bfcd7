/*
 * coverage_report.h - what the test cases exercised of the rules, for people and for programs.
 */
#ifndef QUASH_COVERAGE_REPORT_H
#define QUASH_COVERAGE_REPORT_H

#include <stdio.h>

#include <jansson.h>

#include "coverage.h"

/* The sums, then a line for each thing that no case exercised. */
void coverage_report_text(const struct coverage *coverage, FILE *out);

/* The sums, and under "details" the counts of each rule that is not disabled; the caller releases it. NULL when memory
 * ran out. */
json_t *coverage_report_json(const struct coverage *coverage);

#endif
