"""The demo succeeds, notices what is wrong, and leaves nothing behind, however it ends.

QUASH_BIN_DIR says where the programs are.
"""

import http.client
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = ROOT / "cachelib" / "examples" / "profile" / "demo.py"
RUN_SECONDS_MAX = 120
PROGRAMS = pathlib.Path(os.environ.get("QUASH_BIN_DIR", "build/release/bin")).resolve()


def environment(directory):
    """What the demo makes outside /dev/shm goes into `directory`, and its processes bear a mark to know them by."""
    return os.environ | {"TMPDIR": directory, "QUASH_TEST_MARK": directory}


def marked_processes(directory):
    """Command lines of the processes that were started by a run with this directory, whoever their parent is now."""
    mark = f"QUASH_TEST_MARK={directory}".encode()
    found = []
    for process in pathlib.Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                pass  # it has ended, or is another user's
    return found


class Demo(unittest.TestCase):
    def setUp(self):
        self._directory = tempfile.TemporaryDirectory()
        self.addCleanup(self._directory.cleanup)
        self.directory = self._directory.name

    def start(self, *arguments):
        demo = subprocess.Popen([sys.executable, DEMO, *arguments], env=environment(self.directory),
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(lambda: demo.poll() is None and demo.kill())
        self.addCleanup(demo.stdout.close)
        return demo

    def finish(self, demo):
        printed = demo.communicate(timeout=RUN_SECONDS_MAX)[0]
        return demo.returncode, printed

    def assert_nothing_left(self, demo):
        deadline = time.monotonic() + 5
        while (left := marked_processes(self.directory)) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(left, [], "processes left behind")
        self.assertEqual(os.listdir(self.directory), [], "files left behind")
        self.assertEqual(list(pathlib.Path("/dev/shm").glob(f"quash-demo-{demo.pid}-*")), [], "files left behind")

    def test_every_step_is_as_expected_and_nothing_stays_behind(self):
        demo = self.start("--bin", PROGRAMS)
        status, printed = self.finish(demo)
        print(printed)
        self.assertEqual(status, 0, printed)
        self.assertRegex(printed, r"demo: all \d+ checks were as expected\n\Z")
        self.assertNotIn("DIFFERS", printed)
        self.assertNotIn("\033", printed, "colour on something that is no terminal")
        self.assert_nothing_left(demo)

    def test_kept_services_answer_until_a_signal_comes(self):
        demo = self.start("--bin", PROGRAMS, "--keep")
        lines = []
        for line in demo.stdout:
            lines.append(line)
            if "until Ctrl-C" in line:
                break
        url = re.search(r"^A +(http://\S+)", "".join(lines), re.M)[1]
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
        self.addCleanup(connection.close)
        connection.request("GET", "/health")
        self.assertEqual(connection.getresponse().status, 200)
        demo.send_signal(signal.SIGINT)
        status, printed = self.finish(demo)
        self.assertEqual(status, 0, "".join(lines) + printed)
        self.assert_nothing_left(demo)

    def test_a_signal_in_the_middle_of_the_walk_ends_everything(self):
        demo = self.start("--bin", PROGRAMS)
        for line in demo.stdout:
            if line.startswith("ok"):
                break
        demo.send_signal(signal.SIGTERM)
        status, printed = self.finish(demo)
        self.assertEqual(status, 128 + signal.SIGTERM, printed)
        self.assert_nothing_left(demo)

    def programs_with(self, name, script):
        """A directory with the real programs, but for one, which is this shell script."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        for each in ("quashd", "quash", "profile-service"):
            path = pathlib.Path(directory.name) / each
            if each == name:
                path.write_text("#!/bin/sh\n" + script, encoding="ascii")
                path.chmod(0o755)
            else:
                path.symlink_to(PROGRAMS / each)
        return directory.name

    def test_a_service_that_dies_is_reported_with_its_log(self):
        broken = self.programs_with("profile-service", "echo 'out of order' >&2\nexit 3\n")
        demo = self.start("--bin", broken)
        status, printed = self.finish(demo)
        self.assertEqual(status, 1, printed)
        self.assertIn("service-A ended by itself with 3", printed)
        self.assertIn("out of order", printed)
        self.assertRegex(printed, r"DIFFERED from what was expected\n\Z")
        self.assert_nothing_left(demo)

    def test_workers_that_cancel_nothing_are_noticed(self):
        # The rules that they get listen to something else.
        rules = pathlib.Path(self.directory) / "rules.json"
        rules.write_text('''{"version": 1, "rules": [{"name": "another", "cancel": ["user:{/id}"],
                             "when": {"exchange": "domain", "routing_key": "another"}}]}''', encoding="ascii")
        deaf = self.programs_with("quashd", f'''
            for argument; do
                shift
                [ "$previous" = --rules ] && argument={rules}
                previous=$argument
                set -- "$@" "$argument"
            done
            exec {PROGRAMS / "quashd"} "$@"''')
        demo = self.start("--bin", deaf)
        status, printed = self.finish(demo)
        rules.unlink()
        self.assertEqual(status, 1, printed)
        self.assertRegex(printed, r"DIFFERS +B: the event has arrived")
        self.assertRegex(printed, r"DIFFERS +B: everybody later")
        self.assertRegex(printed, r"ok +A: everybody later")
        self.assertRegex(printed, r"DIFFERED from what was expected\n\Z")
        self.assert_nothing_left(demo)


if __name__ == "__main__":
    unittest.main(verbosity=2)
