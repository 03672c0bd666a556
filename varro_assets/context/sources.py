"""Sources: everything the documents are written from, and where they go, opened from the settings.

What belongs here: putting folders, dimensions and the family of the publisher together. No document.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import SecretStr

from varro_assets.dimensions.classifications import registry
from varro_assets.dimensions.classifications.store import ClassificationStore
from varro_assets.dimensions.library import Library, Made
from varro_assets.dimensions.links.linking import Linker
from varro_assets.engine.http import Pace, Session
from varro_assets.engine.partitions import PartitionStore
from varro_assets.settings import Settings
from varro_assets.statbank.catalog import CatalogueFolder

if TYPE_CHECKING:
    from varro_assets.dimensions.classifications.publisher import Publisher

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
SIMULATED = "https://simulator.example.org"
_WORKED_OUT: dict[Path, tuple[Made, Linker]] = {}
"""Folder of classifications -> what this process has worked out of it: a run per table opens everything anew."""


@dataclass(frozen=True)
class ContextSources:
    """What documents are made of, and their folders.

    Attributes:
        catalogue: the publisher's metadata on disk.
        tables_dir: one folder of period files per table.
        warehouse: Postgres, started and migrated.
        library: the dimensions.
        links_dir: link files.
        folder: where documents go.
        boundaries_dir: GeoJSON, the user's own or fetched.
        site_url, geo_url: the publishers of classifications and boundaries.
    """

    catalogue: CatalogueFolder
    tables_dir: Path
    warehouse: SecretStr
    library: Library
    links_dir: Path
    folder: Path
    boundaries_dir: Path
    site_url: str
    geo_url: str
    session: Callable[[str], Session] = field(repr=False)
    linker: Linker = field(default_factory=Linker, repr=False)

    def store(self, table: str) -> PartitionStore:
        """The table's period files."""
        return PartitionStore(self.tables_dir / table, table)

    @cached_property
    def publisher(self) -> Publisher:
        """The site that publishes classifications."""
        # imported here: what reads web pages takes a tenth of a second to load
        from varro_assets.dimensions.classifications.publisher import Publisher

        return Publisher(self.session(self.site_url), self.site_url, self.called(self.site_url))

    @staticmethod
    def called(url: str) -> str:
        """What stands for a publisher's address in what is stored: the simulator has another port each time."""
        return SIMULATED if urlsplit(url).hostname in LOOPBACK else url


def open_context(
    settings: Settings, warehouse: SecretStr, on_retry: Callable[[str], None] | None = None
) -> ContextSources:
    """Everything by the settings.

    Args:
        settings: where things lie.
        warehouse: URL of the database, started and migrated.
        on_retry: told of every failed attempt that will be repeated.
    """

    def session(url: str) -> Session:
        # each site has its own pace; several processes share it
        pace = Pace(settings.data_dir / "pace", url, settings.dst_api_sleep_seconds)
        return Session(pace, timeout=settings.dst_api_timeout_seconds, on_retry=on_retry)

    sources = registry.read(settings.home / registry.FILE_NAME)
    made, linker = _WORKED_OUT.setdefault(settings.classifications_dir, ({}, Linker()))
    return ContextSources(
        catalogue=CatalogueFolder(settings.metadata_dir),
        tables_dir=settings.tables_dir,
        warehouse=warehouse,
        library=Library(ClassificationStore(settings.classifications_dir), sources, made=made),
        links_dir=settings.links_dir,
        folder=settings.context_dir,
        boundaries_dir=settings.boundaries_dir,
        site_url=settings.dst_site_url,
        geo_url=settings.geo_url,
        session=session,
        linker=linker,
    )
