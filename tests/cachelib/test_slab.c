/*
 * The arena of a cache's entries. The program is linked with --wrap for malloc and for the calls that map memory, so
 * the chunks are counted, each call fails in turn, and addresses can be as bad as a kernel's may be.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include <cmocka.h>

#include "slab.h"

#if defined(__SANITIZE_ADDRESS__)
#define TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_ASAN 1
#endif
#endif
#ifdef TEST_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void __real_free(void *memory);
void __wrap_free(void *memory);
void *__real_mmap(void *wish, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *wish, size_t size, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *memory, size_t size);
int __wrap_munmap(void *memory, size_t size);

static _Atomic long blocks;       /* from malloc */
static _Atomic long mapped_bytes; /* from mmap */
static _Atomic long countdown;    /* the call that brings it to 0 fails; negative: none does */
static _Atomic bool failed;
static _Atomic bool maps_crooked; /* mmap gives addresses that are not aligned to a chunk */
static _Atomic bool maps_far;     /* mmap gives addresses past 48 bits */

static bool fails(void)
{
    if (atomic_load(&countdown) < 0 || atomic_fetch_sub(&countdown, 1) != 1)
        return false;
    atomic_store(&failed, true);
    return true;
}

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    void *memory = fails() ? NULL : __real_aligned_alloc(alignment, size);
    if (memory != NULL)
        atomic_fetch_add(&blocks, 1);
    return memory;
}

void *__wrap_malloc(size_t size)
{
    void *memory = fails() ? NULL : __real_malloc(size);
    if (memory != NULL)
        atomic_fetch_add(&blocks, 1);
    return memory;
}

void __wrap_free(void *memory)
{
    if (memory != NULL)
        atomic_fetch_sub(&blocks, 1);
    __real_free(memory);
}

void *__wrap_mmap(void *wish, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (fails())
        return MAP_FAILED;
    if (atomic_load(&maps_far))
        return (void *)(UINT64_C(1) << SLAB_ADDRESS_BITS);
    void *memory = __real_mmap(wish, size, protection, flags, fd, offset);
    /* An address a page past the wish, given back and asked for: as good as any other that is not aligned. */
    if (memory != MAP_FAILED && atomic_load(&maps_crooked) && (uintptr_t)memory % SLAB_CHUNK_BYTES == 0) {
        (void)__real_munmap(memory, size);
        memory = __real_mmap((char *)memory - 4096, size, protection, flags, fd, offset);
    }
    if (memory != MAP_FAILED)
        atomic_fetch_add(&mapped_bytes, (long)size);
    return memory;
}

int __wrap_munmap(void *memory, size_t size)
{
    if (atomic_load(&maps_far))
        return 0;
    atomic_fetch_sub(&mapped_bytes, (long)size);
    return __real_munmap(memory, size);
}

static int start(void **state)
{
    (void)state;
    atomic_store(&countdown, -1);
    atomic_store(&failed, false);
    atomic_store(&maps_crooked, false);
    atomic_store(&maps_far, false);
    return atomic_load(&blocks) == 0 && atomic_load(&mapped_bytes) == 0 ? 0 : -1;
}

static int nothing_is_left(void **state)
{
    (void)state;
    assert_int_equal(atomic_load(&blocks), 0);
    assert_int_equal(atomic_load(&mapped_bytes), 0);
    return 0;
}

static struct slab_arena *new_arena(void)
{
    struct slab_arena *arena = slab_arena_new();
    assert_non_null(arena);
    return arena;
}

/* The table of a test's own; not through the counted malloc. */
static void *table_of(size_t count, size_t size)
{
    void *table = __real_malloc(count * size);
    assert_non_null(table);
    return table;
}

static void *alloc_filled(struct slab_arena *arena, size_t size, unsigned byte)
{
    void *block = slab_alloc(arena, size);
    assert_non_null(block);
    assert_int_equal((uintptr_t)block % SLAB_GRAIN, 0);
    memset(block, (int)byte, size);
    return block;
}

