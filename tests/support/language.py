"""Files of the rule language, made by its grammar, and mutants of them: what schemas and programs must agree on.

    make = Maker(seed)
    make.rules_file(), make.cases_file(), make.event(), make.config()     valid documents
    mutant(document, generator)                                          one with one thing changed, perhaps wrong

Everything follows from the seed. What is made is valid, and small enough to be read when a test shows it; what JSON
Schema cannot see (a key twice, 1.0, half a surrogate pair) is never made.
"""

import copy
import random

PROPERTIES_OF_TEXT = ("content_type", "content_encoding", "correlation_id", "reply_to", "expiration", "message_id",
                      "type", "user_id", "app_id", "cluster_id")
PROPERTIES_OF_INTEGERS = {"delivery_mode": (1, 2), "priority": (0, 255), "timestamp": (0, 2**53)}
PROPERTIES = (*PROPERTIES_OF_TEXT, *PROPERTIES_OF_INTEGERS)
NOT_DEPTH_MAX = 8

WORDS = ("order", "tenant", "shop", "eu-west", "v2", "ä", "x")
POINTERS = ("/id", "/payload/op", "/lines/*/sku", "/*", "/a~1b/~0", "/0", "", "/", "/a b", "/*/*/x", "/**", "/lines/*")
HEADERS = ("x-tenant", "NServiceBus.EnclosedMessageTypes", "cloudEvents:type", "cloudEvents_type", "ce-type",
           "__TypeId__", "/x-death/0/queue", "/x-death/*/count", "a b", "*", "/~01")
