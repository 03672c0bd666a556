"""Progress: what a person sees while tables sync, and the table at the end.

What belongs here: bars, lines and number formats. Nothing is decided here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from varro_assets.defs.watcher import Watcher
from varro_assets.engine.partitions import PartitionInfo
from varro_assets.engine.planning import Plan
from varro_assets.statbank.models import TableInfo
from varro_assets.statbank.sync_report import Outcome, SyncReport


@dataclass
class Line:
    """A table's line in the summary.

    Attributes:
        error: what failed; empty if nothing did.
        note: said instead of counts where nothing was to be fetched.
    """

    table: str
    seconds: float
    report: SyncReport | None
    error: str = ""
    note: str = ""

    @property
    def failed(self) -> bool:
        """Whether something that was planned did not come in."""
        return bool(self.error) or bool(self.report and self.report.unsettled)

    @property
    def status(self) -> str:
        """One word, coloured."""
        if self.error:
            return "[bold red]FAILED[/]"
        return "[yellow]PARTIAL[/]" if self.failed else "[green]ok[/]"


class ProgressWatcher(Watcher):
    """Draws one bar for the tables and one for the periods of the table at work."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._tables: TaskID | None = None
        self._periods: TaskID | None = None
        self._rows = 0

    @contextmanager
    def over(self, count: int) -> Iterator[None]:
        """Draw while so many tables are worked on."""
        with self._progress:
            self._tables = self._progress.add_task("tables", total=count, detail="")
            yield

    @contextmanager
    def table(self, name: str) -> Iterator[None]:
        """One table is at work."""
        self._rows = 0
        if self._periods is not None:
            # a new one: a bar whose length was known cannot be made unknown again
            self._progress.remove_task(self._periods)
        self._periods = self._progress.add_task(name, total=None, detail="asking what is published")
        yield
        if self._tables is not None:
            self._progress.advance(self._tables)

    def planned(self, plan: Plan, info: TableInfo) -> None:
        """The number of periods is known."""
        if self._periods is not None:
            self._progress.update(self._periods, total=len(plan.fetch), completed=0, detail=escape(info.text[:40]))

    def rows(self, count: int) -> None:
        """Rows came in."""
        self._rows += count
        if self._periods is not None:
            self._progress.update(self._periods, detail=f"{number(self._rows)} rows")

    def settled(self, period: str, outcome: Outcome, part: PartitionInfo) -> None:
        """A period is in."""
        del period, part
        if self._periods is not None and outcome is not Outcome.KEPT:
            self._progress.advance(self._periods)

    def message(self, text: str) -> None:
        """Something to read."""
        self._console.print(f"  [yellow]{escape(text)}[/]", soft_wrap=True)

    def done(self, line: Line) -> None:
        """Where no bars can be drawn, say a line for each table as it ends."""
        if not self._console.is_terminal:
            self._console.print(f"{line.table:<9}{plain(line)}", soft_wrap=True)


def plain(line: Line) -> str:
    """A line of the summary as a sentence."""
    if line.error:
        return f"FAILED: {escape(line.error)}"
    report = line.report
    if report is None or line.note:
        return line.note
    counts = ", ".join(f"{report.count(outcome)} {outcome}" for outcome in Outcome if report.count(outcome))
    return f"{counts or 'nothing to do'}; {number(report.rows_fetched)} rows fetched, {line.seconds:.1f} s"


def summary(lines: Sequence[Line]) -> Table:
    """The table at the end of a sync."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("table")
    for heading in ("new", "revised", "unchanged", "failed", "rows", "size", "seconds"):
        table.add_column(heading, justify="right")
    table.add_column("result")
    for line in lines:
        report = line.report or SyncReport(line.table)
        held = report.held.values()
        table.add_row(
            line.table,
            *(count(report.count(outcome)) for outcome in (Outcome.NEW, Outcome.REVISED, Outcome.UNCHANGED)),
            count(len(report.unsettled)) if line.failed else "-",
            number(sum(part.rows for part in held)) if held else "-",
            size(sum(part.bytes for part in held)) if held else "-",
            f"{line.seconds:.1f}",
            f"{line.status} {escape(line.note)}".strip(),
        )
    return table


def count(value: int) -> str:
    """A count; a dash for none."""
    return f"{value:,}" if value else "-"


def number(value: float) -> str:
    """``1,234,567``."""
    return f"{value:,.0f}"


def counted(value: int, noun: str) -> str:
    """``1 table``, ``1,234 tables``."""
    return f"{value:,} {noun}{'s' * (value != 1)}"


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def size(value: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """So far."""
        return time.monotonic() - self._start


def table_bar(console: Console, what: str) -> Progress:
    """A bar over tables, to be entered: its task has a field ``table``, the one at hand. Gone when it is done."""
    return Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[table]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
