/*
 * rules_workload.c - see rules_workload.h.
 */
#include "rules_workload.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

#define EXCHANGES      8u   /* of the shape domain */
#define DELETERS_EVERY 100u /* rules, until each exchange has one that wants all its deletions */
#define RULE_BYTES     400u

const char *const rules_shapes[] = {[RULES_DOMAIN] = "domain", [RULES_CDC] = "cdc", NULL};

static bool is_deleter(uint64_t rule)
{
    return rule % DELETERS_EVERY == DELETERS_EVERY - 1 && rule < DELETERS_EVERY * EXCHANGES;
}

static int write_rule(enum rules_shape shape, uint64_t rule, char *out, size_t size)
{
    if (shape == RULES_CDC)
        return snprintf(out, size,
                        "{\"name\": \"table %" PRIu64 "\", \"when\": {\"exchange\": \"cdc\", \"body\": "
                        "{\"/payload/source/table\": \"table_%" PRIu64 "\", \"/payload/op\": [\"c\", \"u\", \"d\"]}}, "
                        "\"cancel\": [\"tenant:{/payload/before/tenant_id?}\", \"tenant:{/payload/after/tenant_id?}\", "
                        "\"table_%" PRIu64 ":{/payload/after/id ?? /payload/before/id}\"]}",
                        rule, rule, rule);
    if (is_deleter(rule))
        return snprintf(out, size,
                        "{\"name\": \"deleted %" PRIu64 "\", \"when\": {\"exchange\": \"shop.%" PRIu64 "\", "
                        "\"routing_key\": \"*.deleted.#\"}, \"cancel\": [\"catalog_%" PRIu64 ":{/data/warehouse}\"]}",
                        rule, rule / DELETERS_EVERY, rule);
    return snprintf(
        out, size,
        "{\"name\": \"entity %" PRIu64 "\", \"when\": {\"exchange\": \"shop.%" PRIu64 "\", \"routing_key\": "
        "\"entity_%" PRIu64 ".#\"}, \"cancel\": [\"tenant:{/tenantid}\", \"entity_%" PRIu64 ":{/data/id}\"]}",
        rule, rule % EXCHANGES, rule, rule);
}

char *rules_workload_text(enum rules_shape shape, uint64_t rules)
{
    size_t size = (size_t)rules * RULE_BYTES + 64;
    char *text = malloc(size);
    if (text == NULL)
        return NULL;
    size_t used = (size_t)snprintf(text, size, "{\"version\": 1, \"rules\": [");
    for (uint64_t i = 0; i < rules; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s", i > 0 ? ",\n" : "");
        used += (size_t)write_rule(shape, i, text + used, size - used);
    }
    snprintf(text + used, size - used, "]}");
    return text;
}

__attribute__((format(printf, 2, 3))) static void add_group(struct rules_event *event, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(event->groups[event->group_count], sizeof event->groups[0], format, arguments);
    va_end(arguments);
    size_t at = event->group_count++;
    for (; at > 0 && strcmp(event->groups[at - 1], event->groups[at]) > 0; at--) {
        char swapped[sizeof event->groups[0]];
        memcpy(swapped, event->groups[at], sizeof swapped);
        memcpy(event->groups[at], event->groups[at - 1], sizeof swapped);
        memcpy(event->groups[at - 1], swapped, sizeof swapped);
    }
}

/* The row moves from one tenant to another. */
static void make_change(uint64_t rule, uint64_t *random, struct rules_event *event)
{
    uint32_t id = 1000000 + random_below(random, 1000000), from = 100 + random_below(random, 400);
    uint32_t to = 500 + random_below(random, 400);
    snprintf(event->exchange, sizeof event->exchange, "cdc");
    snprintf(event->routing_key, sizeof event->routing_key, "shop.public.table_%" PRIu64, rule);
    event->body_size = (size_t)snprintf(
        event->body, sizeof event->body,
        "{\"payload\":{\"before\":{\"id\":%u,\"tenant_id\":%u},\"after\":{\"id\":%u,\"tenant_id\":%u,\"status\":"
        "\"paid\"},"
        "\"source\":{\"connector\":\"postgresql\",\"db\":\"shop\",\"schema\":\"public\",\"table\":\"table_%" PRIu64
        "\",\"lsn\":24023128,\"ts_ms\":1767225600000},\"op\":\"u\",\"ts_ms\":1767225600123}}",
        id, from, id, to, rule);
    add_group(event, "tenant:%u", from);
    add_group(event, "tenant:%u", to);
    add_group(event, "table_%" PRIu64 ":%u", rule, id);
}

static void make_domain_event(uint64_t rules, uint64_t rule, uint64_t *random, struct rules_event *event)
{
    uint32_t id = 1000000 + random_below(random, 1000000), tenant = 100 + random_below(random, 900);
    bool deleted = random_below(random, 8) == 0;
    uint64_t exchange = rule % EXCHANGES;
    const char *action = deleted ? "deleted" : "updated";
    snprintf(event->exchange, sizeof event->exchange, "shop.%" PRIu64, exchange);
    snprintf(event->routing_key, sizeof event->routing_key, "entity_%" PRIu64 ".%s.eu-west", rule, action);
    event->body_size = (size_t)snprintf(
        event->body, sizeof event->body,
        "{\"specversion\":\"1.0\",\"id\":\"5f0c7d6e-%u\",\"source\":\"/shop/%" PRIu64
        "\",\"type\":\"com.acme.entity.%s\","
        "\"time\":\"2026-01-01T00:00:00Z\",\"tenantid\":\"%u\",\"data\":{\"id\":%u,\"status\":\"paid\",\"total\":\"129."
        "90\","
        "\"currency\":\"EUR\",\"lines\":3,\"customer\":{\"id\":7781,\"segment\":\"b2b\"},\"warehouse\":\"eu-west-3\"}}",
        id, rule, action, tenant, id);
    add_group(event, "tenant:%u", tenant);
    add_group(event, "entity_%" PRIu64 ":%u", rule, id);
    uint64_t deleter = exchange * DELETERS_EVERY + DELETERS_EVERY - 1;
    if (deleted && deleter < rules)
        add_group(event, "catalog_%" PRIu64 ":eu-west-3", deleter);
}

void rules_workload_event(enum rules_shape shape, uint64_t rules, uint64_t *random, struct rules_event *event)
{
    uint64_t rule = random_below(random, (uint32_t)rules);
    event->group_count = 0;
    if (shape == RULES_CDC) {
        make_change(rule, random, event);
        return;
    }
    if (is_deleter(rule))
        rule--;
    make_domain_event(rules, rule, random, event);
}
