"""Report text: sweeps as people read them in the terminal.

What belongs here: tables, colours and sentences. Nothing is decided here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby

from rich.markup import escape
from rich.table import Table

from varro_assets.cli.progress import count, counted, duration, number
from varro_assets.cli.restart import Restart
from varro_assets.engine.sweeps import (
    Failed,
    Stage,
    SweepReport,
    SweepStatus,
    TableReport,
    TableStatus,
)

SHORTEST = 8
"""Characters of an id that are always shown: of a run's own."""
SHORTEST_TIME = 19
"""Of an id that begins with a time, to the second: so much of it stays unique when more runs come."""
WIDE = 110
"""Columns from which more is shown of each."""
_COLOURS = {
    SweepStatus.SUCCESS: "green",
    SweepStatus.PARTIAL: "yellow",
    SweepStatus.FAILED: "bold red",
    SweepStatus.INCOMPLETE: "cyan",
    SweepStatus.NO_WORK: "dim",
    TableStatus.OK: "green",
    TableStatus.PARTIAL: "yellow",
    TableStatus.FAILED: "bold red",
    TableStatus.UNFINISHED: "cyan",
    TableStatus.NOTHING: "dim",
}


def coloured(status: SweepStatus | TableStatus) -> str:
    """The status in its colour."""
    return f"[{_COLOURS[status]}]{status}[/]"


