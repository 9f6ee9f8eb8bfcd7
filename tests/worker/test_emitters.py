"""Events as real emitters shape them, each with rules that fit and the groups that must come of them.

Each file of data/emitters is {emitter, rules, event, groups}. Needs QUASH_BIN_DIR, where the programs are."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

QUASH = pathlib.Path(os.environ["QUASH_BIN_DIR"]) / "quash"
EMITTERS = sorted((pathlib.Path(__file__).resolve().parent / "data" / "emitters").glob("*.json"))


def quash(*arguments):
    return subprocess.run([QUASH, *map(str, arguments)], capture_output=True, text=True, timeout=60)


class Emitters(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="quash-emitters-")
        self.addCleanup(scratch.cleanup)
        self.directory = pathlib.Path(scratch.name)

    def each(self, check):
        """Calls `check` with each case, and with its rules and its event as files."""
        for path in EMITTERS:
            case = json.loads(path.read_text(encoding="utf-8"))
            rules, event = self.directory / f"{path.stem}.rules.json", self.directory / f"{path.stem}.event.json"
            rules.write_text(json.dumps(case["rules"]), encoding="utf-8")
            event.write_text(json.dumps(case["event"]), encoding="utf-8")
            with self.subTest(path.stem):
                check(case, rules, event)

    def test_there_are_cases_and_each_is_complete(self):
        def check(case, _rules, _event):
            self.assertEqual(sorted(case), ["emitter", "event", "groups", "rules"])

        self.assertGreaterEqual(len(EMITTERS), 6)
        self.each(check)

    def test_the_rules_are_fine_without_a_warning(self):
        def check(_case, rules, _event):
            answer = quash("rules", "check", "--strict", rules)
            self.assertEqual((answer.returncode, answer.stderr), (0, ""))

        self.each(check)

    def test_the_groups_are_those_that_must_be_cancelled(self):
        def check(case, rules, event):
            answer = quash("explain", "--json", "--rules", rules, event)
            self.assertEqual((answer.returncode, answer.stderr), (0, ""))
            self.assertEqual(json.loads(answer.stdout)["groups"], sorted(case["groups"], key=str.encode))

        self.each(check)

    def test_the_same_holds_as_test_cases(self):
        def check(case, rules, _event):
            path = self.directory / "case.json"
            path.write_text(json.dumps({"event": case["event"], "groups": case["groups"]}), encoding="utf-8")
            answer = quash("rules", "test", rules, path)
            self.assertEqual((answer.returncode, answer.stdout), (0, "1 case, 1 passed, 0 failed\n"), answer.stderr)

        self.each(check)


if __name__ == "__main__":
    unittest.main()
