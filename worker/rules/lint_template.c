/*
 * lint_template.c - templates whose group can never be used: a value that is never there, a name that hardly means what
 * it says, a group that is cancelled anyhow.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "condition.h"
#include "lint_parts.h"
#include "quote.h"
#include "template.h"

struct subject {
    const struct rule *rule;
    size_t number, template_index;
    struct problems *warnings;
    char pointer[32]; /* of the template, within the rule */
};

/* ---- Values that are never there */

/* How many words a key has that meets the matcher (NULL: any key); *most is SIZE_MAX where there is no limit. */
static void routing_words(const struct matcher *routing_key, size_t *least, size_t *most)
{
    size_t count = 0;
    const char *const *patterns = routing_key != NULL ? matcher_strings(routing_key, &count) : NULL;
    *least = patterns != NULL ? SIZE_MAX : 0;
    *most = patterns != NULL ? 0 : SIZE_MAX;
    for (size_t i = 0; i < count && patterns != NULL; i++) {
        size_t words = 0;
        bool many = false;
        for (const char *word = patterns[i][0] != '\0' ? patterns[i] : NULL; word != NULL;) {
            size_t length = strcspn(word, ".");
            if (length == 1 && word[0] == '#')
                many = true;
            else
                words++;
            word = word[length] == '.' ? word + length + 1 : NULL;
        }
        *least = words < *least ? words : *least;
        *most = many ? SIZE_MAX : words > *most ? words : *most;
    }
}

enum presence { PRESENCE_OPEN, PRESENCE_NEVER, PRESENCE_ALWAYS };

static bool takes(const struct matcher *matcher, const json_t *json)
{
    const struct value value = {.json = json};
    return matcher_holds(matcher, &value);
}

/* What the rule's own condition on a place says of a value that a template takes from there. */
static enum presence presence_by_condition(const struct condition *condition, size_t index, const struct source *source)
{
    const struct source *place = condition_source(condition, index);
    const struct matcher *matcher = condition_matcher(condition, index);
    if (place == NULL || source_is_many(place))
        return PRESENCE_OPEN;
    if (source_is_below(source, place))
        return matcher_takes_only_plain(matcher) ? PRESENCE_NEVER : PRESENCE_OPEN;
    if (!source_same(place, source))
        return PRESENCE_OPEN;
    if (matcher_takes_only_nothing(matcher))
        return PRESENCE_NEVER;
    return takes(matcher, NULL) || takes(matcher, json_null()) ? PRESENCE_OPEN : PRESENCE_ALWAYS;
}

/* Whether a source has a value in the events that the rule is for; *why is said of one that never has. */
static enum presence presence_of(const struct rule *rule, const struct source *source, char *why, size_t size)
{
    const struct condition *condition = rule->condition;
    size_t least, most, word = source_word(source);
    routing_words(condition_routing_key(condition), &least, &most);
    if (word > most) {
        snprintf(why, size, "a routing key that this rule is for has at most %zu word%s", most, most == 1 ? "" : "s");
        return PRESENCE_NEVER;
    }
    if (word > 0)
        return word <= least ? PRESENCE_ALWAYS : PRESENCE_OPEN;
    for (size_t i = 0; i < condition_count(condition); i++) {
        enum presence presence = presence_by_condition(condition, i, source);
        char shown[QUOTE_SIZE];
        if (presence == PRESENCE_NEVER)
            snprintf(why, size, "the rule's own condition on %s says so",
                     quote_bare(shown, sizeof shown, source_text(condition_source(condition, i)),
                                strlen(source_text(condition_source(condition, i)))));
        if (presence != PRESENCE_OPEN)
            return presence;
    }
    return PRESENCE_OPEN;
}

static void lint_place(const struct subject *subject, size_t index)
{
    size_t count;
    bool optional;
    const struct group_template *compiled = subject->rule->templates[subject->template_index];
    const struct source *const *alternatives = template_place(compiled, index, &count, &optional);
    char why[QUOTE_SIZE + 64], shown[QUOTE_SIZE];
    size_t never = 0;
    for (size_t i = 0; i < count; i++) {
        const char *text = source_text(alternatives[i]);
        quote_bare(shown, sizeof shown, text, strlen(text));
        switch (presence_of(subject->rule, alternatives[i], why, sizeof why)) {
        case PRESENCE_NEVER:
            if (++never == count)
                lint_warn(subject->warnings, subject->number, subject->pointer,
                          "%s is never there (%s), so the template can never name its group; take the value from "
                          "somewhere else",
                          shown, why);
            else if (count > 1)
                lint_warn(subject->warnings, subject->number, subject->pointer,
                          "the alternative %s is never there (%s); take it out", shown, why);
            break;
        case PRESENCE_ALWAYS:
            if (i + 1 < count)
                lint_warn(subject->warnings, subject->number, subject->pointer,
                          "%s is always there in an event that this rule is for, so what stands behind its ?? is never "
                          "used",
                          shown);
            return;
        case PRESENCE_OPEN:
            break;
        }
    }
}

/* ---- Names that hardly mean what they say */

#define PLACE '\1' /* stands for a place in a skeleton */

/* The template with its literal braces as they come out, and with PLACE where a value goes. */
static void skeleton_of(const char *text, char *out, size_t size)
{
    size_t used = 0;
    for (const char *c = text; *c != '\0' && used + 1 < size; c++) {
        bool twice = c[0] == c[1] && (*c == '{' || *c == '}');
        if (*c == '{' && !twice) {
            c += strcspn(c, "}");
            out[used++] = PLACE;
            if (*c == '\0')
                break;
            continue;
        }
        out[used++] = *c;
        c += twice;
    }
    out[used] = '\0';
}

