#!/usr/bin/python3
"""The demo: two profile services, each with its own worker and cache, one database, one RabbitMQ. All of it is real.

    demo.py [--bin DIR] [--keep]

Walks through what a distributed cache has to get right (demo_walk.py), and prints for each step what was expected, what
was seen and how long it took. Exit status: 0 when everything was as expected, 1 when something differed, 2 for wrong
usage, 128 + n when signal n ended it. Whichever way it ends, its processes and files end with it.
"""

import argparse
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

from demo_parts import ANSWER_SECONDS_MAX, ROOT, Failed, Report, Service  # noqa: E402
from demo_walk import Walk  # noqa: E402
from broker import Broker, die_with_parent  # noqa: E402

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOG_LINES_SHOWN = 15


class Ended(BaseException):
    """A signal asked the demo to end."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


def end(number, _frame):
    ignore_signals()
    raise Ended(number)


def ignore_signals():
    """From here on things are being stopped, and a second Ctrl-C must not stop the stopping."""
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class Demo:
    """Starts the parts and stops them. What was acquired is on `stack`, which unwinds whatever happens."""

    def __init__(self, programs, report, stack):
        self.programs, self.report, self.stack = programs, report, stack
        shared_memory = pathlib.Path("/dev/shm")
        self.directory = pathlib.Path(tempfile.mkdtemp(
            prefix=f"quash-demo-{os.getpid()}-", dir=shared_memory if os.access(shared_memory, os.W_OK) else None))
        stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
        self.services = []
        stack.callback(lambda: [program.stop() for program in reversed(self.running())])

    def running(self):
        return [program for service in self.services for program in service.programs]

    def start(self):
        """The services come first: they declare the exchange, and do without a table until there is one."""
        began = time.monotonic()
        broker = self.stack.enter_context(Broker())
        self.report.say(f"RabbitMQ  {broker.url}")
        for name in ("A", "B"):
            self.services.append(Service(name, self.programs, self.directory, broker.url))
            self.services[-1].start_service()
        for service in self.services:
            service.await_service()
            service.start_worker()
        for service in self.services:
            service.await_worker()
            self.report.say(f"{service.name}         {service.url}  its table {service.table}")
        self.report.say(f"started in {time.monotonic() - began:.1f} s\n")

    def quash(self, *arguments):
        return subprocess.run([str(self.programs / "quash"), *map(str, arguments)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=ANSWER_SECONDS_MAX,
                              check=False, preexec_fn=die_with_parent)

    def stay(self):
        a, b = self.services
        self.report.say(f"\nAll of it keeps running until Ctrl-C. To try:\n"
                        f"  curl -i {a.url}/profile/1\n"
                        f"  curl -i {b.url}/profile/1\n"
                        f"  curl -X POST '{a.url}/profile/1/update?email=ada@new.example'\n"
                        f"  curl -X POST '{b.url}/tenant/43/revoke?permission=export'\n"
                        f"  curl -X POST '{a.url}/region/us/update?name=America'\n"
                        f"  curl {a.url}/stats\n"
                        f"  {self.programs / 'quash'} table stat {b.table}\n"
                        f"  {self.programs / 'quash'} cancel --table {b.table} 'tenant:*'")
        while True:
            for program in self.running():
                program.must_run()
            time.sleep(0.5)

    def stop(self):
        """A step as well: every program ends in good order when it is asked to."""
        self.report.step("Everybody stops when asked")
        for program in reversed(self.running()):
            began = time.monotonic()
            status = program.stop()
            self.report.check(f"{program.name} stops", "exit 0", f"exit {status}", time.monotonic() - began)

    def show_logs(self):
        for program in self.running():
            self.report.say(f"\n---- the end of {program.name}'s log")
            for line in program.output().splitlines()[-LOG_LINES_SHOWN:]:
                self.report.say("     " + line)


def run(programs, keep):
    report = Report()
    with contextlib.ExitStack() as stack:
        demo = Demo(programs, report, stack)
        try:
            demo.start()
            Walk(report, *demo.services, demo.quash).run()
            if keep:
                report.say("\n" + report.verdict())
                with contextlib.suppress(Ended):
                    demo.stay()
            ignore_signals()
            demo.stop()
        except (Failed, AssertionError, RuntimeError, subprocess.SubprocessError) as problem:
            report.cannot_go_on(problem)
        finally:
            ignore_signals()
        if report.differed:
            demo.show_logs()
    report.say("\n" + report.verdict())
    return 1 if report.differed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build" / "release" / "bin", metavar="DIR",
                        help="where quashd, quash and profile-service are (build/release/bin)")
    parser.add_argument("--keep", action="store_true", help="keep everything running afterwards, until Ctrl-C")
    arguments = parser.parse_args()
    programs = arguments.bin.resolve()
    for name in ("quashd", "quash", "profile-service"):
        if not os.access(programs / name, os.X_OK):
            parser.error(f"there is no program {name} in {programs}; build first, or say --bin DIR")
    for number in ENDING_SIGNALS:
        signal.signal(number, end)
    try:
        return run(programs, arguments.keep)
    except Ended as ended:
        print(f"\ndemo: ended by {signal.Signals(ended.number).name}; everything is stopped and removed")
        return 128 + ended.number


if __name__ == "__main__":
    sys.exit(main())
