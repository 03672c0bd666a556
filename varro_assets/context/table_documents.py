"""Table documents: the link file, the fact document and the column values of one table, written in this order.

What belongs here: the steps, and skipping a table whose inputs are those of its documents. What a document says is
`fact_doc`, how it lies on disk `doc_file`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from varro_assets.context import code_lives, column_values, doc_file, holdings, table_links
from varro_assets.context.cards import TableCard, card
from varro_assets.context.holdings import Holding
from varro_assets.context.places import FACTS
from varro_assets.context.snapshot import Snapshot
from varro_assets.context.sources import ContextSources
from varro_assets.context.text import examples, fact_doc
from varro_assets.context.text.examples import Example
from varro_assets.dimensions.links import link_check, link_file
from varro_assets.dimensions.models import Link
from varro_assets.engine import locks, postgres
from varro_assets.engine.postgres import Connection
from varro_assets.errors import HandEdited, UnknownTable
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
        remarks: what its reader should know, such as an example that takes too long.
    """

    table: str
    card: TableCard
    links: tuple[Link, ...]
    path: Path
    changed: list[Path] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Leftovers:
    """Documents of tables that are not in the warehouse.

    Attributes:
        removed: nobody had written anything in these.
        kept: path -> why.
    """

    removed: list[Path] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)

    def take_away(self, path: Path, keep: Path, why: str) -> None:
        """Remove a document of ours that holds no notes; one that does is kept, and somebody's own file passed over.

        Args:
            path: of the document.
            keep: a folder that stays, with all above it.
            why: it is to go, as in "of a table that is not in the warehouse".
        """
        try:
            doc = doc_file.read(path)
        except (HandEdited, OSError):
            return
        if doc is None or not doc.stamped:
            return
        if doc.has_notes:
            self.kept[str(path)] = f"{path} is {why} and holds notes: it is kept."
        else:
            doc_file.remove(path, keep)
            self.removed.append(path)


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


def gather(sources: ContextSources, snapshot: Snapshot, holding: Holding, *, linked: bool = True) -> TableCard:
    """The card of a table whose links are stored already, for the pages of its subjects.

    Args:
        sources: folders.
        snapshot: of this moment.
        holding: the table's.
        linked: False for a card without links, where these cannot be used.

    Raises:
        UnknownTable, InvalidLink: as `describe` and `table_links.read`.
    """
    info = describe(sources, holding.table)
    links = table_links.read(sources, snapshot, info) if linked else ()
    return _card(info, snapshot, links, holding)


def _card(
    info: TableInfo,
    snapshot: Snapshot,
    links: tuple[Link, ...],
    holding: Holding,
    lives: code_lives.Lives | None = None,
) -> TableCard:
    places, held = snapshot.places(info.id), holding.periods
    return card(info, places, links, snapshot.dimensions, held, holding.rows, snapshot.paths, lives=lives)


def inputs(sources: ContextSources, snapshot: Snapshot, held: Mapping[str, Holding]) -> dict[str, str]:
    """Table -> hash of all that its documents are made of, as it is now."""
    return {
        table: holdings.with_links(holdings.inputs_hash(sources, snapshot, holding), sources, table)
        for table, holding in held.items()
    }


def stale(
    sources: ContextSources, snapshot: Snapshot, held: Mapping[str, Holding], written: Mapping[str, str]
) -> list[Holding]:
    """Tables whose documents are not of what is held now, or are not there."""
    found = []
    for table, now in inputs(sources, snapshot, held).items():
        is_there = (
            bool(snapshot.lying.get(facts.relation_name(table)))
            and link_file.path_of(sources.links_dir, table).exists()
            and (sources.folder / column_values.FOLDER / facts.relation_name(table)).is_dir()
        )
        if not is_there or written.get(table) != now:
            found.append(held[table])
    return found


def write(sources: ContextSources, snapshot: Snapshot, connection: Connection, holding: Holding) -> TableReport:
    """Link and document a table; files that are right already are not touched.

    Raises:
        TableBusy: another process is at it.
        UnknownTable: there is no description.
        InvalidLink, HandEdited, NotesConflict: people's own files cannot be used; they are left as they are.
        ExampleFailed: the database refuses an SQL example. One that takes too long is left out, with a remark.
        DamagedPartition: a period file cannot be read.
    """
    table = holding.table
    with locks.short_lock(connection, lock_name(table), wait=WAIT_SECONDS):
        # taken before anything is read: what changes meanwhile makes the documents stale
        made_of = holdings.inputs_hash(sources, snapshot, holding)
        info = describe(sources, table)
        linked = table_links.write(sources, snapshot, info)
        made_of = holdings.with_links(made_of, sources, table)
        lives = code_lives.lives(sources.store(table), holding.periods)
        gathered = _card(info, snapshot, linked.links, holding, lives)
        report = TableReport(table, gathered, linked.links, sources.folder / gathered.path)
        shown = examples.verified(
            connection, examples.fact_examples(gathered), on_slow=lambda one: report.remarks.append(too_slow(one))
        )
        if linked.changed:
            report.changed.append(linked.path)
        report.changed.extend(column_values.write_fact(sources.folder, info.id, info))
        if _write_document(report, snapshot, fact_doc.text(gathered, shown)):
            report.changed.append(report.path)
        with postgres.transaction(connection, "describe the links of table", on=table) as cursor:
            code_lives.write(cursor, table, lives)
            link_check.write_rows(cursor, table, linked.links, [column.column for column in gathered.columns])
            holdings.remember(cursor, table, made_of)
    return report


def too_slow(example: Example) -> str:
    """What to say of an example that was left out for the time it takes."""
    return f"An example was left out of the document, since it took over {examples.TIMEOUT_SECONDS} s: {example.title}."


def remove_others(sources: ContextSources, snapshot: Snapshot, held: Collection[str]) -> Leftovers:
    """Take away what was written of tables that are not in the warehouse: nothing in it could be asked any more.

    People's notes stay where they are, and so does the link file.

    Args:
        sources: folders.
        snapshot: of this moment.
        held: every table with a loaded period.
    """
    left = Leftovers()
    known = {facts.relation_name(table) for table in held}
    for relation in sorted(snapshot.lying.keys() - known):
        for path in snapshot.lying[relation]:
            left.take_away(path, sources.folder / FACTS, "of a table that is not in the warehouse")
    for folder in sorted((sources.folder / column_values.FOLDER).glob("*/")):
        if folder.name not in known:
            for path in sorted(folder.glob(f"[!.]*{column_values.ENDING}")):
                doc_file.remove(path, folder.parent)
                left.removed.append(path)
    return left


def _write_document(report: TableReport, snapshot: Snapshot, text: str) -> bool:
    """Write the document; one that lies elsewhere, since the table moved in the subject tree, moves with its notes."""
    elsewhere = [path for path in snapshot.lying.get(report.card.name, []) if path != report.path and path.exists()]
    changed = [doc_file.move(old, report.path, text) for old in elsewhere]
    return doc_file.write(report.path, text) or any(changed)
