"""Due: which followed tables the warehouse does not hold as published, and why.

What belongs here: comparing the catalogue with `meta.table_sync` and the folders' manifests. One query for all tables,
no request, no table's description.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from varro_assets.engine import postgres
from varro_assets.engine.postgres import Connection
from varro_assets.errors import DamagedPartition
from varro_assets.statbank import manifest
from varro_assets.statbank.catalog import Catalogue


class State(StrEnum):
    """How a followed table stands."""

    CURRENT = "up to date"
    NEVER = "never synced"
    CHANGED = "published anew"
    REFILL = "to be refilled from parquet"
    """The files are of the publication that is due; only the warehouse lacks them. Needs no request."""
    GONE = "not in the catalogue"


@dataclass(frozen=True)
class Synced:
    """A row of `meta.table_sync`.

    Attributes:
        updated: ``YYYY-MM-DDTHH:MM:SS``, as published.
        present: whether the fact table it speaks of still stands.
    """

    updated: str
    synced_at: str
    periods: int
    rows: int
    present: bool

    @property
    def ended(self) -> datetime:
        """The moment that the sync had ended by: it is told to the second, cut off."""
        return datetime.fromisoformat(self.synced_at) + timedelta(seconds=1)


_SYNCED = """
SELECT s.table_id, to_char(s.updated, 'YYYY-MM-DD"T"HH24:MI:SS'),
       to_char(s.synced_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), s.periods, s.rows, c.oid IS NOT NULL
  FROM meta.table_sync s
  LEFT JOIN pg_class c ON c.oid = s.fact_oid
       AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'fact') AND c.relname = lower(s.table_id)
"""


def synced(connection: Connection) -> dict[str, Synced]:
    """Every table that was ever synced into this database."""
    with postgres.transaction(connection, "read what is synced") as cursor:
        cursor.execute(_SYNCED)
        return {row[0]: Synced(*row[1:]) for row in cursor.fetchall()}


def states(
    tables: Iterable[str], catalogue: Catalogue, in_database: Mapping[str, Synced], tables_dir: Path
) -> dict[str, State]:
    """How each table stands.

    A table is due exactly when the catalogue's ``updated`` differs from that of its last complete sync, in either
    direction: a publisher may take a publication back.
    """
    return {table: _state(table, catalogue, in_database.get(table), tables_dir) for table in tables}


def _state(table: str, catalogue: Catalogue, row: Synced | None, tables_dir: Path) -> State:
    entry = catalogue.entries.get(table)
    if entry is None:
        return State.GONE
    if row is not None and row.present:
        return State.CURRENT if row.updated == entry.updated else State.CHANGED
    # another database, or a dropped table: the files may be all that is needed
    try:
        state = manifest.read(tables_dir / table)
    except DamagedPartition:
        # due, so that its sync reports the damage; the other tables' states are not its victims
        return State.CHANGED
    if state is None:
        return State.NEVER
    return State.REFILL if state.info.updated == entry.updated else State.CHANGED
