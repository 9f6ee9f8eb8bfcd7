/*
 * test_template.c - templates name the groups that the event is about, or a wider one, and never another.
 *
 * The linker sends the allocations of quash_rules here, so that each can be made to fail.
 */
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quash/table.h>

#include "json_text.h"
#include "template.h"

static_assert(TEMPLATE_GROUP_BYTES_MAX == QUASH_GROUP_MAX, "a name that a template makes fits into the table");

#define LIMIT 10000

static long allocations_left = -1; /* -1: no limit */
static size_t allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

static bool may_allocate(void)
{
    allocations++;
    if (allocations_left > 0)
        allocations_left--;
    else if (allocations_left == 0)
        return false;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return may_allocate() ? __real_calloc(count, size) : NULL;
}

/* What the last expansion gave: the names, each with a space behind it. */
static struct expansion expansion;
static char names[LIMIT * 8 + 2 * TEMPLATE_GROUP_BYTES_MAX];
static size_t names_length, name_count, names_allowed;

static bool take_name(void *context, const char *name, size_t length)
{
    assert_ptr_equal(context, names);
    assert_true(length > 0 && length <= TEMPLATE_GROUP_BYTES_MAX);
    assert_int_equal(strlen(name), length);
    assert_true(names_length + length + 2 <= sizeof names);
    memcpy(names + names_length, name, length);
    names[names_length + length] = ' ';
    names_length += length + 1;
    names[names_length] = '\0';
    return ++name_count < names_allowed;
}

static struct group_template *compile(const char *text)
{
    char problem[512] = "";
    struct group_template *compiled = template_compile(text, strlen(text), problem, sizeof problem);
    if (compiled == NULL)
        fail_msg("%s: %s", text, problem);
    assert_string_equal(template_text(compiled), text);
    return compiled;
}

static json_t *parse(const char *text)
{
    json_t *json = json_text_parse(text, strlen(text), true, NULL);
    assert_non_null(json);
    return json;
}

static bool expand_view(const struct group_template *compiled, const struct view *view, unsigned missing, size_t limit)
{
    names[0] = '\0';
    names_length = name_count = 0;
    names_allowed = SIZE_MAX;
    bool ok = template_expand(compiled, view, missing, limit, take_name, names, &expansion);
    assert_int_equal(expansion.count, name_count);
    assert_true(strlen(expansion.why) < sizeof expansion.why - 1); /* nothing was cut off */
    if (ok && expansion.outcome == EXPANSION_GROUPS)
        assert_true(name_count > 0 && !expansion.too_many && (expansion.why[0] == '\0') == !expansion.dead_letter);
    else if (ok)
        assert_true(name_count == (expansion.outcome == EXPANSION_WIDENED) && expansion.why[0] != '\0');
    return ok;
}

/* Expands `text` with a body that is JSON text. */
static enum expansion_outcome expand(const char *text, const char *body, unsigned missing)
{
    struct group_template *compiled = compile(text);
    json_t *json = parse(body);
    struct view view = {.exchange = "shop", .routing_key = "shop.Orders..EU", .body = json};
    assert_true(expand_view(compiled, &view, missing, LIMIT));
    json_decref(json);
    template_free(compiled);
    return expansion.outcome;
}

static const unsigned all_missing[] = {0, MISSING_WIDEN, MISSING_DEAD_LETTER, MISSING_WIDEN | MISSING_DEAD_LETTER};

/* Of a template that finds all its values: its names, each with a space behind it, whatever `missing` says. */
static void assert_groups(const char *text, const char *body, const char *wanted)
{
    for (size_t i = 0; i < sizeof all_missing / sizeof *all_missing; i++) {
        assert_int_equal(expand(text, body, all_missing[i]), EXPANSION_GROUPS);
        assert_string_equal(names, wanted);
        assert_false(expansion.dead_letter);
    }
}

/* Of a value that is there and cannot be used. */
static void assert_widens(const char *text, const char *body, const char *wider, const char *why)
{
    for (size_t i = 0; i < sizeof all_missing / sizeof *all_missing; i++) {
        assert_int_equal(expand(text, body, all_missing[i]), EXPANSION_WIDENED);
        assert_string_equal(names, wider);
        assert_non_null(strstr(expansion.why, why));
        assert_int_equal(expansion.dead_letter, (all_missing[i] & MISSING_DEAD_LETTER) != 0);
    }
}

static void assert_nothing(const char *text, const char *body, unsigned missing, const char *why)
{
    assert_int_equal(expand(text, body, missing), EXPANSION_NOTHING);
    assert_string_equal(names, "");
    assert_string_equal(expansion.why, why);
}

