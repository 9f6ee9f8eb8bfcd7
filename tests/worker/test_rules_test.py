"""`quash rules test`: cases that pass and fail, for people, for programs and for servers that build and test; and what
`quash rules check` counts and warns of.

Needs QUASH_BIN_DIR, where the programs are."""

import copy
import json
import os
import pathlib
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

QUASH = pathlib.Path(os.environ["QUASH_BIN_DIR"]) / "quash"

RULES = {
    "version": 1,
    "rules": [
        {"name": "order changed", "when": {"exchange": "domain", "routing_key": "order.#"},
         "cancel": ["order:{/id}", "tenant:{/tenant_id?}"]},
        {"name": "prices", "when": {"routing_key": "prices.*", "body": {"/op": ["c", "u"]}},
         "cancel": ["region:{/region}"], "on_missing": "skip"},
    ],
    "tests": [
        {"name": "a payment concerns its order",
         "event": {"exchange": "domain", "routing_key": "order.paid", "body": {"id": 17, "tenant_id": "42"}},
         "groups": ["tenant:42", "order:17"], "rules": ["order changed"], "verdict": "cancel"},
        {"name": "other exchanges do not count",
         "event": {"exchange": "other", "routing_key": "order.paid", "body": {"id": 17}}, "verdict": "ignore"},
    ],
}

PAYMENT = {"exchange": "domain", "routing_key": "order.paid", "body": {"id": 17}}


class Scratch(unittest.TestCase):
    """Base: a scratch directory in which the program runs, so that what it prints has short paths."""

    maxDiff = None

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="quash-rules-test-")
        self.addCleanup(scratch.cleanup)
        self.directory = pathlib.Path(scratch.name)
        self.write("rules.json", RULES)

    def write(self, name, content):
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1, ensure_ascii=False))
        return path

    def quash(self, *arguments, stdin=""):
        return subprocess.run([QUASH, "rules", "test", *map(str, arguments)], cwd=self.directory, input=stdin,
                              capture_output=True, text=True, timeout=60)

    def passes(self, *arguments):
        answer = self.quash(*arguments)
        self.assertEqual((answer.returncode, answer.stderr), (0, ""), answer.stdout)
        return answer.stdout

    def fails(self, *arguments):
        answer = self.quash(*arguments)
        self.assertEqual((answer.returncode, answer.stderr), (1, ""), answer.stdout)
        return answer.stdout

    def refused(self, *arguments):
        answer = self.quash(*arguments)
        self.assertEqual((answer.returncode, answer.stdout), (3, ""))
        return answer.stderr

    def line_of(self, name, text):
        """The line of a file on which the object begins that has `text`, as write() lays it out."""
        before = (self.directory / name).read_text().partition(text)[0]
        return before[:before.rindex("{")].count("\n") + 1

    def lines_of(self, case, rules=None):
        """What is said of one case that fails, without where it stands."""
        if rules is not None:
            self.write("rules.json", rules)
        self.write("case.json", {"name": "the case", **case})
        first, *lines = self.fails("rules.json", "case.json").splitlines()
        self.assertEqual(first, 'case.json:1: failed: "the case"')
        return [line.removeprefix("    ") for line in lines[:-1]]


