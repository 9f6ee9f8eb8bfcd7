/*
 * rule_read.c - reading one rule, and what `defaults` has in common with one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quote.h"
#include "rules_read.h"

static void out_of_memory(struct problems *problems, const struct json_place *place)
{
    json_problem(problems, place, "out of memory");
}

/* ---- Words */

/* The flag of a word; 0 after adding a problem. */
static unsigned read_word(const json_t *value, const char *const *known, const char *expected,
                          const struct json_place *place, struct problems *problems)
{
    if (!json_expect(value, JSON_STRING, expected, place, problems))
        return 0;
    const char *word = json_string_value(value);
    for (unsigned i = 0; known[i] != NULL; i++) {
        if (strcmp(word, known[i]) == 0)
            return 1u << i;
    }
    char shown[QUOTE_SIZE];
    quote_text(shown, sizeof shown, word, strlen(word));
    const char *nearest = nearest_word(word, known);
    if (nearest != NULL)
        json_problem(problems, place, "%s is not known to this version; did you mean \"%s\"?", shown, nearest);
    else
        json_problem(problems, place, "%s is not known to this version; expected %s", shown, expected);
    return 0;
}

unsigned words_read(json_t *value, const char *const *known, unsigned listable, const char *expected,
                    const struct json_place *place, struct problems *problems)
{
    if (!json_is_array(value))
        return read_word(value, known, expected, place, problems);
    if (json_array_size(value) == 0) {
        json_problem(problems, place, "found an empty list; expected %s", expected);
        return 0;
    }
    unsigned flags = 0;
    for (size_t i = 0; i < json_array_size(value); i++) {
        struct json_place here = json_place_index(place, i);
        char shown[QUOTE_SIZE];
        unsigned flag = read_word(json_array_get(value, i), known, expected, &here, problems);
        quote_json(shown, sizeof shown, json_array_get(value, i));
        if (flag != 0 && (flag & listable) == 0)
            json_problem(problems, &here, "%s stands alone, not in a list; expected %s", shown, expected);
        else if ((flag & flags) != 0)
            json_problem(problems, &here, "%s is there twice", shown);
        flags |= flag;
    }
    return flags;
}

void rule_read_missing(unsigned *missing, const json_t *object, const struct json_place *place,
                       struct problems *problems)
{
    enum { WIDEN = 1, DEAD_LETTER = 2, SKIP = 4 };
    static const char *const known[] = {"widen", "dead_letter", "skip", NULL};
    static const char expected[] = "\"widen\" (the default: cancel the whole kind), \"skip\", \"dead_letter\" or "
                                   "[\"widen\", \"dead_letter\"]";
    json_t *value = json_object_get(object, "on_missing");
    if (value == NULL)
        return;
    struct json_place here = json_place_key(place, "on_missing");
    unsigned words = words_read(value, known, WIDEN | DEAD_LETTER, expected, &here, problems);
    *missing = ((words & WIDEN) != 0 ? MISSING_WIDEN : 0) | ((words & DEAD_LETTER) != 0 ? MISSING_DEAD_LETTER : 0);
}

/* ---- Times */

static bool read_time(uint32_t *time, const json_t *value, const struct json_place *place, struct problems *problems)
{
    static const char expected[] = "milliseconds, as in 500, or a list of them";
    if (!json_expect(value, JSON_INTEGER, expected, place, problems))
        return false;
    json_int_t found = json_integer_value(value);
    if (found < 1 || found > REPEAT_AFTER_MS_MAX) {
        json_problem(problems, place, "found %" JSON_INTEGER_FORMAT "; expected 1 to %d milliseconds", found,
                     REPEAT_AFTER_MS_MAX);
        return false;
    }
    *time = (uint32_t)found;
    return true;
}

/* Puts it where it belongs; false if it is there already. */
static bool insert_time(uint32_t times[RULE_REPEATS_MAX], size_t *count, uint32_t time)
{
    size_t at = *count;
    while (at > 0 && times[at - 1] >= time) {
        if (times[at - 1] == time)
            return false;
        at--;
    }
    memmove(&times[at + 1], &times[at], (*count - at) * sizeof *times);
    times[at] = time;
    ++*count;
    return true;
}

void rule_read_repeats(uint32_t repeat_after_ms[RULE_REPEATS_MAX], size_t *count, const json_t *object,
                       const struct json_place *place, struct problems *problems)
{
    const json_t *value = json_object_get(object, "repeat_after_ms");
    if (value == NULL)
        return;
    struct json_place here = json_place_key(place, "repeat_after_ms");
    uint32_t time;
    *count = 0;
    if (!json_is_array(value)) {
        if (read_time(&time, value, &here, problems))
            insert_time(repeat_after_ms, count, time);
        return;
    }
    size_t size = json_array_size(value);
    if (size == 0 || size > RULE_REPEATS_MAX) {
        json_problem(problems, &here, "found a list of %zu times; a rule has 1 to %d", size, RULE_REPEATS_MAX);
        return;
    }
    for (size_t i = 0; i < size; i++) {
        struct json_place item = json_place_index(&here, i);
        if (read_time(&time, json_array_get(value, i), &item, problems) && !insert_time(repeat_after_ms, count, time))
            json_problem(problems, &item, "%u is there twice", (unsigned)time);
    }
}

/* ---- The rule */

void description_check(const json_t *object, const struct json_place *place, struct problems *problems)
{
    const json_t *value = json_object_get(object, "description");
    struct json_place here = json_place_key(place, "description");
    if (value != NULL)
        json_expect(value, JSON_STRING, "a text for people", &here, problems);
}

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
        rule->template_needs |= template_needs(compiled);
    }
}

void rule_read(struct rule *rule, json_t *json, const struct rule_defaults *defaults, json_t *names, size_t index,
               const struct json_place *place, struct problems *problems)
{
    static const char *const known[] = {"name",   "description", "disabled",        "when",
                                        "cancel", "on_missing",  "repeat_after_ms", NULL};
    rule->json = json;
    if (!json_expect(json, JSON_OBJECT, "a rule: an object with \"name\", \"when\" and \"cancel\"", place, problems))
        return;
    json_check_keys(json, known, place, problems);
    read_name(rule, json, names, index, place, problems);
    description_check(json, place, problems);

    const json_t *disabled = json_object_get(json, "disabled");
    struct json_place disabled_place = json_place_key(place, "disabled");
    rule->disabled = json_is_true(disabled);
    if (disabled != NULL && !json_is_boolean(disabled)) {
        char found[QUOTE_SIZE + 16];
        json_problem(problems, &disabled_place, "found %s; expected true or false",
                     json_found(disabled, found, sizeof found));
    }

    struct json_place when_place = json_place_key(place, "when");
    rule->condition = condition_read(json_object_get(json, "when"), defaults->condition, &when_place, problems);
    read_templates(rule, json, place, problems);
    rule->missing = defaults->missing;
    rule_read_missing(&rule->missing, json, place, problems);
    memcpy(rule->repeat_after_ms, defaults->repeat_after_ms, sizeof rule->repeat_after_ms);
    rule->repeat_count = defaults->repeat_count;
    rule_read_repeats(rule->repeat_after_ms, &rule->repeat_count, json, place, problems);
}
