"""Card: everything the documents say of one table, gathered.

What belongs here: the values that the writers of documents take, made of description, links and what is held. No file,
no database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from varro_assets.context.code_lives import Lives
from varro_assets.context.places import DocumentPaths
from varro_assets.context.text.lines import folded
from varro_assets.context.text.number_words import MIXED_UNIT, bracketed, is_rate, is_rate_label, is_stock
from varro_assets.dimensions.links.column_kinds import ColumnKind, is_unit, kind_of
from varro_assets.dimensions.links.overlaps import Overlap, overlaps
from varro_assets.dimensions.links.totals import totals
from varro_assets.dimensions.models import Code, Dimension, FactColumn, Link
from varro_assets.engine import periods
from varro_assets.engine.periods import Frequency, TidType
from varro_assets.statbank import facts
from varro_assets.statbank.catalog import Place
from varro_assets.statbank.models import TableInfo

MOST_MEASURES = 20
"""Labels a column may have for one of them to make it a selector: more are groups of something."""


@dataclass(frozen=True)
class ColumnCard:
    """A code column.

    Attributes:
        totals: codes that stand for all others, best first; empty if there are none.
        link, dimension: both or neither.
        lives: code -> the first and the last held period in which it has a row; a code without a row is not there.
            None where nobody has looked.
        newest: the newest held period; None with ``lives``.
    """

    column: FactColumn
    kind: ColumnKind
    totals: tuple[str, ...]
    link: Link | None = None
    dimension: Dimension | None = None
    lives: Mapping[str, tuple[str, str]] | None = None
    newest: str | None = None

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
        return self._first(self.totals)

    @property
    def pick(self) -> str | None:
        """The total; of a selector without one its first code, since measures are never put side by side.

        Codes that the newest period has come first: a measure that was given up long ago would pick nothing.
        """
        return self._first(self.labels) if self.is_measure and self.total is None else self.total

    def _first(self, codes: Iterable[str]) -> str | None:
        every = list(codes)
        lives = self.lives
        if lives is not None and self.newest is not None:
            every.sort(key=lambda code: code not in lives or lives[code][1] != self.newest)
        return every[0] if every else None

    @property
    def overlaps(self) -> tuple[Overlap, ...]:
        """Codes that read as holding others; none for a column that has levels, or measures."""
        return () if self.link is not None or self.is_measure else overlaps(self.column)

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
    def is_rate(self) -> bool:
        """Every value is a share, mean or index, by title or unit."""
        return any(map(is_rate, [self._subject, self.unit]))

    @property
    def is_stock(self) -> bool:
        """Every value is of a moment, by title."""
        return is_stock(self._subject)

    @property
    def _subject(self) -> str:
        # behind "efter" come the columns, whose names say nothing of the kind of number
        return self.description.split(" efter ", maxsplit=1)[0]

    @property
    def addable(self) -> bool:
        """Values of different codes may be summed, once each selector is held to its `pick`.

        Neither title nor unit nor what is picked speaks of shares, means or indices. Where the table mixes units, a
        selector must say which.
        """
        if self.mixes_units and not self.selectors:
            return False
        picked = [column.labels[column.pick] for column in self.selectors if column.pick is not None]
        return not self.is_rate and not any(map(is_rate, picked))


def units_of(column: ColumnCard) -> dict[str, str]:
    """Code -> unit, as far as its label says so.

    Of a selector every code: what stands in its last brackets, else all of it. Of other columns those with a unit in
    brackets (``Præsterede timer (mio. timer)``), whose unit is then not the selector's.
    """
    found = {}
    for code, label in column.labels.items():
        unit = bracketed(label)
        if column.is_measure:
            found[code] = unit or label
        elif unit and is_unit(unit):
            found[code] = unit
    return found


def _has_units(column: ColumnCard) -> bool:
    """Every label ends in brackets, and not all in the same."""
    labels = [label for code, label in column.labels.items() if code not in column.totals]
    units = set(map(bracketed, labels))
    return column.link is None and len(units) > 1 and None not in units


def _mixes_measures(column: ColumnCard) -> bool:
    """Counts and a mean or share of theirs among a few labels: ``Tilskuere``, ``Kampe``, ``Gennemsnit pr. kamp``."""
    if column.link is not None or column.kind is not ColumnKind.CATEGORY or len(column.labels) > MOST_MEASURES:
        return False
    labels = [label for code, label in column.labels.items() if code not in column.totals]
    rates = sum(map(is_rate_label, labels))
    return 0 < rates < len(labels)


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
    lives: Lives | None = None,
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
        lives: of its codes in ``held``; None leaves out when codes begin and end.

    Raises:
        ColumnCollision: two variables share a name.
    """
    ordered = tuple(periods.in_order(held))
    by_column = {link.column: link for link in links if link.dimension in dimensions}
    columns = []
    for column in fact_columns(info):
        link = by_column.get(column.variable)
        dimension = dimensions[link.dimension] if link else None
        lived = None if lives is None else lives.get(column.variable, {})
        newest = ordered[-1] if ordered and lives is not None else None
        made = ColumnCard(column, kind_of(column), totals(column), link, dimension, lived, newest)
        columns.append(replace(made, kind=ColumnKind.MEASURE) if _mixes_measures(made) else made)
    if folded(info.unit) in MIXED_UNIT and not any(column.is_measure for column in columns):
        # only the table's unit gives away that these brackets hold units, which a column by itself cannot tell
        columns = [replace(one, kind=ColumnKind.MEASURE) if _has_units(one) else one for one in columns]
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
