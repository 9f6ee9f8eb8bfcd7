"""quash-bench measures what it says it does, and tells mistakes from figures. No test here judges a time.

QUASH_BENCH names the program; QUASH_BENCH_RULES is 1 if it measures rules too.
"""

import collections
import json
import os
import pathlib
import random
import signal
import subprocess
import tempfile
import time
import unittest

BENCH = os.environ["QUASH_BENCH"]
HAS_RULES = os.environ.get("QUASH_BENCH_RULES") == "1"  # built with the worker
COMMANDS = ("get", "cancel", "memory", "trace", "stampede") + (("rules",) if HAS_RULES else ())


def run(*arguments, stdin="", code=0, stdout=subprocess.PIPE):
    done = subprocess.run([BENCH, *arguments], input=stdin, stdout=stdout, stderr=subprocess.PIPE, text=True,
                          timeout=120)
    if done.returncode != code:
        raise AssertionError(f"{arguments} exited with {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}")
    return done


def figures(*arguments, **options):
    """The one JSON object on the one line that --json prints."""
    output = run(*arguments, "--json", **options).stdout
    assert output.count("\n") == 1 and output.endswith("\n"), output
    return json.loads(output)


def get(*arguments):
    return figures("get", "--entries", "2000", "--seconds", "0.1", *arguments)


class Get(unittest.TestCase):
    def test_the_figures_of_a_plain_run_are_there_and_consistent(self):
        result = get("--value-bytes", "64", "--groups", "2", "--zipf", "0.99")
        self.assertEqual((result["command"], result["entries"], result["value_bytes"], result["groups"]),
                         ("get", 2000, 64, 2))
        self.assertEqual(result["hit_ratio"], 1)
        self.assertEqual(result["baseline_hit_ratio"], 1)
        for key in ("ops_per_s", "ns_p50", "ns_p99", "baseline_ops_per_s", "baseline_ns_p50", "baseline_ns_p99"):
            self.assertGreater(result[key], 0, key)
        self.assertLessEqual(result["ns_p50"], result["ns_p99"])
        self.assertLessEqual(result["ops_per_s_low"], result["ops_per_s_high"])
        self.assertAlmostEqual(result["ratio"], result["ops_per_s"] / result["baseline_ops_per_s"], delta=0.002)
        self.assertGreater(result["bytes_per_entry"], 80)
        self.assertGreaterEqual(result["preempted_percent"], 0)
        self.assertLess(result["preempted_percent"], 100)
        self.assertNotIn("scaling", result)
        self.assertNotIn("storm_ratio", result)

    def test_two_threads_are_compared_with_one(self):
        result = get("--threads", "2")
        self.assertAlmostEqual(result["scaling"], result["ops_per_s"] / result["one_thread_ops_per_s"], delta=0.002)

    def test_cancellations_of_unrelated_groups_cost_no_hits(self):
        result = get("--cancels-per-s", "2000", "--threads", "2")
        self.assertEqual(result["hit_ratio"], 1)
        self.assertGreater(result["cancels_per_s"], 0)
        self.assertAlmostEqual(result["storm_ratio"], result["ops_per_s"] / result["quiet_ops_per_s"], delta=0.002)

    def test_a_table_that_has_forgotten_shows_as_misses(self):
        # Far more different groups than the table remembers.
        result = get("--cancels-per-s", "10000000", "--cancel-names", "100000000", "--cancel-burst", "10000",
                     "--seconds", "1")
        storm_s = result["rounds"] * result["slice_ms"] / 1000
        if result["cancels_per_s"] * storm_s > 500_000:
            self.assertGreater(result["misses_collateral"], 0)
            self.assertLess(result["hit_ratio"], 1)

    def test_writes_are_stored_and_found(self):
        self.assertEqual(get("--write-percent", "50")["hit_ratio"], 1)
        everything = get("--write-percent", "100", "--groups", "0")
        self.assertGreater(everything["ops_per_s"], 0)
        for key in ("hit_ratio", "ns_p50", "ns_p99"):  # of no lookups
            self.assertIsNone(everything[key], key)

    def test_a_cache_that_is_too_small_misses(self):
        result = get("--fit-percent", "20", "--zipf", "0")
        self.assertGreater(result["hit_ratio"], 0.05)
        self.assertLess(result["hit_ratio"], 0.4)
        self.assertAlmostEqual(result["baseline_hit_ratio"], 0.2, delta=0.05)

    def test_the_extremes_of_the_sizes_work(self):
        get("--entries", "1", "--value-bytes", "8", "--key-bytes", "8")
        get("--entries", "20", "--value-bytes", "1048576", "--key-bytes", "512", "--groups", "16", "--zipf", "10")


