/*
 * test_topic_trie.c - the trie says of every pattern what topic_match says, each end once, in bounded time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "topic.h"
#include "topic_trie.h"

#define PATTERNS_MAX 40

static uint64_t random_state;

static uint32_t below(uint32_t bound)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % bound);
}

static struct topic_walk walk;

static void make_walk(const struct topic_trie *trie)
{
    walk.now = calloc(trie->count, sizeof *walk.now);
    walk.next = calloc(trie->count, sizeof *walk.next);
    walk.many = calloc(trie->count, sizeof *walk.many);
    walk.marks = calloc(trie->mark_count / 64 + 1, sizeof *walk.marks);
    assert_true(walk.now != NULL && walk.next != NULL && walk.many != NULL && walk.marks != NULL);
}

static void free_walk(void)
{
    free(walk.now);
    free(walk.next);
    free(walk.many);
    free(walk.marks);
}

static void random_words(char *out, size_t words, const char *const *from, uint32_t count)
{
    out[0] = '\0';
    for (size_t i = 0; i < words; i++) {
        strcat(out, i > 0 ? "." : "");
        strcat(out, from[below(count)]);
    }
}

static bool found(size_t count, uint32_t node)
{
    size_t times = 0;
    for (size_t i = 0; i < count; i++)
        times += walk.now[i] == node;
    assert_true(times <= 1);
    return times == 1;
}

static void compare_with_topic_match(uint64_t seed)
{
    static const char *const of_pattern[] = {"a", "b", "*", "#", "", "ab"};
    static const char *const of_key[] = {"a", "b", "", "ab", "c", "*", "#"};
    random_state = seed;
    struct topic_trie trie = {.nodes = NULL};
    uint32_t roots[2] = {topic_trie_root(&trie), topic_trie_root(&trie)};
    char pattern[PATTERNS_MAX][64];
    uint32_t ends[PATTERNS_MAX];
    size_t patterns = 1 + below(PATTERNS_MAX);
    for (size_t i = 0; i < patterns; i++) {
        random_words(pattern[i], below(7), of_pattern, 6);
        ends[i] = topic_trie_add(&trie, roots[i % 2], pattern[i]);
        assert_int_not_equal(ends[i], TRIE_NONE);
    }
    make_walk(&trie);
    for (int round = 0; round < 20; round++) {
        char key[64];
        random_words(key, below(8), of_key, 7);
        for (size_t root = 0; root < 2; root++) {
            size_t count = topic_trie_walk(&trie, roots[root], key, &walk);
            for (size_t i = root; i < patterns; i += 2)
                if (found(count, ends[i]) != topic_match(pattern[i], key))
                    fail_msg("seed %llu: pattern \"%s\", key \"%s\"", (unsigned long long)seed, pattern[i], key);
        }
    }
    free_walk();
    topic_trie_fini(&trie);
}

static void it_says_what_topic_match_says(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5000; seed++)
        compare_with_topic_match(seed);
}

static void equal_patterns_end_at_one_node_of_their_root(void **state)
{
    (void)state;
    struct topic_trie trie = {.nodes = NULL};
    uint32_t root = topic_trie_root(&trie), other = topic_trie_root(&trie);
    assert_int_equal(topic_trie_add(&trie, root, "a.*.#"), topic_trie_add(&trie, root, "a.*.#"));
    assert_int_equal(topic_trie_add(&trie, root, "a.#.#"), topic_trie_add(&trie, root, "a.#"));
    assert_int_not_equal(topic_trie_add(&trie, root, "a.*"), topic_trie_add(&trie, other, "a.*"));
    assert_int_equal(topic_trie_add(&trie, root, ""), root);
    topic_trie_fini(&trie);
}

/* Without marks each of the 60 `#` would double the work. */
static void many_wildcards_take_no_more_than_words_times_nodes(void **state)
{
    (void)state;
    struct topic_trie trie = {.nodes = NULL};
    uint32_t root = topic_trie_root(&trie);
    char pattern[300] = "", key[300] = "";
    for (int i = 0; i < 60; i++)
        strcat(pattern, "#.a.");
    strcat(pattern, "b");
    for (int i = 0; i < 127; i++)
        strcat(key, i > 0 ? ".a" : "a");
    uint32_t end = topic_trie_add(&trie, root, pattern);
    make_walk(&trie);
    for (int i = 0; i < 100; i++)
        assert_false(found(topic_trie_walk(&trie, root, key, &walk), end));
    strcpy(key + strlen(key) - 1, "b");
    assert_true(found(topic_trie_walk(&trie, root, key, &walk), end));
    free_walk();
    topic_trie_fini(&trie);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_what_topic_match_says),
        cmocka_unit_test(equal_patterns_end_at_one_node_of_their_root),
        cmocka_unit_test(many_wildcards_take_no_more_than_words_times_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
