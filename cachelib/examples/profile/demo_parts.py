"""What the demo is made of: the report it prints, the programs it runs, and requests to the services."""

import http.client
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from broker import await_true, die_with_parent  # noqa: E402

READY_SECONDS_MAX = 20   # how long a program may take to start
ANSWER_SECONDS_MAX = 15  # how long a request may take, a held one included
STOP_SECONDS_MAX = 20    # how long a program may take to stop


class Failed(Exception):
    """Something without which the demo cannot go on; the message is for people."""


def wait_for(condition, seconds, what):
    try:
        return await_true(condition, seconds, what, interval=0.001)
    except AssertionError as problem:
        raise Failed(str(problem)) from problem


class Report:
    """Prints the steps as aligned lines, and remembers whether all were as expected."""

    def __init__(self, out=sys.stdout):
        self.out = out
        self.colour = out.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self.checks = 0
        self.differed = 0

    def paint(self, code, text):
        return f"\033[{code}m{text}\033[0m" if self.colour else text

    def say(self, text=""):
        print(text, file=self.out, flush=True)

    def step(self, title):
        self.say("\n" + self.paint("1", title))

    def columns(self):
        self.say(self.paint("2", f"         {'what':38} {'expected':30} {'seen':30} {'time':>9}"))

    def check(self, what, expected, seen, seconds, good=None):
        """One line. It is good when `seen` is what was `expected`, unless the caller knows better."""
        good = seen == expected if good is None else good
        self.checks += 1
        self.differed += not good
        mark = self.paint("32", "ok     ") if good else self.paint("1;31", "DIFFERS")
        self.say(f"{mark}  {what:38} {expected:30} {seen:30} {seconds * 1000:6.1f} ms")

    def cannot_go_on(self, problem):
        self.checks += 1
        self.differed += 1
        self.say(f"\n{self.paint('1;31', 'cannot go on:')} {problem}")

    def verdict(self):
        if self.differed:
            text = f"demo: {self.differed} of {self.checks} checks DIFFERED from what was expected"
            return self.paint("1;31", text)
        return self.paint("1;32", f"demo: all {self.checks} checks were as expected")


class Program:
    """A process of ours, its output kept in a log."""

    def __init__(self, name, arguments, directory):
        self.name = name
        self.log = directory / f"{name}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(argument) for argument in arguments], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd=directory, start_new_session=True,
                                            preexec_fn=die_with_parent)

    def must_run(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended by itself with {self.process.returncode}")

    def stop(self):
        """Asks it to stop, and makes it if it does not; returns its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def output(self):
        return self.log.read_text(errors="replace")


class Service:
    """A profile service, and the quashd that serves its table."""

    def __init__(self, name, programs, directory, broker_url):
        self.name = name
        self.directory = directory
        self.table = directory / f"table-{name}"
        self._service_arguments = [programs / "profile-service", "--db", directory / "profiles.db",
                                   "--table", self.table, "--amqp-url", broker_url, "--debug"]
        self._worker_arguments = [programs / "quashd", "--amqp-url", broker_url, "--rules", HERE / "rules.json",
                                  "--table", self.table, "--instance", f"demo-{name}"]
        self.programs = []
        self.url = self._address = None

    # ---- Starting

    def start_service(self):
        self.programs.append(Program(f"service-{self.name}", self._service_arguments, self.directory))

    def await_service(self):
        """It says where it listens; and once it has a connection, the exchange is there for the workers."""
        service = self.programs[0]
        self.url = self._await(lambda: re.search(r"^(http://\S+)\n", service.output(), re.M), "the service's URL")[1]
        self._address = urllib.parse.urlsplit(self.url).netloc
        self._await(lambda: self.stats()["events"]["connected"], "the service's connection to the broker")

    def start_worker(self):
        self.programs.append(Program(f"quashd-{self.name}", self._worker_arguments, self.directory))

    def await_worker(self):
        self._await(lambda: self.stats()["table"]["worker_connected"], "the worker's connection to the broker")

    def _await(self, condition, what):
        def ready():
            for program in self.programs:
                program.must_run()
            return condition()
        return wait_for(ready, READY_SECONDS_MAX, f"{self.name}: {what}")

    # ---- Asking it

    def request(self, method, path):
        """The answer's status, its header X-Cache, and its JSON."""
        connection = http.client.HTTPConnection(self._address, timeout=ANSWER_SECONDS_MAX)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.getheader("X-Cache"), json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as problem:
            raise Failed(f"{self.name}: {method} {path}: {problem!r}") from problem
        finally:
            connection.close()

    def read(self, profile):
        """How the cache answered, and the profile."""
        status, cache, body = self.request("GET", f"/profile/{profile}")
        if status != 200:
            raise Failed(f"{self.name}: GET /profile/{profile}: {status} {body}")
        return cache, body

    def change(self, path, **arguments):
        """POSTs a change; returns "done", or what the service answered instead."""
        status, _, body = self.request("POST", f"{path}?{urllib.parse.urlencode(arguments)}")
        return "done" if status == 200 else f"{status} {body.get('error')}"

    def debug(self, what):
        status, _, body = self.request("POST", f"/debug/{what}")
        if status != 200:
            raise Failed(f"{self.name}: POST /debug/{what}: {status} {body}")

    def holds_a_load(self):
        return self.request("GET", "/debug/gate")[2]["gate"] == "held"

    def stats(self):
        return self.request("GET", "/stats")[2]


class LaterRead(threading.Thread):
    """A read in a thread of its own; `result` waits for it, `seconds` is then how long it took."""

    def __init__(self, service, profile):
        super().__init__(daemon=True)
        self._service, self._profile = service, profile
        self._answer = self._problem = self.seconds = None
        self.start()

    def run(self):
        began = time.monotonic()
        try:
            self._answer = self._service.read(self._profile)
        except Failed as problem:
            self._problem = problem
        self.seconds = time.monotonic() - began

    def result(self):
        self.join(2 * ANSWER_SECONDS_MAX)
        if self._problem or not self._answer:
            raise self._problem or Failed(f"{self._service.name}: a read was never answered")
        return self._answer
