/*
 * lint.c - the lint as a whole, and what binds everything.
 */
#include "lint.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "condition.h"
#include "lint_parts.h"
#include "quote.h"
#include "word_map.h"

void lint_warn(struct problems *warnings, size_t rule, const char *where, const char *format, ...)
{
    char pointer[PROBLEM_POINTER_SIZE], sentence[PROBLEM_SENTENCE_SIZE];
    bool elsewhere = strncmp(where, "/defaults", 9) == 0;
    int length = elsewhere ? snprintf(pointer, sizeof pointer, "%s", where)
                           : snprintf(pointer, sizeof pointer, "/rules/%zu%s", rule, where);
    if (length < 0 || (size_t)length >= sizeof pointer) /* half a pointer leads nowhere */
        snprintf(pointer, sizeof pointer, "/rules/%zu", rule);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    utf8_trim(sentence);
    problems_add(warnings, 0, 0, pointer, "%s", sentence);
}

/* ---- Patterns that bind everything */

static bool matches_every_key(const char *pattern)
{
    for (; *pattern == '#'; pattern++) {
        if (pattern[1] == '\0')
            return true;
        if (*++pattern != '.')
            return false;
    }
    return false;
}

static const char *pattern_for_everything(const struct matcher *routing_key)
{
    size_t count = 0;
    const char *const *patterns = routing_key != NULL ? matcher_strings(routing_key, &count) : NULL;
    for (size_t i = 0; i < count && patterns != NULL; i++)
        if (matches_every_key(patterns[i]))
            return patterns[i];
    return NULL;
}

/* The first of the rule's exchanges that nothing has been said of yet, all of which count as told of from now on; NULL
 * if there is none. "" is the default exchange. */
static const char *first_untold(const struct condition *condition, struct word_map *told)
{
    static const char *const fallback[] = {""};
    size_t count = 1;
    const struct matcher *exchange = condition_exchange(condition);
    const char *const *names = exchange != NULL ? matcher_strings(exchange, &count) : NULL;
    if (names == NULL) {
        names = fallback;
        count = 1;
    }
    const char *first = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(names[i]);
        if (word_map_get(told, 0, names[i], length) != WORD_MAP_NONE)
            continue;
        first = first != NULL ? first : names[i];
        (void)word_map_put(told, 0, names[i], length, 0); /* without memory it is told of again */
    }
    return first;
}

static const char *pointer_of_routing_key(const struct condition *condition)
{
    for (size_t i = 0; i < condition_count(condition); i++)
        if (condition_stage_of(condition, i) == CONDITION_ROUTING &&
            condition_matcher(condition, i) == condition_routing_key(condition))
            return condition_pointer(condition, i);
    return "";
}

static void lint_binding(const struct rules *rules, size_t rule, struct word_map *told, struct problems *warnings)
{
    const struct condition *condition = rules->rule[rule].condition;
    const char *pattern = pattern_for_everything(condition_routing_key(condition));
    if (pattern == NULL && condition_count(condition) > 0)
        return;
    const char *exchange = first_untold(condition, told);
    if (exchange == NULL)
        return;
    char name[QUOTE_SIZE + 16] = "the exchange that quashd is started with", shown[QUOTE_SIZE];
    if (exchange[0] != '\0')
        snprintf(name, sizeof name, "exchange %s", quote_text(shown, sizeof shown, exchange, strlen(exchange)));
    if (pattern != NULL)
        lint_warn(warnings, rule, pointer_of_routing_key(condition),
                  "the pattern \"%s\" matches every routing key, so every event of %s is delivered for this rule; name "
                  "the keys that it is about, or leave \"routing_key\" out and name the exchange if it is about all",
                  pattern, name);
    else
        lint_warn(
            warnings, rule, "",
            "the rule has no condition, so every event of %s is for it; say in \"when\" which exchange or routing "
            "keys it is about",
            name);
}

void rules_lint(const struct rules *rules, struct problems *warnings)
{
    bool *never = calloc(rules->count + 1, sizeof *never);
    if (never == NULL)
        return;
    struct word_map told = {.slots = NULL};
    for (size_t i = 0; i < rules->count; i++) {
        if (rules->rule[i].disabled)
            continue;
        never[i] = lint_condition(rules, i, warnings);
        if (!never[i])
            lint_templates(rules, i, warnings);
        lint_binding(rules, i, &told, warnings);
    }
    word_map_fini(&told);
    lint_shadows(rules, never, warnings);
    free(never);
}
