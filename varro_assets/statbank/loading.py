"""Loading: a table's parquet files into its fact table, until the warehouse holds exactly the files.

What belongs here: which periods the warehouse lacks, the choice between replacing and rebuilding, and what `meta` says
when it is done. Needs no API. The transactions themselves are the engine's (`period_table`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from varro_assets.engine import periods, postgres
from varro_assets.engine.partitions import PartitionInfo, PartitionStore
from varro_assets.engine.period_table import Load, Loaded, PeriodTable, PeriodTables
from varro_assets.engine.periods import TidType
from varro_assets.errors import DatabaseRefused
from varro_assets.statbank import facts
from varro_assets.statbank.models import TableInfo


@dataclass(frozen=True)
class SyncCounts:
    """What a completed sync found, for `meta.table_sync`."""

    new: int = 0
    revised: int = 0
    unchanged: int = 0
    kept: int = 0


@dataclass(frozen=True)
class FactLoader:
    """Loads one table.

    Attributes:
        tables: the database, through a connection of the lock's holder.
        store: the table's parquet files.
        info: the description that goes with the files.
        table: the fact table for it.
        subject_path: ``Borgere/Befolkning/...`` for `meta.fact_table`.
    """

    tables: PeriodTables
    store: PartitionStore
    info: TableInfo
    table: PeriodTable
    subject_path: str | None = None

    def rebuild(self, held: Mapping[str, PartitionInfo]) -> int:
        """Build the fact table anew from the files of the present shape; returns rows written."""
        return self.tables.rebuild(self.store, self.table, self._wanted(held))

    def reload(self, held: Mapping[str, PartitionInfo], codes: Collection[str]) -> int:
        """Replace these periods whether or not they seem to be loaded, and load what is not; returns rows written."""
        wanted = self._wanted({code: part for code, part in held.items() if code in codes})
        rows = self.tables.replace(self.store, self.table, wanted) if wanted and self.can_replace() else 0
        return rows + self.load_all(held)

    def can_replace(self) -> bool:
        """Whether there is a table of the present shape."""
        oid = self.tables.oid((self.table.schema, self.table.name))
        return oid is not None and self._fits(self.tables.loaded(self.table.dataset), oid)

    def _wanted(self, held: Mapping[str, PartitionInfo]) -> list[Load]:
        return [self._load(part) for part in held.values() if part.shape_hash == self.table.shape_hash]

    def can_show(self) -> bool:
        """Whether a first load may be shown batch by batch: there is no table of another shape to be kept meanwhile."""
        return self.tables.oid((self.table.schema, self.table.name)) is None or self.can_replace()

    def load_first(self, parts: Mapping[str, PartitionInfo]) -> int:
        """Load a batch of a first load: visible at once, indexes come with `load_all`. Returns rows written."""
        if self.tables.oid((self.table.schema, self.table.name)) is None:
            self.tables.create(self.table)
        return self.tables.replace(self.store, self.table, [self._load(part) for part in parts.values()])

    def load_all(self, held: Mapping[str, PartitionInfo], *, changed: bool = False) -> int:
        """Make the fact table equal to the files of the present shape; returns rows written.

        Nothing is written when it already is. Files of an older shape stay out. Rows of a file that cannot be read are
        left as they are: they may be the last there is of that period.

        Args:
            held: every readable file.
            changed: rows were written before, whose statistics are still to be taken.
        """
        wanted = self._wanted(held)
        oid, loaded = self.tables.oid((self.table.schema, self.table.name)), self.tables.loaded(self.table.dataset)
        pending = [load for load in wanted if not self.tables.is_loaded(load, oid, loaded)]
        codes = {load.info.period for load in wanted}
        unreadable = set(self.store.periods()).difference(held)
        surplus = [code for code in loaded if code not in codes and code not in unreadable]
        if oid is None or not self._fits(loaded, oid) or (_mostly(pending, wanted) and not unreadable):
            return self.tables.rebuild(self.store, self.table, wanted)
        if surplus:
            self.tables.remove(self.table, surplus)
        rows = self.tables.replace(self.store, self.table, pending) if pending else 0
        self.tables.finish(self.table, analyze=changed or bool(pending or surplus))
        return rows

    def describe(self) -> None:
        """Bring what `meta` says of the table, its columns and codes up to date."""
        with postgres.transaction(self.tables.connection, "describe table", on=self.info.id) as cursor:
            facts.describe(cursor, self.info, self.table, subject_path=self.subject_path)

    def complete(self, counts: SyncCounts) -> None:
        """State in `meta` that every planned period of this publication is in."""
        with postgres.transaction(self.tables.connection, "record the sync of table", on=self.info.id) as cursor:
            cursor.execute(
                _TABLE_SYNC,
                {
                    "table_id": self.info.id,
                    "updated": self.info.updated,
                    "shape_hash": self.table.shape_hash,
                    "relation": self.table.identifier().as_string(cursor),
                    "new": counts.new,
                    "revised": counts.revised,
                    "unchanged": counts.unchanged,
                    "kept": counts.kept,
                    "run_id": self.tables.run_id,
                },
            )
            if cursor.rowcount != 1:
                raise DatabaseRefused(
                    "record the sync of table",
                    on=self.info.id,
                    got="its fact table is gone",
                    todo=f"varro rebuild {self.info.id}",
                )

    def _load(self, part: PartitionInfo) -> Load:
        return Load(part, periods.parse(part.period).database_value(TidType(self.table.tid_type)))

    def _fits(self, loaded: Mapping[str, Loaded], oid: int) -> bool:
        """Whether the table there is was filled by us, in the present shape; a restored one, say, was not."""
        return {row.shape_hash for row in loaded.values() if row.fact_oid == oid} == {self.table.shape_hash}


def _mostly(pending: Sequence[Load], wanted: Sequence[Load]) -> bool:
    """Whether so many rows are to be replaced that building anew is cheaper than replacing (measured: 2 times)."""
    rows = sum(load.info.rows for load in pending)
    return len(pending) > 1 and rows * 2 > sum(load.info.rows for load in wanted)


_TABLE_SYNC = """
INSERT INTO meta.table_sync
    (table_id, updated, shape_hash, fact_oid, periods, rows, new_periods, revised_periods, unchanged_periods,
     kept_periods, run_id)
SELECT %(table_id)s, %(updated)s, %(shape_hash)s, c.oid, count(p.*), coalesce(sum(p.rows), 0), %(new)s, %(revised)s,
       %(unchanged)s, %(kept)s, %(run_id)s
  FROM pg_class c LEFT JOIN meta.period_load p ON p.table_id = %(table_id)s AND p.fact_oid = c.oid
 WHERE c.oid = to_regclass(%(relation)s)
 GROUP BY c.oid
ON CONFLICT (table_id) DO UPDATE SET
    (updated, shape_hash, fact_oid, periods, rows, new_periods, revised_periods, unchanged_periods, kept_periods,
     run_id, synced_at)
    = (EXCLUDED.updated, EXCLUDED.shape_hash, EXCLUDED.fact_oid, EXCLUDED.periods, EXCLUDED.rows,
       EXCLUDED.new_periods, EXCLUDED.revised_periods, EXCLUDED.unchanged_periods, EXCLUDED.kept_periods,
       EXCLUDED.run_id, now())
"""
