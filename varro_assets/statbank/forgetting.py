"""Forgetting: periods that are no longer published, taken out by hand.

What belongs here: which periods may go, and the order in which they go from warehouse, manifest and folder. A period
that is published is not forgotten: it would come back with the next sync. Of a table that the catalogue no longer lists
none is published, since nothing of it is synced.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from varro_assets.engine import periods, postgres
from varro_assets.engine.files import write_json
from varro_assets.engine.locks import table_lock
from varro_assets.engine.partitions import PartitionInfo, PartitionStore
from varro_assets.engine.period_table import Loaded, PeriodTables
from varro_assets.engine.postgres import Connection
from varro_assets.engine.revisions import revision_record
from varro_assets.engine.revisions.ledger import Change
from varro_assets.errors import DamagedPartition, InvalidPeriod
from varro_assets.statbank import facts, manifest
from varro_assets.statbank.models import TableInfo
from varro_assets.statbank.sources import Sources


@dataclass(frozen=True)
class Published:
    """What the publisher says of a table now.

    Attributes:
        info: its description; the last one that is known, if the catalogue no longer lists the table.
        listed: whether the catalogue lists it.
    """

    info: TableInfo
    listed: bool

    @property
    def codes(self) -> Collection[str]:
        """The periods that would come with the next sync."""
        return self.info.tids if self.listed else ()


@dataclass(frozen=True)
class Trace:
    """What there is of a period.

    Attributes:
        part: its file; None if there is none that can be read.
        loaded: what the warehouse was filled with; None if nothing.
        is_file: whether a file lies there, readable or not.
    """

    period: str
    part: PartitionInfo | None
    loaded: Loaded | None
    is_file: bool

    @property
    def rows(self) -> int:
        """As the file states, else the warehouse."""
        return self.part.rows if self.part else self.loaded.rows if self.loaded else 0


def traces(sources: Sources, connection: Connection, table: str) -> dict[str, Trace]:
    """Every period that the folder or the warehouse holds something of, oldest first."""
    store = sources.store(table)
    held = manifest.readable(store, lambda _code, _error: None)
    files, loaded = set(store.periods()), PeriodTables(connection).loaded(table)
    with postgres.transaction(connection, "read when periods were read of", on=table) as cursor:
        cursor.execute("SELECT tid_code FROM meta.period_read WHERE table_id = %s", (table,))
        read = {row[0] for row in cursor.fetchall()}
    codes = periods.in_order({*files, *loaded, *read})
    return {code: Trace(code, held.get(code), loaded.get(code), code in files) for code in codes}


def judge(
    table: str, wanted: Sequence[str], published: Collection[str], known: Collection[str], shown: Collection[str] = ()
) -> list[str]:
    """The periods that go, oldest first.

    Args:
        table: id.
        wanted: codes, as given.
        published: see `Published.codes`.
        known: codes there is something of.
        shown: codes that Dagster knows.

    Raises:
        InvalidPeriod: one is published, or there is nothing of it.
    """
    present = [code for code in wanted if code in published]
    if present:
        raise InvalidPeriod(
            "forget",
            on=f"{table} {', '.join(present)}",
            got="it is published, and would come back with the next sync",
            todo=f"To read it again: varro sync {table} --since {present[0]}",
        )
    unknown = [code for code in wanted if code not in known and code not in shown]
    if unknown:
        gone = [code for code in known if code not in published]
        raise InvalidPeriod(
            "forget",
            on=f"{table} {', '.join(unknown)}",
            got="nothing of it is held",
            todo=f"Held and no longer published: {', '.join(gone[:10]) or 'none'}.",
        )
    return periods.in_order(wanted)


def forget(
    sources: Sources,
    table: str,
    wanted: Sequence[str],
    ask: Callable[[], Published],
    *,
    shown: Collection[str] = (),
    on_damaged: Callable[[DamagedPartition], None],
    wait: float = 0.0,
) -> list[Trace]:
    """Take periods out of the warehouse, the manifest and the folder, in this order; the ledger keeps what they held.

    Killed in the middle, it is finished by calling it again; a sync instead brings back what still has its file.

    Args:
        sources: folders and database.
        table: id.
        wanted: codes.
        ask: what is published now; called under the lock, since a sync that came before may have brought a period back.
        shown: codes that Dagster knows, and that may be asked for although nothing else is left of them.
        on_damaged: told of a file of the ledger that cannot be read.
        wait: seconds to wait for another writer of this table.

    Returns:
        What there was of them.

    Raises:
        TableBusy: somebody writes this table; names them.
        InvalidPeriod: as `judge`.
    """
    with (
        table_lock(sources.warehouse, table, wait=wait) as lock,
        contextlib.closing(postgres.connect(sources.warehouse, f"forget {table}")) as connection,
    ):
        store, now = sources.store(table), ask()
        found = traces(sources, connection, table)
        codes = judge(table, wanted, now.codes, found, shown)
        going = [found[code] for code in codes if code in found]
        held = {code: trace.part for code, trace in found.items() if trace.part is not None}
        ledger = sources.ledger(table)
        ledger.recover(held, revision_record.recorded(connection, table))
        ledger.note(Change(held[code], None) for code in codes if code in held)
        _empty(connection, table, codes, now.info, store, held)
        lock.check()
        _leave_out(sources, store, codes)
        for code in codes:
            store.remove(code)
        left = {code: part for code, part in held.items() if code not in codes}
        revision_record.record(connection, ledger, left, on_damaged)
    return going


def _empty(
    connection: Connection,
    table: str,
    codes: Sequence[str],
    info: TableInfo,
    store: PartitionStore,
    held: Mapping[str, PartitionInfo],
) -> None:
    """Take the rows out of the warehouse, and what `meta` says of them."""
    state = manifest.read_usable(store.folder)
    PeriodTables(connection).remove(facts.period_table(state.info if state else info, held), codes)
    with postgres.transaction(connection, "forget the periods of", on=table) as cursor:
        cursor.execute("DELETE FROM meta.period_read WHERE table_id = %s AND tid_code = ANY(%s)", (table, list(codes)))
        cursor.execute(_COUNT, {"table": table})


def _leave_out(sources: Sources, store: PartitionStore, codes: Sequence[str]) -> None:
    """Take the periods out of the manifest, if it lists any: a folder that lacks one that is listed is not complete."""
    state = manifest.read_usable(store.folder)
    if state is None or not set(codes).intersection(state.info.tids):
        return
    path = store.folder / manifest.FILE_NAME
    body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if set(codes).issuperset(state.info.tids):
        if sources.catalogue.tableinfo(store.dataset) is None:
            # the last description there is: killed from here on, this could else not be finished
            sources.catalogue.write_tableinfo(store.dataset, body["tableinfo"])
        path.unlink()
        return
    for variable in body["tableinfo"]["variables"]:
        if variable.get("time"):
            variable["values"] = [value for value in variable["values"] if value["id"] not in codes]
    write_json(path, body)


_COUNT = """
UPDATE meta.table_sync s
   SET periods = p.periods, rows = p.rows,
       kept_periods = greatest(0, s.kept_periods - (s.periods - p.periods))
  FROM (SELECT count(*) AS periods, coalesce(sum(l.rows), 0) AS rows
          FROM meta.period_load l JOIN meta.table_sync t ON t.table_id = l.table_id AND t.fact_oid = l.fact_oid
         WHERE l.table_id = %(table)s) p
 WHERE s.table_id = %(table)s
"""
