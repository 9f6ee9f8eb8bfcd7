"""quashd and quash as tests run them: the real programs of the build that is under test (QUASH_BIN_DIR)."""

import json
import os
import re
import signal
import subprocess
import tempfile

from broker import await_true, die_with_parent

BIN = os.environ.get("QUASH_BIN_DIR", "build/release/bin")
QUASHD = os.path.join(BIN, "quashd")
QUASH = os.path.join(BIN, "quash")

CONNECT_SECONDS_MAX = 30  # from a broker that is there to a queue that is consumed
EVENT_SECONDS_MAX = 20    # from an event to its groups; far more than it takes, for slow machines and sanitizers

RULES = {
    "$schema": "rules.schema.json",
    "version": 1,
    "rules": [{
        "name": "user changed",
        "when": {"exchange": "domain", "routing_key": "user.#"},
        "cancel": ["user:{/id}"],
    }],
}


def is_sanitized():
    """Whether the programs are built with a sanitizer, which needs memory and time of its own."""
    with open(QUASHD, "rb") as file:
        code = file.read()
    return b"__asan_init" in code or b"__tsan_init" in code


def quash(*arguments, stdin=None, codes=(0,), environment=None):
    """Runs `quash` and returns the completed process; AssertionError when its exit code is not among `codes`."""
    done = subprocess.run([QUASH, *arguments], input=stdin if stdin is not None else b"", stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120, env=os.environ | (environment or {}))
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    if done.returncode not in codes:
        raise AssertionError(f"quash {' '.join(arguments)[:300]} ended with {done.returncode}: "
                             f"{done.stdout}{done.stderr}")
    return done


def emit(broker, body, routing_key="user.changed", exchange="domain", codes=(0,)):
    """Publishes one event, of any bytes."""
    return quash("emit", "--amqp-url", broker.url, "--exchange", exchange, "--routing-key", routing_key, "-",
                 stdin=body if isinstance(body, bytes) else json.dumps(body).encode(), codes=codes)


class Table:
    """A cancellation table, asked through `quash table`."""

    GROUPS_A_CALL = 5000

    def __init__(self, path):
        self.path = path

    def stamp(self):
        return quash("table", "stamp", self.path).stdout.strip()

    def stat(self):
        return json.loads(quash("table", "stat", self.path, "--json").stdout)

    def worker(self):
        """What the table says of its worker; empty before the first word of one."""
        return self.stat()["worker"] or {}

    def answers(self, since, groups):
        """Group → `unchanged`, `changed` or `collateral`."""
        found = {}
        for start in range(0, len(groups), self.GROUPS_A_CALL):
            lines = quash("table", "changed", self.path, "--since", since,
                          *groups[start:start + self.GROUPS_A_CALL], codes=(0, 1)).stdout.splitlines()
            for line in lines:
                answer, group = line.split(None, 1)
                found[group] = answer
        return found

    def changed(self, since, group):
        return self.answers(since, [group])[group] != "unchanged"


class Worker:
    """One quashd with its table, its rules and its log in a directory of its own."""

    def __init__(self, url, instance, rules=RULES, flags=()):
        self.url = url
        self.instance = instance
        self.flags = list(flags)
        self.environment = {}  # beside this process's
        self.directory = tempfile.TemporaryDirectory(prefix="quash-worker-")
        self.table = Table(os.path.join(self.directory.name, "table"))
        self.rules_path = os.path.join(self.directory.name, "rules.json")
        self.log_path = os.path.join(self.directory.name, "log")
        self.process = None
        self.set_rules(rules)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.kill()
        found = self.log() if os.path.exists(self.log_path) else ""
        self.directory.cleanup()
        if "Sanitizer" in found:
            raise AssertionError(f"a sanitizer has complained:\n{found}")

    def leaves_a_thread_behind(self):
        """Before the start: it will end while one of its threads hangs, and then it waits for no other. The thread
        sanitizer is not to count those."""
        self.environment["TSAN_OPTIONS"] = "report_thread_leaks=0"

    @property
    def queue(self):
        return f"quash.{self.instance}"

    def set_rules(self, rules, indent=None):
        with open(self.rules_path, "w", encoding="utf-8") as file:
            json.dump(rules, file, indent=indent)

    def replace_rules(self, rules):
        """As an editor or a deployment does it: the new file is renamed over the old one."""
        beside = self.rules_path + ".new"
        with open(beside, "w", encoding="utf-8") as file:
            json.dump(rules, file)
        os.replace(beside, self.rules_path)

    def hang_up(self):
        """Asks it to read its rules again."""
        self.process.send_signal(signal.SIGHUP)

    def start(self, wait=True):
        """Starts it; waits until it consumes, unless told not to. Its log begins anew."""
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [QUASHD, "--amqp-url", self.url, "--rules", self.rules_path, "--table", self.table.path,
                 "--instance", self.instance, *self.flags],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent,
                env=os.environ | self.environment)
        if wait:
            self.await_log("consuming events", CONNECT_SECONDS_MAX)
        return self

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def log_count(self, text):
        return self.log().count(text)

    def await_log(self, text, seconds=EVENT_SECONDS_MAX, times=1):
        """Waits until the log holds `text` that often."""
        def found():
            if self.log_count(text) >= times:
                return True
            if self.process.poll() is not None:
                raise AssertionError(f"quashd ended with {self.process.returncode} before it said {text!r}:\n"
                                     f"{self.log()}")
            return False
        await_true(found, seconds, lambda: f"{times} times {text!r} in the log:\n{self.log()}")

    def await_changed(self, since, group, seconds=EVENT_SECONDS_MAX):
        await_true(lambda: self.table.changed(since, group), seconds,
                   lambda: f"{group} to be cancelled; the log says:\n{self.log()}")

    def terminate(self, seconds, sent=signal.SIGTERM):
        """Asks it to end; its exit code, or AssertionError when that takes longer."""
        self.process.send_signal(sent)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"quashd still runs {seconds} s after {sent!r}:\n{self.log()}") from None

    def stop(self):
        """An orderly end, which must be one."""
        code = self.terminate(10)
        if code != 0:
            raise AssertionError(f"quashd ended with {code}:\n{self.log()}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def summary(self):
        """The counters of its last line: name → number."""
        line = [line for line in self.log().splitlines() if " stopped " in line][-1]
        return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)\b", line)}
