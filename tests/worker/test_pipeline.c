/* Deliveries against a real table: what is cancelled, what is kept back, and when everything is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quash/token.h>

#include "apply.h"
#include "clock.h"
#include "log.h"
#include "pipeline.h"
#include "scratch.h"

#define RULES_HASH 7u
#define SOURCE     11u

static struct rules *rules;
static quash_table *table; /* the worker's; owned by `apply` */
static struct apply *apply;
static struct repeats *repeats;
static struct pipeline *pipeline;
static struct dead_letter_cause cause; /* of the last delivery taken */
static char directory[SCRATCH_PATH_SIZE];

static const char rules_text[] =
    "{\"version\": 1, \"rules\": ["
    " {\"name\": \"user\", \"when\": {\"exchange\": \"domain\", \"routing_key\": \"user.#\"},"
    "  \"cancel\": [\"user:{/id}\", \"list:{/list?}\"]},"
    " {\"name\": \"catalog\", \"when\": {\"exchange\": \"domain\", \"routing_key\": \"catalog\"}, \"cancel\": "
    "[\"catalog\"]},"
    " {\"name\": \"kept\", \"when\": {\"exchange\": \"domain\", \"routing_key\": \"kept\"},"
    "  \"cancel\": [\"kept:{/id}\", \"tenant:{header.x-tenant?}\"], \"on_missing\": [\"widen\", \"dead_letter\"]},"
    " {\"name\": \"replica\", \"when\": {\"exchange\": \"domain\", \"routing_key\": \"replica\"},"
    "  \"cancel\": [\"replica:{/id}\"], \"repeat_after_ms\": [20, 3600000]}"
    "]}";

static int load_rules(void **state)
{
    (void)state;
    log_set_level(LOG_ERROR);
    static struct problems problems;
    rules = rules_parse(rules_text, sizeof rules_text - 1, NULL, &problems, NULL);
    if (rules == NULL)
        problems_print(&problems, "rules", stderr);
    return rules == NULL || !scratch_make(directory);
}

static int free_rules(void **state)
{
    (void)state;
    rules_free(rules);
    scratch_remove(directory);
    return 0;
}

static const char *table_path(void)
{
    return scratch_path(directory, "table");
}

static void nobody_waits(void *context)
{
    (void)context;
}

/* A worker comes to the table at the path, as quashd does. */
static void start_worker(uint64_t rules_hash)
{
    bool fresh;
    assert_int_equal(quash_table_serve(table_path(), NULL, &table, &fresh, NULL), QUASH_OK);
    apply = apply_new(table, rules_hash);
    assert_non_null(apply);
    repeats = repeats_new(apply, nobody_waits, NULL);
    assert_non_null(repeats);
    pipeline = pipeline_new(rules, apply, repeats, true);
    assert_non_null(pipeline);
}

static void stop_worker(void)
{
    pipeline_free(pipeline);
    repeats_free(repeats);
    apply_free(apply);
}

static int set_up(void **state)
{
    (void)state;
    start_worker(RULES_HASH);
    /* As after a successful start: no gap to close. */
    pipeline_consuming(pipeline, SOURCE);
    return !pipeline_apply(pipeline);
}

static int tear_down(void **state)
{
    (void)state;
    stop_worker();
    remove(table_path());
    return 0;
}

static bool take_delivery(const struct delivery *delivery)
{
    cause = (struct dead_letter_cause){.word = NULL};
    return pipeline_take(pipeline, delivery, &cause);
}

static bool take_from(const char *exchange, const char *routing_key, const char *body)
{
    struct delivery delivery = {.tag = 1, .body = body, .body_size = strlen(body), .body_sent = strlen(body)};
    snprintf(delivery.exchange, sizeof delivery.exchange, "%s", exchange);
    snprintf(delivery.routing_key, sizeof delivery.routing_key, "%s", routing_key);
    return take_delivery(&delivery);
}

static bool take(const char *body)
{
    return take_from("domain", "user.changed", body);
}

