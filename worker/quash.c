/*
 * quash.c - the command line: finds the command and hands over.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "options.h"
#include "problem.h"
#include "quote.h"
#include "standard_files.h"

#define PROGRAM "quash"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"rules", cmd_rules}, {"explain", cmd_explain}, {"cancel", cmd_cancel}, {"table", cmd_table}, {"emit", cmd_emit},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static const char help_text[] = "Usage: quash COMMAND ...\n"
                                "\n"
                                "  quash rules check FILE          whether a rules file is right, and if not why\n"
                                "  quash rules test FILE [CASE...] whether its test cases come out as they should\n"
                                "  quash explain --rules FILE ...  which groups an event would cancel, and why\n"
                                "  quash cancel --table FILE GROUP...\n"
                                "                                  cancel groups in a table, on this host\n"
                                "  quash table stat FILE           what state a table is in\n"
                                "  quash table stamp FILE          where its sequence stands now\n"
                                "  quash table changed FILE --since STAMP GROUP...\n"
                                "                                  whether a group was cancelled since\n"
                                "  quash emit ...                  publish an event to the broker\n"
                                "\n"
                                "  quash COMMAND --help            more about a command\n"
                                "  quash --version                 print the version\n"
                                "\n"
                                "Exit codes:\n"
                                "  0  done, or the answer is yes\n"
                                "  1  the answer is no\n"
                                "  2  the command line is wrong\n"
                                "  3  bad input: a file, an event, a group\n"
                                "  4  the broker or the table cannot be reached\n";

static int unknown(const char *word)
{
    const char *known[COMMANDS + 1] = {NULL};
    for (size_t i = 0; i < COMMANDS; i++)
        known[i] = commands[i].name;
    const char *nearest = nearest_word(word, known);
    char quoted[QUOTE_SIZE];
    fprintf(stderr, PROGRAM ": unknown command %s", quote_text(quoted, sizeof quoted, word, strlen(word)));
    if (nearest != NULL)
        fprintf(stderr, "; did you mean %s?", nearest);
    fputc('\n', stderr);
    return options_refer_to_help(PROGRAM, stderr);
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        fputs(help_text, stderr);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || (strcmp(word, "help") == 0 && argc == 2)) {
        fputs(help_text, stdout);
        return EXIT_DONE;
    }
    if (strcmp(word, "--version") == 0) {
        fputs(PROGRAM " " QUASH_PROGRAM_VERSION "\n", stdout);
        return EXIT_DONE;
    }
    if (*word == '-') {
        char quoted[QUOTE_SIZE];
        fprintf(stderr, PROGRAM ": a command comes first; %s belongs behind one\n",
                quote_text(quoted, sizeof quoted, word, strlen(word)));
        return options_refer_to_help(PROGRAM, stderr);
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(word, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return unknown(word);
}

int main(int argc, char **argv)
{
    if (!standard_files_hold())
        return EXIT_UNREACHABLE;
    int code = run(argc, argv);
    /* An answer that did not arrive is none: a full disk, a closed pipe. */
    return standard_files_flush(PROGRAM) ? code : EXIT_UNREACHABLE;
}