class WhatPasses(Scratch):
    def test_the_cases_in_the_rules_file_run(self):
        self.assertEqual(self.passes("rules.json"), "2 cases, 2 passed, 0 failed\n")

    def test_the_cases_in_files_and_directories_run_as_well(self):
        self.write("one.json", {"event": PAYMENT, "groups": ["order:17"]})
        self.write("cases/b.json", {"tests": [{"name": "b", "event": PAYMENT, "verdict": "ignore"}]})
        self.write("cases/a.json", {"tests": [{"name": "a", "event": PAYMENT, "verdict": "ignore"}]})
        self.write("cases/B.json", {"tests": [{"name": "B", "event": PAYMENT, "verdict": "ignore"}]})
        self.write("cases/.hidden.json", "not JSON")
        self.write("cases/notes.txt", "not JSON")
        stdout = self.fails("rules.json", "one.json", "cases/", "one.json")
        failed = [line for line in stdout.splitlines() if ": failed: " in line]
        self.assertEqual(failed, ['cases/B.json:3: failed: "B"', 'cases/a.json:3: failed: "a"',
                                  'cases/b.json:3: failed: "b"'])
        self.assertTrue(stdout.endswith("\n7 cases, 4 passed, 3 failed\n"), stdout)

    def test_only_what_is_expected_is_compared(self):
        for expected in ({"groups": ["order:17"]}, {"rules": ["order changed"]}, {"verdict": "cancel"}):
            self.write("case.json", {"event": PAYMENT, **expected})
            self.passes("rules.json", "case.json")

    def test_groups_and_rules_compare_as_sets(self):
        rules = copy.deepcopy(RULES)
        rules["rules"].append({"name": "all orders", "when": {"routing_key": "order.#"}, "cancel": ["order:{/id}"]})
        self.write("rules.json", {**rules, "tests": []})
        self.write("case.json", {"event": PAYMENT, "groups": ["order:17", "order:17"],
                                 "rules": ["all orders", "order changed"]})
        self.passes("rules.json", "case.json")

    def test_digits_reach_the_rules_as_they_stand_in_the_file(self):
        for body, group in (("9007199254740993", "order:9007199254740993"), ("1.0", "order:*"), ("1e2", "order:*")):
            self.write("case.json", '{"event": {"exchange": "domain", "routing_key": "order.x", "body": {"id": %s}}, '
                                    '"groups": ["%s"]}' % (body, group))
            self.passes("rules.json", "case.json")

    def test_an_event_may_be_malformed(self):
        self.write("case.json", {"event": {"routing_key": "prices.x", "body_text": "<xml/>"}, "groups": ["*"],
                                 "verdict": "dead_letter"})
        self.passes("rules.json", "case.json")

    def test_the_rules_may_come_through_a_pipe(self):
        answer = self.quash("/dev/stdin", stdin=json.dumps(RULES))
        self.assertEqual((answer.returncode, answer.stdout), (0, "2 cases, 2 passed, 0 failed\n"))


class WhatFails(Scratch):
    def test_groups_differ(self):
        self.assertEqual(self.lines_of({"event": PAYMENT, "groups": ["order:18", "audit"]}), [
            "- expected group order:18",
            "- expected group audit",
            "+ unexpected group order:17",
            'rule "order changed" matches',
            "    order:{/id} gives order:17",
            "    tenant:{/tenant_id?} gives nothing: /tenant_id is absent",
        ])

    def test_a_rule_should_have_matched(self):
        self.assertEqual(self.lines_of({"event": PAYMENT, "rules": ["order changed", "prices"]}), [
            '- expected rule "prices"',
            'rule "order changed" matches',
            "    order:{/id} gives order:17",
            "    tenant:{/tenant_id?} gives nothing: /tenant_id is absent",
            'rule "prices" does not match: the routing key is "order.paid", which does not match "prices.*"',
        ])

    def test_a_rule_should_not_have_matched(self):
        self.assertEqual(self.lines_of({"event": PAYMENT, "rules": []})[0], '+ unexpected rule "order changed"')

    def test_a_rule_that_there_is_not_is_told(self):
        lines = self.lines_of({"event": PAYMENT, "rules": ["order chnaged", "xyzzy"]})
        self.assertEqual(lines[:3], [
            '- expected rule "order chnaged"; there is no such rule; did you mean "order changed"?',
            '- expected rule "xyzzy"; there is no such rule',
            '+ unexpected rule "order changed"',
        ])

    def test_the_verdict_differs_and_rules_that_came_near_are_told(self):
        event = {"exchange": "domain", "routing_key": "prices.eu", "body": {"op": "d", "region": "eu"}}
        self.assertEqual(self.lines_of({"event": event, "verdict": "cancel"}), [
            "- expected verdict cancel",
            "+ unexpected verdict ignore",
            "reason: no rule matched",
            'rule "prices" does not match: /op is "d", not "c" or "u"',
        ])

    def test_long_differences_are_cut(self):
        event = {**PAYMENT, "body": {"id": 1}}
        lines = self.lines_of({"event": event, "groups": [f"x:{i}" for i in range(22)]})
        self.assertEqual(lines[19:22], ["- expected group x:19", "- and 2 more groups", "+ unexpected group order:1"])

    def test_an_event_cannot_write_to_the_terminal(self):
        event = {**PAYMENT, "body": {"id": "\x1b]0;x\x07\nfake: line"}}
        lines = "\n".join(self.lines_of({"event": event, "groups": []}))
        self.assertNotIn("\x1b", lines)
        self.assertNotIn("\nfake", lines)