static void values_of_the_body_are_filled_in(void **state)
{
    (void)state;
    assert_groups("tenant:{/id}", "{\"id\": \"42\"}", "tenant:42 ");
    assert_groups("tenant:{/id}", "{\"id\": 42}", "tenant:42 ");
    assert_groups("tenant:{/id}", "{\"id\": -9223372036854775808}", "tenant:-9223372036854775808 ");
    assert_groups("tenant:{/id}", "{\"id\": 9223372036854775807}", "tenant:9223372036854775807 ");
    assert_groups("tenant:{/id}", "{\"id\": 0}", "tenant:0 ");
    assert_groups("flag:{/on}", "{\"on\": true}", "flag:true ");
    assert_groups("flag:{/on}", "{\"on\": false}", "flag:false ");
    assert_groups("order:{/a/0/b~1c}/{/d~0e?}!", "{\"a\": [{\"b/c\": 1}], \"d~e\": \"x\"}", "order:1/x! ");
    assert_groups("catalog", "{}", "catalog ");
    assert_groups("tenant:*", "{}", "tenant:* ");
    assert_groups("k:{/straße}", "{\"straße\": \"ä\"}", "k:ä ");
    assert_groups("{/kind}:{/id}", "{\"kind\": \"a\", \"id\": \"b:c\"}", "a:b:c ");
    assert_groups("k:{/first name}", "{\"first name\": 1}", "k:1 ");
    assert_groups("tenant:{/id}", "{\"id\": \"*\"}", "tenant:* "); /* flushes its kind */
}

