"""Revisions: what the publisher changed in periods that were held, and tables as they were.

What belongs here: one read-only command and how its answers are printed. What was noticed stands in `meta.revision`;
the changed cells, and the way back, in the ledger's files.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from varro_assets.cli.lookup import print_table
from varro_assets.cli.progress import number
from varro_assets.cli.session import Session, session
from varro_assets.engine import clock, periods, postgres
from varro_assets.engine.partitions import PartitionStore
from varro_assets.engine.postgres import Connection
from varro_assets.engine.revisions import ledger_files, revision_record
from varro_assets.engine.revisions.ledger import Ledger
from varro_assets.engine.revisions.revision_record import Revision
from varro_assets.errors import UnknownTable
from varro_assets.settings import Settings
from varro_assets.statbank import facts, models
from varro_assets.statbank.vintages import vintage_files, vintages
from varro_assets.warehouse import open_warehouse

FEW_CELLS = 40
"""Revised periods, or changed cells of one, that are shown unless more are asked for."""
_DAY = len("2026-03-01")
_MOST = 200_000
"""So many revised periods are looked through for the list of all tables."""
_COUNTS = ("rows +", "rows -", "values", "largest change")
_OF_A_TABLE = ("published", "rows +", "rows -")
"""Columns that the list of one table has in any terminal, that of all tables only in a wide one."""
_NARROW = 110
"""Columns of a terminal below which days take the place of times."""
_LABELS = "SELECT column_name, code, text FROM meta.code WHERE table_id = %s"


def revisions(
    context: typer.Context,
    table: Annotated[
        str | None, typer.Argument(help="Table id; none = the newest revisions of all tables.", metavar="TABLE")
    ] = None,
    period: Annotated[str | None, typer.Option(help="Only of this period, such as 2020K1.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only what was noticed from this day on, such as 2026-03-01.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            help=f"Show at most so many, {FEW_CELLS} unless told; with --cells, of each period (in a pipe all).", min=1
        ),
    ] = None,
    cells: Annotated[bool, typer.Option("--cells", help="Show the changed cells, with labels. Needs TABLE.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, one object for each revised period.")] = False,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of", help="The table as it was held then: a day (its end) or a time such as 2026-03-01T12:00, UTC."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="With --as-of: write it to this .parquet or .csv file, or into this new folder.")
    ] = None,
) -> None:
    """Show what was revised in periods that were held, and when it was noticed here.

    StatBank says only when a table last changed, not what: these are the differences that syncs found.

    With --as-of the table is rebuilt as it was held at a moment.
    """
    here = session(context)
    if table is None and (cells or as_of or period):
        raise typer.BadParameter("--cells, --period and --as-of need a TABLE")
    if as_of and (cells or period or since):
        raise typer.BadParameter("--as-of takes the whole table: it goes without --cells, --period and --since")
    if out is not None and as_of is None:
        raise typer.BadParameter("--out needs --as-of")
    settings, most = here.settings, limit or FEW_CELLS
    period = period.upper() if period else None
    if table is not None:
        table = models.table_id(table)
        _require_held(here, settings, table)
    if table is not None and as_of is not None:
        _vintage(here, settings, table, _moment(as_of, "--as-of", end=True), out)
        return
    moment = _moment(since, "--since") if since else None
    with open_warehouse(settings) as warehouse:
        url = warehouse.reader_url or warehouse.url
        with contextlib.closing(postgres.connect(url, "revisions")) as connection:
            found = revision_record.newest(
                connection, table, period, moment, limit=(FEW_CELLS if cells else most) + 1 if table else _MOST
            )
            labels = _labels(connection, table) if table and cells else {}
    if as_json:
        typer.echo(json.dumps([_json(settings, row, labels, cells=cells) for row in found[:most]], ensure_ascii=False))
        _say_cut(here, found, most)
    elif not found:
        about = f" of {' '.join(filter(None, (table, period)))}" if table else ""
        here.errors.print(f"No revision{about} was noticed{f' since {since}' if since else ''}.")
    elif table is None:
        _print_all(here, found, most)
    elif cells:
        for row in found[:FEW_CELLS]:
            _print_cells(here, settings, row, labels, limit)
        if len(found) > FEW_CELLS:
            here.errors.print(f"Showing {FEW_CELLS} revised periods; --period and --since choose.")
    else:
        lines = [_line(here, row) for row in found[:most]]
        print_table(here, ("noticed", "period", "what", "published", *_COUNTS), lines, right=_COUNTS)
        _say_cut(here, found, most)


def _say_cut(here: Session, found: Sequence[Revision], most: int) -> None:
    if len(found) > most:
        here.errors.print(f"Showing {most}; --limit shows more.")


def _require_held(here: Session, settings: Settings, table: str) -> None:
    if not (settings.tables_dir / table).is_dir() and not (settings.revisions_dir / table).is_dir():
        raise UnknownTable(
            "look at the revisions of", on=table, got="nothing is held of it", todo=f"{here.command} sync {table}"
        )


def _moment(text: str, option: str, *, end: bool = False) -> datetime:
    """A day or a time; UTC where it names no zone."""
    try:
        moment = ledger_files.moment_of(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no date: write 2026-03-01 or 2026-03-01T12:00", param_hint=option
        ) from None
    whole_day = end and len(text) == _DAY
    return moment + timedelta(days=1, microseconds=-1) if whole_day else moment


# -- lists ---------------------------------------------------------------------------------------------------------


def _print_all(here: Session, found: Sequence[Revision], limit: int) -> None:
    """A line for each table and sync that noticed something."""
    lines: list[list[str]] = []
    for (table, _run), group in groupby(found, lambda row: (row.table, row.run_id or row.detected_at)):
        rows = list(group)
        if len(lines) == limit:
            here.errors.print(f"Showing {limit}; --limit shows more.")
            break
        codes = periods.in_order(row.period for row in rows)
        span = codes[0] if len(codes) == 1 else f"{len(codes)}: {codes[0]} to {codes[-1]}"
        what = ", ".join(sorted({str(row.kind) for row in rows}))
        lines.append([_when(rows[0].detected_at, here), table, span, what, _published(rows[0], here), *_totals(rows)])
    headings: tuple[str, ...] = ("noticed", "table", "periods", "what", "published", *_COUNTS)
    if _narrow(here):
        left = [place for place, heading in enumerate(headings) if heading not in _OF_A_TABLE]
        headings, lines = tuple(headings[place] for place in left), [[line[place] for place in left] for line in lines]
    print_table(here, headings, lines, right=_COUNTS)


def _line(here: Session, row: Revision) -> list[str]:
    return [_when(row.detected_at, here), row.period, str(row.kind), _published(row, here), *_totals([row])]


def _totals(rows: Iterable[Revision]) -> list[str]:
    known = [row.difference for row in rows if row.difference is not None]
    if not known:
        return ["not known", "", "", ""]
    largest = max((found.largest_change for found in known if found.largest_change is not None), default=None)
    counts = (
        sum(found.rows_added for found in known),
        sum(found.rows_removed for found in known),
        sum(found.values_changed for found in known),
    )
    return [*(number(count) if count else "" for count in counts), "" if largest is None else f"{largest:,.12g}"]


def _when(moment: datetime, here: Session | None = None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"[: _length(here)]


def _published(row: Revision, here: Session | None = None) -> str:
    return (row.updated or "").replace("T", " ")[: _length(here)]


def _length(here: Session | None) -> int:
    """Of a moment: all of it, unless a list would then not fit the terminal."""
    return _DAY if here is not None and _narrow(here) else len("2026-03-01 08:00")


def _narrow(here: Session) -> bool:
    return here.console.is_terminal and here.console.width < _NARROW


def _value(value: float | None) -> str:
    return "" if value is None else repr(value).removesuffix(".0")


# -- cells ---------------------------------------------------------------------------------------------------------


def _labels(connection: Connection, table: str) -> dict[tuple[str, str], str]:
    with postgres.transaction(connection, "read the labels of", on=table) as cursor:
        cursor.execute(_LABELS, (table,))
        return {(column, code): text for column, code, text in cursor.fetchall()}


def _read_cells(settings: Settings, row: Revision) -> tuple[list[str], list[tuple[Any, ...]]] | None:
    """Names of the code columns, and the cells: codes, old, new, change; None where none are kept."""
    if row.cells is None:
        return None
    table = ledger_files.cells(settings.revisions_dir / row.cells)
    rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    return table.column_names[:-3], rows


def _print_cells(
    here: Session, settings: Settings, row: Revision, labels: dict[tuple[str, str], str], limit: int | None
) -> None:
    here.say(
        f"[bold]{escape(row.period)}[/]  {row.kind}, noticed {_when(row.detected_at)}, published {_published(row)}"
    )
    found = _read_cells(settings, row)
    if found is None:
        here.say("The cells are not kept." if row.difference else "What it had held could not be read.")
        here.say()
        return
    names, rows = found
    # what a person looks for first; stable, so that cells of one size stay in the file's order
    rows = sorted(rows, key=_size_of_change, reverse=True)
    # the period is the same in every line
    shown = [place for place, name in enumerate(names) if {cell[place] for cell in rows} != {row.period}]
    most = limit or (FEW_CELLS if here.console.is_terminal else len(rows))
    lines = [
        [
            *(_labelled(labels, names[place], cell[place]) for place in shown),
            *(_side(cell[-3], absent=cell[-1] == "added"), _side(cell[-2], absent=cell[-1] == "removed")),
            _change(cell),
        ]
        for cell in rows[:most]
    ]
    headings = (*(facts.column_name(names[place]) for place in shown), "old", "new", "change")
    print_table(here, headings, lines, right=("old", "new", "change"))
    if len(rows) > most:
        here.say(
            f"{number(len(rows) - most)} more in {escape(str(settings.revisions_dir / str(row.cells)))}", whole=True
        )
    here.say()


def _labelled(labels: dict[tuple[str, str], str], variable: str, code: str) -> str:
    return f"{code} {labels.get((facts.column_name(variable), code), '')}".strip()


def _size_of_change(cell: tuple[Any, ...]) -> float:
    """By how much the cell's value moved; what is no number, or no row, counts as nothing."""
    size = abs((cell[-2] or 0.0) - (cell[-3] or 0.0))
    return 0.0 if math.isnan(size) else size


