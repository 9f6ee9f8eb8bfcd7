/*
 * config.c - puts together what quashd is told. See config.h.
 *
 * Settings are applied from the weakest place to the strongest: defaults, file, environment, flags. Only the file's
 * name must be known before, so the flags are collected first and applied last.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quash/table.h>

#include "config_file.h"
#include "config_values.h"
#include "options.h"
#include "quote.h"

#define PROGRAM         "quashd"
#define CONFIG_VARIABLE "QUASH_CONFIG"
#define VARIABLE_PREFIX "QUASH_"

static const char help_text[] = "Usage: quashd --rules FILE [FLAG...]\n"
                                "\n"
                                "Listens to domain-change events in RabbitMQ, maps each through the rules to the\n"
                                "groups that it concerns, and cancels those in a cancellation table, which the\n"
                                "caches on this host check on every hit. One quashd serves one table.\n"
                                "\n"
                                "What to listen to:\n"
                                "  --amqp-url URL         amqp://[user[:password]@]host[:port][/vhost]; several\n"
                                "                         brokers, up to 16, are tried in turn: as a list with\n"
                                "                         commas, or with a flag for each\n"
                                "                         (amqp://guest:guest@127.0.0.1:5672/)\n"
                                "  --exchange NAME        where rules listen that name no exchange; without it\n"
                                "                         every rule must name one\n"
                                "  --instance NAME        names this worker's queue, quash.NAME; up to 200 of\n"
                                "                         A-Z a-z 0-9 . _ - (the host's name)\n"
                                "  --prefetch N           events that may be under way unacknowledged, 1 to 65535\n"
                                "                         (1000)\n"
                                "  --queue-expires-ms N   how long the queue is kept while the worker is away,\n"
                                "                         1000 to 4294967295 (86400000: a day)\n"
                                "\n"
                                "What to do with it:\n"
                                "  --rules FILE           which events cancel which groups; required\n"
                                "  --dead-letter-exchange NAME\n"
                                "                         where events go that cannot be used, for people to look\n"
                                "                         at; without it rules that ask for that are refused\n"
                                "  --table FILE           the cancellation table (/dev/shm/quash/INSTANCE)\n"
                                "  --table-buckets N      the table's size: a power of two from 1 to 16777216, of\n"
                                "                         64 bytes each (16384)\n"
                                "  --table-mode MODE      who may read and write the table: 0600, 0640, 0644 and\n"
                                "                         the like, in octal (0600)\n"
                                "\n"
                                "How to run:\n"
                                "  --config FILE          a JSON file with these settings\n"
                                "  --log-level LEVEL      error, warn, info or debug (info)\n"
                                "  --check                read configuration and rules, say \"configuration ok\" or\n"
                                "                         what is wrong, and exit\n"
                                "  --help                 print this and exit\n"
                                "  --version              print the version and exit\n"
                                "\n"
                                "Each setting is also a variable, as --amqp-url is QUASH_AMQP_URL, and a key in\n"
                                "the file, here \"amqp_url\"; the file itself is --config or QUASH_CONFIG. Flags\n"
                                "beat the environment, which beats the file. An empty variable counts as not set.\n"
                                "Relative paths in the file start at the file's own directory.\n"
                                "\n"
                                "A password in --amqp-url can be seen by everybody on the host who can list\n"
                                "processes. Put it into QUASH_AMQP_URL, or into a file that only quashd may read.\n"
                                "\n"
                                "The instance must be unique on its broker, and stable. A second worker of the\n"
                                "same name is turned away by the broker while the first one is there. A worker\n"
                                "that comes back under another name finds no queue, so it flushes all caches,\n"
                                "while its old queue fills up until it expires. The host's name is a good choice\n"
                                "for one worker on a named host, and a bad one in a container that is named anew\n"
                                "each time.\n"
                                "\n"
                                "A worker that was away for longer than --queue-expires-ms finds its queue gone.\n"
                                "It then flushes all caches, which is safe, and costs a load of everything.\n"
                                "\n"
                                "SIGTERM and SIGINT end quashd cleanly. SIGHUP has it read the rules again, which\n"
                                "it also does by itself when the file has changed.\n"
                                "\n"
                                "Exit codes:\n"
                                "  0  done, or ended by a signal\n"
                                "  2  a flag or a variable is wrong\n"
                                "  3  a file is wrong: configuration, rules, or what is at the table's path\n"
                                "  4  the table cannot be reached: not permitted, or served by another quashd;\n"
                                "     or what --check has to say cannot be written\n";

enum { FLAG_CONFIG = OPTION_FIRST, FLAG_CHECK, FLAG_VERSION, FLAG_SETTING };

/* What was found on the command line. The strings belong to argv. */
struct flags {
    const char *config_path;
    const char *value[SETTINGS]; /* the last one given */
    const char *url[CONFIG_URLS_MAX];
    size_t url_count; /* also those beyond CONFIG_URLS_MAX */
    bool check, help, version;
};

