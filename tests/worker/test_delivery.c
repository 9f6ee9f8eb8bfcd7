/*
 * test_delivery.c - frames become deliveries, whatever their pieces and sizes, and nothing else is let through.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "delivery.h"

#define BODY_MAX 10u

static struct delivery_reader *reader;

static int set_up(void **state)
{
    (void)state;
    reader = delivery_reader_new(BODY_MAX);
    return reader == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    delivery_reader_free(reader);
    return 0;
}

static amqp_bytes_t bytes_of(const char *text, size_t length)
{
    union {
        const char *in;
        void *out;
    } cast = {.in = text};
    return (amqp_bytes_t){.len = length, .bytes = cast.out};
}

static enum delivery_step feed_method(amqp_method_number_t id, void *decoded)
{
    amqp_frame_t frame = {.frame_type = AMQP_FRAME_METHOD, .channel = BROKER_CHANNEL};
    frame.payload.method.id = id;
    frame.payload.method.decoded = decoded;
    return delivery_reader_feed(reader, &frame);
}

static enum delivery_step feed_deliver(uint64_t tag, amqp_bytes_t exchange, amqp_bytes_t routing_key)
{
    amqp_basic_deliver_t deliver = {
        .delivery_tag = tag, .redelivered = 1, .exchange = exchange, .routing_key = routing_key};
    return feed_method(AMQP_BASIC_DELIVER_METHOD, &deliver);
}

static enum delivery_step feed_plain_deliver(uint64_t tag)
{
    return feed_deliver(tag, bytes_of("domain", 6), bytes_of("user.changed", 12));
}

/* `raw` in memory of its own, which is gone when this returns. */
static enum delivery_step feed_raw_header(uint64_t body_size, amqp_bytes_t raw)
{
    amqp_frame_t frame = {.frame_type = AMQP_FRAME_HEADER, .channel = BROKER_CHANNEL};
    frame.payload.properties.class_id = AMQP_BASIC_CLASS;
    frame.payload.properties.body_size = body_size;
    char *copy = malloc(raw.len + 1);
    assert_non_null(copy);
    memcpy(copy, raw.bytes, raw.len);
    frame.payload.properties.raw = (amqp_bytes_t){.len = raw.len, .bytes = copy};
    enum delivery_step step = delivery_reader_feed(reader, &frame);
    memset(copy, 0xee, raw.len);
    free(copy);
    return step;
}

static enum delivery_step feed_header(uint64_t body_size)
{
    return feed_raw_header(body_size, bytes_of("\0\0", 2));
}

static enum delivery_step feed_properties(amqp_basic_properties_t *properties)
{
    static char raw[BROKER_FRAME_MAX];
    int size = amqp_encode_properties(AMQP_BASIC_CLASS, properties, (amqp_bytes_t){.len = sizeof raw, .bytes = raw});
    assert_true(size >= 2);
    return feed_raw_header(0, bytes_of(raw, (size_t)size));
}

static enum delivery_step feed_body(const char *text, size_t length)
{
    /* In memory of its own, which is gone when this returns: the reader must have copied it. */
    char *copy = malloc(length + 1);
    assert_non_null(copy);
    memcpy(copy, text, length);
    amqp_frame_t frame = {.frame_type = AMQP_FRAME_BODY, .channel = BROKER_CHANNEL};
    frame.payload.body_fragment = bytes_of(copy, length);
    enum delivery_step step = delivery_reader_feed(reader, &frame);
    free(copy);
    return step;
}

static void assert_body(const char *text)
{
    const struct delivery *delivery = delivery_reader_get(reader);
    assert_int_equal(delivery->body_size, strlen(text));
    assert_int_equal(delivery->body_sent, strlen(text));
    assert_memory_equal(delivery->body, text, strlen(text));
}

static void three_frames_make_a_delivery(void **state)
{
    (void)state;
    assert_int_equal(feed_plain_deliver(42), DELIVERY_MORE);
    assert_int_equal(feed_header(5), DELIVERY_MORE);
    assert_int_equal(feed_body("hello", 5), DELIVERY_WHOLE);
    const struct delivery *delivery = delivery_reader_get(reader);
    assert_int_equal(delivery->tag, 42);
    assert_true(delivery->redelivered);
    assert_false(delivery->nul_in_names);
    assert_string_equal(delivery->exchange, "domain");
    assert_string_equal(delivery->routing_key, "user.changed");
    assert_body("hello");
}

