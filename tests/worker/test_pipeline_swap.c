/* Other rules for a pipeline that runs: what is judged by which, what is cancelled, and what the table's note says. */
#include "rules_support.h"

#include <quash/token.h>

#include "apply.h"
#include "log.h"
#include "pipeline.h"
#include "repeats.h"
#include "scratch.h"

#define SOURCE 11u

static struct rules *old, *new;
static struct groups *cancel;
static quash_table *table; /* the worker's; owned by `apply` */
static struct apply *apply;
static struct repeats *repeats;
static struct pipeline *pipeline;
static char directory[SCRATCH_PATH_SIZE];

static void nothing_sooner(void *context)
{
    (void)context;
}

static struct rules *rules_that_cancel(const char *kind)
{
    char text[256];
    snprintf(text, sizeof text, "{\"version\": 1, \"rules\": [{\"name\": \"r\", \"cancel\": [\"%s:{/id}\"]}]}", kind);
    return must_parse(text);
}

static void start_worker(const struct rules *served)
{
    bool fresh;
    assert_int_equal(quash_table_serve(scratch_path(directory, "table"), NULL, &table, &fresh, NULL), QUASH_OK);
    apply = apply_new(table, rules_hash(served));
    repeats = repeats_new(apply, nothing_sooner, NULL);
    pipeline = pipeline_new(served, apply, repeats, false);
    assert_non_null(pipeline);
}

static void stop_worker(void)
{
    pipeline_free(pipeline);
    repeats_free(repeats);
    apply_free(apply);
}

static void consume(void)
{
    pipeline_consuming(pipeline, SOURCE);
    assert_true(pipeline_apply(pipeline));
}

static int set_up(void **state)
{
    (void)state;
    log_set_level(LOG_ERROR);
    old = rules_that_cancel("old");
    new = rules_that_cancel("new");
    cancel = groups_new();
    if (!scratch_make(directory) || cancel == NULL || !groups_add(cancel, "new:*", 5))
        return 1;
    start_worker(old);
    consume();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stop_worker();
    scratch_remove(directory);
    groups_free(cancel);
    rules_free(old);
    rules_free(new);
    return 0;
}

static void take(const char *body)
{
    static const amqp_basic_properties_t none = {0};
    struct delivery delivery = {.tag = 1,
                                .exchange = "domain",
                                .routing_key = "x",
                                .body = body,
                                .body_size = strlen(body),
                                .body_sent = strlen(body),
                                .properties = &none};
    struct dead_letter_cause cause = {0};
    (void)pipeline_take(pipeline, &delivery, &cause);
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

static uint64_t noted_rules(void)
{
    quash_table_source note = {0};
    assert_int_equal(quash_table_get_source(table, &note), QUASH_OK);
    return note.rules_hash;
}

static void what_was_taken_is_judged_by_the_old_rules_and_what_follows_by_the_new(void **state)
{
    (void)state;
    quash_stamp before = quash_table_stamp(table);
    groups_clear(cancel);
    take("{\"id\": 1}");
    pipeline_swap(pipeline, new, cancel);
    take("{\"id\": 2}");
    assert_true(pipeline_apply(pipeline));
    assert_true(changed(before, "old:1"));
    assert_false(changed(before, "new:1"));
    assert_true(changed(before, "new:2"));
    assert_false(changed(before, "old:2"));
}

static void what_may_have_missed_events_is_cancelled_with_the_next_apply(void **state)
{
    (void)state;
    quash_stamp before = quash_table_stamp(table);
    pipeline_swap(pipeline, new, cancel);
    assert_false(changed(before, "new:1"));
    assert_true(pipeline_apply(pipeline));
    assert_true(changed(before, "new:1"));
    assert_false(changed(before, "old:1"));
    before = quash_table_stamp(table);
    assert_true(pipeline_apply(pipeline));
    assert_false(changed(before, "new:1"));
}

static void the_note_speaks_of_the_new_rules_once_their_groups_are_cancelled(void **state)
{
    (void)state;
    assert_int_equal(noted_rules(), rules_hash(old));
    pipeline_swap(pipeline, new, cancel);
    assert_int_equal(noted_rules(), rules_hash(old));
    assert_true(pipeline_apply(pipeline));
    assert_int_equal(noted_rules(), rules_hash(new));
}

static void the_note_is_written_even_if_nothing_is_to_be_cancelled(void **state)
{
    (void)state;
    groups_clear(cancel);
    pipeline_swap(pipeline, new, cancel);
    assert_true(pipeline_apply(pipeline));
    assert_int_equal(noted_rules(), rules_hash(new));
}

/* Whether a worker that comes to the table now with these rules cancels everything. */
static bool successor_flushes(const struct rules *served)
{
    stop_worker();
    start_worker(served);
    quash_stamp before = quash_table_stamp(table);
    consume();
    return changed(before, "anything:1");
}

static void a_successor_with_the_new_rules_goes_on(void **state)
{
    (void)state;
    pipeline_swap(pipeline, new, cancel);
    assert_true(pipeline_apply(pipeline));
    assert_false(successor_flushes(new));
    assert_true(successor_flushes(old));
}

static void a_successor_of_one_that_died_before_it_cancelled_flushes_for_the_new_rules(void **state)
{
    (void)state;
    pipeline_swap(pipeline, new, cancel);
    assert_true(successor_flushes(new));
}

static void while_a_gap_is_open_the_note_stays_erased(void **state)
{
    (void)state;
    pipeline_gap(pipeline, "a test");
    pipeline_swap(pipeline, new, cancel);
    assert_true(pipeline_apply(pipeline));
    assert_int_equal(noted_rules(), 0);
    quash_stamp before = quash_table_stamp(table);
    consume();
    assert_true(changed(before, "anything:1"));
    assert_int_equal(noted_rules(), rules_hash(new));
    assert_false(successor_flushes(new));
}

static void a_swap_between_two_connections_cancels_when_the_queue_is_consumed_again(void **state)
{
    (void)state;
    quash_stamp before = quash_table_stamp(table);
    pipeline_swap(pipeline, new, cancel);
    consume();
    assert_true(changed(before, "new:1"));
    assert_false(changed(before, "anything:1"));
    assert_int_equal(noted_rules(), rules_hash(new));
}

static void two_swaps_before_an_apply_cancel_for_both(void **state)
{
    (void)state;
    quash_stamp before = quash_table_stamp(table);
    pipeline_swap(pipeline, new, cancel);
    groups_clear(cancel);
    assert_true(groups_add(cancel, "old:*", 5));
    pipeline_swap(pipeline, old, cancel);
    assert_true(pipeline_apply(pipeline));
    assert_true(changed(before, "new:1"));
    assert_true(changed(before, "old:1"));
    assert_int_equal(noted_rules(), rules_hash(old));
}

int main(void)
{
#define CLAIM(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CLAIM(what_was_taken_is_judged_by_the_old_rules_and_what_follows_by_the_new),
        CLAIM(what_may_have_missed_events_is_cancelled_with_the_next_apply),
        CLAIM(the_note_speaks_of_the_new_rules_once_their_groups_are_cancelled),
        CLAIM(the_note_is_written_even_if_nothing_is_to_be_cancelled),
        CLAIM(a_successor_with_the_new_rules_goes_on),
        CLAIM(a_successor_of_one_that_died_before_it_cancelled_flushes_for_the_new_rules),
        CLAIM(while_a_gap_is_open_the_note_stays_erased),
        CLAIM(a_swap_between_two_connections_cancels_when_the_queue_is_consumed_again),
        CLAIM(two_swaps_before_an_apply_cancel_for_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
