/*
 * options.c - see options.h.
 *
 * A flag is --name VALUE or --name=VALUE; `--` ends them. Names are not abbreviated: what stands in a script should
 * still mean the same when a flag is added.
 */
#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define NAMES_MAX 32u
#define WORD_MAX  32u /* longer words are not guessed at */

/* ---- Mistakes */

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* How many letters have to be changed, added or left out to make one word of the other (Levenshtein). */
static size_t distance(const char *a, const char *b)
{
    size_t row[WORD_MAX + 1], b_length = strlen(b);
    if (strlen(a) > WORD_MAX || b_length > WORD_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t above = row[j];
            row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[b_length];
}

const char *options_nearest(const char *word, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t least = strlen(word) / 2 + 1;
    for (size_t i = 0; i < count; i++) {
        size_t far = distance(word, names[i]);
        if (far < least) {
            least = far;
            nearest = names[i];
        }
    }
    return nearest;
}

int options_refer_to_help(const char *who)
{
    fprintf(stderr, "Try '%s --help'.\n", who);
    return EXIT_USAGE;
}

int options_wrong(const char *who, const char *format, ...)
{
    fprintf(stderr, "%s: ", who);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return options_refer_to_help(who);
}

static void unknown_flag(const struct options *options, const char *name)
{
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (; count < options->flag_count && count < NAMES_MAX; count++)
        names[count] = options->flags[count].name;
    const char *nearest = options_nearest(name, names, count);
    if (nearest != NULL)
        options_wrong(options->who, "unknown flag --%s; did you mean --%s?", name, nearest);
    else
        options_wrong(options->who, "unknown flag --%s", name);
}

/* ---- Values */

static bool read_count(const char *text, size_t length, const struct option *flag, uint64_t *count)
{
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9' || value > (UINT64_MAX - 9) / 10)
            return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    if (length == 0 || (double)value < flag->min || (double)value > flag->max)
        return false;
    *count = value;
    return true;
}

static bool read_real(const char *text, const struct option *flag, double *real)
{
    /* strtod would also take blanks, signs, hexadecimals, infinity and nan. */
    if (*text == '\0' || strspn(text, "0123456789.") != strlen(text))
        return false;
    char *end;
    double value = strtod(text, &end);
    if (*end != '\0' || !isfinite(value) || value < flag->min || value > flag->max)
        return false;
    *real = value;
    return true;
}

static bool read_list(const char *text, const struct option *flag, struct option_list *list)
{
    struct option_list read = {0};
    for (;;) {
        size_t length = strcspn(text, ",");
        if (read.count == OPTIONS_LIST_MAX || !read_count(text, length, flag, &read.item[read.count++]))
            return false;
        if (text[length] == '\0')
            break;
        text += length + 1;
    }
    *list = read;
    return true;
}

static bool read_choice(const char *text, const struct option *flag, size_t *choice)
{
    for (size_t i = 0; flag->choices[i] != NULL; i++) {
        if (strcmp(text, flag->choices[i]) == 0) {
            *choice = i;
            return true;
        }
    }
    return false;
}

/* `a, b or c` */
static const char *list_choices(const struct option *flag, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; flag->choices[i] != NULL && used < size; i++) {
        const char *joint = i == 0 ? "" : flag->choices[i + 1] == NULL ? " or " : ", ";
        used += (size_t)snprintf(out + used, size - used, "%s%s", joint, flag->choices[i]);
    }
    return out;
}

static bool read_value(const struct options *options, const struct option *flag, const char *text)
{
    if (flag->count != NULL && !read_count(text, strlen(text), flag, flag->count)) {
        options_wrong(options->who, "--%s is a whole number from %.0f to %.0f, not \"%s\"", flag->name, flag->min,
                      flag->max, text);
        return false;
    }
    if (flag->real != NULL && !read_real(text, flag, flag->real)) {
        options_wrong(options->who, "--%s is a number from %g to %g, not \"%s\"", flag->name, flag->min, flag->max,
                      text);
        return false;
    }
    if (flag->list != NULL && !read_list(text, flag, flag->list)) {
        options_wrong(options->who,
                      "--%s is one to %u whole numbers from %.0f to %.0f with commas between them, not \"%s\"",
                      flag->name, OPTIONS_LIST_MAX, flag->min, flag->max, text);
        return false;
    }
    if (flag->choice != NULL && !read_choice(text, flag, flag->choice)) {
        char known[128];
        options_wrong(options->who, "--%s is %s, not \"%s\"", flag->name, list_choices(flag, known, sizeof known),
                      text);
        return false;
    }
    return true;
}

