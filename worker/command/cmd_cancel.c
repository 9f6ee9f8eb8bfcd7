/*
 * cmd_cancel.c - `quash cancel`: cancels groups by hand.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cmd.h"
#include "table_access.h"

#define WHO "quash cancel"

static const char help_text[] =
    "Usage: quash cancel --table FILE GROUP...\n"
    "\n"
    "Cancels groups in a cancellation table: when it returns, no cache that checks\n"
    "the table serves anything that depends on one of them. A group is kind:id\n"
    "(tenant:42) or a bare kind (catalog); kind:* is every group of that kind, and *\n"
    "is everything. Other hosts are not told: for that, publish an event.\n"
    "\n"
    "  --table FILE           the table; without it, the variable QUASH_TABLE\n" TABLE_ACCESS_HELP
    "  --help                 print this and exit\n"
    "\n"
    "All names are checked before the first is cancelled. A name that begins with a\n"
    "dash stands behind --, and * stands in quotes.\n"
    "\n"
    "Exit codes:\n"
    "  0  cancelled\n" TABLE_ACCESS_EXIT_CODES;

static enum exit_code cancel(const char *path, quash_table_options *options, const char *const *groups, size_t count)
{
    if (!table_access_check_groups(WHO, groups, count))
        return EXIT_BAD_INPUT;
    quash_table *table;
    enum exit_code code = table_access_open(WHO, path, options, &table);
    if (code != EXIT_DONE)
        return code;
    quash_status status = quash_table_cancel_batch(table, groups, count);
    if (status != QUASH_OK)
        code = table_access_failed(WHO, path, status);
    else
        printf("cancelled %zu %s\n", count, count == 1 ? "group" : "groups");
    quash_table_close(table);
    return code;
}

int cmd_cancel(int argc, char **argv)
{
    enum { FLAG_TABLE = OPTION_FIRST };
    static const struct option flags[] = {
        {"table", required_argument, NULL, FLAG_TABLE},
        TABLE_ACCESS_FLAGS,
        {"help", no_argument, NULL, OPTION_HELP},
        {NULL, 0, NULL, 0},
    };
    quash_table_options options = QUASH_TABLE_OPTIONS_INIT;
    options.writable = true;
    options.must_exist = true;
    const char *path = getenv("QUASH_TABLE");

    int value;
    options_start();
    while ((value = options_next(argc, argv, flags, WHO, stderr)) != OPTION_END) {
        switch (value) {
        case FLAG_TABLE:
            path = optarg;
            break;
        case OPTION_ALLOW_SHARED_WRITE:
        case OPTION_ALLOW_ANY_OWNER:
            table_access_allow(value, &options);
            break;
        default:
            return options_end(value, help_text, WHO);
        }
    }
    if (path == NULL || *path == '\0') {
        fputs(WHO ": no table; give --table FILE or QUASH_TABLE\n", stderr);
        return options_refer_to_help(WHO, stderr);
    }
    if (optind == argc) {
        fputs(WHO ": no group; name at least one, such as tenant:42\n", stderr);
        return options_refer_to_help(WHO, stderr);
    }
    return (int)cancel(path, &options, (const char *const *)(argv + optind), (size_t)(argc - optind));
}
