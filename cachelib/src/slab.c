/*
 * slab.c - the arena of a cache's entries.
 *
 *     chunk, 2 MiB          offset 0      struct chunk, with a struct slab for each of its slabs
 *                           CHUNK_HEADER  the first slab, shorter by the header
 *                           32 KiB        the second, and so on: 64 in all
 *
 * A block is found to be where it is by arithmetic: its chunk by masking its address, its slab by the offset in there.
 * So a block has no header; what is freed carries a link to the next free block of its slab in its first two bytes.
 *
 * A size class is a number of blocks a slab: of the sizes that fit a slab equally often, only the largest exists
 * (slab_size). So the waste is the rounding to 16, and at most a sixteenth.
 *
 * Blocks come from the slab that has had room longest, until it is full, and slabs from such a chunk: what is allocated
 * together, and in a cache mostly leaves together, lies together. An empty slab serves any class. Of empty chunks one
 * is kept, so that a cache that breathes around a chunk's edge does not map and unmap; the others are unmapped.
 *
 * The first chunk is in small pages, for the many caches that never need 2 MiB; all later ones ask for huge pages,
 * which are had in one fault and cover 64 slabs with one entry of the TLB.
 *
 * Ownership: the arena lives while its owner has it or a block is left; a chunk while a block is in it, or as the spare
 * one. Everything is under the arena's lock but `dead_bytes`.
 */
#define _GNU_SOURCE /* madvise */
#include "slab.h"
#include "lock.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_ASAN 1
#endif
#endif
#ifdef SLAB_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif

#define CHUNK_SLABS (SLAB_CHUNK_BYTES / SLAB_BYTES)
#define ALL_SLABS   UINT64_MAX
#define CLASSES     (SLAB_BLOCK_MAX / SLAB_GRAIN)
#define SLAB_GRAINS (SLAB_BYTES / SLAB_GRAIN)
#define NO_BLOCK    UINT16_MAX

struct link {
    struct link *next;
    struct link *prev;
};

/* Places in a slab are counted in grains from where its 32 KiB begin. */
struct slab {
    struct link link; /* first; among the slabs of its class that have room */
    uint16_t grains;  /* of a block */
    uint16_t freed;   /* the block that was freed last, NO_BLOCK */
    uint16_t fresh;   /* where the blocks begin that were never used */
    uint16_t used;    /* blocks */
};

struct chunk {
    struct link link; /* first; among the chunks that have a free slab */
    struct slab_arena *arena;
    uint64_t free_slabs; /* one bit each */
    struct slab slabs[CHUNK_SLABS];
};

#define CHUNK_HEADER ((sizeof(struct chunk) + 63) & ~(size_t)63)

static_assert(CHUNK_SLABS == 64, "a bit each in free_slabs");
static_assert(SLAB_GRAINS < NO_BLOCK, "places fit 16 bits");
static_assert(CHUNK_HEADER <= SLAB_CHUNK_BYTES / 1000, "the header is nothing to speak of");
static_assert(SLAB_BYTES - CHUNK_HEADER >= SLAB_BLOCK_MAX, "the first slab can serve any class");

struct slab_arena {
    _Alignas(64) _Atomic size_t dead_bytes; /* relaxed: a number that nothing else hangs on; counted without the lock */
    _Alignas(64) pthread_mutex_t lock;
    size_t blocks; /* in use, those from malloc included */
    size_t chunks;
    bool released;             /* by its owner */
    struct chunk *spare;       /* the one that is empty, or NULL */
    struct chunk *small_pages; /* the one that is kept from huge pages, or NULL */
    uintptr_t next_chunk;      /* where the next one would best be; 0: anywhere */
    struct link chunks_with_room;
    struct link slabs_with_room[CLASSES];
};

/* What is in front of a block from malloc; as large as keeps the block aligned. */
struct large {
    _Alignas(16) struct slab_arena *arena;
};

static_assert(sizeof(struct large) == SLAB_GRAIN, "the block after it is aligned");

/* glibc's own header, and the prefix. */
#define LARGE_OVERHEAD (sizeof(size_t) + sizeof(struct large))

/* ---- What the address sanitizer is told */

static void memory_forbid(const void *memory, size_t size)
{
#ifdef SLAB_ASAN
    ASAN_POISON_MEMORY_REGION(memory, size);
#else
    (void)memory, (void)size;
#endif
}

