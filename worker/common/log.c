/*
 * log.c - lines for operators. See log.h.
 *
 * A line is put together in a buffer on the stack and leaves in one write(2). It is never longer than PIPE_BUF, so
 * that lines of several threads and processes do not mix in a pipe either. What does not fit is cut, and marked `...`.
 *
 * Whatever a value holds, it cannot break out of its line, pass for another field, or steer a terminal: see
 * quote.h.
 */
#include "log.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "quote.h"

static_assert(LOG_LINE_MAX <= PIPE_BUF, "a line must fit a pipe in one piece");

static _Atomic int current_level = LOG_INFO; /* relaxed: it guards no other memory */

static const char *const level_word[] = {"error", "warn", "info", "debug"};

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

bool log_level_parse(const char *word, enum log_level *level)
{
    for (size_t i = 0; i < sizeof level_word / sizeof level_word[0]; i++) {
        if (strcmp(word, level_word[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* ---- The line ---- */

struct line {
    size_t size;
    char text[LOG_LINE_MAX];
};

/* Appends if it fits whole, with room left for `reserve` bytes more. */
static bool append(struct line *line, const char *text, size_t reserve)
{
    size_t length = strlen(text);
    if (length + reserve > sizeof line->text - line->size)
        return false;
    memcpy(line->text + line->size, text, length);
    line->size += length;
    return true;
}

/* What must always still fit: the mark of a cut, and the newline. */
#define CUT_MARK " ..."
#define RESERVE  (sizeof CUT_MARK - 1 + 1)

/* Both marks, and the NUL. */
#define QUOTED_MAX (LOG_VALUE_MAX + 3)
/* quote_text keeps room for the dots of a cut until the last character; with this much of it, a value of just
 * LOG_VALUE_MAX bytes comes out whole. */
#define QUOTED_SIZE (QUOTED_MAX + 3)

/* The value as it is written: in quotes if it could not be told from its surroundings, or not read back, without. */
static const char *write_value(char out[QUOTED_SIZE], const char *value)
{
    size_t length = strlen(value);
    if (strlen(quote_text(out, QUOTED_SIZE, value, length)) >= QUOTED_MAX)
        quote_text(out, QUOTED_MAX, value, length);
    bool is_same = strlen(out) == length + 2 && memcmp(out + 1, value, length) == 0;
    if (length == 0 || !is_same || strpbrk(value, " =") != NULL)
        return out;
    return value;
}

/* False when there is no room for it. */
static bool append_field(struct line *line, const char *key, const char *value)
{
    char quoted[QUOTED_SIZE];
    const char *written = write_value(quoted, value);
    if (strlen(key) + strlen(written) + 2 + RESERVE > sizeof line->text - line->size)
        return false;
    return append(line, " ", RESERVE) && append(line, key, RESERVE) && append(line, "=", RESERVE) &&
           append(line, written, RESERVE);
}

static void append_head(struct line *line, enum log_level level)
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    char stamp[40], head[64];
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(head, sizeof head, "%s.%03ldZ %-5s ", stamp, now.tv_nsec / 1000000, level_word[level]);
    append(line, head, RESERVE);
}

void log_line(enum log_level level, const char *sentence, ...)
{
    if ((int)level > atomic_load_explicit(&current_level, memory_order_relaxed))
        return;
    int saved_errno = errno;
    struct line line;
    line.size = 0;
    append_head(&line, level);
    char safe[LOG_VALUE_MAX + 1];
    append(&line, quote_bare(safe, sizeof safe, sentence, strlen(sentence)), RESERVE);

    va_list fields;
    va_start(fields, sentence);
    for (const char *key; (key = va_arg(fields, const char *)) != NULL;) {
        const char *value = va_arg(fields, const char *);
        if (value != NULL && !append_field(&line, key, value)) {
            append(&line, CUT_MARK, 1);
            break; /* a later, shorter one would look as if nothing was missing before it */
        }
    }
    va_end(fields);
    append(&line, "\n", 0);

    /* A reader that has gone away, or a full pipe that does not block, must not stop the worker: the line is lost. */
    while (write(STDERR_FILENO, line.text, line.size) < 0 && errno == EINTR) {
    }
    errno = saved_errno;
}

const char *log_number(char buffer[LOG_NUMBER_SIZE], uint64_t number)
{
    snprintf(buffer, LOG_NUMBER_SIZE, "%llu", (unsigned long long)number);
    return buffer;
}

/* ---- Sampling ---- */

bool log_sample_at(struct log_sampler *sampler, uint32_t burst, uint32_t interval_ms, uint64_t now_ms,
                   uint64_t *suppressed)
{
    if (now_ms - sampler->window_start_ms >= interval_ms) {
        sampler->window_start_ms = now_ms;
        sampler->in_window = 0;
    }
    if (sampler->in_window >= burst) {
        sampler->suppressed++;
        return false;
    }
    sampler->in_window++;
    *suppressed = sampler->suppressed;
    sampler->suppressed = 0;
    return true;
}

bool log_sample(struct log_sampler *sampler, uint32_t burst, uint32_t interval_ms, uint64_t *suppressed)
{
    return log_sample_at(sampler, burst, interval_ms, clock_monotonic_ms(), suppressed);
}