class WhatCannotBeUsed(Scratch):
    def test_no_cases_at_all_are_not_a_success(self):
        for tests in ({}, {"tests": []}):
            self.write("rules.json", {"version": 1, "rules": RULES["rules"], **tests})
            self.assertEqual(self.refused("rules.json"),
                             "quash rules test: there are no test cases, so nothing was tested; put some under \"tests\" "
                             "in rules.json, or name files of cases\n")

    def test_rules_that_are_wrong_are_told(self):
        self.write("rules.json", {"version": 1})
        self.assertIn('rules.json:1:1: the key "rules" is missing', self.refused("rules.json"))

    def test_a_case_in_the_rules_that_is_wrong_is_told_by_check_and_by_test(self):
        self.write("rules.json", {**RULES, "tests": [{"name": "t", "event": {"body": 1}, "verdikt": "cancel"}]})
        stderr = self.refused("rules.json")
        self.assertIn('at /tests/0/verdikt: unknown key "verdikt"; did you mean "verdict"?', stderr)
        check = subprocess.run([QUASH, "rules", "check", "rules.json"], cwd=self.directory, capture_output=True,
                               text=True, timeout=60)
        self.assertEqual((check.returncode, check.stderr), (3, stderr))

    def test_all_files_of_cases_that_are_wrong_are_told(self):
        self.write("a.json", "{")
        self.write("b.json", {"tests": [{"name": "b", "event": {"body": 1}}]})
        self.write("c.json", RULES)
        stderr = self.refused("rules.json", "a.json", "b.json", "c.json", "absent.json")
        self.assertRegex(stderr, r"a\.json:1:\d+: not JSON")
        self.assertIn("b.json:3:3: at /tests/0: nothing is expected", stderr)
        self.assertIn('c.json:2:2: at /version: unknown key "version"', stderr)
        self.assertIn("absent.json: cannot be opened: No such file", stderr)

    def test_a_directory_without_cases_is_told(self):
        (self.directory / "empty").mkdir()
        self.assertIn("empty: has no *.json file", self.refused("rules.json", "empty"))

    def test_wrong_usage(self):
        for arguments in ((), ("--json",), ("rules.json", "--strict"), ("rules.json", "--nonsense"),
                          ("rules.json", "--exchange", "x"),
                          ("rules.json", "--junit"), ("rules.json", "--json", "--junit", "-")):
            with self.subTest(arguments):
                answer = self.quash(*arguments)
                self.assertEqual((answer.returncode, answer.stdout), (2, ""))
                self.assertIn("quash rules", answer.stderr)


