"""`quash rules check` and schemas/rules.schema.json: each says what is wrong, and both say the same.

Needs QUASH_BIN_DIR, where the programs are. QUASH_MUTATIONS asks for more mutated files than the default."""

import copy
import json
import os
import pathlib
import random
import re
import subprocess
import tempfile
import unittest

from jsonschema import Draft202012Validator

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "schemas" / "examples" / "rules"
QUASH = pathlib.Path(os.environ["QUASH_BIN_DIR"]) / "quash"
SCHEMA = json.loads((ROOT / "schemas" / "rules.schema.json").read_text())
MUTATIONS = int(os.environ.get("QUASH_MUTATIONS", "600"))


def quash(*arguments, stdin=""):
    return subprocess.run([QUASH, *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=60)


def examples(folder):
    return sorted((EXAMPLES / folder).glob("*.json"))


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
        stderr = self.refused(self.write({"version": 1, "rules": [{"name": "a", "when": {"body": []}, "cancel": ["b"]}]}))
        self.assertIn("at /rules/0/when/body: found an array; expected an object of JSON Pointers", stderr)

    def test_an_unknown_key_names_the_nearest(self):
        stderr = self.refused(EXAMPLES / "invalid" / "misspelt-routing-key.json")
        self.assertIn('at /rules/0/when/routing_kee: unknown key "routing_kee"; did you mean "routing_key"?', stderr)

    def test_everything_wrong_is_told_at_once(self):
        lines = self.refused(EXAMPLES / "invalid" / "several-mistakes-at-once.json").splitlines()
        self.assertEqual(len(lines), 7)

    def test_what_a_later_version_will_know_is_named(self):
        for name, words in {
            "headers-of-a-later-version": 'unknown key "headers"',
            "properties-of-a-later-version": 'unknown key "properties"',
            "repeat-of-a-later-version": 'unknown key "repeat_after_ms"',
            "on-missing-dead-letter": '"dead_letter" is not known to this version',
            "template-with-a-fallback": 'this version does not know "??"',
            "template-with-a-filter": "this version does not know filters",
            "template-from-a-header": "{header.x-tenant}: this version knows only JSON Pointers",
            "template-from-the-routing-key": "{routing_key.2}: this version knows only JSON Pointers",
            "template-of-every-element": 'has the segment "*", which this version does not know',
            "body-pointer-to-every-element": 'has the segment "*", which this version does not know',
            "body-value-with-a-wildcard": "does not know \"*\" and \"?\" as wildcards",
        }.items():
            with self.subTest(name):
                self.assertIn(words, self.refused(EXAMPLES / "invalid" / f"{name}.json"))

    def test_file_size_has_a_limit(self):
        limit = 8 << 20
        good = json.dumps({"version": 1, "rules": [{"name": "a", "cancel": ["b"]}]})
        for size in (limit - 1, limit):
            self.accepted(self.write(good + " " * (size - len(good))))
        self.assertIn("is larger than 8388608 bytes", self.refused(self.write(good + " " * (limit + 1 - len(good)))))

    def test_a_name_from_the_file_cannot_write_to_the_terminal(self):
        stderr = self.refused(self.write({"version": 1, "rules": [], "\x1b[2J": 1}))
        self.assertNotIn("\x1b", stderr)


class TheSchema(Files):
    """Loader and schema agree on every example and on whatever mutations make of the valid ones."""

    @classmethod
    def setUpClass(cls):
        Draft202012Validator.check_schema(SCHEMA)
        cls.validator = Draft202012Validator(SCHEMA)

    def part(self, name):
        return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]})

    def assert_verdicts(self, path, by_schema, by_quash):
        self.assertEqual(self.validator.is_valid(json.loads(path.read_text())), by_schema, f"the schema on {path.name}")
        answer = quash("rules", "check", path)
        self.assertEqual(answer.returncode, 0 if by_quash else 3, f"{path.name}: {answer.stdout}{answer.stderr}")

    def test_both_accept_what_is_valid(self):
        self.assertGreaterEqual(len(examples("valid")), 15)
        for path in examples("valid"):
            with self.subTest(path.name):
                self.assert_verdicts(path, True, True)

    def test_both_refuse_what_is_invalid(self):
        self.assertGreaterEqual(len(examples("invalid")), 40)
        for path in examples("invalid"):
            with self.subTest(path.name):
                self.assert_verdicts(path, False, False)

    def test_only_quash_refuses_what_a_schema_cannot_say(self):
        self.assertGreaterEqual(len(examples("invalid-beyond-schema")), 5)
        for path in examples("invalid-beyond-schema"):
            with self.subTest(path.name):
                self.assert_verdicts(path, True, False)

    def test_the_examples_in_the_schema_are_valid(self):
        for example in SCHEMA["examples"]:
            self.accepted(self.write(example))
            self.assertTrue(self.validator.is_valid(example))

    def test_both_agree_on_mutated_files(self):
        generator = random.Random(20261123)
        mutants = {}
        for path in examples("valid"):
            for mutant in mutations(json.loads(path.read_text())):
                mutants[json.dumps(mutant)] = mutant
        chosen = generator.sample(sorted(mutants), min(MUTATIONS, len(mutants)))
        self.assertGreaterEqual(len(chosen), min(MUTATIONS, 600))
        counts = {True: 0, False: 0}
        for text in chosen:
            valid = self.validator.is_valid(mutants[text])
            answer = quash("rules", "check", self.write(text))
            self.assertEqual(answer.returncode, 0 if valid else 3, f"{text}\n{answer.stderr}")
            counts[valid] += 1
        self.assertGreater(min(counts.values()), len(chosen) // 20, counts)

    def assert_agree_on_each(self, validator, values, document, pointers):
        """`document` holds all values at once; quash must complain about exactly those that the schema refuses."""
        answer = quash("rules", "check", self.write(document))
        told = set(re.findall(r": at (/\S*): ", answer.stderr))
        for value, pointer in zip(values, pointers):
            self.assertEqual(validator.is_valid(value), pointer not in told, f"{value!r}\n{answer.stderr}")

    def test_both_agree_on_strings_letter_by_letter(self):
        generator = random.Random(7)
        pieces = ["{", "}", "{{", "}}", "/", "*", "?", "#", ".", ":", "~", "~0", "~1", "|", " ", "a", "b", "ä", "{/a}",
                  "{/b?}", "\n", "/*", "0"]

        def strings(count):
            return ["".join(generator.choices(pieces, k=generator.randint(0, 6))) for _ in range(count)]

        for _ in range(MUTATIONS // 6):
            templates = strings(32)
            self.assert_agree_on_each(
                self.part("template"), templates, {"version": 1, "rules": [{"name": "n", "cancel": templates}]},
                [f"/rules/0/cancel/{i}" for i in range(32)])
            for key, definition in (("routing_key", "topic"), ("exchange", "exchange")):
                values = strings(40)
                self.assert_agree_on_each(
                    self.part(definition), values,
                    {"version": 1, "rules": [{"name": "n", "when": {key: values}, "cancel": ["a"]}]},
                    [f"/rules/0/when/{key}/{i}" for i in range(40)])
            values = strings(40)
            self.assert_agree_on_each(
                self.part("scalar"), values,
                {"version": 1, "rules": [{"name": "n", "when": {"body": {"/x": values}}, "cancel": ["a"]}]},
                [f"/rules/0/when/body/~1x/{i}" for i in range(40)])

    def test_both_agree_on_pointers_letter_by_letter(self):
        generator = random.Random(8)
        pieces = ["/", "*", "~", "~0", "~1", "a", "0", "-", "?", "\n"]
        for _ in range(MUTATIONS // 6):
            pointers = sorted({"".join(generator.choices(pieces, k=generator.randint(0, 5))) for _ in range(32)})
            document = {"version": 1, "rules": [{"name": "n", "when": {"body": dict.fromkeys(pointers, 1)}, "cancel": ["a"]}]}
            answer = quash("rules", "check", self.write(document))
            refused = answer.stderr.count("at /rules/0/when/body")
            by_schema = sum(not self.part("pointer").is_valid(pointer) for pointer in pointers)
            self.assertEqual(refused, by_schema, f"{pointers}\n{answer.stderr}")


def places(value, place=()):
    """The places of all values in a document, the root's first."""
    yield place
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], place + (key,))
    elif isinstance(value, list):
        for index in range(min(len(value), 3)):
            yield from places(value[index], place + (index,))


def mutations(document):
    """Documents that differ from a valid one in one place."""
    replacements = [None, True, 7, -1, 1.5, 2**63, "", "x", "a.*", "a*", "{/x}", "/y", [], {}, [None], [[]], {"/a": 1},
                    "skip", ["x", "#"]]

    def at(place, change):
        mutant = copy.deepcopy({"root": document})
        parent, key = mutant, "root"
        for step in place:
            parent, key = parent[key], step
        change(parent, key)
        return mutant["root"]

    def replace(value):
        return lambda parent, key: parent.__setitem__(key, value)

    def drop(parent, key):
        del parent[key]

    def rename(parent, key):
        parent[key + "x"] = parent.pop(key)

    for place in places(document):
        for value in replacements:
            yield at(place, replace(value))
        value = document
        for step in place:
            value = value[step]
        if place:
            yield at(place, drop)
            if isinstance(place[-1], str):
                yield at(place, rename)
        if isinstance(value, dict):
            yield at(place, lambda parent, key: parent[key].__setitem__("unknown", 1))
        if isinstance(value, list):
            yield at(place, lambda parent, key: parent[key].append(7))
            yield at(place, lambda parent, key: parent[key].append("y"))


if __name__ == "__main__":
    unittest.main()
