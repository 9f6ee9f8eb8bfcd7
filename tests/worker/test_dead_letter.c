/* What a dead letter bears of its event, and what it says besides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dead_letter.h"

static const struct dead_letter_cause cause = {
    .word = "missing", .reason = "rule \"r\": nothing at /id", .rule = "an order was paid"};

static amqp_pool_t pool;
static struct dead_letter *letter;
static amqp_basic_properties_t *properties;

static int set_up(void **state)
{
    (void)state;
    init_amqp_pool(&pool, 4096);
    letter = NULL;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(letter);
    empty_amqp_pool(&pool);
    return 0;
}

static struct delivery delivery_of(const amqp_basic_properties_t *with, const char *body)
{
    return (struct delivery){
        .tag = 42,
        .exchange = "orders",
        .routing_key = "order.paid",
        .exchange_length = 6,
        .routing_key_length = 10,
        .body = body,
        .body_size = strlen(body),
        .body_sent = strlen(body),
        .properties = with,
    };
}

static void make(const struct delivery *delivery, const struct dead_letter_cause *why, size_t frame_max)
{
    letter = dead_letter_new(delivery, why, "web-1", frame_max);
    assert_non_null(letter);
    assert_true(dead_letter_properties(letter, &pool, &properties));
}

static bool same_bytes(amqp_bytes_t one, amqp_bytes_t other)
{
    return one.len == other.len && memcmp(one.bytes, other.bytes, one.len) == 0;
}

static amqp_table_entry_t text_entry(const char *key, const char *value)
{
    return (amqp_table_entry_t){.key = amqp_cstring_bytes(key),
                                .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value)}};
}

static const amqp_field_value_t *header(const char *name)
{
    const amqp_field_value_t *found = NULL;
    for (int i = 0; i < properties->headers.num_entries; i++) {
        const amqp_table_entry_t *entry = &properties->headers.entries[i];
        if (entry->key.len != strlen(name) || memcmp(entry->key.bytes, name, entry->key.len) != 0)
            continue;
        if (found != NULL)
            fail_msg("header %s is there twice", name);
        found = &entry->value;
    }
    return found;
}

static void assert_header(const char *name, const char *value)
{
    const amqp_field_value_t *found = header(name);
    if (found == NULL) {
        fail_msg("no header %s", name);
        return; /* for the analyser, which does not know that fail_msg does not */
    }
    assert_int_equal(found->kind, AMQP_FIELD_KIND_UTF8);
    assert_int_equal(found->value.bytes.len, strlen(value));
    assert_memory_equal(found->value.bytes.bytes, value, strlen(value));
}

static void the_letter_says_why_and_where_it_comes_from(void **state)
{
    (void)state;
    struct delivery delivery = delivery_of(NULL, "{\"id\": null}");
    make(&delivery, &cause, BROKER_FRAME_MAX);
    assert_int_equal(letter->tag, 42);
    assert_string_equal(letter->routing_key, "order.paid");
    assert_header("x-quash-reason", cause.reason);
    assert_header("x-quash-cause", "missing");
    assert_header("x-quash-rule", "an order was paid");
    assert_header("x-quash-exchange", "orders");
    assert_header("x-quash-routing-key", "order.paid");
    assert_header("x-quash-instance", "web-1");
    assert_null(header("x-quash-left-out"));
    assert_true(letter->whole);
    assert_null(header("x-quash-user-id"));
    assert_null(header("x-quash-expiration"));
    const amqp_field_value_t *when = header("x-quash-first-failure");
    assert_non_null(when);
    int numbers[7];
    char text[32] = "";
    assert_int_equal(when->value.bytes.len, strlen("2026-11-24T08:00:00.123Z"));
    memcpy(text, when->value.bytes.bytes, when->value.bytes.len);
    assert_int_equal(sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &numbers[0], &numbers[1], &numbers[2], &numbers[3],
                            &numbers[4], &numbers[5], &numbers[6]),
                     7);
    assert_int_equal(text[23], 'Z');
    assert_int_equal(properties->_flags, AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_HEADERS_FLAG);
    assert_int_equal(properties->delivery_mode, 2);
    assert_int_equal(letter->body_size, 12);
    assert_memory_equal(dead_letter_body(letter), "{\"id\": null}", 12);
}

