/*
 * test_source.c - sources find what stands in an event, tell what they need read, and teach who writes them wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json_text.h"
#include "property.h"
#include "source.h"

static struct source *compile(const char *text)
{
    char problem[512] = "";
    struct source *source = source_compile(text, strlen(text), problem, sizeof problem);
    if (source == NULL)
        fail_msg("%s: %s", text, problem);
    assert_string_equal(source_text(source), text);
    return source;
}

static const json_t *body, *headers, *properties;
static json_t *documents[3];

static int make_event_parts(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"id\": 7, \"none\": null, \"lines\": [{\"sku\": \"a\"}, {}, {\"sku\": null}], \"empty\": [], \"*\": 1}",
        "{\"x-tenant\": \"acme\", \"*\": \"star\", \"x-death\": [{\"queue\": \"q1\"}, {\"queue\": \"q2\"}],"
        " \"a/b\": 1, \"/id\": 2, \"\": 3}",
        "{\"type\": \"order.paid\", \"priority\": 3}",
    };
    for (size_t i = 0; i < 3; i++) {
        documents[i] = json_text_parse(texts[i], strlen(texts[i]), true, NULL);
        assert_non_null(documents[i]);
    }
    body = documents[0];
    headers = documents[1];
    properties = documents[2];
    return 0;
}

static int free_event_parts(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++)
        json_decref(documents[i]);
    return 0;
}

/* The values one after the other as text: strings and words bare, "-" for null, "!" for what is absent. */
static char seen[1024];
static size_t seen_count, seen_limit;

static bool see(void *context, const struct value *value)
{
    assert_ptr_equal(context, seen);
    size_t used = strlen(seen);
    const char *gap = seen_count++ == 0 ? "" : " ";
    if (value->text != NULL) {
        assert_null(value->json);
        snprintf(seen + used, sizeof seen - used, "%s%.*s", gap, (int)value->length, value->text);
    } else if (json_is_string(value->json)) {
        snprintf(seen + used, sizeof seen - used, "%s%s", gap, json_string_value(value->json));
    } else if (json_is_integer(value->json)) {
        snprintf(seen + used, sizeof seen - used, "%s%d", gap, (int)json_integer_value(value->json));
    } else {
        snprintf(seen + used, sizeof seen - used, "%s%s", gap, value->json == NULL ? "!" : "-");
        assert_int_equal(value_is_nothing(value), value->json == NULL || json_is_null(value->json));
        return seen_count < seen_limit;
    }
    assert_false(value_is_nothing(value));
    return seen_count < seen_limit;
}

static const char *look(const struct source *source, const char *exchange, const char *routing_key)
{
    struct view view = {exchange, routing_key, body, headers, properties};
    seen[0] = '\0';
    seen_count = 0;
    seen_limit = 1000;
    assert_true(source_each(source, &view, see, seen));
    if (!source_is_many(source)) {
        assert_int_equal(seen_count, 1);
        char once[sizeof seen];
        strcpy(once, seen);
        struct value value = source_value(source, &view);
        seen[0] = '\0';
        seen_count = 0;
        see(seen, &value);
        assert_string_equal(seen, once);
    }
    return seen;
}

static void assert_sees(const char *text, const char *wanted)
{
    struct source *source = compile(text);
    assert_string_equal(look(source, "shop", "shop.orders..eu"), wanted);
    source_free(source);
}

static void values_of_the_body_headers_and_properties_are_found(void **state)
{
    (void)state;
    assert_sees("/id", "7");
    assert_sees("/none", "-");
    assert_sees("/absent", "!");
    assert_sees("/lines/0/sku", "a");
    assert_sees("header.x-tenant", "acme");
    assert_sees("header.X-Tenant", "!"); /* names are compared as bytes */
    assert_sees("header.a/b", "1");
    assert_sees("header./id", "2");
    assert_sees("header/a~1b", "1");
    assert_sees("header/", "3");
    assert_sees("header/x-death/1/queue", "q2");
    assert_sees("header.x-death/1/queue", "!");
    assert_sees("property.type", "order.paid");
    assert_sees("property.priority", "3");
    assert_sees("property.app_id", "!");
}

