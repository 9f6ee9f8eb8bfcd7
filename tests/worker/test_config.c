/*
 * test_config.c - what quashd is told: which place wins, what is valid, and what is said about mistakes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config.h"
#include "config_values.h"

/* ---- One reading ---- */

#define ARGUMENTS_MAX 64

struct reading {
    struct config config;
    enum config_outcome outcome;
    char *out, *err;
};

static void read_arguments(struct reading *reading, int argc, const char *const *arguments)
{
    char *argv[ARGUMENTS_MAX + 1] = {NULL};
    size_t out_size, err_size;
    FILE *out = open_memstream(&reading->out, &out_size), *err = open_memstream(&reading->err, &err_size);
    assert_true(argc <= ARGUMENTS_MAX && out != NULL && err != NULL);
    for (int i = 0; i < argc; i++)
        argv[i] = strdup(arguments[i]);
    char *owned[ARGUMENTS_MAX];
    memcpy(owned, argv, sizeof owned); /* config_read may reorder argv */
    reading->outcome = config_read(&reading->config, argc, argv, out, err);
    for (int i = 0; i < argc; i++)
        free(owned[i]); /* the configuration must not point into it */
    fclose(out);
    fclose(err);
}

#define READ(reading, ...)                                                                                             \
    do {                                                                                                               \
        static const char *const arguments_[] = {"quashd", __VA_ARGS__};                                               \
        read_arguments(reading, (int)(sizeof arguments_ / sizeof arguments_[0]), arguments_);                          \
    } while (0)

static void end(struct reading *reading)
{
    config_fini(&reading->config);
    config_fini(&reading->config); /* twice does no harm */
    free(reading->out);
    free(reading->err);
}

static char file_path[64];

