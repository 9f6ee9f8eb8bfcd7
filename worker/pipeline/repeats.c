/*
 * repeats.c - groups that are cancelled once more after a time. See repeats.h.
 *
 * Rules have few different delays, and time does not go back: so there is a queue for each delay, in which what comes
 * later is due later, and adding costs the same however many are pending.
 *
 *     500 ms    user:1 @1500   user:2 @1503   ...        add at the end, run from the front
 *     60 s      list:a @61003  ...
 *
 * What is due moves to `due`, and leaves it when it is cancelled. The lock is never held while the table is written,
 * except for its note; `due` is the runner's own.
 */
#include "repeats.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define AT_ONCE      1024u /* cancelled by one call, and so under one lock of the table */
#define INTERVAL_MS  10u   /* between two runs, so that a stream of repeats does not wake the thread for each */
#define TRY_AGAIN_MS 1000u
#define ALL_STEPS    8u /* in which a `*` that stands for others may fall, in each delay */

static const char *const everything[] = {"*"};

struct repeat {
    struct repeat *next;
    uint64_t due_ms;
    size_t size; /* of the block */
    char name[];
};

struct queue {
    uint32_t after_ms;
    struct repeat *first;
    struct repeat **end;
};

struct repeats {
    struct apply *apply;
    void (*sooner)(void *context);
    void *context;

    pthread_mutex_t lock; /* guards what follows, up to `due`; taken before that of `apply` */
    struct queue **queue; /* by `after_ms` */
    size_t count, room;
    uint64_t all_ms;  /* when `*` is due because memory had run out; REPEATS_NONE: it is not */
    uint64_t next_ms; /* when repeats_run is next called for */
    size_t bytes;
    uint64_t pending, done;

    struct repeat *due; /* in order */
    struct repeat **due_end;
};

struct repeats *repeats_new(struct apply *apply, void (*sooner)(void *context), void *context)
{
    struct repeats *repeats = calloc(1, sizeof *repeats);
    if (repeats == NULL)
        return NULL;
    if (pthread_mutex_init(&repeats->lock, NULL) != 0) {
        free(repeats);
        return NULL;
    }
    repeats->apply = apply;
    repeats->sooner = sooner;
    repeats->context = context;
    repeats->all_ms = REPEATS_NONE;
    repeats->next_ms = REPEATS_NONE;
    repeats->due_end = &repeats->due;
    return repeats;
}

static void free_all(struct repeat *first)
{
    while (first != NULL) {
        struct repeat *next = first->next;
        free(first);
        first = next;
    }
}

void repeats_free(struct repeats *repeats)
{
    if (repeats == NULL)
        return;
    for (size_t i = 0; i < repeats->count; i++) {
        free_all(repeats->queue[i]->first);
        free(repeats->queue[i]);
    }
    free(repeats->queue);
    free_all(repeats->due);
    pthread_mutex_destroy(&repeats->lock);
    free(repeats);
}

/* ---- Adding; with the lock held */

