/*
 * table_access.h - how the commands of `quash` come to a table: the flags that they share, the exit codes for what can
 * go wrong, and the complaints.
 */
#ifndef QUASH_TABLE_ACCESS_H
#define QUASH_TABLE_ACCESS_H

#include <quash/table.h>

#include "exit_code.h"
#include "options.h"

/* The shared flags, for a command's list; their values are kept clear of its own, which start at OPTION_FIRST. */
enum { OPTION_ALLOW_SHARED_WRITE = OPTION_FIRST - 2, OPTION_ALLOW_ANY_OWNER = OPTION_FIRST - 1 };
#define TABLE_ACCESS_FLAGS                                                                                             \
    {"allow-shared-write", no_argument, NULL, OPTION_ALLOW_SHARED_WRITE},                                              \
    {                                                                                                                  \
        "allow-any-owner", no_argument, NULL, OPTION_ALLOW_ANY_OWNER                                                   \
    }

#define TABLE_ACCESS_HELP                                                                                              \
    "  --allow-shared-write   also a table that its group or everybody may write\n"                                    \
    "  --allow-any-owner      also a table of somebody other than root and you\n"

#define TABLE_ACCESS_EXIT_CODES                                                                                        \
    "  2  the command line is wrong\n"                                                                                 \
    "  3  a bad group or stamp; or a file that is not a table, has a newer format, or\n"                               \
    "     may be written by others\n"                                                                                  \
    "  4  the table is missing, or not permitted\n"

/* Sets what one of TABLE_ACCESS_FLAGS allows. */
void table_access_allow(int flag, quash_table_options *options);

/* Opens the table at `path`, which must be there. On failure explains it on standard error in the name of `who`, and
 * returns the exit code. */
enum exit_code table_access_open(const char *who, const char *path, const quash_table_options *options,
                                 quash_table **table);

/* Explains a call that failed once the table was open; returns the exit code. */
enum exit_code table_access_failed(const char *who, const char *path, quash_status status);

/* Whether each of the names is a group; if not, explains which is none. */
bool table_access_check_groups(const char *who, const char *const *groups, size_t count);

#endif
