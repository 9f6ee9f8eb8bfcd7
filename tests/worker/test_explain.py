"""`quash explain`: what an event cancels and why, for programs and for people; and every event that nobody should send.

Needs QUASH_BIN_DIR, where the programs are."""

import base64
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

QUASH = pathlib.Path(os.environ["QUASH_BIN_DIR"]) / "quash"
EMITTERS = pathlib.Path(__file__).resolve().parent / "data" / "emitters"

RULES = {
    "version": 1,
    "rules": [
        {"name": "order", "when": {"exchange": "domain", "routing_key": "order.#"},
         "cancel": ["order:{/id}", "tenant:{/tenant_id?}"]},
        {"name": "settings", "when": {"routing_key": "tenant.settings.*", "body": {"/op": ["c", "u"]}},
         "cancel": ["tenant:{/tenant_id}"]},
        {"name": "region", "when": {"routing_key": "region.*"}, "cancel": ["region:{/region}"], "on_missing": "skip"},
    ],
}


class Scratch(unittest.TestCase):
    """Base: a rules file, and the program."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="quash-explain-")
        self.addCleanup(scratch.cleanup)
        self.directory = pathlib.Path(scratch.name)
        self.rules = self.write("rules.json", RULES)

    def write(self, name, content):
        path = self.directory / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def run_quash(self, *arguments, stdin=""):
        if not isinstance(stdin, bytes):
            stdin = stdin.encode()
        done = subprocess.run([QUASH, "explain", *map(str, arguments)], input=stdin, capture_output=True, timeout=60)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def explain(self, event, rules=None):
        """The answer of --json to an event record, given as an object or as text."""
        code, stdout, stderr = self.run_quash("--rules", rules or self.rules, "--json",
                                              stdin=event if isinstance(event, (str, bytes)) else json.dumps(event))
        self.assertEqual((code, stderr), (0, ""))
        answer = json.loads(stdout)
        self.assertEqual(list(answer), ["groups", "rules", "verdict", "reason"])
        self.assertEqual(answer["groups"], sorted(set(answer["groups"]), key=lambda group: group.encode()))
        return answer

    def refused(self, event):
        code, stdout, stderr = self.run_quash("--rules", self.rules, "--json",
                                              stdin=event if isinstance(event, (str, bytes)) else json.dumps(event))
        self.assertEqual((code, stdout), (3, ""))
        return stderr


class Explain(Scratch):
    # What an event means

    def test_groups_rules_and_verdict_are_told(self):
        answer = self.explain({"exchange": "domain", "routing_key": "order.paid", "headers": {}, "properties": {},
                               "body": {"id": 17, "tenant_id": "42"}})
        self.assertEqual(answer, {"groups": ["order:17", "tenant:42"], "rules": ["order"], "verdict": "cancel",
                                  "reason": None})

    def test_an_event_that_no_rule_wants_is_ignored(self):
        answer = self.explain({"exchange": "other", "routing_key": "order.paid", "body_text": "not JSON"})
        self.assertEqual(answer, {"groups": [], "rules": [], "verdict": "ignore", "reason": "no rule matched"})

    def test_a_missing_required_value_widens(self):
        answer = self.explain({"exchange": "domain", "routing_key": "order.paid", "body": {"tenant_id": None}})
        self.assertEqual((answer["groups"], answer["verdict"]), (["order:*"], "cancel"))
        self.assertIn("/id is absent", answer["reason"])

    def test_skip_drops_the_absent_and_widens_the_unusable(self):
        self.assertEqual(self.explain({"routing_key": "region.x", "body": {}})["verdict"], "ignore")
        self.assertEqual(self.explain({"routing_key": "region.x", "body": {"region": []}})["groups"], ["region:*"])

    def test_digits_stay_as_they_were_sent(self):
        for digits in ("9223372036854775807", "-9223372036854775808", "9007199254740993", "0"):
            event = '{"exchange": "domain", "routing_key": "order.x", "body": {"id": %s}}' % digits
            self.assertEqual(self.explain(event)["groups"], [f"order:{digits}"])
        for digits in ("1.0", "1e3", "17.5"):
            event = '{"exchange": "domain", "routing_key": "order.x", "body": {"id": %s}}' % digits
            self.assertEqual(self.explain(event)["groups"], ["order:*"])

    def test_the_event_may_come_from_a_file_or_from_standard_input(self):
        event = {"exchange": "domain", "routing_key": "order.paid", "body": {"id": 1}}
        path = self.write("event.json", event)
        for arguments in ((path,), ("-",), ()):
            code, stdout, _ = self.run_quash("--json", "--rules", self.rules, *arguments, stdin=json.dumps(event))
            self.assertEqual((code, json.loads(stdout)["groups"]), (0, ["order:1"]))

    # Events that nobody should send: each widens to everything, with the reason

    def assert_everything(self, record, part):
        base = {"exchange": "domain", "routing_key": "order.paid"}
        answer = self.explain({**base, **record} if isinstance(record, dict) else
                              '{"exchange": "domain", "routing_key": "order.paid", "body": %s}' % record)
        self.assertEqual((answer["groups"], answer["verdict"], answer["rules"]), (["*"], "cancel", ["order"]))
        self.assertIn(part, answer["reason"])
        self.assertIn("everything", answer["reason"])

    def test_an_empty_body(self):
        self.assert_everything({"body_text": ""}, "the body is empty")

    def test_invalid_utf8(self):
        raw = base64.b64encode(b'{"id": "\xff"}').decode()
        self.assert_everything({"body_base64": raw}, "not UTF-8")

    def test_twenty_mebibytes(self):
        self.assert_everything('"%s"' % ("x" * (20 << 20)), "20971522 bytes, more than the 1048576")

    def test_ten_thousand_levels(self):
        self.assert_everything("[" * 10000 + "]" * 10000, "more than 2048 levels")

    def test_numbers_past_64_bits(self):
        for number in ("9223372036854775808", "-9223372036854775809", "18446744073709551616", "1" * 400, "1e400"):
            self.assert_everything('{"id": %s}' % number, "too large for 64 bits")

    def test_a_nul_in_a_string_spoils_only_its_own_group(self):
        event = r'{"exchange": "domain", "routing_key": "order.x", "body": {"id": "a\u0000b", "tenant_id": 1}}'
        self.assertEqual(self.explain(event)["groups"], ["order:*", "tenant:1"])
        event = r'{"exchange": "domain", "routing_key": "order.x", "body": {"id": 1, "note": "a\u0000b"}}'
        self.assertEqual(self.explain(event)["groups"], ["order:1"])
        self.assert_everything(r'{"id\u0000": 1}', r"\u0000 is not allowed")

    def test_a_key_twice(self):
        self.assert_everything('{"id": 1, "id": 2}', "this key twice")

    def test_what_is_not_json(self):
        for text in ("default", "{", "{} {}", "<order id='17'/>", "\ufeff{}", "NaN", "{'id': 1}"):
            self.assert_everything({"body_text": text}, "the body cannot be read")
        self.assert_everything({"body_base64": base64.b64encode(b"\x80\x02}q\x00.").decode()}, "the body cannot be read")

    # Records and command lines that are wrong

    def test_a_record_that_is_wrong_is_refused_with_its_place(self):
        for event, words in (
            ("", "standard input: is empty"),
            ("{\n  oops", "standard input:2:"),
            ("[]", "found an array; expected an event record"),
            ({"bdy": 1}, 'at /bdy: unknown key "bdy"; did you mean "body"?'),
            ({"body": 1, "exchange": 7}, "at /exchange: found the number 7"),
            ({"body": 1, "headers": []}, "at /headers: found an array"),
            ({"exchange": "x"}, 'found 0 of "body", "body_text" and "body_base64"; expected exactly one'),
            ({"body_base64": "?"}, "at /body_base64: is not base64"),
        ):
            with self.subTest(event):
                self.assertIn(words, self.refused(event))

    def test_an_absent_event_file_is_told(self):
        code, _, stderr = self.run_quash("--rules", self.rules, self.directory / "absent.json")
        self.assertEqual(code, 3)
        self.assertIn("absent.json: cannot be opened: No such file", stderr)

    def test_bad_rules_are_told(self):
        code, _, stderr = self.run_quash("--rules", self.write("bad.json", '{"version": 1}'), stdin="{}")
        self.assertEqual(code, 3)
        self.assertIn('bad.json:1:1: the key "rules" is missing', stderr)

    def test_help_and_wrong_usage(self):
        code, stdout, _ = self.run_quash("--help")
        self.assertEqual(code, 0)
        self.assertIn("Usage: quash explain --rules FILE", stdout)
        for arguments in ((), ("--json",), ("--rules", self.rules, "a", "b"), ("--rule",), ("--jsn", "--rules", "x")):
            with self.subTest(arguments):
                self.assertEqual(self.run_quash(*arguments, stdin="{}")[0], 2)

    # For people

    def test_people_see_each_rule_each_template_and_why(self):
        code, stdout, _ = self.run_quash("--rules", self.rules, stdin=json.dumps(
            {"exchange": "domain", "routing_key": "tenant.settings.changed", "body": {"op": "d"}}))
        self.assertEqual(code, 0)
        self.assertEqual(stdout.splitlines(), [
            'rule "order" does not match: the routing key is "tenant.settings.changed", which does not match "order.#"',
            'rule "settings" does not match: /op is "d", not "c" or "u"',
            'rule "region" does not match: the routing key is "tenant.settings.changed", which does not match "region.*"',
            "",
            "verdict: ignore (no rule matched)",
        ])
        code, stdout, _ = self.run_quash("--rules", self.rules, stdin=json.dumps(
            {"exchange": "domain", "routing_key": "order.paid", "body": {"id": [1]}}))
        self.assertEqual(code, 0)
        self.assertIn('rule "order" matches\n'
                      "    order:{/id} widens to order:*: /id is an array, which cannot be part of a group's name\n"
                      "    tenant:{/tenant_id?} gives nothing: /tenant_id is absent\n", stdout)
        self.assertTrue(stdout.endswith("\n    order:*\n"), stdout)

    def test_an_event_cannot_write_to_the_terminal(self):
        event = {"exchange": "domain", "routing_key": "order.\x1b[2J", "body": {"id": "\x1b]0;x\x07\nfake: line"}}
        _, stdout, _ = self.run_quash("--rules", self.rules, stdin=json.dumps(event))
        self.assertNotIn("\x1b", stdout)
        self.assertNotIn("\nfake", stdout)


class Emitters(Scratch):
    """Shapes that real emitters send. Those that need a later version's language are refused by name."""

    NOT_YET = {
        "cloudevents-structured": 'does not know "*" and "?" as wildcards',
        "debezium-wrapped": 'does not know "??"',
        "masstransit": 'has the segment "*", which this version does not know',
        "nservicebus": 'unknown key "headers"',
        "spring-amqp": 'unknown key "headers"',
    }

    def test_each_case_gives_its_groups_or_names_what_is_missing(self):
        cases = sorted(EMITTERS.glob("*.json"))
        self.assertEqual(len(cases), 6)
        for path in cases:
            case = json.loads(path.read_text())
            rules = self.write("case.json", case["rules"])
            with self.subTest(path.stem):
                if path.stem in self.NOT_YET:
                    code, _, stderr = self.run_quash("--rules", rules, "--json", stdin=json.dumps(case["event"]))
                    self.assertEqual(code, 3)
                    self.assertIn(self.NOT_YET[path.stem], stderr)
                else:
                    self.assertEqual(self.explain(case["event"], rules)["groups"], case["groups"])

    def test_debezium_can_be_said_without_a_fallback(self):
        case = json.loads((EMITTERS / "debezium-wrapped.json").read_text())
        rule = case["rules"]["rules"][0]
        rule["cancel"] = rule["cancel"][:2] + ["order:{/payload/after/id?}", "order:{/payload/before/id?}"]
        answer = self.explain(case["event"], self.write("case.json", case["rules"]))
        self.assertEqual(answer["groups"], case["groups"])


