"""The demo's service: what it answers to right and wrong requests, and that no event is lost while the broker is away.

QUASH_BIN_DIR says where the programs are.
"""

import contextlib
import functools
import http.client
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from broker import Broker, await_true, die_with_parent, free_port  # noqa: E402

ANSWER_SECONDS_MAX = 20
PROGRAMS = pathlib.Path(os.environ.get("QUASH_BIN_DIR", "build/release/bin")).resolve()


class Service:
    """One profile-service. Entering starts it, the first request waits until it listens, leaving asks it to stop."""

    def __init__(self, directory, amqp_url, *options):
        self._command = [PROGRAMS / "profile-service", "--db", f"{directory}/profiles.db", "--table",
                         f"{directory}/table", "--amqp-url", amqp_url, *options]

    def __enter__(self):
        self.process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, preexec_fn=die_with_parent)
        return self

    @functools.cached_property
    def address(self):
        return urllib.parse.urlsplit(self.process.stdout.readline().strip()).netloc

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.status = self.process.wait(ANSWER_SECONDS_MAX)
        finally:
            self.process.kill()
            self.process.stdout.close()

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.address, timeout=ANSWER_SECONDS_MAX)
        with contextlib.closing(connection):
            connection.request(method, path, body)
            answer = connection.getresponse()
            text = answer.read()
            return answer, json.loads(text) if text else None

    def outbox(self):
        return self.request("GET", "/stats")[1]["events"]["outbox"]


class Requests(unittest.TestCase):
    """Without a worker and without a broker: then nothing is cached, and everything else works."""

    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.directory = stack.enter_context(tempfile.TemporaryDirectory())
        self.nowhere = f"amqp://127.0.0.1:{free_port()}"
        self.service = stack.enter_context(Service(self.directory, self.nowhere, "--debug"))

    def assert_answer(self, status, method, path):
        answer, body = self.service.request(method, path)
        self.assertEqual((method, path, answer.status), (method, path, status), body)
        self.assertEqual(answer.getheader("Content-Type"), "application/json")
        if status != 200:
            self.assertIsInstance(body["error"], str)
        return answer, body

    def test_a_profile_is_read_and_changed(self):
        self.assertEqual(self.assert_answer(200, "GET", "/profile/1")[1]["email"], "ada@one.example")
        _, body = self.assert_answer(200, "POST", "/profile/1/update?email=ada@two.example")
        self.assertEqual(body, {"cancelled": "user:1"})
        self.assertEqual(self.assert_answer(200, "GET", "/profile/1")[1]["email"], "ada@two.example")

    def test_without_a_table_nothing_is_served_from_the_cache(self):
        for _ in range(2):
            self.assertEqual(self.assert_answer(200, "GET", "/profile/1")[0].getheader("X-Cache"), "miss")

    def test_ids_are_checked(self):
        for path in ("/profile/", "/profile/0", "/profile/-1", "/profile/x", "/profile/1x", "/profile/" + "1" * 19):
            self.assert_answer(400, "GET", path)
        for path in ("/profile/99", "/profile/" + "1" * 18, "/profile/1/", "/nothing"):
            self.assert_answer(404, "GET", path)
        self.assert_answer(400, "POST", "/tenant/x/revoke?permission=read")
        self.assert_answer(404, "POST", "/tenant/99/revoke?permission=read")

    def test_mail_addresses_are_checked(self):
        for email in ("a@b", "a" * 252 + "@b"):
            self.assert_answer(200, "POST", f"/profile/1/update?email={email}")
        self.assert_answer(400, "POST", "/profile/1/update")
        for email in ("", "a", "@b", "a@", "a@b@c", "a%20@b", "a%22@b", "a@b%00c", "%C3%A9@b", "a@b%0Ac",
                      "a" * 253 + "@b"):
            self.assert_answer(400, "POST", f"/profile/1/update?email={email}")

    def test_names_are_checked(self):
        self.assert_answer(200, "POST", "/tenant/42/revoke?permission=export")
        self.assert_answer(404, "POST", "/tenant/42/revoke?permission=export")
        self.assert_answer(404, "POST", "/tenant/42/revoke?permission=" + "p" * 64)
        self.assert_answer(400, "POST", "/tenant/42/revoke?permission=" + "p" * 65)
        self.assert_answer(200, "POST", "/region/eu/update?name=" + "n" * 64)
        self.assert_answer(400, "POST", "/region/eu/update?name=" + "n" * 65)
        self.assert_answer(404, "POST", f"/region/{'r' * 32}/update?name=n")
        for region in ("r" * 33, "r" * 63, "r" * 64, "r" * 1000, "EU", "e%22u", ""):
            self.assert_answer(400, "POST", f"/region/{region}/update?name=n")

    def test_a_wrong_method_is_answered_with_the_right_one(self):
        for method, path, right in (("DELETE", "/profile/1", "GET"), ("GET", "/profile/1/update", "POST"),
                                    ("POST", "/health", "GET")):
            self.assertEqual(self.assert_answer(405, method, path)[0].getheader("Allow"), right)
        self.assertEqual(self.service.request("HEAD", "/health")[0].status, 200)

    def test_a_body_that_nobody_asked_for_is_ignored(self):
        answer, _ = self.service.request("POST", "/profile/1/update?email=a@b", body=b"x" * 1_000_000)
        self.assertEqual(answer.status, 200)

    def test_debug_exists_only_when_asked_for(self):
        self.assert_answer(200, "GET", "/debug/gate")
        with Service(self.directory, self.nowhere) as plain:
            self.assertEqual(plain.request("GET", "/debug/gate")[0].status, 404)

    def test_a_held_load_delays_nobody_else_and_not_the_stop(self):
        self.assert_answer(200, "POST", "/debug/hold-next-load")
        self.assert_answer(409, "POST", "/debug/hold-next-load")

        def read():
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.service.request("GET", "/profile/1")
        held = threading.Thread(target=read, daemon=True)
        held.start()
        await_true(lambda: self.service.request("GET", "/debug/gate")[1]["gate"] == "held", ANSWER_SECONDS_MAX,
                   "the hold")
        self.assert_answer(200, "GET", "/profile/2")
        self.service.process.terminate()
        self.assertEqual(self.service.process.wait(ANSWER_SECONDS_MAX), 0)
        held.join(ANSWER_SECONDS_MAX)

    def test_services_that_start_at_once_share_one_new_database(self):
        with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
            for service in [stack.enter_context(Service(directory, self.nowhere)) for _ in range(6)]:
                self.assertEqual(service.request("GET", "/profile/6")[0].status, 200)


