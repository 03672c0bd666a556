"""Documents: everything that is to be written anew, and nothing else.

What belongs here: the order of steps over all tables, pages and dimensions. Each is written by the module named for it.
Map layers are made apart (`map_layers`): their boundaries come from another publisher.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from varro_assets.context import dimension_documents, doc_file, holdings, snapshot, subject_documents, table_documents
from varro_assets.context.cards import TableCard, fact_columns
from varro_assets.context.holdings import Holding
from varro_assets.context.places import dim_path
from varro_assets.context.snapshot import Snapshot
from varro_assets.context.sources import ContextSources
from varro_assets.context.table_documents import TableReport
from varro_assets.dimensions import supply
from varro_assets.dimensions.models import FactColumn
from varro_assets.engine import postgres
from varro_assets.engine.postgres import Connection
from varro_assets.errors import UnknownTable, VarroError
from varro_assets.statbank import facts
from varro_assets.statbank.catalog import Place

_LISTED = re.compile(r"^id: (\S+)$", re.MULTILINE)


@dataclass
class DocumentsReport:
    """What was done.

    Attributes:
        held: tables with a loaded period.
        tables: those whose documents were looked at, their inputs being new.
        pages: subject pages there are.
        dimensions: dimension -> what was made of a StatBank code list, or documented.
        changed: files that were rewritten or removed.
        problems: table, dimension or file -> why it was not written; one stops no other.
    """

    held: int = 0
    tables: list[TableReport] = field(default_factory=list)
    pages: int = 0
    changed: list[Path] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


def write(
    sources: ContextSources,
    *,
    only: Collection[str] | None = None,
    everything: bool = False,
    touched: Collection[str] = (),
    on_count: Callable[[int], None] = lambda _count: None,
    on_table: Callable[[str], None] = lambda _table: None,
) -> DocumentsReport:
    """Write what is not as it should be.

    Args:
        sources: folders and database.
        only: look at the documents of just these tables; pages and dimensions follow.
        everything: look at every table, also where nothing seems to have changed. Files that are right stay untouched.
        touched: tables that were documented elsewhere just now: pages and dimensions are to follow them.
        on_count: told how many tables there are to do.
        on_table: told of each as it is done.

    Raises:
        ConfigurationError: there is no catalogue yet.
        DatabaseUnavailable: the warehouse cannot be reached.
    """
    report = DocumentsReport()
    with contextlib.closing(postgres.connect(sources.warehouse, "documents")) as connection:
        taken = snapshot.take(sources, connection)
        held = holdings.holdings(connection)
        report.held = len(held)
        due = _due(sources, taken, connection, held, only, everything=everything)
        if _code_lists(sources, due, report):
            # every table may join a new dimension
            taken = snapshot.take(sources, connection)
            due = _due(sources, taken, connection, held, only, everything=everything)
        report.problems.update(sources.library.problems)
        on_count(len(due))
        for holding in due:
            _write_table(sources, taken, connection, holding, report)
            on_table(holding.table)
        moved = {*touched, *(one.table for one in report.tables)}
        _write_pages(sources, taken, held, moved, report)
        _write_dimensions(sources, taken, connection, held, moved, report)
    return report


def _due(
    sources: ContextSources,
    taken: Snapshot,
    connection: Connection,
    held: Mapping[str, Holding],
    only: Collection[str] | None,
    *,
    everything: bool,
) -> list[Holding]:
    wanted = held if only is None else {table: held[table] for table in held if table in only}
    if everything:
        return list(wanted.values())
    return table_documents.stale(sources, taken, wanted, holdings.written(connection))


def _code_lists(sources: ContextSources, due: Collection[Holding], report: DocumentsReport) -> list[str]:
    """Make dimensions of maps that no classification covers."""
    columns: list[FactColumn] = []
    for holding in due:
        try:
            columns += fact_columns(table_documents.describe(sources, holding.table))
        except UnknownTable as error:
            report.problems[holding.table] = str(error)
    return supply.from_code_lists(sources.library, sources.linker, columns)


def _write_table(
    sources: ContextSources, taken: Snapshot, connection: Connection, holding: Holding, report: DocumentsReport
) -> None:
    try:
        done = table_documents.write(sources, taken, connection, holding)
    except VarroError as error:
        report.problems[holding.table] = str(error)
        return
    report.tables.append(done)
    report.changed.extend(done.changed)


def _write_pages(
    sources: ContextSources,
    taken: Snapshot,
    held: Mapping[str, Holding],
    moved: set[str],
    report: DocumentsReport,
) -> None:
    cards: dict[str, TableCard] = {done.table: done.card for done in report.tables}
    by_leaf = subject_documents.leaves(taken, held)
    only = {
        place
        for place, tables in by_leaf.items()
        if not moved.isdisjoint(tables) or _lists_others(sources, taken, place, tables)
    }
    pages = subject_documents.write_all(sources, taken, held, cards, only)
    report.pages = pages.pages
    report.changed.extend(pages.changed)
    report.problems.update(pages.problems)


def _lists_others(sources: ContextSources, taken: Snapshot, place: Place, tables: list[str]) -> bool:
    """Whether the page that lies there speaks of other tables: one came, went or moved in the tree."""
    path = sources.folder / taken.paths.subject_path(place)
    try:
        doc = doc_file.read(path)
    except VarroError:
        return True  # writing it will say what is wrong
    return doc is None or _LISTED.findall(doc.generated) != [facts.relation_name(table) for table in tables]


def _write_dimensions(
    sources: ContextSources,
    taken: Snapshot,
    connection: Connection,
    held: Mapping[str, Holding],
    moved: set[str],
    report: DocumentsReport,
) -> None:
    """Write the documents of all dimensions if any table moved, else of those that have none or changed themselves."""
    for name, dimension in taken.dimensions.items():
        try:
            if moved or not (sources.folder / dim_path(name)).exists():
                done = dimension_documents.write(sources, taken, connection, dimension, held)
                report.changed.extend(done.changed)
        except VarroError as error:
            report.problems[name] = str(error)
