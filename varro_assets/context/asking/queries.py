"""Query: one SELECT of somebody's, run as the role that only reads.

What belongs here: running it so that it can do no harm and end in time. What may be run is judged in `query_rules`; no
defence relies on another:

- the role ``varro_reader`` and a READ ONLY transaction, whatever the text says;
- the text goes to the server as a value and becomes a cursor there, which the server refuses for anything but one
  statement, and it stands in brackets, where only what returns rows can stand;
- the server's own ``statement_timeout``, and a clock on this side that cancels whatever that became;
- a limit on rows, on the length of a cell and on the whole, and rows come a few at a time.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias, TypeVar

import psycopg2
import psycopg2.errors
from psycopg2 import sql
from pydantic import SecretStr

from varro_assets.context.asking.query_words import place
from varro_assets.engine import postgres
from varro_assets.engine.postgres import Connection, Cursor
from varro_assets.engine.server.provision import READER
from varro_assets.errors import DatabaseRefused, QueryFailed, QueryRefused, QueryStopped

Cell: TypeAlias = str | int | float | Decimal | bool | None
T = TypeVar("T")

LONGEST_CELL = 10_000
"""Characters of a cell; the rest is cut off by the server."""
LARGEST_RESULT = 32_000_000
"""Characters of a result; rows beyond are left out."""
_CELLS_AT_A_TIME = 1000
_AS_THEY_ARE = frozenset({16, 20, 21, 23, 700, 701, 1700})
"""OIDs of boolean, integers, floats and numeric; all else comes as Postgres writes it, since a driver's own types lose
something: ``infinity``, the months of an interval, dates before our era."""
_CANCEL_EVERY = 0.25
_PATIENCE = 5.0
"""Seconds the server has to obey a cancellation before the line is cut."""

_TOO_MUCH = ("54", "53200")
"""SQLSTATE of what is too large, too deep or more than the server's memory: the query's fault, not the server's."""

_BRACKET = "SELECT {} FROM (\n"
_ROWS = "\n) AS q({}) LIMIT {}"
_SHAPE = "\n) AS q LIMIT 0"
_HAND_OVER = "SELECT pg_catalog.set_config('varro.query', %s, true)"
_OPEN = sql.SQL(
    "DO $varro$ DECLARE result pg_catalog.refcursor := {}; BEGIN"
    " OPEN result NO SCROLL FOR EXECUTE pg_catalog.current_setting('varro.query'); END $varro$"
)


@dataclass(frozen=True)
class Result:
    """What a query returned.

    Attributes:
        columns: names, as the query gives them; they may repeat.
        rows: booleans and numbers as such, NULL as None, all else as Postgres writes it (dates as ``2025-01-01``).
        truncated: there are more rows.
        cut: cells that were longer than `LONGEST_CELL`; they end in ``…``.
        seconds: from sending to the last row.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    truncated: bool
    cut: int
    seconds: float


def run(url: SecretStr, query: str, *, seconds: float, rows: int) -> Result:
    """Run one SELECT.

    Args:
        url: of the reader, or of a role that may become the reader.
        query: SQL; ``%`` and ``:`` have no meaning beyond SQL's.
        seconds: time it has, more than 0.
        rows: most rows to return, 0 or more.

    Raises:
        QueryRefused: it is not one SELECT over the readable schemas; nothing was sent.
        QueryFailed: Postgres did not take it.
        QueryStopped: it did not end in time.
        DatabaseUnavailable, DatabaseRefused: the server cannot be reached, or not as the reader.
    """
    # imported here: a parser of SQL takes a tenth of a second to load, which other commands shall not pay
    from varro_assets.context.asking.query_rules import judged

    text = judged(query)
    with contextlib.closing(postgres.connect(url, "sql")) as connection:
        connection.set_session(readonly=True, autocommit=False)
        _become_reader(connection)
        started = time.monotonic()
        columns, found, truncated, cut = _watched(
            connection, seconds, lambda: _ask(connection, query, text, seconds=seconds, rows=rows)
        )
        return Result(columns, found, truncated, cut, time.monotonic() - started)


def _become_reader(connection: Connection) -> None:
    with postgres.named_errors("connect as the reader", on=READER), connection.cursor() as cursor:
        cursor.execute("SELECT session_user")
        if cursor.fetchone() == (READER,):
            connection.rollback()
            return
        try:
            cursor.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(READER)))
        except (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.InvalidParameterValue) as error:
            raise DatabaseRefused(
                "become the reader",
                on=READER,
                got=error.diag.message_primary or str(error),
                todo=f"Have an administrator run: GRANT {READER} TO the role in DATABASE_URL.",
            ) from None
        # outside of a transaction that rolls back, so that it lasts
        connection.commit()


def _ask(
    connection: Connection, query: str, text: str, *, seconds: float, rows: int
) -> tuple[tuple[str, ...], tuple[tuple[Cell, ...], ...], bool, int]:
    with postgres.named_errors("run the query"), _query_errors(query, seconds), connection.cursor() as cursor:
        # pg_temp last and named: else it is searched first
        cursor.execute("SET LOCAL search_path = pg_catalog, pg_temp")
        cursor.execute("SET LOCAL datestyle = 'ISO, YMD'")
        cursor.execute("SET LOCAL intervalstyle = 'postgres'")
        cursor.execute("SET LOCAL statement_timeout = %s", (max(1, int(seconds * 1000)),))
        columns, oids = _shape(cursor, text)
        names = [f"c{position}" for position in range(len(columns))]
        cells = ", ".join(map(_cell, names, oids))
        bracket = _BRACKET.format(cells) + text + _ROWS.format(", ".join(names), rows + 1)
        _open(cursor, "varro_rows", bracket)
        found, cut, full = _fetch(cursor, len(columns), rows + 1)
        connection.rollback()
    return columns, tuple(found[:rows]), full or len(found) > rows, cut


def _open(cursor: Cursor, name: str, text: str) -> None:
    cursor.execute(_HAND_OVER, (text,))
    cursor.execute(_OPEN.format(sql.Literal(name)))


def _shape(cursor: Cursor, text: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names and types of the columns; no row is made."""
    _open(cursor, "varro_shape", _BRACKET.format("*") + text + _SHAPE)
    cursor.execute("FETCH 1 FROM varro_shape")
    described = cursor.description or ()
    cursor.execute("CLOSE varro_shape")
    if not described:
        raise QueryRefused("run the query", got="it returns no columns", todo="Name at least one.")
    return tuple(column.name for column in described), tuple(column.type_code for column in described)


