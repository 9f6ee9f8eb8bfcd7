/*
 * test_cases_memory.c - every allocation failed in turn, from reading test cases to explaining their events and
 * counting what they exercise: no crash, no leak (the address sanitizer looks), and never half an answer.
 *
 * The linker sends the allocations of quash_rules here; jansson's are sent by its own hook.
 */
#include "rules_support.h"

#include "cases.h"
#include "coverage.h"
#include "explanation.h"

static long allocations_left = -1; /* -1: no limit */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t most);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t most);

/* After the first that fails, all do. */
static bool may_allocate(void)
{
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

void *__wrap_realloc(void *old, size_t size)
{
    return may_allocate() ? __real_realloc(old, size) : NULL;
}

char *__wrap_strdup(const char *text)
{
    return may_allocate() ? __real_strdup(text) : NULL;
}

char *__wrap_strndup(const char *text, size_t most)
{
    return may_allocate() ? __real_strndup(text, most) : NULL;
}

static const char rules_text[] =
    "{\"version\": 1, \"rules\": ["
    "{\"name\": \"a\", \"when\": {\"exchange\": \"x\"}, \"cancel\": [\"t:{/id}\", \"u:{/list/*?}\"], "
    "\"repeat_after_ms\": [20, 500]},"
    "{\"name\": \"b\", \"when\": {\"body\": {\"/op\": \"c\"}}, \"cancel\": [\"d:{/id?}\"], \"repeat_after_ms\": 30},"
    "{\"name\": \"c\", \"disabled\": true, \"cancel\": [\"d\"]}]}";

static const char list_text[] =
    "{\"tests\": [{\"name\": \"1\", \"event\": {\"exchange\": \"x\", \"body\": {\"id\": 7, \"list\": [1, 2], \"op\": "
    "\"c\"}}, \"groups\": [\"t:7\"], \"rules\": [\"a\", \"b\"]},"
    "{\"name\": \"2\", \"event\": {\"body_base64\": \"eyJvcCI6ICJjIn0=\"}, \"verdict\": \"cancel\"}]}";
static const char one_text[] = "{\"event\": {\"exchange\": \"x\", \"body\": {\"id\": 7, \"list\": [1, 2], \"op\": "
                               "\"u\"}}, \"groups\": [\"t:7\"]}";

static struct rules *rules;

/* True if it came to an end, which then must be the right one. */
static bool explain(struct test_case *test, size_t repeats)
{
    struct explanation explanation;
    if (!explanation_make(&explanation, rules, &test->record.event))
        return false;
    assert_true(explanation.rule[0].matched);
    assert_int_equal(explanation.rule[0].template_count, 2);
    assert_int_equal(json_array_size(explanation.rule[0].templates[1].names), 2);
    assert_non_null(explanation.rule[2].reason);
    assert_int_equal(explanation.repeat_count, repeats);
    explanation_fini(&explanation);
    return true;
}

static bool go(const char *text, size_t count, size_t repeats)
{
    struct cases cases;
    test_problems.count = 0;
    if (!cases_parse(&cases, text, strlen(text), "some/file.json", false, &test_problems)) {
        assert_true(test_problems.count > 0);
        assert_null(cases.item);
        return false;
    }
    assert_int_equal(cases.count, count);
    bool done = explain(&cases.item[0], repeats);
    struct coverage coverage;
    if (done) {
        done = coverage_init(&coverage, rules);
        if (done)
            coverage_fini(&coverage);
    }
    cases_fini(&cases);
    return done;
}

static void *hooked_malloc(size_t size)
{
    return may_allocate() ? __real_malloc(size) : NULL;
}

static void in_turn(const char *text, size_t count, size_t repeats)
{
    bool done = false;
    long allowed = 0;
    for (; !done && allowed < 10000; allowed++) {
        allocations_left = allowed;
        done = go(text, count, repeats);
        allocations_left = -1;
    }
    assert_true(done);
    assert_in_range(allowed, 50, 10000); /* there was something to fail */
}

static void no_allocation_that_fails_leaves_half_an_answer(void **state)
{
    (void)state;
    json_set_alloc_funcs(hooked_malloc, free);
    rules = must_parse(rules_text);
    in_turn(list_text, 2, 3);
    in_turn(one_text, 1, 2);
    rules_free(rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_allocation_that_fails_leaves_half_an_answer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