static void memory_permit(const void *memory, size_t size)
{
#ifdef SLAB_ASAN
    ASAN_UNPOISON_MEMORY_REGION(memory, size);
#else
    (void)memory, (void)size;
#endif
}

/* Objects that only entries point to are not leaks. */
static void memory_begin(const struct chunk *chunk)
{
#ifdef SLAB_ASAN
    __lsan_register_root_region(chunk, SLAB_CHUNK_BYTES);
#endif
    memory_forbid((const char *)chunk + CHUNK_HEADER, SLAB_CHUNK_BYTES - CHUNK_HEADER);
}

static void memory_end(const struct chunk *chunk)
{
#ifdef SLAB_ASAN
    __lsan_unregister_root_region(chunk, SLAB_CHUNK_BYTES);
#endif
    memory_permit(chunk, SLAB_CHUNK_BYTES);
}

/* ---- Lists, each a ring through its head */

static void list_init(struct link *list)
{
    list->next = list->prev = list;
}

static bool list_empty(const struct link *list)
{
    return list->next == list;
}

static void list_add_after(struct link *before, struct link *link)
{
    link->prev = before;
    link->next = before->next;
    link->next->prev = link;
    before->next = link;
}

static void list_remove(struct link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
}

/* ---- Chunks */

static bool address_fits(const void *block)
{
    return (uintptr_t)block >> SLAB_ADDRESS_BITS == 0;
}

