/*
 * matcher_compare.c - what can be told of two matchers without any value: whether one takes all that the other does,
 * and whether they have nothing in common.
 *
 * Each pair of tests is compared in one way only, lists first, so that comparing takes at most a product of steps.
 */
#include "glob.h"
#include "matcher_tree.h"
#include "topic.h"

static bool covers(enum matcher_kind kind, const struct matcher_test *wide, const struct matcher_test *narrow);

static bool disjoint(enum matcher_kind kind, const struct matcher_test *a, const struct matcher_test *b)
{
    if (a->kind == TEST_ANY || b->kind == TEST_ANY) {
        const struct matcher_test *list = a->kind == TEST_ANY ? a : b;
        const struct matcher_test *other = a->kind == TEST_ANY ? b : a;
        for (size_t i = 0; i < list->count; i++) {
            if (!disjoint(kind, &list->item[i], other))
                return false;
        }
        return true;
    }
    if (a->kind == TEST_NOT)
        return covers(kind, a->item, b);
    if (b->kind == TEST_NOT)
        return covers(kind, b->item, a);
    if (a->kind == TEST_EQUALS || b->kind == TEST_EQUALS) {
        /* Of a constant everything can be told. */
        const struct matcher_test *constant = a->kind == TEST_EQUALS ? a : b;
        const struct value value = {.json = constant->json};
        return !matcher_test_holds(a->kind == TEST_EQUALS ? b : a, &value);
    }
    if (a->kind == TEST_ABSENT || b->kind == TEST_ABSENT)
        return a->kind != b->kind;
    if (a->kind == TEST_GLOB && b->kind == TEST_GLOB)
        return glob_disjoint(a->text, a->length, b->text, b->length);
    return a->kind == TEST_TOPIC && b->kind == TEST_TOPIC && topic_disjoint(a->text, b->text);
}

/* Whether every value of the kind meets the test. */
static bool takes_all(enum matcher_kind kind, const struct matcher_test *test)
{
    if (test->kind == TEST_GLOB)
        return kind == MATCHER_EXCHANGE && glob_covers(test->text, test->length, "*", 1);
    return test->kind == TEST_TOPIC && topic_covers(test->text, "#");
}

static bool covers(enum matcher_kind kind, const struct matcher_test *wide, const struct matcher_test *narrow)
{
    if (narrow->kind == TEST_ANY) {
        for (size_t i = 0; i < narrow->count; i++) {
            if (!covers(kind, wide, &narrow->item[i]))
                return false;
        }
        return true;
    }
    if (narrow->kind == TEST_EQUALS) {
        const struct value value = {.json = narrow->json};
        return matcher_test_holds(wide, &value);
    }
    if (wide->kind == TEST_ANY) {
        for (size_t i = 0; i < wide->count; i++) {
            if (covers(kind, &wide->item[i], narrow))
                return true;
        }
        return false;
    }
    if (takes_all(kind, wide))
        return true;
    if (wide->kind == TEST_NOT)
        return disjoint(kind, wide->item, narrow);
    if (narrow->kind == TEST_NOT) {
        /* Everything is there or absent, so what leaves out all of the one is the other. */
        static const struct matcher_test exists = {.kind = TEST_EXISTS}, absent = {.kind = TEST_ABSENT};
        return (wide->kind == TEST_EXISTS && covers(kind, narrow->item, &absent)) ||
               (wide->kind == TEST_ABSENT && covers(kind, narrow->item, &exists));
    }
    switch (wide->kind) {
    case TEST_EXISTS:
        return narrow->kind == TEST_GLOB || narrow->kind == TEST_EXISTS;
    case TEST_ABSENT:
        return narrow->kind == TEST_ABSENT;
    case TEST_GLOB:
        return narrow->kind == TEST_GLOB && glob_covers(wide->text, wide->length, narrow->text, narrow->length);
    case TEST_TOPIC:
        return narrow->kind == TEST_TOPIC && topic_covers(wide->text, narrow->text);
    default:
        return false;
    }
}

bool matcher_covers(const struct matcher *wide, const struct matcher *narrow)
{
    return covers(wide->kind, &wide->root, &narrow->root);
}

bool matcher_disjoint(const struct matcher *a, const struct matcher *b)
{
    return disjoint(a->kind, &a->root, &b->root);
}

bool matcher_takes_nothing(const struct matcher *matcher)
{
    const struct value nothing = {.json = NULL};
    return matcher_test_holds(&matcher->root, &nothing);
}

bool matcher_takes_only_nothing(const struct matcher *matcher)
{
    static const struct matcher_test absent = {.kind = TEST_ABSENT};
    return covers(matcher->kind, &absent, &matcher->root);
}
