/*
 * cmd_rules.c - `quash rules check FILE`: everything that is wrong with a rules file, or that nothing is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "options.h"
#include "rules.h"

static const char help[] = "Usage: quash rules check FILE\n"
                           "\n"
                           "Reads a rules file as quashd would. Says how many rules it has and how many\n"
                           "bindings they need, or lists everything that is wrong, each with its place.\n"
                           "\n"
                           "  --help                 print this and exit\n"
                           "\n"
                           "Exit codes:\n"
                           "  0  the file can be used\n"
                           "  2  the command line is wrong\n"
                           "  3  the file cannot be used, or not be read\n";

static const struct option flags[] = {{"help", no_argument, NULL, OPTION_HELP}, {NULL, 0, NULL, 0}};

static int check(const char *path)
{
    struct problems *problems = calloc(1, sizeof *problems);
    if (problems == NULL) {
        fprintf(stderr, "quash rules: out of memory\n");
        return EXIT_BAD_INPUT;
    }
    struct rules *rules = rules_load(path, NULL, problems);
    int code = EXIT_DONE;
    if (rules == NULL) {
        problems_print(problems, path, stderr);
        code = EXIT_BAD_INPUT;
    } else {
        size_t count = rules_count(rules), bindings = rules_binding_count(rules);
        printf("%s: fine; %zu rule%s, %zu binding%s\n", path, count, count == 1 ? "" : "s", bindings,
               bindings == 1 ? "" : "s");
    }
    rules_free(rules);
    free(problems);
    return code;
}

int cmd_rules(int argc, char **argv)
{
    static const char who[] = "quash rules";
    options_start();
    int flag = options_next(argc, argv, flags, who, stderr); /* it has none of its own */
    if (flag != OPTION_END)
        return options_end(flag, help, who);
    if (optind >= argc || strcmp(argv[optind], "check") != 0) {
        if (optind < argc)
            fprintf(stderr, "%s: unknown action \"%s\"; there is \"check\"\n", who, argv[optind]);
        else
            fprintf(stderr, "%s: an action is missing; there is \"check\"\n", who);
        return options_refer_to_help(who, stderr);
    }
    if (argc - optind != 2) {
        fprintf(stderr, "%s check: expected one rules file, found %d\n", who, argc - optind - 1);
        return options_refer_to_help(who, stderr);
    }
    return check(argv[optind + 1]);
}
