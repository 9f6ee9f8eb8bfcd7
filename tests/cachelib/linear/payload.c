/*
 * payload.c - values that know their number, so that each answer says which it is, and that show when they were
 * overwritten or destroyed under their holder.
 */
#include "world.h"

#include <stdlib.h>

#define ALIVE UINT64_C(0x600d600d600d600d)

struct payload {
    uint64_t alive;
    uint32_t number;
    uint32_t key;
    uint64_t sealed; /* of the two before it */
};

static struct payload payload_make(uint32_t number, const struct value *value)
{
    struct payload payload = {.alive = ALIVE, .number = number, .key = value->key};
    payload.sealed = ALIVE ^ ((uint64_t)number << 32 | value->key) * UINT64_C(0x9e3779b97f4a7c15);
    return payload;
}

void payload_write(unsigned char bytes[PAYLOAD_BYTES_MAX], uint32_t number, const struct value *value)
{
    const struct payload payload = payload_make(number, value);
    memset(bytes, (int)(number & 0xff), value->size);
    memcpy(bytes, &payload, sizeof payload);
}

void *payload_object(struct world *world, uint32_t number, const struct value *value)
{
    struct payload *object = malloc(sizeof *object);
    if (object == NULL)
        support_fail("no memory");
    *object = payload_make(number, value);
    atomic_fetch_add(&world->objects_made, 1);
    return object;
}

void payload_destroy(void *object, void *context)
{
    struct world *world = context;
    struct payload *payload = object;
    if (payload->alive != ALIVE)
        world_wrong(world, "an object was destroyed that is none, or was destroyed already");
    payload->alive = 0;
    free(payload);
    atomic_fetch_add(&world->objects_destroyed, 1);
}

uint32_t payload_number(struct world *world, const quash_entry *entry)
{
    struct payload payload;
    const unsigned char *bytes = quash_entry_bytes(entry);
    const void *object = quash_entry_object(entry);
    size_t size = quash_entry_size(entry);
    if (object != NULL) {
        memcpy(&payload, object, sizeof payload);
    } else if (bytes == NULL || size < sizeof payload || size > PAYLOAD_BYTES_MAX) {
        world_wrong(world, "an entry has %zu bytes, which no value has", size);
        return 0;
    } else {
        memcpy(&payload, bytes, sizeof payload);
    }
    if (payload.alive != ALIVE || payload.number == 0 || payload.number > ACTORS_MAX * VALUES_EACH) {
        world_wrong(world, "an entry is not what it was made to be: its value was destroyed or overwritten");
        return 0;
    }
    const struct payload made = payload_make(payload.number, &(struct value){.key = (uint8_t)payload.key});
    bool whole = payload.sealed == made.sealed;
    for (size_t i = sizeof payload; bytes != NULL && i < size; i++)
        whole = whole && bytes[i] == (payload.number & 0xff);
    if (!whole)
        world_wrong(world, "value %u is not as it was made: it was overwritten", payload.number);
    return payload.number;
}
