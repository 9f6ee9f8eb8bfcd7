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
#include "log.h"
#include "pipeline.h"
#include "scratch.h"

#define RULES_HASH 7u
#define SOURCE     11u

static struct rules *rules;
static quash_table *table; /* the worker's; owned by `apply` */
static struct apply *apply;
static struct pipeline *pipeline;
static char directory[SCRATCH_PATH_SIZE];

static const char rules_text[] =
    "{\"version\": 1, \"rules\": ["
    " {\"name\": \"user\", \"when\": {\"exchange\": \"domain\", \"routing_key\": \"user.#\"},"
    "  \"cancel\": [\"user:{/id}\", \"list:{/list?}\"]},"
    " {\"name\": \"catalog\", \"when\": {\"exchange\": \"domain\", \"routing_key\": \"catalog\"}, \"cancel\": "
    "[\"catalog\"]}"
    "]}";

static int load_rules(void **state)
{
    (void)state;
    log_set_level(LOG_ERROR);
    static struct problems problems;
    rules = rules_parse(rules_text, sizeof rules_text - 1, NULL, &problems);
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

/* A worker comes to the table at the path, as quashd does. */
static void start_worker(uint64_t rules_hash)
{
    bool fresh;
    assert_int_equal(quash_table_serve(table_path(), NULL, &table, &fresh, NULL), QUASH_OK);
    apply = apply_new(table, rules_hash);
    assert_non_null(apply);
    pipeline = pipeline_new(rules, apply);
    assert_non_null(pipeline);
}

static void stop_worker(void)
{
    pipeline_free(pipeline);
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

static bool take_from(const char *exchange, const char *routing_key, const char *body)
{
    struct delivery delivery = {.tag = 1, .body = body, .body_size = strlen(body), .body_sent = strlen(body)};
    snprintf(delivery.exchange, sizeof delivery.exchange, "%s", exchange);
    snprintf(delivery.routing_key, sizeof delivery.routing_key, "%s", routing_key);
    return pipeline_take(pipeline, &delivery);
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
    static const char *const bodies[] = {"", "{", "\xff\xfe", "{\"id\": \"a\\u0000b\"}",
                                         "{\"id\": 18446744073709551616}"};
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
    pipeline_take(pipeline, &delivery);
    assert_true(pipeline_apply(pipeline));
    assert_true(changed(before, "anything:1"));
    assert_int_equal(pipeline_counts(pipeline).malformed, 1);
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
    pipeline_take(pipeline, &delivery);
    assert_true(pipeline_apply(pipeline));
    assert_true(changed(before, "anything:1"));
    assert_int_equal(pipeline_counts(pipeline).malformed, 1);
}

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
    pipeline = pipeline_new(rules, waiting);
    take("{\"id\": 1}");
    assert_false(pipeline_apply(pipeline));
    take("{\"id\": 2}");
    assert_false(pipeline_apply(pipeline));

    quash_table *appeared;
    bool fresh;
    assert_int_equal(quash_table_serve(path, NULL, &appeared, &fresh, NULL), QUASH_OK);
    quash_stamp stamp = quash_table_stamp(appeared);
    assert_true(pipeline_apply(pipeline));
    assert_int_equal(pipeline_counts(pipeline).batches, 1);
    quash_table *own = table;
    table = appeared;
    assert_true(changed(stamp, "user:1"));
    assert_true(changed(stamp, "user:2"));
    table = own;

    quash_table_close(appeared);
    pipeline_free(pipeline);
    apply_free(waiting);
    pipeline = before;
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
    char out[64];
    const struct binding *bindings = rules_bindings(rules);
    bool user_named = false;
    for (size_t i = 0; i < rules_binding_count(rules); i++) {
        pipeline_describe(pipeline, &bindings[i], out, sizeof out);
        if (strcmp(bindings[i].routing_key, "user.#") == 0) {
            assert_string_equal(out, "\"user\"");
            user_named = true;
        } else {
            assert_string_equal(out, "\"catalog\"");
        }
    }
    assert_true(user_named);
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
