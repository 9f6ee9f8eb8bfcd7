/*
 * test_suite.c - finding and reading files of test cases.
 */
#include "test_suite.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool complain(const char *path, const char *sentence)
{
    fprintf(stderr, "%s: %s\n", path, sentence);
    return false;
}

/* Takes the cases. */
static bool keep(struct suite *suite, const char *path, struct cases *cases)
{
    struct suite_file *larger = realloc(suite->file, (suite->count + 1) * sizeof *larger);
    if (larger != NULL)
        suite->file = larger;
    char *copy = larger != NULL ? strdup(path) : NULL;
    if (copy == NULL) {
        cases_fini(cases);
        return complain(path, "out of memory");
    }
    suite->case_count += cases->count;
    suite->file[suite->count++] = (struct suite_file){copy, *cases};
    return true;
}

/* Takes the cases of a rules file, whose text is there, or with `text` NULL those of the file of cases at `path`. */
static bool add(struct suite *suite, const char *path, const char *text, size_t size)
{
    struct problems *problems = calloc(1, sizeof *problems);
    if (problems == NULL)
        return complain(path, "out of memory");
    struct cases cases;
    bool fine =
        text != NULL ? cases_parse(&cases, text, size, path, true, problems) : cases_load(&cases, path, problems);
    if (fine)
        fine = keep(suite, path, &cases);
    else
        problems_print(problems, path, stderr);
    free(problems);
    return fine;
}

bool suite_add_rules(struct suite *suite, const char *path, const char *text, size_t size)
{
    return add(suite, path, text, size);
}

/* Files whose name begins with a dot are nobody's cases: editors' and ConfigMaps' own. */
static int is_case_file(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return entry->d_name[0] != '.' && length > 5 && strcmp(entry->d_name + length - 5, ".json") == 0;
}

/* alphasort goes by the locale; the order must be the same everywhere. */
static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool add_entry(struct suite *suite, const char *directory, const char *name)
{
    size_t length = strlen(directory);
    const char *joint = length > 0 && directory[length - 1] == '/' ? "" : "/";
    size_t size = length + strlen(name) + 2;
    char *path = malloc(size);
    if (path == NULL)
        return complain(directory, "out of memory");
    snprintf(path, size, "%s%s%s", directory, joint, name);
    bool fine = add(suite, path, NULL, 0);
    free(path);
    return fine;
}

static bool add_directory(struct suite *suite, const char *path)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_case_file, by_bytes);
    if (count < 0)
        return complain(path, strerror(errno));
    bool fine = count > 0 || complain(path, "has no *.json file; put test cases into one, or name another directory");
    for (int i = 0; i < count; i++) {
        fine = add_entry(suite, path, entries[i]->d_name) && fine;
        free(entries[i]);
    }
    free(entries);
    return fine;
}

bool suite_add(struct suite *suite, const char *path)
{
    struct stat status;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return add_directory(suite, path);
    return add(suite, path, NULL, 0);
}

void suite_fini(struct suite *suite)
{
    for (size_t i = 0; i < suite->count; i++) {
        free(suite->file[i].path);
        cases_fini(&suite->file[i].cases);
    }
    free(suite->file);
    *suite = (struct suite){NULL, 0, 0};
}
