/*
 * test_garbage.c - whatever bytes the loader and the event parser get, they answer: a rule set that can be used, or
 * problems; a verdict whose groups the table would take. Mutations of real files and random bytes, from a fixed seed;
 * QUASH_GARBAGE_ROUNDS and QUASH_GARBAGE_SEED ask for more. Worth most under the sanitizers.
 */
#include "rules_support.h"

#include "event_record.h"
#include "json_text.h"

static uint64_t random_state;

static size_t pick(size_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)((random_state >> 11) % below);
}

static const char *const rule_seeds[] = {
    "{\"version\": 1, \"on_malformed\": \"dead_letter\", \"rules\": [{\"name\": \"a\", \"when\": {\"exchange\":"
    " [\"x\", {\"not\": \"y*\"}], \"routing_key\": [\"a.*.#\", {\"not\": \"b\"}], \"headers\": {\"h\": [1, \"*?\"],"
    " \"/t/*/0\": {\"exists\": false}}, \"properties\": {\"type\": {\"not\": {\"equals\": \"?\"}}},"
    " \"body\": {\"/a~1b/0\": [\"c\", 1, null, true], \"\": {\"not\": -7}}}, \"cancel\": [\"t:{/a/b}\", \"{{{/c?}}}\","
    " \"*\", \"m:{/a/*/b ?? header.h | trim | lower}\"], \"on_missing\": \"skip\", \"repeat_after_ms\": [5, 1]},"
    " {\"name\": \"\\u00e4\", \"cancel\": [\"k:{/x}-{/y?}\"], \"on_missing\": [\"dead_letter\"]}]}",
    "{\"$schema\": \"s\", \"version\": 1, \"rules\": [{\"name\": \"all\", \"when\": {}, \"cancel\": [\"a:{/id}\","
    " \"b:{/a/0/b}\", \"c:{/a/*/b}-{/id}\"], \"on_missing\": \"widen\"}]}",
    "{\"version\": 1, \"description\": \"d\", \"defaults\": {\"when\": {\"routing_key\": \"a.#\", \"headers\": {\"h\":"
    " {\"exists\": true}}}, \"on_missing\": \"dead_letter\", \"repeat_after_ms\": 7}, \"unmatched\": \"dead_letter\","
    " \"rules\": [{\"name\": \"r\", \"cancel\": [\"w:{routing_key.2 ?? exchange?}\", \"p:{property.type?}\"]},"
    " {\"name\": \"s\", \"disabled\": true, \"cancel\": [\"u:{header/t/0/0 | upper}\"]}], \"tests\": [{\"name\": \"t\","
    " \"event\": {\"routing_key\": \"a.b\", \"headers\": {\"h\": 1}, \"body\": {}}, \"groups\": [\"w:b\"]}]}",
};
static const char *const event_seeds[] = {
    "{\"exchange\": \"x\", \"routing_key\": \"a.b\", \"headers\": {\"h\": [1], \"t\": {\"u\": [2]}}, \"properties\":"
    " {\"type\": \"T\", \"priority\": 3}, \"body\": {\"id\": 17,"
    " \"a\": [{\"b\": \"\\ud83d\\ude00\"}], \"x\": \"y\", \"n\": 9223372036854775807, \"f\": -1.5e3}}",
    "{\"body_text\": \"{\\\"id\\\": \\\"\\u0000\\\"}\", \"routing_key\": \"\"}",
    "{\"body_base64\": \"eyJpZCI6IDF9\"}",
    "{\"body\": [[[[[{\"a\": null}]]]]]}",
};
static const char *const spice[] = {"{",
                                    "}",
                                    "[",
                                    "]",
                                    "\"",
                                    "\\",
                                    "\\u0000",
                                    "\\ud800",
                                    "*",
                                    "#",
                                    ".",
                                    "?",
                                    "??",
                                    "|",
                                    "~",
                                    "/",
                                    "null",
                                    "1e999",
                                    "-0",
                                    "1.0",
                                    "{{",
                                    "}}",
                                    "\xff",
                                    "\xc3",
                                    "\xef\xbb\xbf",
                                    "\n",
                                    ",",
                                    ":",
                                    "{/",
                                    "/*",
                                    "true",
                                    "99999999999999999999"};