static bool changed(quash_stamp since, const char *group)
{
    quash_token *token;
    assert_int_equal(quash_token_new_at(table, since, &token), QUASH_OK);
    assert_int_equal(quash_token_add(token, group), QUASH_OK);
    bool is = quash_token_changed(token);
    quash_token_free(token);
    return is;
}

static void an_event_cancels_its_groups_and_no_others(void **state)
{
    (void)state;
    quash_stamp before = quash_table_stamp(table);
    assert_false(take("{\"id\": 1, \"list\": \"a\"}"));
    assert_false(changed(before, "user:1")); /* not before it is applied */
    assert_true(pipeline_apply(pipeline));
    assert_true(changed(before, "user:1"));
    assert_true(changed(before, "list:a"));
    assert_false(changed(before, "user:2"));
}

static void a_group_is_cancelled_once_a_batch(void **state)
{
    (void)state;
    struct pipeline_counts before = pipeline_counts(pipeline);
    for (int i = 0; i < 100; i++)
        take(i % 2 == 0 ? "{\"id\": 1}" : "{\"id\": 2}");
    assert_true(pipeline_apply(pipeline));
    struct pipeline_counts after = pipeline_counts(pipeline);
    assert_int_equal(after.groups - before.groups, 2);
    assert_int_equal(after.events - before.events, 100);
    assert_int_equal(after.batches - before.batches, 1);
    /* And the next batch starts empty. */
    assert_true(pipeline_apply(pipeline));
    assert_int_equal(pipeline_counts(pipeline).batches, after.batches);
}

static void a_batch_with_many_groups_asks_to_be_applied(void **state)
{
    (void)state;
    char body[64];
    unsigned taken = 0;
    bool full = false;
    while (!full && taken < 2 * PIPELINE_GROUPS_MAX) {
        snprintf(body, sizeof body, "{\"id\": %u}", taken++);
        full = take(body);
    }
    assert_true(full);
    assert_int_equal(taken, PIPELINE_GROUPS_MAX);
}

static void an_event_that_no_rule_matches_is_ignored(void **state)
{
    (void)state;
    quash_stamp before = quash_table_stamp(table);
    take_from("domain", "order.paid", "not json");
    take_from("other", "user.changed", "{\"id\": 1}");
    assert_true(pipeline_apply(pipeline));
    assert_false(changed(before, "user:1"));
    assert_int_equal(pipeline_counts(pipeline).ignored, 2);
}

static void what_cannot_be_read_cancels_everything(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "{", "\xff\xfe", "{\"id\": \"a\\u0000b\"}", "{\"id\": 1, \"id\": 2}"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        quash_stamp before = quash_table_stamp(table);
        uint64_t count = pipeline_counts(pipeline).malformed + pipeline_counts(pipeline).widened;
        take(bodies[i]);
        assert_true(pipeline_apply(pipeline));
        if (!changed(before, "user:99"))
            fail_msg("body %zu cancelled too little", i);
        assert_int_equal(pipeline_counts(pipeline).malformed + pipeline_counts(pipeline).widened, count + 1);
    }
}

static void a_body_too_large_to_keep_cancels_everything(void **state)
{
    (void)state;
    quash_stamp before = quash_table_stamp(table);
    struct delivery delivery = {.exchange = "domain",
                                .routing_key = "user.x",
                                .body = "",
                                .body_size = 0,
                                .body_sent = EVENT_BODY_BYTES_MAX + 1};
    take_delivery(&delivery);
    assert_true(pipeline_apply(pipeline));
    assert_true(changed(before, "anything:1"));
    assert_int_equal(pipeline_counts(pipeline).malformed, 1);
    /* Also when the reader has kept it, for the dead letter. */
    static char large[EVENT_BODY_BYTES_MAX + 1];
    memset(large, ' ', sizeof large);
    memcpy(large, "{\"id\": 1}", 9);
    delivery.body = large;
    delivery.body_size = delivery.body_sent = sizeof large;
    before = quash_table_stamp(table);
    take_delivery(&delivery);
    assert_string_equal(cause.word, "malformed");
    assert_true(pipeline_apply(pipeline));
    assert_true(changed(before, "anything:1"));
    delivery.body_size = delivery.body_sent = sizeof large - 1;
    take_delivery(&delivery);
    assert_null(cause.word);
}

