"""Verifying: whether what the warehouse holds is what the publisher says today, asked in another way than a sync asks.

What belongs here: the order of steps. A sync reads the streaming format, period by period, rows only; this asks for the
dense format, many periods at once. What to ask is `questions`', how answers compare is `engine.reconcile`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from varro_assets.engine import clock, periods, postgres, reconcile
from varro_assets.engine.postgres import Connection
from varro_assets.engine.reconcile import Cells, Comparison, Discrepancy, Kind, Total
from varro_assets.errors import DamagedPartition
from varro_assets.statbank import facts
from varro_assets.statbank.models import TableInfo
from varro_assets.statbank.proof import csv_answer, questions
from varro_assets.statbank.proof.held_cells import FactCells
from varro_assets.statbank.proof.questions import Question, TotalOf
from varro_assets.statbank.sources import Sources

SUM_TOLERANCE = 1e-9
"""Relative; the publisher adds up decimals, Postgres doubles. Values as printed are compared without any."""


@dataclass(frozen=True)
class Verification:
    """What came of asking.

    Attributes:
        table: id.
        asked_at: ISO, UTC.
        updated: the publication that is held and was asked about.
        periods: how many were asked about.
        cells: how many were compared; `telling` of them with a number other than the absent value.
        requests: sent for it, retries included.
        whole: whether every cell of these periods was compared.
        moved: why nothing can be said now: the publisher or a sync changed the table; empty if neither did.
        discrepancies: by period, then by kind.
        totals: period -> sums of what was compared.
        notes: what a reader should know of the comparison.
    """

    table: str
    asked_at: str
    updated: str
    periods: int = 0
    cells: int = 0
    telling: int = 0
    requests: int = 0
    whole: bool = False
    moved: str = ""
    discrepancies: tuple[Discrepancy, ...] = ()
    totals: Mapping[str, Total] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()

    @property
    def proved(self) -> bool:
        """Whether what is held is what the publisher says."""
        return not self.moved and not self.discrepancies

    @property
    def text(self) -> str:
        """One line for people."""
        if self.moved:
            return f"nothing can be said now: {self.moved}"
        asked = f"{self.cells:,} cells of {self.periods:,} periods{'' if self.whole else ', a part of the table'}"
        if not self.discrepancies:
            return f"as the publisher says today: {asked}"
        kinds = {kind: sum(max(1, one.cells) for one in self.discrepancies if one.kind is kind) for kind in Kind}
        found = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items() if count)
        return f"not as the publisher says today: {found} ({asked})"


@dataclass(frozen=True)
class _Held:
    """What `meta` says of the table: publication, a stamp of all that is loaded, period -> rows as loaded."""

    updated: str
    stamp: str
    loaded: Mapping[str, int]


_HELD = """
SELECT to_char(s.updated, 'YYYY-MM-DD"T"HH24:MI:SS'), md5(string_agg(p.tid_code || p.content_hash, ' '
       ORDER BY p.tid_code)), array_agg(p.tid_code), array_agg(p.rows)
  FROM meta.table_sync s JOIN meta.period_load p USING (table_id, fact_oid) JOIN pg_class c ON c.oid = s.fact_oid
 WHERE s.table_id = %s
 GROUP BY s.updated
"""


def verify(
    sources: Sources,
    connection: Connection,
    table: str,
    total_of: TotalOf,
    *,
    wanted: Callable[[Sequence[str]], Collection[str]] | None = None,
    deep: bool = False,
    limit: int = questions.CELL_LIMIT,
    on_plan: Callable[[int], None] = lambda _requests: None,
) -> Verification:
    """Ask the publisher about a table and compare.

    A table that fits a few requests is compared cell by cell, whole. Of a larger one every total that the publisher
    works out is compared, and cells drawn by lot, others on another day: unless ``deep`` asks for all of it.

    Args:
        sources: the publisher.
        connection: to the warehouse.
        table: id.
        total_of: the total code of a variable, if it has one.
        wanted: out of all periods, oldest first, those to ask about; None = all.
        deep: every cell, however many requests that takes.
        limit: of cells in one request.
        on_plan: told how many data requests follow.

    Raises:
        DamagedPartition: no sync of the table was ever complete, so there is nothing to verify.
        VarroError: its kinds, by what failed.
    """
    sent, at = sources.client.request_count, clock.now()
    held = _held(connection, table)
    info, _ = sources.client.tableinfo(table)
    job = _Job(sources, connection, info, held, total_of)
    moved = job.moved(info)
    result = _Result() if moved else job.run(wanted, deep, limit, seed=f"{table} {at.date()}", on_plan=on_plan)
    if not moved:
        moved = job.moved(sources.client.tableinfo(table)[0])
    return Verification(
        table=table,
        asked_at=at.isoformat(timespec="seconds"),
        updated=held.updated,
        periods=len(result.asked),
        cells=sum(total.cells for total in result.totals.values()),
        telling=result.telling,
        requests=sources.client.request_count - sent,
        whole=result.whole,
        moved=moved,
        discrepancies=() if moved else tuple(result.discrepancies),
        totals={} if moved else result.totals,
        notes=tuple(result.notes),
    )


def absent(info: TableInfo) -> float | None:
    """What a cell without a row stands for; 0 where the publisher says something that is no number."""
    try:
        return csv_answer.value(info.suppressedDataValue)
    except ValueError:
        return 0.0


@dataclass
class _Result:
    """What was found so far."""

    asked: list[str] = field(default_factory=list)
    whole: bool = False
    telling: int = 0
    discrepancies: list[Discrepancy] = field(default_factory=list)
    totals: dict[str, Total] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, found: Comparison) -> None:
        """Take up one question's comparison."""
        self.telling += found.telling
        self.discrepancies += found.discrepancies
        for period, total in found.totals.items():
            sums = self.totals.setdefault(period, Total())
            sums.cells += total.cells
            sums.published += total.published
            sums.held += total.held


