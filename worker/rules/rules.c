/*
 * rules.c - reading a rules file: every check that the schema makes, and those that it cannot.
 *
 * Reading goes on after a problem, so that all of them are told at once; the rule set is thrown away at the end if
 * there was any. The schema (schemas/rules.schema.json) and this file change together: a test compares them.
 */
#include "rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "json_file.h"
#include "quote.h"
#include "ruleset.h"
#include "short_string.h"

#define EVERY_ROUTING_KEY "#"

static void out_of_memory(struct problems *problems, const struct json_place *place)
{
    json_problem(problems, place, "out of memory");
}

/* `names`: the names so far, each with the index of its rule. */
static void read_name(struct rule *rule, const json_t *json, json_t *names, size_t index,
                      const struct json_place *place, struct problems *problems)
{
    static const char expected[] = "a name that no other rule has, for logs and explain";
    json_t *value = json_require(json, "name", expected, place, problems);
    if (value == NULL)
        return;
    struct json_place here = json_place_key(place, "name");
    if (!json_expect(value, JSON_STRING, expected, &here, problems))
        return;

    rule->name = json_string_value(value);
    size_t characters = json_characters(value);
    if (characters == 0)
        json_problem(problems, &here, "found an empty name; expected %s", expected);
    else if (characters > RULE_NAME_CHARACTERS_MAX)
        json_problem(problems, &here, "the name has %zu characters; at most %d are allowed", characters,
                     RULE_NAME_CHARACTERS_MAX);
    for (const char *c = rule->name; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            json_problem(problems, &here, "the name contains a control character; take it out");
            break;
        }
    }

    const json_t *other = json_object_get(names, rule->name);
    char shown[QUOTE_SIZE];
    if (other != NULL)
        json_problem(problems, &here, "the name %s is taken by /rules/%" JSON_INTEGER_FORMAT "; give each rule its own",
                     quote_text(shown, sizeof shown, rule->name, strlen(rule->name)), json_integer_value(other));
    else if (json_object_set_new(names, rule->name, json_integer((json_int_t)index)) != 0)
        out_of_memory(problems, &here);
}

static void read_templates(struct rule *rule, const json_t *json, const struct json_place *place,
                           struct problems *problems)
{
    static const char expected[] = "a list of groups, as in [\"tenant:{/tenant/id}\"]";
    json_t *list = json_require(json, "cancel", expected, place, problems);
    if (list == NULL)
        return;
    struct json_place here = json_place_key(place, "cancel");
    if (!json_expect(list, JSON_ARRAY, expected, &here, problems))
        return;
    size_t count = json_array_size(list);
    if (count == 0 || count > RULE_TEMPLATES_MAX) {
        json_problem(problems, &here, "found %zu templates; a rule has 1 to %d", count, RULE_TEMPLATES_MAX);
        return;
    }
    rule->templates = calloc(count, sizeof(struct group_template *));
    if (rule->templates == NULL) {
        out_of_memory(problems, &here);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        json_t *value = json_array_get(list, i);
        struct json_place item = json_place_index(&here, i);
        if (!json_expect(value, JSON_STRING, "a group, as in \"tenant:{/tenant/id}\"", &item, problems))
            continue;
        char problem[256];
        struct group_template *compiled =
            template_compile(json_string_value(value), json_string_length(value), problem, sizeof problem);
        if (compiled == NULL) {
            json_problem(problems, &item, "%s", problem);
            continue;
        }
        rule->templates[rule->template_count++] = compiled;
        rule->needs_body = rule->needs_body || template_needs_body(compiled);
    }
}

static void read_on_missing(struct rule *rule, const json_t *json, const struct json_place *place,
                            struct problems *problems)
{
    static const char expected[] = "\"widen\" (the default: cancel the whole kind) or \"skip\"";
    static const char *const known[] = {"widen", "skip", NULL};
    const json_t *value = json_object_get(json, "on_missing");
    struct json_place here = json_place_key(place, "on_missing");
    if (value == NULL || !json_expect(value, JSON_STRING, expected, &here, problems))
        return;
    const char *word = json_string_value(value);
    rule->skip_missing = strcmp(word, "skip") == 0;
    if (rule->skip_missing || strcmp(word, "widen") == 0)
        return;
    char shown[QUOTE_SIZE];
    quote_text(shown, sizeof shown, word, strlen(word));
    const char *nearest = nearest_word(word, known);
    if (nearest != NULL)
        json_problem(problems, &here, "%s is not known to this version; did you mean \"%s\"?", shown, nearest);
    else
        json_problem(problems, &here, "%s is not known to this version; expected %s", shown, expected);
}

