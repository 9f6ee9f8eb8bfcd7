"""The worker against a real broker that behaves: events, continuity, bad events, and brokers that say no."""

import json
import os
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from broker import Broker, await_true  # noqa: E402
from worker import CONNECT_SECONDS_MAX, QUASH, RULES, Table, Worker, emit, is_sanitized, quash  # noqa: E402

FLUSHED = "cancelled everything"
UNTOUCHED = "user:never-emitted"

broker = None


def setUpModule():
    global broker
    broker = Broker()
    broker.open()
    unittest.addModuleCleanup(broker.close)
    broker.declare_exchange("domain")


class WorkerTest(unittest.TestCase):
    def worker(self, instance, **options):
        worker = Worker(options.pop("url", broker.url), instance, **options)
        self.addCleanup(worker.__exit__)
        return worker

    def assert_flushed(self, worker, since, times=1):
        worker.await_log(FLUSHED, times=times)
        self.assertTrue(worker.table.changed(since, UNTOUCHED))

    def assert_not_flushed(self, worker, since):
        """An event that is applied afterwards shows that the worker has got past the point where it would have."""
        emit(broker, {"id": "after"})
        worker.await_changed(since, "user:after")
        self.assertFalse(worker.table.changed(since, UNTOUCHED), worker.log())
        self.assertNotIn(FLUSHED, worker.log())


class Events(WorkerTest):
    def test_an_event_cancels_its_group_and_no_other(self):
        worker = self.worker("event").start()
        since = worker.table.stamp()
        done = emit(broker, {"id": 1})
        self.assertIn("published 1 event, 1 confirmed", done.stdout)
        worker.await_changed(since, "user:1")
        self.assertFalse(worker.table.changed(since, "user:2"))

    def test_two_workers_each_get_every_event(self):
        one, other = self.worker("one").start(), self.worker("other").start()
        stamps = one.table.stamp(), other.table.stamp()
        emit(broker, {"id": 7})
        one.await_changed(stamps[0], "user:7")
        other.await_changed(stamps[1], "user:7")

    def test_events_that_came_while_the_worker_was_away_are_applied(self):
        worker = self.worker("away").start()
        since = worker.table.stamp()
        worker.stop()
        emit(broker, {"id": 1})
        self.assertFalse(worker.table.changed(since, "user:1"))
        worker.start()
        worker.await_changed(since, "user:1")
        self.assertFalse(worker.table.changed(since, UNTOUCHED))

    def test_everything_applied_is_acknowledged_and_counted(self):
        worker = self.worker("ack").start()
        since = worker.table.stamp()
        records = "".join(json.dumps({"exchange": "domain", "routing_key": "user.x", "body": {"id": n % 10}}) + "\n"
                          for n in range(3000))
        quash("emit", "--amqp-url", broker.url, "--records", "-", stdin=records.encode())
        emit(broker, {"id": "last"})
        worker.await_changed(since, "user:last")
        worker.stop()
        self.assertEqual(broker.queues()[worker.queue], 0)
        summary = worker.summary()
        self.assertEqual(summary["events"], 3001)
        self.assertLess(summary["batches"], 3001, "events are not applied in batches")
        self.assertEqual(summary["malformed"], 0)

    def test_events_that_fill_more_than_a_batch_are_not_left_waiting_in_memory(self):
        # While the worker is held, all of these arrive in its socket, to be read in one piece. They are more than one
        # batch and nothing comes after them, so the socket is quiet while the library still holds some. Only the
        # heartbeat's timer, 5 s after the start, would find them.
        worker = self.worker("held").start()
        since = worker.table.stamp()
        records = "".join(json.dumps({"exchange": "domain", "routing_key": "user.x", "body": {"id": n}}) + "\n"
                          for n in range(700))
        worker.process.send_signal(signal.SIGSTOP)
        try:
            quash("emit", "--amqp-url", broker.url, "--records", "-", stdin=records.encode())
            await_true(lambda: self.unacknowledged(worker) == 700, 10, "the events to be delivered")
        finally:
            worker.process.send_signal(signal.SIGCONT)
        worker.await_changed(since, "user:699", seconds=1.5)

    @staticmethod
    def unacknowledged(worker):
        rows = broker.ctl("list_queues", "--no-table-headers", "name", "messages_unacknowledged").splitlines()
        return int(dict(row.split("\t") for row in rows)[worker.queue])

    def test_rules_without_an_exchange_listen_at_the_configured_one(self):
        rules = {"version": 1, "rules": [
            {"name": "user", "when": {"routing_key": "user.#"}, "cancel": ["user:{/id}"]}]}
        worker = self.worker("default-exchange", rules=rules, flags=["--exchange", "domain"]).start()
        since = worker.table.stamp()
        emit(broker, {"id": 1})
        worker.await_changed(since, "user:1")

    def test_a_small_prefetch_still_moves(self):
        worker = self.worker("prefetch", flags=["--prefetch", "1"]).start()
        since = worker.table.stamp()
        for n in range(5):
            emit(broker, {"id": n})
        worker.await_changed(since, "user:4")

    def test_the_table_says_that_the_worker_is_connected_and_later_that_it_is_not(self):
        worker = self.worker("heartbeat").start()
        await_true(lambda: worker.table.worker().get("connected"), 10, "the table to say connected")
        worker.stop()
        self.assertFalse(worker.table.worker().get("connected"))


