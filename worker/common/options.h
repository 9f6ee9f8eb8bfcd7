/*
 * options.h - long flags, for both programs: getopt_long with complaints that help.
 *
 * Flags may stand before, between or after operands; `--` ends them. A flag may be abbreviated while it stays unique.
 * `-h` is --help where the command has one.
 */
#ifndef QUASH_OPTIONS_H
#define QUASH_OPTIONS_H

#include <getopt.h>
#include <stdio.h>

#define OPTION_END     (-1)
#define OPTION_MISTAKE '?'
#define OPTION_HELP    'h'
/* Values for a command's own flags start here, so that none is taken for one of the above. */
#define OPTION_FIRST 256

/* Before the first options_next on an argv; optional in a program that reads one. */
void options_start(void);

/*
 * The next flag's `val`, with its argument in `optarg`; OPTION_END when only operands are left, from argv[optind] on;
 * OPTION_MISTAKE after explaining it on `err`, in the name of `who` ("quash cancel"). `flags` ends with a zero entry
 * and uses `flag` NULL throughout; argv[0] is skipped.
 */
int options_next(int argc, char **argv, const struct option *flags, const char *who, FILE *err);

/* Tells where help is: "Try 'WHO --help'." Returns EXIT_USAGE, so that a command can end with it. */
int options_refer_to_help(const char *who, FILE *err);

/* What a command ends with when `value` is none of its own flags: OPTION_HELP prints `help` as the answer, after a
 * mistake comes where help is. Returns the exit code. */
int options_end(int value, const char *help, const char *who);

#endif
