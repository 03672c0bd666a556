"""Catalogue: the publisher's list of tables as it lies on disk, and how it is polled.

What belongs here: `catalog.json`, `subjects.json` and the cached tableinfos under ``data/dst/metadata``. A cached
tableinfo serves to plan and to describe, never to store data by (a sync asks for a fresh one).
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock

from varro_assets.engine import clock
from varro_assets.engine.files import write_json, write_text
from varro_assets.engine.http import host_of
from varro_assets.errors import (
    ConfigurationError,
    ForeignSource,
    PermanentError,
    TransientError,
    UnexpectedResponse,
    VarroError,
)
from varro_assets.statbank import models, subject_graph
from varro_assets.statbank.client import StatBank
from varro_assets.statbank.models import CatalogueEntry, Subject, TableInfo

_TABLEINFOS = "tables_info_raw_da"
_LOCK = ".lock"
SUBJECTS_FRESH = timedelta(days=1)
"""How long the subject tree is taken as it was, while the tables in it are published anew."""
DOWN_AFTER = 3
"""Failures in a row after which the service counts as down: each has cost all its retries."""


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
        subjects_fetched_at: of the subject tree, which is asked for less often; empty if that is not known.
        asked_at: when the poll began to ask, ISO, UTC, to the microsecond; empty in a file written before there was it.
    """

    source: str
    fetched_at: str
    entries: Mapping[str, CatalogueEntry]
    subjects: tuple[Subject, ...] = field(default=(), repr=False)
    subjects_fetched_at: str = ""
    asked_at: str = ""

    @cached_property
    def places(self) -> dict[str, list[Place]]:
        """Table id -> its places, most have one."""
        places: dict[str, list[Place]] = {}
        for root in self.subjects:
            for path in root.walk():
                # some of the publisher's titles end in a blank
                place = Place(tuple(node.description.strip() for node in path), tuple(node.id for node in path))
                for table in path[-1].tables:
                    places.setdefault(table.id, []).append(place)
        return places

    def subject_path(self, table: str) -> str | None:
        """Path of the table's first place; None if it has none."""
        places = self.places.get(table)
        return places[0].path if places else None

    @cached_property
    def tables_by_subject(self) -> dict[str, set[str]]:
        """Subject id, and path of titles, both lower case -> the tables at and below it.

        There are no blanks around the slashes of a path, not even where a title holds a slash of its own.
        """
        below: dict[str, set[str]] = {}
        for table, places in self.places.items():
            for place in places:
                for depth in range(1, len(place.ids) + 1):
                    below.setdefault(place.ids[depth - 1].lower(), set()).add(table)
                    below.setdefault(_subject_key(place.titles[:depth]), set()).add(table)
        return below


