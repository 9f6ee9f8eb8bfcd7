/*
 * rules_read.c - reading a rules file: every check that the schema makes, and those that it cannot.
 *
 * Reading goes on after a problem, so that all of them are told at once; the rule set is thrown away at the end if
 * there was any. The schema (schemas/rules.schema.json) and this file change together: a test compares them.
 */
#include "rules_read.h"

#include <stdlib.h>
#include <string.h>

#include "cases.h"

static void read_version(const json_t *root, struct problems *problems)
{
    const json_t *value = json_require(root, "version", "\"version\": 1", NULL, problems);
    struct json_place here = json_place_key(NULL, "version");
    if (value != NULL && json_expect(value, JSON_INTEGER, "the integer 1", &here, problems) &&
        json_integer_value(value) != 1)
        json_problem(problems, &here, "version %" JSON_INTEGER_FORMAT " is not known to this quash; expected 1",
                     json_integer_value(value));
}

static void read_unmatched(struct rules *rules, const json_t *root, struct problems *problems)
{
    static const char *const known[] = {"ignore", "dead_letter", NULL};
    json_t *value = json_object_get(root, "unmatched");
    struct json_place here = json_place_key(NULL, "unmatched");
    if (value == NULL)
        return;
    static const char expected[] = "\"ignore\" (the default) or \"dead_letter\"";
    if (json_expect(value, JSON_STRING, expected, &here, problems))
        rules->unmatched_dead_letter = words_read(value, known, 0, expected, &here, problems) == 2;
}

static void read_on_malformed(struct rules *rules, const json_t *root, struct problems *problems)
{
    static const char *const known[] = {"widen", "dead_letter", NULL};
    json_t *value = json_object_get(root, "on_malformed");
    struct json_place here = json_place_key(NULL, "on_malformed");
    rules->malformed_by_default = value == NULL;
    rules->on_malformed = MALFORMED_WIDEN | MALFORMED_DEAD_LETTER;
    if (value != NULL)
        rules->on_malformed = words_read(value, known, MALFORMED_WIDEN | MALFORMED_DEAD_LETTER,
                                         "\"widen\" (cancel everything), \"dead_letter\" or a list of both (the "
                                         "default)",
                                         &here, problems);
}

static void read_defaults(struct rules *rules, struct rule_defaults *defaults, const json_t *root,
                          struct problems *problems)
{
    static const char *const known[] = {"when", "on_missing", "repeat_after_ms", NULL};
    json_t *object = json_object_get(root, "defaults");
    struct json_place here = json_place_key(NULL, "defaults");
    if (object == NULL ||
        !json_expect(object, JSON_OBJECT, "an object with \"when\", \"on_missing\" or \"repeat_after_ms\"", &here,
                     problems))
        return;
    json_check_keys(object, known, &here, problems);
    json_t *when = json_object_get(object, "when");
    struct json_place when_place = json_place_key(&here, "when");
    if (when != NULL)
        rules->default_condition = condition_read(when, NULL, &when_place, problems);
    defaults->condition = rules->default_condition;
    rule_read_missing(&defaults->missing, object, &here, problems);
    rule_read_repeats(defaults->repeat_after_ms, &defaults->repeat_count, object, &here, problems);
}

static void read_list(struct rules *rules, const struct rule_defaults *defaults, const json_t *root,
                      struct problems *problems)
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
        json_problem(problems, &here, "out of memory");
        json_decref(names);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct json_place item = json_place_index(&here, i);
        rules->count++;
        rule_read(&rules->rule[i], json_array_get(list, i), defaults, names, i, &item, problems);
    }
    json_decref(names);
}

void rules_read(struct rules *rules, json_t *root, struct problems *problems)
{
    static const char *const known[] = {"$schema",      "description", "version", "defaults", "unmatched",
                                        "on_malformed", "rules",       "tests",   NULL};
    if (!json_expect(root, JSON_OBJECT, "a rules file: an object with \"version\" and \"rules\"", NULL, problems))
        return;
    json_check_keys(root, known, NULL, problems);
    const json_t *schema = json_object_get(root, "$schema");
    struct json_place schema_place = json_place_key(NULL, "$schema");
    if (schema != NULL)
        json_expect(schema, JSON_STRING, "where the schema is, for editors", &schema_place, problems);
    description_check(root, NULL, problems);
    read_version(root, problems);
    read_unmatched(rules, root, problems);
    read_on_malformed(rules, root, problems);
    struct rule_defaults defaults = {.missing = MISSING_WIDEN};
    read_defaults(rules, &defaults, root, problems);
    read_list(rules, &defaults, root, problems);
    json_t *tests = json_object_get(root, "tests");
    struct json_place tests_place = json_place_key(NULL, "tests");
    if (tests != NULL)
        cases_check(tests, &tests_place, problems);
}