SCALARS = ("", "paid", "com.acme.*", "A-??", "*", 0, 42, -7, 2**53, True, False, None, "/id", "not")
TOPICS = ("", "#", "*", "order.#", "*.changed", "a.*.b.#", "order", "..", "#.#")
EXCHANGES = ("domain", "shop.*", "?", "Shop.Events:OrderCreated", "amq.topic", "x" * 255)


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)

    # ---- Small parts

    def maybe(self, chance=0.5):
        return self.random.random() < chance

    def one(self, things):
        return self.random.choice(things)

    def some(self, things, least, most):
        return self.random.sample(list(things), self.random.randint(least, min(most, len(things))))

    def filled(self, **makers):
        """An object with some of the keys, in any order."""
        keys = self.some(makers, 0, len(makers))
        return {key: makers[key]() for key in keys}

    def spaces(self):
        return self.one(("", "", "", " ", "  ", "\t", "\n "))

    def name(self):
        return " ".join(self.one(WORDS) for _ in range(3)) + f" {self.random.randrange(10**9)}"

    # ---- when

    def matcher(self, single, depth=NOT_DEPTH_MAX):
        if self.maybe(0.3):
            return [self.test(single, depth) for _ in range(self.random.randint(1, 4))]
        return self.test(single, depth)

    def test(self, single, depth):
        if depth > 0 and self.maybe(0.25):
            return {"not": self.matcher(single, depth - 1)}
        return single()

    def value_test(self):
        return self.one((lambda: self.one(SCALARS), lambda: self.one(SCALARS), lambda: {"exists": self.maybe()},
                         lambda: {"equals": self.one(SCALARS)}))()

    def exchange_test(self):
        return {"equals": self.one(EXCHANGES)} if self.maybe(0.2) else self.one(EXCHANGES)

    def value(self):
        return self.matcher(self.value_test)

    def conditions(self, sources):
        return {source: self.value() for source in self.some(sources, 1, 4)}

    def when(self):
        return self.filled(exchange=lambda: self.matcher(self.exchange_test),
                           routing_key=lambda: self.matcher(lambda: self.one(TOPICS)),
                           headers=lambda: self.conditions(HEADERS), properties=lambda: self.conditions(PROPERTIES),
                           body=lambda: self.conditions(POINTERS))

    # ---- cancel

    def source(self):
        return self.one((lambda: self.one([p for p in POINTERS if p]), lambda: self.one([p for p in POINTERS if p]),
                         lambda: "header." + self.one([h for h in HEADERS if h[0] != "/"]),
                         lambda: "header" + self.one([p for p in POINTERS if p]),
                         lambda: "property." + self.one(PROPERTIES),
                         lambda: "routing_key", lambda: f"routing_key.{self.random.randint(1, 127)}",
                         lambda: "exchange"))()

    def place(self):
        parts = []
        for number in range(self.one((1, 1, 1, 2, 3, 8))):
            parts += ["??"] if number else []
            parts.append(self.source())
        if self.maybe(0.3):
            parts.append("?")
        for _ in range(self.one((0, 0, 0, 1, 2, 8))):
            parts += ["|", self.one(("lower", "upper", "trim"))]
        return "{" + "".join(self.spaces() + part + self.spaces() for part in parts) + "}"

    def template(self):
        made = self.one(("tenant:", "order:", "catalog", "{{", "*", "a:b:", "ä:")) + "".join(
            self.one((self.place, self.place, lambda: self.one(("/", ":", "}}", "-", "*"))))()
            for _ in range(self.random.randint(0, 3)))
        return made if len(made) <= 512 else "tenant:{/id}"

    # ---- Files

    def on_missing(self):
        return self.one(("widen", "skip", "dead_letter", ["widen", "dead_letter"], ["dead_letter"],
                         ["dead_letter", "widen"]))

    def repeat(self):
        times = self.some((1, 2, 500, 5000, 60000, 3599999, 3600000, 77, 78), 1, 8)
        return times if self.maybe() else times[0]

    def rule(self):
        return {"name": self.name(), "cancel": [self.template() for _ in range(self.random.randint(1, 3))],
                **self.filled(when=self.when, description=lambda: self.one(("", "why\nit is so")), disabled=self.maybe,
                              on_missing=self.on_missing, repeat_after_ms=self.repeat)}

    def defaults(self):
        return self.filled(when=self.when, on_missing=self.on_missing, repeat_after_ms=self.repeat)

    def rules_file(self):
        return {"version": 1, "rules": [self.rule() for _ in range(self.random.randint(1, 3))],
                **self.filled(**{"$schema": lambda: "rules.schema.json"}, description=lambda: "d",
                              defaults=self.defaults,
                              unmatched=lambda: self.one(("ignore", "dead_letter")),
                              on_malformed=lambda: self.one(("widen", "dead_letter", ["widen"],
                                                             ["dead_letter", "widen"])),
                              tests=lambda: [self.case() for _ in range(self.random.randint(0, 3))])}

    def json(self, depth=3):
        if depth == 0 or self.maybe(0.4):
            return self.one((None, True, 17, -1, 1.5, "text", "", "a\u0001b"))
        if self.maybe():
            return [self.json(depth - 1) for _ in range(self.random.randint(0, 3))]
        return {self.one(WORDS): self.json(depth - 1) for _ in range(self.random.randint(0, 3))}

    def properties(self):
        return {name: self.random.randint(*PROPERTIES_OF_INTEGERS[name]) if name in PROPERTIES_OF_INTEGERS else
                self.one(("", "application/json", "x" * 255)) for name in self.some(PROPERTIES, 0, 5)}

    def event(self):
        body = self.one((("body", self.json), ("body", self.json),
                         ("body_text", lambda: self.one(("", "default", "<x/>"))),
                         ("body_base64", lambda: self.one(("", "QQ==", "QUI=", "QUJD", "+/+/QUJD")))))
        return {body[0]: body[1](), **self.filled(
            exchange=lambda: self.one(("", *EXCHANGES)), routing_key=lambda: self.one(TOPICS),
            headers=lambda: {header: self.json() for header in self.some(HEADERS, 0, 3)}, properties=self.properties)}

    def case(self):
        expected = self.filled(groups=lambda: [self.one(("order:17", "*", "tenant:*"))
                                               for _ in range(self.random.randint(0, 2))],
                               rules=lambda: self.some(("a", "b"), 0, 2),
                               verdict=lambda: self.one(("cancel", "ignore", "dead_letter")))
        return {"name": self.name(), "event": self.event(), **(expected or {"groups": []}),
                **self.filled(description=lambda: "why")}

    def cases_file(self):
        head = self.filled(**{"$schema": lambda: "cases.schema.json"})
        if self.maybe():
            return {"tests": [self.case() for _ in range(self.random.randint(0, 3))], **head,
                    **self.filled(description=lambda: "d")}
        case = self.case()
        if self.maybe():
            del case["name"]
        return case | head

    def config(self, settings):
        """Of `settings`, name -> possible values, some."""
        return {name: self.one(settings[name]) for name in self.some(settings, 0, len(settings))}


# ---- Mutants

