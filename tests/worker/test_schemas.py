"""The schemas and the programs say the same of every file: of each example, of files made by the grammar, of mutants.

Three verdicts are compared: python's jsonschema, ajv in strict mode (one process for all files), and the program's.
What JSON Schema cannot say stands in schemas/examples/rules/README.md, and below in `beyond_schema`.

Needs QUASH_BIN_DIR, and tests/node as `./dev deps` makes it. QUASH_MUTATIONS asks for more files than the default."""

import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import unittest

from jsonschema import Draft202012Validator

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
from language import Maker, edited, mutant  # noqa: E402
from node import node  # noqa: E402

EXAMPLES = ROOT / "schemas" / "examples"
BIN = pathlib.Path(os.environ["QUASH_BIN_DIR"])
SCHEMAS = {name: json.loads((ROOT / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))
           for name in ("rules", "event", "cases", "config")}
FILES = int(os.environ.get("QUASH_MUTATIONS", "300"))  # made by the grammar, and as many mutants, of each kind
EXAMPLE_FILES = sorted(EXAMPLES.glob("*/*/*.json"))

ACCEPTED, REFUSED = 0, 3
EXACT_INTEGER_MAX = 2**53  # what Node's numbers hold


def by_ajv(batches):
    """{name: (schema, pointer, [text, ...])} -> {name: [verdict, ...]}"""
    question = {name: {"schema": schema, "pointer": pointer, "documents": documents}
                for name, (schema, pointer, documents) in batches.items()}
    return json.loads(node("ajv_verdicts.js", stdin=json.dumps(question)))


def validator(schema, part=None):
    return Draft202012Validator(schema if part is None else {"$ref": f"#/$defs/{part}", "$defs": schema["$defs"]})


def strings(value):
    if isinstance(value, dict):
        for key, member in value.items():
            yield key
            yield from strings(member)
    elif isinstance(value, list):
        for element in value:
            yield from strings(element)
    elif isinstance(value, str):
        yield value


def integers(value):
    if isinstance(value, (dict, list)):
        for member in value.values() if isinstance(value, dict) else value:
            yield from integers(member)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield value


def beyond_schema(kind, document):
    """Whether the program must refuse a file although the schema accepts it."""
    if not isinstance(document, dict):
        return False
    for key in ("rules", "tests"):
        names = [item.get("name") for item in document.get(key, []) if isinstance(item, dict)]
        if len(names) != len(set(names)):
            return True
    # The body of an event record is an event's own business; what people write keeps to 64 bits everywhere.
    written = {key: value for key, value in document.items() if (kind, key) != ("event", "body")}
    return any(not -2**63 <= integer < 2**63 for integer in integers(written))


