/*
 * test_verdict.c - every event gets a verdict, and none that matters is lost: what cannot be understood widens.
 */
#include "rules_support.h"

#include <pthread.h>

#include "verdict.h"

static struct groups *groups;
static struct verdict verdict;
static bool body_was_read;

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

/* Where headers and properties come from: JSON texts, or, with `headers` NULL, nothing that can be read. */
struct attributes {
    const char *headers, *properties;
    size_t decoded; /* how often somebody wanted to know */
};

static bool decode(const void *source, json_t **headers, json_t **properties, char problem[EVENT_PROBLEM_SIZE])
{
    struct attributes *attributes = *(struct attributes *const *)source;
    attributes->decoded++;
    if (attributes->headers == NULL) {
        snprintf(problem, EVENT_PROBLEM_SIZE, "the headers cannot be read");
        return false;
    }
    *headers = json_loads(attributes->headers, 0, NULL);
    *properties = json_loads(attributes->properties != NULL ? attributes->properties : "{}", 0, NULL);
    return *headers != NULL && *properties != NULL;
}

/* What the judge does must not depend on who watches: an observer makes it ask every rule, without one it may use the
 * index. */
static void note_nothing(void *context, size_t rule, const char *sentence)
{
    (void)context;
    (void)rule;
    assert_true(strlen(sentence) > 0);
}

static void judge_both_ways(const struct rules *rules, const struct event *event)
{
    const struct judge_observer watching = {.rejected = note_nothing};
    struct event twin = *event, own = *event;
    struct groups *others = groups_new();
    struct verdict watched;
    assert_non_null(others);
    for (size_t i = 0; i < groups_count(groups); i++)
        assert_true(groups_add(others, groups_names(groups)[i], strlen(groups_names(groups)[i])));
    assert_true(rules_judge(rules, &own, groups, &verdict, NULL, NULL));
    assert_true(rules_judge_observed(rules, &twin, others, &watched, &watching));
    assert_int_equal(watched.kind, verdict.kind);
    assert_int_equal(watched.cause, verdict.cause);
    assert_int_equal(watched.by_default, verdict.by_default);
    assert_int_equal(watched.widened, verdict.widened);
    assert_true(watched.rule == verdict.rule);
    assert_string_equal(watched.reason, verdict.reason);
    assert_int_equal(groups_count(others), groups_count(groups));
    for (size_t i = 0; i < groups_count(groups); i++)
        assert_string_equal(groups_names(groups)[i], groups_names(others)[i]);
    groups_free(others);
    assert_int_equal(own.tried, twin.tried);
    body_was_read = own.tried;
    event_fini(&own);
    event_fini(&twin);
}

static void judge_into(const struct rules *rules, const char *exchange, const char *routing_key, const char *body)
{
    struct event event = make_event(exchange, routing_key, body);
    judge_both_ways(rules, &event);
}

static void judge(const struct rules *rules, const char *exchange, const char *routing_key, const char *body)
{
    groups_clear(groups);
    judge_into(rules, exchange, routing_key, body);
}

static void judge_with(const struct rules *rules, struct attributes *attributes, const char *routing_key,
                       const char *body)
{
    struct event event = make_event("x", routing_key, body);
    event.decode = decode;
    event.decode_from = &attributes;
    groups_clear(groups);
    judge_both_ways(rules, &event);
}

/* The set must hold exactly these names, sorted; separated by blanks. */
static void assert_names(const char *wanted)
{
    char got[1024] = "";
    groups_sort(groups);
    for (size_t i = 0; i < groups_count(groups); i++) {
        strcat(got, i ? " " : "");
        strcat(got, groups_names(groups)[i]);
    }
    assert_string_equal(got, wanted);
}

/* And the verdict follows from that alone. */
static void assert_groups(const char *wanted)
{
    assert_names(wanted);
    assert_int_equal(verdict.kind, wanted[0] != '\0' ? VERDICT_CANCEL : VERDICT_IGNORE);
}

static void assert_verdict(enum verdict_kind kind, enum verdict_cause cause, const char *names)
{
    assert_names(names);
    assert_string_equal(verdict_word(verdict.kind), verdict_word(kind));
    assert_string_equal(verdict_cause_word(verdict.cause), verdict_cause_word(cause));
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
    assert_int_equal(verdict.cause, CAUSE_NONE);
    assert_true(verdict.rule == VERDICT_NO_RULE);
    assert_false(verdict.widened);
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
    assert_names("* order:1 order:2");
    rules_free(rules);
}

