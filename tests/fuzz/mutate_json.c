/*
 * mutate_json.c - mutations of JSON text that keep it JSON: values are replaced by others that mean something to rules
 * and events, members are added, renamed, doubled and taken away, strings are changed inside. One time in four the text
 * is changed bytewise all the same, or the parser would see only what jansson prints.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define STRING_BYTES_MAX 512
#define NODES_MAX        4096u

/* What a place may become, as JSON. */
static const char *const fragments[] = {
    "null",
    "true",
    "false",
    "0",
    "-1",
    "42",
    "1.5",
    "9223372036854775807",
    "-9223372036854775808",
    "\"\"",
    "\"*\"",
    "\"#\"",
    "\"order.#\"",
    "\"*.order.*\"",
    "\"a?c*\"",
    "[]",
    "{}",
    "[\"c\", \"u\", \"d\"]",
    "[500, 1000]",
    "500",
    "{\"exists\": true}",
    "{\"exists\": false}",
    "{\"not\": \"x\"}",
    "{\"not\": [\"a*\", null, 1]}",
    "{\"not\": {\"not\": {\"equals\": \"*\"}}}",
    "{\"equals\": \"a*b\"}",
    "\"widen\"",
    "\"skip\"",
    "\"dead_letter\"",
    "[\"widen\", \"dead_letter\"]",
    "\"ignore\"",
    "\"cancel\"",
    "\"tenant:{/id}\"",
    "\"tenant:{/a/*/b? | lower}\"",
    "\"sku:{/a/*}:{/b/*}\"",
    "\"order:{/after/id ?? /before/id}\"",
    "\"region:{routing_key.2 | upper | trim}\"",
    "\"{exchange}\"",
    "\"x:{header.x-tenant}\"",
    "\"x:{header/x-death/0/queue?}\"",
    "\"x:{property.type}\"",
    "\"{{literal}}\"",
    "{\"/a/*/b\": \"x\", \"/a\": [1, 2]}",
    "{\"type\": \"*\"}",
    "{\"/x-death/0\": 1}",
    "{\"exchange\": \"domain\", \"routing_key\": \"order.paid\", \"body\": {\"id\": 1}}",
    "{\"name\": \"r\", \"when\": {\"routing_key\": \"a.#\"}, \"cancel\": [\"a:{/id}\"]}",
    "{\"name\": \"t\", \"event\": {\"body\": null}, \"verdict\": \"ignore\"}",
    "{\"when\": {\"exchange\": \"domain\"}, \"on_missing\": \"skip\", \"repeat_after_ms\": [1]}",
};

