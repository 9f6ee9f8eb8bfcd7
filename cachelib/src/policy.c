/*
 * policy.c - see policy.h. Lists are doubly linked, since any entry may be removed at any time; the oldest end is where
 * entries are looked at, the newest end is where they join.
 *
 * What a call may take: an entry that is passed over leaves `small` for good, or has one use less, so in the long run
 * there are no more passes than hits; and no more than POLICY_PASSES in one call.
 */
#include "policy.h"

#include <assert.h>

/* The parts of a class's bytes that its newcomers, and the newest of these, may take. */
#define SMALL_PART 10u
#define FRESH_PART 100u

/* An entry in `small` that was used this often goes to `main`. */
#define USES_FOR_MAIN 2u
static_assert(USES_FOR_MAIN <= ENTRY_USES_MAX, "so many uses are counted");

/* How many leave `fresh` for each that joins: more than one, so that it gets down to its part. */
#define FRESH_STEPS 4u

/* ---- Lists ---- */

static void list_push(struct policy_list *list, struct entry *entry, size_t charge)
{
    entry->newer = NULL;
    entry->older = list->newest;
    if (list->newest != NULL)
        list->newest->newer = entry;
    else
        list->oldest = entry;
    list->newest = entry;
    list->entries++;
    list->bytes += charge;
}

static void list_remove(struct policy_list *list, struct entry *entry, size_t charge)
{
    if (entry->newer != NULL)
        entry->newer->older = entry->older;
    else
        list->newest = entry->older;
    if (entry->older != NULL)
        entry->older->newer = entry->newer;
    else
        list->oldest = entry->newer;
    list->entries--;
    list->bytes -= charge;
}

/* ---- Classes ---- */

/* The class of a priority: 0 goes first. NULL: the never-removed have none. */
static struct policy_class *class_of(struct policy *policy, quash_priority priority)
{
    switch (priority) {
    case QUASH_PRIORITY_LOW:
        return &policy->classes[0];
    case QUASH_PRIORITY_NORMAL:
        return &policy->classes[1];
    case QUASH_PRIORITY_HIGH:
        return &policy->classes[2];
    case QUASH_PRIORITY_NEVER_REMOVE:
        break;
    }
    return NULL;
}

/* The list of an entry that is in a queue. */
static struct policy_list *list_of(struct policy *policy, const struct entry *entry)
{
    struct policy_class *level = class_of(policy, entry_priority(entry));
    if (level == NULL)
        return &policy->never;
    switch (entry->queue) {
    case POLICY_FRESH:
        return &level->fresh;
    case POLICY_SMALL:
        return &level->small;
    default:
        return &level->main;
    }
}

static size_t class_bytes(const struct policy_class *level)
{
    return level->fresh.bytes + level->small.bytes + level->main.bytes;
}

static size_t class_entries(const struct policy_class *level)
{
    return level->fresh.entries + level->small.entries + level->main.entries;
}

/* How many keys the ghost remembers: as many as there may be in `main`. */
static size_t ghost_window(const struct policy *policy)
{
    size_t entries = 0;
    for (unsigned i = 0; i < POLICY_CLASSES; i++)
        entries += class_entries(&policy->classes[i]);
    return entries - entries / SMALL_PART;
}

/* Relaxed throughout: uses are a hint; a reader's that is lost while the policy writes is not missed. */
static unsigned uses_of(const struct entry *entry)
{
    return atomic_load_explicit(&entry->uses, memory_order_relaxed);
}

static void set_uses(struct entry *entry, unsigned uses)
{
    atomic_store_explicit(&entry->uses, (uint8_t)uses, memory_order_relaxed);
}

/* ---- Adding and removing ---- */

/* What is no longer among the newest goes on to `small`; its uses up to now were one. */
static void age_fresh(struct policy_class *level)
{
    for (unsigned i = 0; i < FRESH_STEPS; i++) {
        struct entry *entry = level->fresh.oldest;
        if (entry == NULL || level->fresh.bytes <= class_bytes(level) / FRESH_PART)
            return;
        size_t charge = entry_charge(entry);
        list_remove(&level->fresh, entry, charge);
        list_push(&level->small, entry, charge);
        entry->queue = POLICY_SMALL;
        if (uses_of(entry) > 1)
            set_uses(entry, 1);
    }
}

static void join(struct policy *policy, struct entry *entry, enum policy_queue queue)
{
    struct policy_class *level = class_of(policy, entry_priority(entry));
    size_t charge = entry_charge(entry);
    policy->reserved -= charge;
    entry->queue = (uint8_t)(level == NULL ? POLICY_NEVER : queue);
    list_push(list_of(policy, entry), entry, charge);
    if (entry->queue == POLICY_FRESH)
        age_fresh(level);
}

void policy_add(struct policy *policy, struct entry *entry)
{
    bool back = ghost_take(&policy->ghost, entry->hash);
    join(policy, entry, back ? POLICY_MAIN : POLICY_FRESH);
}

void policy_add_instead(struct policy *policy, struct entry *entry, enum policy_queue queue, unsigned uses)
{
    set_uses(entry, uses < ENTRY_USES_MAX ? uses : ENTRY_USES_MAX);
    /* One that could never be removed, and now can, has been here for long enough. */
    join(policy, entry, queue == POLICY_NEVER ? POLICY_MAIN : queue);
}

