/*
 * test_report.c - what came of a run of test cases, for people and for programs.
 */
#include "test_report.h"

#include <string.h>

#include <jansson.h>

#include "coverage_report.h"
#include "explain_json.h"
#include "quote.h"

#define NAME_SIZE 1536 /* room for a case's whole name, escaped */

static void print_indented(const char *lines, FILE *out)
{
    while (*lines != '\0') {
        size_t length = strcspn(lines, "\n");
        fprintf(out, "    %.*s\n", (int)length, lines);
        lines += length + (lines[length] == '\n' ? 1 : 0);
    }
}

void test_report_text(const struct test_report *report, FILE *out)
{
    const struct case_result *result = report->result;
    for (size_t i = 0; i < report->suite->count; i++) {
        const struct suite_file *file = &report->suite->file[i];
        for (size_t j = 0; j < file->cases.count; j++, result++) {
            if (result->passed)
                continue;
            char shown[NAME_SIZE];
            const struct test_case *test = &file->cases.item[j];
            fprintf(out, "%s:%d: failed: %s\n", file->path, test->line,
                    quote_text(shown, sizeof shown, test->name, strlen(test->name)));
            print_indented(result->differences, out);
            print_indented(result->explanation, out);
        }
    }
    if (report->coverage != NULL)
        coverage_report_text(report->coverage, out);
    size_t count = report->suite->case_count;
    fprintf(out, "%zu case%s, %zu passed, %zu failed\n", count, count == 1 ? "" : "s", count - report->failed,
            report->failed);
}

/* What the case says that it expects; what it leaves out is left out here too. */
static json_t *list_expected(const struct test_case *test)
{
    json_t *expected = json_object();
    bool fine = expected != NULL;
    if (test->groups != NULL)
        fine = fine && json_object_set(expected, "groups", test->groups) == 0;
    if (test->rules != NULL)
        fine = fine && json_object_set(expected, "rules", test->rules) == 0;
    if (test->verdict != NULL)
        fine = fine && json_object_set_new(expected, "verdict", json_string(test->verdict)) == 0;
    if (fine)
        return expected;
    json_decref(expected);
    return NULL;
}

static json_t *list_lines(const char *lines)
{
    json_t *list = json_array();
    while (lines != NULL && *lines != '\0') {
        size_t length = strcspn(lines, "\n");
        if (json_array_append_new(list, json_stringn(lines, length)) != 0) {
            json_decref(list);
            return NULL;
        }
        lines += length + (lines[length] == '\n' ? 1 : 0);
    }
    return list;
}

static json_t *make_case(const struct suite_file *file, const struct test_case *test, const struct case_result *result)
{
    return json_pack("{s:o, s:o, s:i, s:b, s:o, s:O, s:o, s:o}", "name", explain_json_text(test->name), "file",
                     explain_json_text(file->path), "line", test->line, "passed", (int)result->passed, "expected",
                     list_expected(test), "found", result->found, "differences", list_lines(result->differences),
                     "explanation", list_lines(result->explanation));
}

static json_t *list_cases(const struct test_report *report)
{
    json_t *list = json_array();
    const struct case_result *result = report->result;
    for (size_t i = 0; i < report->suite->count; i++) {
        const struct suite_file *file = &report->suite->file[i];
        for (size_t j = 0; j < file->cases.count; j++, result++) {
            if (json_array_append_new(list, make_case(file, &file->cases.item[j], result)) != 0) {
                json_decref(list);
                return NULL;
            }
        }
    }
    return list;
}

bool test_report_json(const struct test_report *report, FILE *out)
{
    size_t count = report->suite->case_count;
    json_t *answer =
        json_pack("{s:I, s:I, s:I, s:o}", "count", (json_int_t)count, "passed", (json_int_t)(count - report->failed),
                  "failed", (json_int_t)report->failed, "cases", list_cases(report));
    bool fine = answer != NULL;
    if (fine && report->coverage != NULL)
        fine = json_object_set_new(answer, "coverage", coverage_report_json(report->coverage)) == 0;
    fine = fine && json_dumpf(answer, out, 0) == 0 && fputc('\n', out) != EOF;
    json_decref(answer);
    return fine;
}