static void an_event_that_no_rule_wants_is_ignored_unread(void **state)
{
    (void)state;
    struct rules *rules = shop_rules();
    judge(rules, "domain2", "order.paid", "this is not JSON");
    assert_verdict(VERDICT_IGNORE, CAUSE_UNMATCHED, "");
    assert_false(body_was_read);
    assert_string_equal(verdict.reason, "no rule matched");
    rules_free(rules);
}

static void an_unmatched_event_goes_where_the_file_says(void **state)
{
    (void)state;
    struct rules *rules = must_parse("{\"version\": 1, \"unmatched\": \"dead_letter\", \"rules\": ["
                                     "{\"name\": \"a\", \"when\": {\"routing_key\": \"k\"}, \"cancel\": [\"g:{/g?}\"]},"
                                     "{\"name\": \"off\", \"disabled\": true, \"cancel\": [\"h\"]}]}");
    judge(rules, "x", "l", "{}");
    assert_verdict(VERDICT_DEAD_LETTER, CAUSE_UNMATCHED, "");
    assert_string_equal(verdict.reason, "no rule matched");
    assert_false(verdict.by_default);
    judge(rules, "x", "k", "{}"); /* matched, though it names nothing */
    assert_verdict(VERDICT_IGNORE, CAUSE_NONE, "");
    assert_string_equal(verdict.reason, "the rules that matched named no group");
    rules_free(rules);
}

static void a_disabled_rule_matches_nothing_and_needs_nothing(void **state)
{
    (void)state;
    struct rules *rules = must_parse("{\"version\": 1, \"rules\": ["
                                     "{\"name\": \"a\", \"disabled\": true, \"cancel\": [\"g:{/id}\"]},"
                                     "{\"name\": \"b\", \"cancel\": [\"h\"]}]}");
    judge(rules, "x", "k", "not JSON");
    assert_groups("h");
    rules_free(rules);
}

static void a_rule_of_literals_does_not_look_at_the_body(void **state)
{
    (void)state;
    struct rules *rules = shop_rules();
    judge(rules, "x", "reset", "\xff\xfe not JSON");
    assert_groups("catalog");
    assert_int_equal(verdict.cause, CAUSE_NONE);
    assert_false(body_was_read);
    rules_free(rules);
}

static void a_body_condition_that_fails_ignores_the_event(void **state)
{
    (void)state;
    struct rules *rules = shop_rules();
    judge(rules, "domain", "x", "{\"deleted\": \"true\"}");
    assert_verdict(VERDICT_IGNORE, CAUSE_UNMATCHED, "");
    rules_free(rules);
}

static void a_malformed_event_cancels_everything_and_is_kept(void **state)
{
    (void)state;
    struct rules *rules = shop_rules();
    static const char *const bodies[] = {"", "{", "{} x", "\xff", "default", "{\"id\": 1, \"id\": 2}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        judge(rules, "domain", "order.paid", bodies[i]);
        assert_verdict(VERDICT_DEAD_LETTER, CAUSE_MALFORMED, "*");
        assert_true(verdict.by_default);
        assert_true(verdict.widened);
        assert_int_equal(verdict.rule, 0);
        assert_non_null(strstr(verdict.reason, "the body "));
        assert_non_null(strstr(verdict.reason, "rule \"order\" looks into it"));
        assert_non_null(strstr(verdict.reason, "everything"));
    }
    struct event event = {
        .exchange = "domain", .routing_key = "order.x", .body = "{}", .body_size = 2, .body_sent = (size_t)20 << 20};
    groups_clear(groups);
    assert_true(rules_judge(rules, &event, groups, &verdict, NULL, NULL));
    assert_verdict(VERDICT_DEAD_LETTER, CAUSE_MALFORMED, "*");
    assert_non_null(strstr(verdict.reason, "20971520 bytes"));
    event_fini(&event);
    rules_free(rules);
}

static struct rules *rules_on_malformed(const char *what)
{
    char text[1024];
    snprintf(text, sizeof text,
             "{\"version\": 1, \"on_malformed\": %s, \"rules\": ["
             "{\"name\": \"body\", \"when\": {\"routing_key\": \"k.#\"}, \"cancel\": [\"g:{/id}\"]},"
             "{\"name\": \"literal\", \"when\": {\"routing_key\": \"k.*\"}, \"cancel\": [\"catalog\"]}]}",
             what);
    return must_parse(text);
}

