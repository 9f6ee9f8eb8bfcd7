/*
 * notifier.c - notices for event loops. The eventfd is readable exactly while there is a notice to take.
 */
#include "notifier.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct wait_list {
    struct wait *first;
    struct wait *last;
};

struct quash_notifier {
    pthread_mutex_t lock;
    size_t holders; /* the owner, and each wait that a flight has */
    int fd;
    struct wait_list waiting;
    struct wait_list ready;
};

static void list_append(struct wait_list *list, struct wait *wait)
{
    wait->next = NULL;
    wait->previous = list->last;
    if (list->last != NULL)
        list->last->next = wait;
    else
        list->first = wait;
    list->last = wait;
}

static void list_remove(struct wait_list *list, struct wait *wait)
{
    if (wait->previous != NULL)
        wait->previous->next = wait->next;
    else
        list->first = wait->next;
    if (wait->next != NULL)
        wait->next->previous = wait->previous;
    else
        list->last = wait->previous;
}

quash_status quash_notifier_new(quash_notifier **notifier)
{
    if (notifier == NULL)
        return QUASH_INVALID;
    quash_notifier *made = calloc(1, sizeof *made);
    if (made == NULL)
        return QUASH_NO_MEMORY;
    quash_status status = QUASH_SYSTEM;
    made->holders = 1;
    made->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (made->fd < 0)
        goto free_notifier;
    status = QUASH_NO_MEMORY;
    if (pthread_mutex_init(&made->lock, NULL) != 0)
        goto close_fd;
    *notifier = made;
    return QUASH_OK;

close_fd:
    close(made->fd);
free_notifier:
    free(made);
    return status;
}

/* One holder less, under the lock, which this opens. */
static void let_go(quash_notifier *notifier)
{
    bool last = --notifier->holders == 0;
    pthread_mutex_unlock(&notifier->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&notifier->lock);
    free(notifier);
}

/* Takes out of the list, into *taken, the waits of a tag, or all. */
static void take_out(struct wait_list *list, const void *tag, bool all, struct wait_list *taken)
{
    for (struct wait *wait = list->first, *next; wait != NULL; wait = next) {
        next = wait->next;
        if (all || wait->tag == tag) {
            list_remove(list, wait);
            list_append(taken, wait);
        }
    }
}

static void drain(const quash_notifier *notifier)
{
    uint64_t count;
    /* Fails only if nothing was written, which is as good. */
    if (notifier->ready.first == NULL && read(notifier->fd, &count, sizeof count) < 0)
        return;
}

/* Forgets the waits of a tag, or all, under the lock; what had its answer already goes to *answered. */
static void forget(quash_notifier *notifier, const void *tag, bool all, struct wait_list *answered)
{
    struct wait_list forgotten = {NULL, NULL};
    take_out(&notifier->waiting, tag, all, &forgotten);
    for (struct wait *wait = forgotten.first; wait != NULL; wait = wait->next)
        wait->state = WAIT_FORGOTTEN;
    take_out(&notifier->ready, tag, all, answered);
    if (answered->first != NULL)
        drain(notifier);
}

static void free_all(struct wait_list *list)
{
    for (struct wait *wait = list->first, *next; wait != NULL; wait = next) {
        next = wait->next;
        quash_entry_release(wait->entry);
        free(wait);
    }
}

void quash_notifier_free(quash_notifier *notifier)
{
    if (notifier == NULL)
        return;
    struct wait_list answered = {NULL, NULL};
    pthread_mutex_lock(&notifier->lock);
    forget(notifier, NULL, true, &answered);
    close(notifier->fd);
    let_go(notifier);
    free_all(&answered);
}

int quash_notifier_fd(const quash_notifier *notifier)
{
    return notifier->fd;
}

bool quash_notifier_next(quash_notifier *notifier, quash_notice *notice)
{
    if (notifier == NULL || notice == NULL)
        return false;
    pthread_mutex_lock(&notifier->lock);
    struct wait *wait = notifier->ready.first;
    if (wait != NULL) {
        list_remove(&notifier->ready, wait);
        drain(notifier);
    }
    pthread_mutex_unlock(&notifier->lock);
    if (wait == NULL)
        return false;
    *notice = (quash_notice){wait->tag, wait->status, wait->entry};
    free(wait);
    return true;
}

void quash_notifier_forget(quash_notifier *notifier, const void *tag)
{
    if (notifier == NULL)
        return;
    struct wait_list answered = {NULL, NULL};
    pthread_mutex_lock(&notifier->lock);
    forget(notifier, tag, false, &answered);
    pthread_mutex_unlock(&notifier->lock);
    free_all(&answered);
}

/* ---- For flights ---- */

struct wait *notifier_wait(quash_notifier *notifier, void *tag)
{
    struct wait *wait = malloc(sizeof *wait);
    if (wait == NULL)
        return NULL;
    *wait = (struct wait){.notifier = notifier, .tag = tag, .state = WAIT_WAITING};
    pthread_mutex_lock(&notifier->lock);
    notifier->holders++;
    list_append(&notifier->waiting, wait);
    pthread_mutex_unlock(&notifier->lock);
    return wait;
}

static void ring(const quash_notifier *notifier)
{
    const uint64_t one = 1;
    /* Cannot fail: the counter is far from its end, since it is read whenever the list is emptied. */
    if (write(notifier->fd, &one, sizeof one) < 0)
        return;
}

void notifier_post(struct wait *wait)
{
    quash_notifier *notifier = wait->notifier;
    struct wait *forgotten = NULL;
    pthread_mutex_lock(&notifier->lock);
    if (wait->state == WAIT_FORGOTTEN) {
        forgotten = wait;
    } else {
        if (notifier->ready.first == NULL)
            ring(notifier);
        list_remove(&notifier->waiting, wait);
        list_append(&notifier->ready, wait);
        wait->state = WAIT_READY;
    }
    let_go(notifier);
    if (forgotten != NULL) {
        quash_entry_release(forgotten->entry);
        free(forgotten);
    }
}
