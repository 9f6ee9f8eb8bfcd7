/*
 * config_file.c - the JSON file that --config names. See config_file.h.
 *
 * Each key takes one JSON type, said in expected_type; its value then goes through config_set like a flag's.
 */
#include "config_file.h"

#include <stdlib.h>
#include <string.h>

#include "config_values.h"
#include "json_file.h"

#define SCHEMA_KEY "$schema"

struct expectation {
    json_type type;
    const char *words;
};

static const struct expectation expected_type[SETTINGS] = {
    [SETTING_AMQP_URL] = {JSON_ARRAY, "a URL as a string, or several in an array"},
    [SETTING_EXCHANGE] = {JSON_STRING, "the name of an exchange, as a string"},
    [SETTING_DEAD_LETTER_EXCHANGE] = {JSON_STRING, "the name of an exchange, as a string"},
    [SETTING_RULES] = {JSON_STRING, "a path, as a string"},
    [SETTING_TABLE] = {JSON_STRING, "a path, as a string"},
    [SETTING_INSTANCE] = {JSON_STRING, "a name, as a string"},
    [SETTING_TABLE_BUCKETS] = {JSON_INTEGER, "a power of two, such as 16384"},
    [SETTING_TABLE_MODE] = {JSON_STRING, "octal digits as a string, such as \"0600\""},
    [SETTING_PREFETCH] = {JSON_INTEGER, "a whole number, such as 1000"},
    [SETTING_QUEUE_EXPIRES_MS] = {JSON_INTEGER, "a whole number of milliseconds, such as 86400000"},
    [SETTING_LOG_LEVEL] = {JSON_STRING, "\"error\", \"warn\", \"info\" or \"debug\""},
};

static void read_url(struct config *config, const json_t *value, const struct json_place *place,
                     struct problems *problems)
{
    char problem[CONFIG_PROBLEM_SIZE];
    if (!json_expect(value, JSON_STRING, "a URL, as a string", place, problems))
        return;
    const char *url = json_string_value(value);
    if (strchr(url, ',') != NULL)
        json_problem(problems, place,
                     "a comma in the URL; write several URLs as an array, and a comma within a "
                     "password as %%2C");
    else if (!config_add_urls(config, url, problem))
        json_problem(problems, place, "%s", problem);
}

static void read_urls(struct config *config, const json_t *value, const struct json_place *place,
                      struct problems *problems)
{
    config_clear_urls(config);
    if (json_is_string(value)) {
        read_url(config, value, place, problems);
        return;
    }
    const struct expectation *expected = &expected_type[SETTING_AMQP_URL];
    if (!json_expect(value, expected->type, expected->words, place, problems))
        return;
    if (json_array_size(value) == 0)
        json_problem(problems, place, "an empty array; expected at least one URL, or leave the key out for %s",
                     CONFIG_AMQP_URL);
    for (size_t i = 0; i < json_array_size(value); i++) {
        struct json_place item = json_place_index(place, i);
        read_url(config, json_array_get(value, i), &item, problems);
    }
}

/* `path` as seen from the directory of the file it was written in; the caller frees. NULL: out of memory. */
static char *resolve(const char *file_path, const char *path)
{
    const char *slash = strrchr(file_path, '/');
    size_t directory = slash == NULL || *path == '/' || *path == '\0' ? 0 : (size_t)(slash - file_path) + 1;
    size_t size = directory + strlen(path) + 1;
    char *resolved = malloc(size);
    if (resolved != NULL)
        snprintf(resolved, size, "%.*s%s", (int)directory, file_path, path);
    return resolved;
}

static void read_setting(struct config *config, enum setting setting, const json_t *value, const char *file_path,
                         const struct json_place *place, struct problems *problems)
{
    char problem[CONFIG_PROBLEM_SIZE], digits[32];
    if (setting == SETTING_AMQP_URL) {
        read_urls(config, value, place, problems);
        return;
    }
    const struct expectation *expected = &expected_type[setting];
    if (!json_expect(value, expected->type, expected->words, place, problems))
        return;
    const char *text = digits;
    char *resolved = NULL;
    if (expected->type == JSON_INTEGER)
        snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else
        text = json_string_value(value);
    if (setting == SETTING_RULES || setting == SETTING_TABLE)
        text = resolved = resolve(file_path, text);
    if (text == NULL)
        json_problem(problems, place, "out of memory");
    else if (!config_set(config, setting, text, problem))
        json_problem(problems, place, "%s", problem);
    free(resolved);
}

static void read_settings(struct config *config, json_t *root, const char *file_path, struct problems *problems)
{
    const char *known[SETTINGS + 2] = {[SETTINGS] = SCHEMA_KEY};
    for (size_t i = 0; i < SETTINGS; i++)
        known[i] = setting_names[i].key;
    json_check_keys(root, known, NULL, problems);

    struct json_place place = json_place_key(NULL, SCHEMA_KEY);
    const json_t *value = json_object_get(root, SCHEMA_KEY);
    if (value != NULL)
        json_expect(value, JSON_STRING, "the path or URL of config.schema.json, for editors", &place, problems);
    for (enum setting setting = 0; setting < SETTINGS; setting++) {
        place = json_place_key(NULL, setting_names[setting].key);
        value = json_object_get(root, setting_names[setting].key);
        if (value != NULL)
            read_setting(config, setting, value, file_path, &place, problems);
    }
}

bool config_file_load(struct config *config, const char *path, struct problems *problems)
{
    struct json_file file;
    size_t count_before = problems->count;
    if (!json_file_load(&file, path, CONFIG_FILE_BYTES_MAX, problems))
        return false;
    if (json_expect(file.json, JSON_OBJECT, "an object with quashd's settings, such as {\"rules\": \"rules.json\"}",
                    NULL, problems))
        read_settings(config, file.json, path, problems);
    json_file_locate(&file, problems);
    json_file_fini(&file);
    return problems->count == count_before;
}