static void values_may_come_from_all_parts_of_an_event(void **state)
{
    (void)state;
    json_t *headers = parse("{\"x-tenant\": \"acme\", \"n\": {\"deep\": [7, 8]}}");
    json_t *properties = parse("{\"type\": \"order.paid\", \"priority\": 3}");
    struct view view = {.exchange = "shop", .routing_key = "a.b.c", .headers = headers, .properties = properties};
    static const char *const cases[][2] = {
        {"t:{header.x-tenant}", "t:acme "},
        {"t:{header/n/deep/1}", "t:8 "},
        {"t:{header/n/deep/*}", "t:7 t:8 "},
        {"t:{property.type}.{property.priority}", "t:order.paid.3 "},
        {"t:{routing_key}", "t:a.b.c "},
        {"t:{routing_key.2}/{exchange}", "t:b/shop "},
        {"t:{/id ?? header.y ?? property.app_id ?? routing_key.9 ?? routing_key.3}", "t:c "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct group_template *compiled = compile(cases[i][0]);
        assert_true(expand_view(compiled, &view, MISSING_WIDEN, LIMIT));
        assert_int_equal(expansion.outcome, EXPANSION_GROUPS);
        assert_string_equal(names, cases[i][1]);
        template_free(compiled);
    }
    view.exchange = view.routing_key = "";
    static const char *const absent[] = {"t:{exchange}", "t:{routing_key}", "t:{routing_key.1}"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        struct group_template *compiled = compile(absent[i]);
        assert_true(expand_view(compiled, &view, MISSING_WIDEN, LIMIT));
        assert_int_equal(expansion.outcome, EXPANSION_WIDENED);
        assert_non_null(strstr(expansion.why, " is absent"));
        template_free(compiled);
    }
    json_decref(headers);
    json_decref(properties);
}

static void doubled_braces_are_literal(void **state)
{
    (void)state;
    assert_groups("a:{{{/id}}}", "{\"id\": 1}", "a:{1} ");
    assert_groups("{{}}", "{}", "{} ");
    assert_groups("a{{b}}:{/id}", "{\"id\": 1}", "a{b}:1 ");
    assert_groups("}}{/id}{{", "{\"id\": 1}", "}1{ ");
    assert_groups("{{{{a:{/id}{/id}", "{\"id\": 1}", "{{a:11 ");
}

static void white_space_inside_of_braces_does_not_count(void **state)
{
    (void)state;
    assert_groups("k:{ /id\t}", "{\"id\": 1}", "k:1 ");
    assert_groups("k:{ /a ?? /b ? | upper | trim }", "{\"b\": \" x \"}", "k:X ");
    /* In two parts, lest it be a trigraph. */
    assert_groups("k:{/a?"
                  "?/b?|upper|trim}",
                  "{\"b\": \" x \"}", "k:X ");
    assert_groups("k:{\n/a\n??\n/b\n}", "{\"b\": 2}", "k:2 ");
    assert_groups("k: {/a} ", "{\"a\": 1}", "k: 1  "); /* outside it does */
}

static void the_first_alternative_with_a_value_is_taken(void **state)
{
    (void)state;
    assert_groups("o:{/a ?? /b}", "{\"a\": 1, \"b\": 2}", "o:1 ");
    assert_groups("o:{/a ?? /b}", "{\"b\": 2}", "o:2 ");
    assert_groups("o:{/a ?? /b}", "{\"a\": null, \"b\": 2}", "o:2 ");
    assert_groups("o:{/a ?? /b}", "{\"a\": false, \"b\": 2}", "o:false ");
    assert_groups("o:{/a ?? /b ?? /c ?? /d ?? /e ?? /f ?? /g ?? /h}", "{\"h\": 8}", "o:8 ");
    assert_widens("o:{/a ?? /b}", "{\"a\": \"\", \"b\": 2}", "o:* ", "/a is an empty string"); /* there, but no name */
    assert_nothing("o:{/a ?? /b?}", "{}", MISSING_WIDEN, "/a and /b are absent");
    assert_nothing("o:{/a ?? /b ?? /c?}", "{}", MISSING_WIDEN, "/a, /b and 1 more are absent");
    assert_int_equal(expand("o:{/a ?? /b}", "{}", MISSING_WIDEN), EXPANSION_WIDENED);
    /* A list gives a value as soon as one element does; then it is the list that counts. */
    assert_groups("o:{/l/*/a ?? /b}", "{\"l\": [{}, {}], \"b\": 2}", "o:2 ");
    assert_groups("o:{/l/*/a ?? /b}", "{\"l\": [], \"b\": 2}", "o:2 ");
    assert_groups("o:{/l/*/a ?? /b}", "{\"l\": [{\"a\": 1}, {\"a\": 3}], \"b\": 2}", "o:1 o:3 ");
    assert_int_equal(expand("o:{/l/*/a ?? /b}", "{\"l\": [{\"a\": 1}, {}], \"b\": 2}", 0), EXPANSION_GROUPS);
    assert_string_equal(names, "o:1 ");
    assert_int_equal(expand("o:{/l/*/a ?? /b}", "{\"l\": [{}, {\"a\": 1}], \"b\": 2}", MISSING_WIDEN),
                     EXPANSION_WIDENED);
    assert_string_equal(expansion.why, "/l/*/a is absent in 1 of 2 elements");
}

static void filters_are_applied_to_what_was_found(void **state)
{
    (void)state;
    assert_groups("r:{/r | lower}", "{\"r\": \"EU-Ä\"}", "r:eu-ä ");
    assert_groups("r:{/r | upper}", "{\"r\": \"eu-ä\"}", "r:EU-Ä ");
    assert_groups("r:{/r|trim|lower}", "{\"r\": \" \\tEU \\n\"}", "r:eu ");
    assert_groups("r:{routing_key.2 | lower}/{routing_key.4|lower}", "{}", "r:orders/eu ");
    assert_groups("r:{/x ?? routing_key.2 | lower}", "{\"x\": \"UP\"}", "r:up ");
    assert_groups("r:{/n | upper | trim}", "{\"n\": -17}", "r:-17 ");
    assert_groups("r:{/n | upper}", "{\"n\": true}", "r:TRUE ");
    assert_groups("r:{/l/* | upper}", "{\"l\": [\"a\", \"b\", 3]}", "r:A r:B r:3 ");
    assert_groups("r:{/r|trim|trim|trim|trim|trim|trim|trim|trim}", "{\"r\": \" a\"}", "r:a ");
    assert_groups("r:{/r | lower}", "{\"r\": \" \"}", "r:  ");
    assert_widens("r:{/r | trim}", "{\"r\": \" \\r\\n\"}", "r:* ", "/r is nothing but white space");
    assert_widens("r:{/r | trim}", "{\"r\": \"\"}", "r:* ", "/r is an empty string");
    assert_widens("r:{/r? | trim}", "{\"r\": \" a\\u0000\"}", "r:* ", "NUL");
    assert_nothing("r:{/r? | trim}", "{}", MISSING_WIDEN, "/r is absent");
}

static void an_absent_required_value_widens_to_the_kind(void **state)
{
    (void)state;
    static const char *const bodies[] = {"{}", "{\"id\": null}", "[]", "17", "null", "{\"other\": 1}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        assert_int_equal(expand("tenant:{/id}", bodies[i], MISSING_WIDEN), EXPANSION_WIDENED);
        assert_string_equal(names, "tenant:* ");
        assert_string_equal(expansion.why, "/id is absent");
        assert_false(expansion.dead_letter);
    }
    assert_int_equal(expand("a{{b:c:{/id}", "{}", MISSING_WIDEN), EXPANSION_WIDENED);
    assert_string_equal(names, "a{b:* "); /* the kind ends at the first colon, without its doubled brace */
}

static void on_missing_decides_what_becomes_of_an_absent_value(void **state)
{
    (void)state;
    assert_nothing("tenant:{/id}", "{}", 0, "/id is absent");
    assert_false(expansion.dead_letter);
    assert_nothing("tenant:{/id}", "{\"id\": null}", MISSING_DEAD_LETTER, "/id is absent");
    assert_true(expansion.dead_letter);
    assert_int_equal(expand("tenant:{/id}", "{}", MISSING_WIDEN | MISSING_DEAD_LETTER), EXPANSION_WIDENED);
    assert_string_equal(names, "tenant:* ");
    assert_true(expansion.dead_letter);
}

static void an_absent_optional_value_names_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof all_missing / sizeof *all_missing; i++) {
        assert_nothing("tenant:{/id?}", "{}", all_missing[i], "/id is absent");
        assert_false(expansion.dead_letter);
        assert_nothing("tenant:{/id ?}", "{\"id\": null}", all_missing[i], "/id is absent");
        assert_nothing("tenant:{/a/b?}", "{\"a\": null}", all_missing[i], "/a/b is absent");
        assert_false(expansion.dead_letter);
    }
    assert_groups("tenant:{/id?}", "{\"id\": 7}", "tenant:7 ");
}

static void a_missing_value_outweighs_an_optional_one(void **state)
{
    (void)state;
    assert_int_equal(expand("order:{/a?}-{/b}", "{}", MISSING_WIDEN), EXPANSION_WIDENED);
    assert_string_equal(names, "order:* ");
    assert_string_equal(expansion.why, "/b is absent");
    assert_nothing("order:{/a?}-{/b}", "{\"b\": 1}", MISSING_WIDEN, "/a is absent");
    assert_nothing("order:{/a?}-{/b}", "{}", MISSING_DEAD_LETTER, "/b is absent");
    assert_true(expansion.dead_letter);
    assert_nothing("order:{/a?}-{/b}", "{}", 0, "/a is absent");
}

