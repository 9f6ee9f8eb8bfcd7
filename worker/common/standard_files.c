/*
 * standard_files.c - see standard_files.h.
 */
#include "standard_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool standard_files_hold(void)
{
    /* The wrong way round for input and output, so that using them is an error and not an empty success. */
    static const int mode[] = {
        [STDIN_FILENO] = O_WRONLY,
        [STDOUT_FILENO] = O_RDONLY,
        [STDERR_FILENO] = O_WRONLY,
    };
    for (int fd = 0; fd < (int)(sizeof mode / sizeof mode[0]); fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        /* All lower ones are open, so this is the number that it gets. */
        if (open("/dev/null", mode[fd]) != fd)
            return false;
    }
    return true;
}

bool standard_files_flush(const char *who)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    /* An error of an earlier write has left no reason. */
    fprintf(stderr, "%s: the answer could not be written%s%s\n", who, errno != 0 ? ": " : "",
            errno != 0 ? strerror(errno) : "");
    return false;
}
