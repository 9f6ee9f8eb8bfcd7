/*
 * test_delivery.c - frames become deliveries, whatever their pieces and sizes, and nothing else is let through.
 */
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

static enum delivery_step feed_header(uint64_t body_size)
{
    amqp_frame_t frame = {.frame_type = AMQP_FRAME_HEADER, .channel = BROKER_CHANNEL};
    frame.payload.properties.class_id = AMQP_BASIC_CLASS;
    frame.payload.properties.body_size = body_size;
    return delivery_reader_feed(reader, &frame);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
