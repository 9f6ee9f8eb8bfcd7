"""`quash explain`: what an event cancels and why, for programs and for people; and every event that nobody should send.

Needs QUASH_BIN_DIR, where the programs are."""

import base64
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

QUASH = pathlib.Path(os.environ["QUASH_BIN_DIR"]) / "quash"

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
        self.assertEqual(list(answer), ["groups", "rules", "verdict", "reason", "details"])
        self.assertEqual(answer["groups"], sorted(set(answer["groups"]), key=lambda group: group.encode()))
        details = answer["details"]
        self.assertEqual(list(details), ["cause", "rule", "widened", "dead_letter", "dead_letter_by_default", "repeats",
                                         "rules"])
        self.assertEqual(details["dead_letter"], answer["verdict"] == "dead_letter")
        self.assertEqual([rule["name"] for rule in details["rules"] if rule["matched"]], answer["rules"])
        return answer

    def explain_briefly(self, event, rules=None):
        """Without the details."""
        answer = self.explain(event, rules)
        del answer["details"]
        return answer

    def refused(self, event):
        code, stdout, stderr = self.run_quash("--rules", self.rules, "--json",
                                              stdin=event if isinstance(event, (str, bytes)) else json.dumps(event))
        self.assertEqual((code, stdout), (3, ""))
        return stderr