class Continuity(WorkerTest):
    def test_a_new_queue_and_a_new_table_begin_with_everything_cancelled(self):
        worker = self.worker("first").start()
        worker.await_log(FLUSHED)
        self.assertIn("the queue was absent", worker.log())

    def test_a_restart_with_the_same_rules_cancels_nothing(self):
        worker = self.worker("restart").start()
        worker.await_log(FLUSHED)
        since = worker.table.stamp()
        worker.stop()
        worker.start()
        self.assert_not_flushed(worker, since)

    def test_a_killed_worker_goes_on_without_cancelling_everything(self):
        worker = self.worker("killed").start()
        worker.await_log(FLUSHED)
        since = worker.table.stamp()
        worker.kill()
        worker.start()
        self.assert_not_flushed(worker, since)

    def test_a_broken_connection_cancels_nothing_while_the_queue_is_there(self):
        worker = self.worker("reconnect").start()
        worker.await_log(FLUSHED)
        worker.stop()
        worker.start()
        since = worker.table.stamp()
        broker.ctl("close_all_connections", "a test")
        worker.await_log("lost the broker", CONNECT_SECONDS_MAX)
        self.assertIn("a test", worker.log())
        worker.await_log("consuming events", CONNECT_SECONDS_MAX, times=2)
        self.assert_not_flushed(worker, since)

    def test_a_queue_that_was_deleted_while_the_worker_was_away_cancels_everything(self):
        worker = self.worker("deleted").start()
        worker.await_log(FLUSHED)
        since = worker.table.stamp()
        worker.stop()
        broker.ctl("delete_queue", worker.queue)
        worker.start()
        self.assert_flushed(worker, since)

    def test_a_queue_that_is_deleted_under_the_worker_cancels_everything(self):
        worker = self.worker("pulled").start()
        worker.await_log(FLUSHED)
        since = worker.table.stamp()
        broker.ctl("delete_queue", worker.queue)
        worker.await_log("cancelled the consumer", CONNECT_SECONDS_MAX)
        self.assert_flushed(worker, since, times=2)
        emit(broker, {"id": 1})

    def test_other_rules_cancel_everything_but_another_layout_of_the_file_does_not(self):
        worker = self.worker("rules").start()
        worker.await_log(FLUSHED)
        worker.stop()
        worker.set_rules(RULES, indent=7)
        since = worker.table.stamp()
        worker.start()
        self.assert_not_flushed(worker, since)
        worker.stop()
        rules = json.loads(json.dumps(RULES))
        rules["rules"][0]["cancel"].append("list:{/list?}")
        worker.set_rules(rules)
        since = worker.table.stamp()
        worker.start()
        self.assert_flushed(worker, since)
        self.assertIn("other rules", worker.log())

    def test_another_virtual_host_cancels_everything(self):
        broker.ctl("add_vhost", "second")
        self.addCleanup(broker.ctl, "delete_vhost", "second")
        broker.ctl("set_permissions", "--vhost", "second", "guest", ".*", ".*", ".*")
        broker.declare_exchange("domain", vhost="second")
        worker = self.worker("vhost").start()
        worker.await_log(FLUSHED)
        worker.stop()
        since = worker.table.stamp()
        worker.url = broker.url + "second"
        worker.start()
        self.assert_flushed(worker, since)
        worker.stop()
        # And back: that queue is still there, but what the table was told meanwhile came from elsewhere.
        since = worker.table.stamp()
        worker.url = broker.url
        worker.start()
        self.assert_flushed(worker, since)
        self.assertIn("another queue, virtual host or broker", worker.log())

    def test_a_removed_table_is_replaced_and_everything_cancelled_in_it(self):
        worker = self.worker("removed").start()
        worker.await_log(FLUSHED)
        before = worker.table.stat()["incarnation"]
        os.remove(worker.table.path)
        worker.await_log("made a new one and cancelled everything")
        after = worker.table.stat()
        self.assertNotEqual(after["incarnation"], before)
        self.assertGreaterEqual(after["changes"], 1)
        since = worker.table.stamp()
        emit(broker, {"id": 1})
        worker.await_changed(since, "user:1")
        self.assertFalse(worker.table.changed(since, UNTOUCHED))


