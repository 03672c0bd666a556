"""Health: whether a table's parquet, fact table and `meta` agree, and what mends it if they do not.

What belongs here: findings about one table, from files and the warehouse alone. What Dagster shows is compared
elsewhere (`defs.health`), since this package knows no dagster.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Set
from dataclasses import dataclass
from enum import StrEnum

from varro_assets.engine import postgres
from varro_assets.engine.partitions import PartitionInfo
from varro_assets.engine.period_table import PeriodTables
from varro_assets.engine.postgres import Connection
from varro_assets.errors import DamagedPartition
from varro_assets.statbank import facts, judging, manifest
from varro_assets.statbank.sources import Sources


class Remedy(StrEnum):
    """What mends a finding."""

    SYNC = "sync"
    REFETCH = "sync --full"
    REBUILD = "rebuild"
    NONE = "nothing: it is only good to know"


@dataclass(frozen=True)
class Finding:
    """Something about a table that is not as it should be."""

    table: str
    what: str
    remedy: Remedy


def table_findings(sources: Sources, table: str, connection: Connection, *, deep: bool = False) -> Iterator[Finding]:
    """Examine one table.

    Args:
        sources: folders.
        table: id.
        connection: to the warehouse.
        deep: also read every parquet file and compute its content hash anew.
    """
    store = sources.store(table)
    try:
        state = manifest.read(store.folder)
    except DamagedPartition as error:
        yield Finding(table, error.problem, Remedy.SYNC)
        return
    damaged: dict[str, str] = {}
    held = manifest.readable(store, lambda code, error: damaged.update({code: error.problem}))
    if state is None:
        count = len(held) + len(damaged)
        what = f"its first load was not completed: {count} periods are in" if count else "it was never synced"
        yield Finding(table, what, Remedy.SYNC)
        return
    published = set(state.info.tids)
    yield from _damage(table, damaged, published)
    current = {code: part for code, part in held.items() if part.shape_hash == state.shape_hash}
    yield from _file_findings(table, held, published.difference(damaged), current.keys())
    if deep:
        for code in [code for code, part in held.items() if not judging.intact(part)]:
            what = f"the file of {code} does not hold what it states"
            yield Finding(table, what, Remedy.REFETCH) if code in published else _lost(table, what)
    yield from _warehouse_findings(
        table, state.info.updated, current, published | damaged.keys(), PeriodTables(connection)
    )


def _damage(table: str, damaged: Mapping[str, str], published: Collection[str]) -> Iterator[Finding]:
    for code, problem in damaged.items():
        yield Finding(table, problem, Remedy.SYNC) if code in published else _lost(table, problem)


def _lost(table: str, what: str) -> Finding:
    return Finding(table, f"{what} It is no longer published: only a copy of the file can mend it.", Remedy.NONE)


def _file_findings(
    table: str, held: Mapping[str, PartitionInfo], published: Set[str], current: Set[str]
) -> Iterator[Finding]:
    missing = sorted(published - held.keys())
    if missing:
        yield Finding(table, f"{len(missing)} published periods have no file: {_some(missing)}", Remedy.SYNC)
    other = [code for code in held if code not in current]
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
    loaded = {code: row for code, row in tables.loaded(table).items() if row.fact_oid == oid}
    stale = [
        code for code, part in held.items() if code not in loaded or loaded[code].content_hash != part.content_hash
    ]
    if stale:
        yield Finding(table, f"{len(stale)} periods are not in fact as in parquet: {_some(stale)}", Remedy.REBUILD)
    # files that are missing or damaged are spoken of already
    surplus = [code for code in loaded if code not in held and code not in known]
    if surplus:
        yield Finding(table, f"{len(surplus)} periods in fact have no file: {_some(surplus)}", Remedy.REBUILD)
    counted = tables.count_rows(relation)
    stated = sum(row.rows for row in loaded.values())
    if counted != stated:
        yield Finding(table, f"fact has {counted} rows where {stated} were loaded", Remedy.REBUILD)
    with postgres.transaction(tables.connection, "read the last sync of", on=table) as cursor:
        cursor.execute(_RECORDED, {"table": table, "oid": oid, "updated": updated})
        if cursor.fetchone() is None:
            what = f"no complete sync of the publication of {updated} is recorded, though the files are complete"
            yield Finding(table, what, Remedy.REBUILD)


_RECORDED = "SELECT FROM meta.table_sync WHERE table_id = %(table)s AND fact_oid = %(oid)s AND updated = %(updated)s"


def _some(codes: list[str]) -> str:
    return ", ".join(codes[:5]) + (", ..." if len(codes) > 5 else "")
