/*
 * test_verdict.c - every event gets a verdict, and none that matters is lost: what cannot be understood widens.
 */
#include "rules_support.h"

#include <pthread.h>

#include "verdict.h"

static struct groups *groups;
static struct verdict verdict;
static size_t matched[64];
static size_t matched_count;

static int make_groups(void **state)
{
    (void)state;
    groups = groups_new();
    return groups == NULL ? -1 : 0;
}

static int free_groups(void **state)
{
    (void)state;
    groups_free(groups);
    return 0;
}

static void note_match(void *context, size_t rule)
{
    assert_ptr_equal(context, &matched_count);
    if (matched_count < 64)
        matched[matched_count] = rule;
    matched_count++;
}

static void judge_into(const struct rules *rules, const char *exchange, const char *routing_key, const char *body)
{
    struct event event = make_event(exchange, routing_key, body);
    matched_count = 0;
    assert_true(rules_judge(rules, &event, groups, &verdict, note_match, &matched_count));
    event_fini(&event);
}

static void judge(const struct rules *rules, const char *exchange, const char *routing_key, const char *body)
{
    groups_clear(groups);
    judge_into(rules, exchange, routing_key, body);
}

/* The set must hold exactly these names, sorted; separated by blanks. */
static void assert_groups(const char *wanted)
{
    char got[1024] = "";
    groups_sort(groups);
    for (size_t i = 0; i < groups_count(groups); i++) {
        strcat(got, i ? " " : "");
        strcat(got, groups_names(groups)[i]);
    }
    assert_string_equal(got, wanted);
    assert_int_equal(verdict.kind, wanted[0] != '\0' ? VERDICT_CANCEL : VERDICT_IGNORE);
}

static struct rules *shop_rules(void)
{
    return must_parse(
        "{\"version\": 1, \"rules\": ["
        "{\"name\": \"order\", \"when\": {\"exchange\": \"domain\", \"routing_key\": \"order.#\"},"
        " \"cancel\": [\"order:{/id}\", \"tenant:{/tenant?}\"]},"
        "{\"name\": \"deleted\", \"when\": {\"exchange\": \"domain\", \"body\": {\"/deleted\": true}},"
        " \"cancel\": [\"order:{/id}\", \"catalog\"]},"
        "{\"name\": \"region\", \"when\": {\"routing_key\": \"region.*\"}, \"cancel\": [\"region:{/region}\"],"
        " \"on_missing\": \"skip\"},"
        "{\"name\": \"reset\", \"when\": {\"routing_key\": \"reset\"}, \"cancel\": [\"catalog\"]}]}");
}

static void groups_of_all_rules_that_match_are_united(void **state)
{
    (void)state;
    struct rules *rules = shop_rules();
    judge(rules, "domain", "order.deleted", "{\"id\": 7, \"tenant\": \"x\", \"deleted\": true}");
    assert_groups("catalog order:7 tenant:x");
    assert_int_equal(matched_count, 2);
    assert_int_equal(matched[0], 0);
    assert_int_equal(matched[1], 1);
    assert_false(verdict.malformed || verdict.widened);
    assert_string_equal(verdict.reason, "");
    rules_free(rules);
}

static void groups_are_added_to_those_of_the_batch(void **state)
{
    (void)state;
    struct rules *rules = shop_rules();
    judge(rules, "domain", "order.paid", "{\"id\": 1}");
    judge_into(rules, "domain", "order.paid", "{\"id\": 2}");
    judge_into(rules, "domain", "order.paid", "{\"id\": 1}");
    assert_groups("order:1 order:2");
    judge_into(rules, "domain", "order.paid", "broken");
    assert_groups("* order:1 order:2");
    rules_free(rules);
}

static void an_event_that_no_rule_wants_is_ignored_unread(void **state)
{
    (void)state;
    struct rules *rules = shop_rules();
    judge(rules, "domain2", "order.paid", "this is not JSON");
    assert_groups("");
    assert_string_equal(verdict.reason, "no rule matched");
    assert_false(verdict.malformed);
    assert_int_equal(matched_count, 0);
    rules_free(rules);
}

