"""Events that cannot be used, against a real broker: they reach the dead-letter exchange whole, and no event is lost on
the way there, whatever is missing, refused, full or killed."""

import json
import os
import random
import resource
import subprocess
import sys
import time
import unittest

import pika

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from broker import Broker, await_true  # noqa: E402
from worker import CONNECT_SECONDS_MAX, QUASHD, Worker, is_sanitized  # noqa: E402

UNTOUCHED = "user:never-emitted"
FLUSHED = "cancelled everything: events may have been missed"
TROUBLE = "cannot hand over dead letters"
HEALED = "the dead letters that waited have been handed over"
LETTER_SECONDS_MAX = 30  # retried with pauses of up to ten seconds

RULES = {
    "version": 1,
    "unmatched": "dead_letter",
    "on_malformed": "dead_letter",
    "rules": [
        {"name": "user changed", "when": {"exchange": "domain", "routing_key": "user.#"}, "cancel": ["user:{/id}"],
         "on_missing": "dead_letter"},
        {"name": "old orders", "when": {"exchange": "domain", "routing_key": "order.#", "body": {"/version": 1}},
         "cancel": ["order:{/id}"]},
    ],
}

broker = None


def setUpModule():
    global broker
    broker = Broker()
    broker.open()
    unittest.addModuleCleanup(broker.close)
    broker.declare_exchange("domain")


class DeadLetterTest(unittest.TestCase):
    def setUp(self):
        self.dead = self.id().rsplit(".", 1)[1]  # the exchange's name, and the queue's

    def worker(self, rules=RULES, flags=(), dead=None, url=None):
        worker = Worker(url or broker.url, self.dead[:60], rules=rules,
                        flags=["--dead-letter-exchange", dead or self.dead, *flags])
        self.addCleanup(worker.__exit__)
        return worker

    def channel(self):
        """A channel with confirms, of a connection that asks for no heartbeat: tests do not serve it."""
        connection = pika.BlockingConnection(pika.URLParameters(broker.url + "%2F?heartbeat=0"))
        self.addCleanup(self.close, connection)
        channel = connection.channel()
        channel.confirm_delivery()
        return channel

    @staticmethod
    def close(connection):
        try:
            connection.close()
        except pika.exceptions.AMQPError:
            pass  # a test may have had it closed

    def declare(self, channel, queue=True, kind="topic", arguments=None):
        channel.exchange_declare(self.dead, exchange_type=kind, durable=True)
        if queue:
            channel.queue_declare(self.dead, durable=True, arguments=arguments)
            channel.queue_bind(self.dead, self.dead, "#")

    def emit(self, channel, body, routing_key="user.changed", **properties):
        channel.basic_publish("domain", routing_key, body if isinstance(body, bytes) else json.dumps(body).encode(),
                              pika.BasicProperties(**({"delivery_mode": 2} | properties)), mandatory=True)

    def letters(self, channel, count, seconds=LETTER_SECONDS_MAX, worker=None):
        """Takes letters out of the queue until there are so many."""
        taken = []

        def take():
            method, properties, body = channel.basic_get(self.dead, auto_ack=True)
            if method is not None:
                taken.append((method, properties, body))
            return len(taken) >= count
        await_true(take, seconds, lambda: f"{count} letters, not {len(taken)}; the log says:\n"
                                          f"{worker.log() if worker else ''}", interval=0)
        return taken

    def bodies(self, channel, wanted, worker):
        """Takes letters until each of these bodies has come at least once; how many there were."""
        seen = []

        def take():
            method, _, body = channel.basic_get(self.dead, auto_ack=True)
            if method is not None:
                seen.append(body)
            return set(seen) >= wanted
        await_true(take, 120, lambda: f"{len(wanted - set(seen))} letters; the log says:\n{worker.log()}", interval=0)
        self.assertEqual(set(seen), wanted)
        return len(seen)

    @staticmethod
    def messages(worker):
        """In the worker's queue: ready, unacknowledged."""
        rows = broker.ctl("list_queues", "--no-table-headers", "name", "messages_ready",
                          "messages_unacknowledged").splitlines()
        ready, unacknowledged = {row.split("\t")[0]: row.split("\t")[1:] for row in rows}[worker.queue]
        return int(ready), int(unacknowledged)

    def await_messages(self, worker, ready, unacknowledged):
        await_true(lambda: self.messages(worker) == (ready, unacknowledged), LETTER_SECONDS_MAX,
                   lambda: f"{ready} ready and {unacknowledged} unacknowledged, not {self.messages(worker)}:\n"
                           f"{worker.log()}", interval=0.1)

    def started(self, **options):
        """A worker that is past the flush of its new queue, and a stamp from then."""
        worker = self.worker(**options).start()
        worker.await_log(FLUSHED)
        return worker, worker.table.stamp()

    def assert_cancels(self, worker, channel, name):
        """Cancelling goes on, and not by cancelling everything."""
        since = worker.table.stamp()
        self.emit(channel, {"id": name})
        worker.await_changed(since, f"user:{name}")
        self.assertFalse(worker.table.changed(since, UNTOUCHED), worker.log())


