/*
 * test_suite.h - the files of test cases that one run of `quash rules test` goes through.
 */
#ifndef QUASH_TEST_SUITE_H
#define QUASH_TEST_SUITE_H

#include <stdbool.h>
#include <stddef.h>

#include "cases.h"

struct suite_file {
    char *path; /* owned */
    struct cases cases;
};

struct suite {
    struct suite_file *file; /* in the order in which they were added */
    size_t count;
    size_t case_count; /* in all files */
};

/* The cases inside the rules file text[size], which was found fine. These print what is wrong on standard error, and
 * say whether nothing was. */
bool suite_add_rules(struct suite *suite, const char *path, const char *text, size_t size);

/* A file of cases; or a directory, of which all files *.json are taken, in bytewise order, without its folders. */
bool suite_add(struct suite *suite, const char *path);

void suite_fini(struct suite *suite);

#endif