static void assert_filled(const void *block, size_t size, unsigned byte)
{
    const unsigned char *bytes = block;
    size_t same = 0;
    while (same < size && bytes[same] == byte)
        same++;
    assert_int_equal(same, size);
}

/* ---- Sizes */

static void a_block_takes_no_more_than_a_sixteenth_and_fifteen_bytes_above_its_size(void **state)
{
    (void)state;
    assert_int_equal(slab_size(1), 16);
    assert_int_equal(slab_size(16), 16);
    assert_int_equal(slab_size(17), 32);
    assert_int_equal(slab_size(160), 160);
    assert_int_equal(slab_size(161), 176);
    assert_int_equal(slab_size(SLAB_BLOCK_MAX - 1), SLAB_BLOCK_MAX);
    assert_int_equal(slab_size(SLAB_BLOCK_MAX), SLAB_BLOCK_MAX);
    for (size_t size = 1; size <= SLAB_BLOCK_MAX; size++) {
        size_t taken = slab_size(size);
        assert_true(taken >= size && taken >= slab_size(size - 1));
        assert_int_equal(taken % SLAB_GRAIN, 0);
        assert_int_equal(slab_size(taken), taken);
        /* What a slab really gives for each block that it holds. */
        size_t share = SLAB_BYTES / (SLAB_BYTES / taken);
        assert_true(share - size <= 15 + size / 16);
        assert_true(share - taken < SLAB_GRAIN);
    }
}

static void a_block_from_malloc_takes_its_prefix_and_what_malloc_adds(void **state)
{
    (void)state;
    assert_int_equal(slab_size(SLAB_BLOCK_MAX + 1), SLAB_BLOCK_MAX + 32);
    assert_int_equal(slab_size(SLAB_BLOCK_MAX + 8), SLAB_BLOCK_MAX + 32);
    assert_int_equal(slab_size(SLAB_BLOCK_MAX + 9), SLAB_BLOCK_MAX + 48);
    assert_int_equal(slab_size(100000), 100032);
}

static void a_size_that_cannot_be_is_refused(void **state)
{
    (void)state;
    struct slab_arena *arena = new_arena();
    const size_t largest = (size_t)PTRDIFF_MAX - 40;
    assert_int_not_equal(slab_size(largest), SIZE_MAX);
    assert_int_equal(slab_size(largest + 1), SIZE_MAX);
    assert_int_equal(slab_size(SIZE_MAX), SIZE_MAX);
    assert_null(slab_alloc(arena, largest + 1));
    assert_null(slab_alloc(arena, SIZE_MAX));
    slab_arena_release(arena);
}

static void blocks_of_every_size_are_whole_and_apart(void **state)
{
    (void)state;
    struct slab_arena *arena = new_arena();
    enum { MANY = SLAB_BLOCK_MAX + 100 };
    void **made = table_of(MANY + 1, sizeof *made);
    for (size_t size = 1; size <= MANY; size++)
        made[size] = alloc_filled(arena, size, (unsigned)size & 0xff);
    for (size_t size = 1; size <= MANY; size++)
        assert_filled(made[size], size, (unsigned)size & 0xff);
    for (size_t size = MANY; size >= 1; size--)
        slab_free(made[size], size);
    slab_free(NULL, 100);
    __real_free(made);
    slab_arena_release(arena);
}

/* ---- Memory that comes and goes */

/* Allocates `count` blocks of a size into a table that the caller frees. */
static void **alloc_many(struct slab_arena *arena, size_t count, size_t size)
{
    void **made = table_of(count, sizeof *made);
    for (size_t i = 0; i < count; i++)
        made[i] = alloc_filled(arena, size, (unsigned)i & 0xff);
    return made;
}

static void free_many(void **made, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        if (made[i] == NULL)
            continue;
        assert_filled(made[i], size, (unsigned)i & 0xff);
        slab_free(made[i], size);
    }
    __real_free(made);
}

