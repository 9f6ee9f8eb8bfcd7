/*
 * matcher_tree.h - what is inside a struct matcher: a tree of tests, each in the array of the one above. For matcher.c,
 * matcher_read.c and matcher_compare.c.
 *
 * The strings are borrowed from the JSON that the matcher was read from, which it keeps a reference to; testing only
 * reads them, so that any number of threads may.
 */
#ifndef QUASHD_MATCHER_TREE_H
#define QUASHD_MATCHER_TREE_H

#include "matcher.h"

enum matcher_test_kind {
    TEST_EQUALS, /* `json` */
    TEST_GLOB,   /* text */
    TEST_TOPIC,  /* text */
    TEST_EXISTS,
    TEST_ABSENT,
    TEST_NOT, /* its one item does not hold */
    TEST_ANY, /* one of its items holds */
};

struct matcher_test {
    enum matcher_test_kind kind;
    const json_t *json; /* as it is written; borrowed */
    const char *text;   /* of a string; NULL of anything else */
    size_t length;
    struct matcher_test *item; /* owned */
    size_t count;
};

struct matcher {
    enum matcher_kind kind;
    struct matcher_test root;
    json_t *json;         /* a reference, which keeps the strings alive */
    const char **strings; /* NULL: not only literal strings */
    size_t string_count;
    bool has_not;
};

bool matcher_test_holds(const struct matcher_test *test, const struct value *value);

#endif
