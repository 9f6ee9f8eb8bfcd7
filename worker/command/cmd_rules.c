/*
 * cmd_rules.c - `quash rules`: the flags of its actions, and `check`: everything that is wrong with a rules file, or
 * that nothing is.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd.h"
#include "options.h"
#include "problem.h"
#include "quote.h"
#include "rules.h"
#include "rules_test.h"
#include "short_string.h"

static const char who[] = "quash rules";

static const char help[] = "Usage: quash rules check FILE [--strict] [--json] [--exchange NAME]\n"
                           "       quash rules test FILE [CASE...] [--json] [--junit FILE] [--coverage]\n"
                           "\n"
                           "check reads a rules file as quashd would. Says how many rules it has and how\n"
                           "many bindings they need, or lists everything that is wrong, each with its\n"
                           "place. What is allowed, but hardly meant, is a warning.\n"
                           "\n"
                           "test runs the test cases under \"tests\" in the rules file and those in each\n"
                           "CASE, a file of cases or a directory of such files (*.json). Says how each case\n"
                           "that fails differs from what it expects, and which rules had to do with it.\n"
                           "\n"
                           "  --strict               check: a warning is a mistake\n"
                           "  --exchange NAME        check: count the bindings and make the hash as a quashd\n"
                           "                         with this --exchange\n"
                           "  --json                 check: print one object: counts, and rules_hash, which\n"
                           "                         quash table stat shows of the rules in force\n"
                           "                         test: print one object with every case\n"
                           "  --junit FILE           test: write JUnit's XML; - is standard output, in\n"
                           "                         place of the text\n"
                           "  --coverage             test: say which rules, conditions and templates no\n"
                           "                         case exercised; does not change the exit code\n"
                           "  --help                 print this and exit\n"
                           "\n"
                           "Exit codes:\n"
                           "  0  the file can be used; all cases passed\n"
                           "  1  a case failed\n"
                           "  2  the command line is wrong\n"
                           "  3  a file cannot be used, or not be read; or there are no cases at all\n";

enum { FLAG_STRICT = OPTION_FIRST, FLAG_EXCHANGE, FLAG_JSON, FLAG_JUNIT, FLAG_COVERAGE };

static const struct option flags[] = {{"strict", no_argument, NULL, FLAG_STRICT},
                                      {"exchange", required_argument, NULL, FLAG_EXCHANGE},
                                      {"json", no_argument, NULL, FLAG_JSON},
                                      {"junit", required_argument, NULL, FLAG_JUNIT},
                                      {"coverage", no_argument, NULL, FLAG_COVERAGE},
                                      {"help", no_argument, NULL, OPTION_HELP},
                                      {NULL, 0, NULL, 0}};

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

static size_t count_disabled(const struct rules *rules)
{
    size_t disabled = 0;
    for (size_t i = 0; i < rules_count(rules); i++)
        disabled += rules_disabled(rules, i) ? 1 : 0;
    return disabled;
}

static void print_fine(const char *path, const struct rules *rules)
{
    size_t count = rules_count(rules), bindings = rules_binding_count(rules);
    size_t disabled = count_disabled(rules), tests = json_array_size(rules_tests(rules));
    printf("%s: fine; %zu rule%s", path, count, plural(count));
    if (disabled > 0)
        printf(" (%zu disabled)", disabled);
    printf(", %zu binding%s", bindings, plural(bindings));
    if (tests > 0)
        printf(", %zu test%s", tests, plural(tests));
    putchar('\n');
}

static bool print_fine_json(const struct rules *rules, size_t warnings)
{
    char hash[17];
    snprintf(hash, sizeof hash, "%016" PRIx64, rules_hash(rules));
    json_t *answer = json_pack("{s:I, s:I, s:I, s:I, s:I, s:s}", "rules", (json_int_t)rules_count(rules), "disabled",
                               (json_int_t)count_disabled(rules), "bindings", (json_int_t)rules_binding_count(rules),
                               "tests", (json_int_t)json_array_size(rules_tests(rules)), "warnings",
                               (json_int_t)warnings, "rules_hash", hash);
    bool printed = answer != NULL && json_dumpf(answer, stdout, 0) == 0 && putchar('\n') != EOF;
    json_decref(answer);
    return printed;
}

struct check_options {
    bool strict, as_json;
    const char *exchange; /* NULL: not said */
};

