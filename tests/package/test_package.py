"""The installed package works for somebody who has nothing else, also after it was moved."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

BUILD = os.environ["QUASH_BUILD_DIR"]
CMAKE = os.environ["QUASH_CMAKE"]
SANITIZE = os.environ.get("QUASH_SANITIZE", "")
CONSUMER = pathlib.Path(__file__).parent / "consumer"
EXPECTED = "value 1, hit 1, gone after its kind was cancelled 1\n"


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, **options)
    if done.returncode != 0:
        raise AssertionError(f"{command} exited with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class InstalledPackage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="quash-package-")
        cls.addClassCleanup(cls.temporary.cleanup)
        root = pathlib.Path(cls.temporary.name)
        run(CMAKE, "--install", BUILD, "--prefix", str(root / "first"))
        cls.prefix = root / "moved"
        shutil.move(root / "first", cls.prefix)
        cls.root = root
        # A sanitized library wants its run time in the program as well.
        cls.flags = [f"-fsanitize={SANITIZE}"] if SANITIZE else []

    def test_a_program_builds_and_runs_by_cmake(self):
        build = self.root / "by-cmake"
        run(CMAKE, "-S", str(CONSUMER), "-B", str(build), f"-DCMAKE_PREFIX_PATH={self.prefix}",
            f"-DCMAKE_C_FLAGS={' '.join(self.flags)}")
        run(CMAKE, "--build", str(build))
        self.assertEqual(run(str(build / "consumer")), EXPECTED)

    def test_a_program_builds_and_runs_by_pkg_config(self):
        pc = next(self.prefix.rglob("quash.pc"))
        found = dict(os.environ, PKG_CONFIG_PATH=str(pc.parent))
        flags = run("pkg-config", "--cflags", "--libs", "quash", env=found).split()
        program = self.root / "by-pkg-config"
        library = next(self.prefix.rglob("libquash.so"))
        run("cc", "-std=c17", *self.flags, str(CONSUMER / "consumer.c"), "-o", str(program), *flags,
            f"-Wl,-rpath,{library.parent}")
        self.assertEqual(run(str(program)), EXPECTED)

    def test_the_installed_programs_find_their_library(self):
        for program in ("quashd", "quash"):
            self.assertIn("0.1.0", run(str(self.prefix / "bin" / program), "--version"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
