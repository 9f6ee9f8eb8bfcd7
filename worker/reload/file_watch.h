/*
 * file_watch.h - notices that a file has changed, by looking at it now and then.
 *
 * What the path leads to is compared, symbolic links followed: its device, inode, size and times. So a file that was
 * written in place is noticed, one that was renamed over it, and a link that was turned to another directory, as
 * Kubernetes does with the files of a ConfigMap. A change is told once the file has stayed the same from one look to
 * the next: whoever writes in place is given time to finish.
 *
 * One thread.
 */
#ifndef QUASHD_FILE_WATCH_H
#define QUASHD_FILE_WATCH_H

#include <stdbool.h>
#include <sys/stat.h>

enum file_news {
    FILE_AS_KNOWN, /* or it changes at this moment, and is looked at again */
    FILE_CHANGED,  /* since it was last known; now this is what is known */
    FILE_GONE,     /* there is no regular file there; told once until there is one again */
};

struct file_sight {
    bool there;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

struct file_watch {
    const char *path;         /* borrowed */
    struct file_sight known;  /* of which the owner has been told, or has told us */
    struct file_sight latest; /* at the last look */
    bool gone;                /* and that has been told */
};

/* Takes what is there now for known; to be called before the file is read, so that no change falls in between. */
void file_watch_init(struct file_watch *watch, const char *path);

/* The same once more, for an owner that reads the file at another occasion. */
void file_watch_know(struct file_watch *watch);

/* To be called at intervals. */
enum file_news file_watch_look(struct file_watch *watch);

#endif