static void a_new_arena_maps_nothing(void **state)
{
    (void)state;
    struct slab_arena *arena = new_arena();
    assert_int_equal(slab_arena_mapped_bytes(arena), 0);
    assert_int_equal(atomic_load(&mapped_bytes), 0);
    slab_arena_release(arena);
    slab_arena_release(NULL);
}

static void a_chunk_wastes_less_than_a_hundredth(void **state)
{
    (void)state;
    struct slab_arena *arena = new_arena();
    const size_t size = 160;
    size_t count = SLAB_CHUNK_BYTES / size * 99 / 100;
    void **made = alloc_many(arena, count, size);
    assert_int_equal(slab_arena_mapped_bytes(arena), SLAB_CHUNK_BYTES);
    assert_int_equal(atomic_load(&mapped_bytes), SLAB_CHUNK_BYTES);
    free_many(made, count, size);
    slab_arena_release(arena);
}

static void memory_freed_by_one_size_serves_another(void **state)
{
    (void)state;
    static const size_t sizes[] = {160, 96, 1000, 16, 2048, 208};
    enum { CHUNKS = 5 };
    struct slab_arena *arena = new_arena();
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        size_t count = CHUNKS * SLAB_CHUNK_BYTES / slab_size(sizes[s]) * 95 / 100;
        void **made = alloc_many(arena, count, sizes[s]);
        /* Less than a chunk is left over from before, and that serves too. */
        assert_int_equal(slab_arena_mapped_bytes(arena), CHUNKS * SLAB_CHUNK_BYTES);
        free_many(made, count, sizes[s]);
    }
    slab_arena_release(arena);
}

static void slabs_that_became_empty_serve_another_size_while_their_chunk_is_in_use(void **state)
{
    (void)state;
    struct slab_arena *arena = new_arena();
    const size_t size = 1024;
    const size_t count = SLAB_CHUNK_BYTES / size * 95 / 100;
    void **made = alloc_many(arena, count, size);
    assert_int_equal(slab_arena_mapped_bytes(arena), SLAB_CHUNK_BYTES);
    size_t freed = 0;
    for (size_t i = 0; i < count; i++) {
        if ((uintptr_t)made[i] / SLAB_BYTES % 2 == 0) {
            slab_free(made[i], size);
            made[i] = NULL;
            freed++;
        }
    }
    const size_t other = 512;
    size_t others = freed * size / other;
    void **made_other = alloc_many(arena, others, other);
    assert_int_equal(slab_arena_mapped_bytes(arena), SLAB_CHUNK_BYTES);
    free_many(made, count, size);
    free_many(made_other, others, other);
    slab_arena_release(arena);
}

static void one_empty_chunk_is_kept_and_the_others_are_unmapped(void **state)
{
    (void)state;
    struct slab_arena *arena = new_arena();
    const size_t size = 2048;
    const size_t count = 4 * SLAB_CHUNK_BYTES / size;
    void **made = alloc_many(arena, count, size);
    assert_true(slab_arena_mapped_bytes(arena) >= 4 * SLAB_CHUNK_BYTES);
    free_many(made, count, size);
    assert_int_equal(slab_arena_mapped_bytes(arena), SLAB_CHUNK_BYTES);
    assert_int_equal(atomic_load(&mapped_bytes), SLAB_CHUNK_BYTES);
    slab_arena_release(arena);
}

static void breathing_around_a_chunks_edge_maps_nothing(void **state)
{
    (void)state;
    struct slab_arena *arena = new_arena();
    const size_t size = 2048;
    /* The first chunk to the brim, and one more. */
    size_t count = 0;
    void **made = table_of(2 * SLAB_CHUNK_BYTES / size, sizeof *made);
    while (slab_arena_mapped_bytes(arena) <= SLAB_CHUNK_BYTES)
        made[count++] = alloc_filled(arena, size, 1);
    for (int i = 0; i < 1000; i++) {
        slab_free(made[count - 1], size);
        assert_int_equal(slab_arena_mapped_bytes(arena), 2 * SLAB_CHUNK_BYTES);
        made[count - 1] = alloc_filled(arena, size, 1);
    }
    while (count > 0)
        slab_free(made[--count], size);
    __real_free(made);
    slab_arena_release(arena);
}

