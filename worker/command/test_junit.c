/*
 * test_junit.c - what came of a run of test cases, as JUnit's XML: the elements and attributes that Jenkins, GitLab and
 * GitHub's actions read.
 */
#include <string.h>

#include "quote.h"
#include "test_report.h"

#define NANOSECONDS 1e9
#define TEXT_SIZE   8192 /* room for a path or a name, escaped */

/* Text in which only line breaks and tabs are control characters, and which is UTF-8. The two code points that XML 1.0
 * forbids besides, U+FFFE and U+FFFF, are replaced. */
static void print_escaped(const char *text, FILE *out)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            if (strncmp(text, "\xef\xbf\xbe", 3) == 0 || strncmp(text, "\xef\xbf\xbf", 3) == 0) {
                fputs("\xef\xbf\xbd", out);
                text += 2;
            } else {
                fputc(*text, out);
            }
            break;
        }
    }
}

/* ` name="text"`, of any text: what is not UTF-8 or a control character is escaped first, as for people. */
static void print_attribute(const char *name, const char *text, FILE *out)
{
    char shown[TEXT_SIZE];
    fprintf(out, " %s=\"", name);
    print_escaped(quote_bare(shown, sizeof shown, text, strlen(text)), out);
    fputc('"', out);
}

static void print_failure(const struct case_result *result, FILE *out)
{
    char first[TEXT_SIZE];
    size_t length = strcspn(result->differences, "\n");
    fputs("      <failure type=\"difference\"", out);
    print_attribute("message", quote_bare(first, sizeof first, result->differences, length), out);
    fputc('>', out);
    print_escaped(result->differences, out);
    print_escaped(result->explanation, out);
    fputs("</failure>\n", out);
}

static void print_case(const struct suite_file *file, const struct test_case *test, const struct case_result *result,
                       FILE *out)
{
    fputs("    <testcase", out);
    print_attribute("name", test->name, out);
    print_attribute("classname", file->path, out);
    print_attribute("file", file->path, out);
    fprintf(out, " line=\"%d\" time=\"%.6f\"", test->line, (double)result->took_ns / NANOSECONDS);
    if (result->passed) {
        fputs("/>\n", out);
        return;
    }
    fputs(">\n", out);
    print_failure(result, out);
    fputs("    </testcase>\n", out);
}

static void print_sums(const struct case_result *result, size_t count, FILE *out)
{
    size_t failed = 0;
    double seconds = 0;
    for (size_t i = 0; i < count; i++) {
        failed += result[i].passed ? 0 : 1;
        seconds += (double)result[i].took_ns / NANOSECONDS;
    }
    fprintf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"0\" time=\"%.6f\">\n", count, failed, seconds);
}

void test_report_junit(const struct test_report *report, FILE *out)
{
    const struct case_result *result = report->result;
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"quash rules test\"", out);
    print_sums(result, report->suite->case_count, out);
    for (size_t i = 0; i < report->suite->count; i++) {
        const struct suite_file *file = &report->suite->file[i];
        fputs("  <testsuite", out);
        print_attribute("name", file->path, out);
        print_sums(result, file->cases.count, out);
        for (size_t j = 0; j < file->cases.count; j++)
            print_case(file, &file->cases.item[j], result++, out);
        fputs("  </testsuite>\n", out);
    }
    fputs("</testsuites>\n", out);
}
