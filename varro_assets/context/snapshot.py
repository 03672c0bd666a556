"""Snapshot: what the documents of all tables share, read once.

What belongs here: places, paths, dimensions and the documents that lie there already. Nothing of a single table.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from varro_assets.context.places import FACTS, DocumentPaths
from varro_assets.context.sources import ContextSources
from varro_assets.dimensions.models import Dimension
from varro_assets.engine.postgres import Connection
from varro_assets.errors import ConfigurationError
from varro_assets.statbank.catalog import Catalogue, Place


@dataclass(frozen=True)
class Snapshot:
    """One moment.

    Attributes:
        catalogue: the publisher's tables and subjects.
        paths: of all documents.
        dimensions: those that can be joined, by name.
        lying: relation -> documents of it that there are, wherever they lie.
    """

    catalogue: Catalogue
    paths: DocumentPaths
    dimensions: Mapping[str, Dimension]
    lying: Mapping[str, list[Path]] = field(repr=False)

    def places(self, table: str) -> list[Place]:
        """Where the table stands; empty for one that has left the catalogue."""
        return self.catalogue.places.get(table, [])

    @property
    def shared(self) -> str:
        """Hash of what every table's documents depend on: all dimensions."""
        content = sorted((name, dimension.content_hash) for name, dimension in self.dimensions.items())
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def take(sources: ContextSources, connection: Connection) -> Snapshot:
    """Read everything, the dimension tables in Postgres brought up to date on the way.

    Raises:
        ConfigurationError: there is no catalogue yet.
    """
    catalogue = sources.catalogue.read()
    if catalogue is None:
        raise ConfigurationError(
            "write documents", on=str(sources.folder), got="no catalogue yet", todo="Fetch it: varro sync"
        )
    places = [place for listed in catalogue.places.values() for place in listed]
    lying: dict[str, list[Path]] = {}
    for path in sorted((sources.folder / FACTS).rglob("*.md")):
        lying.setdefault(path.stem, []).append(path)
    dimensions = sources.library.all()
    sources.library.load(connection)
    return Snapshot(
        catalogue=catalogue,
        paths=DocumentPaths(places),
        # what could not be loaded cannot be joined
        dimensions={name: held for name, held in dimensions.items() if name not in sources.library.problems},
        lying=lying,
    )