static int check(const char *path, const struct check_options *options)
{
    int code = EXIT_BAD_INPUT;
    struct problems *problems = calloc(1, sizeof *problems), *warnings = calloc(1, sizeof *warnings);
    struct rules *rules = NULL;
    if (problems == NULL || warnings == NULL) {
        fprintf(stderr, "%s: out of memory\n", who);
        goto free_problems;
    }
    rules = rules_load(path, options->exchange, problems, warnings);
    if (rules == NULL) {
        problems_print(problems, path, stderr);
        goto free_problems;
    }
    problems_print_warnings(warnings, path, stderr);
    if (options->strict && warnings->count > 0) {
        fprintf(stderr, "%s: %zu warning%s, which --strict does not let pass\n", path, warnings->count,
                plural(warnings->count));
    } else if (!options->as_json) {
        print_fine(path, rules);
        code = EXIT_DONE;
    } else if (print_fine_json(rules, warnings->count)) {
        code = EXIT_DONE;
    } else {
        fprintf(stderr, "%s: out of memory, or the answer cannot be written\n", who);
    }
    rules_free(rules);
free_problems:
    free(warnings);
    free(problems);
    return code;
}

static int run_check(int count, char **operands, const struct check_options *options)
{
    if (count != 1) {
        fprintf(stderr, "%s check: expected one rules file, found %d\n", who, count);
        return options_refer_to_help(who, stderr);
    }
    size_t length = options->exchange != NULL ? strlen(options->exchange) : 1;
    if (length == 0 || length > SHORT_STRING_BYTES_MAX) {
        fprintf(stderr, "%s check: the name of --exchange has %zu bytes; expected 1 to %d\n", who, length,
                SHORT_STRING_BYTES_MAX);
        return options_refer_to_help(who, stderr);
    }
    return check(operands[0], options);
}

static int run_test(int count, char **operands, struct rules_test_options *options)
{
    if (count == 0) {
        fprintf(stderr, "%s test: a rules file is missing\n", who);
        return options_refer_to_help(who, stderr);
    }
    if (options->as_json && options->junit != NULL && strcmp(options->junit, "-") == 0) {
        fprintf(stderr, "%s test: --json and --junit - both want standard output; name a file for one\n", who);
        return options_refer_to_help(who, stderr);
    }
    options->rules_path = operands[0];
    options->case_paths = operands + 1;
    options->case_path_count = (size_t)count - 1;
    return rules_test(options);
}

static int unknown_action(const char *action)
{
    static const char *const known[] = {"check", "test", NULL};
    char shown[QUOTE_SIZE];
    if (action == NULL) {
        fprintf(stderr, "%s: an action is missing; there are \"check\" and \"test\"\n", who);
        return options_refer_to_help(who, stderr);
    }
    const char *nearest = nearest_word(action, known);
    fprintf(stderr, "%s: unknown action %s", who, quote_text(shown, sizeof shown, action, strlen(action)));
    if (nearest != NULL)
        fprintf(stderr, "; did you mean \"%s\"?\n", nearest);
    else
        fputs("; there are \"check\" and \"test\"\n", stderr);
    return options_refer_to_help(who, stderr);
}

static int misplaced(const char *flag, const char *action)
{
    fprintf(stderr, "%s: %s belongs to %s %s\n", who, flag, who, action);
    return options_refer_to_help(who, stderr);
}

int cmd_rules(int argc, char **argv)
{
    struct check_options checked = {.strict = false};
    struct rules_test_options tested = {.rules_path = NULL};
    const char *only_check = NULL, *only_test = NULL; /* a flag of one action alone */
    options_start();
    for (;;) {
        int flag = options_next(argc, argv, flags, who, stderr);
        if (flag == OPTION_END)
            break;
        switch (flag) {
        case FLAG_STRICT:
            checked.strict = true;
            only_check = "--strict";
            break;
        case FLAG_EXCHANGE:
            checked.exchange = optarg;
            only_check = "--exchange";
            break;
        case FLAG_JSON:
            checked.as_json = tested.as_json = true;
            break;
        case FLAG_JUNIT:
            tested.junit = optarg;
            only_test = "--junit";
            break;
        case FLAG_COVERAGE:
            tested.coverage = true;
            only_test = "--coverage";
            break;
        default:
            return options_end(flag, help, who);
        }
    }
    const char *action = optind < argc ? argv[optind] : NULL;
    char **operands = argv + optind + 1;
    int count = argc - optind - 1;
    if (action != NULL && strcmp(action, "check") == 0)
        return only_test != NULL ? misplaced(only_test, "test") : run_check(count, operands, &checked);
    if (action != NULL && strcmp(action, "test") == 0)
        return only_check != NULL ? misplaced(only_check, "check") : run_test(count, operands, &tested);
    return unknown_action(action);
}
