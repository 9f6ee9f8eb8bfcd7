"""The shared library exports what its headers promise and nothing else; each header stands alone, in C and in C++."""

import os
import pathlib
import re
import shutil
import subprocess
import unittest

LIBRARY = os.environ["QUASH_LIBRARY"]
HEADERS = pathlib.Path(os.environ["QUASH_HEADERS"])
GENERATED = os.environ["QUASH_GENERATED_HEADERS"]
NAMES = ["status", "table", "token", "cache", "watch"]


def promised():
    """The functions that the headers mark with QUASH_API."""
    names = set()
    for header in (HEADERS / "quash").glob("*.h"):
        text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
        names.update(re.findall(r"QUASH_API[^;(]*?\b(quash_\w+)\s*\(", text))
    return names


def exported():
    listing = subprocess.run(["nm", "-D", "--defined-only", LIBRARY], check=True, capture_output=True, text=True,
                             timeout=60).stdout
    return {line.split()[-1] for line in listing.splitlines()}


class Library(unittest.TestCase):
    def test_exports_are_exactly_what_the_headers_promise(self):
        self.assertGreater(len(promised()), 40)
        # What a sanitizer adds is not the library's.
        self.assertEqual({name for name in exported() if not name.startswith("__")}, promised())

    def test_stays_loaded_for_the_threads_that_have_used_it(self):
        dynamic = subprocess.run(["readelf", "-d", LIBRARY], check=True, capture_output=True, text=True,
                                 timeout=60).stdout
        self.assertIn("NODELETE", dynamic)

    def test_every_header_is_looked_at(self):
        self.assertEqual({path.stem for path in (HEADERS / "quash").glob("*.h")}, set(NAMES))


class Headers(unittest.TestCase):
    def compile(self, compiler, arguments, source):
        command = [compiler, *arguments, "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                   f"-I{HEADERS}", f"-I{GENERATED}", "-"]
        done = subprocess.run(command, input=source, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, f"{' '.join(command)}\n{source}\n{done.stderr}")

    def sources(self):
        for name in NAMES:
            yield f"#include <quash/{name}.h>\n#include <quash/{name}.h>\nint quash_header_test_dummy;\n"
        # The initializers are macros: they break only where they are used.
        text = "\n".join((HEADERS / "quash" / f"{name}.h").read_text() for name in NAMES)
        structs = re.findall(r"#define QUASH_(\w+)_INIT\b", text)
        self.assertGreater(len(structs), 5)
        body = "\n".join(f"    quash_{name.lower()} s{i} = QUASH_{name}_INIT; (void)s{i};"
                         for i, name in enumerate(structs))
        yield f"#include <quash/cache.h>\nvoid use(void);\nvoid use(void)\n{{\n{body}\n}}\n"

    def test_each_compiles_alone_as_c17(self):
        for source in self.sources():
            self.compile("cc", ["-std=c17", "-x", "c"], source)

    def test_each_compiles_alone_as_cpp17(self):
        if shutil.which("c++") is None:
            self.skipTest("no C++ compiler")
        for source in self.sources():
            self.compile("c++", ["-std=c++17", "-x", "c++"], source)


if __name__ == "__main__":
    unittest.main(verbosity=2)
