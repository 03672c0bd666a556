"""Card: everything the documents say of one table, gathered.

What belongs here: the values that the writers of documents take, made of description, links and what is held. No file,
no database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from varro_assets.context.lines import folded
from varro_assets.context.places import DocumentPaths
from varro_assets.dimensions.column_kinds import ColumnKind, kind_of
from varro_assets.dimensions.models import Code, Dimension, FactColumn, Link
from varro_assets.dimensions.totals import totals
from varro_assets.engine import periods
from varro_assets.engine.periods import Frequency, TidType
from varro_assets.statbank import facts
from varro_assets.statbank.catalog import Place
from varro_assets.statbank.models import TableInfo

MIXED_UNIT = {"", "-"}
"""What the publisher prints as unit where a table mixes several."""
# Shares, means and indices, by the words StatBank uses for them (/tables, `unit`), in Danish.
_RATE = re.compile(
    r"pct|procent|promille|indeks|index|gennemsnit|gns|\bper\b|kvotient|frekvens|hyppighed|median|kvartil|percentil"
    # not handel, andelsbolig; not "pr. 1. januar"
    r"|(?<!h)andel(?!s)|\bpr\.(?! ?\d+\. [a-zæøå])|rater?\b|koefficient|tæthed|\bmiddel|‰|%",
    re.IGNORECASE,
)

_UNIT_IN_BRACKETS = re.compile(r".*\(([^()]*[^() ][^()]*)\)")


@dataclass(frozen=True)
class ColumnCard:
    """A code column.

    Attributes:
        totals: codes that stand for all others, best first; empty if there are none.
        link, dimension: both or neither.
    """

    column: FactColumn
    kind: ColumnKind
    totals: tuple[str, ...]
    link: Link | None = None
    dimension: Dimension | None = None

    @property
    def name(self) -> str:
        """In Postgres."""
        return self.column.name

    @cached_property
    def labels(self) -> dict[str, str]:
        """Code -> label on one line."""
        return {code.id: folded(code.text) for code in self.column.codes}

    @property
    def total(self) -> str | None:
        """The code that picks everything; None if none does."""
        return self.totals[0] if self.totals else None

    @property
    def pick(self) -> str | None:
        """The total; of a selector without one its first code, since measures are never put side by side."""
        return self.column.codes[0].id if self.is_measure and self.total is None else self.total

    @property
    def is_measure(self) -> bool:
        """Its codes say what kind of number a row holds: never to be summed across."""
        return self.kind is ColumnKind.MEASURE

    @property
    def levels(self) -> tuple[int, ...]:
        """Levels of the dimension on which its codes stand, top first; empty without a link."""
        return self.link.levels if self.link else ()


@dataclass(frozen=True)
class TableCard:
    """A table.

    Attributes:
        places: in the subject tree; may be empty.
        columns: code columns, in order; ``tid`` and ``indhold`` are not among them.
        tid_type: Postgres type of ``tid``.
        frequency: of the held periods.
        periods: held codes, oldest first; empty if nothing is loaded.
        rows: in the warehouse, all periods together.
        path: of its document, ``fact/.../folk1a.md``.
        subject_paths: of the subject pages that refer to it, in the order of ``places``.
    """

    info: TableInfo
    places: tuple[Place, ...]
    columns: tuple[ColumnCard, ...]
    tid_type: TidType
    frequency: Frequency
    periods: tuple[str, ...]
    rows: int
    path: str
    subject_paths: tuple[str, ...]

    @property
    def name(self) -> str:
        """``folk1a``."""
        return facts.relation_name(self.info.id)

    @property
    def relation(self) -> str:
        """``fact.folk1a``."""
        return f"{facts.SCHEMA}.{self.name}"

    @property
    def description(self) -> str:
        """On one line; the title where the publisher gives no description."""
        return folded(self.info.description) or folded(self.info.text)

    @property
    def unit(self) -> str:
        """As published; ``-`` where the table mixes several."""
        return folded(self.info.unit) or "-"

    @property
    def mixes_units(self) -> bool:
        """The unit depends on the row."""
        return self.unit in MIXED_UNIT

    @property
    def first_value(self) -> str | None:
        """``tid`` of the oldest held period as Postgres prints it; None if there is none."""
        return self._value(0)

    @property
    def last_value(self) -> str | None:
        """The same of the newest."""
        return self._value(-1)

    def _value(self, index: int) -> str | None:
        return periods.parse(self.periods[index]).database_value(self.tid_type) if self.periods else None

    @property
    def selectors(self) -> tuple[ColumnCard, ...]:
        """Columns that say what kind of number a row holds."""
        return tuple(column for column in self.columns if column.is_measure)

    @property
    def linked(self) -> tuple[ColumnCard, ...]:
        """Columns that join a dimension."""
        return tuple(column for column in self.columns if column.link is not None)

    @property
    def addable(self) -> bool:
        """Values of different codes may be summed, once each selector is held to its `pick`.

        Neither title nor unit nor what is picked speaks of shares, means or indices. Where the table mixes units, a
        selector must say which.
        """
        if self.mixes_units and not self.selectors:
            return False
        # behind "efter" come the columns, whose names say nothing of the kind of number
        words = [self.description.split(" efter ", maxsplit=1)[0], self.unit]
        words += [column.labels[column.pick] for column in self.selectors if column.pick is not None]
        return not any(map(is_rate, words))


def unit_of(label: str) -> str:
    """What a selector's label says of the unit: what stands in its last brackets, else all of it."""
    match = _UNIT_IN_BRACKETS.fullmatch(label)
    return match[1] if match else label


