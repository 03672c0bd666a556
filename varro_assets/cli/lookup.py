"""Values, docs, sql: what stands in the warehouse and in the documents, looked up from the command line.

What belongs here: three read-only commands and how their answers are printed: a table on a terminal, lines of
tab-separated cells in a pipe. How values are found and queries are run is `context`'s.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import sys
from collections.abc import Collection, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from varro_assets.cli.session import Session, session
from varro_assets.context.asking import likeness, lookup, queries
from varro_assets.context.asking.lookup import ValueRow
from varro_assets.context.asking.queries import LONGEST_CELL, Cell, Result
from varro_assets.engine import postgres
from varro_assets.engine.files import below
from varro_assets.errors import UnknownDocument
from varro_assets.warehouse import open_warehouse

_HEADINGS = ("code", "label", "level", "parent", "first", "last")
_ALWAYS = 2
"""Of the headings, those shown even when nobody has a value there."""
_MARK = re.compile(r"<!-- varro-assets: [0-9a-f]+ -->")
"""Line by which a document knows itself; of no use to a reader."""
_LONGEST_NUMBER = 300
"""Digits a JSON number may have here; readers stop at some length."""
_NEEDS_QUOTES = re.compile(r'[",\r\n]')


# -- values ----------------------------------------------------------------------------------------------------------


def values(
    context: typer.Context,
    table: Annotated[str, typer.Argument(help="Table or dimension: FOLK1A, nuts.", metavar="TABLE")],
    column: Annotated[str, typer.Argument(help="Column: omrade; of a dimension: titel.", metavar="COLUMN")],
    match: Annotated[
        str | None, typer.Option(help="Likest first; case, accents and the spelling of æ, ø, å do not matter.")
    ] = None,
    for_table: Annotated[
        str | None, typer.Option("--for-table", help="Of a dimension, only what occurs in this table.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Show at most so many.", min=1)] = 20,
) -> None:
    """Look up the codes of a column: label, level and parent, first and last period."""
    here = session(context)
    with open_warehouse(here.settings) as warehouse:
        url = warehouse.reader_url or warehouse.url
        with contextlib.closing(postgres.connect(url, "values")) as connection:
            # one more, to see whether there is more
            found = lookup.values(connection, table, column, match=match, for_table=for_table, limit=limit + 1)
    if not found:
        here.errors.print(f"No value fits{f' {escape(match)}' if match else ''}. Shorter words find more.")
        raise typer.Exit(1)
    cells = [_cells(row) for row in found[:limit]]
    shown = [at for at in range(len(_HEADINGS)) if at < _ALWAYS or any(row[at] for row in cells)]
    print_table(here, [_HEADINGS[at] for at in shown], [[row[at] for at in shown] for row in cells])
    if len(found) > limit:
        here.errors.print(f"Showing {limit}; --limit shows more, --match finds.")


def _cells(row: ValueRow) -> list[str]:
    parent = f"{row.parent} {row.parent_label or ''}".strip() if row.parent is not None else ""
    level = "" if row.level is None else str(row.level)
    return [row.code, row.label, level, parent, row.first_period or "", row.last_period or ""]


# -- docs ------------------------------------------------------------------------------------------------------------


def docs(
    context: typer.Context,
    table: Annotated[str | None, typer.Argument(help="Table or dimension: FOLK1A, nuts.", metavar="TABLE")] = None,
) -> None:
    """Read the document of a table or a dimension; without a name, where they lie and their index."""
    here = session(context)
    folder = here.settings.context_dir
    if table is not None:
        typer.echo(_text(_document(here, folder, table)), nl=False)
        return
    index = folder / "subjects" / "index.md"
    here.say(f"[bold]{escape(str(folder))}[/]", whole=True)
    if index.is_file():
        here.say()
        typer.echo(_text(index), nl=False)
    else:
        here.say(f"No documents yet. They come with: [bold]{here.command} sync[/]")


def _document(here: Session, folder: Path, text: str) -> Path:
    # documents lie where their subject is: all are looked through, and no part of a path is taken from the command
    kinds = {"fact": below(folder / "fact", ".md"), "dim": below(folder / "dim", ".md")}
    named = {f"{kind}.{path.stem}": path for kind, paths in kinds.items() for path in reversed(paths)}
    wanted = text.strip().lower()
    for name in (wanted, f"fact.{wanted}", f"dim.{wanted}", f"dim.{wanted.replace('-', '_')}"):
        if name in named:
            return named[name]
    near = likeness.nearest(wanted, list(named))
    raise UnknownDocument(
        "find the document of",
        on=text,
        got=f"{folder} has none of that name" + (f"; near: {', '.join(near)}" if near else ""),
        todo=f"Documents come with: {here.command} sync {text.upper()}",
    )


def _text(path: Path) -> str:
    # notes are people's bytes: what is no text is shown as such
    lines = path.read_bytes().decode(errors="replace").splitlines()
    return "\n".join(line for line in lines if not _MARK.fullmatch(line)).rstrip("\n") + "\n"


# -- sql -------------------------------------------------------------------------------------------------------------


def sql(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="One SELECT over fact, dim and meta; - reads it from standard input.")],
    limit: Annotated[int, typer.Option(help="At most so many rows.", min=1, max=1_000_000)] = 100,
    timeout: Annotated[float, typer.Option(help="Seconds it may take.", min=0.1, max=3600)] = 30.0,
    as_csv: Annotated[bool, typer.Option("--csv", help='As CSV: NULL is empty, an empty text is "".')] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON: columns, rows, truncated.")] = False,
) -> None:
    """Ask the warehouse in SQL, reading only."""
    here = session(context)
    if as_csv and as_json:
        raise typer.BadParameter("one of --csv and --json")
    text = sys.stdin.read() if query == "-" else query
    with open_warehouse(here.settings) as warehouse:
        result = queries.run(warehouse.reader_url or warehouse.url, text, seconds=timeout, rows=limit)
    if as_json:
        typer.echo(_json(result))
    elif as_csv:
        for row in (result.columns, *result.rows):
            typer.echo(",".join(map(_csv_cell, row)))
    else:
        print_table(here, result.columns, [[_shown(here, cell) for cell in row] for row in result.rows])
    _warn(here, result)


def _warn(here: Session, result: Result) -> None:
    if result.truncated:
        here.errors.print(f"Showing the first {len(result.rows)} rows; there are more. --limit shows more.")
    if result.cut:
        here.errors.print(f"{result.cut} cells were longer than {LONGEST_CELL} characters and are cut (…).")


def _shown(here: Session, cell: Cell) -> str:
    return "NULL" if cell is None and here.console.is_terminal else _plain(cell)


def _plain(cell: Cell) -> str:
    """The value as Postgres writes it; NULL as nothing."""
    match cell:
        case None:
            return ""
        case bool():
            return "true" if cell else "false"
        case float() if math.isinf(cell):
            return "Infinity" if cell > 0 else "-Infinity"
        case float() if math.isnan(cell):
            return "NaN"
        case float():
            return repr(cell).removesuffix(".0")
        case Decimal():
            return format(cell, "f")
    return str(cell)


def _csv_cell(cell: Cell) -> str:
    text = _plain(cell)
    if isinstance(cell, str) and (not text or _NEEDS_QUOTES.search(text)):
        return '"' + text.replace('"', '""') + '"'
    return text


def _json(result: Result) -> str:
    rows = [[_json_cell(cell) for cell in row] for row in result.rows]
    content = {"columns": result.columns, "rows": rows, "truncated": result.truncated}
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


def _json_cell(cell: Cell) -> str | int | float | bool | None:
    """A number where JSON's readers get the very same one; else its digits as text."""
    if isinstance(cell, Decimal):
        if cell.is_finite() and cell.as_tuple().exponent == 0 and cell.adjusted() < _LONGEST_NUMBER:
            return int(cell)
        number = float(cell)
        return number if math.isfinite(number) and Decimal(repr(number)) == cell else _plain(cell)
    if isinstance(cell, float) and not math.isfinite(cell):
        return _plain(cell)
    return cell


# -- printing --------------------------------------------------------------------------------------------------------


def print_table(
    here: Session, headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[str] = ()
) -> None:
    """Print plain texts: a table on a terminal, lines of tab-separated cells in a pipe.

    Args:
        here: where.
        headings: of the columns.
        rows: a text for each.
        right: headings of columns of numbers.
    """
    if not here.console.is_terminal:
        for row in (headings, *rows):
            typer.echo("\t".join(re.sub(r"[\t\r\n]", " ", cell) for cell in row))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(escape(heading), overflow="fold", justify="right" if heading in right else "left")
    for row in rows:
        table.add_row(*map(escape, row))
    here.console.print(table)
