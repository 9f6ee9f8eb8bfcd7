"""The worker while its broker is absent, dies, hangs or never answers; it ends at once in each of these states.

The worker must keep trying, say so without filling the log, notice a broker that went silent, go on by itself, and keep
its main thread, which the table's heartbeat comes from, responsive all the while.
"""

import os
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from broker import Broker, await_true, free_port  # noqa: E402
from worker import CONNECT_SECONDS_MAX, Worker, emit  # noqa: E402

UNTOUCHED = "user:never-emitted"
END_SECONDS_MAX = 3        # design: about two
SILENCE_SECONDS_MAX = 40   # two heartbeats are 20


class Outage(unittest.TestCase):
    def test_a_broker_that_comes_dies_and_comes_back(self):
        with Broker() as broker:
            broker.declare_exchange("domain")
            broker.kill()
            with Worker(broker.url, "outage") as worker:
                # Absent at the start: told once, then again after a while, though it is tried more often.
                worker.start(wait=False)
                worker.await_log("cannot consume events")
                self.assertIn("Connection refused", worker.log())
                worker.await_log("cannot consume events", 30, times=2)
                self.assertGreaterEqual(self.attempts(worker), 4)
                self.assertEqual(worker.terminate(END_SECONDS_MAX), 0)  # it was pausing
                worker.start(wait=False)
                worker.await_log("cannot consume events")
                broker.start()
                broker.declare_exchange("domain")  # killed a moment after the first time, it may have forgotten
                worker.await_log("consuming events", CONNECT_SECONDS_MAX)
                self.assertRegex(worker.log(), r"connected to the broker after \d+ attempts")
                worker.await_log("cancelled everything")

                # Dies: what was not consumed is there when it is back, and nothing else is cancelled.
                since = worker.table.stamp()
                broker.kill()
                worker.await_log("lost the broker", CONNECT_SECONDS_MAX)
                broker.start()
                worker.await_log("consuming events", CONNECT_SECONDS_MAX, times=2)
                emit(broker, {"id": 1})
                worker.await_changed(since, "user:1")
                self.assertFalse(worker.table.changed(since, UNTOUCHED), worker.log())

                # Stops in an orderly way, which it announces.
                broker.stop()
                worker.await_log("lost the broker", CONNECT_SECONDS_MAX, times=2)
                self.assertIn("CONNECTION_FORCED", worker.log())
                broker.start()
                worker.await_log("consuming events", CONNECT_SECONDS_MAX, times=3)

                # Hangs: nothing is closed and nothing answers. The heartbeat notices; the main thread never waits.
                broker.pause()
                deadline = time.monotonic() + SILENCE_SECONDS_MAX
                while worker.log_count("lost the broker") < 3:
                    self.assertLess(time.monotonic(), deadline, worker.log())
                    self.assertLess(worker.table.worker()["heartbeat_age_ms"], 3000)
                    time.sleep(0.2)
                self.assertIn("silent", worker.log())
                await_true(lambda: not worker.table.worker().get("connected"), 5, "the table to say so")
                broker.resume()
                worker.await_log("consuming events", CONNECT_SECONDS_MAX, times=4)
                emit(broker, {"id": 2})
                worker.await_changed(since, "user:2")
                self.assertFalse(worker.table.changed(since, UNTOUCHED), worker.log())

                # Is asked to end while the broker hangs.
                broker.pause()
                self.assertEqual(worker.terminate(END_SECONDS_MAX), 0)
                broker.resume()

    @staticmethod
    def attempts(worker):
        return int(worker.log().rsplit("attempts=", 1)[1].split()[0])


class Ending(unittest.TestCase):
    """SIGTERM before there is a connection."""

    def assert_ends(self, worker, seconds=END_SECONDS_MAX):
        self.assertEqual(worker.terminate(seconds), 0)
        self.assertIn("stopped", worker.log())

    def test_while_connecting_to_a_host_that_does_not_answer(self):
        with socket.socket() as listener:
            # A listener whose queue is full drops what comes, as a firewall does.
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            port = listener.getsockname()[1]
            waiting = []
            try:
                for _ in range(4):
                    connection = socket.socket()
                    connection.setblocking(False)
                    connection.connect_ex(("127.0.0.1", port))
                    waiting.append(connection)
                with Worker(f"amqp://127.0.0.1:{port}/", "blackhole") as worker:
                    worker.start(wait=False)
                    worker.await_log("quashd starts")
                    await_true(lambda: self.is_connecting(port, worker), 10, "a connection attempt")
                    self.assert_ends(worker, 1.5)
                    self.assertNotIn("cannot consume", worker.log())
            finally:
                for connection in waiting:
                    connection.close()

    @staticmethod
    def is_connecting(port, worker):
        """Whether the worker has a socket in SYN_SENT towards the port."""
        inodes = set()
        for name in os.listdir(f"/proc/{worker.process.pid}/fd"):
            try:
                target = os.readlink(f"/proc/{worker.process.pid}/fd/{name}")
            except OSError:
                continue
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
        with open("/proc/net/tcp", encoding="ascii") as file:
            rows = [line.split() for line in file][1:]
        return any(row[2].endswith(f":{port:04X}") and row[3] == "02" and row[9] in inodes for row in rows)

    def test_while_logging_in_to_something_that_never_answers(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            listener.settimeout(20)
            with Worker(f"amqp://127.0.0.1:{listener.getsockname()[1]}/", "silent") as worker:
                worker.leaves_a_thread_behind()
                worker.start(wait=False)
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(20)
                    self.assertEqual(connection.recv(8), b"AMQP\x00\x00\x09\x01")
                    await_true(lambda: worker.table.worker().get("pid") == worker.process.pid, 10, "a heartbeat")
                    self.assert_ends(worker)
                    self.assertIn("does not answer", worker.log())

    def test_while_pausing_between_attempts(self):
        with Worker(f"amqp://127.0.0.1:{free_port()}/", "pausing") as worker:
            worker.start(wait=False)
            worker.await_log("cannot consume events")
            self.assert_ends(worker, 1.5)


class Retrying(unittest.TestCase):
    def test_a_port_that_hangs_up_is_tried_with_growing_pauses_and_told_once(self):
        times = []
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()

            def hang_up():
                while True:
                    try:
                        connection, _ = listener.accept()
                    except OSError:
                        return
                    times.append(time.monotonic())
                    connection.close()

            thread = threading.Thread(target=hang_up)
            thread.start()
            try:
                with Worker(f"amqp://127.0.0.1:{listener.getsockname()[1]}/", "hang-up") as worker:
                    worker.start(wait=False)
                    await_true(lambda: len(times) >= 5, 20, "five attempts")
                    self.assertEqual(worker.log_count("cannot consume events"), 1, worker.log())
                    self.assertIn("AMQP port", worker.log())
                    self.assertEqual(worker.terminate(END_SECONDS_MAX), 0)
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                thread.join()
        pauses = [later - earlier for earlier, later in zip(times, times[1:])]
        self.assertGreaterEqual(pauses[0], 0.1)
        self.assertGreater(pauses[3], pauses[0])


if __name__ == "__main__":
    unittest.main()