class Documentation(Scratch):
    """What docs/rules.md shows is what happens."""

    PAGE = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")

    def test_every_example_of_rules_can_be_used(self):
        count = 0
        for block in re.findall(r"```json\n(.*?)```", self.PAGE, re.DOTALL):
            block = block.strip()
            if block.startswith('"when"'):
                rules = [{"name": "shown", "cancel": ["shown"], **json.loads("{" + block + "}")}]
            elif '"version"' in block:
                rules = json.loads(block)["rules"]
            elif '"cancel"' in block:
                rules = json.loads("[" + block + "]")
            else:
                continue
            path = self.write("shown.json", {"version": 1, "rules": rules})
            code = subprocess.run([QUASH, "rules", "check", path], capture_output=True, timeout=60).returncode
            self.assertEqual(code, 0, block)
            count += 1
        self.assertGreaterEqual(count, 5)

    def test_the_walk_through_explain_is_true(self):
        blocks = re.findall(r"```json\n(.*?)```", self.PAGE, re.DOTALL)
        rules = json.loads(next(block for block in blocks if '"order changed"' in block))
        rules["rules"] += json.loads("[" + next(block for block in blocks if '"prices"' in block) + "]")[:1]
        event = next(block for block in blocks if '"headers"' in block)
        shown = re.search(r"\$ quash explain --rules rules.json event.json\n(.*?)```", self.PAGE, re.DOTALL).group(1)
        code, stdout, _ = self.run_quash("--rules", self.write("shown.json", rules), stdin=event)
        self.assertEqual((code, stdout), (0, shown))


if __name__ == "__main__":
    unittest.main()
