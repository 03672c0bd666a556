"""Sync: one table from the API to parquet to Postgres, under its lock, as one moment of the publisher's.

What belongs here: the order of the steps and what must hold between them (docs/architecture.md, "Contracts"). What to
fetch is `table_plan`'s, how is `reading`'s, into Postgres is `loading`'s.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from varro_assets.engine import clock, periods, postgres
from varro_assets.engine.locks import TableLock, table_lock
from varro_assets.engine.partitions import PartitionInfo, PartitionStore
from varro_assets.engine.period_table import PeriodTable, PeriodTables
from varro_assets.engine.planning import Plan, Reason, Scope
from varro_assets.engine.revisions import revision_record
from varro_assets.engine.revisions.ledger import Change, Ledger
from varro_assets.errors import (
    DamagedPartition,
    ForeignSource,
    PublisherChanged,
    SourceRefused,
    UndeclaredCode,
    UnexpectedResponse,
)
from varro_assets.statbank import catalog, facts, judging, manifest, reads
from varro_assets.statbank.catalog import Catalogue
from varro_assets.statbank.loading import FactLoader, SyncCounts
from varro_assets.statbank.manifest import Manifest
from varro_assets.statbank.models import TableInfo
from varro_assets.statbank.reading import Reading
from varro_assets.statbank.reads import Recorded, moment
from varro_assets.statbank.sources import Sources
from varro_assets.statbank.sync_report import Observer, Outcome, SyncReport
from varro_assets.statbank.table_plan import Standing, standing

FRESH_SECONDS = 2700.0
"""A description cached this recently, and of the catalogue's ``updated``, need not be asked for again to begin with:
a sweep of many tables lasts, and the description asked for after the data proves both."""
SURE_SECONDS = 300.0
"""That nothing is to be read is believed only of one that is as recent as this: nothing is asked for after it."""
_OF_ANOTHER_MOMENT = (SourceRefused, UndeclaredCode, UnexpectedResponse)
"""What asking by an outdated description may end in: a period that is gone, a variable that is new."""


def sync_table(
    sources: Sources,
    table: str,
    observer: Observer,
    *,
    scope: Scope | None = None,
    accept_shrink: bool = False,
    load: bool = True,
    keep_revisions: bool = True,
    run_id: str | None = None,
    wait: float = 0.0,
    report: SyncReport | None = None,
) -> SyncReport:
    """Bring one table up to date.

    Args:
        sources: publisher, folders, database.
        table: id.
        observer: told of every step.
        scope: which periods; what is due by default.
        accept_shrink: believe a period that comes back much smaller.
        load: also load the fact table; without it only the parquet files are brought up to date.
        keep_revisions: keep the cells that were revised, rather than only how many.
        run_id: recorded with what is loaded.
        wait: seconds to wait for another writer of this table.
        report: filled in as the sync goes; a new one by default.

    Raises:
        VarroError: its kinds, by what failed. What was held before is still held.
    """
    report = report or SyncReport(table)
    with _writer(sources, table, run_id, wait) as (lock, tables):
        sent = sources.client.request_count
        try:
            ledger = sources.ledger(table, keep_cells=keep_revisions, run_id=run_id)
            job = _Sync(sources, sources.store(table), lock, tables, observer, report, accept_shrink, load, ledger)
            job.run(scope or Scope())
        except OSError:
            lock.check()  # if it was lost, whoever got it after us has swept our staged files away
            raise
        finally:
            report.requests = sources.client.request_count - sent
    return report


def load_table(
    sources: Sources,
    table: str,
    observer: Observer,
    *,
    only: Collection[str] | None = None,
    run_id: str | None = None,
    wait: float = 0.0,
    report: SyncReport | None = None,
) -> SyncReport:
    """Fill the fact table from the parquet files, without the API.

    Args:
        sources: folders and database; the publisher is not asked.
        table: id.
        observer: told of every period.
        only: replace just these periods; None builds the whole table anew.
        run_id: recorded with what is loaded.
        wait: seconds to wait for another writer of this table.
        report: filled in; a new one by default.

    Raises:
        DamagedPartition: the folder holds no complete sync, or a file of it is damaged.
    """
    report = report or SyncReport(table)
    with _writer(sources, table, run_id, wait) as (lock, tables):
        store = sources.store(table)
        held = store.infos()
        state = manifest.read_complete(store, held)
        lock.check()
        ledger = sources.ledger(table, run_id=run_id)
        ledger.recover(held, revision_record.recorded(tables.connection, table))
        revision_record.record(tables.connection, ledger, held, lambda error: observer.message(error.problem))
        target = replace(facts.period_table(state.info, held), shape_hash=state.shape_hash)
        path = known.subject_path(table) if (known := sources.catalogue.read()) else None
        loader = FactLoader(tables, store, state.info, target, path)
        report.rows_written = loader.rebuild(held) if only is None else loader.reload(held, only)
        loader.describe()
        vanished = set(held).difference(state.info.tids)
        loader.complete(SyncCounts(unchanged=len(held) - len(vanished), kept=len(vanished)))
        report.finish(held, state.info.updated)
        for code, part in held.items():
            report.settle(code, Outcome.KEPT if code in vanished else Outcome.UNCHANGED, part)
            observer.settled(code, report.outcomes[code], part)
    return report


@contextlib.contextmanager
def _writer(sources: Sources, table: str, run_id: str | None, wait: float) -> Iterator[tuple[TableLock, PeriodTables]]:
    """Hold the table's lock and a connection to write by; sweep away what a dead holder left."""
    with table_lock(sources.warehouse, table, wait=wait) as lock:
        sources.store(table).sweep()
        manifest.sweep(sources.store(table).folder)
        with contextlib.closing(postgres.connect(sources.warehouse, f"sync {table}")) as connection:
            yield lock, PeriodTables(connection, run_id)


