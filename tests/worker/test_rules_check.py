"""`quash rules check` says what is wrong with a rules file: all of it, each with its place, in words that help. That it
refuses what schemas/rules.schema.json refuses is compared in test_schemas.py.

Needs QUASH_BIN_DIR, where the programs are."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "schemas" / "examples" / "rules"
QUASH = pathlib.Path(os.environ["QUASH_BIN_DIR"]) / "quash"


def quash(*arguments, stdin=""):
    return subprocess.run([QUASH, *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=60)


# Example -> what is said of it.
TOLD = {
    "matcher-misspelt": 'at /rules/0/when/body/~1a/exist: unknown key "exist"; did you mean "exists"?',
    "matcher-of-two-keys": "at /rules/0/when/body/~1a: found an object with several keys, of which one is allowed",
    "matcher-nested-too-deep": '"not" stands in more than 8 others',
    "body-value-list-in-a-list": "at /rules/0/when/body/~1type/0: found a list in a list",
    "exchange-empty": 'the default exchange "" cannot be bound to',
    "routing-key-wildcard-in-a-word": 'the word "order*" mixes a wildcard with text',
    "header-without-a-name": "no header is named",
    "property-misspelt": '"message-id" is no property of a message; did you mean "message_id"?',
    "property-that-is-none": '"headers" is no property of a message; those are content_type, ',
    "template-source-unknown": '"body.x" names no source; write a JSON Pointer',
    "template-property-misspelt": 'did you mean "type"?',
    "template-word-zero": "they are counted from 1",
    "template-fallback-to-nothing": 'a "??" stands between two sources',
    "template-question-mark-behind-a-filter": 'the "?" belongs in front of the "|"',
    "template-filter-unknown": '"reverse" is no filter; there are lower, upper and trim',
    "template-brace-not-closed": 'the "{" is never closed; write "{{" for a literal brace',
    "on-missing-misspelt": 'did you mean "widen"?',
    "on-missing-skip-in-a-list": '"skip" stands alone, not in a list',
    "on-missing-twice-the-same": "at /rules/0/on_missing/1: \"widen\" is there twice",
    "repeat-too-late": "found 3600001; expected 1 to 3600000 milliseconds",
    "unmatched-widen": 'expected "ignore" (the default) or "dead_letter"',
    "defaults-with-a-mistake": 'at /defaults/when/routing_kee: unknown key "routing_kee"; did you mean "routing_key"?',
    "test-event-key-misspelt": 'at /tests/0/event/routing_kee: unknown key "routing_kee"; did you mean "routing_key"?',
    "test-that-expects-nothing": 'nothing is expected; add "groups", "rules" or "verdict"',
    "test-verdict-unknown": '"cancelled" is no verdict; did you mean "cancel"?',
}
# A required key that is misspelt is also missing.
TOLD_TWICE = ("misspelt-cancel", "misspelt-rules")


class Files(unittest.TestCase):
    """Base: a scratch directory, and files in it."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="quash-rules-")
        self.addCleanup(scratch.cleanup)
        self.directory = pathlib.Path(scratch.name)

    def write(self, content, name="rules.json"):
        path = self.directory / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content)
        else:
            path.write_text(json.dumps(content))
        return path

    def refused(self, path):
        answer = quash("rules", "check", path)
        self.assertEqual(answer.returncode, 3, answer.stdout + answer.stderr)
        self.assertEqual(answer.stdout, "")
        for line in answer.stderr.splitlines():
            self.assertTrue(line.startswith(str(path) + ":"), line)
        return answer.stderr

    def accepted(self, path):
        answer = quash("rules", "check", path)
        self.assertEqual((answer.returncode, answer.stderr), (0, ""))
        return answer.stdout


