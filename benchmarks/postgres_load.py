"""Stage 2: parquet per period -> an indexed Postgres table, side by side with other ways to do it.

What belongs here: which contenders run on what, the tables of results and the verdicts. The ways themselves are in
`load_contenders`, the data in `load_data`. Every way replaces the same four periods of one and the same table, turn by
turn, by one of two revisions in alternation, so that a way that wrote nothing is found out; after each turn the table
is checked and vacuumed and its pages are written.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measuring import Options, Series, Verdict, ratio, run, serving, table

# names only: importing the ways or the data would make this process large (see `measuring`)
REPLACE = ("psql_text", "psql_binary", "ours", "predecessor", "polars", "duckdb", "to_sql", "adbc")
FIRST = ("psql", "psql_indexed", "ours", "predecessor")
UNCHANGED = ("period", "table")
TABLES = {"replace": "bench_replace", "first": "bench_first"}
TITLES = {"replace": "replace 4 periods", "first": "first load with indexes", "unchanged": "nothing to load"}
LIMIT = {"replace": "psql_text", "first": "psql"}
TURNS = 3  # of replacing in a round: half a second each, so that one disturbance is much of it
INDEXES = 5
COUNTS = ("rows", "nulls", "halves", "leading_zeros")


@dataclass
class Course:
    """The server and the data, and what was measured on them."""

    size: str
    folder: Path
    facts: dict[str, Any] = field(default_factory=dict)
    results: dict[tuple[str, str], Series] = field(default_factory=dict)
    faults: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    _digests: dict[str, str] = field(default_factory=dict)
    _turns: int = 0

    def prepare(self) -> None:
        """Make the partitions and the table whose periods are replaced."""
        self.facts, _ = run("benchmarks.load_data", self.size, self.folder)
        run("benchmarks.load_contenders", "prepare", "table", self.folder, 0)
        print(f"{self.facts['held']['rows']:,} rows, {INDEXES} btrees", flush=True)

    def measure(self, task: str, name: str) -> None:
        """One run of one way, and the check of what it left behind."""
        self._turns += 1
        revision = self._turns % 2
        result, peak = run("benchmarks.load_contenders", task, name, self.folder, revision)
        series = self.results.setdefault((task, name), Series())
        series.seconds.append(result["seconds"])
        series.peaks.append(peak)
        series.notes["grown"] = max(result["grown"], series.notes.get("grown", 0.0))
        series.notes["wal"] = result["wal"]
        if task in TABLES:
            wanted = "held" if task == "first" else f"revision-{revision}"
            options = (self.facts[wanted]["since"], *(["drop"] if task == "first" else []))
            found, _ = run("benchmarks.load_check", self.folder, TABLES[task], *options)
            self.faults.setdefault((task, name), []).extend(self._compare(found, wanted))

    def _compare(self, found: dict[str, Any], wanted: str) -> list[str]:
        facts = self.facts[wanted]
        faults = [f"{key} {found[key]:,}" for key in COUNTS if found[key] != facts[key]]
        if found["digest"] != self._digests.setdefault(wanted, found["digest"]):
            faults.append("other rows than the first")
        if found["indexes"] != INDEXES:
            faults.append(f"{found['indexes']} indexes")
        return faults

    def seconds(self, task: str, name: str) -> list[float]:
        """One per round."""
        return self.results[task, name].seconds

    def print(self, task: str) -> None:
        """The table of results of one task."""
        judged, limit, rows = task in TABLES, LIMIT.get(task, ""), []
        for (found, name), series in self.results.items():
            if found != task:
                continue
            line = [name, f"{series.median:.3f}", f"{min(series.seconds):.3f}"]
            if judged:
                line += [f"{ratio(self.seconds(task, 'predecessor'), series.seconds):.2f}"]
                line += [f"{ratio(series.seconds, self.seconds(task, limit)):.2f}"]
            # what psql takes is not this process's
            line += ["" if name.startswith("psql") else f"{series.notes['grown']:.0f}", f"{series.notes['wal']:.1f}"]
            if judged:
                line += [", ".join(self.faults[task, name]) or "yes"]
            rows.append(line)
        head = ["way", "median s", "best s", *(["x predecessor", "/ psql"] if judged else []), "grew MB", "WAL MB"]
        print(f"\n{TITLES[task]}\n{table(head + (['exact'] if judged else []), rows)}\n", flush=True)


def run_stage(options: Options) -> list[Verdict]:
    """Measure, print, judge."""
    options.folder.chmod(0o711)  # root's server runs as another account, which must pass through
    replace = [name for name in REPLACE if name != "adbc" or _has_adbc()]
    with serving("benchmarks.load_server", options.folder) as settings:
        print(", ".join(f"{name} {value}" for name, value in settings.items()), flush=True)
        course = Course("small" if options.quick else "4m", options.folder)
        course.prepare()
        for name in UNCHANGED * options.rounds:
            course.measure("unchanged", name)
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", flush=True)
            for turn in range(1 if options.quick else TURNS):
                for name in _rotated(replace, number * TURNS + turn):
                    course.measure("replace", name)
            for name in _rotated(list(FIRST), number):
                course.measure("first", name)
    for task in TITLES:
        course.print(task)
    return [_exact(course)] if options.quick else [*_speed(course), _exact(course), _memory(course), _unchanged(course)]


def _rotated(names: list[str], number: int) -> list[str]:
    """Each turn begins with another one: nobody always comes after the same neighbour."""
    return names[number % len(names) :] + names[: number % len(names)]


def _has_adbc() -> bool:
    found = importlib.util.find_spec("adbc_driver_postgresql") is not None
    if not found:
        print("adbc left out: it needs `pip install adbc-driver-postgresql`", flush=True)
    return found


def _speed(course: Course) -> Iterator[Verdict]:
    for task, wanted in (("replace", 2.0), ("first", 1.8)):
        times = ratio(course.seconds(task, "predecessor"), course.seconds(task, "ours"))
        yield Verdict(TITLES[task], f"{times:.2f} x predecessor", f">= {wanted}", times >= wanted)
    share = ratio(course.seconds("replace", "ours"), course.seconds("replace", LIMIT["replace"]))
    yield Verdict("replace against psql of prepared text", f"{share:.2f} x", "<= 1.25", share <= 1.25)


def _exact(course: Course) -> Verdict:
    faults = [fault for task in TABLES for fault in course.faults[task, "ours"]]
    return Verdict(f"exact, load {course.size}", ", ".join(faults) or "no difference", "no difference", not faults)


def _memory(course: Course) -> Verdict:
    grown = max(course.results[task, "ours"].notes["grown"] for task in TABLES)
    return Verdict("growth of the client while it loads", f"{grown:.0f} MB", "<= 100 MB", grown <= 100)


def _unchanged(course: Course) -> Verdict:
    milliseconds = 1000 * course.results["unchanged", "period"].median
    written = course.results["unchanged", "period"].notes["wal"]
    found = f"{milliseconds:.1f} ms, {written:.1f} MB written"
    return Verdict("an unchanged period", found, "<= 10 ms, no write", milliseconds <= 10 and written < 0.01)