static void a_malformed_event_goes_where_the_file_says(void **state)
{
    (void)state;
    struct rules *rules = rules_on_malformed("\"widen\"");
    judge(rules, "x", "k.1", "{");
    assert_verdict(VERDICT_CANCEL, CAUSE_MALFORMED, "*");
    assert_false(verdict.by_default);
    rules_free(rules);

    rules = rules_on_malformed("[\"dead_letter\", \"widen\"]");
    judge(rules, "x", "k.1", "{");
    assert_verdict(VERDICT_DEAD_LETTER, CAUSE_MALFORMED, "*");
    assert_false(verdict.by_default);
    rules_free(rules);

    rules = rules_on_malformed("\"dead_letter\"");
    judge(rules, "x", "k", "{");
    assert_verdict(VERDICT_DEAD_LETTER, CAUSE_MALFORMED, "");
    assert_false(verdict.widened);
    assert_non_null(strstr(verdict.reason, "not cancelled"));
    /* Who can do without the body is followed all the same. */
    judge(rules, "x", "k.1", "{");
    assert_verdict(VERDICT_DEAD_LETTER, CAUSE_MALFORMED, "catalog");
    assert_int_equal(verdict.rule, 0);
    rules_free(rules);
}

static struct rules *rules_with_attributes(void)
{
    return must_parse(
        "{\"version\": 1, \"rules\": ["
        "{\"name\": \"json\", \"when\": {\"routing_key\": \"e.#\", \"properties\": {\"content_type\": \"*/json\"}},"
        " \"cancel\": [\"g:{/id}\"]},"
        "{\"name\": \"header\", \"when\": {\"routing_key\": \"e.h\", \"headers\": {\"type\": \"order.*\"}},"
        " \"cancel\": [\"h:{header.tenant}\"]},"
        "{\"name\": \"template\", \"when\": {\"routing_key\": \"t\"}, \"cancel\": [\"t:{property.app_id}\"]},"
        "{\"name\": \"key\", \"when\": {\"routing_key\": \"e.#\"}, \"cancel\": [\"k:{routing_key.2 ?? exchange}\"]},"
        "{\"name\": \"body\", \"when\": {\"routing_key\": \"b\"}, \"cancel\": [\"b:{/id}\"]}]}");
}

static void attributes_keep_a_foreign_body_away_from_rules_that_need_json(void **state)
{
    (void)state;
    struct rules *rules = rules_with_attributes();
    struct attributes xml = {.headers = "{}", .properties = "{\"content_type\": \"text/xml\"}"};
    judge_with(rules, &xml, "e.1", "<xml/>");
    assert_verdict(VERDICT_CANCEL, CAUSE_NONE, "k:1");
    assert_false(body_was_read);
    struct attributes json = {.headers = "{}", .properties = "{\"content_type\": \"application/json\"}"};
    judge_with(rules, &json, "e.1", "{\"id\": 5}");
    assert_groups("g:5 k:1");
    assert_true(body_was_read);
    judge_with(rules, &json, "e.1", "<xml/>");
    assert_verdict(VERDICT_DEAD_LETTER, CAUSE_MALFORMED, "*");
    struct attributes header = {.headers = "{\"type\": \"order.paid\", \"tenant\": \"a\"}"};
    judge_with(rules, &header, "e.h", "<xml/>");
    assert_verdict(VERDICT_CANCEL, CAUSE_NONE, "h:a k:h");
    rules_free(rules);
}

