/*
 * tags.h - finding a 16-bit tag among the eight words of a cache line, each of which has its tag in its top 16 bits:
 * a bucket of an index (index.h), or of the table (layout.h).
 *
 * With SSE2 all eight are compared at once; that is worth 15 ns a lookup. The thread sanitizer would take the vector
 * loads for a race.
 */
#ifndef QUASH_SRC_TAGS_H
#define QUASH_SRC_TAGS_H

#include <stdatomic.h>
#include <stdint.h>

#if defined(__SANITIZE_THREAD__)
#define TAGS_PLAIN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TAGS_PLAIN 1
#endif
#endif
#if defined(__SSE2__) && !defined(TAGS_PLAIN)
#define TAGS_SSE2 1
#include <emmintrin.h>
#define TAGS_UPPER_HALVES _MM_SHUFFLE(3, 1, 3, 1)
#endif

#define TAGS_SHIFT 48
#define TAGS_WORDS 8u

/* Which words of a line (aligned to 64 bytes) have the tag, one bit each. A hint, as all of them may change meanwhile:
 * the caller reads those words again. Each word is read whole, after whatever the caller has loaded with acquire
 * before, and before whatever it loads after this, with what the word's writer has released. */
static inline unsigned tags_match(const _Atomic uint64_t *line, uint64_t tag)
{
#ifdef TAGS_SSE2
    /* Aligned vector loads take each word whole, and in the order of the program, as any loads of this processor do;
     * the fence is for the compiler. */
    const __m128i *words = (const __m128i *)(uintptr_t)line;
    __m128 low = _mm_shuffle_ps(_mm_castsi128_ps(_mm_load_si128(words)), _mm_castsi128_ps(_mm_load_si128(words + 1)),
                                TAGS_UPPER_HALVES);
    __m128 high = _mm_shuffle_ps(_mm_castsi128_ps(_mm_load_si128(words + 2)),
                                 _mm_castsi128_ps(_mm_load_si128(words + 3)), TAGS_UPPER_HALVES);
    __m128i tags =
        _mm_packs_epi32(_mm_srai_epi32(_mm_castps_si128(low), 16), _mm_srai_epi32(_mm_castps_si128(high), 16));
    atomic_signal_fence(memory_order_acquire);
    __m128i same = _mm_cmpeq_epi16(tags, _mm_set1_epi16((short)tag));
    return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(same, _mm_setzero_si128()));
#else
    unsigned matches = 0;
    for (unsigned i = 0; i < TAGS_WORDS; i++)
        matches |= (unsigned)(atomic_load_explicit(&line[i], memory_order_acquire) >> TAGS_SHIFT == tag) << i;
    return matches;
#endif
}

#endif
