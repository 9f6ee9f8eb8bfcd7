/*
 * problem.c - collecting what is wrong with a file, printing it, and guessing what was meant.
 */
#include "problem.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "quote.h"

#define WORD_MAX 64 /* longer words are not guessed at */

void problems_add(struct problems *problems, int line, int column, const char *pointer, const char *format, ...)
{
    size_t index = problems->count++;
    if (index >= PROBLEMS_MAX)
        return;

    struct problem *problem = &problems->item[index];
    problem->line = line;
    problem->column = column;
    snprintf(problem->pointer, sizeof problem->pointer, "%s", pointer ? pointer : "");
    utf8_trim(problem->pointer);

    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem->sentence, sizeof problem->sentence, format, arguments);
    va_end(arguments);
    utf8_trim(problem->sentence);
}

static void print(const struct problems *problems, const char *path, const char *mark, const char *noun, FILE *out)
{
    size_t kept = problems->count < PROBLEMS_MAX ? problems->count : PROBLEMS_MAX;
    for (size_t i = 0; i < kept; i++) {
        const struct problem *problem = &problems->item[i];
        fprintf(out, "%s:", path);
        if (problem->line > 0)
            fprintf(out, "%d:%d:", problem->line, problem->column);
        fputs(mark, out);
        if (problem->pointer[0] != '\0') {
            char pointer[2 * PROBLEM_POINTER_SIZE];
            fprintf(out, " at %s:", quote_bare(pointer, sizeof pointer, problem->pointer, strlen(problem->pointer)));
        }
        fprintf(out, " %s\n", problem->sentence);
    }
    if (problems->count > kept)
        fprintf(out, "%s: and %zu more %s%s\n", path, problems->count - kept, noun,
                problems->count == kept + 1 ? "" : "s");
}

void problems_print(const struct problems *problems, const char *path, FILE *out)
{
    print(problems, path, "", "problem", out);
}

void problems_print_warnings(const struct problems *warnings, const char *path, FILE *out)
{
    print(warnings, path, " warning:", "warning", out);
}

/* Case and the way that words are joined are what people mix up most; neither counts as a difference. */
static size_t plain_word(const char *word, char plain[WORD_MAX])
{
    size_t length = 0;
    for (; *word != '\0'; word++) {
        if (*word == '_' || *word == '-')
            continue;
        if (length == WORD_MAX)
            return 0;
        plain[length++] = (char)tolower((unsigned char)*word);
    }
    return length;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: insert, delete, replace, swap of neighbours. */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_length; j++)
        last[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
            row[j] = smaller(smaller(last[j] + 1, row[j - 1] + 1), last[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = smaller(row[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[b_length];
}

const char *nearest_word(const char *word, const char *const *known)
{
    char a[WORD_MAX], b[WORD_MAX];
    size_t a_length = plain_word(word, a);
    if (a_length == 0)
        return NULL;

    const char *nearest = NULL;
    size_t least = (size_t)-1;
    for (; *known != NULL; known++) {
        size_t b_length = plain_word(*known, b);
        if (b_length == 0)
            continue;
        size_t distance = edit_distance(a, a_length, b, b_length);
        size_t allowed = (a_length > b_length ? a_length : b_length) / 3;
        size_t shorter = smaller(a_length, b_length);
        bool begins_alike = shorter >= 3 && memcmp(a, b, shorter) == 0;
        if ((distance <= allowed || begins_alike) && distance < least) {
            least = distance;
            nearest = *known;
        }
    }
    return nearest;
}