class Outbox(unittest.TestCase):
    def test_an_event_made_without_a_broker_is_published_when_there_is_one(self):
        with Broker() as broker, tempfile.TemporaryDirectory() as directory:
            with Service(directory, broker.url) as service:
                await_true(lambda: service.request("GET", "/stats")[1]["events"]["connected"], 20, "the connection")
                broker.ctl("eval", 'Q = rabbit_misc:r(<<"/">>, queue, <<"q">>), '
                                   'X = rabbit_misc:r(<<"/">>, exchange, <<"domain">>), '
                                   'rabbit_amqqueue:declare(Q, true, false, [], none, <<"test">>), '
                                   'rabbit_binding:add({binding, X, <<"user.updated">>, Q, []}, <<"test">>).')
                service.request("POST", "/profile/1/update?email=a@b")
                await_true(lambda: service.outbox() == 0, 20, "the first event's confirm")
                self.assertEqual(broker.queues()["q"], 1)

                broker.kill()
                answer, _ = service.request("POST", "/profile/1/update?email=c@d")
                self.assertEqual(answer.status, 200)
                await_true(lambda: not service.request("GET", "/stats")[1]["events"]["connected"], 20, "the outage")
                self.assertEqual(service.outbox(), 1)
            # Nor is it lost with the service that wrote it: the next one publishes what was left behind.
            broker.start()
            with Service(directory, broker.url) as service:
                self.assertEqual(service.outbox(), 1)
                await_true(lambda: service.outbox() == 0, 30, "the second event's confirm")
                self.assertEqual(broker.queues()["q"], 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
