"""Revision record: `meta.revision`, the ledger as the warehouse shows it.

What belongs here: bringing the rows of one dataset in line with its ledger and its files, and reading them. The files
are the truth: a fresh database gets the same rows from them, but for the runs in which periods came in new.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2.extras import execute_values

from varro_assets.engine import postgres
from varro_assets.engine.partitions import PartitionInfo
from varro_assets.engine.postgres import Connection
from varro_assets.engine.revisions.differences import Difference
from varro_assets.engine.revisions.ledger import Ledger
from varro_assets.engine.revisions.ledger_files import Entry, Kind, State
from varro_assets.errors import DamagedPartition

_COLUMNS = (
    "table_id, tid_code, detected_at, kind, updated_before, updated, hash_before, hash_after, rows_before, rows_after,"
    " rows_added, rows_removed, values_changed, largest_change, cells, run_id"
)
_INSERT = f"INSERT INTO meta.revision ({_COLUMNS}) VALUES %s ON CONFLICT DO NOTHING"
_READ = """
SELECT table_id, tid_code, detected_at, kind, to_char(updated_before, 'YYYY-MM-DD"T"HH24:MI:SS'),
       to_char(updated, 'YYYY-MM-DD"T"HH24:MI:SS'), rows_before, rows_after, rows_added, rows_removed, values_changed,
       largest_change, cells, run_id
  FROM meta.revision
 WHERE (%(table)s IS NULL OR table_id = %(table)s) AND (%(period)s IS NULL OR tid_code = %(period)s)
   AND (%(since)s IS NULL OR detected_at >= %(since)s) AND kind = ANY(%(kinds)s)
 ORDER BY detected_at DESC, table_id, tid_code
 LIMIT %(limit)s
"""
CHANGES = tuple(kind for kind in Kind if kind is not Kind.NEW)


@dataclass(frozen=True)
class Revision:
    """One row of `meta.revision`.

    Attributes:
        detected_at: when it was noticed here; of a new period, when it was fetched.
        updated_before: the publication that the old content was read of; None where nothing or nothing known was held.
        updated: the publication that the new content was read of.
        rows_before: None where the old content is not known.
        difference: None likewise.
        cells: file of the changed cells below the folder of revisions; None where none are kept.
        run_id: of the run that noticed.
    """

    table: str
    period: str
    detected_at: datetime
    kind: Kind
    updated_before: str | None
    updated: str | None
    rows_before: int | None
    rows_after: int
    difference: Difference | None
    cells: str | None
    run_id: str | None


def recorded(connection: Connection, dataset: str) -> dict[tuple[str, datetime], Kind]:
    """(period, time) -> kind, of everything the database knows of a dataset."""
    with postgres.transaction(connection, "read the revisions of", on=dataset) as cursor:
        cursor.execute("SELECT tid_code, detected_at, kind FROM meta.revision WHERE table_id = %s", (dataset,))
        return {(period, moment): Kind(kind) for period, moment, kind in cursor.fetchall()}


def record(
    connection: Connection,
    ledger: Ledger,
    held: Mapping[str, PartitionInfo],
    on_damaged: Callable[[DamagedPartition], None],
) -> int:
    """Add the rows that are missing: of entries without one, and of periods that came in new.

    To be called under the table's lock, when everything noted is done.

    Args:
        connection: to the warehouse.
        ledger: begun (`Ledger.recover`).
        held: every readable period file.
        on_damaged: told of entries that cannot be read; they get no row.

    Returns:
        Rows added.
    """
    known = recorded(connection, ledger.dataset)
    rows = list(_missing(ledger, held, known, on_damaged))
    if rows:
        with postgres.transaction(connection, "record the revisions of", on=ledger.dataset) as cursor:
            execute_values(cursor, _INSERT, rows, page_size=5000)
    return len(rows)


def newest(
    connection: Connection,
    table: str | None = None,
    period: str | None = None,
    since: datetime | None = None,
    kinds: Collection[Kind] = CHANGES,
    limit: int | None = None,
) -> list[Revision]:
    """What was noticed, newest first.

    Args:
        connection: to the warehouse.
        table: only of this one.
        period: only of this one.
        since: not before this moment.
        kinds: only these; by default all but periods that came in new.
        limit: so many at most.
    """
    wanted = {"table": table, "period": period, "since": since, "kinds": [str(kind) for kind in kinds], "limit": limit}
    with postgres.transaction(connection, "read the revisions", on=table or "") as cursor:
        cursor.execute(_READ, wanted)
        return [_revision(row) for row in cursor.fetchall()]


def _missing(
    ledger: Ledger,
    held: Mapping[str, PartitionInfo],
    known: Mapping[tuple[str, datetime], Kind],
    on_damaged: Callable[[DamagedPartition], None],
) -> Iterator[Sequence[object]]:
    stated = ledger.register
    # where entries were lost, what came in before that may have replaced something
    begun = max((moment for moment in (stated.since, stated.lost) if moment), default=None)
    stamps = ledger.stamps()
    gone = {period for period, moments in stamps.items() if known.get((period, moments[-1])) is Kind.FORGOTTEN}
    for period, moments in stamps.items():
        for moment in moments:
            if (period, moment) in known:
                continue
            try:
                entry = ledger.entry(period, moment)
            except DamagedPartition as error:
                on_damaged(error)
                continue
            if entry.opens and entry.before is not None and _watched(entry.before, begun):
                yield _came_in(ledger, period, entry.before, None)
            yield _row(entry)
            if moment == moments[-1] and entry.after is None:
                gone.add(period)
    for period, part in held.items():
        state = State.of(part)
        fresh = (period not in stamps or period in gone) and (period, state.since) not in known
        if fresh and _watched(state, begun):
            yield _came_in(ledger, period, state, ledger.run_id)


def _watched(state: State, begun: datetime | None) -> bool:
    return begun is None or state.since >= begun


def _came_in(ledger: Ledger, period: str, state: State, run_id: str | None) -> Sequence[object]:
    return (
        ledger.dataset, period, state.since, str(Kind.NEW), None, state.updated or None, None, state.content_hash,
        0, state.rows, state.rows, 0, 0, None, None, run_id,
    )  # fmt: skip


def _row(entry: Entry) -> Sequence[object]:
    before, after, found = entry.before, entry.after, entry.difference
    updated = (after or before or _NOTHING).updated
    return (
        entry.dataset,
        entry.period,
        entry.detected_at,
        str(entry.kind),
        before.updated or None if before else None,
        updated or None,
        before.content_hash if before else None,
        after.content_hash if after else None,
        before.rows if before else None,
        after.rows if after else 0,
        *((found.rows_added, found.rows_removed, found.values_changed, found.largest_change) if found else [None] * 4),
        f"{entry.dataset}/{entry.name}" if entry.value else None,
        entry.run_id,
    )


_NOTHING = State("", "", "", 0, "")


def _revision(row: tuple[Any, ...]) -> Revision:
    table, period, moment, kind, updated_before, updated, rows_before, rows_after, *counts, cells, run_id = row
    found = None if counts[0] is None else Difference(*counts)
    return Revision(
        table, period, moment, Kind(kind), updated_before, updated, rows_before, rows_after, found, cells, run_id
    )
