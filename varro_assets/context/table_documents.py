"""Table documents: the link file, the fact document and the column values of one table, written in this order.

What belongs here: the steps, and skipping a table whose inputs are those of its documents. What a document says is
`fact_doc`, how it lies on disk `doc_file`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from varro_assets.context import (
    code_lives,
    column_values,
    doc_file,
    examples,
    fact_doc,
    holdings,
    table_links,
)
from varro_assets.context.cards import TableCard, card
from varro_assets.context.holdings import Holding
from varro_assets.context.snapshot import Snapshot
from varro_assets.context.sources import ContextSources
from varro_assets.dimensions import link_check, link_file
from varro_assets.dimensions.models import Link
from varro_assets.engine import locks, postgres
from varro_assets.engine.postgres import Connection
from varro_assets.errors import UnknownTable
from varro_assets.statbank import facts, manifest
from varro_assets.statbank.models import TableInfo

WAIT_SECONDS = 60.0
"""For another process that writes the same table's documents; it takes a second."""


@dataclass(frozen=True)
class TableReport:
    """What writing a table's documents did.

    Attributes:
        path: of the fact document.
        changed: files that were rewritten; empty when everything was so already.
    """

    table: str
    card: TableCard
    links: tuple[Link, ...]
    path: Path
    changed: list[Path] = field(default_factory=list)


def lock_name(table: str) -> str:
    """Of the lock under which a table's documents are written."""
    return f"documents:{table}"


def describe(sources: ContextSources, table: str) -> TableInfo:
    """The description that goes with what is held.

    Raises:
        UnknownTable: there is none.
    """
    state = manifest.read_usable(sources.store(table).folder)
    info = state.info if state is not None else sources.catalogue.tableinfo(table)
    if info is None:
        raise UnknownTable("document table", on=table, got="it has no description", todo=f"varro sync {table}")
    return info


def gather(sources: ContextSources, snapshot: Snapshot, holding: Holding) -> TableCard:
    """The card of a table whose links are stored already, for the pages of its subjects.

    Raises:
        UnknownTable, InvalidLink: as `describe` and `table_links.read`.
    """
    info = describe(sources, holding.table)
    links = table_links.read(sources, snapshot, info)
    return _card(info, snapshot, links, holding)


def _card(info: TableInfo, snapshot: Snapshot, links: tuple[Link, ...], holding: Holding) -> TableCard:
    places = snapshot.places(info.id)
    return card(info, places, links, snapshot.dimensions, holding.periods, holding.rows, snapshot.paths)


def stale(
    sources: ContextSources, snapshot: Snapshot, held: Mapping[str, Holding], written: Mapping[str, str]
) -> list[Holding]:
    """Tables whose documents are not of what is held now, or are not there."""
    shared = snapshot.shared
    found = []
    for table, holding in held.items():
        inputs = holdings.inputs_hash(sources, holding, snapshot.places(table), shared)
        is_there = (
            bool(snapshot.lying.get(facts.relation_name(table)))
            and link_file.path_of(sources.links_dir, table).exists()
        )
        if not is_there or written.get(table) != holdings.with_links(inputs, sources, table):
            found.append(holding)
    return found


def write(sources: ContextSources, snapshot: Snapshot, connection: Connection, holding: Holding) -> TableReport:
    """Link and document a table; files that are right already are not touched.

    Raises:
        TableBusy: another process is at it.
        UnknownTable: there is no description.
        InvalidLink, HandEdited, NotesConflict: people's own files cannot be used; they are left as they are.
        ExampleFailed: an SQL example does not run on the database.
        DamagedPartition: a period file cannot be read.
    """
    table = holding.table
    with locks.table_lock(sources.warehouse, lock_name(table), wait=WAIT_SECONDS):
        # taken before anything is read: what changes meanwhile makes the documents stale
        inputs = holdings.inputs_hash(sources, holding, snapshot.places(table), snapshot.shared)
        info = describe(sources, table)
        linked = table_links.write(sources, snapshot, info)
        inputs = holdings.with_links(inputs, sources, table)
        gathered = _card(info, snapshot, linked.links, holding)
        shown = examples.verified(connection, examples.fact_examples(gathered))
        report = TableReport(table, gathered, linked.links, sources.folder / gathered.path)
        if linked.changed:
            report.changed.append(linked.path)
        report.changed.extend(column_values.write_fact(sources.folder, info.id, info))
        if _write_document(report, snapshot, fact_doc.text(gathered, shown)):
            report.changed.append(report.path)
        lives = code_lives.lives(sources.store(table), holding.periods)
        with postgres.transaction(connection, "describe the links of table", on=table) as cursor:
            code_lives.write(cursor, table, lives)
            link_check.write_rows(cursor, table, linked.links, [column.column for column in gathered.columns])
            holdings.remember(cursor, table, inputs)
    return report


def _write_document(report: TableReport, snapshot: Snapshot, text: str) -> bool:
    """Write the document; one that lies elsewhere, since the table moved in the subject tree, moves with its notes."""
    elsewhere = [path for path in snapshot.lying.get(report.card.name, []) if path != report.path and path.exists()]
    changed = [doc_file.move(old, report.path, text) for old in elsewhere]
    return doc_file.write(report.path, text) or any(changed)