static void properties_and_headers_stay_as_they_were(void **state)
{
    (void)state;
    amqp_table_entry_t inner[] = {text_entry("deep", "value")};
    amqp_field_value_t items[] = {{.kind = AMQP_FIELD_KIND_I64, .value.i64 = -5},
                                  {.kind = AMQP_FIELD_KIND_VOID, .value.u64 = 0}};
    amqp_table_entry_t entries[] = {
        text_entry("tenant", "a\xc3\xbc"),
        {.key = amqp_cstring_bytes("table"),
         .value = {.kind = AMQP_FIELD_KIND_TABLE, .value.table = {.num_entries = 1, .entries = inner}}},
        {.key = amqp_cstring_bytes("list"),
         .value = {.kind = AMQP_FIELD_KIND_ARRAY, .value.array = {.num_entries = 2, .entries = items}}},
        {.key = amqp_cstring_bytes("f"), .value = {.kind = AMQP_FIELD_KIND_F64, .value.f64 = 0.1}},
    };
    const amqp_basic_properties_t with = {
        ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_CONTENT_ENCODING_FLAG | AMQP_BASIC_HEADERS_FLAG |
                  AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_PRIORITY_FLAG | AMQP_BASIC_CORRELATION_ID_FLAG |
                  AMQP_BASIC_REPLY_TO_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TIMESTAMP_FLAG |
                  AMQP_BASIC_TYPE_FLAG | AMQP_BASIC_APP_ID_FLAG | AMQP_BASIC_CLUSTER_ID_FLAG,
        .content_type = amqp_cstring_bytes("application/json"),
        .content_encoding = amqp_cstring_bytes("gzip"),
        .headers = {.num_entries = 4, .entries = entries},
        .delivery_mode = 1,
        .priority = 9,
        .correlation_id = amqp_cstring_bytes("c"),
        .reply_to = amqp_cstring_bytes("r"),
        .message_id = amqp_cstring_bytes("m"),
        .timestamp = 1700000000,
        .type = amqp_cstring_bytes("t"),
        .app_id = amqp_cstring_bytes("a"),
        .cluster_id = amqp_cstring_bytes("k"),
    };
    struct delivery delivery = delivery_of(&with, "x");
    make(&delivery, &cause, BROKER_FRAME_MAX);
    assert_int_equal(properties->_flags, with._flags);
    assert_int_equal(properties->delivery_mode, 2);
    assert_int_equal(properties->priority, 9);
    assert_int_equal(properties->timestamp, 1700000000);
#define SAME(member) assert_true(same_bytes(properties->member, with.member))
    SAME(content_type);
    SAME(content_encoding);
    SAME(correlation_id);
    SAME(reply_to);
    SAME(message_id);
    SAME(type);
    SAME(app_id);
    SAME(cluster_id);
    assert_header("tenant", "a\xc3\xbc");
    assert_int_equal(header("table")->value.table.num_entries, 1);
    assert_int_equal(header("list")->value.array.entries[0].value.i64, -5);
    assert_int_equal(header("list")->value.array.entries[1].kind, AMQP_FIELD_KIND_VOID);
    assert_true(header("f")->value.f64 == 0.1);
    assert_int_equal(properties->headers.num_entries, 4 + 7);
}

static void what_would_keep_the_letter_from_its_queue_moves_into_headers(void **state)
{
    (void)state;
    const amqp_basic_properties_t with = {
        ._flags = AMQP_BASIC_USER_ID_FLAG | AMQP_BASIC_EXPIRATION_FLAG,
        .user_id = amqp_cstring_bytes("emitter"),
        .expiration = amqp_cstring_bytes("60000"),
    };
    struct delivery delivery = delivery_of(&with, "x");
    make(&delivery, &cause, BROKER_FRAME_MAX);
    assert_int_equal(properties->_flags & (AMQP_BASIC_USER_ID_FLAG | AMQP_BASIC_EXPIRATION_FLAG), 0);
    assert_header("x-quash-user-id", "emitter");
    assert_header("x-quash-expiration", "60000");
}

