"""kill -9 of quashd in the middle of 100,000 events loses none: nothing is acknowledged that was not applied."""

import json
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from broker import Broker, await_true  # noqa: E402
from worker import CONNECT_SECONDS_MAX, Worker, emit, quash  # noqa: E402

EVENTS = 100_000
UNTOUCHED = "user:never-emitted"
# So many that no bucket pushes a group out: 100,000 groups in 1.8 million slots. Every answer is then exact.
BUCKETS = 262_144


class Crash(unittest.TestCase):
    def test_kill_in_the_middle_of_100000_events(self):
        with Broker() as broker, Worker(broker.url, "crash", flags=["--table-buckets", str(BUCKETS)]) as worker:
            broker.declare_exchange("domain")
            worker.start()
            worker.await_log("cancelled everything")
            worker.stop()
            since = worker.table.stamp()
            done = quash("emit", "--amqp-url", broker.url, "--records", "-", stdin=self.records())
            self.assertIn(f"published {EVENTS} events, {EVENTS} confirmed", done.stdout)
            groups = [f"user:{n}" for n in range(EVENTS)]

            left = EVENTS
            for part in (0.1, 0.4, 0.7):
                left = self.kill_in_the_middle(broker, worker, since, part)
                acknowledged = groups[:EVENTS - left]
                self.assertGreater(len(acknowledged), 0)
                self.assertGreater(left, 0, "the kill came too late")
                # The first ones in the queue are acknowledged first: each must be in the table, without the worker.
                self.assert_all(worker, since, acknowledged)
            self.assertNotIn("cancelled everything", worker.log())

            worker.start()
            emit(broker, {"id": "last"})
            worker.await_changed(since, "user:last", seconds=120)
            self.assert_all(worker, since, groups)
            # Nothing of this is owed to a flush.
            self.assertEqual(worker.table.answers(since, [UNTOUCHED]), {UNTOUCHED: "unchanged"})
            self.assertNotIn("cancelled everything", worker.log())
            await_true(lambda: broker.queues()[worker.queue] == 0, 60, "the queue to be empty")
            worker.stop()
            self.assertEqual(worker.summary()["malformed"], 0)

    @staticmethod
    def records():
        return "".join(json.dumps({"exchange": "domain", "routing_key": "user.changed", "body": {"id": n}}) + "\n"
                       for n in range(EVENTS)).encode()

    @staticmethod
    def kill_in_the_middle(broker, worker, since, part):
        """Lets the worker apply that part of all events, kills it, and returns how many are in the queue then."""
        worker.start(wait=False)
        # A batch is no larger than half the prefetch; this group is in the table once the part is.
        marker = f"user:{int(EVENTS * part)}"
        await_true(lambda: worker.process.poll() is None and worker.table.changed(since, marker), 120,
                   lambda: f"{marker} to be cancelled:\n{worker.log()}", interval=0)
        worker.kill()

        def disconnected():
            rows = broker.ctl("list_queues", "--no-table-headers", "name", "consumers", "messages").splitlines()
            consumers, messages = {row.split("\t")[0]: row.split("\t")[1:] for row in rows}[worker.queue]
            return (int(messages),) if consumers == "0" else None
        return await_true(disconnected, CONNECT_SECONDS_MAX, "the broker to notice")[0]

    def assert_all(self, worker, since, groups):
        answers = worker.table.answers(since, groups)
        missing = [group for group in groups if answers[group] != "changed"]
        self.assertEqual(len(missing), 0, f"{len(missing)} of {len(groups)} not cancelled, such as {missing[:5]}")


if __name__ == "__main__":
    unittest.main()
