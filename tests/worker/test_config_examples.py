"""quashd and schemas/config.schema.json agree on every example, and on which of the two says no."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUASHD = pathlib.Path(os.environ["QUASH_BUILD_DIR"]) / "bin" / "quashd"
EXAMPLES = ROOT / "schemas" / "examples" / "config"
RULES = {"version": 1, "rules": [{"name": "order", "when": {"exchange": "e"}, "cancel": ["order"]}]}

OK, BAD_FILE = 0, 3


class Examples(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(ROOT / "schemas" / "config.schema.json", encoding="utf-8") as file:
            schema = json.load(file)
        jsonschema.Draft202012Validator.check_schema(schema)
        cls.schema = schema
        cls.validator = jsonschema.Draft202012Validator(schema)
        temporary = tempfile.TemporaryDirectory(prefix="quash-config-")
        cls.addClassCleanup(temporary.cleanup)
        cls.rules = pathlib.Path(temporary.name) / "rules.json"
        cls.rules.write_text(json.dumps(RULES), encoding="utf-8")

    def check(self, path):
        """quashd's exit code for a configuration file, and what it said."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("QUASH_")}
        done = subprocess.run([QUASHD, "--config", path, "--rules", self.rules, "--check"], env=env, timeout=60,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
        return done.returncode, (done.stdout + done.stderr).decode()

    def schema_accepts(self, path):
        """None if the file is not JSON."""
        try:
            return self.validator.is_valid(json.loads(path.read_text(encoding="utf-8")))
        except ValueError:
            return None

    def examples(self, kind):
        paths = sorted((EXAMPLES / kind).glob("*.json"))
        self.assertGreater(len(paths), 10)
        return paths

    def test_valid_ones_are_taken_by_both(self):
        for path in self.examples("valid"):
            with self.subTest(path.name):
                self.assertIs(self.schema_accepts(path), True)
                self.assertEqual(self.check(path), (OK, "configuration ok\n"))

    def test_invalid_ones_are_refused_by_both_with_a_reason(self):
        for path in self.examples("invalid"):
            with self.subTest(path.name):
                self.assertIs(self.schema_accepts(path), False)
                code, said = self.check(path)
                self.assertEqual(code, BAD_FILE, said)
                self.assertRegex(said, rf"\A{path}:\d+:\d+: ")

    def test_what_the_schema_cannot_say_quashd_refuses(self):
        for path in self.examples("invalid-beyond-schema"):
            with self.subTest(path.name):
                self.assertIsNot(self.schema_accepts(path), False, "the schema does say so: move it to invalid/")
                code, said = self.check(path)
                self.assertEqual(code, BAD_FILE, said)
                self.assertIn(str(path), said)

    def test_each_example_beyond_the_schema_has_its_reason_in_the_readme(self):
        readme = (EXAMPLES / "invalid-beyond-schema" / "README.md").read_text(encoding="utf-8")
        for path in self.examples("invalid-beyond-schema"):
            self.assertIn(f"`{path.stem}`", readme)

    def test_examples_within_the_schema_are_valid(self):
        for name, part in self.schema["properties"].items():
            for example in part.get("examples", []) + ([part["default"]] if "default" in part else []):
                self.assertTrue(self.validator.is_valid({name: example}), (name, example))
        for example in self.schema["examples"]:
            self.assertTrue(self.validator.is_valid(example))

    def test_every_key_is_described_and_has_a_valid_and_an_invalid_example(self):
        def keys(kind):
            return set().union(*(json.loads(p.read_text(encoding="utf-8")).keys() for p in self.examples(kind)
                                 if p.read_text(encoding="utf-8").startswith("{")))
        known = set(self.schema["properties"])
        self.assertLessEqual(known, keys("valid"))
        self.assertLessEqual(known, keys("invalid"))
        for name, part in self.schema["properties"].items():
            self.assertIn("description", part, name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
