/*
 * changes.c - from one rule set to the next. See changes.h.
 *
 * What a template means is a text: the conditions of its rule, with what `defaults` adds to them, then the rule's ways,
 * then the template as it is written. A template whose text no old rule has may have missed events: those that were not
 * bound, or not matched, or named other groups. Names and descriptions of rules are no part of it, nor is their order,
 * nor where a setting comes from. Two texts may differ and mean the same; that cancels too much, never too little.
 *
 * The wider group suffices, also for events that named too many groups or could not be read: whatever they were about,
 * the groups that the new template would have named for them lie in it.
 */
#include "changes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "ruleset.h"

#define MEANING_SIZE (64 + 16 * RULE_REPEATS_MAX + 4 * TEMPLATE_CHARACTERS_MAX)

/* ---- Bindings */

static const char *exchange_of(const struct binding *binding)
{
    return binding->exchange != NULL ? binding->exchange : "";
}

static int compare(const void *a, const void *b)
{
    const struct binding *one = a, *other = b;
    int order = strcmp(exchange_of(one), exchange_of(other));
    return order != 0 ? order : strcmp(one->routing_key, other->routing_key);
}

size_t bindings_without(const struct binding *binding, size_t count, const struct binding *other, size_t other_count,
                        struct binding *out)
{
    struct binding *sorted = malloc((other_count + 1) * sizeof *sorted);
    if (sorted == NULL)
        return SIZE_MAX;
    if (other_count > 0)
        memcpy(sorted, other, other_count * sizeof *sorted);
    qsort(sorted, other_count, sizeof *sorted, compare);
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        if (bsearch(&binding[i], sorted, other_count, sizeof *sorted, compare) == NULL)
            out[found++] = binding[i];
    }
    free(sorted);
    return found;
}

/* The bindings of `rules` that `other` does not need. False: out of memory. */
static bool find_bindings(const struct rules *rules, const struct rules *other, struct binding **out, size_t *count)
{
    *out = malloc((rules->binding_count + 1) * sizeof **out);
    if (*out == NULL)
        return false;
    size_t found = bindings_without(rules->bindings, rules->binding_count, other->bindings, other->binding_count, *out);
    *count = found != SIZE_MAX ? found : 0;
    return found != SIZE_MAX;
}

/* ---- Templates */

/* A hash of what the rule asks of an event, with what it takes over from `defaults`. False: out of memory. */
static bool hash_conditions(const struct rules *rules, const struct rule *rule, XXH128_hash_t *hash)
{
    json_t *defaults = json_object_get(json_object_get(rules->document, "defaults"), "when");
    json_t *own = json_object_get(rule->json, "when");
    json_t *when = json_object();
    /* Key by key: what a rule says itself replaces the default as a whole. */
    bool fine = when != NULL && (defaults == NULL || json_object_update(when, defaults) == 0) &&
                (own == NULL || json_object_update(when, own) == 0);
    char *text = fine ? json_dumps(when, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (text != NULL)
        *hash = XXH3_128bits(text, strlen(text));
    fine = text != NULL;
    free(text);
    json_decref(when);
    return fine;
}

static bool add_name(void *context, const char *name, size_t length)
{
    return groups_add(context, name, length);
}

/* Adds what holds every group that the template can name. */
static bool add_wider(struct groups *wider, const struct group_template *compiled)
{
    const char *name = template_wider(compiled);
    if (template_place_count(compiled) > 0)
        return groups_add(wider, name, strlen(name));
    const struct view nothing = {.exchange = "", .routing_key = ""};
    struct expansion expansion;
    return template_expand(compiled, &nothing, MISSING_WIDEN, 1, add_name, wider, &expansion);
}

/* Adds what each template of the rule means to `meanings`; of a meaning that is new there its groups to `wider` (may be
 * NULL). */
static bool add_meanings(const struct rules *rules, const struct rule *rule, struct groups *meanings,
                         struct groups *wider)
{
    XXH128_hash_t conditions;
    if (!hash_conditions(rules, rule, &conditions))
        return false;
    char text[MEANING_SIZE];
    size_t used = (size_t)snprintf(text, sizeof text, "%016llx%016llx %x", (unsigned long long)conditions.high64,
                                   (unsigned long long)conditions.low64, rule->missing);
    for (size_t i = 0; i < rule->repeat_count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, ",%lu", (unsigned long)rule->repeat_after_ms[i]);
    for (size_t i = 0; i < rule->template_count; i++) {
        int length = snprintf(text + used, sizeof text - used, " %s", template_text(rule->templates[i]));
        size_t before = groups_count(meanings);
        if (!groups_add(meanings, text, used + (size_t)length))
            return false;
        if (wider != NULL && groups_count(meanings) > before && !add_wider(wider, rule->templates[i]))
            return false;
    }
    return true;
}

static bool add_rules(const struct rules *rules, struct groups *meanings, struct groups *wider)
{
    for (size_t i = 0; i < rules->count; i++) {
        if (!rules->rule[i].disabled && !add_meanings(rules, &rules->rule[i], meanings, wider))
            return false;
    }
    return true;
}

static bool find_groups(struct groups *cancel, const struct rules *before, const struct rules *after)
{
    bool widens_now = (after->on_malformed & MALFORMED_WIDEN) != 0;
    bool widened_before = (before->on_malformed & MALFORMED_WIDEN) != 0;
    if (widens_now && !widened_before)
        return groups_add(cancel, "*", 1);
    struct groups *meanings = groups_new();
    bool fine = meanings != NULL && add_rules(before, meanings, NULL) && add_rules(after, meanings, cancel);
    groups_free(meanings);
    return fine;
}

bool rules_changes_find(struct rules_changes *changes, const struct rules *before, const struct rules *after)
{
    *changes = (struct rules_changes){.cancel = groups_new()};
    if (changes->cancel != NULL && find_bindings(after, before, &changes->added, &changes->added_count) &&
        find_bindings(before, after, &changes->removed, &changes->removed_count) &&
        find_groups(changes->cancel, before, after))
        return true;
    rules_changes_fini(changes);
    return false;
}

void rules_changes_fini(struct rules_changes *changes)
{
    groups_free(changes->cancel);
    free(changes->added);
    free(changes->removed);
    *changes = (struct rules_changes){0};
}
