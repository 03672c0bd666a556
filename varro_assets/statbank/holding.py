"""Holding: what is held of a period, as far as a plan asks.

What belongs here: the few facts that a period file's footer and `meta.period_load` both state, and reading them for
many tables at once. Files themselves are the engine's (`partitions`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from varro_assets.engine import postgres
from varro_assets.engine.postgres import Connection


class Held(Protocol):
    """A held period. A `PartitionInfo` is one, a `HeldPeriod` too."""

    @property
    def rows(self) -> int:
        """Number of rows."""

    @property
    def content_hash(self) -> str:
        """Of the rows."""

    @property
    def shape_hash(self) -> str:
        """Of the table's ordered variables and type of ``tid``."""

    @property
    def updated(self) -> str:
        """The publication in which this content was first read."""

    @property
    def fetched_at(self) -> str:
        """When, ISO 8601 in UTC."""


@dataclass(frozen=True)
class HeldPeriod:
    """A held period as the warehouse knows it.

    Attributes:
        rows, content_hash, shape_hash, updated: as in the file it was loaded from.
        fetched_at: when it was loaded, ISO 8601 in UTC, which is no earlier than it was fetched; no plan that a run is
            to share may rest on it.
    """

    rows: int
    content_hash: str
    shape_hash: str
    updated: str
    fetched_at: str


_HOLDINGS = """
SELECT table_id, tid_code, rows, content_hash, shape_hash, to_char(updated, 'YYYY-MM-DD"T"HH24:MI:SS'),
       to_char(loaded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"')
  FROM meta.period_load WHERE table_id = ANY(%s)
"""


def holdings_of(connection: Connection, tables: Collection[str]) -> dict[str, dict[str, HeldPeriod]]:
    """Table -> period -> what is loaded of it, for many tables in one query and without opening a file.

    A run decides by the files once more; they may be ahead of the warehouse.
    """
    found: dict[str, dict[str, HeldPeriod]] = {table: {} for table in tables}
    with postgres.transaction(connection, "read what is held of tables") as cursor:
        cursor.execute(_HOLDINGS, (list(tables),))
        for table, code, *facts in cursor:
            found[table][code] = HeldPeriod(*facts)
    return found
