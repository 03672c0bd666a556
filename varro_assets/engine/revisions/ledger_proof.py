"""Ledger proof: whether the entries of a ledger are there, can be read and hold what they state.

What belongs here: looking for what was lost or damaged; nothing is written. No sync brings an entry back: what a period
was before nobody publishes any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow.compute as pc

from varro_assets.engine import content
from varro_assets.engine.partitions import PartitionInfo
from varro_assets.engine.revisions import differences, ledger_files
from varro_assets.engine.revisions.ledger import BEGUN, Ledger, Register, lost_before
from varro_assets.engine.revisions.ledger_files import Entry, Kind, State
from varro_assets.errors import DamagedPartition, DuplicateKeys

_FEW = 5


@dataclass(frozen=True)
class Loss:
    """Something of a ledger that is gone or cannot be used.

    Attributes:
        what: in words.
        stated: the ledger says so itself: a sync noticed it, and everything since is known.
    """

    what: str
    stated: bool = False


def losses(
    ledger: Ledger,
    held: Mapping[str, PartitionInfo],
    recorded: Mapping[tuple[str, datetime], Kind],
    *,
    deep: bool = False,
) -> Iterator[Loss]:
    """What is wrong with a ledger. A sync may be under way, if the arguments were read before.

    Args:
        ledger: of one dataset.
        held: every readable period file.
        recorded: what the database knows of it (`revision_record.recorded`).
        deep: also read the cells of each entry.
    """
    try:
        stated = ledger.register
    except DamagedPartition as error:
        if recorded or ledger.stamps() or (ledger.folder / BEGUN).exists():
            yield Loss(f"{error.problem} The next sync begins it anew, and then nothing before that is known.")
    else:
        yield from _gone(ledger, stated, held, recorded)
    for period, stamps in ledger.stamps().items():
        for stamp in stamps:
            try:
                entry = ledger.entry(period, stamp)
                if deep:
                    _prove(ledger, entry)
            except DamagedPartition as error:
                if ledger.path(period, stamp).exists():  # a sync may take back what a dead one noted
                    yield Loss(error.problem)


def _gone(
    ledger: Ledger,
    stated: Register,
    held: Mapping[str, PartitionInfo],
    recorded: Mapping[tuple[str, datetime], Kind],
) -> Iterator[Loss]:
    """Entries without a file: by their number, by the age of the files held, and by what the database knows."""
    stamps = ledger.stamps()
    # a sync may have taken back what a dead one noted
    known = replace(stated, entries=min(stated.entries, ledger.register.entries))
    lost = lost_before(known, sum(map(len, stamps.values())), (State.of(part).since for part in held.values()))
    gone = sorted(
        (moment, period)
        for (period, moment), kind in recorded.items()
        if kind is not Kind.NEW and moment not in stamps.get(period, ())
    )
    if lost is None and not gone:
        return
    which = ", ".join(f"{period}/{ledger_files.name_of(moment)}" for moment, period in gone[:_FEW])
    which = f" ({which}{', ...' if len(gone) > _FEW else ''})" if gone else ""
    before = max([moment for moment, _ in gone] + ([lost] if lost else []))
    yield Loss(
        f"entries of its ledger are gone{which}: not every state before {before:%Y-%m-%d %H:%M:%S} UTC is known",
        stated=stated.lost is not None and before <= stated.lost,
    )


def _prove(ledger: Ledger, entry: Entry) -> None:
    """Read the cells, and compare them with what the entry states.

    Raises:
        DamagedPartition: they cannot be read, or are others.
    """
    path = ledger.path(entry.period, entry.detected_at)
    cells = ledger_files.cells(path)
    found, before = entry.difference, entry.before
    if not entry.value or found is None or before is None:
        return  # none are kept
    if entry.whole:
        try:
            fits = content.of_table(differences.backwards(None, cells, entry.value)) == before.content_hash
        except (DamagedPartition, DuplicateKeys) as error:
            raise ledger_files.damaged(path, error.got) from error
    else:
        counted = {one["values"]: one["counts"] for one in pc.value_counts(cells.column(-1)).to_pylist()}
        kinds = (differences.ADDED, differences.REMOVED, differences.CHANGED)
        wanted = (found.rows_added, found.rows_removed, found.values_changed)
        fits = tuple(counted.get(kind, 0) for kind in kinds) == wanted
    if not fits:
        raise ledger_files.damaged(path, "it holds other cells than it states")
