/*
 * test_template.c - templates name the group that the event is about, or a wider one, and never another.
 */
#include "rules_support.h"

#include <quash/table.h>

#include "json_text.h"
#include "template.h"

static_assert(TEMPLATE_GROUP_BYTES_MAX == QUASH_GROUP_MAX, "a name that a template makes fits into the table");

static struct expansion expansion;

/* Expands `text` with `body` as JSON text. */
static enum expansion_outcome expand(const char *text, const char *body, bool skip_missing)
{
    char problem[256];
    struct group_template *compiled = template_compile(text, strlen(text), problem, sizeof problem);
    if (compiled == NULL)
        fail_msg("%s: %s", text, problem);
    json_t *json = json_text_parse(body, strlen(body), true, NULL);
    assert_non_null(json);
    template_expand(compiled, json, skip_missing, &expansion);
    assert_int_equal(strlen(expansion.name), expansion.length);
    json_decref(json);
    template_free(compiled);
    return expansion.outcome;
}

static void assert_group(const char *text, const char *body, const char *group)
{
    assert_int_equal(expand(text, body, false), EXPANSION_GROUP);
    assert_string_equal(expansion.name, group);
}

static void assert_widens(const char *text, const char *body, const char *group, const char *why)
{
    for (int skip = 0; skip < 2; skip++) {
        assert_int_equal(expand(text, body, skip == 1), EXPANSION_WIDENED);
        assert_string_equal(expansion.name, group);
        assert_non_null(strstr(expansion.why, why));
    }
}

static void values_of_the_body_are_filled_in(void **state)
{
    (void)state;
    assert_group("tenant:{/id}", "{\"id\": \"42\"}", "tenant:42");
    assert_group("tenant:{/id}", "{\"id\": 42}", "tenant:42");
    assert_group("tenant:{/id}", "{\"id\": -9223372036854775808}", "tenant:-9223372036854775808");
    assert_group("tenant:{/id}", "{\"id\": 9223372036854775807}", "tenant:9223372036854775807");
    assert_group("flag:{/on}", "{\"on\": true}", "flag:true");
    assert_group("flag:{/on}", "{\"on\": false}", "flag:false");
    assert_group("order:{/a/0/b~1c}/{/d~0e?}!", "{\"a\": [{\"b/c\": 1}], \"d~e\": \"x\"}", "order:1/x!");
    assert_group("catalog", "{}", "catalog");
    assert_group("tenant:*", "{}", "tenant:*");
    assert_group("k:{/straße}", "{\"straße\": \"ä\"}", "k:ä");
    assert_group("{/kind}:{/id}", "{\"kind\": \"a\", \"id\": \"b:c\"}", "a:b:c");
}

static void doubled_braces_are_literal(void **state)
{
    (void)state;
    assert_group("a:{{{/id}}}", "{\"id\": 1}", "a:{1}");
    assert_group("{{}}", "{}", "{}");
    assert_group("a{{b}}:{/id}", "{\"id\": 1}", "a{b}:1");
}

static void an_absent_required_value_widens_to_the_kind(void **state)
{
    (void)state;
    static const char *const bodies[] = {"{}", "{\"id\": null}", "[]", "17", "null", "{\"other\": 1}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        assert_int_equal(expand("tenant:{/id}", bodies[i], false), EXPANSION_WIDENED);
        assert_string_equal(expansion.name, "tenant:*");
        assert_string_equal(expansion.why, "/id is absent");
    }
    assert_int_equal(expand("a{{b:c:{/id}", "{}", false), EXPANSION_WIDENED);
    assert_string_equal(expansion.name, "a{b:*"); /* the kind ends at the first colon, without its doubled brace */
}

static void without_a_literal_kind_everything_is_cancelled(void **state)
{
    (void)state;
    static const char *const templates[] = {"{/kind}:{/id}", "ten{/kind}:{/id}", "{/id}", "prefix{/id}"};
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
        assert_int_equal(expand(templates[i], "{\"kind\": \"x\"}", false), EXPANSION_WIDENED);
        assert_string_equal(expansion.name, "*");
    }
}

static void an_absent_optional_value_names_nothing(void **state)
{
    (void)state;
    assert_int_equal(expand("tenant:{/id?}", "{}", false), EXPANSION_NOTHING);
    assert_int_equal(expand("tenant:{/id?}", "{\"id\": null}", false), EXPANSION_NOTHING);
    assert_int_equal(expand("tenant:{/a/b?}", "{\"a\": null}", false), EXPANSION_NOTHING);
    assert_group("tenant:{/id?}", "{\"id\": 7}", "tenant:7");
}

static void a_missing_value_outweighs_an_optional_one(void **state)
{
    (void)state;
    assert_int_equal(expand("order:{/a?}-{/b}", "{}", false), EXPANSION_WIDENED);
    assert_string_equal(expansion.name, "order:*");
    assert_string_equal(expansion.why, "/b is absent");
    assert_int_equal(expand("order:{/a?}-{/b}", "{\"b\": 1}", false), EXPANSION_NOTHING);
}

static void with_skip_an_absent_value_names_nothing(void **state)
{
    (void)state;
    assert_int_equal(expand("tenant:{/id}", "{}", true), EXPANSION_NOTHING);
    assert_int_equal(expand("tenant:{/id}", "{\"id\": null}", true), EXPANSION_NOTHING);
    assert_string_equal(expansion.name, "");
}

