/*
 * exit_code.h - how both programs end, and what a failed call of libquash makes of it.
 */
#ifndef QUASH_EXIT_CODE_H
#define QUASH_EXIT_CODE_H

#include <quash/status.h>

enum exit_code {
    EXIT_DONE = 0,        /* done; or the answer is yes */
    EXIT_NO = 1,          /* the answer is no */
    EXIT_USAGE = 2,       /* the command line is wrong */
    EXIT_BAD_INPUT = 3,   /* a file that was named is absent or wrong, a group's name is none, a table is no table */
    EXIT_UNREACHABLE = 4, /* the broker, or a table that is missing or not permitted: it may work later, or elsewhere */
};

/* Of a failure to open, to serve or to use a table. What may work later or for somebody else is out of reach; what the
 * file is, is bad input. */
static inline enum exit_code exit_code_of_table(quash_status status)
{
    switch (status) {
    case QUASH_NOT_A_TABLE:
    case QUASH_VERSION:
    case QUASH_UNSAFE:
    case QUASH_INVALID:
        return EXIT_BAD_INPUT;
    default:
        return EXIT_UNREACHABLE;
    }
}

#endif