static void a_rule_of_literals_does_not_look_at_the_body(void **state)
{
    (void)state;
    struct rules *rules = shop_rules();
    judge(rules, "x", "reset", "\xff\xfe not JSON");
    assert_groups("catalog");
    assert_false(verdict.malformed);
    rules_free(rules);
}

static void a_body_condition_that_fails_ignores_the_event(void **state)
{
    (void)state;
    struct rules *rules = shop_rules();
    judge(rules, "domain", "x", "{\"deleted\": \"true\"}");
    assert_groups("");
    assert_string_equal(verdict.reason, "no rule matched");
    rules_free(rules);
}

static void a_malformed_event_cancels_everything(void **state)
{
    (void)state;
    struct rules *rules = shop_rules();
    static const char *const bodies[] = {
        "", "{", "{} x", "\xff", "{\"id\": 9223372036854775808}", "default", "{\"id\": 1, \"id\": 2}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        judge(rules, "domain", "order.paid", bodies[i]);
        assert_groups("*");
        assert_true(verdict.malformed);
        assert_int_equal(matched_count, 2); /* either rule may have been meant */
        assert_non_null(strstr(verdict.reason, "the body "));
        assert_non_null(strstr(verdict.reason, "everything"));
    }
    struct event event = {
        .exchange = "domain", .routing_key = "order.x", .body = "{}", .body_size = 2, .body_sent = (size_t)20 << 20};
    groups_clear(groups);
    assert_true(rules_judge(rules, &event, groups, &verdict, NULL, NULL));
    assert_groups("*");
    assert_true(verdict.malformed);
    assert_non_null(strstr(verdict.reason, "20971520 bytes"));
    event_fini(&event);
    rules_free(rules);
}

static void a_missing_required_value_widens_and_says_so(void **state)
{
    (void)state;
    struct rules *rules = shop_rules();
    judge(rules, "domain", "order.paid", "{\"id\": null, \"deleted\": true}");
    assert_groups("catalog order:*");
    assert_true(verdict.widened);
    assert_string_equal(verdict.reason, "rule \"order\", template order:{/id}: /id is absent, so order:* is cancelled"
                                        " (and 1 more like this)");
    rules_free(rules);
}

static void rules_that_match_but_name_nothing_ignore_the_event(void **state)
{
    (void)state;
    struct rules *rules = shop_rules();
    judge(rules, "x", "region.changed", "{}");
    assert_groups("");
    assert_int_equal(matched_count, 1);
    assert_string_equal(verdict.reason, "the rules that matched named no group");
    judge(rules, "x", "region.changed", "{\"region\": {}}");
    assert_groups("region:*");
    assert_true(verdict.widened);
    rules_free(rules);
}

/* Each rule names 32 groups of its own, the last fewer. */
static struct rules *rules_naming(size_t count)
{
    char *text = malloc(256 + count * 40);
    size_t used = (size_t)sprintf(text, "{\"version\": 1, \"rules\": [");
    for (size_t i = 0; i < count; i++) {
        if (i % RULE_TEMPLATES_MAX == 0)
            used += (size_t)sprintf(text + used, "%s{\"name\": \"r%zu\", \"cancel\": [", i ? "]}," : "", i);
        used += (size_t)sprintf(text + used, "%s\"g:%zu\"", i % RULE_TEMPLATES_MAX ? "," : "", i);
    }
    sprintf(text + used, "]}]}");
    struct rules *rules = must_parse(text);
    free(text);
    return rules;
}

static void an_event_may_name_10000_groups_and_past_that_everything(void **state)
{
    (void)state;
    for (size_t count = EVENT_GROUPS_MAX - 1; count <= EVENT_GROUPS_MAX + 1; count++) {
        struct rules *rules = rules_naming(count);
        groups_clear(groups);
        assert_true(groups_add(groups, "earlier", 7));
        judge_into(rules, "x", "k", "{}");
        if (count <= EVENT_GROUPS_MAX) {
            assert_int_equal(groups_count(groups), count + 1);
            assert_false(verdict.widened);
        } else {
            assert_groups("* earlier");
            assert_true(verdict.widened);
            assert_non_null(strstr(verdict.reason, "10001 groups"));
        }
        rules_free(rules);
    }
}