class Programs(unittest.TestCase):
    """Base: a scratch directory, and what each program says of a file in it."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory(prefix="quash-schemas-")
        cls.addClassCleanup(scratch.cleanup)
        cls.directory = pathlib.Path(scratch.name)
        cls.rules = cls.directory / "some-rules.json"
        cls.rules.write_text(json.dumps({"version": 1, "rules": [
            {"name": "a", "when": {"exchange": "e"}, "cancel": ["b"]}],
            # So that a file of no cases does not leave `quash rules test` with nothing to test, which it refuses.
            "tests": [{"name": "one", "event": {"body": 1}, "groups": []}]}), encoding="utf-8")

    def run_program(self, *arguments):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("QUASH_")}
        return subprocess.run([str(argument) for argument in arguments], env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, errors="replace", timeout=120)

    def verdict(self, kind, path):
        """Whether the program accepts the file, and what it said."""
        quash = BIN / "quash"
        command = {"rules": (quash, "rules", "check", path),
                   "event": (quash, "explain", "--json", "--rules", self.rules, path),
                   "cases": (quash, "rules", "test", self.rules, path),
                   "config": (BIN / "quashd", "--config", path, "--rules", self.rules, "--check")}[kind]
        done = self.run_program(*command)
        # A case that fails is a good file.
        accepted = done.returncode == ACCEPTED or kind == "cases" and done.returncode == 1
        self.assertTrue(accepted or done.returncode == REFUSED, f"{done.returncode}: {done.stdout}{done.stderr}")
        return accepted, done.stdout + done.stderr

    def write(self, document, name="file.json"):
        path = self.directory / name
        path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
        return path


class TheSchemas(unittest.TestCase):
    def test_each_is_json_schema_2020_12_with_a_name_of_its_own(self):
        for name, schema in SCHEMAS.items():
            Draft202012Validator.check_schema(schema)
            self.assertEqual(schema["$schema"], "https://json-schema.org/draft/2020-12/schema")
            self.assertEqual(schema["$id"], f"urn:quash:schema:{name}:1")

    def test_each_can_stand_alone(self):
        for name, schema in SCHEMAS.items():
            for part in subschemas(schema):
                if "$ref" in part:
                    self.assertRegex(part["$ref"], r"^#/\$defs/\w+$")
                    self.assertIn(part["$ref"].rpartition("/")[2], schema["$defs"], name)

    def test_every_part_of_one_is_used(self):
        for name, schema in SCHEMAS.items():
            used = {part["$ref"].rpartition("/")[2] for part in subschemas(schema) if "$ref" in part}
            self.assertEqual(used, set(schema.get("$defs", {})), name)

    def test_an_editor_has_words_for_every_key(self):
        for name, schema in SCHEMAS.items():
            for part in subschemas(schema):
                for key, member in part.get("properties", {}).items():
                    if member is True:
                        continue  # only says that the key is meant
                    target = schema.get("$defs", {}).get(member.get("$ref", "").rpartition("/")[2], {})
                    if key == "not" and "matcher" not in member.get("$ref", ""):
                        continue  # counts depth
                    self.assertTrue({"description"} & (set(member) | set(target)), f"{name}: {key}")

    def test_an_editor_has_words_for_every_choice(self):
        for name, schema in SCHEMAS.items():
            for part in subschemas(schema):
                if "const" in part and part["const"] != 1:
                    self.assertIn("description", part, f"{name}: {part['const']}")

    def test_every_example_and_default_meets_its_own_part(self):
        count = 0
        for name, schema in SCHEMAS.items():
            for part in subschemas(schema):
                for example in part.get("examples", []) + ([part["default"]] if "default" in part else []):
                    alone = {key: value for key, value in part.items() if key != "$id"}
                    alone["$defs"] = schema.get("$defs", {})
                    self.assertTrue(Draft202012Validator(alone).is_valid(example), f"{name}: {example!r}")
                    count += 1
        self.assertGreater(count, 80)

    def test_every_key_of_a_file_has_an_example(self):
        for name in ("rules", "event", "cases"):
            for part in subschemas(SCHEMAS[name]):
                for key, member in part.get("properties", {}).items():
                    if member is True or "$ref" in member or "const" in member or key in ("exists", "not", "equals"):
                        continue
                    said = set(member) | set(member.get("items", {}))
                    self.assertTrue(said & {"examples", "default", "anyOf", "$ref"}, f"{name}: {key}")

    def test_what_two_schemas_say_of_one_thing_is_the_same(self):
        rules, cases, event = SCHEMAS["rules"]["$defs"], SCHEMAS["cases"]["$defs"], SCHEMAS["event"]
        for part in ("case", "verdict", "event", "header_table", "header_value"):
            self.assertEqual(rules[part], cases[part], part)
        self.assertEqual(event["$defs"], {part: rules[part] for part in ("header_table", "header_value")})
        self.assertEqual(SCHEMAS["rules"]["properties"]["tests"], SCHEMAS["cases"]["then"]["properties"]["tests"])
        for key in set(rules["event"]) - {"title"}:
            self.assertEqual(rules["event"][key], event[key], key)
        self.assertEqual(set(event) - set(rules["event"]), {"$schema", "$id", "$defs"})
        alone, listed = SCHEMAS["cases"]["else"]["properties"], cases["case"]["properties"]
        self.assertEqual(set(alone), set(listed) | {"$schema"})
        for key in set(listed) - {"name"}:
            self.assertEqual(alone[key], listed[key], key)
        self.assertEqual({key: value for key, value in alone["name"].items() if key != "description"},
                         {key: value for key, value in listed["name"].items() if key != "description"})

    def test_each_is_installed(self):
        cmake = (ROOT / "worker" / "CMakeLists.txt").read_text(encoding="utf-8")
        installed = re.search(r"foreach\(schema ([\w ]+)\)", cmake)
        self.assertEqual(sorted(f"{name}.schema.json" for name in installed[1].split()),
                         sorted(path.name for path in (ROOT / "schemas").glob("*.json")))


class Examples(Programs):
    def test_both_validators_and_quash_agree_on_every_example_of_rules(self):
        self.compare("rules")

    def test_ajv_agrees_on_every_example_of_a_configuration(self):
        # What quashd says of them is in test_config_examples.py.
        self.compare("config", programs=False)

    def compare(self, kind, programs=True):
        paths = [path for path in EXAMPLE_FILES if path.parts[-3] == kind]
        self.assertGreater(len(paths), 90)
        texts = [path.read_text(encoding="utf-8") for path in paths]
        told = by_ajv({kind: (SCHEMAS[kind], "", texts)})[kind]
        checker = validator(SCHEMAS[kind])
        for path, text, ajv in zip(paths, texts, told):
            with self.subTest(path.name):
                folder = path.parts[-2]
                if ajv is not None:
                    self.assertEqual(checker.is_valid(json.loads(text)), ajv)
                    self.assertEqual(ajv, folder != "invalid")
                if programs:
                    accepted, said = self.verdict(kind, path)
                    self.assertEqual(accepted, folder == "valid", said)

    def test_the_readme_gives_the_reason_for_each_file_beyond_the_schema(self):
        readme = (EXAMPLES / "rules" / "README.md").read_text(encoding="utf-8")
        for path in (EXAMPLES / "rules" / "invalid-beyond-schema").glob("*.json"):
            self.assertIn(f"`{path.stem}`", readme)

    def test_cases_in_valid_examples_pass(self):
        tested = 0
        for path in (EXAMPLES / "rules" / "valid").glob("*.json"):
            if json.loads(path.read_text(encoding="utf-8")).get("tests"):
                tested += 1
                done = self.run_program(BIN / "quash", "rules", "test", path)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertGreater(tested, 2)

    def test_there_is_an_example_of_every_key_of_the_language(self):
        keys = set()
        for path in (EXAMPLES / "rules" / "valid").glob("*.json"):
            keys |= {key for key in keys_of(json.loads(path.read_text(encoding="utf-8")))}
        wanted = set(SCHEMAS["rules"]["properties"])
        for part in subschemas(SCHEMAS["rules"]):
            wanted |= set(part.get("properties", {}))
        self.assertEqual(wanted - keys, set())


class Corpus(Programs):
    """Files made by the grammar, and mutants of them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        settings = {}
        for path in (EXAMPLES / "config" / "valid").glob("*.json"):
            for name, value in json.loads(path.read_text(encoding="utf-8")).items():
                settings.setdefault(name, []).append(value)
        settings.pop("rules", None)  # the program is given its own
        makers = {"rules": Maker.rules_file, "event": Maker.event, "cases": Maker.cases_file,
                  "config": lambda maker: maker.config(settings)}
        cls.good, cls.changed = {}, {}
        for kind, make in makers.items():
            generator = random.Random(f"mutants of {kind}")
            cls.good[kind] = [make(Maker(f"{kind} {seed}")) for seed in range(FILES)]
            cls.changed[kind] = [mutant(make(Maker(f"{kind} {seed}, changed")), generator) for seed in range(FILES)]
        both = {kind: cls.good[kind] + cls.changed[kind] for kind in makers}
        cls.ajv = by_ajv({kind: (SCHEMAS[kind], "", [json.dumps(document) for document in documents])
                          for kind, documents in both.items()})

    def compare(self, kind):
        checker = validator(SCHEMAS[kind])
        counts = {True: 0, False: 0}
        for index, document in enumerate(self.good[kind] + self.changed[kind]):
            text = json.dumps(document, ensure_ascii=False)
            if any(len(string) > 100 and not string.isascii() for string in strings(document)):
                continue  # near a limit in bytes, of which the schema counts characters
            by_schema = checker.is_valid(document)
            if index < len(self.good[kind]):
                self.assertTrue(by_schema, f"made by the grammar, refused by the schema: {text}")
            if all(abs(integer) <= EXACT_INTEGER_MAX or abs(integer) > 2**63 for integer in integers(document)):
                self.assertEqual(self.ajv[kind][index], by_schema, f"ajv and jsonschema differ on {text}")
            accepted, said = self.verdict(kind, self.write(text))
            self.assertEqual(accepted, by_schema and not beyond_schema(kind, document), f"{text}\n{said}")
            if index >= len(self.good[kind]):
                counts[accepted] += 1
        self.assertGreater(min(counts.values()), FILES // 10, counts)

    def test_rules(self):
        self.compare("rules")

    def test_event_records(self):
        self.compare("event")

    def test_test_cases(self):
        self.compare("cases")

    def test_configurations(self):
        self.compare("config")


class Letters(Programs):
    """Strings letter by letter: where one file can hold many, quash must complain about exactly those that the schema
    refuses."""

    ROUNDS = max(20, FILES // 4)

    def compare(self, part, values, document, pointers, batches):
        done = self.run_program(BIN / "quash", "rules", "check", self.write(document))
        told = set(re.findall(r"^[^\n]*?:\d+:\d+: at (/[^\n]*?): ", done.stderr, re.MULTILINE))
        checker = validator(SCHEMAS["rules"], part)
        for value, pointer in zip(values, pointers):
            expected = checker.is_valid(value)
            self.assertEqual(expected, pointer not in told, f"{value!r}\n{done.stderr}")
            batches.setdefault(part, []).append((value, expected))

    def strings(self, generator, pieces, count, most=6):
        return ["".join(generator.choices(pieces, k=generator.randint(0, most))) for _ in range(count)]

    def assert_ajv_agrees(self, batches, schema="rules"):
        told = by_ajv({part: (SCHEMAS[schema], f"#/$defs/{part}", [json.dumps(value) for value, _ in pairs])
                       for part, pairs in batches.items()})
        for part, pairs in batches.items():
            for (value, expected), ajv in zip(pairs, told[part]):
                self.assertEqual(ajv, expected, f"{part}: {value!r}")

    def test_templates(self):
        generator, batches = random.Random(7), {}
        letters = ["{", "}", "{{", "}}", "/", "*", "?", "??", "|", ".", ":", "~", "~0", "~1", " ", "a", "ä", "\n", "0",
                   "{/a}", "{/b?}", "header", "routing_key", "exchange", "property", ".type", "lower", "trim", "/*", "1"]
        inner = ["/a", "/*", "??", " ?? ", "?", " ", "|", "lower", " | trim", "header.x", "header/x", "exchange",
                 "routing_key", ".1", "0", "27", "property.type", "header.", "~1", "x"]
        good = [Maker(seed).template() for seed in range(50)]
        for _ in range(self.ROUNDS):
            templates = (self.strings(generator, letters, 12) +
                         ["{" + place + "}" for place in self.strings(generator, inner, 14)] +
                         [edited(generator.choice(good), generator) for _ in range(6)])
            self.compare("template", templates, {"version": 1, "rules": [{"name": "n", "cancel": templates}]},
                         [f"/rules/0/cancel/{i}" for i in range(32)], batches)
        self.assert_ajv_agrees(batches)

    def test_topics_and_names_of_exchanges(self):
        generator, batches = random.Random(8), {}
        for _ in range(self.ROUNDS):
            for key, part in (("routing_key", "topic"), ("exchange", "exchange_name")):
                values = self.strings(generator, ["*", "#", ".", "a", "ä", "?", " ", "\n"], 40, 5)
                self.compare(part, values,
                             {"version": 1, "rules": [{"name": "n", "when": {key: values}, "cancel": ["a"]}]},
                             [f"/rules/0/when/{key}/{i}" for i in range(40)], batches)
        self.assert_ajv_agrees(batches)

    def test_pointers_and_names_of_headers(self):
        generator, batches = random.Random(9), {}
        pieces = ["/", "*", "~", "~0", "~1", "a", "0", "-", "?", " "]
        for _ in range(self.ROUNDS):
            for key, part in (("body", "pointer"), ("headers", "header_key")):
                values = sorted(set(self.strings(generator, pieces, 32, 5)))
                when = {key: dict.fromkeys(values, 1)}
                self.compare(part, values, {"version": 1, "rules": [{"name": "n", "when": when, "cancel": ["a"]}]},
                             [f"/rules/0/when/{key}/" + value.replace("~", "~0").replace("/", "~1")
                              for value in values], batches)
        self.assert_ajv_agrees(batches)

    def test_urls(self):
        generator, batches = random.Random(10), {"url": []}
        checker = validator(SCHEMAS["config"], "url")
        pieces = ["a", "ä", "@", ":", "/", "?", "#", "[", "]", "::1", "5672", " ", ".", "-", "*", "{", "|", "~", "'",
                  "rabbit", "[::1]", "user:pw@", "\\", "^"]
        for _ in range(self.ROUNDS * 4):
            url = "amqp://" + "".join(generator.choices(pieces, k=generator.randint(0, 5)))
            url = edited(url, generator) if generator.random() < 0.2 else url
            expected = checker.is_valid(url)
            accepted, said = self.verdict("config", self.write({"amqp_url": url}))
            self.assertEqual(accepted, expected, f"{url!r}\n{said}")
            batches["url"].append((url, expected))
        self.assert_ajv_agrees(batches, "config")


def subschemas(schema):
    """A schema and all schemas in it that are objects; what stands in examples is none."""
    if not isinstance(schema, dict):
        return
    yield schema
    for key, value in schema.items():
        if key in ("properties", "$defs", "patternProperties"):
            for member in value.values():
                yield from subschemas(member)
        elif key in ("anyOf", "oneOf", "allOf"):
            for member in value:
                yield from subschemas(member)
        elif key in ("items", "not", "contains", "if", "then", "else", "propertyNames", "additionalProperties"):
            yield from subschemas(value)


def keys_of(value):
    if isinstance(value, dict):
        for key, member in value.items():
            yield key
            yield from keys_of(member)
    elif isinstance(value, list):
        for element in value:
            yield from keys_of(element)


if __name__ == "__main__":
    unittest.main(verbosity=2)
