/*
 * quash_bench.c - the program: finds the subcommand and hands over.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "options.h"

#define PROGRAM "quash-bench"

static const struct {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"get", "how fast hits are, beside a cache written by hand", bench_get},
    {"cancel", "how long a cancellation takes, however many entries it concerns", bench_cancel},
    {"memory", "what entries take beyond keys and values, and give back", bench_memory},
    {"trace", "the miss ratio on a trace of keys", bench_trace},
    {"stampede", "what happens when a key expires that many threads want", bench_stampede},
#ifdef QUASH_BENCH_RULES /* built with the worker */
    {"rules", "what an event costs from its bytes to its groups", bench_rules},
#endif
};
#define COMMANDS (sizeof commands / sizeof commands[0])

int bench_out_of_memory(const char *who)
{
    fprintf(stderr, "%s: out of memory; measure with fewer entries or smaller values\n", who);
    return EXIT_UNREACHABLE;
}

int bench_failed(const char *who, const char *what, quash_status status)
{
    if (status == QUASH_NO_MEMORY)
        return bench_out_of_memory(who);
    fprintf(stderr, "%s: %s: %s\n", who, what, quash_status_string(status));
    return EXIT_UNREACHABLE;
}

static void print_help(FILE *out)
{
    fputs("Usage: " PROGRAM " COMMAND ...\n"
          "\n"
          "Measures libquash through its public headers, as a program that uses it would, and\n"
          "how quashd judges events.\n"
          "\n",
          out);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  " PROGRAM " %-9s %s\n", commands[i].name, commands[i].summary);
    fputs("\n"
          "  " PROGRAM " COMMAND --help   the flags of a command, and how it measures\n"
          "  " PROGRAM " --version        print the version\n"
          "\n"
          "Each takes --json: one JSON object on one line instead of a table for people.\n"
          "\n" EXIT_CODES_HELP,
          out);
}

static int unknown(const char *word)
{
    const char *names[COMMANDS];
    for (size_t i = 0; i < COMMANDS; i++)
        names[i] = commands[i].name;
    const char *nearest = options_nearest(word, names, COMMANDS);
    fprintf(stderr, PROGRAM ": unknown command \"%s\"", word);
    if (nearest != NULL)
        fprintf(stderr, "; did you mean %s?", nearest);
    fputc('\n', stderr);
    return options_refer_to_help(PROGRAM);
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || (strcmp(argv[1], "help") == 0 && argc == 2)) {
        print_help(stdout);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        fputs(PROGRAM " " QUASH_PROGRAM_VERSION "\n", stdout);
        return EXIT_DONE;
    }
    if (argv[1][0] == '-') {
        fprintf(stderr, PROGRAM ": a command comes first; %s belongs behind one\n", argv[1]);
        return options_refer_to_help(PROGRAM);
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return unknown(argv[1]);
}

int main(int argc, char **argv)
{
    int code = run(argc, argv);
    /* Figures that did not arrive are none: a full disk, a closed pipe. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, PROGRAM ": the figures could not be written to standard output: %s\n", strerror(errno));
        return EXIT_UNREACHABLE;
    }
    return code;
}