class Cancel(unittest.TestCase):
    def test_one_size_has_its_figures_at_the_top(self):
        result = figures("cancel", "--members", "100", "--rounds", "2")
        self.assertEqual(result["members"], 100)
        self.assertEqual(result["flatness"], 1)
        for key in ("ns_per_cancel", "ns_to_refused", "ns_all_live", "ns_per_private_cancel"):
            self.assertGreater(result[key], 0, key)

    def test_several_sizes_are_compared(self):
        result = figures("cancel", "--members", "1,10,1000", "--rounds", "3")
        rows = result["series"]
        self.assertEqual([row["members"] for row in rows], [1, 10, 1000])
        times = [row["ns_per_cancel"] for row in rows]
        self.assertEqual(result["ns_per_cancel"], max(times))
        self.assertAlmostEqual(result["flatness"], max(times) / min(times), delta=0.01)


class Memory(unittest.TestCase):
    def test_entries_take_memory_and_give_it_back(self):
        result = figures("memory", "--entries", "5000", "--groups", "2")
        self.assertGreater(result["charged_bytes_per_entry"], 0)
        self.assertGreater(result["resident_bytes"], 5000 * 80)
        self.assertEqual(result["left_bytes"], 0)
        self.assertEqual(result["refill_value_bytes"], 96)
        self.assertLess(result["refill_entries"], 5000)
        self.assertGreater(result["refill_entries"], 2500)
        self.assertGreaterEqual(result["returned_percent"], 0)
        self.assertLessEqual(result["returned_percent"], 100)

    def test_the_second_fill_can_have_another_size(self):
        self.assertGreater(figures("memory", "--entries", "1000", "--refill-value-bytes", "8")["refill_entries"], 1000)


def lru_misses(keys, capacity):
    cache, misses = collections.OrderedDict(), 0
    for key in keys:
        if key in cache:
            cache.move_to_end(key)
            continue
        misses += 1
        cache[key] = True
        if len(cache) > capacity:
            cache.popitem(last=False)
    return misses


class Trace(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="quash-bench-test-")
        self.addCleanup(self.directory.cleanup)

    def file(self, text):
        path = pathlib.Path(self.directory.name) / "keys"
        path.write_text(text)
        return str(path)

    def test_a_cache_with_room_for_all_misses_each_key_once(self):
        result = figures("trace", "--capacity", "10", "-", stdin="1\n2\n3\n1\n2\n3\n3\n18446744073709551615\n")
        self.assertEqual((result["requests"], result["misses"], result["entries"]), (8, 4, 4))
        self.assertEqual(result["miss_ratio"], 0.5)

    def test_the_last_line_may_lack_its_end_and_others_may_have_a_return(self):
        self.assertEqual(figures("trace", "--capacity", "1", "-", stdin="7\r\n7\r\n007")["miss_ratio"], 0.333333)

    def test_the_baseline_is_lru_and_the_capacity_is_kept(self):
        draw = random.Random(3)
        keys = [int(draw.paretovariate(0.8)) for _ in range(20000)]
        result = figures("trace", "--capacity", "50", self.file("".join(f"{key}\n" for key in keys)))
        self.assertEqual(result["baseline_miss_ratio"], round(lru_misses(keys, 50) / len(keys), 6))
        self.assertEqual(result["entries"], 50)
        self.assertLess(result["miss_ratio"], result["baseline_miss_ratio"] + 0.02)

    def test_a_line_that_is_no_key_is_named_with_file_and_line(self):
        for line in ("abc", "", "-1", "1.5", "18446744073709551616", "1 2", " 1", "9" * 5000):
            path = self.file(f"1\n2\n{line}\n4\n")
            complaint = run("trace", "--capacity", "5", path, code=3).stderr
            self.assertIn(f"{path}:3: ", complaint)
            self.assertIn("one decimal number a line", complaint)
            self.assertLess(len(complaint), 300)
        self.assertIn("standard input:1: ", run("trace", "--capacity", "5", "-", stdin="\0\n", code=3).stderr)

    def test_an_empty_trace_is_bad_input(self):
        self.assertIn("is empty", run("trace", "--capacity", "5", self.file(""), code=3).stderr)

    def test_a_file_that_cannot_be_had_is_out_of_reach(self):
        missing = str(pathlib.Path(self.directory.name) / "missing")
        self.assertIn(missing, run("trace", "--capacity", "5", missing, code=4).stderr)
        self.assertIn("cannot be read", run("trace", "--capacity", "5", self.directory.name, code=4).stderr)

    def test_the_capacity_and_the_file_are_asked_for(self):
        self.assertIn("--capacity N is missing", run("trace", "-", code=2).stderr)
        self.assertIn("FILE|- is missing", run("trace", "--capacity", "5", code=2).stderr)
        self.assertIn("one FILE|- at a time", run("trace", "--capacity", "5", "a", "b", code=2).stderr)