class BadEvents(WorkerTest):
    """Each cancels everything, is counted and logged, and the worker goes on."""

    BODIES = {
        "empty": b"",
        "not UTF-8": b'{"id": "\xff\xfe"}',
        "20 MiB": b'{"id": "' + b"x" * (20 << 20) + b'"}',
        "10,000 levels": b"[" * 10000 + b"]" * 10000,
        "10,000 levels of objects": b'{"id":' * 10000 + b"1" + b"}" * 10000,
        "NUL in a string": b'{"id": "a\\u0000b"}',
        "NUL bytes": b"\0" * 100,
        "cut in the middle": b'{"id": 1',
        "not JSON": b"id=1",
    }

    def test_bad_events_cancel_everything_and_the_worker_goes_on(self):
        worker = self.worker("bad").start()
        worker.await_log(FLUSHED)
        for name, body in self.BODIES.items():
            with self.subTest(name):
                since = worker.table.stamp()
                emit(broker, body)
                worker.await_changed(since, UNTOUCHED)
        since = worker.table.stamp()
        emit(broker, {"id": "good"})
        worker.await_changed(since, "user:good")
        self.assertFalse(worker.table.changed(since, UNTOUCHED))
        if not is_sanitized():
            with open(f"/proc/{worker.process.pid}/status", encoding="ascii") as file:
                peak_kib = [int(line.split()[1]) for line in file if line.startswith("VmHWM:")][0]
            self.assertLess(peak_kib, 16 << 10, "a large body was kept in memory")
        worker.stop()
        summary = worker.summary()
        self.assertEqual(summary["malformed"] + summary["widened"], len(self.BODIES), worker.log())
        self.assertEqual(broker.queues()[worker.queue], 0)
        self.assertIn("exchange=domain routing_key=user.changed", worker.log())

    def test_a_number_past_64_bits_names_the_group_of_its_digits(self):
        worker = self.worker("past-64-bits").start()
        worker.await_log(FLUSHED)
        since = worker.table.stamp()
        emit(broker, b'{"id": 123456789012345678901234567890}')
        worker.await_changed(since, "user:123456789012345678901234567890")
        self.assertFalse(worker.table.changed(since, UNTOUCHED), worker.log())

    def test_a_flood_of_bad_events_does_not_flood_the_log(self):
        worker = self.worker("flood").start()
        records = '{"exchange": "domain", "routing_key": "user.x", "body_text": "secret-token"}\n' * 2000
        since = worker.table.stamp()
        quash("emit", "--amqp-url", broker.url, "--records", "-", stdin=records.encode())
        emit(broker, {"id": "last"})
        worker.await_changed(since, "user:last")
        await_true(lambda: broker.queues()[worker.queue] == 0, 30, "the queue to be empty")
        worker.stop()
        self.assertEqual(worker.summary()["malformed"], 2000)
        self.assertLessEqual(worker.log_count("cannot be read"), 15)
        self.assertNotIn("secret-token", worker.log())

    def test_a_missing_value_cancels_the_wider_group_only(self):
        worker = self.worker("widen").start()
        worker.await_log(FLUSHED)
        since = worker.table.stamp()
        emit(broker, {"name": "no id"})
        worker.await_changed(since, "user:1")
        self.assertFalse(worker.table.changed(since, "tenant:1"))
        self.assertIn("lacks a value", worker.log())


