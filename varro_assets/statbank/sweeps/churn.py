"""Churn: what two polls of the catalogue differ in, table by table.

What belongs here: the comparison and its words, for the log and the metadata of a poll. Pure. Whether a table is due is
`due`'s, by the warehouse and not by the poll before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

from varro_assets.engine import periods
from varro_assets.errors import InvalidPeriod
from varro_assets.statbank.models import CatalogueEntry

LONGEST_NAMED = 20
"""Tables named for one kind of change; the rest are a number."""


class Change(StrEnum):
    """What happened to a table between two polls; a table may have several."""

    NEW = "new"
    GONE = "gone"
    UNCHANGED = "unchanged"
    REVISED = "revised, no new period"
    EXTENDED = "new period"
    HISTORY = "first period moved"
    CUT_BACK = "latest period moved back"
    TAKEN_BACK = "publication older than before"
    RESHAPED = "other variables"
    UNANNOUNCED = "other periods of the same publication"


def changes(before: Mapping[str, CatalogueEntry], after: Mapping[str, CatalogueEntry]) -> dict[str, tuple[Change, ...]]:
    """What happened to each table of either poll, in the order of the later one; those that are gone come last."""
    found = {table: _changes(before.get(table), entry) for table, entry in after.items()}
    return found | {table: (Change.GONE,) for table in before if table not in after}


def _changes(old: CatalogueEntry | None, new: CatalogueEntry) -> tuple[Change, ...]:
    if old is None:
        return (Change.NEW,)
    found = []
    # the order of two publications is only told, never acted upon: `updated` is Danish time, with an hour twice a year
    if new.updated < old.updated:
        found.append(Change.TAKEN_BACK)
    if new.latestPeriod != old.latestPeriod:
        found.append(Change.EXTENDED if _is_later(new.latestPeriod, old.latestPeriod) else Change.CUT_BACK)
    if new.firstPeriod != old.firstPeriod:
        found.append(Change.HISTORY)
    if new.variables != old.variables:
        found.append(Change.RESHAPED)
    if new.updated == old.updated:
        return (*found, Change.UNANNOUNCED) if found else (Change.UNCHANGED,)
    return tuple(found) if new.latestPeriod != old.latestPeriod else (*found, Change.REVISED)


def _is_later(code: str, than: str) -> bool:
    try:
        return periods.parse(code).sort_key > periods.parse(than).sort_key
    except InvalidPeriod:
        return code > than


def count(found: Mapping[str, tuple[Change, ...]]) -> dict[Change, int]:
    """How many tables each kind of change happened to; kinds that did not happen are left out."""
    counted = Counter(change for kinds in found.values() for change in kinds)
    return {change: counted[change] for change in Change if counted[change]}


_WORDS = {
    Change.NEW: ("is new", "are new"),
    Change.GONE: ("is gone", "are gone"),
    Change.REVISED: ("was revised without a new period", "were revised without a new period"),
    Change.EXTENDED: ("has a new period", "have a new period"),
    Change.HISTORY: ("begins with another period", "begin with another period"),
    Change.CUT_BACK: ("ends with an earlier period", "end with an earlier period"),
    Change.TAKEN_BACK: ("was taken back to an older publication", "were taken back to an older publication"),
    Change.RESHAPED: ("has other variables", "have other variables"),
    Change.UNANNOUNCED: ("has other periods unannounced", "have other periods unannounced"),
}


def say(found: Mapping[str, tuple[Change, ...]]) -> str:
    """What happened, in a sentence; the first of the numbers says what is counted."""
    parts = [
        f"{number} {_WORDS[change][number != 1]}"
        for change, number in count(found).items()
        if change is not Change.UNCHANGED
    ]
    if not parts:
        return "Since the poll before: no change."
    number, _, rest = parts[0].partition(" ")
    noun = "table" if number == "1" else "tables"
    return f"Since the poll before: {', '.join([f'{number} {noun} {rest}', *parts[1:]])}."


def as_markdown(found: Mapping[str, tuple[Change, ...]]) -> str:
    """A table with a line for each kind of change, unchanged tables only counted."""
    lines = ["| change | tables | which |", "|---|---|---|"]
    for change, number in count(found).items():
        named = [] if change is Change.UNCHANGED else [table for table, kinds in found.items() if change in kinds]
        more = f" and {len(named) - LONGEST_NAMED} more" if len(named) > LONGEST_NAMED else ""
        lines.append(f"| {change} | {number} | {', '.join(named[:LONGEST_NAMED])}{more} |")
    return "\n".join(lines)