class Check(Scratch):
    HARDLY_MEANT = {"name": "never", "when": {"properties": {"delivery_mode": "persistent"}}, "cancel": ["x"]}

    def check(self, *arguments):
        return subprocess.run([QUASH, "rules", "check", *arguments], cwd=self.directory, capture_output=True, text=True,
                              timeout=60)

    def test_tests_and_disabled_rules_are_counted(self):
        answer = self.check("rules.json")
        self.assertEqual((answer.returncode, answer.stdout), (0, "rules.json: fine; 2 rules, 2 bindings, 2 tests\n"))
        rules = [{**RULES["rules"][0], "disabled": True}, RULES["rules"][1]]
        self.write("rules.json", {"version": 1, "rules": rules, "tests": RULES["tests"][:1]})
        self.assertEqual(self.check("rules.json").stdout, "rules.json: fine; 2 rules (1 disabled), 1 binding, 1 test\n")

    def test_a_warning_has_its_place_and_leaves_the_exit_code(self):
        self.write("rules.json", {**RULES, "rules": [*RULES["rules"], self.HARDLY_MEANT]})
        answer = self.check("rules.json")
        self.assertEqual((answer.returncode, answer.stdout), (0, "rules.json: fine; 3 rules, 3 bindings, 2 tests\n"))
        self.assertRegex(answer.stderr, r"\Arules\.json:\d+:\d+: warning: at /rules/2/when/properties/delivery_mode: .+\n\Z")

    def test_strict_lets_no_warning_pass(self):
        self.assertEqual(self.check("rules.json", "--strict").returncode, 0)
        self.write("rules.json", {**RULES, "rules": [*RULES["rules"], self.HARDLY_MEANT]})
        answer = self.check("--strict", "rules.json")
        self.assertEqual((answer.returncode, answer.stdout), (3, ""))
        self.assertIn(": warning: at /rules/2", answer.stderr)
        self.assertTrue(answer.stderr.endswith("\nrules.json: 1 warning, which --strict does not let pass\n"), answer.stderr)

    def test_programs_get_counts_and_the_hash(self):
        answer = json.loads(self.check("rules.json", "--json").stdout)
        hash_of_rules = answer.pop("rules_hash")
        self.assertRegex(hash_of_rules, r"\A[0-9a-f]{16}\Z")
        self.assertEqual(answer, {"rules": 2, "disabled": 0, "bindings": 2, "tests": 2, "warnings": 0})
        self.write("rules.json", {**RULES, "description": "tests and descriptions do not count", "tests": []})
        self.assertEqual(json.loads(self.check("rules.json", "--json").stdout)["rules_hash"], hash_of_rules)
        other = json.loads(self.check("rules.json", "--json", "--exchange", "domain").stdout)
        self.assertNotEqual(other["rules_hash"], hash_of_rules)

    def test_wrong_usage(self):
        for arguments, words in ((("--coverage",), "--coverage belongs to quash rules test"),
                                 (("--junit", "x"), "--junit belongs to quash rules test"),
                                 (("--exchange", ""), "has 0 bytes; expected 1 to 255"),
                                 (("--exchange", "x" * 256), "has 256 bytes; expected 1 to 255")):
            with self.subTest(arguments):
                answer = self.check("rules.json", *arguments)
                self.assertEqual((answer.returncode, answer.stdout), (2, ""))
                self.assertIn(words, answer.stderr)
        self.assertEqual(self.check("rules.json", "--exchange", "x" * 255).returncode, 0)


class Json(Scratch):
    def test_each_case_is_told(self):
        self.write("case.json", {"event": PAYMENT, "groups": ["order:18"]})
        answer = json.loads(self.fails("rules.json", "case.json", "--json"))
        self.assertEqual([answer[key] for key in ("count", "passed", "failed")], [3, 2, 1])
        self.assertNotIn("coverage", answer)
        self.assertEqual(answer["cases"][0], {
            "name": "a payment concerns its order", "file": "rules.json",
            "line": self.line_of("rules.json", "a payment"), "passed": True,
            "expected": {"groups": ["tenant:42", "order:17"], "rules": ["order changed"], "verdict": "cancel"},
            "found": {"groups": ["order:17", "tenant:42"], "rules": ["order changed"], "verdict": "cancel",
                      "reason": None},
            "differences": [], "explanation": [],
        })
        failed = answer["cases"][2]
        self.assertEqual((failed["name"], failed["file"], failed["line"], failed["passed"]),
                         ("case", "case.json", 1, False))
        self.assertEqual(failed["expected"], {"groups": ["order:18"]})
        self.assertEqual(failed["differences"], ["- expected group order:18", "+ unexpected group order:17"])
        self.assertIn('rule "order changed" matches', failed["explanation"])


