"""Subject documents: a page for each leaf of the subject tree that has tables, and the index of all.

What belongs here: which pages there are, writing one or all of them, and taking away those that lost their last table.
What a page says is `subject_page`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from varro_assets.context import doc_file, holdings, subject_page, table_documents
from varro_assets.context.cards import TableCard
from varro_assets.context.holdings import Holding
from varro_assets.context.places import INDEX, SUBJECTS
from varro_assets.context.snapshot import Snapshot
from varro_assets.context.sources import ContextSources
from varro_assets.engine import locks
from varro_assets.engine.postgres import Connection
from varro_assets.errors import UnknownTable, VarroError
from varro_assets.statbank.catalog import Place

WAIT_SECONDS = 60.0


@dataclass
class PagesReport:
    """What writing pages did.

    Attributes:
        pages: leaves with a page.
        changed: files rewritten or removed.
        problems: file or table -> why it could not be used; no problem stops the other pages.
    """

    pages: int = 0
    changed: list[Path] = field(default_factory=list)
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
    held = holdings.holdings(connection, beside)
    report = PagesReport()
    for place, tables in leaves(snapshot, held).items():
        if place in places:
            _write(sources, snapshot, place, [held[name] for name in tables], {}, report)
    return report


def write_all(
    sources: ContextSources,
    snapshot: Snapshot,
    held: Mapping[str, Holding],
    cards: Mapping[str, TableCard],
    only: Collection[Place] | None = None,
) -> PagesReport:
    """Write the pages of all leaves with tables that are held, and the index; remove pages without tables or notes.

    Args:
        sources: folders.
        snapshot: of this moment.
        held: every table with a loaded period.
        cards: of tables that were just documented; the others' are gathered.
        only: write just these pages, the others being right already; the index is always looked at.
    """
    report = PagesReport()
    by_leaf = leaves(snapshot, held)
    for place, tables in by_leaf.items():
        if only is None or place in only or not (sources.folder / snapshot.paths.subject_path(place)).exists():
            _write(sources, snapshot, place, [held[name] for name in tables], cards, report)
        else:
            report.pages += 1
    _write_index(sources, snapshot, by_leaf, report)
    _remove_others(sources, snapshot, by_leaf, report)
    return report


def _write(
    sources: ContextSources,
    snapshot: Snapshot,
    place: Place,
    tables: list[Holding],
    cards: Mapping[str, TableCard],
    report: PagesReport,
) -> None:
    path = sources.folder / snapshot.paths.subject_path(place)
    report.pages += 1
    try:
        # the page speaks of several tables, which several processes may be documenting
        with locks.table_lock(sources.warehouse, f"page:{path.name}:{place.ids[-1]}", wait=WAIT_SECONDS):
            shown = []
            for holding in tables:
                try:
                    known = cards.get(holding.table)
                    shown.append(known or table_documents.gather(sources, snapshot, holding))
                except UnknownTable as error:
                    report.problems[holding.table] = str(error)
            if doc_file.write(path, subject_page.page(place, shown)):
                report.changed.append(path)
    except VarroError as error:
        report.problems[str(path)] = str(error)


def _write_index(
    sources: ContextSources, snapshot: Snapshot, by_leaf: Mapping[Place, list[str]], report: PagesReport
) -> None:
    path = sources.folder / SUBJECTS / f"{INDEX}.md"
    try:
        if doc_file.write(path, subject_page.index(list(by_leaf), snapshot.paths)):
            report.changed.append(path)
    except VarroError as error:
        report.problems[str(path)] = str(error)


def _remove_others(
    sources: ContextSources, snapshot: Snapshot, by_leaf: Mapping[Place, list[str]], report: PagesReport
) -> None:
    """Take away pages of leaves without tables; one that holds people's notes stays, and is reported."""
    folder = sources.folder / SUBJECTS
    wanted = {sources.folder / snapshot.paths.subject_path(place) for place in by_leaf} | {folder / f"{INDEX}.md"}
    for path in sorted(folder.rglob("*.md")):
        if path in wanted:
            continue
        try:
            doc = doc_file.read(path)
            if doc is not None and not doc.has_notes and doc.stamped:
                doc_file.remove(path, folder)
                report.changed.append(path)
            else:
                report.problems[str(path)] = f"{path} is of a subject without tables and holds notes: it is kept."
        except VarroError as error:
            report.problems[str(path)] = str(error)