static void collect_setting(struct flags *flags, enum setting setting)
{
    flags->value[setting] = optarg;
    if (setting != SETTING_AMQP_URL)
        return;
    if (flags->url_count < CONFIG_URLS_MAX)
        flags->url[flags->url_count] = optarg;
    flags->url_count++;
}

static bool collect_flags(struct flags *flags, int argc, char **argv, FILE *err)
{
    struct option known[SETTINGS + 5] = {
        {"config", required_argument, NULL, FLAG_CONFIG},
        {"check", no_argument, NULL, FLAG_CHECK},
        {"help", no_argument, NULL, OPTION_HELP},
        {"version", no_argument, NULL, FLAG_VERSION},
    };
    for (int i = 0; i < SETTINGS; i++)
        known[4 + i] = (struct option){setting_names[i].flag, required_argument, NULL, FLAG_SETTING + i};

    bool good = true;
    int value;
    options_start();
    while ((value = options_next(argc, argv, known, PROGRAM, err)) != OPTION_END) {
        if (value == OPTION_MISTAKE)
            good = false;
        else if (value == OPTION_HELP)
            flags->help = true;
        else if (value == FLAG_VERSION)
            flags->version = true;
        else if (value == FLAG_CHECK)
            flags->check = true;
        else if (value == FLAG_CONFIG)
            flags->config_path = optarg;
        else
            collect_setting(flags, (enum setting)(value - FLAG_SETTING));
    }
    for (int i = optind; i < argc; i++) {
        char quoted[QUOTE_SIZE];
        fprintf(err, PROGRAM ": %s is not a flag, and " PROGRAM " takes only flags\n",
                quote_text(quoted, sizeof quoted, argv[i], strlen(argv[i])));
        good = false;
    }
    return good;
}

/* One --amqp-url after the other, in place of the list of a weaker place. */
static bool apply_url_flags(struct config *config, const struct flags *flags, char problem[CONFIG_PROBLEM_SIZE])
{
    config_clear_urls(config);
    if (flags->url_count > CONFIG_URLS_MAX) {
        snprintf(problem, CONFIG_PROBLEM_SIZE, "given %zu times; name at most %u brokers", flags->url_count,
                 CONFIG_URLS_MAX);
        return false;
    }
    for (size_t i = 0; i < flags->url_count; i++)
        if (!config_add_urls(config, flags->url[i], problem))
            return false;
    return true;
}

static bool apply_flags(struct config *config, const struct flags *flags, FILE *err)
{
    bool good = true;
    for (enum setting setting = 0; setting < SETTINGS; setting++) {
        char problem[CONFIG_PROBLEM_SIZE];
        const char *value = flags->value[setting];
        if (value == NULL || (setting == SETTING_AMQP_URL ? apply_url_flags(config, flags, problem)
                                                          : config_set(config, setting, value, problem)))
            continue;
        fprintf(err, PROGRAM ": --%s: %s\n", setting_names[setting].flag, problem);
        good = false;
    }
    return good;
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

static bool apply_environment(struct config *config, FILE *err)
{
    bool good = true;
    for (enum setting setting = 0; setting < SETTINGS; setting++) {
        char problem[CONFIG_PROBLEM_SIZE];
        const char *value = variable(setting_names[setting].variable);
        if (value == NULL || config_set(config, setting, value, problem))
            continue;
        fprintf(err, PROGRAM ": %s: %s\n", setting_names[setting].variable, problem);
        good = false;
    }
    return good;
}

/* A variable that was misspelt would be ignored in silence. Only a warning: orchestrators set QUASH_… of their own. */
static void warn_of_misspelt_variables(FILE *err)
{
    extern char **environ;
    const char *known[SETTINGS + 2] = {[SETTINGS] = CONFIG_VARIABLE};
    for (size_t i = 0; i < SETTINGS; i++)
        known[i] = setting_names[i].variable;
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        char name[64];
        size_t length = strcspn(*entry, "=");
        if (length >= sizeof name || strncmp(*entry, VARIABLE_PREFIX, strlen(VARIABLE_PREFIX)) != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)length, *entry);
        const char *nearest = nearest_word(name, known);
        if (nearest != NULL && strcmp(nearest, name) != 0)
            fprintf(err, PROGRAM ": warning: the variable %s is not used; did you mean %s?\n", name, nearest);
    }
}

