"""Health: whether a table's parquet, ledger, fact table and `meta` agree, and what mends it if they do not.

What belongs here: findings about one table, from files and the warehouse alone. What Dagster shows is compared
elsewhere (`defs.health`), since this package knows no dagster.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Generator, Iterator, Mapping, Set
from dataclasses import dataclass
from enum import StrEnum

from varro_assets.engine import locks, postgres
from varro_assets.engine.partitions import PartitionInfo, PartitionStore
from varro_assets.engine.period_table import Loaded, PeriodTables
from varro_assets.engine.postgres import Connection
from varro_assets.engine.revisions import ledger_proof, revision_record
from varro_assets.errors import DamagedPartition
from varro_assets.statbank import facts, judging, manifest
from varro_assets.statbank.manifest import Manifest
from varro_assets.statbank.sources import Sources


class Remedy(StrEnum):
    """What mends a finding."""

    SYNC = "sync"
    REFETCH = "sync --full"
    REBUILD = "rebuild"
    BACKUP = "bring it back from a backup"
    """Nobody publishes it any more; no sync mends it."""
    NONE = "nothing: it is only good to know"


@dataclass(frozen=True)
class Finding:
    """Something about a table that is not as it should be."""

    table: str
    what: str
    remedy: Remedy


@dataclass(frozen=True)
class _Files:
    """What lies in a table's folder.

    Attributes:
        state: of the last complete sync; None if there was none, or none that can be read.
        unreadable: why the manifest cannot be read; empty where it can, or where there is none.
        held: every period file that can be read.
        damaged: period -> why its file cannot.
    """

    state: Manifest | None
    unreadable: str
    held: Mapping[str, PartitionInfo]
    damaged: Mapping[str, str]

    @classmethod
    def of(cls, store: PartitionStore) -> _Files:
        state, unreadable = None, ""
        try:
            state = manifest.read(store.folder)
        except DamagedPartition as error:
            unreadable = error.problem
        held, damaged = {}, {}
        for code in store.periods():
            try:
                held[code] = store.info(code)
            except DamagedPartition as error:
                damaged[code] = error.problem
        return cls(state, unreadable, held, damaged)

    @property
    def published(self) -> Set[str]:
        return set(self.state.info.tids) if self.state else set()


def settled_findings(
    sources: Sources, table: str, connection: Connection, *, deep: bool = False, wait: float
) -> list[Finding]:
    """Examine one table that others may write: what is not there under its lock is none.

    Between the steps of a sync files, warehouse and records do differ, and they are read one after another. Where
    nothing looks amiss the lock is not taken.

    Args:
        sources: folders.
        table: id.
        connection: to the warehouse; idle.
        deep: as `table_findings`.
        wait: seconds to wait for a writer of the table.

    Raises:
        TableBusy: something looked amiss, and the table was being written all that time.
    """
    with contextlib.closing(table_findings(sources, table, connection, deep=deep)) as found:
        if next(found, None) is None:
            return []
    with locks.short_lock(connection, table, wait=wait):
        return list(table_findings(sources, table, connection, deep=deep))


def table_findings(
    sources: Sources, table: str, connection: Connection, *, deep: bool = False
) -> Generator[Finding, None, None]:
    """Examine one table, which nobody writes meanwhile.

    Args:
        sources: folders.
        table: id.
        connection: to the warehouse.
        deep: also read every parquet file, compute its content hash anew, and count the cells of every revision.
    """
    store = sources.store(table)
    files = _Files.of(store)
    yield from _damage(sources, table, files, connection, deep=deep)
    if foreign := _foreign(store):
        yield Finding(table, f"its folder holds what is no file of ours: {_some(foreign)}", Remedy.NONE)
    state = files.state
    if state is None:
        count = len(files.held) + len(files.damaged)
        what = f"its first load was not completed: {count} periods are in" if count else "it was never synced"
        if not files.unreadable:
            yield Finding(table, what, Remedy.SYNC)
        return
    current = {code: part for code, part in files.held.items() if part.shape_hash == state.shape_hash}
    yield from _shape_findings(table, files, current.keys())
    yield from _warehouse_findings(
        table, state.info.updated, current, files.published | files.damaged.keys(), PeriodTables(connection)
    )


def damage(sources: Sources, table: str, connection: Connection) -> list[Finding]:
    """What of a table's files is gone or does not hold what it states; reads all of them.

    The warehouse is asked only which periods and revisions there were.
    """
    files = _Files.of(sources.store(table))
    found = [one for one in _damage(sources, table, files, connection, deep=True) if one.remedy is not Remedy.NONE]
    if files.state or files.unreadable:
        loaded = _loaded(table, PeriodTables(connection))
        lost = _without_file(loaded, files.held, files.published | files.damaged.keys())
        found += [Finding(table, what, Remedy.BACKUP) for what in lost]
    return found


def _damage(sources: Sources, table: str, files: _Files, connection: Connection, *, deep: bool) -> Iterator[Finding]:
    recorded = revision_record.recorded(connection, table)
    for loss in ledger_proof.losses(sources.ledger(table), files.held, recorded, deep=deep):
        yield Finding(table, loss.what, Remedy.NONE if loss.stated else Remedy.BACKUP)
    if files.unreadable:
        yield Finding(table, files.unreadable, Remedy.SYNC)
    elif files.state is None:
        return  # what lies there is another program's, or comes in again with the first load
    ours = {period for period, _ in recorded} | PeriodTables(connection).loaded(table).keys()
    for code, problem in files.damaged.items():
        if code in ours or code in files.published:
            yield _of_period(table, code, problem, files, Remedy.SYNC)
        else:
            yield Finding(table, f"{problem} No sync knows of such a period.", Remedy.NONE)
    missing = sorted(files.published - files.held.keys() - files.damaged.keys())
    if missing:
        yield Finding(table, f"{len(missing)} published periods have no file: {_some(missing)}", Remedy.SYNC)
    if deep:
        for code in [code for code, part in files.held.items() if not judging.intact(part)]:
            what = f"the file of {code} does not hold what it states"
            yield _of_period(table, code, what, files, Remedy.REFETCH)


def _of_period(table: str, code: str, what: str, files: _Files, remedy: Remedy) -> Finding:
    # where the manifest cannot be read, the sync that writes it anew will tell what is published
    if files.unreadable or code in files.published:
        return Finding(table, what, remedy)
    return Finding(table, f"{what.rstrip('.')}. It is no longer published: only a copy can mend it.", Remedy.BACKUP)


def _foreign(store: PartitionStore) -> list[str]:
    """Names in the table's folder that no sync gave; what is hidden is staged, or nobody's."""
    if not store.folder.is_dir():
        return []
    ours = {manifest.FILE_NAME, *(store.path(code).name for code in store.periods())}
    return sorted(path.name for path in store.folder.iterdir() if path.name not in ours and path.name[0] != ".")


def _shape_findings(table: str, files: _Files, current: Set[str]) -> Iterator[Finding]:
    published = files.published
    other = [code for code in files.held if code not in current]
    if begun := [code for code in other if code in published]:
        what = f"{len(begun)} periods are of a shape of which no sync was complete: {_some(begun)}"
        yield Finding(table, what, Remedy.SYNC)
    if older := [code for code in other if code not in published]:
        what = f"{len(older)} periods are kept in the shape the table had before, and are not in fact: {_some(older)}"
        yield Finding(table, what, Remedy.NONE)


def _warehouse_findings(
    table: str, updated: str, held: Mapping[str, PartitionInfo], known: Collection[str], tables: PeriodTables
) -> Iterator[Finding]:
    relation = (facts.SCHEMA, facts.relation_name(table))
    oid = tables.oid(relation)
    if oid is None:
        yield Finding(table, "its fact table is gone", Remedy.REBUILD)
        return
    loaded = _loaded(table, tables)
    stale = [
        code for code, part in held.items() if code not in loaded or loaded[code].content_hash != part.content_hash
    ]
    if stale:
        yield Finding(table, f"{len(stale)} periods are not in fact as in parquet: {_some(stale)}", Remedy.REBUILD)
    for what in _without_file(loaded, held, known):
        yield Finding(table, what, Remedy.REBUILD)
    counted = tables.count_rows(relation)
    stated = sum(row.rows for row in loaded.values())
    if counted != stated:
        yield Finding(table, f"fact has {counted} rows where {stated} were loaded", Remedy.REBUILD)
    with postgres.transaction(tables.connection, "read the last sync of", on=table) as cursor:
        cursor.execute(_RECORDED, {"table": table, "oid": oid, "updated": updated})
        is_recorded = cursor.fetchone() is not None
    if not is_recorded:
        what = f"no complete sync of the publication of {updated} is recorded, though the files are complete"
        yield Finding(table, what, Remedy.REBUILD)


def _loaded(table: str, tables: PeriodTables) -> dict[str, Loaded]:
    """What is in the fact table there now is."""
    oid = tables.oid((facts.SCHEMA, facts.relation_name(table)))
    return {code: row for code, row in tables.loaded(table).items() if row.fact_oid == oid}


def _without_file(loaded: Collection[str], held: Collection[str], known: Collection[str]) -> Iterator[str]:
    # files that are missing or damaged are spoken of already
    if surplus := [code for code in loaded if code not in held and code not in known]:
        yield f"{len(surplus)} periods in fact have no file: {_some(surplus)}"


_RECORDED = "SELECT FROM meta.table_sync WHERE table_id = %(table)s AND fact_oid = %(oid)s AND updated = %(updated)s"


def _some(codes: list[str]) -> str:
    return ", ".join(codes[:5]) + (", ..." if len(codes) > 5 else "")
