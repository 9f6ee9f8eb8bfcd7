/*
 * test_topic.c - topic patterns match as a topic exchange does, and never at more than a product's cost.
 */
#include "rules_support.h"

#include "topic.h"

struct example {
    const char *pattern, *key;
    bool match;
};

static void patterns_match_as_a_topic_exchange_does(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"order.paid", "order.paid", true},
        {"order.paid", "order.paid.late", false},
        {"order.paid", "order", false},
        {"order.paid", "order.pai", false},
        {"order.pai", "order.paid", false},
        {"*", "order", true},
        {"*", "", false}, /* an empty key has no words */
        {"*", "a.b", false},
        {"*.*", "a.b", true},
        {"*.*", "a.", true}, /* but a word may be empty */
        {"#", "", true},
        {"#", "a", true},
        {"#", "a.b.c", true},
        {"#.#", "", true},
        {"#.*", "", false},
        {"#.*", "a", true},
        {"*.#", "a", true},
        {"*.#.*", "a", false},
        {"*.#.*", "a.b", true},
        {"*.#.*", "a.b.c.d", true},
        {"order.#", "order", true},
        {"order.#", "order.a.b", true},
        {"order.#", "orders", false},
        {"#.paid", "paid", true},
        {"#.paid", "a.b.paid", true},
        {"#.paid", "a.paid.b", false},
        {"#.a.#", "b.a.c", true},
        {"#.a.#", "b.c", false},
        {"#.a.b", "a.a.b", true},
        {"#.a.*.b", "a.x.a.y.b", true},
        {"a.#.b.#.c", "a.x.b.y.b.c", true},
        {"a.#.b.#.c", "a.x.c.y", false},
        {"", "", true},
        {"", "a", false},
        {"a..b", "a..b", true},
        {"a.*.b", "a..b", true},
        {"A", "a", false},
    };
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        bool got = topic_match(examples[i].pattern, examples[i].key);
        if (got != examples[i].match)
            fail_msg("pattern \"%s\" and key \"%s\": %d", examples[i].pattern, examples[i].key, got);
    }
}

/* The definition, word by word, in exponential time. */
static bool matches_by_definition(char pattern[][2], size_t patterns, char key[][2], size_t keys)
{
    if (patterns == 0)
        return keys == 0;
    if (pattern[0][0] == '#')
        return matches_by_definition(pattern + 1, patterns - 1, key, keys) ||
               (keys > 0 && matches_by_definition(pattern, patterns, key + 1, keys - 1));
    return keys > 0 && (pattern[0][0] == '*' || pattern[0][0] == key[0][0]) &&
           matches_by_definition(pattern + 1, patterns - 1, key + 1, keys - 1);
}

static void join(char words[][2], size_t count, char *out)
{
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            strcat(out, ".");
        strcat(out, words[i]);
    }
}

static void every_short_pattern_agrees_with_the_definition(void **state)
{
    (void)state;
    static const char pattern_words[] = "ab*#";
    static const char key_words[] = "ab";
    char pattern[5][2] = {{0}}, key[6][2] = {{0}};
    size_t compared = 0;
    for (size_t patterns = 1; patterns <= 5; patterns++) {
        for (size_t p = 0; p < (size_t)1 << (2 * patterns); p++) {
            for (size_t i = 0; i < patterns; i++)
                pattern[i][0] = pattern_words[p >> (2 * i) & 3];
            for (size_t keys = 1; keys <= 6; keys++) {
                for (size_t k = 0; k < (size_t)1 << keys; k++) {
                    for (size_t i = 0; i < keys; i++)
                        key[i][0] = key_words[k >> i & 1];
                    char pattern_text[16], key_text[16];
                    join(pattern, patterns, pattern_text);
                    join(key, keys, key_text);
                    bool wanted = matches_by_definition(pattern, patterns, key, keys);
                    if (topic_match(pattern_text, key_text) != wanted)
                        fail_msg("pattern %s, key %s: wanted %d", pattern_text, key_text, wanted);
                    compared++;
                }
            }
        }
    }
    assert_true(compared > 100000);
}