static void a_letter_that_failed_again_tells_where_it_first_came_from(void **state)
{
    (void)state;
    amqp_table_entry_t entries[] = {
        text_entry("x-quash-first-failure", "2026-01-02T03:04:05.678Z"),
        text_entry("x-quash-exchange", "the first"),
        text_entry("x-quash-routing-key", "first.key"),
        text_entry("x-quash-reason", "an old one"),
        text_entry("x-quash-cause", "malformed"),
        text_entry("x-quash-rule", "an old rule"),
        text_entry("x-quash-instance", "another"),
        text_entry("x-quash-left-out", "nothing"),
        text_entry("x-quash-unknown", "stays"),
    };
    const amqp_basic_properties_t with = {._flags = AMQP_BASIC_HEADERS_FLAG,
                                          .headers = {.num_entries = 9, .entries = entries}};
    const struct dead_letter_cause unmatched = {.word = "unmatched", .reason = "no rule matched"};
    struct delivery delivery = delivery_of(&with, "x");
    make(&delivery, &unmatched, BROKER_FRAME_MAX);
    assert_header("x-quash-first-failure", "2026-01-02T03:04:05.678Z");
    assert_header("x-quash-exchange", "the first");
    assert_header("x-quash-routing-key", "first.key");
    assert_header("x-quash-reason", "no rule matched");
    assert_header("x-quash-cause", "unmatched");
    assert_null(header("x-quash-rule"));
    assert_header("x-quash-instance", "web-1");
    assert_null(header("x-quash-left-out"));
    assert_header("x-quash-unknown", "stays");
}

static void a_header_of_our_name_that_is_no_text_is_replaced(void **state)
{
    (void)state;
    amqp_table_entry_t entries[] = {
        {.key = amqp_cstring_bytes("x-quash-first-failure"), .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = 1}},
    };
    const amqp_basic_properties_t with = {._flags = AMQP_BASIC_HEADERS_FLAG,
                                          .headers = {.num_entries = 1, .entries = entries}};
    struct delivery delivery = delivery_of(&with, "x");
    make(&delivery, &cause, BROKER_FRAME_MAX);
    assert_int_equal(header("x-quash-first-failure")->kind, AMQP_FIELD_KIND_UTF8);
}

/* What quash writes there are short strings and a time. A longer one is the emitter's own, and must not fill the frame:
 * an event of which no letter can be made would come again for ever. */
static void a_header_of_our_name_that_is_too_long_to_be_ours_is_replaced(void **state)
{
    (void)state;
    static const char *const ours[] = {"x-quash-first-failure", "x-quash-exchange", "x-quash-routing-key",
                                       "x-quash-user-id", "x-quash-expiration"};
    static char large[BROKER_FRAME_MAX - 60];
    memset(large, 'h', sizeof large - 1);
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        amqp_table_entry_t entry = text_entry(ours[i], large);
        const amqp_basic_properties_t with = {._flags = AMQP_BASIC_HEADERS_FLAG,
                                              .headers = {.num_entries = 1, .entries = &entry}};
        struct delivery delivery = delivery_of(&with, "x");
        make(&delivery, &cause, BROKER_FRAME_MAX);
        assert_header("x-quash-exchange", "orders");
        assert_header("x-quash-routing-key", "order.paid");
        assert_true(header(ours[i]) == NULL || header(ours[i])->value.bytes.len < 255);
        free(letter);
        entry.value.value.bytes.len = 256;
        make(&delivery, &cause, BROKER_FRAME_MAX);
        assert_true(header(ours[i]) == NULL || header(ours[i])->value.bytes.len < 255);
        free(letter);
        entry.value.value.bytes.len = 255;
        make(&delivery, &cause, BROKER_FRAME_MAX);
        assert_int_equal(header(ours[i])->value.bytes.len, 255);
        free(letter);
        letter = NULL;
    }
}

static void a_nul_in_a_name_stays_in_the_header(void **state)
{
    (void)state;
    struct delivery delivery = delivery_of(NULL, "x");
    memcpy(delivery.routing_key, "order\0paid", 10);
    delivery.nul_in_names = true;
    make(&delivery, &cause, BROKER_FRAME_MAX);
    assert_string_equal(letter->routing_key, "order");
    assert_int_equal(header("x-quash-routing-key")->value.bytes.len, 10);
    assert_memory_equal(header("x-quash-routing-key")->value.bytes.bytes, "order\0paid", 10);
}

static void a_body_that_was_not_kept_is_told(void **state)
{
    (void)state;
    struct delivery delivery = delivery_of(NULL, "");
    delivery.body_sent = 20000000;
    make(&delivery, &cause, BROKER_FRAME_MAX);
    assert_header("x-quash-left-out", "the body of 20000000 bytes");
    assert_int_equal(letter->body_size, 0);
    assert_false(letter->whole);
}

