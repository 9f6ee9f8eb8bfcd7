/*
 * served_rules.h - the rules file, loaded for this worker: rules that are right as such may still be none that it can
 * serve. At the start and at each reload.
 */
#ifndef QUASHD_SERVED_RULES_H
#define QUASHD_SERVED_RULES_H

#include "problem.h"
#include "rules.h"

struct rules_file {
    const char *path;
    const char *default_exchange;     /* NULL: each rule must name an exchange */
    const char *dead_letter_exchange; /* NULL: there is none */
};

/* As rules_load; besides, every binding has an exchange, rules that ask for dead letters can have them, and no rule
 * listens where dead letters go: they would come back for ever. */
struct rules *served_rules_load(const struct rules_file *file, struct problems *problems, struct problems *warnings);

/* One line each into the log: what is wrong with the file, or hardly meant. */
void served_rules_log_problems(const struct rules_file *file, const struct problems *problems);
void served_rules_log_warnings(const struct rules_file *file, const struct problems *warnings);

#endif