class Explain(Scratch):
    # What an event means

    def test_groups_rules_and_verdict_are_told(self):
        answer = self.explain_briefly({"exchange": "domain", "routing_key": "order.paid", "headers": {},
                                       "properties": {}, "body": {"id": 17, "tenant_id": "42"}})
        self.assertEqual(answer, {"groups": ["order:17", "tenant:42"], "rules": ["order"], "verdict": "cancel",
                                  "reason": None})

    def test_an_event_that_no_rule_wants_is_ignored(self):
        answer = self.explain_briefly({"exchange": "other", "routing_key": "order.paid", "body_text": "not JSON"})
        self.assertEqual(answer, {"groups": [], "rules": [], "verdict": "ignore", "reason": "no rule matched"})

    def test_a_missing_required_value_widens(self):
        answer = self.explain({"exchange": "domain", "routing_key": "order.paid", "body": {"tenant_id": None}})
        self.assertEqual((answer["groups"], answer["verdict"]), (["order:*"], "cancel"))
        self.assertIn("/id is absent", answer["reason"])

    def test_skip_drops_the_absent_and_widens_the_unusable(self):
        self.assertEqual(self.explain({"routing_key": "region.x", "body": {}})["verdict"], "ignore")
        self.assertEqual(self.explain({"routing_key": "region.x", "body": {"region": []}})["groups"], ["region:*"])

    def test_digits_stay_as_they_were_sent(self):
        for digits in ("9223372036854775807", "-9223372036854775808", "9007199254740993", "0", "18446744073709551616",
                       "-9223372036854775809", "1" * 400):
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

    # Events that nobody should send: each widens to everything and is a dead letter, with the reason

    def assert_everything(self, record, part):
        base = {"exchange": "domain", "routing_key": "order.paid"}
        answer = self.explain({**base, **record} if isinstance(record, dict) else
                              '{"exchange": "domain", "routing_key": "order.paid", "body": %s}' % record)
        self.assertEqual((answer["groups"], answer["verdict"], answer["rules"]), (["*"], "dead_letter", ["order"]))
        self.assertIn(part, answer["reason"])
        self.assertIn("everything", answer["reason"])
        details = answer["details"]
        self.assertEqual((details["cause"], details["rule"], details["widened"], details["dead_letter_by_default"]),
                         ("malformed", "order", True, True))

    def test_an_empty_body(self):
        self.assert_everything({"body_text": ""}, "the body is empty")

    def test_invalid_utf8(self):
        raw = base64.b64encode(b'{"id": "\xff"}').decode()
        self.assert_everything({"body_base64": raw}, "not UTF-8")

    def test_twenty_mebibytes(self):
        self.assert_everything('"%s"' % ("x" * (20 << 20)), "20971522 bytes, more than the 1048576")

    def test_ten_thousand_levels(self):
        self.assert_everything("[" * 10000 + "]" * 10000, "more than 2048 levels")

    def test_a_number_beyond_a_double(self):
        self.assert_everything('{"id": 1e400}', "too large")

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

    # Details, for programs

    def test_each_rule_and_each_template_is_told(self):
        answer = self.explain({"exchange": "domain", "routing_key": "order.paid", "body": {"id": [1]}})
        details = answer["details"]
        self.assertEqual((details["cause"], details["rule"], details["widened"], details["dead_letter_by_default"],
                          details["repeats"]), ("missing", "order", True, False, []))
        self.assertEqual(details["rules"][0], {"name": "order", "matched": True, "reason": None, "templates": [
            {"template": "order:{/id}", "outcome": "widened", "groups": ["order:*"], "dead_letter": False,
             "why": "/id is an array, which cannot be part of a group's name"},
            {"template": "tenant:{/tenant_id?}", "outcome": "nothing", "groups": [], "dead_letter": False,
             "why": "/tenant_id is absent"},
        ]})
        self.assertEqual(details["rules"][2], {
            "name": "region", "matched": False, "templates": [],
            "reason": 'the routing key is "order.paid", which does not match "region.*"'})

    def test_repeats_are_told_with_their_groups(self):
        rules = self.write("repeats.json", {"version": 1, "rules": [
            {"name": "a", "cancel": ["a:{/ids/*}"], "repeat_after_ms": [500, 20]},
            {"name": "b", "cancel": ["b"], "repeat_after_ms": 500},
            {"name": "c", "cancel": ["c"]}]})
        event = {"body": {"ids": [2, 1, 2]}}
        self.assertEqual(self.explain(event, rules)["details"]["repeats"], [
            {"after_ms": 20, "groups": ["a:1", "a:2"]}, {"after_ms": 500, "groups": ["a:1", "a:2", "b"]}])
        _, stdout, _ = self.run_quash("--rules", rules, stdin=json.dumps(event))
        self.assertTrue(stdout.endswith("again after 20 ms: a:1, a:2\nagain after 500 ms: a:1, a:2, b\n"), stdout)

    def test_dead_letters_are_told_with_what_asks_for_them(self):
        rules = self.write("kept.json", {"version": 1, "unmatched": "dead_letter", "rules": [
            {"name": "a", "when": {"routing_key": "a"}, "cancel": ["a:{/id}", "b"], "on_missing": "dead_letter"}]})
        answer = self.explain({"routing_key": "a", "body": {}}, rules)
        self.assertEqual((answer["groups"], answer["verdict"], answer["details"]["cause"]),
                         (["b"], "dead_letter", "missing"))
        self.assertEqual([template["dead_letter"] for template in answer["details"]["rules"][0]["templates"]],
                         [True, False])
        self.assertFalse(answer["details"]["dead_letter_by_default"])
        answer = self.explain({"routing_key": "x", "body": {}}, rules)
        self.assertEqual((answer["groups"], answer["verdict"], answer["details"]["cause"], answer["details"]["rule"]),
                         ([], "dead_letter", "unmatched", None))
        _, stdout, _ = self.run_quash("--rules", rules, stdin=json.dumps({"routing_key": "a", "body": {}}))
        self.assertIn("    a:{/id} gives nothing, and the event is a dead letter: /id is absent\n", stdout)
        self.assertIn("\nverdict: dead_letter (", stdout)
        self.assertNotIn("--dead-letter-exchange", stdout)

    # For people

    def people(self, event, *flags, rules=None):
        code, stdout, stderr = self.run_quash("--rules", rules or self.rules, *flags, stdin=json.dumps(event))
        self.assertEqual((code, stderr), (0, ""))
        return stdout

    def test_people_see_each_rule_each_template_and_why(self):
        stdout = self.people({"exchange": "domain", "routing_key": "tenant.settings.changed", "body": {"op": "d"}})
        self.assertEqual(stdout.splitlines(), [
            'rule "order" does not match: the routing key is "tenant.settings.changed", which does not match "order.#"',
            'rule "settings" does not match: /op is "d", not "c" or "u"',
            'rule "region" does not match: the routing key is "tenant.settings.changed", which does not match "region.*"',
            "",
            "verdict: ignore (no rule matched)",
        ])
        stdout = self.people({"exchange": "domain", "routing_key": "order.paid", "body": {"id": [1]}})
        self.assertIn('rule "order" matches\n'
                      "    order:{/id} widens to order:*: /id is an array, which cannot be part of a group's name\n"
                      "    tenant:{/tenant_id?} gives nothing: /tenant_id is absent\n", stdout)
        self.assertTrue(stdout.endswith("\n    order:*\n"), stdout)

    def test_people_see_that_a_rule_is_disabled(self):
        rules = self.write("off.json", {"version": 1, "rules": [{"name": "a", "disabled": True, "cancel": ["a"]}]})
        self.assertIn('rule "a" does not match: it is disabled\n', self.people({"body": 1}, rules=rules))

    def test_people_see_all_names_of_a_template_up_to_eight(self):
        rules = self.write("many.json", {"version": 1, "rules": [{"name": "a", "cancel": ["u:{/*}"]}]})
        eight = ", ".join(f"u:{i}" for i in range(1, 9))
        self.assertIn(f"    u:{{/*}} gives {eight}\n", self.people({"body": list(range(1, 9)) + [8]}, rules=rules))
        ten = {"body": list(range(1, 11))}
        self.assertIn(f"    u:{{/*}} gives {eight} and 2 more\n", self.people(ten, rules=rules))
        self.assertIn(f"    u:{{/*}} gives {eight}, u:9, u:10\n", self.people(ten, "--verbose", rules=rules))

    def test_people_see_fifty_groups_of_the_verdict(self):
        rules = self.write("many.json", {"version": 1, "rules": [{"name": "a", "cancel": ["u:{/*}"]}]})
        self.assertNotIn("more; --verbose", self.people({"body": list(range(50))}, rules=rules))
        stdout = self.people({"body": list(range(51))}, rules=rules)
        self.assertTrue(stdout.endswith("\n    u:8\n    and 1 more; --verbose lists them\n"), stdout)
        stdout = self.people({"body": list(range(51))}, "--verbose", rules=rules)
        self.assertTrue(stdout.endswith("\n    u:8\n    u:9\n"), stdout)

    def test_of_many_rules_those_that_routing_excludes_are_only_counted(self):
        def rules(excluded):
            others = [{"name": f"other {i}", "when": {"routing_key": f"other.{i}"}, "cancel": ["x"]}
                      for i in range(excluded - 1)]
            near = {"name": "near", "when": {"routing_key": "a", "body": {"/op": "u"}}, "cancel": ["b"]}
            off = {"name": "off", "disabled": True, "cancel": ["b"]}
            return self.write("rules.json", {"version": 1, "rules": [*others, near, off]})

        event = {"routing_key": "a", "body": {"op": "c"}}
        self.assertEqual(self.people(event, rules=rules(20)).count(" does not match: "), 21)
        stdout = self.people(event, rules=rules(21))
        self.assertEqual(stdout.splitlines()[:2], [
            'rule "near" does not match: /op is "c", not "u"',
            "21 rules do not match because of exchange or routing key, or are disabled; --verbose lists them"])
        self.assertEqual(self.people(event, "--verbose", rules=rules(21)).count(" does not match: "), 22)

    def test_people_see_that_an_event_cannot_be_read(self):
        stdout = self.people({"exchange": "domain", "routing_key": "order.paid", "body_text": "<x/>"})
        self.assertTrue(stdout.startswith('rule "order" matches, as far as the event can be read\n'), stdout)
        self.assertIn("\nverdict: dead_letter (the body cannot be read", stdout)
        self.assertTrue(stdout.endswith("\n    *\nwithout --dead-letter-exchange quashd keeps no dead letter of it; what "
                                        "is cancelled stays the same\n"), stdout)

    def test_an_event_cannot_write_to_the_terminal(self):
        event = {"exchange": "domain", "routing_key": "order.\x1b[2J", "body": {"id": "\x1b]0;x\x07\nfake: line"}}
        _, stdout, _ = self.run_quash("--rules", self.rules, stdin=json.dumps(event))
        self.assertNotIn("\x1b", stdout)
        self.assertNotIn("\nfake", stdout)


if __name__ == "__main__":
    unittest.main()
