/*
 * file_watch.c - notices that a file has changed. See file_watch.h.
 */
#include "file_watch.h"

static struct file_sight look(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode))
        return (struct file_sight){.there = false};
    return (struct file_sight){
        .there = true,
        .device = status.st_dev,
        .inode = status.st_ino,
        .size = status.st_size,
        .modified = status.st_mtim,
        .changed = status.st_ctim,
    };
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same(const struct file_sight *a, const struct file_sight *b)
{
    return a->there == b->there && a->device == b->device && a->inode == b->inode && a->size == b->size &&
           same_time(&a->modified, &b->modified) && same_time(&a->changed, &b->changed);
}

void file_watch_know(struct file_watch *watch)
{
    watch->known = look(watch->path);
    watch->latest = watch->known;
    watch->gone = false;
}

void file_watch_init(struct file_watch *watch, const char *path)
{
    watch->path = path;
    file_watch_know(watch);
}

enum file_news file_watch_look(struct file_watch *watch)
{
    struct file_sight now = look(watch->path);
    bool settled = same(&now, &watch->latest);
    watch->latest = now;
    if (!now.there) {
        /* Absent for a moment is how some programs replace a file. */
        if (!settled || watch->gone || !watch->known.there)
            return FILE_AS_KNOWN;
        watch->gone = true;
        return FILE_GONE;
    }
    watch->gone = false;
    if (!settled || same(&now, &watch->known))
        return FILE_AS_KNOWN;
    watch->known = now;
    return FILE_CHANGED;
}
