"""Code list: a dimension made from a StatBank variable, where no classification says it better.

What belongs here: which codes are members, and on which level they stand. The tree itself is `hierarchy`'s, whether a
column joins a dimension is `linking`'s.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from varro_assets.dimensions.classifications import hierarchy
from varro_assets.dimensions.classifications.published import PublishedRow
from varro_assets.dimensions.links.totals import totals
from varro_assets.dimensions.models import Code, Dimension, FactColumn, dimension_name

SOURCE = "StatBank code list "
"""How the source of such a dimension begins; table and variable follow."""
_DANISH = str.maketrans({"å": "a", "ø": "o", "æ": "ae"})
_DANISH_MAPS = ("denmark", "komgrp")
"""How the publisher's maps of Danish areas begin, whatever their case."""
_LONGEST_NAME = 40
_MUNICIPALITIES = range(101, 862)
"""101 København to 860 Hjørring; 861 is Aalestrup, a municipality until 2007."""


@dataclass(frozen=True)
class _Kind:
    """A kind of Danish area.

    Attributes:
        rank: an area stands below the nearest earlier one of a lower rank.
        name: what a level of such areas is called.
        fits: whether a code and its label in lower case are one.
    """

    rank: int
    name: str
    fits: Callable[[str, str], bool]


_KINDS = (
    _Kind(1, "Region", lambda _code, label: label.startswith("region ")),
    _Kind(1, "Amt", lambda _code, label: label.endswith((" amt", " amtskommune"))),
    _Kind(1, "Kommunegruppe", lambda code, label: len(code) == 1 and label.endswith("kommuner")),
    _Kind(2, "Landsdel", lambda _code, label: label.startswith(("landsdel ", "province "))),
    _Kind(3, "Kommune", lambda code, _label: _is_municipality(code)),
)
_OTHER = _Kind(0, "", lambda _code, _label: True)


def dimension_of(column: FactColumn, *, name: str) -> Dimension:
    """The dimension a column's own code list makes, by the rules of `rows_of`.

    Args:
        column: with its codes in the publisher's order of presentation.
        name: of the dimension; `map_dimension_name` makes one of a map.

    Raises:
        ConfigurationError: the name cannot be one.
        InvalidHierarchy: the codes make no tree, or there are none besides a total.
    """
    kinds: dict[int, set[str]] = {}
    for _, niveau, kind in _placed(column):
        kinds.setdefault(niveau, set()).add(kind.name)
    # a level is named only if all that stands on it is of one kind
    level_names = {niveau: next(iter(names)) for niveau, names in sorted(kinds.items()) if len(names) == 1}
    return hierarchy.dimension(
        dimension_name(name),
        f"{column.label} ({column.map or column.table})",
        rows_of(column),
        source=f"{SOURCE}{column.table} {column.variable}",
        level_names={niveau: level_name for niveau, level_name in level_names.items() if level_name},
    )


def rows_of(column: FactColumn) -> list[PublishedRow]:
    """A column's codes as lines of a classification, so that they can be stored like one.

    The publisher's order of presentation is hierarchical (statbank-api 2): a region is followed by its municipalities.
    Levels are not published, so they are told from labels and codes, and only where the variable has a map of Danish
    areas (``Denmark_...``, ``KOMGRP``); any other list is flat, all on level 1.

    - Totals of the whole column (`totals.totals`), such as ``000 Hele landet`` in front, are left out.
    - ``Region ...``, ``... Amt``, and groups of municipalities (``1 Hovedstadskommuner``) come first, below them
      ``Landsdel ...`` or ``Province ...``, below these municipalities: three digits, 101 to 861, and none of the
      names above. Each stands one level below the nearest earlier area of a higher kind, on level 1 if there is none:
      København and Frederiksberg, before the first amt, are their own top, as they were amt and municipality.
    - Whatever is none of these (``Uden for Danmark``, ``Uoplyst``) stands on level 1 and ends the branch before it,
      also between areas: what follows it belongs to nobody until the next region or amt.
    - Where several areas of one kind have nothing below them and only the last one has, the list is one list after
      another (all regions, then all landsdele) and not a tree: all of it is flat.

    A code without a label is titled by itself.

    Args:
        column: with its codes in the publisher's order of presentation.

    Returns:
        Lines numbered from 1; ``sekvens`` is the same number.
    """
    return [
        PublishedRow(number, number, code.id, niveau, code.text.strip() or code.id)
        for number, (code, niveau, _) in enumerate(_placed(column), 1)
    ]


def map_dimension_name(map: str) -> str:  # noqa: A002 - the publisher's word
    """Name of the dimension of a map: ``Denmark_municipality_07`` and ``denmark_municipality_07`` are one.

    Anything but a-z and digits becomes ``_``; a name that is too long is cut, and told from its like by a hash.

    Raises:
        ConfigurationError: no name can be made of it.
    """
    folded = re.sub(r"[^a-z0-9]+", "_", map.strip().casefold().translate(_DANISH)).strip("_")
    name = f"map_{folded}" if folded[:1].isdigit() else folded
    # what ends like that is the name of a view
    name = f"{name}_map" if name.endswith("_tree") else name
    if len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - 7]}_{hashlib.sha256(folded.encode()).hexdigest()[:6]}"
    return dimension_name(name)


def _placed(column: FactColumn) -> list[tuple[Code, int, _Kind]]:
    """Each member with its level and kind, in order."""
    danish = (column.map or "").casefold().startswith(_DANISH_MAPS)
    left_out = frozenset(totals(column))
    codes = [code for code in column.codes if code.id not in left_out]
    kinds = [_kind(code) if danish else _OTHER for code in codes]
    return list(zip(codes, _levels([kind.rank for kind in kinds]), kinds, strict=True))


def _levels(ranks: Sequence[int]) -> list[int]:
    """Level of each area by its rank; 0 stands alone on level 1. All 1 where the order is no tree."""
    levels: list[int] = []
    above: list[int] = []
    for rank in ranks:
        while above and above[-1] >= rank:
            above.pop()
        levels.append(len(above) + 1)
        if rank:
            above.append(rank)
    for rank in set(ranks):
        parents = [
            number + 1 < len(levels) and levels[number + 1] > levels[number]
            for number, other in enumerate(ranks)
            if other == rank
        ]
        if len(parents) > 1 and parents[-1] and not any(parents[:-1]):
            return [1] * len(levels)
    return levels


def _kind(code: Code) -> _Kind:
    label = code.text.strip().casefold()
    return next((kind for kind in _KINDS if kind.fits(code.id, label)), _OTHER)


def _is_municipality(code: str) -> bool:
    return bool(re.fullmatch(r"\d{3}", code, re.ASCII)) and int(code) in _MUNICIPALITIES
