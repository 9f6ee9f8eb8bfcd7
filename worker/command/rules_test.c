/*
 * rules_test.c - `quash rules test`: runs the cases in the rules file and in files beside it.
 *
 * Everything is read before the first case runs: a run that tests half of what it was told to is worse than none.
 */
#include "rules_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exit_code.h"
#include "json_file.h"
#include "test_report.h"

static const char who[] = "quash rules test";

static void complain_of_memory(void)
{
    fprintf(stderr, "%s: out of memory\n", who);
}

/* The rules and the cases inside; the file is read once, so that it may be a pipe. NULL after saying what is wrong. */
static struct rules *read_rules(const char *path, struct suite *suite)
{
    struct problems *problems = calloc(1, sizeof *problems);
    if (problems == NULL) {
        complain_of_memory();
        return NULL;
    }
    size_t size = 0;
    struct rules *rules = NULL;
    char *text = json_file_read(path, RULES_FILE_BYTES_MAX, &size, problems);
    if (text != NULL)
        rules = rules_parse(text, size, NULL, problems, NULL);
    if (rules == NULL) {
        problems_print(problems, path, stderr);
    } else if (!suite_add_rules(suite, path, text, size)) {
        rules_free(rules);
        rules = NULL;
    }
    free(text);
    free(problems);
    return rules;
}

static bool read_cases(const struct rules_test_options *options, struct suite *suite)
{
    bool fine = true;
    for (size_t i = 0; i < options->case_path_count; i++)
        fine = suite_add(suite, options->case_paths[i]) && fine;
    if (fine && suite->case_count == 0) {
        fprintf(stderr,
                "%s: there are no test cases, so nothing was tested; put some under \"tests\" in %s, or name files of "
                "cases\n",
                who, options->rules_path);
        fine = false;
    }
    return fine;
}

static bool write_junit(const struct test_report *report, const char *path)
{
    if (strcmp(path, "-") == 0) {
        test_report_junit(report, stdout);
        return true;
    }
    FILE *out = fopen(path, "w");
    if (out == NULL) {
        fprintf(stderr, "%s: %s: cannot be written: %s\n", who, path, strerror(errno));
        return false;
    }
    test_report_junit(report, out);
    bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        fprintf(stderr, "%s: %s: cannot be written: %s\n", who, path, strerror(errno));
        return false;
    }
    return true;
}

static int report(const struct rules_test_options *options, const struct test_report *results)
{
    bool fine = options->junit == NULL || write_junit(results, options->junit);
    if (options->as_json) {
        if (!test_report_json(results, stdout)) {
            fprintf(stderr, "%s: out of memory, or the answer cannot be written\n", who);
            fine = false;
        }
    } else if (options->junit == NULL || strcmp(options->junit, "-") != 0) {
        test_report_text(results, stdout);
    }
    if (!fine)
        return EXIT_BAD_INPUT;
    return results->failed > 0 ? EXIT_NO : EXIT_DONE;
}

/* `coverage` may be NULL. */
static int run(const struct rules_test_options *options, const struct rules *rules, struct suite *suite,
               struct coverage *coverage)
{
    int code = EXIT_BAD_INPUT;
    size_t done = 0, failed = 0;
    struct case_result *result = calloc(suite->case_count, sizeof *result);
    bool fine = result != NULL;
    for (size_t i = 0; fine && i < suite->count; i++) {
        for (size_t j = 0; fine && j < suite->file[i].cases.count; j++) {
            fine = case_run(&result[done], rules, &suite->file[i].cases.item[j], coverage);
            if (fine)
                failed += result[done++].passed ? 0 : 1;
        }
    }
    if (fine) {
        const struct test_report results = {suite, result, failed, coverage};
        code = report(options, &results);
    } else {
        complain_of_memory();
    }
    while (done > 0)
        case_result_fini(&result[--done]);
    free(result);
    return code;
}

int rules_test(const struct rules_test_options *options)
{
    int code = EXIT_BAD_INPUT;
    struct suite suite = {NULL, 0, 0};
    struct coverage coverage;
    struct rules *rules = read_rules(options->rules_path, &suite);
    if (rules == NULL || !read_cases(options, &suite))
        goto free_suite;
    if (!options->coverage) {
        code = run(options, rules, &suite, NULL);
    } else if (coverage_init(&coverage, rules)) {
        code = run(options, rules, &suite, &coverage);
        coverage_fini(&coverage);
    } else {
        complain_of_memory();
    }
free_suite:
    rules_free(rules);
    suite_fini(&suite);
    return code;
}
