/*
 * random_rules.h - rule sets and events from a small world, so that they often match and often nearly do. The same seed
 * gives the same ones.
 */
#ifndef RANDOM_RULES_H
#define RANDOM_RULES_H

#include "rules_support.h"

#include "source.h"

static uint64_t random_state;

static inline uint32_t below(uint32_t bound)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % bound);
}

static inline const char *pick(const char *const *from, uint32_t count)
{
    return from[below(count)];
}
#define PICK(list) pick(list, sizeof(list) / sizeof(list)[0])

/* Text is put together here. */
static char text[1 << 18];
static size_t used;

__attribute__((format(printf, 1, 2))) static inline void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    used += (size_t)vsnprintf(text + used, sizeof text - used, format, arguments);
    va_end(arguments);
    assert_true(used < sizeof text);
}

static const char *const scalars[] = {"\"a\"", "\"b\"", "\"c\"", "\"1\"", "\"\"",  "1",      "2",
                                      "-1",    "true",  "false", "null",  "\"é\"", "\"a*\"", "\"?\""};
static const char *const words[] = {"x", "y", "z", "*", "#"};
static const char *const exchanges[] = {"domain", "cdc", "other"};

static inline void say_matcher(unsigned depth)
{
    switch (below(depth > 2 ? 6 : 10)) {
    case 6: {
        uint32_t count = 1 + below(4);
        say("[");
        for (uint32_t i = 0; i < count; i++)
            say("%s%s", i > 0 ? ", " : "", PICK(scalars));
        say("]");
        return;
    }
    case 7:
        say("{\"exists\": %s}", below(2) ? "true" : "false");
        return;
    case 8:
        say("{\"equals\": %s}", PICK(scalars));
        return;
    case 9:
        say("{\"not\": ");
        say_matcher(depth + 1);
        say("}");
        return;
    default:
        say("%s", PICK(scalars));
    }
}

static inline void say_key(const char *const *from, uint32_t count)
{
    uint32_t length = below(4);
    say("\"");
    for (uint32_t i = 0; i < length; i++)
        say("%s%s", i > 0 ? "." : "", pick(from, count));
    say("\"");
}

static inline void say_routing(void)
{
    const char *comma = "";
    if (below(3) > 0) {
        static const char *const globs[] = {"\"*\"", "\"d*\"", "{\"not\": \"cdc\"}", "{\"equals\": \"cdc\"}",
                                            "[\"cdc\", \"domain\"]"};
        if (below(3) > 0)
            say("\"exchange\": \"%s\"", PICK(exchanges));
        else
            say("\"exchange\": %s", PICK(globs));
        comma = ", ";
    }
    if (below(3) > 0) {
        say("%s\"routing_key\": ", comma);
        uint32_t kind = below(5);
        if (kind == 0) {
            say("[");
            say_key(words, 5);
            say(", ");
            say_key(words, 5);
            say("]");
        } else if (kind == 1) {
            say("{\"not\": ");
            say_key(words, 5);
            say("}");
        } else {
            say_key(words, 5);
        }
        comma = ", ";
    }
    say("%s\"body\": {\"/kind\": ", comma);
    say_matcher(below(3));
    if (below(2)) {
        static const char *const places[] = {"/list/*", "/in/side", "/list/0", "/in/*", "", "/in"};
        say(", \"%s\": ", PICK(places));
        say_matcher(0);
    }
    say("}");
}

