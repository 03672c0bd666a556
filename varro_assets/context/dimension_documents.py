"""Dimension documents: the document and the values of each dimension.

What belongs here: the steps, and which tables join a dimension. What a document says is `dim_doc`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from varro_assets.context import column_values, dim_doc, doc_file, examples, holdings, table_documents
from varro_assets.context.cards import TableCard, fact_columns
from varro_assets.context.dim_doc import Joining
from varro_assets.context.holdings import Holding
from varro_assets.context.places import dim_path
from varro_assets.context.snapshot import Snapshot
from varro_assets.context.sources import ContextSources
from varro_assets.dimensions import supply
from varro_assets.dimensions.models import Dimension, FactColumn
from varro_assets.engine import postgres
from varro_assets.engine.postgres import Connection


@dataclass(frozen=True)
class DimensionReport:
    """What writing a dimension's documents did.

    Attributes:
        path: of the document.
        tables: that join the dimension.
        changed: files that were rewritten.
    """

    path: Path
    tables: tuple[str, ...]
    changed: list[Path] = field(default_factory=list)


TEACHERS = 8
"""Tables that are looked at for one to take examples from; the full catalogue has a thousand with municipalities."""

_JOINING = """
SELECT table_id, column_name, levels, match_type = 'exact'
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
    return name in supply.from_code_lists(sources.library, sources.linker, columns)


def joining(connection: Connection, snapshot: Snapshot, name: str, held: Collection[str]) -> list[Joining]:
    """The columns that join a dimension, of tables that are held."""
    with postgres.transaction(connection, "read which tables join", on=name) as cursor:
        cursor.execute(_JOINING, (name,))
        return [
            Joining(table, column, tuple(levels), exact, snapshot.paths.fact_path(snapshot.places(table), table))
            for table, column, levels, exact in cursor.fetchall()
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
        ExampleFailed: an SQL example does not run on the database.
    """
    columns = joining(connection, snapshot, dimension.name, held)
    tables = tuple(dict.fromkeys(column.table for column in columns))
    cards = [table_documents.gather(sources, snapshot, held[table]) for table in tables[:TEACHERS]]
    shown = examples.verified(connection, examples.dim_examples(dimension, _teaching(cards)))
    report = DimensionReport(sources.folder / dim_path(dimension.name), tables)
    report.changed.extend(column_values.write_dimension(sources.folder, dimension))
    if doc_file.write(report.path, dim_doc.text(dimension, shown, columns)):
        report.changed.append(report.path)
    return report


def _teaching(cards: list[TableCard]) -> TableCard | None:
    """The table to take examples from: one whose values may be summed, with few other columns; ties by id."""
    return min(cards, key=lambda card: (not card.addable, len(card.columns), card.info.id), default=None)
