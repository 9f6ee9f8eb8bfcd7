/*
 * table_create.c - making a table: whole and initialised under a temporary name, then renamed, so that no reader ever
 * sees half of one, and a worker that dies on the way leaves nothing but a file that its successor removes.
 *
 * All of its memory is allocated before it gets its name: a tmpfs that is full is an error here, to be reported, and
 * not a SIGBUS in some reader later. The caller holds the table's lock, which is what makes one temporary name enough.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "table_handle.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "error.h"

/* At boot, a container may come here before the kernel's generator is ready: then this waits, a moment. */
static uint64_t random_word(void)
{
    uint64_t word = 0;
    unsigned char *byte = (unsigned char *)&word;
    for (size_t done = 0; done < sizeof word;) {
        ssize_t got = getrandom(byte + done, sizeof word - done, 0);
        if (got > 0)
            done += (size_t)got;
        else if (errno != EINTR)
            return 0;
    }
    return word;
}

/* Fills the header of a mapping that nobody else has yet; its memory is zero. */
static bool init_header(struct table_header *header, uint64_t buckets)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    memcpy(header->magic, TABLE_MAGIC, TABLE_MAGIC_SIZE);
    header->format_version = TABLE_FORMAT_VERSION;
    header->header_size = TABLE_HEADER_SIZE;
    header->bucket_count = buckets;
    header->hash_seed = random_word();
    header->incarnation = random_word();
    header->created_ns = (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
    table_boot_id(header->boot_id);
    return header->incarnation != 0;
}

static struct table_map *map_new(struct table_header *header, uint64_t buckets)
{
    struct table_map *map = calloc(1, sizeof *map);
    if (map == NULL)
        return NULL;
    map->header = header;
    map->buckets = (struct bucket *)(void *)((char *)header + TABLE_HEADER_SIZE);
    map->bucket_mask = buckets - 1;
    map->seed = header->hash_seed;
    map->incarnation = header->incarnation;
    map->bytes = TABLE_HEADER_SIZE + (size_t)buckets * sizeof(struct bucket);
    map->same_boot = true;
    map->writable = true;
    return map;
}

/* `path`.new, or false if that is too long to be a path. */
static bool temporary_name(const char *path, char name[PATH_MAX])
{
    int length = snprintf(name, PATH_MAX, "%s.new", path);
    return length > 0 && length < PATH_MAX;
}

static quash_status open_temporary(const char *name, mode_t mode, size_t bytes, int *fd, quash_error *error)
{
    /* One that is there was left by a worker that died while it made it. */
    if (unlink(name) != 0 && errno != ENOENT)
        return error_set_system(error, errno == EACCES || errno == EPERM ? QUASH_NOT_PERMITTED : QUASH_SYSTEM, errno,
                                "cannot remove the unfinished table %s", name);
    int opened = open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (opened < 0) {
        quash_status status = errno == EACCES || errno == EPERM || errno == EROFS ? QUASH_NOT_PERMITTED
                              : errno == ENAMETOOLONG                             ? QUASH_INVALID
                                                                                  : QUASH_SYSTEM;
        return error_set_system(error, status, errno, "cannot make the table %s", name);
    }
    quash_status status = QUASH_OK;
    int reason;
    do
        reason = posix_fallocate(opened, 0, (off_t)bytes);
    while (reason == EINTR);
    if (reason != 0)
        status = error_set_system(
            error, QUASH_SYSTEM, reason,
            "no room for a table of %zu bytes at %s; enlarge the file system or serve fewer buckets", bytes, name);
    else if (fchmod(opened, mode) != 0) /* which the umask does not narrow */
        status = error_set_system(error, QUASH_SYSTEM, errno, "cannot give %s the mode %04o", name, (unsigned)mode);
    if (status != QUASH_OK) {
        close(opened);
        unlink(name);
        return status;
    }
    *fd = opened;
    return QUASH_OK;
}

quash_status table_create(const char *path, uint64_t buckets, mode_t mode, struct table_map **map, quash_error *error)
{
    char name[PATH_MAX];
    if (!temporary_name(path, name))
        return error_set(error, QUASH_INVALID, "the path %.64s... is too long to make a table beside it", path);
    const size_t bytes = TABLE_HEADER_SIZE + (size_t)buckets * sizeof(struct bucket);
    int fd = -1;
    quash_status status = open_temporary(name, mode, bytes, &fd, error);
    if (status != QUASH_OK)
        return status;

    struct stat file;
    if (fstat(fd, &file) != 0) {
        status = error_set_system(error, QUASH_SYSTEM, errno, "cannot look at %s", name);
        goto remove_file;
    }
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        status =
            error_set_system(error, errno == ENOMEM ? QUASH_NO_MEMORY : QUASH_SYSTEM, errno, "cannot map %s", name);
        goto remove_file;
    }
    if (!init_header(memory, buckets)) {
        status = error_set(error, QUASH_SYSTEM, "the kernel gave no random numbers to tell the table %s by", path);
        goto unmap;
    }
    /* On a file system that outlives the kernel, the name may not outlive the bytes. */
    if (fsync(fd) != 0) {
        status = error_set_system(error, QUASH_SYSTEM, errno, "cannot write %s", name);
        goto unmap;
    }
    struct table_map *made = map_new(memory, buckets);
    if (made == NULL) {
        status = error_set(error, QUASH_NO_MEMORY, "no memory to attach %s", path);
        goto unmap;
    }
    made->device = file.st_dev;
    made->inode = file.st_ino;
    close(fd);
    *map = made;
    return QUASH_OK;

unmap:
    munmap(memory, bytes);
remove_file:
    close(fd);
    unlink(name);
    return status;
}

quash_status table_create_publish(const char *path, quash_error *error)
{
    char name[PATH_MAX];
    if (!temporary_name(path, name))
        return QUASH_INVALID;
    if (rename(name, path) != 0)
        return error_set_system(error, QUASH_SYSTEM, errno, "cannot rename the new table %s to %s", name, path);
    return QUASH_OK;
}

void table_create_abandon(const char *path)
{
    char name[PATH_MAX];
    if (temporary_name(path, name))
        unlink(name);
}

quash_status table_create_private(uint64_t buckets, struct table_map **map)
{
    if (!table_buckets_valid(buckets))
        return QUASH_INVALID;
    const size_t bytes = TABLE_HEADER_SIZE + (size_t)buckets * sizeof(struct bucket);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return QUASH_NO_MEMORY;
    quash_status status = QUASH_SYSTEM;
    if (!init_header(memory, buckets))
        goto unmap;
    status = QUASH_NO_MEMORY;
    struct table_map *made = map_new(memory, buckets);
    if (made == NULL)
        goto unmap;
    *map = made;
    return QUASH_OK;

unmap:
    munmap(memory, bytes);
    return status;
}
