"""Ledger: every change of the held periods of one dataset, as files.

What belongs here: noting a change before the period's file is replaced, taking back what a dead process noted and did
not do, and which entries there are. What is in a file is `ledger_files`'; the rows of `meta.revision` are
`revision_record`'s.

The order that makes it safe: the entry is written and fsynced, then the period's file takes its place, then the
database is told. So an entry without its row in the database is either done (the held file is the one it announced)
or was never done (the held file is still the one from before), and `recover` can tell which.

Files lie in ``<folder>/<period, as its file is called>/<UTC time>.parquet``. A period that came in new has no file: its
own file says when it was fetched, and so does the first entry about it. ``ledger.json`` says from when on all this is
watched; what a period was before that is not known, unless its file is older still. It also says how many entries there
are and when the last was noted, so that a loss of entries is noticed: a chain of states whose end is gone looks whole.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from varro_assets.engine import clock, periods
from varro_assets.engine.disk import fsync, space_for
from varro_assets.engine.files import write_json
from varro_assets.engine.partitions import PartitionInfo
from varro_assets.engine.revisions import differences, ledger_files
from varro_assets.engine.revisions.differences import Difference
from varro_assets.engine.revisions.ledger_files import ENDING, Entry, Kind, State, stamp_of
from varro_assets.errors import DamagedPartition, InvalidPeriod

BEGUN = "ledger.json"
_UNFINISHED = ".tmp"
_TOGETHER = 64
"""So many entries are written before they are fsynced: a file system commits waiting syncs in groups."""
_SYNCS = 8


@dataclass(frozen=True)
class Change:
    """A period file about to be replaced.

    Attributes:
        old: the file held; None if there is none that can be read.
        new: the one to take its place; None if it is to be taken out.
    """

    old: PartitionInfo | None
    new: PartitionInfo | None

    @property
    def part(self) -> PartitionInfo:
        """Either of the two."""
        found = self.new or self.old
        if found is None:
            raise ValueError("a change of nothing into nothing")
        return found


@dataclass
class Register:
    """What ``ledger.json`` says.

    Attributes:
        since: from when on every change was noted; None if nothing was ever held before.
        entries: so many files there are at least; a process that died may have left more.
        noted: when something was last noted, which no file held is younger than; None if nothing was.
        lost: entries from before this moment were lost; None if none ever were.
    """

    since: datetime | None
    entries: int = 0
    noted: datetime | None = None
    lost: datetime | None = None


def lost_before(stated: Register, entries: int, since: Iterable[datetime]) -> datetime | None:
    """From which moment on the ledger is whole, if something before it was lost; None if nothing ever was.

    Args:
        stated: by the ledger of itself.
        entries: files there are.
        since: of every held period, when its content came in.
    """
    newest = max(since, default=None)
    lost = [stated.lost] if stated.lost else []
    if stated.noted and newest and newest > stated.noted:
        lost.append(newest)  # an older copy of the ledger than of the files
    if stated.noted and entries < stated.entries:
        lost.append(stated.noted)
    return max(lost, default=None)


@dataclass
class Ledger:
    """The ledger of one dataset. The holder of the table's lock writes; reading needs no lock.

    Attributes:
        folder: of this dataset.
        dataset: its name.
        keep_cells: whether changed cells are kept; without them an entry only counts.
        run_id: put into what is noted.
    """

    folder: Path
    dataset: str
    keep_cells: bool = True
    run_id: str | None = None

    # -- what there is ---------------------------------------------------------------------------------------------

    def stamps(self) -> dict[str, list[datetime]]:
        """Period -> when its entries were made, oldest first; no file is opened."""
        if not self.folder.is_dir():
            return {}
        found = {}
        for folder in self.folder.iterdir():
            period = _period_of(folder.name)
            if period is not None and folder.is_dir() and (stamps := self._stamps(period)):
                found[period] = stamps
        return {period: found[period] for period in periods.in_order(found)}

    def entry(self, period: str, detected_at: datetime) -> Entry:
        """One entry.

        Raises:
            DamagedPartition: its file cannot be read, or is of another period or time.
        """
        path = self.path(period, detected_at)
        found = ledger_files.read(path)
        if (found.dataset, found.period, found.detected_at) != (self.dataset, period, detected_at):
            raise ledger_files.damaged(path, f"it states {found.dataset} {found.period} {found.detected_at}")
        return found

    def entries(self, period: str) -> list[Entry]:
        """All entries of a period, oldest first.

        Raises:
            DamagedPartition: as `entry`.
        """
        return [self.entry(period, stamp) for stamp in self._stamps(period)]

    def path(self, period: str, detected_at: datetime) -> Path:
        """Where an entry lies."""
        return self._period_folder(period) / ledger_files.name_of(detected_at)

    @property
    def register(self) -> Register:
        """What is known of the ledger as a whole.

        Raises:
            DamagedPartition: the ledger was never begun, or its file cannot be read.
        """
        path = self.folder / BEGUN
        try:
            stated = json.loads(path.read_text(encoding="utf-8"))
            since, noted, lost = (
                None if text is None else ledger_files.moment_of(text)
                for text in (stated["since"], stated.get("noted"), stated.get("lost"))
            )
            return Register(since, int(stated.get("entries", 0)), noted, lost)
        except FileNotFoundError:
            if self.stamps():
                raise _unusable(path, "it is gone") from None
            raise DamagedPartition(
                "read the ledger of",
                on=self.dataset,
                got="none was begun",
                todo=f"It begins with the next: varro sync {self.dataset}",
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _unusable(path, str(error)) from error

    @property
    def since(self) -> datetime | None:
        """From when on every change was noted; None if nothing was ever held before.

        Raises:
            DamagedPartition: as `register`.
        """
        return self.register.since

    @property
    def begun(self) -> bool:
        """Whether there is a ledger that can be read."""
        try:
            self.register  # noqa: B018 - read for its error
        except DamagedPartition:
            return False
        return True

    # -- noting ----------------------------------------------------------------------------------------------------

    def recover(self, held: Mapping[str, PartitionInfo], settled: Collection[tuple[str, datetime]] = ()) -> None:
        """Take back what a dead process noted and did not do; begin the ledger if there is none.

        To be called under the table's lock, before anything is fetched.

        Args:
            held: every readable period file.
            settled: (period, time) of entries that the database knows, which are done.
        """
        stamps_of = self.stamps()
        self._begin(held, sum(map(len, stamps_of.values())))
        for path in self.folder.glob(f"*/.*{_UNFINISHED}"):
            path.unlink(missing_ok=True)
        undone: list[Path] = []
        for period, stamps in stamps_of.items():
            if (period, stamps[-1]) in settled:
                continue
            try:
                last = self.entry(period, stamps[-1])
            except DamagedPartition:
                continue  # whoever wants to go back beyond it is told
            part = held.get(period)
            if last.leads_from(part) and not last.leads_to(part):
                undone.append(self.path(period, stamps[-1]))
        self._recount(stamps_of, held, len(undone))
        for path in undone:
            path.unlink()

    def _recount(
        self, stamps: Mapping[str, Sequence[datetime]], held: Mapping[str, PartitionInfo], undone: int
    ) -> None:
        """State how many entries there are when those that were not done are taken back, and what was lost."""
        stated, count = self.register, sum(map(len, stamps.values()))
        lost = lost_before(stated, count, (State.of(part).since for part in held.values()))
        found = replace(stated, entries=count - undone, lost=lost)
        if found != stated:
            self._state(found)

    def note(self, changes: Iterable[Change], known: Collection[str] = ()) -> dict[str, Difference]:
        """Write down what is about to happen to these periods; the files are replaced after it.

        Args:
            changes: old and new file of each.
            known: periods that were held before: one that has no readable file was lost, not new.

        Returns:
            Period -> how much changes, for those that change and whose old content is known.

        Raises:
            StorageFull: the disk is full; nothing was replaced yet.
        """
        now = latest = clock.now()
        found: dict[str, Difference] = {}
        waiting: list[tuple[Path, Path]] = []
        seen, count = False, 0
        for change in changes:
            seen = True
            if change.new is not None:
                latest = max(latest, State.of(change.new).since)
            noted = self._noted(change, known, now)
            if noted is None:
                continue
            entry, cells = noted
            path = self.path(entry.period, entry.detected_at)
            staged = path.with_name(f".{path.name}{_UNFINISHED}")
            with space_for(f"the revision of {self.dataset} {entry.period}", self.folder):
                path.parent.mkdir(parents=True, exist_ok=True)
            ledger_files.write(staged, entry, cells)
            waiting.append((staged, path))
            count, latest = count + 1, max(latest, entry.detected_at)
            if entry.difference is not None and entry.kind is not Kind.MENDED:
                found[entry.period] = entry.difference
            if len(waiting) >= _TOGETHER:
                self._settle(waiting)
        self._settle(waiting)
        if seen and self.begun:
            # before any file is replaced, so that no file is ever younger than what is stated here
            stated = self.register
            self._state(replace(stated, entries=stated.entries + count, noted=max(latest, stated.noted or latest)))
        return found

    def _noted(self, change: Change, known: Collection[str], now: datetime) -> tuple[Entry, pa.Table | None] | None:
        """The entry of a change and its cells; None for a period that only comes in."""
        period, old, new = change.part.period, change.old, change.new
        stamps = self._stamps(period)
        follows = bool(stamps) and not self._ends_with_nothing(period, stamps[-1])
        if old is None and not follows and (stamps or period not in known):
            return None
        kind, difference, cells, value, whole = _judged(old, new)
        # what is taken out by hand may be the last copy there is
        kept = cells is not None and (self.keep_cells or kind is Kind.FORGOTTEN)
        entry = Entry(
            dataset=self.dataset,
            period=period,
            kind=kind,
            detected_at=max(now, stamps[-1] + timedelta(microseconds=1)) if stamps else now,
            before=None if old is None else State.of(old),
            after=None if new is None else State.of(new),
            difference=difference,
            opens=not follows,
            value=value if kept else "",
            whole=whole,
            run_id=self.run_id,
        )
        return entry, cells if kept else None

    def _ends_with_nothing(self, period: str, stamp: datetime) -> bool:
        """Whether nothing of the period was held after that entry."""
        try:
            return self.entry(period, stamp).after is None
        except DamagedPartition:
            return False

    def _settle(self, waiting: list[tuple[Path, Path]]) -> None:
        if not waiting:
            return
        folders = {path.parent for _, path in waiting}
        with space_for(f"the revisions of {self.dataset}", self.folder), ThreadPoolExecutor(_SYNCS) as pool:
            list(pool.map(fsync, [staged for staged, _ in waiting]))
            for staged, path in waiting:
                staged.replace(path)
            list(pool.map(fsync, [*folders, self.folder, self.folder.parent]))
        waiting.clear()

    def _begin(self, held: Collection[str], entries: int) -> None:
        """State from when on this is watched: from ever, if nothing was held before; else from now."""
        path = self.folder / BEGUN
        for staged in self.folder.glob(f".{BEGUN}.*{_UNFINISHED}"):
            staged.unlink(missing_ok=True)
        begun = self.begun
        if held and begun:
            return
        # where there was a ledger and nothing is held, all files went without a word to us
        ever, now = not held and not path.exists() and not entries, clock.now().replace(microsecond=0)
        if begun:
            self._state(replace(self.register, since=now))
        else:
            # nothing says whether these entries are all there were
            self._state(Register(None if ever else now, entries, None if ever else now, now if entries else None))

    def _state(self, register: Register) -> None:
        moments = {"since": register.since, "noted": register.noted, "lost": register.lost}
        stated = {name: moment and moment.isoformat() for name, moment in moments.items()}
        write_json(self.folder / BEGUN, {"table": self.dataset, "entries": register.entries, **stated})

    # -- where it lies ---------------------------------------------------------------------------------------------

    def _period_folder(self, period: str) -> Path:
        return self.folder / periods.file_stem(period)

    def _stamps(self, period: str) -> list[datetime]:
        folder = self._period_folder(period)
        if not folder.is_dir():
            return []
        found = (stamp_of(path.name) for path in folder.iterdir() if path.name.endswith(ENDING))
        return sorted(stamp for stamp in found if stamp is not None)


class _Judgement(NamedTuple):
    """What happens to a period."""

    kind: Kind
    difference: Difference | None = None
    cells: pa.Table | None = None
    value: str = ""
    whole: bool = False


def _judged(old: PartitionInfo | None, new: PartitionInfo | None) -> _Judgement:
    if old is None:
        return _Judgement(Kind.MENDED)
    if new is not None and (old.content_hash, old.shape_hash) == (new.content_hash, new.shape_hash):
        return _Judgement(Kind.MENDED, Difference())
    kind = Kind.FORGOTTEN if new is None else Kind.REVISED if old.shape_hash == new.shape_hash else Kind.RESHAPED
    try:
        *codes, value = differences.columns(old.path)
        if new is not None and differences.columns(new.path) == [*codes, value]:
            return _Judgement(kind, *differences.compare(old.path, new.path, codes, value), value)
        difference, cells = differences.removal(old.path)
    except DamagedPartition:
        # the footer can be read and the rows cannot
        return _Judgement(kind if new is None else Kind.MENDED)
    return _Judgement(kind, replace(difference, rows_added=new.rows if new else 0), cells, value, whole=True)


def _period_of(name: str) -> str | None:
    """The period whose folder has that name; None for a foreign one."""
    try:
        return periods.period_of(name)
    except InvalidPeriod:
        return None


def _unusable(path: Path, got: str) -> DamagedPartition:
    todo = "Bring it back from a backup; without it nothing says whether the entries are all there were."
    return DamagedPartition("read the ledger", on=str(path), got=got, todo=todo)
