/*
 * cmd_explain.c - `quash explain`: what quashd would do with one event, and why.
 *
 * For people, a line for each rule and template in the order in which they were looked at; with --json, one object for
 * programs. Both watch the same judge that quashd calls.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "cmd.h"
#include "event_record.h"
#include "json_file.h"
#include "options.h"
#include "quote.h"
#include "rules.h"
#include "verdict.h"

#define LINE_SIZE 768 /* room for a whole group, escaped */

static const char who[] = "quash explain";

static const char help[] = "Usage: quash explain --rules FILE [--json] [EVENT|-]\n"
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
                           "  --json                 print one object: groups, rules, verdict, reason\n"
                           "  --help                 print this and exit\n"
                           "\n"
                           "Exit codes:\n"
                           "  0  explained, whatever the verdict is\n"
                           "  2  the command line is wrong\n"
                           "  3  the rules or the event cannot be used, or not be read\n";

enum { FLAG_RULES = OPTION_FIRST, FLAG_JSON };

static const struct option flags[] = {{"rules", required_argument, NULL, FLAG_RULES},
                                      {"json", no_argument, NULL, FLAG_JSON},
                                      {"help", no_argument, NULL, OPTION_HELP},
                                      {NULL, 0, NULL, 0}};

struct explanation {
    const struct rules *rules;
    bool as_json;
    json_t *names; /* of the rules that matched; --json only */
    bool failed;   /* out of memory */
};

static void on_rejected(void *context, size_t rule, const char *sentence)
{
    const struct explanation *explanation = context;
    char name[LINE_SIZE];
    const char *text = rules_name(explanation->rules, rule);
    printf("rule %s does not match: %s\n", quote_text(name, sizeof name, text, strlen(text)), sentence);
}

static void on_matched(void *context, size_t rule)
{
    struct explanation *explanation = context;
    const char *text = rules_name(explanation->rules, rule);
    if (explanation->as_json) {
        if (json_array_append_new(explanation->names, json_string(text)) != 0)
            explanation->failed = true;
        return;
    }
    char name[LINE_SIZE];
    printf("rule %s matches\n", quote_text(name, sizeof name, text, strlen(text)));
}

static void on_expanded(void *context, size_t rule, const char *template_text, const struct expansion *expansion)
{
    (void)context;
    (void)rule;
    char text[LINE_SIZE], group[LINE_SIZE];
    quote_bare(text, sizeof text, template_text, strlen(template_text));
    quote_bare(group, sizeof group, expansion->name, expansion->length);
    switch (expansion->outcome) {
    case EXPANSION_GROUP:
        printf("    %s gives %s\n", text, group);
        break;
    case EXPANSION_NOTHING:
        printf("    %s gives nothing: %s\n", text, expansion->why);
        break;
    case EXPANSION_WIDENED:
        printf("    %s widens to %s: %s\n", text, group, expansion->why);
        break;
    }
}

static const char *verdict_word(const struct verdict *verdict)
{
    return verdict->kind == VERDICT_CANCEL ? "cancel" : "ignore";
}

static void print_for_people(const struct groups *groups, const struct verdict *verdict)
{
    printf("\nverdict: %s", verdict_word(verdict));
    if (verdict->reason[0] != '\0')
        printf(" (%s)", verdict->reason);
    printf("\n");
    for (size_t i = 0; i < groups_count(groups); i++) {
        char group[LINE_SIZE];
        const char *name = groups_names(groups)[i];
        printf("    %s\n", quote_bare(group, sizeof group, name, strlen(name)));
    }
}

static bool print_json(const struct explanation *explanation, const struct groups *groups,
                       const struct verdict *verdict)
{
    json_t *list = json_array();
    for (size_t i = 0; i < groups_count(groups); i++) {
        if (json_array_append_new(list, json_string(groups_names(groups)[i])) != 0) {
            json_decref(list);
            return false;
        }
    }
    json_t *answer = json_pack("{s:o, s:O, s:s, s:s?}", "groups", list, "rules", explanation->names, "verdict",
                               verdict_word(verdict), "reason", verdict->reason[0] != '\0' ? verdict->reason : NULL);
    bool printed = answer != NULL && json_dumpf(answer, stdout, 0) == 0 && putchar('\n') != EOF;
    json_decref(answer);
    return printed;
}

static int explain(const struct rules *rules, struct event *event, bool as_json)
{
    struct explanation explanation = {rules, as_json, json_array(), false};
    struct groups *groups = groups_new();
    struct verdict verdict;
    const struct judge_observer observer = {.rejected = as_json ? NULL : on_rejected,
                                            .matched = on_matched,
                                            .expanded = as_json ? NULL : on_expanded,
                                            .context = &explanation};
    bool fine = explanation.names != NULL && groups != NULL &&
                rules_judge_observed(rules, event, groups, &verdict, &observer) && !explanation.failed;
    if (fine) {
        groups_sort(groups);
        if (as_json)
            fine = print_json(&explanation, groups, &verdict);
        else
            print_for_people(groups, &verdict);
    }
    if (!fine)
        fprintf(stderr, "%s: out of memory, or the answer cannot be written\n", who);
    groups_free(groups);
    json_decref(explanation.names);
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

static int run(const char *rules_path, const char *event_path, bool as_json)
{
    int code = EXIT_BAD_INPUT;
    struct problems *problems = calloc(1, sizeof *problems);
    if (problems == NULL) {
        fprintf(stderr, "%s: out of memory\n", who);
        return code;
    }
    struct rules *rules = rules_load(rules_path, NULL, problems);
    if (rules == NULL) {
        problems_print(problems, rules_path, stderr);
        goto free_problems;
    }
    struct event_record record;
    if (!read_event(&record, event_path, problems)) {
        problems_print(problems, strcmp(event_path, "-") == 0 ? "standard input" : event_path, stderr);
        goto free_rules;
    }
    code = explain(rules, &record.event, as_json);
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
    bool as_json = false;
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
    return run(rules_path, optind < argc ? argv[optind] : "-", as_json);
}