static void write_file(const char *text)
{
    FILE *file = fopen(file_path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int set_up(void **state)
{
    (void)state;
    static const char *const variables[] = {"QUASH_AMQP_URL",
                                            "QUASH_EXCHANGE",
                                            "QUASH_RULES",
                                            "QUASH_TABLE",
                                            "QUASH_INSTANCE",
                                            "QUASH_TABLE_BUCKETS",
                                            "QUASH_TABLE_MODE",
                                            "QUASH_PREFETCH",
                                            "QUASH_QUEUE_EXPIRES_MS",
                                            "QUASH_LOG_LEVEL",
                                            "QUASH_DEAD_LETTER_EXCHANGE",
                                            "QUASH_CONFIG",
                                            "QUASH_PREFECTH"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        unsetenv(variables[i]);
    snprintf(file_path, sizeof file_path, "/tmp/quash-config-XXXXXX");
    int fd = mkstemp(file_path);
    return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(file_path);
}

/* ---- Where settings come from ---- */

static void defaults_are_the_documented_ones(void **state)
{
    (void)state;
    struct reading reading;
    READ(&reading, "--rules", "r.json", "--instance", "web-1");
    assert_int_equal(reading.outcome, CONFIG_RUN);
    const struct config *config = &reading.config;
    assert_int_equal(config->amqp_url_count, 1);
    assert_string_equal(config->amqp_url[0], "amqp://guest:guest@127.0.0.1:5672/");
    assert_null(config->exchange);
    assert_null(config->dead_letter_exchange);
    assert_string_equal(config->rules_path, "r.json");
    assert_string_equal(config->table_path, "/dev/shm/quash/web-1");
    assert_string_equal(config->instance, "web-1");
    assert_int_equal(config->table_buckets, 16384);
    assert_int_equal(config->table_mode, 0600);
    assert_int_equal(config->prefetch, 1000);
    assert_int_equal(config->queue_expires_ms, 86400000);
    assert_int_equal(config->log_level, LOG_INFO);
    assert_false(config->check);
    assert_string_equal(reading.out, "");
    assert_string_equal(reading.err, "");
    end(&reading);
}

static void every_flag_is_heard(void **state)
{
    (void)state;
    struct reading reading;
    READ(&reading, "--amqp-url=amqp://a", "--exchange=events", "--dead-letter-exchange=dead", "--rules=r", "--table=t",
         "--instance=i", "--table-buckets=2", "--table-mode=0640", "--prefetch=7", "--queue-expires-ms=60000",
         "--log-level=debug", "--check");
    assert_int_equal(reading.outcome, CONFIG_RUN);
    const struct config *config = &reading.config;
    assert_string_equal(config->amqp_url[0], "amqp://a");
    assert_string_equal(config->exchange, "events");
    assert_string_equal(config->dead_letter_exchange, "dead");
    assert_string_equal(config->rules_path, "r");
    assert_string_equal(config->table_path, "t");
    assert_string_equal(config->instance, "i");
    assert_int_equal(config->table_buckets, 2);
    assert_int_equal(config->table_mode, 0640);
    assert_int_equal(config->prefetch, 7);
    assert_int_equal(config->queue_expires_ms, 60000);
    assert_int_equal(config->log_level, LOG_DEBUG);
    assert_true(config->check);
    end(&reading);
}

/* A value of each setting for each place, and what it is once it is in. */
static const struct {
    enum setting setting;
    const char *flag, *variable, *key; /* the value as written in each place */
} rivals[] = {
    {SETTING_AMQP_URL, "amqp://flag", "amqp://variable", "\"amqp://file\""},
    {SETTING_EXCHANGE, "flag", "variable", "\"file\""},
    {SETTING_DEAD_LETTER_EXCHANGE, "flag", "variable", "\"file\""},
    {SETTING_RULES, "/flag", "/variable", "\"/file\""},
    {SETTING_TABLE, "/flag", "/variable", "\"/file\""},
    {SETTING_INSTANCE, "flag", "variable", "\"file\""},
    {SETTING_TABLE_BUCKETS, "1", "2", "4"},
    {SETTING_TABLE_MODE, "0600", "0640", "\"0644\""},
    {SETTING_PREFETCH, "1", "2", "4"},
    {SETTING_QUEUE_EXPIRES_MS, "1001", "1002", "1004"},
    {SETTING_LOG_LEVEL, "error", "warn", "\"debug\""},
};

/* The setting as text, to compare with what one place said. */
static const char *show(const struct config *config, enum setting setting, char text[64])
{
    static const char *const level[] = {"error", "warn", "info", "debug"};
    switch (setting) {
    case SETTING_AMQP_URL:
        assert_int_equal(config->amqp_url_count, 1);
        return config->amqp_url[0];
    case SETTING_EXCHANGE:
        return config->exchange;
    case SETTING_DEAD_LETTER_EXCHANGE:
        return config->dead_letter_exchange;
    case SETTING_RULES:
        return config->rules_path;
    case SETTING_TABLE:
        return config->table_path;
    case SETTING_INSTANCE:
        return config->instance;
    case SETTING_TABLE_BUCKETS:
        snprintf(text, 64, "%llu", (unsigned long long)config->table_buckets);
        return text;
    case SETTING_TABLE_MODE:
        snprintf(text, 64, "%04o", config->table_mode);
        return text;
    case SETTING_PREFETCH:
        snprintf(text, 64, "%u", config->prefetch);
        return text;
    case SETTING_QUEUE_EXPIRES_MS:
        snprintf(text, 64, "%llu", (unsigned long long)config->queue_expires_ms);
        return text;
    case SETTING_LOG_LEVEL:
        return level[config->log_level];
    case SETTINGS:
        break;
    }
    return NULL;
}

static void flags_beat_the_environment_which_beats_the_file(void **state)
{
    (void)state;
    assert_int_equal(sizeof rivals / sizeof rivals[0], SETTINGS);
    for (size_t i = 0; i < SETTINGS; i++) {
        const struct setting_names *names = &setting_names[rivals[i].setting];
        char json[256], flag[128], shown[64], from_file[64];
        struct reading reading;
        snprintf(json, sizeof json, "{\"%s\": %s}", names->key, rivals[i].key);
        snprintf(flag, sizeof flag, "--%s=%s", names->flag, rivals[i].flag);
        size_t quotes = rivals[i].key[0] == '"';
        snprintf(from_file, sizeof from_file, "%.*s", (int)(strlen(rivals[i].key) - 2 * quotes),
                 rivals[i].key + quotes);
        write_file(json);

        /* A required one that is not the subject comes along as the first, so that the subject's own is the later. */
        const char *const with_file[] = {"quashd", "--config", file_path, "--rules=/r", flag};
        int first = rivals[i].setting == SETTING_RULES ? 3 : 4;
        const char *const only_file[] = {"quashd", "--config", file_path, "--rules=/r"};

        read_arguments(&reading, first, only_file);
        assert_int_equal(reading.outcome, CONFIG_RUN);
        assert_string_equal(show(&reading.config, rivals[i].setting, shown), from_file);
        end(&reading);

        setenv(names->variable, rivals[i].variable, 1);
        read_arguments(&reading, first, only_file);
        assert_int_equal(reading.outcome, CONFIG_RUN);
        assert_string_equal(show(&reading.config, rivals[i].setting, shown), rivals[i].variable);
        end(&reading);

        read_arguments(&reading, 5, with_file);
        assert_int_equal(reading.outcome, CONFIG_RUN);
        assert_string_equal(show(&reading.config, rivals[i].setting, shown), rivals[i].flag);
        end(&reading);
        unsetenv(names->variable);
    }
}

static void file_can_be_named_by_variable(void **state)
{
    (void)state;
    struct reading reading;
    write_file("{\"rules\": \"/r\", \"instance\": \"from-file\"}");
    setenv("QUASH_CONFIG", file_path, 1);
    READ(&reading, "--check");
    assert_int_equal(reading.outcome, CONFIG_RUN);
    assert_string_equal(reading.config.instance, "from-file");
    end(&reading);
    setenv("QUASH_CONFIG", "/absent/quash.json", 1);
    READ(&reading, "--rules=r", "--instance=i");
    assert_int_equal(reading.outcome, CONFIG_BAD);
    assert_non_null(strstr(reading.err, "/absent/quash.json: cannot be opened"));
    end(&reading);
    unsetenv("QUASH_CONFIG");
}

static void empty_variable_counts_as_not_set(void **state)
{
    (void)state;
    struct reading reading;
    setenv("QUASH_PREFETCH", "", 1);
    setenv("QUASH_CONFIG", "", 1);
    READ(&reading, "--rules=r", "--instance=i");
    assert_int_equal(reading.outcome, CONFIG_RUN);
    assert_int_equal(reading.config.prefetch, CONFIG_PREFETCH_DEFAULT);
    end(&reading);
}

static void misspelt_variable_is_pointed_out(void **state)
{
    (void)state;
    struct reading reading;
    setenv("QUASH_PREFECTH", "5", 1);
    READ(&reading, "--rules=r", "--instance=i");
    assert_int_equal(reading.outcome, CONFIG_RUN);
    assert_non_null(strstr(reading.err, "QUASH_PREFECTH is not used; did you mean QUASH_PREFETCH?"));
    end(&reading);
    unsetenv("QUASH_PREFECTH");
}

static void relative_paths_in_the_file_start_at_its_directory(void **state)
{
    (void)state;
    struct reading reading;
    write_file("{\"rules\": \"rules/all.json\", \"table\": \"/dev/shm/t\", \"instance\": \"i\"}");
    const char *const arguments[] = {"quashd", "--config", file_path};
    read_arguments(&reading, 3, arguments);
    assert_int_equal(reading.outcome, CONFIG_RUN);
    assert_string_equal(reading.config.rules_path, "/tmp/rules/all.json");
    assert_string_equal(reading.config.table_path, "/dev/shm/t");
    end(&reading);
}

static void last_of_a_repeated_flag_counts(void **state)
{
    (void)state;
    struct reading reading;
    READ(&reading, "--rules=a", "--prefetch=1", "--prefetch=2", "--rules=b", "--instance=i");
    assert_int_equal(reading.outcome, CONFIG_RUN);
    assert_int_equal(reading.config.prefetch, 2);
    assert_string_equal(reading.config.rules_path, "b");
    end(&reading);
}

/* ---- Broker URLs ---- */

static void urls_come_as_a_list_or_by_repeating_the_flag(void **state)
{
    (void)state;
    struct reading reading;
    READ(&reading, "--rules=r", "--instance=i", "--amqp-url", "amqp://a, amqp://b", "--amqp-url=amqp://c");
    assert_int_equal(reading.outcome, CONFIG_RUN);
    assert_int_equal(reading.config.amqp_url_count, 3);
    assert_string_equal(reading.config.amqp_url[0], "amqp://a");
    assert_string_equal(reading.config.amqp_url[1], "amqp://b");
    assert_string_equal(reading.config.amqp_url[2], "amqp://c");
    end(&reading);
}

static void list_of_a_stronger_place_replaces_the_whole(void **state)
{
    (void)state;
    struct reading reading;
    setenv("QUASH_AMQP_URL", "amqp://a,amqp://b,amqp://c", 1);
    READ(&reading, "--rules=r", "--instance=i", "--amqp-url=amqp://d");
    assert_int_equal(reading.outcome, CONFIG_RUN);
    assert_int_equal(reading.config.amqp_url_count, 1);
    assert_string_equal(reading.config.amqp_url[0], "amqp://d");
    end(&reading);
}

static void repeated_url_flag_is_limited_in_number(void **state)
{
    (void)state;
    const char *arguments[4 + CONFIG_URLS_MAX] = {"quashd", "--rules=r", "--instance=i"};
    for (unsigned i = 0; i <= CONFIG_URLS_MAX; i++)
        arguments[3 + i] = "--amqp-url=amqp://h";
    struct reading reading;
    read_arguments(&reading, 3 + CONFIG_URLS_MAX, arguments);
    assert_int_equal(reading.outcome, CONFIG_RUN);
    assert_int_equal(reading.config.amqp_url_count, CONFIG_URLS_MAX);
    end(&reading);
    read_arguments(&reading, 4 + CONFIG_URLS_MAX, arguments);
    assert_int_equal(reading.outcome, CONFIG_USAGE);
    assert_non_null(strstr(reading.err, "--amqp-url: given 17 times"));
    end(&reading);
}

static void password_does_not_appear_in_a_complaint(void **state)
{
    (void)state;
    static const char *const places[] = {"--amqp-url=amqp://user:hunter2@host:99999",
                                         "--amqp-url=http://user:hunter2@host", "--amqp-url=amqp://user:hunter2@",
                                         "--amqp-url=amqp://user:hunter2@host/a/b"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const char *const arguments[] = {"quashd", "--rules=r", "--instance=i", places[i]};
        struct reading reading;
        read_arguments(&reading, 4, arguments);
        assert_int_equal(reading.outcome, CONFIG_USAGE);
        assert_non_null(strstr(reading.err, "quashd: --amqp-url: \""));
        assert_null(strstr(reading.err, "hunter2"));
        end(&reading);
    }
}

/* ---- What nobody said ---- */

static void hostname_names_the_instance_that_nobody_named(void **state)
{
    (void)state;
    char hostname[256] = "", problem[CONFIG_PROBLEM_SIZE], table[512];
    gethostname(hostname, sizeof hostname - 1);
    struct reading reading;
    READ(&reading, "--rules=r");
    if (config_hostname_serves(hostname, problem)) {
        assert_int_equal(reading.outcome, CONFIG_RUN);
        assert_string_equal(reading.config.instance, hostname);
        snprintf(table, sizeof table, "/dev/shm/quash/%s", hostname);
        assert_string_equal(reading.config.table_path, table);
    } else {
        assert_int_equal(reading.outcome, CONFIG_USAGE);
        assert_non_null(strstr(reading.err, "--instance is needed"));
    }
    end(&reading);
}

/* ---- Mistakes ---- */

static void mistakes_on_the_command_line_are_explained(void **state)
{
    (void)state;
    static const struct {
        const char *argument[2];
        const char *said;
    } cases[] = {
        {{"--prefetch=lots"}, "quashd: --prefetch: \"lots\" is not a whole number from 1 to 65535"},
        {{"--prefech=5"}, "quashd: unknown flag --prefech; did you mean --prefetch?"},
        {{"--zzzzzz"}, "quashd: unknown flag --zzzzzz\n"},
        {{"--table-=5"}, "quashd: --table- could be any of --table-buckets --table-mode; write the flag out"},
        {{"--log-level", "loud"}, "quashd: --log-level: \"loud\" is no log level; expected error, warn, info or debug"},
        {{"--instance", "a b"}, "quashd: --instance: \"a b\" cannot name an instance"},
        {{"--check=yes"}, "quashd: --check takes no value"},
        {{"--rules"}, "quashd: --rules needs a value"},
        {{"rules.json"}, "quashd: \"rules.json\" is not a flag, and quashd takes only flags"},
        {{"-r", "x"}, "quashd: unknown flag -r"},
        {{"--exchange="}, "quashd: --exchange: an empty name"},
        {{"--dead-letter-exchange="}, "name the exchange that dead letters are to go to"},
        {{"--amqp-url=localhost"}, "quashd: --amqp-url: \"localhost\" cannot be used: "},
        {{"--instance=new\nline"}, "\"new\\u000aline\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const arguments[] = {"quashd", "--instance=i", "--rules=r", cases[i].argument[0],
                                         cases[i].argument[1]};
        struct reading reading;
        read_arguments(&reading, cases[i].argument[1] == NULL ? 4 : 5, arguments);
        assert_int_equal(reading.outcome, CONFIG_USAGE);
        if (strstr(reading.err, cases[i].said) == NULL)
            fail_msg("expected %s, got %s", cases[i].said, reading.err);
        assert_non_null(strstr(reading.err, "Try 'quashd --help'.\n"));
        end(&reading);
    }
}

static void mistake_in_a_variable_names_the_variable(void **state)
{
    (void)state;
    struct reading reading;
    setenv("QUASH_TABLE_MODE", "0777", 1);
    READ(&reading, "--rules=r", "--instance=i");
    assert_int_equal(reading.outcome, CONFIG_USAGE);
    assert_non_null(strstr(reading.err, "quashd: QUASH_TABLE_MODE: \"0777\" is not the mode of a table"));
    end(&reading);
    unsetenv("QUASH_TABLE_MODE");
}

static void mistake_counts_also_where_it_is_overruled(void **state)
{
    (void)state;
    struct reading reading;
    setenv("QUASH_PREFETCH", "0", 1);
    READ(&reading, "--rules=r", "--instance=i", "--prefetch=5");
    assert_int_equal(reading.outcome, CONFIG_USAGE);
    assert_non_null(strstr(reading.err, "QUASH_PREFETCH"));
    end(&reading);
    unsetenv("QUASH_PREFETCH");
}

static void all_mistakes_are_told_at_once(void **state)
{
    (void)state;
    struct reading reading;
    write_file("{\"prefetch\": -1, \"log_level\": \"loud\"}");
    setenv("QUASH_TABLE_BUCKETS", "3", 1);
    const char *const arguments[] = {"quashd", "--config", file_path, "--nonsense", "--queue-expires-ms=1", "extra"};
    read_arguments(&reading, 6, arguments);
    assert_int_equal(reading.outcome, CONFIG_USAGE);
    static const char *const said[] = {
        "at /prefetch:", "at /log_level:", "QUASH_TABLE_BUCKETS:", "--nonsense", "--queue-expires-ms:", "\"extra\""};
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++)
        assert_non_null(strstr(reading.err, said[i]));
    end(&reading);
    unsetenv("QUASH_TABLE_BUCKETS");
}

static void missing_rules_are_asked_for(void **state)
{
    (void)state;
    struct reading reading;
    READ(&reading, "--instance=i");
    assert_int_equal(reading.outcome, CONFIG_USAGE);
    assert_non_null(strstr(reading.err, "quashd: no rules; give --rules FILE, QUASH_RULES, or \"rules\""));
    end(&reading);
}

static void mistakes_in_the_file_are_explained(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"", "is empty"},
        {"  \n", "is empty"},
        {"{\"rules\": }", ":1:11: not JSON"},
        {"{\n\"rules\": \"a\",\n}", ":3:1: not JSON"},
        {"[]", "expected an object"},
        {"{\"amqp_ulr\": \"amqp://a\"}", "unknown key \"amqp_ulr\"; did you mean \"amqp_url\"?"},
        {"{\"prefetch\": \"5\"}", ":1:2: at /prefetch: found the string \"5\"; expected a whole number"},
        {"{\"prefetch\": 5.5}", "at /prefetch: found the number 5.5; expected a whole number"},
        {"{\"prefetch\": 0}", "at /prefetch: \"0\" is not a whole number from 1 to 65535"},
        {"{\"prefetch\": null}", "at /prefetch: found null"},
        {"{\"table_mode\": 640}", "at /table_mode: found the number 640; expected octal digits as a string"},
        {"{\"amqp_url\": []}", "at /amqp_url: an empty array"},
        {"{\"amqp_url\": [\"amqp://a\", 5]}", "at /amqp_url/1: found the number 5; expected a URL"},
        {"{\"amqp_url\": [\"amqp://a\", \"b\"]}", "at /amqp_url/1: \"b\" cannot be used"},
        {"{\"amqp_url\": \"amqp://a,amqp://b\"}", "at /amqp_url: a comma in the URL"},
        {"{\"amqp_url\": {}}", "at /amqp_url: found an object; expected a URL as a string, or several in an array"},
        {"{\"rules\": \"\"}", "at /rules: an empty path"},
        {"{\"check\": true}", "unknown key \"check\""},
        {"{\"config\": \"x\"}", "unknown key \"config\""},
        {"{\"$schema\": 1}", "at /$schema: found the number 1"},
        {"{\"prefetch\": 5, \"prefetch\": 6}", "not JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const arguments[] = {"quashd", "--config", file_path, "--rules=r", "--instance=i"};
        struct reading reading;
        write_file(cases[i].text);
        read_arguments(&reading, 5, arguments);
        assert_int_equal(reading.outcome, CONFIG_BAD);
        if (strstr(reading.err, cases[i].said) == NULL || strstr(reading.err, file_path) != reading.err)
            fail_msg("for %s: expected %s, got %s", cases[i].text, cases[i].said, reading.err);
        end(&reading);
    }
}

static void file_ends_at_its_limit(void **state)
{
    (void)state;
    static const char json[] = "{\"rules\": \"/r\", \"instance\": \"i\"}";
    static char text[70000];
    for (size_t size = 65535; size <= 65537; size++) {
        const char *const arguments[] = {"quashd", "--config", file_path};
        struct reading reading;
        memset(text, ' ', size);
        text[size] = '\0';
        memcpy(text, json, sizeof json - 1);
        write_file(text);
        read_arguments(&reading, 3, arguments);
        assert_int_equal(reading.outcome, size <= 65536 ? CONFIG_RUN : CONFIG_BAD);
        end(&reading);
    }
}

/* ---- Help ---- */

static void help_and_version_are_printed_whatever_else_is_said(void **state)
{
    (void)state;
    struct reading reading;
    READ(&reading, "--prefetch=0", "--help");
    assert_int_equal(reading.outcome, CONFIG_DONE);
    assert_int_equal(strncmp(reading.out, "Usage: quashd", 13), 0);
    assert_string_equal(reading.err, "");
    for (size_t i = 0; i < SETTINGS; i++) {
        char flag[64];
        snprintf(flag, sizeof flag, "\n  --%s ", setting_names[i].flag);
        assert_non_null(strstr(reading.out, flag));
    }
    end(&reading);
    READ(&reading, "-h");
    assert_int_equal(reading.outcome, CONFIG_DONE);
    end(&reading);
    READ(&reading, "--version");
    assert_int_equal(reading.outcome, CONFIG_DONE);
    assert_int_equal(strncmp(reading.out, "quashd 0.", 9), 0);
    end(&reading);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(defaults_are_the_documented_ones),
        TEST(every_flag_is_heard),
        TEST(flags_beat_the_environment_which_beats_the_file),
        TEST(file_can_be_named_by_variable),
        TEST(empty_variable_counts_as_not_set),
        TEST(misspelt_variable_is_pointed_out),
        TEST(relative_paths_in_the_file_start_at_its_directory),
        TEST(last_of_a_repeated_flag_counts),
        TEST(urls_come_as_a_list_or_by_repeating_the_flag),
        TEST(list_of_a_stronger_place_replaces_the_whole),
        TEST(repeated_url_flag_is_limited_in_number),
        TEST(password_does_not_appear_in_a_complaint),
        TEST(hostname_names_the_instance_that_nobody_named),
        TEST(mistakes_on_the_command_line_are_explained),
        TEST(mistake_in_a_variable_names_the_variable),
        TEST(mistake_counts_also_where_it_is_overruled),
        TEST(all_mistakes_are_told_at_once),
        TEST(missing_rules_are_asked_for),
        TEST(mistakes_in_the_file_are_explained),
        TEST(file_ends_at_its_limit),
        TEST(help_and_version_are_printed_whatever_else_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