class BrokersThatSayNo(WorkerTest):
    def test_a_missing_exchange_is_named_and_waited_for(self):
        rules = {"version": 1, "rules": [
            {"name": "late rule", "when": {"exchange": "late", "routing_key": "a.#"}, "cancel": ["user:{/id}"]}]}
        worker = self.worker("late", rules=rules).start(wait=False)
        worker.await_log("does not exist")
        for word in ('exchange \\"late\\"', 'virtual host \\"/\\"', '\\"late rule\\"', 'a.#'):
            self.assertIn(word, worker.log())
        broker.declare_exchange("late")
        worker.await_log("consuming events", CONNECT_SECONDS_MAX)
        worker.await_log(FLUSHED)
        since = worker.table.stamp()
        emit(broker, {"id": 1}, routing_key="a.b", exchange="late")
        worker.await_changed(since, "user:1")

    def test_a_refused_login_is_explained_and_tried_again(self):
        broker.ctl("add_user", "wanda", "right")
        self.addCleanup(broker.ctl, "delete_user", "wanda")
        broker.ctl("set_permissions", "wanda", ".*", ".*", ".*")
        worker = self.worker("login", url=broker.url.replace("guest:guest", "wanda:wrong")).start(wait=False)
        worker.await_log("refused to log in user wanda", CONNECT_SECONDS_MAX)
        self.assertIn("check user and password", worker.log())
        self.assertNotIn("wrong", worker.log())
        broker.ctl("change_password", "wanda", "wrong")
        worker.await_log("consuming events", CONNECT_SECONDS_MAX)

    def test_a_missing_virtual_host_is_explained(self):
        worker = self.worker("no-vhost", url=broker.url + "nowhere").start(wait=False)
        worker.await_log("virtual host nowhere", CONNECT_SECONDS_MAX)
        self.assertIn("list_vhosts", worker.log())
        self.assertEqual(worker.terminate(5), 0)

    def test_a_missing_permission_is_explained(self):
        broker.ctl("add_user", "walter", "right")
        self.addCleanup(broker.ctl, "delete_user", "walter")
        broker.ctl("set_permissions", "walter", "", "", "")
        worker = self.worker("permission", url=broker.url.replace("guest:guest", "walter:right")).start(wait=False)
        worker.await_log("set_permissions", CONNECT_SECONDS_MAX)
        self.assertIn("ACCESS_REFUSED", worker.log())

    def test_a_second_worker_of_the_same_name_is_kept_out_and_told(self):
        first = self.worker("twin").start()
        second = self.worker("twin").start(wait=False)
        second.await_log("somebody else consumes queue", CONNECT_SECONDS_MAX)
        first.stop()
        second.await_log("consuming events", CONNECT_SECONDS_MAX)

    def test_the_next_url_is_tried_when_one_fails(self):
        worker = self.worker("failover", url=f"amqp://127.0.0.1:1/,{broker.url}").start()
        self.assertIn("127.0.0.1 port 1", worker.log())
        self.assertIn("after 2 attempts", worker.log())


class Starting(WorkerTest):
    """What keeps quashd from starting, and the exit codes that say so."""

    def assert_refuses(self, worker, code, says):
        worker.start(wait=False)
        self.assertEqual(worker.process.wait(20), code, worker.log())
        self.assertIn(says, worker.log())

    def test_a_bad_url_is_refused(self):
        for url, says in (("http://localhost", "amqp://"), ("amqp://h:0", "port"), ("amqps://u:secret@h", "TLS")):
            with self.subTest(url):
                worker = self.worker("bad-url", url=url)
                self.assert_refuses(worker, 2, says)
                self.assertNotIn("secret", worker.log())

    def test_rules_that_listen_nowhere_are_refused(self):
        rules = {"version": 1, "rules": [
            {"name": "user", "when": {"routing_key": "user.#"}, "cancel": ["user:{/id}"]}]}
        self.assert_refuses(self.worker("nowhere", rules=rules), 3, "--exchange")

    def test_bad_rules_are_refused(self):
        self.assert_refuses(self.worker("bad-rules", rules={"version": 1, "rulez": []}), 3, "rulez")

    def test_a_table_that_has_a_worker_is_refused(self):
        first = self.worker("served").start()
        second = self.worker("intruder")
        second.table = Table(first.table.path)
        self.assert_refuses(second, 4, first.table.path)

    def test_a_file_that_is_no_table_is_refused_and_left_alone(self):
        worker = self.worker("foreign")
        with open(worker.table.path, "w", encoding="ascii") as file:
            file.write("somebody's data")
        self.assert_refuses(worker, 3, worker.table.path)
        with open(worker.table.path, encoding="ascii") as file:
            self.assertEqual(file.read(), "somebody's data")


