/*
 * bench.h - what the subcommands of quash-bench have in common.
 *
 * One file a subcommand: it has a function run(argc, argv), declares its flags for options.h, measures, puts what it
 * found into results.h, and returns an exit code. A new one is that file, a line below, a line in quash_bench.c and one
 * in CMakeLists.txt.
 *
 * quash-bench uses libquash as any program does: its public headers and the shared library. Only bench_rules.c is about
 * quashd, whose rules have no public interface; without the worker it is left out.
 */
#ifndef QUASH_BENCH_H
#define QUASH_BENCH_H

#include <quash/status.h>

enum exit_code {
    EXIT_DONE = 0,
    EXIT_WRONG = 1,       /* what was measured contradicts the contract: not a figure, a fault */
    EXIT_USAGE = 2,       /* the command line is wrong */
    EXIT_BAD_INPUT = 3,   /* a trace has a line that is no key */
    EXIT_UNREACHABLE = 4, /* a file, a directory, memory or threads that could not be had */
};

#define EXIT_CODES_HELP                                                                                                \
    "Exit codes:\n"                                                                                                    \
    "  0  measured\n"                                                                                                  \
    "  1  an answer was not what it must be; the figures would mean nothing\n"                                         \
    "  2  the command line is wrong\n"                                                                                 \
    "  3  bad input\n"                                                                                                 \
    "  4  a file, memory or a thread could not be had\n"

int bench_get(int argc, char **argv);
int bench_cancel(int argc, char **argv);
int bench_memory(int argc, char **argv);
int bench_trace(int argc, char **argv);
int bench_stampede(int argc, char **argv);
int bench_rules(int argc, char **argv);

/* Tells on standard error what could not be had; returns EXIT_UNREACHABLE. */
int bench_out_of_memory(const char *who);
int bench_failed(const char *who, const char *what, quash_status status);

#endif
