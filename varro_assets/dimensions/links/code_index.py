"""Code index: the codes of many dimensions, ready to be asked for.

What belongs here: looking codes up under each of the ways they are compared (`normalisation`). Made once per content of
the dimensions and asked for every column of every table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from varro_assets.dimensions.links.labels import stems
from varro_assets.dimensions.links.normalisation import DimensionKey
from varro_assets.dimensions.models import Dimension, Member


@dataclass(frozen=True)
class IndexedDimension:
    """One dimension with its members by key.

    Attributes:
        members: way of comparing -> key -> members with it, in traversal order.
    """

    dimension: Dimension
    members: Mapping[DimensionKey, Mapping[str, tuple[Member, ...]]]

    @cached_property
    def sizes(self) -> dict[int, int]:
        """Level -> members on it."""
        return dict(Counter(member.niveau for member in self.dimension.members))

    @cached_property
    def stems(self) -> frozenset[str]:
        """What its name, title and level names say."""
        texts = (self.dimension.name, self.dimension.title, *self.dimension.level_names.values())
        return frozenset(stem for text in texts for stem in stems(text.replace("_", " ")))


def indexed(dimension: Dimension) -> IndexedDimension:
    """The dimension with its members by key."""
    members: dict[DimensionKey, dict[str, list[Member]]] = {}
    for way in DimensionKey:
        by_key = members.setdefault(way, {})
        for member in dimension.members:
            key = way.of(member.kode)
            if key is not None:
                by_key.setdefault(key, []).append(member)
    frozen = {way: {key: tuple(found) for key, found in by_key.items()} for way, by_key in members.items()}
    return IndexedDimension(dimension, frozen)


class CodeIndex:
    """Which of many dimensions have a key."""

    def __init__(self, dimensions: Sequence[IndexedDimension]) -> None:
        self.dimensions = tuple(dimensions)
        self._having: dict[DimensionKey, dict[str, list[int]]] = {way: {} for way in DimensionKey}
        for position, one in enumerate(self.dimensions):
            for way, by_key in one.members.items():
                having = self._having[way]
                for key in by_key:
                    having.setdefault(key, []).append(position)

    def overlaps(self, way: DimensionKey, keys: Iterable[str | None]) -> dict[int, int]:
        """Position of a dimension -> how many of the keys it has; those with none are left out."""
        having = self._having[way]
        counted: Counter[int] = Counter()
        for key in keys:
            if key is not None:
                counted.update(having.get(key, ()))
        return dict(counted)
