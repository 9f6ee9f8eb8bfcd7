/*
 * scratch.c - a directory of its own for a test, and memory that forked children share with it.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

bool scratch_make(char directory[SCRATCH_PATH_SIZE])
{
    const char *base = getenv("TMPDIR");
    if (access("/dev/shm", W_OK | X_OK) == 0)
        base = "/dev/shm";
    else if (base == NULL)
        base = "/tmp";
    int length = snprintf(directory, SCRATCH_PATH_SIZE, "%s/quash-test-XXXXXX", base);
    return length > 0 && length < SCRATCH_PATH_SIZE && mkdtemp(directory) != NULL;
}

static void remove_entries(const char *directory, int depth)
{
    DIR *entries = opendir(directory);
    if (entries == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        char path[2 * SCRATCH_PATH_SIZE];
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (unlink(path) != 0 && depth > 0) {
            remove_entries(path, depth - 1);
            rmdir(path);
        }
    }
    closedir(entries);
}

void scratch_remove(const char *directory)
{
    remove_entries(directory, 1);
    rmdir(directory);
}

const char *scratch_path(const char *directory, const char *name)
{
    static char buffers[4][2 * SCRATCH_PATH_SIZE];
    static unsigned next;
    char *buffer = buffers[next++ % 4];
    snprintf(buffer, sizeof buffers[0], "%s/%s", directory, name);
    return buffer;
}

void *scratch_shared(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

pid_t scratch_fork(void)
{
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent))
        _exit(127); /* it died before this took effect */
    return child;
}

bool scratch_write(const char *path, const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    ssize_t written = write(fd, bytes, size);
    close(fd);
    return written == (ssize_t)size;
}
