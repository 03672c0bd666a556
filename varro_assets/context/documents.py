"""Documents: everything that is to be written anew, and nothing else.

What belongs here: the order of steps over all tables, pages and dimensions. Each is written by the module named for it.
Map layers are made apart (`map_layers`): their boundaries come from another publisher; their index
follows the tables.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from varro_assets.context import (
    dimension_documents,
    holdings,
    page_record,
    snapshot,
    subject_documents,
    table_documents,
)
from varro_assets.context.cards import TableCard, fact_columns
from varro_assets.context.holdings import Holding
from varro_assets.context.maps.geo_layers import FOLDER
from varro_assets.context.page_record import Written
from varro_assets.context.snapshot import Snapshot
from varro_assets.context.sources import ContextSources
from varro_assets.context.table_documents import TableReport
from varro_assets.dimensions import supply
from varro_assets.dimensions.models import FactColumn
from varro_assets.engine import postgres
from varro_assets.engine.files import below, by_age
from varro_assets.engine.postgres import Connection
from varro_assets.errors import VarroError

LEFT_BEHIND_SECONDS = 3600.0
"""Age of a half-written file from which on nobody is writing it any more; writing one takes less than a second."""


@dataclass
class DocumentsReport:
    """What was done.

    Attributes:
        held: tables with a loaded period.
        tables: those whose documents were looked at, their inputs being new.
        pages: subject pages there are.
        changed: files that were rewritten or removed.
        remarks: what people should know and nobody has to mend: a page that stays for its notes, an example left out.
        problems: table, dimension or file -> why it was not written; one stops no other.
    """

    held: int = 0
    tables: list[TableReport] = field(default_factory=list)
    pages: int = 0
    changed: list[Path] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


def write(
    sources: ContextSources,
    *,
    only: Collection[str] | None = None,
    everything: bool = False,
    on_count: Callable[[int], None] = lambda _count: None,
    on_table: Callable[[str], None] = lambda _table: None,
) -> DocumentsReport:
    """Write what is not as it should be.

    Args:
        sources: folders and database.
        only: look at the documents of just these tables; pages and dimensions follow.
        everything: look at every table, also where nothing seems to have changed. Files that are right stay untouched.
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
        _sweep(sources)
        due = _due(sources, taken, connection, held, only, everything=everything)
        if _code_lists(sources, connection, due, held, report):
            # every table may join a new dimension
            taken = snapshot.take(sources, connection)
            due = _due(sources, taken, connection, held, only, everything=everything)
        report.problems.update(taken.problems)
        on_count(len(due))
        for holding in due:
            _write_table(sources, taken, connection, holding, report)
            on_table(holding.table)
        # who names tables wants these looked at; what else there is follows where something changed
        every_page = everything and only is None
        if held or not taken.lying:
            _write_pages(sources, taken, connection, held, report, everything=every_page)
            _remove_others(sources, taken, held, report)
        else:
            # more likely another database than one that lost everything
            report.remarks.append(f"This database holds no table: the documents of tables in {sources.folder} stay.")
        _write_dimensions(sources, taken, connection, held, report, everything=every_page)
    return report


def write_index_of_maps(sources: ContextSources, report: DocumentsReport) -> None:
    """Bring the index of the map layers up to date, if there are any; it tells which tables each of them can draw.

    Raises:
        VarroError: it could not be written.
    """
    if not any((sources.folder / FOLDER).glob("*.parquet")):
        return
    # imported here: geopandas takes a third of a second to load, which everybody else would pay
    from varro_assets.context.maps import map_layers

    with contextlib.closing(postgres.connect(sources.warehouse, "map layers")) as connection:
        taken = snapshot.take(sources, connection)
        report.changed += map_layers.write_index(sources, taken, connection, holdings.holdings(connection))


def _sweep(sources: ContextSources) -> None:
    """Remove what processes that died while writing left behind; what is younger may be another's that is at it."""
    oldest = time.time() - LEFT_BEHIND_SECONDS
    for folder in (sources.folder, sources.links_dir, sources.library.store.folder):
        for modified, path in by_age(below(folder, ".tmp")):
            if path.name.startswith(".") and modified < oldest:
                # another process may sweep as well
                path.unlink(missing_ok=True)


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


def _code_lists(
    sources: ContextSources,
    connection: Connection,
    due: Collection[Holding],
    held: Mapping[str, Holding],
    report: DocumentsReport,
) -> list[str]:
    """Make dimensions of maps that no classification covers; returns those that changed."""
    mapped = holdings.mapped(connection)
    made_of = Written("", hashlib.sha256(json.dumps(sorted(mapped.items())).encode()).hexdigest())
    if page_record.read(connection).get(page_record.CODE_LISTS) != made_of:
        # a table whose own run has documented it is not due any more, and its list may have changed all the same
        due = [*due, *(held[table] for table in sorted(mapped.keys() & held.keys()) if held[table] not in due)]

    def columns(tables: Collection[Holding]) -> Iterator[FactColumn]:
        for holding in tables:
            with _told(report, holding.table):
                yield from fact_columns(table_documents.describe(sources, holding.table))

    made = supply.from_code_lists(sources.library, sources.linker, columns(due), lambda: columns(held.values()))
    report.problems.update({name: str(error) for name, error in made.problems.items()})
    if not report.problems:
        page_record.remember(connection, page_record.CODE_LISTS, made_of)
    return made.changed


@contextlib.contextmanager
def _told(report: DocumentsReport, on: str) -> Iterator[None]:
    """Report what stops one table or dimension, a file that cannot be read or written included; the others go on."""
    try:
        yield
    except (VarroError, OSError) as error:
        report.problems[on] = str(error)


def _write_table(
    sources: ContextSources, taken: Snapshot, connection: Connection, holding: Holding, report: DocumentsReport
) -> None:
    with _told(report, holding.table):
        done = table_documents.write(sources, taken, connection, holding)
        report.tables.append(done)
        report.changed.extend(done.changed)
        report.remarks.extend(f"{done.table}: {remark}" for remark in done.remarks)


def _write_pages(
    sources: ContextSources,
    taken: Snapshot,
    connection: Connection,
    held: Mapping[str, Holding],
    report: DocumentsReport,
    *,
    everything: bool,
) -> None:
    cards: dict[str, TableCard] = {done.table: done.card for done in report.tables}
    pages = subject_documents.write_all(sources, taken, connection, held, cards, everything=everything)
    report.pages = pages.pages
    report.changed.extend(pages.changed)
    report.remarks.extend(pages.kept.values())
    # a table's own words go before those of the pages it stands on
    report.problems.update({on: problem for on, problem in pages.problems.items() if on not in report.problems})


def _remove_others(
    sources: ContextSources, taken: Snapshot, held: Mapping[str, Holding], report: DocumentsReport
) -> None:
    """Take away what is of tables and dimensions that are gone."""
    for left in (table_documents.remove_others(sources, taken, held), dimension_documents.remove_others(sources)):
        report.changed.extend(left.removed)
        report.remarks.extend(left.kept.values())


def _write_dimensions(
    sources: ContextSources,
    taken: Snapshot,
    connection: Connection,
    held: Mapping[str, Holding],
    report: DocumentsReport,
    *,
    everything: bool,
) -> None:
    due = taken.dimensions.values() if everything else dimension_documents.stale(sources, taken, connection, held)
    for dimension in due:
        with _told(report, dimension.name):
            done = dimension_documents.write(sources, taken, connection, dimension, held)
            report.changed.extend(done.changed)
            report.remarks.extend(f"{dimension.name}: {remark}" for remark in done.remarks)
