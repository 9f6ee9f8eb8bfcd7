/*
 * test_run.h - running one test case: what the rules make of its event, and how that differs from what it expects.
 */
#ifndef QUASH_TEST_RUN_H
#define QUASH_TEST_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "cases.h"
#include "coverage.h"
#include "rules.h"

struct case_result {
    bool passed;
    uint64_t took_ns;
    json_t *found;     /* what `quash explain --json` says, without the details */
    char *differences; /* lines: "- expected ...", "+ unexpected ..."; NULL if it passed */
    char *explanation; /* lines: the reason of the verdict and the rules concerned; NULL if it passed */
};

/* The event of `test` is judged; nothing else of it changes. `coverage` may be NULL. False when memory ran out; then
 * there is nothing to end. */
bool case_run(struct case_result *result, const struct rules *rules, struct test_case *test, struct coverage *coverage);
void case_result_fini(struct case_result *result);

#endif
