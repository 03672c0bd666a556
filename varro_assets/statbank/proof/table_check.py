"""Table check: whether what a sync brought in is whole, is the same in files and warehouse, and is what was declared.

What belongs here: the checks that Dagster shows of a table, as plain findings, from files and warehouse alone. What
must never be stored has raised before the write; these look at what is stored. Asking the publisher again is
`verifying`'s.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from varro_assets.engine import periods
from varro_assets.engine.partition_files import damaged
from varro_assets.engine.partitions import PartitionInfo
from varro_assets.engine.period_table import PeriodTable, PeriodTables
from varro_assets.engine.postgres import Connection, transaction
from varro_assets.errors import DamagedPartition
from varro_assets.statbank import facts, manifest
from varro_assets.statbank.models import TableInfo
from varro_assets.statbank.proof.held_cells import FactCells
from varro_assets.statbank.sources import Sources
from varro_assets.statbank.sweeps import due
from varro_assets.statbank.sync_report import SyncReport

SMALL_ROWS = 200_000
"""A table of up to so many rows is looked at whole after each sync: it takes less than a second."""
_WITHDRAWN = "SELECT column_name, code FROM meta.code WHERE table_id = %s AND NOT declared"


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        passed: whether all is as it should be.
        text: for people.
        needs_action: whether somebody has to do something about it if it did not pass.
        figures: name -> number, which Dagster plots.
    """

    passed: bool
    text: str
    needs_action: bool = True
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TableState:
    """One table as it is held: files, fact table and what `meta` says of it.

    Attributes:
        sources: folders and catalogue.
        connection: to the warehouse.
        info: the publisher's description by which it is judged.
        held: readable period files.
        broken: periods whose file cannot be read -> why.
    """

    sources: Sources
    connection: Connection
    info: TableInfo
    held: Mapping[str, PartitionInfo]
    broken: Mapping[str, str]

    @cached_property
    def table(self) -> PeriodTable:
        """How its fact table should look."""
        return facts.period_table(self.info, [*self.held, *self.broken])

    @cached_property
    def current(self) -> dict[str, PartitionInfo]:
        """Files of the present shape: those that the fact table is made of."""
        return {code: part for code, part in self.held.items() if part.shape_hash == self.table.shape_hash}

    @cached_property
    def loaded(self) -> dict[str, int]:
        """Period -> rows, as loaded into the fact table that stands there now."""
        tables = PeriodTables(self.connection)
        oid = tables.oid((self.table.schema, self.table.name))
        return {code: row.rows for code, row in tables.loaded(self.info.id).items() if row.fact_oid == oid}

    @property
    def cells(self) -> FactCells:
        """The rows of the fact table."""
        return FactCells(self.connection, self.table, tuple({*self.held, *self.loaded, *self.info.tids}))

    @property
    def small(self) -> bool:
        """Whether looking at all of it costs little."""
        return sum(self.loaded.values()) <= SMALL_ROWS


def state(sources: Sources, connection: Connection, table: str, synced: TableInfo | None = None) -> TableState:
    """Look at a table.

    Args:
        sources: folders and catalogue.
        connection: to the warehouse.
        table: id.
        synced: the description that it was synced by just now; judged by this, or by that of a newer complete sync, and
            not by what a poll has brought since. None: judged by the last known description.

    Raises:
        DamagedPartition: nobody ever described it, so it was never synced.
    """
    store = sources.store(table)
    known = manifest.read_usable(store.folder)
    if synced is not None and known is not None and known.info.updated > synced.updated:
        synced = known.info
    info = synced or sources.catalogue.tableinfo(table) or (known.info if known else None)
    if info is None:
        raise DamagedPartition("check table", on=table, got="it was never synced", todo=f"varro sync {table}")
    broken: dict[str, str] = {}
    held = manifest.readable(store, lambda code, error: broken.update({code: error.problem}))
    return TableState(sources, connection, info, held, broken)


# -- what is there at all ------------------------------------------------------------------------------------------


def newest_period_held(at: TableState, *, begun: bool = False) -> Finding:
    """The newest published period is in the files and in the warehouse; ``begun`` as in `periods_in_catalogue`."""
    newest = periods.in_order(at.info.tids)[-1]
    where = [name for name, codes in (("no file", at.current), ("no rows loaded", at.loaded)) if newest not in codes]
    figures = {"periods held": len(at.held), "periods published": len(at.info.tids)}
    known = at.sources.catalogue.read()
    entry = known.entries.get(at.info.id) if known else None
    if where:
        got = f"{newest} is published and there is {' and '.join(where)} of it. Sync the table: varro sync {at.info.id}"
        return Finding(False, got, not begun, figures)
    if entry is not None and entry.updated > at.info.updated:
        text = f"{newest} is held; the table is due, published anew on {entry.updated}, up to {entry.latestPeriod}"
        return Finding(entry.latestPeriod in _names(at.info), text, needs_action=False, figures=figures)
    return Finding(True, f"{newest} is held, of the publication of {at.info.updated}", figures=figures)


