/*
 * results.h - what was measured, printed for people or as one JSON object.
 *
 * A figure has a key, which is its name in both, and a few words that say what it is, for people. Figures that repeat,
 * one set for each of several sizes, form a series: `"series": [{...}, {...}]`, a table for people.
 */
#ifndef QUASH_BENCH_RESULTS_H
#define QUASH_BENCH_RESULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESULTS_MAX     64u
#define RESULTS_COLUMNS 8u
#define RESULTS_ROWS    8u

struct result {
    const char *key;
    const char *meaning;
    double value;
    int decimals; /* 0: a whole number */
};

struct results {
    const char *command;
    size_t count;
    struct result figure[RESULTS_MAX];
    size_t rows;
    size_t columns[RESULTS_ROWS];
    struct result series[RESULTS_ROWS][RESULTS_COLUMNS];
};

/* `key` and `meaning` are constants. A figure that is not finite is null in JSON, and a dash for people. */
void results_add(struct results *results, const char *key, double value, int decimals, const char *meaning);

/* Begins another row of the series; adds a figure to it. All rows have the same keys. */
void results_row(struct results *results);
void results_add_to_row(struct results *results, const char *key, double value, int decimals, const char *meaning);

void results_print(const struct results *results, bool json);

#endif
