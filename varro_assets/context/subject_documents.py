"""Subject documents: a page for each leaf of the subject tree that has tables, and the index of all.

What belongs here: which pages there are, writing those whose tables are not as they were, and taking away those that
lost their last table. What a page says is `subject_page`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from varro_assets.context import doc_file, holdings, page_record, table_documents
from varro_assets.context.cards import TableCard
from varro_assets.context.holdings import EDITION, Holding
from varro_assets.context.page_record import Written
from varro_assets.context.places import INDEX, SUBJECTS
from varro_assets.context.snapshot import Snapshot
from varro_assets.context.sources import ContextSources
from varro_assets.context.text import subject_page
from varro_assets.engine import locks
from varro_assets.engine.files import below
from varro_assets.engine.postgres import Connection
from varro_assets.errors import HandEdited, InvalidLink, NotesConflict, VarroError
from varro_assets.statbank.catalog import Place

WAIT_SECONDS = 60.0


@dataclass
class PagesReport:
    """What writing pages did.

    Attributes:
        pages: leaves with a page.
        changed: files rewritten or removed.
        kept: file -> why it is still there, though its subject has no table.
        problems: file or table -> why it could not be used; no problem stops the other pages.
    """

    pages: int = 0
    changed: list[Path] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def leaves(snapshot: Snapshot, tables: Iterable[str]) -> dict[Place, list[str]]:
    """Leaf -> which of these tables stand there, both in the publisher's order."""
    wanted = set(tables)
    found: dict[Place, list[str]] = {}
    for table, places in snapshot.catalogue.places.items():
        if table in wanted:
            for place in places:
                found.setdefault(place, []).append(table)
    return found


def write_pages_of(sources: ContextSources, snapshot: Snapshot, connection: Connection, table: str) -> PagesReport:
    """Write the pages of the leaves where a table stands."""
    # the other tables of its leaves are described there too
    places = set(snapshot.places(table))
    beside = [
        other for other, listed in snapshot.catalogue.places.items() if other == table or places.intersection(listed)
    ]
    pages = _Pages(sources, snapshot, connection, holdings.holdings(connection, beside), {})
    for place in pages.by_leaf:
        if place in places:
            pages.write(place)
    return pages.report


def write_all(
    sources: ContextSources,
    snapshot: Snapshot,
    connection: Connection,
    held: Mapping[str, Holding],
    cards: Mapping[str, TableCard],
    *,
    everything: bool = False,
) -> PagesReport:
    """Write the pages of all leaves with tables that are held, and the index; remove pages without tables or notes.

    Args:
        sources: folders.
        snapshot: of this moment.
        connection: to the warehouse, which knows what each page was made of.
        held: every table with a loaded period.
        cards: of tables that were just documented; the others' are gathered.
        everything: look also at pages whose tables are as they were.
    """
    pages = _Pages(sources, snapshot, connection, held, cards)
    for place in pages.by_leaf:
        if everything or pages.is_due(place):
            pages.write(place)
        else:
            pages.report.pages += 1
    _write_index(sources, snapshot, pages.by_leaf, pages.report)
    _remove_others(sources, snapshot, connection, pages.by_leaf, pages.report)
    return pages.report