def no_failed_periods(at: TableState, report: SyncReport | None) -> Finding:
    """Nothing that was planned is open, nothing came back shrunk, no file is unreadable.

    Without a report of a sync just made, the last complete one is compared with the publication described last.
    """
    broken = [f"the file of {code} cannot be read" for code in at.broken]
    if report is not None:
        open_ = report.unsettled
        problems = [f"{_some(open_)} did not come in, or came back with far fewer rows than are held"] if open_ else []
        figures = {"planned": len(report.plan.fetch) if report.plan else 0, "failed": len(open_) + len(broken)}
        text = "; ".join([*problems, *broken]) or f"all {figures['planned']} planned periods came in"
        return Finding(not problems and not broken, text, figures=figures)
    missing = [code for code in periods.in_order(at.info.tids) if code not in at.current or code not in at.loaded]
    missing = [code for code in missing if code not in at.broken]
    problems = [f"{_some(missing)} did not come in"] if missing else []
    figures = {"failed": len(missing) + len(broken)}
    if problems or broken:
        return Finding(False, "; ".join([*problems, *broken]), figures=figures)
    synced = due.synced(at.connection).get(at.info.id)
    if synced is None or not synced.present or synced.updated != at.info.updated:
        last = synced.updated if synced else "none"
        text = f"every period is held; of the publication of {at.info.updated} not all was read yet (complete: {last})"
        return Finding(False, text, needs_action=False, figures=figures)
    return Finding(True, f"the publication of {at.info.updated} was read completely", figures=figures)


def periods_in_catalogue(at: TableState, *, begun: bool = False) -> Finding:
    """The publisher lists every held period, and every period it lists is held.

    Args:
        at: the table.
        begun: a sync of some periods went well and others are still to be read, so that nobody need act.
    """
    published = set(at.info.tids)
    missing = [code for code in periods.in_order(published) if code not in at.held]
    kept = [code for code in at.held if code not in published]
    figures = {"published": len(published), "held": len(at.held), "missing": len(missing), "kept": len(kept)}
    if missing:
        text = f"published and not held: {_some(missing)}. Sync the table: varro sync {at.info.id}"
        return Finding(False, text, not begun, figures)
    if kept:
        return Finding(False, f"kept, though the publisher no longer lists them: {_some(kept)}", False, figures)
    return Finding(True, f"all {len(published)} published periods are held, and no others", figures=figures)


# -- what is in it -------------------------------------------------------------------------------------------------


def fact_equals_parquet(at: TableState, codes: Collection[str] | None) -> Finding:
    """Rows, missing values and the values themselves are the same in the fact table and in the files.

    Values are compared by the sum of their bits, read as whole numbers: exact, and the same in whatever order.

    Args:
        at: the table.
        codes: of these periods; None = of all, and of no others.
    """
    wanted = at.current if codes is None else {code: at.current[code] for code in codes if code in at.current}
    there = at.cells.sums(None if codes is None else list(wanted))
    problems, rows = [], 0
    for code, part in wanted.items():
        count, numbers, bits = _of_file(part)
        found = there.get(code, (0, 0, 0))
        rows += count
        if found == (count, numbers, bits):
            continue
        if found[:2] != (count, numbers):
            got = f"{found[0]} rows ({found[0] - found[1]} missing) in fact, {count} ({count - numbers}) in parquet"
        else:
            got = f"values differ in fact from those in parquet, which add up to {_sum(part):.15g}"
        problems.append(f"{code}: {got}")
    # rows of a file that cannot be read may be the last there is of them; `no_failed_periods` names the file
    strange = [code for code in there if code not in wanted and code not in at.broken]
    problems += [f"{code}: {there[code][0]} rows in fact and no file" for code in strange]
    figures = {"periods": len(wanted), "rows": rows, "differing": len(problems)}
    text = _listed(problems) or f"{len(wanted)} periods, {rows} rows: the same in both"
    return Finding(not problems, _with_remedy(text, problems, at.info.id), figures=figures)