static void an_unusable_value_widens_even_where_absent_is_fine(void **state)
{
    (void)state;
    assert_widens("t:{/id}", "{\"id\": {}}", "t:* ", "/id is an object");
    assert_widens("t:{/id}", "{\"id\": [1]}", "t:* ", "an array");
    assert_widens("t:{/id}", "{\"id\": 1.5}", "t:* ", "a fraction");
    assert_widens("t:{/id}", "{\"id\": 1.0}", "t:* ", "a fraction");
    assert_widens("t:{/id}", "{\"id\": 1e3}", "t:* ", "an exponent");
    assert_widens("t:{/id}", "{\"id\": \"\"}", "t:* ", "an empty string");
    assert_widens("t:{/id}", "{\"id\": \"a\\u0000b\"}", "t:* ", "NUL");
    assert_widens("t:{/id?}", "{\"id\": {}}", "t:* ", "an object");
    assert_widens("t:{/a?}{/b?}", "{\"b\": []}", "t:* ", "/b is an array");
    assert_widens("t:{/a}{/b}", "{\"b\": []}", "t:* ", "/b is an array");
    assert_widens("{/id}", "{\"id\": {}}", "* ", "an object");
    assert_widens("t:{routing_key.3}", "{}", "t:* ", "routing_key.3 is an empty string");
    assert_widens("t:{/l/*?}{/b?}", "{\"l\": [1, 2, \"\"]}", "t:* ", "/l/* is an empty string");
}

static void without_a_literal_kind_everything_is_cancelled(void **state)
{
    (void)state;
    static const char *const templates[] = {"{/kind}:{/id}", "ten{/kind}:{/id}", "{/id}", "prefix{/id}"};
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
        assert_int_equal(expand(templates[i], "{\"kind\": \"x\"}", MISSING_WIDEN), EXPANSION_WIDENED);
        assert_string_equal(names, "* ");
    }
}

static void the_wider_group_is_always_a_name(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"tenant:{/id}", "tenant:*"}, {"catalog", "*"},   {"a:b:{/c}", "a:*"},
                                           {"tenant:42", "tenant:*"},    {"{/a}:{/b}", "*"}, {"a{{:x", "a{:*"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct group_template *compiled = compile(cases[i][0]);
        assert_string_equal(template_wider(compiled), cases[i][1]);
        template_free(compiled);
    }
    /* A kind so long that nothing fits behind its colon. */
    for (size_t length = 511; length <= 512; length++) {
        char text[513] = "";
        memset(text, 'k', length - 1);
        text[length - 1] = ':';
        struct group_template *compiled = compile(text);
        const char *wider = template_wider(compiled);
        assert_true(strlen(wider) <= TEMPLATE_GROUP_BYTES_MAX);
        assert_int_equal(strlen(wider), length == 511 ? 512 : 1);
        assert_int_equal(wider[strlen(wider) - 1], '*');
        template_free(compiled);
    }
}

static void a_star_gives_a_group_for_every_value(void **state)
{
    (void)state;
    static const char lines[] = "{\"lines\": [{\"sku\": \"a\", \"n\": [1, 2]}, {\"sku\": \"b\", \"n\": [3]}],"
                                " \"map\": {\"x\": 7, \"y\": 8}, \"t\": \"T\"}";
    assert_groups("sku:{/lines/*/sku}", lines, "sku:a sku:b ");
    assert_groups("n:{/lines/*/n/*}", lines, "n:1 n:2 n:3 ");
    assert_groups("m:{/map/*}", lines, "m:7 m:8 ");
    assert_groups("s:{/t}/{/lines/*/sku}!", lines, "s:T/a! s:T/b! ");
    assert_groups("s:{/lines/*/sku}", "{\"lines\": [{\"sku\": 1}]}", "s:1 ");
}

static void several_stars_give_every_combination(void **state)
{
    (void)state;
    static const char body[] = "{\"a\": [1, 2], \"b\": [\"x\", \"yy\", \"\\u00fc\"], \"c\": [true]}";
    assert_groups("k:{/a/*}-{/b/*}", body, "k:1-x k:1-yy k:1-ü k:2-x k:2-yy k:2-ü ");
    assert_groups("{/b/*}{/c/*}{/a/*}", body, "xtrue1 xtrue2 yytrue1 yytrue2 ütrue1 ütrue2 ");
    assert_groups("{/a/*}{/a/*}{/a/*}", body, "111 112 121 122 211 212 221 222 ");
}

static void an_element_without_the_value_is_as_on_missing_says(void **state)
{
    (void)state;
    static const char body[] = "{\"l\": [{\"s\": 1}, {}, {\"s\": null}, {\"s\": 4}, 5], \"b\": [8, 9]}";
    static const char why[] = "/l/*/s is absent in 3 of 5 elements";
    assert_int_equal(expand("k:{/l/*/s}", body, MISSING_WIDEN), EXPANSION_WIDENED);
    assert_string_equal(names, "k:* ");
    assert_string_equal(expansion.why, why);
    assert_int_equal(expand("k:{/l/*/s}", body, MISSING_WIDEN | MISSING_DEAD_LETTER), EXPANSION_WIDENED);
    assert_true(expansion.dead_letter);
    assert_int_equal(expand("k:{/l/*/s}{/b/*}", body, 0), EXPANSION_GROUPS);
    assert_string_equal(names, "k:18 k:19 k:48 k:49 ");
    assert_false(expansion.dead_letter);
    assert_int_equal(expand("k:{/l/*/s}", body, MISSING_DEAD_LETTER), EXPANSION_GROUPS);
    assert_string_equal(names, "k:1 k:4 ");
    assert_true(expansion.dead_letter);
    assert_string_equal(expansion.why, why);
    assert_groups("k:{/l/*/s?}", body, "k:1 k:4 ");
}

