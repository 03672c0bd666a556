"""Library: the dimensions that are held, each made of its classification files.

What belongs here: from stored classification to `Dimension`, made once per content, and keeping the dimension tables in
Postgres equal to the files. Fetching is `publisher`, files are `store`, tables are `dim_table`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from varro_assets.dimensions.classifications import hierarchy
from varro_assets.dimensions.classifications.registry import Source
from varro_assets.dimensions.classifications.store import Classification, ClassificationStore
from varro_assets.dimensions.dim_table import DimTables
from varro_assets.dimensions.models import Dimension
from varro_assets.engine.files import by_age
from varro_assets.engine.postgres import Connection
from varro_assets.errors import PermanentError, VarroError


def dimension_of(classification: Classification, source: Source | None) -> Dimension:
    """The dimension a classification makes.

    Args:
        classification: as published.
        source: what the registry says of it; None for one that is not from the publisher's site.

    Raises:
        InvalidHierarchy: its rows are no hierarchy; nothing may be stored of it.
    """
    return hierarchy.dimension(
        classification.name,
        classification.title,
        classification.rows_da,
        source=classification.source_url,
        page=classification.page_url,
        description=classification.info_da,
        level_names=source.level_names if source else {},
        skip_blank=source.skip_blank if source else False,
    )


Made: TypeAlias = dict[str, tuple[tuple[tuple[float, ...], Source | None], Dimension]]
"""Name -> (times of its files and what the registry says of it, the dimension)."""


@dataclass
class Library:
    """The dimensions of one project home.

    Attributes:
        store: the classification files.
        sources: the registry.
        problems: dimension -> why it cannot be used; filled in as dimensions are read.
        made: dimensions by name, with what they were made of; may be handed to the next library of the same home, since
            a large one takes half a second to make.
    """

    store: ClassificationStore
    sources: Mapping[str, Source]
    problems: dict[str, str] = field(default_factory=dict)
    made: Made = field(default_factory=dict, repr=False)

    def dimension(self, name: str) -> Dimension | None:
        """One dimension; None if its classification is not held.

        Raises:
            InvalidHierarchy, DamagedPartition: its files cannot be used.
        """
        made_of = (_stamp(self.store.folder / name), self.sources.get(name))
        known = self.made.get(name)
        if known is not None and known[0] == made_of:
            return known[1]
        classification = self.store.read(name)
        if classification is None:
            return None
        made = dimension_of(classification, self.sources.get(name))
        self.made[name] = (made_of, made)
        return made

    def all(self) -> dict[str, Dimension]:
        """Every dimension that can be used, by name; the others are named in ``problems``."""
        found: dict[str, Dimension] = {}
        self.problems.clear()
        for name in self.store.names():
            try:
                dimension = self.dimension(name)
            except VarroError as error:
                self.problems[name] = str(error)
                continue
            if dimension is not None:
                found[name] = dimension
        return found

    def load(self, connection: Connection) -> list[str]:
        """Make the tables in schema ``dim`` equal to the files; returns the names of those that changed.

        One that the database refuses, since somebody's own table has its name, is named in ``problems``.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        tables = DimTables(connection)
        changed = []
        for name, dimension in self.all().items():
            try:
                if tables.load(dimension):
                    changed.append(name)
            except PermanentError as error:
                self.problems[name] = str(error)
        return changed


def _stamp(folder: Path) -> tuple[float, ...]:
    return tuple(modified for modified, path in by_age(folder.glob("*")) if path.is_file())