static void a_nul_in_a_routing_key_cancels_everything(void **state)
{
    (void)state;
    quash_stamp before = quash_table_stamp(table);
    struct delivery delivery = {.exchange = "domain",
                                .routing_key = "order",
                                .nul_in_names = true,
                                .body = "{}",
                                .body_size = 2,
                                .body_sent = 2};
    take_delivery(&delivery);
    assert_true(pipeline_apply(pipeline));
    assert_true(changed(before, "anything:1"));
    assert_int_equal(pipeline_counts(pipeline).malformed, 1);
    assert_string_equal(cause.word, "malformed");
    assert_null(cause.rule);
}

/* ---- Dead letters */

static void assert_letter(const char *word, const char *rule, const char *part_of_reason)
{
    assert_non_null(cause.word);
    assert_string_equal(cause.word, word);
    if (rule == NULL)
        assert_null(cause.rule);
    else
        assert_string_equal(cause.rule, rule);
    assert_non_null(strstr(cause.reason, part_of_reason));
}

static void what_cannot_be_read_is_widened_and_becomes_a_dead_letter(void **state)
{
    (void)state;
    quash_stamp before = quash_table_stamp(table);
    take("{");
    assert_letter("malformed", "user", "cannot be read");
    assert_true(pipeline_apply(pipeline));
    assert_true(changed(before, "anything:1"));
    assert_int_equal(pipeline_counts(pipeline).dead_lettered, 1);
    assert_int_equal(pipeline_counts(pipeline).malformed, 1);
    take("{\"id\": 1}");
    assert_null(cause.word);
}

static void a_worker_without_an_exchange_for_them_only_widens(void **state)
{
    (void)state;
    struct pipeline *with = pipeline;
    pipeline = pipeline_new(rules, apply, repeats, false);
    quash_stamp before = quash_table_stamp(table);
    take("{");
    assert_null(cause.word);
    assert_true(pipeline_apply(pipeline));
    assert_true(changed(before, "anything:1"));
    assert_int_equal(pipeline_counts(pipeline).dead_lettered, 0);
    assert_int_equal(pipeline_counts(pipeline).malformed, 1);
    pipeline_free(pipeline);
    pipeline = with;
}

static void a_rule_has_an_event_that_lacks_a_value_kept(void **state)
{
    (void)state;
    quash_stamp before = quash_table_stamp(table);
    take_from("domain", "kept", "{}");
    assert_letter("missing", "kept", "/id");
    assert_true(pipeline_apply(pipeline));
    assert_true(changed(before, "kept:1"));
    assert_false(changed(before, "user:1"));
    assert_int_equal(pipeline_counts(pipeline).widened, 1);
    assert_int_equal(pipeline_counts(pipeline).malformed, 0);
    /* Where the rule does not ask for it, nothing is kept. */
    take("{}");
    assert_null(cause.word);
}

static void an_unmatched_event_is_kept_if_the_file_says_so(void **state)
{
    (void)state;
    static const char text[] = "{\"version\": 1, \"unmatched\": \"dead_letter\", \"on_malformed\": \"dead_letter\","
                               " \"rules\": [{\"name\": \"one\", \"when\": {\"exchange\": \"e\"},"
                               " \"cancel\": [\"one:{/id}\"]}]}";
    static struct problems problems;
    struct rules *strict = rules_parse(text, sizeof text - 1, NULL, &problems, NULL);
    assert_non_null(strict);
    struct pipeline *before = pipeline;
    pipeline = pipeline_new(strict, apply, repeats, true);
    quash_stamp stamp = quash_table_stamp(table);
    take_from("other", "a", "{\"id\": 1}");
    assert_letter("unmatched", NULL, "no rule matched");
    /* And without widening, what cannot be read cancels nothing. */
    take_from("e", "a", "{");
    assert_letter("malformed", "one", "cannot be read");
    assert_true(pipeline_apply(pipeline));
    assert_false(changed(stamp, "anything:1"));
    assert_int_equal(pipeline_counts(pipeline).dead_lettered, 2);
    assert_int_equal(pipeline_counts(pipeline).ignored, 0);
    pipeline_free(pipeline);
    pipeline = before;
    rules_free(strict);
}

