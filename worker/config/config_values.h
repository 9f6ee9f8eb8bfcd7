/*
 * config_values.h - the settings themselves: their names in each place, and what is a valid value of each. Used by
 * config.c for flags and variables, and by config_file.c for the file's keys, so that a value means the same
 * everywhere.
 */
#ifndef QUASHD_CONFIG_VALUES_H
#define QUASHD_CONFIG_VALUES_H

#include <stdbool.h>
#include <stddef.h>

#include "config.h"

/* X(NAME, flag, variable, key) */
#define CONFIG_SETTINGS(X)                                                                                             \
    X(AMQP_URL, "amqp-url", "QUASH_AMQP_URL", "amqp_url")                                                              \
    X(EXCHANGE, "exchange", "QUASH_EXCHANGE", "exchange")                                                              \
    X(DEAD_LETTER_EXCHANGE, "dead-letter-exchange", "QUASH_DEAD_LETTER_EXCHANGE", "dead_letter_exchange")              \
    X(RULES, "rules", "QUASH_RULES", "rules")                                                                          \
    X(TABLE, "table", "QUASH_TABLE", "table")                                                                          \
    X(INSTANCE, "instance", "QUASH_INSTANCE", "instance")                                                              \
    X(TABLE_BUCKETS, "table-buckets", "QUASH_TABLE_BUCKETS", "table_buckets")                                          \
    X(TABLE_MODE, "table-mode", "QUASH_TABLE_MODE", "table_mode")                                                      \
    X(PREFETCH, "prefetch", "QUASH_PREFETCH", "prefetch")                                                              \
    X(QUEUE_EXPIRES_MS, "queue-expires-ms", "QUASH_QUEUE_EXPIRES_MS", "queue_expires_ms")                              \
    X(LOG_LEVEL, "log-level", "QUASH_LOG_LEVEL", "log_level")

enum setting {
#define CONFIG_SETTING_ENUM(name, flag, variable, key) SETTING_##name,
    CONFIG_SETTINGS(CONFIG_SETTING_ENUM)
#undef CONFIG_SETTING_ENUM
        SETTINGS
};

struct setting_names {
    const char *flag, *variable, *key;
};
extern const struct setting_names setting_names[SETTINGS];

#define CONFIG_PROBLEM_SIZE 400

/* Stores a copy of `text` as the setting's value, in place of what was there; for AMQP_URL that is a comma-separated
 * list. On failure `problem` is a sentence that says what was found and what is expected, and nothing has changed. */
bool config_set(struct config *config, enum setting setting, const char *text, char problem[CONFIG_PROBLEM_SIZE]);

/* Adds URLs (a comma-separated list) behind those that are there. Failure as above. */
bool config_add_urls(struct config *config, const char *list, char problem[CONFIG_PROBLEM_SIZE]);
void config_clear_urls(struct config *config);

/* Whether this host's name can serve as the name of its one instance; if not, `problem` says why. */
bool config_hostname_serves(const char *hostname, char problem[CONFIG_PROBLEM_SIZE]);

#endif
