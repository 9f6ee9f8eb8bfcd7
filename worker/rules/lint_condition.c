/*
 * lint_condition.c - conditions that nothing can meet: a value that a property never has, "not" of everything, two
 * conditions that exclude each other.
 *
 * Matchers are read here as they are written, as JSON that has been checked: what a value could be is asked of each
 * kind of place, which the matcher itself does not know.
 */
#include <stdio.h>
#include <string.h>

#include "condition.h"
#include "glob.h"
#include "lint_parts.h"
#include "property.h"
#include "quote.h"
#include "topic.h"

/* What can stand in a place. */
struct domain {
    const char *property; /* its name; NULL: it is no property */
    bool absent;          /* there may be nothing */
    bool anything;        /* any JSON value; otherwise integers from min to max, or strings */
    bool integers;
    json_int_t min, max;
    bool topic; /* strings of the matcher are topic patterns */
};

static struct domain domain_of(const struct condition *condition, size_t index)
{
    const struct source *source = condition_source(condition, index);
    if (source == NULL)
        return (struct domain){.topic = condition_matcher(condition, index) == condition_routing_key(condition)};
    static const char prefix[] = "property.";
    const char *text = source_text(source);
    if (condition_stage_of(condition, index) != CONDITION_ATTRIBUTES || strncmp(text, prefix, sizeof prefix - 1) != 0)
        return (struct domain){.absent = true, .anything = true};
    const char *property = text + sizeof prefix - 1;
    if (!property_is_integer(property))
        return (struct domain){.property = property, .absent = true};
    return (struct domain){.property = property,
                           .absent = true,
                           .integers = true,
                           .min = property_integer_min(property),
                           .max = property_integer_max(property)};
}

/* The only member of a matcher that is an object. */
static const json_t *member(const json_t *matcher, const char *key)
{
    return json_is_object(matcher) ? json_object_get(matcher, key) : NULL;
}

static bool is_pattern(const json_t *string)
{
    return glob_has_wildcard(json_string_value(string), json_string_length(string));
}

static bool scalar_possible(const json_t *scalar, const struct domain *domain, bool exactly)
{
    if (domain->anything)
        return true;
    if (json_is_integer(scalar))
        return domain->integers && json_integer_value(scalar) >= domain->min &&
               json_integer_value(scalar) <= domain->max;
    if (!json_is_string(scalar) || domain->integers)
        return false;
    return (!exactly && (domain->topic || is_pattern(scalar))) || json_string_length(scalar) <= SHORT_STRING_BYTES_MAX;
}

static bool all_meet(const json_t *matcher, const struct domain *domain);

/* Whether some value of the domain may meet it. */
static bool possible(const json_t *matcher, const struct domain *domain)
{
    const json_t *inner;
    for (size_t i = 0; i < json_array_size(matcher); i++)
        if (possible(json_array_get(matcher, i), domain))
            return true;
    if (json_is_array(matcher))
        return false;
    if ((inner = member(matcher, "exists")) != NULL)
        return json_is_true(inner) || domain->absent;
    if ((inner = member(matcher, "not")) != NULL)
        return !all_meet(inner, domain);
    if ((inner = member(matcher, "equals")) != NULL)
        return scalar_possible(inner, domain, true);
    return scalar_possible(matcher, domain, false);
}

/* Whether everything that is there meets it; false also means that nobody can tell. */
static bool all_present_meet(const json_t *matcher, const struct domain *domain)
{
    for (size_t i = 0; i < json_array_size(matcher); i++)
        if (all_present_meet(json_array_get(matcher, i), domain))
            return true;
    if (json_is_object(matcher))
        return json_is_true(member(matcher, "exists")) || json_is_false(member(member(matcher, "not"), "exists"));
    if (!json_is_string(matcher) || domain->anything || domain->integers)
        return false;
    const char *text = json_string_value(matcher);
    return domain->topic ? topic_covers(text, "#") : text[0] != '\0' && strspn(text, "*") == strlen(text);
}