static void a_list_without_values_is_absent(void **state)
{
    (void)state;
    static const char *const bodies[] = {"{}", "{\"l\": []}", "{\"l\": 7}", "{\"l\": {}}", "{\"l\": [{}, null]}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        assert_int_equal(expand("k:{/l/*/s}", bodies[i], MISSING_WIDEN), EXPANSION_WIDENED);
        assert_string_equal(expansion.why, "/l/*/s is absent");
        assert_nothing("k:{/l/*/s}", bodies[i], 0, "/l/*/s is absent");
        assert_nothing("k:{/l/*/s?}", bodies[i], MISSING_WIDEN, "/l/*/s is absent");
        assert_nothing("k:{/l/*/s?}{/b/*}", bodies[i], 0, "/l/*/s is absent");
    }
}

/* A body {"a": [0, 1, ...], "b": [...]} with so many elements. */
static json_t *lists(size_t a, size_t b)
{
    json_t *body = json_pack("{s:[], s:[]}", "a", "b");
    for (size_t i = 0; i < a; i++)
        json_array_append_new(json_object_get(body, "a"), json_integer((json_int_t)i));
    for (size_t i = 0; i < b; i++)
        json_array_append_new(json_object_get(body, "b"), json_integer((json_int_t)i));
    return body;
}

static void names_past_the_limit_become_everything(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t a, b, names;
    } cases[] = {{"k:1", 0, 0, 1},
                 {"k:{/a/*}", 1, 0, 1},
                 {"k:{/a/*}", 100, 0, 100},
                 {"k:{/a/*}", 64, 0, 64},
                 {"k:{/a/*}", 65, 0, 65},
                 {"k:{/a/*}{/b/*}", 30, 40, 1200},
                 {"{/a/*}{/b/*}", 100, 1, 100},
                 {"{/a/*}{/a/*}{/a/*}", 10, 0, 1000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct group_template *compiled = compile(cases[i].text);
        json_t *body = lists(cases[i].a, cases[i].b);
        struct view view = {.exchange = "", .routing_key = "", .body = body};
        for (size_t limit = cases[i].names - 1; limit <= cases[i].names + 1; limit++) {
            assert_true(expand_view(compiled, &view, MISSING_WIDEN | MISSING_DEAD_LETTER, limit));
            assert_int_equal(expansion.too_many, limit < cases[i].names);
            assert_false(expansion.dead_letter);
            if (limit >= cases[i].names) {
                assert_int_equal(expansion.outcome, EXPANSION_GROUPS);
                assert_int_equal(name_count, cases[i].names);
            } else {
                assert_int_equal(expansion.outcome, EXPANSION_WIDENED);
                assert_string_equal(names, "* ");
                assert_non_null(strstr(expansion.why, "more than"));
            }
        }
        json_decref(body);
        template_free(compiled);
    }
}

static void a_product_past_every_integer_is_cut_off(void **state)
{
    (void)state;
    /* 2^8 values at 64 places: 2^512 names. */
    char text[64 * 6 + 1] = "";
    for (int i = 0; i < 64; i++)
        strcat(text, "{/a/*}");
    struct group_template *compiled = compile(text);
    json_t *body = lists(256, 0);
    struct view view = {.exchange = "", .routing_key = "", .body = body};
    assert_true(expand_view(compiled, &view, 0, LIMIT));
    assert_true(expansion.too_many);
    assert_string_equal(names, "* ");
    assert_true(expand_view(compiled, &view, 0, SIZE_MAX));
    assert_true(expansion.too_many);
    template_free(compiled);
    /* One place that finds nothing leaves nothing of it. */
    text[63 * 6] = '\0';
    strcat(text, "{/b/*}");
    compiled = compile(text);
    assert_true(expand_view(compiled, &view, 0, LIMIT));
    assert_int_equal(expansion.outcome, EXPANSION_NOTHING);
    json_decref(body);
    template_free(compiled);
}

static void a_name_may_have_512_bytes_and_no_more(void **state)
{
    (void)state;
    static const char *const templates[] = {"t:{/id}", "t:{/id | lower}", "t:{/id | trim}", "t:{/l/*}",
                                            "t:{/l/* | upper}"};
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
        for (size_t length = 510; length <= 514; length++) {
            char body[2000], value[600];
            memset(value, 'x', length - 2);
            value[length - 2] = '\0';
            snprintf(body, sizeof body, "{\"id\": \"%s\", \"l\": [1, \"%s\", \"short\"]}", value, value);
            for (size_t k = 0; k < sizeof all_missing / sizeof *all_missing; k++) {
                enum expansion_outcome outcome = expand(templates[i], body, all_missing[k]);
                if (length <= TEMPLATE_GROUP_BYTES_MAX) {
                    assert_int_equal(outcome, EXPANSION_GROUPS);
                    continue;
                }
                assert_int_equal(outcome, EXPANSION_WIDENED);
                assert_string_equal(names, "t:* ");
                assert_non_null(strstr(expansion.why, "512 bytes"));
                assert_int_equal(expansion.dead_letter, (all_missing[k] & MISSING_DEAD_LETTER) != 0);
            }
        }
    }
}

