"""The shape of a table: codes, dimensions, and the grid of one period's cells.

What belongs here: data classes without behaviour beyond their own order and texts. A ``Cube`` is all that the writers
of answers know of a table, so that an invented and a recorded one are served alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from varro_assets.simulator.hashing import Hashes, Reals, seed_of, share_of

Units = NDArray[np.int64]
Mask = NDArray[np.bool_]
Places = NDArray[np.intp]
ALL = ("*",)


@dataclass(frozen=True)
class Code:
    """One value of a dimension.

    Attributes:
        id: the code.
        da: Danish label.
        en: English label.
        parts: codes it is the sum of; ``ALL`` for the dimension's total; empty for a leaf.
        weight: relative size; None lets the name decide.
        since: first period with rows; None for always.
    """

    id: str
    da: str
    en: str
    parts: tuple[str, ...] = ()
    weight: float | None = None
    since: str | None = None

    def text(self, lang: str) -> str:
        """Label in a language."""
        return self.en if lang == "en" else self.da


@dataclass(frozen=True)
class Axis:
    """A dimension as the cube stores it: code-string order, undeclared codes included.

    Attributes:
        ids: all codes, sorted as strings.
        declared: which of them tableinfo names.
        leaves: places (in ``ids``) of the codes that are not sums.
        hashes: one number per leaf.
        weights: one size per leaf; with a total, those declared from the start add up to 1.
        sums: matrix codes x leaves of 0 and 1, or None when every code is a leaf.
    """

    ids: tuple[str, ...]
    declared: Mask
    leaves: Places
    hashes: Hashes
    weights: Reals
    sums: Reals | None


@dataclass(frozen=True)
class Dimension:
    """One variable other than time.

    Attributes:
        id: the code, upper-case, may hold Æ Ø Å.
        da: Danish label.
        en: English label.
        codes: values in the order of tableinfo.
        elimination: whether it may be left out of a request.
        map: name of the map of a geographic one.
        undeclared: codes of a sibling table in the same cube; served under ``*`` only, as empty strings.
    """

    id: str
    da: str
    en: str
    codes: tuple[Code, ...]
    elimination: bool = True
    map: str | None = None
    undeclared: tuple[str, ...] = ()

    @property
    def total(self) -> str | None:
        """The code that is the sum of all others, if there is one."""
        return next((code.id for code in self.codes if code.parts == ALL), None)

    @cached_property
    def axis(self) -> Axis:
        """The dimension in the order of the cube."""
        by_id = {code.id: code for code in self.codes}
        ids = tuple(sorted([*by_id, *self.undeclared]))
        codes = [by_id.get(code, Code(code, "", "")) for code in ids]
        declared = np.array([code in by_id for code in ids], dtype=np.bool_)
        leaves = np.array([at for at, code in enumerate(codes) if not code.parts], dtype=np.intp)
        names = [codes[at] for at in leaves]
        weights = np.array([self._weight(code) for code in names], dtype=np.float64)
        if self.total is not None:
            # a code added later comes on top, so that it leaves the sizes of the others as they were
            from_the_start = np.array([code.since is None for code in names], dtype=np.bool_)
            weights = weights / weights[declared[leaves] & from_the_start].sum()
        return Axis(
            ids=ids,
            declared=declared,
            leaves=leaves,
            hashes=np.array([seed_of(self.id, code.id) for code in names], dtype=np.uint64),
            weights=weights,
            sums=self._sums(codes, declared, leaves) if len(leaves) < len(ids) else None,
        )

    def _weight(self, code: Code) -> float:
        return 0.4 + 1.2 * share_of("weight", self.id, code.id) if code.weight is None else code.weight

    def _sums(self, codes: list[Code], declared: Mask, leaves: Places) -> Reals:
        sums = np.zeros((len(codes), len(leaves)))
        column = {codes[at].id: place for place, at in enumerate(leaves)}
        for row, code in enumerate(codes):
            if code.parts == ALL:
                sums[row, declared[leaves]] = 1.0
            else:
                for part in code.parts or (code.id,):
                    sums[row, column[part]] = 1.0
        return sums


@dataclass(frozen=True)
class Grid:
    """All cells of one period, one axis per dimension in the order of ``Dimension.axis``.

    Attributes:
        units: values times 10 to the power of the table's decimals.
        stored: whether the publisher keeps a row for the cell.
        missing: whether that row says ``..``.
    """

    units: Units
    stored: Mask
    missing: Mask


class Cube(Protocol):
    """What a table must offer to be served by /data."""

    @property
    def id(self) -> str:
        """Table id."""

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """Variables other than time, in order."""

    @property
    def periods(self) -> tuple[str, ...]:
        """Codes of Tid, ascending."""

    @property
    def decimals(self) -> int:
        """Digits after the decimal point."""

    def info(self, lang: str) -> Mapping[str, Any]:
        """The answer of /tableinfo."""

    def grid(self, tid: str) -> Grid:
        """All cells of one period."""
