"""Health: whether a table's parquet, fact table and `meta` agree, and what mends it if they do not.

What belongs here: findings about one table, from files and the warehouse alone. What Dagster shows is compared
elsewhere (`defs.health`), since this package knows no dagster.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from varro_assets.engine import content
from varro_assets.engine.partitions import PartitionInfo, PartitionStore
from varro_assets.engine.period_table import PeriodTables
from varro_assets.engine.postgres import Connection
from varro_assets.errors import DamagedPartition
from varro_assets.statbank import facts, manifest
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
    held, damaged = _held(store)
    for problem in damaged:
        yield Finding(table, problem, Remedy.SYNC)
    if state is None:
        what = f"its first load was not completed: {len(held)} periods are in" if held else "it was never synced"
        yield Finding(table, what, Remedy.SYNC)
        return
    missing = [code for code in state.info.tids if code not in held]
    if missing:
        yield Finding(table, f"{len(missing)} published periods have no file: {_some(missing)}", Remedy.SYNC)
    older = [code for code, part in held.items() if part.shape_hash != state.shape_hash]
    if older:
        what = f"{len(older)} periods are kept in the shape the table had before, and are not in fact: {_some(older)}"
        yield Finding(table, what, Remedy.NONE)
    if deep:
        for code, part in held.items():
            if content.of_parquet(part.path) != part.content_hash:
                yield Finding(table, f"the file of {code} does not hold what it states", Remedy.REFETCH)
    current = {code: part for code, part in held.items() if part.shape_hash == state.shape_hash}
    yield from _warehouse_findings(table, current, PeriodTables(connection))


def _warehouse_findings(table: str, held: dict[str, PartitionInfo], tables: PeriodTables) -> Iterator[Finding]:
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
    surplus = [code for code in loaded if code not in held]
    if surplus:
        yield Finding(table, f"{len(surplus)} periods in fact have no file: {_some(surplus)}", Remedy.REBUILD)
    counted = tables.count_rows(relation)
    stated = sum(row.rows for row in loaded.values())
    if counted != stated:
        yield Finding(table, f"fact has {counted} rows where {stated} were loaded", Remedy.REBUILD)


def _held(store: PartitionStore) -> tuple[dict[str, PartitionInfo], list[str]]:
    held, damaged = {}, []
    for code in store.periods():
        try:
            held[code] = store.info(code)
        except DamagedPartition as error:
            damaged.append(error.problem)
    return held, damaged


def _some(codes: list[str]) -> str:
    return ", ".join(codes[:5]) + (", ..." if len(codes) > 5 else "")