@dataclass
class _Sync:
    """One sync under way."""

    sources: Sources
    store: PartitionStore
    lock: TableLock
    tables: PeriodTables
    observer: Observer
    report: SyncReport
    accept_shrink: bool
    load: bool
    ledger: Ledger
    _before: dict[str, PartitionInfo] = field(default_factory=dict, init=False)
    _settled: list[str] = field(default_factory=list, init=False)
    _stated: Collection[str] = field(default=(), init=False)
    _standing: Standing | None = field(default=None, init=False)

    @cached_property
    def _known(self) -> Catalogue | None:
        """The last poll; read once, since the whole catalogue is half a megabyte of JSON to check."""
        return self.sources.catalogue.read()

    def run(self, scope: Scope) -> None:
        """Read until one and the same publication stands before the first and after the last data request."""
        state = self._state()
        info, raw = self._describe(cached=True)
        self._refuse_foreign(state)
        self._before, self._stated = self._held(), state.info.tids if state else ()
        self.ledger.recover(self._before, revision_record.recorded(self.tables.connection, info.id))
        for _attempt in range(2):
            after, raw = self._read(info, raw, scope, state)
            if after.content_key == info.content_key:
                return self._complete(after, raw, scope)
            self.observer.message(f"{info.id} was published anew while it was being read; reading again.")
            info = after
        raise PublisherChanged(
            "read table",
            on=info.id,
            got="it was published anew twice while it was being read",
            todo="Run the same command again in a while.",
        )

    # -- what is there ---------------------------------------------------------------------------------------------

    def _describe(self, *, cached: bool = False) -> tuple[TableInfo, Mapping[str, Any]]:
        table, folder = self.report.table, self.sources.catalogue
        if cached and folder.tableinfo_age(table) < FRESH_SECONDS:
            recent = folder.description(table)
            entry = self._known.entries.get(table) if self._known else None
            if recent and entry and recent[0].updated == entry.updated:
                return recent
        info, raw = self.sources.client.tableinfo(table)
        facts.columns(info)  # a table we could not store is refused before anything of it is fetched
        folder.write_tableinfo(table, raw)
        return info, raw

    def _state(self) -> Manifest | None:
        try:
            return manifest.read(self.store.folder)
        except DamagedPartition as error:
            self.observer.message(f"{error.problem} It is written anew, as after a first load.")
            return None

    def _held(self) -> dict[str, PartitionInfo]:
        return manifest.readable(self.store, lambda _, error: self.observer.message(f"{error.problem} It is not held."))

    def _recorded(self) -> dict[str, Recorded]:
        return reads.reads(self.tables.connection, [self.report.table])[self.report.table]

    def _due(self, scope: Scope) -> Collection[str]:
        """What was due when the last plan was made, whatever part of it was asked for."""
        due = replace(scope, full=False, since=None, only=None, within=None)
        return self._standing.plan(due).fetch if self._standing else ()

    def _source(self) -> str:
        if self.sources.client.server or self._known is None:
            return catalog.source_of(self.sources.client)
        return self._known.source  # nothing was asked yet: the description was cached moments ago

    def _refuse_foreign(self, state: Manifest | None) -> None:
        source = self._source()
        if state is not None and state.source != source:
            raise ForeignSource(
                "sync into",
                on=str(self.store.folder),
                got=f"it holds {state.source}, now {source} answers",
                todo="Use another DATA_DIR (and database) for another source, or correct DST_API_URL.",
            )

    def _loader(self, info: TableInfo, table: PeriodTable) -> FactLoader:
        path = self._known.subject_path(info.id) if self._known else None
        return FactLoader(self.tables, self.store, info, table, path)

    # -- reading ---------------------------------------------------------------------------------------------------

    def _read(
        self, info: TableInfo, raw: Mapping[str, Any], scope: Scope, state: Manifest | None
    ) -> tuple[TableInfo, Mapping[str, Any]]:
        """Fetch what the plan says and, if the publisher did not change meanwhile, put it in place.

        A first load is put in place and shown batch by batch, newest periods first.

        Returns:
            The publisher's description after the last data request.
        """
        held = self._held()
        table = facts.period_table(info, held)
        recorded = self._recorded()
        self._standing = standing(info, held, state, recorded, clock.now())
        reads.record_known(self.tables.connection, info, held, recorded, self._standing.past.reads)
        plan = self._standing.plan(scope)
        self.report.plan = plan
        self.observer.planned(plan, info)
        if not plan.fetch:
            sure = self.sources.catalogue.tableinfo_age(info.id) < SURE_SECONDS
            return (info, raw) if sure else self._describe()
        show = state is None and (not self.load or self._loader(info, table).can_show())
        reading = Reading(
            self.sources.client,
            self.lock,
            self.observer,
            self.report,
            info,
            table.shape_hash,
            held,
            self.accept_shrink,
        )
        staged: dict[str, PartitionInfo] = {}
        shrunk: list[str] = []
        with self.store.staging() as staging:
            try:
                for batch in reading.batches(list(plan.fetch), staging):
                    shrunk += batch.shrunk
                    if show:
                        self._put_in_place(batch.believed, held)
                        if self.load:
                            parts = {code: self.report.parts[code] for code in batch.believed}
                            self.report.rows_written += self._loader(info, table).load_first(parts)
                        self._notify()
                    else:
                        staged |= batch.believed
            except _OF_ANOTHER_MOMENT:
                after, raw = self._describe()
                if after.content_key == info.content_key:
                    raise
                return after, raw
            after, raw = self._describe()
            if after.content_key == info.content_key:
                self.lock.check()
                self._put_in_place(staged, held)
                self._doubt(shrunk, held, plan)
        return after, raw

    def _doubt(self, shrunk: Collection[str], held: Mapping[str, PartitionInfo], plan: Plan) -> None:
        """Report periods that are not replaced because they shrank."""
        table = self.report.table
        for code in shrunk:
            self.observer.message(
                f"{table} {code} is not replaced. If the publisher means it:"
                f" varro sync {table}{judging.wish_for(code, plan.fetch[code])} --accept-shrink"
            )
            self.report.settle(code, Outcome.SHRUNK, held[code])
            self._settled.append(code)
        self._record({code: (clock.now(), reads.DOUBTED) for code in shrunk})

    # -- putting in place ------------------------------------------------------------------------------------------

    def _put_in_place(self, staged: Mapping[str, PartitionInfo], held: Mapping[str, PartitionInfo]) -> None:
        now = {code: held[code] for code, part in staged.items() if self._stays(held.get(code), part)}
        fresh = {code: part for code, part in staged.items() if code not in now}
        # a period that was held and has no file that can be read was lost; it does not come in new
        known = {code for code in fresh if code in self._stated or self.store.path(code).exists()}
        self.report.revisions |= self.ledger.note((Change(held.get(code), fresh[code]) for code in fresh), known)
        promoted = self.store.promote_all(fresh.values())
        now |= {part.period: part for part in promoted}
        self._record({code: (moment(part.fetched_at), now[code].content_hash) for code, part in staged.items()})
        for code in staged:
            self.report.settle(code, judging.outcome(self._before.get(code), now[code]), now[code])
            self._settled.append(code)

    def _stays(self, old: PartitionInfo | None, new: PartitionInfo) -> bool:
        if old is None or not judging.same(old, new):
            return False
        # so its footer says; a full refresh is also what mends a file that does not hold what it states
        full = self.report.plan is not None and self.report.plan.fetch.get(new.period) is Reason.FULL
        return not full or judging.intact(old)

    def _record(self, found: Mapping[str, tuple[datetime, str]]) -> None:
        """Note when these periods were asked for and what was found: nobody reads them again of this publication."""
        if self._standing is not None:
            again = self._standing.past.again
            answers = {code: Recorded(again(code, asked_at), content) for code, (asked_at, content) in found.items()}
            reads.record(self.tables.connection, self.report.table, answers)

    def _complete(self, info: TableInfo, raw: Mapping[str, Any], scope: Scope) -> None:
        """Load what is not loaded, and state what the folder and the warehouse now are copies of."""
        held = self._held()
        revision_record.record(
            self.tables.connection, self.ledger, held, lambda error: self.observer.message(error.problem)
        )
        table = facts.period_table(info, held)
        recorded = self._recorded()
        lacking = [
            code for code in self._due(scope) if not reads.is_of(recorded.get(code), held.get(code), info.updated)
        ]
        complete = all(code in held and held[code].shape_hash == table.shape_hash for code in info.tids)
        whole = complete and not lacking and not self.report.unsettled
        if whole:
            reads.forget(self.tables.connection, info.id, set(recorded).difference(info.tids))
            manifest.write(self.store.folder, self._source(), table.shape_hash, raw)
        for code in self.report.plan.vanished if self.report.plan else ():
            self.report.settle(code, Outcome.KEPT, held[code])
        if self.load:
            self.lock.check()
            loader = self._loader(info, table)
            self.report.rows_written += loader.load_all(held, changed=self.report.rows_written > 0)
            loader.describe()
            if whole:
                loader.complete(self.report.counts())
        self._notify()
        self.report.finish(held, info.updated if whole else "")

    def _notify(self) -> None:
        # oldest first, so that the last word on the table is about its newest period
        for code in periods.in_order(self._settled):
            self.observer.settled(code, self.report.outcomes[code], self.report.parts[code])
        self._settled.clear()


def held_periods(sources: Sources, table: str) -> dict[str, PartitionInfo]:
    """Every readable period file of a table."""
    return manifest.readable(sources.store(table), lambda _code, _error: None)


def standing_now(sources: Sources, info: TableInfo, held: Mapping[str, PartitionInfo]) -> Standing:
    """How a table stands to its description, outside a sync: for whoever asks what one would fetch."""
    with contextlib.closing(postgres.connect(sources.warehouse, f"look at {info.id}")) as connection:
        recorded = reads.reads(connection, [info.id])[info.id]
    return standing(info, held, manifest.read_usable(sources.store(info.id).folder), recorded, clock.now())
