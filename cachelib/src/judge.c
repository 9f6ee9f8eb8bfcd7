/*
 * judge.c - an entry's groups against the table.
 */
#include "judge.h"

static enum entry_state judge_detached(const struct entry *entry, const struct view *view)
{
    uint64_t age_ms = view->age_ms > entry_age_ms(entry) ? view->age_ms - entry_age_ms(entry) : 0;
    bool attached = view->map != NULL && !table_map_retired(view->map);
    return attached || age_ms >= view->detached_ttl_ms ? ENTRY_DETACHED : ENTRY_LIVE;
}

enum entry_state entry_judge_groups(struct entry *entry, const struct view *view)
{
    uint64_t serial = entry->stamp >> SLOT_STAMP_BITS;
    if (serial == TABLE_SERIAL_DETACHED)
        return judge_detached(entry, view);
    const struct table_map *map = view->map;
    if (map == NULL || serial != map->serial)
        return ENTRY_CANCELLED;

    uint64_t changes = table_map_changes(map);
    uint64_t hashes[1 + 2 * (size_t)UINT8_MAX];
    size_t count = 0;
    hashes[count++] = map->all_hash;
    const uint64_t *words = entry_words(entry);
    uint16_t last_kind = 0;
    for (unsigned i = 0; i < entry->words; i++) {
        hashes[count++] = words[i];
        uint16_t kind = word_kind(words[i]);
        if (kind != 0 && kind != last_kind)
            hashes[count++] = kinds_hash(view->kinds, kind);
        last_kind = kind;
    }
    switch (table_map_check(map, hashes, count, entry->stamp & SLOT_STAMP_MAX)) {
    case TABLE_UNCHANGED:
        atomic_store_explicit(&entry->validated, changes, memory_order_relaxed);
        return ENTRY_LIVE;
    case TABLE_COLLATERAL:
        return ENTRY_COLLATERAL;
    case TABLE_CHANGED:
    case TABLE_RETIRED:
        break;
    }
    return ENTRY_CANCELLED;
}
