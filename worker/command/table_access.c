/*
 * table_access.c - how the commands of `quash` come to a table. See table_access.h.
 */
#include "table_access.h"

#include <stdio.h>
#include <string.h>

#include "quote.h"

void table_access_allow(int flag, quash_table_options *options)
{
    if (flag == OPTION_ALLOW_SHARED_WRITE)
        options->allow_shared_write = true;
    else if (flag == OPTION_ALLOW_ANY_OWNER)
        options->allow_any_owner = true;
}

enum exit_code table_access_open(const char *who, const char *path, const quash_table_options *options,
                                 quash_table **table)
{
    quash_error error = {""};
    quash_status status = quash_table_open(path, options, table, &error);
    if (status == QUASH_OK)
        return EXIT_DONE;
    fprintf(stderr, "%s: %s\n", who, error.message[0] != '\0' ? error.message : quash_status_string(status));
    if (status == QUASH_UNSAFE)
        fprintf(stderr, "If those who may write it are trusted, say so with --allow-shared-write or "
                        "--allow-any-owner.\n");
    return exit_code_of_table(status);
}

enum exit_code table_access_failed(const char *who, const char *path, quash_status status)
{
    fprintf(stderr, "%s: %s: %s\n", who, path, quash_status_string(status));
    return exit_code_of_table(status);
}

bool table_access_check_groups(const char *who, const char *const *groups, size_t count)
{
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(groups[i]);
        char quoted[QUOTE_SIZE];
        if (length >= 1 && length <= QUASH_GROUP_MAX)
            continue;
        if (length == 0)
            fprintf(stderr, "%s: an empty group; expected a name such as tenant:42\n", who);
        else
            fprintf(stderr, "%s: the group %s has %zu bytes; a group's name has at most %u\n", who,
                    quote_text(quoted, sizeof quoted, groups[i], length), length, QUASH_GROUP_MAX);
        good = false;
    }
    return good;
}