static void a_rule_without_exchange_holds_whatever_the_default_is(void **state)
{
    (void)state;
    static const char text[] = "{\"version\": 1, \"rules\": [{\"name\": \"a\", \"cancel\": [\"b\"]}]}";
    struct rules *rules = rules_parse(text, strlen(text), "domain", &test_problems);
    assert_non_null(rules);
    judge(rules, "another", "k", "");
    assert_groups("b");
    judge(rules, "", "quash.web-1", "");
    assert_groups("b");
    rules_free(rules);
}

struct shared {
    const struct rules *rules;
    size_t wrong;
};

static void *judge_often(void *context)
{
    struct shared *shared = context;
    struct groups *own = groups_new();
    for (int i = 0; i < 2000 && own != NULL; i++) {
        struct event event = make_event("domain", "order.deleted", "{\"id\": 7, \"deleted\": true}");
        struct verdict own_verdict;
        groups_clear(own);
        if (!rules_judge(shared->rules, &event, own, &own_verdict, NULL, NULL) || groups_count(own) != 2)
            shared->wrong++;
        event_fini(&event);
    }
    groups_free(own);
    return NULL;
}

static void threads_share_a_rule_set(void **state)
{
    (void)state;
    struct rules *rules = shop_rules();
    struct shared shared[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        shared[i] = (struct shared){rules, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, judge_often, &shared[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(shared[i].wrong, 0);
    }
    rules_free(rules);
}

struct story {
    char text[2048];
};

static void tell_rejected(void *context, size_t rule, const char *sentence)
{
    struct story *story = context;
    snprintf(story->text + strlen(story->text), 640, "%zu no: %s; ", rule, sentence);
}

static void tell_matched(void *context, size_t rule)
{
    struct story *story = context;
    snprintf(story->text + strlen(story->text), 640, "%zu yes; ", rule);
}

static void tell_expanded(void *context, size_t rule, const char *text, const struct expansion *expansion)
{
    struct story *story = context;
    snprintf(story->text + strlen(story->text), 640, "%zu %s=%s; ", rule, text, expansion->name);
}

static void an_observer_sees_every_rule_and_template(void **state)
{
    (void)state;
    struct rules *rules = shop_rules();
    struct story story = {.text = ""};
    struct judge_observer observer = {tell_rejected, tell_matched, tell_expanded, &story};
    struct event event = make_event("domain", "order.paid", "{\"id\": 5}");
    groups_clear(groups);
    assert_true(rules_judge_observed(rules, &event, groups, &verdict, &observer));
    assert_string_equal(story.text, "0 yes; 0 order:{/id}=order:5; 0 tenant:{/tenant?}=; "
                                    "1 no: /deleted is absent, not true; "
                                    "2 no: the routing key is \"order.paid\", which does not match \"region.*\"; "
                                    "3 no: the routing key is \"order.paid\", which does not match \"reset\"; ");
    event_fini(&event);
    rules_free(rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_of_all_rules_that_match_are_united),
        cmocka_unit_test(groups_are_added_to_those_of_the_batch),
        cmocka_unit_test(an_event_that_no_rule_wants_is_ignored_unread),
        cmocka_unit_test(a_rule_of_literals_does_not_look_at_the_body),
        cmocka_unit_test(a_body_condition_that_fails_ignores_the_event),
        cmocka_unit_test(a_malformed_event_cancels_everything),
        cmocka_unit_test(a_missing_required_value_widens_and_says_so),
        cmocka_unit_test(rules_that_match_but_name_nothing_ignore_the_event),
        cmocka_unit_test(an_event_may_name_10000_groups_and_past_that_everything),
        cmocka_unit_test(a_rule_without_exchange_holds_whatever_the_default_is),
        cmocka_unit_test(threads_share_a_rule_set),
        cmocka_unit_test(an_observer_sees_every_rule_and_template),
    };
    return cmocka_run_group_tests(tests, make_groups, free_groups);
}
