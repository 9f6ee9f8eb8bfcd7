/*
 * judge.h - whether an entry may be served: is what it depends on unchanged, and has its time not come?
 *
 * The order that makes it safe: the count of changes is read before the groups are looked at and stored in `validated`
 * after, as for tokens (token.c). While the count stands, an entry costs one comparison; when something was cancelled,
 * whatever it was, the entry's own groups are looked up once and the new count is noted.
 */
#ifndef QUASH_SRC_JUDGE_H
#define QUASH_SRC_JUDGE_H

#include "entry.h"
#include "kinds.h"

enum entry_state {
    ENTRY_LIVE,
    ENTRY_EXPIRED,    /* past its time; otherwise good */
    ENTRY_CANCELLED,  /* one of its groups was cancelled, or its table ended */
    ENTRY_COLLATERAL, /* it may have been cancelled: the table has forgotten */
    ENTRY_DETACHED,   /* stamped while detached, and a table is attached now, or detached_ttl_ms is over */
    ENTRY_ABSENT      /* there is no entry */
};

/* How a lookup sees the world: what was current at some moment after it began. */
struct view {
    const struct table_map *map; /* NULL: detached */
    uint64_t now_ms;
    uint64_t age_ms;    /* the same since the cache was made */
    uint64_t coarse_ms; /* the kernel's clock, whatever the cache's is */
    uint64_t detached_ttl_ms;
    const struct kinds *kinds;
};

/* The part of entry_judge for when something was cancelled since, or the entry is not of this table. */
enum entry_state entry_judge_groups(struct entry *entry, const struct view *view);

static inline enum entry_state entry_judge(struct entry *entry, const struct view *view)
{
    /* Relaxed: what is stored in `validated` is true whoever stored it, and it is compared, never followed. The count's
     * own acquire is in table_map_changes. */
    if (view->map == NULL || entry->stamp >> SLOT_STAMP_BITS != view->map->serial ||
        atomic_load_explicit(&entry->validated, memory_order_relaxed) != table_map_changes(view->map)) {
        enum entry_state state = entry_judge_groups(entry, view);
        if (state != ENTRY_LIVE)
            return state;
    }
    return view->now_ms < atomic_load_explicit(&entry->deadline_ms, memory_order_relaxed) ? ENTRY_LIVE : ENTRY_EXPIRED;
}

/* Notes that the entry was used: for the policy, and for sliding expiry. Writes only what changes. */
static inline void entry_touch(struct entry *entry, uint64_t now_ms)
{
    uint8_t uses = atomic_load_explicit(&entry->uses, memory_order_relaxed);
    if (uses < ENTRY_USES_MAX)
        atomic_store_explicit(&entry->uses, (uint8_t)(uses + 1), memory_order_relaxed);
    const struct entry_lifetime *lifetime = entry_lifetime(entry);
    if (lifetime == NULL || lifetime->sliding_ms == QUASH_SLIDING_NONE ||
        atomic_load_explicit(&entry->marks, memory_order_relaxed) & ENTRY_STOOD_IN)
        return;
    uint64_t deadline_ms = sliding_deadline_ms(atomic_load_explicit(&lifetime->expires_ms, memory_order_relaxed),
                                               lifetime->sliding_ms, now_ms);
    /* Not a plain store: a reader that was preempted here must not take back what later ones have gained since. */
    uint64_t before_ms = atomic_load_explicit(&entry->deadline_ms, memory_order_relaxed);
    while (deadline_ms > before_ms &&
           !atomic_compare_exchange_weak_explicit(&entry->deadline_ms, &before_ms, deadline_ms, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

/* Until when an entry that has expired may still stand in for a load that fails. */
static inline uint64_t entry_stale_until_ms(const struct entry *entry, uint64_t fail_safe_ms)
{
    const struct entry_lifetime *lifetime = entry_lifetime(entry);
    uint64_t expired_ms = lifetime != NULL && atomic_load_explicit(&entry->marks, memory_order_acquire) & ENTRY_STOOD_IN
                              ? atomic_load_explicit(&lifetime->expires_ms, memory_order_relaxed)
                              : atomic_load_explicit(&entry->deadline_ms, memory_order_relaxed);
    return fail_safe_ms > EXPIRES_NEVER - expired_ms ? EXPIRES_NEVER : expired_ms + fail_safe_ms;
}

#endif
