"""Vintage: a table as it was held at a moment, rebuilt from the present files and the ledger.

What belongs here: walking back from what is held now, period by period, and refusing where the ledger does not lead
all the way. Every content is proved by its hash before it is handed out.

A period that came in later is absent; one that was taken out or is no longer published is there; one that has got other
columns since comes in those it had.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from varro_assets.engine import content, periods
from varro_assets.engine.partitions import PartitionStore
from varro_assets.engine.revisions import differences, ledger_files
from varro_assets.engine.revisions.ledger import Ledger, lost_before
from varro_assets.engine.revisions.ledger_files import Entry, State
from varro_assets.errors import DamagedPartition, UnknownVintage

_DAMAGED = "The ledger in data/dst/revisions/{table} is damaged; bring it back from a backup."
_PRESENT = "Not even the present state is whole: varro doctor --deep says what mends it."
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
    _store: PartitionStore
    _ledger: Ledger

    def table(self) -> pa.Table:
        """The rows: codes as dictionaries of strings, then the value; in canonical order.

        Raises:
            UnknownVintage: a file on the way back is damaged, or does not lead to the content that was held.
        """
        rows = None if self.back and self.back[0].whole else self._present()
        try:
            for entry in self.back:
                if not entry.unchanged:
                    cells = ledger_files.cells(self._ledger.path(entry.period, entry.detected_at))
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
            return differences.contents(self._store.path(self.period))
        except DamagedPartition as error:
            raise self._unknown(error.problem, _PRESENT) from error

    def _unknown(self, why: str, todo: str) -> UnknownVintage:
        table = self._ledger.dataset
        return _refusal(table, self.period, why, todo.format(table=table))


@dataclass(frozen=True)
class _Gap:
    """What was held for a while is not known.

    Attributes:
        why: in words.
        damaged: an entry of the ledger cannot be read; it may still be brought back.
    """

    why: str
    damaged: bool = False


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
    found = []
    history, lost = _history(store, ledger)
    if lost is not None and moment < lost:
        raise _unknown(store.dataset, "", _Gap("entries of the ledger were lost"), known_since(store, ledger))
    for period, stretches in history.items():
        held = [what for start, what in stretches if start <= moment][-1]
        if isinstance(held, _Gap):
            raise _unknown(store.dataset, period, held, known_since(store, ledger))
        if held is not None:
            found.append(held)
    return found


def known_since(store: PartitionStore, ledger: Ledger) -> datetime | None:
    """From when on every state of the table can be rebuilt; None if from ever, the end of time if not even the last."""
    history, lost = _history(store, ledger)
    earliest = lost or _EVER
    for stretches in history.values():
        starts = [*(start for start, _ in stretches), _NEVER]
        gaps = [place for place, (_, what) in enumerate(stretches) if isinstance(what, _Gap)]
        if gaps:
            earliest = max(earliest, starts[gaps[-1] + 1])
    return None if earliest == _EVER else earliest


def _history(store: PartitionStore, ledger: Ledger) -> tuple[dict[str, list[_Stretch]], datetime | None]:
    """What was held when, and the moment before which entries of the ledger were lost.

    Every period ever held, oldest first -> its stretches, oldest first; the first began with time.
    """
    stated, stamps = ledger.register, ledger.stamps()
    codes = periods.in_order([*store.periods(), *stamps])
    history = {code: _stretches(store, ledger, code, stated.since, bool(stamps.get(code))) for code in codes}
    present = [what for stretches in history.values() for _, what in stretches[-1:]]
    since = [what.state.since for what in present if isinstance(what, Held)]
    # a sync may be under way: it notes before it replaces
    now = replace(stated, noted=stated.noted and ledger.register.noted)
    return history, lost_before(now, sum(map(len, stamps.values())), since)


def _stretches(
    store: PartitionStore, ledger: Ledger, period: str, begun: datetime | None, noted: bool
) -> list[_Stretch]:
    now, damage = _EVER, None
    try:
        entries = ledger.entries(period) if noted else []
    except DamagedPartition:
        entries, now, damage = _behind_damage(ledger, period)
    try:
        present = State.of(store.info(period)) if store.path(period).exists() else None
    except DamagedPartition as error:
        return [(_EVER, _Gap(error.problem))]
    reached = _reached(entries, present)

    def held(place: int, state: State | None) -> Held | _Gap | None:
        back = reached[place]
        if state is None:
            return None
        return _Gap("what was changed since is not kept") if back is None else Held(period, state, back, store, ledger)

    line: list[_Stretch] = [(_EVER, damage)] if damage else []
    last = None
    for place, before in enumerate([*(entry.before for entry in entries), present]):
        if place:
            if (last and last.content_hash) != (before and before.content_hash) and not (last is None and before):
                line[-1] = (now, _Gap("its file was lost, or replaced from outside"))
        elif not damage:
            line.append((now, _before(entries, before, begun)))
        if before is not None and (last is None or last.content_hash != before.content_hash):
            line.append((max(before.since, now), held(place, before)))
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
        if entry.before is not None and entry.whole and entry.value:
            back = (entry,)
        elif entry.before and entry.after and following and entry.after.content_hash == following.content_hash:
            back = None if later is None or not (entry.unchanged or entry.value) else (*later, entry)
        reached.append(back)
        following = entry.before
    return reached[::-1]


def _behind_damage(ledger: Ledger, period: str) -> tuple[list[Entry], datetime, _Gap | None]:
    """The entries since the last that cannot be read, when that was made, and what is not known before."""
    entries: list[Entry] = []
    for stamp in reversed(ledger.stamps().get(period, [])):
        try:
            entries.append(ledger.entry(period, stamp))
        except DamagedPartition as error:
            return entries[::-1], stamp, _Gap(error.problem, damaged=True)
    return entries[::-1], _EVER, None


def _unknown(table: str, period: str, gap: _Gap, since: datetime | None) -> UnknownVintage:
    todo = [_DAMAGED.format(table=table)] if gap.damaged or since is None else []
    if since == _NEVER:
        todo = todo or [f"Not even the present state is whole: varro sync {table}"]
    elif since is not None:
        # in whole seconds, as people write them
        since += timedelta(microseconds=-since.microsecond % 1_000_000)
        todo.append(f"Every state since {since:%Y-%m-%d %H:%M:%S} UTC is known.")
    return _refusal(table, period, gap.why, " ".join(todo))


def _refusal(table: str, period: str, why: str, todo: str) -> UnknownVintage:
    return UnknownVintage("rebuild", on=f"{table} {period}".strip() + " as it was then", got=why, todo=todo)