static const char *const keys[] = {
    "$schema",
    "version",
    "description",
    "defaults",
    "unmatched",
    "on_malformed",
    "rules",
    "tests",
    "name",
    "disabled",
    "when",
    "cancel",
    "on_missing",
    "repeat_after_ms",
    "exchange",
    "routing_key",
    "headers",
    "properties",
    "body",
    "body_text",
    "body_base64",
    "exists",
    "not",
    "equals",
    "event",
    "groups",
    "verdict",
    "/id",
    "/a/*/b",
    "/",
    "",
    "/payload/op",
    "x-tenant",
    "/x-death/0/queue",
    "type",
    "content_type",
    "priority",
    "timestamp",
    "id",
    "tenant_id",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* xorshift64*; the seed is all there is, so that libFuzzer can repeat a mutation. */
static size_t draw(uint64_t *state, size_t below)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (size_t)((*state * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % below;
}

static json_t *draw_fragment(uint64_t *state)
{
    return json_loads(fragments[draw(state, COUNT(fragments))], JSON_DECODE_ANY, NULL);
}

/* A container of the document, the `wanted`th in the order of a walk; what is left of `wanted` comes back. */
static json_t *find_container(json_t *value, size_t *wanted)
{
    if (!json_is_object(value) && !json_is_array(value))
        return NULL;
    if ((*wanted)-- == 0)
        return value;
    json_t *found = NULL;
    if (json_is_object(value)) {
        for (void *at = json_object_iter(value); at != NULL && found == NULL; at = json_object_iter_next(value, at))
            found = find_container(json_object_iter_value(at), wanted);
    } else {
        for (size_t i = 0; i < json_array_size(value) && found == NULL; i++)
            found = find_container(json_array_get(value, i), wanted);
    }
    return found;
}

static size_t count_containers(json_t *value)
{
    size_t count = 0;
    if (json_is_object(value)) {
        count = 1;
        for (void *at = json_object_iter(value); at != NULL && count < NODES_MAX; at = json_object_iter_next(value, at))
            count += count_containers(json_object_iter_value(at));
    } else if (json_is_array(value)) {
        count = 1;
        for (size_t i = 0; i < json_array_size(value) && count < NODES_MAX; i++)
            count += count_containers(json_array_get(value, i));
    }
    return count;
}

/* The string with its bytes changed, or NULL if that is none any more. */
static json_t *change_string(const json_t *string)
{
    uint8_t bytes[STRING_BYTES_MAX];
    size_t length = json_string_length(string);
    if (length == 0 || length > sizeof bytes / 2)
        return NULL;
    memcpy(bytes, json_string_value(string), length);
    length = LLVMFuzzerMutate(bytes, length, sizeof bytes);
    return json_stringn((const char *)bytes, length);
}

static json_t *draw_value(const json_t *present, uint64_t *state)
{
    json_t *changed = json_is_string(present) && draw(state, 2) == 0 ? change_string(present) : NULL;
    return changed != NULL ? changed : draw_fragment(state);
}

static void change_object(json_t *object, uint64_t *state)
{
    size_t size = json_object_size(object);
    size_t wanted = size > 0 ? draw(state, size) : 0;
    void *at = json_object_iter(object);
    while (wanted-- > 0 && at != NULL)
        at = json_object_iter_next(object, at);
    switch (at != NULL ? draw(state, 4) : 3) {
    case 0:
        json_object_iter_set_new(object, at, draw_value(json_object_iter_value(at), state));
        break;
    case 1:
        json_object_del(object, json_object_iter_key(at));
        break;
    case 2: {
        json_t *value = json_incref(json_object_iter_value(at));
        json_object_del(object, json_object_iter_key(at));
        json_object_set_new(object, keys[draw(state, COUNT(keys))], value);
        break;
    }
    default:
        json_object_set_new(object, keys[draw(state, COUNT(keys))], draw_fragment(state));
        break;
    }
}

static void change_array(json_t *array, uint64_t *state)
{
    size_t size = json_array_size(array);
    size_t wanted = size > 0 ? draw(state, size) : 0;
    switch (size > 0 ? draw(state, 4) : 3) {
    case 0:
        json_array_set_new(array, wanted, draw_value(json_array_get(array, wanted), state));
        break;
    case 1:
        json_array_remove(array, wanted);
        break;
    case 2:
        json_array_append_new(array, json_deep_copy(json_array_get(array, wanted)));
        break;
    default:
        json_array_append_new(array, draw_fragment(state));
        break;
    }
}

size_t fuzz_mutate_json(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    json_t *root =
        draw(&state, 4) != 0 ? json_loadb((const char *)data, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
    size_t containers = root != NULL ? count_containers(root) : 0;
    size_t dumped = 0;
    if (containers > 0) {
        for (size_t changes = 1 + draw(&state, 3); changes > 0; changes--) {
            size_t wanted = draw(&state, containers);
            json_t *container = find_container(root, &wanted);
            if (json_is_object(container))
                change_object(container, &state);
            else if (json_is_array(container))
                change_array(container, &state);
        }
        dumped = json_dumpb(root, (char *)data, max_size, JSON_ENCODE_ANY | (draw(&state, 2) == 0 ? JSON_COMPACT : 0));
    }
    json_decref(root);
    /* What did not fit has overwritten the input in part; libFuzzer takes that as it is. */
    if (containers > 0 && dumped > 0)
        return dumped <= max_size ? dumped : max_size;
    return LLVMFuzzerMutate(data, size, max_size);
}