static void a_crooked_mapping_is_made_straight(void **state)
{
    (void)state;
    atomic_store(&maps_crooked, true);
    struct slab_arena *arena = new_arena();
    const size_t size = 1600;
    const size_t count = 3 * SLAB_CHUNK_BYTES / size;
    void **made = alloc_many(arena, count, size);
    /* Nothing of what was mapped around the chunks is left. */
    assert_int_equal(atomic_load(&mapped_bytes), slab_arena_mapped_bytes(arena));
    free_many(made, count, size);
    slab_arena_release(arena);
}

/* ---- Life of the arena */

static void an_arena_lives_until_its_last_block_is_freed(void **state)
{
    (void)state;
    struct slab_arena *arena = new_arena();
    void *small = alloc_filled(arena, 100, 1);
    void *large = alloc_filled(arena, 100000, 2);
    slab_arena_release(arena);
    assert_filled(small, 100, 1);
    assert_filled(large, 100000, 2);
    slab_free(small, 100);
    assert_filled(large, 100000, 2);
    assert_int_not_equal(atomic_load(&mapped_bytes), 0);
    slab_free(large, 100000); /* nothing_is_left */
}

static void dead_bytes_are_counted_in_the_blocks_own_arena(void **state)
{
    (void)state;
    struct slab_arena *one = new_arena();
    struct slab_arena *other = new_arena();
    void *small = alloc_filled(one, 100, 1);
    void *large = alloc_filled(one, 5000, 2);
    assert_ptr_equal(slab_dead_bytes(small, 100), slab_dead_bytes(large, 5000));
    atomic_fetch_add(slab_dead_bytes(small, 100), 112);
    atomic_fetch_add(slab_dead_bytes(large, 5000), 5024);
    assert_int_equal(slab_arena_dead_bytes(one), 5136);
    assert_int_equal(slab_arena_dead_bytes(other), 0);
    slab_free(small, 100);
    slab_free(large, 5000);
    slab_arena_release(one);
    slab_arena_release(other);
}

/* ---- Failures */

/* Allocates from three chunks, one of them mapped the long way, and from malloc; frees what it got. */
static bool allocate_all_over(void)
{
    bool got_all = true;
    struct slab_arena *arena = slab_arena_new();
    if (arena == NULL)
        return false;
    enum { COUNT = 3 * 1024 };
    void **made = table_of(COUNT, sizeof *made);
    for (size_t i = 0; i < COUNT; i++) {
        atomic_store(&maps_crooked, i >= 1024 && i < 2048);
        made[i] = slab_alloc(arena, i % 512 == 511 ? 3000 : SLAB_BLOCK_MAX);
        if (made[i] == NULL)
            got_all = false;
        else
            memset(made[i], 7, SLAB_BLOCK_MAX);
    }
    for (size_t i = 0; i < COUNT; i++)
        slab_free(made[i], i % 512 == 511 ? 3000 : SLAB_BLOCK_MAX);
    __real_free(made);
    slab_arena_release(arena);
    return got_all;
}

static void each_failing_call_is_a_null_and_nothing_is_lost(void **state)
{
    (void)state;
    int runs = 0;
    for (long nth = 1;; nth++) {
        atomic_store(&failed, false);
        atomic_store(&countdown, nth);
        bool got_all = allocate_all_over();
        atomic_store(&countdown, -1);
        assert_int_equal(atomic_load(&blocks), 0);
        assert_int_equal(atomic_load(&mapped_bytes), 0);
        assert_int_equal(got_all, !atomic_load(&failed));
        if (got_all)
            break;
        runs++;
    }
    printf("%d calls failed in turn\n", runs);
    assert_true(runs >= 1 + 4 + 6);
}

