/*
 * rules_test.h - `quash rules test`.
 */
#ifndef QUASH_RULES_TEST_H
#define QUASH_RULES_TEST_H

#include <stdbool.h>
#include <stddef.h>

struct rules_test_options {
    const char *rules_path;
    char *const *case_paths; /* files and directories besides */
    size_t case_path_count;
    bool as_json;
    bool coverage;
    const char *junit; /* where the XML goes; "-" is standard output, in place of the text; NULL: nowhere */
};

/* Returns the exit code. */
int rules_test(const struct rules_test_options *options);

#endif
