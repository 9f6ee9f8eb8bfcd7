/*
 * test_glob.c - globs cover whole strings, `?` takes characters, and no pattern costs more than a product.
 */
#include "rules_support.h"

#include "glob.h"

static bool matches(const char *pattern, const char *text)
{
    return glob_match(pattern, strlen(pattern), text, strlen(text));
}

static void a_glob_is_over_the_whole_string(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool match;
    } examples[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "anything at all", true},
        {"**", "", true},
        {"?", "", false},
        {"?", "a", true},
        {"?", "ab", false},
        {"??", "ab", true},
        {"?*", "", false},
        {"*?", "a", true},
        {"a*", "a", true},
        {"a*", "ba", false},
        {"*a", "ba", true},
        {"*a", "ab", false},
        {"a*b", "ab", true},
        {"a*b", "axxb", true},
        {"a*b", "axxbc", false},
        {"a?b", "ab", false},
        {"a?b", "a.b", true},
        {"com.acme.order.*", "com.acme.order.paid.late", true},
        {"com.acme.order.*", "com.acme.order", false},
        {"*a*b*", "xxaxxbxx", true},
        {"*a*b*", "xxbxxaxx", false},
        {"*aab", "aaab", true},
        {"*ab*ab", "abab", true},
        {"*ab*ab", "ab", false},
        {"a*", "A", false},
        {"[ab]", "a", false},
        {"\\*", "\\x", true},
        {"\\*", "*", false},
    };
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        if (matches(examples[i].pattern, examples[i].text) != examples[i].match)
            fail_msg("\"%s\" with \"%s\": wanted %d", examples[i].pattern, examples[i].text, examples[i].match);
    }
}

static void a_question_mark_is_a_character_of_utf8(void **state)
{
    (void)state;
    assert_true(matches("?", "\xc3\xa4"));
    assert_true(matches("?", "\xe2\x82\xac"));
    assert_true(matches("?", "\xf0\x9f\x98\x80"));
    assert_false(matches("??", "\xc3\xa4"));
    assert_true(matches("a??b", "a\xc3\xa4\xe2\x82\xac"
                                "b"));
    assert_false(matches("*\xa4", "\xe2\x82\xa4")); /* a star takes whole characters as well */
    /* The name of an exchange may hold any bytes: then each that begins nothing is one by itself. */
    assert_true(matches("??", "\xff\xc3"));
    assert_true(matches("???", "\xe2\x82"
                               "a"));
    assert_true(matches("*?", "\xf0"));
}

static void nul_is_a_character_like_any(void **state)
{
    (void)state;
    assert_true(glob_match("a?b", 3, "a\0b", 3));
    assert_true(glob_match("a*", 2, "a\0b", 3));
    assert_false(glob_match("a", 1, "a\0", 2));
}

static void wildcards_are_found(void **state)
{
    (void)state;
    assert_false(glob_has_wildcard("", 0));
    assert_false(glob_has_wildcard("plain.text", 10));
    assert_true(glob_has_wildcard("a*", 2));
    assert_true(glob_has_wildcard("?", 1));
    assert_false(glob_has_wildcard("a*", 1));
}

static void a_hostile_pattern_costs_a_product_at_most(void **state)
{
    (void)state;
    enum { BYTES = 20000 };
    static char pattern[2 * 200 + 2], text[BYTES + 1];
    for (size_t i = 0; i < 200; i++)
        memcpy(pattern + 2 * i, "a*", 2);
    pattern[400] = 'b';
    memset(text, 'a', BYTES);
    /* Tried in every way, this would outlast the universe; the test's time-out is the judge. */
    assert_false(matches(pattern, text));
}

/* The definition, by recursion, over bytes. */
static bool matches_by_definition(const char *pattern, const char *text)
{
    if (*pattern == '\0')
        return *text == '\0';
    if (*pattern == '*')
        return matches_by_definition(pattern + 1, text) || (*text != '\0' && matches_by_definition(pattern, text + 1));
    return *text != '\0' && (*pattern == '?' || *pattern == *text) && matches_by_definition(pattern + 1, text + 1);
}

/* Number `code` in the digits of `alphabet`, as a string; "" is the first, then those of one character, … */
static const char *spell(size_t code, const char *alphabet, char out[8])
{
    size_t base = strlen(alphabet), length = 0;
    for (; code > 0; code = (code - 1) / base)
        out[length++] = alphabet[(code - 1) % base];
    out[length] = '\0';
    return out;
}

enum { PATTERNS = 1 + 4 + 16 + 64 + 256, TEXTS = 1 + 2 + 4 + 8 + 16 + 32 + 64 };

static void all_short_patterns_match_as_defined(void **state)
{
    (void)state;
    char pattern[8], text[8];
    for (size_t p = 0; p < PATTERNS; p++) {
        spell(p, "ab*?", pattern);
        for (size_t t = 0; t < TEXTS; t++) {
            spell(t, "ab", text);
            if (matches(pattern, text) != matches_by_definition(pattern, text))
                fail_msg("\"%s\" with \"%s\"", pattern, text);
        }
    }
}

static void what_is_said_of_two_patterns_is_true_of_every_text(void **state)
{
    (void)state;
    enum { SHORT = 1 + 4 + 16 + 64 };
    char a[8], b[8], text[8];
    size_t covered = 0, apart = 0;
    for (size_t i = 0; i < SHORT; i++) {
        spell(i, "ab*?", a);
        for (size_t j = 0; j < SHORT; j++) {
            spell(j, "ab*?", b);
            bool covers = glob_covers(a, strlen(a), b, strlen(b)), disjoint = glob_disjoint(a, strlen(a), b, strlen(b));
            covered += covers ? 1 : 0;
            apart += disjoint ? 1 : 0;
            for (size_t t = 0; t < TEXTS; t++) {
                spell(t, "ab", text);
                if (covers && matches(b, text) && !matches(a, text))
                    fail_msg("\"%s\" does not cover \"%s\": \"%s\"", a, b, text);
                if (disjoint && matches(a, text) && matches(b, text))
                    fail_msg("\"%s\" and \"%s\" are both met by \"%s\"", a, b, text);
            }
            if (!glob_has_wildcard(b, strlen(b)))
                assert_int_equal(covers, matches(a, b));
        }
    }
    assert_true(covered > 500 && apart > 500); /* else nothing was said */
    assert_true(glob_covers("com.*", 5, "com.acme.*", 10));
    assert_false(glob_covers("com.acme.*", 10, "com.*", 5));
    assert_false(glob_covers("?", 1, "*", 1));
    assert_true(glob_disjoint("com.*", 5, "org.*", 5));
    assert_true(glob_disjoint("*.paid", 6, "*.sent", 6));
    assert_false(glob_disjoint("com.*", 5, "*.sent", 6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_glob_is_over_the_whole_string),
        cmocka_unit_test(a_question_mark_is_a_character_of_utf8),
        cmocka_unit_test(nul_is_a_character_like_any),
        cmocka_unit_test(wildcards_are_found),
        cmocka_unit_test(a_hostile_pattern_costs_a_product_at_most),
        cmocka_unit_test(all_short_patterns_match_as_defined),
        cmocka_unit_test(what_is_said_of_two_patterns_is_true_of_every_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