static void a_star_sees_every_element(void **state)
{
    (void)state;
    assert_sees("/lines/*/sku", "a ! -");
    assert_sees("/empty/*", "!");
    assert_sees("/empty/*/sku", "!");
    assert_sees("/id/*", "!");
    assert_sees("header/x-death/*/queue", "q1 q2");
    assert_sees("header.*", "star"); /* a name is taken as it is */
}

static void words_of_the_routing_key_are_counted_from_one(void **state)
{
    (void)state;
    assert_sees("exchange", "shop");
    assert_sees("routing_key", "shop.orders..eu");
    assert_sees("routing_key.1", "shop");
    assert_sees("routing_key.2", "orders");
    assert_sees("routing_key.3", ""); /* a word, though an empty one */
    assert_sees("routing_key.4", "eu");
    assert_sees("routing_key.5", "!");
    assert_sees("routing_key.127", "!");
    static const struct {
        const char *key, *word;
    } one[] = {{"", "!"}, {"a", "a"}, {".", ""}, {".b", ""}, {"a.", "a"}};
    struct source *first = compile("routing_key.1"), *last = compile("routing_key.127");
    assert_int_equal(source_word(first), 1);
    assert_int_equal(source_word(last), SOURCE_WORD_MAX);
    for (size_t i = 0; i < sizeof one / sizeof *one; i++)
        assert_string_equal(look(first, "", one[i].key), one[i].word);
    char dots[256] = "";
    memset(dots, '.', 126);
    assert_string_equal(look(last, "", dots), "");
    dots[125] = '\0';
    assert_string_equal(look(last, "", dots), "!");
    source_free(first);
    source_free(last);
}

static void an_empty_exchange_or_routing_key_is_absent(void **state)
{
    (void)state;
    struct source *exchange = compile("exchange"), *key = compile("routing_key");
    assert_string_equal(look(exchange, "", "k"), "!");
    assert_string_equal(look(key, "x", ""), "!");
    assert_int_equal(source_word(exchange), 0);
    assert_int_equal(source_word(key), 0);
    source_free(exchange);
    source_free(key);
}

static void what_was_not_read_is_absent(void **state)
{
    (void)state;
    static const char *const texts[] = {"/id", "/lines/*/sku", "/*", "header.x", "header/x/*", "property.type"};
    struct view view = {.exchange = "", .routing_key = ""};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct source *source = compile(texts[i]);
        seen[0] = '\0';
        seen_count = 0;
        seen_limit = 1000;
        assert_true(source_each(source, &view, see, seen));
        assert_string_equal(seen, "!");
        source_free(source);
    }
}

static void nothing_is_seen_after_enough(void **state)
{
    (void)state;
    struct view view = {"shop", "a.b", body, headers, properties};
    static const char *const texts[] = {"/lines/*/sku", "/id", "routing_key.1", "exchange", "header.*"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct source *source = compile(texts[i]);
        seen[0] = '\0';
        seen_count = 0;
        seen_limit = 1;
        assert_false(source_each(source, &view, see, seen));
        assert_int_equal(seen_count, 1);
        source_free(source);
    }
}

static void a_source_says_what_must_be_read_for_it(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned needs;
        bool many;
    } cases[] = {{"/a", SOURCE_BODY, false},
                 {"/a/*", SOURCE_BODY, true},
                 {"/a*", SOURCE_BODY, false},
                 {"header.x", SOURCE_ATTRIBUTES, false},
                 {"header.*", SOURCE_ATTRIBUTES, false},
                 {"header/x/0", SOURCE_ATTRIBUTES, false},
                 {"header/x/*", SOURCE_ATTRIBUTES, true},
                 {"property.type", SOURCE_ATTRIBUTES, false},
                 {"routing_key", 0, false},
                 {"routing_key.3", 0, false},
                 {"exchange", 0, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct source *source = compile(cases[i].text);
        assert_int_equal(source_needs(source), cases[i].needs);
        assert_int_equal(source_is_many(source), cases[i].many);
        source_free(source);
    }
}

