"""Migration: one table of the predecessor's files into period files of ours, under its lock.

What belongs here: the order of the steps. What a file holds is `extract`'s, which code a value was `code_column`'s.

A migrated table is never taken for current: its files are stated to be of the publication the predecessor wrote down,
if that is older than the present one, else of one long ago. So it is due at once, and its refresh policy decides what
is read again.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from varro_assets.engine import partition_files, periods, postgres
from varro_assets.engine.locks import TableLock, table_lock
from varro_assets.engine.partitions import Origin, PartitionInfo, PartitionStore, Staging
from varro_assets.engine.revisions import revision_record
from varro_assets.engine.revisions.ledger import Change
from varro_assets.errors import ConfigurationError, DuplicateKeys, ForeignSource, PermanentError, UnknownTable
from varro_assets.statbank import facts, manifest, models
from varro_assets.statbank import sync as syncs
from varro_assets.statbank.legacy import archive, record
from varro_assets.statbank.legacy.description import described
from varro_assets.statbank.legacy.extract import Extract, Survey
from varro_assets.statbank.legacy.record import Fate, FileRecord
from varro_assets.statbank.legacy.source_files import LONG_AGO, Layout, SourceFile
from varro_assets.statbank.legacy.spill import Spill
from varro_assets.statbank.manifest import Manifest
from varro_assets.statbank.models import TIME_COLUMN, TableInfo
from varro_assets.statbank.sources import Sources
from varro_assets.statbank.sync_report import Observer

RECORDS = "migrations"
"""Folder of the records, beside that of the tables."""


@dataclass(frozen=True)
class Wanted:
    """How to migrate.

    Attributes:
        folder: that was searched.
        stated: publication that the predecessor wrote down for the table; None if it did not.
        archive: where files go that are done with; None leaves them.
        overwrite: replace periods that are held.
        dry_run: write nothing.
    """

    folder: Path
    stated: str | None = None
    archive: Path | None = None
    overwrite: bool = False
    dry_run: bool = False


@dataclass
class Migrated:
    """What became of a table.

    Attributes:
        files: looked at this time.
        done: files that an earlier migration was done with.
        held: every period held at the end.
        rows_written: to Postgres.
        problem: what kept the whole table from being migrated.
    """

    table: str
    files: list[FileRecord] = field(default_factory=list)
    done: int = 0
    held: Mapping[str, PartitionInfo] = field(default_factory=dict)
    rows_written: int = 0
    problem: str = ""

    @property
    def refused(self) -> bool:
        """Whether anything of it was not taken."""
        return bool(self.problem) or any(file.problem for file in self.files)

    def count(self, fate: Fate) -> int:
        """Periods with that fate."""
        return sum(len(file.codes(fate)) for file in self.files)


def migrate_table(
    sources: Sources, table: str, files: Collection[SourceFile], wanted: Wanted, observer: Observer, wait: float = 0.0
) -> Migrated:
    """Store what the files hold and the home does not.

    Killed at any moment it goes on when it is called again; a second call does nothing.

    Args:
        sources: folders and database; the publisher is asked for the table's description if that is not on disk.
        table: id.
        files: of this table, in the order in which they are believed.
        wanted: how.
        observer: told of the load into Postgres.
        wait: seconds to wait for another writer of this table.

    Raises:
        TableBusy: somebody else writes this table.
        UnknownTable, SourceRefused: the publisher does not describe it.
        ForeignSource: the home's periods are of another source than its catalogue.
        VarroError: what stops the whole of it. What concerns one file is in its record.
    """
    result = Migrated(table)
    records = record.read(sources.tables_dir.parent / RECORDS, table)
    todo = [file for file in files if not _settled(records, file, wanted)]
    result.done = len(files) - len(todo)
    if not todo:
        return result
    info, raw = _described(sources, table)
    with table_lock(sources.warehouse, table, wait=wait) as lock:
        store = sources.store(table)
        job = _Migration(sources, store, lock, info, raw, wanted, records)
        with contextlib.ExitStack() as stack:
            if wanted.dry_run:
                staging = Staging(Path(stack.enter_context(tempfile.TemporaryDirectory())), table)
            else:
                store.sweep()
                staging = stack.enter_context(store.staging())
            result.files = job.run(todo, staging)
    if wanted.dry_run:
        return result
    if any(file.codes(Fate.MIGRATED) for file in result.files):
        result.rows_written = syncs.load_table(sources, table, observer, only=(), wait=wait).rows_written
    result.held = syncs.held_periods(sources, table)
    job.finish(todo, result.files)
    return result


def _settled(records: Mapping[str, FileRecord], file: SourceFile, wanted: Wanted) -> bool:
    known = records.get(file.name)
    # one that is done with and still lies there is to be moved, if that is asked for now
    return known is not None and known.settles(file, overwrite=wanted.overwrite) and wanted.archive is None


def _described(sources: Sources, table: str) -> tuple[TableInfo, Mapping[str, Any]]:
    raw = sources.catalogue.raw_tableinfo(table)
    if sources.catalogue.tableinfo(table) is None or raw is None:
        return sources.client.tableinfo(table)
    return models.parse(TableInfo, raw, what="read the description of", on=table), raw


@dataclass
class _Migration:
    """One table under way."""

    sources: Sources
    store: PartitionStore
    lock: TableLock
    info: TableInfo
    raw: Mapping[str, Any]
    wanted: Wanted
    records: dict[str, FileRecord]
    _updated: str = field(default=LONG_AGO, init=False)

    def run(self, files: Collection[SourceFile], staging: Staging) -> list[FileRecord]:
        """Survey, sort by period, write, put in place; returns what became of each file."""
        facts.columns(self.info)
        state = manifest.read(self.store.folder)
        source = self._source(state)
        if self.wanted.stated and self.wanted.stated < self.info.updated:
            self._updated = self.wanted.stated
        held = manifest.readable(self.store, lambda _code, _error: None)
        made = {file: FileRecord.of(file) for file in files}
        surveys = dict(self._surveys(made))
        chosen = self._choose(surveys, made, held)
        codes = {code for plan in chosen.values() for code in plan}
        shape = facts.shape_hash(self.info, {*held, *codes})
        if state is not None and state.shape_hash != shape:
            why = "the table as held has other columns, or tid of another type; sync it first, or migrate before"
            self._refuse(chosen, made, why)
            chosen = {}
        staged = self._write(surveys, chosen, made, shape, staging)
        if not self.wanted.dry_run:
            self._put_in_place(staged, held, state, source, shape, made)
        return list(made.values())

    def _source(self, state: Manifest | None) -> str:
        known = self.sources.catalogue.read()
        if known is None:
            raise UnknownTable("migrate", on=self.info.id, got="there is no catalogue", todo="First: varro sync")
        if state is not None and state.source != known.source:
            got = f"it holds {state.source}, the catalogue is of {known.source}"
            raise ForeignSource("migrate into", on=str(self.store.folder), got=got, todo="Use another DATA_DIR.")
        return known.source

    # -- deciding --------------------------------------------------------------------------------------------------

    def _surveys(self, made: Mapping[SourceFile, FileRecord]) -> Iterator[tuple[SourceFile, tuple[Extract, Survey]]]:
        """Read every file once; one that cannot be used is told of and stops no other."""
        for file, told in made.items():
            try:
                self._check_place(file)
                extract = Extract(file, self.info)
                survey = extract.survey()
            except PermanentError as error:
                told.problem = str(error)
                continue
            told.rows, told.warnings = extract.rows, survey.warnings
            if not survey.rows:
                told.warnings.append("it holds no rows, and its name says no period: there is nothing to store")
            yield file, (extract, survey)

    def _check_place(self, file: SourceFile) -> None:
        if file.path.parent.resolve() == self.store.folder.resolve() and self.wanted.archive is None:
            got = "it lies where the period files are to lie"
            todo = "Run again with --archive FOLDER: it is moved there first."
            raise ConfigurationError("migrate", on=file.name, got=got, todo=todo)

    def _choose(
        self,
        surveys: Mapping[SourceFile, tuple[Extract, Survey]],
        made: Mapping[SourceFile, FileRecord],
        held: Mapping[str, PartitionInfo],
    ) -> dict[SourceFile, dict[str, None]]:
        """Which periods are taken from which file: those not held, of the newest layout that has them.

        Parts of a table complete one another: a period may be in several of them, its rows must not.
        """
        layouts: dict[str, Layout] = {}
        for file, (_extract, survey) in surveys.items():
            for code in survey.rows:
                layouts[code] = min(layouts.get(code, file.layout), file.layout)
        chosen: dict[SourceFile, dict[str, None]] = {}
        for file, (_extract, survey) in surveys.items():
            before = self.records.get(file.name, FileRecord.of(file)).codes(Fate.MIGRATED)
            for code in periods.in_order(survey.rows):
                if code in held and (code in before or self._is_ours(held[code], file)):
                    made[file].periods[code] = _entry(Fate.MIGRATED, held[code])
                elif code in held and not self.wanted.overwrite:
                    made[file].periods[code] = {"fate": Fate.HELD}
                elif layouts[code] < file.layout:
                    made[file].periods[code] = {"fate": Fate.NEWER}
                else:
                    chosen.setdefault(file, {})[code] = None
        return chosen

    def _is_ours(self, part: PartitionInfo, file: SourceFile) -> bool:
        """Whether a migration that did not get to write its record stored this period of this file."""
        return (part.updated, part.fetched_at) == (self._updated, file.written_at)

    def _refuse(
        self, chosen: Mapping[SourceFile, Iterable[str]], made: Mapping[SourceFile, FileRecord], why: str
    ) -> None:
        for file, codes in chosen.items():
            made[file].periods |= {code: {"fate": Fate.REFUSED} for code in codes}
            made[file].problem = f"Could not migrate {', '.join(codes)}: {why}."

    # -- writing ---------------------------------------------------------------------------------------------------

    def _write(
        self,
        surveys: Mapping[SourceFile, tuple[Extract, Survey]],
        chosen: Mapping[SourceFile, Collection[str]],
        made: Mapping[SourceFile, FileRecord],
        shape: str,
        staging: Staging,
    ) -> dict[str, PartitionInfo]:
        lists = [
            sorted({code for file in chosen for code in surveys[file][1].codes[place].values()})
            for place in range(len(self.info.dimensions))
        ]
        givers: dict[str, list[SourceFile]] = {}
        staged: dict[str, PartitionInfo] = {}
        with staging.attempt() as rows:
            spill = Spill(rows, lists)
            for file, codes in chosen.items():
                self._sort(*surveys[file], codes, spill)
                for code in codes:
                    givers.setdefault(code, []).append(file)
            folder = staging.folder
            for code, files in givers.items():
                origin = Origin(self._updated, shape, max(file.written_at for file in files))
                try:
                    part = self._write_period(spill, code, origin, staging.path(folder, code))
                except DuplicateKeys as error:
                    self._refuse({file: [code] for file in files}, made, error.got)
                    continue
                staged[code] = part
                for file in files:
                    made[file].periods[code] = _entry(Fate.MIGRATED, part)
        return staged

    def _sort(self, extract: Extract, survey: Survey, codes: Collection[str], spill: Spill) -> None:
        for found, tids, columns, values in extract.pieces(survey, spill.lists):
            order = np.argsort(tids, kind="stable")
            ends = np.cumsum(np.bincount(tids, minlength=len(found)))
            for code, rows in zip(found, np.split(order, ends[:-1]), strict=True):
                if code in codes and len(rows):
                    spill.add(code, [column[rows] for column in columns], values[rows])
        if not self.wanted.dry_run:
            self.lock.check()

    def _write_period(self, spill: Spill, code: str, origin: Origin, path: Path) -> PartitionInfo:
        names = self.info.columns
        rows = spill.rows(code, names, names.index(TIME_COLUMN))
        part = partition_files.write(path, self.info.id, code, rows, origin)
        spill.drop(code)
        return part

    def _put_in_place(
        self,
        staged: Mapping[str, PartitionInfo],
        held: Mapping[str, PartitionInfo],
        state: Manifest | None,
        source: str,
        shape: str,
        made: Mapping[SourceFile, FileRecord],
    ) -> None:
        """Archive what lies in the way, promote, and state what the folder is a copy of."""
        self.lock.check()
        for file in made:
            if self.wanted.archive is not None and file.period in staged and self._in_the_way(file):
                archive.copy(file, self.wanted.archive)
        self._forget_reads(staged)
        replaced = [code for code in staged if code in held]
        if replaced and state is not None:
            # before the files: were it the other way round, a kill in between would leave old rows under a new name
            self._state_as(source, state.shape_hash, [*state.info.tids], LONG_AGO)
        if replaced or (staged and self.sources.ledger(self.info.id).begun):
            self._note({code: Change(held.get(code), part) for code, part in staged.items()}, held)
        promoted = {part.period: part for part in self.store.promote_all(staged.values())}
        if state is None and any(told.codes(Fate.MIGRATED) for told in made.values()):
            codes = [code for code, part in {**held, **promoted}.items() if part.shape_hash == shape]
            self._state_as(source, shape, codes, self._updated)

    def _note(self, changes: Mapping[str, Change], held: Mapping[str, PartitionInfo]) -> None:
        """Tell the ledger what is about to be replaced; the load records it in the database."""
        ledger = self.sources.ledger(self.info.id)
        with contextlib.closing(postgres.connect(self.sources.warehouse, f"migrate {self.info.id}")) as connection:
            ledger.recover(held, revision_record.recorded(connection, self.info.id))
        ledger.note(changes.values(), held)

    def _forget_reads(self, codes: Collection[str]) -> None:
        """A period that comes from a file was not read of the present publication, whatever was noted of it."""
        if not codes:
            return
        with (
            contextlib.closing(postgres.connect(self.sources.warehouse, f"migrate {self.info.id}")) as connection,
            postgres.transaction(connection, "forget the reading of", on=self.info.id) as cursor,
        ):
            cursor.execute(
                "DELETE FROM meta.period_read WHERE table_id = %s AND tid_code = ANY(%s)", (self.info.id, list(codes))
            )

    def _state_as(self, source: str, shape: str, codes: Collection[str], updated: str) -> None:
        """Write a manifest that describes just these periods, as of an old publication."""
        manifest.write(self.store.folder, source, shape, described(self.raw, codes, updated))

    # -- afterwards ------------------------------------------------------------------------------------------------

    def finish(self, files: Iterable[SourceFile], made: Iterable[FileRecord]) -> None:
        """Write the record, then move what is done with: what it states is stored by now."""
        moved = []
        for file, told in zip(files, made, strict=True):
            if self.wanted.archive is not None and not told.problem and not told.codes(Fate.HELD):
                told.archived_to = str(self.wanted.archive / file.name)
                if not self._in_the_way(file):  # one that was has been replaced by the period's own file
                    archive.copy(file, self.wanted.archive)
                    moved.append(file)
            self.records[told.name] = told
        folder = self.sources.tables_dir.parent / RECORDS
        record.write(folder, self.info.id, self.wanted.folder, self._updated, self.records.values())
        for file in moved:
            file.path.unlink(missing_ok=True)

    def _in_the_way(self, file: SourceFile) -> bool:
        return file.period is not None and file.path.resolve() == self.store.path(file.period).resolve()


def _entry(fate: Fate, part: PartitionInfo) -> dict[str, Any]:
    return {"fate": fate, "rows": part.rows, "content_hash": part.content_hash}