static void a_body_may_come_in_any_number_of_pieces(void **state)
{
    (void)state;
    feed_plain_deliver(1);
    feed_header(7);
    assert_int_equal(feed_body("ab", 2), DELIVERY_MORE);
    assert_int_equal(feed_body("", 0), DELIVERY_MORE);
    assert_int_equal(feed_body("cde", 3), DELIVERY_MORE);
    assert_int_equal(feed_body("fg", 2), DELIVERY_WHOLE);
    assert_body("abcdefg");
}

static void a_body_of_no_bytes_is_whole_with_its_header(void **state)
{
    (void)state;
    feed_plain_deliver(1);
    assert_int_equal(feed_header(0), DELIVERY_WHOLE);
    assert_body("");
    assert_non_null(delivery_reader_get(reader)->body);
    /* And the next one starts clean. */
    assert_int_equal(feed_plain_deliver(2), DELIVERY_MORE);
    assert_int_equal(feed_header(1), DELIVERY_MORE);
    assert_int_equal(feed_body("x", 1), DELIVERY_WHOLE);
    assert_body("x");
}

static void a_body_up_to_the_limit_is_kept_and_above_it_skipped(void **state)
{
    (void)state;
    static const char body[] = "0123456789abcdef";
    for (size_t size = BODY_MAX - 1; size <= BODY_MAX + 1; size++) {
        feed_plain_deliver(size);
        assert_int_equal(feed_header(size), DELIVERY_MORE);
        assert_int_equal(feed_body(body, size - 1), DELIVERY_MORE);
        assert_int_equal(feed_body(body + size - 1, 1), DELIVERY_WHOLE);
        const struct delivery *delivery = delivery_reader_get(reader);
        assert_int_equal(delivery->body_sent, size);
        assert_int_equal(delivery->body_size, size <= BODY_MAX ? size : 0);
        if (size <= BODY_MAX)
            assert_memory_equal(delivery->body, body, size);
    }
}

static void an_enormous_body_costs_no_memory(void **state)
{
    (void)state;
    feed_plain_deliver(1);
    assert_int_equal(feed_header(UINT64_MAX), DELIVERY_MORE);
    assert_int_equal(feed_body("x", 1), DELIVERY_MORE);
    assert_int_equal(delivery_reader_get(reader)->body_size, 0);
}

static void frames_out_of_order_are_refused(void **state)
{
    (void)state;
    assert_int_equal(feed_header(1), DELIVERY_BROKEN);
    assert_int_equal(feed_body("x", 1), DELIVERY_BROKEN);

    feed_plain_deliver(1);
    assert_int_equal(feed_plain_deliver(2), DELIVERY_BROKEN);
    assert_int_equal(feed_body("x", 1), DELIVERY_BROKEN);
    feed_header(2);
    assert_int_equal(feed_header(2), DELIVERY_BROKEN);
    assert_int_equal(feed_plain_deliver(3), DELIVERY_BROKEN);
}

static void more_body_than_was_announced_is_refused(void **state)
{
    (void)state;
    feed_plain_deliver(1);
    feed_header(3);
    assert_int_equal(feed_body("ab", 2), DELIVERY_MORE);
    assert_int_equal(feed_body("cd", 2), DELIVERY_BROKEN);
}

static void a_header_of_another_class_is_refused(void **state)
{
    (void)state;
    feed_plain_deliver(1);
    amqp_frame_t frame = {.frame_type = AMQP_FRAME_HEADER, .channel = BROKER_CHANNEL};
    frame.payload.properties.class_id = AMQP_TX_CLASS;
    assert_int_equal(delivery_reader_feed(reader, &frame), DELIVERY_BROKEN);
}

static void other_methods_between_deliveries_are_the_callers(void **state)
{
    (void)state;
    amqp_basic_cancel_t cancel = {0};
    assert_int_equal(feed_method(AMQP_BASIC_CANCEL_METHOD, &cancel), DELIVERY_NOT_OURS);
    assert_int_equal(feed_plain_deliver(1), DELIVERY_MORE);
    assert_int_equal(feed_method(AMQP_BASIC_CANCEL_METHOD, &cancel), DELIVERY_BROKEN);
}

