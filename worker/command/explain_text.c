/*
 * explain_text.c - an explanation, for people. Whatever comes from the event or the rules is quoted, so that it cannot
 * write to the terminal.
 */
#include "explain_text.h"

#include <stdint.h>
#include <string.h>

#include "quote.h"
#include "verdict.h"

#define LINE_SIZE 768 /* room for a whole group or template, escaped */

static void print_bare(const char *text, FILE *out)
{
    char shown[LINE_SIZE];
    fputs(quote_bare(shown, sizeof shown, text, strlen(text)), out);
}

static void print_quoted(const char *text, FILE *out)
{
    char shown[LINE_SIZE];
    fputs(quote_text(shown, sizeof shown, text, strlen(text)), out);
}

static void print_more(size_t more, FILE *out)
{
    if (more > 0)
        fprintf(out, " and %zu more", more);
}

static void print_template_names(const json_t *names, bool verbose, FILE *out)
{
    size_t count = json_array_size(names);
    size_t shown = verbose || count <= EXPLAIN_NAMES_MAX ? count : EXPLAIN_NAMES_MAX;
    for (size_t i = 0; i < shown; i++) {
        fputs(i > 0 ? ", " : "", out);
        print_bare(json_string_value(json_array_get(names, i)), out);
    }
    print_more(count - shown, out);
}

static void print_template(const char *text, const struct explained_template *explained, bool verbose, FILE *out)
{
    const struct expansion *expansion = &explained->expansion;
    print_bare(text, out);
    switch (expansion->outcome) {
    case EXPANSION_GROUPS:
        fputs(" gives ", out);
        print_template_names(explained->names, verbose, out);
        break;
    case EXPANSION_NOTHING:
        fputs(" gives nothing", out);
        break;
    case EXPANSION_WIDENED:
        fputs(" widens to ", out);
        print_template_names(explained->names, verbose, out);
        break;
    }
    if (expansion->dead_letter)
        fputs(", and the event is a dead letter", out);
    if (expansion->why[0] != '\0')
        fprintf(out, ": %s", expansion->why);
    fputc('\n', out);
}

void explain_text_rule(const struct explanation *explanation, size_t rule, const char *indent, bool verbose, FILE *out)
{
    const struct explained_rule *explained = &explanation->rule[rule];
    fprintf(out, "%srule ", indent);
    print_quoted(rules_name(explanation->rules, rule), out);
    if (!explained->matched) {
        fprintf(out, " does not match: %s\n", explained->reason != NULL ? explained->reason : "it was not looked at");
        return;
    }
    if (explained->template_count == 0) {
        fputs(" matches, as far as the event can be read\n", out);
        return;
    }
    fputs(" matches\n", out);
    for (size_t i = 0; i < explained->template_count; i++) {
        if (explained->templates[i].names == NULL)
            continue;
        fprintf(out, "%s    ", indent);
        print_template(rules_template_text(explanation->rules, rule, i), &explained->templates[i], verbose, out);
    }
}

static void print_rules(const struct explanation *explanation, bool verbose, FILE *out)
{
    size_t excluded = 0;
    for (size_t i = 0; i < rules_count(explanation->rules); i++)
        excluded += explanation->rule[i].routed ? 0 : 1;
    bool tell_excluded = verbose || excluded <= EXPLAIN_EXCLUDED_MAX;
    for (size_t i = 0; i < rules_count(explanation->rules); i++) {
        if (tell_excluded || explanation->rule[i].routed)
            explain_text_rule(explanation, i, "", verbose, out);
    }
    if (!tell_excluded)
        fprintf(out,
                "%zu rules do not match because of exchange or routing key, or are disabled; --verbose lists them\n",
                excluded);
}

static void print_groups(const struct groups *groups, bool verbose, FILE *out)
{
    size_t count = groups_count(groups);
    size_t shown = verbose || count <= EXPLAIN_GROUPS_MAX ? count : EXPLAIN_GROUPS_MAX;
    for (size_t i = 0; i < shown; i++) {
        fputs("    ", out);
        print_bare(groups_names(groups)[i], out);
        fputc('\n', out);
    }
    if (shown < count)
        fprintf(out, "    and %zu more; --verbose lists them\n", count - shown);
}

static void print_repeat(const struct explained_repeat *repeat, bool verbose, FILE *out)
{
    size_t count = groups_count(repeat->groups);
    size_t shown = verbose || count <= EXPLAIN_NAMES_MAX ? count : EXPLAIN_NAMES_MAX;
    fprintf(out, "again after %u ms: ", (unsigned)repeat->after_ms);
    for (size_t i = 0; i < shown; i++) {
        fputs(i > 0 ? ", " : "", out);
        print_bare(groups_names(repeat->groups)[i], out);
    }
    print_more(count - shown, out);
    fputc('\n', out);
}

void explain_text(const struct explanation *explanation, bool verbose, FILE *out)
{
    const struct verdict *verdict = &explanation->verdict;
    print_rules(explanation, verbose, out);
    fprintf(out, "\nverdict: %s", verdict_word(verdict->kind));
    if (verdict->reason[0] != '\0')
        fprintf(out, " (%s)", verdict->reason);
    fputc('\n', out);
    print_groups(explanation->groups, verbose, out);
    for (size_t i = 0; i < explanation->repeat_count; i++)
        print_repeat(&explanation->repeats[i], verbose, out);
    if (verdict->by_default)
        fputs("without --dead-letter-exchange quashd keeps no dead letter of it; what is cancelled stays the same\n",
              out);
}
