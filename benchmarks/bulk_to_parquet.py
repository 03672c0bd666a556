"""Stage 1: a BULK body -> one parquet file per period, side by side with other ways to do it.

What belongs here: which contenders run on what, the table of results and the verdicts. The ways themselves are in
`bulk_contenders`, the data in `bulk_data`. 4 M rows are read from a socket and from a file, in rounds; 30 M rows once.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measuring import OLD_PYTHON, ROOT, Options, Series, Verdict, ratio, run, table

# names only: importing the ways or the data would make this process large (see `measuring`)
CONTENDERS = ("predecessor", "pandas", "duckdb", "polars", "pyarrow", "ours")
LIMITS = ("read_alone", "parse_alone", "write_alone")
SOCKET, FILE = "socket", "file"


@dataclass
class Course:
    """One body, and what was measured on it."""

    size: str
    folder: Path
    port: int
    facts: dict[str, Any] = field(default_factory=dict)
    results: dict[tuple[str, str], Series] = field(default_factory=dict)

    def prepare(self) -> None:
        """Make the body."""
        self.facts, _ = run("benchmarks.bulk_data", self.size, self.folder / f"{self.size}.csv")
        megabytes = self.facts["bytes"] / 1e6
        print(f"{self.size}: {self.facts['rows']:,} rows, {megabytes:.0f} MB", flush=True)

    def measure(self, name: str, source: str) -> None:
        """One run of one way."""
        out = self.folder / "out"
        out.mkdir()
        try:
            body = f"{self.size}.csv"
            place = f"http://127.0.0.1:{self.port}/{body}" if source == SOCKET else self.folder / body
            old = name == "predecessor" and OLD_PYTHON.is_file()
            python = OLD_PYTHON if old else sys.executable
            result, peak = run("benchmarks.bulk_contenders", name, self.size, place, out, python=python)
            series = self.results.setdefault((name, source), Series())
            series.seconds.append(result["seconds"])
            series.peaks.append(peak)
            if name in CONTENDERS:
                series.notes, _ = run("benchmarks.bulk_check", out)
        finally:
            shutil.rmtree(out)
            out.with_suffix(".download").unlink(missing_ok=True)

    def faults(self, series: Series) -> list[str]:
        """What is not as it was put in."""
        found = series.notes
        counts = ("rows", "nulls", "leading_zeros")
        faults = [f"{key} {found[key]:,}" for key in counts if found[key] != self.facts[key]]
        if not math.isclose(found["total"], self.facts["total"], rel_tol=1e-12):
            faults.append("values are text" if math.isnan(found["total"]) else f"sum {found['total']}")
        if found["schemas"] != 1:
            faults.append(f"{found['schemas']} schemas")
        return faults

    def print(self) -> None:
        """The table of results."""
        rows = []
        for (name, source), series in self.results.items():
            base = self.results.get(("predecessor", source))
            times = f"{ratio(base.seconds, series.seconds):.2f}" if base and name in CONTENDERS else ""
            size = f"{series.notes['bytes'] / 1e6:.1f}" if series.notes else ""
            faults = (", ".join(self.faults(series)) or "yes") if series.notes else ""
            median, best = f"{series.median:.2f}", f"{min(series.seconds):.2f}"
            rows.append([f"{name}, {source}", median, best, times, f"{series.peak:.0f}", size, faults])
        head = ["way", "median s", "best s", "x predecessor", "peak MB", "files MB", "exact"]
        print(f"\n{self.size}\n{table(head, rows)}\n", flush=True)


def run_stage(options: Options) -> list[Verdict]:
    """Measure, print, judge."""
    if not OLD_PYTHON.is_file():
        print("No .venv-predecessor (`make bench` makes it): the predecessor runs under today's pandas.", flush=True)
    with _server(options.folder) as port:
        small = Course("small" if options.quick else "4m", options.folder, port)
        small.prepare()
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", flush=True)
            for source in (SOCKET, FILE):
                for name in CONTENDERS:
                    small.measure(name, source)
            small.measure("read_alone", SOCKET)
            for name in LIMITS:
                small.measure(name, FILE)
        small.print()
        if options.quick:
            return [_exact(small)]  # too short a race to judge speed by
        large = Course("30m", options.folder, port)
        large.prepare()
        # the predecessor and pandas would need 8 GB
        for name, source in [*((name, FILE) for name in CONTENDERS[2:]), ("ours", SOCKET)]:
            large.measure(name, source)
        large.print()
    return [*_speed(small), _exact(small), _exact(large), _memory(small), _memory(large), _files(small)]


def _speed(course: Course) -> list[Verdict]:
    verdicts = []
    for source, wanted in ((SOCKET, 3.5), (FILE, 3.0)):
        times = ratio(course.results["predecessor", source].seconds, course.results["ours", source].seconds)
        name = f"speed from a {source}"
        verdicts.append(Verdict(name, f"{times:.2f} x predecessor", f">= {wanted}", times >= wanted))
    parse, write = (course.results[name, FILE].seconds for name in ("parse_alone", "write_alone"))
    limits = [sum(pair) for pair in zip(parse, write, strict=True)]
    share = ratio(course.results["ours", FILE].seconds, limits)
    verdicts.append(Verdict("wall against parse alone + write alone", f"{share:.2f} x", "<= 1.5", share <= 1.5))
    return verdicts


def _exact(course: Course) -> Verdict:
    faults = [fault for source in (SOCKET, FILE) for fault in course.faults(course.results["ours", source])]
    return Verdict(f"exact, {course.size}", ", ".join(faults) or "no difference", "no difference", not faults)


def _memory(course: Course) -> Verdict:
    peak = max(course.results["ours", source].peak for source in (SOCKET, FILE))
    return Verdict(f"peak memory, {course.size}", f"{peak:.0f} MB", "<= 350 MB", peak <= 350)


def _files(course: Course) -> Verdict:
    ours, theirs = (course.results[name, FILE].notes["bytes"] for name in ("ours", "predecessor"))
    return Verdict("size of the files", f"{ours / theirs:.2f} x predecessor", "<= 0.35", ours / theirs <= 0.35)


@contextmanager
def _server(folder: Path) -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.bulk_server", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as server:
        assert server.stdin
        assert server.stdout
        yield json.loads(server.stdout.readline())["port"]
        server.stdin.close()