def unique_keys(at: TableState, codes: Collection[str] | None) -> Finding:
    """No two rows of the fact table have the same codes and period."""
    again = at.cells.repeated(_loaded_of(at, codes))
    problems = [f"{code}: {count} combinations of codes stand there more than once" for code, count in again.items()]
    figures = {"repeated": sum(again.values())}
    text = _listed(problems) or "no two rows have the same codes and period"
    return Finding(not problems, _with_remedy(text, problems, at.info.id), figures=figures)


def codes_declared(at: TableState, codes: Collection[str] | None) -> Finding:
    """Every code in the rows is one the publisher declares; or did, when it published them."""
    only, known = _loaded_of(at, codes), _withdrawn(at)
    withdrawn: list[str] = []
    unknown: list[str] = []
    for variable, column in zip(at.info.dimensions, at.table.columns, strict=True):
        for code in sorted(at.cells.codes_of(column.name, only).difference(variable.codes)):
            (withdrawn if (column.name, code) in known else unknown).append(f"{variable.id} {code}")
    figures = {"undeclared": len(unknown), "withdrawn": len(withdrawn)}
    if unknown:
        text = f"in rows and never declared: {_some(unknown)}. Sync the table whole: varro sync {at.info.id} --full"
        return Finding(False, text, figures=figures)
    if withdrawn:
        text = f"withdrawn by the publisher, in rows of periods that were published with them: {_some(withdrawn)}"
        return Finding(False, text, needs_action=False, figures=figures)
    return Finding(True, "every code in the rows is declared", figures=figures)


def findings(
    at: TableState, report: SyncReport | None, codes: Iterable[str] | None, names: Collection[str]
) -> Iterator[tuple[str, Finding]]:
    """The checks that are asked for, by name.

    Args:
        at: the table.
        report: of the sync just made; None when the checks run alone.
        codes: periods the sync touched; None = look at the whole table. A small table is always looked at whole.
        names: of the checks.
    """
    touched = None if codes is None or at.small else [code for code in codes if code in at.current]
    begun = report is not None and not report.updated and not report.unsettled
    if "newest_period_held" in names:
        yield "newest_period_held", newest_period_held(at, begun=begun)
    if "no_failed_periods" in names:
        yield "no_failed_periods", no_failed_periods(at, report)
    if "periods_in_catalogue" in names:
        yield "periods_in_catalogue", periods_in_catalogue(at, begun=begun)
    # without a fact table there is nothing to look into; the checks above say so
    for name, look in _IN_ROWS.items():
        if name in names:
            yield name, look(at, touched) if at.loaded else Finding(False, f"{at.table.relation} is not filled")


_IN_ROWS = {"fact_equals_parquet": fact_equals_parquet, "unique_keys": unique_keys, "codes_declared": codes_declared}


def _loaded_of(at: TableState, codes: Collection[str] | None) -> list[str] | None:
    return None if codes is None else [code for code in codes if code in at.loaded]


def _withdrawn(at: TableState) -> set[tuple[str, str]]:
    with transaction(at.connection, "read the withdrawn codes of", on=at.info.id) as cursor:
        cursor.execute(_WITHDRAWN, (at.info.id,))
        return {(column, code) for column, code in cursor.fetchall()}


def _of_file(part: PartitionInfo) -> tuple[int, int, int]:
    """Rows, numbers among them, and the sum of the numbers' bits; see `FactCells.sums`."""
    column = _values(part)
    bits = (column.drop_null().to_numpy() + 0.0).view(np.int64)
    # in two halves, since the whole may not fit 64 bits
    high, low = int((bits >> np.int64(32)).sum()), int((bits & np.int64(0xFFFFFFFF)).sum())
    return len(column), len(bits), (high << 32) + low


def _sum(part: PartitionInfo) -> float:
    return math.fsum(_values(part).drop_null().to_pylist())


def _values(part: PartitionInfo) -> pa.ChunkedArray:
    try:
        with pq.ParquetFile(part.path) as file:
            return file.read(columns=[file.schema_arrow.names[-1]]).column(0)
    except (OSError, pa.ArrowException) as error:
        raise damaged(part.path, str(error)) from error


def _names(info: TableInfo) -> set[str]:
    return {name for value in info.time.values for name in (value.id, value.text)}


def _with_remedy(text: str, problems: Sequence[str], table: str) -> str:
    return f"{text}. Fill it again from parquet: varro rebuild {table}" if problems else text


def _listed(problems: Sequence[str]) -> str:
    return "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")


def _some(codes: Sequence[str]) -> str:
    return ", ".join(codes[:5]) + (f", ... ({len(codes)})" if len(codes) > 5 else "")