class _Pages:
    """The pages of one moment."""

    def __init__(
        self,
        sources: ContextSources,
        snapshot: Snapshot,
        connection: Connection,
        held: Mapping[str, Holding],
        cards: Mapping[str, TableCard],
    ) -> None:
        self._sources, self._snapshot, self._connection = sources, snapshot, connection
        self._held, self._cards = held, cards
        self.by_leaf = leaves(snapshot, held)
        self.report = PagesReport()
        self._written = page_record.read(connection)
        # taken before anything is read: what changes meanwhile makes the pages stale
        self._inputs = table_documents.inputs(sources, snapshot, held)
        self._paths = {place: snapshot.paths.subject_path(place) for place in self.by_leaf}

    @cached_property
    def _all_paths(self) -> set[str]:
        """Of every subject with tables, held or not: none of them is a page's former place."""
        places = {place for listed in self._snapshot.catalogue.places.values() for place in listed}
        return {self._snapshot.paths.subject_path(place) for place in places}

    def is_due(self, place: Place) -> bool:
        """Whether the page is not there, or was made of something else."""
        path = self._paths[place]
        written = self._written.get(page_record.about_subject(place))
        return written != Written(path, self._made_of(place)) or not (self._sources.folder / path).exists()

    def _made_of(self, place: Place) -> str:
        tables = [[table, self._inputs[table], self._doc(table)] for table in self.by_leaf[place]]
        content = json.dumps([EDITION, place.ids, place.titles, tables], ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()

    def _doc(self, table: str) -> str:
        return self._snapshot.paths.fact_path(self._snapshot.places(table), table)

    def write(self, place: Place) -> None:
        """Write one page; what stops it is reported."""
        path = self._sources.folder / self._paths[place]
        self.report.pages += 1
        try:
            # the page speaks of several tables, which several processes may be documenting
            with locks.short_lock(self._connection, f"page:{path.name}:{place.ids[-1]}", wait=WAIT_SECONDS):
                shown = [self._card(self._held[table]) for table in self.by_leaf[place]]
                known = [card for card in shown if card is not None]
                if self._put(place, path, subject_page.page(place, known)):
                    self.report.changed.append(path)
                if len(known) == len(shown):
                    written = Written(self._paths[place], self._made_of(place))
                    page_record.remember(self._connection, page_record.about_subject(place), written)
        except (VarroError, OSError) as error:
            self.report.problems[str(path)] = str(error)

    def _card(self, holding: Holding) -> TableCard | None:
        """The table's card; without links where its link file cannot be used, and None if it cannot be described."""
        known = self._cards.get(holding.table)
        if known is not None:
            return known
        try:
            try:
                return table_documents.gather(self._sources, self._snapshot, holding)
            except InvalidLink as error:
                self.report.problems[holding.table] = str(error)
                return table_documents.gather(self._sources, self._snapshot, holding, linked=False)
        except (VarroError, OSError) as error:
            self.report.problems[holding.table] = str(error)
            return None

    def _put(self, place: Place, path: Path, text: str) -> bool:
        """Write the page; that of a subject which got another name moves with its notes."""
        before = self._written.get(page_record.about_subject(place))
        if before is None or before.path in self._all_paths:
            return doc_file.write(path, text)
        try:
            return doc_file.move(self._sources.folder / before.path, path, text)
        except (HandEdited, NotesConflict) as error:
            # whatever is wrong with the old one does not stop the new one
            self.report.problems[before.path] = str(error)
            return doc_file.write(path, text)


def _write_index(
    sources: ContextSources, snapshot: Snapshot, by_leaf: Mapping[Place, Sequence[str]], report: PagesReport
) -> None:
    path = sources.folder / SUBJECTS / f"{INDEX}.md"
    try:
        if doc_file.write(path, subject_page.index(list(by_leaf), snapshot.paths)):
            report.changed.append(path)
    except (VarroError, OSError) as error:
        report.problems[str(path)] = str(error)


def _remove_others(
    sources: ContextSources,
    snapshot: Snapshot,
    connection: Connection,
    by_leaf: Mapping[Place, Sequence[str]],
    report: PagesReport,
) -> None:
    """Take away pages of leaves without tables; one that holds people's notes stays, and is named."""
    folder = sources.folder / SUBJECTS
    wanted = {sources.folder / snapshot.paths.subject_path(place) for place in by_leaf} | {folder / f"{INDEX}.md"}
    removed = []
    for path in below(folder, ".md"):
        if path in wanted:
            continue
        try:
            doc = doc_file.read(path)
            if doc is not None and not doc.has_notes and doc.stamped:
                doc_file.remove(path, folder)
                removed.append(path)
            else:
                report.kept[str(path)] = f"{path} is of a subject without tables and holds notes: it is kept."
        except (HandEdited, OSError) as error:
            report.kept[str(path)] = str(error)
    if removed:
        page_record.forget(connection, [path.relative_to(sources.folder).as_posix() for path in removed])
        report.changed.extend(removed)
