/*
 * lint.h - what a rules file may say but hardly means: rules that can never match, rules that another makes
 * superfluous, templates whose group can never be used, patterns that bind everything.
 */
#ifndef QUASHD_LINT_H
#define QUASHD_LINT_H

#include "problem.h"
#include "rules.h"

/* Adds a warning, with its JSON Pointer, for each. A warning is true whenever it is given; not everything that is
 * wrong is found. */
void rules_lint(const struct rules *rules, struct problems *warnings);

#endif