static void an_address_past_48_bits_is_refused(void **state)
{
    (void)state;
    struct slab_arena *arena = new_arena();
    atomic_store(&maps_far, true);
    assert_null(slab_alloc(arena, 100));
    assert_int_equal(slab_arena_mapped_bytes(arena), 0);
    atomic_store(&maps_far, false);
    void *block = alloc_filled(arena, 100, 1);
    slab_free(block, 100);
    slab_arena_release(arena);
}

/* ---- Under the address sanitizer */

static void what_is_not_allocated_is_forbidden(void **state)
{
    (void)state;
#ifdef TEST_ASAN
    struct slab_arena *arena = new_arena();
    char *block = alloc_filled(arena, 99, 1);
    char *other = alloc_filled(arena, 99, 1);
    assert_false(__asan_address_is_poisoned(block + 98));
    assert_true(__asan_address_is_poisoned(block + 99));
    assert_true(__asan_address_is_poisoned(other + 112));
    slab_free(block, 99);
    assert_true(__asan_address_is_poisoned(block));
    assert_true(__asan_address_is_poisoned(block + 98));
    slab_free(other, 99);
    slab_arena_release(arena);
    /* Whoever gets the addresses next may use them. */
    assert_false(__asan_address_is_poisoned(block));
#else
    skip();
#endif
}

static void what_only_a_block_points_to_is_no_leak(void **state)
{
    (void)state;
#ifdef TEST_ASAN
    struct slab_arena *arena = new_arena();
    /* Many, since the stack or a register may point to the last one too. */
    enum { POINTERS = 200 };
    void **block = alloc_filled(arena, POINTERS * sizeof *block, 0);
    for (int i = 0; i < POINTERS; i++)
        block[i] = __real_malloc(32);
    assert_int_equal(__lsan_do_recoverable_leak_check(), 0);
    for (int i = 0; i < POINTERS; i++)
        __real_free(block[i]);
    slab_free(block, POINTERS * sizeof *block);
    slab_arena_release(arena);
#else
    skip();
#endif
}

/* ---- Against a model */

static uint64_t next(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

static uint64_t seed(const char *what)
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random || random == 0)
        random = 1;
    const char *given = getenv("QUASH_TEST_SEED");
    if (given != NULL)
        random = strtoull(given, NULL, 0);
    printf("%s: QUASH_TEST_SEED=%llu\n", what, (unsigned long long)random);
    return random;
}

struct churn {
    struct slab_arena *arena;
    uint64_t random;
    pthread_mutex_t *lock; /* over the pool */
    struct pooled *pool;
    size_t pool_size;
    int rounds;
};

struct pooled {
    unsigned char *block;
    size_t size;
};

/* What a block of a size is filled with. */
static unsigned filling(size_t size)
{
    return (unsigned)(size * 31 % 251);
}

static size_t random_size(uint64_t *random)
{
    uint64_t kind = next(random) % 100;
    if (kind < 60)
        return 64 + next(random) % 200;
    return 1 + next(random) % (kind < 95 ? SLAB_BLOCK_MAX : 2 * SLAB_BLOCK_MAX);
}

/* Takes a block out of the pool, looks whether it is still what it was, frees it, and puts another in its place. */
static void *churn(void *context)
{
    struct churn *own = context;
    for (int i = 0; i < own->rounds; i++) {
        struct pooled *place = &own->pool[next(&own->random) % own->pool_size];
        pthread_mutex_lock(own->lock);
        struct pooled old = *place;
        *place = (struct pooled){NULL, 0};
        pthread_mutex_unlock(own->lock);
        if (old.block != NULL) {
            assert_filled(old.block, old.size, filling(old.size));
            slab_free(old.block, old.size);
        }
        struct pooled new = {NULL, random_size(&own->random)};
        if (next(&own->random) % 8 != 0)
            new.block = alloc_filled(own->arena, new.size, filling(new.size));
        pthread_mutex_lock(own->lock);
        old = *place;
        *place = new;
        pthread_mutex_unlock(own->lock);
        slab_free(old.block, old.size);
    }
    return NULL;
}

