/*
 * problem.h - what is wrong with a file that a person wrote: all of it at once, each with its place and a sentence
 * that says what was found and what was expected instead.
 */
#ifndef QUASHD_PROBLEM_H
#define QUASHD_PROBLEM_H

#include <stddef.h>
#include <stdio.h>

#define PROBLEM_POINTER_SIZE  256
#define PROBLEM_SENTENCE_SIZE 512
#define PROBLEMS_MAX          50 /* the rest is counted, not kept */

struct problem {
    int line, column;                   /* 0 where only the JSON Pointer is known */
    char pointer[PROBLEM_POINTER_SIZE]; /* RFC 6901; "" is the whole document */
    char sentence[PROBLEM_SENTENCE_SIZE];
};

struct problems {
    size_t count; /* found; `item` holds the first PROBLEMS_MAX of them */
    struct problem item[PROBLEMS_MAX];
};

/* Adds one; `pointer` may be NULL. */
void problems_add(struct problems *problems, int line, int column, const char *pointer, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* One line each: `PATH:LINE:COLUMN: sentence` or `PATH: at POINTER: sentence`. */
void problems_print(const struct problems *problems, const char *path, FILE *out);

/* The same of what is not wrong, but hardly meant: `PATH:LINE:COLUMN: warning: at POINTER: sentence`. */
void problems_print_warnings(const struct problems *warnings, const char *path, FILE *out);

/* The one of `known` (NULL-terminated) that `word` was most likely meant to be, or NULL if none is near. */
const char *nearest_word(const char *word, const char *const *known);

#endif
