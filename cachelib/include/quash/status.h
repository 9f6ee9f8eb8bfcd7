/*
 * quash/status.h - what every function of libquash can answer.
 *
 * QUASH_OK is 0; everything else says why the call did not do its work. A cache miss is a result, not an error,
 * and has no status. Unless a function says otherwise, its outputs are written only when it returns QUASH_OK.
 */
#ifndef QUASH_STATUS_H
#define QUASH_STATUS_H

#include <quash/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(NAME, value, "sentence"). The values are part of the ABI: they are never renumbered. */
#define QUASH_STATUS_MAP(X)                                                                                            \
    X(OK, 0, "success")                                                                                                \
    X(INVALID, 1, "an argument is outside its documented range")                                                       \
    X(NO_MEMORY, 2, "out of memory")                                                                                   \
    X(SYSTEM, 3, "a system call failed")                                                                               \
    X(NOT_FOUND, 4, "no such table file")                                                                              \
    X(NOT_PERMITTED, 5, "the file's permissions do not allow this access")                                             \
    X(NOT_A_TABLE, 6, "the file is not a cancellation table")                                                          \
    X(VERSION, 7, "the table was made by a newer version of its format")                                               \
    X(UNSAFE, 8, "the file's owner or mode would let somebody else write it")                                          \
    X(BUSY, 9, "somebody else is already doing this")                                                                  \
    X(READ_ONLY, 10, "the table was opened for reading only")                                                          \
    X(DETACHED, 11, "no table is attached at the moment")                                                              \
    X(EXHAUSTED, 12, "the table has handed out all its stamps and must be replaced")                                   \
    X(TOO_LARGE, 13, "the entry is larger than the whole cache may be")                                                \
    X(TOO_MANY, 14, "more groups than one token can hold")                                                             \
    X(TIMED_OUT, 15, "the time allowed ran out")                                                                       \
    X(DEADLOCK, 16, "this thread is itself loading the key it asks for")                                               \
    X(LOAD_FAILED, 17, "the loader did not produce a value")                                                           \
    X(ABSENT, 18, "the loader found that there is no such value")                                                      \
    X(MISS, 19, "not in the cache: the caller is to load it")                                                          \
    X(VOIDED, 20, "the load that was waited for was voided: look again")                                               \
    X(NO_ROOM, 21, "the cache is full of entries that may never be evicted")

typedef enum quash_status {
#define QUASH_STATUS_ENUM(name, value, sentence) QUASH_##name = (value),
    QUASH_STATUS_MAP(QUASH_STATUS_ENUM)
#undef QUASH_STATUS_ENUM
    /* Statuses from here up are never returned by the library itself: a loader may use them for its own failures,
     * which reach the loader's caller and all who waited for that load unchanged. */
    QUASH_STATUS_USER = 1000
} quash_status;

/* The sentence for a status; a constant string, never NULL, also for statuses that the library does not know. */
QUASH_API const char *quash_status_string(quash_status status);

#define QUASH_ERROR_MESSAGE_SIZE 512

/*
 * The details of a failure: one NUL-terminated sentence that says what went wrong, where, and what to do about it.
 * Caller-owned; functions that take one accept NULL, and write it only when they fail.
 */
typedef struct quash_error {
    char message[QUASH_ERROR_MESSAGE_SIZE];
} quash_error;

#ifdef __cplusplus
}
#endif

#endif
