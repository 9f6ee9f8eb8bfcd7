"""Other rules for a worker that runs: when they are noticed, what must be right about them, what they bind and cancel,
and that no event is lost or judged by half of them."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

import quash_table  # noqa: E402
from broker import Broker, await_true, die_with_parent  # noqa: E402
from worker import CONNECT_SECONDS_MAX, QUASH, Worker, emit, is_sanitized  # noqa: E402

RELOADED = "reloaded the rules"
KEPT = "the old rules stay in force"
NOT_YET = "cannot bring the new rules into force yet"
END_SECONDS_MAX = 3

broker = None


def setUpModule():
    global broker
    broker = Broker()
    broker.open()
    unittest.addModuleCleanup(broker.close)
    broker.declare_exchange("domain")


def rule(kind, **other):
    """Events `KIND.#` of the exchange "domain" cancel the group KIND:ID."""
    return {"name": f"{kind} changed", "when": {"exchange": "domain", "routing_key": f"{kind}.#"},
            "cancel": [f"{kind}:{{/id}}"]} | other


def rules(*of, **other):
    return {"version": 1, "rules": list(of)} | other


class ReloadTest(unittest.TestCase):
    def worker(self, instance, first, at=None, **options):
        worker = Worker((at or broker).url, instance, rules=first, **options)
        self.addCleanup(worker.__exit__)
        return worker

    def assert_serves(self, worker, kind, at=None):
        since = worker.table.stamp()
        emit(at or broker, {"id": 1}, routing_key=f"{kind}.changed")
        worker.await_changed(since, f"{kind}:1")
        self.assertFalse(worker.table.changed(since, f"{kind}:2"), worker.log())

    def await_bindings(self, worker, *kinds, at=None):
        wanted = {("domain", f"{kind}.#") for kind in kinds}
        await_true(lambda: (at or broker).bindings(worker.queue) == wanted, 20,
                   lambda: f"bindings {wanted}; found {(at or broker).bindings(worker.queue)}\n{worker.log()}")

    @staticmethod
    def last_line(worker, text):
        return [line for line in worker.log().splitlines() if text in line][-1]


class Noticing(ReloadTest):
    def test_a_hangup_has_the_file_read(self):
        worker = self.worker("hangup", rules(rule("user"))).start()
        worker.replace_rules(rules(rule("user"), rule("order")))
        worker.hang_up()
        worker.await_log(RELOADED)
        self.assert_serves(worker, "order")
        self.assert_serves(worker, "user")
        worker.stop()
        self.assertEqual((worker.summary()["reloads"], worker.summary()["reloads_refused"]), (1, 0))

    def test_a_file_written_in_place_is_noticed(self):
        worker = self.worker("in-place", rules(rule("user"))).start()
        worker.set_rules(rules(rule("order")))
        worker.await_log(RELOADED)
        self.assert_serves(worker, "order")
        self.assertEqual(worker.log_count(RELOADED), 1)

    def test_a_file_that_is_being_written_is_not_read(self):
        worker = self.worker("slowly", rules(rule("user"))).start()
        text = json.dumps(rules(rule("order"), rule("list")))
        with open(worker.rules_path, "w", encoding="utf-8") as file:
            for start in range(0, len(text), 20):
                file.write(text[start:start + 20])
                file.flush()
                time.sleep(0.2)  # somebody who is slow
        worker.await_log(RELOADED)
        self.assertNotIn(KEPT, worker.log())
        self.assert_serves(worker, "list")

    def test_a_file_renamed_over_it_is_noticed(self):
        worker = self.worker("renamed", rules(rule("user"))).start()
        worker.replace_rules(rules(rule("order")))
        worker.await_log(RELOADED)
        self.assert_serves(worker, "order")

    def test_a_config_map_that_is_updated_is_noticed(self):
        worker = self.worker("config-map", rules(rule("user")))
        mount = os.path.join(worker.directory.name, "mount")
        os.mkdir(mount)

        def publish(version, of):
            """As the kubelet does: a directory of the new version, then the link ..data is turned in one step."""
            os.mkdir(os.path.join(mount, f"..2026_{version}"))
            with open(os.path.join(mount, f"..2026_{version}", "rules.json"), "w", encoding="utf-8") as file:
                json.dump(of, file)
            os.symlink(f"..2026_{version}", os.path.join(mount, "..data_tmp"))
            os.replace(os.path.join(mount, "..data_tmp"), os.path.join(mount, "..data"))

        publish(1, rules(rule("user")))
        os.symlink("..data/rules.json", os.path.join(mount, "rules.json"))
        worker.rules_path = os.path.join(mount, "rules.json")
        worker.start()
        publish(2, rules(rule("order")))
        worker.await_log(RELOADED)
        self.assert_serves(worker, "order")
        publish(3, rules(rule("list")))
        worker.await_log(RELOADED, times=2)
        self.assert_serves(worker, "list")

    def test_a_file_that_is_gone_leaves_the_rules_in_force(self):
        worker = self.worker("gone", rules(rule("user"))).start()
        os.unlink(worker.rules_path)
        worker.await_log("the rules file is gone")
        self.assert_serves(worker, "user")
        worker.hang_up()
        worker.await_log(KEPT)
        self.assertIn("cannot be opened", worker.log())
        worker.set_rules(rules(rule("order")))
        worker.await_log(RELOADED)
        self.assert_serves(worker, "order")
        self.assertEqual(worker.log_count("the rules file is gone"), 1)

    def test_rules_that_say_the_same_change_nothing(self):
        worker = self.worker("unchanged", rules(rule("user"))).start()
        worker.await_log("cancelled everything")
        since = worker.table.stamp()
        worker.hang_up()
        worker.await_log("the rules are unchanged")
        worker.set_rules(rules(rule("user", description="says the same"), description="all of it"), indent=3)
        worker.await_log("the rules are unchanged", times=2)
        emit(broker, {"id": 1}, routing_key="user.changed")
        worker.await_changed(since, "user:1")
        self.assertFalse(worker.table.changed(since, "user:2"))
        worker.stop()
        self.assertEqual(worker.summary()["reloads"], 0)


class Proxy:
    """Stands between a worker and the broker, and keeps back the broker's first bind-ok for the connection over which
    rules are reloaded, until it is told to let go."""

    BIND_OK = b"\x00\x32\x00\x15"  # class queue, method bind-ok
    RELOADS = b" rules"              # ends the name of that connection

    def __init__(self):
        self.held = threading.Event()
        self.release = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = broker.url.replace(f":{broker.port}/", f":{self.listener.getsockname()[1]}/")
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.release.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", broker.port))
            reloads = threading.Event()
            threading.Thread(target=self.pump, args=(client, server, reloads, True), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, reloads, False), daemon=True).start()

    def pump(self, source, target, reloads, upwards):
        try:
            while data := source.recv(65536):
                if upwards and self.RELOADS in data:
                    reloads.set()
                if not upwards and reloads.is_set() and self.BIND_OK in data and not self.held.is_set():
                    self.held.set()
                    self.release.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        finally:
            source.close()


class Changing(ReloadTest):
    def test_what_is_new_is_bound_and_cancelled_and_what_is_gone_is_unbound(self):
        worker = self.worker("changing", rules(rule("user"), rule("order"))).start()
        worker.await_log("cancelled everything")
        self.await_bindings(worker, "user", "order")
        since = worker.table.stamp()
        worker.replace_rules(rules(rule("order"), rule("list")))
        worker.hang_up()
        worker.await_log(RELOADED)
        worker.await_changed(since, "list:never-emitted")
        self.await_bindings(worker, "order", "list")
        for kind in "user", "order":
            self.assertFalse(worker.table.changed(since, f"{kind}:never-emitted"), worker.log())
        line = self.last_line(worker, RELOADED)
        for said in "rules=2", "bindings_added=1", "bindings_removed=1", "cancelled=1", "groups=list:*":
            self.assertIn(said, line)

    def test_a_rule_that_says_something_else_under_the_same_binding_cancels_its_kind(self):
        worker = self.worker("same-binding", rules(rule("user"), rule("order"))).start()
        worker.await_log("cancelled everything")
        since = worker.table.stamp()
        worker.replace_rules(rules(rule("user", cancel=["user:{/id}", "user:{/friend?}"]), rule("order")))
        worker.hang_up()
        worker.await_log("bindings_added=0 bindings_removed=0 cancelled=1")
        worker.await_changed(since, "user:never-emitted")
        self.assertFalse(worker.table.changed(since, "order:never-emitted"), worker.log())

    def test_the_table_says_which_rules_are_served_and_a_restart_with_them_cancels_nothing(self):
        worker = self.worker("noted", rules(rule("user"))).start()
        worker.await_log("cancelled everything")
        noted = worker.table.stat()["rules_hash"]
        self.assertIn(f"rules_hash={noted}", self.last_line(worker, "quashd starts"))
        worker.replace_rules(rules(rule("user"), rule("order")))
        worker.hang_up()
        worker.await_log(RELOADED)
        after = worker.table.stat()["rules_hash"]
        self.assertNotEqual(after, noted)
        self.assertIn(f"rules_hash={after}", self.last_line(worker, RELOADED))
        worker.stop()
        since = worker.table.stamp()
        worker.start()
        self.assert_serves(worker, "order")
        self.assertFalse(worker.table.changed(since, "user:never-emitted"), worker.log())

    def test_a_worker_killed_after_a_reload_goes_on_under_the_new_rules(self):
        worker = self.worker("killed", rules(rule("user"))).start()
        worker.replace_rules(rules(rule("order")))
        worker.hang_up()
        worker.await_log(RELOADED)
        worker.kill()
        since = worker.table.stamp()
        emit(broker, {"id": 1}, routing_key="order.changed")
        worker.start()
        worker.await_changed(since, "order:1")
        self.assertFalse(worker.table.changed(since, "order:2"), worker.log())

    def test_bindings_of_the_new_rules_are_made_again_when_the_queue_is_lost(self):
        worker = self.worker("lost-queue", rules(rule("user"))).start()
        worker.replace_rules(rules(rule("order")))
        worker.hang_up()
        worker.await_log(RELOADED)
        broker.ctl("delete_queue", worker.queue)
        worker.await_log("consuming events", CONNECT_SECONDS_MAX, times=2)
        self.await_bindings(worker, "order")
        self.assert_serves(worker, "order")

    def test_a_queue_that_is_lost_between_binding_and_the_change_is_bound_again(self):
        proxy = Proxy()
        self.addCleanup(proxy.close)
        worker = self.worker("lost-between", rules(rule("user")))
        worker.url = proxy.url
        worker.start()
        worker.replace_rules(rules(rule("user"), rule("order")))
        worker.hang_up()
        self.assertTrue(proxy.held.wait(20), worker.log())
        # The consumer makes the queue again, with the bindings of the old rules.
        broker.ctl("delete_queue", worker.queue)
        worker.await_log("consuming events", CONNECT_SECONDS_MAX, times=2)
        self.assertNotIn(RELOADED, worker.log())
        proxy.release.set()
        worker.await_log(RELOADED)
        self.await_bindings(worker, "user", "order")
        self.assert_serves(worker, "order")

    def test_a_queue_that_is_deleted_again_and_again_during_reloads_ends_up_bound(self):
        worker = self.worker("deleted", rules(rule("user"))).start()

        def delete():
            for _ in range(4):
                broker.ctl("delete_queue", worker.queue, check=False)

        thread = threading.Thread(target=delete)
        thread.start()
        kinds = ["user"]
        while thread.is_alive():
            kinds.append(f"kind{len(kinds)}")
            worker.replace_rules(rules(*map(rule, kinds)))
            worker.hang_up()
            worker.await_log(RELOADED, CONNECT_SECONDS_MAX, times=len(kinds) - 1)
        thread.join()
        self.await_bindings(worker, *kinds)
        self.assertNotIn(KEPT, worker.log())
        self.assertGreater(worker.log_count("consuming events"), 1)
        self.assert_serves(worker, kinds[-1])

    def test_rules_of_thousands_of_bindings_are_reloaded(self):
        worker = self.worker("many", rules(rule("user"))).start()
        worker.replace_rules(rules(*(rule(f"kind{n}") for n in range(2000))))
        worker.hang_up()
        worker.await_log(RELOADED, 60)
        self.assertIn("bindings_added=2000 bindings_removed=1", self.last_line(worker, RELOADED))
        self.assert_serves(worker, "kind1999")
        worker.replace_rules(rules(rule("user")))
        worker.hang_up()
        worker.await_log("bindings_removed=2000", 60)
        self.await_bindings(worker, "user")


class Refusing(ReloadTest):
    def assert_kept(self, worker, *said):
        worker.await_log(KEPT)
        for text in said:
            self.assertIn(text, worker.log())
        self.assertNotIn(RELOADED, worker.log())

    def test_a_file_with_mistakes_changes_nothing_and_each_mistake_is_told(self):
        worker = self.worker("mistakes", rules(rule("user"))).start()
        worker.await_log("cancelled everything")
        since = worker.table.stamp()
        bad = rules(rule("user"), rule("order", cancle=[]), rule("list", cancel=["list:{id}"]), rulez=[])
        worker.replace_rules(bad)
        worker.hang_up()
        self.assert_kept(worker, "cancle", "at=/rules/2/cancel/0", "rulez")
        self.assertEqual(worker.log_count("the rules file cannot be used"), 3, worker.log())
        self.assertFalse(worker.table.changed(since, "user:never-emitted"))
        self.assert_serves(worker, "user")
        worker.replace_rules(rules(rule("order")))
        worker.await_log(RELOADED)
        self.assert_serves(worker, "order")
        worker.stop()
        self.assertEqual((worker.summary()["reloads"], worker.summary()["reloads_refused"]), (1, 1))

    def test_a_file_that_is_cut_short_changes_nothing(self):
        worker = self.worker("cut", rules(rule("user"))).start()
        with open(worker.rules_path, "r+", encoding="utf-8") as file:
            file.truncate(50)
        self.assert_kept(worker, "not JSON", "line=1")
        self.assert_serves(worker, "user")

    def test_a_rule_that_listens_nowhere_changes_nothing(self):
        worker = self.worker("nowhere", rules(rule("user"))).start()
        worker.replace_rules(rules(rule("user"), {"name": "adrift", "cancel": ["x"]}))
        worker.hang_up()
        self.assert_kept(worker, "adrift", "--exchange")
        self.assert_serves(worker, "user")

    def test_dead_letters_without_an_exchange_for_them_change_nothing(self):
        worker = self.worker("dead", rules(rule("user"))).start()
        worker.replace_rules(rules(rule("user", on_missing="dead_letter")))
        worker.hang_up()
        self.assert_kept(worker, "user changed", "--dead-letter-exchange")
        self.assert_serves(worker, "user")

    def test_an_exchange_that_does_not_exist_changes_nothing_until_it_does(self):
        worker = self.worker("no-exchange", rules(rule("user"))).start()
        worker.await_log("cancelled everything")
        since = worker.table.stamp()
        wanted = rules(rule("order"),
                       {"name": "shipment left", "when": {"exchange": "shipping"}, "cancel": ["shipments"]})
        worker.replace_rules(wanted)
        worker.hang_up()
        self.assert_kept(worker, 'exchange \\"shipping\\" does not exist', "shipment left")
        self.await_bindings(worker, "user")  # what had been bound is taken back
        self.assertFalse(worker.table.changed(since, "order:never-emitted"))
        self.assert_serves(worker, "user")
        broker.declare_exchange("shipping")
        worker.hang_up()
        worker.await_log(RELOADED)
        self.assert_serves(worker, "order")
        self.assertEqual(broker.bindings(worker.queue), {("domain", "order.#"), ("shipping", "#")})

    def test_a_missing_permission_changes_nothing_and_is_explained(self):
        broker.declare_exchange("secret")
        broker.ctl("add_user", "limited", "limited")
        broker.ctl("set_permissions", "-p", "/", "limited", r"^quash\..*", r"^quash\..*", r"^(quash\..*|domain)$")
        worker = self.worker("limited", rules(rule("user")))
        worker.url = broker.url.replace("guest:guest", "limited:limited")
        worker.start()
        worker.replace_rules(rules(rule("user"), {"name": "spy", "when": {"exchange": "secret"}, "cancel": ["x"]}))
        worker.hang_up()
        self.assert_kept(worker, "spy", "set_permissions")
        self.assert_serves(worker, "user")

    def test_a_worker_that_waits_for_an_exchange_takes_rules_that_do_not_need_it(self):
        typo = rules(rule("user", when={"exchange": "domian"}))
        worker = self.worker("typo", typo).start(wait=False)
        worker.await_log('exchange \\"domian\\" does not exist', CONNECT_SECONDS_MAX)
        worker.set_rules(rules(rule("user")))
        worker.await_log("consuming events", CONNECT_SECONDS_MAX)
        worker.await_log(RELOADED)
        self.assert_serves(worker, "user")
        self.assertIn("cancelled everything", worker.log())


class Outage(ReloadTest):
    def test_the_newest_file_comes_into_force_when_the_broker_is_back(self):
        with Broker() as own:
            own.declare_exchange("domain")
            worker = self.worker("outage", rules(rule("user")), at=own)
            worker.leaves_a_thread_behind()
            worker.start()
            own.stop()
            worker.await_log("lost the broker", CONNECT_SECONDS_MAX)
            worker.replace_rules(rules(rule("order")))
            worker.hang_up()
            worker.await_log(NOT_YET)
            worker.replace_rules(rules(rule("list")))
            worker.hang_up()
            worker.await_log(NOT_YET, times=2)
            self.assertNotIn(RELOADED, worker.log())
            own.start()
            worker.await_log(RELOADED, CONNECT_SECONDS_MAX)
            self.await_bindings(worker, "list", at=own)
            worker.await_log("consuming events", CONNECT_SECONDS_MAX, times=2)
            self.assert_serves(worker, "list", at=own)
            self.assertEqual(worker.log_count(RELOADED), 1)
            self.assertLessEqual(worker.log_count(NOT_YET), 4, worker.log())  # again at growing intervals only
            self.assertIn("bindings_added=1 bindings_removed=1", self.last_line(worker, RELOADED))

            # Rules that are bound already need no broker; they count from the next event on.
            own.stop()
            worker.await_log("lost the broker", CONNECT_SECONDS_MAX, times=2)
            since = worker.table.stamp()
            worker.replace_rules(rules(rule("list", cancel=["list:{/id}", "all:{/id}"])))
            worker.hang_up()
            worker.await_log(RELOADED, times=2)
            own.start()
            worker.await_log("consuming events", CONNECT_SECONDS_MAX, times=3)
            worker.await_changed(since, "all:never-emitted")
            self.assertFalse(worker.table.changed(since, "list:never-emitted"), worker.log())

            # Asked to end while the broker hangs in the middle of a reload.
            own.pause()
            worker.replace_rules(rules(rule("other")))
            worker.hang_up()
            await_true(lambda: self.reload_connects(worker), 10, "the reload to connect")
            self.assertEqual(worker.terminate(END_SECONDS_MAX), 0)
            self.assertIn("stopped", worker.log())
            own.resume()

    @staticmethod
    def reload_connects(worker):
        """Whether the worker has more sockets than the one of its consumer."""
        directory = f"/proc/{worker.process.pid}/fd"
        targets = [os.readlink(os.path.join(directory, name)) for name in os.listdir(directory)]
        return sum(target.startswith("socket:") for target in targets) > 1


class Stream(threading.Thread):
    """Publishes one event after the other, each with an id of its own, mandatory and confirmed, until it is ended. A
    slow worker is kept busy: there are always some events for it, but never many more than `LAG_MAX`."""

    PAUSE_SECONDS = 0.0002
    LAG_MAX = 300
    STALL_SECONDS_MAX = 60

    def __init__(self, ids, key, applied):
        super().__init__(daemon=True)
        self.ids = ids
        self.key = key          # of an id: its routing key
        self.applied = applied  # of an id: whether its event has been
        self.sent = []
        self.stalled = None
        self.ending = threading.Event()
        self.process = subprocess.Popen(
            [QUASH, "emit", "--amqp-url", broker.url, "--exchange", "domain", "--records", "-"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=die_with_parent)

    def run(self):
        for number in self.ids:
            self.await_worker()
            if self.ending.is_set():
                break
            record = {"exchange": "domain", "routing_key": self.key(number), "body": {"id": number}}
            self.process.stdin.write(json.dumps(record).encode() + b"\n")
            self.process.stdin.flush()
            self.sent.append(number)
            time.sleep(self.PAUSE_SECONDS)

    def await_worker(self):
        deadline = time.monotonic() + self.STALL_SECONDS_MAX
        while len(self.sent) > self.LAG_MAX and not self.applied(self.sent[-self.LAG_MAX]):
            if self.ending.wait(0.001):
                return
            if time.monotonic() > deadline:
                self.stalled = self.sent[-self.LAG_MAX]
                self.ending.set()

    def end(self):
        """Returns the ids that were published, every one of them confirmed and routed."""
        self.ending.set()
        self.join()
        out, errors = self.process.communicate(timeout=60)
        if self.process.returncode != 0:
            raise AssertionError(f"quash emit ended with {self.process.returncode}: {out}{errors}")
        if self.stalled is not None:
            raise AssertionError(f"event {self.stalled} was not applied in {self.STALL_SECONDS_MAX} s")
        return self.sent


class ManyReloads(ReloadTest):
    """A thousand rules, two for each event: the first half of the file and the second cancel a group each, and which
    pair of groups depends on the version of the file. An event judged by parts of two versions would cancel one group
    of each pair; one that was lost would cancel none. The groups are looked up in the table one by one, because every
    reload cancels their kinds as a whole."""

    PAIRS = 500
    MOVING = 20  # pairs whose binding is another in each version, though it covers the same events
    BUCKETS = 1 << 18
    KINDS = ["a", "b"], ["c", "d"]
    RELOADS = 15 if is_sanitized() else 100
    MEMORY_FROM = 20
    MEMORY_GROWTH_KB_MAX = 1024

    def version(self, number):
        kinds = self.KINDS[number % 2]
        first_word = "e" if number % 2 == 0 else "*"
        return rules(*({"name": f"{kind} {pair}", "cancel": [f"{kind}:{{/id}}"],
                        "when": {"exchange": "domain",
                                 "routing_key": f"{first_word if pair < self.MOVING else 'e'}.{pair}.#"}}
                       for kind in kinds for pair in range(self.PAIRS)))

    def key(self, number):
        return f"e.{number % self.PAIRS}.x"

    @staticmethod
    def slot(table, group):
        return quash_table.locate(group.encode(), table.seed, table.buckets)

    def distinct(self, table, count):
        """Ids of which no two groups could be taken for each other."""
        taken = {self.slot(table, f"{kind}:*") for kinds in self.KINDS for kind in kinds} | {self.slot(table, "*")}
        for number in range(count):
            slots = {self.slot(table, f"{kind}:{number}") for kinds in self.KINDS for kind in kinds}
            if len(slots) == 4 and not slots & taken:
                taken |= slots
                yield number

    def cancelled(self, table, group):
        bucket, tag = self.slot(table, group)
        return any(word >> quash_table.STAMP_BITS == tag and word & quash_table.STAMP_MASK > 0
                   for word in table.slot_words(bucket))

    def applied(self, table, number):
        return any(self.cancelled(table, f"{kind}:{number}") for kinds in self.KINDS for kind in kinds)

    @staticmethod
    def memory_kb(worker):
        """Without the table's, which grows with the groups."""
        with open(f"/proc/{worker.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"RssAnon:\s+(\d+) kB", file.read()).group(1))

    def test_under_a_steady_stream_no_event_is_lost_or_judged_by_half_a_file(self):
        worker = self.worker("stream", self.version(0), flags=["--table-buckets", str(self.BUCKETS)]).start()
        with quash_table.Table.open(worker.table.path) as table:
            stream = Stream(self.distinct(table, 1_000_000), self.key, lambda number: self.applied(table, number))
            stream.start()
            memory = {}
            for number in range(1, self.RELOADS + 1):
                worker.replace_rules(self.version(number))
                worker.hang_up()
                worker.await_log(RELOADED, 60, times=number)
                memory[number] = self.memory_kb(worker)
            sent = stream.end()
            since = worker.table.stamp()
            emit(broker, {"id": "last"}, routing_key="e.0.x")
            worker.await_changed(since, f"{self.KINDS[self.RELOADS % 2][0]}:last", seconds=60)
            self.assertEqual(worker.table.stat()["buckets_overflowed"], 0)
            found = {0: 0, 1: 0}
            for number in sent:
                groups = [[self.cancelled(table, f"{kind}:{number}") for kind in kinds] for kinds in self.KINDS]
                self.assertIn(groups, ([[True, True], [False, False]], [[False, False], [True, True]]),
                              f"event {number}")
                found[groups.index([True, True])] += 1
        self.assertGreater(min(found.values()), 0, "the stream met only one of the versions")
        worker.stop()
        summary = worker.summary()
        self.assertEqual(summary["reloads"], self.RELOADS)
        self.assertEqual(summary["reloads_refused"], 0)
        self.assertEqual(summary["events"], len(sent) + 1)
        self.assertEqual(summary["ignored"], 0)
        if self.RELOADS > self.MEMORY_FROM:
            self.assertLess(max(memory[number] for number in memory if number > self.RELOADS - 10) -
                            max(memory[number] for number in memory if number <= self.MEMORY_FROM),
                            self.MEMORY_GROWTH_KB_MAX, memory)


if __name__ == "__main__":
    unittest.main()
