"""The command line as people and scripts meet it: answers, exit codes, and what is said about mistakes.

QUASH_BUILD_DIR names the build; each test has a directory of its own.
"""

import json
import os
import pathlib
import resource
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from table_file import INCARNATION, write_table  # noqa: E402

BUILD = pathlib.Path(os.environ["QUASH_BUILD_DIR"])
QUASH = BUILD / "bin" / "quash"

DONE, NO, USAGE, BAD_INPUT, UNREACHABLE = range(5)
GROUP_BYTES_MAX = 512
NOBODY = 65534
GOOD_RULES = """{"version": 1, "rules": [
    {"name": "order", "when": {"exchange": "shop"}, "cancel": ["order:{/id}"]}]}"""


def clean_environment(**extra):
    return {k: v for k, v in os.environ.items() if not k.startswith("QUASH_")} | extra


class CommandLine(unittest.TestCase):
    def setUp(self):
        shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        temporary = tempfile.TemporaryDirectory(prefix="quash-cli-", dir=shared)
        self.addCleanup(temporary.cleanup)
        self.directory = pathlib.Path(temporary.name)

    def path(self, name):
        return str(self.directory / name)

    def table(self, name="table", **fields):
        return write_table(self.path(name), **fields)

    def quash(self, *arguments, code=DONE, said="", env=None, program=QUASH, **options):
        """Runs `quash`, expects the exit code and what is said on standard error, and returns standard output."""
        done = subprocess.run([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                              stdin=subprocess.DEVNULL, env=env or clean_environment(), **options)
        out, err = done.stdout.decode(), done.stderr.decode()
        self.assertEqual(done.returncode, code, f"{arguments}: {out}{err}")
        self.assertIn(said, err, f"{arguments}")
        if code in (DONE, NO):
            self.assertEqual(err, "", f"{arguments}")
        return out

    def rules(self, content=GOOD_RULES):
        path = self.directory / "rules.json"
        path.write_text(content, encoding="utf-8")
        return str(path)

    def stamp(self, table):
        return self.quash("table", "stamp", table).rstrip("\n")

    def stat(self, table, *flags):
        return json.loads(self.quash("table", "stat", table, "--json", *flags))


class Dispatcher(CommandLine):
    def test_help_of_the_program_and_of_each_command_is_an_answer(self):
        for command in ([], ["rules"], ["explain"], ["cancel"], ["table"], ["emit"]):
            out = self.quash(*command, "--help")
            self.assertRegex(out, "^[Uu]sage: quash " + " ".join(command))
            self.assertIn("--help", out)
            self.assertRegex(out, "Exit codes?:")
        self.assertEqual(self.quash("-h"), self.quash("--help"))
        self.assertEqual(self.quash("help"), self.quash("--help"))
        self.assertEqual(self.quash("table", "-h"), self.quash("table", "--help"))

    def test_nothing_said_is_a_mistake_that_shows_the_help(self):
        self.assertEqual(self.quash(code=USAGE, said="Usage: quash COMMAND"), "")

    def test_version_names_the_program(self):
        self.assertRegex(self.quash("--version"), r"^quash \d+\.\d+\.\d+\n$")

    def test_unknown_command_gets_the_nearest_known_one(self):
        self.quash("cancle", code=USAGE, said='unknown command "cancle"; did you mean cancel?')
        self.quash("xyzzy", code=USAGE, said="unknown command \"xyzzy\"\nTry 'quash --help'.")
        self.quash("", code=USAGE, said='unknown command ""')
        self.quash("\033[31m", code=USAGE, said=r'"\u001b[31m"')

    def test_flag_before_the_command_is_explained(self):
        self.quash("--json", "table", code=USAGE, said='a command comes first; "--json" belongs behind one')

    def test_answer_that_cannot_be_written_is_no_success(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([QUASH, "--help"], stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
        self.assertEqual(done.returncode, UNREACHABLE)
        self.assertIn(b"could not be written: No space left on device", done.stderr)


class Cancel(CommandLine):
    def test_cancelled_group_has_changed_and_others_have_not(self):
        table = self.table()
        stamp = self.stamp(table)
        self.assertEqual(self.quash("cancel", "--table", table, "tenant:42"), "cancelled 1 group\n")
        self.assertEqual(self.quash("table", "changed", table, "--since", stamp, "tenant:42", code=NO),
                         "changed tenant:42\n")
        self.assertEqual(self.quash("table", "changed", table, "--since", stamp, "tenant:43"), "unchanged tenant:43\n")

    def test_kind_and_everything_can_be_cancelled(self):
        for name, gone in (("tenant:*", ["tenant:1", "tenant:2"]), ("*", ["tenant:1", "region:eu", "catalog"])):
            table = self.table(f"table-{len(gone)}")
            stamp = self.stamp(table)
            self.quash("cancel", "--table", table, name)
            for group in gone:
                self.quash("table", "changed", table, "--since", stamp, group, code=NO)

    def test_flags_may_stand_anywhere(self):
        table = self.table()
        self.assertEqual(self.quash("cancel", "a", "--table", table, "b"), "cancelled 2 groups\n")
        self.assertEqual(self.quash("cancel", f"--table={table}", "a"), "cancelled 1 group\n")
        self.assertEqual(self.quash("cancel", "--table", table, "--", "--table"), "cancelled 1 group\n")
        self.quash("table", "changed", table, "--since", "0", "--", "--table", code=NO)

    def test_table_can_come_from_the_environment(self):
        table, other = self.table(), self.table("other")
        env = clean_environment(QUASH_TABLE=table)
        self.quash("cancel", "a", env=env)
        self.assertEqual(self.stat(table)["changes"], 1)
        self.quash("cancel", "a", "--table", other, env=env)
        self.assertEqual(self.stat(table)["changes"], 1)
        self.assertEqual(self.stat(other)["changes"], 1)

    def test_group_names_end_at_their_limit(self):
        table = self.table()
        for length in (1, GROUP_BYTES_MAX - 1, GROUP_BYTES_MAX):
            self.quash("cancel", "--table", table, "g" * length)
        self.quash("cancel", "--table", table, "g" * (GROUP_BYTES_MAX + 1), code=BAD_INPUT,
                   said="has 513 bytes; a group's name has at most 512")
        self.quash("cancel", "--table", table, "", code=BAD_INPUT, said="an empty group")
        self.quash("cancel", "--table", table, b"any \xff bytes\n".decode("utf-8", "surrogateescape"))

    def test_bad_group_among_good_ones_cancels_nothing(self):
        table = self.table()
        self.quash("cancel", "--table", table, "a", "b", "", "c", code=BAD_INPUT)
        self.assertEqual(self.stat(table)["sequence"], 0)

    def test_thousand_groups_are_cancelled_at_once(self):
        table = self.table(buckets=4096)
        self.assertEqual(self.quash("cancel", "--table", table, *(f"g:{i}" for i in range(1000))),
                         "cancelled 1000 groups\n")
        self.assertEqual(self.stat(table)["changes"], 1000)

    def test_wrong_use_is_explained(self):
        table = self.table()
        self.quash("cancel", code=USAGE, said="quash cancel: no table; give --table FILE or QUASH_TABLE")
        self.quash("cancel", "--table", "", "a", code=USAGE, said="no table")
        self.quash("cancel", "--table", table, code=USAGE, said="no group; name at least one")
        self.quash("cancel", "a", "--table", code=USAGE, said="--table needs a value")
        self.quash("cancel", "--tabel", table, "a", code=USAGE,
                   said="unknown flag --tabel; did you mean --table?\nTry 'quash cancel --help'.")
        self.quash("cancel", "--allow", "a", code=USAGE,
                   said="--allow could be any of --allow-shared-write --allow-any-owner")
        self.quash("cancel", "--allow-any-owner=yes", "a", code=USAGE, said="--allow-any-owner takes no value")
        self.quash("cancel", "-t", table, "a", code=USAGE, said="unknown flag -t; flags are whole words")
        self.quash("cancel", "--\033[31m", code=USAGE, said=r"unknown flag --\u001b[31m")
        self.assertEqual(self.stat(table)["sequence"], 0)


class TableStat(CommandLine):
    def test_json_says_everything(self):
        table = self.table(buckets=32)
        self.quash("cancel", "--table", table, "a", "b", "a")
        self.assertEqual(self.stat(table), {
            "path": table, "format": 1, "incarnation": f"{INCARNATION:016x}", "same_boot": True, "retired": False,
            "worker": None, "rules_hash": None, "sequence": 3, "changes": 3, "bytes": 4096 + 32 * 64, "buckets": 32,
            "slots": 32 * 7, "slots_used": 2, "buckets_overflowed": 0, "watermark_age_ms": None, "ping_interval_ms": 0})

    def test_text_says_the_same_to_people(self):
        table = self.table(buckets=32)
        self.quash("cancel", "--table", table, "a")
        out = self.quash("table", "stat", table)
        for line in (f"path         {table}", "format       1", "incarnation  9f3c77aa12345678", "state        in use",
                     "worker       none has served this table yet", "rules        not noted", "sequence     1",
                     "changes      1", "size         6144 bytes, 32 buckets", "slots used   1 of 224",
                     "overflowed   0 of 32 buckets", "watermark    none"):
            self.assertIn(line + "\n", out)

    def test_overflow_is_counted(self):
        table = self.table(buckets=1)
        self.quash("cancel", "--table", table, *(f"g:{i}" for i in range(8)))
        stat_now = self.stat(table)
        self.assertEqual((stat_now["slots_used"], stat_now["buckets_overflowed"]), (7, 1))

    def test_table_of_another_boot_is_called_that(self):
        table = self.table(boot=bytes(16))
        self.assertFalse(self.stat(table)["same_boot"])
        self.assertIn("left over from before this host started", self.quash("table", "stat", table))

    def test_worker_is_shown_with_its_pid_and_its_last_sign_of_life(self):
        table = self.table()
        self.set_worker(table, os.getpid(), time.monotonic_ns(), 1)
        worker = self.stat(table)["worker"]
        self.assertEqual((worker["pid"], worker["process_runs_here"], worker["connected"]), (os.getpid(), True, True))
        self.assertLess(worker["heartbeat_age_ms"], 60_000)
        out = self.quash("table", "stat", table)
        self.assertRegex(out, rf"worker       pid {os.getpid()}, last seen \d+\.\d s ago(: SILENT)?, connected to the")

    def test_worker_that_is_gone_silent_or_not_connected_stands_out(self):
        table = self.table()
        ended = subprocess.Popen(["/bin/true"])
        ended.wait()
        self.set_worker(table, ended.pid, max(time.monotonic_ns() - 30_000_000_000, 1), 0)
        self.assertFalse(self.stat(table)["worker"]["process_runs_here"])
        out = self.quash("table", "stat", table)
        self.assertIn("(gone, or in another container)", out)
        self.assertIn("SILENT", out)
        self.assertIn("NOT CONNECTED", out)

    def test_heartbeat_of_the_future_has_no_age(self):
        table = self.table()
        self.set_worker(table, os.getpid(), time.monotonic_ns() + 10**15, 1)
        self.assertIsNone(self.stat(table)["worker"]["heartbeat_age_ms"])

    def test_heartbeat_of_another_boot_has_no_age(self):
        table = self.table(boot=bytes(16))
        self.set_worker(table, os.getpid(), time.monotonic_ns(), 1)
        worker = self.stat(table)["worker"]
        self.assertEqual((worker["heartbeat_age_ms"], worker["process_runs_here"]), (None, False))
        self.assertIn("not seen since this host started", self.quash("table", "stat", table))

    def test_retired_table_is_called_that(self):
        table = self.table(retired=1)
        self.assertTrue(self.stat(table)["retired"])
        self.assertIn("state        retired", self.quash("table", "stat", table))

    @staticmethod
    def set_worker(table, pid, heartbeat_ns, connected):
        with open(table, "r+b") as file:
            file.seek(0x280)
            for word in (pid, heartbeat_ns, connected):
                file.write(word.to_bytes(8, "little"))

    def test_wrong_use_is_explained(self):
        table = self.table()
        self.quash("table", code=USAGE, said="say what to do: stat, stamp or changed")
        self.quash("table", "stats", table, code=USAGE,
                   said='"stats" is none of stat, stamp and changed; did you mean stat?')
        self.quash("table", "stat", code=USAGE, said="quash table stat: no table; name its file")
        self.quash("table", "stat", table, "other", code=USAGE, said='one table at a time; "other" is too much')
        self.quash("table", "stamp", table, "--json", code=USAGE, said="--json belongs to stat")
        self.quash("table", "stat", table, "--since", "0", code=USAGE, said="--since belongs to changed")
        self.quash("table", "stat", table, "--jsno", code=USAGE, said="unknown flag --jsno; did you mean --json?")


class TableChanged(CommandLine):
    def test_stamp_is_sequence_at_incarnation(self):
        table = self.table(sequence=1204, changes=1204)
        self.assertEqual(self.quash("table", "stamp", table), "1204@9f3c77aa12345678\n")
        self.quash("cancel", "--table", table, "a")
        self.assertEqual(self.quash("table", "stamp", table), "1205@9f3c77aa12345678\n")

    def test_incarnation_is_printed_in_sixteen_digits(self):
        table = self.table(incarnation=0xAB)
        self.assertEqual(self.stamp(table), "0@00000000000000ab")
        self.quash("table", "changed", table, "--since", "0@00000000000000AB", "a")

    def test_only_a_cancel_after_the_stamp_counts(self):
        table = self.table()
        before = self.stamp(table)
        self.quash("cancel", "--table", table, "a")
        after = self.stamp(table)
        self.assertEqual(self.quash("table", "changed", table, "--since", before, "a", code=NO), "changed a\n")
        self.assertEqual(self.quash("table", "changed", table, "--since", after, "a"), "unchanged a\n")

    def test_bare_sequence_is_taken_for_the_table_that_is_there(self):
        table = self.table()
        self.quash("cancel", "--table", table, "a", "b")
        self.assertEqual(self.quash("table", "changed", table, "--since", "1", "a"), "unchanged a\n")
        self.assertEqual(self.quash("table", "changed", table, "--since", "1", "b", code=NO), "changed b\n")

    def test_stamp_of_another_table_has_changed(self):
        table = self.table()
        self.assertEqual(self.quash("table", "changed", table, "--since", "0@0000000000000001", "a", "b", code=NO),
                         "changed a\nchanged b\n")
        # Its sequence says nothing about this table's, so it may be higher.
        self.quash("table", "changed", table, "--since", "99@0000000000000001", "a", code=NO)

    def test_everything_in_a_retired_table_has_changed(self):
        table = self.table(retired=1)
        self.assertEqual(self.quash("table", "changed", table, "--since", "0", "a", code=NO), "changed a\n")

    def test_one_changed_group_among_many_decides(self):
        table = self.table(buckets=4096)
        stamp = self.stamp(table)
        self.quash("cancel", "--table", table, "g:30")
        groups = [f"g:{i}" for i in range(40)]  # more than one token holds
        out = self.quash("table", "changed", table, "--since", stamp, *groups, code=NO)
        self.assertEqual(out.splitlines(),
                         [("changed " if group == "g:30" else "unchanged ") + group for group in groups])
        groups.remove("g:30")
        self.quash("table", "changed", table, "--since", stamp, *groups)

    def test_table_that_forgot_too_much_says_collateral(self):
        table = self.table(buckets=1)
        stamp = self.stamp(table)
        self.quash("cancel", "--table", table, *(f"g:{i}" for i in range(8)))
        out = self.quash("table", "changed", table, "--since", stamp, "never:cancelled", code=NO)
        self.assertEqual(out, "collateral never:cancelled\n")

    def test_group_is_printed_on_one_line_whatever_it_holds(self):
        table = self.table()
        self.assertEqual(self.quash("table", "changed", table, "--since", "0", "a\nchanged b"),
                         "unchanged a\\u000achanged b\n")

    def test_stamp_that_is_yet_to_come_is_bad_input(self):
        table = self.table(sequence=5, changes=5)
        self.quash("table", "changed", table, "--since", "5", "a")
        self.quash("table", "changed", table, "--since", "6", "a", code=BAD_INPUT,
                   said="the table stands at 5, and 6 is yet to come")

    def test_stamp_that_is_none_is_explained(self):
        table = self.table()
        for text in ("", "x", "-1", "+1", " 1", "1 ", "1@", "@9f3c77aa12345678", "1@9f3c77aa1234567",
                     "1@9f3c77aa123456789", "1@9f3c77aa1234567g", "1@0000000000000000", "1@9f3c77aa12345678 ",
                     "18446744073709551616"):
            self.quash("table", "changed", table, f"--since={text}", "a", code=USAGE, said="is not a stamp; expected")

    def test_wrong_use_is_explained(self):
        table = self.table()
        self.quash("table", "changed", table, "a", code=USAGE, said="since when? give --since STAMP")
        self.quash("table", "changed", table, "--since", "0", code=USAGE, said="no group; name at least one")
        self.quash("table", "changed", "--since", "0", code=USAGE, said="no table")
        self.quash("table", "changed", table, "--since", "0", "", code=BAD_INPUT, said="an empty group")
        self.quash("table", "changed", table, "--since", "0", "g" * 513, code=BAD_INPUT, said="has 513 bytes")


class BadTables(CommandLine):
    """Each command that opens a table says the same about one that it cannot use."""

    def commands(self, path):
        return (["cancel", "--table", path, "a"], ["table", "stat", path], ["table", "stamp", path],
                ["table", "changed", path, "--since", "0", "a"])

    def assert_refused(self, path, code, said, *flags, **options):
        for command in self.commands(path):
            before = pathlib.Path(path).read_bytes() if os.path.isfile(path) and os.access(path, os.R_OK) else None
            self.assertEqual(self.quash(*command, *flags, code=code, said=said, **options), "")
            if before is not None:
                self.assertEqual(pathlib.Path(path).read_bytes(), before)

    def test_missing(self):
        path = self.path("absent")
        self.assert_refused(path, UNREACHABLE, f"no table at {path}: quashd makes it")
        self.assertFalse(os.path.exists(path))
        self.assert_refused(self.path("absent/table"), UNREACHABLE, "no table at")

    def test_directory(self):
        self.assert_refused(str(self.directory), BAD_INPUT, "is a directory; a table is a file")

    def test_path_through_a_file(self):
        self.assert_refused(self.table() + "/table", BAD_INPUT, "leads through something that is not a directory")

    def test_symbolic_link_even_to_a_table(self):
        os.symlink(self.table(), self.path("link"))
        self.assert_refused(self.path("link"), BAD_INPUT, "is a symbolic link")
        os.symlink("nowhere", self.path("dangling"))
        self.assert_refused(self.path("dangling"), BAD_INPUT, "is a symbolic link")

    def test_named_pipe_is_not_waited_for(self):
        os.mkfifo(self.path("pipe"))
        self.assert_refused(self.path("pipe"), BAD_INPUT, "not a table")

    def test_device(self):
        self.assert_refused("/dev/null", BAD_INPUT, "not a table")

    def test_empty(self):
        self.assert_refused(self.table(size=0), BAD_INPUT, "is not a cancellation table")

    def test_foreign_bytes(self):
        self.assert_refused(self.table(magic=b"GIF89a\0\0"), BAD_INPUT, "is not a cancellation table")

    def test_truncated(self):
        for size in (8, 100, 4095, 4096, 4096 + 16 * 64 - 1):
            self.assert_refused(self.table(f"cut-{size}", size=size), BAD_INPUT, "it is damaged")

    def test_longer_than_its_header_says(self):
        table = self.table()
        with open(table, "ab") as file:
            file.write(b"\0")
        self.assert_refused(table, BAD_INPUT, "its size is not what its header says")

    def test_newer_version(self):
        self.assert_refused(self.table(version=2), BAD_INPUT, "has format version 2, and this program knows")

    def test_header_that_contradicts_itself(self):
        self.assert_refused(self.table("zero", version=0), BAD_INPUT, "it is damaged")
        self.assert_refused(self.table("size", header_bytes=8192), BAD_INPUT, "it is damaged")
        self.assert_refused(self.table("buckets", buckets=12), BAD_INPUT, "it is damaged")
        self.assert_refused(self.table("incarnation", incarnation=0), BAD_INPUT, "it is damaged")

    def test_writable_by_others_unless_allowed(self):
        for mode in (0o620, 0o602):
            table = self.table(f"mode-{mode:o}", mode=mode)
            self.assert_refused(table, BAD_INPUT, "--allow-shared-write")
            for command in self.commands(table):
                self.quash(*command, "--allow-shared-write", code=NO if "changed" in command else DONE)

    @unittest.skipUnless(os.geteuid() == 0, "only root can give files away")
    def test_owned_by_somebody_else_unless_allowed(self):
        table = self.table()
        os.chown(table, NOBODY, NOBODY)
        self.assert_refused(table, BAD_INPUT, "--allow-any-owner")
        for command in self.commands(table):
            self.quash(*command, "--allow-any-owner", code=NO if "changed" in command else DONE)

    def test_not_permitted(self):
        table = self.table()
        if os.geteuid() != 0:
            os.chmod(table, 0)
            self.assert_refused(table, UNREACHABLE, "may not open")
            return
        # Root may do everything: run as nobody, with a copy of the program where nobody can reach it.
        os.chmod(self.directory, stat.S_IRWXU | stat.S_IXGRP | stat.S_IXOTH)
        with tempfile.TemporaryDirectory(prefix="quash-cli-") as copies:
            os.chmod(copies, 0o755)
            program = shutil.copy(QUASH, copies)
            for library in (BUILD / "cachelib").glob("libquash.so.*"):
                shutil.copy(library, copies)
            as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": [], "program": program,
                         "env": clean_environment(LD_LIBRARY_PATH=copies)}
            self.assert_refused(table, UNREACHABLE, "may not open", **as_nobody)
            os.chmod(table, 0o644)  # reading is enough for all but cancel
            self.quash("table", "stat", table, **as_nobody)
            self.quash("cancel", "--table", table, "a", code=UNREACHABLE, said="may not open", **as_nobody)


class Rules(CommandLine):
    def test_good_rules_pass_and_bad_ones_are_bad_input(self):
        self.quash("rules", "check", self.rules())
        self.quash("rules", "check", self.rules("{"), code=BAD_INPUT, said="rules.json:1:")
        self.quash("rules", "check", self.rules(""), code=BAD_INPUT, said="is empty")
        self.quash("rules", "check", self.path("absent.json"), code=BAD_INPUT, said="absent.json: cannot be opened")
        self.quash("rules", "check", code=USAGE)
        self.quash("rules", code=USAGE)
        self.quash("rules", "chekc", self.rules(), code=USAGE)

    def test_explain_names_the_groups(self):
        event = self.directory / "event.json"
        event.write_text('{"exchange": "shop", "routing_key": "", "body": {"id": 5}}', encoding="utf-8")
        out = self.quash("explain", "--rules", self.rules(), "--json", str(event))
        self.assertEqual(json.loads(out)["groups"], ["order:5"])
        self.quash("explain", str(event), code=USAGE)
        self.quash("explain", "--rules", self.path("absent.json"), str(event), code=BAD_INPUT, said="absent.json")
        self.quash("explain", "--rules", self.rules(), self.path("absent"), code=BAD_INPUT, said="absent")


class Emit(CommandLine):
    def test_broker_that_is_absent_cannot_be_reached(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))  # bound, and not listening: nobody else gets it, and nobody answers
            port = unused.getsockname()[1]
            self.quash("emit", "--amqp-url", f"amqp://127.0.0.1:{port}", "--exchange", "shop", "{}", code=UNREACHABLE,
                       said=f"127.0.0.1 port {port}")

    def test_wrong_use_is_explained(self):
        self.quash("emit", code=USAGE)
        self.quash("emit", "--amqp-url", "http://broker", "--exchange", "shop", "{}", code=USAGE, said="amqp://")
        self.quash("emit", "--amqp-url", "", "--exchange", "shop", "{}", code=USAGE, said="amqp://")
        self.quash("emit", "--exchagne", "shop", "{}", code=USAGE, said="did you mean --exchange?")

    def test_headers_and_properties_are_checked_before_the_broker_is_asked(self):
        for flag, value, said in (
                ("--header", "x-tenant", '--header "x-tenant" is not NAME=VALUE'),
                ("--header", "=42", '--header "=42" is not NAME=VALUE'),
                ("--header", b"x=\xff", "is not UTF-8"),
                ("--header", "n" * 256 + "=1", "the name has 256 bytes; AMQP allows at most 255"),
                ("--property", "type", '--property "type" is not NAME=VALUE'),
                ("--property", "typ=order", 'there is no property "typ"; did you mean "type"?'),
                ("--property", "x-tenant=1", 'there is no property "x-tenant"; if a header is meant, use --header'),
                ("--property", "n" * 300 + "=1", "there is no property"),
                ("--property", "priority=high", 'found the string "high"; expected an integer from 0 to 255'),
                ("--property", "priority=256", "found the number 256; expected an integer from 0 to 255"),
                ("--property", "priority=-1", "found the number -1; expected an integer from 0 to 255"),
                ("--property", "priority=", 'found the string ""'),
                ("--property", "delivery_mode=0", "expected an integer from 1 to 2"),
                ("--property", "timestamp=9223372036854775808", "expected an integer from 0 to 9223372036854775807"),
                ("--property", "type=" + "t" * 256, "has 256 bytes; AMQP allows at most 255")):
            with self.subTest(value):
                self.quash("emit", "--exchange", "shop", flag, value, "{}", code=USAGE, said=said)
        for flag, name in (("--header", "x-tenant"), ("--property", "type")):
            self.quash("emit", "--exchange", "shop", flag, f"{name}=1", flag, f"{name}=2", "{}", code=USAGE,
                       said=f'{flag} "{name}" is given twice')


class Quashd(CommandLine):
    QUASHD = BUILD / "bin" / "quashd"

    def quashd(self, *arguments, **expected):
        return self.quash(*arguments, program=self.QUASHD, **expected)

    def test_help_and_version_are_answers(self):
        self.assertTrue(self.quashd("--help").startswith("Usage: quashd"))
        self.assertRegex(self.quashd("--version"), r"^quashd \d+\.\d+\.\d+\n$")

    def test_answer_that_cannot_be_written_is_no_success(self):
        for answer in (["--help"], ["--version"], ["--rules", self.rules(), "--check"]):
            with self.subTest(answer), open("/dev/full", "w", encoding="ascii") as full:
                done = subprocess.run([self.QUASHD, *answer], stdout=full, stderr=subprocess.PIPE, timeout=60,
                                      env=clean_environment(), check=False)
                self.assertEqual(done.returncode, UNREACHABLE)
                self.assertIn(b"quashd: the answer could not be written: No space left on device", done.stderr)

    def test_closed_standard_files_are_not_given_to_what_is_opened_next(self):
        path = self.path("table")
        closed = 'exec "$@" <&- >&- 2>&-'
        process = subprocess.Popen(["/bin/sh", "-c", closed, "sh", self.QUASHD, "--rules", self.rules(), "--table", path,
                                    "--instance", "closed", "--amqp-url", "amqp://127.0.0.1:1/"], env=clean_environment())
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        # The worker's first word in the table comes from its main loop: by then everything is open.
        deadline = time.monotonic() + 30
        while not (os.path.exists(path) and self.stat(path)["worker"]):
            self.assertIsNone(process.poll())
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        for fd in range(3):
            self.assertEqual(os.readlink(f"/proc/{process.pid}/fd/{fd}"), "/dev/null")
        process.terminate()
        self.assertEqual(process.wait(30), DONE)

    def test_table_of_somebody_else_is_refused_with_what_to_do(self):
        if os.geteuid() != 0:
            self.skipTest("only root can give a file away")
        table = self.table()
        os.chown(table, NOBODY, NOBODY)
        self.quashd("--rules", self.rules(), "--table", table, code=BAD_INPUT, said="or remove the file")

    def test_too_few_descriptors_are_told_and_do_not_abort(self):
        rules = self.rules()
        for most in range(4, 10):
            process = subprocess.Popen([self.QUASHD, "--rules", rules, "--table", self.path("table"), "--instance", "few",
                                        "--amqp-url", "amqp://127.0.0.1:1/"], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=clean_environment(),
                                       preexec_fn=lambda n=most: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n)))
            with self.subTest(most), process:
                said = b""
                for line in process.stderr:
                    said += line
                    if b"cannot consume events" in line:  # it had enough to start, and goes on
                        process.terminate()
                self.assertIn(process.wait(30), (DONE, UNREACHABLE), said)
                self.assertTrue(process.returncode == DONE or b"open files" in said or b"descriptors" in said, said)

    def test_check_reads_everything_and_touches_nothing(self):
        path = self.path("table")
        out = self.quashd("--rules", self.rules(), "--table", path, "--check")
        self.assertEqual(out, "configuration ok\n")
        self.assertFalse(os.path.exists(path))
        self.quashd("--rules", self.rules("{"), "--check", code=BAD_INPUT, said="rules.json:1:")
        self.quashd("--rules", self.path("absent.json"), "--check", code=BAD_INPUT, said="absent.json: cannot be opened")
        self.quashd("--check", code=USAGE, said="no rules")
        self.quashd("--rules", self.rules(), "--config", self.path("absent.json"), "--check", code=BAD_INPUT,
                    said="absent.json: cannot be opened")

    def test_check_tells_what_is_hardly_meant_as_a_warning(self):
        rules = self.rules('{"version": 1, "rules": [{"name": "a", "cancel": ["catalog"]}]}')
        done = subprocess.run([self.QUASHD, "--rules", rules, "--exchange", "domain", "--check"], timeout=60,
                              capture_output=True, env=clean_environment(), check=False)
        self.assertEqual((done.returncode, done.stdout), (DONE, b"configuration ok\n"))
        self.assertIn(b"rules.json:1:26: warning: at /rules/0: the rule has no condition", done.stderr)

    def test_what_is_no_table_is_refused_and_left_alone(self):
        rules = self.rules()
        os.symlink(self.table(), self.path("link"))
        foreign = self.path("foreign")
        pathlib.Path(foreign).write_bytes(b"precious")
        for path, said in ((str(self.directory), "is a directory"), (self.path("link"), "is a symbolic link"),
                           (foreign, "is not a cancellation table")):
            self.quashd("--rules", rules, "--table", path, code=BAD_INPUT, said=said)
        self.assertEqual(pathlib.Path(foreign).read_bytes(), b"precious")
        self.quashd("--rules", rules, "--table", self.path("no/such/table"), code=UNREACHABLE, said="directory")


if __name__ == "__main__":
    unittest.main(verbosity=2)
