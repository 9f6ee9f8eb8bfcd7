/*
 * check.h - a round's history against the model. Each prints the first few differences that it finds and counts them
 * all in *told.
 */
#ifndef QUASH_TESTS_LINEAR_CHECK_H
#define QUASH_TESTS_LINEAR_CHECK_H

#include "model.h"

/* All of them. Returns the number of differences. */
unsigned check_round(const struct model *model);

/* check_answers.c: what each call answered. */
void check_answers(const struct model *model, unsigned key, unsigned *told);
/* check_values.c: that each value came, stayed and left as promised, one at a time. */
void check_values(const struct model *model, unsigned key, unsigned *told);
/* check_flights.c: that a key is loaded by one at a time. */
void check_flights(const struct model *model, unsigned key, unsigned *told);
/* check_totals.c: what the cache says about itself. */
void check_totals(const struct model *model, unsigned *told);

/* Whether the value may have been loaded by a caller for itself alone, having waited in vain. */
bool flight_may_be_private(const struct model *model, uint32_t number);

#endif
