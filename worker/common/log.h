/*
 * log.h - lines for operators, on standard error: time, level, sentence, then key=value pairs (logfmt).
 *
 *     2026-11-23T18:00:00.123Z info  connected to the broker url=amqp://guest@127.0.0.1:5672/ queue=quash.web-1
 *
 * Any thread may log; a line is one write. Credentials never get here: URLs are logged by broker_url_redacted.
 */
#ifndef QUASHD_LOG_H
#define QUASHD_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
bool log_level_parse(const char *word, enum log_level *level); /* error, warn, info, debug */

/* `sentence` is the program's own; values that come from outside belong in fields, which are quoted where needed and
 * escaped: control bytes, quotes, what is not UTF-8. Fields are pairs of `const char *key, const char *value`, ended by
 * NULL; a NULL value leaves its field out. */
void log_line(enum log_level level, const char *sentence, ...) __attribute__((sentinel));

/* Bytes: of a line with its newline, as many as a pipe takes in one piece; and of a value or sentence as it is written,
 * quotes aside. Longer ones are cut and end in `...`; so does a line whose last fields found no room. */
#define LOG_LINE_MAX  4096u
#define LOG_VALUE_MAX 1024u

/* Decimal digits for a field, in a buffer of the caller's. */
#define LOG_NUMBER_SIZE 24
const char *log_number(char buffer[LOG_NUMBER_SIZE], uint64_t number);

/*
 * For problems that an emitter can cause at any rate: lets the first `burst` of each `interval_ms` through. Returns
 * whether to log, and then in *suppressed how many were swallowed since the last that was. Zero-initialise; one thread.
 */
struct log_sampler {
    uint64_t window_start_ms;
    uint32_t in_window;
    uint64_t suppressed;
};
bool log_sample(struct log_sampler *sampler, uint32_t burst, uint32_t interval_ms, uint64_t *suppressed);
/* The same at a time that the caller gives, in monotonic milliseconds. */
bool log_sample_at(struct log_sampler *sampler, uint32_t burst, uint32_t interval_ms, uint64_t now_ms,
                   uint64_t *suppressed);

#endif