class TheCommand(Files):
    def test_a_good_file_is_fine(self):
        path = EXAMPLES / "valid" / "lists-of-alternatives.json"
        self.assertEqual(self.accepted(path), f"{path}: fine; 1 rule, 4 bindings\n")

    def test_help_and_wrong_usage(self):
        self.assertEqual(quash("rules", "--help").returncode, 0)
        self.assertIn("Usage: quash rules check FILE", quash("rules", "check", "--help").stdout)
        for arguments in ((), ("chekc", "x"), ("check",), ("check", "a", "b"), ("check", "--nonsense", "a")):
            with self.subTest(arguments):
                answer = quash("rules", *arguments)
                self.assertEqual(answer.returncode, 2)
                self.assertIn("quash rules", answer.stderr)

    def test_an_absent_file_is_told(self):
        self.assertIn("No such file", self.refused(self.directory / "absent.json"))

    def test_a_directory_is_told(self):
        self.assertIn("is a directory", self.refused(self.directory))

    def test_an_empty_file_is_told(self):
        self.assertIn("is empty", self.refused(self.write("")))
        self.assertIn("is empty", self.refused(self.write(" \n\n")))

    def test_what_is_not_json_has_line_and_column(self):
        path = self.write('{\n  "version": 1,\n  "rules": [ oops ]\n}\n')
        self.assertRegex(self.refused(path), rf"^{re.escape(str(path))}:3:\d+: not JSON: ")
        self.assertIn(":1:", self.refused(self.write(b"\xff\xfe{}")))
        self.assertIn("byte order mark", self.refused(self.write(b"\xef\xbb\xbf{}")))
        self.assertIn("not JSON", self.refused(self.write('{"version": 1, "rules": []} []')))
        self.assertIn("more than 2048 levels", self.refused(self.write("[" * 10000 + "]" * 10000)))
        self.assertIn("64 bits", self.refused(self.write('{"version": 18446744073709551616}')))

    def test_a_wrong_type_has_a_pointer_and_what_was_expected(self):
        rule = {"name": "a", "when": {"body": []}, "cancel": ["b"]}
        stderr = self.refused(self.write({"version": 1, "rules": [rule]}))
        self.assertIn("at /rules/0/when/body: found an array; expected an object of JSON Pointers", stderr)

    def test_an_unknown_key_names_the_nearest(self):
        stderr = self.refused(EXAMPLES / "invalid" / "misspelt-routing-key.json")
        self.assertIn('at /rules/0/when/routing_kee: unknown key "routing_kee"; did you mean "routing_key"?', stderr)

    def test_everything_wrong_is_told_at_once(self):
        lines = self.refused(EXAMPLES / "invalid" / "several-mistakes-at-once.json").splitlines()
        self.assertEqual(len(lines), 7)

    def test_each_mistake_is_told_with_its_place_in_words_that_help(self):
        for name, told in TOLD.items():
            with self.subTest(name):
                self.assertIn(told, self.refused(EXAMPLES / "invalid" / f"{name}.json"))

    def test_each_example_is_refused_at_one_place(self):
        """A second complaint about one mistake would only hide the first."""
        for path in sorted((EXAMPLES / "invalid").glob("*.json")):
            if path.stem != "several-mistakes-at-once":
                with self.subTest(path.name):
                    self.assertEqual(len(self.refused(path).splitlines()), 2 if path.stem in TOLD_TWICE else 1)

    def test_a_mistake_in_the_defaults_is_told_once(self):
        rules = [{"name": f"r{n}", "cancel": ["a"]} for n in range(3)]
        told = self.refused(self.write({"version": 1, "defaults": {"when": {"exchange": 7}}, "rules": rules}))
        self.assertEqual(len(told.splitlines()), 1)
        self.assertIn("at /defaults/when/exchange: ", told)

    def test_two_rules_with_one_name_are_told_with_both_places(self):
        told = self.refused(EXAMPLES / "invalid-beyond-schema" / "two-rules-with-one-name.json")
        self.assertIn("at /rules/1/name: ", told)

    def test_file_size_has_a_limit(self):
        limit = 8 << 20
        good = json.dumps({"version": 1, "rules": [{"name": "a", "when": {"routing_key": "a.#"}, "cancel": ["b"]}]})
        for size in (limit - 1, limit):
            self.accepted(self.write(good + " " * (size - len(good))))
        self.assertIn("is larger than 8388608 bytes", self.refused(self.write(good + " " * (limit + 1 - len(good)))))

    def test_a_name_from_the_file_cannot_write_to_the_terminal(self):
        stderr = self.refused(self.write({"version": 1, "rules": [], "\x1b[2J": 1}))
        self.assertNotIn("\x1b", stderr)


if __name__ == "__main__":
    unittest.main()