class Letters(DeadLetterTest):
    def test_each_cause_arrives_with_its_headers_and_its_body(self):
        channel = self.channel()
        self.declare(channel)
        worker, since = self.started()
        cases = [
            (b'{"id": ', "user.changed", "malformed", "user changed", "cannot be read"),
            (b"", "user.changed", "malformed", "user changed", "empty"),
            (b"\x80\x02}q\x00.", "user.pickled", "malformed", "user changed", "cannot be read"),
            (b'{ "name" : "no id" }', "user.changed", "missing", "user changed", "/id"),
            (b'{"version": 2}', "order.paid", "unmatched", None, "no rule matched"),
        ]
        for body, routing_key, *_ in cases:
            self.emit(channel, body, routing_key)
        self.assert_cancels(worker, channel, "good")
        for (method, properties, seen), (body, routing_key, cause, rule, reason) in zip(
                self.letters(channel, len(cases), worker=worker), cases):
            with self.subTest(body):
                headers = properties.headers
                self.assertEqual(seen, body)
                self.assertEqual((method.exchange, method.routing_key), (self.dead, routing_key))
                self.assertEqual(properties.delivery_mode, 2)
                self.assertEqual(headers["x-quash-cause"], cause)
                self.assertEqual(headers.get("x-quash-rule"), rule)
                self.assertIn(reason, headers["x-quash-reason"])
                self.assertEqual(headers["x-quash-exchange"], "domain")
                self.assertEqual(headers["x-quash-routing-key"], routing_key)
                self.assertEqual(headers["x-quash-instance"], worker.instance)
                self.assertRegex(headers["x-quash-first-failure"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
                self.assertNotIn("x-quash-left-out", headers)
        self.assertFalse(worker.table.changed(since, UNTOUCHED))
        # One that names a group, but none that can be: both.
        self.emit(channel, {"id": {"nested": True}})
        self.assertEqual(self.letters(channel, 1, worker=worker)[0][1].headers["x-quash-cause"], "missing")
        worker.await_changed(since, UNTOUCHED)
        self.await_messages(worker, 0, 0)
        worker.stop()
        summary = worker.summary()
        self.assertEqual(summary["dead_lettered"], len(cases) + 1)
        self.assertEqual(summary["dead_letters_waiting"], 0)
        self.assertEqual(summary["malformed"], 3)
        self.assertNotIn(TROUBLE, worker.log())

    def test_properties_and_headers_arrive_as_they_were(self):
        channel = self.channel()
        self.declare(channel)
        worker, _ = self.started()
        headers = {"text": "gr\u00fcn", "number": -5, "big": 2 ** 62, "yes": True, "nothing": None,
                   "table": {"inner": {"deep": [1, "two", {"three": 3}]}}, "list": ["a", 1, False],
                   "x-death": [{"queue": "elsewhere", "count": 1}]}
        self.emit(channel, {"no": "id"}, headers=headers, content_type="application/json", content_encoding="utf-8",
                  priority=7, correlation_id="c-1", reply_to="answers", message_id="m-1", timestamp=1700000000,
                  type="UserChanged", app_id="shop", cluster_id="one", user_id="guest", expiration="600000",
                  delivery_mode=1)
        _, properties, _ = self.letters(channel, 1, worker=worker)[0]
        seen = {name: value for name, value in properties.headers.items() if not name.startswith("x-quash-")}
        self.assertEqual(seen, headers)
        self.assertEqual((properties.content_type, properties.content_encoding, properties.priority,
                          properties.correlation_id, properties.reply_to, properties.message_id,
                          properties.timestamp, properties.type, properties.app_id, properties.cluster_id),
                         ("application/json", "utf-8", 7, "c-1", "answers", "m-1", 1700000000, "UserChanged", "shop",
                          "one"))
        self.assertEqual(properties.delivery_mode, 2)
        # With these two it would be refused, or vanish.
        self.assertIsNone(properties.user_id)
        self.assertIsNone(properties.expiration)
        self.assertEqual(properties.headers["x-quash-user-id"], "guest")
        self.assertEqual(properties.headers["x-quash-expiration"], "600000")

    def test_a_user_id_of_somebody_else_does_not_stop_the_letter(self):
        broker.ctl("add_user", "reader", "secret")
        self.addCleanup(broker.ctl, "delete_user", "reader")
        broker.ctl("set_permissions", "reader", ".*", ".*", ".*")
        channel = self.channel()
        self.declare(channel)
        worker, _ = self.started(url=broker.url.replace("guest:guest", "reader:secret"))
        self.emit(channel, {"no": "id"}, user_id="guest")
        _, properties, _ = self.letters(channel, 1, worker=worker)[0]
        self.assertEqual(properties.headers["x-quash-user-id"], "guest")
        self.await_messages(worker, 0, 0)

    def test_a_letter_that_is_put_back_and_fails_again_tells_its_first_failure(self):
        channel = self.channel()
        self.declare(channel)
        worker, _ = self.started()
        self.emit(channel, {"no": "id"})
        _, first, body = self.letters(channel, 1, worker=worker)[0]
        headers = first.headers
        channel.basic_publish("domain", "user.again", body, first, mandatory=True)
        method, again, seen = self.letters(channel, 1, worker=worker)[0]
        self.assertEqual(seen, body)
        self.assertEqual(method.routing_key, "user.again")
        for name in ("x-quash-first-failure", "x-quash-exchange", "x-quash-routing-key"):
            self.assertEqual(again.headers[name], headers[name])
        self.assertEqual(again.headers["x-quash-routing-key"], "user.changed")

    def test_large_bodies_arrive_whole_and_very_large_ones_are_told(self):
        channel = self.channel()
        self.declare(channel)
        worker, _ = self.started(rules=RULES | {"on_malformed": ["widen", "dead_letter"]})
        large = b'{"id": "' + random.randbytes((16 << 20) - 8)  # not JSON, and exactly what is kept
        self.emit(channel, large)
        _, properties, seen = self.letters(channel, 1, worker=worker)[0]
        self.assertTrue(seen == large)
        self.assertNotIn("x-quash-left-out", properties.headers)
        self.emit(channel, large + b"x")
        _, properties, seen = self.letters(channel, 1, worker=worker)[0]
        self.assertEqual(seen, b"")
        self.assertEqual(properties.headers["x-quash-left-out"], f"the body of {(16 << 20) + 1} bytes")
        self.await_messages(worker, 0, 0)
        self.assertIn("too large to become a dead letter as a whole", worker.log())

    def test_headers_that_fill_their_frame_are_left_out(self):
        channel = self.channel()
        self.declare(channel)
        worker, _ = self.started()
        self.emit(channel, {"no": "id"}, headers={"large": "h" * 130_900}, type="t")
        _, properties, seen = self.letters(channel, 1, worker=worker)[0]
        self.assertEqual(json.loads(seen), {"no": "id"})
        self.assertEqual(properties.headers["x-quash-left-out"], "the headers")
        self.assertEqual(properties.type, "t")
        self.assertNotIn("large", properties.headers)
        self.assert_cancels(worker, channel, "after")

    def test_headers_nested_as_deeply_as_a_frame_allows_arrive_too(self):
        channel = self.channel()
        self.declare(channel)
        # As of a shell with a small `ulimit -s`, from which threads would take the size of their stacks.
        soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
        resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, hard))
        try:
            worker, _ = self.started()
        finally:
            resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))
        levels = 18_000  # of seven bytes each
        headers = {}
        for _ in range(levels):
            headers = {"d": headers}
        recursion = sys.getrecursionlimit()
        sys.setrecursionlimit(10 * levels)
        self.addCleanup(sys.setrecursionlimit, recursion)
        self.emit(channel, {"no": "id"}, headers=headers)
        _, properties, _ = self.letters(channel, 1, worker=worker)[0]
        seen, depth = properties.headers, 0
        while "d" in seen:
            seen, depth = seen["d"], depth + 1
        self.assertEqual(depth, levels)
        self.assert_cancels(worker, channel, "after")

    def test_many_letters_are_published_together(self):
        channel = self.channel()
        self.declare(channel)
        worker, since = self.started()
        worker.stop()
        channel = self.channel()
        wanted = set()
        for n in range(3000):
            body = f"poison {n}".encode()
            wanted.add(body)
            self.emit_unconfirmed(body)
        self.emit(channel, {"id": "last"})
        started = time.monotonic()
        worker.start()
        worker.await_changed(since, "user:last", seconds=60)
        self.assertEqual(self.bodies(channel, wanted, worker), 3000)  # none twice
        self.assertLess(time.monotonic() - started, 60)
        self.await_messages(worker, 0, 0)

    def emit_unconfirmed(self, body, routing_key="user.changed"):
        if not hasattr(self, "fast"):
            self.fast = pika.BlockingConnection(pika.URLParameters(broker.url + "%2F?heartbeat=0"))
            self.addCleanup(self.close, self.fast)
            self.fast_channel = self.fast.channel()
        self.fast_channel.basic_publish("domain", routing_key, body, pika.BasicProperties(delivery_mode=2))