def _has_units(column: ColumnCard) -> bool:
    """Every label ends in brackets, and not all in the same."""
    labels = [label for code, label in column.labels.items() if code not in column.totals]
    units = {match[1] if (match := _UNIT_IN_BRACKETS.fullmatch(label)) else None for label in labels}
    return column.link is None and len(units) > 1 and None not in units


def is_rate(words: str) -> bool:
    """The words are those of a share, mean, index or ratio, which is never summed."""
    return bool(_RATE.search(words))


def fact_columns(info: TableInfo) -> tuple[FactColumn, ...]:
    """The code columns of a table, as linking takes them.

    Raises:
        ColumnCollision: two variables share a name.
    """
    return tuple(
        FactColumn(
            table=info.id,
            variable=variable.id,
            name=column.name,
            label=variable.text,
            codes=tuple(Code(value.id, value.text) for value in variable.values),
            map=variable.map,
            eliminable=variable.elimination,
        )
        for variable, column in zip(info.dimensions, facts.columns(info), strict=True)
    )


def card(
    info: TableInfo,
    places: Sequence[Place],
    links: Iterable[Link],
    dimensions: Mapping[str, Dimension],
    held: Sequence[str],
    rows: int,
    paths: DocumentPaths,
    *,
    tid_type: TidType | None = None,
) -> TableCard:
    """Gather a table's card.

    Args:
        info: the publisher's description.
        places: of the table, in the publisher's order.
        links: of the table; one to a dimension that is not held counts as none, since nothing would join.
        dimensions: by name.
        held: codes of the periods in the warehouse, in any order.
        rows: of all of them.
        paths: of all documents.
        tid_type: as the warehouse has it; by default as the description and ``held`` make it, which differs where files
            of an older shape took part in the choice.

    Raises:
        ColumnCollision: two variables share a name.
    """
    by_column = {link.column: link for link in links if link.dimension in dimensions}
    columns = []
    for column in fact_columns(info):
        link = by_column.get(column.variable)
        dimension = dimensions[link.dimension] if link else None
        columns.append(ColumnCard(column, kind_of(column), totals(column), link, dimension))
    if folded(info.unit) in MIXED_UNIT and not any(column.is_measure for column in columns):
        # only the table's unit gives away that these brackets hold units, which a column by itself cannot tell
        columns = [replace(one, kind=ColumnKind.MEASURE) if _has_units(one) else one for one in columns]
    ordered = tuple(periods.in_order(held))
    return TableCard(
        info=info,
        places=tuple(places),
        columns=tuple(columns),
        tid_type=tid_type or periods.tid_type({*info.tids, *ordered}),
        frequency=periods.frequency(ordered or info.tids),
        periods=ordered,
        rows=rows,
        path=paths.fact_path(places, info.id),
        subject_paths=tuple(paths.subject_path(place) for place in places),
    )
