"""libquash and an independent reader agree on every table, whoever wrote it: thousands of random cancellations and
questions, on tables that never overflow and on tables that always do."""

import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

import quash_table  # noqa: E402
import table_file  # noqa: E402
from quash_table import Change, Stamp, Table, TableError  # noqa: E402

TOOL = os.environ.get("QUASH_TABLE_TOOL", "table_tool")
TIMEOUT_S = 60


class Tool:
    """A process with libquash in it."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([TOOL, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.alarm = threading.Timer(TIMEOUT_S, self.process.kill)
        self.alarm.start()
        status, fresh, self.message = self.process.stdout.readline().rstrip("\n").split(" ", 2)
        self.status, self.fresh = int(status), fresh == "1"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(TIMEOUT_S)
        self.process.stdout.close()
        self.alarm.cancel()

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return [int(word) for word in self.process.stdout.readline().split()]

    def cancel(self, groups):
        return self.ask("cancel", *[group.hex() for group in groups])[0]

    def stamp(self):
        return Stamp(*self.ask("stamp"))

    def changed(self, groups, since):
        return Change(self.ask("changed", since.sequence, *[group.hex() for group in groups])[0])

    def info(self):
        names = ("sequence", "changes", "slots_used", "buckets_overflowed", "retired", "same_boot")
        return dict(zip(names, self.ask("info")))


class Writer:
    """The writer's algorithm as the format's page has it, step by step, for a table that nobody else writes. It keeps the
    bytes that the file ought to have, and can put them there."""

    def __init__(self, content):
        self.words = list(struct.unpack(f"<{len(content) // 8}Q", content))
        self.buckets = self.words[0x10 // 8]
        self.seed = self.words[0x18 // 8]

    def cancel(self, group):
        self.words[0x100 // 8] += 1
        stamp = self.words[0x100 // 8]
        bucket, tag = quash_table.locate(group, self.seed, self.buckets)
        first = (4096 + 64 * bucket) // 8
        slots = range(first, first + 7)
        matching = [slot for slot in slots if self.words[slot] >> 48 == tag]
        if matching:
            slot = max(matching, key=lambda slot: self.words[slot])
        else:
            slot = min(slots, key=lambda slot: self.words[slot] & quash_table.STAMP_MASK)
            self.words[first + 7] = max(self.words[first + 7], self.words[slot] & quash_table.STAMP_MASK)
        self.words[slot] = tag << 48 | stamp
        self.words[0x180 // 8] += 1

    def content(self):
        return struct.pack(f"<{len(self.words)}Q", *self.words)


def random_group(rng):
    """Names as they come: kinds, ids, flushes, bytes that are no text, colons in odd places, any length."""
    kind = rng.choice([b"tenant", b"region", b"user", b"catalog", b"\xff\xfe", b""])
    form = rng.randrange(10)
    if form == 0:
        return b"*"
    if form == 1:
        return kind + b":*"
    if form == 2:
        return kind or b"bare"
    if form == 3:
        return kind + b":" + bytes(rng.randrange(1, 256) for _ in range(rng.randrange(0, 512 - len(kind))))
    return kind + b":" + str(rng.randrange(40)).encode()


class TableTest(unittest.TestCase):
    def setUp(self):
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.directory = tempfile.mkdtemp(prefix="quash-test-", dir=base)
        self.addCleanup(shutil.rmtree, self.directory)
        self.path = os.path.join(self.directory, "web")

    def read_file(self):
        with open(self.path, "rb") as file:
            return file.read()


class Agreement(TableTest):
    def exchange(self, tool, rng, rounds, flushes):
        """Random cancellations and questions; how often each answer came."""
        seen = {change: 0 for change in Change}
        with Table.open(self.path) as table:
            writer = Writer(self.read_file())
            stamps = [table.stamp()]
            groups = [group for group in (random_group(rng) for _ in range(100)) if flushes or not group.endswith(b"*")]
            for _ in range(rounds):
                cancelled = rng.choices(groups, k=rng.choice([0, 1, 1, 1, 2, 5]))
                self.assertEqual(tool.cancel(cancelled), 0)
                for group in cancelled:
                    writer.cancel(group)
                stamps = stamps[-30:] + [table.stamp()]
                self.assertEqual(stamps[-1], tool.stamp())
                for _ in range(4):
                    named = rng.choices(groups, k=rng.choice([0, 1, 1, 2, 8]))
                    since = rng.choice(stamps)
                    answer = table.changed(named, since)
                    self.assertEqual(answer, tool.changed(named, since), (named, since))
                    seen[answer] += 1
            ours, theirs = table.info(), tool.info()
            self.assertEqual({name: ours[name] for name in theirs}, theirs)
        self.assertEqual(self.read_file(), writer.content())
        return seen

    def test_on_a_table_that_remembers_everything(self):
        with Tool("serve", self.path, 16384) as tool:
            self.assertTrue(tool.fresh)
            seen = self.exchange(tool, random.Random(1), 2000, flushes=False)
        self.assertGreater(seen[Change.CHANGED], 500)
        self.assertGreater(seen[Change.UNCHANGED], 500)
        self.assertEqual(seen[Change.COLLATERAL], 0)

    def test_on_a_table_of_one_bucket(self):
        with Tool("serve", self.path, 1) as tool:
            seen = self.exchange(tool, random.Random(2), 2000, flushes=False)
        self.assertTrue(all(count > 500 for count in seen.values()), seen)

    def test_on_small_tables_with_flushes_of_kinds_and_all(self):
        for seed, buckets in enumerate([1, 2, 4, 16]):
            with self.subTest(buckets=buckets):
                with Tool("serve", self.path, buckets) as tool:
                    seen = self.exchange(tool, random.Random(seed), 1000, flushes=True)
                self.assertGreater(seen[Change.CHANGED], 100)
            os.unlink(self.path)

    def test_on_tables_that_libquash_did_not_write(self):
        rng = random.Random(3)
        for buckets in (1, 4, 1024):
            with self.subTest(buckets=buckets):
                table_file.write_table(self.path, buckets=buckets, seed=rng.getrandbits(64),
                                       incarnation=rng.getrandbits(63) + 1)
                writer = Writer(self.read_file())
                stamps = []
                groups = [random_group(rng) for _ in range(60)]
                for _ in range(300):
                    writer.cancel(rng.choice(groups))
                    stamps.append(writer.words[0x100 // 8])
                with open(self.path, "r+b") as file:
                    file.write(writer.content())
                # It is taken over as it is, and cancelled in.
                with Tool("serve", self.path, buckets) as tool, Table.open(self.path) as table:
                    self.assertEqual((tool.status, tool.fresh), (0, False), tool.message)
                    for _ in range(1000):
                        named = rng.choices(groups, k=rng.choice([1, 1, 3]))
                        since = Stamp(table.incarnation, rng.choice(stamps))
                        self.assertEqual(table.changed(named, since), tool.changed(named, since), (named, since))
                    for group in groups:
                        tool.cancel([group])
                        writer.cancel(group)
                self.assertEqual(self.read_file(), writer.content())
            os.unlink(self.path)


class Between(TableTest):
    """Two processes of libquash and this reader on one table."""

    def test_a_cancel_of_one_process_is_seen_by_the_next_check_of_the_others(self):
        with Tool("serve", self.path, 16) as worker, Tool("open", self.path) as writer, \
                Table.open(self.path) as table:
            for i in range(500):
                group = b"tenant:%d" % i
                stamp = table.stamp()
                changes = table.changes()
                self.assertEqual((worker if i % 2 else writer).cancel([group]), 0)
                self.assertEqual(table.changes(), changes + 1)
                self.assertEqual(table.changed([group], stamp), Change.CHANGED)
                self.assertEqual(table.changed([group], table.stamp()), Change.UNCHANGED)

    def test_a_replaced_table_has_changed_as_a_whole(self):
        with Tool("serve", self.path, 16) as worker:
            with Table.open(self.path) as table:
                stamp = table.stamp()
                self.assertTrue(table.current())
                os.unlink(self.path)
                self.assertTrue(table.current())  # until somebody says otherwise
                self.assertEqual(worker.ask("refresh"), [0, 1])
                self.assertFalse(table.current())
                self.assertTrue(table.retired())
                self.assertEqual(table.changed(["tenant:1"], stamp), Change.CHANGED)
            with Table.open(self.path) as table:
                self.assertEqual(table.changed(["tenant:1"], stamp), Change.CHANGED)
                self.assertEqual(table.changed(["tenant:1"], table.stamp()), Change.UNCHANGED)


class Refusal(TableTest):
    """What one reader refuses, the other refuses."""

    def refused(self, reason, path=None):
        path = path or self.path
        with self.assertRaisesRegex(TableError, reason):
            Table.open(path)
        with Tool("open", path) as tool:
            self.assertNotEqual(tool.status, 0)
            self.assertIn(path, tool.message)

    def damaged(self, reason, **fields):
        table_file.write_table(self.path, **fields)
        self.refused(reason)
        os.unlink(self.path)

    def test_of_what_is_no_file(self):
        self.refused("No such file")
        self.refused("not a regular file", self.directory)
        os.symlink("web", os.path.join(self.directory, "link"))
        self.refused("symbolic link", os.path.join(self.directory, "link"))
        os.mkfifo(self.path)
        self.refused("not a regular file")

    def test_of_damage(self):
        self.damaged("not a table", magic=b"QUASHTBX")
        self.damaged("not a table", size=0)
        self.damaged("newer", version=2)
        self.damaged("damaged", version=0)
        self.damaged("damaged", header_bytes=8192)
        self.damaged("damaged", incarnation=0)
        self.damaged("damaged", buckets=3)
        self.damaged("damaged", size=100)
        self.damaged("damaged", size=4096)
        self.damaged("damaged", size=4096 + 16 * 64 - 1)

    def test_of_files_that_others_may_write(self):
        self.damaged("others may write", mode=0o620)
        self.damaged("others may write", mode=0o602)

    def test_of_nothing_else(self):
        table_file.write_table(self.path, mode=0o644)
        Table.open(self.path).close()
        with Tool("open", self.path) as tool:
            self.assertEqual(tool.status, 0, tool.message)


class WorkedExample(TableTest):
    """The example on the format's page."""

    def test_holds_to_the_byte(self):
        table_file.write_table(self.path, buckets=16, seed=0x0123456789ABCDEF)
        with Tool("serve", self.path, 16) as tool, Table.open(self.path) as table:
            self.assertFalse(tool.fresh)
            stamp = table.stamp()
            self.assertEqual(stamp.sequence, 0)
            for group in (b"region:eu", b"tenant:42", b"region:eu"):
                tool.cancel([group])
            content = self.read_file()
            words = {offset: word for offset, (word,) in
                     zip(range(4096, len(content), 8), struct.iter_unpack("<Q", content[4096:])) if word}
            self.assertEqual(words, {0x1040: 0xDB5A000000000002, 0x1340: 0x8F05000000000003})
            self.assertEqual(struct.unpack_from("<Q", content, 0x100)[0], 3)
            self.assertEqual(struct.unpack_from("<Q", content, 0x180)[0], 3)
            self.assertEqual(table.changed(["tenant:42"], stamp), Change.CHANGED)
            self.assertEqual(table.changed(["tenant:42"], Stamp(stamp.incarnation, 2)), Change.UNCHANGED)
            self.assertEqual(table.changed(["catalog"], stamp), Change.UNCHANGED)

            others = (group for group in (b"other:%d" % i for i in range(100000))
                      if quash_table.locate(group, table.seed, 16)[0] == 1)
            for _ in range(7):
                tool.cancel([next(others)])
            self.assertEqual(table.floor(1), 2)
            self.assertEqual(table.slot_words(1)[0] & quash_table.STAMP_MASK, 10)
            self.assertEqual(table.changed(["tenant:42"], stamp), Change.COLLATERAL)
            self.assertEqual(table.changed(["tenant:42"], Stamp(stamp.incarnation, 2)), Change.UNCHANGED)
            self.assertEqual(table.changed(["catalog"], stamp), Change.COLLATERAL)


if __name__ == "__main__":
    unittest.main()