static void a_long_value_counts_as_what_the_filters_leave_of_it(void **state)
{
    (void)state;
    char body[4096] = "{\"id\": \"", name[600];
    memset(body + 8, ' ', 2000);
    strcpy(body + 2008, "Ab   \"}");
    assert_groups("t:{/id | trim}", body, "t:Ab ");
    assert_groups("t:{/id | lower | trim}", body, "t:ab ");
    assert_widens("t:{/id | lower}", body, "t:* ", "512 bytes");
    /* 510 Kelvin signs of three bytes each become as many letters k. */
    body[8] = '\0';
    for (int i = 0; i < 510; i++)
        strcat(body, "\xe2\x84\xaa");
    strcat(body, "\"}");
    memset(name, 'k', 512);
    strcpy(name + 512, " ");
    memcpy(name, "t:", 2);
    assert_groups("t:{/id | lower}", body, name);
    assert_widens("t:{/id}", body, "t:* ", "512 bytes");
}

static void the_longest_of_all_combinations_must_fit(void **state)
{
    (void)state;
    for (size_t length = 254; length <= 257; length++) {
        char value[300], body[1000];
        memset(value, 'x', length);
        value[length] = '\0';
        snprintf(body, sizeof body, "{\"a\": [1, \"%s\", 2], \"b\": [\"%s\", 3]}", value, value);
        enum expansion_outcome outcome = expand("{/a/*}{/b/*}", body, 0);
        assert_int_equal(outcome, length <= 256 ? EXPANSION_GROUPS : EXPANSION_WIDENED);
    }
}

/* The slow and simple way: all combinations of lists of strings, some of them empty. */
static void the_combinations_are_those_of_nested_loops(void **state)
{
    (void)state;
    unsigned random = 12345;
    for (int round = 0; round < 2000; round++) {
        json_t *body = json_object();
        json_t *list[3];
        for (int i = 0; i < 3; i++) {
            list[i] = json_array();
            random = random * 1103515245 + 12345;
            for (unsigned k = random >> 16 & 3; k > 0; k--) {
                random = random * 1103515245 + 12345;
                unsigned kind = random >> 16 & 7;
                json_array_append_new(list[i], kind == 0 ? json_null() : json_integer((json_int_t)kind * (i + 7)));
            }
            json_object_set_new(body, (const char *[]){"a", "b", "c"}[i], list[i]);
        }
        char wanted[sizeof names] = "";
        size_t used = 0, a, b, c;
        json_t *x, *y, *z;
        json_array_foreach(list[0], a, x) json_array_foreach(list[1], b, y)
            json_array_foreach(list[2], c, z) if (json_is_integer(x) && json_is_integer(y) && json_is_integer(z))
                used += (size_t)snprintf(wanted + used, sizeof wanted - used, "k:%d-%d.%d ", (int)json_integer_value(x),
                                         (int)json_integer_value(y), (int)json_integer_value(z));
        struct group_template *compiled = compile("k:{/a/*}-{/b/*}.{/c/*}");
        struct view view = {.exchange = "", .routing_key = "", .body = body};
        assert_true(expand_view(compiled, &view, 0, LIMIT));
        assert_string_equal(names, wanted);
        assert_int_equal(expansion.outcome, used > 0 ? EXPANSION_GROUPS : EXPANSION_NOTHING);
        template_free(compiled);
        json_decref(body);
    }
}

static void nothing_is_named_before_it_is_certain(void **state)
{
    (void)state;
    /* The trouble comes last, behind many good values; expand_view sees that one name is given, the wider one. */
    json_t *body = lists(200, 3);
    json_t *a = json_object_get(body, "a");
    static const char *const templates[] = {"k:{/a/*}", "k:{/a/*}{/b/*}", "k:{/b/*}{/a/*}", "k:{/b/*}{/a/* | lower}"};
    for (int kind = 0; kind < 3; kind++) {
        json_array_append_new(a, kind == 0 ? json_null() : kind == 1 ? json_object() : json_stringn("", 0));
        for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
            struct group_template *compiled = compile(templates[i]);
            struct view view = {.exchange = "", .routing_key = "", .body = body};
            assert_true(expand_view(compiled, &view, MISSING_WIDEN, LIMIT));
            assert_int_equal(expansion.outcome, EXPANSION_WIDENED);
            assert_string_equal(names, "k:* ");
            template_free(compiled);
        }
        json_array_remove(a, json_array_size(a) - 1);
    }
    json_decref(body);
}

static void whoever_takes_the_names_may_stop(void **state)
{
    (void)state;
    json_t *body = lists(10, 10);
    struct view view = {.exchange = "", .routing_key = "", .body = body};
    static const char *const templates[] = {"k:{/a/*}{/b/*}", "k:{/a/0}", "k", "k:{/none}"};
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
        struct group_template *compiled = compile(templates[i]);
        names_length = name_count = 0;
        names_allowed = 1;
        assert_false(template_expand(compiled, &view, MISSING_WIDEN, LIMIT, take_name, names, &expansion));
        assert_int_equal(name_count, 1);
        template_free(compiled);
    }
    json_decref(body);
}

