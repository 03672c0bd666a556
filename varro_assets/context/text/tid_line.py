"""Tid line: what a document says of the time column.

What belongs here: type, range, frequency and gaps of the held periods, in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from varro_assets.context.cards import TableCard
from varro_assets.context.text.lines import folded, listed
from varro_assets.engine import periods
from varro_assets.engine.periods import Frequency, TidType

_TID_MEANING = {
    TidType.DATE: "each value is the first day of its period",
    TidType.INT4RANGE: "years, upper bound excluded; f.tid @> 1845 finds the period that holds a year",
    TidType.TEXT: "the publisher's own codes, which need not sort by time",
}


def text(card: TableCard) -> str:
    """What stands behind ``- tid:``."""
    if card.first_value is None or card.last_value is None:
        return f"{card.tid_type}; no period is loaded"
    count = len(card.periods)
    named = "date" if card.tid_type is TidType.DATE else str(card.tid_type)
    parts = [
        f"{named} range {folded(card.first_value)} to {folded(card.last_value)}",
        str(card.frequency) if card.frequency is not Frequency.OTHER else "no fixed frequency",
        f"{count} period{'s' * (count != 1)}, codes {card.periods[0]} to {card.periods[-1]}",
        *_gaps(card),
    ]
    if card.tid_type is TidType.TEXT:
        parts.append(f"in order [{listed(card.periods)}]")
    return "; ".join([*parts, _TID_MEANING[card.tid_type]])


def _gaps(card: TableCard) -> Iterable[str]:
    if after := gaps(card.periods):
        what = "days without figures (weekends, holidays) in" if card.frequency is Frequency.DAILY else "gaps after"
        shown = f"{len(after)} places" if card.frequency is Frequency.DAILY else listed(after, shown=12, ends=4)
        yield f"{what} {shown}: a step of one row is not always one period"


def gaps(codes: Sequence[str]) -> list[str]:
    """Periods that the next one does not begin at the end of; empty where the codes are of different length.

    Args:
        codes: oldest first.
    """
    if periods.frequency(codes) is Frequency.OTHER:
        return []
    return [one.code for one, following in pairwise(map(periods.parse, codes)) if one.end != following.start]
