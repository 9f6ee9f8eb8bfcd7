/*
 * fuzz_template.c - a template, and behind a line's end the body of an event that fills it. A template is refused with
 * a reason or compiled; what is compiled names proper groups of its own kind, or widens.
 */
#include "fuzz.h"

#include <stdio.h>
#include <string.h>

#include "json_text.h"
#include "template.h"

#define LIMIT 100

struct named {
    const struct group_template *compiled;
    size_t count;
    bool wider; /* a name was the wider group */
};

static bool take_name(void *context, const char *name, size_t length)
{
    struct named *named = context;
    const char *wider = template_wider(named->compiled);
    fuzz_check_group(name, length);
    named->count++;
    named->wider = named->wider || (strlen(wider) == length && memcmp(wider, name, length) == 0);
    /* "kind:*" covers only what starts with "kind:". */
    size_t kind = strlen(wider) - 1;
    bool everything = length == 1 && name[0] == '*';
    if (!everything && (length < kind || memcmp(name, wider, kind) != 0))
        fuzz_broken("a template names groups of its own kind");
    return true;
}

static void expand(const struct group_template *compiled, const struct view *view, unsigned missing)
{
    struct named named = {compiled, 0, false};
    struct expansion expansion;
    if (!template_expand(compiled, view, missing, LIMIT, take_name, &named, &expansion))
        fuzz_broken("there is memory");
    if (named.count != expansion.count || named.count > LIMIT)
        fuzz_broken("the names are counted and within the limit");
    if ((expansion.outcome == EXPANSION_NOTHING) != (named.count == 0))
        fuzz_broken("nothing is named where there is nothing");
    if (expansion.outcome == EXPANSION_WIDENED && named.count != 1)
        fuzz_broken("a template that widens names one group");
    if (expansion.outcome != EXPANSION_GROUPS && expansion.why[0] == '\0')
        fuzz_broken("it says why");
    if (expansion.dead_letter && (missing & MISSING_DEAD_LETTER) == 0)
        fuzz_broken("nobody's dead letter");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *end = size > 0 ? memchr(text, '\n', size) : NULL;
    size_t length = end != NULL ? (size_t)(end - text) : size;
    char problem[256] = "";
    struct group_template *compiled = template_compile(size > 0 ? text : "", length, problem, sizeof problem);
    if (compiled == NULL) {
        if (problem[0] == '\0')
            fuzz_broken("a template is refused with a reason");
        return 0;
    }
    if (strlen(template_text(compiled)) != length || memcmp(template_text(compiled), text, length) != 0)
        fuzz_broken("a template is remembered as it was written");

    json_t *body = end != NULL ? json_text_parse(end + 1, size - length - 1, true, NULL) : NULL;
    json_t *headers = json_pack("{s:s, s:i, s:[{s:s}]}", "a", " X ", "b", 7, "c", "d", "");
    json_t *properties = json_pack("{s:s, s:i}", "type", "Order.Paid", "priority", 3);
    const struct view view = {.exchange = "domain",
                              .routing_key = "order..\xc3\x84.paid",
                              .body = body,
                              .headers = headers,
                              .properties = properties};
    if (body != NULL || (template_needs(compiled) & SOURCE_BODY) == 0) {
        for (unsigned missing = 0; missing <= (MISSING_WIDEN | MISSING_DEAD_LETTER); missing++)
            expand(compiled, &view, missing);
    }
    json_decref(body);
    json_decref(headers);
    json_decref(properties);
    template_free(compiled);
    return 0;
}