static void mistakes_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"", "is empty"},
        {":{/id}", "no kind"},
        {"a:{/id", "never closed"},
        {"a:{", "never closed"},
        {"{{{", "never closed"},
        {"a:/id}", "closes nothing"},
        {"}", "closes nothing"},
        {"a:}x", "closes nothing"},
        {"a:{}", "{} names no value"},
        {"a:{ \t }", "names no value"},
        {"a:{?}", "{?} names no value"},
        {"a:{ | lower}", "names no value"},
        {"a:{id}", "\"id\" names no source; write a JSON Pointer for a value of the body, as in \"/id\""},
        {"a:{headers.x}", "did you mean \"header.x\"?"},
        {"a:{routing_key.0}", "counted from 1"},
        {"a:{property.typ}", "did you mean \"type\"?"},
        {"a:{/x ?? }", "stands between two sources"},
        {"a:{?? /x}", "stands between two sources"},
        {"a:{??}", "stands between two sources"},
        {"a:{/x??}", "stands between two sources"},
        {"a:{/x???}", "at the end"},
        {"a:{/x ?? ?? /y}", "stands between two sources"},
        {"a:{/x ?? ?}", "stands between two sources"},
        {"a:{/x ??? /y}", "at the end"},
        {"a:{/x? ?? /y}", "at the end"},
        {"a:{/x?/y}", "{/x?/y}: a \"?\" can only stand at the end"},
        {"a:{/a?b}", "at the end"},
        {"a:{/x | lower?}", "in front of the \"|\", as in {/region? | lower}"},
        {"a:{/x | }", "names no filter"},
        {"a:{/x || /y}", "\"??\" between alternatives"},
        {"a:{/x | lowre}", "\"lowre\" is no filter; did you mean lower?"},
        {"a:{/x | LOWER}", "did you mean lower?"},
        {"a:{/x | toupper}", "did you mean upper?"},
        {"a:{/x | base64}", "\"base64\" is no filter; there are lower, upper and trim"},
        {"a:{/x | lower upper}", "\"lower upper\" is no filter"},
        {"a:{/x{y}", "inside"},
        {"a:{/x~}", "\"~0\""},
        {"a:{/x~2}", "\"~0\""},
        {"a:{/1 ?? /2 ?? /3 ?? /4 ?? /5 ?? /6 ?? /7 ?? /8 ?? /9}", "more than 8 alternatives"},
        {"a:{/1|trim|trim|trim|trim|trim|trim|trim|trim|trim}", "more than 8 filters"},
    };
    char problem[512];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        problem[0] = '\0';
        assert_null(template_compile(bad[i][0], strlen(bad[i][0]), problem, sizeof problem));
        if (strstr(problem, bad[i][1]) == NULL)
            fail_msg("%s: %s", bad[i][0], problem);
        assert_true(strlen(problem) < 256);
    }
    assert_null(template_compile("a\0b", 3, problem, sizeof problem));
    assert_null(template_compile("a:{/\0}", 6, problem, sizeof problem));
    template_free(NULL);
}

static void a_template_may_have_512_characters_and_512_bytes_of_name(void **state)
{
    (void)state;
    char text[TEMPLATE_CHARACTERS_MAX * 2 + 16], problem[512];
    for (size_t characters = 511; characters <= 513; characters++) {
        memset(text, 'x', characters);
        struct group_template *compiled = template_compile(text, characters, problem, sizeof problem);
        assert_int_equal(compiled != NULL, characters <= TEMPLATE_CHARACTERS_MAX);
        template_free(compiled);
    }
    /* Two bytes a character; the place takes a byte at least. */
    for (size_t bytes = 510; bytes <= 513; bytes++) {
        size_t literal = bytes - 1;
        for (size_t i = 0; i + 1 < literal; i += 2)
            memcpy(text + i, "\xc3\xa4", 2);
        if (literal % 2 == 1)
            text[literal - 1] = 'x';
        memcpy(text + literal, "{/id}", 5);
        struct group_template *compiled = template_compile(text, literal + 5, problem, sizeof problem);
        assert_int_equal(compiled != NULL, bytes <= TEMPLATE_GROUP_BYTES_MAX);
        template_free(compiled);
    }
    assert_non_null(strstr(problem, "513 bytes"));
}

static void as_many_places_as_fit_are_filled(void **state)
{
    (void)state;
    char text[TEMPLATE_CHARACTERS_MAX + 1] = "", wanted[200] = "";
    for (size_t i = 0; i < TEMPLATE_CHARACTERS_MAX / 3; i++) {
        strcat(text, "{/}"); /* whose key is "" */
        strcat(wanted, "x");
    }
    strcat(wanted, " ");
    assert_groups(text, "{\"\": \"x\"}", wanted);
}

static void a_template_says_what_must_be_read_for_it(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned needs;
    } cases[] = {{"a:{{b}}", 0},
                 {"a:{routing_key.1}{exchange}", 0},
                 {"a:{/b?}", SOURCE_BODY},
                 {"a:{header.x}", SOURCE_ATTRIBUTES},
                 {"a:{exchange ?? property.type}", SOURCE_ATTRIBUTES},
                 {"a:{exchange ?? /b}{header/x}", SOURCE_BODY | SOURCE_ATTRIBUTES}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct group_template *compiled = compile(cases[i].text);
        assert_int_equal(template_needs(compiled), cases[i].needs);
        template_free(compiled);
    }
}

