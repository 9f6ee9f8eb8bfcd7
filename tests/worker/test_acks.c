/* Which deliveries are acknowledged, against a broker that is as strict as the real one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "acks.h"

#define TAGS_MAX 20000

/* The broker's side: what it has delivered, and what was acknowledged. */
static struct {
    bool acknowledged[TAGS_MAX + 1];
    bool waits[TAGS_MAX + 1];
    uint64_t delivered;
    unsigned frames;
    bool broken; /* an acknowledgement of a tag that is not open: the real one ends the channel */
    unsigned refuse_after;
} broker;

static struct acks acks;

static int set_up(void **state)
{
    (void)state;
    memset(&broker, 0, sizeof broker);
    memset(&acks, 0, sizeof acks);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    acks_fini(&acks);
    return 0;
}

static bool acknowledge(void *context, uint64_t tag, bool multiple)
{
    (void)context;
    if (broker.refuse_after > 0 && --broker.refuse_after == 0)
        return false;
    broker.frames++;
    if (tag == 0 || tag > broker.delivered || broker.acknowledged[tag])
        broker.broken = true;
    for (uint64_t t = multiple ? 1 : tag; t <= tag && t <= TAGS_MAX; t++)
        broker.acknowledged[t] = true;
    return true;
}

static void deliver(bool waits)
{
    uint64_t tag = ++broker.delivered;
    broker.waits[tag] = waits;
    assert_true(acks_take(&acks, tag, waits));
}

static void settle(uint64_t tag)
{
    broker.waits[tag] = false;
    acks_settle(&acks, tag);
}

static void flush(void)
{
    broker.frames = 0;
    assert_true(acks_flush(&acks, acknowledge, NULL));
    assert_false(broker.broken);
    size_t waiting = 0;
    for (uint64_t tag = 1; tag <= broker.delivered; tag++) {
        if (broker.acknowledged[tag] == broker.waits[tag])
            fail_msg("tag %llu of %llu is %sacknowledged", (unsigned long long)tag,
                     (unsigned long long)broker.delivered, broker.acknowledged[tag] ? "" : "not ");
        waiting += broker.waits[tag] ? 1 : 0;
    }
    assert_int_equal(acks_waiting(&acks), waiting);
}

static void without_waiting_one_frame_acknowledges_all(void **state)
{
    (void)state;
    for (int i = 0; i < 500; i++)
        deliver(false);
    flush();
    assert_int_equal(broker.frames, 1);
    flush();
    assert_int_equal(broker.frames, 0);
}

static void what_waits_stays_back_and_the_rest_does_not(void **state)
{
    (void)state;
    for (int tag = 1; tag <= 11; tag++)
        deliver(tag == 7 || tag == 10);
    flush();
    assert_int_equal(broker.frames, 4); /* up to 6; 8; 9; 11 */
    flush();
    assert_int_equal(broker.frames, 0);
    settle(7);
    flush();
    assert_int_equal(broker.frames, 1);
    settle(10);
    flush();
    deliver(false);
    deliver(false);
    flush();
    assert_int_equal(broker.frames, 1);
}

static void the_first_delivery_may_wait(void **state)
{
    (void)state;
    deliver(true);
    flush();
    assert_int_equal(broker.frames, 0);
    deliver(false);
    flush();
    settle(1);
    flush();
}

static void what_is_settled_before_the_flush_costs_nothing(void **state)
{
    (void)state;
    for (int tag = 1; tag <= 100; tag++)
        deliver(tag % 2 == 0);
    for (uint64_t tag = 2; tag <= 100; tag += 2)
        settle(tag);
    flush();
    assert_int_equal(broker.frames, 1);
}

static void settling_what_does_not_wait_changes_nothing(void **state)
{
    (void)state;
    deliver(false);
    deliver(true);
    deliver(false);
    acks_settle(&acks, 1);
    acks_settle(&acks, 3);
    acks_settle(&acks, 4);
    acks_settle(&acks, 0);
    assert_int_equal(acks_waiting(&acks), 1);
    flush();
    settle(2);
    acks_settle(&acks, 2);
    flush();
}

static void a_new_connection_counts_from_one(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        deliver(i == 3);
    flush();
    acks_reset(&acks);
    memset(&broker, 0, sizeof broker);
    assert_int_equal(acks_waiting(&acks), 0);
    for (int i = 0; i < 10; i++)
        deliver(i == 5);
    flush();
}

static void a_frame_that_cannot_be_sent_ends_the_flush(void **state)
{
    (void)state;
    for (int tag = 1; tag <= 5; tag++)
        deliver(tag == 2);
    broker.refuse_after = 2;
    assert_false(acks_flush(&acks, acknowledge, NULL));
    assert_true(broker.acknowledged[1]);
    assert_false(broker.acknowledged[3]);
}

static void any_order_keeps_to_the_broker_s_rules(void **state)
{
    (void)state;
    uint32_t random = 12345;
    uint64_t first = 1; /* nothing before it waits */
    while (broker.delivered < TAGS_MAX - 600) {
        random = random * 1664525u + 1013904223u;
        unsigned what = (random >> 16) % 100;
        if (what < 70) {
            for (unsigned n = (random >> 8) % 5; n > 0; n--)
                deliver((random >> (8 + n)) % 4 == 0);
        } else if (what < 90) {
            /* Some that wait, the oldest ones or from a random place on. */
            while (first <= broker.delivered && !broker.waits[first])
                first++;
            uint64_t from = what < 80 ? first : 1 + (random >> 4) % (broker.delivered + 1);
            for (uint64_t tag = from; tag <= broker.delivered && tag < from + 20; tag++) {
                if (broker.waits[tag])
                    settle(tag);
            }
        } else if (what < 91) {
            flush();
        } else {
            assert_true(acks_flush(&acks, acknowledge, NULL));
            assert_false(broker.broken);
        }
    }
    for (uint64_t tag = 1; tag <= broker.delivered; tag++) {
        if (broker.waits[tag])
            settle(tag);
    }
    flush();
    assert_int_equal(acks_waiting(&acks), 0);
}

int main(void)
{
#define CLAIM(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CLAIM(without_waiting_one_frame_acknowledges_all),
        CLAIM(what_waits_stays_back_and_the_rest_does_not),
        CLAIM(the_first_delivery_may_wait),
        CLAIM(what_is_settled_before_the_flush_costs_nothing),
        CLAIM(settling_what_does_not_wait_changes_nothing),
        CLAIM(a_new_connection_counts_from_one),
        CLAIM(a_frame_that_cannot_be_sent_ends_the_flush),
        CLAIM(any_order_keeps_to_the_broker_s_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
