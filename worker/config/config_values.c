/*
 * config_values.c - what is a valid value of each setting. See config_values.h.
 */
#include "config_values.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <quash/table.h>

#include "broker_url.h"
#include "quote.h"
#include "short_string.h"

const struct setting_names setting_names[SETTINGS] = {
#define CONFIG_SETTING_NAMES(name, flag, variable, key) {flag, variable, key},
    CONFIG_SETTINGS(CONFIG_SETTING_NAMES)
#undef CONFIG_SETTING_NAMES
};

static bool fail(char problem[CONFIG_PROBLEM_SIZE], const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fail(char problem[CONFIG_PROBLEM_SIZE], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem, CONFIG_PROBLEM_SIZE, format, arguments);
    va_end(arguments);
    return false;
}

static bool store(char **field, const char *text, char problem[CONFIG_PROBLEM_SIZE])
{
    char *copy = strdup(text);
    if (copy == NULL)
        return fail(problem, "out of memory");
    free(*field);
    *field = copy;
    return true;
}

/* ---- Broker URLs ---- */

void config_clear_urls(struct config *config)
{
    while (config->amqp_url_count > 0) {
        config->amqp_url_count--;
        free(config->amqp_url[config->amqp_url_count]);
        config->amqp_url[config->amqp_url_count] = NULL;
    }
}

static bool add_url(struct config *config, char *url, char problem[CONFIG_PROBLEM_SIZE])
{
    if (*url == '\0')
        return fail(problem, "an empty URL in the list; commas stand only between two URLs (a comma within a password "
                             "is written %%2C)");
    char sentence[CONFIG_PROBLEM_SIZE / 2], redacted[BROKER_URL_SIZE], quoted[QUOTE_SIZE];
    if (!broker_url_check(url, sentence, sizeof sentence)) {
        broker_url_redacted(url, redacted);
        return fail(problem, "%s cannot be used: %s", quote_text(quoted, sizeof quoted, redacted, strlen(redacted)),
                    sentence);
    }
    if (config->amqp_url_count == CONFIG_URLS_MAX)
        return fail(problem, "more than %u URLs; name at most that many brokers", CONFIG_URLS_MAX);
    if (!store(&config->amqp_url[config->amqp_url_count], url, problem))
        return false;
    config->amqp_url_count++;
    return true;
}

bool config_add_urls(struct config *config, const char *list, char problem[CONFIG_PROBLEM_SIZE])
{
    char *copy = strdup(list);
    if (copy == NULL)
        return fail(problem, "out of memory");
    size_t count_before = config->amqp_url_count;
    bool good = true;
    for (char *url = copy, *next; good && url != NULL; url = next) {
        next = strchr(url, ',');
        if (next != NULL)
            *next++ = '\0';
        url += strspn(url, " ");
        for (char *end = url + strlen(url); end > url && end[-1] == ' '; end--)
            end[-1] = '\0';
        good = add_url(config, url, problem);
    }
    free(copy);
    while (!good && config->amqp_url_count > count_before) {
        config->amqp_url_count--;
        free(config->amqp_url[config->amqp_url_count]);
        config->amqp_url[config->amqp_url_count] = NULL;
    }
    return good;
}

static bool set_urls(struct config *config, const char *list, char problem[CONFIG_PROBLEM_SIZE])
{
    struct config fresh = {.amqp_url_count = 0};
    if (!config_add_urls(&fresh, list, problem))
        return false;
    config_clear_urls(config);
    memcpy(config->amqp_url, fresh.amqp_url, sizeof config->amqp_url);
    config->amqp_url_count = fresh.amqp_url_count;
    return true;
}

/* ---- Names and paths ---- */

static bool is_utf8(const char *text)
{
    json_t *string = json_string(text); /* jansson takes nothing else */
    json_decref(string);
    return string != NULL;
}

static bool set_exchange(char **field, const char *text, const char *which, char problem[CONFIG_PROBLEM_SIZE])
{
    if (*text == '\0')
        return fail(problem,
                    "an empty name is the broker's default exchange, to which nothing can be bound; name the "
                    "exchange that %s",
                    which);
    if (strlen(text) > SHORT_STRING_BYTES_MAX)
        return fail(problem, "a name of %zu bytes; an exchange's name has at most %d", strlen(text),
                    SHORT_STRING_BYTES_MAX);
    if (!is_utf8(text))
        return fail(problem, "the name is not UTF-8, as the names of exchanges are");
    return store(field, text, problem);
}

static bool set_path(char **field, const char *text, char problem[CONFIG_PROBLEM_SIZE])
{
    if (*text == '\0')
        return fail(problem, "an empty path; expected that of a file");
    if (strlen(text) > CONFIG_PATH_MAX)
        return fail(problem, "a path of %zu bytes; at most %u are possible", strlen(text), CONFIG_PATH_MAX);
    return store(field, text, problem);
}

static bool is_ascii_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool instance_is_valid(const char *text, char problem[CONFIG_PROBLEM_SIZE])
{
    char quoted[QUOTE_SIZE];
    size_t length = strlen(text);
    bool good = is_ascii_alphanumeric(*text);
    for (const char *c = text; *c != '\0'; c++)
        good = good && (is_ascii_alphanumeric(*c) || strchr("._-", *c) != NULL);
    if (!good)
        return fail(problem,
                    "%s cannot name an instance; expected letters, digits, '.', '_' and '-', the first a letter or "
                    "digit",
                    quote_text(quoted, sizeof quoted, text, strlen(text)));
    if (length > CONFIG_INSTANCE_MAX)
        return fail(problem, "a name of %zu bytes; an instance's name has at most %u", length, CONFIG_INSTANCE_MAX);
    return true;
}

