"""Vintage: a table as it was held at a moment, rebuilt from the present files and the ledger.

What belongs here: walking back from what is held now, period by period, and refusing where the ledger does not lead
all the way. Every content is proved by its hash before it is handed out.

A period that came in later is absent; one that was taken out or is no longer published is there; one that has got other
columns since comes in those it had.

No lock is taken, and a sync may be under way. It notes before it replaces, so the files are looked at before the
ledger: what was replaced meanwhile then has its entry. A refusal is believed only of a table that stood still.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from varro_assets.engine import clock, content, periods
from varro_assets.engine.partitions import PartitionStore
from varro_assets.engine.revisions import differences, ledger_files
from varro_assets.engine.revisions.ledger import Ledger, Register, lost_before
from varro_assets.engine.revisions.ledger_files import Entry, State
from varro_assets.errors import DamagedPartition, UnknownVintage

_DAMAGED = "The ledger in data/dst/revisions/{table} is damaged; bring it back from a backup."
_PRESENT = "Not even the present state is whole: varro doctor --deep says what mends it."
_REPLACED = "The table is being synced: ask again when that has ended."
_EVER = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Held:
    """A period as it was held for a while.

    Attributes:
        period: its code.
        state: which content it had.
        back: entries to be taken back from the present file, newest first, or from the first that holds a whole
            content.
    """

    period: str
    state: State
    back: tuple[Entry, ...]
    _look: _Look = field(repr=False, compare=False)

    def table(self) -> pa.Table:
        """The rows: codes as dictionaries of strings, then the value; in canonical order.

        Raises:
            UnknownVintage: a file on the way back is damaged, or does not lead to the content that was held; or the
                period's file was replaced since it was looked at, and what it held is not kept.
        """
        try:
            return self._rebuilt()
        except UnknownVintage as error:
            later = _looked(self._look.store, self._look.ledger, self.period)
            if later.files.get(self.period) == self._look.files.get(self.period):
                raise
            for _, what in _stretches(later, self.period):
                if isinstance(what, Held) and what.state == self.state:
                    return what.table()
            raise self._unknown("its file was replaced before it was read", _REPLACED) from error

    def _rebuilt(self) -> pa.Table:
        rows = None if self.back and self.back[0].whole else self._present()
        try:
            for entry in self.back:
                if not entry.unchanged:
                    cells = ledger_files.cells(self._look.ledger.path(entry.period, entry.detected_at))
                    rows = differences.backwards(None if entry.whole else rows, cells, entry.value)
            if rows is not None and content.of_table(rows, self.period) == self.state.content_hash:
                return rows
        except DamagedPartition as error:
            raise self._unknown(error.problem, _DAMAGED) from error
        if not self.back:
            raise self._unknown("its file holds other rows than it states", _PRESENT)
        raise self._unknown("the ledger leads to other rows than were held", _DAMAGED)

    def _present(self) -> pa.Table:
        try:
            return differences.contents(self._look.store.path(self.period))
        except DamagedPartition as error:
            raise self._unknown(error.problem, _PRESENT) from error

    def _unknown(self, why: str, todo: str) -> UnknownVintage:
        table = self._look.ledger.dataset
        return _refusal(table, self.period, why, todo.format(table=table))


@dataclass(frozen=True)
class _Gap:
    """What was held for a while is not known.

    Attributes:
        why: in words.
        todo: what may make it known, if anything.
    """

    why: str
    todo: str = ""


_LOST = _Gap("entries of the ledger were lost")
_OUTSIDE = _Gap("its file was lost, or replaced from outside")
_UNDONE = _Gap(
    "a change of it was noted that its file does not hold",
    "A sync is under way or died, or the file was put back from outside: ask again after the next varro sync {table}.",
)


@dataclass(frozen=True)
class _Look:
    """What there was of a table.

    Attributes:
        at: when its files were looked at.
        files: period -> what its file states; none for a period that has no file.
        register: of its ledger, looked at after the files.
        stamps: when entries were made.
    """

    store: PartitionStore = field(compare=False)
    ledger: Ledger = field(compare=False)
    at: datetime = field(compare=False)
    files: dict[str, State | _Gap]
    register: Register
    stamps: dict[str, list[datetime]]


_Stretch = tuple[datetime, Held | _Gap | None]
"""When it began, and what was held: None for nothing."""


def as_of(store: PartitionStore, ledger: Ledger, moment: datetime) -> Iterator[tuple[str, pa.Table]]:
    """The table as it was held at the moment: (period, rows), oldest period first.

    Args:
        store: its period files.
        ledger: of the same dataset.
        moment: with its zone.

    Raises:
        UnknownVintage: the ledger does not reach back so far for some period; nothing has been handed out then,
            unless a file proves damaged on the way.
    """
    for held in held_at(store, ledger, moment):
        yield held.period, held.table()


def held_at(store: PartitionStore, ledger: Ledger, moment: datetime) -> list[Held]:
    """The periods that were held at the moment, oldest first; their rows are not read yet.

    Raises:
        UnknownVintage: as `as_of`.
    """
    look = _looked(store, ledger)
    while True:
        try:
            return _held_at(look, moment)
        except UnknownVintage:
            before, look = look, _looked(store, ledger)
            if look == before:
                raise


def known_since(store: PartitionStore, ledger: Ledger) -> datetime | None:
    """From when on every state of the table can be rebuilt; None if from ever, the end of time if not even the last."""
    return _known_since(*_history(_looked(store, ledger)))


def _held_at(look: _Look, moment: datetime) -> list[Held]:
    found = []
    history, lost = _history(look)
    if lost is not None and moment < lost:
        raise _unknown(look.store.dataset, "", _LOST, _known_since(history, lost))
    for period, stretches in history.items():
        held = [what for start, what in stretches if start <= moment][-1]
        if isinstance(held, _Gap):
            raise _unknown(look.store.dataset, period, held, _known_since(history, lost))
        if held is not None:
            found.append(held)
    return found


def _known_since(history: Mapping[str, Sequence[_Stretch]], lost: datetime | None) -> datetime | None:
    earliest = lost or _EVER
    for stretches in history.values():
        starts = [*(start for start, _ in stretches), _NEVER]
        gaps = [place for place, (_, what) in enumerate(stretches) if isinstance(what, _Gap)]
        if gaps:
            earliest = max(earliest, starts[gaps[-1] + 1])
    return None if earliest == _EVER else earliest


def _looked(store: PartitionStore, ledger: Ledger, *only: str) -> _Look:
    """Look at a table, or at some of its periods."""
    at = clock.now()
    files = {code: state for code in only or store.periods() if (state := _present(store, code)) is not None}
    stated, stamps = ledger.register, ledger.stamps()
    # a sync may have taken back what a dead one noted
    register = replace(stated, entries=min(stated.entries, ledger.register.entries))
    return _Look(store, ledger, at, files, register, stamps)


def _present(store: PartitionStore, period: str) -> State | _Gap | None:
    try:
        return State.of(store.info(period)) if store.path(period).exists() else None
    except DamagedPartition as error:
        return _Gap(error.problem)


def _history(look: _Look) -> tuple[dict[str, list[_Stretch]], datetime | None]:
    """What was held when, and the moment before which entries of the ledger were lost.

    Every period ever held, oldest first -> its stretches, oldest first; the first began with time.
    """
    history = {code: _stretches(look, code) for code in periods.in_order([*look.files, *look.stamps])}
    since = [state.since for state in look.files.values() if isinstance(state, State)]
    return history, lost_before(look.register, sum(map(len, look.stamps.values())), since)


def _stretches(look: _Look, period: str) -> list[_Stretch]:
    present = look.files.get(period)
    if isinstance(present, _Gap):
        return [(_EVER, present)]
    entries, now, damage = _readable(look, period)
    reached = _reached(entries, present)

    def held(place: int, state: State | None) -> Held | _Gap | None:
        back = reached[place]
        if state is None:
            return None
        return _Gap("what was changed since is not kept") if back is None else Held(period, state, back, look)

    line: list[_Stretch] = [(_EVER, damage)] if damage else []
    last = None
    for place, before in enumerate([*(entry.before for entry in entries), present]):
        if not place and not damage:
            line.append((now, _before(entries, before, look.register.since)))
        if not place or (last and last.content_hash) != (before and before.content_hash):
            # what is older than the entry before it was put back, nobody knows when; times of files are whole seconds
            older = before is not None and place > 0 and before.since < now.replace(microsecond=0)
            if place and (last is not None or older):
                undone = place == len(entries) and before == entries[-1].before
                line[-1] = (now, _UNDONE if undone else _OUTSIDE)
            if before is not None:
                seen = entries[place].detected_at if place < len(entries) else look.at
                line.append((max(seen if older else before.since, now), held(place, before)))
        if place < len(entries):
            now, last = entries[place].detected_at, entries[place].after
            line.append((now, held(place + 1, last)))
    return line


def _before(entries: Sequence[Entry], first: State | None, begun: datetime | None) -> _Gap | None:
    """What was held before the first content that is known of."""
    if entries and not entries[0].opens:
        return _Gap("what was noted of it before is lost")
    watched = first is not None and (begun is None or first.since >= begun)
    return None if watched else _Gap("it was held before the ledger began, or its file was lost")


def _reached(entries: Sequence[Entry], present: State | None) -> list[tuple[Entry, ...] | None]:
    """For the content before each entry, and the present one: what leads back to it, newest first; None if nothing."""
    reached: list[tuple[Entry, ...] | None] = [() if present else None]
    following = present
    for entry in reversed(entries):
        later = reached[-1]
        back: tuple[Entry, ...] | None = None
        if entry.before is not None and entry.before == present:
            back = ()  # noted and not done, or put back
        elif entry.before is not None and entry.whole and entry.value:
            back = (entry,)
        elif entry.before and entry.after and following and entry.after.content_hash == following.content_hash:
            back = None if later is None or not (entry.unchanged or entry.value) else (*later, entry)
        reached.append(back)
        following = entry.before
    return reached[::-1]


def _readable(look: _Look, period: str) -> tuple[list[Entry], datetime, _Gap | None]:
    """The entries since the last that cannot be read, when that was made, and what is not known before."""
    entries: list[Entry] = []
    for stamp in reversed(look.stamps.get(period, [])):
        try:
            entries.append(look.ledger.entry(period, stamp))
        except DamagedPartition as error:
            return entries[::-1], stamp, _Gap(error.problem, _DAMAGED)
    return entries[::-1], _EVER, None


def _unknown(table: str, period: str, gap: _Gap, since: datetime | None) -> UnknownVintage:
    todo = [gap.todo.format(table=table)] if gap.todo else []
    if since == _NEVER:
        todo = todo or [f"Not even the present state is whole: varro sync {table}"]
    elif since is not None:
        # in whole seconds, as people write them
        since += timedelta(microseconds=-since.microsecond % 1_000_000)
        todo.append(f"Every state since {since:%Y-%m-%d %H:%M:%S} UTC is known.")
    return _refusal(table, period, gap.why, " ".join(todo))


def _refusal(table: str, period: str, why: str, todo: str) -> UnknownVintage:
    return UnknownVintage("rebuild", on=f"{table} {period}".strip() + " as it was then", got=why, todo=todo)
