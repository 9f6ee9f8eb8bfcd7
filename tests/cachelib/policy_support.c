#include "policy_support.h"

#include <stdlib.h>

static uint32_t hash_of(uint32_t number)
{
    number ^= number >> 16;
    number *= UINT32_C(0x85ebca6b);
    number ^= number >> 13;
    number *= UINT32_C(0xc2b2ae35);
    return number ^ number >> 16;
}

void item_make(struct item *item, uint32_t key, quash_priority priority, size_t charge)
{
    memset(item, 0, sizeof *item);
    item->entry.hash = hash_of(key);
    item->entry.flags = (uint8_t)(ENTRY_IS_OBJECT | (unsigned)priority << ENTRY_PRIORITY_SHIFT);
    item->entry.value_size = sizeof item->object;
    size_t own = entry_charge(&item->entry);
    assert_true(own <= charge);
    item->object.cost = charge - own;
    assert_int_equal(entry_charge(&item->entry), charge);
}

struct item *new_items(uint32_t count, quash_priority priority)
{
    struct item *items = malloc(count * sizeof *items);
    assert_non_null(items);
    for (uint32_t i = 0; i < count; i++)
        item_make(&items[i], i, priority, CHARGE);
    return items;
}

void use(struct item *item, unsigned times)
{
    unsigned uses = atomic_load(&item->entry.uses) + times;
    atomic_store(&item->entry.uses, (uint8_t)(uses < ENTRY_USES_MAX ? uses : ENTRY_USES_MAX));
}

void add(struct policy *policy, struct item *item)
{
    struct policy_victims victims;
    assert_int_equal(policy_reserve(policy, entry_charge(&item->entry), &victims), POLICY_ROOM);
    assert_int_equal(victims.count, 0);
    policy_add(policy, &item->entry);
}

void add_all(struct policy *policy, struct item *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        add(policy, &items[i]);
}

struct item *add_evicting(struct policy *policy, struct item *item)
{
    struct policy_victims victims;
    assert_int_equal(policy_reserve(policy, entry_charge(&item->entry), &victims), POLICY_ROOM);
    assert_int_equal(victims.count, 1);
    assert_int_equal(victims.entry[0]->queue, POLICY_NONE);
    policy_add(policy, &item->entry);
    assert_true(policy->bytes <= policy->max_bytes);
    return (struct item *)victims.entry[0];
}

void empty(struct policy *policy, struct item *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        policy_remove(policy, &items[i].entry);
    assert_int_equal(policy_entries(policy), 0);
    assert_int_equal(policy->bytes, 0);
    assert_int_equal(policy->reserved, 0);
}

uint64_t next_random(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random >> 16;
}