# What is put in the place of anything. The strings are right in one place and wrong in others.
ODDITIES = (None, True, False, 0, 1, 7, -1, 1.5, 2**64, -(2**64), "", "x", "1", "a.*", "a*", "#", "order.#.x", "or#",
            "{/x}", "{/x", "/y", "y/", "/~", "/~2", "/a/*", "*", "?", "{", "}", "{}", "{ }", "{id}", "{/a ?? }",
            "{/a ?? /b?}", "{/a? ?? /b}", "{/a|}", "{/a|lower|}", "{/a|reverse}", "{/a | lower?}", "{/a ???}",
            "{routing_key.0}", "{routing_key.127}", "{routing_key.128}", "{routing_key.01}", "{routing_keys}",
            "{header.}", "{header. }", "{header. a }", "{header}", "{header/}", "{header/a~}", "{property.typ}",
            "{property.type}", "{exchange.1}", "{body}", "{/a}}", "{{/a}", "{{{/a}}}", ":a", "a:{/x ?}", [], {},
            [None], [[]], [{}], {"/a": 1}, {"x": 1}, {"": 1}, "skip", "widen", "dead_letter", "ignore", "Widen",
            ["skip"], ["widen"], ["widen", "widen"], ["widen", "dead_letter", "widen"], ["x", "#"], {"exists": True},
            {"exists": "yes"}, {"exists": True, "not": 1}, {"not": {"exists": False}}, {"not": []}, {"not": [[1]]},
            {"equals": [1]}, {"equals": "*"}, {"equals": None}, {"equal": 1}, {"nott": 1}, 500, [500], [500, 500],
            3600000, 3600001, [0], "cancel", ["a", "a"], "QQ=", "QQ==\n", {"type": 1}, {"type": "x", "priority": 256},
            {"delivery_mode": 3})
NAMES = ("", "x", "*", "/", "/a", "a/b", "/~3", "/*", "unknown", "body", "event", "not", "$schema", "name", "when",
         "tests", "description")


def places(value, place=()):
    """The places of all values in a document, the root's first."""
    yield place
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield from places(member, place + (key,))


def nested(depth, value):
    for _ in range(depth):
        value = {"not": value}
    return value


def stretched(value, generator):
    """The value at, above or below one of the language's limits."""
    if isinstance(value, str):
        length = generator.choice((1, 200, 201, 255, 256, 512, 513, 4000, 4001))
        return (value or "x") * (length // len(value or "x")) + "x" * (length % len(value or "x"))
    if isinstance(value, bool) or value is None:
        return generator.choice(([value] * 256, [value] * 257, nested(8, value), nested(9, value), nested(9, [value])))
    if isinstance(value, (int, float)):
        return generator.choice((0, 1, 2, 3, 255, 256, 999, 1000, 65535, 65536, 3600000, 3600001, 4294967295,
                                 4294967296, -1))
    if isinstance(value, list):
        return (value or ["x"]) * generator.choice((2, 8, 9, 32, 33, 256, 257))
    return {**value, **{f"/{n}": 1 for n in range(generator.choice((31, 32, 33)))}} if generator.random() < 0.7 else \
        nested(generator.choice((1, 2, 8, 9)), value)


def edited(text, generator):
    """A letter less, more or other."""
    at = generator.randrange(len(text) + 1)
    letter = generator.choice("{}/*?#.:~|01 xä")
    return generator.choice((text[:at] + letter + text[at:], text[:at] + text[at + 1:],
                             text[:at] + letter + text[at + 1:]))


def mutant(document, generator):
    """A copy with one change, which may or may not be a mistake."""
    holder = {"root": copy.deepcopy(document)}
    place = generator.choice(list(places(document)))
    parent, key = holder, "root"
    for step in place:
        parent, key = parent[key], step
    value = parent[key]
    changes = [lambda: parent.__setitem__(key, copy.deepcopy(generator.choice(ODDITIES)))] * 3
    changes += [lambda: parent.__setitem__(key, stretched(value, generator))]
    if isinstance(value, str):
        changes += [lambda: parent.__setitem__(key, edited(value, generator))] * 3
    if isinstance(value, dict):
        changes += [lambda: value.__setitem__(generator.choice(NAMES), copy.deepcopy(generator.choice(ODDITIES)))]
    if isinstance(value, list):
        changes += [lambda: value.append(copy.deepcopy(generator.choice(ODDITIES))),
                    lambda: value.extend(copy.deepcopy(value[:1]))]
    if place:
        changes += [lambda: parent.__delitem__(key)]
    if isinstance(key, str) and place:
        changes += [lambda: parent.__setitem__(edited(key, generator), parent.pop(key)),
                    lambda: parent.__setitem__(generator.choice(NAMES), parent.pop(key))]
    generator.choice(changes)()
    return holder["root"]
