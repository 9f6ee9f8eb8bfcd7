"""Emitters that are not quash publish into a real broker, and the table shows what quashd made of it: every kind of
header and property, sent by amqplib (Node) and pika (Python), and the event of each emitter of docs/emitters.md."""

import base64
import datetime
import decimal
import json
import pathlib
import sys
import unittest

import pika

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
from broker import Broker, await_true  # noqa: E402
from node import node  # noqa: E402
from worker import EVENT_SECONDS_MAX, Worker  # noqa: E402

EMITTERS = sorted((ROOT / "tests" / "worker" / "data" / "emitters").glob("*.json"))
UNTOUCHED = "control:never-emitted"
DEAD_LETTERS = "dead.letters"  # exchange and queue
APP = "{property.app_id}"

broker = None


def setUpModule():
    global broker
    broker = Broker()
    broker.open()
    unittest.addModuleCleanup(broker.close)


def wire_rules():
    """What each field must look like to a rule; groups begin with the emitter's name, so that nothing is mixed up."""
    def rule(name, cancel, **when):
        return {"name": name, "when": {"exchange": "wire", **when}, "cancel": cancel}
    return {"version": 1, "rules": [
        rule("text", [f"text:{APP}/{{header.x-tenant | upper}}"], headers={"x-tenant": "?42"}),
        rule("integers", [f"int:{APP}/{{header.{name}}}"
                          for name in ("small", "large", "int8", "int16", "int32", "int64")],
             headers={"small": -7, "int8": -128}),
        rule("booleans", [f"bool:{APP}/{{header.yes}}/{{header.no}}"], headers={"yes": True, "no": False}),
        rule("booleans are no strings", [f"wrong:{APP}"], headers={"yes": ["true", 1]}),
        rule("void", [f"void:{APP}"], headers={"none": None, "not-there": {"exists": False}}),
        rule("void names nothing", [f"void:{APP}/{{header.none?}}"], headers={"none": {"exists": False}}),
        rule("a real number", [f"real:{APP}/{{header.ratio}}"], headers={"ratio": {"exists": True}}),
        rule("a real number is no string", [f"wrong:{APP}"], headers={"ratio": "1.5"}),
        rule("timestamp", [f"at:{APP}/{{header.at}}"], headers={"at": 1767225600}),
        rule("bytes that are text", [f"bytes:{APP}/{{header.bytes}}"], headers={"bytes": "text"}),
        rule("bytes that are none", [f"raw-{kind}:{APP}/{{header.raw}}" for kind in ("a", "b")],
             headers={"raw": {"not": "*"}}),
        rule("tables", [f"deep:{APP}/{{header/outer/inner/id}}"], headers={"/outer/inner/kind": "deep"}),
        {**rule("arrays", [f"each:{APP}/{{header/list/*/id}}", f"first:{APP}/{{header/list/0/id}}"],
                headers={"/list/*/id": 9, "/empty/*": {"exists": False}}), "on_missing": "skip"},
        rule("properties", [f"properties:{APP}/{{property.message_id}}/{{property.correlation_id}}/"
                            "{property.reply_to}/{property.expiration}/{property.timestamp}/"
                            "{property.priority}/{property.delivery_mode}"],
             properties={"type": "order.*", "content_type": "application/octet-stream", "content_encoding": "binary",
                         "delivery_mode": 2, "priority": 4, "timestamp": 1767225600, "user_id": {"exists": False}}),
        rule("the body is left alone", [f"wrong:{APP}/{{/id}}"], headers={"x-tenant": {"not": "ä42"}}),
    ]}


def wire_groups(app):
    """The groups that the rules must make of the message of `app`."""
    return [f"text:{app}/Ä42", f"int:{app}/-7", f"int:{app}/9007199254740991", f"int:{app}/-128", f"int:{app}/32767",
            f"int:{app}/-2147483648", f"int:{app}/1099511627776", f"bool:{app}/true/false", f"void:{app}",
            "real:never-emitted", f"at:{app}/1767225600", f"bytes:{app}/text", "raw-a:never-emitted",
            "raw-b:never-emitted", f"deep:{app}/17", f"each:{app}/7", f"each:{app}/9", f"first:{app}/7",
            f"properties:{app}/m-1/c-1/replies/60000/1767225600/4/2"]


def pika_message():
    """The same as tests/node/emit_headers.js sends, by pika's types."""
    return b"\xff\x00\xfe", pika.BasicProperties(
        app_id="pika", content_type="application/octet-stream", content_encoding="binary", delivery_mode=2, priority=4,
        correlation_id="c-1", reply_to="replies", expiration="60000", message_id="m-1", timestamp=1767225600,
        type="order.paid",
        headers={"x-tenant": "ä42", "small": -7, "large": 9007199254740991, "int8": -128, "int16": 32767,
                 "int32": -2147483648, "int64": 1099511627776, "yes": True, "no": False, "none": None,
                 "ratio": decimal.Decimal("1.5"),
                 "at": datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc), "bytes": b"text",
                 "raw": b"\xff\xfe", "outer": {"inner": {"id": 17, "kind": "deep"}},
                 "list": [{"id": 7}, {"id": 9}, {"other": 1}], "empty": []})