static void headers_are_decoded_only_for_a_rule_that_looks_at_them(void **state)
{
    (void)state;
    struct rules *rules = rules_with_attributes();
    struct attributes broken = {.headers = NULL};
    judge_with(rules, &broken, "other", "{}");
    assert_int_equal(broken.decoded, 0);
    assert_verdict(VERDICT_IGNORE, CAUSE_UNMATCHED, "");
    judge_with(rules, &broken, "b", "{\"id\": 1}"); /* looks into the body, but not at headers */
    assert_int_equal(broken.decoded, 0);
    assert_groups("b:1");
    judge_with(rules, &broken, "t", "{}"); /* a template looks */
    assert_verdict(VERDICT_DEAD_LETTER, CAUSE_MALFORMED, "*");
    assert_int_equal(verdict.rule, 2);
    assert_int_equal(broken.decoded, 2); /* once for each of the two judgements */
    assert_non_null(strstr(verdict.reason, "the headers cannot be read, and rule \"template\""));
    judge_with(rules, &broken, "e.1", "{}"); /* a condition looks */
    assert_verdict(VERDICT_DEAD_LETTER, CAUSE_MALFORMED, "*");
    assert_int_equal(verdict.rule, 0);
    struct attributes fine = {.headers = "{}", .properties = "{\"app_id\": \"shop\"}"};
    judge_with(rules, &fine, "t", "not JSON");
    assert_groups("t:shop");
    rules_free(rules);
}

static void what_the_body_excludes_is_not_malformed_for_its_headers(void **state)
{
    (void)state;
    struct rules *rules = must_parse(
        "{\"version\": 1, \"rules\": ["
        "{\"name\": \"a\", \"when\": {\"headers\": {\"h\": 1}, \"body\": {\"/op\": \"u\"}}, \"cancel\": [\"g\"]},"
        "{\"name\": \"b\", \"when\": {\"body\": {\"/op\": \"d\"}}, \"cancel\": [\"i:{header.id}\"]}]}");
    struct attributes broken = {.headers = NULL};
    judge_with(rules, &broken, "k", "{\"op\": \"r\"}");
    assert_verdict(VERDICT_IGNORE, CAUSE_UNMATCHED, "");
    judge_with(rules, &broken, "k", "{\"op\": \"d\"}");
    assert_verdict(VERDICT_DEAD_LETTER, CAUSE_MALFORMED, "*");
    assert_int_equal(verdict.rule, 1);
    judge_with(rules, &broken, "k", "{");
    assert_verdict(VERDICT_DEAD_LETTER, CAUSE_MALFORMED, "*");
    assert_int_equal(verdict.rule, 0);
    rules_free(rules);
}

static void a_missing_required_value_widens_and_says_so(void **state)
{
    (void)state;
    struct rules *rules = shop_rules();
    judge(rules, "domain", "order.paid", "{\"id\": null, \"deleted\": true}");
    assert_verdict(VERDICT_CANCEL, CAUSE_MISSING, "catalog order:*");
    assert_true(verdict.widened);
    assert_int_equal(verdict.rule, 0);
    assert_string_equal(verdict.reason, "rule \"order\", template order:{/id}: /id is absent, so order:* is cancelled"
                                        " (and 1 more like this)");
    rules_free(rules);
}

static void a_missing_value_goes_where_the_rule_says(void **state)
{
    (void)state;
    struct rules *rules = must_parse(
        "{\"version\": 1, \"rules\": ["
        "{\"name\": \"keep\", \"when\": {\"routing_key\": \"keep\"}, \"on_missing\": \"dead_letter\","
        " \"cancel\": [\"a:{/a}\", \"b:{/b?}\", \"c\"]},"
        "{\"name\": \"both\", \"when\": {\"routing_key\": \"both\"}, \"on_missing\": [\"widen\", \"dead_letter\"],"
        " \"cancel\": [\"a:{/a}\", \"b:{/b?}\"]},"
        "{\"name\": \"skip\", \"when\": {\"routing_key\": \"skip\"}, \"on_missing\": \"skip\","
        " \"cancel\": [\"a:{/a}\", \"e:{/l/*/e}\"]}]}");
    judge(rules, "x", "keep", "{\"b\": 2}");
    assert_verdict(VERDICT_DEAD_LETTER, CAUSE_MISSING, "b:2 c");
    assert_false(verdict.widened);
    assert_false(verdict.by_default);
    assert_string_equal(verdict.reason, "rule \"keep\", template a:{/a}: /a is absent");
    judge(rules, "x", "keep", "{\"a\": 1}");
    assert_groups("a:1 c");
    judge(rules, "x", "keep", "{\"a\": {}}"); /* there, but no name: widened whatever the rule says */
    assert_verdict(VERDICT_DEAD_LETTER, CAUSE_MISSING, "a:* c");
    assert_true(verdict.widened);

    judge(rules, "x", "both", "{}");
    assert_verdict(VERDICT_DEAD_LETTER, CAUSE_MISSING, "a:*");
    assert_string_equal(verdict.reason, "rule \"both\", template a:{/a}: /a is absent, so a:* is cancelled");

    judge(rules, "x", "skip", "{\"l\": [{\"e\": 1}, {}, {\"e\": 2}]}");
    assert_groups("e:1 e:2");
    assert_int_equal(verdict.cause, CAUSE_NONE);
    assert_string_equal(verdict.reason, "");
    rules_free(rules);
}