static void headers_give_way_when_they_do_not_fit_into_a_frame(void **state)
{
    (void)state;
    static char large[BROKER_FRAME_MAX];
    memset(large, 'h', sizeof large - 1);
    amqp_table_entry_t entries[] = {
        {.key = amqp_cstring_bytes("large"), .value = {.kind = AMQP_FIELD_KIND_UTF8}},
        text_entry("x-quash-exchange", "the first"),
    };
    entries[0].value.value.bytes = amqp_cstring_bytes(large);
    const amqp_basic_properties_t with = {._flags = AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_TYPE_FLAG,
                                          .type = amqp_cstring_bytes("t"),
                                          .headers = {.num_entries = 2, .entries = entries}};
    struct delivery delivery = delivery_of(&with, "body");
    make(&delivery, &cause, BROKER_FRAME_MAX);
    assert_null(header("large"));
    assert_header("x-quash-left-out", "the headers");
    assert_false(letter->whole);
    assert_header("x-quash-exchange", "the first");
    assert_true(same_bytes(properties->type, with.type));
    assert_memory_equal(dead_letter_body(letter), "body", 4);
    free(letter);

    /* The largest that fits, and one byte more: a frame of all of it is exactly as large as one may be. */
    entries[0].value.value.bytes.len = 1000;
    make(&delivery, &cause, BROKER_FRAME_MAX);
    size_t without = letter->properties_size - 1000;
    free(letter);
    entries[0].value.value.bytes.len = BROKER_FRAME_MAX - 20 - without;
    make(&delivery, &cause, BROKER_FRAME_MAX);
    assert_non_null(header("large"));
    assert_int_equal(letter->properties_size + 20, BROKER_FRAME_MAX);
    free(letter);
    entries[0].value.value.bytes.len++;
    make(&delivery, &cause, BROKER_FRAME_MAX);
    assert_null(header("large"));
}

static void even_the_smallest_frame_carries_a_letter(void **state)
{
    (void)state;
    static char longest[256];
    memset(longest, 'p', 255);
    static char rule[801];
    memset(rule, 'r', 800);
    static char reason[512];
    memset(reason, 'w', 511);
    const amqp_bytes_t bytes = amqp_cstring_bytes(longest);
    const amqp_basic_properties_t with = {
        ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_CONTENT_ENCODING_FLAG | AMQP_BASIC_CORRELATION_ID_FLAG |
                  AMQP_BASIC_REPLY_TO_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TYPE_FLAG |
                  AMQP_BASIC_APP_ID_FLAG | AMQP_BASIC_CLUSTER_ID_FLAG | AMQP_BASIC_USER_ID_FLAG |
                  AMQP_BASIC_EXPIRATION_FLAG,
        .content_type = bytes,
        .content_encoding = bytes,
        .correlation_id = bytes,
        .reply_to = bytes,
        .message_id = bytes,
        .type = bytes,
        .app_id = bytes,
        .cluster_id = bytes,
        .user_id = bytes,
        .expiration = bytes,
    };
    struct delivery delivery = delivery_of(&with, "body");
    memcpy(delivery.exchange, longest, 256);
    memcpy(delivery.routing_key, longest, 256);
    delivery.exchange_length = delivery.routing_key_length = 255;
    const struct dead_letter_cause longest_cause = {.word = "unmatched", .reason = reason, .rule = rule};
    make(&delivery, &longest_cause, 4096);
    assert_header("x-quash-left-out", "the headers and properties");
    assert_header("x-quash-rule", rule);
    assert_header("x-quash-user-id", longest);
}

int main(void)
{
#define CLAIM(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CLAIM(the_letter_says_why_and_where_it_comes_from),
        CLAIM(properties_and_headers_stay_as_they_were),
        CLAIM(what_would_keep_the_letter_from_its_queue_moves_into_headers),
        CLAIM(a_letter_that_failed_again_tells_where_it_first_came_from),
        CLAIM(a_header_of_our_name_that_is_no_text_is_replaced),
        CLAIM(a_header_of_our_name_that_is_too_long_to_be_ours_is_replaced),
        CLAIM(a_nul_in_a_name_stays_in_the_header),
        CLAIM(a_body_that_was_not_kept_is_told),
        CLAIM(headers_give_way_when_they_do_not_fit_into_a_frame),
        CLAIM(even_the_smallest_frame_carries_a_letter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
