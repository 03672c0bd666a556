"""Catalogue: the publisher's list of tables as it lies on disk, and how it is polled.

What belongs here: `catalog.json`, `subjects.json` and the cached tableinfos under ``data/dst/metadata``. A cached
tableinfo serves to plan and to describe, never to store data by (a sync asks for a fresh one).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from varro_assets.engine.files import write_json
from varro_assets.errors import ConfigurationError, ForeignSource, PermanentError
from varro_assets.statbank import models
from varro_assets.statbank.client import StatBank
from varro_assets.statbank.models import CatalogueEntry, Subject, TableInfo

_TABLEINFOS = "tables_info_raw_da"


@dataclass(frozen=True)
class Place:
    """Where a table stands in the subject tree: titles and ids from the top."""

    titles: tuple[str, ...]
    ids: tuple[str, ...]

    @property
    def path(self) -> str:
        """``Borgere/Befolkning/Befolkningstal``."""
        return "/".join(self.titles)


@dataclass(frozen=True)
class Catalogue:
    """One poll.

    Attributes:
        source: host of the API, or ``simulator``.
        fetched_at: ISO, UTC.
    """

    source: str
    fetched_at: str
    entries: Mapping[str, CatalogueEntry]
    subjects: tuple[Subject, ...] = field(default=(), repr=False)

    @cached_property
    def places(self) -> dict[str, list[Place]]:
        """Table id -> its places, most have one."""
        places: dict[str, list[Place]] = {}
        for root in self.subjects:
            for path in root.walk():
                place = Place(tuple(node.description for node in path), tuple(node.id for node in path))
                for table in path[-1].tables:
                    places.setdefault(table.id, []).append(place)
        return places

    @cached_property
    def tables_by_subject(self) -> dict[str, set[str]]:
        """Subject id, and lower-case path of titles -> the tables at and below it."""
        below: dict[str, set[str]] = {}
        for table, places in self.places.items():
            for place in places:
                for depth in range(1, len(place.ids) + 1):
                    below.setdefault(place.ids[depth - 1], set()).add(table)
                    below.setdefault("/".join(place.titles[:depth]).lower(), set()).add(table)
        return below


class CatalogueFolder:
    """The metadata folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self) -> Catalogue | None:
        """The last poll; None before the first.

        Raises:
            ConfigurationError: the file is there and not readable as one.
        """
        path = self.folder / "catalog.json"
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            body = json.loads(text)
            entries = {table["id"]: CatalogueEntry.model_validate(table) for table in body["tables"]}
            subjects = tuple(Subject.model_validate(subject) for subject in self._subjects())
            return Catalogue(body["source"], body["fetched_at"], entries, subjects)
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(
                "read",
                on=str(path),
                got=f"not a catalogue ({type(error).__name__})",
                todo="Delete the file and poll again: varro sync",
            ) from error

    def _subjects(self) -> list[Any]:
        try:
            body = json.loads((self.folder / "subjects.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        return list(body)

    def write(self, catalogue: Catalogue) -> None:
        """Store a poll; each file replaced whole, the catalogue last."""
        if catalogue.subjects:
            write_json(self.folder / "subjects.json", [node.model_dump() for node in catalogue.subjects])
        tables = [entry.model_dump() for entry in catalogue.entries.values()]
        write_json(
            self.folder / "catalog.json",
            {"source": catalogue.source, "fetched_at": catalogue.fetched_at, "tables": tables},
        )

    def tableinfo_path(self, table: str) -> Path:
        """Where a table's description is cached."""
        return self.folder / _TABLEINFOS / f"{models.table_id(table)}.json"

    def tableinfo(self, table: str) -> TableInfo | None:
        """The cached description; None if there is none."""
        body = self.raw_tableinfo(table)
        if body is None:
            return None
        return models.parse(TableInfo, body, what="read the cached description of table", on=table)

    def raw_tableinfo(self, table: str) -> dict[str, Any] | None:
        """The cached description as it was sent; None if there is none."""
        try:
            return dict(json.loads(self.tableinfo_path(table).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def tableinfo_age(self, table: str) -> float:
        """Seconds since the cached description was fetched; infinite if there is none."""
        try:
            return max(0.0, time.time() - self.tableinfo_path(table).stat().st_mtime)
        except FileNotFoundError:
            return float("inf")

    def write_tableinfo(self, table: str, body: Mapping[str, Any]) -> None:
        """Cache a description as it was sent."""
        write_json(self.tableinfo_path(table), body)


@dataclass(frozen=True)
class Poll:
    """What a poll found.

    Attributes:
        catalogue: now on disk.
        moved: tables, of all, whose ``updated`` differs from the poll before; new ones included.
        gone: tables that were in the poll before and are not now.
        described: followed tables whose description was fetched anew.
        failed: followed tables whose description could not be had -> why.
    """

    catalogue: Catalogue
    moved: tuple[str, ...]
    gone: tuple[str, ...]
    described: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)


def source_of(client: StatBank) -> str:
    """What to call the service that answered last."""
    return "simulator" if client.server.startswith("varro-simulator") else urlsplit(client.url).netloc


def poll(client: StatBank, folder: CatalogueFolder) -> Poll:
    """Fetch `/tables`, and `/subjects` only when a table appears that the tree does not know; store both.

    Raises:
        ForeignSource: the folder holds another service's catalogue, say the simulator's.
    """
    before = folder.read()
    entries = {entry.id: entry for entry in client.tables()}
    source = source_of(client)
    _refuse_foreign(before, source, folder)
    known = before.places.keys() if before else set()
    subjects = before.subjects if before and entries.keys() <= known else tuple(client.subjects())
    now = datetime.now(UTC).isoformat(timespec="seconds")
    catalogue = Catalogue(source, now, entries, subjects)
    folder.write(catalogue)
    old = {} if before is None else before.entries
    return Poll(
        catalogue,
        moved=tuple(table for table in entries if table not in old or old[table].updated != entries[table].updated),
        gone=tuple(table for table in old if table not in entries),
    )


def describe(
    client: StatBank,
    folder: CatalogueFolder,
    tables: Iterable[str],
    catalogue: Catalogue,
    on_table: Callable[[str], None] = lambda _table: None,
) -> tuple[list[str], dict[str, str]]:
    """Fetch the description of each table whose cached one is not of the catalogue's ``updated``.

    Returns:
        The tables fetched, and those that could not be, with the reason; one table's failure stops no other.
    """
    described: list[str] = []
    failed: dict[str, str] = {}
    for table in tables:
        entry, cached = catalogue.entries.get(table), folder.tableinfo(table)
        if entry is None or (cached is not None and cached.updated == entry.updated):
            continue
        try:
            _info, body = client.tableinfo(table)
        except PermanentError as error:
            failed[table] = str(error)
            continue
        folder.write_tableinfo(table, body)
        described.append(table)
        on_table(table)
    return described, failed


def _refuse_foreign(before: Catalogue | None, source: str, folder: CatalogueFolder) -> None:
    if before is not None and before.source != source:
        raise ForeignSource(
            "poll the catalogue into",
            on=str(folder.folder),
            got=f"it holds {before.source}, now {source} answers",
            todo="Use another DATA_DIR (and database) for another source, or correct DST_API_URL.",
        )
