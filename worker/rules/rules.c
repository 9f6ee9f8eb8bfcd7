/*
 * rules.c - the life of a rule set: loaded, checked and compiled whole, or refused whole.
 */
#include "rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "index.h"
#include "json_file.h"
#include "lint.h"
#include "quote.h"
#include "rules_read.h"

static void out_of_memory(struct problems *problems)
{
    json_problem(problems, NULL, "out of memory");
}

/* ---- Hash */

/* The rules without their descriptions, in a new array. */
static json_t *bare_rules(const json_t *list)
{
    json_t *bare = json_array();
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *copy = json_copy(json_array_get(list, i));
        json_object_del(copy, "description");
        if (json_array_append_new(bare, copy) != 0) {
            json_decref(bare);
            return NULL;
        }
    }
    return bare;
}

/* What the file says to the worker, in one order; the caller frees. NULL when memory ran out. */
static char *canonical_text(json_t *document)
{
    static const char *const without[] = {"$schema", "description", "tests"};
    char *text = NULL;
    json_t *bare = json_copy(document);
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        json_object_del(bare, without[i]);
    json_t *list = bare_rules(json_object_get(document, "rules"));
    if (bare != NULL && list != NULL && json_object_set(bare, "rules", list) == 0)
        text = json_dumps(bare, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(list);
    json_decref(bare);
    return text;
}

static void hash_rules(struct rules *rules, struct problems *problems)
{
    char *text = canonical_text(rules->document);
    if (text == NULL) {
        out_of_memory(problems);
        return;
    }
    uint64_t hash = XXH64(text, strlen(text), 0);
    if (rules->default_exchange != NULL && rules_use_default_exchange(rules))
        hash = XXH64(rules->default_exchange, strlen(rules->default_exchange), hash);
    rules->hash = hash != 0 ? hash : 1;
    free(text);
}

/* ---- Dead letters */

/* Of a file that says so in one of its own keys. */
static const char *file_asks(const struct rules *rules)
{
    if (rules->unmatched_dead_letter)
        return "the file has \"unmatched\": \"dead_letter\"";
    if (rules->malformed_by_default || (rules->on_malformed & MALFORMED_DEAD_LETTER) == 0)
        return NULL;
    return (rules->on_malformed & MALFORMED_WIDEN) != 0 ? "the file has \"on_malformed\" with \"dead_letter\" in it"
                                                        : "the file has \"on_malformed\": \"dead_letter\"";
}

static void find_what_asks_for_dead_letters(struct rules *rules, struct problems *problems)
{
    char sentence[QUOTE_SIZE + 96];
    const char *found = file_asks(rules);
    for (size_t i = 0; i < rules->count && found == NULL; i++) {
        const struct rule *rule = &rules->rule[i];
        if (rule->disabled || (rule->missing & MISSING_DEAD_LETTER) == 0)
            continue;
        char name[QUOTE_SIZE];
        bool own = json_object_get(rule->json, "on_missing") != NULL;
        snprintf(sentence, sizeof sentence, "rule %s has \"on_missing\" with \"dead_letter\"%s",
                 quote_text(name, sizeof name, rule->name, strlen(rule->name)), own ? "" : ", from \"defaults\"");
        found = sentence;
    }
    if (found == NULL)
        return;
    rules->asks_for_dead_letters = strdup(found);
    if (rules->asks_for_dead_letters == NULL)
        out_of_memory(problems);
}

const char *rules_asks_for_dead_letters(const struct rules *rules)
{
    return rules->asks_for_dead_letters;
}

/* ---- Life */

static void finish(struct rules *rules, struct problems *problems)
{
    size_t before = problems->count;
    rules_derive_bindings(rules, problems);
    if (problems->count == before)
        find_what_asks_for_dead_letters(rules, problems);
    if (problems->count == before)
        hash_rules(rules, problems);
    if (problems->count != before)
        return;
    rules->index = rule_index_new(rules);
    if (rules->index == NULL)
        out_of_memory(problems);
}

/* Takes the file's document; the file itself stays the caller's. */
static struct rules *compile(struct json_file *file, const char *default_exchange, struct problems *problems,
                             struct problems *warnings)
{
    size_t before = problems->count;
    struct rules *rules = calloc(1, sizeof *rules);
    if (rules == NULL) {
        out_of_memory(problems);
        return NULL;
    }
    rules->document = file->json;
    file->json = NULL;
    if (default_exchange != NULL) {
        rules->default_exchange = strdup(default_exchange);
        if (rules->default_exchange == NULL)
            out_of_memory(problems);
    }
    if (problems->count == before)
        rules_read(rules, rules->document, problems);
    if (problems->count == before)
        finish(rules, problems);
    if (problems->count == before) {
        if (warnings != NULL) {
            rules_lint(rules, warnings);
            json_file_locate(file, warnings);
        }
        return rules;
    }
    json_file_locate(file, problems);
    rules_free(rules);
    return NULL;
}

struct rules *rules_load(const char *path, const char *default_exchange, struct problems *problems,
                         struct problems *warnings)
{
    struct json_file file;
    if (!json_file_load(&file, path, RULES_FILE_BYTES_MAX, problems))
        return NULL;
    struct rules *rules = compile(&file, default_exchange, problems, warnings);
    json_file_fini(&file);
    return rules;
}

struct rules *rules_parse(const char *text, size_t size, const char *default_exchange, struct problems *problems,
                          struct problems *warnings)
{
    struct json_file file;
    if (!json_file_parse(&file, text, size, problems))
        return NULL;
    struct rules *rules = compile(&file, default_exchange, problems, warnings);
    json_file_fini(&file);
    return rules;
}

static void fini_rule(struct rule *rule)
{
    condition_free(rule->condition);
    for (size_t i = 0; i < rule->template_count; i++)
        template_free(rule->templates[i]);
    free(rule->templates);
}

void rules_free(struct rules *rules)
{
    if (rules == NULL)
        return;
    rule_index_free(rules->index);
    for (size_t i = 0; i < rules->count; i++)
        fini_rule(&rules->rule[i]);
    condition_free(rules->default_condition); /* the rules borrow from it */
    free(rules->rule);
    free(rules->asks_for_dead_letters);
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

bool rules_disabled(const struct rules *rules, size_t index)
{
    return rules->rule[index].disabled;
}

uint64_t rules_hash(const struct rules *rules)
{
    return rules->hash;
}

const json_t *rules_tests(const struct rules *rules)
{
    return json_object_get(rules->document, "tests");
}