def overview(rows: Sequence[tuple[SweepReport, int]], ids: Collection[str], width: int) -> Table:
    """A line for each sweep.

    Args:
        rows: a report, and how many sweeps it stands for: polls in a row without work are one line.
        ids: of all that an id must be told from.
        width: of the terminal.
    """
    short = shortened([report.sweep for report, _ in rows], ids)
    wide = width >= WIDE
    table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=not wide)
    table.add_column("run", no_wrap=True)
    table.add_column("began (UTC)", no_wrap=True)
    if wide:
        table.add_column("by", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for heading in ("tables", "failed", "new", "revised", *(("rows", "requests") if wide else ()), "took"):
        table.add_column(heading, justify="right", no_wrap=True)
    for report, number_of in rows:
        failed = sum(report.count(status) for status in (TableStatus.FAILED, TableStatus.PARTIAL))
        table.add_row(
            f"[dim]{counted(number_of, 'poll')}, the last[/]" if number_of > 1 else short[report.sweep],
            moment(report.started, wide),
            *((report.launcher,) if wide else ()),
            coloured(report.status),
            count(len(report.tables)),
            f"[red]{failed:,}[/]" if failed else "-",
            count(report.periods("new")),
            count(report.periods("revised")),
            *((count(report.rows_fetched), count(report.requests)) if wide else ()),
            duration(report.seconds) if report.ended is not None else "…",
        )
    return table


def head(report: SweepReport) -> Iterator[str]:
    """What is to be said of the whole sweep."""
    yield f"[bold]{escape(report.sweep)}[/]  {coloured(report.status)}"
    took = f"took {duration(report.seconds)}" if report.ended is not None else "has not ended"
    yield f"Began {moment(report.started, True)} UTC by {report.launcher}, {took}."
    done = report.count(TableStatus.OK)
    parts = [f"{done} of {counted(len(report.tables), 'table')}"] if report.tables else []
    parts += [f"{counted(n, 'period')} {kind}" for kind in ("new", "revised", "shrunk") if (n := report.periods(kind))]
    if counts := _requests(report):
        parts.append(f"{counted(report.rows_fetched, 'row')} in {counts}" if report.tables else counts)
    if report.retries:
        parts.append(f"{report.retries} tried again")
    if parts:
        yield f"{'; '.join(parts)}."
    if report.awaited:
        yield f"It found {_due(report)}."


def _requests(report: SweepReport) -> str:
    """How many, and whose; empty where nobody left a figure, as a run that failed leaves none."""
    whose = ["the poll"] if "requests" in report.poll else []
    if report.tables:
        failed = report.retries or any(table.error for table in report.tables.values())
        whose.append(f"the tables' runs{' that ended well' if failed else ''}")
    return f"{counted(report.requests, 'request')} of {' and '.join(whose)}" if whose else ""


def _due(report: SweepReport) -> str:
    """What a poll found, for which no run of its sweep followed."""
    found = f"{counted(report.awaited, 'table')} due and set off no run"
    if report.status is SweepStatus.INCOMPLETE:
        return f"{found} yet: after a failure a table waits before it is tried again"
    return f"{found}: after a failure a table waits, or another run saw to it"


def since_then(rows: Sequence[tuple[SweepReport, int]]) -> Iterator[str]:
    """What was run after the sweep that is reported on, without work.

    Args:
        rows: newest first, as for `overview`.
    """
    if not rows:
        return
    newest, many = rows[0][0], sum(number_of for _, number_of in rows)
    polls = all(set(report.stages) <= {Stage.POLL} for report, _ in rows)
    what = "poll" if polls else "run"
    last = f"the last at {moment(newest.started, True)} UTC" if many > 1 else f"at {moment(newest.started, True)} UTC"
    if newest.ended is None and not newest.awaited:
        yield f"{counted(many, what)} since then, {last}, which has not ended."
    elif newest.awaited:
        yield f"{counted(many, what)} since then, {last}: it found {_due(newest)}."
    else:
        yield f"{counted(many, what)} since then {'found nothing to do' if polls else 'synced no table'}, {last}."


def stages(report: SweepReport) -> Table:
    """How far the assets of each stage got."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stage")
    for heading in ("planned", "started", "completed", "failed"):
        table.add_column(heading, justify="right")
    for stage, counts in report.stages.items():
        failed = f"[red]{counts.failed:,}[/]" if counts.failed else "-"
        table.add_row(stage, count(counts.planned), count(counts.started), count(counts.completed), failed)
    return table


def tables(reports: Iterable[TableReport]) -> Table:
    """A line for each table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("table")
    for heading in ("new", "revised", "unchanged", "rows", "requests", "took"):
        table.add_column(heading, justify="right")
    table.add_column("result", no_wrap=True)
    for report in reports:
        table.add_row(
            report.table,
            *(count(report.counts.get(kind, 0)) for kind in ("new", "revised", "unchanged")),
            count(report.rows_fetched),
            count(report.requests),
            duration(report.seconds),
            coloured(report.status),
        )
    return table


def failures(failed: Sequence[Failed]) -> Iterator[str]:
    """Each error once, with everything it kept from coming in."""

    def same(one: Failed) -> tuple[str, str, str]:
        return one.table, one.error, one.run_id

    for (table, error, run_id), found in groupby(sorted(failed, key=same), key=same):
        ones = list(found)
        assets = sorted({one.asset for one in ones})
        codes = list(dict.fromkeys(one.period for one in ones if one.period))
        name = f"[yellow]{table}[/]" if all(one.shrank for one in ones) else f"[red]{table or 'shared'}[/]"
        what = f" {_few(codes)}" if codes else ""
        yield f"{name}{what}: {escape(error)}"
        when = moment(min(one.at for one in ones), True)
        yield f"  [dim]{escape(', '.join(assets))}; run {run_id[:SHORTEST]}, {when} UTC[/]"


def ways_out(found: Restart, command: str) -> Iterator[str]:
    """What to do now."""
    if found.commands:
        yield "Again, only what failed:"
        yield from (f"  [bold]{escape(line)}[/]" for line in found.commands)
    if found.believing:
        yield "If the publisher means the periods that shrank:"
        yield from (f"  [bold]{escape(line)}[/]" for line in found.believing)
    if found.under_way:
        yield (
            f"Not ended: {_few(found.under_way)}. If nobody works on them any more:"
            f" [bold]{command} sync {' '.join(found.under_way[:20])}[/]; where that finds nothing due:"
            f" [bold]{command} doctor[/]"
        )


def shortened(names: Iterable[str], ids: Collection[str]) -> dict[str, str]:
    """Id -> as much of its beginning as tells it from all others, also those that are not shown."""
    short: dict[str, str] = {}
    ordered = sorted({*names, *ids})
    for name in names:
        at = bisect_left(ordered, name)
        near = [*ordered[max(0, at - 1) : at], *ordered[at + 1 : at + 2]]
        least = SHORTEST_TIME if name[4:5] == "-" else SHORTEST
        short[name] = name[: max([least, *(_shared_length(name, other) + 1 for other in near)])]
    return short


def _shared_length(one: str, other: str) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def moment(seconds: float, with_year: bool = False) -> str:
    """``2026-03-01 22:00``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M" if with_year else "%d %b %H:%M")


def _few(codes: Sequence[str]) -> str:
    shown = ", ".join(map(escape, codes[:6]))
    return shown if len(codes) <= 6 else f"{shown} and {number(len(codes) - 6)} more"
