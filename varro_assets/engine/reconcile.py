"""Reconcile: what a publisher says of some cells against what is held of them.

What belongs here: comparing two answers to one question, and the classes that differences fall into. Pure: cells in,
discrepancies out; who was asked, and how, is the caller's business.

A cell is named by its codes and, last, its period's code. A dense answer names every cell that was asked for and says
the absent value (normally 0) of those that have no row, while the warehouse holds rows only: so a cell that one side
lacks agrees with the absent value on the other.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

Cell: TypeAlias = tuple[str, ...]
"""Codes in the order of the columns, then the period's code."""
Cells: TypeAlias = Mapping[Cell, float | None]
"""None = missing or confidential, which is not the same as absent."""


class Kind(StrEnum):
    """What is wrong."""

    MISSING_PERIOD = "missing period"
    """Published and not held."""
    EXTRA_PERIOD = "extra period"
    """Held and not published."""
    MISSING_ROWS = "missing rows"
    """The publisher has a number, or a mark for missing, where nothing is held."""
    EXTRA_ROWS = "extra rows"
    """Something is held where the publisher's answer has no cell."""
    VALUE = "value differs"
    """Two numbers that are not the same."""
    NULL = "missing or a number"
    """One side says missing, the other has a number."""


@dataclass(frozen=True)
class Discrepancy:
    """All differences of one kind in one period.

    Attributes:
        cells: how many; 0 for a whole period.
        example: the first of them, for people.
        largest: largest absolute difference of two numbers; None if none is between two numbers.
    """

    kind: Kind
    period: str
    cells: int = 0
    example: str = ""
    largest: float | None = None

    def __str__(self) -> str:
        """One line for people."""
        if not self.cells:
            return f"{self.period}: {self.kind}"
        most = "" if self.largest is None else f", by {self.largest:g} at most"
        return f"{self.period}: {self.kind}, {self.cells} cells{most}; such as {self.example}"


@dataclass
class Total:
    """What the two sides add up to in the cells of one period that were asked for.

    Attributes:
        cells: asked for.
        published, held: sums of the numbers in them, exact before the last rounding.
    """

    cells: int = 0
    published: float = 0.0
    held: float = 0.0


@dataclass(frozen=True)
class Comparison:
    """What came of comparing.

    Attributes:
        discrepancies: by period in the order given, then by kind.
        totals: period -> sums.
        agreeing, telling: of the cells with a number that is not the absent value on either side, how many agree, and
            how many there are: where nothing but zeros was compared nothing was proved.
    """

    discrepancies: tuple[Discrepancy, ...] = ()
    totals: Mapping[str, Total] = field(default_factory=dict)
    agreeing: int = 0
    telling: int = 0


def periods(published: Iterable[str], held: Collection[str]) -> list[Discrepancy]:
    """Periods that only one side has; those published come first, in the order given."""
    known = list(published)
    missing = [Discrepancy(Kind.MISSING_PERIOD, code) for code in known if code not in held]
    return missing + [Discrepancy(Kind.EXTRA_PERIOD, code) for code in held if code not in set(known)]


def cells(published: Cells, held: Cells, *, absent: float | None = 0.0, tolerance: float = 0.0) -> Comparison:
    """Compare cell by cell.

    Args:
        published: the publisher's dense answer.
        held: rows held of the same cells.
        absent: what the publisher says of a cell without a row; None = missing.
        tolerance: relative difference up to which two numbers are one: 0 for values as printed, which are read into
            the same double on both sides; more where the two sides added up in different orders.
    """
    found: dict[tuple[str, Kind], list[Cell]] = {}
    sums: dict[str, tuple[list[float], list[float]]] = {}
    agreeing = telling = 0
    for cell in [*published, *(cell for cell in held if cell not in published)]:
        there, here = published.get(cell, absent), held.get(cell, absent)
        ours = sums.setdefault(cell[-1], ([], []))
        for numbers, value in zip(ours, (there, here), strict=True):
            numbers.append(0.0 if value is None else value)
        kind = _kind(cell, published, held, there, here, tolerance)
        if kind is not None:
            found.setdefault((cell[-1], kind), []).append(cell)
        if there != absent or here != absent:
            telling += 1
            agreeing += kind is None
    discrepancies = [
        _discrepancy(kind, period, wrong, published, held, absent)
        for period in sums
        for kind in Kind
        if (wrong := found.get((period, kind)))
    ]
    totals = {period: Total(len(there), math.fsum(there), math.fsum(here)) for period, (there, here) in sums.items()}
    return Comparison(tuple(discrepancies), totals, agreeing, telling)


def same(one: float | None, other: float | None, tolerance: float) -> bool:
    """Whether two values are one; missing is the same as missing only."""
    if one is None or other is None:
        return one is other
    return one == other or math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)


def _kind(
    cell: Cell, published: Cells, held: Cells, there: float | None, here: float | None, tolerance: float
) -> Kind | None:
    if same(there, here, tolerance):
        return None
    if cell not in held:
        return Kind.MISSING_ROWS
    if cell not in published:
        return Kind.EXTRA_ROWS
    return Kind.NULL if there is None or here is None else Kind.VALUE


def _discrepancy(
    kind: Kind, period: str, wrong: list[Cell], published: Cells, held: Cells, absent: float | None
) -> Discrepancy:
    pairs = [(published.get(cell, absent), held.get(cell, absent)) for cell in wrong]
    sizes = [abs(there - here) for there, here in pairs if there is not None and here is not None]
    there, here = pairs[0]
    names = " ".join(wrong[0][:-1]) or "the total"
    example = f"{names}: published {_text(wrong[0] in published, there)}, held {_text(wrong[0] in held, here)}"
    return Discrepancy(kind, period, len(wrong), example, max(sizes, default=None))


def _text(is_there: bool, value: float | None) -> str:
    if not is_there:
        return "nothing"
    return "missing" if value is None else f"{value:.15g}"