static void rules_that_match_but_name_nothing_ignore_the_event(void **state)
{
    (void)state;
    struct rules *rules = shop_rules();
    judge(rules, "x", "region.changed", "{}");
    assert_verdict(VERDICT_IGNORE, CAUSE_NONE, "");
    assert_string_equal(verdict.reason, "the rules that matched named no group");
    judge(rules, "x", "region.changed", "{\"region\": {}}");
    assert_verdict(VERDICT_CANCEL, CAUSE_MISSING, "region:*");
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
            assert_int_equal(verdict.cause, CAUSE_NONE);
        } else {
            assert_verdict(VERDICT_CANCEL, CAUSE_TOO_MANY, "* earlier");
            assert_true(verdict.widened);
            assert_int_equal(verdict.rule, EVENT_GROUPS_MAX / RULE_TEMPLATES_MAX);
            assert_non_null(strstr(verdict.reason, "more than the 10000 groups"));
        }
        rules_free(rules);
    }
}

/* {"a": [0, 1, …], "b": [0, 1, …]} */
static char *two_lists(size_t first, size_t second)
{
    char *body = malloc(64 + (first + second) * 8);
    size_t used = (size_t)sprintf(body, "{\"a\": [0");
    for (size_t i = 1; i < first; i++)
        used += (size_t)sprintf(body + used, ",%zu", i);
    used += (size_t)sprintf(body + used, "], \"b\": [0");
    for (size_t i = 1; i < second; i++)
        used += (size_t)sprintf(body + used, ",%zu", i);
    sprintf(body + used, "]}");
    return body;
}