void policy_replace(struct policy *policy, struct entry *old, struct entry *entry)
{
    struct policy_list *list = list_of(policy, old);
    size_t old_charge = entry_charge(old), charge = entry_charge(entry);
    entry->newer = old->newer;
    entry->older = old->older;
    *(entry->newer != NULL ? &entry->newer->older : &list->newest) = entry;
    *(entry->older != NULL ? &entry->older->newer : &list->oldest) = entry;
    if (charge != old_charge) {
        list->bytes += charge - old_charge;
        policy->bytes += charge - old_charge;
    }
    entry->queue = old->queue;
    set_uses(entry, uses_of(old));
    old->queue = POLICY_NONE;
}

enum policy_queue policy_remove(struct policy *policy, struct entry *entry)
{
    enum policy_queue queue = entry->queue;
    if (queue == POLICY_NONE)
        return POLICY_NONE;
    size_t charge = entry_charge(entry);
    list_remove(list_of(policy, entry), entry, charge);
    policy->bytes -= charge;
    entry->queue = POLICY_NONE;
    return queue;
}

/* ---- Eviction ---- */

/* The next but one is not looked at before the next call: have it brought meanwhile. */
static void prefetch_after(const struct entry *entry)
{
    if (entry->newer == NULL || entry->newer->newer == NULL)
        return;
    const struct entry *next_but_one = entry->newer->newer;
    /* An entry need not begin at a cache line. */
    __builtin_prefetch(next_but_one, 1);
    __builtin_prefetch((const char *)next_but_one + sizeof(struct entry) - 1, 1);
}

/* Passes over the oldest of the newcomers if it was used twice; else it is the victim. */
static struct entry *look_at_newcomer(struct policy *policy, struct policy_class *level, bool may_pass)
{
    bool from_small = level->small.oldest != NULL;
    struct policy_list *list = from_small ? &level->small : &level->fresh;
    struct entry *entry = list->oldest;
    prefetch_after(entry);
    if (may_pass && uses_of(entry) >= USES_FOR_MAIN) {
        size_t charge = entry_charge(entry);
        list_remove(list, entry, charge);
        list_push(&level->main, entry, charge);
        entry->queue = POLICY_MAIN;
        set_uses(entry, 0);
        return NULL;
    }
    ghost_note(&policy->ghost, entry->hash, ghost_window(policy));
    return entry;
}

/* Passes over the oldest of `main` if it was used; else it is the victim. */
static struct entry *look_at_main(struct policy_class *level, bool may_pass)
{
    struct entry *entry = level->main.oldest;
    unsigned uses = uses_of(entry);
    prefetch_after(entry);
    if (may_pass && uses > 0) {
        list_remove(&level->main, entry, 0);
        list_push(&level->main, entry, 0);
        set_uses(entry, uses - 1);
        return NULL;
    }
    return entry;
}

/* The next to go; NULL: none may. `*passes` is how many may still be passed over. */
static struct entry *give_up(struct policy *policy, unsigned *passes)
{
    struct policy_class *level = policy->classes;
    while (level < policy->classes + POLICY_CLASSES && class_entries(level) == 0)
        level++;
    if (level == policy->classes + POLICY_CLASSES)
        return NULL;
    for (;;) {
        size_t newcomers = level->fresh.bytes + level->small.bytes;
        bool newcomer = level->main.oldest == NULL || (newcomers > 0 && newcomers >= class_bytes(level) / SMALL_PART);
        struct entry *victim =
            newcomer ? look_at_newcomer(policy, level, *passes > 0) : look_at_main(level, *passes > 0);
        if (victim != NULL) {
            policy_remove(policy, victim);
            return victim;
        }
        --*passes;
    }
}

/* Gives up entries until `bytes` are no more than `bound`. */
static enum policy_room evict_down_to(struct policy *policy, size_t bound, struct policy_victims *victims)
{
    unsigned passes = POLICY_PASSES;
    while (policy->bytes > bound) {
        if (victims->count == POLICY_VICTIMS)
            return POLICY_MORE;
        struct entry *victim = give_up(policy, &passes);
        if (victim == NULL)
            return POLICY_NO_ROOM;
        victims->entry[victims->count++] = victim;
    }
    return POLICY_ROOM;
}

enum policy_room policy_reserve(struct policy *policy, size_t charge, struct policy_victims *victims)
{
    victims->count = 0;
    /* What is on its way in cannot be evicted either, yet. */
    size_t fixed = policy->never.bytes + policy->reserved;
    if (charge > policy->max_bytes || fixed > policy->max_bytes - charge)
        return POLICY_NO_ROOM;
    enum policy_room room = evict_down_to(policy, policy->max_bytes - charge, victims);
    if (room == POLICY_ROOM) {
        policy->bytes += charge;
        policy->reserved += charge;
    }
    return room;
}

void policy_unreserve(struct policy *policy, size_t charge)
{
    policy->bytes -= charge;
    policy->reserved -= charge;
}

/* ---- The whole ---- */

void policy_init(struct policy *policy, size_t max_bytes)
{
    *policy = (struct policy){.max_bytes = max_bytes};
    ghost_init(&policy->ghost);
}

void policy_fini(struct policy *policy)
{
    assert(policy_entries(policy) == 0);
    ghost_fini(&policy->ghost);
}

void policy_resize(struct policy *policy, size_t max_bytes)
{
    policy->max_bytes = max_bytes;
}

enum policy_room policy_trim(struct policy *policy, struct policy_victims *victims)
{
    victims->count = 0;
    return evict_down_to(policy, policy->max_bytes, victims);
}

size_t policy_entries(const struct policy *policy)
{
    size_t entries = policy->never.entries;
    for (unsigned i = 0; i < POLICY_CLASSES; i++)
        entries += class_entries(&policy->classes[i]);
    return entries;
}
