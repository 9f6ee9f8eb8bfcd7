/*
 * results.c - see results.h.
 */
#include "results.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_SIZE 64

void results_add(struct results *results, const char *key, double value, int decimals, const char *meaning)
{
    if (results->count < RESULTS_MAX)
        results->figure[results->count++] = (struct result){key, meaning, value, decimals};
}

void results_row(struct results *results)
{
    if (results->rows < RESULTS_ROWS)
        results->columns[results->rows++] = 0;
}

void results_add_to_row(struct results *results, const char *key, double value, int decimals, const char *meaning)
{
    size_t row = results->rows - 1;
    if (results->columns[row] < RESULTS_COLUMNS)
        results->series[row][results->columns[row]++] = (struct result){key, meaning, value, decimals};
}

static void print_json_figure(const struct result *figure)
{
    if (isfinite(figure->value))
        printf("\"%s\": %.*f", figure->key, figure->decimals, figure->value);
    else
        printf("\"%s\": null", figure->key);
}

static void print_json(const struct results *results)
{
    printf("{\"command\": \"%s\"", results->command);
    for (size_t i = 0; i < results->count; i++) {
        fputs(", ", stdout);
        print_json_figure(&results->figure[i]);
    }
    if (results->rows > 0)
        fputs(", \"series\": [", stdout);
    for (size_t row = 0; row < results->rows; row++) {
        fputs(row == 0 ? "{" : ", {", stdout);
        for (size_t i = 0; i < results->columns[row]; i++) {
            if (i > 0)
                fputs(", ", stdout);
            print_json_figure(&results->series[row][i]);
        }
        fputs("}", stdout);
    }
    if (results->rows > 0)
        fputs("]", stdout);
    fputs("}\n", stdout);
}

/* With a blank between each three digits, as people read them. */
static void format_number(char out[NUMBER_SIZE], const struct result *figure)
{
    if (!isfinite(figure->value)) {
        snprintf(out, NUMBER_SIZE, "-");
        return;
    }
    char plain[NUMBER_SIZE / 2];
    snprintf(plain, sizeof plain, "%.*f", figure->decimals, figure->value);
    size_t digits = strcspn(plain, ".");
    size_t to = 0;
    for (size_t from = 0; plain[from] != '\0'; from++) {
        if (from > 0 && from < digits && (digits - from) % 3 == 0 && plain[from - 1] != '-')
            out[to++] = ',';
        out[to++] = plain[from];
    }
    out[to] = '\0';
}

static void print_rows(const struct results *results)
{
    for (size_t i = 0; i < results->columns[0]; i++)
        printf("%s%22s", i == 0 ? "  " : " ", results->series[0][i].key);
    putchar('\n');
    for (size_t row = 0; row < results->rows; row++) {
        for (size_t i = 0; i < results->columns[row]; i++) {
            char number[NUMBER_SIZE];
            format_number(number, &results->series[row][i]);
            printf("%s%22s", i == 0 ? "  " : " ", number);
        }
        putchar('\n');
    }
    for (size_t i = 0; i < results->columns[0]; i++)
        printf("  %s: %s\n", results->series[0][i].key, results->series[0][i].meaning);
    putchar('\n');
}

void results_print(const struct results *results, bool json)
{
    if (json) {
        print_json(results);
        return;
    }
    if (results->rows > 0)
        print_rows(results);
    for (size_t i = 0; i < results->count; i++) {
        char number[NUMBER_SIZE];
        format_number(number, &results->figure[i]);
        printf("  %-28s %16s  %s\n", results->figure[i].key, number, results->figure[i].meaning);
    }
}
