/*
 * test_index_narrowing.c - of a thousand rules that share exchange, routing key or both, an event leaves the few that
 * it could be for; asking takes no memory, and threads may ask at the same time.
 */
#include "rules_support.h"

#include <pthread.h>
#include <stdatomic.h>

#include "index.h"
#include "ruleset.h"

/* The linker sends the allocations of quash_rules here. */
static atomic_size_t allocations;
static long allocations_left = -1; /* -1: no limit; changed only while there is one thread */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool may_allocate(void)
{
    allocations++;
    if (allocations_left < 0)
        return true;
    return allocations_left > 0 && allocations_left-- > 0;
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

/* Rules are put together here. */
static char text[1 << 20];
static size_t used;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    used += (size_t)vsnprintf(text + used, sizeof text - used, format, arguments);
    va_end(arguments);
    assert_true(used < sizeof text);
}

#define MANY 1000

static struct rules *many_rules(void (*say_when)(uint32_t number))
{
    used = 0;
    say("{\"version\": 1, \"rules\": [");
    for (uint32_t i = 0; i < MANY; i++) {
        say("%s{\"name\": \"%u\", \"cancel\": [\"a:{/id}\"], \"when\": {", i > 0 ? ",\n" : "", i);
        say_when(i);
        say("}}");
    }
    say("]}");
    return must_parse(text);
}

static size_t left_of(const struct rules *rules, const char *exchange, const char *key, const char *headers,
                      const char *body)
{
    struct view view = {.exchange = exchange, .routing_key = key};
    json_t *parsed_headers = json_loads(headers, 0, NULL), *parsed = json_loads(body, 0, NULL);
    json_t *properties = json_object();
    struct rule_index *index = rule_index_new(rules);
    struct candidates *candidates = candidates_take(index);
    candidates_by_routing(candidates, &view);
    view.headers = parsed_headers;
    view.properties = properties;
    candidates_by_attributes(candidates, &view);
    view.body = parsed;
    size_t count;
    candidates_by_body(candidates, &view, &count);
    candidates_give_back(index, candidates);
    rule_index_free(index);
    json_decref(parsed_headers);
    json_decref(parsed);
    json_decref(properties);
    return count;
}

static void when_body(uint32_t number)
{
    say("\"exchange\": \"cdc\", \"body\": {\"/op\": [\"c\", \"u\", \"d\"], \"/source/table\": \"table_%u\"}", number);
}

static void rules_of_one_exchange_are_told_apart_by_the_body(void **state)
{
    (void)state;
    struct rules *rules = many_rules(when_body);
    assert_int_equal(left_of(rules, "cdc", "x", "{}", "{\"op\": \"u\", \"source\": {\"table\": \"table_7\"}}"), 1);
    assert_int_equal(left_of(rules, "cdc", "x", "{}", "{\"op\": \"u\", \"source\": {\"table\": \"none\"}}"), 0);
    assert_int_equal(left_of(rules, "cdc", "x", "{}", "{\"op\": \"u\"}"), 0);
    assert_int_equal(left_of(rules, "other", "x", "{}", "{\"source\": {\"table\": \"table_7\"}}"), 0);
    rules_free(rules);
}

static void when_listed(uint32_t number)
{
    say("\"body\": {\"/types/*\": [\"type_%u\", %u, {\"equals\": \"*%u\"}]}", number, number, number);
}

static void lists_integers_and_elements_of_lists_are_looked_up_too(void **state)
{
    (void)state;
    struct rules *rules = many_rules(when_listed);
    assert_int_equal(left_of(rules, "x", "", "{}", "{\"types\": [\"type_7\", \"y\", 8, \"*9\", \"type_9\"]}"), 3);
    assert_int_equal(left_of(rules, "x", "", "{}", "{\"types\": \"type_7\"}"), 0);
    rules_free(rules);
}

static void when_header(uint32_t number)
{
    say("\"headers\": {\"__TypeId__\": \"com.acme.%u\"}", number);
}

