/*
 * error.c - filling a quash_error.
 */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Paths are any bytes; a cut may not leave half of a UTF-8 character for a log to choke on. */
static void cut_cleanly(quash_error *error)
{
    size_t end = QUASH_ERROR_MESSAGE_SIZE - 1;
    while (end > 0 && ((unsigned char)error->message[end - 1] & 0xc0) == 0x80)
        end--;
    if (end > 0 && ((unsigned char)error->message[end - 1] & 0xc0) == 0xc0)
        end--;
    error->message[end] = '\0';
}

static void set(quash_error *error, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));

static void set(quash_error *error, const char *format, va_list arguments)
{
    int length = vsnprintf(error->message, QUASH_ERROR_MESSAGE_SIZE, format, arguments);
    if (length < 0)
        error->message[0] = '\0';
    else if ((size_t)length >= QUASH_ERROR_MESSAGE_SIZE)
        cut_cleanly(error);
}

void error_format(quash_error *error, const char *format, ...)
{
    if (error == NULL)
        return;
    int saved_errno = errno;
    va_list arguments;
    va_start(arguments, format);
    set(error, format, arguments);
    va_end(arguments);
    errno = saved_errno;
}

void error_format_system(quash_error *error, int error_number, const char *format, ...)
{
    if (error == NULL)
        return;
    int saved_errno = errno;
    quash_error sentence;
    va_list arguments;
    va_start(arguments, format);
    set(&sentence, format, arguments);
    va_end(arguments);

    char reason[128];
    if (strerror_r(error_number, reason, sizeof reason) != 0)
        snprintf(reason, sizeof reason, "error %d", error_number);
    error_format(error, "%s: %s", sentence.message, reason);
    errno = saved_errno;
}
