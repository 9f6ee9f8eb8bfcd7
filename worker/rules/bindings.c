/*
 * bindings.c - which exchanges and routing keys the queue is bound to so that every event that a rule is about arrives.
 *
 * A rule that names its exchanges is bound to those; which exchanges a glob or a "not" means cannot be known
 * beforehand, so such a rule listens at the default exchange, where other exchanges may be bound to. A "not" of routing
 * keys needs them all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quote.h"
#include "rules_read.h"
#include "short_string.h"

/* The pairs that one rule needs: each of the exchanges with each of the keys. */
struct needs {
    const char *const *exchanges;
    size_t exchange_count;
    const char *const *keys;
    size_t key_count;
};

static bool names_exchanges(const struct rule *rule)
{
    size_t count;
    const struct matcher *exchange = condition_exchange(rule->condition);
    return exchange != NULL && matcher_strings(exchange, &count) != NULL;
}

static struct needs needs_of(const struct rules *rules, const struct rule *rule)
{
    static const char *const every_key[] = {"#"};
    struct needs needs = {(const char *const *)&rules->default_exchange, 1, every_key, 1};
    if (names_exchanges(rule))
        needs.exchanges = matcher_strings(condition_exchange(rule->condition), &needs.exchange_count);
    const struct matcher *key = condition_routing_key(rule->condition);
    if (key != NULL && !matcher_has_not(key))
        needs.keys = matcher_strings(key, &needs.key_count);
    return needs;
}

/* Whether each pair is new is looked up in a set of names. */
static bool add_binding(struct rules *rules, size_t *room, struct groups *seen, const char *exchange,
                        const char *routing_key)
{
    /* Two short strings, and between them a byte that UTF-8 never has. */
    char pair[2 * SHORT_STRING_SIZE];
    int length = snprintf(pair, sizeof pair, "%s\xff%s", exchange != NULL ? exchange : "", routing_key);
    size_t before = groups_count(seen);
    if (!groups_add(seen, pair, (size_t)length))
        return false;
    if (groups_count(seen) == before)
        return true;
    if (rules->binding_count == *room) {
        size_t larger = *room == 0 ? 16 : *room * 2;
        struct binding *bindings = realloc(rules->bindings, larger * sizeof *bindings);
        if (bindings == NULL)
            return false;
        rules->bindings = bindings;
        *room = larger;
    }
    rules->bindings[rules->binding_count++] = (struct binding){exchange, routing_key};
    return true;
}

/* Stops once there are too many in all. */
static bool bind_rule(struct rules *rules, const struct rule *rule, size_t *room, struct groups *seen)
{
    struct needs needs = needs_of(rules, rule);
    for (size_t i = 0; i < needs.exchange_count; i++) {
        for (size_t j = 0; j < needs.key_count && rules->binding_count <= RULES_BINDINGS_MAX; j++) {
            if (!add_binding(rules, room, seen, needs.exchanges[i], needs.keys[j]))
                return false;
        }
    }
    return true;
}

void rules_derive_bindings(struct rules *rules, struct problems *problems)
{
    struct groups *seen = groups_new();
    size_t room = 0;
    bool fine = seen != NULL;
    for (size_t i = 0; i < rules->count && fine; i++)
        fine = rules->rule[i].disabled || bind_rule(rules, &rules->rule[i], &room, seen);
    groups_free(seen);
    struct json_place here = json_place_key(NULL, "rules");
    if (!fine)
        json_problem(problems, &here, "out of memory");
    else if (rules->binding_count > RULES_BINDINGS_MAX)
        json_problem(problems, &here,
                     "the rules need more than %d bindings (each exchange of a rule with each of its routing keys); "
                     "use wildcards in routing keys",
                     RULES_BINDINGS_MAX);
}

bool rules_use_default_exchange(const struct rules *rules)
{
    for (size_t i = 0; i < rules->count; i++) {
        if (!rules->rule[i].disabled && !names_exchanges(&rules->rule[i]))
            return true;
    }
    return false;
}

size_t rules_binding_count(const struct rules *rules)
{
    return rules->binding_count;
}

const struct binding *rules_bindings(const struct rules *rules)
{
    return rules->bindings;
}

/* `string` may be NULL. */
static bool is_one_of(const char *string, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (string == NULL || list[i] == NULL ? string == list[i] : strcmp(string, list[i]) == 0)
            return true;
    }
    return false;
}

const char *rules_of_binding(const struct rules *rules, const struct binding *binding, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < rules->count; i++) {
        const struct rule *rule = &rules->rule[i];
        struct needs needs = needs_of(rules, rule);
        if (rule->disabled || !is_one_of(binding->exchange, needs.exchanges, needs.exchange_count) ||
            !is_one_of(binding->routing_key, needs.keys, needs.key_count))
            continue;
        char shown[QUOTE_SIZE];
        quote_text(shown, sizeof shown, rule->name, strlen(rule->name));
        const char *separator = used > 0 ? ", " : "";
        if (used + strlen(separator) + strlen(shown) >= size)
            break;
        used += (size_t)snprintf(out + used, size - used, "%s%s", separator, shown);
    }
    return out;
}