class Junit(Scratch):
    NASTY = 'quotes " \' < > & ]]> \u200b \ufffe \U0001f980 \u00fc'

    def test_a_suite_for_each_file_and_what_failed(self):
        self.write("case.json", {"event": PAYMENT, "groups": ["order:18"]})
        stdout = self.fails("rules.json", "case.json", "--junit", "report.xml")
        self.assertIn("3 cases, 2 passed, 1 failed", stdout)
        root = ElementTree.parse(self.directory / "report.xml").getroot()
        self.assertEqual((root.tag, root.get("tests"), root.get("failures"), root.get("errors")),
                         ("testsuites", "3", "1", "0"))
        first, second = root
        self.assertEqual((first.get("name"), first.get("tests"), first.get("failures")), ("rules.json", "2", "0"))
        self.assertEqual((second.get("name"), second.get("tests"), second.get("failures")), ("case.json", "1", "1"))
        passed = first[0]
        self.assertEqual((passed.get("name"), passed.get("classname"), passed.get("line"), len(passed)),
                         ("a payment concerns its order", "rules.json", str(self.line_of("rules.json", "a payment")), 0))
        self.assertGreaterEqual(float(passed.get("time")), 0)
        failure = second[0][0]
        self.assertEqual((failure.tag, failure.get("message")), ("failure", "- expected group order:18"))
        self.assertIn("+ unexpected group order:17\n", failure.text)
        self.assertIn('rule "order changed" matches\n', failure.text)

    def test_on_standard_output_there_is_nothing_else(self):
        root = ElementTree.fromstring(self.passes("rules.json", "--junit", "-"))
        self.assertEqual(root.get("tests"), "2")

    def test_it_goes_with_json(self):
        answer = json.loads(self.passes("rules.json", "--junit", "report.xml", "--json"))
        self.assertEqual(answer["count"], 2)
        self.assertEqual(ElementTree.parse(self.directory / "report.xml").getroot().get("tests"), "2")

    def test_whatever_is_in_a_name_a_path_or_a_group_it_is_well_formed(self):
        path = 'a "<&>\n\x01.json'
        self.write(path, {"tests": [{"name": self.NASTY, "event": {**PAYMENT, "body": {"id": self.NASTY + "\x01\n"}},
                                     "groups": [self.NASTY], "rules": [self.NASTY]}]})
        root = ElementTree.fromstring(self.fails("rules.json", path, "--junit", "-"))
        case = root[1][0]
        self.assertIn("quotes \" ' < > & ]]> ", case.get("name"))
        self.assertIn("\U0001f980 \u00fc", case.get("name"))
        self.assertEqual(root[1].get("name"), 'a "<&>\\u000a\\u0001.json')
        self.assertIn("+ unexpected group order:quotes \" ' < > & ]]> ", case[0].text)

    def test_a_file_that_cannot_be_written_is_told(self):
        for path, words in (("absent/report.xml", "No such file"), ("/dev/full", "No space left")):
            answer = self.quash("rules.json", "--junit", path)
            self.assertEqual(answer.returncode, 3)
            self.assertIn(f"{path}: cannot be written: {words}", answer.stderr)