def _cell(name: str, oid: int) -> str:
    return name if oid in _AS_THEY_ARE else f'"left"(CAST({name} AS text), {LONGEST_CELL + 1})'


def _fetch(cursor: Cursor, width: int, most: int) -> tuple[list[tuple[Cell, ...]], int, bool]:
    """Rows, how many of their cells were cut, and whether the result was full before they ended."""
    found: list[tuple[Cell, ...]] = []
    size = cut = 0
    while len(found) < most and size < LARGEST_RESULT:
        cursor.execute("FETCH FORWARD %s FROM varro_rows", (max(1, _CELLS_AT_A_TIME // width),))
        some = cursor.fetchall()
        if not some:
            return found, cut, False
        for row in some:
            cut += sum(isinstance(cell, str) and len(cell) > LONGEST_CELL for cell in row)
            size += sum(len(cell) for cell in row if isinstance(cell, str))
            found.append(tuple(map(_shortened, row)))
    return found, cut, size >= LARGEST_RESULT


def _shortened(cell: Cell) -> Cell:
    return f"{cell[:LONGEST_CELL]}…" if isinstance(cell, str) and len(cell) > LONGEST_CELL else cell


# -- time ----------------------------------------------------------------------------------------------------------


def _watched(connection: Connection, seconds: float, work: Callable[[], T]) -> T:
    """Do the work in a thread, so that neither the end of its time nor Ctrl-C must wait for the server.

    Raises:
        QueryStopped: it did not end in time.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="varro-sql") as pool:
        task: Future[T] | None = None
        # the server's own limit goes first
        deadline = time.monotonic() + seconds + _CANCEL_EVERY
        try:
            task = pool.submit(work)
            # in short waits: a long one is not interrupted by Ctrl-C everywhere
            while not wait([task], timeout=_CANCEL_EVERY).done:
                if time.monotonic() > deadline:
                    raise _stopped(seconds)
            return task.result()
        finally:
            if task is not None:
                _cancel(connection, task)


def _cancel(connection: Connection, task: Future[T]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not task.done():
        if time.monotonic() > deadline:
            _cut(connection)
        with contextlib.suppress(psycopg2.Error):
            # again and again: one that arrives between two statements is lost
            connection.cancel()
        wait([task], timeout=_CANCEL_EVERY)


def _cut(connection: Connection) -> None:
    with contextlib.suppress(OSError, psycopg2.Error), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


def _stopped(seconds: float) -> QueryStopped:
    return QueryStopped(
        "finish the query",
        got=f"it was still running after {seconds:g} seconds and was cancelled",
        todo="Ask for less (one period, fewer codes), or give it longer with --timeout.",
    )


@contextlib.contextmanager
def _query_errors(query: str, seconds: float) -> Iterator[None]:
    """What Postgres says of the query itself, by its name; the rest is left to `postgres.named_errors`."""
    try:
        yield
    except psycopg2.errors.QueryCanceled:
        raise _stopped(seconds) from None
    except (psycopg2.ProgrammingError, psycopg2.DataError, psycopg2.NotSupportedError, psycopg2.InternalError) as error:
        raise _failed(error, query) from None
    except psycopg2.OperationalError as error:
        if (error.pgcode or "").startswith(_TOO_MUCH):
            raise _failed(error, query) from None
        raise


def _failed(error: psycopg2.Error, query: str) -> QueryFailed:
    got = error.diag.message_primary or " ".join(str(error).split())
    before = (error.diag.internal_query or "").find("\n") + 1
    # Postgres counts from 1, in the text with our bracket around
    offset = int(error.diag.internal_position or 0) - 1 - before
    if 0 <= offset < len(query) and before:
        got = f"{place(query, offset)}: {got}"
    hint = f"{error.diag.message_hint} " if error.diag.message_hint else ""
    return QueryFailed("run the query", got=got, todo=f"{hint}Columns and codes: varro show TABLE, varro values.")