typedef struct source *compile_key(const char *text, size_t length, char *problem, size_t size);

static void assert_key(compile_key *compile_as, const char *key, const char *same_as)
{
    char problem[512] = "";
    struct source *source = compile_as(key, strlen(key), problem, sizeof problem);
    if (source == NULL)
        fail_msg("%s: %s", key, problem);
    struct source *wanted = compile(same_as);
    assert_string_equal(source_text(source), same_as);
    assert_true(source_same(source, wanted));
    source_free(source);
    source_free(wanted);
}

static void keys_of_when_are_sources_too(void **state)
{
    (void)state;
    assert_key(source_compile_body, "/a/*/b", "/a/*/b");
    assert_key(source_compile_header, "x-tenant", "header.x-tenant");
    assert_key(source_compile_header, "cloudEvents:type", "header.cloudEvents:type");
    assert_key(source_compile_header, "NServiceBus.EnclosedMessageTypes", "header.NServiceBus.EnclosedMessageTypes");
    assert_key(source_compile_header, "/x-death/0/queue", "header/x-death/0/queue");
    assert_key(source_compile_header, "*", "header.*");
    for (size_t i = 0; i < PROPERTIES; i++) {
        char text[64];
        snprintf(text, sizeof text, "property.%s", property_names[i]);
        assert_key(source_compile_property, property_names[i], text);
    }
    char problem[512];
    struct source *whole = source_compile_body("", 0, problem, sizeof problem);
    assert_non_null(whole);
    assert_string_equal(source_text(whole), "the body");
    struct view view = {"", "", body, headers, properties};
    assert_ptr_equal(source_value(whole, &view).json, body);
    source_free(whole);
}

static bool same(const char *a, const char *b)
{
    struct source *left = compile(a), *right = compile(b);
    bool result = source_same(left, right);
    assert_int_equal(source_same(right, left), result);
    source_free(left);
    source_free(right);
    return result;
}

static void the_same_place_is_recognised_however_it_is_written(void **state)
{
    (void)state;
    assert_true(same("/a/*", "/a/*"));
    assert_true(same("header.x", "header/x"));
    assert_true(same("header.a/b", "header/a~1b"));
    assert_true(same("routing_key.2", "routing_key.2"));
    assert_true(same("exchange", "exchange"));
    assert_false(same("/a", "/b"));
    assert_false(same("/type", "property.type"));
    assert_false(same("header.type", "property.type"));
    assert_false(same("header.*", "header/*"));
    assert_false(same("routing_key", "routing_key.1"));
    assert_false(same("routing_key.1", "routing_key.2"));
    assert_false(same("routing_key", "exchange"));
}

static void assert_refuses(compile_key *compile_as, const char *text, const char *part)
{
    char problem[512] = "";
    struct source *source = compile_as(text, strlen(text), problem, sizeof problem);
    assert_null(source);
    if (strstr(problem, part) == NULL)
        fail_msg("%s: %s", text, problem);
}

