"""Dimension documents: the document and the values of each dimension.

What belongs here: the steps, and which tables join a dimension. What a document says is `dim_doc`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from varro_assets.context import column_values, doc_file, holdings, page_record, table_documents
from varro_assets.context.cards import TableCard, fact_columns
from varro_assets.context.holdings import EDITION, Holding
from varro_assets.context.page_record import Written
from varro_assets.context.places import DIMENSIONS, dim_path
from varro_assets.context.snapshot import Snapshot
from varro_assets.context.sources import ContextSources
from varro_assets.context.table_documents import Leftovers
from varro_assets.context.text import dim_doc, examples
from varro_assets.context.text.dim_doc import Joining
from varro_assets.dimensions import supply
from varro_assets.dimensions.models import Dimension, FactColumn
from varro_assets.engine import postgres
from varro_assets.engine.postgres import Connection
from varro_assets.errors import VarroError


@dataclass(frozen=True)
class DimensionReport:
    """What writing a dimension's documents did.

    Attributes:
        path: of the document.
        tables: that join the dimension.
        changed: files that were rewritten.
        remarks: what its reader should know, such as an example that takes too long.
    """

    path: Path
    tables: tuple[str, ...]
    changed: list[Path] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


TEACHERS = 8
"""Tables that are looked at for one to take examples from; the full catalogue has a thousand with municipalities."""

_JOINING = """
SELECT table_id, column_name, levels, match_type = 'exact', join_sql
  FROM meta.dimension_link WHERE dimension = %s ORDER BY table_id, column_name
"""


def fetch(sources: ContextSources, connection: Connection, name: str) -> bool:
    """Bring a classification in anew: from its publisher, or from the code lists it was made of.

    Returns:
        Whether it changed.

    Raises:
        UnknownDimension: it is neither in the registry nor made of a code list.
        InvalidHierarchy: what came is no hierarchy; what is held stays.
        SourceUnavailable, UnexpectedResponse: it could not be had.
    """
    held = sources.library.dimension(name) if name not in sources.library.sources else None
    if held is None or not supply.is_code_list(held):
        return supply.fetch(sources.library, sources.publisher, name)
    columns: list[FactColumn] = []
    for table in holdings.holdings(connection):
        columns += fact_columns(table_documents.describe(sources, table))
    made = supply.from_code_lists(sources.library, sources.linker, columns, lambda: columns)
    if name in made.problems:
        raise made.problems[name]
    return name in made.changed


def joining(connection: Connection, snapshot: Snapshot, name: str, held: Collection[str]) -> list[Joining]:
    """The columns that join a dimension, of tables that are held."""
    with postgres.transaction(connection, "read which tables join", on=name) as cursor:
        cursor.execute(_JOINING, (name,))
        return [
            Joining(table, column, tuple(levels), exact, snapshot.paths.fact_path(snapshot.places(table), table), join)
            for table, column, levels, exact, join in cursor.fetchall()
            if table in held
        ]


def write(
    sources: ContextSources,
    snapshot: Snapshot,
    connection: Connection,
    dimension: Dimension,
    held: Mapping[str, Holding],
) -> DimensionReport:
    """Write a dimension's document and values; files that are right already are not touched.

    Args:
        sources: folders.
        snapshot: of this moment.
        connection: to the warehouse, where the dimension is loaded.
        dimension: which one.
        held: tables with a loaded period.

    Raises:
        HandEdited: somebody wrote above the line ``notes:``.
        ExampleFailed: the database refuses an SQL example. One that takes too long is left out, with a remark.
    """
    columns = joining(connection, snapshot, dimension.name, held)
    # taken before anything is read: what changes meanwhile makes the document stale
    made_of = _made_of(sources, snapshot, dimension, columns, held)
    tables = _tables(columns)
    cards = list(_cards(sources, snapshot, [held[table] for table in tables[:TEACHERS]]))
    report = DimensionReport(sources.folder / dim_path(dimension.name), tables)
    shown = examples.verified(
        connection,
        examples.dim_examples(dimension, _teaching(cards, dimension)),
        on_slow=lambda one: report.remarks.append(table_documents.too_slow(one)),
    )
    report.changed.extend(column_values.write_dimension(sources.folder, dimension))
    if doc_file.write(report.path, dim_doc.text(dimension, shown, columns)):
        report.changed.append(report.path)
    about = page_record.about_dimension(dimension.name)
    page_record.remember(connection, about, Written(dim_path(dimension.name), made_of))
    return report


def stale(
    sources: ContextSources, snapshot: Snapshot, connection: Connection, held: Mapping[str, Holding]
) -> list[Dimension]:
    """Dimensions whose document is not there or was made of something else: members, joining tables, those' paths."""
    written = page_record.read(connection)
    found = []
    for name, dimension in snapshot.dimensions.items():
        columns = joining(connection, snapshot, name, held)
        now = Written(dim_path(name), _made_of(sources, snapshot, dimension, columns, held))
        is_there = (sources.folder / now.path).exists() and column_values.dimension_path(sources.folder, name).exists()
        if not is_there or written.get(page_record.about_dimension(name)) != now:
            found.append(dimension)
    return found


def remove_others(sources: ContextSources) -> Leftovers:
    """Take away what was written of dimensions that are not held any more; people's notes stay where they are."""
    left = Leftovers()
    # what is held and cannot be used just now keeps its documents
    held = set(sources.library.store.names())
    for path in sorted((sources.folder / DIMENSIONS).glob("*.md")):
        if path.stem not in held:
            left.take_away(path, sources.folder, "of a dimension that is not held")
    for path in sorted((sources.folder / column_values.FOLDER).glob(f"[!.]*{column_values.ENDING}")):
        if path.stem not in held:
            doc_file.remove(path, sources.folder)
            left.removed.append(path)
    return left


def _made_of(
    sources: ContextSources,
    snapshot: Snapshot,
    dimension: Dimension,
    columns: Sequence[Joining],
    held: Mapping[str, Holding],
) -> str:
    teachers = {table: held[table] for table in _tables(columns)[:TEACHERS]}
    listed = [[one.table, one.column, one.levels, one.exact, one.doc, one.join] for one in columns]
    taught_by = sorted(table_documents.inputs(sources, snapshot, teachers).items())
    content = [EDITION, dimension.content_hash, listed, taught_by]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def _tables(columns: Sequence[Joining]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(column.table for column in columns))


def _cards(sources: ContextSources, snapshot: Snapshot, held: Iterable[Holding]) -> Iterator[TableCard]:
    for holding in held:
        try:
            yield table_documents.gather(sources, snapshot, holding)
        except (VarroError, OSError):
            continue  # its own document reports it; another table can teach


def _teaching(cards: list[TableCard], dimension: Dimension) -> TableCard | None:
    """The table to take examples from.

    One whose values may be summed, with few columns beside that neither have a total nor select, then with many levels
    of the dimension and few columns; ties by id.
    """

    def rank(card: TableCard) -> tuple[bool, int, int, int, str]:
        joins = [one for one in card.columns if one.link is not None and one.link.dimension == dimension.name]
        free = sum(one.pick is None for one in card.columns if one not in joins[:1])
        return (
            not card.addable,
            free,
            -max((len(one.levels) for one in joins), default=0),
            len(card.columns),
            card.info.id,
        )

    return min(cards, key=rank, default=None)