static void threads_allocate_and_free_each_others_blocks(void **state)
{
    (void)state;
    uint64_t random = seed("threads");
    struct slab_arena *arena = new_arena();
    enum { THREADS = 3, POOL = 20000 };
    static struct pooled pool[POOL];
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct churn own[THREADS];
    pthread_t threads[THREADS];
    for (int t = 0; t < THREADS; t++) {
        own[t] = (struct churn){arena, next(&random), &lock, pool, POOL, 40000};
        assert_int_equal(pthread_create(&threads[t], NULL, churn, &own[t]), 0);
    }
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    slab_arena_release(arena);
    for (size_t i = 0; i < POOL; i++) {
        slab_free(pool[i].block, pool[i].size);
        pool[i].block = NULL;
    }
}

/* Every byte that is in use belongs to one block: overlapping ones would spoil each other's bytes. */
static void blocks_come_and_go_without_touching_each_other(void **state)
{
    (void)state;
    struct slab_arena *arena = new_arena();
    enum { POOL = 8000 };
    struct pooled *pool = table_of(POOL, sizeof *pool);
    memset(pool, 0, POOL * sizeof *pool);
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct churn own = {arena, seed("one thread"), &lock, pool, POOL, 150000};
    churn(&own);
    size_t charged = 0;
    for (size_t i = 0; i < POOL; i++) {
        if (pool[i].block == NULL)
            continue;
        charged += pool[i].size > SLAB_BLOCK_MAX ? 0 : slab_size(pool[i].size);
        assert_filled(pool[i].block, pool[i].size, filling(pool[i].size));
    }
    printf("%zu bytes in blocks, %zu mapped\n", charged, slab_arena_mapped_bytes(arena));
    assert_true(slab_arena_mapped_bytes(arena) >= charged);
    for (size_t i = 0; i < POOL; i++)
        slab_free(pool[i].block, pool[i].size);
    __real_free(pool);
    assert_int_equal(slab_arena_mapped_bytes(arena), SLAB_CHUNK_BYTES);
    slab_arena_release(arena);
}

int main(void)
{
#define CLAIM(claim) cmocka_unit_test_setup_teardown(claim, start, nothing_is_left)
    const struct CMUnitTest tests[] = {
        CLAIM(a_block_takes_no_more_than_a_sixteenth_and_fifteen_bytes_above_its_size),
        CLAIM(a_block_from_malloc_takes_its_prefix_and_what_malloc_adds),
        CLAIM(a_size_that_cannot_be_is_refused),
        CLAIM(blocks_of_every_size_are_whole_and_apart),
        CLAIM(a_new_arena_maps_nothing),
        CLAIM(a_chunk_wastes_less_than_a_hundredth),
        CLAIM(memory_freed_by_one_size_serves_another),
        CLAIM(slabs_that_became_empty_serve_another_size_while_their_chunk_is_in_use),
        CLAIM(one_empty_chunk_is_kept_and_the_others_are_unmapped),
        CLAIM(breathing_around_a_chunks_edge_maps_nothing),
        CLAIM(a_crooked_mapping_is_made_straight),
        CLAIM(an_arena_lives_until_its_last_block_is_freed),
        CLAIM(dead_bytes_are_counted_in_the_blocks_own_arena),
        CLAIM(each_failing_call_is_a_null_and_nothing_is_lost),
        CLAIM(an_address_past_48_bits_is_refused),
        CLAIM(what_is_not_allocated_is_forbidden),
        CLAIM(what_only_a_block_points_to_is_no_leak),
        CLAIM(threads_allocate_and_free_each_others_blocks),
        CLAIM(blocks_come_and_go_without_touching_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