class Stampede(unittest.TestCase):
    def test_each_expiry_is_loaded_once(self):
        result = figures("stampede", "--threads", "16", "--expiries", "3", "--load-ms", "5")
        self.assertEqual((result["threads"], result["expiries"], result["loads"]), (16, 3, 3))
        self.assertEqual((result["loads_per_expiry"], result["loads_per_expiry_max"]), (1, 1))
        self.assertGreaterEqual(result["load_ms"], 5)
        self.assertGreater(result["worst_wait_ms"], 0)


@unittest.skipUnless(HAS_RULES, "built without the worker")
class Rules(unittest.TestCase):
    def test_the_figures_are_there_and_consistent(self):
        for shape, groups in (("domain", 2), ("cdc", 3)):
            result = figures("rules", "--rules", "1000", "--events", "300", "--rounds", "3", "--shape", shape)
            self.assertEqual((result["command"], result["rules"], result["events"], result["rounds"]),
                             ("rules", 1000, 300, 3))
            self.assertGreater(result["ns_parse"], 0)
            # Not above 1: three rounds beside other tests say nothing about speed.
            self.assertGreater(result["ns_judge"], 0)
            self.assertGreater(result["ratio"], 0)
            self.assertGreater(result["load_ms"], 0)
            self.assertGreater(result["body_bytes"], 250)
            self.assertLess(result["body_bytes"], 350)
            self.assertGreaterEqual(result["groups_per_event"], groups)

    def test_the_extremes_of_the_sizes_work(self):
        for shape in ("domain", "cdc"):
            self.assertEqual(figures("rules", "--rules", "1", "--events", "1", "--rounds", "1", "--shape",
                                     shape)["rules"], 1)
            self.assertEqual(figures("rules", "--rules", "10000", "--events", "50", "--rounds", "1", "--shape",
                                     shape)["rules"], 10000)

    def test_mistakes_are_told(self):
        for arguments, told in (
                (("--rules", "0"), "--rules is a whole number from 1 to 10000"),
                (("--rules", "10001"), "--rules is a whole number from 1 to 10000"),
                (("--shape", "domains"), '--shape is domain or cdc, not "domains"'),
                (("--shape",), "--shape needs a value")):
            self.assertIn(told, run("rules", *arguments, code=2).stderr)