static void headers_of_the_delivery_are_looked_at(void **state)
{
    (void)state;
    amqp_table_entry_t entry = {
        .key = amqp_cstring_bytes("x-tenant"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("42")},
    };
    const amqp_basic_properties_t properties = {._flags = AMQP_BASIC_HEADERS_FLAG,
                                                .headers = {.num_entries = 1, .entries = &entry}};
    const struct delivery delivery = {.exchange = "domain",
                                      .routing_key = "kept",
                                      .body = "{\"id\": 1}",
                                      .body_size = 9,
                                      .body_sent = 9,
                                      .properties = &properties};
    quash_stamp before = quash_table_stamp(table);
    take_delivery(&delivery);
    assert_null(cause.word);
    assert_true(pipeline_apply(pipeline));
    assert_true(changed(before, "tenant:42"));
    assert_true(changed(before, "kept:1"));
}

/* ---- Repeats */

static bool note_is_written(void)
{
    quash_table_source note = {0};
    assert_int_equal(quash_table_get_source(table, &note), QUASH_OK);
    return note.source_hash != 0;
}

static void a_rule_has_its_groups_cancelled_again(void **state)
{
    (void)state;
    uint64_t before_ms = clock_monotonic_ms();
    for (int i = 0; i < 5; i++)
        take_from("domain", "replica", i < 3 ? "{\"id\": 1}" : "{\"id\": 2}");
    take("{\"id\": 3}");
    assert_true(note_is_written());
    assert_true(pipeline_apply(pipeline));
    /* Before anything is acknowledged; once each for a batch. */
    assert_false(note_is_written());
    assert_int_equal(repeats_counts(repeats).pending, 4);
    uint64_t after_ms = clock_monotonic_ms();
    quash_stamp stamp = quash_table_stamp(table);
    repeats_run(repeats, before_ms + 19);
    assert_false(changed(stamp, "replica:1"));
    repeats_run(repeats, after_ms + 20);
    assert_true(changed(stamp, "replica:1"));
    assert_true(changed(stamp, "replica:2"));
    assert_false(changed(stamp, "user:3"));
    assert_int_equal(repeats_counts(repeats).pending, 2);
    repeats_run(repeats, after_ms + 3600000);
    assert_int_equal(repeats_counts(repeats).pending, 0);
    assert_true(note_is_written());
    /* And the next batch has none. */
    take("{\"id\": 3}");
    assert_true(pipeline_apply(pipeline));
    assert_true(note_is_written());
}

static void the_longest_group_is_repeated_whole(void **state)
{
    (void)state;
    char body[600];
    char group[QUASH_GROUP_MAX + 2];
    memset(group, 'x', sizeof group);
    memcpy(group, "replica:", 8);
    for (size_t length = QUASH_GROUP_MAX - 1; length <= QUASH_GROUP_MAX; length++) {
        group[length] = '\0';
        snprintf(body, sizeof body, "{\"id\": \"%s\"}", group + 8);
        group[length] = 'x';
        take_from("domain", "replica", body);
    }
    assert_true(pipeline_apply(pipeline));
    quash_stamp stamp = quash_table_stamp(table);
    repeats_run(repeats, clock_monotonic_ms() + 20);
    group[QUASH_GROUP_MAX] = '\0';
    assert_true(changed(stamp, group));
    group[QUASH_GROUP_MAX - 1] = '\0';
    assert_true(changed(stamp, group));
    assert_false(changed(stamp, "replica:1"));
}