static void mistakes_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"", "names no source"},
        {"id",
         "\"id\" names no source; write a JSON Pointer for a value of the body, as in \"/id\", or one of routing_key,"},
        {"payload.id", "as in \"/payload/id\""},
        {"$.payload.id", "as in \"/payload/id\""},
        {"$", "as in \"/$\""},
        {"body.payload.id", "as in \"/payload/id\""},
        {"body/payload/id", "as in \"/payload/id\""},
        {"headers.x-tenant", "did you mean \"header.x-tenant\"?"},
        {"headers/x/0", "did you mean \"header/x/0\"?"},
        {"header", "did you mean \"header.NAME\"?"},
        {"Header.x", "did you mean \"header.x\"?"},
        {"properties.type", "did you mean \"property.type\"?"},
        {"property/type", "did you mean \"property.type\"?"},
        {"property", "did you mean \"property.NAME\"?"},
        {"routing-key", "did you mean \"routing_key\"?"},
        {"routingKey.2", "did you mean \"routing_key.2\"?"},
        {"routing_key/2", "did you mean \"routing_key.2\"?"},
        {"exchnage", "did you mean \"exchange\"?"},
        {"exchange.name", "did you mean \"exchange\"?"},
        {"header.", "no header is named"},
        {"property.", "no property is named"},
        {"property.typ", "\"typ\" is no property of a message; did you mean \"type\"?"},
        {"property.contenttype", "did you mean \"content_type\"?"},
        {"property.zzz", "those are content_type, content_encoding"},
        {"property.Type", "did you mean \"type\"?"},
        {"routing_key.0", "\"routing_key.0\" names no word of the routing key; they are counted from 1"},
        {"routing_key.128", "to 127"},
        {"routing_key.1270", "to 127"},
        {"routing_key.01", "counted from 1"},
        {"routing_key.", "counted from 1"},
        {"routing_key.-1", "counted from 1"},
        {"routing_key.1a", "counted from 1"},
        {"routing_key.2.3", "counted from 1"},
        {"/a~", "\"~0\""},
        {"header/~2", "\"~0\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_refuses(source_compile, bad[i][0], bad[i][1]);
    assert_refuses(source_compile_body, "id", "must start with \"/\"");
    assert_refuses(source_compile_header, "", "no header is named");
    assert_refuses(source_compile_header, "/~", "\"~0\"");
    assert_refuses(source_compile_property, "", "no property is named");
    char problem[512];
    assert_null(source_compile_header("a\0b", 3, problem, sizeof problem));
    assert_non_null(strstr(problem, "NUL"));
    assert_null(source_compile("header/a\0b", 10, problem, sizeof problem));
    assert_non_null(strstr(problem, "NUL"));
    assert_null(source_compile_property("type\0", 5, problem, sizeof problem));
    char longest[2000];
    memset(longest, 'x', sizeof longest); /* no sentence overruns, however little room it has */
    for (size_t size = 1; size <= sizeof problem; size = size * 2 + 1)
        assert_null(source_compile(longest, sizeof longest, problem, size));
    source_free(NULL);
}

static void a_headers_name_has_at_most_255_bytes(void **state)
{
    (void)state;
    char name[257], problem[512];
    memset(name, 'x', sizeof name);
    for (size_t length = 254; length <= 256; length++) {
        struct source *source = source_compile_header(name, length, problem, sizeof problem);
        assert_int_equal(source != NULL, length <= 255);
        source_free(source);
    }
    assert_non_null(strstr(problem, "256 bytes; a header's name has at most 255"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_the_body_headers_and_properties_are_found),
        cmocka_unit_test(a_star_sees_every_element),
        cmocka_unit_test(words_of_the_routing_key_are_counted_from_one),
        cmocka_unit_test(an_empty_exchange_or_routing_key_is_absent),
        cmocka_unit_test(what_was_not_read_is_absent),
        cmocka_unit_test(nothing_is_seen_after_enough),
        cmocka_unit_test(a_source_says_what_must_be_read_for_it),
        cmocka_unit_test(keys_of_when_are_sources_too),
        cmocka_unit_test(the_same_place_is_recognised_however_it_is_written),
        cmocka_unit_test(mistakes_are_refused_with_a_sentence),
        cmocka_unit_test(a_headers_name_has_at_most_255_bytes),
    };
    return cmocka_run_group_tests(tests, make_event_parts, free_event_parts);
}