/* A seed with a few pieces cut, doubled, swapped or spiced; or plain random bytes. */
static size_t make_garbage(const char *const *seeds, size_t seed_count, char *out, size_t size)
{
    if (pick(10) == 0) {
        size_t length = pick(200);
        for (size_t i = 0; i < length; i++)
            out[i] = (char)pick(256);
        return length;
    }
    const char *seed = seeds[pick(seed_count)];
    size_t length = strlen(seed);
    memcpy(out, seed, length);
    for (size_t changes = 1 + pick(4); changes > 0; changes--) {
        size_t at = pick(length + 1);
        size_t span = pick(12);
        if (span > length - at)
            span = length - at;
        switch (pick(4)) {
        case 0: /* cut */
            memmove(out + at, out + at + span, length - at - span);
            length -= span;
            break;
        case 1: /* double */
            if (length + span > size)
                break;
            memmove(out + at + span, out + at, length - at);
            length += span;
            break;
        case 2: /* change a byte */
            if (at < length)
                out[at] = (char)pick(256);
            break;
        default: { /* spice */
            const char *piece = spice[pick(sizeof spice / sizeof *spice)];
            size_t piece_length = strlen(piece);
            if (length + piece_length > size)
                break;
            memmove(out + at + piece_length, out + at, length - at);
            memcpy(out + at, piece, piece_length);
            length += piece_length;
            break;
        }
        }
    }
    return length;
}

static void judge_record(const struct rules *rules, const char *text, size_t size, struct groups *groups)
{
    struct event_record record;
    test_problems.count = 0;
    if (!event_record_parse(&record, text, size, &test_problems)) {
        assert_true(test_problems.count > 0);
        return;
    }
    struct verdict verdict;
    groups_clear(groups);
    assert_true(rules_judge(rules, &record.event, groups, &verdict, NULL, NULL));
    if (verdict.kind != VERDICT_DEAD_LETTER)
        assert_int_equal(verdict.kind == VERDICT_CANCEL, groups_count(groups) > 0);
    for (size_t i = 0; i < groups_count(groups); i++) {
        size_t length = strlen(groups_names(groups)[i]);
        assert_true(length >= 1 && length <= 512);
    }
    event_record_fini(&record);
}

static void nothing_breaks_the_loader_or_the_event_parser(void **state)
{
    (void)state;
    const char *rounds_text = getenv("QUASH_GARBAGE_ROUNDS"), *seed_text = getenv("QUASH_GARBAGE_SEED");
    size_t rounds = rounds_text != NULL ? strtoul(rounds_text, NULL, 10) : 30000;
    uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 10) : 20261123;
    random_state = seed * 2 + 1;
    print_message("seed %llu, %zu rounds\n", (unsigned long long)seed, rounds);

    enum { RULE_SEEDS = sizeof rule_seeds / sizeof *rule_seeds };
    struct rules *fixed[RULE_SEEDS];
    for (size_t i = 0; i < RULE_SEEDS; i++)
        fixed[i] = must_parse(rule_seeds[i]);
    static struct problems warnings;
    struct groups *groups = groups_new();
    size_t usable = 0, judged = 0;
    for (size_t i = 0; i < rounds; i++) {
        char text[4096];
        size_t size = make_garbage(rule_seeds, RULE_SEEDS, text, sizeof text);
        char *exact = malloc(size > 0 ? size : 1); /* so that reading past the end is seen */
        memcpy(exact, text, size);
        test_problems.count = 0;
        struct rules *rules = rules_parse(exact, size, "d", &test_problems, &warnings);
        assert_int_equal(rules == NULL, test_problems.count > 0);
        free(exact);

        size = make_garbage(event_seeds, 4, text, sizeof text);
        exact = malloc(size > 0 ? size : 1);
        memcpy(exact, text, size);
        if (rules != NULL) {
            usable++;
            judge_record(rules, exact, size, groups);
        }
        judge_record(fixed[i % RULE_SEEDS], exact, size, groups);

        struct event event = {
            .exchange = "x", .routing_key = "a.b.c", .body = exact, .body_size = size, .body_sent = size};
        struct verdict verdict;
        groups_clear(groups);
        assert_true(rules_judge(fixed[1], &event, groups, &verdict, NULL, NULL));
        assert_true(groups_count(groups) > 0); /* this rule set lets nothing go */
        judged += verdict.cause == CAUSE_MALFORMED ? 0 : 1;
        struct json_span span;
        if (json_text_find(exact, size, "/body/a/0", &span))
            assert_true(span.key <= span.begin && span.begin < span.end && span.end <= size);
        event_fini(&event);
        free(exact);
        rules_free(rules);
    }
    print_message("%zu mutated rule sets were usable, %zu mutated bodies were JSON\n", usable, judged);
    assert_true(usable > rounds / 100 && judged > rounds / 100); /* else the mutations are too wild to mean anything */
    groups_free(groups);
    for (size_t i = 0; i < RULE_SEEDS; i++)
        rules_free(fixed[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_breaks_the_loader_or_the_event_parser),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