static void rules_are_told_apart_by_a_header(void **state)
{
    (void)state;
    struct rules *rules = many_rules(when_header);
    assert_int_equal(left_of(rules, "x", "", "{\"__TypeId__\": \"com.acme.999\"}", "{}"), 1);
    assert_int_equal(left_of(rules, "x", "", "{}", "{}"), 0);
    rules_free(rules);
}

static void when_nested(uint32_t number)
{
    say("\"headers\": {\"env\": \"prod\"}, \"body\": {\"/table\": \"table_%u\", \"/tenant\": %u}", number % 30,
        number / 30);
}

static void a_value_that_many_share_leads_to_another_place(void **state)
{
    (void)state;
    struct rules *rules = many_rules(when_nested);
    assert_int_equal(left_of(rules, "x", "", "{\"env\": \"prod\"}", "{\"table\": \"table_1\", \"tenant\": 7}"), 1);
    assert_int_equal(left_of(rules, "x", "", "{\"env\": \"test\"}", "{\"table\": \"table_1\", \"tenant\": 7}"), 0);
    rules_free(rules);
}

static void when_key(uint32_t number)
{
    say("\"exchange\": \"e%u\", \"routing_key\": [\"order_%u.*\", \"#.order_%u\"]", number % 10, number, number);
}

static void rules_are_told_apart_by_exchange_and_routing_key(void **state)
{
    (void)state;
    struct rules *rules = many_rules(when_key);
    assert_int_equal(left_of(rules, "e7", "order_17.x", "{}", "{}"), 1);
    assert_int_equal(left_of(rules, "e7", "order_17.order_27", "{}", "{}"), 2);
    assert_int_equal(left_of(rules, "e8", "order_17.order_27", "{}", "{}"), 0);
    rules_free(rules);
}

/* More places in the trie than a rule may take: fewer are told apart, and none is lost. */
static void when_too_many_places(uint32_t number)
{
    say("\"exchange\": [");
    for (uint32_t i = 0; i < 33; i++)
        say("%s\"e%u\"", i > 0 ? ", " : "", number * 0 + i);
    say("], \"routing_key\": [");
    for (uint32_t i = 0; i < 33; i++)
        say("%s\"k%u.%u\"", i > 0 ? ", " : "", number, i);
    say("]");
}

static void a_rule_with_very_many_bindings_is_still_found(void **state)
{
    (void)state;
    used = 0;
    say("{\"version\": 1, \"rules\": [");
    for (uint32_t i = 0; i < 3; i++) {
        say("%s{\"name\": \"%u\", \"cancel\": [\"a\"], \"when\": {", i > 0 ? ",\n" : "", i);
        when_too_many_places(i);
        say("}}");
    }
    say("]}");
    struct rules *rules = must_parse(text);
    assert_int_equal(left_of(rules, "e32", "k2.32", "{}", "{}"), 1);
    assert_int_equal(left_of(rules, "e33", "k2.32", "{}", "{}"), 0);
    assert_int_equal(left_of(rules, "e32", "k2.33", "{}", "{}"), 0);
    rules_free(rules);
}

static void rules_that_are_all_disabled_leave_nothing(void **state)
{
    (void)state;
    struct rules *rules =
        must_parse("{\"version\": 1, \"rules\": [{\"name\": \"a\", \"disabled\": true, \"cancel\": [\"a:{/id}\"]}]}");
    struct rule_index *index = rule_index_new(rules);
    struct candidates *candidates = candidates_take(index);
    struct view view = {.exchange = "x", .routing_key = ""};
    assert_int_equal(candidates_by_routing(candidates, &view), 0);
    assert_int_equal(candidates_by_attributes(candidates, &view), 0);
    size_t count;
    candidates_by_body(candidates, &view, &count);
    assert_int_equal(count, 0);
    candidates_give_back(index, candidates);
    rule_index_free(index);
    rules_free(rules);
}

/* ---- Memory and threads */