class Trouble(DeadLetterTest):
    """What keeps letters from their exchange: nothing is acknowledged, cancelling goes on, and it heals by itself."""

    def test_a_missing_exchange_then_a_missing_queue_are_told_and_heal(self):
        channel = self.channel()
        worker, _ = self.started()
        self.emit(channel, {"no": "id"})
        worker.await_log(TROUBLE)
        self.assertIn(f'the dead-letter exchange \\"{self.dead}\\" does not exist in virtual host \\"/\\"',
                      worker.log())
        self.assertIn("--dead-letter-exchange", worker.log())
        self.assert_cancels(worker, channel, "one")
        self.await_messages(worker, 0, 1)

        self.declare(channel, queue=False)
        worker.await_log("has no queue for routing key", LETTER_SECONDS_MAX)
        self.assertIn('\\"user.changed\\"', worker.log())
        self.emit(channel, b"not json")
        self.assert_cancels(worker, channel, "two")
        self.await_messages(worker, 0, 2)

        self.declare(channel)
        bodies = [body for _, _, body in self.letters(channel, 2, worker=worker)]
        self.assertEqual(sorted(bodies), [b"not json", b'{"no": "id"}'])
        worker.await_log(HEALED)
        self.await_messages(worker, 0, 0)
        # Each trouble was told once, not at each attempt.
        self.assertEqual(worker.log_count("does not exist in virtual host"), 1, worker.log())
        self.assertEqual(channel.queue_declare(self.dead, passive=True).method.message_count, 0)

    def test_one_letter_without_a_queue_does_not_keep_the_others(self):
        channel = self.channel()
        self.declare(channel, queue=False)
        channel.queue_declare(self.dead, durable=True)
        channel.queue_bind(self.dead, self.dead, "user.#")
        worker, _ = self.started()
        self.emit(channel, {"version": 2}, "order.paid")
        for n in range(20):
            self.emit(channel, f"poison {n}".encode())
        wanted = {f"poison {n}".encode() for n in range(20)}
        self.bodies(channel, wanted, worker)
        self.await_messages(worker, 0, 1)
        worker.await_log('routing key \\"order.paid\\"')
        channel.queue_bind(self.dead, self.dead, "#")
        self.letters(channel, 1, worker=worker)
        self.await_messages(worker, 0, 0)

    def test_a_queue_that_is_full_is_waited_for(self):
        channel = self.channel()
        self.declare(channel, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
        worker, _ = self.started()
        for n in range(3):
            self.emit(channel, f"poison {n}".encode())
        worker.await_log("did not take")
        self.assert_cancels(worker, channel, "meanwhile")
        self.bodies(channel, {f"poison {n}".encode() for n in range(3)}, worker)
        self.await_messages(worker, 0, 0)

    def test_a_missing_permission_is_told(self):
        broker.ctl("add_user", "weak", "secret")
        self.addCleanup(broker.ctl, "delete_user", "weak")
        broker.ctl("set_permissions", "weak", "^quash", "^quash", ".*")
        channel = self.channel()
        self.declare(channel)
        worker, _ = self.started(url=broker.url.replace("guest:guest", "weak:secret"))
        self.emit(channel, {"no": "id"})
        worker.await_log("ACCESS_REFUSED")
        self.assertIn("the permission to write it", worker.log())
        self.assert_cancels(worker, channel, "meanwhile")
        broker.ctl("set_permissions", "weak", "^quash", ".*", ".*")
        self.letters(channel, 1, worker=worker)

    def test_more_waiting_letters_than_half_the_prefetch_do_not_stop_cancelling(self):
        channel = self.channel()
        worker, _ = self.started(flags=["--prefetch", "10"])
        for n in range(9):
            self.emit(channel, f"poison {n}".encode())
        self.await_messages(worker, 0, 9)
        for n in range(25):
            self.emit(channel, {"id": f"good-{n}"})
        since = worker.table.stamp()
        self.assert_cancels(worker, channel, "last")
        self.assertFalse(worker.table.changed(since, UNTOUCHED))
        self.await_messages(worker, 0, 9)  # the good ones were acknowledged, one by one

        # The last place is taken: no more events come, and that is told.
        self.emit(channel, b"poison 9")
        self.await_messages(worker, 0, 10)
        since = worker.table.stamp()
        self.emit(channel, {"id": "held-up"})
        worker.await_log("no events come", 15)
        self.assertIn("--prefetch", worker.log())
        self.assertFalse(worker.table.changed(since, "user:held-up"))
        self.declare(channel)
        worker.await_changed(since, "user:held-up", seconds=LETTER_SECONDS_MAX)
        self.bodies(channel, {f"poison {n}".encode() for n in range(10)}, worker)
        self.await_messages(worker, 0, 0)
        worker.await_log("events come again", 15)

    def test_letters_that_fill_the_memory_are_left_with_the_broker_and_cancelling_goes_on(self):
        channel = self.channel()
        worker, _ = self.started()
        body = b"x" * (4 << 20)
        for n in range(25):  # 100 MiB, of which 64 are kept
            self.emit(channel, body + str(n).encode())
        worker.await_log("stay with the broker until", 20)
        self.await_messages(worker, 0, 25)
        self.assert_cancels(worker, channel, "meanwhile")
        # The broker closes a connection that takes nothing for half a minute.
        time.sleep(32)
        self.assert_cancels(worker, channel, "later")
        if not is_sanitized():
            with open(f"/proc/{worker.process.pid}/status", encoding="ascii") as file:
                resident_kib = [int(line.split()[1]) for line in file if line.startswith("VmRSS:")][0]
            self.assertLess(resident_kib, 100 << 10)
        self.declare(channel)
        # Each once, although those that found no room have come twice.
        self.assertEqual(self.bodies(channel, {body + str(n).encode() for n in range(25)}, worker), 25)
        self.await_messages(worker, 0, 0)
        self.assertEqual(worker.log_count("connecting again for events whose dead letters found no room"), 1)
        self.assertNotIn("lost the broker", worker.log())
        self.assert_cancels(worker, channel, "after")
        worker.stop()
        self.assertEqual(worker.summary()["dead_lettered"], 25)

    def test_a_flood_of_large_letters_is_slowed_down_and_not_read_twice(self):
        channel = self.channel()
        self.declare(channel)
        worker, _ = self.started()
        worker.stop()
        body = b"x" * (4 << 20)
        for n in range(40):
            self.emit(channel, body + str(n).encode())
        worker.start()
        self.assertEqual(self.bodies(channel, {body + str(n).encode() for n in range(40)}, worker), 40)
        self.await_messages(worker, 0, 0)
        worker.stop()
        self.assertEqual(worker.summary()["events"], 40, worker.log())

    def test_a_broker_short_of_memory_takes_no_letters_and_cancelling_goes_on(self):
        channel = self.channel()
        self.declare(channel)
        worker, since = self.started()
        worker.stop()
        self.emit(channel, b"poison")
        self.emit(channel, {"id": "good"})
        broker.ctl("set_vm_memory_high_watermark", "absolute", "1")
        self.addCleanup(broker.ctl, "set_vm_memory_high_watermark", "absolute", "1GB")
        worker.start()
        worker.await_changed(since, "user:good")
        worker.await_log("short of memory or disk and takes no events until")
        self.await_messages(worker, 0, 1)
        broker.ctl("set_vm_memory_high_watermark", "absolute", "1GB")
        self.assertEqual(self.letters(channel, 1, worker=worker)[0][2], b"poison")
        self.await_messages(worker, 0, 0)
        worker.await_log(HEALED)

    def test_a_lost_connection_brings_what_waits_again(self):
        channel = self.channel()
        worker, _ = self.started()
        for n in range(5):
            self.emit(channel, f"poison {n}".encode())
        self.await_messages(worker, 0, 5)
        worker.await_log(TROUBLE)
        broker.ctl("close_all_connections", "a test")
        worker.await_log("consuming events", CONNECT_SECONDS_MAX, times=2)
        channel = self.channel()
        self.await_messages(worker, 0, 5)
        self.declare(channel)
        self.bodies(channel, {f"poison {n}".encode() for n in range(5)}, worker)
        self.await_messages(worker, 0, 0)
        # Each once: what waited for the lost connection was forgotten.
        worker.stop()
        self.assertEqual(worker.summary()["dead_lettered"], 5)

    def test_the_next_broker_is_tried_for_letters_too(self):
        channel = self.channel()
        self.declare(channel)
        worker, _ = self.started(url=f"amqp://127.0.0.1:1/,{broker.url}")
        self.emit(channel, b"poison")
        self.letters(channel, 1, worker=worker)
        self.await_messages(worker, 0, 0)


class Ending(DeadLetterTest):
    def test_an_orderly_end_with_waiting_letters_loses_none(self):
        channel = self.channel()
        worker, _ = self.started()
        wanted = {f"poison {n}".encode() for n in range(10)}
        for body in wanted:
            self.emit(channel, body)
        self.await_messages(worker, 0, 10)
        worker.stop()
        self.assertIn("stay in the queue", worker.log())
        self.assertEqual(worker.summary()["dead_letters_waiting"], 10)
        self.assertEqual(broker.queues()[worker.queue], 10)
        self.declare(channel)
        worker.start()
        self.assertEqual(self.bodies(channel, wanted, worker), 10)
        self.await_messages(worker, 0, 0)

    def test_an_orderly_end_in_the_middle_duplicates_none(self):
        channel = self.channel()
        self.declare(channel)
        worker, _ = self.started()
        wanted = {f"poison {n}".encode() for n in range(200)}
        for body in sorted(wanted):
            self.emit(channel, body)
        worker.stop()
        worker.start()
        self.assertEqual(self.bodies(channel, wanted, worker), 200)
        self.await_messages(worker, 0, 0)

    def test_kill_at_any_moment_loses_no_letter_and_no_cancellation(self):
        channel = self.channel()
        self.declare(channel)
        worker, since = self.started(flags=["--table-buckets", "65536"])
        worker.stop()
        poison, good = set(), []
        for n in range(1500):
            body = f"poison {n}".encode()
            poison.add(body)
            good.append(f"user:{n}")
            channel.basic_publish("domain", "user.changed", body, pika.BasicProperties(delivery_mode=2))
            channel.basic_publish("domain", "user.changed", json.dumps({"id": n}).encode(),
                                  pika.BasicProperties(delivery_mode=2))
        chance = random.Random(4)
        kills = 0
        for _ in range(12):
            worker.start(wait=False)
            worker.await_log("consuming events", CONNECT_SECONDS_MAX)
            # Spread over the time that it takes for all of them.
            time.sleep(chance.uniform(0, 0.25))
            worker.kill()
            kills += 1
            self.await_no_consumer(worker)
            self.assertNotIn(FLUSHED, worker.log())
            if self.messages(worker) == (0, 0):
                break
        self.assertGreater(kills, 1, "the first kill came too late")
        worker.start()
        arrived = self.bodies(channel, poison, worker)
        self.await_messages(worker, 0, 0)
        answers = worker.table.answers(since, [*good, UNTOUCHED])
        self.assertEqual([group for group in good if answers[group] == "unchanged"], [])
        self.assertEqual(answers[UNTOUCHED], "unchanged")
        self.assertGreaterEqual(arrived, len(poison))

    def await_no_consumer(self, worker):
        def gone():
            rows = broker.ctl("list_queues", "--no-table-headers", "name", "consumers").splitlines()
            return dict(row.split("\t") for row in rows)[worker.queue] == "0"
        await_true(gone, CONNECT_SECONDS_MAX, "the broker to notice", interval=0.1)


class Starting(DeadLetterTest):
    def test_rules_that_ask_for_dead_letters_need_an_exchange(self):
        with Worker(broker.url, "no-dead-letters", rules=RULES) as worker:
            for flags in ([], ["--check"]):
                worker.flags = flags
                worker.start(wait=False)
                self.assertEqual(worker.process.wait(20), 3, worker.log())
                self.assertIn("--dead-letter-exchange", worker.log())
            for flags in (["--check", "--dead-letter-exchange", "dead"],):
                worker.flags = flags
                worker.start(wait=False)
                self.assertEqual(worker.process.wait(20), 0, worker.log())

    def test_no_rule_may_listen_where_dead_letters_go(self):
        """Each letter would come back, and become a letter again."""
        with Worker(broker.url, "circle", rules=RULES) as worker:
            for flags in ([], ["--check"]):
                worker.flags = ["--dead-letter-exchange", "domain", *flags]
                worker.start(wait=False)
                self.assertEqual(worker.process.wait(20), 3, worker.log())
                self.assertIn('"user changed" listens at exchange "domain", where dead letters go', worker.log())

    def test_without_an_exchange_what_cannot_be_read_only_cancels_everything(self):
        rules = {name: value for name, value in RULES.items() if name not in ("unmatched", "on_malformed")}
        rules["rules"] = [{name: value for name, value in rule.items() if name != "on_missing"}
                          for rule in rules["rules"]]
        with Worker(broker.url, "widens", rules=rules) as worker:
            worker.start()
            worker.await_log(FLUSHED)
            since = worker.table.stamp()
            self.emit(self.channel(), b"poison")
            worker.await_changed(since, UNTOUCHED)
            self.await_messages(worker, 0, 0)
            worker.stop()
            self.assertEqual(worker.summary()["dead_lettered"], 0)

    def test_the_variable_names_the_exchange(self):
        done = subprocess.run([QUASHD, "--check", "--instance", "i", "--rules", self.rules_file()],
                              env=os.environ | {"QUASH_DEAD_LETTER_EXCHANGE": "dead"}, capture_output=True,
                              timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, b"configuration ok\n"), done.stderr)

    def rules_file(self):
        worker = self.worker()
        return worker.rules_path


if __name__ == "__main__":
    unittest.main()
