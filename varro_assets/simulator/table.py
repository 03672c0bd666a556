"""Table: one published state of a table, and the oracle of what it says.

What belongs here: an immutable snapshot (shape, catalogue texts, what has been revised so far) and the exact rows and
metadata that follow from it. A publication makes a new snapshot; an answer that is under way keeps the old one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np

from varro_assets.simulator import tids, values
from varro_assets.simulator.cube import Dimension, Grid
from varro_assets.simulator.hashing import seed_of

ENGLISH_TEXT_WIDTH = 80
Row = tuple[str | float | None, ...]
Hole = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Footnote:
    """A note to a table."""

    da: str
    en: str
    mandatory: bool = True


@dataclass(frozen=True)
class Table:
    """One state of one table.

    Attributes:
        id: upper-case letters and digits.
        da: Danish title.
        en: English title; /tables cuts it at 80 characters.
        unit_da: Danish unit.
        unit_en: English unit.
        dimensions: variables without time.
        periods: codes of Tid, ascending.
        updated: ``YYYY-MM-DDTHH:MM:SS``, Danish local time.
        subjects: ids of the subjects it hangs under.
        active: inactive tables show with includeInactive only.
        listed: False once withdrawn from the catalogue.
        answers: False once tableinfo and data do not know it any more.
        documented: False gives ``documentation: null``, as the Nationalbank's tables have.
        footnote: None gives ``footnote: null``.
        decimals: digits after the decimal point.
        scale: size of a cell (of the grand total where dimensions have totals).
        centre: subtracted before scaling, so that values may be negative.
        noise: how far a cell wanders from its trend from period to period.
        growth: relative change per year.
        density: share of the cells that are stored.
        suppressed: share of the stored leaf cells that say ``..``.
        stores_zeros: whether a zero is stored; otherwise its row is left out.
        empty: periods without any row.
        holes: combinations that never have a row, as ``{dimension: codes}``.
        restated: how many times all history was changed.
        revisions: (period, seed, number of leaf cells) per revision.
        offsets: (period, seed) per revision of two cells that leaves their sum as it was.
        kept: share of the rows that a shrunken period kept.
    """

    id: str
    da: str
    en: str
    unit_da: str
    unit_en: str
    dimensions: tuple[Dimension, ...]
    periods: tuple[str, ...]
    updated: str
    subjects: tuple[str, ...]
    active: bool = True
    listed: bool = True
    answers: bool = True
    documented: bool = True
    footnote: Footnote | None = None
    decimals: int = 0
    scale: float = 1000.0
    centre: float = 0.0
    noise: float = 0.05
    growth: float = 0.01
    density: float = 1.0
    suppressed: float = 0.0
    stores_zeros: bool = False
    empty: frozenset[str] = frozenset()
    holes: tuple[Hole, ...] = ()
    restated: int = 0
    revisions: tuple[tuple[str, int, int], ...] = ()
    offsets: tuple[tuple[str, int], ...] = ()
    kept: Mapping[str, float] = field(default_factory=dict)

    def grid(self, tid: str) -> Grid:
        """All cells of a period, undeclared codes included.

        Raises:
            KeyError: the table has no such period.
        """
        if tid not in self.periods:
            raise KeyError(tid)
        return values.grid(self, tid)

    def rows(self, tid: str) -> list[Row]:
        """The exact rows of a period, as (code, ..., value), None for ``..``; in the order of BULK."""
        grid = self.grid(tid)
        declared = np.ix_(*(dimension.axis.declared for dimension in self.dimensions))
        places = np.nonzero(grid.stored[declared])
        columns: list[list[Any]] = []
        for dimension, place in zip(self.dimensions, places, strict=True):
            names = np.array(dimension.axis.ids, dtype=object)[dimension.axis.declared]
            columns.append(names[place].tolist())
        numbers = (grid.units[declared][places] / 10**self.decimals).tolist()
        missing = grid.missing[declared][places].tolist()
        columns.append([None if gone else number for number, gone in zip(numbers, missing, strict=True)])
        return list(zip(*columns, strict=True))

    def row_count(self) -> int:
        """Rows over all periods."""
        return sum(len(self.rows(tid)) for tid in self.periods)

    def variables(self, lang: str) -> list[str]:
        """Labels of the variables, time last."""
        labels = [dimension.en if lang == "en" else dimension.da for dimension in self.dimensions]
        return [*labels, "time" if lang == "en" else "tid"]

    def entry(self, lang: str) -> dict[str, Any]:
        """The table's object in /tables."""
        return {
            "id": self.id,
            "text": self.en[:ENGLISH_TEXT_WIDTH] if lang == "en" else self.da,
            "unit": self.unit_en if lang == "en" else self.unit_da,
            "updated": self.updated,
            "firstPeriod": tids.label(self.periods[0], lang),
            "latestPeriod": tids.label(self.periods[-1], lang),
            "active": self.active,
            "variables": self.variables(lang),
        }

    def info(self, lang: str) -> dict[str, Any]:
        """The answer of /tableinfo."""
        english = lang == "en"
        text = self.en if english else self.da
        variables = self.variables(lang)
        listing = ", ".join(variables[:-1])
        by, and_ = ("by", "and") if english else ("efter", "og")
        return {
            "id": self.id,
            "text": text,
            "description": f"{text} {by} {listing} {and_} {variables[-1]}",
            "unit": self.unit_en if english else self.unit_da,
            "suppressedDataValue": "0",
            "updated": self.updated,
            "active": self.active,
            "contacts": [{"name": "Simulator", "phone": "+4500000000", "mail": "simulator@example.org"}],
            "documentation": self._documentation(english) if self.documented else None,
            "footnote": self._footnote(english),
            "variables": [*(_variable(dimension, lang) for dimension in self.dimensions), self._time(lang)],
        }

    def _documentation(self, english: bool) -> dict[str, str]:
        page = "documentationofstatistics" if english else "statistikdokumentation"
        key = str(UUID(int=seed_of("documentation", self.id) << 64 | seed_of(self.id), version=4))
        return {"id": key, "url": f"https://simulator.example.org/{page}/{key}"}

    def _footnote(self, english: bool) -> dict[str, Any] | None:
        if self.footnote is None:
            return None
        return {
            "text": self.footnote.en if english else self.footnote.da,
            "mandatory": self.footnote.mandatory,
        }

    def _time(self, lang: str) -> dict[str, Any]:
        codes = [{"id": tid, "text": tids.label(tid, lang)} for tid in self.periods]
        text = "time" if lang == "en" else "tid"
        return {"id": "Tid", "text": text, "elimination": False, "time": True, "values": codes}


def _variable(dimension: Dimension, lang: str) -> dict[str, Any]:
    variable: dict[str, Any] = {
        "id": dimension.id,
        "text": dimension.en if lang == "en" else dimension.da,
        "elimination": dimension.elimination,
        "time": False,
    }
    if dimension.map is not None:
        variable["map"] = dimension.map
    return variable | {"values": [{"id": code.id, "text": code.text(lang)} for code in dimension.codes]}
