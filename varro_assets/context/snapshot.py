"""Snapshot: what the documents of all tables share, read once.

What belongs here: places, paths, dimensions and the documents that lie there already. Nothing of a single table.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from varro_assets.context.places import FACTS, DocumentPaths
from varro_assets.context.sources import ContextSources
from varro_assets.dimensions.links import link_file
from varro_assets.dimensions.models import Dimension
from varro_assets.engine.files import below
from varro_assets.engine.postgres import Connection
from varro_assets.errors import ConfigurationError, InvalidLink
from varro_assets.statbank.catalog import Catalogue, Place


@dataclass(frozen=True)
class Snapshot:
    """One moment.

    Attributes:
        catalogue: the publisher's tables and subjects.
        paths: of all documents.
        dimensions: those that can be joined, by name.
        unlinked: table -> columns that people want unlinked; None where the file that says so cannot be used.
        problems: dimension, or that file -> why it cannot be used.
        lying: relation -> documents of it that there are, wherever they lie.
    """

    catalogue: Catalogue
    paths: DocumentPaths
    dimensions: Mapping[str, Dimension]
    unlinked: Mapping[str, set[str]] | None
    problems: Mapping[str, str]
    lying: Mapping[str, list[Path]] = field(repr=False)

    def places(self, table: str) -> list[Place]:
        """Where the table stands; empty for one that has left the catalogue."""
        return self.catalogue.places.get(table, [])

    @cached_property
    def shared(self) -> str:
        """Hash of what every table's documents depend on: all dimensions."""
        content = sorted((name, dimension.content_hash) for name, dimension in self.dimensions.items())
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def take(sources: ContextSources, connection: Connection, *, load: bool = True) -> Snapshot:
    """Read everything, the dimension tables in Postgres brought up to date on the way unless ``load`` is off.

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
    for path in below(sources.folder / FACTS, ".md"):
        lying.setdefault(path.stem, []).append(path)
    dimensions = sources.library.all()
    if load:
        sources.library.load(connection)
    # a copy: the library fills in its own anew whenever it is asked
    problems = dict(sources.library.problems)
    unlinked = None
    try:
        unlinked = link_file.removed(sources.links_dir)
    except (InvalidLink, OSError) as error:
        problems[link_file.REMOVED] = f"{error} Until then no table gets new links."
    return Snapshot(
        catalogue=catalogue,
        paths=DocumentPaths(places),
        # what could not be loaded cannot be joined
        dimensions={name: held for name, held in dimensions.items() if name not in problems},
        unlinked=unlinked,
        problems=problems,
        lying=lying,
    )