class Coverage(Scratch):
    def test_what_no_case_exercised_is_listed(self):
        self.assertEqual(self.passes("rules.json", "--coverage").splitlines(), [
            "coverage",
            "    rules       1 of 2 matched (50 %)",
            "    conditions  2 of 4 held (50 %), 2 of 4 kept an event away (50 %)",
            "    templates   2 of 3 named a group (66 %), 0 of 1 widened (0 %)",
            'rule "order changed", condition /when/routing_key never kept an event away',
            'rule "order changed", template order:{/id} never widened',
            'rule "prices" never matched',
            'rule "prices", condition /when/routing_key never held',
            'rule "prices", condition /when/body/~1op was never tested',
            "2 cases, 2 passed, 0 failed",
        ])

    def test_full_coverage_says_so(self):
        rules = {"version": 1, "rules": [
            {"name": "a", "when": {"routing_key": "a"}, "cancel": ["a:{/id}", "literal"]},
            {"name": "off", "disabled": True, "when": {"routing_key": "b"}, "cancel": ["b:{/id}"]},
        ]}
        self.write("rules.json", rules)
        self.write("cases.json", {"tests": [
            {"name": "1", "event": {"routing_key": "a", "body": {"id": 1}}, "groups": ["a:1", "literal"]},
            {"name": "2", "event": {"routing_key": "a", "body": {}}, "groups": ["a:*", "literal"]},
            {"name": "3", "event": {"routing_key": "b", "body": {}}, "verdict": "ignore"},
        ]})
        self.assertEqual(self.passes("rules.json", "cases.json", "--coverage").splitlines(), [
            "coverage",
            "    rules       1 of 1 matched (100 %)",
            "    conditions  1 of 1 held (100 %), 1 of 1 kept an event away (100 %)",
            "    templates   2 of 2 named a group (100 %), 1 of 1 widened (100 %)",
            "3 cases, 3 passed, 0 failed",
        ])

    def test_a_template_that_only_fell_back_named_no_group(self):
        self.write("rules.json", {"version": 1, "rules": [{"name": "a", "cancel": ["a:{/id}", "b:{/id?}"]}]})
        self.write("case.json", {"event": {"body": {}}, "groups": ["a:*"]})
        stdout = self.passes("rules.json", "case.json", "--coverage")
        self.assertIn('rule "a", template a:{/id} never named a group\n', stdout)
        self.assertIn('rule "a", template b:{/id?} never named a group\n', stdout)
        self.assertIn("0 of 2 named a group (0 %), 1 of 1 widened (100 %)", stdout)

    def test_a_condition_that_never_held(self):
        self.write("case.json", {"event": {"routing_key": "prices.x", "body": {"op": "d"}}, "verdict": "ignore"})
        stdout = self.passes("rules.json", "case.json", "--coverage")
        self.assertIn('rule "prices", condition /when/body/~1op never held\n', stdout)

    def test_programs_get_the_counts(self):
        coverage = json.loads(self.passes("rules.json", "--coverage", "--json"))["coverage"]
        details = coverage.pop("details")
        self.assertEqual(coverage, {
            "rules_matched": {"covered": 1, "count": 2, "percent": 50},
            "conditions_held": {"covered": 2, "count": 4, "percent": 50},
            "conditions_kept_away": {"covered": 2, "count": 4, "percent": 50},
            "templates_named": {"covered": 2, "count": 3, "percent": 66},
            "templates_widened": {"covered": 0, "count": 1, "percent": 0},
        })
        self.assertEqual(details[0], {
            "name": "order changed", "matched": 1,
            "conditions": [{"condition": "/when/exchange", "held": 1, "kept_away": 1},
                           {"condition": "/when/routing_key", "held": 1, "kept_away": 0}],
            "templates": [{"template": "order:{/id}", "named": 1, "widened": 0, "can_widen": True},
                          {"template": "tenant:{/tenant_id?}", "named": 1, "widened": 0, "can_widen": False}],
        })

    def test_it_does_not_change_what_comes_out(self):
        self.write("case.json", {"event": PAYMENT, "groups": ["order:18"]})
        self.assertEqual(self.quash("rules.json", "case.json", "--coverage").returncode, 1)
        self.write("rules.json", {"version": 1, "rules": RULES["rules"]})
        self.write("case.json", {"event": PAYMENT, "groups": ["order:17"]})
        self.assertEqual(self.quash("rules.json", "case.json", "--coverage").returncode, 0)


if __name__ == "__main__":
    unittest.main()
