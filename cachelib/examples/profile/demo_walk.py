"""What the demo shows, step by step.

After a change, the instance that made it cancels twice: at once by itself, and again when the event comes back through
the broker. The second one costs a miss at most, and comes at its own time. So each step that is about hits first waits
until both workers have applied the event (`settle`).
"""

import contextlib
import time

from demo_parts import ANSWER_SECONDS_MAX, Failed, LaterRead, wait_for

FRESH_SECONDS_MAX = 1  # how soon an event must have done its work on the other instance


def email(profile):
    return profile["email"]


def permissions(profile):
    return "+".join(profile["permissions"])


def region(profile):
    return profile["region_name"]


def nothing(_profile):
    return ""


class Walk:
    """`a` and `b` are the services; quash(ARGUMENT...) runs the command line and returns the finished process."""

    def __init__(self, report, a, b, quash):
        self.report, self.a, self.b, self.quash = report, a, b, quash
        self._applied = {}  # per service: what its table counts once the last event is applied
        self._answered = 0  # when the last change was answered

    def run(self):
        self.report.columns()
        self.miss_then_hit()
        self.update()
        self.tenant()
        self.region()
        self.race_with_own_update()
        self.race_with_event()

    # ---- The steps

    def miss_then_hit(self):
        self.report.step("A profile is loaded once by each instance, then comes from its cache")
        for service in (self.a, self.b):
            self.expect_read(service, 1, "miss ada@one.example")
            self.expect_read(service, 1, "hit ada@one.example")

    def update(self):
        self.report.step("An update through A: the very next read on A is fresh, B follows by the event")
        self.change(self.a, "A updates profile 1", "/profile/1/update", email="ada@two.example")
        self.expect_read(self.a, 1, "miss ada@two.example", "A: the very next read")
        self.expect_fresh(self.b, 1, email, "ada@two.example")

    def tenant(self):
        self.report.step("Tenant 42 loses a permission through B: its three users change everywhere, others stay")
        self.fill_caches()
        self.change(self.b, "B revokes export from tenant 42", "/tenant/42/revoke", permission="export")
        self.expect_all(self.b, (1, 2, 3), "miss", permissions, "read", "B: tenant 42, the very next reads")
        self.expect_fresh(self.a, 1, permissions, "read")
        self.expect_all(self.a, (2, 3), "miss", permissions, "read", "A: the tenant's other users")
        for service in (self.a, self.b):
            self.expect_all(service, (4, 5), "hit", permissions, "export+read", f"{service.name}: tenant 43")

    def region(self):
        self.report.step("Region eu gets another name through A: its two users change everywhere, others stay")
        self.fill_caches()
        self.change(self.a, "A renames region eu", "/region/eu/update", name="European Union")
        self.expect_all(self.a, (1, 3), "miss", region, "European Union", "A: region eu, the very next reads")
        self.expect_fresh(self.b, 1, region, "European Union")
        self.expect_all(self.b, (3,), "miss", region, "European Union", "B: the region's other user")
        for service in (self.a, self.b):
            self.expect_all(service, (2, 4, 5), "hit", region, "United States", f"{service.name}: region us")

    def race_with_own_update(self):
        self.report.step("An update while a load is running, on A itself: the old row must not stay behind")
        held = self.hold(self.a, 6)
        self.change(self.a, "A updates profile 6 meanwhile", "/profile/6/update", email="frances@two.example")
        self.release(self.a, 6, held, "frances@one.example", "frances@two.example")

    def race_with_event(self):
        self.report.step("The same on B, which only gets the event")
        self.settle()
        held = self.hold(self.b, 6)
        stamp = self.quash("table", "stamp", self.b.table).stdout.strip()
        self.change(self.a, "A updates profile 6 meanwhile", "/profile/6/update", email="frances@three.example")
        self.expect_changed(self.b, stamp, "user:6")
        self.release(self.b, 6, held, "frances@two.example", "frances@three.example")

    # ---- What they are made of

    def change(self, service, what, path, **arguments):
        """Makes a change, and notes how many cancellations the two tables will count when its event is applied."""
        self._applied = {each: each.stats()["table"]["changes"] + (2 if each is service else 1)
                         for each in (self.a, self.b)}
        began = time.monotonic()
        answer = service.change(path, **arguments)
        self._answered = time.monotonic()
        self.report.check(what, "done", answer, self._answered - began)

    def settle(self):
        """Until both workers have applied the last event. If one never does, the checks that follow will say so."""
        for service, changes in self._applied.items():
            with contextlib.suppress(Failed):
                wait_for(lambda: service.stats()["table"]["changes"] >= changes, FRESH_SECONDS_MAX, "the event")

    def fill_caches(self):
        """Every profile but the one kept for the races is in both caches."""
        self.settle()
        for service in (self.a, self.b):
            for profile in (1, 2, 3, 4, 5):
                service.read(profile)
            self.expect_all(service, (1, 2, 3, 4, 5), "hit", nothing, "", f"{service.name} holds every profile")

    def expect_read(self, service, profile, expected, what=None):
        """`expected` is how the cache answers, and with which e-mail address."""
        began = time.monotonic()
        cache, body = service.read(profile)
        self.report.check(what or f"{service.name} reads profile {profile}", expected, f"{cache} {email(body)}",
                          time.monotonic() - began)

    def expect_all(self, service, profiles, cache, fact, value, what):
        """Each of `profiles` is answered in this way by the cache, and shows this value."""
        began = time.monotonic()
        seen = {}
        for profile in profiles:
            answer, body = service.read(profile)
            answer = f"{answer} {fact(body)}".rstrip()
            seen[answer] = seen.get(answer, 0) + 1
        self.report.check(what, f"{len(profiles)} × {cache} {value}".rstrip(),
                          ", ".join(f"{count} × {answer}" for answer, count in sorted(seen.items())),
                          time.monotonic() - began)

    def expect_fresh(self, service, profile, fact, value):
        """Reads until the new value comes; the time counts from the answer to the change."""
        seen = None
        while seen != value and time.monotonic() - self._answered < FRESH_SECONDS_MAX:
            seen = fact(service.read(profile)[1])
        self.report.check(f"{service.name}: the event has arrived", f"{value} in {FRESH_SECONDS_MAX} s",
                          seen or "nothing", time.monotonic() - self._answered, good=seen == value)

    def expect_changed(self, service, stamp, group):
        """The table of `service` says that `group` was cancelled after `stamp`."""
        status = 0
        while status == 0 and time.monotonic() - self._answered < FRESH_SECONDS_MAX:
            status = self.quash("table", "changed", service.table, "--since", stamp, group).returncode
        seen = {0: f"{group} unchanged", 1: f"{group} changed"}.get(status, f"quash exits with {status}")
        self.report.check(f"{service.name}'s table: the event has arrived", f"{group} changed in {FRESH_SECONDS_MAX} s",
                          seen, time.monotonic() - self._answered, good=status == 1)

    def hold(self, service, profile):
        """Starts a read whose load has read the row and stands still; returns the read."""
        began = time.monotonic()
        service.debug("hold-next-load")
        read = LaterRead(service, profile)
        wait_for(service.holds_a_load, ANSWER_SECONDS_MAX, f"{service.name}: a load that stands still")
        self.report.check(f"{service.name}: a load has read the row and waits", "held", "held",
                          time.monotonic() - began)
        return read

    def release(self, service, profile, held, old, new):
        """Lets the load go on with its old row. Who called it may have that: the read began before the update. Nobody
        else may, neither who came while the load was running nor who comes later."""
        waiting = LaterRead(service, profile)
        service.debug("release")
        for read, what, expected in ((held, "who came before the update", f"miss {old}"),
                                     (waiting, "who came after it", f"miss {new}")):
            cache, body = read.result()
            self.report.check(f"{service.name}: {what}", expected, f"{cache} {email(body)}", read.seconds)
        began = time.monotonic()
        seen = email(service.read(profile)[1])
        self.report.check(f"{service.name}: everybody later", new, seen, time.monotonic() - began)
