/*
 * readers.c - the records of the threads that look things up: one each, given back when the thread ends, used again by
 * a later one, never freed.
 *
 * A record keeps its number, the list is in the order of numbers, and a thread gets the first record that is free: so
 * its number is the smallest that no other living thread has. Holds that are in use when their thread ends stay in use,
 * until whoever has the handle lets go; the next thread uses the others.
 *
 * fork: the mutex is taken around it, so that the child finds it free. Of the other threads' records the child keeps
 * the holds, since the entries in them may still be the parent's, and nothing else.
 */
#define _GNU_SOURCE /* syscall, adaptive mutexes */
#include "readers.h"

#include <assert.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
#define READERS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define READERS_TSAN 1
#endif
#endif

/* Records that need no memory. */
#define READERS_STATIC 64u

static_assert((READER_HOLDS & (READER_HOLDS - 1)) == 0 && READER_TRIES <= READER_HOLDS, "how holds are searched");
static_assert(offsetof(struct reader, holds) + 2 * sizeof(struct hold) <= 64, "the first holds share `active`'s line");

struct reclaim_state reclaim_state = {.epoch = 1};
_Thread_local struct reader *reader_current __attribute__((tls_model("initial-exec")));

pthread_mutex_t readers_mutex = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
struct reader *readers_first;
static struct reader *readers_last;
static struct reader static_readers[READERS_STATIC];

/* Under the mutex. */
static bool has_key;
static pthread_key_t key; /* whose destructor gives a thread's record back */
static bool is_set_up;

/* ---- The barrier */

static bool barrier_set_up(void)
{
#ifdef READERS_TSAN
    return false;
#else
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
#endif
}

bool readers_barrier(void)
{
    return reclaim_state.fenced || !is_set_up || syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

/* ---- Threads end, and processes fork */

static void give_back(void *record)
{
    struct reader *reader = record;
    pthread_mutex_lock(&readers_mutex);
    /* Not 0 only if the thread was ended in the midst of a lookup. */
    atomic_store_explicit(&reader->active, 0, memory_order_release);
    reader->taken = false;
    pthread_mutex_unlock(&readers_mutex);
    /* A later destructor of this thread may look something up, and then registers it anew. */
    reader_current = NULL;
}

static void fork_prepare(void)
{
    pthread_mutex_lock(&readers_mutex);
}

static void fork_parent(void)
{
    pthread_mutex_unlock(&readers_mutex);
}

static void fork_child(void)
{
    for (struct reader *reader = readers_first; reader != NULL; reader = reader->next) {
        if (reader == reader_current)
            continue;
        atomic_store_explicit(&reader->active, 0, memory_order_relaxed);
        reader->taken = false;
    }
    reclaim_forget();
    /* A process registers for itself; no other thread of the child can be reading yet. */
    reclaim_state.fenced = !barrier_set_up();
    pthread_mutex_unlock(&readers_mutex);
}

/* ---- Registering; the mutex is held */

static bool set_up(void)
{
    if (is_set_up)
        return true;
    if (!has_key && pthread_key_create(&key, give_back) != 0)
        return false;
    has_key = true;
    if (pthread_atfork(fork_prepare, fork_parent, fork_child) != 0)
        return false;
    reclaim_state.fenced = !barrier_set_up();
    is_set_up = true;
    return true;
}

static struct reader *reader_new(uint32_t number)
{
    struct reader *reader = number < READERS_STATIC ? &static_readers[number]
                                                    : aligned_alloc(_Alignof(struct reader), sizeof(struct reader));
    if (reader == NULL)
        return NULL;
    atomic_init(&reader->active, 0);
    reader->next_hold = 0;
    reader->number = number;
    reader->next = NULL;
    reader->taken = false;
    for (unsigned i = 0; i < READER_HOLDS; i++) {
        atomic_init(&reader->holds[i].entry, NULL);
        atomic_init(&reader->holds[i].state, 0);
    }
    return reader;
}

/* The first record that no thread has, or a new one. */
static struct reader *reader_find(void)
{
    struct reader *reader = readers_first;
    while (reader != NULL && reader->taken)
        reader = reader->next;
    if (reader != NULL)
        return reader;
    reader = reader_new(readers_last == NULL ? 0 : readers_last->number + 1);
    if (reader == NULL)
        return NULL;
    if (readers_last == NULL)
        readers_first = reader;
    else
        readers_last->next = reader;
    readers_last = reader;
    return reader;
}

struct reader *reader_register(void)
{
    struct reader *reader = NULL;
    pthread_mutex_lock(&readers_mutex);
    if (set_up())
        reader = reader_find();
    /* The key's destructor runs up to four times for a thread that goes on registering while it ends. */
    if (reader != NULL && pthread_setspecific(key, reader) != 0)
        reader = NULL;
    if (reader != NULL)
        reader->taken = true;
    pthread_mutex_unlock(&readers_mutex);
    reader_current = reader;
    return reader;
}
