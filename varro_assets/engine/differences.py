"""Differences: what changed between two contents of one period.

What belongs here: comparing the rows of two period files by their codes. Pure: files in, counts and changed cells out.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """How much of a period changed.

    Attributes:
        rows_added: combinations of codes that had no row before.
        rows_removed: combinations of codes that have no row any more.
        values_changed: rows in both whose value differs; a number that became missing (NULL) or was missing counts.
        largest_change: the largest absolute difference of two numbers; None if no number changed into another.
    """

    rows_added: int = 0
    rows_removed: int = 0
    values_changed: int = 0
    largest_change: float | None = None