static void its_places_can_be_looked_at(void **state)
{
    (void)state;
    struct group_template *compiled = compile("{/a}b{/c ?? header.d?}{exchange | lower}e");
    assert_int_equal(template_place_count(compiled), 3);
    size_t count;
    bool optional;
    const struct source *const *sources = template_place(compiled, 0, &count, &optional);
    assert_int_equal(count, 1);
    assert_false(optional);
    assert_string_equal(source_text(sources[0]), "/a");
    sources = template_place(compiled, 1, &count, &optional);
    assert_int_equal(count, 2);
    assert_true(optional);
    assert_string_equal(source_text(sources[0]), "/c");
    assert_string_equal(source_text(sources[1]), "header.d");
    sources = template_place(compiled, 2, &count, &optional);
    assert_int_equal(count, 1);
    assert_false(optional);
    assert_string_equal(source_text(sources[0]), "exchange");
    template_free(compiled);
    compiled = compile("a");
    assert_int_equal(template_place_count(compiled), 0);
    template_free(compiled);
}

static void few_values_take_no_memory(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t a;
        bool takes;
    } cases[] = {{"k:{/a/0}-{/b/0 ?? /b/1 | lower}-{exchange}", 5, false},
                 {"k:{/a/*}", 64, false},
                 {"k:{/a/*}", 65, true},
                 {"k:{/none}", 5, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct group_template *compiled = compile(cases[i].text);
        json_t *body = lists(cases[i].a, 3);
        struct view view = {.exchange = "x", .routing_key = "", .body = body};
        allocations = 0;
        assert_true(expand_view(compiled, &view, MISSING_WIDEN, LIMIT));
        assert_int_equal(allocations > 0, cases[i].takes);
        allocations_left = 0;
        assert_int_equal(expand_view(compiled, &view, MISSING_WIDEN, LIMIT), !cases[i].takes);
        assert_int_equal(name_count > 0, !cases[i].takes); /* and no name where it fails */
        allocations_left = -1;
        json_decref(body);
        template_free(compiled);
    }
}

static void compiling_survives_every_failed_allocation(void **state)
{
    (void)state;
    static const char text[] = "a:{/x ?? header.y ?? header/z ?? property.type?|lower}{routing_key.1}b{exchange}{/}";
    long left = 0;
    for (;; left++) {
        char problem[512] = "";
        allocations_left = left;
        struct group_template *compiled = template_compile(text, sizeof text - 1, problem, sizeof problem);
        allocations_left = -1;
        if (compiled != NULL) {
            template_free(compiled);
            break;
        }
        assert_string_equal(problem, "out of memory");
    }
    assert_int_equal(left, 4 + 4 + 7 + 5); /* template, places, sources, the pointers of five */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_the_body_are_filled_in),
        cmocka_unit_test(values_may_come_from_all_parts_of_an_event),
        cmocka_unit_test(doubled_braces_are_literal),
        cmocka_unit_test(white_space_inside_of_braces_does_not_count),
        cmocka_unit_test(the_first_alternative_with_a_value_is_taken),
        cmocka_unit_test(filters_are_applied_to_what_was_found),
        cmocka_unit_test(an_absent_required_value_widens_to_the_kind),
        cmocka_unit_test(on_missing_decides_what_becomes_of_an_absent_value),
        cmocka_unit_test(an_absent_optional_value_names_nothing),
        cmocka_unit_test(a_missing_value_outweighs_an_optional_one),
        cmocka_unit_test(an_unusable_value_widens_even_where_absent_is_fine),
        cmocka_unit_test(without_a_literal_kind_everything_is_cancelled),
        cmocka_unit_test(the_wider_group_is_always_a_name),
        cmocka_unit_test(a_star_gives_a_group_for_every_value),
        cmocka_unit_test(several_stars_give_every_combination),
        cmocka_unit_test(an_element_without_the_value_is_as_on_missing_says),
        cmocka_unit_test(a_list_without_values_is_absent),
        cmocka_unit_test(names_past_the_limit_become_everything),
        cmocka_unit_test(a_product_past_every_integer_is_cut_off),
        cmocka_unit_test(a_name_may_have_512_bytes_and_no_more),
        cmocka_unit_test(a_long_value_counts_as_what_the_filters_leave_of_it),
        cmocka_unit_test(the_longest_of_all_combinations_must_fit),
        cmocka_unit_test(the_combinations_are_those_of_nested_loops),
        cmocka_unit_test(nothing_is_named_before_it_is_certain),
        cmocka_unit_test(whoever_takes_the_names_may_stop),
        cmocka_unit_test(mistakes_are_refused_with_a_sentence),
        cmocka_unit_test(a_template_may_have_512_characters_and_512_bytes_of_name),
        cmocka_unit_test(as_many_places_as_fit_are_filled),
        cmocka_unit_test(a_template_says_what_must_be_read_for_it),
        cmocka_unit_test(its_places_can_be_looked_at),
        cmocka_unit_test(few_values_take_no_memory),
        cmocka_unit_test(compiling_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