@dataclass(frozen=True)
class _Job:
    sources: Sources
    connection: Connection
    info: TableInfo
    held: _Held
    total_of: TotalOf

    def moved(self, now: TableInfo) -> str:
        """Why publisher and warehouse do not speak of one and the same publication; empty if they do."""
        table = self.info.id
        if now.updated != self.held.updated:
            todo = f"Sync it first: varro sync {table}"
            return f"the publication of {now.updated} is out, that of {self.held.updated} is held. {todo}"
        if now.content_key != self.info.content_key:
            return "it was published anew while it was being asked about. Sync and verify again."
        if _held(self.connection, table).stamp != self.held.stamp:
            return "it was synced while it was being verified. Verify again."
        return ""

    def run(
        self,
        wanted: Callable[[Sequence[str]], Collection[str]] | None,
        deep: bool,
        limit: int,
        *,
        seed: str,
        on_plan: Callable[[int], None],
    ) -> _Result:
        """Ask and compare."""
        every = periods.in_order({*self.info.tids, *self.held.loaded})
        chosen = set(every if wanted is None else wanted(every))
        cells = FactCells(self.connection, facts.period_table(self.info, self.held.loaded), tuple(every))
        there = self._there(cells)
        published = [code for code in periods.in_order(self.info.tids) if code in chosen]
        result = _Result(asked=published)
        extra = [code for code in there if code in chosen or code not in every]
        kept = [code for code in extra if code not in self.info.tids and code in self.held.loaded]
        if kept:
            result.notes.append(f"kept, and no longer published: {_some(kept)}")
        result.discrepancies += reconcile.periods(published, [code for code in extra if code not in kept])
        both = [code for code in published if code in there]
        if not both:
            return result
        whole = questions.whole(self.info, both, limit)
        result.whole = deep or len(whole) <= questions.FEW_REQUESTS
        asked = whole if result.whole else questions.part(self.info, both, self.total_of, seed=seed, limit=limit)
        on_plan(len(asked))
        for question in asked:
            self._compare(question, cells, result)
        return result

    def _there(self, cells: FactCells) -> list[str]:
        """Periods the fact table has rows of, and those of which it was loaded that they have none."""
        rows = cells.rows()
        return [*rows, *(code for code, count in self.held.loaded.items() if not count and code not in rows)]

    def _compare(self, question: Question, cells: FactCells, result: _Result) -> None:
        said: Cells = self.sources.client.cells(self.info, question.codes, question.periods)
        held, unclear = cells.of(question)
        adds_up = None in question.left_out.values()
        found = reconcile.cells(
            {cell: value for cell, value in said.items() if cell not in unclear},
            {cell: value for cell, value in held.items() if cell not in unclear},
            absent=absent(self.info),
            tolerance=SUM_TOLERANCE if adds_up else 0.0,
        )
        if question.left_out and found.agreeing * 2 < found.telling:
            # averages, indices, or codes of several levels: what the publisher adds up nobody else can
            result.notes.append(f"cannot be totalled over {', '.join(question.left_out)}: totals were not compared")
            return
        result.add(found)


def _held(connection: Connection, table: str) -> _Held:
    with postgres.transaction(connection, "read what is held of", on=table) as cursor:
        cursor.execute(_HELD, (table,))
        row = cursor.fetchone()
    if row is None:
        raise DamagedPartition(
            "verify table", on=table, got="no complete sync of it is in the warehouse", todo=f"varro sync {table}"
        )
    return _Held(row[0], row[1], dict(zip(row[2], row[3], strict=True)))


def _some(codes: Sequence[str]) -> str:
    return ", ".join(codes[:5]) + (", ..." if len(codes) > 5 else "")