/* Whether nothing meets it: a null that is there, or absence. */
static bool nothing_meets(const json_t *matcher, bool null)
{
    for (size_t i = 0; i < json_array_size(matcher); i++)
        if (nothing_meets(json_array_get(matcher, i), null))
            return true;
    const json_t *negated = member(matcher, "not"), *exact = member(matcher, "equals");
    if (negated != NULL)
        return !nothing_meets(negated, null);
    return json_is_false(member(matcher, "exists")) || (null && json_is_null(exact != NULL ? exact : matcher));
}

/* Whether every value of the domain meets it; false also means that nobody can tell. */
static bool all_meet(const json_t *matcher, const struct domain *domain)
{
    const json_t *negated = member(matcher, "not");
    if (negated != NULL && !possible(negated, domain))
        return true;
    return all_present_meet(matcher, domain) && (!domain->absent || nothing_meets(matcher, false)) &&
           (!domain->anything || nothing_meets(matcher, true));
}

/* The first value outside of any "not" that the domain does not have; NULL if there is none. */
static const json_t *impossible_value(const json_t *matcher, const struct domain *domain)
{
    const json_t *found = NULL, *exact = member(matcher, "equals");
    for (size_t i = 0; i < json_array_size(matcher) && found == NULL; i++)
        found = impossible_value(json_array_get(matcher, i), domain);
    if (json_is_array(matcher) || (json_is_object(matcher) && exact == NULL))
        return found;
    const json_t *scalar = exact != NULL ? exact : matcher;
    return scalar_possible(scalar, domain, exact != NULL) ? NULL : scalar;
}

static const char *describe_domain(const struct domain *domain, char *out, size_t size)
{
    if (domain->integers && domain->max <= 255)
        snprintf(out, size, "the property %s holds an integer from %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT,
                 domain->property, domain->min, domain->max);
    else if (domain->integers)
        snprintf(out, size, "the property %s holds an integer, %" JSON_INTEGER_FORMAT " or more", domain->property,
                 domain->min);
    else
        snprintf(out, size, "the property %s holds a string of at most %d bytes", domain->property,
                 SHORT_STRING_BYTES_MAX);
    return out;
}

/* ---- One condition */

static bool lint_one(const struct condition *condition, size_t rule, size_t index, struct problems *warnings)
{
    struct domain domain = domain_of(condition, index);
    const json_t *matcher = matcher_json(condition_matcher(condition, index));
    const char *pointer = condition_pointer(condition, index);
    const json_t *value = impossible_value(matcher, &domain);
    char what[160], shown[QUOTE_SIZE];
    bool never = !possible(matcher, &domain);
    if (value != NULL && domain.property != NULL)
        lint_warn(warnings, rule, pointer, "%s, never %s, %s", describe_domain(&domain, what, sizeof what),
                  quote_json(shown, sizeof shown, value),
                  never ? "so the rule can never match" : "which can be taken out of the list");
    else if (never)
        lint_warn(warnings, rule, pointer, "%s meets this, so the rule can never match; say what it is to be instead",
                  condition_source(condition, index) != NULL ? "nothing"
                  : domain.topic                             ? "no routing key"
                                                             : "no exchange");
    else if (condition_source(condition, index) != NULL && all_meet(matcher, &domain))
        lint_warn(warnings, rule, pointer,
                  "%s%severything meets this, a value that is absent too, so the condition says nothing; say what it "
                  "is to be, or take it out",
                  domain.property != NULL ? describe_domain(&domain, what, sizeof what) : "",
                  domain.property != NULL ? ", so " : "");
    return never;
}

/* ---- Two conditions */