static bool set_instance(struct config *config, const char *text, char problem[CONFIG_PROBLEM_SIZE])
{
    return instance_is_valid(text, problem) && store(&config->instance, text, problem);
}

bool config_hostname_serves(const char *hostname, char problem[CONFIG_PROBLEM_SIZE])
{
    /* Names that half the world's hosts bear would make them share one queue. */
    static const char *const no_names[] = {"", "localhost", "localhost.localdomain", "(none)"};
    for (size_t i = 0; i < sizeof no_names / sizeof no_names[0]; i++)
        if (strcmp(hostname, no_names[i]) == 0)
            return fail(problem, "this host has no name of its own (\"%s\")", hostname);
    return instance_is_valid(hostname, problem);
}

/* ---- Numbers and words ---- */

/* Decimal digits, nothing else. */
static bool set_number(uint64_t *number, const char *text, uint64_t least, uint64_t most,
                       char problem[CONFIG_PROBLEM_SIZE])
{
    char quoted[QUOTE_SIZE];
    uint64_t value = 0;
    bool good = *text != '\0', too_large = false;
    for (const char *c = text; *c != '\0'; c++) {
        good = good && *c >= '0' && *c <= '9';
        too_large = too_large || value > (UINT64_MAX - 9) / 10;
        if (good && !too_large)
            value = value * 10 + (uint64_t)(*c - '0');
    }
    if (!good || too_large || value < least || value > most)
        return fail(problem, "%s is not a whole number from %llu to %llu",
                    quote_text(quoted, sizeof quoted, text, strlen(text)), (unsigned long long)least,
                    (unsigned long long)most);
    *number = value;
    return true;
}

static bool set_number32(uint32_t *number, const char *text, uint32_t least, uint32_t most,
                         char problem[CONFIG_PROBLEM_SIZE])
{
    uint64_t value = 0;
    if (!set_number(&value, text, least, most, problem))
        return false;
    *number = (uint32_t)value;
    return true;
}

static bool set_buckets(struct config *config, const char *text, char problem[CONFIG_PROBLEM_SIZE])
{
    uint64_t buckets = 0;
    if (!set_number(&buckets, text, 1, QUASH_TABLE_BUCKETS_MAX, problem))
        return false;
    if ((buckets & (buckets - 1)) != 0) {
        uint64_t below = 1;
        while (below * 2 < buckets)
            below *= 2;
        return fail(problem, "%llu is not a power of two; the nearest are %llu and %llu", (unsigned long long)buckets,
                    (unsigned long long)below, (unsigned long long)below * 2);
    }
    config->table_buckets = buckets;
    return true;
}

static bool set_mode(struct config *config, const char *text, char problem[CONFIG_PROBLEM_SIZE])
{
    char quoted[QUOTE_SIZE];
    const char *digits = strlen(text) == 4 && text[0] == '0' ? text + 1 : text;
    bool good = strlen(digits) == 3 && digits[0] == '6';
    uint32_t mode = 0;
    for (size_t i = 0; good && i < 3; i++) {
        good = digits[i] == '0' || digits[i] == '2' || digits[i] == '4' || digits[i] == '6';
        mode = mode << 3 | (uint32_t)(digits[i] - '0');
    }
    if (!good)
        return fail(problem,
                    "%s is not the mode of a table: three octal digits of which the first is 6 and the others are 0, "
                    "2, 4 or 6, such as 0600 or 0644",
                    quote_text(quoted, sizeof quoted, text, strlen(text)));
    config->table_mode = mode;
    return true;
}

static bool set_log_level(struct config *config, const char *text, char problem[CONFIG_PROBLEM_SIZE])
{
    char quoted[QUOTE_SIZE];
    if (!log_level_parse(text, &config->log_level))
        return fail(problem, "%s is no log level; expected error, warn, info or debug",
                    quote_text(quoted, sizeof quoted, text, strlen(text)));
    return true;
}

bool config_set(struct config *config, enum setting setting, const char *text, char problem[CONFIG_PROBLEM_SIZE])
{
    switch (setting) {
    case SETTING_AMQP_URL:
        return set_urls(config, text, problem);
    case SETTING_EXCHANGE:
        return set_exchange(&config->exchange, text, "the events are published to", problem);
    case SETTING_DEAD_LETTER_EXCHANGE:
        return set_exchange(&config->dead_letter_exchange, text, "dead letters are to go to", problem);
    case SETTING_RULES:
        return set_path(&config->rules_path, text, problem);
    case SETTING_TABLE:
        return set_path(&config->table_path, text, problem);
    case SETTING_INSTANCE:
        return set_instance(config, text, problem);
    case SETTING_TABLE_BUCKETS:
        return set_buckets(config, text, problem);
    case SETTING_TABLE_MODE:
        return set_mode(config, text, problem);
    case SETTING_PREFETCH:
        return set_number32(&config->prefetch, text, CONFIG_PREFETCH_MIN, CONFIG_PREFETCH_MAX, problem);
    case SETTING_QUEUE_EXPIRES_MS:
        return set_number(&config->queue_expires_ms, text, CONFIG_QUEUE_EXPIRES_MIN_MS, CONFIG_QUEUE_EXPIRES_MAX_MS,
                          problem);
    case SETTING_LOG_LEVEL:
        return set_log_level(config, text, problem);
    case SETTINGS:
        break;
    }
    return fail(problem, "no such setting");
}