static void *map_aligned(uintptr_t wish)
{
    /* Next to the one before it is usually free, and then aligned, and the kernel needs no record of its own for it. */
    void *memory = mmap((void *)wish, SLAB_CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    if ((uintptr_t)memory % SLAB_CHUNK_BYTES == 0)
        return memory;
    (void)munmap(memory, SLAB_CHUNK_BYTES);

    char *more = mmap(NULL, 2 * SLAB_CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (more == MAP_FAILED)
        return NULL;
    size_t before = SLAB_CHUNK_BYTES - (uintptr_t)more % SLAB_CHUNK_BYTES;
    (void)munmap(more, before);
    if (before < SLAB_CHUNK_BYTES)
        (void)munmap(more + before + SLAB_CHUNK_BYTES, SLAB_CHUNK_BYTES - before);
    return more + before;
}

/* A chunk with nothing in it. It is touched here, and so faulted in, which takes long for a huge page. */
static struct chunk *chunk_map(struct slab_arena *arena, uintptr_t wish, int advice)
{
    struct chunk *chunk = map_aligned(wish);
    if (chunk == NULL)
        return NULL;
    if (!address_fits(chunk)) {
        (void)munmap(chunk, SLAB_CHUNK_BYTES);
        return NULL;
    }
    (void)madvise(chunk, SLAB_CHUNK_BYTES, advice); /* a wish, which kernels without huge pages refuse */
    chunk->arena = arena;
    chunk->free_slabs = ALL_SLABS;
    memory_begin(chunk);
    return chunk;
}

static void chunk_unmap(struct chunk *chunk)
{
    if (chunk == NULL)
        return;
    memory_end(chunk);
    (void)munmap(chunk, SLAB_CHUNK_BYTES);
}

static struct chunk *chunk_of(const void *inside)
{
    return (struct chunk *)((uintptr_t)inside & ~(uintptr_t)(SLAB_CHUNK_BYTES - 1));
}

/* An empty chunk that is in no list becomes the spare one. Returned: one to be unmapped after the unlock, or NULL. */
static struct chunk *chunk_keep(struct slab_arena *arena, struct chunk *chunk)
{
    if (arena->spare == NULL) {
        arena->spare = chunk;
        list_add_after(arena->chunks_with_room.prev, &chunk->link);
        return NULL;
    }
    if (arena->small_pages == chunk)
        arena->small_pages = NULL;
    arena->chunks--;
    return chunk;
}

/* Maps one more chunk. False without memory. The lock is held, but not meanwhile: those who find room need not wait.
 * *unneeded is the chunk to be unmapped after the unlock, since others were faster, or NULL. */
static bool arena_grow(struct slab_arena *arena, struct chunk **unneeded)
{
    bool first = arena->chunks == 0;
    arena->chunks++;
    uintptr_t wish = arena->next_chunk;
    if (wish != 0)
        arena->next_chunk -= SLAB_CHUNK_BYTES;
    pthread_mutex_unlock(&arena->lock);
    struct chunk *chunk = chunk_map(arena, wish, first ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
    pthread_mutex_lock(&arena->lock);
    if (chunk == NULL) {
        arena->chunks--;
        return false;
    }
    arena->next_chunk = (uintptr_t)chunk - SLAB_CHUNK_BYTES;
    if (first) {
        arena->small_pages = chunk;
    } else if (arena->small_pages != NULL) {
        (void)madvise(arena->small_pages, SLAB_CHUNK_BYTES, MADV_HUGEPAGE);
        arena->small_pages = NULL;
    }
    *unneeded = chunk_keep(arena, chunk);
    return true;
}

/* ---- Slabs */

static void *slab_at(struct slab *slab, size_t grain)
{
    struct chunk *chunk = chunk_of(slab);
    return (char *)chunk + (size_t)(slab - chunk->slabs) * SLAB_BYTES + grain * SLAB_GRAIN;
}

static bool slab_full(const struct slab *slab)
{
    return slab->freed == NO_BLOCK && (size_t)slab->fresh + slab->grains > SLAB_GRAINS;
}

/* Gives the class an empty slab; there must be a chunk with room. */
static void slab_take(struct slab_arena *arena, size_t grains)
{
    struct chunk *chunk = (struct chunk *)arena->chunks_with_room.next;
    if (chunk == arena->spare)
        arena->spare = NULL;
    int lowest = __builtin_ctzll(chunk->free_slabs);
    chunk->free_slabs &= chunk->free_slabs - 1;
    if (chunk->free_slabs == 0)
        list_remove(&chunk->link);
    struct slab *slab = &chunk->slabs[lowest];
    slab->grains = (uint16_t)grains;
    slab->freed = NO_BLOCK;
    slab->fresh = lowest == 0 ? (uint16_t)(CHUNK_HEADER / SLAB_GRAIN) : 0;
    slab->used = 0;
    list_add_after(&arena->slabs_with_room[grains - 1], &slab->link);
}

/* An empty slab goes back to its chunk. Returned: as from chunk_keep. */
static struct chunk *slab_emptied(struct slab_arena *arena, struct slab *slab)
{
    struct chunk *chunk = chunk_of(slab);
    if (chunk->free_slabs == 0)
        list_add_after(arena->chunks_with_room.prev, &chunk->link);
    chunk->free_slabs |= UINT64_C(1) << (slab - chunk->slabs);
    if (chunk->free_slabs != ALL_SLABS)
        return NULL;
    list_remove(&chunk->link);
    return chunk_keep(arena, chunk);
}

static void *block_take(struct slab *slab)
{
    if (slab->freed == NO_BLOCK) {
        void *block = slab_at(slab, slab->fresh);
        slab->fresh = (uint16_t)(slab->fresh + slab->grains);
        return block;
    }
    uint16_t *block = slab_at(slab, slab->freed);
    memory_permit(block, sizeof *block);
    slab->freed = *block;
    return block;
}

/* ---- The arena */

struct slab_arena *slab_arena_new(void)
{
    struct slab_arena *arena = aligned_alloc(_Alignof(struct slab_arena), sizeof *arena);
    if (arena == NULL)
        return NULL;
    *arena = (struct slab_arena){.blocks = 0};
    if (!lock_init(&arena->lock)) {
        free(arena);
        return NULL;
    }
    list_init(&arena->chunks_with_room);
    for (size_t i = 0; i < CLASSES; i++)
        list_init(&arena->slabs_with_room[i]);
    return arena;
}

/* Whoever finds that neither owner nor blocks are left; without the lock, which nobody else can want any more. */
static void arena_free(struct slab_arena *arena)
{
    chunk_unmap(arena->spare);
    pthread_mutex_destroy(&arena->lock);
    free(arena);
}

void slab_arena_release(struct slab_arena *arena)
{
    if (arena == NULL)
        return;
    pthread_mutex_lock(&arena->lock);
    arena->released = true;
    bool last = arena->blocks == 0;
    pthread_mutex_unlock(&arena->lock);
    if (last)
        arena_free(arena);
}

size_t slab_size(size_t size)
{
    if (size <= SLAB_BLOCK_MAX) {
        size_t rounded = size == 0 ? SLAB_GRAIN : (size + SLAB_GRAIN - 1) & ~(SLAB_GRAIN - 1);
        return SLAB_BYTES / (SLAB_BYTES / rounded) & ~(SLAB_GRAIN - 1);
    }
    if (size > PTRDIFF_MAX - LARGE_OVERHEAD - SLAB_GRAIN)
        return SIZE_MAX;
    return (size + LARGE_OVERHEAD + SLAB_GRAIN - 1) & ~(SLAB_GRAIN - 1);
}

static void *large_alloc(struct slab_arena *arena, size_t size)
{
    if (slab_size(size) == SIZE_MAX)
        return NULL;
    struct large *large = malloc(sizeof *large + size);
    if (large == NULL)
        return NULL;
    if (!address_fits(large)) {
        free(large);
        return NULL;
    }
    large->arena = arena;
    pthread_mutex_lock(&arena->lock);
    arena->blocks++;
    pthread_mutex_unlock(&arena->lock);
    return large + 1;
}

void *slab_alloc(struct slab_arena *arena, size_t size)
{
    if (size > SLAB_BLOCK_MAX)
        return large_alloc(arena, size);
    size_t grains = slab_size(size) / SLAB_GRAIN;
    struct link *with_room = &arena->slabs_with_room[grains - 1];
    struct chunk *unneeded = NULL;
    void *block = NULL;
    pthread_mutex_lock(&arena->lock);
    while (list_empty(with_room)) {
        if (!list_empty(&arena->chunks_with_room))
            slab_take(arena, grains);
        else if (!arena_grow(arena, &unneeded))
            goto unlock;
    }
    struct slab *slab = (struct slab *)with_room->next;
    block = block_take(slab);
    slab->used++;
    arena->blocks++;
    if (slab_full(slab))
        list_remove(&slab->link);
unlock:
    pthread_mutex_unlock(&arena->lock);
    chunk_unmap(unneeded);
    if (block != NULL)
        memory_permit(block, size);
    return block;
}

static struct slab_arena *arena_of(const void *block, size_t size)
{
    return size > SLAB_BLOCK_MAX ? ((const struct large *)block - 1)->arena : chunk_of(block)->arena;
}

/* Puts a block back into its slab. Returned: as from chunk_keep. */
static struct chunk *block_return(struct slab_arena *arena, void *block)
{
    struct chunk *chunk = chunk_of(block);
    size_t offset = (size_t)((char *)block - (char *)chunk);
    struct slab *slab = &chunk->slabs[offset / SLAB_BYTES];
    bool was_full = slab_full(slab);
    uint16_t *link = block;
    memory_permit(link, sizeof *link);
    *link = slab->freed;
    memory_forbid(block, slab->grains * SLAB_GRAIN);
    slab->freed = (uint16_t)(offset % SLAB_BYTES / SLAB_GRAIN);
    slab->used--;
    if (slab->used == 0) {
        if (!was_full)
            list_remove(&slab->link);
        return slab_emptied(arena, slab);
    }
    if (was_full)
        list_add_after(arena->slabs_with_room[slab->grains - 1].prev, &slab->link);
    return NULL;
}

void slab_free(void *block, size_t size)
{
    if (block == NULL)
        return;
    struct slab_arena *arena = arena_of(block, size);
    struct chunk *unneeded = NULL;
    if (size > SLAB_BLOCK_MAX)
        free((struct large *)block - 1);
    pthread_mutex_lock(&arena->lock);
    if (size <= SLAB_BLOCK_MAX)
        unneeded = block_return(arena, block);
    arena->blocks--;
    bool last = arena->blocks == 0 && arena->released;
    pthread_mutex_unlock(&arena->lock);
    chunk_unmap(unneeded);
    if (last)
        arena_free(arena);
}

/* ---- Figures */

_Atomic size_t *slab_dead_bytes(const void *block, size_t size)
{
    return &arena_of(block, size)->dead_bytes;
}

size_t slab_arena_dead_bytes(const struct slab_arena *arena)
{
    return atomic_load_explicit(&arena->dead_bytes, memory_order_relaxed);
}

size_t slab_arena_mapped_bytes(struct slab_arena *arena)
{
    pthread_mutex_lock(&arena->lock);
    size_t chunks = arena->chunks;
    pthread_mutex_unlock(&arena->lock);
    return chunks * SLAB_CHUNK_BYTES;
}
