"""`quash emit` publishes what it was told, to the last header: a program that is not quash reads it from a real broker."""

import json
import pathlib
import sys
import unittest

import pika

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from broker import Broker, await_true  # noqa: E402
from worker import quash  # noqa: E402

DONE, NO, USAGE, BAD_INPUT, UNREACHABLE = range(5)
EXCHANGE, QUEUE = "domain", "read-by-pika"
LARGER_THAN_RULES_READ = (1 << 20) + 1

broker = None


def setUpModule():
    global broker
    broker = Broker()
    broker.open()
    unittest.addModuleCleanup(broker.close)


class Emit(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.connection = pika.BlockingConnection(pika.URLParameters(broker.url + "%2F"))
        self.addCleanup(self.connection.close)
        self.channel = self.connection.channel()
        self.channel.exchange_declare(EXCHANGE, "topic", durable=True)
        self.channel.queue_declare(QUEUE)
        self.channel.queue_bind(QUEUE, EXCHANGE, "#")
        self.channel.queue_purge(QUEUE)

    def emit(self, *arguments, stdin=None, code=DONE):
        return quash("emit", "--amqp-url", broker.url, "--exchange", EXCHANGE, *arguments, stdin=stdin, codes=(code,))

    def emit_records(self, *records, flags=(), code=DONE):
        return self.emit("--records", "-", *flags, stdin="\n".join(map(json.dumps, records)).encode(), code=code)

    def received(self):
        """The next message: routing key, properties, body."""
        method, properties, body = await_true(lambda: (m := self.channel.basic_get(QUEUE, auto_ack=True))[0] and m, 20,
                                              "an event in the queue")
        return method.routing_key, properties, body

    def assert_properties(self, properties, **wanted):
        names = ("content_type", "content_encoding", "delivery_mode", "priority", "correlation_id", "reply_to",
                 "expiration", "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id", "headers")
        self.assertEqual({n: getattr(properties, n) for n in names if getattr(properties, n) is not None}, wanted)

    def test_without_a_word_about_it_an_event_is_persistent_json_without_headers(self):
        self.emit("--routing-key", "order.paid", '{"id": 17}')
        key, properties, body = self.received()
        self.assertEqual((key, body), ("order.paid", b'{"id": 17}'))
        self.assert_properties(properties, content_type="application/json", delivery_mode=2)

    def test_flags_set_headers_and_properties(self):
        self.emit("--header", "x-tenant=42", "--header", "empty=", "--header", "equation=a=b", "--header", "grüße=ä",
                  "--property", "type=order.paid", "--property", "message_id=m-1", "--property", "priority=0",
                  "--property", "timestamp=1767225600", "--property", "content_encoding=utf-8", "--property",
                  "correlation_id=c", "--property", "reply_to=r", "--property", "expiration=60000", "--property",
                  "app_id=shop", "--property", "user_id=guest", "--property", "cluster_id=", "{}")
        _, properties, _ = self.received()
        self.assert_properties(properties, content_type="application/json", delivery_mode=2, type="order.paid",
                               message_id="m-1", priority=0, timestamp=1767225600, content_encoding="utf-8",
                               correlation_id="c", reply_to="r", expiration="60000", app_id="shop", user_id="guest",
                               cluster_id="",
                               headers={"x-tenant": "42", "empty": "", "equation": "a=b", "grüße": "ä"})

    def test_property_says_more_than_the_older_flags(self):
        self.emit("--transient", "--content-type", "text/plain", "{}")
        self.assert_properties(self.received()[1], content_type="text/plain", delivery_mode=1)
        self.emit("--content-type", "", "{}")
        self.assert_properties(self.received()[1], delivery_mode=2)
        self.emit("--property", "delivery_mode=1", "--persistent", "--property", "content_type=text/xml", "<x/>")
        self.assert_properties(self.received()[1], content_type="text/xml", delivery_mode=1)

    def test_records_bring_their_own(self):
        # Not a negative integer and no real: this version of pika reads them as something else.
        headers = {"text": "ä", "integer": 9223372036854775807, "yes": True, "none": None,
                   "table": {"inner": {"id": 1}}, "list": [1, "two", [], {}], "": "no name"}
        self.emit_records({"routing_key": "a", "headers": headers | {"bytes": {"base64": "/wA="}},
                           "properties": {"type": "t", "timestamp": 99, "content_type": "a/b", "delivery_mode": 1},
                           "body": [1]})
        key, properties, body = self.received()
        self.assertEqual((key, body), ("a", b"[1]"))
        self.assert_properties(properties, type="t", timestamp=99, content_type="a/b", delivery_mode=1,
                               headers=headers | {"bytes": b"\xff\x00"})

    def test_what_a_record_does_not_say_comes_from_the_flags(self):
        self.emit_records({"headers": {"a": 1}, "properties": {"type": "own"}, "body": 1}, {"body_text": "x"},
                          flags=("--routing-key", "k", "--header", "a=flag", "--header", "b=flag", "--property",
                                 "type=flag", "--property", "app_id=flag", "--transient"))
        key, properties, _ = self.received()
        self.assertEqual(key, "k")
        self.assert_properties(properties, content_type="application/json", delivery_mode=1, type="own", app_id="flag",
                               headers={"a": 1, "b": "flag"})
        _, properties, body = self.received()
        self.assertEqual(body, b"x")
        self.assert_properties(properties, content_type="application/json", delivery_mode=1, type="flag", app_id="flag",
                               headers={"a": "flag", "b": "flag"})

    def test_body_that_rules_would_not_read_is_published_whole(self):
        text = "x" * LARGER_THAN_RULES_READ
        self.emit_records({"body_text": text})
        self.assertEqual(len(self.received()[2]), LARGER_THAN_RULES_READ)

    def test_headers_that_fit_no_frame_are_bad_input_and_what_was_sent_before_is_not_lost(self):
        # Around the value: the properties' flags, content type and delivery mode, the table's length, name and type.
        room = 131072 - 20 - (2 + 1 + len("application/json") + 1 + 4 + 1 + 1 + 1 + 4)
        for length, code in ((room - 1, DONE), (room, DONE), (room + 1, BAD_INPUT)):
            done = self.emit_records({"body": 1}, {"headers": {"h": "x" * length}, "body": 2}, code=code)
            self.assertEqual(self.received()[2], b"1")
            if code == DONE:
                self.assertEqual(len(self.received()[1].headers["h"]), length)
                self.assertIn("published 2 events, 2 confirmed", done.stdout)
            else:
                self.assertIn("published 1 event, 1 confirmed", done.stdout)
                self.assertIn("standard input: record 2: headers and properties do not fit into one frame", done.stderr)

    def test_record_that_is_wrong_is_told_with_its_place(self):
        done = self.emit_records({"properties": {"typ": "x"}, "headers": [], "body": 1}, code=BAD_INPUT)
        self.assertIn('record 1: at /properties/typ: unknown key "typ"; did you mean "type"?', done.stderr)
        self.assertIn("record 1: at /headers: found an array; expected an object", done.stderr)

    def test_user_that_is_somebody_else_is_refused_by_the_broker_and_told(self):
        done = self.emit("--property", "user_id=somebody", "{}", code=UNREACHABLE)
        self.assertIn("406", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