/* ---- Applying */

static void a_batch_that_cannot_be_applied_is_kept(void **state)
{
    (void)state;
    const char *path = scratch_path(directory, "later");
    quash_table_options options = QUASH_TABLE_OPTIONS_INIT;
    options.writable = true;
    quash_table *detached;
    assert_int_equal(quash_table_open(path, &options, &detached, NULL), QUASH_OK);
    struct apply *waiting = apply_new(detached, RULES_HASH);
    struct pipeline *before = pipeline;
    struct repeats *repeats_before = repeats;
    repeats = repeats_new(waiting, nobody_waits, NULL);
    pipeline = pipeline_new(rules, waiting, repeats, true);
    take("{\"id\": 1}");
    assert_false(pipeline_apply(pipeline));
    take("{\"id\": 2}");
    take_from("domain", "replica", "{\"id\": 3}");
    assert_false(pipeline_apply(pipeline));
    assert_int_equal(repeats_counts(repeats).pending, 0); /* not before the first time */

    quash_table *appeared;
    bool fresh;
    assert_int_equal(quash_table_serve(path, NULL, &appeared, &fresh, NULL), QUASH_OK);
    quash_stamp stamp = quash_table_stamp(appeared);
    assert_true(pipeline_apply(pipeline));
    assert_int_equal(pipeline_counts(pipeline).batches, 1);
    assert_int_equal(repeats_counts(repeats).pending, 2);
    quash_table *own = table;
    table = appeared;
    assert_true(changed(stamp, "user:1"));
    assert_true(changed(stamp, "user:2"));
    table = own;

    quash_table_close(appeared);
    pipeline_free(pipeline);
    repeats_free(repeats);
    apply_free(waiting);
    pipeline = before;
    repeats = repeats_before;
}

/* Whether a worker that comes to the table now, with these rules and this source, cancels everything. */
static bool successor_flushes(uint64_t rules_hash, uint64_t source)
{
    stop_worker();
    start_worker(rules_hash);
    quash_stamp before = quash_table_stamp(table);
    pipeline_consuming(pipeline, source);
    assert_true(pipeline_apply(pipeline));
    return changed(before, "anything:1");
}

static void a_successor_goes_on_where_nothing_is_different(void **state)
{
    (void)state;
    assert_false(successor_flushes(RULES_HASH, SOURCE));
    assert_false(successor_flushes(RULES_HASH, SOURCE));
    assert_int_equal(pipeline_counts(pipeline).flushes, 0);
}

static void other_rules_or_another_source_cancel_everything_once(void **state)
{
    (void)state;
    assert_true(successor_flushes(RULES_HASH + 1, SOURCE));
    assert_false(successor_flushes(RULES_HASH + 1, SOURCE));
    assert_true(successor_flushes(RULES_HASH + 1, SOURCE + 1));
    assert_false(successor_flushes(RULES_HASH + 1, SOURCE + 1));
}

static void a_new_table_is_flushed(void **state)
{
    (void)state;
    stop_worker();
    remove(table_path());
    start_worker(RULES_HASH);
    quash_stamp before = quash_table_stamp(table);
    pipeline_consuming(pipeline, SOURCE);
    assert_true(pipeline_apply(pipeline));
    assert_true(changed(before, "anything:1"));
}

static void a_gap_is_closed_only_when_the_queue_is_consumed(void **state)
{
    (void)state;
    quash_stamp before = quash_table_stamp(table);
    pipeline_gap(pipeline, "a test");
    take("{\"id\": 1}");
    assert_true(pipeline_apply(pipeline));
    assert_false(changed(before, "user:2"));
    pipeline_consuming(pipeline, SOURCE);
    assert_false(changed(before, "user:2"));
    assert_true(pipeline_apply(pipeline));
    assert_true(changed(before, "user:2"));

    before = quash_table_stamp(table);
    pipeline_consuming(pipeline, SOURCE);
    assert_true(pipeline_apply(pipeline));
    assert_false(changed(before, "user:2"));
}

