/* See failing.h. */
#include "failing.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context);

/* Weak: not every program wraps these. */
__attribute__((weak)) void *__real_aligned_alloc(size_t alignment, size_t size);
__attribute__((weak)) void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
__attribute__((weak)) int __real_munmap(void *at, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t size);

static _Atomic long live;
static _Atomic long mapped;
static _Atomic long countdown; /* the allocation that brings it to 0 fails; 0: none does */
static _Atomic bool failed;
static _Atomic bool no_threads;

long failing_live(void)
{
    return atomic_load(&live);
}

long failing_mapped(void)
{
    return atomic_load(&mapped);
}

void failing_set(long nth)
{
    atomic_store(&failed, false);
    atomic_store(&countdown, nth);
}

bool failing_happened(void)
{
    return atomic_load(&failed);
}

void failing_threads(bool fail)
{
    atomic_store(&no_threads, fail);
}

static bool fails(void)
{
    long left = atomic_load(&countdown);
    while (left > 0 && !atomic_compare_exchange_weak(&countdown, &left, left - 1))
        ;
    if (left != 1)
        return false;
    atomic_store(&failed, true);
    return true;
}

void *__wrap_malloc(size_t size)
{
    void *memory = fails() ? NULL : __real_malloc(size);
    if (memory != NULL)
        atomic_fetch_add(&live, 1);
    return memory;
}

void *__wrap_calloc(size_t count, size_t size)
{
    void *memory = fails() ? NULL : __real_calloc(count, size);
    if (memory != NULL)
        atomic_fetch_add(&live, 1);
    return memory;
}

void *__wrap_realloc(void *memory, size_t size)
{
    void *moved = fails() ? NULL : __real_realloc(memory, size);
    if (memory == NULL && moved != NULL)
        atomic_fetch_add(&live, 1);
    return moved;
}

void __wrap_free(void *memory)
{
    if (memory != NULL)
        atomic_fetch_sub(&live, 1);
    __real_free(memory);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    void *memory = fails() ? NULL : __real_aligned_alloc(alignment, size);
    if (memory != NULL)
        atomic_fetch_add(&live, 1);
    return memory;
}

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    void *memory = MAP_FAILED;
    if (fails())
        errno = ENOMEM;
    else
        memory = __real_mmap(at, size, protection, flags, fd, offset);
    if (memory != MAP_FAILED)
        atomic_fetch_add(&mapped, (long)size);
    return memory;
}

int __wrap_munmap(void *at, size_t size)
{
    int result = __real_munmap(at, size);
    if (result == 0)
        atomic_fetch_sub(&mapped, (long)size);
    return result;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context)
{
    return atomic_load(&no_threads) ? EAGAIN : __real_pthread_create(thread, attributes, run, context);
}