class CommandLine(unittest.TestCase):
    def test_help_is_there_at_both_levels(self):
        text = run("--help").stdout
        self.assertEqual(run("help").stdout, text)
        for command in COMMANDS:
            self.assertIn(f"quash-bench {command} ", text)
            said = run(command, "--help").stdout
            self.assertTrue(said.startswith(f"Usage: quash-bench {command} "), said)
            self.assertEqual(run(command, "-h").stdout, said)
            self.assertIn("--json", said)
            self.assertIn("Exit codes:", said)
            for line in (text + said).splitlines():
                self.assertLessEqual(len(line), 88, line)

    def test_the_version_is_the_librarys(self):
        self.assertRegex(run("--version").stdout, r"^quash-bench \d+\.\d+\.\d+\n$")

    def test_people_get_a_table(self):
        self.assertIn("miss_ratio", run("trace", "--capacity", "2", "-", stdin="1\n1\n").stdout)
        self.assertIn("members", run("cancel", "--members", "1,2", "--rounds", "1").stdout)

    def test_mistakes_are_told_with_what_where_and_what_instead(self):
        for arguments, told in (
                ((), "Usage: quash-bench"),
                (("gett",), 'unknown command "gett"; did you mean get?'),
                (("--json",), "a command comes first"),
                (("get", "--entrees", "5"), "quash-bench get: unknown flag --entrees; did you mean --entries?"),
                (("get", "--entries"), "--entries needs a value, as in --entries N"),
                (("get", "--entries", "0"), '--entries is a whole number from 1 to 100000000, not "0"'),
                (("get", "--entries=100000001"), '--entries is a whole number from 1 to 100000000, not "100000001"'),
                (("get", "--entries", "1e5"), '--entries is a whole number from 1 to 100000000, not "1e5"'),
                (("get", "--entries", ""), '--entries is a whole number from 1 to 100000000, not ""'),
                (("get", "--entries", "99999999999999999999999"), "--entries is a whole number"),
                (("get", "--value-bytes", "7"), "--value-bytes is a whole number from 8 to 1048576"),
                (("get", "--key-bytes", "513"), "--key-bytes is a whole number from 8 to 512"),
                (("get", "--groups", "17"), "--groups is a whole number from 0 to 16"),
                (("get", "--threads", "0"), "--threads is a whole number from 1 to"),
                (("get", "--zipf", "-1"), '--zipf is a number from 0 to 10, not "-1"'),
                (("get", "--zipf", "nan"), '--zipf is a number from 0 to 10, not "nan"'),
                (("get", "--zipf", "1.2.3"), '--zipf is a number from 0 to 10, not "1.2.3"'),
                (("get", "--seconds", "0"), "--seconds is a number from 0.05 to 3600"),
                (("get", "--write-percent", "101"), "--write-percent is a number from 0 to 100"),
                (("get", "--cancels-per-s", "x"), "--cancels-per-s is a number from 0 to"),
                (("get", "--json=yes"), "--json takes no value"),
                (("get", "-j"), "unknown flag -j; flags are whole words behind two dashes"),
                (("get", "fast"), 'unexpected "fast"; there are only flags'),
                (("cancel", "--members", "1,"), '--members is one to 8 whole numbers from 1 to 10000000'),
                (("cancel", "--members", "1,2,3,4,5,6,7,8,9"), "--members is one to 8"),
                (("cancel", "--members", "10000001"), "--members is one to 8"),
                (("memory", "--entries", "999"), "--entries is a whole number from 1000"),
                (("memory", "--refill-value-bytes", "7"), "--refill-value-bytes is 0 or at least 8"),
                (("trace", "--capacity", "0", "-"), "--capacity is a whole number from 1"),
                (("stampede", "--threads", "1025"), "--threads is a whole number from 1 to 1024"),
                (("stampede", "--load-ms", "0"), "--load-ms is a whole number from 1")):
            done = run(*arguments, code=2)
            self.assertIn(told, done.stderr)
            self.assertEqual(done.stdout, "")
            if arguments:
                self.assertRegex(done.stderr, r"\nTry 'quash-bench[a-z ]* --help'\.\n$")

    def test_figures_that_cannot_be_written_are_an_error(self):
        with open("/dev/full", "w") as full:
            self.assertIn("could not be written",
                          run("trace", "--capacity", "1", "-", stdin="1\n", stdout=full, code=4).stderr)


class Remains(unittest.TestCase):
    """What a run leaves behind: nothing."""

    @staticmethod
    def directories(pid):
        return [path for base in ("/dev/shm", os.environ.get("TMPDIR", "/tmp"))
                for path in pathlib.Path(base).glob(f"quash-bench-{pid}-*")]

    def test_an_interrupted_run_removes_its_table(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            process = subprocess.Popen([BENCH, "get", "--entries", "1000", "--seconds", "60"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                give_up = time.monotonic() + 60
                while not (found := self.directories(process.pid)) or not list(found[0].iterdir()):
                    self.assertLess(time.monotonic(), give_up, "no table was made")
                    self.assertIsNone(process.poll())
                    time.sleep(0.01)
                process.send_signal(number)
                self.assertEqual(process.wait(60), -number)
                self.assertEqual(self.directories(process.pid), [])
            finally:
                process.kill()
                process.wait()

    def test_a_run_that_ends_removes_its_table(self):
        process = subprocess.Popen([BENCH, "cancel", "--members", "1,2,3", "--rounds", "1"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.assertEqual(process.wait(60), 0)
        self.assertEqual(self.directories(process.pid), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