static bool apply_file(struct config *config, const char *path, FILE *err)
{
    struct problems problems;
    problems.count = 0;
    if (config_file_load(config, path, &problems))
        return true;
    problems_print(&problems, path, err);
    return false;
}

/* ---- What nobody said ---- */

static bool choose_instance(struct config *config, FILE *err)
{
    char hostname[256] = "", problem[CONFIG_PROBLEM_SIZE];
    gethostname(hostname, sizeof hostname - 1);
    if (!config_hostname_serves(hostname, problem)) {
        fprintf(err,
                PROGRAM ": --instance is needed: %s; give --instance NAME, QUASH_INSTANCE, or \"instance\" in the "
                        "configuration file\n",
                problem);
        return false;
    }
    return config_set(config, SETTING_INSTANCE, hostname, problem);
}

static bool choose_table(struct config *config)
{
    char path[sizeof CONFIG_TABLE_DIRECTORY + 1 + CONFIG_INSTANCE_MAX], problem[CONFIG_PROBLEM_SIZE];
    snprintf(path, sizeof path, "%s/%s", CONFIG_TABLE_DIRECTORY, config->instance);
    return config_set(config, SETTING_TABLE, path, problem);
}

static bool complete(struct config *config, FILE *err)
{
    char problem[CONFIG_PROBLEM_SIZE];
    bool good = true;
    if (config->rules_path == NULL) {
        fputs(PROGRAM ": no rules; give --rules FILE, QUASH_RULES, or \"rules\" in the configuration file\n", err);
        good = false;
    }
    if (config->amqp_url_count == 0)
        good = config_set(config, SETTING_AMQP_URL, CONFIG_AMQP_URL, problem) && good;
    if (config->instance == NULL)
        good = choose_instance(config, err) && good;
    if (config->table_path == NULL && config->instance != NULL)
        good = choose_table(config) && good;
    return good;
}

enum config_outcome config_read(struct config *config, int argc, char **argv, FILE *out, FILE *err)
{
    *config = (struct config){
        .table_buckets = QUASH_TABLE_BUCKETS_DEFAULT,
        .table_mode = CONFIG_TABLE_MODE,
        .prefetch = CONFIG_PREFETCH_DEFAULT,
        .queue_expires_ms = CONFIG_QUEUE_EXPIRES_MS,
        .log_level = LOG_INFO,
    };
    struct flags flags = {.config_path = NULL};
    bool usage_good = collect_flags(&flags, argc, argv, err);
    if (usage_good && flags.help) {
        fputs(help_text, out);
        return CONFIG_DONE;
    }
    if (usage_good && flags.version) {
        fputs(PROGRAM " " QUASH_PROGRAM_VERSION "\n", out);
        return CONFIG_DONE;
    }
    config->check = flags.check;

    const char *file_path = flags.config_path != NULL ? flags.config_path : variable(CONFIG_VARIABLE);
    bool file_good = file_path == NULL || apply_file(config, file_path, err);
    warn_of_misspelt_variables(err);
    usage_good = apply_environment(config, err) && usage_good;
    usage_good = apply_flags(config, &flags, err) && usage_good;
    /* With a file that could not be used, what is missing may well stand in it. */
    if (usage_good && file_good)
        usage_good = complete(config, err);
    if (!usage_good) {
        options_refer_to_help(PROGRAM, err);
        return CONFIG_USAGE;
    }
    return file_good ? CONFIG_RUN : CONFIG_BAD;
}

void config_fini(struct config *config)
{
    config_clear_urls(config);
    free(config->exchange);
    free(config->dead_letter_exchange);
    free(config->rules_path);
    free(config->table_path);
    free(config->instance);
    *config = (struct config){.amqp_url_count = 0};
}
