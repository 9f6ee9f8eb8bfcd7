"""docs/command-line.md repeats each --help word for word, and no flag is missing from the man pages.

After a change of a --help: QUASH_BUILD_DIR=build/release test_command_line_docs.py --write puts it into the page.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ["QUASH_BUILD_DIR"]) / "bin"
PAGE = ROOT / "docs" / "command-line.md"
MAN = {"quash": ROOT / "docs" / "man" / "quash.1", "quashd": ROOT / "docs" / "man" / "quashd.8"}

BLOCK = re.compile(r"<!-- (?P<command>quashd? ?[a-z]*) --help -->\n```text\n(?P<text>.*?)```\n", re.DOTALL)
FLAG = re.compile(r"(?<![\w-])--([a-z][a-z-]+)")
COLUMNS_MAX = 80
COMMANDS = ["quashd", "quash", "quash rules", "quash explain", "quash cancel", "quash table", "quash emit"]


def help_of(command):
    program, *rest = command.split()
    return subprocess.run([BIN / program, *rest, "--help"], capture_output=True, text=True, check=True, timeout=60).stdout


class CommandLineDocs(unittest.TestCase):
    maxDiff = None

    def test_page_repeats_every_help(self):
        blocks = {m["command"]: m["text"] for m in BLOCK.finditer(PAGE.read_text(encoding="utf-8"))}
        self.assertEqual(sorted(blocks), sorted(COMMANDS))
        for command, text in blocks.items():
            self.assertEqual(text, help_of(command), f"{command}: run this test with --write")

    def test_help_fits_a_terminal(self):
        for command in COMMANDS:
            self.assertEqual([line for line in help_of(command).splitlines() if len(line) > COLUMNS_MAX], [], command)

    def test_every_flag_stands_in_the_man_page(self):
        for command in COMMANDS:
            page = MAN[command.split()[0]].read_text(encoding="utf-8")
            for flag in set(FLAG.findall(help_of(command))):
                self.assertRegex(page, rf"Fl -{flag}(?![\w-])", f"--{flag} of {command}")

    def test_every_setting_of_quashd_stands_in_the_table_and_in_the_man_page(self):
        page = PAGE.read_text(encoding="utf-8")
        man = MAN["quashd"].read_text(encoding="utf-8")
        for flag in set(FLAG.findall(help_of("quashd"))) - {"help", "version", "check"}:
            variable = "QUASH_" + flag.upper().replace("-", "_")
            self.assertIn(f"| `--{flag}` | `{variable}` |", page)
            self.assertIn(f".It Ev {variable}\n", man)

    def test_man_pages_name_no_flag_that_there_is_not(self):
        for program, path in MAN.items():
            known = set().union(*(FLAG.findall(help_of(c)) for c in COMMANDS if c.split()[0] == program))
            self.assertLessEqual(set(re.findall(r"Fl -([a-z][a-z-]+)", path.read_text(encoding="utf-8"))), known)

    @unittest.skipUnless(shutil.which("man"), "needs man(1)")
    def test_man_pages_are_rendered_without_a_warning(self):
        for path in MAN.values():
            done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", path],
                                  capture_output=True, text=True, check=True, timeout=60)
            self.assertEqual(done.stderr, "", path.name)


def write():
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(BLOCK.sub(lambda m: f"<!-- {m['command']} --help -->\n```text\n{help_of(m['command'])}```\n", page),
                    encoding="utf-8")


if __name__ == "__main__":
    if "--write" in sys.argv:
        write()
    else:
        unittest.main(verbosity=2)
