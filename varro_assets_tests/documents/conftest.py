"""A demo home with dimensions, tables and documents, on a simulated publisher and a real Postgres."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from varro_assets.context import dimension_documents, doc_file, documents
from varro_assets.context.documents import DocumentsReport
from varro_assets.context.sources import ContextSources, open_context
from varro_assets.dimensions.models import dimension_name
from varro_assets.engine import postgres
from varro_assets.settings import Settings
from varro_assets.simulator import Simulator
from varro_assets.statbank import catalog
from varro_assets.statbank.sources import Sources, open_sources
from varro_assets.statbank.sync import sync_table
from varro_assets.warehouse import prepare
from varro_assets_tests.conftest import Recorder
from varro_assets_tests.ready_homes import ReadyHomes

SMALL = ("FOLK1A", "BY1", "VAN5", "BYGB70", "NABB69", "HISB7", "BARLOV1", "STRAF42")
"""Enough to see links of every kind, three types of tid and a table under two subjects."""

FEW = ("BY1", "FOLK1A", "VAN5")
"""Two on one page, one of them under two subjects, and one on its own."""


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

    def age_the_subject_tree(self) -> None:
        """Two days, so that the next poll that finds something asks for it again."""
        path = self.sources.catalogue.folder / "catalog.json"
        body = json.loads(path.read_text("utf-8"))
        moment = datetime.fromisoformat(body["subjects_fetched_at"]) - timedelta(days=2)
        path.write_text(json.dumps(body | {"subjects_fetched_at": moment.isoformat()}), "utf-8")

    def generated(self) -> dict[str, bytes]:
        """Every document without its notes, every value list and link file, by path below the two folders."""
        return _generated(self.settings.context_dir, self.settings.links_dir)

    def as_if_new(self, folder: Path) -> dict[str, bytes]:
        """What an empty home would write of what is held now; people's own wishes about links are taken along."""
        elsewhere = replace(self.context, folder=folder / "context", links_dir=folder / "links")
        elsewhere.links_dir.mkdir(parents=True)
        for path in self.settings.links_dir.glob("*.json"):
            body = json.loads(path.read_text("utf-8"))
            if path.name != "_removed.json":
                body = [one for one in body if one.get("made_by") != "varro"]
            if body:
                (elsewhere.links_dir / path.name).write_text(json.dumps(body, ensure_ascii=False), "utf-8")
        assert documents.write(elsewhere, everything=True).problems == {}
        found = _generated(elsewhere.folder, elsewhere.links_dir)
        shutil.rmtree(folder)
        return found

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


def note(path: Path, text: bytes) -> bytes:
    """Write below the line ``notes:``; returns all from there on."""
    content = path.read_bytes() + text
    path.write_bytes(content)
    return content[content.index(b"\nnotes:\n") + 1 :]


def _generated(context: Path, links: Path) -> dict[str, bytes]:
    found = {}
    for folder in (context, links):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith((".", "_")):
                doc = doc_file.read(path) if path.suffix == ".md" else None
                content = path.read_bytes() if doc is None else doc.generated.encode()
                found[path.relative_to(folder).as_posix()] = content
    return found


@pytest.fixture
def home(settings: Settings, simulator: Simulator, sources: Sources, warehouse_url: str) -> Home:
    """A home with dimensions and no table yet."""
    url = SecretStr(warehouse_url)
    made = Home(settings, simulator, sources, open_context(settings, url), url)
    made.fetch()
    return made


@pytest.fixture
def opened(settings: Settings, simulator: Simulator, warehouse_url: str) -> Home:
    """A home in which nothing was done."""
    url = SecretStr(warehouse_url)
    return Home(settings, simulator, open_sources(settings, url), open_context(settings, url), url)


@pytest.fixture
def few(opened: Home, warehouse_database: str, ready_homes: ReadyHomes) -> Home:
    """A home with two dimensions and three tables, documented: enough where it matters how often."""

    def fill() -> None:
        prepare(opened.url)
        opened.fetch("nuts", "kommunegrupper")
        opened.sync(*FEW)
        assert opened.document().problems == {}

    ready_homes.bring("few", opened.settings.home, warehouse_database, fill)
    return opened


@pytest.fixture
def documented(opened: Home, warehouse_database: str, ready_homes: ReadyHomes) -> Home:
    """A home whose small tables are synced and documented."""

    def fill() -> None:
        prepare(opened.url)
        opened.fetch()
        opened.sync(*SMALL)
        assert opened.document().problems == {}

    ready_homes.bring("documented", opened.settings.home, warehouse_database, fill)
    return opened