static bool is_white(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

static bool starts_like_source(const char *text)
{
    static const char *const starts[] = {"/", "routing_key", "exchange", "header.", "header/", "property."};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        if (strncmp(text, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

static void lint_white(const struct subject *subject, const char *skeleton)
{
    size_t length = strlen(skeleton);
    const char *colon = strchr(skeleton, ':');
    const char *where = NULL;
    if (is_white(skeleton[0]))
        where = "begins with";
    else if (is_white(skeleton[length - 1]))
        where = "ends with";
    else if (colon != NULL && (is_white(colon[1]) || is_white(colon[-1])))
        where = "has, beside its colon,";
    if (where != NULL)
        lint_warn(subject->warnings, subject->number, subject->pointer,
                  "the group's name %s white space, which is part of it: \"tenant: 42\" is another group than "
                  "\"tenant:42\"; take it out",
                  where);
}

static void lint_braces(const struct subject *subject, const char *skeleton)
{
    for (const char *c = skeleton; *c != '\0'; c++) {
        if (*c == '{' && starts_like_source(c + 1) && strchr(c, '}') != NULL) {
            lint_warn(subject->warnings, subject->number, subject->pointer,
                      "{{ and }} are literal braces, so no value is filled in between them; write {…} for the value");
            return;
        }
        if (*c == '$' && c[1] == PLACE) {
            lint_warn(
                subject->warnings, subject->number, subject->pointer,
                "the $ in front of the place is part of the group's name, as in \"tenant:$42\"; write {…} without "
                "it");
            return;
        }
    }
}

/* `*` and `kind:*` are the groups that wildcards mean; elsewhere a star is a character like any other. */
static void lint_star(const struct subject *subject, const char *skeleton)
{
    const char *star = strchr(skeleton, '*');
    const char *colon = strchr(skeleton, ':');
    bool wildcard = star != NULL && star[1] == '\0' && (star == skeleton || (colon != NULL && star == colon + 1));
    if (star != NULL && !wildcard)
        lint_warn(subject->warnings, subject->number, subject->pointer,
                  "the * is a character like any other here, so only a group with a star in its name is cancelled; as "
                  "a wildcard it stands alone, as in \"*\", or for all of a kind, as in \"tenant:*\"");
}

/* ---- Groups that are cancelled anyhow */

void lint_canonical(const struct group_template *compiled, char *out, size_t size)
{
    const char *text = template_text(compiled);
    size_t used = 0;
    bool inside = false;
    for (const char *c = text; *c != '\0' && used + 1 < size; c++) {
        bool twice = c[0] == c[1] && (*c == '{' || *c == '}');
        if (!inside && twice) {
            out[used++] = *c++;
        } else if (*c == '{' || *c == '}') {
            inside = *c == '{';
        } else if (inside && strchr(" \t\n\r", *c) != NULL) {
            const char *behind = c;
            while (*behind != '\0' && strchr(" \t\n\r", *behind) != NULL)
                behind++;
            bool divided = strchr("{?|", out[used - 1]) != NULL || strchr("}?|", *behind) != NULL;
            if (divided) {
                c = behind - 1;
                continue;
            }
        }
        if (used + 1 < size)
            out[used++] = *c;
    }
    out[used] = '\0';
}

static bool is_wildcard(const char *text)
{
    size_t length = strlen(text);
    return text[length - 1] == '*' && (length == 1 || text + length - 2 == strchr(text, ':')) &&
           strpbrk(text, "{}") == NULL;
}

/* Whether the group `wildcard` is cancelled with each that the template names. */
static bool is_within(const struct group_template *compiled, const char *wildcard)
{
    return is_wildcard(wildcard) && (strcmp(wildcard, "*") == 0 || strcmp(wildcard, template_wider(compiled)) == 0);
}

static void lint_superfluous(const struct subject *subject)
{
    char text[TEMPLATE_TEXT_SIZE], other[TEMPLATE_TEXT_SIZE], shown[QUOTE_SIZE];
    const struct rule *rule = subject->rule;
    const struct group_template *compiled = rule->templates[subject->template_index];
    lint_canonical(compiled, text, sizeof text);
    for (size_t i = 0; i < rule->template_count; i++) {
        lint_canonical(rule->templates[i], other, sizeof other);
        bool same = strcmp(text, other) == 0;
        if (same && i < subject->template_index) {
            lint_warn(subject->warnings, subject->number, subject->pointer,
                      "the template says the same as /rules/%zu/cancel/%zu; take it out", subject->number, i);
            return;
        }
        if (!same && is_within(compiled, other)) {
            lint_warn(subject->warnings, subject->number, subject->pointer,
                      "what this names is cancelled anyhow, with %s of the same rule; take one of them out",
                      quote_text(shown, sizeof shown, other, strlen(other)));
            return;
        }
    }
}

void lint_templates(const struct rules *rules, size_t rule, struct problems *warnings)
{
    struct subject subject = {.rule = &rules->rule[rule], .number = rule, .warnings = warnings};
    for (; subject.template_index < subject.rule->template_count; subject.template_index++) {
        const struct group_template *compiled = subject.rule->templates[subject.template_index];
        char skeleton[TEMPLATE_TEXT_SIZE];
        skeleton_of(template_text(compiled), skeleton, sizeof skeleton);
        snprintf(subject.pointer, sizeof subject.pointer, "/cancel/%zu", subject.template_index);
        for (size_t i = 0; i < template_place_count(compiled); i++)
            lint_place(&subject, i);
        lint_white(&subject, skeleton);
        lint_braces(&subject, skeleton);
        lint_star(&subject, skeleton);
        lint_superfluous(&subject);
    }
}
