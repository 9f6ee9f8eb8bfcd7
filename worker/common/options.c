/*
 * options.c - long flags with complaints that help. See options.h.
 *
 * getopt_long does the parsing; its own messages are off, since they know neither the nearest flag nor where help is.
 */
#include "options.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "exit_code.h"
#include "problem.h"
#include "quote.h"

/* More flags than any command here has; those beyond would only be missing from "did you mean". */
#define FLAGS_MAX 64

void options_start(void)
{
    optind = 0; /* glibc and musl: forget the earlier argv altogether */
}

static size_t name_length(const char *word)
{
    return strcspn(word, "=");
}

/* Flags that `word` (without dashes) abbreviates. */
static size_t count_abbreviated(const struct option *flags, const char *word)
{
    size_t length = name_length(word), count = 0;
    for (; flags->name != NULL; flags++)
        count += strncmp(flags->name, word, length) == 0;
    return count;
}

static void explain_unknown(const struct option *flags, const char *word, const char *who, FILE *err)
{
    int length = (int)name_length(word);
    if (length > 0 && count_abbreviated(flags, word) > 1) {
        fprintf(err, "%s: --%.*s could be any of", who, length, word);
        for (; flags->name != NULL; flags++)
            if (strncmp(flags->name, word, (size_t)length) == 0)
                fprintf(err, " --%s", flags->name);
        fputs("; write the flag out\n", err);
        return;
    }
    const char *known[FLAGS_MAX + 1];
    size_t count = 0;
    for (; flags->name != NULL && count < FLAGS_MAX; flags++)
        known[count++] = flags->name;
    known[count] = NULL;
    char name[128];
    snprintf(name, sizeof name, "%.*s", length, word);
    const char *nearest = nearest_word(name, known);
    char shown[QUOTE_SIZE];
    fprintf(err, "%s: unknown flag --%s", who, quote_bare(shown, sizeof shown, name, strlen(name)));
    if (nearest != NULL)
        fprintf(err, "; did you mean --%s?", nearest);
    fputc('\n', err);
}

static const struct option *find_value(const struct option *flags, int value)
{
    for (; flags->name != NULL; flags++)
        if (flags->val == value)
            return flags;
    return NULL;
}

/* optopt is the value of a known flag that was misused, a letter, or 0 for an unknown long one. */
static void explain(char **argv, const struct option *flags, bool argument_missing, const char *who, FILE *err)
{
    const struct option *flag = optopt == 0 ? NULL : find_value(flags, optopt);
    char shown[QUOTE_SIZE];
    if (flag != NULL && argument_missing)
        fprintf(err, "%s: --%s needs a value, as in --%s=VALUE\n", who, flag->name, flag->name);
    else if (flag != NULL)
        fprintf(err, "%s: --%s takes no value\n", who, flag->name);
    else if (optopt != 0)
        fprintf(err, "%s: unknown flag -%s; flags are whole words behind two dashes\n", who,
                quote_bare(shown, sizeof shown, (const char[]){(char)optopt}, 1));
    else
        explain_unknown(flags, argv[optind - 1] + 2, who, err);
}

int options_next(int argc, char **argv, const struct option *flags, const char *who, FILE *err)
{
    opterr = 0;
    int value = getopt_long(argc, argv, ":h", flags, NULL);
    if (value == 'h' && find_value(flags, OPTION_HELP) == NULL) {
        fprintf(err, "%s: unknown flag -h\n", who);
        return OPTION_MISTAKE;
    }
    if (value == ':' || value == '?') {
        explain(argv, flags, value == ':', who, err);
        return OPTION_MISTAKE;
    }
    return value;
}

int options_refer_to_help(const char *who, FILE *err)
{
    fprintf(err, "Try '%s --help'.\n", who);
    return EXIT_USAGE;
}

int options_end(int value, const char *help, const char *who)
{
    if (value != OPTION_HELP)
        return options_refer_to_help(who, stderr);
    fputs(help, stdout);
    return EXIT_DONE;
}
