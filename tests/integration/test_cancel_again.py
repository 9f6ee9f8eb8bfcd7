"""Rules with `repeat_after_ms`, against a real broker: their groups are cancelled once more, whatever becomes of the
connection, and a worker that dies before that leaves a table that its successor flushes."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from broker import Broker, await_true  # noqa: E402
from worker import CONNECT_SECONDS_MAX, Worker, emit  # noqa: E402

UNTOUCHED = "user:never-emitted"
FLUSHED = "cancelled everything: events may have been missed"
SOON_MS, LATER_MS = 700, 3_000_000

broker = None


def setUpModule():
    global broker
    broker = Broker()
    broker.open()
    unittest.addModuleCleanup(broker.close)
    broker.declare_exchange("domain")


def rules(after_ms):
    return {"version": 1, "rules": [
        {"name": "replicated", "when": {"exchange": "domain", "routing_key": "user.#"}, "cancel": ["user:{/id}"],
         "repeat_after_ms": after_ms},
        {"name": "plain", "when": {"exchange": "domain", "routing_key": "order.#"}, "cancel": ["order:{/id}"]}]}


class CancelAgain(unittest.TestCase):
    def started(self, instance, after_ms):
        worker = Worker(broker.url, instance, rules=rules(after_ms))
        self.addCleanup(worker.__exit__)
        worker.start()
        worker.await_log(FLUSHED)
        return worker

    def cancelled_once(self, worker, name):
        """Emits an event and returns a stamp from after its first cancellation."""
        since = worker.table.stamp()
        emit(broker, {"id": name})
        worker.await_changed(since, f"user:{name}")
        return worker.table.stamp()

    def flushes_at_the_next_start(self, worker):
        since = worker.table.stamp()
        worker.start()
        emit(broker, {"id": "after"}, routing_key="order.paid")
        worker.await_changed(since, "order:after")
        return worker.table.changed(since, UNTOUCHED)

    def test_a_group_is_cancelled_again_and_others_are_not(self):
        worker = self.started("again", [SOON_MS, 2 * SOON_MS])
        for _ in range(2):
            between = self.cancelled_once(worker, "1")
            emit(broker, {"id": "2"}, routing_key="order.paid")
            worker.await_changed(between, "order:2")
            after_plain = worker.table.stamp()
            worker.await_changed(between, "user:1")
            worker.await_changed(worker.table.stamp(), "user:1")
            self.assertFalse(worker.table.changed(after_plain, "order:2"))
            self.assertFalse(worker.table.changed(between, UNTOUCHED))
        worker.stop()
        self.assertEqual(worker.summary()["repeated"], 4)
        self.assertEqual(worker.summary()["repeats_pending"], 0)
        self.assertFalse(self.flushes_at_the_next_start(worker))

    def test_a_lost_broker_does_not_stop_it_and_costs_no_flush(self):
        worker = self.started("lost", [SOON_MS, LATER_MS])
        between = self.cancelled_once(worker, "1")
        broker.kill()
        try:
            worker.await_log("lost the broker")
            worker.await_changed(between, "user:1")
            self.assertFalse(worker.table.changed(between, UNTOUCHED))
        finally:
            broker.start()
        # It connects while the second time is still to come, so that the table does not say what it is served with.
        worker.await_log("consuming events", CONNECT_SECONDS_MAX, times=2)
        emit(broker, {"id": "after"}, routing_key="order.paid")
        worker.await_changed(between, "order:after")
        self.assertFalse(worker.table.changed(between, UNTOUCHED), worker.log())

    def test_a_kill_while_one_is_pending_flushes_at_the_next_start(self):
        worker = self.started("killed", LATER_MS)
        self.cancelled_once(worker, "1")
        # The first cancellation is seen before the event is acknowledged: without that it would only come again.
        await_true(lambda: broker.queues()[worker.queue] == 0, 20, "the acknowledgement")
        worker.kill()
        self.assertTrue(self.flushes_at_the_next_start(worker))
        self.assertIn("left to cancel again", worker.log())
        worker.kill()
        self.assertFalse(self.flushes_at_the_next_start(worker))

    def test_an_orderly_end_while_one_is_pending_tells_and_flushes_at_the_next_start(self):
        worker = self.started("ended", LATER_MS)
        self.cancelled_once(worker, "1")
        worker.stop()
        self.assertIn("groups were still to be cancelled again", worker.log())
        self.assertEqual(worker.summary()["repeats_pending"], 1)
        self.assertTrue(self.flushes_at_the_next_start(worker))

    def test_repeats_survive_other_rules(self):
        worker = self.started("reloaded", 4 * SOON_MS)
        between = self.cancelled_once(worker, "1")
        worker.set_rules({"version": 1, "rules": [rules(0)["rules"][1]]})
        worker.process.send_signal(1)
        worker.await_log("reloaded the rules")
        after = worker.table.stamp()
        worker.await_changed(after, "user:1")
        self.assertFalse(worker.table.changed(between, UNTOUCHED), worker.log())


if __name__ == "__main__":
    unittest.main()