static void a_reset_forgets_a_half_read_delivery(void **state)
{
    (void)state;
    feed_plain_deliver(1);
    feed_header(5);
    feed_body("ab", 2);
    delivery_reader_reset(reader);
    feed_plain_deliver(2);
    feed_header(2);
    assert_int_equal(feed_body("xy", 2), DELIVERY_WHOLE);
    assert_int_equal(delivery_reader_get(reader)->tag, 2);
    assert_body("xy");
}

static void names_are_kept_up_to_their_limit_and_nul_bytes_noticed(void **state)
{
    (void)state;
    char longest[255];
    memset(longest, 'k', sizeof longest);
    feed_deliver(1, bytes_of(longest, sizeof longest), bytes_of("", 0));
    feed_header(0);
    const struct delivery *delivery = delivery_reader_get(reader);
    assert_int_equal(strlen(delivery->exchange), 255);
    assert_string_equal(delivery->routing_key, "");
    assert_false(delivery->nul_in_names);

    feed_deliver(2, bytes_of("domain", 6), bytes_of("user\0x", 6));
    feed_header(0);
    assert_true(delivery->nul_in_names);

    feed_deliver(3, bytes_of("domain\0", 7), bytes_of("user", 4));
    feed_header(0);
    assert_true(delivery->nul_in_names);

    feed_plain_deliver(4);
    feed_header(0);
    assert_false(delivery->nul_in_names);
}

/* ---- Properties and headers */

static void assert_bytes(amqp_bytes_t bytes, const char *text)
{
    assert_int_equal(bytes.len, strlen(text));
    assert_memory_equal(bytes.bytes, text, strlen(text));
}

static void a_delivery_without_properties_has_empty_ones(void **state)
{
    (void)state;
    feed_plain_deliver(1);
    assert_int_equal(feed_header(0), DELIVERY_WHOLE);
    assert_non_null(delivery_reader_get(reader)->properties);
    assert_int_equal(delivery_reader_get(reader)->properties->_flags, 0);
}

static void every_property_and_header_outlives_its_frame(void **state)
{
    (void)state;
    amqp_table_entry_t inner[] = {
        {.key = bytes_of("queue", 5), .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = bytes_of("orders", 6)}}};
    amqp_field_value_t elements[] = {
        {.kind = AMQP_FIELD_KIND_TABLE, .value.table = {.num_entries = 1, .entries = inner}},
        {.kind = AMQP_FIELD_KIND_I64, .value.i64 = -7}};
    amqp_table_entry_t headers[] = {
        {.key = bytes_of("x-death", 7),
         .value = {.kind = AMQP_FIELD_KIND_ARRAY, .value.array = {.num_entries = 2, .entries = elements}}},
        {.key = bytes_of("", 0), .value = {.kind = AMQP_FIELD_KIND_VOID}},
    };
    amqp_basic_properties_t sent = {
        ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG |
                  AMQP_BASIC_PRIORITY_FLAG | AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_CLUSTER_ID_FLAG,
        .content_type = bytes_of("application/json", 16),
        .headers = {.num_entries = 2, .entries = headers},
        .delivery_mode = 2,
        .priority = 9,
        .timestamp = UINT64_MAX,
        .cluster_id = bytes_of("eu", 2),
    };
    feed_plain_deliver(1);
    assert_int_equal(feed_properties(&sent), DELIVERY_WHOLE);
    const amqp_basic_properties_t *kept = delivery_reader_get(reader)->properties;
    assert_int_equal(kept->_flags, sent._flags);
    assert_bytes(kept->content_type, "application/json");
    assert_int_equal(kept->delivery_mode, 2);
    assert_int_equal(kept->priority, 9);
    assert_true(kept->timestamp == UINT64_MAX);
    assert_bytes(kept->cluster_id, "eu");
    assert_int_equal(kept->headers.num_entries, 2);
    assert_bytes(kept->headers.entries[0].key, "x-death");
    const amqp_array_t *array = &kept->headers.entries[0].value.value.array;
    assert_int_equal(array->num_entries, 2);
    assert_bytes(array->entries[0].value.table.entries[0].key, "queue");
    assert_bytes(array->entries[0].value.table.entries[0].value.value.bytes, "orders");
    assert_int_equal(array->entries[1].value.i64, -7);
    assert_bytes(kept->headers.entries[1].key, "");
}