static bool only_plain(const json_t *matcher)
{
    for (size_t i = 0; i < json_array_size(matcher); i++)
        if (!only_plain(json_array_get(matcher, i)))
            return false;
    const json_t *negated = member(matcher, "not");
    return json_is_array(matcher) || !json_is_object(matcher) || member(matcher, "equals") != NULL ||
           json_is_false(member(matcher, "exists")) || json_is_true(member(negated, "exists"));
}

bool matcher_takes_only_plain(const struct matcher *matcher)
{
    return only_plain(matcher_json(matcher));
}

/* A pointer in one spelling for headers by name and by pointer. */
static const char *spell(const struct source *source, char *out, size_t size)
{
    static const char by_name[] = "header.";
    const char *text = source_text(source);
    if (source_needs(source) == SOURCE_BODY)
        return *text == '/' ? text : ""; /* the whole body has a name, but no pointer */
    if (strncmp(text, by_name, sizeof by_name - 1) != 0)
        return text;
    size_t used = (size_t)snprintf(out, size, "header/");
    for (const char *c = text + sizeof by_name - 1; *c != '\0' && used + 3 < size; c++) {
        const char *escaped = *c == '~' ? "~0" : *c == '/' ? "~1" : NULL;
        used += (size_t)(escaped != NULL ? snprintf(out + used, size - used, "%s", escaped)
                                         : snprintf(out + used, size - used, "%c", *c));
    }
    return out;
}

bool source_is_below(const struct source *inner, const struct source *outer)
{
    char inner_spelt[3 * SHORT_STRING_SIZE], outer_spelt[3 * SHORT_STRING_SIZE];
    if (source_is_many(outer) || source_needs(inner) == 0 || source_needs(inner) != source_needs(outer))
        return false;
    const char *below = spell(inner, inner_spelt, sizeof inner_spelt);
    const char *above = spell(outer, outer_spelt, sizeof outer_spelt);
    size_t length = strlen(above);
    return strncmp(below, above, length) == 0 && below[length] == '/';
}

static const char *shown_source(const struct source *source, char *out, size_t size)
{
    return quote_bare(out, size, source_text(source), strlen(source_text(source)));
}

static bool lint_two(const struct condition *condition, size_t rule, size_t first, size_t second,
                     struct problems *warnings)
{
    const struct source *a = condition_source(condition, first), *b = condition_source(condition, second);
    const struct matcher *of_a = condition_matcher(condition, first), *of_b = condition_matcher(condition, second);
    char shown_a[QUOTE_SIZE], shown_b[QUOTE_SIZE];
    if (source_same(a, b) && !source_is_many(a) && matcher_disjoint(of_a, of_b)) {
        lint_warn(warnings, rule, condition_pointer(condition, second),
                  "%s and %s are the same place, and no value meets both conditions, so the rule can never match",
                  shown_source(a, shown_a, sizeof shown_a), shown_source(b, shown_b, sizeof shown_b));
        return true;
    }
    if (source_is_below(b, a) && matcher_takes_only_plain(of_a) && !matcher_takes_nothing(of_b)) {
        lint_warn(
            warnings, rule, condition_pointer(condition, second),
            "the condition on %s holds only where that is a single value or absent, so there is nothing at %s and "
            "the rule can never match",
            shown_source(a, shown_a, sizeof shown_a), shown_source(b, shown_b, sizeof shown_b));
        return true;
    }
    return false;
}

bool lint_condition(const struct rules *rules, size_t rule, struct problems *warnings)
{
    const struct condition *condition = rules->rule[rule].condition;
    size_t count = condition_count(condition);
    bool never = false;
    for (size_t i = 0; i < count; i++)
        never = lint_one(condition, rule, i, warnings) || never;
    for (size_t i = 0; i < count && !never; i++)
        for (size_t j = 0; j < count && !never; j++)
            if (i != j && condition_source(condition, i) != NULL &&
                condition_stage_of(condition, i) == condition_stage_of(condition, j))
                never = lint_two(condition, rule, i, j, warnings);
    return never;
}
