#!/usr/bin/env python3
"""./dev bench: runs quash-bench with the parameters of the project's goals and writes the table of docs/performance.md.

The table stands between two comments of that page. A row whose trace is not given this time keeps what it says.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import random
import re
import subprocess
import sys
import tempfile
import typing

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "performance.md"
BEGIN = "<!-- figures: begin. Written by ./dev bench; changes by hand are lost. -->"
END = "<!-- figures: end -->"

# Miss ratios of S3-FIFO on the traces that --traces may hold, by libCacheSim (October 2024).
S3_FIFO = {("web07", 500): .4997, ("web07", 2000): .4203, ("orm-night", 2000): .2551, ("orm-night", 10000): .0542}
MARGIN = 0.005
PREEMPTED_MAX = 3  # percent; more than that is said


class Figure(typing.NamedTuple):
    """One row of the table: a figure of a run, and what it is to be."""
    name: str
    key: str
    form: str
    least: float | None = None
    most: float | None = None

    def goal(self):
        if self.least is not None:
            return f"≥ {self.form.format(self.least)}"
        return f"≤ {self.form.format(self.most)}" if self.most is not None else ""

    def met(self, value):
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


class Run(typing.NamedTuple):
    arguments: list[str]
    figures: list[Figure]
    stdin: str | None = None  # a file to be read; with .xz, unpacked
    shown: str | None = None  # the command as the table shows it


def get(quick, *arguments):
    size = ["--entries", "100000", "--value-bytes", "64", "--groups", "2", "--zipf", "0.99"]
    return ["get", *size, *arguments, "--seconds", "1.5" if quick else "10"]


def runs_of_get(quick):
    ops, times, share = "{:,.0f}", "{:.2f}×", "{:.2f}"
    yield Run(get(quick, "--threads", "1"), [
        Figure("lookups a second, one thread", "ops_per_s", ops),
        Figure("the baseline's", "baseline_ops_per_s", ops),
        Figure("ratio, one thread", "ratio", times, least=1.8),
        Figure("one lookup, median, ns", "ns_p50", "{:.0f}"),
        Figure("one lookup, 99 of 100 take less, ns", "ns_p99", "{:.0f}")])
    yield Run(get(quick, "--threads", "2"), [
        Figure("lookups a second, two threads", "ops_per_s", ops),
        Figure("the baseline's", "baseline_ops_per_s", ops),
        Figure("ratio, two threads", "ratio", times, least=6),
        Figure("what the second thread brings", "scaling", times, least=1.85)])
    yield Run(get(quick, "--threads", "1", "--cancels-per-s", "1000"), [
        Figure("share left at 1,000 unrelated cancellations a second", "storm_ratio", share, least=0.7),
        Figure("cancellations a second reached", "cancels_per_s", ops)])
    yield Run(get(quick, "--threads", "1", "--cancels-per-s", "100000"), [
        Figure("share left at 100,000 a second, in bursts of 10", "storm_ratio", share, least=0.4),
        Figure("cancellations a second reached", "cancels_per_s", ops)])
    yield Run(get(quick, "--threads", "1", "--cancels-per-s", "100000", "--cancel-burst", "1"), [
        Figure("share left at 100,000 a second, evenly spaced", "storm_ratio", share, least=0.4),
        Figure("cancellations a second reached", "cancels_per_s", ops)])
    yield Run(get(quick, "--threads", "2", "--write-percent", "10"), [
        Figure("operations a second, two threads, 10 % writes", "ops_per_s", ops),
        Figure("ratio, two threads, 10 % writes", "ratio", times, least=3)])


def runs_of_the_rest(quick, trace):
    ns = "{:,.0f}"
    members = "1,1000,100000" if quick else "1,1000,1000000,10000000"
    yield Run(["cancel", "--members", members], [
        Figure("cancelling a group, ns, the slowest of the sizes", "ns_per_cancel", ns, most=1000),
        Figure("the slowest to the fastest size", "flatness", "{:.2f}×", most=1.3),
        Figure("until the first refused hit, ns", "ns_to_refused", ns, most=1000),
        Figure("the slowest of that to the fastest", "refused_flatness", "{:.2f}×", most=1.3)])
    for groups in (0, 2, 8):
        entries = "100000" if quick else "1000000"
        yield Run(["memory", "--entries", entries, "--groups", str(groups)], [
            Figure(f"bytes an entry beyond key and value, {groups} groups", "bytes_per_entry", "{:.1f}",
                   most=96 + 8 * groups),
            Figure("percent of cancelled memory that served new entries", "returned_percent", "{:.1f}", least=95)])
    yield Run(["trace", "--capacity", "2000", "-"], [
        Figure("miss ratio, half of a made-up trace never asked again", "miss_ratio", "{:.4f}"),
        Figure("LRU's", "baseline_miss_ratio", "{:.4f}")],
        stdin=trace, shown="the trace of `made_up_trace` in `tests/bench/run_bench.py`")
    yield Run(["stampede", "--threads", "64", "--expiries", "10" if quick else "100"], [
        Figure("loads an expiry, 64 threads", "loads_per_expiry", "{:.2f}", most=1),
        Figure("the worst wait to the load's own time", "worst_wait_ratio", "{:.2f}×")])


def runs_of_rules(quick):
    """What quashd does with an event before the table, beside parsing its body alone."""
    ns, rounds = "{:,.0f}", "11" if quick else "201"
    for shape, told_apart in (("domain", "by routing keys"), ("cdc", "by the body")):
        for rules, most in ((10, 1.5), (1000, 1.7)):
            yield Run(["rules", "--rules", str(rules), "--shape", shape, "--rounds", rounds], [
                Figure(f"an event to its groups, {rules:,} rules told apart {told_apart}, ns", "ns_judge", ns),
                Figure("parsing its body alone, ns", "ns_parse", ns),
                Figure(f"ratio, {rules:,} rules told apart {told_apart}", "ratio", "{:.2f}×", most=most)])


def runs_of_traces(directory):
    for (name, capacity), ratio in S3_FIFO.items():
        path = directory / f"{name}.keys.xz"
        if path.exists():
            yield Run(["trace", "--capacity", str(capacity), "-"], [
                Figure(f"miss ratio, {name}, {capacity:,} entries", "miss_ratio", "{:.4f}", most=ratio + MARGIN),
                Figure(f"LRU's on {name}, {capacity:,} entries", "baseline_miss_ratio", "{:.4f}")],
                stdin=str(path), shown=f"xz -dc {name}.keys.xz \\| quash-bench trace --capacity {capacity} -")


def made_up_trace(path):
    """400,000 requests: every other one by a Zipf law with 0.9 over 50,000 keys, the others never come again."""
    draw = random.Random(7)
    weights, total = [], 0.0
    for rank in range(1, 50001):
        total += rank ** -0.9
        weights.append(total)
    popular = draw.choices(range(50000), cum_weights=weights, k=200000)
    with open(path, "w") as file:
        for i, key in enumerate(popular):
            file.write(f"{key}\n{1000000 + i}\n")


def measure(program, run):
    command = [program, *run.arguments, "--json"]
    print("  " + " ".join(["quash-bench", *run.arguments]), flush=True)
    unpack = None
    if run.stdin is None:
        source = subprocess.DEVNULL
    elif run.stdin.endswith(".xz"):
        unpack = subprocess.Popen(["xz", "-dc", run.stdin], stdout=subprocess.PIPE)
        source = unpack.stdout
    else:
        source = open(run.stdin)
    try:
        done = subprocess.run(command, stdin=source, capture_output=True, text=True, timeout=600)
    finally:
        if source is not subprocess.DEVNULL:
            source.close()
        if unpack is not None:
            unpack.wait()
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(command)} exited with {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def machine():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", text, re.M)
    caches = subprocess.run(["lscpu"], capture_output=True, text=True, env=dict(os.environ, LC_ALL="C")).stdout
    sizes = [f"{level} {size}" for level, size in re.findall(r"^(L2|L3) cache:\s+(\S+ \S+)", caches, re.M)]
    memory = int(re.search(r"^MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.M)[1])
    virtual = ", a virtual machine" if re.search(r"^flags.*\bhypervisor\b", text, re.M) else ""
    processors = len(os.sched_getaffinity(0))
    return (f"{model[1] if model else platform.machine()}, {processors} processors{virtual}"
            f"{', ' if sizes else ''}{', '.join(sizes)}; {memory / 2**20:.0f} GiB; Linux {platform.release()}; "
            f"{datetime.date.today().isoformat()}")


def cells(row):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def table(rows):
    lines = ["| measured | figure | goal | | command |", "|---|---|---|---|---|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def kept_rows(page, rows):
    """Rows of the page on traces that were not given this time."""
    measured = {row[0] for row in rows}
    between = page[page.index(BEGIN):page.index(END)]
    traces = {name for name, _ in S3_FIFO}
    for line in between.splitlines():
        row = cells(line) if line.startswith("|") else []
        if row and row[0] not in measured and any(name in row[0] for name in traces):
            yield row


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default=str(ROOT / "build" / "release" / "bin"), help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true",
                        help="smaller and shorter, half a minute; the page is left as it is")
    parser.add_argument("--traces", type=pathlib.Path, metavar="DIR",
                        help="with the traces web07.keys.xz and orm-night.keys.xz (docs/performance.md says whence)")
    options = parser.parse_args()
    if options.traces is not None and not options.traces.is_dir():
        parser.error(f"--traces {options.traces} is no directory")
    page = PAGE.read_text()
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        sys.exit(f"bench: {PAGE} lacks the two comments between which the table stands:\n{BEGIN}\n{END}")

    rows, missed, disturbed = [], [], 0
    with tempfile.TemporaryDirectory(prefix="quash-bench-") as directory:
        trace = str(pathlib.Path(directory) / "made-up.keys")
        made_up_trace(trace)
        runs = [*runs_of_get(options.quick), *runs_of_the_rest(options.quick, trace), *runs_of_rules(options.quick)]
        if options.traces is not None:
            runs += runs_of_traces(options.traces)
        for run in runs:
            result = measure(str(pathlib.Path(options.bin) / "quash-bench"), run)
            if not result.get("write_percent", 0):  # writers wait for each other
                disturbed = max(disturbed, result.get("preempted_percent", 0))
            command = run.shown or "quash-bench " + " ".join(run.arguments)
            for i, figure in enumerate(run.figures):
                value = result[figure.key]
                mark = "" if not figure.goal() else "met" if figure.met(value) else "**not met**"
                if mark.startswith("*"):
                    missed.append(figure.name)
                shown = command if command.startswith("the ") else f"`{command}`"
                rows.append([figure.name, figure.form.format(value), figure.goal(), mark, shown if i == 0 else ""])
                print(f"    {figure.name + ':':<56} {figure.form.format(value):>14}  {figure.goal():>10}  "
                      f"{mark.strip('*')}", flush=True)
    if disturbed > PREEMPTED_MAX:
        print(f"up to {disturbed:.0f} % of the time other programs had the processors: measure again when there are none")
    if missed:
        print("not met: " + "; ".join(missed))
    if options.quick:
        print(f"a quick look, on {machine()}; {PAGE.relative_to(ROOT)} is as it was")
        return
    rows += kept_rows(page, rows)
    text = f"{BEGIN}\n\nOn {machine()}.\n\n{table(rows)}\n\n{END}"
    start, stop = page.index(BEGIN), page.index(END) + len(END)
    PAGE.write_text(page[:start] + text + page[stop:])
    print(f"written to {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
