"""A demo home with dimensions, tables and documents, on a simulated publisher and a real Postgres."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from varro_assets.context import dimension_documents, documents
from varro_assets.context.documents import DocumentsReport
from varro_assets.context.sources import ContextSources, open_context
from varro_assets.dimensions.models import dimension_name
from varro_assets.engine import postgres
from varro_assets.settings import Settings
from varro_assets.simulator import Simulator
from varro_assets.statbank import catalog
from varro_assets.statbank.sources import Sources
from varro_assets.statbank.sync import sync_table
from varro_assets_tests.conftest import Recorder

SMALL = ("FOLK1A", "BY1", "VAN5", "BYGB70", "NABB69", "HISB7", "BARLOV1", "STRAF42")
"""Enough to see links of every kind, three types of tid and a table under two subjects."""


@dataclass
class Home:
    """Everything of one home.

    Attributes:
        url: of its database.
    """

    settings: Settings
    simulator: Simulator
    sources: Sources
    context: ContextSources
    url: SecretStr

    def sync(self, *tables: str) -> None:
        """Poll, and bring these tables in as published now."""
        catalog.poll(self.sources.client, self.sources.catalogue)
        for table in tables:
            sync_table(self.sources, table, Recorder())

    def fetch(self, *names: str) -> None:
        """Bring classifications in; none = all that are published."""
        known = [dimension_name(one.name) for one in self.simulator.universe.classifications()]
        with contextlib.closing(postgres.connect(self.url, "test")) as connection:
            for name in names or known:
                dimension_documents.fetch(self.context, connection, name)
            self.context.library.load(connection)

    def document(self, **options: bool) -> DocumentsReport:
        """Write what is stale."""
        return documents.write(self.context, **options)

    def files(self) -> dict[Path, tuple[bytes, int]]:
        """Every document, value list and link file: content and time of change."""
        folders = (self.settings.context_dir, self.settings.links_dir)
        return {
            path: (path.read_bytes(), path.stat().st_mtime_ns)
            for folder in folders
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.name.startswith(".")
        }

    def fact_doc(self, table: str) -> Path:
        """Where a table's document lies."""
        (found,) = (self.settings.context_dir / "fact").rglob(f"{table.lower()}.md")
        return found

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """What the database answers."""
        with contextlib.closing(postgres.connect(self.url, "test")) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    def execute(self, statement: str) -> None:
        """Change the database."""
        with contextlib.closing(postgres.connect(self.url, "test")) as connection:
            with connection.cursor() as cursor:
                cursor.execute(statement)
            connection.commit()


@pytest.fixture
def home(settings: Settings, simulator: Simulator, sources: Sources, warehouse_url: str) -> Iterator[Home]:
    """A home with dimensions and no table yet."""
    url = SecretStr(warehouse_url)
    made = Home(settings, simulator, sources, open_context(settings, url), url)
    made.fetch()
    return made


@pytest.fixture
def documented(home: Home) -> Home:
    """A home whose small tables are synced and documented."""
    home.sync(*SMALL)
    assert home.document().problems == {}
    return home
