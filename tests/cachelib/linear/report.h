/*
 * report.h - telling a difference: what is wrong, what the value was, and what happened to its key around it.
 */
#ifndef QUASH_TESTS_LINEAR_REPORT_H
#define QUASH_TESTS_LINEAR_REPORT_H

#include "model.h"

/* Only the first few of a round are printed. `number` 0: no value is concerned; `op` NULL: no call. Returns 1. */
unsigned report(const struct model *model, unsigned *told, const struct op *op, uint32_t number, const char *format,
                ...) __attribute__((format(printf, 5, 6)));

#endif