class Emitting(WorkerTest):
    def test_an_event_that_no_queue_gets_is_an_error(self):
        done = emit(broker, {"id": 1}, routing_key="nobody.listens", codes=(1,))
        self.assertIn("reached no queue", done.stderr)
        self.assertIn('"nobody.listens"', done.stderr)
        self.assertIn("published 1 event, 1 confirmed", done.stdout)

    def test_a_missing_exchange_is_an_error(self):
        self.assertIn("nowhere", emit(broker, {"id": 1}, exchange="nowhere", codes=(1,)).stderr)

    def test_declare_makes_the_exchange(self):
        quash("emit", "--amqp-url", broker.url, "--exchange", "made", "--declare", "fanout", "x", codes=(1,))
        self.assertIn("made\tfanout", broker.ctl("list_exchanges"))
        done = quash("emit", "--amqp-url", broker.url, "--exchange", "made", "--declare", "topic", "x", codes=(4,))
        self.assertIn("PRECONDITION_FAILED", done.stderr)

    def test_no_broker_is_unreachable(self):
        done = quash("emit", "--amqp-url", "amqp://127.0.0.1:1/", "--exchange", "x", "y", codes=(4,))
        self.assertIn("127.0.0.1 port 1", done.stderr)

    def test_the_environment_gives_broker_and_exchange(self):
        environment = {"QUASH_AMQP_URL": f"amqp://127.0.0.1:1/,{broker.url}", "QUASH_EXCHANGE": "domain"}
        done = quash("emit", "--routing-key", "nobody.listens", "x", codes=(1,), environment=environment)
        self.assertIn("published 1 event", done.stdout)

    def test_a_wrong_record_ends_the_stream_and_is_named(self):
        self.worker("records").start()
        good = b'{"exchange": "domain", "routing_key": "user.x", "body": {"id": 1}}\n'
        for wrong in (b"{\n", b'{"exchange": 1}\n', b'{"body": 1, "body_text": ""}\n'):
            with self.subTest(wrong):
                done = quash("emit", "--amqp-url", broker.url, "--records", "-", stdin=good + b"\n" + wrong + good,
                             codes=(3,))
                self.assertIn("record 3", done.stderr)
                self.assertIn("published 1 event, 1 confirmed", done.stdout)

    def test_a_closed_input_is_an_error_and_not_the_brokers_socket(self):
        done = subprocess.run(["/bin/sh", "-c", 'exec "$@" <&-', "sh", QUASH, "emit", "--amqp-url", broker.url,
                               "--exchange", "domain", "-"], capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"standard input cannot be read: Bad file descriptor", done.stderr)

    def test_a_wrong_command_line_is_refused(self):
        for arguments in (["--exchange", "x"], ["x"], ["--exchange", "x", "a", "b"], ["--records", "-", "x"],
                          ["--exchange", "x" * 256, "y"], ["--amqp-url", "nonsense", "--exchange", "x", "y"]):
            with self.subTest(arguments):
                done = quash("emit", *arguments, codes=(2,))
                self.assertTrue(done.stderr.startswith("quash emit: "))


class Ending(WorkerTest):
    def test_either_signal_ends_a_connected_worker_at_once(self):
        for sent in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(sent):
                worker = self.worker("signal").start()
                self.assertEqual(worker.terminate(3, sent), 0)
                self.assertIn("stopped", worker.log())


if __name__ == "__main__":
    unittest.main()
