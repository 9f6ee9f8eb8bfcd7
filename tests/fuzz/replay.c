/*
 * replay.c - runs a fuzzer over files instead of inputs that libFuzzer makes: each regular file of the directories that
 * are named. What a fuzzer has found stays in its corpus, and is a test from then on.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)

static bool replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(FILE_BYTES_MAX);
    bool fine = file != NULL && data != NULL;
    if (fine) {
        size_t size = fread(data, 1, FILE_BYTES_MAX, file);
        /* A copy of just its size, so that reading past it is noticed. */
        uint8_t *exact = malloc(size > 0 ? size : 1);
        fine = exact != NULL && ferror(file) == 0;
        if (fine) {
            memcpy(exact, data, size);
            (void)LLVMFuzzerTestOneInput(exact, size);
        }
        free(exact);
    }
    free(data);
    if (file != NULL)
        (void)fclose(file);
    return fine;
}

/* The number of files, or -1 after saying what is wrong. */
static int replay_directory(const char *directory)
{
    DIR *entries = opendir(directory);
    if (entries == NULL) {
        perror(directory);
        return -1;
    }
    int count = 0;
    const struct dirent *entry;
    while (count >= 0 && (entry = readdir(entries)) != NULL) {
        char path[4096];
        struct stat status;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (stat(path, &status) != 0 || !S_ISREG(status.st_mode))
            continue;
        fprintf(stderr, "%s\n", path);
        count = replay_file(path) ? count + 1 : -1;
    }
    (void)closedir(entries);
    return count;
}

/* libFuzzer's, for the mutators, which are not called here. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
    (void)data;
    return size < max_size ? size : max_size;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        int count = replay_directory(argv[i]);
        if (count <= 0) {
            fprintf(stderr, "%s: %s\n", argv[i], count == 0 ? "no file" : "cannot be read");
            return 1;
        }
        printf("%s: %d files\n", argv[i], count);
    }
    return argc > 1 ? 0 : 2;
}
