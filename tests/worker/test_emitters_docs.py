"""docs/emitters.md shows the emitters' files of tests/worker/data/emitters, all of them and as they are.

After a change of a file: test_emitters_docs.py --write puts it into the page.
"""

import json
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "emitters.md"
FILES = ROOT / "tests" / "worker" / "data" / "emitters"
COLUMNS_MAX = 120

# "event" shows the event only, for the rules stand in the block before.
BLOCK = re.compile(r"<!-- emitters/(?P<name>[a-z-]+)\.json(?P<event>, event)? -->\n.*?<!-- end -->\n", re.DOTALL)


def one_line(value):
    if isinstance(value, dict) and value:
        members = (f"{json.dumps(key, ensure_ascii=False)}: {one_line(member)}" for key, member in value.items())
        return "{ " + ", ".join(members) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(one_line(element) for element in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def pretty(value, indent=0, lead=0):
    """JSON as a person would lay it out: on one line what fits there, but for the root and lists of objects."""
    line = one_line(value)
    spread = indent == 0 or isinstance(value, list) and value and all(isinstance(element, dict) for element in value)
    if not isinstance(value, (dict, list)) or not spread and indent + lead + len(line) < COLUMNS_MAX:
        return line
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        keys = [json.dumps(key, ensure_ascii=False) + ": " for key in value]
        lines = [inner + key + pretty(member, indent + 2, len(key)) for key, member in zip(keys, value.values())]
        return "{\n" + ",\n".join(lines) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(inner + pretty(element, indent + 2) for element in value) + "\n" + " " * indent + "]"


def load(name):
    return json.loads((FILES / f"{name}.json").read_text(encoding="utf-8"))


def groups_in_words(groups):
    names = [f"`{group}`" for group in groups]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names) or "no group"


def shown(match):
    case = load(match["name"])
    text = "The event\n"
    if not match["event"]:
        text = f"```json\n{pretty(case['rules'])}\n```\n\nWith these rules the event\n"
    return (f"<!-- emitters/{match['name']}.json{match['event'] or ''} -->\n"
            f"{text}\n```json\n{pretty(case['event'])}\n```\n\n"
            f"cancels {groups_in_words(case['groups'])}.\n<!-- end -->\n")


class EmittersDocs(unittest.TestCase):
    maxDiff = None

    def test_page_shows_each_file_as_it_is(self):
        page = PAGE.read_text(encoding="utf-8")
        self.assertEqual(BLOCK.sub(shown, page), page, "run this test with --write")

    def test_page_shows_every_file_once(self):
        names = [match["name"] for match in BLOCK.finditer(PAGE.read_text(encoding="utf-8"))]
        self.assertEqual(sorted(names), sorted(path.stem for path in FILES.glob("*.json")))

    def test_an_event_without_rules_is_judged_by_those_before_it(self):
        rules = None
        for match in BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
            case = load(match["name"])
            if match["event"]:
                self.assertEqual(case["rules"], rules, match["name"])
            rules = case["rules"]


def write():
    PAGE.write_text(BLOCK.sub(shown, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    if "--write" in sys.argv:
        write()
    else:
        unittest.main(verbosity=2)