/* Where the queue of this delay is, or belongs. */
static size_t queue_index(const struct repeats *repeats, uint32_t after_ms)
{
    size_t low = 0;
    size_t high = repeats->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (repeats->queue[middle]->after_ms < after_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The queue of this delay, NULL: out of memory. */
static struct queue *queue_of(struct repeats *repeats, uint32_t after_ms)
{
    size_t index = queue_index(repeats, after_ms);
    if (index < repeats->count && repeats->queue[index]->after_ms == after_ms)
        return repeats->queue[index];
    if (repeats->count == repeats->room) {
        size_t room = repeats->room == 0 ? 8 : repeats->room * 2;
        struct queue **grown = realloc(repeats->queue, room * sizeof(struct queue *));
        if (grown == NULL)
            return NULL;
        repeats->queue = grown;
        repeats->room = room;
    }
    struct queue *queue = malloc(sizeof *queue);
    if (queue == NULL)
        return NULL;
    *queue = (struct queue){.after_ms = after_ms};
    queue->end = &queue->first;
    memmove(&repeats->queue[index + 1], &repeats->queue[index], (repeats->count - index) * sizeof(struct queue *));
    repeats->queue[index] = queue;
    repeats->count++;
    return queue;
}

static bool is_all(const struct repeat *repeat)
{
    return strcmp(repeat->name, everything[0]) == 0;
}

/* Leaves only `*` in the queue: those that stand there for others, and one for all the rest. Its time is rounded up to
 * a step, and one of each time is enough, so that there are never more than a few of them, and each has its turn. */
static void make_all(struct repeats *repeats, struct queue *queue)
{
    uint64_t step = queue->after_ms / ALL_STEPS > 0 ? queue->after_ms / ALL_STEPS : 1;
    struct repeat *repeat = queue->first;
    struct repeat *last = NULL;
    uint64_t last_all_ms = 0;
    queue->first = NULL;
    queue->end = &queue->first;
    while (repeat != NULL) {
        struct repeat *next = repeat->next;
        repeat->next = NULL;
        if (is_all(repeat) && repeat->due_ms % step == 0 && repeat->due_ms > last_all_ms) {
            last_all_ms = repeat->due_ms;
            *queue->end = repeat;
            queue->end = &repeat->next;
        } else {
            if (last != NULL) {
                repeats->bytes -= last->size;
                repeats->pending--;
                free(last);
            }
            last = repeat;
        }
        repeat = next;
    }
    if (last == NULL)
        return;
    last->due_ms = (last->due_ms + step - 1) / step * step;
    if (last->due_ms <= last_all_ms) {
        repeats->bytes -= last->size;
        repeats->pending--;
        free(last);
        return;
    }
    memcpy(last->name, everything[0], strlen(everything[0]) + 1);
    *queue->end = last;
    queue->end = &last->next;
}

static void make_room(struct repeats *repeats)
{
    char number[LOG_NUMBER_SIZE];
    log_line(LOG_WARN, "too many groups are to be cancelled again; cancelling everything again in their place",
             "pending", log_number(number, repeats->pending), NULL);
    for (size_t i = 0; i < repeats->count; i++)
        make_all(repeats, repeats->queue[i]);
}

static bool append(struct repeats *repeats, uint32_t after_ms, uint64_t due_ms, const char *name)
{
    size_t length = strlen(name);
    size_t size = sizeof(struct repeat) + length + 1;
    struct repeat *repeat = malloc(size);
    if (repeat == NULL)
        return false;
    struct queue *queue = queue_of(repeats, after_ms); /* last: none may be left empty */
    if (queue == NULL) {
        free(repeat);
        return false;
    }
    *repeat = (struct repeat){.due_ms = due_ms, .size = size};
    memcpy(repeat->name, name, length + 1);
    *queue->end = repeat;
    queue->end = &repeat->next;
    repeats->bytes += size;
    repeats->pending++;
    return true;
}

void repeats_add(struct repeats *repeats, uint64_t now_ms, uint32_t after_ms, const char *name)
{
    uint64_t due_ms = now_ms + after_ms;
    pthread_mutex_lock(&repeats->lock);
    if (repeats->pending == 0)
        apply_hold_note(repeats->apply, true);
    if (!append(repeats, after_ms, due_ms, name)) {
        /* A time that only moves on may never come; but then memory has never come back either. */
        if (repeats->all_ms == REPEATS_NONE)
            repeats->pending++;
        if (repeats->all_ms == REPEATS_NONE || due_ms > repeats->all_ms)
            repeats->all_ms = due_ms;
    }
    if (repeats->bytes > REPEATS_BYTES_MAX)
        make_room(repeats);
    bool sooner = due_ms < repeats->next_ms;
    if (sooner)
        repeats->next_ms = due_ms;
    pthread_mutex_unlock(&repeats->lock);
    if (sooner)
        repeats->sooner(repeats->context);
}

/* ---- Running */

/* With the lock held. Empty queues go: their delay may be of rules that are gone. */
static void collect_due(struct repeats *repeats, uint64_t now_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < repeats->count; i++) {
        struct queue *queue = repeats->queue[i];
        while (queue->first != NULL && queue->first->due_ms <= now_ms) {
            struct repeat *repeat = queue->first;
            queue->first = repeat->next;
            repeat->next = NULL;
            *repeats->due_end = repeat;
            repeats->due_end = &repeat->next;
        }
        if (queue->first == NULL)
            free(queue);
        else
            repeats->queue[kept++] = queue;
    }
    repeats->count = kept;
}

/* `count` of those that were pending are cancelled, among them the first `listed` of `due`. */
static void count_done(struct repeats *repeats, size_t count, size_t listed)
{
    pthread_mutex_lock(&repeats->lock);
    for (size_t i = 0; i < listed; i++) {
        struct repeat *repeat = repeats->due;
        repeats->due = repeat->next;
        repeats->bytes -= repeat->size;
        free(repeat);
    }
    if (repeats->due == NULL)
        repeats->due_end = &repeats->due;
    repeats->pending -= count;
    repeats->done += count;
    if (repeats->pending == 0)
        apply_hold_note(repeats->apply, false);
    pthread_mutex_unlock(&repeats->lock);
}

static bool cancel_due(struct repeats *repeats)
{
    while (repeats->due != NULL) {
        const char *names[AT_ONCE];
        size_t count = 0;
        for (const struct repeat *repeat = repeats->due; repeat != NULL && count < AT_ONCE; repeat = repeat->next)
            names[count++] = repeat->name;
        if (!apply_groups(repeats->apply, names, count))
            return false;
        count_done(repeats, count, count);
    }
    return true;
}

static bool cancel_all(struct repeats *repeats, uint64_t now_ms)
{
    if (!apply_groups(repeats->apply, everything, 1))
        return false;
    pthread_mutex_lock(&repeats->lock);
    bool still = repeats->all_ms <= now_ms; /* nothing was added meanwhile */
    if (still)
        repeats->all_ms = REPEATS_NONE;
    pthread_mutex_unlock(&repeats->lock);
    if (still)
        count_done(repeats, 1, 0);
    return true;
}

static uint64_t next_due(const struct repeats *repeats)
{
    uint64_t next_ms = repeats->all_ms;
    for (size_t i = 0; i < repeats->count; i++) {
        if (repeats->queue[i]->first->due_ms < next_ms)
            next_ms = repeats->queue[i]->first->due_ms;
    }
    return next_ms;
}

uint64_t repeats_run(struct repeats *repeats, uint64_t now_ms)
{
    pthread_mutex_lock(&repeats->lock);
    collect_due(repeats, now_ms);
    bool all = repeats->all_ms <= now_ms;
    pthread_mutex_unlock(&repeats->lock);
    bool good = cancel_due(repeats);
    if (good && all)
        good = cancel_all(repeats, now_ms);
    pthread_mutex_lock(&repeats->lock);
    uint64_t next_ms = next_due(repeats);
    if (next_ms != REPEATS_NONE && next_ms < now_ms + INTERVAL_MS)
        next_ms = now_ms + INTERVAL_MS;
    if (!good)
        next_ms = now_ms + TRY_AGAIN_MS;
    repeats->next_ms = next_ms;
    pthread_mutex_unlock(&repeats->lock);
    return next_ms == REPEATS_NONE ? REPEATS_NONE : next_ms - now_ms;
}

struct repeats_counts repeats_counts(struct repeats *repeats)
{
    pthread_mutex_lock(&repeats->lock);
    const struct repeats_counts counts = {.done = repeats->done, .pending = repeats->pending};
    pthread_mutex_unlock(&repeats->lock);
    return counts;
}