static void an_unusable_value_widens_even_where_absent_is_fine(void **state)
{
    (void)state;
    assert_widens("t:{/id}", "{\"id\": {}}", "t:*", "an object");
    assert_widens("t:{/id}", "{\"id\": [1]}", "t:*", "an array");
    assert_widens("t:{/id}", "{\"id\": 1.5}", "t:*", "a fraction");
    assert_widens("t:{/id}", "{\"id\": 1.0}", "t:*", "a fraction");
    assert_widens("t:{/id}", "{\"id\": 1e3}", "t:*", "an exponent");
    assert_widens("t:{/id}", "{\"id\": \"\"}", "t:*", "an empty string");
    assert_widens("t:{/id}", "{\"id\": \"a\\u0000b\"}", "t:*", "NUL");
    assert_widens("t:{/id?}", "{\"id\": {}}", "t:*", "an object");
    assert_widens("t:{/a?}{/b?}", "{\"b\": []}", "t:*", "/b is an array");
    assert_widens("{/id}", "{\"id\": {}}", "*", "an object");
}

static void a_name_may_have_512_bytes_and_no_more(void **state)
{
    (void)state;
    for (size_t length = 509; length <= 513; length++) {
        char body[600];
        int used = snprintf(body, sizeof body, "{\"id\": \"");
        memset(body + used, 'x', length - 2);
        snprintf(body + used + length - 2, 8, "\"}");
        enum expansion_outcome outcome = expand("t:{/id}", body, true);
        if (length <= TEMPLATE_GROUP_BYTES_MAX) {
            assert_int_equal(outcome, EXPANSION_GROUP);
            assert_int_equal(expansion.length, length);
        } else {
            assert_int_equal(outcome, EXPANSION_WIDENED);
            assert_string_equal(expansion.name, "t:*");
            assert_non_null(strstr(expansion.why, "512 bytes"));
        }
    }
}

static void a_value_of_a_star_flushes_its_kind(void **state)
{
    (void)state;
    assert_group("tenant:{/id}", "{\"id\": \"*\"}", "tenant:*");
}

static void mistakes_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"", "is empty"},
        {":{/id}", "no kind"},
        {"a:{/id", "never closed"},
        {"a:/id}", "closes nothing"},
        {"a:{}", "names no value"},
        {"a:{id}", "start with \"/\""},
        {"a:{routing_key.2}", "{routing_key.2}: this version"},
        {"a:{header.x-tenant}", "{header.x-tenant}: this version"},
        {"a:{/x ?? /y}", "does not know \"??\""},
        {"a:{/x??}", "does not know \"??\""},
        {"a:{/x | lower}", "does not know filters"},
        {"a:{/x/*/y}", "segment \"*\""},
        {"a:{/*?}", "segment \"*\""},
        {"a:{/x?/y}", "at the end"},
        {"a:{/x }", "white space"},
        {"a:{/x ?}", "white space"},
        {"a:{/x{y}", "inside"},
        {"a:{/x~}", "\"~0\""},
        {"a:{/x~2}", "\"~0\""},
        {"a:{?}", "start with \"/\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char problem[256] = "";
        assert_null(template_compile(bad[i][0], strlen(bad[i][0]), problem, sizeof problem));
        if (strstr(problem, bad[i][1]) == NULL)
            fail_msg("%s: %s", bad[i][0], problem);
    }
    char problem[256];
    assert_null(template_compile("a\0b", 3, problem, sizeof problem));
    template_free(NULL);
}

static void a_template_may_have_512_characters_and_512_bytes_of_name(void **state)
{
    (void)state;
    char text[TEMPLATE_CHARACTERS_MAX * 2 + 16], problem[256];
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

static void only_templates_with_places_need_the_body(void **state)
{
    (void)state;
    char problem[256];
    struct group_template *literal = template_compile("a:{{b}}", 7, problem, sizeof problem);
    struct group_template *filled = template_compile("a:{/b?}", 7, problem, sizeof problem);
    assert_false(template_needs_body(literal));
    assert_true(template_needs_body(filled));
    template_expand(literal, NULL, false, &expansion);
    assert_string_equal(expansion.name, "a:{b}");
    template_free(literal);
    template_free(filled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_the_body_are_filled_in),
        cmocka_unit_test(doubled_braces_are_literal),
        cmocka_unit_test(an_absent_required_value_widens_to_the_kind),
        cmocka_unit_test(without_a_literal_kind_everything_is_cancelled),
        cmocka_unit_test(an_absent_optional_value_names_nothing),
        cmocka_unit_test(a_missing_value_outweighs_an_optional_one),
        cmocka_unit_test(with_skip_an_absent_value_names_nothing),
        cmocka_unit_test(an_unusable_value_widens_even_where_absent_is_fine),
        cmocka_unit_test(a_name_may_have_512_bytes_and_no_more),
        cmocka_unit_test(a_value_of_a_star_flushes_its_kind),
        cmocka_unit_test(mistakes_are_refused_with_a_sentence),
        cmocka_unit_test(a_template_may_have_512_characters_and_512_bytes_of_name),
        cmocka_unit_test(only_templates_with_places_need_the_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
