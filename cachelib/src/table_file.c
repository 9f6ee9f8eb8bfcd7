/*
 * table_file.c - from a path to a mapping: every check that stands between a file that anybody may have put there and
 * memory that is read on each hit.
 *
 * The header is read once, into a copy, and what was checked in the copy is what the mapping goes by ever after; the
 * file's own bytes are never trusted again for an index or a size. Nothing is followed or waited for: a symbolic link,
 * a directory, a pipe, a socket or a device is named and refused.
 */
#include "table_handle.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include "error.h"

#define OTHERS_MAY_WRITE (S_IWGRP | S_IWOTH)

static quash_status open_failure(const char *path, bool writable, int reason, quash_error *error)
{
    switch (reason) {
    case ENOENT:
        return error_set(error, QUASH_NOT_FOUND,
                         "no table at %s: quashd makes it; is it running, and is its --table the same path?", path);
    case ENOTDIR:
        return error_set(error, QUASH_NOT_A_TABLE,
                         "%s leads through something that is not a directory; give the path that quashd serves", path);
    case ELOOP:
        return error_set(error, QUASH_NOT_A_TABLE,
                         "%s is a symbolic link, and those are not followed; give the path of the table itself", path);
    case EISDIR:
        return error_set(error, QUASH_NOT_A_TABLE,
                         "%s is a directory; a table is a file, so give a name in it, such as %s/web", path, path);
    case ENXIO:
    case ENODEV:
        return error_set(error, QUASH_NOT_A_TABLE,
                         "%s is a socket or a device, not a table; give the path that quashd "
                         "serves",
                         path);
    case ENAMETOOLONG:
        return error_set(error, QUASH_INVALID, "%s has a name that is longer than the file system allows", path);
    case EACCES:
    case EPERM:
    case EROFS:
    case ETXTBSY:
        return error_set_system(error, QUASH_NOT_PERMITTED, reason,
                                "user %ju may not open %s for %s; see quashd's table mode, and the directory's",
                                (uintmax_t)geteuid(), path, writable ? "reading and writing" : "reading");
    default:
        return error_set_system(error, reason == ENOMEM ? QUASH_NO_MEMORY : QUASH_SYSTEM, reason, "cannot open %s",
                                path);
    }
}

static quash_status check_kind(const char *path, mode_t mode, quash_error *error)
{
    if (S_ISREG(mode))
        return QUASH_OK;
    if (S_ISDIR(mode))
        return open_failure(path, false, EISDIR, error);
    if (S_ISFIFO(mode))
        return error_set(error, QUASH_NOT_A_TABLE, "%s is a named pipe, not a table; give the path that quashd serves",
                         path);
    return open_failure(path, false, ENXIO, error);
}

