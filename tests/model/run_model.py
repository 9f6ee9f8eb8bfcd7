#!/usr/bin/env python3
"""Checks table.pml with spin: as it is, which must hold, or with a mutation, which must be found out.

    run_model.py            the protocol: exit 0 if every reachable state was searched and no assertion failed
    run_model.py MUTATION   exit 0 if an assertion failed
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "table.pml")
MUTATIONS = ["PLAIN_STORE", "FLOOR_LATE", "FIRST_MATCH", "LATE_STAMP", "TRUST_SEQUENCE", "ANNOUNCE_FIRST"]

MEMORY_LIMIT_MIB = 2000
DEPTH_MAX = 10000
# log2 of the slots of pan's hash table: of the order of the number of states.
HASH_BITS = 24
# Fewer states than this would mean that the model has come to say nothing.
STATES_MIN = 1_000_000


def run(command, directory, timeout_s):
    return subprocess.run(command, cwd=directory, timeout=timeout_s, check=True, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout


def search(mutation, spin, compiler, timeout_s):
    """Everything that pan has to say."""
    with tempfile.TemporaryDirectory(prefix="quash-model-") as directory:
        run([spin, "-a"] + ([f"-D{mutation}"] if mutation else []) + [MODEL], directory, 60)
        run([compiler, "-O2", "-DSAFETY", "-DCOLLAPSE", f"-DMEMLIM={MEMORY_LIMIT_MIB}", "-w", "-o", "pan", "pan.c"],
            directory, 120)
        return run(["./pan", f"-m{DEPTH_MAX}", f"-w{HASH_BITS}"], directory, timeout_s)


def judge(report, mutation):
    """None if the report is as it should be, else what is wrong with it."""
    violated = "assertion violated" in report
    if mutation:
        return None if violated else f"the mutation {mutation} was not found out"
    if violated:
        return "a stale hit is possible"
    if not re.search(r"errors: 0$", report, re.MULTILINE):
        return "pan found an error"
    for excuse in ("Search not completed", "max search depth too small", "out of memory"):
        if excuse in report:
            return f"not every state was searched: {excuse}"
    states = re.search(r"^\s*(\d+) states, stored", report, re.MULTILINE)
    if not states or int(states.group(1)) < STATES_MIN:
        return f"fewer than {STATES_MIN} states: the model does not do what it should"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mutation", nargs="?", choices=MUTATIONS)
    parser.add_argument("--spin", default="spin")
    parser.add_argument("--compiler", default="cc")
    parser.add_argument("--timeout", type=int, default=600, help="seconds for the search")
    arguments = parser.parse_args()

    start = time.monotonic()
    try:
        report = search(arguments.mutation, arguments.spin, arguments.compiler, arguments.timeout)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.cmd[0]} failed:\n{error.stdout}")
    except subprocess.TimeoutExpired as error:
        sys.exit(f"{error.cmd[0]} took longer than {error.timeout} s")
    problem = judge(report, arguments.mutation)
    print(report)
    print(f"{time.monotonic() - start:.1f} s")
    if problem:
        sys.exit(problem)


if __name__ == "__main__":
    main()