static void a_gap_outlives_a_worker_that_dies_in_it(void **state)
{
    (void)state;
    pipeline_gap(pipeline, "a test");
    assert_true(successor_flushes(RULES_HASH, SOURCE));
}

static void a_gap_outlives_a_worker_that_dies_before_it_has_flushed(void **state)
{
    (void)state;
    pipeline_gap(pipeline, "a test");
    pipeline_consuming(pipeline, SOURCE);
    assert_true(successor_flushes(RULES_HASH, SOURCE));
}

static void a_removed_table_is_replaced_flushed_and_keeps_its_note(void **state)
{
    (void)state;
    quash_table *reader;
    assert_int_equal(quash_table_open(table_path(), NULL, &reader, NULL), QUASH_OK);
    uint64_t first = quash_table_stamp(reader).incarnation;
    assert_int_equal(remove(table_path()), 0);
    apply_tick(apply, true);
    assert_int_equal(quash_table_refresh(reader, NULL, NULL), QUASH_OK);
    quash_table_info info = QUASH_TABLE_INFO_INIT;
    assert_int_equal(quash_table_get_info(reader, &info), QUASH_OK);
    assert_true(info.incarnation != first);
    assert_true(info.changes >= 1); /* `*` */
    assert_true(info.worker_connected);
    quash_table_close(reader);
    assert_false(successor_flushes(RULES_HASH, SOURCE));
}

static void rules_behind_a_binding_are_named(void **state)
{
    (void)state;
    static const char *const keys[] = {"user.#", "catalog", "kept", "replica"};
    static const char *const names[] = {"\"user\"", "\"catalog\"", "\"kept\"", "\"replica\""};
    char out[64];
    const struct binding *bindings = rules_bindings(rules);
    assert_int_equal(rules_binding_count(rules), 4);
    for (size_t i = 0; i < 4; i++) {
        size_t rule = 0;
        while (strcmp(bindings[i].routing_key, keys[rule]) != 0)
            rule++;
        pipeline_describe(pipeline, &bindings[i], out, sizeof out);
        assert_string_equal(out, names[rule]);
    }
}

int main(void)
{
#define CLAIM(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CLAIM(an_event_cancels_its_groups_and_no_others),
        CLAIM(a_group_is_cancelled_once_a_batch),
        CLAIM(a_batch_with_many_groups_asks_to_be_applied),
        CLAIM(an_event_that_no_rule_matches_is_ignored),
        CLAIM(what_cannot_be_read_cancels_everything),
        CLAIM(a_body_too_large_to_keep_cancels_everything),
        CLAIM(a_nul_in_a_routing_key_cancels_everything),
        CLAIM(what_cannot_be_read_is_widened_and_becomes_a_dead_letter),
        CLAIM(a_worker_without_an_exchange_for_them_only_widens),
        CLAIM(a_rule_has_an_event_that_lacks_a_value_kept),
        CLAIM(an_unmatched_event_is_kept_if_the_file_says_so),
        CLAIM(headers_of_the_delivery_are_looked_at),
        CLAIM(a_rule_has_its_groups_cancelled_again),
        CLAIM(the_longest_group_is_repeated_whole),
        CLAIM(a_batch_that_cannot_be_applied_is_kept),
        CLAIM(a_successor_goes_on_where_nothing_is_different),
        CLAIM(other_rules_or_another_source_cancel_everything_once),
        CLAIM(a_new_table_is_flushed),
        CLAIM(a_gap_is_closed_only_when_the_queue_is_consumed),
        CLAIM(a_gap_outlives_a_worker_that_dies_in_it),
        CLAIM(a_gap_outlives_a_worker_that_dies_before_it_has_flushed),
        CLAIM(a_removed_table_is_replaced_flushed_and_keeps_its_note),
        CLAIM(rules_behind_a_binding_are_named),
    };
    return cmocka_run_group_tests(tests, load_rules, free_rules);
}