static inline void say_rule(uint32_t number)
{
    static const char *const templates[] = {"\"n:{/in/side ?? /kind}\"",
                                            "\"w:{routing_key.2 ?? /kind}\"",
                                            "\"a\"",
                                            "\"a:{/kind}\"",
                                            "\"a:{/list/*}\"",
                                            "\"h:{header.h}\"",
                                            "\"k:{routing_key.1?}\"",
                                            "\"p:{property.type?}\"",
                                            "\"b:{/in/side?}\""};
    say("%s{\"name\": \"%u\", \"disabled\": %s, \"cancel\": [%s, %s], \"when\": {", number > 0 ? ",\n" : "", number,
        below(10) == 0 ? "true" : "false", PICK(templates), PICK(templates));
    size_t before = used;
    say_routing();
    if (below(3) == 0)
        used = before; /* neither routing nor body */
    if (below(3) == 0) {
        static const char *const headers[] = {"h", "/h", "/deep/*/h", "/deep/0/h"};
        say("%s\"headers\": {\"%s\": ", used > before ? ", " : "", PICK(headers));
        say_matcher(0);
        if (below(3) == 0) {
            say(", \"/deep\": ");
            say_matcher(0);
        }
        say("}");
    }
    if (below(4) == 0) {
        say("%s\"properties\": {\"%s\": %s}", used > before ? ", " : "", below(2) ? "type" : "app_id",
            below(2) ? "\"a\"" : "[\"a\", \"b*\", {\"exists\": false}]");
    } else if (below(8) == 0) {
        say("%s\"properties\": {\"priority\": ", used > before ? ", " : "");
        say_matcher(0);
        say("}");
    }
    say("}}");
}

/* `warnings` may be NULL. */
static inline struct rules *random_rules(uint32_t count, struct problems *warnings)
{
    used = 0;
    say("{\"version\": 1, ");
    if (below(3) == 0)
        say("\"defaults\": {\"when\": {\"exchange\": \"domain\", \"headers\": {\"h\": [\"a\", \"b\"]}}}, ");
    say("\"rules\": [");
    for (uint32_t i = 0; i < count; i++)
        say_rule(i);
    say("]}");
    test_problems.count = 0;
    struct rules *rules = rules_parse(text, used, NULL, &test_problems, warnings);
    if (rules == NULL)
        problems_print(&test_problems, text, stderr);
    assert_non_null(rules);
    return rules;
}

static inline void say_value(void)
{
    static const char *const values[] = {"\"a\"", "\"b\"", "\"ab\"", "1",       "2",     "1.5",  "true",
                                         "false", "null",  "{}",     "[\"a\"]", "\"1\"", "\"\"", "\"é\""};
    say("%s", PICK(values));
}

/* The text of an event's body; now and then it has none of what rules look at. */
static inline void say_body(void)
{
    say("{\"x\": 0");
    if (below(5) > 0) {
        say(", \"kind\": ");
        say_value();
    }
    if (below(2)) {
        say(", \"in\": {\"side\": ");
        say_value();
        say("}");
    }
    if (below(2)) {
        uint32_t count = below(4);
        say(", \"list\": [");
        for (uint32_t i = 0; i < count; i++) {
            say("%s", i > 0 ? ", " : "");
            say_value();
        }
        say("]");
    }
    say("}");
}

static inline json_t *parse(size_t from)
{
    json_t *json = json_loads(text + from, 0, NULL);
    assert_non_null(json);
    return json;
}

struct sample {
    struct view view;
    json_t *body, *headers, *properties;
    char key[64];
};

static inline void make_sample(struct sample *sample)
{
    static const char *const key_words[] = {"x", "y", "z", "", "w"};
    used = 0;
    say_key(key_words, 5);
    text[used - 1] = '\0';
    snprintf(sample->key, sizeof sample->key, "%.60s", text + 1);
    used = 0;
    say_body();
    sample->body = parse(0);
    used = 0;
    say("{\"y\": 0");
    if (below(3) > 0) {
        say(", \"h\": ");
        say_value();
        say(", \"deep\": [{\"h\": ");
        say_value();
        say("}, {}]");
    }
    say("}");
    sample->headers = parse(0);
    used = 0;
    say("%s", below(2)   ? "{}"
              : below(2) ? "{\"type\": \"a\"}"
                         : "{\"type\": \"b\", \"app_id\": \"bb\", \"priority\": 1}");
    sample->properties = parse(0);
    sample->view = (struct view){.exchange = below(5) > 0 ? PICK(exchanges) : "elsewhere", .routing_key = sample->key};
}

static inline void free_sample(struct sample *sample)
{
    json_decref(sample->body);
    json_decref(sample->headers);
    json_decref(sample->properties);
}

#endif