static void the_limit_of_groups_is_over_all_templates_and_products(void **state)
{
    (void)state;
    struct rules *rules = must_parse("{\"version\": 1, \"rules\": ["
                                     "{\"name\": \"p\", \"cancel\": [\"p:{/a/*}-{/b/*}\"]},"
                                     "{\"name\": \"q\", \"on_missing\": \"dead_letter\","
                                     " \"cancel\": [\"q:{/c?}\", \"r:{/missing}\"]}]}");
    static const struct {
        size_t first, second;
        bool fine;
    } cases[] = {{1, 9999, true}, {100, 100, true}, {73, 137, false}, {10000, 10000, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *body = two_lists(cases[i].first, cases[i].second);
        judge(rules, "x", "k", body);
        if (cases[i].fine)
            assert_int_equal(groups_count(groups), cases[i].first * cases[i].second);
        else
            assert_names("*");
        /* What is missing is told besides. */
        assert_int_equal(verdict.kind, VERDICT_DEAD_LETTER);
        assert_int_equal(verdict.cause, CAUSE_MISSING);
        assert_non_null(strstr(verdict.reason, "/missing is absent"));
        assert_int_equal(strstr(verdict.reason, "; besides, the event names more than the 10000") != NULL,
                         !cases[i].fine);
        free(body);
    }
    rules_free(rules);
}

struct repeated {
    char text[512];
    size_t fail_at; /* the call that says that memory ran out; 0: none */
    size_t calls;
};

static bool note_repeat(void *context, uint32_t after_ms, const char *group, size_t length)
{
    struct repeated *repeated = context;
    assert_int_equal(strlen(group), length);
    snprintf(repeated->text + strlen(repeated->text), 64, "%u %s; ", (unsigned)after_ms, group);
    return ++repeated->calls != repeated->fail_at;
}

static void a_rule_that_repeats_tells_each_group_for_each_time(void **state)
{
    (void)state;
    struct rules *rules = must_parse("{\"version\": 1, \"rules\": ["
                                     "{\"name\": \"once\", \"cancel\": [\"a:{/id}\"]},"
                                     "{\"name\": \"again\", \"repeat_after_ms\": [500, 100],"
                                     " \"cancel\": [\"b:{/id}\", \"c:{/l/*?}\"]}]}");
    struct repeated repeated = {.text = ""};
    struct event event = make_event("x", "k", "{\"id\": 1, \"l\": [2, 3]}");
    groups_clear(groups);
    assert_true(rules_judge(rules, &event, groups, &verdict, note_repeat, &repeated));
    assert_string_equal(repeated.text, "100 b:1; 500 b:1; 100 c:2; 500 c:2; 100 c:3; 500 c:3; ");
    assert_groups("a:1 b:1 c:2 c:3");
    event_fini(&event);

    repeated = (struct repeated){.text = ""};
    event = make_event("x", "k", "{}"); /* what is widened is repeated as it was widened */
    groups_clear(groups);
    assert_true(rules_judge(rules, &event, groups, &verdict, note_repeat, &repeated));
    assert_string_equal(repeated.text, "100 b:*; 500 b:*; ");
    event_fini(&event);

    repeated = (struct repeated){.text = ""};
    event = make_event("x", "k", "{");
    groups_clear(groups);
    assert_true(rules_judge(rules, &event, groups, &verdict, note_repeat, &repeated));
    assert_string_equal(repeated.text, "100 *; 500 *; ");
    event_fini(&event);

    repeated = (struct repeated){.text = "", .fail_at = 2};
    event = make_event("x", "k", "{\"id\": 1}");
    assert_false(rules_judge(rules, &event, groups, &verdict, note_repeat, &repeated));
    event_fini(&event);
    rules_free(rules);
}

static void a_rule_without_exchange_holds_whatever_the_default_is(void **state)
{
    (void)state;
    static const char text[] = "{\"version\": 1, \"rules\": [{\"name\": \"a\", \"cancel\": [\"b\"]}]}";
    struct rules *rules = rules_parse(text, strlen(text), "domain", &test_problems, NULL);
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
    const struct rules *rules;
    char text[2048];
};

static void tell(struct story *story, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell(struct story *story, const char *format, ...)
{
    size_t used = strlen(story->text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(story->text + used, sizeof story->text - used, format, arguments);
    va_end(arguments);
}

static void tell_rejected(void *context, size_t rule, const char *sentence)
{
    tell(context, "%zu no: %s; ", rule, sentence);
}

static void tell_matched(void *context, size_t rule)
{
    tell(context, "%zu yes; ", rule);
}

static void tell_tested(void *context, size_t rule, size_t condition, bool holds)
{
    tell(context, "%zu.%zu %s; ", rule, condition, holds ? "holds" : "fails");
}

static void tell_named(void *context, size_t rule, size_t template_index, const char *name, size_t length)
{
    assert_int_equal(strlen(name), length);
    tell(context, "%zu/%zu gives %s; ", rule, template_index, name);
}

static void tell_expanded(void *context, size_t rule, size_t template_index, const struct expansion *expansion)
{
    struct story *story = context;
    static const char *const words[] = {
        [EXPANSION_GROUPS] = "groups", [EXPANSION_NOTHING] = "nothing", [EXPANSION_WIDENED] = "widened"};
    tell(story, "%zu %s %s %zu; ", rule, rules_template_text(story->rules, rule, template_index),
         words[expansion->outcome], expansion->count);
}

static void an_observer_sees_every_rule_and_template(void **state)
{
    (void)state;
    struct rules *rules =
        must_parse("{\"version\": 1, \"rules\": ["
                   "{\"name\": \"order\", \"when\": {\"exchange\": \"domain\", \"routing_key\": \"order.#\"},"
                   " \"cancel\": [\"order:{/id}\", \"tenant:{/tenant?}\"]},"
                   "{\"name\": \"deleted\", \"when\": {\"exchange\": \"domain\", \"body\": {\"/deleted\": true}},"
                   " \"cancel\": [\"catalog\"]},"
                   "{\"name\": \"off\", \"disabled\": true, \"cancel\": [\"catalog\"]},"
                   "{\"name\": \"reset\", \"when\": {\"routing_key\": \"reset\"}, \"cancel\": [\"catalog\"]}]}");
    struct story story = {.rules = rules, .text = ""};
    struct judge_observer observer = {.rejected = tell_rejected,
                                      .matched = tell_matched,
                                      .tested = tell_tested,
                                      .named = tell_named,
                                      .expanded = tell_expanded,
                                      .context = &story};
    struct event event = make_event("domain", "order.paid", "{\"id\": 5}");
    groups_clear(groups);
    assert_true(rules_judge_observed(rules, &event, groups, &verdict, &observer));
    assert_string_equal(story.text,
                        "0.0 holds; 0.1 holds; 0 yes; 0/0 gives order:5; 0 order:{/id} groups 1; "
                        "0 tenant:{/tenant?} nothing 0; "
                        "1.0 holds; 1.1 fails; 1 no: /deleted is absent, not true; "
                        "2 no: it is disabled; "
                        "3.0 fails; 3 no: the routing key is \"order.paid\", which does not match \"reset\"; ");
    event_fini(&event);

    /* Of a malformed event: who is left, but no condition on the body and no template. */
    story.text[0] = '\0';
    event = make_event("domain", "order.paid", "{");
    groups_clear(groups);
    assert_true(rules_judge_observed(rules, &event, groups, &verdict, &observer));
    assert_string_equal(story.text, "0.0 holds; 0.1 holds; 0 yes; 1.0 holds; 1 yes; 2 no: it is disabled; "
                                    "3.0 fails; 3 no: the routing key is \"order.paid\", which does not match "
                                    "\"reset\"; ");
    event_fini(&event);

    /* With nobody who wants to know of the others, the same matches are told. */
    story.text[0] = '\0';
    observer = (struct judge_observer){.matched = tell_matched, .named = tell_named, .context = &story};
    event = make_event("domain", "order.paid", "{\"id\": 5, \"deleted\": true}");
    groups_clear(groups);
    assert_true(rules_judge_observed(rules, &event, groups, &verdict, &observer));
    assert_string_equal(story.text, "0 yes; 0/0 gives order:5; 1 yes; 1/0 gives catalog; ");
    event_fini(&event);
    rules_free(rules);
}

static void there_is_a_word_for_each_verdict_and_cause(void **state)
{
    (void)state;
    assert_string_equal(verdict_word(VERDICT_CANCEL), "cancel");
    assert_string_equal(verdict_word(VERDICT_IGNORE), "ignore");
    assert_string_equal(verdict_word(VERDICT_DEAD_LETTER), "dead_letter");
    assert_string_equal(verdict_cause_word(CAUSE_NONE), "");
    assert_string_equal(verdict_cause_word(CAUSE_MALFORMED), "malformed");
    assert_string_equal(verdict_cause_word(CAUSE_MISSING), "missing");
    assert_string_equal(verdict_cause_word(CAUSE_TOO_MANY), "too_many");
    assert_string_equal(verdict_cause_word(CAUSE_UNMATCHED), "unmatched");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_of_all_rules_that_match_are_united),
        cmocka_unit_test(groups_are_added_to_those_of_the_batch),
        cmocka_unit_test(an_event_that_no_rule_wants_is_ignored_unread),
        cmocka_unit_test(an_unmatched_event_goes_where_the_file_says),
        cmocka_unit_test(a_disabled_rule_matches_nothing_and_needs_nothing),
        cmocka_unit_test(a_rule_of_literals_does_not_look_at_the_body),
        cmocka_unit_test(a_body_condition_that_fails_ignores_the_event),
        cmocka_unit_test(a_malformed_event_cancels_everything_and_is_kept),
        cmocka_unit_test(a_malformed_event_goes_where_the_file_says),
        cmocka_unit_test(attributes_keep_a_foreign_body_away_from_rules_that_need_json),
        cmocka_unit_test(headers_are_decoded_only_for_a_rule_that_looks_at_them),
        cmocka_unit_test(what_the_body_excludes_is_not_malformed_for_its_headers),
        cmocka_unit_test(a_missing_required_value_widens_and_says_so),
        cmocka_unit_test(a_missing_value_goes_where_the_rule_says),
        cmocka_unit_test(rules_that_match_but_name_nothing_ignore_the_event),
        cmocka_unit_test(an_event_may_name_10000_groups_and_past_that_everything),
        cmocka_unit_test(the_limit_of_groups_is_over_all_templates_and_products),
        cmocka_unit_test(a_rule_that_repeats_tells_each_group_for_each_time),
        cmocka_unit_test(a_rule_without_exchange_holds_whatever_the_default_is),
        cmocka_unit_test(threads_share_a_rule_set),
        cmocka_unit_test(an_observer_sees_every_rule_and_template),
        cmocka_unit_test(there_is_a_word_for_each_verdict_and_cause),
    };
    return cmocka_run_group_tests(tests, make_groups, free_groups);
}
