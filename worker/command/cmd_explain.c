/*
 * cmd_explain.c - `quash explain`: what quashd would do with one event, and why.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "cmd.h"
#include "event_record.h"
#include "explain_json.h"
#include "explain_text.h"
#include "explanation.h"
#include "json_file.h"
#include "options.h"
#include "rules.h"

static const char who[] = "quash explain";

static const char help[] = "Usage: quash explain --rules FILE [--json] [--verbose] [EVENT|-]\n"
                           "\n"
                           "Says which groups an event cancels, and why: which rules match, which do not\n"
                           "and because of what, and what each template gives.\n"
                           "\n"
                           "EVENT is a file with one JSON object; - or nothing is standard input:\n"
                           "\n"
                           "  {\"exchange\": \"domain\", \"routing_key\": \"order.paid\", \"headers\": {},\n"
                           "   \"properties\": {}, \"body\": {\"id\": 17}}\n"
                           "\n"
                           "Instead of \"body\": \"body_text\", a string, or \"body_base64\", any bytes. What is\n"
                           "left out of the rest is empty.\n"
                           "\n"
                           "  --rules FILE           the rules file\n"
                           "  --json                 print one object: groups, rules, verdict, reason, and\n"
                           "                         details of each rule\n"
                           "  --verbose              list all: every group, and rules that exchange or\n"
                           "                         routing key exclude even if they are more than 20\n"
                           "  --help                 print this and exit\n"
                           "\n"
                           "Exit codes:\n"
                           "  0  explained, whatever the verdict is\n"
                           "  2  the command line is wrong\n"
                           "  3  the rules or the event cannot be used, or not be read\n";

enum { FLAG_RULES = OPTION_FIRST, FLAG_JSON, FLAG_VERBOSE };

static const struct option flags[] = {{"rules", required_argument, NULL, FLAG_RULES},
                                      {"json", no_argument, NULL, FLAG_JSON},
                                      {"verbose", no_argument, NULL, FLAG_VERBOSE},
                                      {"help", no_argument, NULL, OPTION_HELP},
                                      {NULL, 0, NULL, 0}};

static bool print_json(const struct explanation *explanation)
{
    json_t *answer = explain_json(explanation);
    bool printed = answer != NULL && json_dumpf(answer, stdout, 0) == 0 && putchar('\n') != EOF;
    json_decref(answer);
    return printed;
}

static int explain(const struct rules *rules, struct event *event, bool as_json, bool verbose)
{
    struct explanation explanation;
    bool fine = explanation_make(&explanation, rules, event);
    if (fine) {
        if (as_json)
            fine = print_json(&explanation);
        else
            explain_text(&explanation, verbose, stdout);
        explanation_fini(&explanation);
    }
    if (!fine)
        fprintf(stderr, "%s: out of memory, or the answer cannot be written\n", who);
    return fine ? EXIT_DONE : EXIT_BAD_INPUT;
}

/* `path` may be "-". */
static bool read_event(struct event_record *record, const char *path, struct problems *problems)
{
    size_t size = 0;
    char *text = strcmp(path, "-") == 0 ? json_file_read_fd(STDIN_FILENO, EVENT_RECORD_BYTES_MAX, &size, problems)
                                        : json_file_read(path, EVENT_RECORD_BYTES_MAX, &size, problems);
    bool fine = text != NULL && event_record_parse(record, text, size, problems);
    free(text);
    return fine;
}

static int run(const char *rules_path, const char *event_path, bool as_json, bool verbose)
{
    int code = EXIT_BAD_INPUT;
    struct problems *problems = calloc(1, sizeof *problems);
    if (problems == NULL) {
        fprintf(stderr, "%s: out of memory\n", who);
        return code;
    }
    struct rules *rules = rules_load(rules_path, NULL, problems, NULL);
    if (rules == NULL) {
        problems_print(problems, rules_path, stderr);
        goto free_problems;
    }
    struct event_record record;
    if (!read_event(&record, event_path, problems)) {
        problems_print(problems, strcmp(event_path, "-") == 0 ? "standard input" : event_path, stderr);
        goto free_rules;
    }
    code = explain(rules, &record.event, as_json, verbose);
    event_record_fini(&record);
free_rules:
    rules_free(rules);
free_problems:
    free(problems);
    return code;
}

int cmd_explain(int argc, char **argv)
{
    const char *rules_path = NULL;
    bool as_json = false, verbose = false;
    options_start();
    for (;;) {
        int flag = options_next(argc, argv, flags, who, stderr);
        if (flag == OPTION_END)
            break;
        switch (flag) {
        case FLAG_RULES:
            rules_path = optarg;
            break;
        case FLAG_JSON:
            as_json = true;
            break;
        case FLAG_VERBOSE:
            verbose = true;
            break;
        default:
            return options_end(flag, help, who);
        }
    }
    if (rules_path == NULL) {
        fprintf(stderr, "%s: --rules FILE is missing\n", who);
        return options_refer_to_help(who, stderr);
    }
    if (argc - optind > 1) {
        fprintf(stderr, "%s: expected one event, found %d\n", who, argc - optind);
        return options_refer_to_help(who, stderr);
    }
    return run(rules_path, optind < argc ? argv[optind] : "-", as_json, verbose);
}
