/*
 * options.h - the flags of a subcommand: declared once, from which come the parsing, the complaints and the help.
 *
 *     struct option flags[] = {
 *         {.name = "entries", .value = "N", .count = &entries, .min = 1, .max = 1000000, .help = "keys in the cache"},
 *         {.name = "json", .on = &json, .help = "one JSON object instead of a table"},
 *     };
 *
 * What a flag's target holds before the parsing is its default, and the help says so.
 */
#ifndef QUASH_BENCH_OPTIONS_H
#define QUASH_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTIONS_LIST_MAX 8u /* numbers in a list */

struct option_list {
    size_t count;
    uint64_t item[OPTIONS_LIST_MAX];
};

/* Exactly one target is not NULL. */
struct option {
    const char *name;         /* without the dashes */
    const char *value;        /* what stands for its value in the help; NULL for a switch */
    uint64_t *count;          /* a whole number from min to max */
    double *real;             /* a number from min to max */
    struct option_list *list; /* whole numbers from min to max, with commas between them */
    size_t *choice;           /* the position of one of `choices` */
    bool *on;                 /* a switch */
    double min, max;
    const char *const *choices; /* NULL-terminated */
    const char *help;           /* one line, or several with '\n' between them */
};

struct options {
    const char *who;      /* "quash-bench get" */
    const char *operands; /* "FILE|-"; NULL: none. A subcommand has at most one, and then exactly one. */
    const char *about;    /* paragraphs for the help, before and after the flags; each line ends with '\n' */
    const char *method;
    const struct option *flags;
    size_t flag_count;
};

enum options_outcome {
    OPTIONS_RUN,  /* parsed; go on */
    OPTIONS_HELP, /* --help was printed; EXIT_DONE */
    OPTIONS_WRONG /* explained on standard error; EXIT_USAGE */
};

/* Parses argv[1] and up into the targets, which are written as they are read. *operand (may be NULL if there is none)
 * is set to an element of argv. */
enum options_outcome options_parse(const struct options *options, int argc, char **argv, const char **operand);

/* What a subcommand ends with when the outcome is not OPTIONS_RUN. */
int options_exit_code(enum options_outcome outcome);

/* For what the flags cannot say one by one: explains on standard error in the name of `who`, and says where help is.
 * Returns EXIT_USAGE. */
int options_wrong(const char *who, const char *format, ...) __attribute__((format(printf, 2, 3)));
int options_refer_to_help(const char *who);

/* The one of `names` that `word` was most likely meant to be, or NULL. */
const char *options_nearest(const char *word, const char *const *names, size_t count);

#endif
