/*
 * slab.h - the memory of a cache's entries: blocks of a few dozen sizes, cut from huge pages.
 *
 *     arena ─► chunk  2 MiB, aligned to its size: a header, then slabs
 *                └► slab  32 KiB, all of one size class while it is in use; free again, for any class, once it is empty
 *                     └► block  16-byte aligned; nothing in front of it
 *
 * Why not malloc: its header and rounding cost 8 to 23 bytes an entry, freed entries of many sizes leave it full of
 * holes that nothing but the same size fits, and with entries in huge pages a hit spares a walk of the page table. The
 * figures are in docs/cache.md.
 *
 * A cache has a few arenas (cache.h). Blocks may be freed by any thread, also after the cache is gone: the arena goes
 * with the last of them. Blocks of more than SLAB_BLOCK_MAX bytes come from malloc.
 *
 * Under the address sanitizer only the bytes that were asked for can be touched, and only until slab_free; and what is
 * reachable from a block counts as reachable.
 *
 * Lock: the arena's own, innermost of all.
 */
#ifndef QUASH_SRC_SLAB_H
#define QUASH_SRC_SLAB_H

#include <stdatomic.h>
#include <stddef.h>

#define SLAB_CHUNK_BYTES ((size_t)2 << 20)
#define SLAB_BYTES       ((size_t)32 << 10)
#define SLAB_GRAIN       ((size_t)16)

/* The largest block that is cut from a slab. A slab holds 16 of them; with fewer, rounding to what divides a slab would
 * cost more than a sixteenth, and malloc costs less. */
#define SLAB_BLOCK_MAX ((size_t)2048)

/* No block lies beyond: the index keeps other things in the upper bits of an address (index.h). The kernels of x86-64
 * and arm64 give addresses past 48 bits only to those who ask for them; should one come all the same, slab_alloc fails.
 */
#define SLAB_ADDRESS_BITS 48

struct slab_arena;

/* An empty arena that belongs to the caller. NULL without memory. No chunk is mapped before the first block. */
struct slab_arena *slab_arena_new(void);

/* The owner lets go. The arena is freed now, or with its last block. NULL is fine. */
void slab_arena_release(struct slab_arena *arena);

/* A block of `size` bytes (at least 1), aligned to 16. NULL without memory. Any thread. */
void *slab_alloc(struct slab_arena *arena, size_t size);

/* Frees a block; `size` is what it was asked with. NULL is fine. Any thread. */
void slab_free(void *block, size_t size);

/* What a block of `size` bytes takes from the arena; its rounding included. SIZE_MAX when it cannot be. */
size_t slab_size(size_t size);

/* Bytes of blocks that have left the cache but are not freed yet, as somebody may be reading them; counted by the
 * cache's own code. */
_Atomic size_t *slab_dead_bytes(const void *block, size_t size);
size_t slab_arena_dead_bytes(const struct slab_arena *arena);

/* Bytes of address space in chunks, in use or not; without what comes from malloc. */
size_t slab_arena_mapped_bytes(struct slab_arena *arena);

#endif