def _subject_key(titles: Sequence[str]) -> str:
    return "/".join(part.strip() for part in "/".join(titles).split("/")).lower()


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
        with _readable(path, "a catalogue"):
            try:
                body = json.loads(path.read_text(encoding="utf-8"))
            except FileNotFoundError:
                return None
            entries = {table["id"]: CatalogueEntry.model_validate(table) for table in body["tables"]}
            source, fetched = str(body["source"]), str(body["fetched_at"])
            of_subjects, asked = (str(body.get(name, "")) for name in ("subjects_fetched_at", "asked_at"))
            return Catalogue(source, fetched, entries, self._subjects(), of_subjects, asked)

    def _subjects(self) -> tuple[Subject, ...]:
        path = self.folder / "subjects.json"
        with _readable(path, "a subject tree"):
            try:
                body = json.loads(path.read_text(encoding="utf-8"))
            except FileNotFoundError:
                return ()
            return tuple(Subject.model_validate(subject) for subject in body)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder, for as long as it takes to look at the last poll and store another; never while asking."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / _LOCK):
            yield

    def write(self, catalogue: Catalogue) -> None:
        """Store a poll; each file replaced whole, the catalogue last."""
        if catalogue.subjects:
            write_json(self.folder / "subjects.json", [node.model_dump() for node in catalogue.subjects])
            write_text(self.folder / "subjects_graph_da.gml", subject_graph.gml(catalogue.subjects))
        tables = [entry.model_dump() for entry in catalogue.entries.values()]
        write_json(
            self.folder / "catalog.json",
            {
                "source": catalogue.source,
                "fetched_at": catalogue.fetched_at,
                "subjects_fetched_at": catalogue.subjects_fetched_at,
                "asked_at": catalogue.asked_at,
                "tables": tables,
            },
        )

    def tableinfo_path(self, table: str) -> Path:
        """Where a table's description is cached."""
        return self.folder / _TABLEINFOS / f"{models.table_id(table)}.json"

    def tableinfo(self, table: str) -> TableInfo | None:
        """The cached description; None if there is none that can be used: it is only a cache, and fetched anew."""
        description = self.description(table)
        return description and description[0]

    def description(self, table: str) -> tuple[TableInfo, dict[str, Any]] | None:
        """The cached description and the very body it was read from, which a poll may replace meanwhile."""
        body = self.raw_tableinfo(table)
        if body is None:
            return None
        try:
            return models.parse(TableInfo, body, what="read the cached description of table", on=table), body
        except UnexpectedResponse:
            return None

    def raw_tableinfo(self, table: str) -> dict[str, Any] | None:
        """The cached description as it was sent; None if there is none that can be read."""
        try:
            body = json.loads(self.tableinfo_path(table).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return body if isinstance(body, dict) else None

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
        catalogue: now on disk; another poll's, if one that asked later was there sooner.
        moved: tables, of all, whose ``updated`` differs from the poll before; new ones included.
        gone: tables that were in the poll before and are not now. Of another's poll neither is told.
    """

    catalogue: Catalogue
    moved: tuple[str, ...]
    gone: tuple[str, ...]


def source_of(client: StatBank) -> str:
    """What to call the service that answered last."""
    return "simulator" if client.server.startswith("varro-simulator") else host_of(client.url)


def poll(client: StatBank, folder: CatalogueFolder) -> Poll:
    """Fetch `/tables`, and `/subjects` when the tree may have changed; store both.

    A table that only moves in the tree shows nowhere else. So the tree is asked for when a table appears that it does
    not know, and when something else changed and it is more than a day old. A poll without change is one request.

    Raises:
        ForeignSource: the folder holds another service's catalogue, say the simulator's.
    """
    before, asked = folder.read(), clock.now()
    entries = {entry.id: entry for entry in client.tables()}
    source = source_of(client)
    _refuse_foreign(before, source, folder)
    old = {} if before is None else before.entries
    moved = tuple(table for table in entries if table not in old or old[table].updated != entries[table].updated)
    now = clock.now()
    stamp = now.isoformat(timespec="seconds")
    if before is not None and entries.keys() <= before.places.keys() and not (moved and _is_old(before, now)):
        tree = None
    else:
        tree = tuple(client.subjects())
    # whoever has asked later and was answered sooner has the newer list
    with folder.alone():
        latest = folder.read()
        _refuse_foreign(latest, source, folder)
        if latest is not None and _asked_later(latest, before, asked):
            return Poll(latest, moved=(), gone=())
        known = latest or before
        subjects = (known.subjects, known.subjects_fetched_at) if known and tree is None else (tree or (), stamp)
        catalogue = Catalogue(source, stamp, entries, *subjects, asked.isoformat(timespec="microseconds"))
        folder.write(catalogue)
    return Poll(
        catalogue,
        moved=moved,
        gone=tuple(table for table in old if table not in entries),
    )


def _asked_later(latest: Catalogue, before: Catalogue | None, asked: datetime) -> bool:
    """Whether another poll has asked after ``asked``, when ``before`` lay there, and has stored its answer by now."""
    if before is not None and latest.asked_at == before.asked_at:
        return False
    began, now = (moment.isoformat(timespec="microseconds") for moment in (asked, clock.now()))
    return began < latest.asked_at <= now  # a clock that was set back makes it one of the future


def _is_old(catalogue: Catalogue, now: datetime) -> bool:
    """Whether the subject tree was fetched more than a day ago, or nobody knows when."""
    try:
        age = now - datetime.fromisoformat(catalogue.subjects_fetched_at)
        return not timedelta(0) <= age <= SUBJECTS_FRESH  # a clock that was set back makes it younger than nothing
    except (ValueError, TypeError):  # empty, or written by somebody without a zone
        return True


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

    Raises:
        TransientError: the service is down: it failed several times in a row, or for all there was to fetch. What came
            before is kept.
    """
    described: list[str] = []
    failed: dict[str, str] = {}
    in_a_row: list[VarroError] = []
    for table in tables:
        entry, cached = catalogue.entries.get(table), folder.tableinfo(table)
        if entry is None or (cached is not None and cached.updated == entry.updated):
            continue
        try:
            _info, body = client.tableinfo(table)
        except TransientError as error:
            failed[table] = str(error)
            in_a_row.append(error)
            if len(in_a_row) == DOWN_AFTER:
                raise
            continue
        except PermanentError as error:
            failed[table] = str(error)
            in_a_row.clear()
            continue
        in_a_row.clear()
        folder.write_tableinfo(table, body)
        described.append(table)
        on_table(table)
    if in_a_row and len(in_a_row) == len(failed) and not described:
        raise in_a_row[-1]
    return described, failed


@contextlib.contextmanager
def _readable(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            "read",
            on=str(path),
            got=f"not {kind} ({type(error).__name__})",
            todo="Delete the file and poll again: varro sync",
        ) from error


def _refuse_foreign(before: Catalogue | None, source: str, folder: CatalogueFolder) -> None:
    if before is not None and before.source != source:
        raise ForeignSource(
            "poll the catalogue into",
            on=str(folder.folder),
            got=f"it holds {before.source}, now {source} answers",
            todo="Use another DATA_DIR (and database) for another source, or correct DST_API_URL.",
        )