/* ---- Help */

static void print_default(const struct option *flag)
{
    if (flag->count != NULL)
        printf(" (%" PRIu64 ")", *flag->count);
    else if (flag->real != NULL)
        printf(" (%g)", *flag->real);
    else if (flag->choice != NULL)
        printf(" (%s)", flag->choices[*flag->choice]);
    else if (flag->list != NULL)
        for (size_t i = 0; i < flag->list->count; i++)
            printf("%s%" PRIu64 "%s", i == 0 ? " (" : ",", flag->list->item[i], i + 1 == flag->list->count ? ")" : "");
}

static void print_flag(const struct option *flag)
{
    int column =
        printf("  --%s%s%s", flag->name, flag->value != NULL ? " " : "", flag->value != NULL ? flag->value : "");
    for (const char *line = flag->help;;) {
        size_t length = strcspn(line, "\n");
        printf("%*s%.*s", column < 26 ? 26 - column : 1, "", (int)length, line);
        if (line[length] == '\0')
            break;
        putchar('\n');
        column = 0;
        line += length + 1;
    }
    print_default(flag);
    putchar('\n');
}

static void print_help(const struct options *options)
{
    printf("Usage: %s [FLAG...]%s%s\n\n%s\n", options->who, options->operands != NULL ? " " : "",
           options->operands != NULL ? options->operands : "", options->about);
    for (size_t i = 0; i < options->flag_count; i++)
        print_flag(&options->flags[i]);
    printf("  --help                  print this and exit\n\n%s\n" EXIT_CODES_HELP, options->method);
}

/* ---- The command line */

static const struct option *find_flag(const struct options *options, const char *name, size_t length)
{
    for (size_t i = 0; i < options->flag_count; i++)
        if (strlen(options->flags[i].name) == length && memcmp(options->flags[i].name, name, length) == 0)
            return &options->flags[i];
    return NULL;
}

/* Reads the flag at argv[*at] and its value, and leaves *at at the last word that it took. */
static bool parse_flag(const struct options *options, int argc, char **argv, int *at)
{
    const char *word = argv[*at] + 2;
    size_t length = strcspn(word, "=");
    const struct option *flag = find_flag(options, word, length);
    if (flag == NULL) {
        char name[WORD_MAX + 1];
        snprintf(name, sizeof name, "%.*s", (int)length, word);
        unknown_flag(options, name);
        return false;
    }
    const char *text = word[length] == '=' ? word + length + 1 : NULL;
    if (flag->on != NULL) {
        if (text != NULL)
            options_wrong(options->who, "--%s takes no value", flag->name);
        *flag->on = true;
        return text == NULL;
    }
    if (text == NULL) {
        if (*at + 1 >= argc) {
            options_wrong(options->who, "--%s needs a value, as in --%s %s", flag->name, flag->name, flag->value);
            return false;
        }
        text = argv[++*at];
    }
    return read_value(options, flag, text);
}

enum options_outcome options_parse(const struct options *options, int argc, char **argv, const char **operand)
{
    for (int i = 1; i < argc; i++) /* wherever it stands */
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(options);
            return OPTIONS_HELP;
        }
    bool flags_ended = false;
    const char *found = NULL;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (!flags_ended && strcmp(word, "--") == 0) {
            flags_ended = true;
        } else if (!flags_ended && strncmp(word, "--", 2) == 0) {
            if (!parse_flag(options, argc, argv, &i))
                return OPTIONS_WRONG;
        } else if (!flags_ended && word[0] == '-' && word[1] != '\0') {
            options_wrong(options->who, "unknown flag %s; flags are whole words behind two dashes", word);
            return OPTIONS_WRONG;
        } else if (options->operands == NULL) {
            options_wrong(options->who, "unexpected \"%s\"; there are only flags, such as --%s", word,
                          options->flags[0].name);
            return OPTIONS_WRONG;
        } else if (found != NULL) {
            options_wrong(options->who, "one %s at a time; found \"%s\" and \"%s\"", options->operands, found, word);
            return OPTIONS_WRONG;
        } else {
            found = word;
        }
    }
    if (options->operands != NULL && found == NULL) {
        options_wrong(options->who, "%s is missing", options->operands);
        return OPTIONS_WRONG;
    }
    if (operand != NULL)
        *operand = found;
    return OPTIONS_RUN;
}

int options_exit_code(enum options_outcome outcome)
{
    return outcome == OPTIONS_WRONG ? EXIT_USAGE : EXIT_DONE;
}
