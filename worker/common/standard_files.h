/*
 * standard_files.h - standard input, output and error, as a program may find them: closed, full, a broken pipe.
 */
#ifndef QUASH_STANDARD_FILES_H
#define QUASH_STANDARD_FILES_H

#include <stdbool.h>

/*
 * Before anything is opened: takes the descriptors 0, 1 and 2 where the caller has closed them. Otherwise the next file
 * or socket would get the number, and be read as input, or get the program's answers and complaints. What is put there
 * fails as a closed one does when it is read or, if it is standard output, written; standard error swallows. False if
 * that was not possible.
 */
bool standard_files_hold(void);

/* At the end: false, after explaining it in the name of `who`, if standard output has not taken all that was printed.
 */
bool standard_files_flush(const char *who);

#endif
