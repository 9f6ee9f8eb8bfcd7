"""docs/rules.md is true: each JSON on the page is what it looks like, each command prints what stands under it.

    <!-- file: NAME -->   in front of a block: the block is that file
    <!-- run -->          in front of a block: its command, and what it says in a directory with those files

After a change of what a command says: QUASH_BIN_DIR=build/release/bin test_rules_docs.py --write puts it into the page.
"""

import difflib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from jsonschema import Draft202012Validator

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "rules.md"
BIN = os.path.abspath(os.environ["QUASH_BIN_DIR"])
SCHEMAS = {name: json.loads((ROOT / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))
           for name in ("rules", "event", "cases")}

MARKED = re.compile(r"<!-- (?:file: (?P<file>\S+)|run) -->\n```(?:json)?\n(?P<text>.*?)```\n", re.DOTALL)
JSON = re.compile(r"```json\n(.*?)```\n", re.DOTALL)


def page():
    return PAGE.read_text(encoding="utf-8")


def as_commands_say_it(text):
    """The page with the answers that the commands give now."""
    with tempfile.TemporaryDirectory(prefix="quash-docs-") as scratch:
        directory = pathlib.Path(scratch)

        def answered(match):
            if match["file"]:
                path = directory / match["file"]
                path.parent.mkdir(exist_ok=True)
                path.write_text(match["text"], encoding="utf-8")
                return match[0]
            command = re.match(r"\$ (.*)\n", match["text"])[1]
            done = subprocess.run(command, shell=True, cwd=directory, capture_output=True, text=True, timeout=60,
                                  env=os.environ | {"PATH": BIN + os.pathsep + os.environ["PATH"]})
            if done.returncode not in (0, 1, 3):
                raise AssertionError(f"{command} ended with {done.returncode}: {done.stderr}")
            return f"<!-- run -->\n```\n$ {command}\n{done.stderr}{done.stdout}```\n"

        return MARKED.sub(answered, text)


class RulesDocs(unittest.TestCase):
    maxDiff = None

    def test_commands_say_what_the_page_says(self):
        difference = difflib.unified_diff(page().splitlines(), as_commands_say_it(page()).splitlines(),
                                          "the page", "the commands", lineterm="", n=1)
        self.assertEqual("\n".join(difference), "", "run this test with --write")

    def test_each_json_is_valid(self):
        """By the schema that fits it; parts of a file are put into one first. One is wrong on purpose."""
        counts = {"file": 0, "rule": 0, "when": 0, "event": 0, "body": 0, "cases": 0, "wrong": 0}
        for match in JSON.finditer(page()):
            text, shape, kind = match[1], "rules", None
            if text.startswith('"when"'):
                rule = {"name": "a", "cancel": ["b"], **json.loads("{" + text + "}")}
                kind, document = "when", {"version": 1, "rules": [rule]}
            else:
                document = json.loads(text)
                if "rules" in document and "version" in document:
                    kind = "wrong" if page()[:match.start()].endswith("<!-- file: wrong.json -->\n") else "file"
                elif "cancel" in document:
                    kind, document = "rule", {"version": 1, "rules": [document]}
                elif "event" in document:
                    kind = shape = "cases"
                elif "routing_key" in document:
                    kind = shape = "event"
                else:
                    kind, shape, document = "body", "event", {"body": document}
            counts[kind] += 1
            valid = Draft202012Validator(SCHEMAS[shape]).is_valid(document)
            self.assertEqual(valid, kind != "wrong", text)
            if shape == "rules":
                self.assert_quash_agrees(document, valid)
        for kind, count in counts.items():
            self.assertGreaterEqual(count, 1, kind)

    def assert_quash_agrees(self, document, valid):
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            json.dump(document, file)
            file.flush()
            done = subprocess.run([os.path.join(BIN, "quash"), "rules", "check", "--strict", file.name],
                                  capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0 if valid else 3, done.stderr)

    def test_every_key_and_every_limit_is_on_the_page(self):
        text = page()
        names = set(SCHEMAS["rules"]["properties"])
        for part in ("rule", "when", "case"):
            names |= set(SCHEMAS["rules"]["$defs"][part]["properties"])
        names |= set(SCHEMAS["rules"]["$defs"]["event"]["properties"]["properties"]["properties"])
        for name in names:
            self.assertIn(f"`{name}`", text)

    def test_limits_on_the_page_are_those_of_the_program(self):
        limits = page().split("## Limits")[1].split("## Checking")[0]
        headers = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "worker").glob("*/*.h")))
        for name in ("RULES_MAX", "RULES_BINDINGS_MAX", "RULES_TESTS_MAX", "RULE_NAME_CHARACTERS_MAX",
                     "RULE_TEMPLATES_MAX", "RULE_REPEATS_MAX", "REPEAT_AFTER_MS_MAX", "EVENT_GROUPS_MAX",
                     "MATCHER_VALUES_MAX", "MATCHER_DEPTH_MAX", "CONDITION_SOURCES_MAX", "TEMPLATE_CHARACTERS_MAX",
                     "TEMPLATE_GROUP_BYTES_MAX", "TEMPLATE_ALTERNATIVES_MAX", "TEMPLATE_FILTERS_MAX",
                     "SOURCE_WORD_MAX", "EVENT_HEADER_DEPTH_MAX", "SHORT_STRING_BYTES_MAX",
                     "JSON_POINTER_CHARACTERS_MAX", "JSON_TEXT_DEPTH_MAX"):
            value = int(re.search(rf"#define {name}\s+(\d+)\b", headers)[1])
            wanted = f"{value:,}" if value >= 10000 else str(value)
            self.assertRegex(limits, rf"(?<![\d,]){wanted}(?![\d,]\d)", name)

    def test_links_lead_somewhere(self):
        for target in re.findall(r"\]\(([^)#]+)", page()):
            self.assertTrue((PAGE.parent / target).exists(), target)
        titles = re.findall(r"^#+ (.*)$", page(), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
        self.assertLessEqual(set(re.findall(r"\]\(#([^)]+)\)", page())), anchors)


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(as_commands_say_it(page()), encoding="utf-8")
    else:
        unittest.main(verbosity=2)
