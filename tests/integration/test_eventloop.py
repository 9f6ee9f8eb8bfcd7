"""The event loop example: one query for all who ask, answers that end with a cancellation, time-outs that wait for nobody.

QUASH_BIN_DIR says where the programs are. The worker only keeps the table here: there is no broker.
"""

import contextlib
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from broker import await_true, die_with_parent, free_port  # noqa: E402
from worker import BIN, Worker, quash  # noqa: E402

ANSWER_SECONDS_MAX = 30
SERVICE = os.path.join(BIN, "eventloop-service")


class Client:
    """One connection; a line is a key."""

    def __init__(self, address):
        self._socket = socket.create_connection(address, timeout=ANSWER_SECONDS_MAX)
        self._lines = self._socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._lines.close()
        self._socket.close()

    def send(self, *keys):
        self._socket.sendall(b"".join(key.encode() + b"\n" for key in keys))

    def end(self):
        self._socket.shutdown(socket.SHUT_WR)

    def answer(self):
        return self._lines.readline().decode().removesuffix("\n")

    def ask(self, key):
        self.send(key)
        return self.answer()

    def query(self, key):
        """The number of the query that read the answer."""
        return query_number(self.ask(key), key)


def query_number(answer, key):
    found = re.fullmatch(rf"value {re.escape(key)}, read by query (\d+)", answer)
    assert found, answer
    return int(found[1])