static void a_hostile_pattern_costs_no_more_than_a_product(void **state)
{
    (void)state;
    char pattern[SHORT_STRING_BYTES_MAX + 1] = "", key[SHORT_STRING_BYTES_MAX + 1] = "";
    for (int i = 0; i < 63; i++)
        strcat(pattern, "#.a.");
    strcat(pattern, "b");
    for (int i = 0; i < 127; i++)
        strcat(key, "a.");
    strcat(key, "c");
    /* Tried in every way, this would outlast the universe; the test's time-out is the judge. */
    for (int i = 0; i < 1000; i++)
        assert_false(topic_match(pattern, key));
}

static void a_wildcard_inside_a_word_is_refused(void **state)
{
    (void)state;
    char problem[256];
    static const char *const bad[] = {"order*", "*order", "a.b#.c", "##", "**", "a.*#"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(topic_check(bad[i], problem, sizeof problem));
        assert_non_null(strstr(problem, "wildcard"));
    }
    static const char *const good[] = {"", "#", "*", "a.*.#", "a..b", ".", "order-2.x_y"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(topic_check(good[i], problem, sizeof problem));
}

static void a_pattern_may_have_255_bytes_and_no_more(void **state)
{
    (void)state;
    char problem[256], pattern[SHORT_STRING_BYTES_MAX + 2];
    for (size_t length = SHORT_STRING_BYTES_MAX - 1; length <= SHORT_STRING_BYTES_MAX + 1; length++) {
        memset(pattern, 'a', length);
        pattern[length] = '\0';
        assert_int_equal(topic_check(pattern, problem, sizeof problem), length <= SHORT_STRING_BYTES_MAX);
    }
    assert_non_null(strstr(problem, "256 bytes"));
}

/* Number `code` as a pattern or a key of up to 7 words, each a letter of `alphabet`; "" is the first. */
static const char *spell(size_t code, const char *alphabet, char out[16])
{
    size_t base = strlen(alphabet), length = 0;
    for (; code > 0; code = (code - 1) / base) {
        if (length > 0)
            out[length++] = '.';
        out[length++] = alphabet[(code - 1) % base];
    }
    out[length] = '\0';
    return out;
}

static void what_is_said_of_two_patterns_is_true_of_every_key(void **state)
{
    (void)state;
    enum { PATTERNS = 1 + 4 + 16 + 64, KEYS = 1 + 3 + 9 + 27 + 81 + 243 };
    char a[16], b[16], key[16];
    size_t covered = 0, apart = 0;
    for (size_t i = 0; i < PATTERNS; i++) {
        spell(i, "ab*#", a);
        for (size_t j = 0; j < PATTERNS; j++) {
            spell(j, "ab*#", b);
            bool covers = topic_covers(a, b), disjoint = topic_disjoint(a, b);
            covered += covers ? 1 : 0;
            apart += disjoint ? 1 : 0;
            for (size_t k = 0; k < KEYS; k++) {
                spell(k, "abc", key);
                if (covers && topic_match(b, key) && !topic_match(a, key))
                    fail_msg("\"%s\" does not cover \"%s\": \"%s\"", a, b, key);
                if (disjoint && topic_match(a, key) && topic_match(b, key))
                    fail_msg("\"%s\" and \"%s\" are both met by \"%s\"", a, b, key);
            }
            if (strpbrk(b, "*#") == NULL)
                assert_int_equal(covers, topic_match(a, b));
        }
    }
    assert_true(covered > 500 && apart > 500); /* else nothing was said */
    assert_true(topic_covers("order.#", "order.*.late"));
    assert_false(topic_covers("order.*", "order.#"));
    assert_true(topic_disjoint("order.#", "stock.#"));
    assert_true(topic_disjoint("#.paid", "#.sent"));
    assert_true(topic_disjoint("a", "a.*"));
    assert_true(topic_disjoint("a..b", "a.c.b"));
    assert_false(topic_disjoint("a.*.b", "a..b"));
    assert_false(topic_disjoint("order.#", "#.paid"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_as_a_topic_exchange_does),
        cmocka_unit_test(every_short_pattern_agrees_with_the_definition),
        cmocka_unit_test(a_hostile_pattern_costs_no_more_than_a_product),
        cmocka_unit_test(a_wildcard_inside_a_word_is_refused),
        cmocka_unit_test(a_pattern_may_have_255_bytes_and_no_more),
        cmocka_unit_test(what_is_said_of_two_patterns_is_true_of_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