static void an_event_allocates_nothing_once_one_has_been_judged(void **state)
{
    (void)state;
    struct rules *rules = many_rules(when_body);
    struct rule_index *index = rule_index_new(rules);
    json_t *body = json_loads("{\"op\": \"u\", \"source\": {\"table\": \"table_7\"}}", 0, NULL);
    struct view view = {.exchange = "cdc", .routing_key = "a.b", .body = body};
    for (int i = 0; i < 100; i++) {
        size_t before = allocations, count;
        struct candidates *candidates = candidates_take(index);
        candidates_by_routing(candidates, &view);
        candidates_by_attributes(candidates, &view);
        candidates_by_body(candidates, &view, &count);
        candidates_give_back(index, candidates);
        assert_int_equal(count, 1);
        assert_true(i == 0 || allocations == before);
    }
    json_decref(body);
    rule_index_free(index);
    rules_free(rules);
}

/* The address sanitizer says whether anything leaks. */
static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct rules *rules = many_rules(when_nested);
    rules->count = 200; /* each of the 30 tables leads to six or seven tenants */
    struct rule_index *index = NULL;
    long left = 0;
    for (; index == NULL; left++) {
        allocations_left = left;
        index = rule_index_new(rules);
        struct candidates *candidates = index != NULL ? candidates_take(index) : NULL;
        allocations_left = -1;
        if (candidates == NULL && index != NULL) {
            rule_index_free(index);
            index = NULL;
        }
        if (candidates != NULL)
            candidates_give_back(index, candidates);
        assert_true(left < 10000);
    }
    assert_true(left > 50);
    rule_index_free(index);
    rules->count = MANY;
    rules_free(rules);
}

static void when_long_list(uint32_t number)
{
    uint32_t count = number < MANY / 2 ? 64 : 65;
    say("\"body\": {\"/t\": [");
    for (uint32_t i = 0; i < count; i++)
        say("%s%u", i > 0 ? ", " : "", number * 100 + i);
    say("]}");
}

/* What memory a rule may take is bounded: longer lists are not looked up, but their rules are still found. */
static void lists_of_up_to_64_values_are_looked_up(void **state)
{
    (void)state;
    struct rules *rules = many_rules(when_long_list);
    assert_int_equal(left_of(rules, "x", "", "{}", "{\"t\": 763}"), MANY / 2 + 1);
    assert_int_equal(left_of(rules, "x", "", "{}", "{\"t\": 764}"), MANY / 2);
    rules_free(rules);
}

static struct rules *shared_rules;

static void *judge_on_a_thread(void *context)
{
    struct groups *groups = groups_new();
    char body[96];
    for (unsigned i = 0; i < 2000; i++) {
        unsigned table = (unsigned)(uintptr_t)context * 200 + i % 200;
        snprintf(body, sizeof body, "{\"op\": \"c\", \"id\": %u, \"source\": {\"table\": \"table_%u\"}}", i, table);
        struct event event = make_event("cdc", "a", body);
        struct verdict verdict;
        groups_clear(groups);
        bool fine = rules_judge(shared_rules, &event, groups, &verdict, NULL, NULL) && groups_count(groups) == 1;
        event_fini(&event);
        if (!fine) {
            groups_free(groups);
            return context;
        }
    }
    groups_free(groups);
    return NULL;
}

static void threads_may_ask_at_the_same_time(void **state)
{
    (void)state;
    shared_rules = many_rules(when_body);
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, judge_on_a_thread, (void *)(i + 1)), 0);
    for (size_t i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    rules_free(shared_rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_of_one_exchange_are_told_apart_by_the_body),
        cmocka_unit_test(lists_integers_and_elements_of_lists_are_looked_up_too),
        cmocka_unit_test(rules_are_told_apart_by_a_header),
        cmocka_unit_test(a_value_that_many_share_leads_to_another_place),
        cmocka_unit_test(rules_are_told_apart_by_exchange_and_routing_key),
        cmocka_unit_test(a_rule_with_very_many_bindings_is_still_found),
        cmocka_unit_test(rules_that_are_all_disabled_leave_nothing),
        cmocka_unit_test(an_event_allocates_nothing_once_one_has_been_judged),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(lists_of_up_to_64_values_are_looked_up),
        cmocka_unit_test(threads_may_ask_at_the_same_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