class Service:
    """One eventloop-service. Leaving asks it to stop, and looks whether it did so well."""

    def __init__(self, table, *options):
        self._log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([SERVICE, "--table", table, *options], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=self._log, text=True,
                                        preexec_fn=die_with_parent)
        host, port = self.process.stdout.readline().split(":")
        self._address = host, int(port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            code = self.process.wait(ANSWER_SECONDS_MAX)
        finally:
            self.process.kill()
            self.process.stdout.close()
        with self._log:
            self._log.seek(0)
            said = self._log.read()
        if code != 0 or said:
            raise AssertionError(f"eventloop-service ended with {code}: {said}")

    def client(self):
        return Client(self._address)


class EventLoop(unittest.TestCase):
    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.enter = stack.enter_context
        self.worker = self.enter(Worker(f"amqp://127.0.0.1:{free_port()}", "eventloop"))
        self.table = self.worker.table.path

    def serve_table(self):
        self.worker.start(wait=False)
        await_true(lambda: os.path.exists(self.table), ANSWER_SECONDS_MAX, "the table")

    def service(self, *options):
        return self.enter(Service(self.table, *options))

    def clients(self, service, count):
        return [self.enter(service.client()) for _ in range(count)]

    def cancel(self, *groups):
        quash("cancel", "--table", self.table, *groups)

    def test_clients_of_one_cold_key_cause_one_query(self):
        self.serve_table()
        service = self.service("--query-ms", "200", "--timeout-ms", "20000")
        clients = self.clients(service, 20)
        for client in clients:
            client.send("alice")
        self.assertEqual([client.answer() for client in clients], ["value alice, read by query 1"] * len(clients))
        self.assertEqual(clients[0].query("alice"), 1)
        self.assertEqual(clients[0].query("bob"), 2)

    def test_a_cancel_makes_the_next_request_query_again(self):
        self.serve_table()
        client = self.clients(self.service("--query-ms", "10", "--timeout-ms", "20000"), 1)[0]
        self.assertEqual([client.query(key) for key in ("alice", "bob", "alice")], [1, 2, 1])
        self.cancel("key:alice")
        self.assertEqual([client.query(key) for key in ("alice", "bob", "alice")], [3, 2, 3])
        for flush in ("key:*", "*"):
            before = client.query("alice"), client.query("bob")
            self.cancel(flush)
            self.assertEqual((client.query("alice"), client.query("bob")), (max(before) + 1, max(before) + 2))

    def test_a_key_that_is_absent_is_remembered_and_cancelled_like_others(self):
        self.serve_table()
        client = self.clients(self.service("--query-ms", "10", "--timeout-ms", "20000"), 1)[0]
        self.assertEqual([client.ask("missing-person") for _ in range(3)], ["absent"] * 3)
        self.assertEqual(client.query("alice"), 2)
        self.cancel("key:missing-person")
        self.assertEqual(client.ask("missing-person"), "absent")
        self.assertEqual(client.query("bob"), 4)

    def test_a_cancel_during_a_query_reaches_all_who_wait_for_it(self):
        self.serve_table()
        first, second, third = self.clients(self.service("--query-ms", "1000", "--timeout-ms", "25000"), 3)
        self.assertEqual(third.query("bob"), 1)
        first.send("alice")
        second.send("alice")
        # Two turns of the loop later the query is under way; and a turn is shorter than that.
        self.assertEqual([third.query("bob") for _ in range(2)], [1, 1])
        self.cancel("key:alice")
        numbers = [query_number(client.answer(), "alice") for client in (first, second)]
        self.assertEqual(sorted(numbers), [2, 3])
        self.assertEqual(first.query("alice"), 3)

    def test_who_waits_too_long_is_told_and_the_value_is_kept(self):
        self.serve_table()
        asking, waiting = self.clients(self.service("--query-ms", "1000", "--timeout-ms", "50"), 2)
        asking.send("alice")
        waiting.send("alice")
        self.assertEqual([asking.answer(), waiting.answer()], ["timed out"] * 2)
        # Until then a client that asks again waits for the same query, each time for its own time.
        await_true(lambda: asking.ask("alice") == "value alice, read by query 1", ANSWER_SECONDS_MAX, "the value")
        self.assertEqual(waiting.query("alice"), 1)

    def test_without_a_table_each_has_its_own_query_and_nothing_is_kept(self):
        service = self.service("--query-ms", "100", "--timeout-ms", "20000")
        clients = self.clients(service, 3)
        for client in clients:
            client.send("alice")
        numbers = [query_number(client.answer(), "alice") for client in clients]
        self.assertEqual(sorted(numbers), [1, 2, 3])
        self.assertEqual(clients[0].query("alice"), 4)
        self.serve_table()
        await_true(lambda: clients[0].query("alice") == clients[1].query("alice"), ANSWER_SECONDS_MAX,
                   "the table to be attached")

    def test_lines_are_answered_in_order_and_wrong_ones_told_so(self):
        self.serve_table()
        service = self.service("--query-ms", "20", "--timeout-ms", "20000")
        client = self.clients(service, 1)[0]
        longest = "k" * 200
        client.send("a", "", "missing", "a\r", longest, longest + "k")
        self.assertEqual([client.answer() for _ in range(6)], [
            "value a, read by query 1", "error a key has 1 to 200 bytes", "absent", "value a, read by query 1",
            f"value {longest}, read by query 3", "error a key has 1 to 200 bytes"])
        client.send("b", "c")
        client.end()
        self.assertEqual([client.answer() for _ in range(3)],
                         ["value b, read by query 4", "value c, read by query 5", ""])
        endless = self.clients(service, 1)[0]
        endless.send("e" * 1000)
        with contextlib.suppress(ConnectionError):
            self.assertEqual(endless.answer(), "")

    def test_a_client_that_leaves_takes_nothing_with_it(self):
        self.serve_table()
        service = self.service("--query-ms", "300", "--timeout-ms", "20000")
        asking, waiting, patient = self.clients(service, 3)
        asking.send("alice")
        waiting.send("alice")
        patient.send("alice")
        asking.close()
        waiting.close()
        self.assertEqual(query_number(patient.answer(), "alice"), 1)
        patient.send("bob")  # and nobody waits for the end of this one

    def test_options_that_make_no_sense_are_refused(self):
        for options in (["--table"], [], ["--table", "t", "--port", "65536"], ["--table", "t", "--ttl-ms", "0"],
                        ["--table", "t", "--query-ms", "x"], ["--table", "t", "more"]):
            done = subprocess.run([SERVICE, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=ANSWER_SECONDS_MAX)
            self.assertEqual(done.returncode, 2, options)
            self.assertIn("--help lists the options", done.stderr)
        done = subprocess.run([SERVICE, "--help"], capture_output=True, text=True, timeout=ANSWER_SECONDS_MAX)
        self.assertEqual((done.returncode, done.stdout[:6]), (0, "Usage:"))


if __name__ == "__main__":
    unittest.main()