static void read_rule(struct rule *rule, json_t *json, json_t *names, size_t index, const struct json_place *place,
                      struct problems *problems)
{
    static const char *const known[] = {"name", "when", "cancel", "on_missing", NULL};
    if (!json_expect(json, JSON_OBJECT, "a rule: an object with \"name\", \"when\" and \"cancel\"", place, problems))
        return;
    json_check_keys(json, known, place, problems);
    read_name(rule, json, names, index, place, problems);
    struct json_place when_place = json_place_key(place, "when");
    rule->condition = condition_read(json_object_get(json, "when"), &when_place, problems);
    read_templates(rule, json, place, problems);
    read_on_missing(rule, json, place, problems);
    if (rule->condition != NULL)
        rule->needs_body = rule->needs_body || condition_needs_body(rule->condition);
}

static void read_rules(struct rules *rules, const json_t *root, struct problems *problems)
{
    static const char expected[] = "a list of rules";
    json_t *list = json_require(root, "rules", expected, NULL, problems);
    if (list == NULL)
        return;
    struct json_place here = json_place_key(NULL, "rules");
    if (!json_expect(list, JSON_ARRAY, expected, &here, problems))
        return;
    size_t count = json_array_size(list);
    if (count == 0) {
        json_problem(problems, &here, "found no rule, so that nothing would ever be cancelled; add one");
        return;
    }
    if (count > RULES_MAX) {
        json_problem(problems, &here, "found %zu rules; at most %d are allowed", count, RULES_MAX);
        return;
    }
    json_t *names = json_object();
    rules->rule = calloc(count, sizeof *rules->rule);
    if (rules->rule == NULL || names == NULL) {
        out_of_memory(problems, &here);
        json_decref(names);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct json_place item = json_place_index(&here, i);
        rules->count++;
        read_rule(&rules->rule[i], json_array_get(list, i), names, i, &item, problems);
    }
    json_decref(names);
}

static void read_version(const json_t *root, struct problems *problems)
{
    const json_t *value = json_require(root, "version", "\"version\": 1", NULL, problems);
    struct json_place here = json_place_key(NULL, "version");
    if (value != NULL && json_expect(value, JSON_INTEGER, "the integer 1", &here, problems) &&
        json_integer_value(value) != 1)
        json_problem(problems, &here, "version %" JSON_INTEGER_FORMAT " is not known to this quash; expected 1",
                     json_integer_value(value));
}

static void read_document(struct rules *rules, json_t *root, struct problems *problems)
{
    static const char *const known[] = {"$schema", "version", "rules", NULL};
    if (!json_expect(root, JSON_OBJECT, "a rules file: an object with \"version\" and \"rules\"", NULL, problems))
        return;
    json_check_keys(root, known, NULL, problems);
    const json_t *schema = json_object_get(root, "$schema");
    struct json_place schema_place = json_place_key(NULL, "$schema");
    if (schema != NULL)
        json_expect(schema, JSON_STRING, "where the schema is, for editors", &schema_place, problems);
    read_version(root, problems);
    read_rules(rules, root, problems);
}

/* The pairs of exchange and routing key of all rules; whether each pair is new is looked up in a set of names. */
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

/* Adds every pair of one rule's exchanges and routing keys; stops once there are too many in all. */
static bool bind_rule(struct rules *rules, const struct rule *rule, size_t *room, struct groups *seen)
{
    static const char *const every[] = {EVERY_ROUTING_KEY};
    const char *const fallback[] = {rules->default_exchange};
    size_t exchange_count, key_count;
    const char *const *exchanges = condition_exchanges(rule->condition, &exchange_count);
    const char *const *keys = condition_routing_keys(rule->condition, &key_count);
    if (exchange_count == 0) {
        exchanges = fallback;
        exchange_count = 1;
    }
    if (key_count == 0) {
        keys = every;
        key_count = 1;
    }
    for (size_t i = 0; i < exchange_count; i++) {
        for (size_t j = 0; j < key_count && rules->binding_count <= RULES_BINDINGS_MAX; j++) {
            if (!add_binding(rules, room, seen, exchanges[i], keys[j]))
                return false;
        }
    }
    return true;
}

