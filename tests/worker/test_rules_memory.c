/*
 * test_rules_memory.c - every allocation failed in turn, from reading the rules and the record to the verdict: no
 * crash, no leak (the address sanitizer looks), and never a verdict that cancels too little.
 *
 * The linker sends the allocations of quash_rules here; jansson's are sent by its own hook.
 */
#include "rules_support.h"

#include "event_record.h"

static long allocations_left = -1; /* -1: no limit */
static size_t failures;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

static bool may_allocate(void)
{
    if (allocations_left < 0)
        return true;
    if (allocations_left-- > 0)
        return true;
    allocations_left = 0; /* and from now on none */
    failures++;
    return false;
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

static const char rules_text[] =
    "{\"$schema\": \"x\", \"version\": 1, \"unmatched\": \"dead_letter\", \"defaults\": {\"when\": {\"headers\":"
    " {\"env\": [\"prod\", \"stage-*\"]}}, \"repeat_after_ms\": [500]}, \"rules\": [{\"name\": \"a\", \"when\":"
    " {\"exchange\": [\"x\", {\"not\": \"z\"}], \"routing_key\": [\"k.#\", \"l\"], \"properties\": {\"type\":"
    " {\"exists\": true}}, \"body\": {\"/op\": [\"c\", {\"equals\": \"u\"}], \"/n/*\": 1}},"
    " \"cancel\": [\"t:{/id}\", \"u:{/missing}\", \"catalog\", \"l:{/lines/*/id ?? header.env | lower}\"]},"
    " {\"name\": \"b\", \"on_missing\": [\"widen\", \"dead_letter\"], \"cancel\": [\"d:{/id?}\"]},"
    " {\"name\": \"c\", \"disabled\": true, \"cancel\": [\"e\"]}],"
    " \"tests\": [{\"name\": \"t\", \"event\": {\"body\": 1}, \"groups\": [\"e\"]}]}";
static const char record_text[] =
    "{\"exchange\": \"x\", \"routing_key\": \"k.1\", \"headers\": {\"env\": \"prod\"}, \"properties\": {\"type\": "
    "\"t\"},"
    " \"body\": {\"op\": \"u\", \"n\": [1], \"id\": 7, \"lines\": [{\"id\": \"A\"}, {\"id\": \"B\"}]}}";

static bool has_group(const struct groups *groups, const char *name)
{
    for (size_t i = 0; i < groups_count(groups); i++) {
        if (strcmp(groups_names(groups)[i], name) == 0)
            return true;
    }
    return false;
}

static bool take_repeat(void *context, uint32_t after_ms, const char *group, size_t length)
{
    size_t *repeats = context;
    assert_true(after_ms == 500 && strlen(group) == length);
    ++*repeats;
    return true;
}

static bool has_all_groups(const struct groups *groups)
{
    return has_group(groups, "t:7") && has_group(groups, "u:*") && has_group(groups, "catalog") &&
           has_group(groups, "d:7") && has_group(groups, "l:a") && has_group(groups, "l:b");
}

/* The whole way. True if it came to a verdict. */
static bool go(void)
{
    bool judged = false;
    struct event_record record;
    struct groups *groups = NULL;
    test_problems.count = 0;
    static struct problems warnings;
    struct rules *rules = rules_parse(rules_text, sizeof rules_text - 1, "dflt", &test_problems, &warnings);
    if (rules == NULL) {
        assert_true(test_problems.count > 0);
        return false;
    }
    if (!event_record_parse(&record, record_text, sizeof record_text - 1, &test_problems)) {
        assert_true(test_problems.count > 0);
        goto free_rules;
    }
    groups = groups_new();
    struct verdict verdict;
    size_t repeats = 0;
    if (groups != NULL && rules_judge(rules, &record.event, groups, &verdict, take_repeat, &repeats)) {
        judged = true;
        assert_int_not_equal(verdict.kind, VERDICT_IGNORE);
        assert_true(repeats > 0);
        assert_true(has_group(groups, "*") || has_all_groups(groups));
    }
    groups_free(groups);
    event_record_fini(&record);
free_rules:
    rules_free(rules);
    return judged;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    size_t judged = 0;
    long left = 0;
    for (;; left++) {
        failures = 0;
        allocations_left = left;
        judged += go() ? 1 : 0;
        allocations_left = -1;
        if (failures == 0)
            break;
        assert_true(left < 10000);
        if (left == 0)
            assert_int_equal(judged, 0);
    }
    assert_true(judged > 0);
    assert_true(left > 50); /* else the hooks do not work and nothing was tested */
}

/* The judge alone, with a set that must grow. */
static void what_was_in_the_set_survives_a_judge_without_memory(void **state)
{
    (void)state;
    struct rules *rules = must_parse(rules_text);
    for (long left = 0;; left++) {
        struct event_record record;
        test_problems.count = 0;
        assert_true(event_record_parse(&record, record_text, sizeof record_text - 1, &test_problems));
        struct groups *groups = groups_new();
        char name[32];
        for (int i = 0; i < 31; i++) { /* so that list and table must grow next */
            snprintf(name, sizeof name, "before:%d", i);
            assert_true(groups_add(groups, name, strlen(name)));
        }
        struct verdict verdict;
        failures = 0;
        allocations_left = left;
        bool judged = rules_judge(rules, &record.event, groups, &verdict, NULL, NULL);
        allocations_left = -1;
        if (judged)
            assert_true(has_group(groups, "*") || has_all_groups(groups));
        assert_true(has_group(groups, "before:0") && has_group(groups, "before:30"));
        assert_true(groups_add(groups, "after", 5));
        groups_free(groups);
        event_record_fini(&record);
        if (failures == 0)
            break;
    }
    rules_free(rules);
}

/* Parsing an event takes memory; judging one that has been parsed takes none once the first has been judged. */
static void judging_allocates_nothing_in_the_steady_state(void **state)
{
    (void)state;
    struct rules *rules = must_parse(rules_text);
    struct groups *groups = groups_new();
    struct event_record record;
    assert_non_null(groups);
    assert_true(event_record_parse(&record, record_text, sizeof record_text - 1, &test_problems));
    assert_non_null(event_json(&record.event, NULL));
    assert_non_null(event_headers(&record.event, NULL));
    assert_non_null(event_properties(&record.event, NULL));
    for (int round = 0; round < 3; round++) {
        struct verdict verdict;
        size_t repeats = 0;
        groups_clear(groups);
        failures = 0;
        allocations_left = round == 0 ? -1 : 0;
        bool judged = rules_judge(rules, &record.event, groups, &verdict, take_repeat, &repeats);
        allocations_left = -1;
        assert_true(judged);
        assert_int_equal(failures, 0);
        assert_true(has_all_groups(groups));
    }
    event_record_fini(&record);
    groups_free(groups);
    rules_free(rules);
}

int main(void)
{
    json_set_alloc_funcs(__wrap_malloc, free);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(what_was_in_the_set_survives_a_judge_without_memory),
        cmocka_unit_test(judging_allocates_nothing_in_the_steady_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