def _change(cell: tuple[Any, ...]) -> str:
    """By how much, or what else became of the cell."""
    old, new, kind = cell[-3:]
    known = kind == "changed" and old is not None and new is not None
    return f"{new - old:+.12g}" if known else str(kind)


def _side(value: float | None, *, absent: bool) -> str:
    if absent:
        return "no row"
    return "NULL" if value is None else _value(value)


def _json(settings: Settings, row: Revision, labels: dict[tuple[str, str], str], *, cells: bool) -> dict[str, Any]:
    found = row.difference
    content: dict[str, Any] = {
        "table": row.table,
        "period": row.period,
        "kind": str(row.kind),
        "detected_at": row.detected_at.astimezone(UTC).isoformat(),
        "updated_before": row.updated_before,
        "updated": row.updated,
        "rows_before": row.rows_before,
        "rows_after": row.rows_after,
        "rows_added": found.rows_added if found else None,
        "rows_removed": found.rows_removed if found else None,
        "values_changed": found.values_changed if found else None,
        "largest_change": _finite(found.largest_change) if found else None,
        "file": row.cells,
        "run_id": row.run_id,
    }
    if cells:
        kept = _read_cells(settings, row)
        content["cells"] = None
        if kept is not None:
            names, rows = kept
            content["cells"] = [
                {
                    "codes": dict(zip(names, cell[:-3], strict=True)),
                    "labels": {
                        name: labels.get((facts.column_name(name), code))
                        for name, code in zip(names, cell[:-3], strict=True)
                    },
                    "old": _finite(cell[-3]),
                    "new": _finite(cell[-2]),
                    "change": cell[-1],
                }
                for cell in rows
            ]
    return content