quash_status table_file_open(const char *path, const struct table_access *access, int *fd, struct stat *file,
                             quash_error *error)
{
    /* O_NONBLOCK so that a pipe without a writer cannot hold us up; it means nothing for a regular file. */
    int flags = (access->writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    int opened = open(path, flags);
    if (opened < 0)
        return open_failure(path, access->writable, errno, error);

    quash_status status;
    if (fstat(opened, file) != 0) {
        status = error_set_system(error, QUASH_SYSTEM, errno, "cannot look at %s", path);
        goto close_file;
    }
    status = check_kind(path, file->st_mode, error);
    if (status != QUASH_OK)
        goto close_file;
    if (!access->allow_any_owner && file->st_uid != 0 && file->st_uid != geteuid()) {
        status =
            error_set(error, QUASH_UNSAFE,
                      "%s belongs to user %ju, who is neither root nor the user %ju of this process; let quashd run "
                      "as one of them, or set allow_any_owner",
                      path, (uintmax_t)file->st_uid, (uintmax_t)geteuid());
        goto close_file;
    }
    if (!access->allow_shared_write && (file->st_mode & OTHERS_MAY_WRITE) != 0) {
        status = error_set(error, QUASH_UNSAFE,
                           "%s has mode %04o: others than its owner may write it; chmod go-w it, or set "
                           "allow_shared_write",
                           path, (unsigned)(file->st_mode & 07777));
        goto close_file;
    }
    *fd = opened;
    return QUASH_OK;

close_file:
    close(opened);
    return status;
}

static quash_status damaged(const char *path, const char *what, uint64_t value, quash_error *error)
{
    return error_set(error, QUASH_NOT_A_TABLE,
                     "%s begins as a table does, but %s (%" PRIu64
                     "): it is damaged; restart quashd, which replaces it",
                     path, what, value);
}

quash_status table_file_check(const char *path, int fd, const struct stat *file, struct table_header *header,
                              bool *was_table, quash_error *error)
{
    *was_table = false;
    memset(header, 0, sizeof *header);
    ssize_t got = pread(fd, header, sizeof *header, 0);
    if (got < 0)
        return error_set_system(error, QUASH_SYSTEM, errno, "cannot read %s", path);
    if (got < (ssize_t)TABLE_MAGIC_SIZE || memcmp(header->magic, TABLE_MAGIC, TABLE_MAGIC_SIZE) != 0)
        return error_set(
            error, QUASH_NOT_A_TABLE,
            "%s is not a cancellation table (%jd bytes that do not begin with %s); give the path that quashd "
            "serves, or remove the file if it is not needed",
            path, (intmax_t)file->st_size, TABLE_MAGIC);
    *was_table = true;
    if (header->format_version > TABLE_FORMAT_VERSION)
        return error_set(error, QUASH_VERSION,
                         "%s has format version %" PRIu32
                         ", and this program knows versions up to %u; update it to the "
                         "release of quashd that made the table",
                         path, header->format_version, TABLE_FORMAT_VERSION);
    if (got < (ssize_t)sizeof *header)
        return damaged(path, "it ends within its header, after this many bytes", (uint64_t)got, error);
    if (header->format_version != TABLE_FORMAT_VERSION)
        return damaged(path, "its format version was never in use", header->format_version, error);
    if (header->header_size != TABLE_HEADER_SIZE)
        return damaged(path, "its header has a wrong size", header->header_size, error);
    if (!table_buckets_valid(header->bucket_count))
        return damaged(path, "its number of buckets is not a power of two within the limits", header->bucket_count,
                       error);
    if ((uint64_t)file->st_size != TABLE_HEADER_SIZE + header->bucket_count * sizeof(struct bucket))
        return damaged(path, "its size is not what its header says", (uint64_t)file->st_size, error);
    if (header->incarnation == 0)
        return damaged(path, "it has no incarnation", 0, error);
    return QUASH_OK;
}

quash_status table_file_map(const char *path, int fd, const struct stat *file, const struct table_header *header,
                            bool writable, struct table_map **map, quash_error *error)
{
    struct table_map *made = calloc(1, sizeof *made);
    if (made == NULL)
        return error_set(error, QUASH_NO_MEMORY, "no memory to attach %s", path);
    made->bytes = (size_t)file->st_size;
    void *bytes = mmap(NULL, made->bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED) {
        int reason = errno;
        free(made);
        return error_set_system(error, reason == ENOMEM ? QUASH_NO_MEMORY : QUASH_SYSTEM, reason, "cannot map %s",
                                path);
    }
    made->header = bytes;
    made->buckets = (struct bucket *)(void *)((char *)bytes + TABLE_HEADER_SIZE);
    made->bucket_mask = header->bucket_count - 1;
    made->seed = header->hash_seed;
    made->incarnation = header->incarnation;
    made->device = file->st_dev;
    made->inode = file->st_ino;
    made->same_boot = table_same_boot(header->boot_id);
    made->writable = writable;
    *map = made;
    return QUASH_OK;
}

quash_status table_file_attach(const char *path, const struct table_access *access, struct table_map **map,
                               quash_error *error)
{
    int fd;
    struct stat file;
    quash_status status = table_file_open(path, access, &fd, &file, error);
    if (status != QUASH_OK)
        return status;
    struct table_header header;
    bool was_table;
    status = table_file_check(path, fd, &file, &header, &was_table, error);
    if (status == QUASH_OK)
        status = table_file_map(path, fd, &file, &header, access->writable, map, error);
    close(fd); /* the mapping stays */
    return status;
}

void table_map_free(struct table_map *map)
{
    if (map == NULL)
        return;
    munmap(map->header, map->bytes);
    free(map);
}

void table_boot_id(unsigned char id[16])
{
    char text[64];
    memset(id, 0, 16);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t length = read(fd, text, sizeof text);
    close(fd);

    /* 32 hexadecimal digits, with dashes among them. */
    unsigned char bytes[16] = {0};
    unsigned digits = 0;
    for (ssize_t i = 0; i < length && digits < 32; i++) {
        int digit;
        if (text[i] >= '0' && text[i] <= '9')
            digit = text[i] - '0';
        else if (text[i] >= 'a' && text[i] <= 'f')
            digit = text[i] - 'a' + 10;
        else
            continue;
        bytes[digits / 2] = (unsigned char)(bytes[digits / 2] << 4 | digit);
        digits++;
    }
    if (digits == 32)
        memcpy(id, bytes, 16);
}

bool table_same_boot(const unsigned char id[16])
{
    static const unsigned char unknown[16];
    unsigned char now[16];
    table_boot_id(now);
    return memcmp(now, unknown, 16) != 0 && memcmp(now, id, 16) == 0;
}