static void derive_bindings(struct rules *rules, struct problems *problems)
{
    struct groups *seen = groups_new();
    size_t room = 0;
    bool fine = seen != NULL;
    for (size_t i = 0; i < rules->count && fine; i++)
        fine = bind_rule(rules, &rules->rule[i], &room, seen);
    groups_free(seen);
    struct json_place here = json_place_key(NULL, "rules");
    if (!fine)
        out_of_memory(problems, &here);
    else if (rules->binding_count > RULES_BINDINGS_MAX)
        json_problem(problems, &here,
                     "the rules need more than %d bindings (each exchange of a rule with each of its routing keys); "
                     "use wildcards in routing keys",
                     RULES_BINDINGS_MAX);
}

static void hash_document(struct rules *rules, struct problems *problems)
{
    bool uses_default = false;
    for (size_t i = 0; i < rules->count; i++) {
        size_t count;
        condition_exchanges(rules->rule[i].condition, &count);
        uses_default = uses_default || count == 0;
    }
    json_object_del(rules->document, "$schema");
    char *canonical = json_dumps(rules->document, JSON_COMPACT | JSON_SORT_KEYS);
    if (canonical == NULL) {
        out_of_memory(problems, NULL);
        return;
    }
    uint64_t hash = XXH64(canonical, strlen(canonical), 0);
    if (uses_default && rules->default_exchange != NULL)
        hash = XXH64(rules->default_exchange, strlen(rules->default_exchange), hash);
    rules->hash = hash != 0 ? hash : 1;
    free(canonical);
}

/* Takes the file's document; the file itself stays the caller's. */
static struct rules *compile(struct json_file *file, const char *default_exchange, struct problems *problems)
{
    size_t before = problems->count;
    struct rules *rules = calloc(1, sizeof *rules);
    if (rules == NULL) {
        out_of_memory(problems, NULL);
        return NULL;
    }
    rules->document = file->json;
    file->json = NULL;
    if (default_exchange != NULL) {
        rules->default_exchange = strdup(default_exchange);
        if (rules->default_exchange == NULL)
            out_of_memory(problems, NULL);
    }
    if (problems->count == before)
        read_document(rules, rules->document, problems);
    if (problems->count == before)
        derive_bindings(rules, problems);
    if (problems->count == before)
        hash_document(rules, problems);
    if (problems->count == before)
        return rules;

    json_file_locate(file, problems);
    rules_free(rules);
    return NULL;
}

struct rules *rules_load(const char *path, const char *default_exchange, struct problems *problems)
{
    struct json_file file;
    if (!json_file_load(&file, path, RULES_FILE_BYTES_MAX, problems))
        return NULL;
    struct rules *rules = compile(&file, default_exchange, problems);
    json_file_fini(&file);
    return rules;
}

struct rules *rules_parse(const char *text, size_t size, const char *default_exchange, struct problems *problems)
{
    struct json_file file;
    if (!json_file_parse(&file, text, size, problems))
        return NULL;
    struct rules *rules = compile(&file, default_exchange, problems);
    json_file_fini(&file);
    return rules;
}

void rules_free(struct rules *rules)
{
    if (rules == NULL)
        return;
    for (size_t i = 0; i < rules->count; i++) {
        struct rule *rule = &rules->rule[i];
        condition_free(rule->condition);
        for (size_t j = 0; j < rule->template_count; j++)
            template_free(rule->templates[j]);
        free(rule->templates);
    }
    free(rules->rule);
    free(rules->bindings);
    free(rules->default_exchange);
    json_decref(rules->document);
    free(rules);
}

size_t rules_count(const struct rules *rules)
{
    return rules->count;
}

const char *rules_name(const struct rules *rules, size_t index)
{
    return rules->rule[index].name;
}

uint64_t rules_hash(const struct rules *rules)
{
    return rules->hash;
}

size_t rules_binding_count(const struct rules *rules)
{
    return rules->binding_count;
}

const struct binding *rules_bindings(const struct rules *rules)
{
    return rules->bindings;
}