static void properties_last_until_the_body_is_whole_and_not_into_the_next_delivery(void **state)
{
    (void)state;
    amqp_basic_properties_t sent = {._flags = AMQP_BASIC_TYPE_FLAG, .type = bytes_of("order.paid", 10)};
    char raw[64];
    int size = amqp_encode_properties(AMQP_BASIC_CLASS, &sent, (amqp_bytes_t){.len = sizeof raw, .bytes = raw});
    feed_plain_deliver(1);
    assert_int_equal(feed_raw_header(2, bytes_of(raw, (size_t)size)), DELIVERY_MORE);
    feed_body("a", 1);
    assert_int_equal(feed_body("b", 1), DELIVERY_WHOLE);
    assert_bytes(delivery_reader_get(reader)->properties->type, "order.paid");

    feed_plain_deliver(2);
    assert_int_equal(delivery_reader_get(reader)->properties->_flags, 0);
    assert_int_equal(feed_header(0), DELIVERY_WHOLE);
    assert_int_equal(delivery_reader_get(reader)->properties->_flags, 0);
}

/* Bytes that malloc has given out; 0 under a sanitizer, which has its own. */
static size_t bytes_in_use(void)
{
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void a_frame_full_of_headers_is_kept_and_let_go(void **state)
{
    (void)state;
    enum { COUNT = 13000 };
    amqp_table_entry_t *headers = calloc(COUNT, sizeof *headers);
    assert_non_null(headers);
    for (int i = 0; i < COUNT; i++) {
        headers[i].key = bytes_of("k", 1);
        headers[i].value = (amqp_field_value_t){.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = bytes_of("abc", 3)};
    }
    amqp_basic_properties_t sent = {._flags = AMQP_BASIC_HEADERS_FLAG,
                                    .headers = {.num_entries = COUNT, .entries = headers}};
    size_t before = 0;
    for (uint64_t tag = 1; tag <= 20; tag++) {
        feed_plain_deliver(tag);
        assert_int_equal(feed_properties(&sent), DELIVERY_WHOLE);
        assert_int_equal(delivery_reader_get(reader)->properties->headers.num_entries, COUNT);
        assert_bytes(delivery_reader_get(reader)->properties->headers.entries[COUNT - 1].value.value.bytes, "abc");
        feed_plain_deliver(tag);
        assert_int_equal(feed_header(0), DELIVERY_WHOLE);
        before = tag == 1 ? bytes_in_use() : before;
    }
    assert_true(bytes_in_use() < before + 65536);
    free(headers);
}

static void properties_that_cannot_be_read_break_the_connection(void **state)
{
    (void)state;
    feed_plain_deliver(1);
    assert_int_equal(feed_raw_header(0, bytes_of("\x80\x00\x09short", 8)), DELIVERY_BROKEN);
}

int main(void)
{
#define CLAIM(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CLAIM(three_frames_make_a_delivery),
        CLAIM(a_body_may_come_in_any_number_of_pieces),
        CLAIM(a_body_of_no_bytes_is_whole_with_its_header),
        CLAIM(a_body_up_to_the_limit_is_kept_and_above_it_skipped),
        CLAIM(an_enormous_body_costs_no_memory),
        CLAIM(frames_out_of_order_are_refused),
        CLAIM(more_body_than_was_announced_is_refused),
        CLAIM(a_header_of_another_class_is_refused),
        CLAIM(other_methods_between_deliveries_are_the_callers),
        CLAIM(a_reset_forgets_a_half_read_delivery),
        CLAIM(names_are_kept_up_to_their_limit_and_nul_bytes_noticed),
        CLAIM(a_delivery_without_properties_has_empty_ones),
        CLAIM(every_property_and_header_outlives_its_frame),
        CLAIM(properties_last_until_the_body_is_whole_and_not_into_the_next_delivery),
        CLAIM(a_frame_full_of_headers_is_kept_and_let_go),
        CLAIM(properties_that_cannot_be_read_break_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