def _finite(value: float | None) -> float | str | None:
    """JSON knows no infinity."""
    return value if value is None or math.isfinite(value) else str(value)


# -- as it was -----------------------------------------------------------------------------------------------------


def _vintage(here: Session, settings: Settings, table: str, moment: datetime, out: Path | None) -> None:
    store = PartitionStore(settings.tables_dir / table, table)
    ledger = Ledger(settings.revisions_dir / table, table)
    held = vintages.held_at(store, ledger, moment)
    now = clock.now()
    # today's end, and every time to come: what is held then nobody knows
    at = f"now, {_when(now)}" if moment >= now else f"on {_when(moment)}"
    if not held:
        here.errors.print(f"Nothing of {table} {'is held' if moment >= now else 'was held'} {at}.")
        raise typer.Exit(1)
    if out is not None:
        try:
            rows = vintage_files.write(out, table, held)
        except FileExistsError:
            raise typer.BadParameter(f"{out} is there already", param_hint="--out") from None
        except OSError as error:
            raise typer.BadParameter(f"{out} cannot be written: {error.strerror}", param_hint="--out") from None
        span = f"{held[0].period} to {held[-1].period}" if len(held) > 1 else held[0].period
        here.say(f"{table} as held {at}: {len(held)} periods, {span}, {number(rows)} rows")
        here.say(escape(str(out)), whole=True)
        return
    lines = [
        [part.period, number(part.state.rows), part.state.updated.replace("T", " "), _when(part.state.since)]
        for part in held
    ]
    print_table(here, ("period", "rows", "published", "held since"), lines, right=("rows",))
