/*
 * error.h - filling a quash_error: what went wrong, where, and what to do about it.
 *
 *     return error_set(error, QUASH_NOT_FOUND, "no table at %s", path);
 *
 * error_set and error_set_system are macros so that whoever reads the caller, a static analyzer too, sees which status
 * comes out. The functions behind them leave errno as it was, since the status may be told from it.
 */
#ifndef QUASH_SRC_ERROR_H
#define QUASH_SRC_ERROR_H

#include <quash/status.h>

/* Writes the sentence, unless `error` is NULL. One that is too long is cut at a character's end. */
void error_format(quash_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same, with a colon and the system's words for `error_number` after the sentence. */
void error_format_system(quash_error *error, int error_number, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* error_set(error, status, format, ...): as error_format; its value is `status`. */
#define error_set(error, status, ...) (error_format((error), __VA_ARGS__), (quash_status)(status))

/* error_set_system(error, status, error_number, format, ...): as error_format_system; its value is `status`. */
#define error_set_system(error, status, error_number, ...)                                                             \
    (error_format_system((error), (error_number), __VA_ARGS__), (quash_status)(status))

#endif