class Publisher:
    """One confirming channel of pika."""

    def __enter__(self):
        self.connection = pika.BlockingConnection(pika.URLParameters(broker.url))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        return self

    def __exit__(self, *_):
        self.connection.close()

    def declare(self, exchange, kind="topic"):
        self.channel.exchange_declare(exchange, exchange_type=kind, durable=True)

    def declare_dead_letters(self):
        self.declare(DEAD_LETTERS, "fanout")
        self.channel.queue_declare(DEAD_LETTERS, durable=True)
        self.channel.queue_bind(DEAD_LETTERS, DEAD_LETTERS)

    def publish(self, exchange, routing_key, body, properties):
        self.channel.basic_publish(exchange, routing_key, body, properties, mandatory=True)

    def publish_record(self, event):
        """An event as it stands in a record."""
        body = (base64.b64decode(event["body_base64"]) if "body_base64" in event else
                event["body_text"].encode() if "body_text" in event else json.dumps(event["body"]).encode())
        self.publish(event.get("exchange", ""), event.get("routing_key", ""), body,
                     pika.BasicProperties(headers=event.get("headers") or None, **event.get("properties", {})))


class Wire(unittest.TestCase):
    maxDiff = None

    def worker(self, instance, rules, exchange):
        with Publisher() as publisher:
            publisher.declare(exchange)
            publisher.declare_dead_letters()
        worker = Worker(broker.url, instance, rules=rules,
                        flags=["--exchange", exchange, "--dead-letter-exchange", DEAD_LETTERS])
        self.addCleanup(worker.__exit__)
        return worker.start()

    def assert_cancelled(self, worker, since, groups):
        for group in groups:
            worker.await_changed(since, group)
        self.assertEqual(worker.table.answers(since, [UNTOUCHED])[UNTOUCHED], "unchanged", worker.log())


class Headers(Wire):
    @classmethod
    def setUpClass(cls):
        cls.emitted = {"node": cls.emit_by_node, "pika": cls.emit_by_pika}

    @staticmethod
    def emit_by_node():
        node("emit_headers.js", broker.url, "wire")

    @staticmethod
    def emit_by_pika():
        with Publisher() as publisher:
            publisher.publish("wire", "wire.headers", *pika_message())

    def assert_understood(self, app):
        worker = self.worker(f"headers-{app}", wire_rules(), "wire")
        since = worker.table.stamp()
        self.emitted[app]()
        self.assert_cancelled(worker, since, wire_groups(app))
        other = {"node": "pika", "pika": "node"}[app]
        must_not = [f"wrong:{app}", "wrong:never-emitted", f"void:{app}/", f"each:{app}/1", f"text:{other}/Ä42",
                    f"deep:{other}/17"]
        self.assertEqual(set(worker.table.answers(since, must_not).values()), {"unchanged"}, worker.log())
        worker.stop()

    def test_amqplib_sends_every_kind_of_header_and_rules_see_it(self):
        self.assert_understood("node")

    def test_pika_sends_every_kind_of_header_and_rules_see_it(self):
        self.assert_understood("pika")


class Emitters(Wire):
    def test_the_event_of_each_emitter_cancels_its_groups(self):
        self.assertGreaterEqual(len(EMITTERS), 20)
        for path in EMITTERS:
            case = json.loads(path.read_text(encoding="utf-8"))
            with self.subTest(path.stem):
                worker = self.worker(path.stem, case["rules"], case["event"]["exchange"])
                since = worker.table.stamp()
                with Publisher() as publisher:
                    waiting = self.dead_letters()
                    publisher.publish_record(case["event"])
                if not case["groups"]:
                    await_true(lambda: self.dead_letters() > waiting, EVENT_SECONDS_MAX,
                               lambda: f"a dead letter; the log says:\n{worker.log()}")
                # Of a kind that is cancelled as a whole, any name will do.
                groups = [group.replace(":*", ":never-emitted") for group in case["groups"]]
                self.assert_cancelled(worker, since, groups)
                others = [group + "0" for group in groups if group.partition(":")[0] + ":*" not in case["groups"]]
                self.assertLessEqual(set(worker.table.answers(since, others).values()), {"unchanged"})
                worker.stop()

    @staticmethod
    def dead_letters():
        return broker.queues().get(DEAD_LETTERS, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
