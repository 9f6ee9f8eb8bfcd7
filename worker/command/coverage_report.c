/*
 * coverage_report.c - what the test cases exercised of the rules.
 *
 * Percents are rounded down, so that 100 is all.
 */
#include "coverage_report.h"

#include <stdlib.h>
#include <string.h>

#include "explain_json.h"
#include "quote.h"
#include "ruleset.h"
#include "verdict.h"

#define LINE_SIZE 768

static size_t percent(size_t part, size_t whole)
{
    return whole == 0 ? 100 : part * 100 / whole;
}

static void print_part(const char *before, size_t part, size_t whole, const char *words, FILE *out)
{
    fprintf(out, "%s%zu of %zu %s (%zu %%)", before, part, whole, words, percent(part, whole));
}

static void print_sums(const struct coverage *coverage, FILE *out)
{
    struct coverage_sum sum = coverage_sum(coverage);
    fputs("coverage\n", out);
    print_part("    rules       ", sum.rules_matched, sum.rules, "matched", out);
    print_part("\n    conditions  ", sum.conditions_held, sum.conditions, "held", out);
    print_part(", ", sum.conditions_rejected, sum.conditions, "kept an event away", out);
    print_part("\n    templates   ", sum.templates_named, sum.templates, "named a group", out);
    print_part(", ", sum.templates_widened, sum.templates_that_can_widen, "widened", out);
    fputc('\n', out);
}

/* `rule "x", ` */
static void begin_line(const struct coverage *coverage, size_t rule, FILE *out)
{
    char shown[LINE_SIZE];
    const char *name = rules_name(coverage->rules, rule);
    fprintf(out, "rule %s", quote_text(shown, sizeof shown, name, strlen(name)));
}

static void print_bare(const char *text, FILE *out)
{
    char shown[LINE_SIZE];
    fputs(quote_bare(shown, sizeof shown, text, strlen(text)), out);
}

static void print_conditions(const struct coverage *coverage, size_t rule, FILE *out)
{
    const struct condition *condition = coverage->rules->rule[rule].condition;
    for (size_t i = 0; i < condition_count(condition); i++) {
        const struct covered_condition *covered = &coverage->rule[rule].conditions[i];
        if (covered->held > 0 && covered->rejected > 0)
            continue;
        begin_line(coverage, rule, out);
        fputs(", condition ", out);
        print_bare(condition_pointer(condition, i), out);
        fputs(covered->held + covered->rejected == 0 ? " was never tested\n"
              : covered->held == 0                   ? " never held\n"
                                                     : " never kept an event away\n",
              out);
    }
}

static void print_templates(const struct coverage *coverage, size_t rule, FILE *out)
{
    for (size_t i = 0; i < coverage->rules->rule[rule].template_count; i++) {
        const struct covered_template *covered = &coverage->rule[rule].templates[i];
        bool widens = coverage_can_widen(coverage->rules, rule, i) && covered->widened == 0;
        if (covered->named > 0 && !widens)
            continue;
        begin_line(coverage, rule, out);
        fputs(", template ", out);
        print_bare(rules_template_text(coverage->rules, rule, i), out);
        fputs(covered->named > 0 ? " never widened\n"
              : widens           ? " never named a group, nor widened\n"
                                 : " never named a group\n",
              out);
    }
}

void coverage_report_text(const struct coverage *coverage, FILE *out)
{
    print_sums(coverage, out);
    for (size_t i = 0; i < rules_count(coverage->rules); i++) {
        if (rules_disabled(coverage->rules, i))
            continue;
        if (coverage->rule[i].matched == 0) {
            begin_line(coverage, i, out);
            fputs(" never matched\n", out);
        }
        print_conditions(coverage, i, out);
        /* The templates of a rule that never matched were never asked; to say so of each would say nothing. */
        if (coverage->rule[i].matched > 0)
            print_templates(coverage, i, out);
    }
}

static json_t *list_conditions(const struct coverage *coverage, size_t rule)
{
    const struct condition *condition = coverage->rules->rule[rule].condition;
    json_t *list = json_array();
    for (size_t i = 0; i < condition_count(condition); i++) {
        const struct covered_condition *covered = &coverage->rule[rule].conditions[i];
        json_t *item = json_pack("{s:o, s:I, s:I}", "condition", explain_json_text(condition_pointer(condition, i)),
                                 "held", (json_int_t)covered->held, "kept_away", (json_int_t)covered->rejected);
        if (json_array_append_new(list, item) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *list_templates(const struct coverage *coverage, size_t rule)
{
    json_t *list = json_array();
    for (size_t i = 0; i < coverage->rules->rule[rule].template_count; i++) {
        const struct covered_template *covered = &coverage->rule[rule].templates[i];
        json_t *item = json_pack("{s:o, s:I, s:I, s:b}", "template",
                                 explain_json_text(rules_template_text(coverage->rules, rule, i)), "named",
                                 (json_int_t)covered->named, "widened", (json_int_t)covered->widened, "can_widen",
                                 (int)coverage_can_widen(coverage->rules, rule, i));
        if (json_array_append_new(list, item) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *list_rules(const struct coverage *coverage)
{
    json_t *list = json_array();
    for (size_t i = 0; i < rules_count(coverage->rules); i++) {
        if (rules_disabled(coverage->rules, i))
            continue;
        json_t *item = json_pack("{s:o, s:I, s:o, s:o}", "name", explain_json_text(rules_name(coverage->rules, i)),
                                 "matched", (json_int_t)coverage->rule[i].matched, "conditions",
                                 list_conditions(coverage, i), "templates", list_templates(coverage, i));
        if (json_array_append_new(list, item) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *part(size_t covered, size_t count)
{
    return json_pack("{s:I, s:I, s:I}", "covered", (json_int_t)covered, "count", (json_int_t)count, "percent",
                     (json_int_t)percent(covered, count));
}

json_t *coverage_report_json(const struct coverage *coverage)
{
    struct coverage_sum sum = coverage_sum(coverage);
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "rules_matched", part(sum.rules_matched, sum.rules),
                     "conditions_held", part(sum.conditions_held, sum.conditions), "conditions_kept_away",
                     part(sum.conditions_rejected, sum.conditions), "templates_named",
                     part(sum.templates_named, sum.templates), "templates_widened",
                     part(sum.templates_widened, sum.templates_that_can_widen), "details", list_rules(coverage));
}
