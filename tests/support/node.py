"""Scripts of tests/node, run by Node with the packages that `./dev deps` installs there."""

import pathlib
import shutil
import subprocess

DIRECTORY = pathlib.Path(__file__).resolve().parents[1] / "node"
SECONDS_MAX = 120


def node(script, *arguments, stdin=""):
    """Runs tests/node/SCRIPT and returns what it printed; AssertionError when it fails."""
    if shutil.which("node") is None or not (DIRECTORY / "node_modules").is_dir():
        raise AssertionError("this test needs Node and the packages of tests/node: run ./dev deps")
    done = subprocess.run(["node", DIRECTORY / script, *arguments], input=stdin, capture_output=True, text=True,
                          timeout=SECONDS_MAX, cwd=DIRECTORY)
    if done.returncode != 0:
        raise AssertionError(f"{script} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout
